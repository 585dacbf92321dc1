/* The decoder: embedding, layers, final norm and head. See decoder.h.
 *
 * transformers: Qwen3VLTextModel, Qwen3VLTextDecoderLayer. DeepStack row i is added after layer i, at visual rows only. */
#include <stdlib.h>
#include <string.h>

#include "decoder/decoder_internal.h"

enum { WORKSPACE_ALIGN = 64, ROW_GRAIN = 8 };

/* Counts, then hands out, aligned pieces of the one workspace allocation. */
typedef struct carver {
    char *base; /* NULL while counting */
    size_t used;
} carver;

static void *carve(carver *c, size_t count, size_t size) {
    size_t at = c->used;
    c->used += (count * size + WORKSPACE_ALIGN - 1) / WORKSPACE_ALIGN * WORKSPACE_ALIGN;
    return c->base ? c->base + at : NULL;
}

static bool has_dense_layer(const weft_text_weights *weights, int64_t layers) {
    for (int64_t i = 0; i < layers; i++)
        if (!weights->layers[i].moe) return true;
    return false;
}

static size_t carve_workspace(weft_decoder *d, char *base) {
    const weft_text_config *text = &d->config->text;
    size_t rows = (size_t)d->max_rows, hidden = (size_t)text->hidden_size, hd = (size_t)text->head_dim;
    carver c = {base, 0};
    d->hidden = carve(&c, rows * hidden, sizeof(float));
    d->normed = carve(&c, rows * hidden, sizeof(float));
    d->q = carve(&c, rows * (size_t)text->heads * hd, sizeof(float));
    d->k = carve(&c, rows * (size_t)text->kv_heads * hd, sizeof(float));
    d->v = carve(&c, rows * (size_t)text->kv_heads * hd, sizeof(float));
    d->attended = carve(&c, rows * (size_t)text->heads * hd, sizeof(float));
    size_t ffn = has_dense_layer(d->weights, text->layers) ? (size_t)text->intermediate_size : 0;
    d->gate = carve(&c, rows * ffn, sizeof(float));
    d->up = carve(&c, rows * ffn, sizeof(float));
    d->cos = carve(&c, rows * hd / 2, sizeof(float));
    d->sin = carve(&c, rows * hd / 2, sizeof(float));
    d->pages = carve(&c, (size_t)weft_pool_threads(d->pool) * 2 * (size_t)d->max_pages, sizeof(void *));
    d->block = carve(&c, rows, sizeof(int64_t));
    size_t part_rows = 4 * (size_t)weft_pool_threads(d->pool) * WEFT_ATTENTION_ROWS_MAX; /* tasks * parts < 4 threads */
    d->parts_out = carve(&c, part_rows * hd, sizeof(float));
    d->parts_log_sums = carve(&c, part_rows, sizeof(float));
    if (text->experts > 0) {
        size_t experts = (size_t)text->experts, k = (size_t)text->experts_per_token, mid = (size_t)text->moe_intermediate_size;
        weft_moe_scratch *moe = &d->moe;
        moe->router = carve(&c, rows * experts, sizeof(float));
        moe->expert = carve(&c, rows * k, sizeof(int32_t));
        moe->weight = carve(&c, rows * k, sizeof(float));
        moe->row_list = carve(&c, rows * k, sizeof(int64_t));
        moe->weight_list = carve(&c, rows * k, sizeof(float));
        moe->first = carve(&c, experts + 1, sizeof(int64_t));
        moe->input = carve(&c, rows * hidden, sizeof(float));
        moe->gate = carve(&c, rows * mid, sizeof(float));
        moe->up = carve(&c, rows * mid, sizeof(float));
        moe->output = carve(&c, rows * hidden, sizeof(float));
    }
    return c.used;
}

weft_status weft_decoder_create(const weft_config *config, const weft_text_weights *weights, const weft_compute *compute,
                                weft_kv_format format, int64_t max_rows, int64_t max_context, weft_decoder **out,
                                weft_error *err) {
    *out = NULL;
    if (config->text.heads / config->text.kv_heads > WEFT_ATTENTION_ROWS_MAX)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%lld query heads per kv head are over the limit of %d",
                         (long long)(config->text.heads / config->text.kv_heads), WEFT_ATTENTION_ROWS_MAX);
    weft_decoder *d = calloc(1, sizeof *d);
    if (!d) return weft_fail(err, WEFT_ERR_MEMORY, "decoder: no memory");
    d->config = config;
    d->weights = weights;
    d->compute = compute;
    d->kernels = weft_compute_kernels(compute);
    d->pool = weft_compute_pool(compute);
    d->geometry = weft_kv_geometry_of(&config->text, format);
    d->max_rows = max_rows;
    d->max_pages = (max_context + WEFT_KV_PAGE_ROWS - 1) / WEFT_KV_PAGE_ROWS;
    weft_status status = weft_rope_create(&config->text, &d->rope, err);
    if (status == WEFT_OK) {
        size_t bytes = carve_workspace(d, NULL);
        d->memory = aligned_alloc(WORKSPACE_ALIGN, bytes);
        if (d->memory)
            carve_workspace(d, d->memory);
        else
            status = weft_fail(err, WEFT_ERR_MEMORY, "decoder: no memory for %zu bytes of scratch", bytes);
    }
    if (status != WEFT_OK) {
        weft_decoder_destroy(d);
        return status;
    }
    *out = d;
    return WEFT_OK;
}

