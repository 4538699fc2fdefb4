/* SPDX-License-Identifier: Apache-2.0
 *
 * Linux calls that Swift's Glibc module cannot express: variadic functions, and functions or constants that it
 * leaves out. Only thin wrappers; SystemCalls is the only importer.
 */
#ifndef CREDFS_CLINUX_SHIM_H
#define CREDFS_CLINUX_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CREDFS_MEMFD_SECRET 447 /* SYS_memfd_secret: the same number on every architecture since Linux 5.14 */

/* A global variable that others may change: Swift takes it for unsafe to read at any time. */
static inline char **credfs_environment(void) {
    extern char **environ;
    return environ;
}

/* syscall(2) is variadic. */
static inline int credfs_memfd_secret(unsigned int flags) {
    return (int)syscall(CREDFS_MEMFD_SECRET, flags);
}

/* Declared only under _GNU_SOURCE, which the Glibc module is not built with. */
extern int memfd_create(const char *name, unsigned int flags);
extern int pipe2(int ends[2], int flags);

static inline int credfs_pipe(int *read_end, int *write_end, int flags) {
    int ends[2];
    int result = pipe2(ends, flags);
    if (result == 0) {
        *read_end = ends[0];
        *write_end = ends[1];
    }
    return result;
}

/* Declared only under _GNU_SOURCE, too. */
extern char *secure_getenv(const char *name);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);

/* capget(2) has no wrapper; 0 where it fails. */
static inline uint64_t credfs_effective_capabilities(void) {
    struct {
        uint32_t version;
        int process;
    } header = {.version = 0x20080522 /* _LINUX_CAPABILITY_VERSION_3 */};
    struct {
        uint32_t effective, permitted, inheritable;
    } sets[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capget, &header, sets) != 0) return 0;
    return (uint64_t)sets[1].effective << 32 | sets[0].effective;
}

/* prctl(2) is variadic. */
static inline int credfs_prctl(int option, unsigned long argument) {
    return prctl(option, argument, 0UL, 0UL, 0UL);
}

/* The resource argument is an enum in C++ and GNU C, which Swift imports under another type. */
static inline int credfs_setrlimit_core(rlim_t soft, rlim_t hard) {
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    return setrlimit(RLIMIT_CORE, &limit);
}

static inline int credfs_getrlimit_core(rlim_t *soft, rlim_t *hard) {
    struct rlimit limit;
    int result = getrlimit(RLIMIT_CORE, &limit);
    if (result == 0) {
        *soft = limit.rlim_cur;
        *hard = limit.rlim_max;
    }
    return result;
}

/* The action of a signal as the kernel has it. The C library keeps two signals for itself, which every child that
 * posix_spawn(3) starts ignores, and has sigaction(2) refuse them. */
struct credfs_signal_action {
    uintptr_t handler; /* 0 is SIG_DFL, 1 is SIG_IGN */
    unsigned long flags;
    uintptr_t restorer;
    uint64_t mask;
};

static inline int credfs_set_signal(int signal, int ignored) {
    struct credfs_signal_action action = {.handler = ignored ? 1 : 0};
    return (int)syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof action.mask);
}

/* 1 or 0; -1 with errno. */
static inline int credfs_is_signal_ignored(int signal) {
    struct credfs_signal_action action;
    if (syscall(SYS_rt_sigaction, signal, NULL, &action, sizeof action.mask) != 0) return -1;
    return action.handler == 1;
}

/* The mappings of programs and libraries that are not written to, relocated or not (dl_iterate_phdr(3)): their pages come
 * from the file again. What the loader relocates lies in segments that are writable before it protects them. */
#include <elf.h>
struct dl_phdr_info_head {
    uintptr_t address;
    const char *name;
    const Elf64_Phdr *headers;
    uint16_t count;
};
extern int dl_iterate_phdr(int (*body)(void *, size_t, void *), void *data);

static inline int credfs_drop_segments(void *raw, size_t size, void *data) {
    const struct dl_phdr_info_head *object = (const struct dl_phdr_info_head *)raw;
    const uintptr_t page = 4095;
    (void)size;
    for (int index = 0; index < object->count; index++) {
        const Elf64_Phdr *header = &object->headers[index];
        if (header->p_type != PT_LOAD || header->p_flags & PF_W) continue;
        uintptr_t start = (object->address + header->p_vaddr) & ~page;
        uintptr_t end = (object->address + header->p_vaddr + header->p_memsz + page) & ~page;
        if (madvise((void *)start, end - start, MADV_DONTNEED) != 0) *(int *)data = -1;
    }
    return 0;
}

static inline int credfs_drop_program_pages(void) {
    int result = 0;
    dl_iterate_phdr(credfs_drop_segments, &result);
    return result;
}

