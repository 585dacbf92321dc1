/* From a video to captions in the index: see video.h. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "video/video.h"

enum {
    ANSWER_TOKENS_MAX = 96, /* of one caption */
    POLL_MS = 200,          /* how late a cancelled job may notice */
};

const weft_video_settings weft_video_defaults = {
    .segment = 10, .fps = 0.5, .closer_fps = 2, .prompt = WEFT_VIDEO_PROMPT};

/* ---- asking the model ------------------------------------------------------------------------------------------ */

static char *make_request(const weft_video_job *job, const char *text, double from, double to, double fps,
                          int64_t frames, weft_error *err) {
    const weft_video_settings *settings = &job->settings;
    json_t *part = json_pack("{s:s, s:{s:s}, s:i}", "type", "video_url", "video_url", "url", job->url, "min_frames", 2);
    if (to > 0) {
        json_object_set_new(part, "video_start", json_real(from));
        json_object_set_new(part, "video_end", json_real(to));
    }
    if (fps > 0) json_object_set_new(part, "fps", json_real(fps));
    if (frames > 0) json_object_set_new(part, "num_frames", json_integer(frames));
    if (settings->max_pixels > 0) json_object_set_new(part, "max_pixels", json_integer(settings->max_pixels));
    json_t *body = part ? json_pack("{s:[{s:s, s:[o, {s:s, s:s}]}], s:i}", "messages", "role", "user", "content", part,
                                    "type", "text", "text", text, "max_tokens", ANSWER_TOKENS_MAX)
                        : NULL;
    char *json = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!json) weft_fail(err, WEFT_ERR_INVALID, "the question, or the video's name, is not UTF-8");
    return json;
}

static bool is_cancelled(const weft_video_job *job) {
    return job->cancelled && job->cancelled(job->cancelled_context);
}

static weft_request_options request_options(const weft_video_job *job, const char *json) {
    return (weft_request_options){.json = json,
                                  .json_size = strlen(json),
                                  .greedy = true,
                                  .background = job->background,
                                  .resolve = job->resolve,
                                  .resolve_context = job->resolve_context,
                                  .cancelled = job->cancelled,
                                  .cancelled_context = job->cancelled_context};
}

static weft_status ask_engine(const weft_video_job *job, const char *text, double from, double to, double fps,
                              char *answer, size_t size, weft_error *err) {
    char *json = make_request(job, text, from, to, fps, 0, err);
    if (!json) return err->status;
    weft_request_options options = request_options(job, json);
    weft_request *request = NULL;
    weft_status status = weft_engine_submit(job->engine, &options, &request, err);
    free(json);
    size_t used = 0;
    answer[0] = 0;
    for (bool open = status == WEFT_OK; open;) {
        weft_event event;
        weft_request_poll(request, POLL_MS, &event);
        if (is_cancelled(job)) weft_request_cancel(request);
        if (event.kind == WEFT_EVENT_CONTENT)
            for (size_t i = 0; i < event.text_size && used + 1 < size; i++)
                answer[used++] = (unsigned char)event.text[i] < ' ' ? ' ' : event.text[i];
        if (event.kind == WEFT_EVENT_ERROR) status = weft_fail(err, event.error.status, "%s", event.error.message);
        open = event.kind != WEFT_EVENT_DONE && event.kind != WEFT_EVENT_ERROR;
    }
    while (used > 0 && (answer[used - 1] == ' ' || (used + 1 == size && (answer[used - 1] & 0x80))))
        used--; /* no half character */
    answer[used] = 0;
    weft_request_free(request);
    if (status == WEFT_OK && is_cancelled(job))
        status = weft_fail(err, WEFT_ERR_CANCELLED, "interrupted; the next run goes on from here");
    return status;
}

static weft_status embed_engine(const weft_video_job *job, const char *text, float **vector, int64_t *size,
                                weft_error *err) {
    weft_request_options options = {
        .background = job->background, .cancelled = job->cancelled, .cancelled_context = job->cancelled_context};
    weft_usage usage;
    weft_status status = weft_engine_embed_text(job->engine, text, &options, vector, size, &usage, err);
    if (status != WEFT_OK && is_cancelled(job))
        status = weft_fail(err, WEFT_ERR_CANCELLED, "interrupted; the next run goes on from here");
    return status;
}

static weft_status find_duration(weft_video_job *job, weft_error *err) {
    char *json = make_request(job, "", 0, 0, 0, 2, err), *text = NULL;
    if (!json) return err->status;
    weft_request_options options = request_options(job, json);
    weft_status status = weft_engine_plan(job->engine, &options, &text, err);
    free(json);
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    weft_free(text);
    if (status == WEFT_OK)
        job->duration =
            json_number_value(json_object_get(json_array_get(json_object_get(plan, "items"), 0), "duration"));
    json_decref(plan);
    if (status == WEFT_OK && !(job->duration > 0))
        status = weft_fail(err, WEFT_ERR_FORMAT, "%s: its length is not known", job->name);
    return status;
}

