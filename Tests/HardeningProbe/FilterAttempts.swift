// SPDX-License-Identifier: Apache-2.0

import CProbeCalls
import Glibc
import SystemCalls
import SystemPackage

/// What a process tries that serves secrets and has fallen into wrong hands.
///
/// None does harm where it is not refused.
struct FilterAttempts {
    typealias Attempt = (name: String, call: Int32, arguments: [Int])

    private let parent = Int(getppid())
    private let page = unsafe Int(bitPattern: aligned_alloc(4096, 1 << 16))
    private let datagrams = Int(socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0))
    private let streams = Int(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    private let local = Int(socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0))
    private let file: Int
    private let directory: Int
    private let here = -100
    /// PR_SET_DUMPABLE.
    private static let setDumpable = 4

    /// Opens what is there before the filter is.
    init(in directory: String) throws {
        // A signal that a process may queue for others has a negative code (siginfo_t).
        unsafe UnsafeMutableRawPointer(bitPattern: page)?.storeBytes(of: -1, toByteOffset: 8, as: Int32.self)
        self.directory = Int(try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY).release())
        file = Int(try OwnedDescriptor.open("\(directory)/file", O_RDWR | O_CREAT, mode: 0o600).release())
    }

    /// Makes a call.
    ///
    /// - Returns: its error number; 0 where it succeeded.
    static func call(_ number: Int32, _ arguments: [Int]) -> Int32 {
        let arguments = arguments + Array(repeating: 0, count: 6 - arguments.count)
        return unsafe arguments.withUnsafeBufferPointer { unsafe credfs_probe_call(Int(number), $0.baseAddress) }
    }

    private func text(_ text: String) -> Int { unsafe Int(bitPattern: strdup(text)) }

    /// An address of this machine that nobody listens on.
    private var address: Int {
        let copy = unsafe calloc(1, 16)
        // AF_INET, port 9, 127.0.0.1.
        unsafe copy?.storeBytes(of: UInt64(0x0100_007f_0900_0002), as: UInt64.self)
        return Int(bitPattern: copy)
    }

    /// A message with that address (struct msghdr).
    private var message: Int {
        let copy = unsafe calloc(1, 56)
        unsafe copy?.storeBytes(of: address, as: Int.self)
        unsafe copy?.storeBytes(of: 16, toByteOffset: 8, as: Int32.self)
        return Int(bitPattern: copy)
    }

    /// The attempts: a name, the call and its arguments.
    var all: [Attempt] { [programs, rights, network, mounts, others, memory, files].flatMap { $0 } }

    private var programs: [Attempt] {
        [
            ("execve", SYS_execve, [text("/nonexistent"), 0, 0]),
            ("execveat", SYS_execveat, [here, text("/nonexistent"), 0, 0, 0]),
            ("fork", SYS_clone, [Int(SIGCHLD)]),
            ("clone-vm-vfork", SYS_clone, [0x4000 | Int(SIGCHLD)]),
            ("clone-new-user", SYS_clone, [0x1000_0000 | 0x0002_0000 | Int(SIGCHLD)]),
            ("clone-thread-new-mounts", SYS_clone, [0x3d0f00 | 0x0002_0000]),
            ("memfd-create", SYS_memfd_create, [text("x"), 0]),
        ]
    }

    private var rights: [Attempt] {
        [
            ("dumpable", SYS_prctl, [Self.setDumpable, 1]),
            ("ptracer", SYS_prctl, [0x5961_6d61, -1]),
            ("keep-capabilities", SYS_prctl, [8, 1]),
            ("personality", SYS_personality, [0xffff_ffff]),
            ("setuid", SYS_setuid, [Int(getuid())]),
            ("setresuid", SYS_setresuid, [-1, -1, -1]),
            ("setgroups", SYS_setgroups, [0, 0]),
            ("capset", SYS_capset, [page, 0]),
            ("core-limit", SYS_prlimit64, [0, 4, page, 0]),
            ("limit-of-parent", SYS_prlimit64, [parent, 99, page, 0]),
            ("seccomp", SYS_seccomp, [0, 1, 0]),
            ("add-key", SYS_add_key, [text("user"), text("credfs-probe"), 0, 0, -1]),
            ("request-key", SYS_request_key, [text("user"), text("credfs-probe"), 0, 0]),
            ("keyctl", SYS_keyctl, [0, -1, 0]),
        ]
    }

    private var network: [Attempt] {
        [
            ("socket-inet", SYS_socket, [2, 1, 0]),
            ("socket-unix", SYS_socket, [1, 2, 0]),
            ("socket-netlink", SYS_socket, [16, 3, 0]),
            ("socketpair", SYS_socketpair, [1, 1, 0, page]),
            ("connect", SYS_connect, [streams, address, 16]),
            ("connect-unix", SYS_connect, [local, text("\u{1}\u{0}/run/nobody"), 14]),
            ("bind", SYS_bind, [datagrams, address, 1]),
            ("listen", SYS_listen, [-1, 1]),
            ("sendto-udp", SYS_sendto, [datagrams, page, 1, 0, address, 16]),
            ("sendto-fast-open", SYS_sendto, [streams, page, 1, 0x2000_0000, address, 16]),
            ("sendmsg-udp", SYS_sendmsg, [datagrams, message, 0]),
            ("sendmmsg", SYS_sendmmsg, [datagrams, message, 0, 0]),
            ("setsockopt", SYS_setsockopt, [datagrams, 1, 2, page, 4]),
        ]
    }

    private var mounts: [Attempt] {
        [
            ("unshare", SYS_unshare, [0]),
            ("setns", SYS_setns, [-1, 0]),
            ("mount", SYS_mount, [0, text("/nonexistent"), 0, 0, 0]),
            ("umount2", SYS_umount2, [text("/nonexistent"), 2]),
            ("fsopen", SYS_fsopen, [text("nonexistent"), 0]),
            ("fsmount", SYS_fsmount, [-1, 0, 0]),
            ("fspick", SYS_fspick, [here, text("/nonexistent"), 0]),
            ("open-tree", SYS_open_tree, [here, text("/nonexistent"), 0]),
            ("move-mount", SYS_move_mount, [-1, text("x"), -1, text("y"), 0]),
            ("mount-setattr", 442, [here, text("/nonexistent"), 0, page, 32]),
            ("pivot-root", SYS_pivot_root, [text("/nonexistent"), text("/nonexistent")]),
            ("chroot", SYS_chroot, [text("/nonexistent")]),
            ("swapon", SYS_swapon, [text("/nonexistent"), 0]),
            ("swapoff", SYS_swapoff, [text("/nonexistent")]),
        ]
    }

    private var others: [Attempt] {
        [
            ("ptrace", SYS_ptrace, [0x4206, 0x7fff_ffff, 0, 0]),
            ("process-vm-readv", SYS_process_vm_readv, [Int(getpid()), page, 0, page, 0, 0]),
            ("process-vm-writev", SYS_process_vm_writev, [Int(getpid()), page, 0, page, 0, 0]),
            ("process-madvise", 440, [-1, page, 1, 0, 0]),
            ("pidfd-getfd", SYS_pidfd_getfd, [-1, 0, 0]),
            ("pidfd-send-signal", SYS_pidfd_send_signal, [-1, 0, 0, 0]),
            ("kill-parent", SYS_kill, [parent, 0]),
            ("kill-everybody", SYS_kill, [-0x7fff_ffff, 0]),
            ("tgkill-parent", SYS_tgkill, [parent, parent, 0]),
            ("tkill-parent", SYS_tkill, [parent, 0]),
            ("queue-signal", SYS_rt_sigqueueinfo, [0x7fff_ffff, 0, page]),
            ("own-signals-of-file", SYS_fcntl, [local, 8, parent]),
            ("terminal-input", SYS_ioctl, [local, 0x5412, page]),
            ("fanotify", SYS_fanotify_init, [0x8000_0000, 0]),
            ("perf-event-open", SYS_perf_event_open, [page, 0, -1, -1, 0]),
            ("bpf", SYS_bpf, [-1, page, 1]),
            ("io-uring", SYS_io_uring_setup, [0, page]),
            ("kexec-load", SYS_kexec_load, [0, 1 << 20, 0, 0]),
            ("init-module", SYS_init_module, [page, 0, page]),
            ("delete-module", SYS_delete_module, [text("nonexistent"), 0]),
            ("reboot", SYS_reboot, [0, 0, 0, 0]),
            ("sethostname", SYS_sethostname, [page, 1 << 20]),
            ("priority-of-parent", SYS_setpriority, [99, parent, 0]),
        ]
    }

    private var memory: [Attempt] {
        [
            ("mmap-executable", SYS_mmap, [0, 4096, 5, 0x22, -1, 0]),
            ("mprotect-executable", SYS_mprotect, [page, 4096, 7]),
            ("pkey-mprotect", SYS_pkey_mprotect, [page, 4096, 5, -1]),
            ("remap-file-pages", SYS_remap_file_pages, [page, 4096, 0, 0, 0]),
            ("dump-memory", SYS_madvise, [page, 4096, 17]),
            ("inherit-memory", SYS_madvise, [page, 4096, 11]),
            ("shared-memory", SYS_shmget, [0, 0, 0]),
            ("userfaultfd", SYS_userfaultfd, [-1]),
            ("vmsplice", SYS_vmsplice, [file, page, 1, 0]),
        ]
    }

    private var files: [Attempt] {
        [
            ("device", SYS_mknodat, [directory, text("device"), 0o20600, 0x103]),
            ("pipe-file", SYS_mknodat, [directory, text("pipe"), 0o10600, 0]),
            ("symbolic-link", SYS_symlinkat, [text("x"), directory, text("link")]),
            ("hard-link", SYS_linkat, [directory, text("file"), directory, text("other"), 0]),
            ("set-user-id", SYS_fchmod, [file, 0o4700]),
            ("set-user-id-by-name", SYS_fchmodat, [directory, text("file"), 0o2700]),
            ("set-user-id-from-the-start", SYS_openat, [directory, text("other"), 0o101, 0o4700]),
            ("sticky-directory", SYS_mkdirat, [directory, text("sticky"), 0o1700]),
            ("file-handle", SYS_open_by_handle_at, [directory, page, 0]),
            ("attribute", SYS_fsetxattr, [file, text("user.x"), page, 1, 0]),
            ("times", SYS_utimensat, [file, 0, 0, 0]),
        ]
    }
}
