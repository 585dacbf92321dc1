/* See fake_kernel.h. */
#include "fake_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "media/protocol.h"

enum { MAPS_MAX = 16, HEAD_MAX = 16, SHORT_WRITE = 37 };

typedef enum kind { CLOSED, SOCKET, FILE_TO_READ, MEMORY } kind;
typedef struct descriptor {
    kind kind;
    bool sealed;
    int64_t size;
    uint8_t head[HEAD_MAX];
} descriptor;

static descriptor descriptors[FAKE_DESCRIPTORS_MAX];
static struct {
    void *at;
    size_t size;
} maps[MAPS_MAX];
static uint8_t stream[FAKE_STREAM_MAX];
static size_t stream_size, stream_at;
static struct {
    size_t at;
    fake_event event;
    int64_t number;
} marks[FAKE_MARKS_MAX];
static size_t mark_count, mark_at;
static unsigned writing, writes;
static weft_wire sent;    /* the record that is being written */
static uint64_t sent_got; /* bytes of it */

void fake_begin(unsigned how) {
    memset(descriptors, 0, sizeof descriptors);
    stream_size = stream_at = mark_count = mark_at = 0;
    writing = how;
    writes = 0;
    sent_got = 0;
}

void fake_end(void) {
    for (int i = 0; i < FAKE_DESCRIPTORS_MAX; i++)
        if (descriptors[i].kind != CLOSED) abort();
    for (int i = 0; i < MAPS_MAX; i++)
        if (maps[i].at) abort();
}

void fake_send(const void *bytes, size_t size) {
    if (size > FAKE_STREAM_MAX - stream_size) return;
    memcpy(stream + stream_size, bytes, size);
    stream_size += size;
}

void fake_mark(fake_event event, int64_t number) {
    if (mark_count == FAKE_MARKS_MAX) return;
    marks[mark_count].at = stream_size;
    marks[mark_count].event = event;
    marks[mark_count++].number = number;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

static int new_descriptor(kind kind) {
    for (int i = 0; i < FAKE_DESCRIPTORS_MAX; i++)
        if (descriptors[i].kind == CLOSED) {
            descriptors[i] = (descriptor){.kind = kind};
            return FAKE_FIRST + i;
        }
    errno = EMFILE;
    return -1;
}

/* NULL: not one of ours. */
static descriptor *find(int fd) {
    if (fd < FAKE_FIRST || fd >= FAKE_FIRST + FAKE_DESCRIPTORS_MAX) return NULL;
    if (descriptors[fd - FAKE_FIRST].kind == CLOSED) abort();
    return &descriptors[fd - FAKE_FIRST];
}

int fake_socket(void) {
    return new_descriptor(SOCKET);
}

int fake_file(int64_t size, const void *bytes, size_t count) {
    int fd = new_descriptor(FILE_TO_READ);
    if (fd < 0) return fd;
    descriptor *d = find(fd);
    d->size = size;
    memcpy(d->head, bytes, count < HEAD_MAX ? count : HEAD_MAX);
    return fd;
}

int __real_close(int fd);
int __wrap_close(int fd) {
    descriptor *d = find(fd);
    if (!d) return __real_close(fd);
    d->kind = CLOSED;
    return 0;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    long argument = va_arg(rest, long);
    va_end(rest);
    descriptor *d = find(fd);
    if (!d) return __real_fcntl(fd, command, argument);
    if (command == F_ADD_SEALS) d->sealed = true;
    if (command == F_GETFL) return d->kind == FILE_TO_READ ? O_RDONLY : O_RDWR;
    return 0;
}

int __real_fstat(int fd, struct stat *info);
int __wrap_fstat(int fd, struct stat *info) {
    descriptor *d = find(fd);
    if (!d) return __real_fstat(fd, info);
    *info = (struct stat){.st_mode = d->kind == SOCKET ? S_IFSOCK : S_IFREG, .st_size = d->size};
    return 0;
}

ssize_t __real_pread(int fd, void *bytes, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t at) {
    descriptor *d = find(fd);
    if (!d) return __real_pread(fd, bytes, size, at);
    if (at != 0) return 0;
    if ((int64_t)size > d->size) size = (size_t)d->size;
    memset(bytes, 0, size);
    memcpy(bytes, d->head, size < HEAD_MAX ? size : HEAD_MAX);
    return (ssize_t)size;
}

int __wrap_memfd_create(const char *name, unsigned flags) {
    (void)name, (void)flags;
    return new_descriptor(MEMORY);
}

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size) {
    descriptor *d = find(fd);
    if (!d) return __real_ftruncate(fd, size);
    if (d->kind != MEMORY || d->sealed) return -1;
    d->size = size;
    return 0;
}

/* ---- mappings --------------------------------------------------------------------------------------------------- */

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t at);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t at) {
    descriptor *d = fd >= 0 ? find(fd) : NULL;
    if (!d) return __real_mmap(address, size, protection, flags, fd, at);
    if (size == 0 || at != 0 || (int64_t)size > d->size) abort(); /* a bus error, sooner or later */
    errno = ENOMEM;
    for (int i = 0; size <= FAKE_MAP_MAX && i < MAPS_MAX; i++) {
        if (maps[i].at) continue;
        void *block = calloc(1, size);
        if (!block) return MAP_FAILED;
        memcpy(block, d->head, size < HEAD_MAX ? size : HEAD_MAX);
        maps[i].at = block;
        maps[i].size = size;
        return block;
    }
    return MAP_FAILED;
}

