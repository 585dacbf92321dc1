/* One picture or clip of a request on its way: bytes -> resized pixels -> embedding rows.
 *
 * Everything that decodes happens in the session's workers and is waited for without blocking: each function does what is
 * ready and says whether more is to come. A clip is never held whole: its frames come a temporal group at a time, when the encoder
 * is about to read them. */
#ifndef WEFT_ENGINE_MEDIA_ITEM_H
#define WEFT_ENGINE_MEDIA_ITEM_H

#include "engine/chat_request.h"
#include "vision/vision.h"

typedef struct weft_media_item {
    bool video;
    weft_pixels_config config; /* the checkpoint's, with the request's overrides */
    weft_pixels pixels;        /* freed once encoded */
    weft_grid grid;
    int64_t width, height, frames; /* as it came: pixels upright; frames: sampled, 1 for a picture */
    int64_t decoded_bytes;         /* of the picture, or of one frame, before it is resized; 0: a page, drawn as it will be */
    double duration;               /* video: seconds of the whole clip */
    double *group_seconds;     /* video: [grid.t] mean presentation time of each pair of frames; owned */
    weft_vision_embeds embeds; /* filled by the encoder */

    weft_media_part part; /* the files that are still needed; owned */
    weft_video_sampling sampling;
    int file;           /* descriptor + 1 of the file that a worker reads, 0: none; owned */
    int64_t next_frame; /* of a clip, to come into pixels */
    int64_t first_width, first_height; /* of a list of frames */
    bool working;       /* the session works for this item */
    bool keep_frames;   /* all of them stay (dumps) */
} weft_media_item;

typedef struct weft_media_reader { /* the workers of one request */
    weft_media_session *session;   /* owned by the sequence; made when the first item needs it */
    const weft_media_item *clip;   /* whose clip is open in it, NULL: none's */
} weft_media_reader;
void weft_media_reader_close(weft_media_reader *reader); /* kills what runs */

/* Takes over the part's files (*part is emptied) and settles the configuration. */
void weft_media_item_init(const weft_model *model, weft_media_part *part, weft_media_item *item);
/* What a prompt needs to know: a picture's size by its header, a clip's frames and times. Nothing is decoded but a few frames of a clip.
 * *ready: done; else call again, waits up to wait_ms for the worker. */
weft_status weft_media_item_measure(const weft_model *model, weft_media_reader *reader, int wait_ms, weft_media_item *item, bool *ready, weft_error *err);
/* After that. A picture: decodes and resizes it. A clip: nothing, its pixels are still to come. *ready: as above. */
weft_status weft_media_item_prepare(const weft_model *model, weft_media_reader *reader, weft_pool *pool, int wait_ms,
                                    weft_media_item *item, bool *ready, weft_error *err);
/* A clip: brings the frames of temporal group `group` (ascending from call to call) into pixels, and lets go of those
 * before it. A picture: ready at once. */
weft_status weft_media_item_load(const weft_model *model, weft_media_reader *reader, weft_pool *pool, int wait_ms,
                                 weft_media_item *item, int64_t group, bool *ready, weft_error *err);
void weft_media_item_free(weft_media_item *item);

#endif
