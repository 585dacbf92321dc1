/* From RGB frames to embedding rows: smart resize, patches, the encoder, the mergers. */
#ifndef WEFT_VISION_VISION_H
#define WEFT_VISION_VISION_H

#include "media/media.h"
#include "weights/checkpoint.h"

/* The most patches of one picture or clip, whatever a request asks for: 64 times what the shipped processors allow. */
enum { WEFT_GRID_PATCHES_MAX = 1 << 22 };

/* Patch counts of one picture or clip before merging: t temporal pairs, h rows, w columns of patches. */
typedef struct weft_grid {
    int64_t t, h, w;
} weft_grid;
static inline int64_t weft_grid_patches(weft_grid g) {
    return g.t * g.h * g.w;
}
static inline int64_t weft_grid_tokens(weft_grid g, int64_t merge) {
    return g.t * (g.h / merge) * (g.w / merge);
}

/* Where patch `index` (in merge order, group by group) lies: its temporal group, row and column of the patch grid. */
void weft_grid_place(weft_grid grid, int64_t merge, int64_t index, int64_t *t, int64_t *row, int64_t *column);

/* smart_resize of transformers' Qwen2VL image processor: size in pixels after resizing; refuses aspect ratios over 200.
 */
weft_status weft_smart_resize(int64_t width, int64_t height, int64_t factor, int64_t min_pixels, int64_t max_pixels,
                              int64_t *out_width, int64_t *out_height, weft_error *err);
/* smart_resize of the Qwen3VL video processor: the budget is over frames*height*width. */
weft_status weft_smart_resize_video(int64_t frames, int64_t width, int64_t height, int64_t factor, int64_t temporal,
                                    int64_t min_pixels, int64_t max_pixels, int64_t *out_width, int64_t *out_height,
                                    weft_error *err);

/* Antialiased bicubic, bit for bit the published (torchvision) processor: horizontal pass first, uint8 between the
 * passes. `out` is [out_height, out_width, 3], the caller's. pool may be NULL. */
weft_status weft_resize_bicubic(const uint8_t *rgb, int64_t width, int64_t height, uint8_t *out, int64_t out_width,
                                int64_t out_height, weft_pool *pool, weft_error *err);

/* A picture or clip made ready for the encoder: resized uint8 frames, from which patches are read row by row. */
typedef struct weft_pixels {
    weft_grid grid;
    int64_t width, height; /* after resizing */
    int64_t frames;        /* 1 for a picture (used twice), else even: 2 * grid.t */
    int64_t given;         /* of a clip: frames before repetition */
    uint8_t **rgb; /* [frames], owned; repeated frames share one allocation; NULL: not there (yet, or any more) */
    uint8_t **allocations; /* [frames] what to free */
} weft_pixels;
void weft_pixels_free(weft_pixels *pixels);
/* The grid that a picture of this size gets. */
weft_status weft_pixels_image_grid(int64_t width, int64_t height, const weft_vision_config *vision, const weft_pixels_config *config, weft_grid *grid,
                                   weft_error *err);
weft_status weft_pixels_from_image(const weft_image *image, const weft_vision_config *vision,
                                   const weft_pixels_config *config, weft_pool *pool, weft_pixels *out,
                                   weft_error *err);
/* Bytes that resizing takes beside both pictures. */
uint64_t weft_resize_bytes(int64_t width, int64_t height, int64_t out_width, int64_t out_height, int threads);
/* A clip, its frames still to come: grid and size from the number and size of its frames. */
weft_status weft_pixels_begin_clip(int64_t frames, int64_t width, int64_t height, const weft_vision_config *vision,
                                   const weft_pixels_config *config, weft_pixels *out, weft_error *err);
/* Resizes one frame into its place; the last one is repeated where the count is odd. */
weft_status weft_pixels_set_frame(weft_pixels *pixels, int64_t index, const uint8_t *rgb, int64_t width, int64_t height,
                                  weft_pool *pool, weft_error *err);
/* Frees the frames before `end`: their groups have been encoded. */
void weft_pixels_drop_frames(weft_pixels *pixels, int64_t end);
/* Rows [first, first+count) of pixel_values: out [count, channels*temporal*patch*patch] normalised f32, patches in
 * merge order (2x2 block by block), values in order (channel, t, y, x). */
void weft_pixels_patches(const weft_pixels *pixels, const weft_vision_config *vision, const weft_pixels_config *config,
                         int64_t first, int64_t count, float *out);

/* The embedding rows of one picture or clip. */
typedef struct weft_vision_embeds {
    int64_t tokens, hidden; /* hidden: the decoder's */
    int deepstack_count;
    float *rows;      /* [tokens, hidden], owned */
    float *deepstack; /* [deepstack_count, tokens, hidden], owned */
} weft_vision_embeds;
void weft_vision_embeds_free(weft_vision_embeds *embeds);

/* The encoder at work on one picture, advanced in slices so that it never stalls somebody else's tokens. */
typedef struct weft_vision_run weft_vision_run;
/* config, weights, pixels and compute are borrowed until the run is finished or ended; *pixels_config is copied.
 * format: how attention keeps the keys and values of a layer; WEFT_KV_F32 is exact, WEFT_KV_Q8 the quickest.
 * Refuses shapes that the encoder cannot run (UNSUPPORTED) and reports a lack of memory before any work (MEMORY). */
weft_status weft_vision_begin(const weft_config *config, const weft_vision_weights *weights, const weft_pixels *pixels,
                              const weft_pixels_config *pixels_config, const weft_compute *compute,
                              weft_kv_format format, weft_vision_run **run, weft_error *err);
/* Does the next slice (one layer of one temporal group of frames, or less); *done / *total count slices for progress.
 */
weft_status weft_vision_step(weft_vision_run *run, bool *finished, int64_t *done, int64_t *total, weft_error *err);
/* True when the next step reads the pixels of temporal group *group; its frames must be in *pixels then. */
bool weft_vision_reads_pixels(const weft_vision_run *run, int64_t *group);
/* Moves the result out; valid after finished. */
void weft_vision_take(weft_vision_run *run, weft_vision_embeds *embeds);
void weft_vision_end(weft_vision_run *run); /* at any time; frees all scratch */
/* Peak bytes that encoding `grid` needs beside the weights (for the plan), with keys and values in `format`. */
uint64_t weft_vision_bytes(const weft_config *config, weft_kv_format format, weft_grid grid);

#endif
