/* Records over a socket: see protocol.h. Allocates nothing. */
#include "media/protocol.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEND_WAIT_MS = 2000 };

void weft_wire_reader_init(weft_wire_reader *reader) {
    reader->got = 0;
    reader->fd = -1;
    memset(&reader->wire, 0, sizeof reader->wire);
    reader->bytes[0] = 0;
}

void weft_wire_reader_next(weft_wire_reader *reader) {
    if (reader->fd >= 0) close(reader->fd);
    weft_wire_reader_init(reader);
}

/* Keeps the first descriptor of a message, closes what else was sent along. */
static void keep_descriptor(weft_wire_reader *reader, struct msghdr *message) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (reader->fd < 0)
                reader->fd = fd;
            else
                close(fd);
        }
    }
}

/* One recvmsg into [got, wanted) of the record. */
static ssize_t receive_some(int socket, weft_wire_reader *reader, uint32_t wanted, bool descriptors) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    uint32_t head = sizeof reader->wire;
    char *target = reader->got < head ? (char *)&reader->wire + reader->got : reader->bytes + (reader->got - head);
    struct iovec piece = {target, wanted - reader->got};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (descriptors) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
    }
    int flags = 0;
#ifdef MSG_CMSG_CLOEXEC
    flags = MSG_CMSG_CLOEXEC;
#endif
    ssize_t count = recvmsg(socket, &message, flags);
    if (count > 0 && descriptors) keep_descriptor(reader, &message);
    return count;
}

weft_status weft_wire_receive(int socket, weft_wire_reader *reader, bool descriptors, bool *complete, weft_error *err) {
    const uint32_t head = sizeof reader->wire;
    *complete = false;
    for (;;) {
        uint32_t wanted = reader->got < head ? head : head + reader->wire.extra;
        if (reader->got == wanted) {
            reader->bytes[reader->wire.extra] = 0;
            *complete = true;
            return WEFT_OK;
        }
        ssize_t count = receive_some(socket, reader, wanted, descriptors);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return WEFT_OK;
        if (count <= 0) return weft_fail(err, WEFT_ERR_IO, "the other end is gone");
        reader->got += (uint32_t)count;
        if (reader->got == head && (reader->wire.type < WEFT_WIRE_FIRST || reader->wire.type > WEFT_WIRE_LAST ||
                                    reader->wire.extra > WEFT_WIRE_EXTRA_MAX))
            return weft_fail(err, WEFT_ERR_FORMAT, "a record of type %08x with %u bytes", reader->wire.type, reader->wire.extra);
    }
}

/* Sends what it can; the descriptor goes with the first byte. */
static ssize_t send_some(int socket, struct iovec *pieces, int count, int fd) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    int flags = 0;
#ifdef MSG_NOSIGNAL
    flags = MSG_NOSIGNAL;
#endif
    return sendmsg(socket, &message, flags);
}

weft_status weft_wire_send(int socket, const weft_wire *wire, const void *extra, int fd, weft_error *err) {
    size_t head = sizeof *wire, total = head + wire->extra, sent = 0;
    while (sent < total) {
        struct iovec pieces[2];
        int count = 0;
        if (sent < head) pieces[count++] = (struct iovec){(char *)wire + sent, head - sent};
        size_t done = sent > head ? sent - head : 0;
        if (wire->extra > done) pieces[count++] = (struct iovec){(char *)extra + done, wire->extra - done};
        ssize_t written = send_some(socket, pieces, count, sent == 0 ? fd : -1);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd wait = {.fd = socket, .events = POLLOUT};
            if (poll(&wait, 1, SEND_WAIT_MS) <= 0) return weft_fail(err, WEFT_ERR_IO, "the other end does not read");
            continue;
        }
        if (written <= 0) return weft_fail(err, WEFT_ERR_IO, "the other end is gone");
        sent += (size_t)written;
    }
    return WEFT_OK;
}
