/* A clip opened in memory and its packets listed; shared by video_clip.c and video.c, not for other layers. */
#ifndef WEFT_MEDIA_VIDEO_CLIP_H
#define WEFT_MEDIA_VIDEO_CLIP_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/codec.h"

typedef struct weft_clip_packet { /* in the order of the file */
    int64_t pts;                  /* AV_NOPTS_VALUE: the container does not say */
    int64_t rank;                 /* place in presentation order, when the clip's times are usable */
    bool key;                     /* decoding may start here */
    bool shown;                   /* false: decoded only for the sake of others */
} weft_clip_packet;

typedef struct weft_clip {
    const uint8_t *bytes;
    int64_t size, at;
    AVFormatContext *format;
    AVIOContext *io;
    AVStream *stream;
    const AVCodec *codec;
    weft_clip_packet *packets;         /* [packet_count], owned */
    int64_t packet_count, frame_count; /* frame_count: packets that are shown */
    int64_t *times; /* [frame_count] presentation times ascending, in units of the stream, owned; NULL: unusable */
    double fps;     /* mean rate: of the container, else from the times */
    int turns;      /* EXIF orientation that makes frames upright: 1, 3, 6 or 8 */
} weft_clip;

/* Opens the container, finds its video stream and decoder, and lists every packet. Nothing is decoded. */
weft_status weft_clip_open(weft_clip *clip, const uint8_t *bytes, size_t size, const weft_media_limits *limits,
                           weft_error *err);
weft_status weft_clip_rewind(weft_clip *clip, weft_error *err); /* to the first packet */
/* Seconds from `start` to `time`, both in units of the stream. One division, correctly rounded, so that frame i of a clip of a whole rate
 * shows at the same double i / rate as in the published processor, whose timestamps are rounded to tenths afterwards. */
double weft_clip_seconds(const weft_clip *clip, int64_t time, int64_t start);
void weft_clip_close(weft_clip *clip);
int weft_compare_int64(const void *a, const void *b); /* for qsort and bsearch */

#endif
