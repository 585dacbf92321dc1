/* Hostile bytes -> RGB frames with presentation times.
 *
 * The interface behind which a sandboxed worker process will decode; until then decoding runs in process, under the
 * limits of weft_media_limits. */
#ifndef WEFT_MEDIA_MEDIA_H
#define WEFT_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct weft_media_limits {
    size_t bytes_max;         /* of the encoded file; default 256 MiB */
    int64_t pixels_max;       /* of one decoded picture; default 256 million */
    int64_t side_max;         /* default 65,535 */
    int64_t frames_max;       /* of a video; default 768 sampled frames */
    int64_t video_pixels_max; /* of all sampled frames of a video together; default 2 billion */
    double video_seconds_max; /* of a video's length; default a day */
} weft_media_limits;
extern const weft_media_limits weft_media_default_limits;

typedef struct weft_image {
    int64_t width, height;
    uint8_t *rgb; /* [height, width, 3], owned */
} weft_image;
void weft_image_free(weft_image *image); /* leaves it empty */

/* Decodes JPEG (EXIF orientation applied), PNG (palette, grey, 16 bit, alpha on white) or WebP (first frame of an
 * animation) by its bytes, never by its name. `limits` NULL: the defaults; they are checked against the header before
 * anything is allocated. Errors: FORMAT (malformed, truncated), LIMIT, UNSUPPORTED (another format, named), MEMORY;
 * *image is then empty. Pixels equal Pillow's convert("RGB") after exif_transpose, transparency composed onto white. */
weft_status weft_image_decode(const void *bytes, size_t size, const weft_media_limits *limits, weft_image *image,
                              weft_error *err);

typedef struct weft_video { /* sampled frames, all of one size */
    int64_t frames, width, height;
    uint8_t **rgb;   /* [frames] of [height, width, 3], owned */
    double *seconds; /* [frames] presentation time of each, owned */
    double duration; /* of the whole clip */
} weft_video;
void weft_video_free(weft_video *video);

typedef struct weft_video_sampling { /* 0 means the default of the checkpoint, filled in by the caller */
    double fps;
    int64_t num_frames, min_frames, max_frames;
    double start_seconds, end_seconds; /* end 0: to the end */
} weft_video_sampling;

/* Decodes a clip (anything libav reads from memory) and keeps the frames that the published video processor would
 * sample. */
weft_status weft_video_decode(const void *bytes, size_t size, const weft_video_sampling *sampling,
                              const weft_media_limits *limits, weft_video *video, weft_error *err);

/* The published processor's choice: n = (int)(total / native_fps * fps), clamped to [min, max] and total; indices are
 * linspace(0, total-1, n) rounded half to even. Writes at most max_frames indices, returns n. */
int64_t weft_video_sample_indices(int64_t total, double native_fps, const weft_video_sampling *sampling,
                                  int64_t *indices);

#endif
