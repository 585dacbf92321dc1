/* Measuring: prefill, decode and picture encoding, timed through the same step, sampler, resizer and encoder that serve
 * requests. See bench.h.
 *
 * What stands in the cache before a measured run (its depth) is not computed but filled with random keys and values of
 * the cache's format: attention takes the same time over them, and a depth of 8192 costs milliseconds instead of
 * minutes. Every position has its own memory, as in service. */
#include "engine/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

typedef struct bench_run {
    weft_worker *worker;
    const weft_bench_task *task;
    weft_kv_sequence kv[WEFT_SEQUENCES_MAX];
    int64_t batch;
    weft_sampler *samplers[WEFT_SEQUENCES_MAX];
    uint64_t random;
    double seconds[WEFT_BENCH_REPEAT_MAX];
} bench_run;

static uint32_t
next_random(uint64_t *state) { /* a 64-bit linear congruence (Knuth's constants), the upper half of it */
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(*state >> 32);
}

static float random_value(uint64_t *state) { /* near normal: the sum of four uniform numbers, variance 1 */
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)next_random(state) * 0x1p-32f - 0.5f;
    return sum * 1.7320508f;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static weft_status check_text(const weft_worker *w, const weft_bench_task *task, weft_error *err) {
    int64_t batch = task->batch ? task->batch : 1, context = w->context.context_length;
    if (task->tokens < 1 || task->depth < 0)
        return weft_fail(err, WEFT_ERR_INVALID, "a run needs at least one token and no negative depth");
    if (batch < 1 || batch > WEFT_SEQUENCES_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "a batch of %lld: 1 to %d sequences are at work together",
                         (long long)batch, WEFT_SEQUENCES_MAX);
    if (task->kind == WEFT_BENCH_PREFILL && batch != 1)
        return weft_fail(err, WEFT_ERR_INVALID, "prompts are read one at a time: a batch is for decode only");
    if (task->depth > context || task->tokens > context - task->depth)
        return weft_fail(err, WEFT_ERR_CONTEXT, "%lld tokens at depth %lld do not fit the context of %lld positions",
                         (long long)task->tokens, (long long)task->depth, (long long)context);
    int64_t pages = (task->depth + task->tokens + WEFT_KV_PAGE_ROWS - 1) / WEFT_KV_PAGE_ROWS;
    if (pages > w->kv_pool.pages_max / batch)
        return weft_fail(
            err, WEFT_ERR_CONTEXT,
            "%lld sequences of %lld positions need %llu MiB of KV cache, the budget is %llu MiB: raise --memory",
            (long long)batch, (long long)(task->depth + task->tokens),
            (unsigned long long)((uint64_t)(pages * batch) * w->kv_pool.page_bytes >> 20),
            (unsigned long long)((uint64_t)w->kv_pool.pages_max * w->kv_pool.page_bytes >> 20));
    return WEFT_OK;
}

/* Random rows in the first page of all; the others are copies of it. */
static void fill_depth(bench_run *run) {
    const weft_kv_geometry *g = weft_decoder_geometry(run->worker->decoder);
    const weft_kernels *kernels = weft_compute_kernels(run->worker->compute);
    char *first = run->kv[0].pages[0];
    float row[256]; /* the largest head_dim that attention takes */
    for (int64_t layer = 0; layer < g->layers; layer++)
        for (int which = 0; which < 2; which++)
            for (int64_t head = 0; head < g->kv_heads; head++)
                for (int slot = 0; slot < WEFT_KV_PAGE_ROWS; slot++) {
                    for (int i = 0; i < g->head_dim; i++) row[i] = random_value(&run->random);
                    kernels->kv_store(first + weft_kv_slab_offset(g, layer, which, head), weft_kv_part(g->format, which), g->head_dim, slot,
                                      row);
                }
    for (int64_t s = 0; s < run->batch; s++)
        for (int64_t i = 0; i < run->kv[s].count; i++)
            if (run->kv[s].pages[i] != first) memcpy(run->kv[s].pages[i], first, g->page_bytes);
}

