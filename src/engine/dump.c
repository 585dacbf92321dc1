/* Runs one request, as a rule in exact mode, and writes its stages as .npy files: weft_dump of weft.h.
 *
 * The same sequence, decoder and kernels as in service, driven by hand so that every stage can be caught on its way. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "engine/npy.h"

enum { DUMP_ROWS = 64 }; /* rows a step: their logits are held together */

enum dump_stage {
    DUMP_PROMPT = 1, DUMP_IDS = 2, DUMP_POSITIONS = 4, DUMP_PIXELS = 8,
    DUMP_VISION = 16, DUMP_DEEPSTACK = 32, DUMP_HIDDEN = 64, DUMP_LOGITS = 128,
    DUMP_ALL = 255,
};

typedef struct dump_job {
    weft_worker worker;
    weft_media_sources sources;
    weft_request *request;
    weft_sequence *sequence;
    const char *out;
    int stages;
    bool last;
    float *logits;                         /* [DUMP_ROWS, vocab] */
    weft_npy logits_file;
    weft_npy hidden_files[WEFT_LAYERS_MAX]; /* opened when hidden is wanted */
    weft_status tap_status;
    weft_error tap_error;
} dump_job;

/* ---- which stages ---------------------------------------------------------------------------------------------- */

static int stage_named(const char *name, size_t size) {
    static const struct {
        const char *name;
        int stage;
    } names[] = {
        {"all", DUMP_ALL},          {"prompt", DUMP_PROMPT},       {"ids", DUMP_IDS},
        {"input_ids", DUMP_IDS},    {"positions", DUMP_POSITIONS}, {"position_ids", DUMP_POSITIONS},
        {"pixels", DUMP_PIXELS},    {"pixel_values", DUMP_PIXELS}, {"video_pixel_values", DUMP_PIXELS},
        {"grids", DUMP_PIXELS},     {"grid_thw", DUMP_PIXELS},     {"image_grid_thw", DUMP_PIXELS},
        {"video_grid_thw", DUMP_PIXELS}, {"vision", DUMP_VISION},  {"vision_embeds", DUMP_VISION},
        {"deepstack", DUMP_DEEPSTACK}, {"hidden", DUMP_HIDDEN},    {"logits", DUMP_LOGITS},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == size && memcmp(names[i].name, name, size) == 0) return names[i].stage;
    /* a single layer's name selects its kind */
    if (size > 10 && memcmp(name, "deepstack_", 10) == 0) return DUMP_DEEPSTACK;
    if (size > 7 && memcmp(name, "hidden_", 7) == 0) return DUMP_HIDDEN;
    return 0;
}

static weft_status parse_stages(const char *list, int *stages, weft_error *err) {
    *stages = 0;
    for (const char *p = list ? list : "all"; *p;) {
        size_t size = strcspn(p, ",");
        int stage = stage_named(p, size);
        if (!stage && size)
            return weft_fail(err, WEFT_ERR_INVALID,
                             "stage '%.*s' is not known: use prompt, input_ids, position_ids, pixel_values, vision_embeds, deepstack, hidden, logits or all",
                             (int)(size < 60 ? size : 60), p);
        *stages |= stage;
        p += size + (p[size] == ',');
    }
    return WEFT_OK;
}

static weft_status make_folder(const char *path, weft_error *err) {
    char part[PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part) return weft_fail(err, WEFT_ERR_INVALID, "the output folder's name is empty or too long");
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return weft_fail(err, WEFT_ERR_IO, "%s: cannot create: %s", part, strerror(errno));
    }
    return WEFT_OK;
}

/* ---- the stages before the decoder ----------------------------------------------------------------------------- */

