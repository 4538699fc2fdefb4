// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
package import SystemPackage

/// Hardening of a process that will hold secrets, before it does anything else.
package enum ProcessHardening {
    /// Signals after which a crash handler could print memory.
    package static let crashSignals = [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV]

    /// Signals that credfs changes, and the two of the C library, which posix_spawn(3) leaves ignored in every child.
    private static let changedSignals = crashSignals + [SIGPIPE, SIGXFSZ, SIGCHLD, 32, 33]

    /// Applies everything that holds for the whole life of a credfs process.
    ///
    /// The first call of `main`.
    ///
    /// - Parameter keepingHardCoreLimit: whether a job may be started that is to have its core files.
    /// - Returns: what was given up.
    /// - Throws: the error of the call that failed: such a process must not go on.
    @discardableResult
    package static func begin(keepingHardCoreLimit: Bool = false) throws(Errno) -> Inherited {
        let inherited = try changedByUs()
        try disarmCrashHandlers()
        try forbidInspection()
        try forbidCoreDumps(keepingHardLimit: keepingHardCoreLimit)
        try occupyStandardDescriptors()
        // A closed pipe is an error of the write, reported like any other.
        try ProcessAttributes.ignoreSignal(SIGPIPE)
        // So is a file that may not grow: a log that has reached the limit ends no job.
        try ProcessAttributes.ignoreSignal(SIGXFSZ)
        // A parent that ignores it would leave no child to wait for.
        try ProcessAttributes.resetSignal(SIGCHLD)
        return inherited
    }

    private static func changedByUs() throws(Errno) -> Inherited {
        let limit = try ProcessAttributes.coreLimit()
        return Inherited(
            ignoredSignals: changedSignals.filter { ProcessAttributes.isIgnored($0) },
            softCoreLimit: limit.soft,
            hardCoreLimit: limit.hard
        )
    }

    /// Restores what another process was started with, before this one becomes a program of the user.
    ///
    /// - Parameters:
    ///   - inherited: what the other was started with.
    ///   - allowsCore: whether core files are left alone; they are forbidden otherwise.
    /// - Throws: the error of the call that failed.
    package static func restore(_ inherited: Inherited, allowsCore: Bool) throws(Errno) {
        for signal in changedSignals {
            if inherited.ignoredSignals.contains(signal) {
                try ProcessAttributes.ignoreSignal(signal)
            } else {
                try ProcessAttributes.resetSignal(signal)
            }
        }
        if allowsCore {
            try ProcessAttributes.setCoreLimit(soft: inherited.softCoreLimit, hard: inherited.hardCoreLimit)
        } else {
            try forbidCoreDumps()
        }
    }

    /// Resets the crash signals, whatever the language runtime or SWIFT_BACKTRACE installed: its handler prints registers
    /// and the memory they point to, and runs a program that a variable can name.
    package static func disarmCrashHandlers() throws(Errno) {
        for signal in crashSignals { try ProcessAttributes.resetSignal(signal) }
        try ProcessAttributes.disableAlternateSignalStack()
    }

    /// Denies other processes of the same user ptrace, `/proc/PID/mem` and `/proc/PID/environ`.
    package static func forbidInspection() throws(Errno) {
        try ProcessAttributes.setDumpable(false)
    }

    /// Limits core files to one byte: the only value that also stops a core_pattern that is a pipe (fs/coredump.c).
    ///
    /// - Parameter keepingHardLimit: whether a child can still be given more.
    /// - Throws: the error of setrlimit(2).
    package static func forbidCoreDumps(keepingHardLimit: Bool = false) throws(Errno) {
        let current = try ProcessAttributes.coreLimit()
        // A hard limit of 0 cannot be raised to 1 and allows no core file either.
        guard current.hard >= 1 else { return }
        try ProcessAttributes.setCoreLimit(soft: 1, hard: keepingHardLimit ? current.hard : 1)
    }

    /// Occupies closed descriptors 0, 1 and 2, so that no key file is opened as standard output.
    ///
    /// What is put there refuses the use that the number stands for, so that a closed stream stays an error.
    package static func occupyStandardDescriptors() throws(Errno) {
        for number in Int32(0)...2 where fcntl(number, F_GETFD) == -1 {
            let file = try OwnedDescriptor.open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
            // open(2) gives the lowest free number, and those below are taken by now.
            precondition(file.number == number, "descriptors are opened lowest first")
            _ = file.release()
        }
    }
}