static weft_status prepare_text(bench_run *run, weft_error *err) {
    weft_worker *w = run->worker;
    const weft_bench_task *task = run->task;
    WEFT_TRY(check_text(w, task, err));
    run->batch = task->batch ? task->batch : 1;
    const weft_sampling greedy = {.greedy = true, .top_p = 1, .repetition_penalty = 1};
    for (int64_t s = 0; s < run->batch; s++) {
        if (!weft_kv_sequence_grow(&w->kv_pool, &run->kv[s], task->depth + task->tokens))
            return weft_fail(err, WEFT_ERR_MEMORY, "no memory for the KV cache of %lld positions",
                             (long long)(task->depth + task->tokens));
        WEFT_TRY(weft_sampler_create(&greedy, w->model->config->text.vocab_size, NULL, 0, &run->samplers[s], err));
    }
    if (task->depth > 0) fill_depth(run);
    return WEFT_OK;
}

static void fill_row(bench_run *run, weft_step_row *row, int64_t sequence, int64_t index, bool logits) {
    int64_t vocab = run->worker->model->config->text.vocab_size;
    int32_t at = (int32_t)index;
    *row = (weft_step_row){.pages = run->kv[sequence].pages,
                           .index = index,
                           .position = {at, at, at},
                           .token = (int32_t)(next_random(&run->random) % (uint64_t)vocab),
                           .sequence_length = run->task->depth + run->task->tokens,
                           .logits = logits};
}

/* A prompt in chunks as the engine reads it, up to its first token. */
static void prefill_once(bench_run *run) {
    weft_worker *w = run->worker;
    for (int64_t at = 0; at < run->task->tokens;) {
        int64_t count = run->task->tokens - at < w->step_rows ? run->task->tokens - at : w->step_rows;
        bool last = at + count == run->task->tokens;
        for (int64_t i = 0; i < count; i++)
            fill_row(run, &w->rows[i], 0, run->task->depth + at + i, last && i + 1 == count);
        weft_decoder_step(w->decoder, w->rows, count, last ? w->logits : NULL);
        if (last) weft_sampler_next(run->samplers[0], w->logits, NULL);
        at += count;
    }
}

/* A token for every sequence in each step. The next step's tokens are random whatever the sampler chose: a random model
 * may fall into repeating one token, whose experts and embedding would then stay in the CPU's caches. */
static void decode_once(bench_run *run) {
    weft_worker *w = run->worker;
    int64_t vocab = w->model->config->text.vocab_size;
    for (int64_t i = 0; i < run->task->tokens; i++) {
        for (int64_t s = 0; s < run->batch; s++) fill_row(run, &w->rows[s], s, run->task->depth + i, true);
        weft_decoder_step(w->decoder, w->rows, run->batch, w->logits);
        for (int64_t s = 0; s < run->batch; s++) weft_sampler_next(run->samplers[s], w->logits + s * vocab, NULL);
    }
}

/* ---- pictures -------------------------------------------------------------------------------------------------- */

static weft_status check_image(const weft_worker *w, const weft_bench_task *task, weft_error *err) {
    if (!w->model->config->vision.present)
        return weft_fail(
            err, WEFT_ERR_INVALID,
            "this model takes text only: it has no vision tower (for a GGUF, name its mmproj file with --mmproj)");
    if (task->width < 1 || task->height < 1 || task->width > WEFT_BENCH_SIDE_MAX || task->height > WEFT_BENCH_SIDE_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "a picture of %lld x %lld: sides have 1 to %d pixels",
                         (long long)task->width, (long long)task->height, WEFT_BENCH_SIDE_MAX);
    return WEFT_OK;
}