static weft_status save_prompt(const dump_job *job, weft_error *err) {
    const weft_prompt *prompt = weft_sequence_prompt(job->sequence);
    if (job->stages & DUMP_PROMPT) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/prompt.txt", job->out);
        FILE *file = fopen(path, "wb");
        bool failed = !file || fwrite(prompt->text, 1, prompt->text_size, file) != prompt->text_size;
        if (file && fclose(file) != 0) failed = true;
        if (failed) return weft_fail(err, WEFT_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    }
    int64_t n = prompt->count;
    if (job->stages & DUMP_IDS) WEFT_TRY(weft_npy_save(job->out, "input_ids.npy", WEFT_NPY_I32, &n, 1, prompt->ids, err));
    if (!(job->stages & DUMP_POSITIONS)) return WEFT_OK;
    int32_t *axes = malloc(sizeof *axes * 3 * (size_t)n);
    if (!axes) return weft_fail(err, WEFT_ERR_MEMORY, "dump: no memory");
    for (int axis = 0; axis < 3; axis++)
        for (int64_t i = 0; i < n; i++) axes[axis * n + i] = prompt->positions[i][axis];
    weft_status status = weft_npy_save(job->out, "position_ids.npy", WEFT_NPY_I32, (int64_t[]){3, n}, 2, axes, err);
    free(axes);
    return status;
}

/* pixel_values of all pictures (or all clips), one after the other, and their grids. */
static weft_status save_pixels(const dump_job *job, bool video, weft_error *err) {
    const weft_vision_config *vision = &job->worker.model->config->vision;
    int64_t count, patches = 0, kind_count = 0, width = vision->channels * vision->temporal_patch_size * vision->patch_size * vision->patch_size;
    const weft_media_item *items = weft_sequence_media(job->sequence, &count);
    int32_t(*grids)[3] = malloc(sizeof *grids * (size_t)(count + 1));
    float *rows = malloc(sizeof(float) * (size_t)(DUMP_ROWS * width));
    weft_npy npy = {0};
    weft_status status = grids && rows ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "dump: no memory");
    for (int64_t i = 0; status == WEFT_OK && i < count; i++) {
        if (items[i].video != video) continue;
        patches += weft_grid_patches(items[i].grid);
        int32_t grid[3] = {(int32_t)items[i].grid.t, (int32_t)items[i].grid.h, (int32_t)items[i].grid.w};
        memcpy(grids[kind_count++], grid, sizeof grid);
    }
    if (status == WEFT_OK && kind_count > 0) {
        status = weft_npy_save(job->out, video ? "video_grid_thw.npy" : "image_grid_thw.npy", WEFT_NPY_I32, (int64_t[]){kind_count, 3}, 2, grids, err);
        if (status == WEFT_OK)
            status = weft_npy_open(&npy, job->out, video ? "video_pixel_values.npy" : "pixel_values.npy", WEFT_NPY_F32, (int64_t[]){patches, width}, 2, err);
        for (int64_t i = 0; status == WEFT_OK && i < count; i++) {
            int64_t total = items[i].video == video ? weft_grid_patches(items[i].grid) : 0;
            for (int64_t at = 0; status == WEFT_OK && at < total; at += DUMP_ROWS) {
                int64_t n = total - at < DUMP_ROWS ? total - at : DUMP_ROWS;
                weft_pixels_patches(&items[i].pixels, vision, &items[i].config, at, n, rows);
                status = weft_npy_write(&npy, rows, n * width, err);
            }
        }
        weft_status closed = weft_npy_close(&npy, status == WEFT_OK ? err : NULL);
        if (status == WEFT_OK) status = closed;
    }
    free(rows);
    free(grids);
    return status;
}

/* tap < 0: the merger's rows; else those of one DeepStack merger. All media in prompt order. */
static weft_status save_embeds(const dump_job *job, const char *name, int tap, weft_error *err) {
    int64_t count, tokens = 0, hidden = job->worker.model->config->text.hidden_size;
    const weft_media_item *items = weft_sequence_media(job->sequence, &count);
    for (int64_t i = 0; i < count; i++) tokens += items[i].embeds.tokens;
    weft_npy npy = {0};
    weft_status status = weft_npy_open(&npy, job->out, name, WEFT_NPY_F32, (int64_t[]){tokens, hidden}, 2, err);
    for (int64_t i = 0; status == WEFT_OK && i < count; i++) {
        const weft_vision_embeds *e = &items[i].embeds;
        status = weft_npy_write(&npy, tap < 0 ? e->rows : e->deepstack + tap * e->tokens * e->hidden, e->tokens * e->hidden, err);
    }
    weft_status closed = weft_npy_close(&npy, status == WEFT_OK ? err : NULL);
    return status != WEFT_OK ? status : closed;
}