extern int mlock2(const void *address, size_t count, unsigned int flags); /* with _GNU_SOURCE only */
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/* Namespaces: declared only under _GNU_SOURCE, like their flags (linux/sched.h). */
extern int unshare(int flags);
extern int setns(int descriptor, int kind); /* with _GNU_SOURCE only */
#define CREDFS_NEW_MOUNTS 0x00020000 /* CLONE_NEWNS */
#define CREDFS_NEW_USERS 0x10000000  /* CLONE_NEWUSER */

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442 /* the same number on every architecture since Linux 5.12 */
#endif

/* The C library has mount_setattr(2) since 2.36 only. */
static inline int credfs_make_every_mount_read_only(void) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } change = {.set = 1 /* MOUNT_ATTR_RDONLY */};
    return (int)syscall(SYS_mount_setattr, AT_FDCWD, "/", 0x8000 /* AT_RECURSIVE */, &change, sizeof change);
}

/* Swift's Glibc module declares it unavailable, since most of a program with threads is not in the child. */
extern pid_t credfs_fork(void) __asm__("fork");

extern int dup3(int old, int other, int flags);
extern int execvpe(const char *file, char *const argv[], char *const envp[]);

/* A pair of sockets that keeps messages apart. */
static inline int credfs_message_sockets(int *one, int *other) {
    int ends[2];
    int result = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    if (result == 0) {
        *one = ends[0];
        *other = ends[1];
    }
    return result;
}

/* The stream socket that fusermount3 answers on. */
static inline int credfs_stream_sockets(int *one, int *other) {
    int ends[2];
    int result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    if (result == 0) {
        *one = ends[0];
        *other = ends[1];
    }
    return result;
}

/* Sends one message, with a descriptor unless that is -1 (cmsg(3) is made of macros). */
static inline ssize_t credfs_send_message(int socket, const void *bytes, size_t count, int descriptor) {
    if (descriptor < 0) return send(socket, bytes, count, MSG_NOSIGNAL); /* without an address: a server may do that */
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

/* Receives one message and at most one descriptor, close-on-exec; -1 where there is none. */
static inline ssize_t credfs_receive_message(int socket, void *bytes, size_t count, int *descriptor) {
    struct iovec part = {.iov_base = bytes, .iov_len = count};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    /* Without the padding, in which the kernel would put a second descriptor that nobody closes. */
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t result = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    *descriptor = -1;
    if (result >= 0) {
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof(int))) {
            memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
        }
    }
    return result;
}

/* A datagram socket whose other end is a path or, with '@' for the leading zero, an abstract name (sd_notify(3)). */
static inline int credfs_connected_datagram_socket(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof address.sun_path) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') address.sun_path[0] = 0;
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sender < 0) return -1;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '@' ? 0 : 1));
    if (connect(sender, (struct sockaddr *)&address, size) == 0) return sender;
    int error = errno;
    close(sender);
    errno = error;
    return -1;
}

/* send(2) to where a socket is connected, which never waits; without an address: a server may do that. */
static inline ssize_t credfs_send_now(int socket, const void *bytes, size_t count) {
    return send(socket, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Now in the zone of this machine, without the pointers of struct tm. */
struct credfs_local_time {
    int month, day, hour, minute, second;
};
static inline struct credfs_local_time credfs_local_time_now(void) {
    time_t now = time(NULL);
    struct tm parts = {.tm_mday = 1};
    localtime_r(&now, &parts);
    return (struct credfs_local_time){parts.tm_mon, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec};
}

/* The address of a name in an open directory, which has no length that matters (unix(7) has room for 107 bytes). */
static inline int credfs_local_address(struct sockaddr_un *address, int directory, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", directory, name);
    if (length > 0 && (size_t)length < sizeof address->sun_path) return 0;
    errno = ENAMETOOLONG;
    return -1;
}

/* A socket that keeps messages apart and listens under a new name in a directory: 0600 from its first moment. */
static inline int credfs_listening_socket(int directory, const char *name) {
    struct sockaddr_un address;
    if (credfs_local_address(&address, directory, name) != 0) return -1;
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return -1;
    if (fchmod(listener, 0600) == 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
        listen(listener, 8) == 0)
        return listener;
    int error = errno;
    close(listener);
    errno = error;
    return -1;
}

/* A connection to such a socket; EAGAIN where too many wait for it already. */
static inline int credfs_connected_socket(int directory, const char *name) {
    struct sockaddr_un address;
    if (credfs_local_address(&address, directory, name) != 0) return -1;
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client < 0) return -1;
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0) return client;
    int error = errno;
    close(client);
    errno = error;
    return -1;
}

/* Device and inode of what a name leads to, as the kernel has them in memory: whoever serves the file system is not asked, and
   so cannot keep the caller waiting (statx(2), whose structure the headers hide). */
