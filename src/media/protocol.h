/* What a session and its worker say to each other: small records over a socket, bytes in shared memory.
 *
 * A record is a weft_wire, then `extra` bytes, all in the machine's own byte order (both ends run on one machine and
 * are installed together; the version is compared first). Descriptors travel with the record's first byte, from the
 * session to the worker only.
 *
 *   worker -> session  HELLO   n: version, guards
 *   -> IMAGE   n: flags, pixels_max, side_max; fd: the file         <- SIZE  n: width, height, full width, full height
 *   -> MEMORY  n: bytes; fd: shared memory for the pixels           <- DONE  pixels are written
 *   -> CLIP    n: pixels_max, side_max; x: seconds_max; fd: the file   <- OPENED n: width, height, total; x: fps, duration
 *   -> SAMPLE  n: num, min, max frames; x: fps, start, end          <- PLAN   n: frames; extra: their times, doubles
 *   -> FRAME   (its memory was handed over with MEMORY)             <- DONE   n: index of the frame in the plan
 *   any of these may be answered by                                 <- FAILED n: a weft_status; extra: the message
 *
 * Either side treats the other's numbers as hostile: weft_wire_receive checks lengths, the reader checks values. */
#ifndef WEFT_MEDIA_PROTOCOL_H
#define WEFT_MEDIA_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    WEFT_WIRE_VERSION = 1,
    WEFT_WIRE_EXTRA_MAX = 64 << 10,
    WEFT_WIRE_FD = 3, /* where a worker finds its end of the socket */
};

typedef enum weft_wire_type {
    WEFT_WIRE_HELLO = 0x57460001,
    WEFT_WIRE_IMAGE,
    WEFT_WIRE_SIZE,
    WEFT_WIRE_MEMORY,
    WEFT_WIRE_DONE,
    WEFT_WIRE_CLIP,
    WEFT_WIRE_OPENED,
    WEFT_WIRE_SAMPLE,
    WEFT_WIRE_PLAN,
    WEFT_WIRE_FRAME,
    WEFT_WIRE_FAILED,
    WEFT_WIRE_FIRST = WEFT_WIRE_HELLO,
    WEFT_WIRE_LAST = 0x574600FF, /* types of other workers (pages of documents) lie in between */
} weft_wire_type;

enum { WEFT_IMAGE_PROBE = 1 }; /* flags of IMAGE */

typedef struct weft_wire {
    uint32_t type;
    uint32_t extra; /* bytes that follow */
    int64_t n[6];
    double x[4];
} weft_wire;

/* A record being read from a non-blocking or blocking socket, piece by piece. */
typedef struct weft_wire_reader {
    weft_wire wire;
    char bytes[WEFT_WIRE_EXTRA_MAX + 1]; /* [wire.extra], a NUL behind them */
    uint32_t got;                        /* bytes of the record so far */
    int fd;                              /* that came with it, -1: none; the reader's owner closes it */
} weft_wire_reader;
void weft_wire_reader_init(weft_wire_reader *reader);
/* Forgets the record that was read (closing a descriptor nobody took), to read the next. */
void weft_wire_reader_next(weft_wire_reader *reader);

/* Reads what is there. *complete: the record is whole. `descriptors`: accept one that comes along (workers); otherwise
 * the kernel drops it. Errors: IO (the other end is gone: errno 0), FORMAT (no record of this protocol). */
weft_status weft_wire_receive(int socket, weft_wire_reader *reader, bool descriptors, bool *complete, weft_error *err);
/* Writes a whole record; `fd` -1: without a descriptor. Waits while the socket is full, at most two seconds. */
weft_status weft_wire_send(int socket, const weft_wire *wire, const void *extra, int fd, weft_error *err);

#endif