int __real_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size) {
    for (int i = 0; i < MAPS_MAX; i++) {
        if (!address || maps[i].at != address) continue;
        if (maps[i].size != size) abort();
        free(address);
        maps[i].at = NULL;
        return 0;
    }
    return __real_munmap(address, size);
}

/* ---- the connection --------------------------------------------------------------------------------------------- */

/* The kernel hands a descriptor over where there is room for it, and closes it otherwise. */
static void hand_over(struct msghdr *message, int64_t size, size_t *used) {
    uint8_t head[HEAD_MAX];
    for (int i = 0; i < HEAD_MAX; i++) head[i] = (uint8_t)((uint64_t)size >> (8 * (i % 8)));
    if (!message->msg_control || CMSG_SPACE(sizeof(int)) > message->msg_controllen - *used) return;
    int fd = fake_file(size, head, sizeof head);
    if (fd < 0) return;
    struct cmsghdr *c = (struct cmsghdr *)((char *)message->msg_control + *used);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    *used += CMSG_SPACE(sizeof(int));
}

ssize_t __real_recvmsg(int socket, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int socket, struct msghdr *message, int flags) {
    descriptor *d = find(socket);
    if (!d) return __real_recvmsg(socket, message, flags);
    size_t room = message->msg_iov->iov_len, control = 0;
    if (d->kind != SOCKET || message->msg_iovlen != 1 || room == 0) abort();
    for (size_t i = mark_at; i < mark_count && marks[i].at <= stream_at;
         i++) { /* these first: a call that fails hands nothing over */
        if (marks[i].event != FAKE_NOTHING_YET && marks[i].event != FAKE_INTERRUPT) continue;
        errno = marks[i].event == FAKE_INTERRUPT ? EINTR : EAGAIN;
        marks[i].event = FAKE_PASSED;
        return -1;
    }
    for (; mark_at < mark_count && marks[mark_at].at <= stream_at; mark_at++) {
        int64_t number = marks[mark_at].number;
        if (marks[mark_at].event == FAKE_SHORT && number > 0 && (uint64_t)number < room) room = (size_t)number;
        if (marks[mark_at].event == FAKE_FILE && stream_at < stream_size) hand_over(message, number, &control);
    }
    if (mark_at < mark_count && marks[mark_at].at - stream_at < room) room = marks[mark_at].at - stream_at;
    if (room > stream_size - stream_at) room = stream_size - stream_at;
    memcpy(message->msg_iov->iov_base, stream + stream_at, room);
    stream_at += room;
    message->msg_controllen = control;
    return (ssize_t)room;
}

/* Follows the records in what the code under test writes. */
static void check_sent(const uint8_t *bytes, size_t size) {
    while (size) {
        size_t part = size, head = sizeof sent;
        if (sent_got < head) {
            if (part > head - sent_got) part = head - (size_t)sent_got;
            memcpy((uint8_t *)&sent + sent_got, bytes, part);
        } else if (part > head + sent.extra - sent_got) {
            part = (size_t)(head + sent.extra - sent_got);
        }
        sent_got += part;
        bytes += part;
        size -= part;
        if (sent_got < head) return;
        if (sent.type < WEFT_WIRE_FIRST || sent.type > WEFT_WIRE_LAST || sent.extra > WEFT_WIRE_EXTRA_MAX) abort();
        if (sent_got == head + sent.extra) sent_got = 0;
    }
}

ssize_t __real_sendmsg(int socket, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags) {
    descriptor *d = find(socket);
    if (!d) return __real_sendmsg(socket, message, flags);
    if (d->kind != SOCKET) abort();
    if (message->msg_controllen) {
        int fd;
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(message)), sizeof fd);
        if (!find(fd)) abort();
    }
    writes++;
    errno = (writing & FAKE_INTERRUPTED_WRITES) && writes % 2 ? EINTR : EAGAIN;
    if (writing & (writes % 2 ? FAKE_INTERRUPTED_WRITES | FAKE_FULL | FAKE_NEVER_READ : FAKE_NEVER_READ)) return -1;
    size_t left = writing & FAKE_SHORT_WRITES ? SHORT_WRITE : SIZE_MAX, done = 0;
    for (size_t i = 0; i < message->msg_iovlen && left; i++) {
        size_t part = message->msg_iov[i].iov_len < left ? message->msg_iov[i].iov_len : left;
        check_sent(message->msg_iov[i].iov_base, part);
        done += part;
        left -= part;
    }
    return (ssize_t)done;
}

int __real_poll(struct pollfd *polled, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *polled, nfds_t count, int timeout_ms) {
    if (count == 0 || !find(polled->fd)) return __real_poll(polled, count, timeout_ms);
    polled->revents = polled->events;
    return polled->events & POLLOUT && writing & FAKE_NEVER_READ ? 0 : 1;
}
