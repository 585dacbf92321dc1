/* The arithmetic of the vision tower, one function per phase; see encoder.c for memory and order.
 *
 * Sources: Qwen3VLVisionPatchEmbed, Qwen3VLVisionRotaryEmbedding, Qwen3VLVisionBlock and Qwen3VLVisionPatchMerger of
 * transformers' modeling_qwen3_vl.py; the position table follows vision_utils.py (bilinear, align-corners). */
#include <math.h>
#include <string.h>

#include "vision/encoder.h"

enum { ROW_GRAIN = 8 };

typedef struct row_job { /* what the parallel loops over rows need */
    weft_vision_run *run;
    int64_t first; /* of the group's patches */
    float *target;
    const float *norm_weight, *norm_bias;
    int64_t width;
} row_job;

static void parallel_rows(weft_vision_run *run, int64_t count, weft_parallel_body *body, row_job *job) {
    weft_parallel_for(weft_compute_pool(run->compute), count, ROW_GRAIN, body, job);
}

/* ---- patch embedding -------------------------------------------------------------------------------------------- */

static void patches_body(void *context, int64_t begin, int64_t end, int thread) {
    const row_job *job = context;
    weft_vision_run *run = job->run;
    (void)thread;
    int64_t index = run->group * run->shape.patches + job->first + begin;
    weft_pixels_patches(run->pixels, run->vision, &run->pixels_config, index, end - begin,
                        run->wide + begin * run->shape.patch_values);
}

/* The two table rows around a position on an axis of `size` patches, and the weight of the second one. Computed in f32
 * as transformers does: index * (side - 1) / max(size - 1, 1). */
static float axis_taps(int64_t index, int64_t size, int64_t side, int64_t *low, int64_t *high) {
    float position = (float)index * (float)(side - 1) / (float)(size > 1 ? size - 1 : 1);
    float floor = floorf(position);
    *low = (int64_t)floor < side - 1 ? (int64_t)floor : side - 1;
    *high = *low + 1 < side ? *low + 1 : side - 1;
    return position - floor;
}

