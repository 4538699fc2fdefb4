/* SPDX-License-Identifier: Apache-2.0
 *
 * Linux calls that Swift's Glibc module cannot express: variadic functions, and functions or constants that it
 * leaves out. Only thin wrappers; SystemCalls is the only importer.
 */
#ifndef CREDFS_CLINUX_SHIM_H
#define CREDFS_CLINUX_SHIM_H

#include <errno.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* the same number on every architecture since Linux 5.14 */
#endif

/* A global variable that others may change: Swift takes it for unsafe to read at any time. */
static inline char **credfs_environment(void) {
    extern char **environ;
    return environ;
}

/* syscall(2) is variadic. */
static inline int credfs_memfd_secret(unsigned int flags) {
    return (int)syscall(SYS_memfd_secret, flags);
}

/* Declared only under _GNU_SOURCE, which the Glibc module is not built with. */
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

#endif
