/* One request at work: see sequence.h. */
#include "engine/sequence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { PIECE_MAX = 1 << 20 }; /* text of one token after stop strings */

struct weft_sequence {
    weft_sequence_context context;
    weft_request *request;
    weft_chat_request chat;
    weft_sequence_state state;

    weft_media_item *items; /* [chat.media_count] */
    int64_t items_done;     /* measured, then decoded, then encoded */
    weft_media_reader reader;
    weft_vision_run *vision;
    weft_prompt prompt;
    int64_t next_span; /* first span that does not end before `cached` */

    weft_kv_sequence kv;
    int64_t cached; /* positions in the cache */
    int64_t generated;
    int64_t max_tokens;
    int32_t last_token;
    float *state_vector; /* [hidden] when chat.embed, else NULL */

    weft_sampler *sampler;
    weft_detokenizer detokenizer;
    weft_stop_strings stops;
    weft_output_parser *parser;
    weft_buffer piece, passed;
    bool called_tool, reasoning;
    int64_t reasoning_tokens;

    double submitted_ms, started_ms, stage_ms, prefilled_ms, first_token_ms;
};

/* ---- creation and end ------------------------------------------------------------------------------------------ */

static weft_status emit_output(void *context, weft_output_kind kind, const char *text, size_t size, weft_error *err) {
    weft_sequence *s = context;
    static const weft_event_kind kinds[] = {
        [WEFT_OUTPUT_REASONING] = WEFT_EVENT_REASONING,
        [WEFT_OUTPUT_CONTENT] = WEFT_EVENT_CONTENT,
        [WEFT_OUTPUT_TOOL_CALL] = WEFT_EVENT_TOOL_CALL,
    };
    s->called_tool |= kind == WEFT_OUTPUT_TOOL_CALL;
    return weft_request_emit_text(s->request, kinds[kind], text, size, err);
}

weft_status weft_sequence_create(const weft_sequence_context *context, weft_request *request, weft_chat_request *chat,
                                 weft_sequence **out, weft_error *err) {
    weft_sequence *s = calloc(1, sizeof *s);
    weft_media_item *items = calloc((size_t)chat->media_count + 1, sizeof *items);
    if (!s || !items) {
        free(s);
        free(items);
        return weft_fail(err, WEFT_ERR_MEMORY, "sequence: no memory");
    }
    s->context = *context;
    s->request = request;
    s->chat = *chat;
    *chat = (weft_chat_request){0};
    s->items = items;
    for (int64_t i = 0; i < s->chat.media_count; i++) weft_media_item_init(context->model, &s->chat.media[i], &items[i]);
    s->submitted_ms = weft_now_ms();
    weft_detokenizer_init(&s->detokenizer, context->model->tokenizer, true);
    weft_stop_strings_init(&s->stops, s->chat.stops, s->chat.stop_count);
    weft_buffer_init(&s->piece, PIECE_MAX, "text of a token");
    weft_buffer_init(&s->passed, PIECE_MAX, "text of a token");
    *out = s;
    return WEFT_OK;
}

/* Gives back everything but the request itself. */
static void release_work(weft_sequence *s) {
    weft_vision_end(s->vision);
    s->vision = NULL;
    weft_media_reader_close(&s->reader);
    weft_kv_sequence_free(s->context.kv_pool, &s->kv);
    for (int64_t i = 0; s->items && i < s->chat.media_count; i++) weft_media_item_free(&s->items[i]);
}

void weft_sequence_free(weft_sequence *s) {
    if (!s) return;
    release_work(s);
    free(s->items);
    weft_chat_request_free(&s->chat);
    weft_prompt_free(&s->prompt);
    weft_sampler_free(s->sampler);
    free(s->state_vector);
    weft_stop_strings_free(&s->stops);
    weft_output_parser_free(s->parser);
    weft_buffer_free(&s->piece);
    weft_buffer_free(&s->passed);
    weft_request_release(s->request);
    free(s);
}

weft_sequence_state weft_sequence_get_state(const weft_sequence *s) { return s->state; }
bool weft_sequence_cancelled(const weft_sequence *s) { return atomic_load(&s->request->cancelled); }
bool weft_sequence_background(const weft_sequence *s) { return s->chat.background; }
const weft_prompt *weft_sequence_prompt(const weft_sequence *s) { return &s->prompt; }
const weft_media_item *weft_sequence_media(const weft_sequence *s, int64_t *count) {
    *count = s->chat.media_count;
    return s->items;
}

static void fail(weft_sequence *s, const weft_error *error) {
    s->state = WEFT_SEQUENCE_ENDED;
    release_work(s);
    weft_request_emit_error(s->request, error);
}