static void positions_body(void *context, int64_t begin, int64_t end, int thread) {
    const row_job *job = context;
    weft_vision_run *run = job->run;
    (void)thread;
    int64_t hidden = run->shape.hidden, side = run->vision->position_side;
    for (int64_t i = begin; i < end; i++) {
        int64_t t, row, column, rows[2], columns[2];
        weft_grid_place(run->shape.grid, run->vision->merge_size, job->first + i, &t, &row, &column);
        float down = axis_taps(row, run->shape.grid.h, side, &rows[0], &rows[1]);
        float across = axis_taps(column, run->shape.grid.w, side, &columns[0], &columns[1]);
        float weights[4] = {(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across};
        const float *corner[4];
        for (int k = 0; k < 4; k++)
            corner[k] = run->weights->positions + (rows[k / 2] * side + columns[k % 2]) * hidden;
        float *x = run->x + (job->first + i) * hidden;
        for (int64_t j = 0; j < hidden; j++)
            x[j] += corner[0][j] * weights[0] + corner[1][j] * weights[1] + corner[2][j] * weights[2] +
                    corner[3][j] * weights[3];
    }
}

void weft_vision_embed(weft_vision_run *run, int64_t first, int64_t rows) {
    row_job job = {.run = run, .first = first};
    int64_t values = run->shape.patch_values, hidden = run->shape.hidden;
    parallel_rows(run, rows, patches_body, &job);
    weft_matmul(run->compute, run->x + first * hidden, hidden, run->wide, values, rows, &run->weights->patch_embed,
                run->weights->patch_bias, false);
    parallel_rows(run, rows, positions_body, &job);
}

/* ---- rotary embedding ------------------------------------------------------------------------------------------- */

/* 1 / theta^(2i / (head_dim / 2)), in f32 as transformers does; theta is 10,000 in every published checkpoint. */
void weft_vision_rotary_init(weft_vision_run *run) {
    int64_t spatial = run->shape.head_dim / 2;
    float theta = run->config->vision.rope_theta > 0 ? (float)run->config->vision.rope_theta : 10000.0f;
    for (int64_t i = 0; i < spatial / 2; i++) run->inv_freq[i] = 1.0f / powf(theta, (float)(2 * i) / (float)spatial);
}

/* Turns the heads of rows of queries or keys: the first half of the pairs by the patch's row, the second by its column.
 */
static void rotary_body(void *context, int64_t begin, int64_t end, int thread) {
    const row_job *job = context;
    weft_vision_run *run = job->run;
    (void)thread;
    int64_t head_dim = run->shape.head_dim, quarter = head_dim / 4;
    for (int64_t i = begin; i < end; i++) {
        float cos[WEFT_VISION_HEAD_DIM_MAX / 2], sin[WEFT_VISION_HEAD_DIM_MAX / 2];
        int64_t t, row, column;
        weft_grid_place(run->shape.grid, run->vision->merge_size, job->first + i, &t, &row, &column);
        for (int64_t j = 0; j < quarter; j++) {
            float by_row = (float)row * run->inv_freq[j], by_column = (float)column * run->inv_freq[j];
            cos[j] = cosf(by_row), sin[j] = sinf(by_row);
            cos[quarter + j] = cosf(by_column), sin[quarter + j] = sinf(by_column);
        }
        for (int64_t head = 0; head < run->shape.heads; head++)
            run->kernels->rope_half(job->target + i * job->width + head * head_dim, cos, sin, 2 * quarter);
    }
}

/* ---- blocks ----------------------------------------------------------------------------------------------------- */

static void norm_body(void *context, int64_t begin, int64_t end, int thread) {
    const row_job *job = context;
    weft_vision_run *run = job->run;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        run->kernels->layer_norm(run->normed + i * job->width, run->x + job->first * run->shape.hidden + i * job->width,
                                 job->norm_weight, job->norm_bias, job->width, (float)run->vision->layer_norm_eps);
}

/* normed = LayerNorm over runs of `width` values of x, from patch `first` on. */
static void norm_rows(weft_vision_run *run, int64_t first, int64_t count, int64_t width, const float *weight,
                      const float *bias) {
    row_job job = {.run = run, .first = first, .norm_weight = weight, .norm_bias = bias, .width = width};
    parallel_rows(run, count, norm_body, &job);
}

/* Outputs [first, first + count) of a matrix as a matrix of its own, where the way it is stored allows that. */
static bool output_view(const weft_matrix *matrix, int64_t first, int64_t count, weft_matrix *view) {
    enum { SCALE_BLOCK = 128 };
    if (matrix->transposed || (matrix->block_scales && first % SCALE_BLOCK)) return false;
    *view = weft_matrix_rows(matrix, first, count);
    if (matrix->block_scales)
        view->block_scales += first / SCALE_BLOCK * ((matrix->cols + SCALE_BLOCK - 1) / SCALE_BLOCK);
    return true;
}

/* out [rows, count] (stride `stride`) = outputs [begin, begin + count) of the qkv projection of `normed`. */
static void project_qkv(weft_vision_run *run, int64_t begin, int64_t count, int64_t rows, float *out, int64_t stride) {
    const weft_vision_layer *layer = &run->weights->layers[run->layer];
    int64_t hidden = run->shape.hidden;
    weft_matrix view;
    if (output_view(&layer->qkv, begin, count, &view)) {
        weft_matmul(run->compute, out, stride, run->normed, hidden, rows, &view,
                    layer->qkv_bias ? layer->qkv_bias + begin : NULL, false);
        return;
    }
    weft_matmul(run->compute, run->wide, 3 * hidden, run->normed, hidden, rows, &layer->qkv, layer->qkv_bias, false);
    for (int64_t i = 0; i < rows; i++)
        memcpy(out + i * stride, run->wide + i * 3 * hidden + begin, (size_t)count * sizeof *out);
}

/* Rows of keys and values from `kv` to their slabs. */
static void store_body(void *context, int64_t begin, int64_t end, int thread) {
    const row_job *job = context;
    weft_vision_run *run = job->run;
    const weft_vision_shape *s = &run->shape;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t page = (job->first + i) / WEFT_KV_PAGE_ROWS;
        int slot = (int)((job->first + i) % WEFT_KV_PAGE_ROWS), dim = (int)s->head_dim;
        for (int64_t head = 0; head < s->heads; head++) {
            const float *key = job->target + i * job->width + head * s->head_dim;
            char *slab = run->slabs + run->slab_bytes * (size_t)(head * s->pages + page);
            run->kernels->kv_store(slab, run->format, dim, slot, key);
            slab += run->slab_bytes * (size_t)(s->heads * s->pages);
            run->kernels->kv_store(slab, run->format, dim, slot, key + s->hidden);
        }
    }
}

void weft_vision_keys(weft_vision_run *run, int64_t first, int64_t rows) {
    const weft_vision_layer *layer = &run->weights->layers[run->layer];
    int64_t hidden = run->shape.hidden;
    float *kv = run->slabs ? run->kv : run->kv + first * 2 * hidden;
    norm_rows(run, first, rows, hidden, layer->norm1_weight, layer->norm1_bias);
    project_qkv(run, hidden, 2 * hidden, rows, kv, 2 * hidden);
    row_job job = {.run = run, .first = first, .target = kv, .width = 2 * hidden};
    parallel_rows(run, rows, rotary_body, &job);
    if (run->slabs) parallel_rows(run, rows, store_body, &job);
}

typedef struct attention_job {
    weft_vision_run *run;
    int64_t rows, blocks;
} attention_job;

/* Item = one head of one block of rows. The result takes the queries' place, by way of the thread's own buffer, since a
 * kernel may write a row before it has read the next. */
