/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads files as programs read secrets: open, read to the end and once more to see that it is the end, close. Every thread
 * does so again and again for a while; each cycle is timed.
 *
 *   reader THREADS MILLISECONDS BYTES FILE [FILE ...]
 *
 * Thread T reads FILE number T modulo their count. Prints one line: cycles, seconds, nanoseconds at p50, p99 and the most,
 * and the fewest and the most cycles of a thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct reader {
    pthread_t thread;
    const char *path;
    uint32_t *times;
    size_t count;
    size_t capacity;
};

static size_t byte_count;
static uint64_t duration;
static pthread_barrier_t start;

static void fail(const char *what, const char *path) {
    fprintf(stderr, "reader: error: cannot %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void read_file(const char *path, char *buffer) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) fail("open", path);
    size_t total = 0;
    for (;;) {
        ssize_t count = read(file, buffer, byte_count + 1);
        if (count < 0) fail("read", path);
        if (count == 0) break;
        total += (size_t)count;
    }
    if (total != byte_count) {
        errno = EIO;
        fail("find the right size of", path);
    }
    close(file);
}

static void note(struct reader *reader, uint64_t time) {
    if (reader->count == reader->capacity) {
        reader->capacity = reader->capacity ? reader->capacity * 2 : 4096;
        reader->times = realloc(reader->times, reader->capacity * sizeof *reader->times);
        if (!reader->times) fail("get memory for", reader->path);
    }
    reader->times[reader->count++] = time < UINT32_MAX ? (uint32_t)time : UINT32_MAX;
}

static void *work(void *argument) {
    struct reader *reader = argument;
    char *buffer = malloc(byte_count + 1);
    if (!buffer) fail("get memory for", reader->path);
    /* What the kernel asks once per name is not part of it. */
    read_file(reader->path, buffer);
    pthread_barrier_wait(&start);
    uint64_t begin = now(), last = begin;
    while (last - begin < duration) {
        read_file(reader->path, buffer);
        uint64_t time = now();
        note(reader, time - last);
        last = time;
    }
    free(buffer);
    return NULL;
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

int main(int count, char **arguments) {
    if (count < 5) {
        fputs("reader: error: see the head of reader.c\n", stderr);
        return 64;
    }
    size_t threads = strtoul(arguments[1], NULL, 10);
    duration = strtoull(arguments[2], NULL, 10) * 1000000;
    byte_count = strtoul(arguments[3], NULL, 10);
    struct reader *readers = calloc(threads, sizeof *readers);
    if (!threads || !readers || pthread_barrier_init(&start, NULL, (unsigned)threads + 1) != 0) return 1;
    for (size_t index = 0; index < threads; index++) {
        readers[index].path = arguments[4 + index % (size_t)(count - 4)];
        if (pthread_create(&readers[index].thread, NULL, work, &readers[index]) != 0) return 1;
    }
    pthread_barrier_wait(&start);
    uint64_t begin = now();
    size_t total = 0, fewest = SIZE_MAX, most = 0;
    for (size_t index = 0; index < threads; index++) {
        pthread_join(readers[index].thread, NULL);
        total += readers[index].count;
        if (readers[index].count < fewest) fewest = readers[index].count;
        if (readers[index].count > most) most = readers[index].count;
    }
    double seconds = (double)(now() - begin) / 1e9;
    uint32_t *times = malloc((total + 1) * sizeof *times);
    if (!times || !total) return 1;
    size_t used = 0;
    for (size_t index = 0; index < threads; index++) {
        memcpy(times + used, readers[index].times, readers[index].count * sizeof *times);
        used += readers[index].count;
    }
    qsort(times, total, sizeof *times, compare);
    printf("%zu %.6f %u %u %u %zu %zu\n", total, seconds, times[total / 2], times[total * 99 / 100], times[total - 1],
           fewest, most);
    return 0;
}
