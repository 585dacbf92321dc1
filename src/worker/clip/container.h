/* A clip's container opened from a descriptor and its packets listed; shared by container.c and clip.c. */
#ifndef WEFT_WORKER_CLIP_CONTAINER_H
#define WEFT_WORKER_CLIP_CONTAINER_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/media.h"

typedef struct weft_packet { /* in the order of the file */
    int64_t pts;             /* AV_NOPTS_VALUE: the container does not say */
    int64_t dts, place;      /* its decoding time and its byte in the file: which packet it is, after a seek */
    int64_t rank;            /* place in presentation order, when the clip's times are usable */
    bool key;                /* decoding may start here */
    bool shown;              /* false: decoded only for the sake of others */
} weft_packet;

typedef struct weft_container {
    int fd; /* owned */
    int64_t size, at;
    bool hollow; /* reading moves on without bytes: only the container's index is listed */
    AVFormatContext *format;
    AVIOContext *io;
    AVStream *stream;
    const AVCodec *codec;
    weft_packet *packets;              /* [packet_count], owned */
    int64_t packet_count, frame_count; /* frame_count: packets that are shown */
    int64_t *times;    /* [frame_count] presentation times ascending, in units of the stream, owned; NULL: unusable */
    int64_t origin;    /* the time, in units of the stream, that counts as second 0 */
    double fps;        /* mean rate: of the container, else from the times */
    int turns;         /* EXIF orientation that makes frames upright: 1 to 8 */
} weft_container;

/* Opens the container, finds its video stream and decoder, and lists every packet. Nothing is decoded. `fd` becomes the
 * container's, also on failure. */
weft_status weft_container_open(weft_container *clip, int fd, const weft_media_limits *limits, weft_error *err);
weft_status weft_container_rewind(weft_container *clip, weft_error *err); /* to the first packet */
/* To packet `index`, a key packet, by the container's own index. False: it leads elsewhere; the caller rewinds. */
bool weft_container_seek(weft_container *clip, int64_t index);
/* Which packet this is, at `expected` or later; -1: none of the list. */
int64_t weft_container_find(const weft_container *clip, const AVPacket *packet, int64_t expected);
/* Seconds of a time in units of the stream. One division, correctly rounded, so that frame i of a clip of a whole rate
 * shows at the same double i / rate as in the published processor, whose timestamps are rounded to tenths afterwards. */
double weft_container_seconds(const weft_container *clip, int64_t time);
void weft_container_close(weft_container *clip);
int weft_compare_int64(const void *a, const void *b); /* for qsort and bsearch */

#endif
