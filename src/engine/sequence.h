/* One request at work: measure its media, build its prompt, decode and encode its pictures, prefill, generate.
 *
 * Owned by the engine's thread after submission. Each call does one slice of work, so that several sequences take turns. */
#ifndef WEFT_ENGINE_SEQUENCE_H
#define WEFT_ENGINE_SEQUENCE_H

#include "decoder/decoder.h"
#include "engine/kv_pool.h"
#include "engine/plan.h"
#include "engine/prompt.h"
#include "engine/request.h"
#include "engine/stop_strings.h"

typedef enum weft_sequence_state {
    WEFT_SEQUENCE_MEASURE, /* media: sizes and times, one item a slice */
    WEFT_SEQUENCE_PROMPT,  /* template, ids, positions; refuses what does not fit, before any of it is decoded */
    WEFT_SEQUENCE_DECODE,  /* pictures: bytes -> pixels, one a slice */
    WEFT_SEQUENCE_VISION,  /* encoder, one slice of a layer at a time */
    WEFT_SEQUENCE_PREFILL, /* prompt rows, chunk by chunk */
    WEFT_SEQUENCE_GENERATE,
    WEFT_SEQUENCE_ENDED, /* DONE or ERROR has been sent */
} weft_sequence_state;

typedef struct weft_sequence_context { /* what the engine lends to its sequences */
    const weft_model *model;
    const weft_compute *compute;
    const weft_vision_weights *vision; /* NULL: text only */
    weft_kv_pool *kv_pool;
    int64_t context_length;
    const weft_rates *rates;
    uint64_t machine_bytes; /* of physical memory; 0: unknown */
    weft_kv_format vision_format; /* of keys and values inside the vision tower */
} weft_sequence_context;

typedef struct weft_sequence weft_sequence;

/* Takes over *chat (emptied) and one hold of `request`. */
weft_status weft_sequence_create(const weft_sequence_context *context, weft_request *request, weft_chat_request *chat,
                                 weft_sequence **sequence, weft_error *err);
void weft_sequence_free(weft_sequence *sequence);
weft_sequence_state weft_sequence_get_state(const weft_sequence *sequence);
bool weft_sequence_cancelled(const weft_sequence *sequence);
bool weft_sequence_background(const weft_sequence *sequence); /* gives way to all others */

/* States MEASURE to VISION: does one slice. Where that waits for a media worker: up to wait_ms, then returns false. */
bool weft_sequence_prepare(weft_sequence *sequence, int wait_ms);
/* States PREFILL and GENERATE: fills up to `room` rows of the next step, returns how many (0: the sequence has ended). */
int64_t weft_sequence_rows(weft_sequence *sequence, weft_step_row *rows, int64_t room);
/* After the step: the rows are in the cache. `logits`: of the last row if it asked for them, else NULL. */
void weft_sequence_advance(weft_sequence *sequence, int64_t count, float *logits);
/* Ends it early, with DONE "cancelled". */
void weft_sequence_cancel(weft_sequence *sequence);

/* For dumps: all frames of all clips, and the parts that have been made. State VISION. */
weft_status weft_sequence_load_clips(weft_sequence *sequence, weft_error *err);
const weft_prompt *weft_sequence_prompt(const weft_sequence *sequence);
const weft_media_item *weft_sequence_media(const weft_sequence *sequence, int64_t *count);

#endif
