// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// A process that this one started and will wait for; wraps posix_spawn(3) and, for a process with one thread, fork(2).
package struct ChildProcess: ~Copyable {
    /// Exit of a process: its status or the signal that ended it.
    package enum Exit: Sendable, Equatable {
        case status(Int32)
        case signal(Int32)

        /// Takes apart what waitpid(2) gives for a process that ended.
        init(waitStatus: Int32) {
            let signal = waitStatus & 0x7f
            self = signal == 0 ? .status(waitStatus >> 8 & 0xff) : .signal(signal)
        }
    }

    /// The process id.
    package let id: Int32

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - arguments: its arguments, the name it goes by first.
    ///   - environment: its whole environment, as `NAME=value`; of a credential the name, whose value is ours.
    ///   - descriptors: pairs of a number in the child and a descriptor of ours; everything else is closed there.
    ///   - inOwnGroup: a process group of its own, to be ended as a whole.
    /// - Throws: the error of posix_spawn(3).
    package init(
        _ path: String,
        arguments: [String],
        environment: [String],
        descriptors: [(child: Int32, ours: Int32)],
        inOwnGroup: Bool = false
    ) throws(Errno) {
        let nothing: [UInt8] = []
        id = try Self.spawn(path, arguments, environment, nothing.span, descriptors, inOwnGroup)
    }

    /// Starts a program with secret variables.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - arguments: its arguments, the name it goes by first.
    ///   - environment: its environment, as `NAME=value`; of a credential the name, whose value is ours.
    ///   - secrets: more of it, each entry ended by a zero byte, which is not copied.
    ///   - descriptors: pairs of a number in the child and a descriptor of ours; everything else is closed there.
    ///   - inOwnGroup: a process group of its own, to be ended as a whole.
    /// - Throws: the error of posix_spawn(3).
    package init(
        _ path: String,
        arguments: [String],
        environment: [String],
        secrets: Span<UInt8>,
        descriptors: [(child: Int32, ours: Int32)],
        inOwnGroup: Bool = false
    ) throws(Errno) {
        id = try Self.spawn(path, arguments, environment, secrets, descriptors, inOwnGroup)
    }

    private static func spawn(
        _ path: String,
        _ arguments: [String],
        _ environment: [String],
        _ secrets: Span<UInt8>,
        _ descriptors: [(child: Int32, ours: Int32)],
        _ inOwnGroup: Bool
    ) throws(Errno) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        // Ours are moved out of the way first, so that no target overwrites a source that is still needed.
        let top = descriptors.reduce(0) { max($0, $1.child, $1.ours) } + 1
        for (offset, pair) in descriptors.enumerated() {
            let result = unsafe posix_spawn_file_actions_adddup2(&actions, pair.ours, top + Int32(offset))
            // A number beyond the limit: what it copies is open.
            guard result != EBADF else { throw .tooManyOpenFiles }
            try Self.check(result)
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
        unsafe sigaddset(&defaults, SIGXFSZ)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        let group = inOwnGroup ? Int16(POSIX_SPAWN_SETPGROUP) : 0
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF) | group)

        var id: pid_t = 0
        let result = unsafe CStrings.lend(arguments.map { Array($0.utf8) }) { arguments in
            unsafe CStrings.lendEnvironment(environment.map { Array($0.utf8) }, followedBy: secrets) { environment in
                unsafe posix_spawn(&id, path, &actions, &attributes, arguments, environment)
            }
        }
        try Self.check(result)
        return id
    }

    /// Starts a program that inherits what this process was started with: its descriptors and its signal mask.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - arguments: its arguments, the name it goes by first.
    ///   - environment: its environment, as `NAME=value`, of a credential the name; nil hands on our own without a copy of it.
    ///   - secrets: more of it, each entry ended by a zero byte.
    ///   - descriptors: descriptors of ours that it gets under the same numbers.
    ///   - mask: the signals that it does not receive.
    /// - Throws: the error of posix_spawn(3).
    package init(
        _ path: String,
        arguments: [[UInt8]],
        environment: [[UInt8]]?,
        secrets: Span<UInt8>,
        handing descriptors: [Int32],
        mask: SignalMask
    ) throws(Errno) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for number in descriptors {
            // Onto itself: the child's copy is not close-on-exec.
            try Self.check(unsafe posix_spawn_file_actions_adddup2(&actions, number, number))
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var mask = mask.set
        unsafe posix_spawnattr_setsigmask(&attributes, &mask)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var id: pid_t = 0
        let result = unsafe CStrings.lend(arguments) { arguments in
            guard let environment else {
                return unsafe posix_spawn(&id, path, &actions, &attributes, arguments, credfs_environment())
            }
            return unsafe CStrings.lendEnvironment(environment, followedBy: secrets) { environment in
                unsafe posix_spawn(&id, path, &actions, &attributes, arguments, environment)
            }
        }
        try Self.check(result)
        self.id = id
    }

    /// Forks this process, which must have one thread; wraps fork(2).
    ///
    /// Memory for secrets is zero in the child or absent from it.
    ///
    /// - Parameters:
    ///   - mask: the signals that the child does not receive.
    ///   - work: all that the child does; it ends with the status that this returns, and runs nothing else.
    /// - Throws: the error of fork(2).
    package init(forking mask: SignalMask, _ work: () -> Int32) throws(Errno) {
        var mask = mask.set
        let id = try valueOrErrno { credfs_fork() }
        if id == 0 {
            unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
            _exit(work())
        }
        self.id = id
    }

    /// These functions return what others leave in errno.
    private static func check(_ result: Int32) throws(Errno) {
        guard result == 0 else { throw Errno(rawValue: result) }
    }

    /// Waits for the end of the process.
    package func wait() throws(Errno) -> Exit {
        try Children.exit(of: id)
    }

    /// Asks whether the process has ended, without waiting.
    ///
    /// - Returns: how, or nil while it runs.
    package func exitIfEnded() throws(Errno) -> Exit? {
        var status: Int32 = 0
        guard try valueOrErrno({ unsafe waitpid(id, &status, WNOHANG) }) == id else { return nil }
        return Exit(waitStatus: status)
    }

    /// Ends the process, which may stay for as long as the kernel waits for somebody on its behalf.
    package func kill() {
        try? Children.send(SIGKILL, to: id)
    }
}
