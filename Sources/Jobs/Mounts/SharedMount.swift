// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
internal import ProcessControl
internal import SecretFileSystem
internal import SystemCalls

/// A FUSE mount that other processes can see.
///
/// Its server may not unmount (`ServingFilter`), so that a helper does.
final class SharedMount: Exposure {
    let isolation = Isolation.none
    let backend = Backend.fuse
    let path: String
    private let fileSystem: SecretFileSystem
    private let options: FuseMount.Options
    private let audit: () throws(MountError) -> OpenAudit?
    private let directory: OwnDirectory?
    private let requestTimeout: UInt16?
    private let keeping: Keeping?
    private var detacher: (any Detaching)?
    private(set) var served: ServedMount?

    /// Makes an exposure.
    ///
    /// The directory is made and removed, and nil for one that is there; `audit` begins to record opens, once this process
    /// is bound. `keeping` lets another server take the mount over, or takes it over. The kernel ends a mount that leaves a request unanswered for `requestTimeout` seconds, if it can; a job's
    /// has no such limit, since it is stopped with its job.
    init(
        _ fileSystem: SecretFileSystem,
        _ options: FuseMount.Options,
        path: String,
        making directory: OwnDirectory?,
        requestTimeout: UInt16? = nil,
        keeping: Keeping? = nil,
        audit: @escaping () throws(MountError) -> OpenAudit?
    ) {
        self.audit = audit
        self.fileSystem = fileSystem
        self.options = options
        self.path = path
        self.directory = directory
        self.requestTimeout = requestTimeout
        self.keeping = keeping
    }

    var endNotice: Int32 { served?.endNotice ?? -1 }
    var helper: Int32 { detacher?.id ?? -1 }

    /// Status of the mount, for the thread of its control socket.
    var status: @Sendable () -> ControlAnswer {
        { [fileSystem] in fileSystem.status }
    }

    func prepare() throws(MountError) {
        if keeping?.isTakenOver != true { try directory?.make() }
    }

    func begin(for job: Job) throws { try begin(signalling: job) }

    /// Mounts and serves.
    ///
    /// - Parameters:
    ///   - job: the one process that may get signals; nil for none.
    ///   - record: descriptor of the record, which is handed on with a mount that is kept.
    /// - Throws: class `mount` or `failed`.
    func begin(signalling job: Job?, record: Int32 = -1) throws(MountError) {
        let device: OwnedDescriptor
        if let inherited = keeping?.takeDevice() {
            device = inherited
        } else {
            // Before the mount, so that it is taken away whenever this process is killed.
            if let keeper = keeping?.keeper { detacher = keeper } else { detacher = try UnmountHelper(for: path) }
            device = try Mounter.mount(at: path, options)
            try keeping?.hold(device, record: record)
        }
        try ServingFilter.install(for: job)
        served = try ServedMount(
            device,
            fileSystem,
            options,
            audit: try audit(),
            requestTimeout: requestTimeout,
            succession: keeping?.succession ?? .none
        )
        // From here on its end is this server's business.
        detacher = detacher ?? keeping?.keeper
        try served?.forgetInheritance()
    }

    /// Leaves the mount to another server.
    func leave() {
        served?.leave()
        served = nil
        detacher = nil
    }

    func end() -> Bool {
        // What was not taken over is left to the next one who tries.
        guard detacher != nil || keeping?.isTakenOver != true else { return false }
        if let served { served.end { detacher?.finish() } } else { detacher?.finish() }
        served = nil
        detacher = nil
        let isGone = !MountTable.has(path)
        directory?.remove()
        return isGone
    }
}
