// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// A way to show secrets to a job; it begins and ends itself.
protocol Exposure: AnyObject {
    /// The isolation of the job.
    var isolation: Isolation { get }
    /// The kind of file system.
    var backend: Backend { get }
    /// The directory of the secrets.
    var path: String { get }
    /// A descriptor that can be read once nobody serves any more; -1 where nothing is served.
    var endNotice: Int32 { get }
    /// The process of the unmount helper, or -1.
    var helper: Int32 { get }
    /// The mount while it is served; nil where nothing is, or plain files are shown.
    var served: ServedMount? { get }

    /// Status of the mount, for the thread of its control socket.
    var status: @Sendable () -> ControlAnswer { get }

    /// Makes what has to be there before the process of the job is started.
    func prepare() throws(MountError)

    /// Makes the secrets readable, after it has bound this process by `ServingFilter`.
    ///
    /// - Throws: `MountError` or `StoreError`.
    func begin(for job: Job) throws

    /// Refuses, forgets, unmounts and removes, whatever of it has begun.
    ///
    /// - Returns: whether everything is gone; the next command takes away what is not.
    func end() -> Bool
}

extension Exposure {
    var endNotice: Int32 { -1 }
    var helper: Int32 { -1 }
    var served: ServedMount? { nil }
    var status: @Sendable () -> ControlAnswer { { ControlAnswer() } }
    func prepare() throws(MountError) {}
}

/// A directory below the runtime directory that lasts as long as an exposure.
struct OwnDirectory {
    let runtime: RuntimeDirectory
    let name: String
    let mode: UInt16

    func make() throws(MountError) { try runtime.makeDirectory(name, mode: mode) }

    func remove() { runtime.removeDirectory(name) }
}

/// No secrets: an empty directory.
final class EmptyDirectory: Exposure {
    let isolation: Isolation
    let backend = Backend.none
    let path: String
    private let directory: OwnDirectory?

    /// Makes an exposure; the directory is nil where the job makes it in its own namespace.
    init(_ isolation: Isolation, path: String, making directory: OwnDirectory?) {
        self.isolation = isolation
        self.path = path
        self.directory = directory
    }

    func prepare() throws(MountError) { try directory?.make() }

    func begin(for job: Job) throws { try ServingFilter.install(for: job) }

    func end() -> Bool {
        directory?.remove()
        return true
    }
}

extension ServingFilter {
    /// Binds this process before a value can be read.
    ///
    /// - Parameter job: the one process that it may send signals to.
    /// - Throws: class `failed`.
    static func install(for job: Job?) throws(MountError) {
        try MountError.wrapping(.failed, "give up rights") { () throws(Errno) in
            try install(signalling: job?.process)
            // It starts nothing any more, and whatever asks servers or is the job has its own.
            EnvironmentVariables.overwriteCredentials()
        }
    }
}