/* From decoded pixels to embedding rows: resize, patches, encoder, mergers. */
static weft_status encode_once(bench_run *run, const weft_image *image, int64_t *tokens, weft_error *err) {
    const weft_worker *w = run->worker;
    const weft_config *config = w->model->config;
    weft_pixels pixels = {0};
    weft_vision_run *vision = NULL;
    weft_status status =
        weft_pixels_from_image(image, &config->vision, &config->image, weft_compute_pool(w->compute), &pixels, err);
    if (status == WEFT_OK)
        status = weft_vision_begin(config, w->context.vision, &pixels, &config->image,
                                   w->compute, w->context.vision_format, &vision, err);
    bool finished = false;
    int64_t done, total;
    while (status == WEFT_OK && !finished) status = weft_vision_step(vision, &finished, &done, &total, err);
    if (status == WEFT_OK) {
        weft_vision_embeds embeds = {0};
        weft_vision_take(vision, &embeds);
        *tokens = embeds.tokens;
        weft_vision_embeds_free(&embeds);
    }
    weft_vision_end(vision);
    weft_pixels_free(&pixels);
    return status;
}

/* Smooth waves with some noise: no size or place is special. */
static weft_status make_image(bench_run *run, weft_image *image, weft_error *err) {
    const weft_bench_task *task = run->task;
    *image = (weft_image){.width = task->width,
                          .height = task->height,
                          .rgb = malloc((size_t)(task->width * task->height * 3))};
    if (!image->rgb)
        return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a picture of %lld x %lld", (long long)task->width,
                         (long long)task->height);
    for (int64_t y = 0; y < task->height; y++)
        for (int64_t x = 0; x < task->width; x++)
            for (int c = 0; c < 3; c++)
                image->rgb[(y * task->width + x) * 3 + c] =
                    (uint8_t)((x * (c + 1) + y * (3 - c)) / 4 + next_random(&run->random) % 32);
    return WEFT_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

static weft_status measure(bench_run *run, int64_t repeat, weft_bench_result *result, weft_error *err) {
    const weft_bench_task *task = run->task;
    bool image_task = task->kind == WEFT_BENCH_IMAGE;
    weft_image image = {0};
    weft_status status = image_task ? check_image(run->worker, task, err) : prepare_text(run, err);
    if (status == WEFT_OK && image_task) status = make_image(run, &image, err);
    result->tokens = image_task ? 0 : task->tokens * run->batch;
    for (int64_t i = 0; i < repeat && status == WEFT_OK; i++) {
        double start = weft_now_ms();
        if (image_task)
            status = encode_once(run, &image, &result->tokens, err);
        else if (task->kind == WEFT_BENCH_PREFILL)
            prefill_once(run);
        else
            decode_once(run);
        run->seconds[i] = (weft_now_ms() - start) * 1e-3;
    }
    free(image.rgb);
    if (status != WEFT_OK) return status;
    qsort(run->seconds, (size_t)repeat, sizeof *run->seconds, compare_doubles);
    result->seconds = (run->seconds[(repeat - 1) / 2] + run->seconds[repeat / 2]) / 2;
    result->seconds_min = run->seconds[0];
    result->seconds_max = run->seconds[repeat - 1];
    return WEFT_OK;
}

weft_status weft_worker_bench(weft_worker *w, const weft_bench_task *task, weft_bench_result *result, weft_error *err) {
    *result = (weft_bench_result){0};
    int64_t repeat = task->repeat ? task->repeat : 1;
    if (task->kind < WEFT_BENCH_PREFILL || task->kind > WEFT_BENCH_IMAGE)
        return weft_fail(err, WEFT_ERR_INVALID, "this kind of measurement is not known");
    if (repeat < 1 || repeat > WEFT_BENCH_REPEAT_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "%lld runs: 1 to %d are possible", (long long)repeat,
                         WEFT_BENCH_REPEAT_MAX);
    bench_run *run = calloc(1, sizeof *run);
    if (!run) return weft_fail(err, WEFT_ERR_MEMORY, "bench: no memory");
    run->worker = w;
    run->task = task;
    run->random = 1;
    weft_status status = measure(run, repeat, result, err);
    for (int64_t s = 0; s < WEFT_SEQUENCES_MAX; s++) {
        weft_kv_sequence_free(&w->kv_pool, &run->kv[s]);
        weft_sampler_free(run->samplers[s]);
    }
    free(run);
    return status;
}
