/* weft index and weft find: hours of video, looked at once at a low rate, then searched by words.
 *
 * Each segment is one request to the engine, so memory does not grow with the length of the video; its caption is kept
 * before the next one begins. A search takes the best captions and looks at those segments again, closer. */
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/video.h"
#include "store/files.h"

static const char *const everywhere[] = {"/", NULL}; /* the user's own command may read the user's files */
static const char caption_prompt[] = "Describe in one sentence what is seen and what happens.";

/* ---- asking the model ------------------------------------------------------------------------------------------ */

static char *make_request(const video_job *job, const char *text, double from, double to, double fps, int64_t frames,
                          weft_error *err) {
    json_t *part = weft_cli_media_part("video_url", job->path, err);
    if (!part) return NULL;
    if (to > 0) {
        json_object_set_new(part, "video_start", json_real(from));
        json_object_set_new(part, "video_end", json_real(to));
    }
    if (fps > 0) json_object_set_new(part, "fps", json_real(fps));
    if (frames > 0) json_object_set_new(part, "num_frames", json_integer(frames));
    json_object_set_new(part, "min_frames", json_integer(2));
    if (job->options->max_pixels > 0) json_object_set_new(part, "max_pixels", json_integer(job->options->max_pixels));
    json_t *body = json_pack("{s:[{s:s, s:[o, {s:s, s:s}]}], s:i}", "messages", "role", "user", "content", part, "type",
                             "text", "text", text, "max_tokens", 96);
    char *json = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!json) weft_fail(err, WEFT_ERR_INVALID, "the question is not UTF-8");
    return json;
}