static weft_status save_vision(const dump_job *job, weft_error *err) {
    int64_t count;
    weft_sequence_media(job->sequence, &count);
    if (count == 0) return WEFT_OK;
    if (job->stages & DUMP_VISION) WEFT_TRY(save_embeds(job, "vision_embeds.npy", -1, err));
    for (int tap = 0; (job->stages & DUMP_DEEPSTACK) && tap < job->worker.model->config->vision.deepstack_count; tap++) {
        char name[64];
        snprintf(name, sizeof name, "deepstack_%d.npy", tap);
        WEFT_TRY(save_embeds(job, name, tap, err));
    }
    return WEFT_OK;
}

/* ---- the decoder ----------------------------------------------------------------------------------------------- */

static void save_hidden_rows(void *context, int64_t layer, const float *hidden, int64_t rows) {
    dump_job *job = context;
    if (job->tap_status != WEFT_OK) return;
    job->tap_status = weft_npy_write(&job->hidden_files[layer], hidden, rows * job->worker.model->config->text.hidden_size, &job->tap_error);
}

static weft_status open_decoder_files(dump_job *job, weft_error *err) {
    const weft_text_config *text = &job->worker.model->config->text;
    int64_t n = weft_sequence_prompt(job->sequence)->count;
    if (job->stages & DUMP_LOGITS)
        WEFT_TRY(weft_npy_open(&job->logits_file, job->out, "logits.npy", WEFT_NPY_F32, (int64_t[]){job->last ? 1 : n, text->vocab_size}, 2, err));
    if (!(job->stages & DUMP_HIDDEN)) return WEFT_OK;
    for (int64_t i = 0; i < text->layers; i++) {
        char name[64];
        snprintf(name, sizeof name, "hidden_%lld.npy", (long long)i);
        WEFT_TRY(weft_npy_open(&job->hidden_files[i], job->out, name, WEFT_NPY_F32, (int64_t[]){n, text->hidden_size}, 2, err));
    }
    weft_decoder_set_tap(job->worker.decoder, save_hidden_rows, job);
    return WEFT_OK;
}

static weft_status close_decoder_files(dump_job *job, weft_error *err) {
    weft_status status = weft_npy_close(&job->logits_file, err);
    for (int64_t i = 0; i < WEFT_LAYERS_MAX; i++) {
        weft_status closed = weft_npy_close(&job->hidden_files[i], status == WEFT_OK ? err : NULL);
        if (status == WEFT_OK) status = closed;
    }
    return status;
}

