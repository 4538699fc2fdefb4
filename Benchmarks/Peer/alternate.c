/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs programs in turn, A B C A B C and so on, and times each run from its start to its end.
 *
 *   alternate ROUNDS PROGRAM [ARGUMENT ...] [:: PROGRAM [ARGUMENT ...]] ...
 *
 * Prints one line per round: for each program the nanoseconds that passed, a slash, and the microseconds of processor time of
 * the program and its children. Every program must exit with 0. The first round is not printed: it fills caches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t microseconds(struct timeval time) { return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec; }

static uint64_t run(char **program, uint64_t *processor) {
    pid_t child;
    int status;
    struct rusage usage;
    uint64_t begin = now();
    int error = posix_spawnp(&child, program[0], NULL, NULL, program, environ);
    if (error) {
        fprintf(stderr, "alternate: error: cannot run %s: %s\n", program[0], strerror(error));
        exit(1);
    }
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR) exit(1);
    uint64_t end = now();
    if (status != 0) {
        fprintf(stderr, "alternate: error: %s ended with status %d\n", program[0], status);
        exit(1);
    }
    *processor = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    return end - begin;
}

int main(int count, char **arguments) {
    if (count < 3) {
        fputs("alternate: error: see the head of alternate.c\n", stderr);
        return 64;
    }
    long rounds = strtol(arguments[1], NULL, 10);
    char **programs[16];
    int program_count = 1;
    programs[0] = arguments + 2;
    for (int index = 2; index < count; index++) {
        if (strcmp(arguments[index], "::") != 0) continue;
        arguments[index] = NULL;
        if (program_count == 16 || index + 1 == count) return 64;
        programs[program_count++] = arguments + index + 1;
    }
    for (long round = 0; round <= rounds; round++) {
        for (int index = 0; index < program_count; index++) {
            uint64_t processor, time = run(programs[index], &processor);
            if (round == 0) continue;
            printf("%" PRIu64 "/%" PRIu64 "%c", time, processor, index + 1 == program_count ? '\n' : ' ');
        }
    }
    return 0;
}