void weft_decoder_destroy(weft_decoder *d) {
    if (!d) return;
    weft_rope_free(&d->rope);
    free(d->memory);
    free(d);
}

const weft_kv_geometry *weft_decoder_geometry(const weft_decoder *d) { return &d->geometry; }

void weft_decoder_set_tap(weft_decoder *d, weft_layer_tap *tap, void *context) {
    d->tap = tap;
    d->tap_context = context;
}

typedef struct rows_job {
    weft_decoder *decoder;
    const weft_step_row *rows;
    const float *weight; /* norm_rows */
} rows_job;

static void embed_rows(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const rows_job *job = context;
    weft_decoder *d = job->decoder;
    int64_t hidden = d->config->text.hidden_size;
    for (int64_t r = begin; r < end; r++) {
        const weft_step_row *row = &job->rows[r];
        if (row->embed)
            memcpy(d->hidden + r * hidden, row->embed, sizeof(float) * (size_t)hidden);
        else
            weft_matrix_row(d->kernels, &d->weights->embed, row->token, d->hidden + r * hidden);
        weft_rope_row(&d->rope, row->position, row->sequence_length, d->cos + r * d->rope.pairs, d->sin + r * d->rope.pairs);
    }
}

static void norm_rows(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const rows_job *job = context;
    weft_decoder *d = job->decoder;
    int64_t hidden = d->config->text.hidden_size;
    for (int64_t r = begin; r < end; r++)
        d->kernels->rms_norm(d->normed + r * hidden, d->hidden + r * hidden, job->weight, hidden, (float)d->config->text.rms_norm_eps);
}

static void activate_rows(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    weft_decoder *d = ((const rows_job *)context)->decoder;
    int64_t ffn = d->config->text.intermediate_size;
    d->kernels->silu_mul(d->gate + begin * ffn, d->gate + begin * ffn, d->up + begin * ffn, (end - begin) * ffn);
}

static void dense_mlp(weft_decoder *d, const weft_text_layer *layer, int64_t count) {
    int64_t hidden = d->config->text.hidden_size, ffn = d->config->text.intermediate_size;
    weft_matmul(d->compute, d->gate, ffn, d->normed, hidden, count, &layer->gate, NULL, false);
    weft_matmul(d->compute, d->up, ffn, d->normed, hidden, count, &layer->up, NULL, false);
    rows_job job = {.decoder = d};
    weft_parallel_for(d->pool, count, ROW_GRAIN, activate_rows, &job);
    weft_matmul(d->compute, d->hidden, hidden, d->gate, ffn, count, &layer->down, NULL, true);
}

static void run_layer(weft_decoder *d, int64_t index, const weft_step_row *rows, int64_t count) {
    const weft_text_config *text = &d->config->text;
    const weft_text_layer *layer = &d->weights->layers[index];
    int64_t hidden = text->hidden_size, q_width = text->heads * text->head_dim, kv_width = text->kv_heads * text->head_dim;
    rows_job job = {.decoder = d, .rows = rows, .weight = layer->input_norm};
    weft_parallel_for(d->pool, count, ROW_GRAIN, norm_rows, &job);
    weft_matmul(d->compute, d->q, q_width, d->normed, hidden, count, &layer->q, NULL, false);
    weft_matmul(d->compute, d->k, kv_width, d->normed, hidden, count, &layer->k, NULL, false);
    weft_matmul(d->compute, d->v, kv_width, d->normed, hidden, count, &layer->v, NULL, false);
    weft_decoder_attention(d, index, rows, count);
    weft_matmul(d->compute, d->hidden, hidden, d->attended, q_width, count, &layer->o, NULL, true);

    job.weight = layer->post_norm;
    weft_parallel_for(d->pool, count, ROW_GRAIN, norm_rows, &job);
    if (layer->moe)
        weft_decoder_moe(d, layer, count);
    else
        dense_mlp(d, layer, count);

    if (index < d->config->vision.deepstack_count)
        for (int64_t r = 0; r < count; r++)
            if (rows[r].deepstack)
                d->kernels->add(d->hidden + r * hidden, rows[r].deepstack + index * rows[r].deepstack_stride, hidden);
    if (d->tap) d->tap(d->tap_context, index, d->hidden, count);
}

void weft_decoder_step(weft_decoder *d, const weft_step_row *rows, int64_t count, float *logits) {
    const weft_text_config *text = &d->config->text;
    int64_t hidden = text->hidden_size;
    rows_job job = {.decoder = d, .rows = rows};
    weft_parallel_for(d->pool, count, ROW_GRAIN, embed_rows, &job);
    for (int64_t i = 0; i < text->layers; i++) run_layer(d, i, rows, count);

    int64_t wanted = 0;
    for (int64_t r = 0; r < count; r++) {
        float *normed = d->normed + wanted * hidden;
        if (!rows[r].logits && !rows[r].state) continue;
        d->kernels->rms_norm(normed, d->hidden + r * hidden, d->weights->norm, hidden, (float)text->rms_norm_eps);
        if (rows[r].state) memcpy(rows[r].state, normed, (size_t)hidden * sizeof *normed);
        wanted += rows[r].logits;
    }
    if (wanted) weft_matmul(d->compute, logits, text->vocab_size, d->normed, hidden, wanted, &d->weights->output, NULL, false);
}
