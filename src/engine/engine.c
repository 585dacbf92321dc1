/* The engine: one thread owns all model state; others submit requests and read their events. See weft.h.
 *
 * Each turn of the loop does at most one slice of preparation (a picture decoded, a layer of the encoder) and one decoder
 * step: first a row for every sequence that generates, then a chunk of the oldest prompt that is being read. So a long
 * prompt or a large picture never stops somebody else's tokens for longer than one slice. */
#include "engine/bench.h"
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

enum { MEDIA_WAIT_MS = 20 };

typedef struct bench_job { /* one weft_engine_bench, on its caller's stack */
    const weft_bench_task *task;
    weft_bench_result *result;
    weft_error *err;
    weft_status status;
    bool done;
} bench_job;

struct weft_engine {
    weft_worker worker;
    weft_media_sources sources;
    pthread_t thread;
    bool thread_started;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    bool stopping;
    weft_sequence *queue[WEFT_QUEUE_MAX]; /* oldest first */
    int queued;
    bench_job *bench;         /* to be run when nothing is active, or NULL */
    pthread_cond_t bench_end; /* a job is done: its caller and those who wait for their turn look */

    weft_sequence *active[WEFT_SEQUENCES_MAX]; /* oldest first; the engine's thread only */
    int active_count;
};

/* ---- one turn of the loop -------------------------------------------------------------------------------------- */

static void drop_ended(weft_engine *engine) {
    int kept = 0;
    for (int i = 0; i < engine->active_count; i++) {
        weft_sequence *s = engine->active[i];
        if (weft_sequence_cancelled(s)) weft_sequence_cancel(s);
        if (weft_sequence_get_state(s) == WEFT_SEQUENCE_ENDED)
            weft_sequence_free(s);
        else
            engine->active[kept++] = s;
    }
    engine->active_count = kept;
}

/* One slice for the oldest sequence that is not ready for the decoder and does not wait for its media worker. When all there is
 * to do is waiting (`idle`: the decoder has no rows either), waits a little. */
static void prepare_one(weft_engine *engine, bool idle) {
    weft_sequence *waiting = NULL;
    for (int i = 0; i < engine->active_count; i++) {
        weft_sequence *s = engine->active[i];
        if (weft_sequence_get_state(s) >= WEFT_SEQUENCE_PREFILL) continue;
        if (weft_sequence_prepare(s, 0)) return;
        if (!waiting) waiting = s;
    }
    if (waiting && idle) weft_sequence_prepare(waiting, MEDIA_WAIT_MS);
}

/* Gathers the rows of the next step: who takes part, with how many rows. */
static int64_t gather_rows(weft_engine *engine, int64_t counts[WEFT_SEQUENCES_MAX]) {
    int64_t used = 0;
    memset(counts, 0, sizeof(int64_t) * WEFT_SEQUENCES_MAX);
    for (int i = 0; i < engine->active_count; i++)
        if (weft_sequence_get_state(engine->active[i]) == WEFT_SEQUENCE_GENERATE)
            used += counts[i] = weft_sequence_rows(engine->active[i], engine->worker.rows + used, WEFT_STEP_ROWS - used);
    for (int i = 0; i < engine->active_count; i++)
        if (weft_sequence_get_state(engine->active[i]) == WEFT_SEQUENCE_PREFILL) {
            counts[i] = weft_sequence_rows(engine->active[i], engine->worker.rows + used, WEFT_STEP_ROWS - used);
            used += counts[i];
            if (counts[i] > 0) break;
        }
    return used;
}

static bool step(weft_engine *engine) {
    int64_t counts[WEFT_SEQUENCES_MAX], rows = gather_rows(engine, counts);
    if (rows == 0) return false;
    weft_worker *w = &engine->worker;
    weft_decoder_step(w->decoder, w->rows, rows, w->logits);
    /* rows were gathered generators first, then the one prompt: logits are in the same order */
    float *logits = w->logits;
    int64_t vocab = w->model->config->text.vocab_size, at = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < engine->active_count; i++) {
            bool generating = weft_sequence_get_state(engine->active[i]) == WEFT_SEQUENCE_GENERATE;
            if (counts[i] == 0 || (pass == 0) != generating) continue;
            at += counts[i];
            bool has_logits = w->rows[at - 1].logits;
            int64_t count = counts[i];
            counts[i] = 0; /* a prompt that turns into a generator in this pass is not visited again */
            weft_sequence_advance(engine->active[i], count, has_logits ? logits : NULL);
            if (has_logits) logits += vocab;
        }
    return true;
}

/* The waiting measurement. The mutex is released meanwhile, so that requests can queue. */
static void run_bench(weft_engine *engine) {
    bench_job *job = engine->bench;
    pthread_mutex_unlock(&engine->mutex);
    job->status = weft_worker_bench(&engine->worker, job->task, job->result, job->err);
    pthread_mutex_lock(&engine->mutex);
    engine->bench = NULL;
    job->done = true;
    pthread_cond_broadcast(&engine->bench_end);
}

