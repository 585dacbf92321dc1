/* Rotary layouts as data: for each rotary pair its axis and its inverse frequency, plus an attention scale.
 *
 * Layouts (interleaved MRoPE, chunked MRoPE, standard) differ only in the axes; scalings (linear, NTK, YaRN) only rewrite
 * the frequencies. Kernels see nothing but rows of cosines and sines. A table owns its two small arrays. */
#ifndef WEFT_DECODER_ROPE_H
#define WEFT_DECODER_ROPE_H

#include "base/status.h"
#include "weights/config.h"

typedef struct weft_rope {
    int pairs;             /* head_dim / 2 */
    unsigned char *axis;   /* [pairs]: 0 t, 1 h, 2 w */
    float *inv_freq;       /* [pairs], f32 as transformers keeps it */
    float attention_scale; /* multiplies cos and sin */
    double theta, factor;  /* dynamic NTK: to remake the frequencies for a longer sequence */
    int64_t dynamic_from;  /* dynamic NTK: sequences longer than this change the base; 0: never */
} weft_rope;

/* Builds the table. transformers: modeling_rope_utils.py (ROPE_INIT_FUNCTIONS) for the frequencies,
 * Qwen3VLTextRotaryEmbedding.recomposition_frequencies for the interleaved axes. */
weft_status weft_rope_create(const weft_text_config *text, weft_rope *rope, weft_error *err);
void weft_rope_free(weft_rope *rope);

/* cos_row, sin_row [pairs] of one position (t, h, w), products in f32 as transformers computes them. `length`: the
 * positions of the whole sequence, which only dynamic NTK looks at. */
void weft_rope_row(const weft_rope *rope, const int32_t position[3], int64_t length, float *cos_row, float *sin_row);

#endif
