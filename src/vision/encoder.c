/* The vision tower at work: patch embedding, position table, blocks, DeepStack mergers, merger.
 *
 * Follows transformers' models/qwen3_vl/modeling_qwen3_vl.py (Qwen3VLVisionModel); everything is computed in f32.
 * Attention reaches over one temporal group only, so the groups of a clip go through the tower one after the other and
 * share the scratch of one.
 *
 * Memory. For one group of n patches: x [n, hidden], the keys and values of one layer [n, 2*hidden], and buffers for
 * CHUNK_ROWS rows. Queries, the MLP and the mergers exist for a chunk at a time: a 1920 x 1080 picture with hidden 1024
 * needs 33 + 67 + 13 MB beside its result. All of it is allocated by weft_vision_begin; steps allocate nothing.
 *
 * A step is one chunk of one phase of one layer, a fraction of a second for any picture size. */
#include "vision/encoder.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

weft_vision_shape weft_vision_shape_of(const weft_config *config, weft_grid grid) {
    const weft_vision_config *v = &config->vision;
    weft_vision_shape s = {.grid = grid, .hidden = v->hidden_size, .heads = v->heads};
    s.head_dim = s.heads > 0 ? s.hidden / s.heads : 0;
    s.unit = v->merge_size * v->merge_size;
    s.patches = grid.h * grid.w;
    s.tokens = s.unit > 0 ? s.patches / s.unit : 0;
    s.patch_values = v->channels * v->temporal_patch_size * v->patch_size * v->patch_size;
    s.chunk_rows = s.unit > 0 ? larger(s.unit, WEFT_VISION_CHUNK_ROWS / s.unit * s.unit) : 1;
    s.chunks = (s.patches + s.chunk_rows - 1) / s.chunk_rows;
    s.pages = (s.patches + WEFT_KV_PAGE_ROWS - 1) / WEFT_KV_PAGE_ROWS;
    s.out_hidden = v->out_hidden_size;
    /* The wide buffer serves in turn as patch values, whole qkv rows, the MLP's inside and the mergers' inside. */
    s.wide = larger(larger(s.patch_values, 3 * s.hidden), larger(v->intermediate_size, s.hidden));
    s.steps_per_group = s.chunks * (1 + 2 * v->layers + v->deepstack_count + 1); /* taps are distinct layers: checked */
    return s;
}

/* Keys and values of the layer at hand: all patches in f32, or slabs and the f32 rows of one chunk. */
static uint64_t slabs_bytes(const weft_vision_shape *s, weft_kv_format format) {
    return format == WEFT_KV_F32 ? 0
                                 : (uint64_t)(2 * s->heads * s->pages) * weft_kv_slab_bytes(format, (int)s->head_dim);
}
static uint64_t kv_floats(const weft_vision_shape *s, weft_kv_format format) {
    return (uint64_t)(format == WEFT_KV_F32 ? s->patches : s->chunk_rows) * (uint64_t)(2 * s->hidden);
}

static uint64_t scratch_bytes(const weft_vision_shape *s, weft_kv_format format) {
    uint64_t floats = (uint64_t)s->patches * (uint64_t)s->hidden + kv_floats(s, format); /* x, keys and values */
    floats += (uint64_t)s->chunk_rows * (uint64_t)(2 * s->hidden + s->wide);             /* normed, queries, wide */
    return floats * sizeof(float) + slabs_bytes(s, format) + (uint64_t)(2 * s->heads * s->pages) * sizeof(void *);
}

uint64_t weft_vision_bytes(const weft_config *config, weft_kv_format format, weft_grid grid) {
    weft_vision_shape s = weft_vision_shape_of(config, grid);
    uint64_t rows = (uint64_t)(grid.t * s.tokens) * (uint64_t)(1 + config->vision.deepstack_count);
    return scratch_bytes(&s, format) + rows * (uint64_t)s.out_hidden * sizeof(float);
}

static float *allocate(uint64_t floats) {
    return aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64 + 64);
}

void weft_vision_embeds_free(weft_vision_embeds *embeds) {
    free(embeds->rows);
    free(embeds->deepstack);
    *embeds = (weft_vision_embeds){0};
}

static void free_scratch(weft_vision_run *run) {
    free(run->x);
    free(run->kv);
    free(run->slabs);
    free(run->normed);
    free(run->queries);
    free(run->wide);
    free(run->k_pages);
    free(run->v_pages);
    free(run->heads_out);
    run->x = run->kv = run->normed = run->queries = run->wide = run->heads_out = NULL;
    run->k_pages = run->v_pages = NULL;
    run->slabs = NULL;
}

