/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens, reads and closes a file so many times a second: from one process, or from a process of its own each time.
 *
 *   opener RATE SECONDS one|distinct FILE
 *
 * Prints one line: opens, seconds, nanoseconds of open, read and close together at p50, p99 and the most, and failures. An open that
 * is late is made at once, so that the rate is that of the whole.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint32_t attempt(const char *path) {
    char bytes[4096];
    uint64_t start = now();
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, bytes, sizeof bytes) < 0 || close(file) < 0) return 0;
    uint64_t time = now() - start;
    return time > UINT32_MAX ? UINT32_MAX : (uint32_t)time;
}

static int compare(const void *left, const void *right) {
    uint32_t one = *(const uint32_t *)left, other = *(const uint32_t *)right;
    return (one > other) - (one < other);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: opener RATE SECONDS one|distinct FILE\n");
        return 64;
    }
    uint64_t rate = strtoull(argv[1], NULL, 10), count = rate * strtoull(argv[2], NULL, 10);
    int is_distinct = strcmp(argv[3], "distinct") == 0;
    /* Shared with the processes that are started. */
    uint32_t *times = mmap(NULL, count * sizeof *times, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rate == 0 || count == 0 || times == MAP_FAILED) {
        fprintf(stderr, "opener: error: %s\n", strerror(errno));
        return 1;
    }
    uint64_t start = now();
    for (uint64_t index = 0; index < count; index++) {
        uint64_t due = start + index * 1000000000 / rate;
        struct timespec time = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
        if (!is_distinct) {
            times[index] = attempt(argv[4]);
            continue;
        }
        pid_t child = fork();
        if (child == 0) {
            times[index] = attempt(argv[4]);
            _exit(0);
        }
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
    while (waitpid(-1, NULL, 0) > 0) continue;
    double seconds = (double)(now() - start) / 1e9;
    uint64_t failures = 0;
    for (uint64_t index = 0; index < count; index++) failures += times[index] == 0;
    qsort(times, count, sizeof *times, compare);
    printf("%llu %.3f %u %u %u %llu\n", (unsigned long long)count, seconds, times[count / 2], times[count * 99 / 100],
           times[count - 1], (unsigned long long)failures);
    return 0;
}