static weft_status ask_model(const video_job *job, const char *text, double from, double to, double fps, char *answer,
                             size_t size, weft_error *err) {
    char *json = make_request(job, text, from, to, fps, 0, err);
    if (!json) return err->status;
    weft_request_options options = {.json = json, .json_size = strlen(json), .greedy = true};
    weft_request *request = NULL;
    weft_status status = weft_engine_submit(job->engine, &options, &request, err);
    free(json);
    size_t used = 0;
    answer[0] = 0;
    for (bool open = status == WEFT_OK; open;) {
        weft_event event;
        weft_request_poll(request, 200, &event);
        if (weft_cli_interrupted()) weft_request_cancel(request);
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
    if (status == WEFT_OK && weft_cli_interrupted())
        status = weft_fail(err, WEFT_ERR_CANCELLED, "interrupted; the next run goes on from here");
    return status;
}

static weft_status find_duration(video_job *job, weft_error *err) {
    char *json = make_request(job, "", 0, 0, 0, 2, err), *text = NULL;
    if (!json) return err->status;
    weft_request_options options = {.json = json, .json_size = strlen(json)};
    weft_status status = weft_engine_plan(job->engine, &options, &text, err);
    free(json);
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    weft_free(text);
    if (status == WEFT_OK)
        job->duration =
            json_number_value(json_object_get(json_array_get(json_object_get(plan, "items"), 0), "duration"));
    json_decref(plan);
    if (status == WEFT_OK && !(job->duration > 0))
        status = weft_fail(err, WEFT_ERR_FORMAT, "%s: its length is not known", job->path);
    return status;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static void close_job(video_job *job) {
    weft_video_index_close(job->index);
    weft_engine_destroy(job->engine);
    weft_model_close(job->model);
}

static weft_status open_job(video_job *job, video_options *options, const char *path, weft_error *err) {
    char folder[PATH_MAX], database[PATH_MAX + 16], resolved[PATH_MAX], model[512];
    struct stat info;
    *job = (video_job){.options = options, .path = path, .ask = ask_model};
    if (!realpath(path, resolved) || stat(resolved, &info) != 0 || !S_ISREG(info.st_mode))
        return weft_fail(err, WEFT_ERR_NOT_FOUND, "%s: no such file", path);
    if (options->data_dir)
        snprintf(folder, sizeof folder, "%s", options->data_dir);
    else
        WEFT_TRY(weft_data_folder(folder, sizeof folder, err));
    WEFT_TRY(weft_make_folders(folder, err));
    snprintf(database, sizeof database, "%s/videos.db", folder);
    WEFT_TRY(weft_cli_open_model(&options->model, options->quiet, &job->model, err));
    weft_engine_options engine_options = weft_cli_engine_options(&options->model, everywhere);
    WEFT_TRY(weft_engine_create(job->model, &engine_options, &job->engine, err));
    WEFT_TRY(weft_video_index_open(database, &job->index, err));
    WEFT_TRY(find_duration(job, err));
    job->segments = (int64_t)ceil(job->duration / options->segment);
    /* other frames or another question make another index */
    const weft_model_info *m = weft_model_get_info(job->model);
    snprintf(model, sizeof model, "%.100s %llu fps %g pixels %lld: %.200s", m->name, (unsigned long long)m->file_bytes,
             options->fps, (long long)options->max_pixels, options->prompt);
    return weft_video_index_add(job->index, resolved, (int64_t)info.st_size, (int64_t)info.st_mtime, model,
                                options->segment, job->duration, &job->video, err);
}

/* ---- indexing -------------------------------------------------------------------------------------------------- */

static weft_status bring_index(video_job *job, weft_error *err) {
    const video_options *o = job->options;
    int64_t done;
    static weft_video_segment segment;
    WEFT_TRY(weft_video_index_count(job->index, job->video, &done, err));
    for (int64_t i = done; i < job->segments; i++) {
        segment = (weft_video_segment){
            .number = i, .begins = (double)i * o->segment, .ends = fmin((double)(i + 1) * o->segment, job->duration)};
        WEFT_TRY(ask_model(job, o->prompt, segment.begins, segment.ends, o->fps, segment.caption,
                           sizeof segment.caption, err));
        WEFT_TRY(weft_video_index_put(job->index, job->video, &segment, err));
        if (!o->quiet)
            fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[K%lld of %lld segments" : "%lld of %lld segments\n",
                    (long long)i + 1, (long long)job->segments);
    }
    if (!o->quiet && isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    return WEFT_OK;
}

static weft_status open_output(const char *path, FILE **file, weft_error *err) {
    *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    return *file ? WEFT_OK : weft_fail(err, WEFT_ERR_IO, "%s: cannot be written", path);
}

static weft_status close_output(const char *path, FILE *file, weft_error *err) {
    bool failed = fflush(file) != 0 || ferror(file);
    if (file != stdout && fclose(file) != 0) failed = true;
    return failed ? weft_fail(err, WEFT_ERR_IO, "%s: cannot be written", path) : WEFT_OK;
}

/* One segment after the other: the whole is never in memory. */
static weft_status export_index(video_job *job, const char *path, bool srt, weft_error *err) {
    FILE *file;
    static weft_video_segment s;
    bool found = true;
    WEFT_TRY(open_output(path, &file, err));
    weft_status status = WEFT_OK;
    if (!srt) fprintf(file, "{\"duration\": %.3f, \"segments\": [", job->duration);
    for (int64_t i = 0; status == WEFT_OK && found && i < job->segments; i++) {
        status = weft_video_index_get(job->index, job->video, i, &s, &found, err);
        if (status != WEFT_OK || !found) break;
        char from[32], to[32];
        weft_video_clock(s.begins, true, from, sizeof from);
        weft_video_clock(s.ends, true, to, sizeof to);
        json_t *caption = json_string(s.caption);
        char *text = srt || !caption ? NULL : json_dumps(caption, JSON_ENCODE_ANY);
        if (srt)
            fprintf(file, "%lld\n%s --> %s\n%s\n\n", (long long)i + 1, from, to, s.caption);
        else
            fprintf(file, "%s\n {\"begin\": %.3f, \"end\": %.3f, \"caption\": %s}", i ? "," : "", s.begins, s.ends,
                    text ? text : "\"\"");
        free(text);
        json_decref(caption);
    }
    if (!srt) fputs("\n]}\n", file);
    weft_status closed = close_output(path, file, status == WEFT_OK ? err : NULL);
    return status != WEFT_OK ? status : closed;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

#define VIDEO_OPTIONS(o)                                                                                               \
    WEFT_CLI_MODEL_OPTIONS((o).model),                                                                                 \
        {"--segment", NULL, WEFT_OPTION_NUMBER, &(o).segment, "seconds of a segment (default: 10)"},                   \
        {"--fps", NULL, WEFT_OPTION_NUMBER, &(o).fps, "frames a second of the first look (default: 0.5)"},             \
        {"--max-pixels", NULL, WEFT_OPTION_INT, &(o).max_pixels,                                                       \
         "pixels of a segment at most, all frames (default: the checkpoint's)"},                                       \
        {"--prompt", NULL, WEFT_OPTION_TEXT, &(o).prompt, "what is asked about each segment"},                         \
        {"--data-dir", NULL, WEFT_OPTION_TEXT, &(o).data_dir, "folder of the index (default: $XDG_DATA_HOME/weft)"}, { \
        "--quiet", "-q", WEFT_OPTION_FLAG, &(o).quiet, "no progress"                                                   \
    }

static const video_options defaults = {
    .segment = 10, .fps = 0.5, .closer_fps = 2, .limit = 5, .prompt = caption_prompt};

static int check_options(const video_options *o) {
    if (o->segment >= 0.1 && o->segment <= 3600 && o->fps > 0 && o->fps <= 1000 && o->closer_fps > 0 &&
        o->closer_fps <= 1000 && o->limit >= 1 && o->limit <= WEFT_INDEX_HITS_MAX)
        return -1;
    fprintf(stderr, "weft: error: --segment must be 0.1 to 3600 seconds, rates above 0, --limit 1 to %d\n",
            WEFT_INDEX_HITS_MAX);
    return 2;
}

int weft_cmd_index(int argc, char **argv) {
    video_options o = defaults;
    weft_cli_list words = {0};
    const weft_option options[] = {
        VIDEO_OPTIONS(o),
        {"--json", NULL, WEFT_OPTION_TEXT, &o.json, "write the captions as JSON to this file (-: standard output)"},
        {"--srt", NULL, WEFT_OPTION_TEXT, &o.srt, "write the captions as SubRip subtitles to this file"},
        {0},
    };
    int code = weft_cli_parse(
        argc, argv, "weft index --model MODEL VIDEO [--segment SECONDS] [--json FILE] [--srt FILE]", options, &words);
    if (code < 0) code = check_options(&o);
    if (code >= 0) return code;
    if (words.count != 1) {
        fprintf(stderr, "weft: error: name one video\n");
        return 2;
    }
    weft_error err;
    video_job job;
    weft_cli_interrupted(); /* arms Ctrl+C */
    weft_status status = open_job(&job, &o, words.items[0], &err);
    if (status == WEFT_OK) status = bring_index(&job, &err);
    if (status == WEFT_OK && o.json) status = export_index(&job, o.json, false, &err);
    if (status == WEFT_OK && o.srt) status = export_index(&job, o.srt, true, &err);
    close_job(&job);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}

int weft_cmd_find(int argc, char **argv) {
    video_options o = defaults;
    weft_cli_list words = {0};
    const weft_option options[] = {
        VIDEO_OPTIONS(o),
        {"--limit", NULL, WEFT_OPTION_INT, &o.limit, "ranges at most (default: 5)"},
        {"--closer-fps", NULL, WEFT_OPTION_NUMBER, &o.closer_fps, "frames a second of the second look (default: 2)"},
        {"--no-refine", NULL, WEFT_OPTION_FLAG, &o.no_refine, "by the captions alone, without a second look"},
        {"--json", NULL, WEFT_OPTION_FLAG, &o.as_json, "a JSON list"},
        {0},
    };
    int code =
        weft_cli_parse(argc, argv, "weft find --model MODEL VIDEO \"words\" [--limit N] [--json]", options, &words);
    if (code < 0) code = check_options(&o);
    if (code >= 0) return code;
    if (words.count != 2) {
        fprintf(stderr, "weft: error: name a video and, in quotes, what to look for\n");
        return 2;
    }
    weft_error err;
    video_job job;
    int count = 0;
    weft_video_segment *hits = calloc((size_t)o.limit, sizeof *hits);
    weft_cli_interrupted();
    weft_status status = open_job(&job, &o, words.items[0], &err);
    if (status == WEFT_OK && !hits) status = weft_fail(&err, WEFT_ERR_MEMORY, "find: no memory");
    if (status == WEFT_OK) status = bring_index(&job, &err);
    if (status == WEFT_OK)
        status = weft_video_index_find(job.index, job.video, words.items[1], (int)o.limit, hits, &count, &err);
    if (status == WEFT_OK) status = weft_video_show(&job, words.items[1], hits, count, &err);
    close_job(&job);
    free(hits);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}