static weft_status allocate_run(weft_vision_run *run, weft_error *err) {
    const weft_vision_shape *s = &run->shape;
    int taps = run->vision->deepstack_count, threads = weft_pool_threads(weft_compute_pool(run->compute));
    run->x = allocate((uint64_t)s->patches * s->hidden);
    size_t slabs = slabs_bytes(s, run->format);
    bool keeps_slabs = slabs > 0;
    run->kv = allocate(kv_floats(s, run->format));
    run->slab_bytes = weft_kv_slab_bytes(run->format, (int)s->head_dim);
    if (keeps_slabs) run->slabs = aligned_alloc(64, (slabs + 63) / 64 * 64);
    run->normed = allocate((uint64_t)s->chunk_rows * s->hidden);
    if (run->slabs) memset(run->slabs, 0, slabs); /* the last page's rest */
    run->queries = allocate((uint64_t)s->chunk_rows * s->hidden);
    run->wide = allocate((uint64_t)s->chunk_rows * s->wide);
    run->heads_out = allocate((uint64_t)threads * WEFT_ATTENTION_ROWS_MAX * s->head_dim);
    run->k_pages = malloc((size_t)(s->heads * s->pages) * sizeof *run->k_pages);
    run->v_pages = malloc((size_t)(s->heads * s->pages) * sizeof *run->v_pages);
    uint64_t result = (uint64_t)(s->grid.t * s->tokens) * (uint64_t)s->out_hidden;
    run->embeds =
        (weft_vision_embeds){.tokens = s->grid.t * s->tokens, .hidden = s->out_hidden, .deepstack_count = taps};
    run->embeds.rows = allocate(result);
    run->embeds.deepstack = allocate(result * (uint64_t)taps);
    if (!run->x || !run->kv || (keeps_slabs && !run->slabs) || !run->normed || !run->queries || !run->wide ||
        !run->heads_out || !run->k_pages || !run->v_pages || !run->embeds.rows || !run->embeds.deepstack)
        return weft_fail(err, WEFT_ERR_MEMORY, "vision: no memory for %lld patches (%llu MB); lower max_pixels",
                         (long long)s->patches,
                         (unsigned long long)(weft_vision_bytes(run->config, run->format, s->grid) >> 20));
    for (int64_t head = 0; head < s->heads; head++)
        for (int64_t page = 0; page < s->pages; page++) {
            int64_t at = head * s->pages + page;
            if (keeps_slabs) {
                run->k_pages[at] = run->slabs + run->slab_bytes * (size_t)at;
                run->v_pages[at] = run->slabs + run->slab_bytes * (size_t)(s->heads * s->pages + at);
                continue;
            }
            const float *row = run->kv + page * WEFT_KV_PAGE_ROWS * 2 * s->hidden + head * s->head_dim;
            run->k_pages[at] = row;
            run->v_pages[at] = row + s->hidden;
        }
    return WEFT_OK;
}

/* ---- slices ----------------------------------------------------------------------------------------------------- */

static weft_status check_shape(const weft_config *config, const weft_pixels *pixels, weft_error *err) {
    const weft_vision_config *v = &config->vision;
    if (!v->present) return weft_fail(err, WEFT_ERR_UNSUPPORTED, "this model has no vision tower");
    if (v->hidden_size < 1 || v->heads < 1 || v->hidden_size % v->heads || v->hidden_size / v->heads % 4 ||
        v->hidden_size / v->heads > WEFT_VISION_HEAD_DIM_MAX || v->hidden_size / v->heads < 8)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "vision: hidden %lld over %lld heads: a head must be a multiple of 4 from 8 to %d values",
                         (long long)v->hidden_size, (long long)v->heads, WEFT_VISION_HEAD_DIM_MAX);
    if (v->channels != 3 || v->merge_size < 1 || v->merge_size > 16 || v->position_side < 1 || v->layers < 0 ||
        v->deepstack_count < 0 || v->deepstack_count > WEFT_DEEPSTACK_MAX || v->out_hidden_size < 1)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "vision: a shape that the encoder does not run");
    for (int i = 0; i < v->deepstack_count; i++)
        if (v->deepstack_layers[i] < (i ? v->deepstack_layers[i - 1] + 1 : 0) || v->deepstack_layers[i] >= v->layers)
            return weft_fail(err, WEFT_ERR_UNSUPPORTED, "vision: DeepStack layer %d of %lld, or out of order",
                             v->deepstack_layers[i], (long long)v->layers);
    weft_grid g = pixels->grid;
    if (g.t < 1 || g.h < 1 || g.w < 1 || g.h % v->merge_size || g.w % v->merge_size)
        return weft_fail(err, WEFT_ERR_INVALID, "vision: a grid of %lld x %lld x %lld patches with merge size %lld",
                         (long long)g.t, (long long)g.h, (long long)g.w, (long long)v->merge_size);
    return WEFT_OK;
}

