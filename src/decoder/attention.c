/* Attention of one decoder layer: q/k norm, rotary turn, cache write, and the attention of every row over its sequence.
 *
 * A task is (block of rows of one sequence, kv head): the query heads of the group and the rows of the block are folded
 * into one set of query rows, so that each key and value is read once for all of them. When there are too few tasks for
 * the threads (one row of a long sequence), each is cut into parts of its pages, whose results are merged by the sums of
 * exponentials that they come with. */
#include <math.h>
#include <string.h>

#include "decoder/decoder_internal.h"

typedef struct attention_job {
    weft_decoder *decoder;
    const weft_text_layer *weights;
    const weft_step_row *rows;
    int64_t layer, count, blocks;
    int64_t parts; /* of every task */
} attention_job;

enum {
    PART_PAGES_MIN = 4, /* merging costs more than it gains on less */
    FINE_KEYS = 2048,   /* attention is a small part of a step up to here: queries stay fine */
};

/* x = H x / sqrt(n), H the Hadamard matrix of order n, for each run of n values of x; n is the largest power of two that
 * divides dim. Orthogonal, so q k^T stays as it is, while the few large channels that Qwen3's keys have are spread over
 * all of them and four bits suffice (QuaRot, arXiv 2404.00456). */
static void hadamard(float *x, int64_t dim) {
    int64_t n = dim & -dim;
    float scale = 1.0f / sqrtf((float)n);
    for (int64_t half = 1; half < n; half *= 2)
        for (int64_t at = 0; at < dim; at += 2 * half)
            for (int64_t i = at; i < at + half; i++) {
                float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
    for (int64_t i = 0; i < dim; i++) x[i] *= scale;
}

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
    bool spread = weft_kv_part(g->format, 0) == WEFT_KV_Q4;
    for (int64_t r = begin; r < end; r++) {
        const weft_step_row *row = &job->rows[r];
        const float *cos_row = d->cos + r * pairs, *sin_row = d->sin + r * pairs;
        for (int64_t h = 0; h < text->heads; h++) {
            float *q = d->q + (r * text->heads + h) * hd;
            kernels->rms_norm(q, q, job->weights->q_norm, hd, eps);
            kernels->rope_half(q, cos_row, sin_row, pairs);
            if (spread) hadamard(q, hd);
        }
        char *page = row->pages[row->index / WEFT_KV_PAGE_ROWS];
        int slot = (int)(row->index % WEFT_KV_PAGE_ROWS);
        for (int64_t h = 0; h < text->kv_heads; h++) {
            float *k = d->k + (r * text->kv_heads + h) * hd;
            const float *v = d->v + (r * text->kv_heads + h) * hd;
            kernels->rms_norm(k, k, job->weights->k_norm, hd, eps);
            kernels->rope_half(k, cos_row, sin_row, pairs);
            if (spread) hadamard(k, hd);
            kernels->kv_store(page + weft_kv_slab_offset(g, job->layer, 0, h), weft_kv_part(g->format, 0),
                              g->head_dim, slot, k);
            kernels->kv_store(page + weft_kv_slab_offset(g, job->layer, 1, h), weft_kv_part(g->format, 1),
                              g->head_dim, slot, v);
        }
    }
}

/* The query rows of a task: [first, last) of the step, the heads of one group. */
typedef struct task_rows {
    int64_t first, last, head;
} task_rows;

static task_rows rows_of_task(const attention_job *job, int64_t task) {
    const weft_decoder *d = job->decoder;
    int64_t kv_heads = d->config->text.kv_heads, block = task / kv_heads;
    int64_t last = block + 1 < job->blocks ? d->block[block + 1] : job->count;
    return (task_rows){d->block[block], last, task % kv_heads};
}

