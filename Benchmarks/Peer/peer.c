/* SPDX-License-Identifier: Apache-2.0
 *
 * What credfs is measured against: a minimal file system on libfuse's low-level interface and libfuse's own loop. It shows
 * COUNT files of BYTES bytes, S0, S1 and so on, which lie in plain memory: no keys, no checks, no rules. Like credfs it opens
 * files with direct I/O, since cached pages would outlive the server, and does without FLUSH.
 *
 *   peer run DIR COUNT BYTES PROGRAM [ARGUMENT ...]   in a private mount namespace: mount, run, unmount
 *   peer serve DIR COUNT BYTES single|multi           mount where everybody sees it, serve until SIGTERM
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const double cache_seconds = 3600;
static const size_t largest_file = 16 << 20;
static size_t file_count;
static size_t byte_count;
static char *content;

static void fail(const char *what) {
    fprintf(stderr, "peer: error: cannot %s: %s\n", what, strerror(errno));
    exit(125);
}

static void describe(fuse_ino_t inode, struct stat *status) {
    memset(status, 0, sizeof *status);
    status->st_ino = inode;
    status->st_uid = geteuid();
    status->st_gid = getegid();
    if (inode == FUSE_ROOT_ID) {
        status->st_mode = S_IFDIR | 0500;
        status->st_nlink = 2;
    } else {
        status->st_mode = S_IFREG | 0400;
        status->st_nlink = 1;
        status->st_size = (off_t)byte_count;
    }
}

static int is_file(fuse_ino_t inode) { return inode > FUSE_ROOT_ID && inode - FUSE_ROOT_ID <= file_count; }

static void peer_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    char *end;
    unsigned long number = strtoul(name + 1, &end, 10);
    if (parent != FUSE_ROOT_ID || name[0] != 'S' || name[1] == '\0' || *end != '\0' || number >= file_count) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    struct fuse_entry_param entry = {.ino = FUSE_ROOT_ID + 1 + number, .generation = 1};
    entry.attr_timeout = entry.entry_timeout = cache_seconds;
    describe(entry.ino, &entry.attr);
    fuse_reply_entry(request, &entry);
}

static void peer_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info) {
    (void)info;
    struct stat status;
    describe(inode, &status);
    fuse_reply_attr(request, &status, cache_seconds);
}

static void peer_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info) {
    if (!is_file(inode)) {
        fuse_reply_err(request, EISDIR);
    } else if ((info->flags & O_ACCMODE) != O_RDONLY) {
        fuse_reply_err(request, EROFS);
    } else {
        info->direct_io = 1;
        info->noflush = 1;
        fuse_reply_open(request, info);
    }
}

static void peer_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)inode;
    (void)info;
    size_t start = (size_t)offset < byte_count ? (size_t)offset : byte_count;
    size_t rest = byte_count - start;
    fuse_reply_buf(request, content + start, rest < size ? rest : size);
}

static void peer_readdir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    if (inode != FUSE_ROOT_ID) {
        fuse_reply_err(request, ENOTDIR);
        return;
    }
    char *page = malloc(size);
    if (!page) {
        fuse_reply_err(request, ENOMEM);
        return;
    }
    size_t used = 0;
    for (size_t number = (size_t)offset; number < file_count; number++) {
        char name[32];
        struct stat status;
        snprintf(name, sizeof name, "S%zu", number);
        describe(FUSE_ROOT_ID + 1 + number, &status);
        size_t needed = fuse_add_direntry(request, page + used, size - used, name, &status, (off_t)number + 1);
        if (needed > size - used) break;
        used += needed;
    }
    fuse_reply_buf(request, page, used);
    free(page);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = peer_lookup,
    .getattr = peer_getattr,
    .open = peer_open,
    .read = peer_read,
    .readdir = peer_readdir,
};

static struct fuse_session *make_session(void) {
    char *words[] = {"peer", "-oro,nosuid,nodev,noexec,default_permissions,fsname=peer", NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(2, words);
    struct fuse_session *session = fuse_session_new(&arguments, &operations, sizeof operations, NULL);
    fuse_opt_free_args(&arguments);
    if (!session) fail("make a session");
    return session;
}

static void write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, text, strlen(text)) < 0) fail("enter a user namespace");
    close(file);
}

static void enter_namespace(void) {
    char users[64], groups[64];
    snprintf(users, sizeof users, "%u %u 1", geteuid(), geteuid());
    snprintf(groups, sizeof groups, "%u %u 1", getegid(), getegid());
    int is_root = geteuid() == 0;
    if (unshare(is_root ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) fail("make a mount namespace");
    if (!is_root) {
        write_text("/proc/self/setgroups", "deny");
        write_text("/proc/self/uid_map", users);
        write_text("/proc/self/gid_map", groups);
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("make the namespace private");
}

static int mount_here(const char *directory) {
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0) fail("open /dev/fuse");
    char options[128];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions", device,
             geteuid(), getegid());
    unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount("peer", directory, "fuse.peer", flags, options) != 0) fail("mount");
    return device;
}

/* A message of one byte, with a descriptor if there is one. */
static void send_message(int socket, int descriptor) {
    char byte = 'x';
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    if (sendmsg(socket, &message, 0) != 1) fail("send a message");
}

static int receive_message(int socket) {
    char byte;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int descriptor = -1;
    if (header && header->cmsg_type == SCM_RIGHTS) memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
}

static void *serve(void *session) {
    fuse_session_loop(session);
    return NULL;
}

static int run(const char *directory, char **program) {
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) fail("make a socket pair");
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        close(sockets[0]);
        enter_namespace();
        int device = mount_here(directory);
        send_message(sockets[1], device);
        close(device);
        receive_message(sockets[1]);
        execvp(program[0], program);
        fail("run the program");
    }
    close(sockets[1]);
    int device = receive_message(sockets[0]);
    if (device < 0) fail("receive the device");
    struct fuse_session *session = make_session();
    char place[32];
    snprintf(place, sizeof place, "/dev/fd/%d", device);
    if (fuse_session_mount(session, place) != 0) fail("take the device");
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, session) != 0) fail("start a thread");
    send_message(sockets[0], -1);
    int status;
    if (waitpid(child, &status, 0) != child) fail("wait");
    /* The namespace has ended with its last process, and the mount with it: so does the loop. */
    pthread_join(thread, NULL);
    fuse_session_destroy(session);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int serve_mount(const char *directory, int is_multi) {
    struct fuse_session *session = make_session();
    if (fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, directory) != 0) fail("mount");
    puts("ready");
    fflush(stdout);
    int result;
    if (is_multi) {
        struct fuse_loop_config *config = fuse_loop_cfg_create();
        result = fuse_session_loop_mt(session, config);
        fuse_loop_cfg_destroy(config);
    } else {
        result = fuse_session_loop(session);
    }
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return result < 0;
}

int main(int count, char **arguments) {
    if (count < 6) {
        fputs("peer: error: see the head of peer.c\n", stderr);
        return 64;
    }
    file_count = strtoul(arguments[3], NULL, 10);
    byte_count = strtoul(arguments[4], NULL, 10);
    if (byte_count > largest_file || !(content = malloc(byte_count + 1))) fail("get memory");
    memset(content, 'x', byte_count);
    if (strcmp(arguments[1], "run") == 0) return run(arguments[2], arguments + 5);
    return serve_mount(arguments[2], strcmp(arguments[5], "multi") == 0);
}
