/* The engine: one thread owns all model state; others submit requests and read their events. See weft.h.
 *
 * Each turn of the loop does at most one slice of preparation (a picture decoded, a layer of the encoder) and one decoder
 * step: first a row for every sequence that generates, then a chunk of the oldest prompt that is being read. So a long
 * prompt or a large picture never stops somebody else's tokens for longer than one slice. Background requests get a turn
 * only when no other had anything to do in it. */
#include "engine/bench.h"
#include "engine/engine.h"
#include "weights/cache.h"

#include <jansson.h>
#include <math.h>
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
    char *rates_file; /* NULL: nowhere */
    bool exact;
    pthread_mutex_t rates_mutex; /* guards rates_known, and measuring */
    bool rates_known;
    atomic_int at_work; /* sequences, those that wait included */
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

static bool has_background(const weft_engine *engine) {
    for (int i = 0; i < engine->active_count; i++)
        if (weft_sequence_background(engine->active[i])) return true;
    return false;
}

/* One slice for the oldest sequence (of those in the background, or of the others) that is not ready for the decoder and does
 * not wait for its media worker. When all there is to do is waiting (`idle`: the decoder has no rows either), waits a little.
 * Returns whether something was done. */
static bool prepare_one(weft_engine *engine, bool background, bool idle) {
    weft_sequence *waiting = NULL;
    for (int i = 0; i < engine->active_count; i++) {
        weft_sequence *s = engine->active[i];
        if (weft_sequence_background(s) != background || weft_sequence_get_state(s) >= WEFT_SEQUENCE_PREFILL) continue;
        if (weft_sequence_prepare(s, 0)) return true;
        if (!waiting) waiting = s;
    }
    return waiting && idle && weft_sequence_prepare(waiting, MEDIA_WAIT_MS);
}

/* Gathers the rows of the next step: who takes part, with how many rows. */
static int64_t gather_rows(weft_engine *engine, bool background, int64_t counts[WEFT_SEQUENCES_MAX]) {
    int64_t used = 0;
    memset(counts, 0, sizeof(int64_t) * WEFT_SEQUENCES_MAX);
    for (int i = 0; i < engine->active_count; i++)
        if (weft_sequence_background(engine->active[i]) == background &&
            weft_sequence_get_state(engine->active[i]) == WEFT_SEQUENCE_GENERATE)
            used += counts[i] = weft_sequence_rows(engine->active[i], engine->worker.rows + used, engine->worker.step_rows - used);
    for (int i = 0; i < engine->active_count; i++)
        if (weft_sequence_background(engine->active[i]) == background &&
            weft_sequence_get_state(engine->active[i]) == WEFT_SEQUENCE_PREFILL) {
            counts[i] = weft_sequence_rows(engine->active[i], engine->worker.rows + used, engine->worker.step_rows - used);
            used += counts[i];
            if (counts[i] > 0) break;
        }
    return used;
}

