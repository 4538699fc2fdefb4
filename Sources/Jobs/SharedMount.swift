// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemCalls
internal import SystemPackage

/// A mount that other processes can see.
package enum SharedMount {
    /// Mounts, by ourselves where that is allowed, else through fusermount3.
    ///
    /// - Parameters:
    ///   - path: an existing directory.
    ///   - options: what the kernel is told.
    /// - Returns: the device.
    /// - Throws: class `mount`.
    package static func mount(at path: String, _ options: FuseMount.Options) throws(MountError) -> OwnedDescriptor {
        guard ProcessAttributes.mayAdministrate() else { return try Fusermount.mount(at: path, options) }
        let device = try MountError.wrapping(.mount, "open /dev/fuse") { () throws(Errno) in try FuseMount.openDevice()
        }
        try MountError.wrapping(.mount, "mount at \(path)") { () throws(Errno) in
            try FuseMount.mount(device, at: path, options)
        }
        return device
    }

    /// Takes a mount of ours away at the end, by its keeper where it has one.
    static func end(_ path: String, _ keeper: Keeper.Handle?) {
        if let keeper {
            keeper.finish()
        } else if MountTable.has(path) {
            try? detach(path)
        }
    }

    /// Takes a mount away at once, whatever is open in it.
    ///
    /// - Throws: class `mount`.
    package static func detach(_ path: String) throws(MountError) {
        guard ProcessAttributes.mayAdministrate() else { return try Fusermount.detach(path) }
        try MountError.wrapping(.mount, "unmount \(path)") { () throws(Errno) in try FuseMount.detach(path) }
    }
}

/// The process that takes away a mount, which its server may not do any more (`ServingFilter`).
///
/// It holds no key. It waits for the end of a pipe, so that it does its work even where the server is killed.
package enum Keeper {
    /// The first argument that makes credfs this process.
    package static let mode = "keep-mount"

    private static let pipeNumber: Int32 = 3

    /// A started keeper.
    package final class Handle {
        private var pipe: OwnedDescriptor?
        private let process: ChildProcess

        fileprivate init(pipe: consuming OwnedDescriptor, process: consuming ChildProcess) {
            self.pipe = consume pipe
            self.process = process
        }

        /// The id of the process.
        package var id: Int32 { process.id }

        /// Has the mount taken away and waits for it.
        package func finish() {
            pipe = nil
            _ = try? process.wait()
        }
    }

    /// Starts a keeper for a mount.
    package static func start(for path: String) throws(MountError) -> Handle {
        try MountError.wrapping(.mount, "start the keeper of \(path)") { () throws(Errno) in
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            let pipe = try OwnedDescriptor.pipe()
            let process = try ChildProcess(
                "/proc/self/exe",
                arguments: ["credfs", mode, path],
                environment: [],
                descriptors: [
                    (0, nothing.number), (1, nothing.number), (2, nothing.number), (pipeNumber, pipe.read.number),
                ]
            )
            return Handle(pipe: pipe.ends { (_, write) in write }, process: process)
        }
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
        return (try? SharedMount.detach(arguments[2])) == nil ? 1 : 0
    }
}