/* Part `part` of a task; its results go to the workspace when there are several. */
static void attend_part(const attention_job *job, int64_t item, int thread) {
    weft_decoder *d = job->decoder;
    const weft_text_config *text = &d->config->text;
    const weft_kv_geometry *g = &d->geometry;
    int64_t hd = text->head_dim, group = text->heads / text->kv_heads;
    task_rows task = rows_of_task(job, item / job->parts);
    const weft_step_row *row = &job->rows[task.last - 1];
    int64_t part = item % job->parts, pages = row->index / WEFT_KV_PAGE_ROWS + 1;
    int64_t begin = pages * part / job->parts, end = pages * (part + 1) / job->parts;
    float *out[WEFT_ATTENTION_ROWS_MAX];
    const float *q[WEFT_ATTENTION_ROWS_MAX];
    int64_t visible[WEFT_ATTENTION_ROWS_MAX];
    int n = 0;
    for (int64_t r = task.first; r < task.last; r++)
        for (int64_t j = 0; j < group; j++, n++) {
            int64_t at = (r * text->heads + task.head * group + j) * hd;
            out[n] = job->parts == 1 ? d->attended + at : d->parts_out + (item * WEFT_ATTENTION_ROWS_MAX + n) * hd;
            q[n] = d->q + at;
            visible[n] = job->rows[r].index + 1;
            if (visible[n] > end * WEFT_KV_PAGE_ROWS) visible[n] = end * WEFT_KV_PAGE_ROWS;
            visible[n] -= begin * WEFT_KV_PAGE_ROWS;
        }
    const void **k_pages = d->pages + (int64_t)thread * 2 * d->max_pages, **v_pages = k_pages + d->max_pages;
    size_t k_offset = weft_kv_slab_offset(g, job->layer, 0, task.head);
    size_t v_offset = weft_kv_slab_offset(g, job->layer, 1, task.head);
    for (int64_t p = begin; p < end; p++) {
        k_pages[p - begin] = (const char *)row->pages[p] + k_offset;
        v_pages[p - begin] = (const char *)row->pages[p] + v_offset;
    }
    weft_attention_task attention = {
        .out = out, .q = q, .rows = n, .head_dim = g->head_dim, .visible = visible, .format = g->format,
        .k_pages = k_pages, .v_pages = v_pages, .kv_stride = g->head_dim, .scale = 1.0f / sqrtf((float)hd),
        .coarse = row->index >= FINE_KEYS, .scratch = weft_compute_scratch(d->compute, thread),
        .log_sums = job->parts == 1 ? NULL : d->parts_log_sums + item * WEFT_ATTENTION_ROWS_MAX,
    };
    d->kernels->attention(&attention);
}

static void attend_parts(void *context, int64_t begin, int64_t end, int thread) {
    for (int64_t item = begin; item < end; item++) attend_part(context, item, thread);
}

/* attended = sum over parts of out * exp(log_sum) / sum over parts of exp(log_sum) */
static void merge_parts(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const attention_job *job = context;
    weft_decoder *d = job->decoder;
    const weft_text_config *text = &d->config->text;
    int64_t hd = text->head_dim, group = text->heads / text->kv_heads;
    for (int64_t index = begin; index < end; index++) {
        task_rows task = rows_of_task(job, index);
        int64_t rows = (task.last - task.first) * group;
        for (int64_t n = 0; n < rows; n++) {
            int64_t r = task.first + n / group, first = index * job->parts;
            float *out = d->attended + (r * text->heads + task.head * group + n % group) * hd, max = -INFINITY, sum = 0;
            const float *log_sums = d->parts_log_sums + first * WEFT_ATTENTION_ROWS_MAX + n;
            for (int64_t p = 0; p < job->parts; p++) max = fmaxf(max, log_sums[p * WEFT_ATTENTION_ROWS_MAX]);
            for (int64_t p = 0; p < job->parts; p++) sum += expf(log_sums[p * WEFT_ATTENTION_ROWS_MAX] - max);
            memset(out, 0, (size_t)hd * sizeof *out);
            for (int64_t p = 0; p < job->parts; p++)
                d->kernels->scale_add(out, d->parts_out + ((first + p) * WEFT_ATTENTION_ROWS_MAX + n) * hd,
                                      expf(log_sums[p * WEFT_ATTENTION_ROWS_MAX] - max) / sum, hd);
        }
    }
}

/* How many parts every task is cut into: enough for two a thread, none of them short. */
static int64_t parts_of_tasks(const attention_job *job) {
    const weft_decoder *d = job->decoder;
    int64_t tasks = job->blocks * d->config->text.kv_heads, threads = weft_pool_threads(d->pool), longest = 0;
    if (threads == 1 || tasks >= 2 * threads) return 1;
    for (int64_t r = 0; r < job->count; r++) longest = job->rows[r].index > longest ? job->rows[r].index : longest;
    int64_t parts = (2 * threads + tasks - 1) / tasks, most = longest / (WEFT_KV_PAGE_ROWS * PART_PAGES_MIN);
    parts = parts < most ? parts : most;
    return parts < 1 ? 1 : parts;
}

void weft_decoder_attention(weft_decoder *d, int64_t layer, const weft_step_row *rows, int64_t count) {
    const weft_text_config *text = &d->config->text;
    attention_job job = {d, &d->weights->layers[layer], rows, layer, count, 0, 1};
    weft_parallel_for(d->pool, count, 4, prepare_rows, &job);

    int64_t group = text->heads / text->kv_heads, block_rows = WEFT_ATTENTION_ROWS_MAX / group;
    if (block_rows < 1) block_rows = 1;
    for (int64_t r = 0; r < count;) { /* cut where the sequence changes or the block is full */
        d->block[job.blocks++] = r;
        int64_t end = r + 1;
        while (end < count && end - r < block_rows && rows[end].pages == rows[r].pages) end++;
        r = end;
    }
    job.parts = parts_of_tasks(&job);
    int64_t tasks = job.blocks * text->kv_heads;
    weft_parallel_for(d->pool, tasks * job.parts, 1, attend_parts, &job);
    if (job.parts > 1) weft_parallel_for(d->pool, tasks, 1, merge_parts, &job);
}
