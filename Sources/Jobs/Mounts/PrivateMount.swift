// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SecretFileSystem
internal import SystemCalls

/// A FUSE mount in the mount namespace of a job, whose launcher makes it and sends its device.
final class PrivateMount: Exposure {
    let isolation: Isolation
    let backend = Backend.fuse
    let path: String
    private let fileSystem: SecretFileSystem
    private let options: FuseMount.Options
    private let audit: () throws(MountError) -> OpenAudit?
    private(set) var served: ServedMount?

    /// Makes an exposure; `audit` begins to record opens, once this process is bound.
    init(
        _ fileSystem: SecretFileSystem,
        _ options: FuseMount.Options,
        _ isolation: Isolation,
        path: String,
        audit: @escaping () throws(MountError) -> OpenAudit?
    ) {
        self.audit = audit
        self.fileSystem = fileSystem
        self.options = options
        self.isolation = isolation
        self.path = path
    }

    var endNotice: Int32 { served?.endNotice ?? -1 }

    var status: @Sendable () -> ControlAnswer {
        { [fileSystem] in fileSystem.status }
    }

    func begin(for job: Job) throws {
        try ServingFilter.install(for: job)
        served = try ServedMount(try job.takeDevice(), fileSystem, options, audit: try audit())
    }

    func end() -> Bool {
        served?.end {}
        served = nil
        return true
    }
}