static void end(weft_sequence *s, const char *finish_reason) {
    double now = weft_now_ms();
    weft_usage usage = {
        .prompt_tokens = s->prompt.count,
        .completion_tokens = s->generated,
        .reasoning_tokens = s->reasoning_tokens,
        .queue_ms = s->started_ms > 0 ? s->started_ms - s->submitted_ms : now - s->submitted_ms,
        .prompt_ms = s->prefilled_ms > 0 ? s->prefilled_ms - s->started_ms : 0,
        .first_token_ms = s->first_token_ms > 0 ? s->first_token_ms - s->submitted_ms : 0,
        .generate_ms = s->first_token_ms > 0 ? now - s->first_token_ms : 0,
    };
    s->state = WEFT_SEQUENCE_ENDED;
    release_work(s);
    weft_request_emit_done(s->request, finish_reason, &usage);
}

void weft_sequence_cancel(weft_sequence *s) {
    if (s->state != WEFT_SEQUENCE_ENDED) end(s, "cancelled");
}

static void report(weft_sequence *s, weft_stage stage, int64_t done, int64_t total) {
    double elapsed = weft_now_ms() - s->stage_ms;
    weft_progress progress = {.stage = stage, .done = done, .total = total, .elapsed_ms = (int64_t)elapsed, .eta_ms = -1};
    if (done > 0 && total >= done) progress.eta_ms = (int64_t)(elapsed / (double)done * (double)(total - done));
    weft_request_emit_progress(s->request, &progress);
}

static void enter(weft_sequence *s, weft_sequence_state state) {
    s->state = state;
    s->stage_ms = weft_now_ms();
    s->items_done = 0;
}

/* ---- before the decoder ---------------------------------------------------------------------------------------- */

/* "image 2" / "video 1": pictures and clips are counted apart, as people count them. */
static void prefix_media(const weft_sequence *s, int64_t item, weft_error *err) {
    bool video = s->items[item].video;
    int64_t number = 0;
    for (int64_t i = 0; i <= item; i++) number += s->items[i].video == video;
    weft_error_prefix(err, "%s %lld", video ? "video" : "image", (long long)number);
}

/* Reads the next item, its size or its pixels. Returns whether it did something; false: a worker is still at it. */
static bool media_slice(weft_sequence *s, int wait_ms) {
    weft_error err;
    bool pixels = s->state == WEFT_SEQUENCE_DECODE, ready = false;
    int64_t i = s->items_done;
    if (!s->context.model->config->vision.present) {
        weft_fail(&err, WEFT_ERR_INVALID, "this model takes text only: it has no vision tower (for a GGUF, name its mmproj file with --mmproj)");
        fail(s, &err);
        return true;
    }
    if (!pixels && i == 0 && !s->items[0].working) report(s, WEFT_STAGE_DECODE, 0, s->chat.media_count);
    weft_status status = pixels ? weft_media_item_prepare(s->context.model, &s->reader, weft_compute_pool(s->context.compute), wait_ms, &s->items[i], &ready, &err)
                                : weft_media_item_measure(s->context.model, &s->reader, wait_ms, &s->items[i], &ready, &err);
    if (status != WEFT_OK) {
        prefix_media(s, i, &err);
        fail(s, &err);
        return true;
    }
    if (!ready) return false;
    s->items_done++;
    if (pixels) report(s, WEFT_STAGE_DECODE, s->items_done, s->chat.media_count);
    return true;
}

static bool measure_slice(weft_sequence *s, int wait_ms) {
    if (s->items_done < s->chat.media_count) return media_slice(s, wait_ms);
    enter(s, WEFT_SEQUENCE_PROMPT);
    return true;
}

static bool decode_slice(weft_sequence *s, int wait_ms) {
    if (s->items_done < s->chat.media_count) return media_slice(s, wait_ms);
    bool clips = false;
    for (int64_t i = 0; i < s->chat.media_count; i++) clips |= s->items[i].video;
    if (!clips) weft_media_reader_close(&s->reader); /* the last picture's full size lies in it */
    enter(s, WEFT_SEQUENCE_VISION);
    return true;
}

