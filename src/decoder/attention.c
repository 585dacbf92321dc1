/* Attention of one decoder layer: q/k norm, rotary turn, cache write, and the attention of every row over its sequence.
 *
 * A task is (block of rows of one sequence, kv head): the query heads of the group and the rows of the block are folded
 * into one set of query rows, so that each key and value is read once for all of them. */
#include <math.h>
#include <string.h>

#include "decoder/decoder_internal.h"

typedef struct attention_job {
    weft_decoder *decoder;
    const weft_text_layer *weights;
    const weft_step_row *rows;
    int64_t layer, count, blocks;
} attention_job;

/* Rows [begin, end): norm and turn q and k, store k and v. */
static void prepare_rows(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const attention_job *job = context;
    weft_decoder *d = job->decoder;
    const weft_kernels *kernels = d->kernels;
    const weft_text_config *text = &d->config->text;
    const weft_kv_geometry *g = &d->geometry;
    int64_t hd = text->head_dim, pairs = d->rope.pairs;
    float eps = (float)text->rms_norm_eps;
    for (int64_t r = begin; r < end; r++) {
        const weft_step_row *row = &job->rows[r];
        const float *cos_row = d->cos + r * pairs, *sin_row = d->sin + r * pairs;
        for (int64_t h = 0; h < text->heads; h++) {
            float *q = d->q + (r * text->heads + h) * hd;
            kernels->rms_norm(q, q, job->weights->q_norm, hd, eps);
            kernels->rope_half(q, cos_row, sin_row, pairs);
        }
        char *page = row->pages[row->index / WEFT_KV_PAGE_ROWS];
        int slot = (int)(row->index % WEFT_KV_PAGE_ROWS);
        for (int64_t h = 0; h < text->kv_heads; h++) {
            float *k = d->k + (r * text->kv_heads + h) * hd;
            const float *v = d->v + (r * text->kv_heads + h) * hd;
            kernels->rms_norm(k, k, job->weights->k_norm, hd, eps);
            kernels->rope_half(k, cos_row, sin_row, pairs);
            kernels->kv_store(page + weft_kv_slab_offset(g, job->layer, 0, h), g->format, g->head_dim, slot, k);
            kernels->kv_store(page + weft_kv_slab_offset(g, job->layer, 1, h), g->format, g->head_dim, slot, v);
        }
    }
}

static void attend_tasks(void *context, int64_t begin, int64_t end, int thread) {
    const attention_job *job = context;
    weft_decoder *d = job->decoder;
    const weft_text_config *text = &d->config->text;
    const weft_kv_geometry *g = &d->geometry;
    int64_t hd = text->head_dim, group = text->heads / text->kv_heads;
    const void **k_pages = d->pages + (int64_t)thread * 2 * d->max_pages, **v_pages = k_pages + d->max_pages;
    for (int64_t task = begin; task < end; task++) {
        int64_t block = task / text->kv_heads, head = task % text->kv_heads;
        int64_t first = d->block[block], last = block + 1 < job->blocks ? d->block[block + 1] : job->count;
        float *out[WEFT_ATTENTION_ROWS_MAX];
        const float *q[WEFT_ATTENTION_ROWS_MAX];
        int64_t visible[WEFT_ATTENTION_ROWS_MAX];
        int n = 0;
        for (int64_t r = first; r < last; r++)
            for (int64_t j = 0; j < group; j++, n++) {
                int64_t at = (r * text->heads + head * group + j) * hd;
                out[n] = d->attended + at;
                q[n] = d->q + at;
                visible[n] = job->rows[r].index + 1;
            }
        const weft_step_row *row = &job->rows[last - 1];
        size_t k_offset = weft_kv_slab_offset(g, job->layer, 0, head), v_offset = weft_kv_slab_offset(g, job->layer, 1, head);
        for (int64_t p = 0; p <= row->index / WEFT_KV_PAGE_ROWS; p++) {
            k_pages[p] = (const char *)row->pages[p] + k_offset;
            v_pages[p] = (const char *)row->pages[p] + v_offset;
        }
        weft_attention_task attention = {
            .out = out, .q = q, .rows = n, .head_dim = g->head_dim, .visible = visible, .format = g->format,
            .k_pages = k_pages, .v_pages = v_pages, .kv_stride = g->head_dim, .scale = 1.0f / sqrtf((float)hd),
            .scratch = weft_compute_scratch(d->compute, thread),
        };
        d->kernels->attention(&attention);
    }
}

void weft_decoder_attention(weft_decoder *d, int64_t layer, const weft_step_row *rows, int64_t count) {
    const weft_text_config *text = &d->config->text;
    attention_job job = {d, &d->weights->layers[layer], rows, layer, count, 0};
    weft_parallel_for(d->pool, count, 4, prepare_rows, &job);

    int64_t group = text->heads / text->kv_heads, block_rows = WEFT_ATTENTION_ROWS_MAX / group;
    if (block_rows < 1) block_rows = 1;
    for (int64_t r = 0; r < count;) { /* cut where the sequence changes or the block is full */
        d->block[job.blocks++] = r;
        int64_t end = r + 1;
        while (end < count && end - r < block_rows && rows[end].pages == rows[r].pages) end++;
        r = end;
    }
    weft_parallel_for(d->pool, job.blocks * text->kv_heads, 1, attend_tasks, &job);
}
