/* Hostile bytes -> RGB frames with presentation times, decoded by worker programs that cannot do anything else.
 *
 * A session belongs to one request. It starts the worker programs it needs (weft-media for pictures, weft-media-heif for
 * HEIC and AVIF, weft-media-clip for clips) when the first file of a kind comes, reuses them until the session ends,
 * and kills them then. This side never parses media: it looks at the first bytes to name the format, and reads numbers
 * and pixels that the worker writes, trusting none of them (protocol.h). A worker that crashes, hangs, outgrows its
 * limits or breaks the protocol is one error of one call; the next call starts a fresh one.
 *
 * Files are handed over as descriptors: sealed memory (weft_media_memory) or a regular file open for reading. They stay
 * the caller's. Work is asked for by *_begin and awaited by weft_media_wait, so that a thread can do something else
 * meanwhile; one piece of work at a time. A session is used by one thread at a time, and its workers die with the thread that
 * started them (Linux counts threads as parents). */
#ifndef WEFT_MEDIA_MEDIA_H
#define WEFT_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct weft_media_limits {
    int64_t bytes_max;        /* of an encoded picture; default 256 MiB. Clips are read in place and have no limit */
    int64_t pixels_max;       /* of one decoded picture or frame; default 128 million. Larger JPEGs are decoded smaller */
    int64_t side_max;         /* default 65,535 */
    int64_t frames_max;       /* sampled from a clip at once; default 768 */
    double video_seconds_max; /* of a clip's length; default a day */
    double seconds_max;       /* wall clock for one picture, one frame or the opening of a clip; default 60 */
    int64_t cpu_seconds_max;  /* of one worker over its life; default 3,600 */
    int64_t memory_max;       /* address space of one worker; default 3 GiB */
} weft_media_limits;
extern const weft_media_limits weft_media_default_limits;

/* ---- files ------------------------------------------------------------------------------------------------------ */

typedef enum weft_media_format {
    WEFT_MEDIA_UNKNOWN,
    WEFT_MEDIA_JPEG,
    WEFT_MEDIA_PNG,
    WEFT_MEDIA_WEBP,
    WEFT_MEDIA_GIF,
    WEFT_MEDIA_BMP,
    WEFT_MEDIA_TIFF,
    WEFT_MEDIA_AVIF,
    WEFT_MEDIA_HEIC,
    WEFT_MEDIA_PDF,
    WEFT_MEDIA_OTHER, /* known by name and not read */
} weft_media_format;

/* Tells a format by its first bytes (48 are enough), never by its name. *name ("a PNG picture") is constant. Clips of
 * MP4, Matroska, … are UNKNOWN or OTHER here: the clip worker tells them apart. */
weft_media_format weft_media_sniff(const void *bytes, size_t size, const char **name);

/* Copies bytes into sealed shared memory. *fd is the caller's to close. `what` names them in messages. */
weft_status weft_media_memory(const void *bytes, size_t size, const char *what, int *fd, weft_error *err);

/* ---- sessions --------------------------------------------------------------------------------------------------- */

typedef struct weft_media_session weft_media_session;

/* Starts nothing yet. `limits` NULL: the defaults; copied. */
weft_status weft_media_session_create(const weft_media_limits *limits, weft_media_session **session, weft_error *err);
/* Kills the workers, whatever they do, and frees what they lent. NULL is allowed. */
void weft_media_session_free(weft_media_session *session);

/* Waits up to timeout_ms (0: not at all, -1: until its time limit) for the work that was begun. *ready: it is done, or
 * there was none. An error ends the work. */
weft_status weft_media_wait(weft_media_session *session, int timeout_ms, bool *ready, weft_error *err);

/* What protects the worker that served last: bits of weft_media_guard. */
unsigned weft_media_guards(const weft_media_session *session);
typedef enum weft_media_guard {
    WEFT_GUARD_PRIVILEGES = 1, /* no new privileges, none left */
    WEFT_GUARD_LIMITS = 2,     /* memory, CPU time, files, processes */
    WEFT_GUARD_USERS = 4,      /* a user namespace of its own */
    WEFT_GUARD_MOUNTS = 8,     /* an empty file system */
    WEFT_GUARD_NETWORK = 16,   /* a network namespace without a network */
    WEFT_GUARD_PROCESSES = 32, /* a process namespace: it sees itself only */
    WEFT_GUARD_CALLS = 64,     /* a seccomp allow-list */
} weft_media_guard;

/* ---- pictures --------------------------------------------------------------------------------------------------- */

typedef struct weft_image {
    int64_t width, height;           /* of `rgb` */
    int64_t full_width, full_height; /* of the picture; larger than the above only for a JPEG over pixels_max */
    uint8_t *rgb;                    /* [height, width, 3] */
} weft_image;

/* Decodes one picture: upright (EXIF), in sRGB (embedded profile), transparency on white, the first frame of an
 * animation. `probe`: only sizes, rgb stays NULL. Errors: FORMAT (malformed, truncated), LIMIT, UNSUPPORTED (another
 * format, named), MEMORY, CANCELLED never. */
weft_status weft_media_image_begin(weft_media_session *session, int fd, bool probe, weft_error *err);
/* The picture that is ready; its pixels are shared memory, valid until the next *_begin. Its values may change at any
 * time if the worker is hostile: they are pixels, nothing may depend on them. */
const weft_image *weft_media_image(const weft_media_session *session);
/* All of it at once. *image is borrowed as above. */
weft_status weft_media_read_image(weft_media_session *session, int fd, weft_image *image, weft_error *err);

/* ---- clips ------------------------------------------------------------------------------------------------------ */

typedef struct weft_video_sampling { /* 0 means the default of the checkpoint, filled in by the caller */
    double fps;
    int64_t num_frames, min_frames, max_frames;
    double start_seconds, end_seconds; /* end 0: to the end */
} weft_video_sampling;

typedef struct weft_clip_plan { /* what a sampling of the open clip gives */
    int64_t width, height;  /* of every frame, upright and with square pixels */
    int64_t frames;         /* sampled */
    const double *seconds;  /* [frames] presentation times; the session's, until the next sampling */
    int64_t total;          /* frames of the whole clip */
    double fps, duration;   /* of the whole clip: mean rate, seconds */
} weft_clip_plan;

/* Opens a clip (anything that libav reads, animated GIF, WebP and PNG), lists its frames and chooses those that the published
 * processor would sample. Nothing but a few frames is decoded yet. The session keeps one clip open. */
weft_status weft_media_clip_begin(weft_media_session *session, int fd, const weft_video_sampling *sampling, weft_error *err);
/* Another choice from the clip that is open; frames start again from its first. */
weft_status weft_media_clip_resample(weft_media_session *session, const weft_video_sampling *sampling, weft_error *err);
const weft_clip_plan *weft_media_clip(const weft_media_session *session); /* NULL: none is open */

/* Decodes the next sampled frame. After it is ready: its index in the plan and its pixels, as for weft_media_image. */
weft_status weft_media_frame_begin(weft_media_session *session, weft_error *err);
const uint8_t *weft_media_frame(const weft_media_session *session, int64_t *index);

/* The published processor's choice: n = (int)(total / native_fps * fps), clamped to [min, max] and total; indices are
 * linspace(0, total-1, n) rounded half to even; num_frames, where stated, is n whatever total is. Writes at most max_frames indices,
 * returns n. */
int64_t weft_video_sample_indices(int64_t total, double native_fps, const weft_video_sampling *sampling,
                                  int64_t *indices);

#endif
