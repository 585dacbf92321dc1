/* Position triples (t, h, w) for any mix of text, pictures and clips. */
#ifndef WEFT_DECODER_POSITIONS_H
#define WEFT_DECODER_POSITIONS_H

#include <stdint.h>

#include "base/status.h"

/* A run of visual tokens in the prompt: one picture, or one temporal group of a clip. */
typedef struct weft_visual_span {
    int64_t begin, count; /* tokens [begin, begin + count), count = rows * cols */
    int64_t rows, cols;   /* the merged grid */
} weft_visual_span;

/* Fills positions [token_count] and *delta, so that a generated token at index i has t = h = w = i + delta.
 * Spans are ascending and do not overlap (checked). transformers: Qwen3VLModel.get_rope_index: text counts up by one; a
 * span that starts at p has t = p, h = p + row, w = p + column, and the next text token is p + max(rows, cols). */
weft_status weft_positions(int64_t token_count, const weft_visual_span *spans, int64_t span_count,
                           int32_t (*positions)[3], int64_t *delta, weft_error *err);

#endif
