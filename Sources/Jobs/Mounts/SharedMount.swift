// SPDX-License-Identifier: Apache-2.0

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
    private var unmountHelper: UnmountHelper?
    private(set) var served: ServedMount?

    /// Makes an exposure.
    ///
    /// The directory is made and removed, and nil for one that is there; `audit` begins to record opens, once this process
    /// is bound. The kernel ends a mount that leaves a request unanswered for `requestTimeout` seconds, if it can; a job's
    /// has no such limit, since it is stopped with its job.
    init(
        _ fileSystem: SecretFileSystem,
        _ options: FuseMount.Options,
        path: String,
        making directory: OwnDirectory?,
        requestTimeout: UInt16? = nil,
        audit: @escaping () throws(MountError) -> OpenAudit?
    ) {
        self.audit = audit
        self.fileSystem = fileSystem
        self.options = options
        self.path = path
        self.directory = directory
        self.requestTimeout = requestTimeout
    }

    var endNotice: Int32 { served?.endNotice ?? -1 }
    var helper: Int32 { unmountHelper?.id ?? -1 }

    /// Status of the mount, for the thread of its control socket.
    var status: @Sendable () -> ControlAnswer {
        { [fileSystem] in fileSystem.status }
    }

    func prepare() throws(MountError) { try directory?.make() }

    func begin(for job: Job) throws { try begin(signalling: job) }

    /// Mounts and serves.
    ///
    /// - Throws: class `mount` or `failed`.
    func begin(signalling job: Job?) throws(MountError) {
        // Before the mount, so that it is taken away whenever this process is killed.
        unmountHelper = try UnmountHelper(for: path)
        let device = try Mounter.mount(at: path, options)
        try ServingFilter.install(for: job)
        served = try ServedMount(
            device,
            fileSystem,
            options,
            audit: try audit(),
            requestTimeout: requestTimeout
        )
    }

    func end() -> Bool {
        if let served { served.end { unmountHelper?.finish() } } else { unmountHelper?.finish() }
        served = nil
        unmountHelper = nil
        let isGone = !MountTable.has(path)
        directory?.remove()
        return isGone
    }
}