static weft_status run_decoder(dump_job *job, weft_error *err) {
    const weft_text_config *text = &job->worker.model->config->text;
    int64_t total = weft_sequence_prompt(job->sequence)->count;
    job->logits = malloc(sizeof(float) * DUMP_ROWS * (size_t)text->vocab_size);
    if (!job->logits) return weft_fail(err, WEFT_ERR_MEMORY, "dump: no memory for logits");
    for (int64_t at = 0; at < total;) {
        weft_step_row *rows = job->worker.rows;
        int64_t n = weft_sequence_rows(job->sequence, rows, DUMP_ROWS), wanted = 0;
        if (n == 0) return weft_fail(err, WEFT_ERR_MEMORY, "dump: the KV budget does not hold %lld positions: raise --memory", (long long)total);
        for (int64_t i = 0; i < n; i++) {
            rows[i].logits = (job->stages & DUMP_LOGITS) && (!job->last || at + i == total - 1);
            wanted += rows[i].logits;
        }
        weft_decoder_step(job->worker.decoder, rows, n, job->logits);
        if (job->tap_status != WEFT_OK) return weft_fail(err, job->tap_status, "%s", job->tap_error.message);
        if (wanted) WEFT_TRY(weft_npy_write(&job->logits_file, job->logits, wanted * text->vocab_size, err));
        weft_sequence_advance(job->sequence, n, NULL);
        at += n;
    }
    return WEFT_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

/* Advances until the sequence reaches `state`; an error event of the sequence becomes our status. */
static weft_status prepare_until(dump_job *job, weft_sequence_state state, weft_error *err) {
    while (weft_sequence_get_state(job->sequence) < state) weft_sequence_prepare(job->sequence, 1000);
    if (weft_sequence_get_state(job->sequence) != WEFT_SEQUENCE_ENDED) return WEFT_OK;
    weft_event event;
    do weft_request_poll(job->request, 0, &event);
    while (event.kind != WEFT_EVENT_ERROR && event.kind != WEFT_EVENT_DONE && event.kind != WEFT_EVENT_NONE);
    return weft_fail(err, event.error.status ? event.error.status : WEFT_ERR_INTERNAL, "%s", event.error.message);
}

static weft_status run_stages(dump_job *job, weft_error *err) {
    WEFT_TRY(prepare_until(job, WEFT_SEQUENCE_VISION, err));
    WEFT_TRY(save_prompt(job, err));
    if (job->stages & DUMP_PIXELS) {
        WEFT_TRY(weft_sequence_load_clips(job->sequence, err));
        WEFT_TRY(save_pixels(job, false, err));
        WEFT_TRY(save_pixels(job, true, err));
    }
    if (!(job->stages & (DUMP_VISION | DUMP_DEEPSTACK | DUMP_HIDDEN | DUMP_LOGITS))) return WEFT_OK;
    WEFT_TRY(prepare_until(job, WEFT_SEQUENCE_PREFILL, err));
    WEFT_TRY(save_vision(job, err));
    if (!(job->stages & (DUMP_HIDDEN | DUMP_LOGITS))) return WEFT_OK;
    weft_status status = open_decoder_files(job, err);
    if (status == WEFT_OK) status = run_decoder(job, err);
    weft_status closed = close_decoder_files(job, status == WEFT_OK ? err : NULL);
    return status != WEFT_OK ? status : closed;
}

static weft_status start_sequence(dump_job *job, const weft_request_options *options, weft_error *err) {
    weft_media_policy policy = {&job->sources, options, job->worker.context.context_length};
    weft_chat_request chat;
    WEFT_TRY(weft_chat_request_parse(job->worker.model, options, &policy, &chat, err));
    weft_status status = weft_request_create(options, &job->request, err);
    if (status == WEFT_OK) status = weft_sequence_create(&job->worker.context, job->request, &chat, &job->sequence, err);
    if (status != WEFT_OK && job->request) weft_request_release(job->request); /* the hold meant for the sequence */
    weft_chat_request_free(&chat);
    return status;
}

weft_status weft_dump(const weft_model *model, const weft_engine_options *engine_options, const weft_request_options *options,
                      const char *stages, bool last, const char *out, weft_error *err) {
    dump_job *job = calloc(1, sizeof *job);
    if (!job) return weft_fail(err, WEFT_ERR_MEMORY, "dump: no memory");
    job->out = out;
    job->last = last;
    weft_engine_options options_of_engine = engine_options ? *engine_options : (weft_engine_options){.exact = true};
    weft_status status = parse_stages(stages, &job->stages, err);
    if (status == WEFT_OK) status = make_folder(out, err);
    if (status == WEFT_OK) status = weft_media_sources_init(&job->sources, &options_of_engine, err);
    if (status == WEFT_OK) status = weft_worker_init(&job->worker, model, &options_of_engine, err);
    if (status == WEFT_OK) {
        status = start_sequence(job, options, err);
        if (status == WEFT_OK) status = run_stages(job, err);
        weft_sequence_free(job->sequence);
        weft_request_free(job->request);
        weft_worker_destroy(&job->worker);
    }
    weft_media_sources_free(&job->sources);
    free(job->logits);
    free(job);
    return status;
}