static void attention_body(void *context, int64_t begin, int64_t end, int thread) {
    const attention_job *job = context;
    weft_vision_run *run = job->run;
    const weft_vision_shape *s = &run->shape;
    float *out[WEFT_ATTENTION_ROWS_MAX];
    const float *q[WEFT_ATTENTION_ROWS_MAX];
    int64_t visible[WEFT_ATTENTION_ROWS_MAX];
    for (int64_t item = begin; item < end; item++) {
        int64_t head = item / job->blocks, row = item % job->blocks * WEFT_ATTENTION_ROWS_MAX;
        int rows = (int)(job->rows - row < WEFT_ATTENTION_ROWS_MAX ? job->rows - row : WEFT_ATTENTION_ROWS_MAX);
        float *queries = run->queries + row * s->hidden + head * s->head_dim;
        float *result = run->heads_out + (int64_t)thread * WEFT_ATTENTION_ROWS_MAX * s->head_dim;
        for (int r = 0; r < rows; r++) {
            q[r] = queries + r * s->hidden;
            out[r] = result + r * s->head_dim;
            visible[r] = s->patches;
        }
        weft_attention_task task = {
            .out = out,
            .q = q,
            .rows = rows,
            .head_dim = (int)s->head_dim,
            .visible = visible,
            .format = run->format,
            .k_pages = run->k_pages + head * s->pages,
            .v_pages = run->v_pages + head * s->pages,
            .kv_stride = 2 * s->hidden,
            .scale = 1.0f / sqrtf((float)s->head_dim),
            .coarse = true, /* beside the rounding of the tower's matrices */
            .coarse_weights = true,
            .scratch = weft_compute_scratch(run->compute, thread),
        };
        run->kernels->attention(&task);
        for (int r = 0; r < rows; r++) memcpy(queries + r * s->hidden, out[r], (size_t)s->head_dim * sizeof(float));
    }
}

static void gelu_tanh_body(void *context, int64_t begin, int64_t end, int thread) {
    const row_job *job = context;
    (void)thread;
    job->run->kernels->gelu_tanh(job->target + begin * job->width, (end - begin) * job->width);
}

static void gelu_erf_body(void *context, int64_t begin, int64_t end, int thread) {
    const row_job *job = context;
    (void)thread;
    job->run->kernels->gelu_erf(job->target + begin * job->width, (end - begin) * job->width);
}

static void attend(weft_vision_run *run, int64_t first, int64_t rows) {
    const weft_vision_layer *layer = &run->weights->layers[run->layer];
    int64_t hidden = run->shape.hidden;
    norm_rows(run, first, rows, hidden, layer->norm1_weight, layer->norm1_bias);
    project_qkv(run, 0, hidden, rows, run->queries, hidden);
    row_job job = {.run = run, .first = first, .target = run->queries, .width = hidden};
    parallel_rows(run, rows, rotary_body, &job);
    attention_job attention = {run, rows, (rows + WEFT_ATTENTION_ROWS_MAX - 1) / WEFT_ATTENTION_ROWS_MAX};
    weft_parallel_for(weft_compute_pool(run->compute), attention.blocks * run->shape.heads, 1, attention_body,
                      &attention);
    weft_matmul(run->compute, run->x + first * hidden, hidden, run->queries, hidden, rows, &layer->proj,
                layer->proj_bias, true);
}

void weft_vision_rows(weft_vision_run *run, int64_t first, int64_t rows) {
    const weft_vision_layer *layer = &run->weights->layers[run->layer];
    int64_t hidden = run->shape.hidden, inner = run->vision->intermediate_size;
    attend(run, first, rows);
    norm_rows(run, first, rows, hidden, layer->norm2_weight, layer->norm2_bias);
    weft_matmul(run->compute, run->wide, inner, run->normed, hidden, rows, &layer->fc1, layer->fc1_bias, false);
    row_job job = {.run = run, .target = run->wide, .width = inner};
    parallel_rows(run, rows, gelu_tanh_body, &job);
    weft_matmul(run->compute, run->x + first * hidden, hidden, run->wide, inner, rows, &layer->fc2, layer->fc2_bias,
                true);
}

/* ---- mergers ---------------------------------------------------------------------------------------------------- */

int weft_vision_tap(const weft_vision_config *vision, int64_t layer) {
    for (int i = 0; i < vision->deepstack_count; i++)
        if (vision->deepstack_layers[i] == layer) return i;
    return -1;
}

/* Patches come in merge order, so the `unit` patches of a token are neighbours: concatenating them is reading on. */
void weft_vision_merge(weft_vision_run *run, const weft_vision_merger *merger, bool concatenated, int64_t first,
                       int64_t rows, float *out) {
    const weft_vision_shape *s = &run->shape;
    int64_t tokens = rows / s->unit, width = s->unit * s->hidden;
    norm_rows(run, first, concatenated ? tokens : rows, concatenated ? width : s->hidden, merger->norm_weight,
              merger->norm_bias);
    weft_matmul(run->compute, run->wide, width, run->normed, width, tokens, &merger->fc1, merger->fc1_bias, false);
    row_job job = {.run = run, .target = run->wide, .width = width};
    parallel_rows(run, tokens, gelu_erf_body, &job);
    out += (run->group * s->tokens + first / s->unit) * s->out_hidden;
    weft_matmul(run->compute, out, s->out_hidden, run->wide, width, tokens, &merger->fc2, merger->fc2_bias, false);
}