/* ---- indexing -------------------------------------------------------------------------------------------------- */

weft_status weft_video_check(const weft_video_settings *s, weft_error *err) {
    if (!(s->segment >= WEFT_VIDEO_SEGMENT_MIN && s->segment <= WEFT_VIDEO_SEGMENT_MAX))
        return weft_fail(err, WEFT_ERR_INVALID, "a segment has %g to %g seconds", WEFT_VIDEO_SEGMENT_MIN,
                         WEFT_VIDEO_SEGMENT_MAX);
    if (!(s->fps > 0 && s->fps <= WEFT_VIDEO_FPS_MAX && s->closer_fps > 0 && s->closer_fps <= WEFT_VIDEO_FPS_MAX))
        return weft_fail(err, WEFT_ERR_INVALID, "frames a second are over 0 and at most %g", WEFT_VIDEO_FPS_MAX);
    if (s->max_pixels < 0) return weft_fail(err, WEFT_ERR_INVALID, "max_pixels is 1 or more");
    return WEFT_OK;
}

void weft_video_take_up(weft_video_job *job, int64_t video, double duration) {
    if (!job->ask) job->ask = ask_engine;
    if (!job->embed && job->engine) job->embed = embed_engine;
    job->video = video;
    job->duration = duration;
    job->segments = (int64_t)fmin(fmax(ceil((duration - 0.001) / job->settings.segment), 1), WEFT_VIDEO_SEGMENTS_MAX + 1.0);
}

weft_status weft_video_open(weft_video_job *job, const char *path, int64_t bytes, int64_t modified, weft_error *err) {
    const weft_video_settings *s = &job->settings;
    char model[512];
    WEFT_TRY(weft_video_check(s, err));
    WEFT_TRY(find_duration(job, err));
    weft_video_take_up(job, 0, job->duration);
    if (job->segments > WEFT_VIDEO_SEGMENTS_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %.0f seconds are over %d segments of %g: choose longer ones",
                         job->name, job->duration, WEFT_VIDEO_SEGMENTS_MAX, s->segment);
    /* other frames or another question make another index */
    const weft_model_info *m = weft_model_get_info(job->model);
    snprintf(model, sizeof model, "%.100s %016llx fps %g pixels %lld: %.200s", m->name,
             (unsigned long long)weft_model_identity(job->model), s->fps, (long long)s->max_pixels, s->prompt);
    WEFT_TRY(weft_video_remember(job, path, err));
    return weft_video_index_add(job->index, path, bytes, modified, model, s->segment, job->duration, &job->video, err);
}

/* ---- export ---------------------------------------------------------------------------------------------------- */

void weft_video_clock(double seconds, bool milliseconds, char *text, size_t size) {
    long long ms = (long long)(seconds * 1000 + 0.5), s = ms / 1000;
    if (milliseconds)
        snprintf(text, size, "%02lld:%02lld:%02lld,%03lld", s / 3600, s / 60 % 60, s % 60, ms % 1000);
    else
        snprintf(text, size, "%02lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

weft_status weft_video_export(const weft_video_job *job, weft_video_format format, int64_t number, weft_buffer *out,
                              bool *more, weft_error *err) {
    weft_video_segment s;
    bool json = format == WEFT_VIDEO_JSON;
    *more = false;
    if (number < job->segments) WEFT_TRY(weft_video_index_get(job->index, job->video, number, &s, more, err));
    if (json && number == 0)
        WEFT_TRY(weft_buffer_printf(out, err, "{\"duration\": %.3f, \"segments\": [", job->duration));
    if (!*more) return json ? weft_buffer_puts(out, "\n]}\n", err) : WEFT_OK;
    if (!json) {
        char from[32], to[32];
        weft_video_clock(s.begins, true, from, sizeof from);
        weft_video_clock(s.ends, true, to, sizeof to);
        return weft_buffer_printf(out, err, "%lld\n%s --> %s\n%s\n\n", (long long)number + 1, from, to, s.caption);
    }
    json_t *caption = json_string(s.caption);
    char *text = caption ? json_dumps(caption, JSON_ENCODE_ANY) : NULL;
    weft_status status = weft_buffer_printf(out, err, "%s\n {\"begin\": %.3f, \"end\": %.3f, \"caption\": %s}",
                                            number ? "," : "", s.begins, s.ends, text ? text : "\"\"");
    free(text);
    json_decref(caption);
    return status;
}
