// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// The calls that `ProcessHardening` is made of.
package enum ProcessAttributes {
    /// Sets whether other processes of the same user may ptrace this one; wraps prctl(PR_SET_DUMPABLE).
    package static func setDumpable(_ dumpable: Bool) throws(Errno) {
        try checkErrno { credfs_prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0) }
    }

    /// Wraps prctl(PR_GET_DUMPABLE).
    package static func isDumpable() throws(Errno) -> Bool {
        try valueOrErrno { credfs_prctl(PR_GET_DUMPABLE, 0) } == 1
    }

    /// Sets soft and hard limit of the size of core files in bytes; wraps setrlimit(RLIMIT_CORE).
    package static func setCoreLimit(soft: UInt, hard: UInt) throws(Errno) {
        try checkErrno { credfs_setrlimit_core(soft, hard) }
    }

    /// The soft and hard limit of the size of core files in bytes.
    package static func coreLimit() throws(Errno) -> (soft: UInt, hard: UInt) {
        var soft: rlim_t = 0
        var hard: rlim_t = 0
        try checkErrno { unsafe credfs_getrlimit_core(&soft, &hard) }
        return (soft, hard)
    }

    /// Resets a signal to its default action; wraps rt_sigaction(2).
    package static func resetSignal(_ signal: Int32) throws(Errno) {
        try checkErrno { credfs_set_signal(signal, 0) }
    }

    /// Ignores a signal; wraps rt_sigaction(2).
    package static func ignoreSignal(_ signal: Int32) throws(Errno) {
        try checkErrno { credfs_set_signal(signal, 1) }
    }

    /// Disables the alternate signal stack of the calling thread; wraps sigaltstack(2).
    package static func disableAlternateSignalStack() throws(Errno) {
        var stack = unsafe stack_t()
        unsafe stack.ss_flags = Int32(SS_DISABLE)
        try checkErrno { unsafe sigaltstack(&stack, nil) }
    }

    /// Detects an ignored signal; wraps rt_sigaction(2).
    package static func isIgnored(_ signal: Int32) -> Bool { credfs_is_signal_ignored(signal) == 1 }

    /// Sets the name of the calling thread, which ps(1) shows for a process, of at most 15 bytes; wraps prctl(PR_SET_NAME).
    package static func setName(_ name: String) {
        // It fails for no text.
        unsafe name.withCString { _ = credfs_prctl(PR_SET_NAME, UInt(bitPattern: $0)) }
    }

    /// Makes this process the parent of its descendants whose own parent ends; wraps prctl(PR_SET_CHILD_SUBREAPER).
    package static func becomeSubreaper() throws(Errno) {
        try checkErrno { credfs_prctl(PR_SET_CHILD_SUBREAPER, 1) }
    }

    /// Asks for a signal when the thread that started this process ends, or for none with 0; wraps
    /// prctl(PR_SET_PDEATHSIG).
    package static func setParentDeathSignal(_ signal: Int32) throws(Errno) {
        try checkErrno { credfs_prctl(PR_SET_PDEATHSIG, UInt(signal)) }
    }

    /// Limit of locked memory in bytes (RLIMIT_MEMLOCK).
    package static func lockableByteCount() throws(Errno) -> Int {
        var soft: rlim_t = 0
        try checkErrno { unsafe credfs_getrlimit_memlock(&soft) }
        return Int(clamping: soft)
    }

    /// A capability, by its number (capabilities(7)).
    package enum Capability: UInt64, Sendable {
        case sysAdmin = 21
    }

    /// Detects a capability in the effective set of this process, in its user namespace; wraps capget(2).
    package static func hasCapability(_ capability: Capability) -> Bool {
        credfs_effective_capabilities() & (1 << capability.rawValue) != 0
    }

    /// Keeps every program that this process becomes from CAP_SYS_ADMIN; wraps prctl(PR_CAPBSET_DROP).
    package static func neverAdministrate() throws(Errno) {
        try checkErrno { credfs_prctl(PR_CAPBSET_DROP, 21) }
    }

    /// Becomes another user for good, with these groups and no others; only in a process with one thread.
    ///
    /// The capabilities of root go with it (capabilities(7)). Wraps setgroups(2), setresgid(2) and setresuid(2).
    ///
    /// - Throws: EPERM without CAP_SETUID and CAP_SETGID, EINVAL for a number that the user namespace does not have.
    package static func become(user: UInt32, group: UInt32, groups: [UInt32]) throws(Errno) {
        try checkErrno {
            unsafe groups.withUnsafeBufferPointer { unsafe credfs_set_groups($0.count, $0.baseAddress) }
        }
        try checkErrno { credfs_set_group(group) }
        try checkErrno { credfs_set_user(user) }
    }

    /// The effective group id.
    package static var effectiveGroup: UInt32 { getegid() }

    /// The effective user id.
    package static var effectiveUser: UInt32 { geteuid() }

    /// The id of this process.
    package static var processID: Int32 { getpid() }

    /// The id of the process that started this one.
    package static var parentProcessID: Int32 { getppid() }
}

extension ProcessAttributes {
    /// The program that a process runs, as the kernel names it (`PathText`); nil where it may not be asked.
    ///
    /// Wraps readlink(2).
    package static func executable(of process: Int32) -> String? {
        target(of: "/proc/\(process)/exe")
    }

    /// The id of this process in the pid namespace that /proc shows (proc(5)); nil where that does not have it.
    package static var processIDInProc: Int32? { target(of: "/proc/self").flatMap { Int32($0) } }

    private static func target(of link: String) -> String? {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe target.withUnsafeMutableBytes { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            return unsafe readlink(link, start.assumingMemoryBound(to: CChar.self), buffer.count)
        }
        return count > 0 ? PathText.text(of: target.span.extracting(0..<count)) : nil
    }
}