static inline int credfs_file_identity(int directory, const char *name, uint64_t *device, uint64_t *inode) {
    union {
        uint32_t words[64];
        uint64_t longs[32];
    } status = {{0}};
    enum { dont_sync = 0x4000, number = 0x100, inode_index = 4, major_index = 34, minor_index = 35 };
    if (syscall(SYS_statx, directory, name, dont_sync, number, &status) != 0) return -1;
    *device = makedev(status.words[major_index], status.words[minor_index]);
    *inode = status.longs[inode_index];
    return 0;
}

/* Tells a pipe from all else, without asking whoever serves its file system (statx(2), whose structure the headers hide). */
static inline int credfs_is_pipe(int descriptor) {
    uint16_t status[128] = {0};
    enum { empty_path = 0x1000, dont_sync = 0x4000, type = 1, mode_index = 14, type_bits = 0170000, pipe_type = 0010000 };
    if (syscall(SYS_statx, descriptor, "", empty_path | dont_sync, type, status) != 0) return 0;
    return (status[mode_index] & type_bits) == pipe_type;
}

/* Accepts a connection, non-blocking. */
struct sockaddr;
extern int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags); /* with _GNU_SOURCE only */
static inline int credfs_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

/* The process and the user at the other end, when it connected or listened (SO_PEERCRED). */
static inline int credfs_socket_peer(int socket, pid_t *process, uid_t *user) {
    struct {
        pid_t pid;
        uid_t uid;
        gid_t gid;
    } peer; /* struct ucred, which the headers show with _GNU_SOURCE only */
    socklen_t size = sizeof peer;
    int result = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    if (result == 0) {
        *process = peer.pid;
        *user = peer.uid;
    }
    return result;
}

/* The name that the other end is bound to, as many bytes as it has: an abstract one begins with a zero byte (unix(7)). */
static inline ssize_t credfs_socket_peer_name(int socket, void *bytes, size_t capacity) {
    struct sockaddr_un address;
    socklen_t size = sizeof address;
    if (getpeername(socket, (struct sockaddr *)&address, &size) != 0) return -1;
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t count = size > start ? size - start : 0;
    if (count > sizeof address.sun_path) count = sizeof address.sun_path;
    if (count > capacity) count = capacity;
    memcpy(bytes, address.sun_path, count);
    return (ssize_t)count;
}

/* 1 for a local stream socket that listens, 0 for whatever else. */
static inline int credfs_is_listening_stream(int descriptor) {
    int domain = 0, type = 0, listens = 0;
    socklen_t size = sizeof domain;
    return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
           getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

/* Users and groups of this process as the kernel has them; only with one thread, since the C library changes all of them. */
static inline int credfs_set_groups(size_t count, const gid_t *groups) { return (int)syscall(SYS_setgroups, count, groups); }
static inline int credfs_set_group(gid_t group) { return (int)syscall(SYS_setresgid, group, group, group); }
static inline int credfs_set_user(uid_t user) { return (int)syscall(SYS_setresuid, user, user, user); }

/* The kind of file system (linux/magic.h); -1 with errno. */
static inline long credfs_file_system_kind(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 ? (long)status.f_type : -1;
}

static inline int credfs_getrlimit_memlock(rlim_t *soft) {
    struct rlimit limit;
    int result = getrlimit(RLIMIT_MEMLOCK, &limit);
    if (result == 0) *soft = limit.rlim_cur;
    return result;
}

/* The architecture that system call numbers are of (seccomp(2)); linux/audit.h has it in a form that Swift cannot read. */
#if defined(__x86_64__)
#define CREDFS_AUDIT_ARCHITECTURE 0xc000003eU /* AUDIT_ARCH_X86_64 */
#elif defined(__aarch64__)
#define CREDFS_AUDIT_ARCHITECTURE 0xc00000b7U /* AUDIT_ARCH_AARCH64 */
#else
#error "the system call filter does not know this architecture"
#endif

/* The flags by which the C library starts a thread (linux/sched.h): CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND,
 * CLONE_THREAD, CLONE_SYSVSEM, CLONE_SETTLS, CLONE_PARENT_SETTID and CLONE_CHILD_CLEARTID. */
#define CREDFS_THREAD_FLAGS 0x3d0f00U

/* Binds all threads or, with ESRCH, none. */
static inline int credfs_install_filter(const struct sock_filter *instructions, unsigned short count) {
    struct sock_fprog program = {.len = count, .filter = (struct sock_filter *)instructions};
    unsigned int flags = SECCOMP_FILTER_FLAG_TSYNC;
    int result = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (result > 0) { /* the id of a thread that cannot be bound */
        errno = ESRCH;
        return -1;
    }
    return result;
}

#endif
