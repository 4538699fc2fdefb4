// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// A process that this one started and will wait for; wraps posix_spawn(3), since Swift has no fork.
package struct ChildProcess: ~Copyable {
    /// How a process ended.
    package enum Exit: Sendable, Equatable {
        case status(Int32)
        case signal(Int32)
    }

    /// The process id.
    package let id: Int32

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - arguments: its arguments, the name it goes by first.
    ///   - environment: its whole environment, as `NAME=value`.
    ///   - descriptors: pairs of a number in the child and a descriptor of ours; everything else is closed there.
    /// - Throws: the error of posix_spawn(3).
    package init(
        _ path: String,
        arguments: [String],
        environment: [String],
        descriptors: [(child: Int32, ours: Int32)]
    ) throws(Errno) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        // Ours are moved out of the way first, so that no target overwrites a source that is still needed.
        let top = descriptors.reduce(0) { max($0, $1.child, $1.ours) } + 1
        for (offset, pair) in descriptors.enumerated() {
            try Self.check(unsafe posix_spawn_file_actions_adddup2(&actions, pair.ours, top + Int32(offset)))
        }
        for (offset, pair) in descriptors.enumerated() {
            try Self.check(unsafe posix_spawn_file_actions_adddup2(&actions, top + Int32(offset), pair.child))
        }
        // Ours are close-on-exec; those that our caller opened for us are not.
        let firstClosed = descriptors.reduce(0) { max($0, $1.child + 1) }
        try Self.check(unsafe posix_spawn_file_actions_addclosefrom_np(&actions, firstClosed))
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // What we ignore would stay ignored across exec.
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))

        var id: pid_t = 0
        let result = unsafe Self.withCStrings(arguments) { arguments in
            unsafe Self.withCStrings(environment) { environment in
                unsafe posix_spawn(&id, path, &actions, &attributes, arguments, environment)
            }
        }
        try Self.check(result)
        self.id = id
    }

    /// These functions return what others leave in errno.
    private static func check(_ result: Int32) throws(Errno) {
        guard result == 0 else { throw Errno(rawValue: result) }
    }

    /// Waits for the end of the process.
    package func wait() throws(Errno) -> Exit {
        var status: Int32 = 0
        try checkErrno { unsafe waitpid(id, &status, 0) }
        let signal = status & 0x7f
        return signal == 0 ? .status(status >> 8 & 0xff) : .signal(signal)
    }

    private static func withCStrings<R>(
        _ texts: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> R
    ) -> R {
        let copies = unsafe texts.map { unsafe strdup($0) }
        defer { for index in unsafe copies.indices { unsafe free(copies[index]) } }
        return unsafe body(copies + [nil])
    }
}