weft_status weft_vision_begin(const weft_config *config, const weft_vision_weights *weights, const weft_pixels *pixels,
                              const weft_pixels_config *pixels_config, const weft_compute *compute,
                              weft_kv_format format, weft_vision_run **out, weft_error *err) {
    *out = NULL;
    WEFT_TRY(check_shape(config, pixels, err));
    weft_vision_run *run = calloc(1, sizeof *run);
    if (!run) return weft_fail(err, WEFT_ERR_MEMORY, "vision: no memory");
    run->config = config;
    run->vision = &config->vision;
    run->weights = weights;
    run->pixels = pixels;
    run->pixels_config = *pixels_config;
    run->compute = compute;
    run->format = format;
    run->kernels = weft_compute_kernels(compute);
    run->shape = weft_vision_shape_of(config, pixels->grid);
    weft_vision_rotary_init(run);
    weft_status status = allocate_run(run, err);
    if (status == WEFT_OK)
        *out = run;
    else
        weft_vision_end(run);
    return status;
}

/* Moves to the next slice: chunk by chunk, through the phases of a layer, layer by layer, group by group. */
static void advance(weft_vision_run *run) {
    run->done++;
    if (++run->chunk < run->shape.chunks) return;
    run->chunk = 0;
    switch (run->phase) {
    case WEFT_VISION_EMBED:
        run->layer = 0;
        run->phase = run->vision->layers > 0 ? WEFT_VISION_KEYS : WEFT_VISION_MERGE;
        return;
    case WEFT_VISION_KEYS: run->phase = WEFT_VISION_ROWS; return;
    case WEFT_VISION_ROWS:
    case WEFT_VISION_TAP:
        if (run->phase == WEFT_VISION_ROWS && weft_vision_tap(run->vision, run->layer) >= 0) {
            run->phase = WEFT_VISION_TAP;
            return;
        }
        run->layer++;
        run->phase = run->layer < run->vision->layers ? WEFT_VISION_KEYS : WEFT_VISION_MERGE;
        return;
    case WEFT_VISION_MERGE:
        run->group++;
        run->phase = run->group < run->shape.grid.t ? WEFT_VISION_EMBED : WEFT_VISION_DONE;
        return;
    case WEFT_VISION_DONE: return;
    }
}

weft_status weft_vision_step(weft_vision_run *run, bool *finished, int64_t *done, int64_t *total, weft_error *err) {
    int64_t first = run->chunk * run->shape.chunk_rows, left = run->shape.patches - first;
    int64_t rows = left < run->shape.chunk_rows ? left : run->shape.chunk_rows;
    switch (run->phase) {
    case WEFT_VISION_EMBED: weft_vision_embed(run, first, rows); break;
    case WEFT_VISION_KEYS: weft_vision_keys(run, first, rows); break;
    case WEFT_VISION_ROWS: weft_vision_rows(run, first, rows); break;
    case WEFT_VISION_TAP: {
        int tap = weft_vision_tap(run->vision, run->layer);
        int64_t offset = (int64_t)tap * run->embeds.tokens;
        weft_vision_merge(run, &run->weights->deepstack[tap], true, first, rows,
                          run->embeds.deepstack + offset * run->embeds.hidden);
        break;
    }
    case WEFT_VISION_MERGE: weft_vision_merge(run, &run->weights->merger, false, first, rows, run->embeds.rows); break;
    case WEFT_VISION_DONE: return weft_fail(err, WEFT_ERR_INTERNAL, "vision: a step after the last one");
    }
    advance(run);
    if (run->phase == WEFT_VISION_DONE) free_scratch(run);
    *finished = run->phase == WEFT_VISION_DONE;
    *done = run->done;
    *total = run->shape.steps_per_group * run->shape.grid.t;
    return WEFT_OK;
}

bool weft_vision_reads_pixels(const weft_vision_run *run, int64_t *group) {
    *group = run->group;
    return run->phase == WEFT_VISION_EMBED;
}

void weft_vision_take(weft_vision_run *run, weft_vision_embeds *embeds) {
    *embeds = run->embeds;
    run->embeds = (weft_vision_embeds){0};
}

void weft_vision_end(weft_vision_run *run) {
    if (!run) return;
    free_scratch(run);
    weft_vision_embeds_free(&run->embeds);
    free(run);
}
