/* weft index and weft find: long videos on the command line. The work is src/video's. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "store/files.h"
#include "video/video.h"

static const char *const everywhere[] = {"/", NULL}; /* the user's own command may read the user's files */

typedef struct video_options {
    weft_cli_model model;
    weft_video_settings settings;
    int64_t limit;
    const char *data_dir, *json, *srt;
    bool as_json, no_refine, quiet;
} video_options;

typedef struct video_command { /* what a command holds while it runs */
    weft_video_job job;
    weft_model *model;
    weft_engine *engine;
    weft_video_index *index;
    json_t *part; /* owns the video's URL */
} video_command;

static bool interrupted(void *context) {
    (void)context;
    return weft_cli_interrupted();
}

static void close_command(video_command *c) {
    weft_video_close(&c->job);
    weft_video_index_close(c->index);
    weft_engine_destroy(c->engine);
    weft_model_close(c->model);
    json_decref(c->part);
}

static weft_status open_command(video_command *c, video_options *options, const char *path, weft_error *err) {
    char folder[PATH_MAX], database[PATH_MAX + 16], resolved[PATH_MAX];
    struct stat info;
    *c = (video_command){0};
    if (!realpath(path, resolved) || stat(resolved, &info) != 0 || !S_ISREG(info.st_mode))
        return weft_fail(err, WEFT_ERR_NOT_FOUND, "%s: no such file", path);
    if (options->data_dir)
        snprintf(folder, sizeof folder, "%s", options->data_dir);
    else
        WEFT_TRY(weft_data_folder(folder, sizeof folder, err));
    WEFT_TRY(weft_make_folders(folder, err));
    snprintf(database, sizeof database, "%s/videos.db", folder);
    c->part = weft_cli_media_part("video_url", path, err);
    if (!c->part) return err->status;
    WEFT_TRY(weft_cli_open_model(&options->model, options->quiet, &c->model, err));
    weft_engine_options engine_options = weft_cli_engine_options(&options->model, everywhere);
    WEFT_TRY(weft_engine_create(c->model, &engine_options, &c->engine, err));
    WEFT_TRY(weft_video_index_open(database, &c->index, err));
    c->job = (weft_video_job){.settings = options->settings,
                              .model = c->model,
                              .engine = c->engine,
                              .index = c->index,
                              .name = path,
                              .url = json_string_value(json_object_get(json_object_get(c->part, "video_url"), "url")),
                              .cancelled = interrupted};
    return weft_video_open(&c->job, resolved, (int64_t)info.st_size, (int64_t)info.st_mtime, err);
}

static weft_status bring_index(video_command *c, bool quiet, weft_error *err) {
    bool terminal = isatty(STDERR_FILENO);
    int64_t done;
    WEFT_TRY(weft_video_index_count(c->index, c->job.video, &done, err));
    for (int64_t i = done; i < c->job.segments; i++) {
        WEFT_TRY(weft_video_caption(&c->job, i, err));
        if (!quiet)
            fprintf(stderr, terminal ? "\r\033[K%lld of %lld segments" : "%lld of %lld segments\n", (long long)i + 1,
                    (long long)c->job.segments);
    }
    if (!quiet && terminal) fputs("\r\033[K", stderr);
    return WEFT_OK;
}

/* ---- export ---------------------------------------------------------------------------------------------------- */

