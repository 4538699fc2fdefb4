// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls

/// Identity of a process: what the kernel vouches for, and apart from it what the process says of itself.
package struct ProcessIdentity: Sendable, Equatable {
    /// The file that a process runs.
    package struct Executable: Sendable, Equatable {
        /// Its path as the kernel has it: for people, since a mount can show any file at any path.
        package let path: String
        /// Its device number.
        package let device: UInt64
        /// Its inode number on that device.
        package let inode: UInt64

        package init(path: String, device: UInt64, inode: UInt64) {
            self.path = path
            self.device = device
            self.inode = inode
        }
    }

    /// Claims of a process, which it may set to anything.
    package struct Claims: Sendable, Equatable {
        /// The first argument (argv[0]).
        package var argument: String?
        /// The name (comm).
        package var name: String?
    }

    /// The longest chain of ancestors that is looked at.
    private static let maximumDepth = 16
    private static let maximumClaimByteCount = 256

    /// The process id (thread group id); 0 where the process is in a pid namespace that cannot be seen from here.
    package var process: Int32
    /// The start time in clock ticks since the system started (proc_pid_stat(5)).
    package var startTime: UInt64?
    /// The file it runs; nil where the kernel does not say (ptrace(2), access mode).
    package var executable: Executable?
    /// The programs of its ancestors, the parent first; nil where the kernel does not say.
    package var ancestors: [String?] = []
    /// Outermost ancestor below the first process, which has the same number for all of a tree; the process itself where it
    /// has none.
    package var tree: Int32
    /// Its unit and container.
    package var group = ControlGroup(membership: "")
    /// Claims of the process itself.
    package var claims = Claims()

    /// Reads what is known of a process now; to be sure of it, the process must not be able to end or exec meanwhile.
    package static func of(_ process: Int32) -> ProcessIdentity {
        var identity = ProcessIdentity(process: process)
        guard process > 0, let stat = ProcessStat.of(process) else { return identity }
        identity.startTime = stat.startTime
        identity.claims.name = stat.name
        identity.claims.argument = argument(of: process)
        identity.executable = executable(of: process)
        identity.group = ControlGroup.of(process)
        var ancestor = stat.parent
        while ancestor > 0, identity.ancestors.count < maximumDepth {
            if ancestor > 1 { identity.tree = ancestor }
            identity.ancestors.append(ProcessAttributes.executable(of: ancestor))
            guard let next = ProcessTree.parent(of: ancestor) else { break }
            ancestor = next
        }
        return identity
    }

    init(process: Int32) {
        self.process = process
        tree = process
    }

    static func executable(of process: Int32) -> Executable? {
        guard let path = ProcessAttributes.executable(of: process),
            let file = try? FileIdentity.ofPath("/proc/\(process)/exe")
        else { return nil }
        return Executable(path: path, device: file.device, inode: file.inode)
    }

    private static func argument(of process: Int32) -> String? {
        let file = try? OwnedDescriptor.open("/proc/\(process)/cmdline", O_RDONLY)
        guard let text = try? file?.readText(limit: maximumClaimByteCount),
            let argument = text.parts(at: "\0", maxSplits: 1, omittingEmptySubsequences: false).first, !argument.isEmpty
        else { return nil }
        return String(argument)
    }
}
