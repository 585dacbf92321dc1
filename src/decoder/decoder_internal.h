/* What the decoder's stages share: the workspace of a step. Private to src/decoder. */
#ifndef WEFT_DECODER_INTERNAL_H
#define WEFT_DECODER_INTERNAL_H

#include "decoder/decoder.h"
#include "decoder/rope.h"

/* Scratch of the mixture-of-experts layers, made only for checkpoints that have some. */
typedef struct weft_moe_scratch {
    float *router;      /* [max_rows, experts] */
    int32_t *expert;    /* [max_rows, experts_per_token] chosen experts */
    float *weight;      /* [max_rows, experts_per_token] */
    int64_t *row_list;  /* [max_rows * experts_per_token] rows grouped by expert */
    float *weight_list; /* the same order */
    int64_t *first;     /* [experts + 1] where each expert's group begins */
    float *input;       /* [max_rows, hidden] gathered rows of one expert */
    float *gate, *up;   /* [max_rows, moe_intermediate] */
    float *output;      /* [max_rows, hidden] */
} weft_moe_scratch;

struct weft_decoder {
    const weft_config *config;
    const weft_text_weights *weights;
    const weft_compute *compute;
    const weft_kernels *kernels;
    weft_pool *pool;
    weft_rope rope;
    weft_kv_geometry geometry;
    int64_t max_rows, max_pages;
    weft_layer_tap *tap;
    void *tap_context;

    /* workspace, one allocation; R = max_rows */
    void *memory;
    float *hidden;      /* [R, hidden] the residual stream */
    float *normed;      /* [R, hidden] */
    float *q;           /* [R, heads * head_dim] */
    float *k, *v;       /* [R, kv_heads * head_dim] */
    float *attended;    /* [R, heads * head_dim] */
    float *gate, *up;   /* [R, intermediate] dense layers */
    float *cos, *sin;   /* [R, head_dim / 2] */
    const void **pages; /* [threads][2 * max_pages] slab pointers of the task at hand */
    int64_t *block;     /* [R] first row of each attention block */
    float *parts_out;   /* [4 * threads][WEFT_ATTENTION_ROWS_MAX, head_dim] attention in parts, see attention.c */
    float *parts_log_sums; /* [4 * threads][WEFT_ATTENTION_ROWS_MAX] */
    weft_moe_scratch moe;
};

/* attention.c: q, k, v of the step's rows are in the workspace; writes keys and values to their pages, then fills
 * `attended`. */
void weft_decoder_attention(weft_decoder *decoder, int64_t layer, const weft_step_row *rows, int64_t count);

/* moe.c: hidden += experts(normed). */
void weft_decoder_moe(weft_decoder *decoder, const weft_text_layer *layer, int64_t count);

#endif
