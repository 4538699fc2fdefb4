/* SPDX-License-Identifier: Apache-2.0
 *
 * Any system call by its number, for the program that shows what a filter refuses. HardeningProbe is the only importer.
 */
#ifndef CREDFS_CPROBECALLS_SHIM_H
#define CREDFS_CPROBECALLS_SHIM_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* syscall(2) is variadic. Returns the error number, or 0; a process that came of it ends. */
static inline int credfs_probe_call(long number, const intptr_t *a) {
    errno = 0;
    pid_t before = getpid();
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    int error = errno;
    if (syscall(SYS_getpid) != before) syscall(SYS_exit_group, 0);
    return result == -1 ? error : 0;
}

#endif