/* How many tokens may be generated: what was asked for, what the context leaves, what the pool could ever hold. */
static weft_status plan(weft_sequence *s, weft_error *err) {
    const weft_kv_pool *pool = s->context.kv_pool;
    int64_t pool_positions = pool->pages_max * WEFT_KV_PAGE_ROWS, count = s->prompt.count;
    if (count >= pool_positions) {
        char setting[96] = "";
        int64_t tokens = 0, pixels = weft_plan_fitting_pixels(s->context.model, s->items, s->chat.media_count, count, pool_positions - 1, &tokens);
        if (pixels > 0) snprintf(setting, sizeof setting, "; with max_pixels %lld it has %lld and fits", (long long)pixels, (long long)tokens);
        return weft_fail(err, WEFT_ERR_CONTEXT, "the prompt of %lld tokens needs %llu MiB of KV cache, the budget is %llu MiB: raise --memory or send less%s",
                         (long long)count, (unsigned long long)((uint64_t)(count / WEFT_KV_PAGE_ROWS + 1) * pool->page_bytes >> 20),
                         (unsigned long long)((uint64_t)pool->pages_max * pool->page_bytes >> 20), setting);
    }
    int64_t room = s->context.context_length - count;
    if (pool_positions - count < room) room = pool_positions - count;
    s->max_tokens = s->chat.max_tokens > 0 && s->chat.max_tokens < room ? s->chat.max_tokens : room;
    return WEFT_OK;
}

static weft_plan_basis plan_basis(const weft_sequence *s) {
    const weft_sequence_context *c = &s->context;
    return (weft_plan_basis){c->model, c->kv_pool, c->rates, c->vision_format, c->context_length, weft_pool_threads(weft_compute_pool(c->compute))};
}

/* Work that this machine could never hold is refused before it begins. */
static weft_status check_memory(const weft_sequence *s, weft_error *err) {
    weft_plan_basis basis = plan_basis(s);
    weft_estimate e = weft_plan_estimate(&basis, s->items, s->chat.media_count, s->prompt.count);
    if (!s->context.machine_bytes || e.peak_bytes <= s->context.machine_bytes) return WEFT_OK;
    return weft_fail(err, WEFT_ERR_LIMIT, "the request needs about %llu MiB beside the model, this machine has %llu MiB: send smaller pictures (max_pixels) or shorter clips",
                     (unsigned long long)(e.peak_bytes >> 20), (unsigned long long)(s->context.machine_bytes >> 20));
}

/* The plan in place of an answer. */
static void answer_plan(weft_sequence *s) {
    weft_error err;
    weft_buffer text;
    weft_buffer_init(&text, WEFT_PLAN_BYTES_MAX, "the plan");
    weft_plan_basis basis = plan_basis(s);
    weft_status status = weft_plan_write(&basis, s->items, s->chat.media_count, s->prompt.count, &text, &err);
    if (status == WEFT_OK) status = weft_request_emit_text(s->request, WEFT_EVENT_CONTENT, text.data, text.size, &err);
    weft_buffer_free(&text);
    if (status == WEFT_OK)
        end(s, "stop");
    else
        fail(s, &err);
}

static void build_prompt(weft_sequence *s) {
    weft_error err;
    const weft_model *model = s->context.model;
    int64_t max_tokens = s->chat.plan ? INT64_MAX : s->context.context_length - 1;
    weft_status status = weft_prompt_build(model, &s->chat, s->items, max_tokens, &s->prompt, &err);
    if (status == WEFT_OK && s->chat.plan) {
        answer_plan(s);
        return;
    }
    if (status == WEFT_OK) status = plan(s, &err);
    if (status == WEFT_OK) status = check_memory(s, &err);
    if (status == WEFT_OK && s->chat.embed) {
        s->state_vector = calloc((size_t)model->config->text.hidden_size, sizeof *s->state_vector);
        if (!s->state_vector) status = weft_fail(&err, WEFT_ERR_MEMORY, "sequence: no memory");
    }
    if (status == WEFT_OK)
        status = weft_sampler_create(&s->chat.sampling, model->config->text.vocab_size, s->prompt.ids, s->prompt.count, &s->sampler, &err);
    if (status == WEFT_OK) {
        s->reasoning = s->prompt.begins_in_reasoning;
        status = weft_output_parser_create(s->reasoning, s->chat.chat.tools != NULL, emit_output, s, &s->parser, &err);
    }
    if (status != WEFT_OK)
        fail(s, &err);
    else
        enter(s, WEFT_SEQUENCE_DECODE);
}

/* The pixels that the encoder reads next, if it reads any: pictures have them, clips bring them group by group. */
static weft_status load_pixels(weft_sequence *s, weft_media_item *item, int wait_ms, bool *ready, weft_error *err) {
    int64_t group;
    *ready = true;
    if (!item->video || !weft_vision_reads_pixels(s->vision, &group)) return WEFT_OK;
    return weft_media_item_load(s->context.model, &s->reader, weft_compute_pool(s->context.compute), wait_ms, item, group, ready, err);
}

