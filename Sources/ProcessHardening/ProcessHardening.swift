// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
package import SystemPackage

/// What a process that will hold secrets does to itself before it does anything else.
package enum ProcessHardening {
    /// The signals after which a crash handler could print memory.
    package static let crashSignals = [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV]

    /// Applies everything that holds for the whole life of a credfs process.
    ///
    /// The first call of `main`.
    ///
    /// - Throws: the error of the call that failed: such a process must not go on.
    package static func begin() throws(Errno) {
        try disarmCrashHandlers()
        try forbidInspection()
        try forbidCoreDumps()
        try occupyStandardDescriptors()
        // A closed pipe is an error of the write, reported like any other.
        try ProcessAttributes.ignoreSignal(SIGPIPE)
        // A parent that ignores it would leave no child to wait for.
        try ProcessAttributes.resetSignal(SIGCHLD)
    }

    /// Gives the crash signals their default action, whatever the language runtime or SWIFT_BACKTRACE installed: its
    /// handler prints registers and the memory they point to, and runs a program that a variable can name.
    package static func disarmCrashHandlers() throws(Errno) {
        for signal in crashSignals { try ProcessAttributes.resetSignal(signal) }
        try ProcessAttributes.disableAlternateSignalStack()
    }

    /// Keeps other processes of the same user from ptrace, `/proc/PID/mem` and `/proc/PID/environ`.
    package static func forbidInspection() throws(Errno) {
        try ProcessAttributes.setDumpable(false)
    }

    /// Limits core files to one byte: the only value that also stops a core_pattern that is a pipe (fs/coredump.c).
    package static func forbidCoreDumps() throws(Errno) {
        let current = try ProcessAttributes.coreLimit()
        // A hard limit of 0 cannot be raised to 1 and allows no core file either.
        guard current.hard >= 1 else { return }
        try ProcessAttributes.setCoreLimit(soft: 1, hard: 1)
    }

    /// Puts something under closed descriptors 0, 1 and 2, so that no key file is opened as standard output.
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