/* Moves waiting sequences up; with nothing at all to do, sleeps. False when the engine is to stop. */
static bool admit(weft_engine *engine) {
    weft_sequence *cancelled[WEFT_QUEUE_MAX];
    int cancelled_count = 0, kept = 0;
    pthread_mutex_lock(&engine->mutex);
    while (!engine->stopping && engine->active_count == 0 && engine->queued == 0 && !engine->bench)
        pthread_cond_wait(&engine->wake, &engine->mutex);
    if (engine->bench && engine->active_count == 0) run_bench(engine);
    for (int i = 0; i < engine->queued; i++) {
        weft_sequence *s = engine->queue[i];
        if (weft_sequence_cancelled(s)) /* gives its place and its memory back now, not when its turn comes */
            cancelled[cancelled_count++] = s;
        else if (engine->active_count < WEFT_SEQUENCES_MAX)
            engine->active[engine->active_count++] = s;
        else
            engine->queue[kept++] = s;
    }
    engine->queued = kept;
    bool stopping = engine->stopping;
    pthread_mutex_unlock(&engine->mutex);
    for (int i = 0; i < cancelled_count; i++) {
        weft_sequence_cancel(cancelled[i]);
        weft_sequence_free(cancelled[i]);
    }
    return !stopping;
}

static void *engine_main(void *argument) {
    weft_engine *engine = argument;
    bool stepped = true;
    while (admit(engine)) {
        drop_ended(engine);
        prepare_one(engine, !stepped);
        stepped = step(engine);
    }
    for (int i = 0; i < engine->active_count; i++) {
        weft_sequence_cancel(engine->active[i]);
        weft_sequence_free(engine->active[i]);
    }
    for (int i = 0; i < engine->queued; i++) {
        weft_sequence_cancel(engine->queue[i]);
        weft_sequence_free(engine->queue[i]);
    }
    return NULL;
}

/* ---- the public side ------------------------------------------------------------------------------------------- */

weft_status weft_engine_create(const weft_model *model, const weft_engine_options *options, weft_engine **out, weft_error *err) {
    static const weft_engine_options defaults;
    if (!options) options = &defaults;
    *out = NULL;
    weft_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return weft_fail(err, WEFT_ERR_MEMORY, "engine: no memory");
    pthread_mutex_init(&engine->mutex, NULL);
    pthread_cond_init(&engine->wake, NULL);
    pthread_cond_init(&engine->bench_end, NULL);
    weft_status status = weft_media_sources_init(&engine->sources, options, err);
    if (status == WEFT_OK) status = weft_worker_init(&engine->worker, model, options, err);
    if (status == WEFT_OK) {
        engine->thread_started = pthread_create(&engine->thread, NULL, engine_main, engine) == 0;
        if (!engine->thread_started) status = weft_fail(err, WEFT_ERR_MEMORY, "engine: cannot start its thread");
    }
    if (status != WEFT_OK) {
        weft_engine_destroy(engine);
        return status;
    }
    *out = engine;
    return WEFT_OK;
}

void weft_engine_destroy(weft_engine *engine) {
    if (!engine) return;
    if (engine->thread_started) {
        pthread_mutex_lock(&engine->mutex);
        engine->stopping = true;
        pthread_cond_signal(&engine->wake);
        pthread_mutex_unlock(&engine->mutex);
        pthread_join(engine->thread, NULL);
    }
    weft_worker_destroy(&engine->worker);
    weft_media_sources_free(&engine->sources);
    pthread_cond_destroy(&engine->bench_end);
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->mutex);
    free(engine);
}

const char *weft_engine_cpu_level(const weft_engine *engine) { return weft_compute_kernels(engine->worker.compute)->level; }
int weft_engine_threads(const weft_engine *engine) { return weft_pool_threads(weft_compute_pool(engine->worker.compute)); }

weft_status weft_engine_submit(weft_engine *engine, const weft_request_options *options, weft_request **out, weft_error *err) {
    *out = NULL;
    weft_chat_request chat;
    weft_media_policy policy = {&engine->sources, options};
    WEFT_TRY(weft_chat_request_parse(engine->worker.model, options, &policy, &chat, err));
    weft_request *request = NULL;
    weft_sequence *sequence = NULL;
    weft_status status = weft_request_create(options, &request, err);
    if (status == WEFT_OK) status = weft_sequence_create(&engine->worker.context, request, &chat, &sequence, err);
    if (status != WEFT_OK) {
        if (request) { /* nobody else holds it */
            weft_request_release(request);
            weft_request_release(request);
        }
        weft_chat_request_free(&chat);
        return status;
    }
    pthread_mutex_lock(&engine->mutex);
    bool full = engine->queued == WEFT_QUEUE_MAX;
    if (!full) {
        engine->queue[engine->queued++] = sequence;
        pthread_cond_signal(&engine->wake);
    }
    pthread_mutex_unlock(&engine->mutex);
    if (full) {
        weft_sequence_free(sequence);
        weft_request_release(request);
        return weft_fail(err, WEFT_ERR_BUSY, "%d requests are waiting already: try again later", WEFT_QUEUE_MAX);
    }
    *out = request;
    return WEFT_OK;
}

weft_status weft_engine_bench(weft_engine *engine, const weft_bench_task *task, weft_bench_result *result, weft_error *err) {
    bench_job job = {.task = task, .result = result, .err = err};
    pthread_mutex_lock(&engine->mutex);
    while (engine->bench) pthread_cond_wait(&engine->bench_end, &engine->mutex);
    engine->bench = &job;
    pthread_cond_signal(&engine->wake);
    while (!job.done) pthread_cond_wait(&engine->bench_end, &engine->mutex);
    pthread_mutex_unlock(&engine->mutex);
    return job.status;
}
