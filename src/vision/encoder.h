/* The state of one encoding, shared by encoder.c (memory and slices) and blocks.c (arithmetic); not for other layers.
 */
#ifndef WEFT_VISION_ENCODER_H
#define WEFT_VISION_ENCODER_H

#include "vision/vision.h"

enum { WEFT_VISION_CHUNK_ROWS = 512, WEFT_VISION_HEAD_DIM_MAX = 256 };

typedef struct weft_vision_shape {
    weft_grid grid;
    int64_t hidden, heads, head_dim, out_hidden;
    int64_t unit;         /* patches per token: merge_size squared */
    int64_t patches;      /* of one temporal group: h * w */
    int64_t tokens;       /* of one temporal group: patches / unit */
    int64_t patch_values; /* channels * temporal * patch * patch */
    int64_t chunk_rows;   /* patches per slice, a multiple of unit */
    int64_t chunks;       /* slices over one group */
    int64_t pages;        /* of WEFT_KV_PAGE_ROWS keys each */
    int64_t wide;         /* floats per row of the wide buffer */
    int64_t steps_per_group;
} weft_vision_shape;
weft_vision_shape weft_vision_shape_of(const weft_config *config, weft_grid grid);

typedef enum weft_vision_phase {
    WEFT_VISION_EMBED, /* patches -> x */
    WEFT_VISION_KEYS,  /* keys and values of a layer, for every row before any query */
    WEFT_VISION_ROWS,  /* queries, attention, projection, MLP: rows no longer touch each other */
    WEFT_VISION_TAP,   /* DeepStack merger after a tapped layer */
    WEFT_VISION_MERGE, /* merger */
    WEFT_VISION_DONE,
} weft_vision_phase;

struct weft_vision_run {
    const weft_config *config;
    const weft_vision_config *vision;
    const weft_vision_weights *weights;
    const weft_pixels *pixels;
    weft_pixels_config pixels_config;
    const weft_compute *compute;
    const weft_kernels *kernels;
    weft_vision_shape shape;

    weft_vision_phase phase;
    int64_t group, layer, chunk, done;

    float inv_freq[WEFT_VISION_HEAD_DIM_MAX / 4]; /* [head_dim / 4] */
    float *x;                                     /* [patches, hidden] of the group at hand */
    weft_kv_format format;
    float *kv;   /* [patches, 2, hidden]: keys (turned) and values of the layer at hand; of a chunk
                  * of patches only when `slabs` keep them */
    char *slabs; /* [2, heads, pages] slabs in `format`, NULL for f32 */
    size_t slab_bytes;
    float *normed;                   /* [chunk_rows, hidden] */
    float *queries;                  /* [chunk_rows, hidden]; attention's result takes their place */
    float *wide;                     /* [chunk_rows, wide] */
    float *heads_out;                /* [threads, WEFT_ATTENTION_ROWS_MAX, head_dim] */
    const void **k_pages, **v_pages; /* [heads, pages] into kv or slabs */

    weft_vision_embeds embeds;
};

/* inv_freq of the 2-D rotary embedding. */
void weft_vision_rotary_init(weft_vision_run *run);
/* Which DeepStack merger follows ViT layer `layer`, or -1. */
int weft_vision_tap(const weft_vision_config *vision, int64_t layer);

/* One slice each: patches [first, first + rows) of the group at hand. */
void weft_vision_embed(weft_vision_run *run, int64_t first, int64_t rows);
void weft_vision_keys(weft_vision_run *run, int64_t first, int64_t rows);
void weft_vision_rows(weft_vision_run *run, int64_t first, int64_t rows);
/* `concatenated`: the norm reaches over all patches of a token (DeepStack mergers). `out` is the merger's first row. */
void weft_vision_merge(weft_vision_run *run, const weft_vision_merger *merger, bool concatenated, int64_t first,
                       int64_t rows, float *out);

#endif