static bool vision_slice(weft_sequence *s, int wait_ms) {
    if (s->items_done == s->chat.media_count) {
        weft_media_reader_close(&s->reader);
        enter(s, WEFT_SEQUENCE_PREFILL);
        report(s, WEFT_STAGE_PREFILL, 0, s->prompt.count);
        return true;
    }
    weft_error err;
    const weft_model *model = s->context.model;
    weft_media_item *item = &s->items[s->items_done];
    weft_status status = WEFT_OK;
    if (!s->vision)
        status = weft_vision_begin(model->config, s->context.vision, &item->pixels, &item->config,
                                   s->context.compute, s->context.vision_format, &s->vision, &err);
    bool finished = false, ready = false;
    int64_t done = 0, total = 0;
    if (status == WEFT_OK) status = load_pixels(s, item, wait_ms, &ready, &err);
    if (status == WEFT_OK && !ready) return false;
    if (status == WEFT_OK) status = weft_vision_step(s->vision, &finished, &done, &total, &err);
    if (status != WEFT_OK) {
        prefix_media(s, s->items_done, &err);
        fail(s, &err);
        return true;
    }
    /* all pictures together, each counted as `total` slices */
    report(s, WEFT_STAGE_VISION, s->items_done * total + done, s->chat.media_count * total);
    if (!finished) return true;
    weft_vision_take(s->vision, &item->embeds);
    weft_vision_end(s->vision);
    s->vision = NULL;
    weft_pixels_free(&item->pixels);
    s->items_done++;
    return true;
}

bool weft_sequence_prepare(weft_sequence *s, int wait_ms) {
    if (s->started_ms == 0) {
        s->started_ms = weft_now_ms();
        s->stage_ms = s->started_ms;
    }
    switch (s->state) {
    case WEFT_SEQUENCE_MEASURE: return measure_slice(s, wait_ms);
    case WEFT_SEQUENCE_PROMPT: build_prompt(s); return true;
    case WEFT_SEQUENCE_DECODE: return decode_slice(s, wait_ms);
    case WEFT_SEQUENCE_VISION: return vision_slice(s, wait_ms);
    default: return true;
    }
}

weft_status weft_sequence_load_clips(weft_sequence *s, weft_error *err) {
    for (int64_t i = 0; i < s->chat.media_count; i++) {
        weft_media_item *item = &s->items[i];
        item->keep_frames = true;
        for (int64_t group = 0; item->video && group < item->grid.t; group++)
            for (bool ready = false; !ready;)
                WEFT_TRY(weft_media_item_load(s->context.model, &s->reader, weft_compute_pool(s->context.compute), 1000, item, group, &ready, err));
    }
    return WEFT_OK;
}

/* ---- decoder rows ---------------------------------------------------------------------------------------------- */

/* The row of prompt position i; visual rows point at their embedding and DeepStack rows, found by absolute position. */
static void fill_prompt_row(weft_sequence *s, int64_t i, weft_step_row *row) {
    const weft_prompt *prompt = &s->prompt;
    *row = (weft_step_row){.pages = s->kv.pages, .index = i, .token = prompt->ids[i], .sequence_length = prompt->count};
    memcpy(row->position, prompt->positions[i], sizeof row->position);
    while (s->next_span < prompt->span_count && prompt->spans[s->next_span].begin + prompt->spans[s->next_span].count <= i) s->next_span++;
    if (s->next_span == prompt->span_count || i < prompt->spans[s->next_span].begin) return;
    const weft_prompt_span *source = &prompt->sources[s->next_span];
    const weft_vision_embeds *embeds = &s->items[source->media].embeds;
    int64_t r = source->first_row + i - prompt->spans[s->next_span].begin;
    row->embed = embeds->rows + r * embeds->hidden;
    if (embeds->deepstack_count > 0) {
        row->deepstack = embeds->deepstack + r * embeds->hidden;
        row->deepstack_stride = embeds->tokens * embeds->hidden;
    }
}

