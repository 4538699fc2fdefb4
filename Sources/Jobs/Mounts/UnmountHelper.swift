// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// The process that takes away a mount, which its server may not do any more (`ServingFilter`).
///
/// It holds no key. It waits for the end of a pipe, so that it does its work even where the server is killed.
package final class UnmountHelper {
    /// The first argument that makes credfs this process.
    package static let mode = "keep-mount"

    private static let pipeNumber: Int32 = 3

    private var pipe: OwnedDescriptor?
    private let process: ChildProcess

    /// Starts a helper for a mount.
    ///
    /// - Throws: class `mount`.
    init(for path: String) throws(MountError) {
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            let pipe = try OwnedDescriptor.pipe()
            process = try ChildProcess(
                OwnProgram.path,
                arguments: OwnProgram.arguments(Self.mode, [path]),
                environment: [],
                descriptors: [
                    (0, nothing.number), (1, nothing.number), (2, nothing.number),
                    (Self.pipeNumber, pipe.read.number),
                ]
            )
            self.pipe = pipe.ends { (_, write) in write }
        } catch { throw MountError.system(.mount, "start the keeper of \(path)", error) }
    }

    /// The id of the process.
    var id: Int32 { process.id }

    /// Unmounts, and waits for it.
    func finish() {
        pipe = nil
        _ = try? process.wait()
    }

    /// The whole life of the process.
    ///
    /// - Returns: the exit status.
    package static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 3 else { return 1 }
        // Out of reach of the keys of the terminal, and of who ends a whole service: it must outlive what it waits for.
        // And in nobody's way.
        setsid()
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] { try? ProcessAttributes.ignoreSignal(signal) }
        try? OwnedDescriptor.changeWorkingDirectory(to: "/")
        let pipe = OwnedDescriptor(owning: pipeNumber)
        _ = try? pipe.readText(limit: 1)
        return (try? Mounter.detach(arguments[2])) == nil ? 1 : 0
    }
}
