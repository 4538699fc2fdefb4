/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that only tests need and that Swift's Glibc module leaves out or refuses. CredfsTestSupport is the only importer.
 */
#ifndef CREDFS_CTESTCALLS_SHIM_H
#define CREDFS_CTESTCALLS_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Declared only under _GNU_SOURCE. */
extern ssize_t vmsplice(int pipe, const struct iovec *pieces, size_t count, unsigned int flags);

/* Maps the pages of a shared mapping a second time; mremap(2) is variadic. */
static inline void *credfs_test_map_again(void *pages, size_t byte_count) {
    return (void *)syscall(SYS_mremap, pages, 0, byte_count, 1 /* MREMAP_MAYMOVE */, 0);
}

/* The resource of setrlimit(2) is an enum in GNU C, which Swift imports under another type. */
static inline int credfs_test_limit_locking(rlim_t value) {
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(RLIMIT_MEMLOCK, &limit);
}

static inline int credfs_test_limit_mappings(rlim_t value) {
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(RLIMIT_AS, &limit);
}

/* Declared only under _GNU_SOURCE. */
extern int pipe2(int ends[2], int flags);
extern int renameat2(int old_directory, const char *old_name, int new_directory, const char *new_name, unsigned flags);

static inline int credfs_test_exchange(const char *first, const char *second) {
    return renameat2(AT_FDCWD, first, AT_FDCWD, second, 2 /* RENAME_EXCHANGE */);
}

/* ioctl(2) is variadic. */
extern int ioctl(int descriptor, unsigned long request, ...);

static inline int credfs_test_unread_byte_count(int descriptor) {
    int count = -1;
    return ioctl(descriptor, 0x541b /* FIONREAD */, &count) == 0 ? count : -1;
}

/* Declared only under _XOPEN_SOURCE. */
extern int posix_openpt(int flags);
extern int grantpt(int controller);
extern int unlockpt(int controller);
extern char *ptsname(int controller);

/* fcntl(2) is variadic. */
static inline int credfs_test_set_nonblocking(int descriptor) {
    return fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

/* Replaces the environment block; the variable is not safe to touch from Swift. */
static inline void credfs_test_set_environment(char **block) {
    extern char **environ;
    environ = block;
}

/* fork(2) is unavailable in Swift. */
static inline pid_t credfs_test_fork(void) { return fork(); }

/* The child looks at the bytes and nothing else; returns its wait status, whose exit code
 * is 0 for zeros and 1 for anything else. */
static inline int credfs_test_forked_child_finds_bytes(const volatile unsigned char *bytes, size_t count) {
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        unsigned char found = 0;
        for (size_t index = 0; index < count; index++) found |= bytes[index];
        _exit(found == 0 ? 0 : 1);
    }
    int status = -1;
    while (waitpid(child, &status, 0) == -1 && errno == EINTR) {}
    return status;
}

#endif