static weft_status export_index(const video_command *c, const char *path, weft_video_format format, weft_error *err) {
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (!file) return weft_fail(err, WEFT_ERR_IO, "%s: cannot be written", path);
    weft_buffer piece;
    weft_status status = WEFT_OK;
    weft_buffer_init(&piece, 1 << 16, "a caption");
    bool more = true;
    for (int64_t i = 0; status == WEFT_OK && more; i++) {
        weft_buffer_clear(&piece);
        status = weft_video_export(&c->job, format, i, &piece, &more, err);
        if (status == WEFT_OK) fwrite(piece.data, 1, piece.size, file);
    }
    weft_buffer_free(&piece);
    bool failed = fflush(file) != 0 || ferror(file);
    if (file != stdout && fclose(file) != 0) failed = true;
    return status == WEFT_OK && failed ? weft_fail(err, WEFT_ERR_IO, "%s: cannot be written", path) : status;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

#define VIDEO_OPTIONS(o)                                                                                               \
    WEFT_CLI_MODEL_OPTIONS((o).model),                                                                                 \
        {"--segment", NULL, WEFT_OPTION_NUMBER, &(o).settings.segment, "seconds of a segment (default: 10)"},          \
        {"--fps", NULL, WEFT_OPTION_NUMBER, &(o).settings.fps, "frames a second of the first look (default: 0.5)"},    \
        {"--max-pixels", NULL, WEFT_OPTION_INT, &(o).settings.max_pixels,                                              \
         "pixels of a segment at most, all frames (default: the checkpoint's)"},                                       \
        {"--prompt", NULL, WEFT_OPTION_TEXT, &(o).settings.prompt, "what is asked about each segment"},                \
        {"--data-dir", NULL, WEFT_OPTION_TEXT, &(o).data_dir, "folder of the index (default: $XDG_DATA_HOME/weft)"}, { \
        "--quiet", "-q", WEFT_OPTION_FLAG, &(o).quiet, "no progress"                                                   \
    }

static video_options default_options(void) {
    return (video_options){.settings = weft_video_defaults, .limit = 5};
}

/* What is wrong with the values is wrong usage: -1 to go on, else the exit code. */
static int check_options(const video_options *o) {
    weft_error err;
    if (weft_video_check(&o->settings, &err) != WEFT_OK)
        fprintf(stderr, "weft: error: %s\n", err.message);
    else if (o->limit < 1 || o->limit > WEFT_INDEX_HITS_MAX)
        fprintf(stderr, "weft: error: --limit is 1 to %d\n", WEFT_INDEX_HITS_MAX);
    else
        return -1;
    return 2;
}

int weft_cmd_index(int argc, char **argv) {
    video_options o = default_options();
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
    video_command command;
    weft_cli_interrupted(); /* arms Ctrl+C */
    weft_status status = open_command(&command, &o, words.items[0], &err);
    if (status == WEFT_OK) status = bring_index(&command, o.quiet, &err);
    if (status == WEFT_OK && o.json) status = export_index(&command, o.json, WEFT_VIDEO_JSON, &err);
    if (status == WEFT_OK && o.srt) status = export_index(&command, o.srt, WEFT_VIDEO_SRT, &err);
    close_command(&command);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}

/* context: how many have been printed. */
static void print_range(void *context, const weft_video_range *range) {
    ++*(int *)context;
    const char *how = range->by_meaning ? " (by meaning, seen again)" : range->confirmed ? " (seen again)" : "";
    printf("%s%s %s\n", range->clock, how, range->found.caption);
    fflush(stdout); /* the next one may take its time */
}

static void list_range(void *context, const weft_video_range *range) {
    const weft_video_segment *s = &range->found;
    json_array_append_new(context,
                          json_pack("{s:f, s:f, s:s, s:s, s:b, s:s, s:f}", "begin", s->begins, "end", s->ends, "range",
                                    range->clock, "caption", s->caption, "confirmed", range->confirmed, "match",
                                    range->by_meaning ? "meaning" : "words", "score", s->score));
}

static weft_status find(video_command *c, const video_options *o, const char *words, weft_error *err) {
    if (!o->as_json) {
        int printed = 0;
        WEFT_TRY(weft_video_search(&c->job, words, (int)o->limit, !o->no_refine, print_range, &printed, err));
        if (printed == 0 && !o->quiet) fprintf(stderr, "nothing in %s is described like that\n", c->job.name);
        return WEFT_OK;
    }
    json_t *list = json_array();
    weft_status status = weft_video_search(&c->job, words, (int)o->limit, !o->no_refine, list_range, list, err);
    char *text = status == WEFT_OK ? json_dumps(list, JSON_INDENT(1)) : NULL;
    if (status == WEFT_OK) puts(text ? text : "[]");
    free(text);
    json_decref(list);
    return status;
}

int weft_cmd_find(int argc, char **argv) {
    video_options o = default_options();
    weft_cli_list words = {0};
    const weft_option options[] = {
        VIDEO_OPTIONS(o),
        {"--limit", NULL, WEFT_OPTION_INT, &o.limit, "ranges at most (default: 5)"},
        {"--closer-fps", NULL, WEFT_OPTION_NUMBER, &o.settings.closer_fps,
         "frames a second of the second look (default: 2)"},
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
    video_command command;
    weft_cli_interrupted();
    weft_status status = open_command(&command, &o, words.items[0], &err);
    if (status == WEFT_OK) status = bring_index(&command, o.quiet, &err);
    if (status == WEFT_OK) status = find(&command, &o, words.items[1], &err);
    close_command(&command);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}