int64_t weft_sequence_rows(weft_sequence *s, weft_step_row *rows, int64_t room) {
    bool prefill = s->state == WEFT_SEQUENCE_PREFILL;
    int64_t count = prefill ? s->prompt.count - s->cached : 1;
    if (count > room) count = room;
    /* A prompt takes all its pages at once or waits with none, so that two prompts can never wait for each other; an
     * answer in progress that finds the pool spent ends here. */
    if (!weft_kv_sequence_grow(s->context.kv_pool, &s->kv, prefill ? s->prompt.count + 1 : s->cached + 1)) {
        if (prefill)
            weft_kv_sequence_free(s->context.kv_pool, &s->kv);
        else
            end(s, "length");
        return 0;
    }
    if (!prefill) {
        int32_t at = (int32_t)(s->cached + s->prompt.delta);
        rows[0] = (weft_step_row){.pages = s->kv.pages, .index = s->cached, .position = {at, at, at}, .token = s->last_token,
                                  .sequence_length = s->cached + 1, .logits = true};
        return 1;
    }
    for (int64_t i = 0; i < count; i++) fill_prompt_row(s, s->cached + i, &rows[i]);
    bool last = s->cached + count == s->prompt.count;
    rows[count - 1].logits = last && !s->chat.embed;
    rows[count - 1].state = last ? s->state_vector : NULL;
    return count;
}

/* ---- after the decoder ----------------------------------------------------------------------------------------- */

static bool is_eos(const weft_model *model, int32_t id) {
    for (int i = 0; i < model->eos_count; i++)
        if (model->eos[i] == id) return true;
    return false;
}

/* Sends on the text that a token (or, with id < 0, the end of the stream) makes certain. */
static weft_status emit_token_text(weft_sequence *s, int32_t id, bool *stopped, weft_error *err) {
    weft_buffer_clear(&s->piece);
    weft_buffer_clear(&s->passed);
    *stopped = false;
    if (id >= 0)
        WEFT_TRY(weft_detokenizer_push(&s->detokenizer, id, &s->piece, err));
    else
        WEFT_TRY(weft_detokenizer_finish(&s->detokenizer, &s->piece, err));
    if (s->piece.size) WEFT_TRY(weft_stop_strings_push(&s->stops, s->piece.data, s->piece.size, &s->passed, stopped, err));
    if (id < 0 && !*stopped) WEFT_TRY(weft_stop_strings_finish(&s->stops, &s->passed, err));
    if (s->passed.size) WEFT_TRY(weft_output_parser_push(s->parser, s->passed.data, s->passed.size, err));
    return WEFT_OK;
}

static weft_status finish_text(weft_sequence *s, bool stopped, weft_error *err) {
    bool ignored;
    if (!stopped) WEFT_TRY(emit_token_text(s, -1, &ignored, err));
    return weft_output_parser_finish(s->parser, err);
}

static void accept_token(weft_sequence *s, int32_t id) {
    const weft_model *model = s->context.model;
    weft_error err;
    if (s->generated++ == 0) {
        s->first_token_ms = weft_now_ms();
        enter(s, WEFT_SEQUENCE_GENERATE);
        report(s, WEFT_STAGE_GENERATE, 0, s->max_tokens);
    }
    s->last_token = id;
    if (s->reasoning) {
        s->reasoning_tokens++;
        s->reasoning = id != model->think_end;
    }
    weft_status status = weft_request_add_id(s->request, id, &err);
    bool eos = is_eos(model, id), stopped = false;
    if (status == WEFT_OK && !eos && (size_t)id < weft_tokenizer_size(model->tokenizer)) status = emit_token_text(s, id, &stopped, &err);
    bool full = s->generated >= s->max_tokens;
    if (status == WEFT_OK && (eos || stopped || full)) {
        status = finish_text(s, stopped, &err);
        if (status == WEFT_OK) end(s, s->called_tool ? "tool_calls" : eos || stopped ? "stop" : "length");
    }
    if (status != WEFT_OK) fail(s, &err);
}

static void answer_state(weft_sequence *s) {
    weft_error err;
    size_t bytes = (size_t)s->context.model->config->text.hidden_size * sizeof *s->state_vector;
    if (weft_request_emit_text(s->request, WEFT_EVENT_CONTENT, (const char *)s->state_vector, bytes, &err) == WEFT_OK)
        end(s, "stop");
    else
        fail(s, &err);
}

void weft_sequence_advance(weft_sequence *s, int64_t count, float *logits) {
    s->cached += count;
    if (s->state == WEFT_SEQUENCE_PREFILL) {
        report(s, WEFT_STAGE_PREFILL, s->cached, s->prompt.count);
        if (s->cached == s->prompt.count) {
            s->prefilled_ms = weft_now_ms();
            for (int64_t i = 0; i < s->chat.media_count; i++) weft_media_item_free(&s->items[i]); /* all rows are in the cache */
        }
    }
    if (s->chat.embed && s->state == WEFT_SEQUENCE_PREFILL && s->cached == s->prompt.count) answer_state(s);
    if (logits) accept_token(s, weft_sampler_next(s->sampler, logits, NULL));
}
