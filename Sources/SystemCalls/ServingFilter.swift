// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// The system calls of a process that serves secrets; everything else fails with EPERM.
///
/// It can start threads but no process, run no program, gain no rights, open no socket, mount, unmount or enter nothing,
/// look into nobody, signal the job alone, and make no memory executable. What it has to reach later is opened, bound or
/// connected before: a log's socket, that of the service manager, one that it accepts connections on. What has to be
/// done by other means is for a process without keys that is started before, such as the one that unmounts.
package enum ServingFilter {
    /// Binds this process and all its threads; it cannot be taken back.
    ///
    /// - Parameter job: the one other process that it may send signals to; nil for none.
    /// - Throws: the error of prctl(2) or seccomp(2).
    package static func install(signalling job: Int32? = nil) throws(Errno) {
        try filter(signalling: job, from: getpid()).install()
    }

    /// The filter of a process.
    ///
    /// - Parameters:
    ///   - job: the process that it may send signals to.
    ///   - process: itself.
    /// - Returns: the filter.
    package static func filter(signalling job: Int32?, from process: Int32) -> SystemCallFilter {
        let signals = [
            // raise(3), also of abort(3).
            rule(SYS_tgkill, .isOne(0, of: [UInt32(process)])),
            rule(SYS_kill, .isOne(0, of: job.map { [UInt32($0)] } ?? [UInt32(process)])),
        ]
        let always = memory + threads + time + descriptors + files + waiting + identity
        return SystemCallFilter(
            (always + architecture).map { rule($0) } + checked + signals,
            // The flags of clone(2) can be checked, those of clone3(2) are in memory.
            missing: [SYS_clone3]
        )
    }

    private static func rule(_ call: Int32, _ conditions: SystemCallFilter.Condition...) -> SystemCallFilter.Rule {
        SystemCallFilter.Rule(call: call, conditions: conditions)
    }

    private static let memory = [
        SYS_brk, SYS_munmap, SYS_mremap, SYS_mlock, SYS_mlock2, SYS_munlock, CREDFS_MEMFD_SECRET, SYS_getrandom,
    ]
    private static let threads = [
        SYS_futex, SYS_rseq, SYS_set_robust_list, SYS_gettid, SYS_exit, SYS_exit_group, SYS_rt_sigaction,
        SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall, SYS_sched_yield, SYS_sched_getaffinity, SYS_sysinfo,
    ]
    private static let time = [SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep]
    private static let descriptors = [
        SYS_read, SYS_readv, SYS_pread64, SYS_write, SYS_writev, SYS_lseek, SYS_close, SYS_close_range, SYS_dup,
        SYS_dup3, SYS_pipe2,
        // Of connections that were made for it: recvmsg(2) receives a descriptor at most.
        SYS_accept4, SYS_getsockopt, SYS_getpeername, SYS_recvfrom, SYS_recvmsg, SYS_shutdown,
    ]
    private static let files = [
        SYS_newfstatat, SYS_fstat, SYS_statx, SYS_fstatfs, SYS_faccessat, SYS_faccessat2, SYS_readlinkat,
        SYS_getdents64,
        SYS_getcwd, SYS_chdir, SYS_fgetxattr, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate,
        SYS_unlinkat, SYS_renameat, SYS_fchown,
    ]
    private static let waiting = [
        SYS_ppoll, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_signalfd4, SYS_timerfd_create,
        SYS_timerfd_settime, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_wait4, SYS_waitid,
    ]
    private static let identity = [
        SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_setsid,
    ]
    #if arch(x86_64)
        /// Older calls that the C library makes where there are such.
        private static let architecture = [
            SYS_poll, SYS_epoll_wait, SYS_readlink, SYS_unlink, SYS_rename, SYS_rmdir, SYS_access, SYS_dup2,
        ]
    #else
        private static let architecture: [Int32] = []
    #endif

    /// Set-user-ID, set-group-ID and the sticky bit: a file of ours gives nobody rights.
    private static let specialModes: UInt32 = 0o7000
    private static let executable = UInt32(PROT_EXEC)

    private static let checked = [
        rule(SYS_clone, .isOne(0, of: [CREDFS_THREAD_FLAGS])),
        rule(SYS_mmap, .lacks(2, bits: executable)),
        rule(SYS_mprotect, .lacks(2, bits: executable)),
        // MADV_DODUMP and MADV_DOFORK would take back what keeps secrets out of core files and children.
        rule(
            SYS_madvise,
            .isOne(
                2,
                of: [
                    UInt32(MADV_DONTNEED), UInt32(MADV_FREE), UInt32(MADV_DONTDUMP), UInt32(MADV_DONTFORK),
                    UInt32(MADV_WIPEONFORK),
                ]
            )
        ),
        // Limits can be read.
        rule(SYS_prlimit64, .isNull(2)),
        rule(
            SYS_fcntl,
            .isOne(
                1,
                of: [F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC].map { UInt32($0) }
            )
        ),
        // isatty(3).
        rule(SYS_ioctl, .isOne(1, of: [UInt32(TCGETS)])),
        // send(2): to where the socket is connected already.
        rule(SYS_sendto, .isNull(4)),
        rule(SYS_openat, .lacks(3, bits: specialModes)),
        rule(SYS_mkdirat, .lacks(2, bits: specialModes)),
        rule(SYS_fchmod, .lacks(1, bits: specialModes)),
        rule(SYS_fchmodat, .lacks(2, bits: specialModes)),
    ]
}
