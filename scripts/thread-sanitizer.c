/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells ThreadSanitizer what it cannot see, for scripts/check-sanitizer to preload.
 *
 * A Mutex of the Swift library is seen where it is inlined; the slow paths of its lock and unlock are code of the library,
 * which is not instrumented. A handle that one worker gives to the kernel and another gets back from it is ordered by the
 * kernel: the open was answered before the first read was asked for.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314
#include <dlfcn.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdint.h>
#include <string.h>

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

typedef void SWIFT lock_slow(uint32_t state, SELF void *handle);
typedef void SWIFT unlock_slow(SELF void *handle);

void SWIFT tell_lock_slow(uint32_t state, SELF void *handle) __asm__(LOCK_SLOW);
void SWIFT tell_unlock_slow(SELF void *handle) __asm__(UNLOCK_SLOW);

void SWIFT tell_lock_slow(uint32_t state, SELF void *handle) {
    static lock_slow *next;
    if (!next) next = (lock_slow *)dlsym(RTLD_NEXT, LOCK_SLOW);
    next(state, handle);
    if (__tsan_acquire) __tsan_acquire(handle);
}

void SWIFT tell_unlock_slow(SELF void *handle) {
    static unlock_slow *next;
    if (!next) next = (unlock_slow *)dlsym(RTLD_NEXT, UNLOCK_SLOW);
    if (__tsan_release) __tsan_release(handle);
    next(handle);
}

static char handles[4096];

int fuse_reply_open(fuse_req_t request, const struct fuse_file_info *info) {
    static int (*next)(fuse_req_t, const struct fuse_file_info *);
    if (!next) next = (int (*)(fuse_req_t, const struct fuse_file_info *))dlsym(RTLD_NEXT, "fuse_reply_open");
    if (__tsan_release) __tsan_release(&handles[info->fh / 16 % sizeof handles]);
    return next(request, info);
}

void fuse_session_process_buf(struct fuse_session *session, const struct fuse_buf *buffer) {
    static void (*next)(struct fuse_session *, const struct fuse_buf *);
    if (!next) next = (void (*)(struct fuse_session *, const struct fuse_buf *))dlsym(RTLD_NEXT, "fuse_session_process_buf");
    /* The header has 40 bytes; reads and releases have the handle behind it (linux/fuse.h). */
    uint64_t handle = 0;
    if (buffer->size >= 48) memcpy(&handle, (const char *)buffer->mem + 40, sizeof handle);
    if (__tsan_acquire) __tsan_acquire(&handles[handle / 16 % sizeof handles]);
    next(session, buffer);
}