static bool step(weft_engine *engine, bool background) {
    int64_t counts[WEFT_SEQUENCES_MAX], rows = gather_rows(engine, background, counts);
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
    atomic_store(&engine->at_work, engine->active_count + engine->queued);
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
    atomic_store(&engine->at_work, engine->active_count + kept);
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
    bool stepped = true, background_stepped = true;
    while (admit(engine)) {
        drop_ended(engine);
        bool background = has_background(engine), prepared = prepare_one(engine, false, !stepped && !background);
        stepped = step(engine, false);
        if (!background || prepared || stepped) continue;
        prepare_one(engine, true, !background_stepped);
        background_stepped = step(engine, true);
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

static char *rates_file(const weft_engine_options *options) {
    char folder[WEFT_CACHE_PATH_MAX], path[WEFT_CACHE_PATH_MAX + 16];
    if (options->rates_file) return strdup(options->rates_file);
    if (options->no_cache || weft_cache_folder(folder, NULL) != WEFT_OK) return NULL;
    snprintf(path, sizeof path, "%s/rates.json", folder);
    return strdup(path);
}

weft_status weft_engine_create(const weft_model *model, const weft_engine_options *options, weft_engine **out, weft_error *err) {
    static const weft_engine_options defaults;
    if (!options) options = &defaults;
    *out = NULL;
    weft_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return weft_fail(err, WEFT_ERR_MEMORY, "engine: no memory");
    pthread_mutex_init(&engine->mutex, NULL);
    pthread_mutex_init(&engine->rates_mutex, NULL);
    engine->rates_file = rates_file(options);
    engine->exact = options->exact;
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
    pthread_mutex_destroy(&engine->rates_mutex);
    free(engine->rates_file);
    pthread_cond_destroy(&engine->bench_end);
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->mutex);
    free(engine);
}

const char *weft_engine_cpu_level(const weft_engine *engine) { return weft_compute_kernels(engine->worker.compute)->level; }
int weft_engine_threads(const weft_engine *engine) { return weft_pool_threads(weft_compute_pool(engine->worker.compute)); }

typedef enum purpose { TO_ANSWER, TO_PLAN, TO_EMBED } purpose;

/* Tokens that a prompt can have: by the context, and by the cache. */
static int64_t prompt_limit(const weft_engine *engine) {
    int64_t context = engine->worker.context.context_length, held = engine->worker.kv_pool.pages_max * WEFT_KV_PAGE_ROWS;
    return context < held ? context : held;
}

static weft_status submit(weft_engine *engine, const weft_request_options *options, purpose purpose, weft_request **out, weft_error *err) {
    *out = NULL;
    weft_chat_request chat;
    weft_media_policy policy = {&engine->sources, options, purpose == TO_PLAN ? 0 : prompt_limit(engine)};
    WEFT_TRY(weft_chat_request_parse(engine->worker.model, options, &policy, &chat, err));
    chat.plan = purpose == TO_PLAN;
    chat.embed = purpose == TO_EMBED;
    chat.background = options->background;
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
        atomic_fetch_add(&engine->at_work, 1);
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

weft_status weft_engine_submit(weft_engine *engine, const weft_request_options *options, weft_request **request, weft_error *err) {
    return submit(engine, options, TO_ANSWER, request, err);
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

/* ---- planning -------------------------------------------------------------------------------------------------- */

/* One piece, unless requests are at work: they would wait for it, and it would measure them. Short ones are repeated and the best
 * counts: what else runs on the machine at that moment would stay in the file. */
static bool measure_piece(weft_engine *engine, const weft_bench_task *task, weft_bench_result *result) {
    enum { REPEATS = 3 };
    static const double spent_max = 1;
    double spent = 0, best = 0;
    for (int i = 0; i < REPEATS && spent < spent_max; i++) {
        if (atomic_load(&engine->at_work) != 0 || weft_engine_bench(engine, task, result, NULL) != WEFT_OK || result->seconds <= 0) return false;
        spent += result->seconds;
        if (best == 0 || result->seconds < best) best = result->seconds;
    }
    result->seconds = best;
    return true;
}

/* Operations a second of one kind of work: larger pieces until one takes long enough to be told from noise. The first run pays
 * for reading the weights and is not counted. 0: other work came between. */
static double measure_rate(weft_engine *engine, bool vision) {
    enum { SIZES = 3 };
    static const double long_enough = 0.2;
    const weft_config *config = engine->worker.model->config;
    double rate = 0;
    for (int i = 0; i < SIZES; i++) {
        int64_t tokens = (int64_t)16 << 2 * i, side = (int64_t)128 << i;
        weft_bench_task task = {.kind = vision ? WEFT_BENCH_IMAGE : WEFT_BENCH_PREFILL, .tokens = tokens, .width = side, .height = side};
        weft_bench_result result;
        if ((i == 0 && !measure_piece(engine, &task, &result)) || !measure_piece(engine, &task, &result)) return 0;
        int64_t width = side, height = side;
        const weft_vision_config *v = &config->vision;
        if (vision && weft_smart_resize(side, side, v->patch_size * v->merge_size, config->image.min_pixels, config->image.max_pixels, &width, &height, NULL) != WEFT_OK)
            return rate;
        weft_grid grid = {1, vision ? height / v->patch_size : 0, vision ? width / v->patch_size : 0};
        rate = (vision ? weft_plan_vision_operations(config, grid) : weft_plan_prefill_operations(config, 0, tokens)) / result.seconds;
        if (result.seconds > long_enough) break;
    }
    return rate;
}

/* Reads the rates from the file or, with `measure`, finds them out; once. */
static bool find_rates(weft_engine *engine, bool measure) {
    if (measure)
        pthread_mutex_lock(&engine->rates_mutex);
    else if (pthread_mutex_trylock(&engine->rates_mutex) != 0) /* somebody measures: no plan waits for that */
        return false;
    if (!engine->rates_known) {
        const weft_model *model = engine->worker.model;
        char key[512], machine[128];
        weft_rates_machine(machine, sizeof machine);
        snprintf(key, sizeof key, "%.200s, %llu parameters in %llu bytes, %s, %s, %d threads%s", model->info.name, (unsigned long long)model->info.parameters,
                 (unsigned long long)model->info.file_bytes, machine, weft_engine_cpu_level(engine), weft_engine_threads(engine),
                 engine->exact ? ", exact" : "");
        weft_rates rates;
        weft_rates_load(engine->rates_file, key, &rates);
        bool missing = rates.prefill <= 0 || (model->config->vision.present && rates.vision <= 0);
        if (missing && measure) {
            rates.prefill = measure_rate(engine, false);
            rates.vision = model->config->vision.present ? measure_rate(engine, true) : 0;
            missing = rates.prefill <= 0 || (model->config->vision.present && rates.vision <= 0);
            if (!missing) weft_rates_save(engine->rates_file, key, &rates);
        }
        if (!missing) { /* the engine's thread reads them in requests that are submitted after this */
            pthread_mutex_lock(&engine->mutex);
            engine->worker.rates = rates;
            pthread_mutex_unlock(&engine->mutex);
            engine->rates_known = true;
        }
    }
    bool known = engine->rates_known;
    pthread_mutex_unlock(&engine->rates_mutex);
    return known;
}

bool weft_engine_measure(weft_engine *engine) {
    return find_rates(engine, true);
}

/* Runs a request to its end; its content is appended to `content`. */
static weft_status run_whole(weft_engine *engine, const weft_request_options *options, purpose purpose, weft_buffer *content, weft_usage *usage, weft_error *err) {
    enum { LOOK_MS = 200 };
    weft_request *request = NULL;
    weft_status status = submit(engine, options, purpose, &request, err);
    for (bool open = status == WEFT_OK; open && status == WEFT_OK;) {
        weft_event event;
        weft_request_poll(request, LOOK_MS, &event);
        if (options->cancelled && options->cancelled(options->cancelled_context)) status = weft_fail(err, WEFT_ERR_CANCELLED, "cancelled");
        if (event.kind == WEFT_EVENT_CONTENT) status = weft_buffer_append(content, event.text, event.text_size, err);
        if (event.kind == WEFT_EVENT_ERROR) status = weft_fail(err, event.error.status, "%s", event.error.message);
        open = event.kind != WEFT_EVENT_DONE;
        *usage = event.usage;
    }
    weft_request_free(request);
    if (status == WEFT_OK && content->size == 0) status = weft_fail(err, WEFT_ERR_CANCELLED, "the engine is stopping");
    return status;
}

weft_status weft_engine_plan(weft_engine *engine, const weft_request_options *options, char **json, weft_error *err) {
    weft_buffer text;
    weft_usage usage;
    *json = NULL;
    find_rates(engine, false);
    weft_buffer_init(&text, WEFT_PLAN_BYTES_MAX, "the plan");
    weft_status status = run_whole(engine, options, TO_PLAN, &text, &usage, err);
    if (status == WEFT_OK) *json = weft_buffer_take(&text);
    weft_buffer_free(&text);
    return status;
}

/* ---- embedding ------------------------------------------------------------------------------------------------- */

weft_status weft_engine_embed(weft_engine *engine, const weft_request_options *options, float **vector, int64_t *size, weft_usage *usage, weft_error *err) {
    size_t count = (size_t)engine->worker.model->config->text.hidden_size;
    weft_buffer bytes;
    *vector = NULL;
    *size = 0;
    weft_buffer_init(&bytes, count * sizeof(float), "the embedding");
    weft_status status = run_whole(engine, options, TO_EMBED, &bytes, usage, err);
    if (status == WEFT_OK && bytes.size != count * sizeof(float)) status = weft_fail(err, WEFT_ERR_FORMAT, "the embedding is not whole");
    float *values = status == WEFT_OK ? malloc(count * sizeof *values) : NULL;
    if (status == WEFT_OK && !values) status = weft_fail(err, WEFT_ERR_MEMORY, "embedding: no memory");
    if (values) {
        double square = 0;
        memcpy(values, bytes.data, bytes.size);
        for (size_t i = 0; i < count; i++) square += (double)values[i] * values[i];
        float scale = square > 0 ? (float)(1 / sqrt(square)) : 0;
        for (size_t i = 0; i < count; i++) values[i] *= scale;
        *vector = values;
        *size = (int64_t)count;
    }
    weft_buffer_free(&bytes);
    return status;
}

weft_status weft_engine_embed_text(weft_engine *engine, const char *text, const weft_request_options *options, float **vector, int64_t *size, weft_usage *usage, weft_error *err) {
    weft_request_options of_text = *options;
    json_t *wish = json_sprintf("%s\n\nSummary of the above in one word:", text);
    json_t *body = wish ? json_pack("{s:[{s:s, s:o}]}", "messages", "role", "user", "content", wish) : NULL;
    char *json = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    *vector = NULL;
    if (!json) return weft_fail(err, WEFT_ERR_INVALID, "the text to embed is not UTF-8");
    of_text.json = json;
    of_text.json_size = strlen(json);
    weft_status status = weft_engine_embed(engine, &of_text, vector, size, usage, err);
    free(json);
    return status;
}
