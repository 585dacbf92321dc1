/* weft plan: what pictures and clips would cost, before anything is spent. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const char *const everywhere[] = {"/", NULL}; /* the user's own command may read the user's files */

typedef struct plan_options {
    weft_cli_model model;
    int64_t max_pixels, min_pixels, num_frames, max_frames;
    double fps, start, end;
    const char *question;
    bool json;
} plan_options;

static bool is_clip(const char *path) {
    static const char *const endings[] = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mpg", ".mpeg", ".ogv", ".3gp", ".flv", ".wmv"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

static void set_number(json_t *object, const char *name, double value) {
    if (value > 0 && !isnan(value)) json_object_set_new(object, name, value == floor(value) ? json_integer((json_int_t)value) : json_real(value));
}

static weft_status request_text(const plan_options *o, const weft_cli_list *files, char **text, weft_error *err) {
    json_t *content = json_array(), *options = json_object();
    weft_status status = WEFT_OK;
    for (int i = 0; i < files->count && status == WEFT_OK; i++) {
        /* a file part finds out by itself what it is; clips are named so that their container need not be known */
        json_t *part = weft_cli_media_part(is_clip(files->items[i]) ? "video_url" : "file", files->items[i], err);
        if (part)
            json_array_append_new(content, part);
        else
            status = err->status;
    }
    set_number(options, "max_pixels", (double)o->max_pixels);
    set_number(options, "min_pixels", (double)o->min_pixels);
    set_number(options, "num_frames", (double)o->num_frames);
    set_number(options, "max_frames", (double)o->max_frames);
    set_number(options, "fps", o->fps);
    set_number(options, "video_start", o->start);
    set_number(options, "video_end", o->end);
    if (o->question) json_array_append_new(content, json_pack("{s:s, s:s}", "type", "text", "text", o->question));
    json_t *body = json_pack("{s:[{s:s, s:o}], s:o}", "messages", "role", "user", "content", content, "mm_processor_kwargs", options);
    if (status == WEFT_OK && !(*text = body ? json_dumps(body, JSON_COMPACT) : NULL)) status = weft_fail(err, WEFT_ERR_INVALID, "the question is not UTF-8");
    json_decref(body);
    return status;
}

static double number(const json_t *object, const char *name) { return json_number_value(json_object_get(object, name)); }

static void print_plan(const json_t *plan, const weft_cli_list *files) {
    size_t i;
    json_t *item;
    const json_t *seconds = json_object_get(plan, "seconds"), *suggestion = json_object_get(plan, "suggestion");
    json_array_foreach(json_object_get(plan, "items"), i, item) {
        const json_t *grid = json_object_get(item, "grid"), *time = json_object_get(item, "seconds");
        printf("%s: %.0f x %.0f", i < (size_t)files->count ? files->items[i] : "?", number(item, "width"), number(item, "height"));
        if (number(item, "frames") > 1) printf(", %.0f frames of %.1f s", number(item, "frames"), number(item, "duration"));
        printf(", grid %lld x %lld x %lld, %.0f tokens, %.0f MiB", (long long)json_integer_value(json_array_get(grid, 0)), (long long)json_integer_value(json_array_get(grid, 1)),
               (long long)json_integer_value(json_array_get(grid, 2)), number(item, "tokens"), ceil(number(item, "memory_bytes") / 1048576));
        if (json_is_real(time)) printf(", about %.1f s", json_real_value(time));
        putchar('\n');
    }
    printf("together: %.0f tokens of %.0f, about %.0f MiB", number(plan, "prompt_tokens"), number(plan, "context_length"),
           ceil(number(json_object_get(plan, "memory"), "peak_bytes") / 1048576));
    if (json_is_object(seconds)) printf(", about %.1f s to the first word", number(seconds, "total"));
    printf(json_is_true(json_object_get(plan, "fits")) ? "; fits, %.0f tokens are left\n" : "; does not fit\n", number(plan, "remaining"));
    if (json_is_object(suggestion)) printf("with --max-pixels %.0f it has %.0f tokens and fits\n", number(suggestion, "max_pixels"), number(suggestion, "prompt_tokens"));
}

static weft_status run_plan(plan_options *o, const weft_cli_list *files, weft_error *err) {
    weft_model *model = NULL;
    weft_engine *engine = NULL;
    char *request = NULL, *text = NULL;
    weft_status status = request_text(o, files, &request, err);
    if (status == WEFT_OK) status = weft_cli_open_model(&o->model, false, &model, err);
    weft_engine_options engine_options = weft_cli_engine_options(&o->model, everywhere);
    if (status == WEFT_OK) status = weft_engine_create(model, &engine_options, &engine, err);
    weft_request_options options = {.json = request, .json_size = request ? strlen(request) : 0};
    if (status == WEFT_OK) weft_engine_measure(engine);
    if (status == WEFT_OK) status = weft_engine_plan(engine, &options, &text, err);
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    if (status == WEFT_OK && o->json)
        puts(text);
    else if (status == WEFT_OK)
        print_plan(plan, files);
    json_decref(plan);
    weft_free(text);
    free(request);
    weft_engine_destroy(engine);
    weft_model_close(model);
    return status;
}

int weft_cmd_plan(int argc, char **argv) {
    plan_options o = {.fps = NAN, .start = NAN, .end = NAN};
    weft_cli_list files = {0};
    const weft_option options[] = {
        WEFT_CLI_MODEL_OPTIONS(o.model),
        WEFT_CLI_URL_OPTIONS(o.model),
        {"--question", "-q", WEFT_OPTION_TEXT, &o.question, "the text that goes with them"},
        {"--max-pixels", NULL, WEFT_OPTION_INT, &o.max_pixels, "pixels of each at most (default: the checkpoint's)"},
        {"--min-pixels", NULL, WEFT_OPTION_INT, &o.min_pixels, "pixels of each at least (default: the checkpoint's)"},
        {"--fps", NULL, WEFT_OPTION_NUMBER, &o.fps, "frames a second of clips (default: the checkpoint's)"},
        {"--num-frames", NULL, WEFT_OPTION_INT, &o.num_frames, "frames of each clip"},
        {"--max-frames", NULL, WEFT_OPTION_INT, &o.max_frames, "frames of each clip at most"},
        {"--start", NULL, WEFT_OPTION_NUMBER, &o.start, "seconds from which clips are looked at"},
        {"--end", NULL, WEFT_OPTION_NUMBER, &o.end, "seconds to which clips are looked at"},
        {"--json", NULL, WEFT_OPTION_FLAG, &o.json, "one JSON object, as POST /v1/media/plan answers"},
        {0},
    };
    int code = weft_cli_parse(argc, argv, "weft plan --model MODEL FILE… [--max-pixels N] [--fps X] [--json]", options, &files);
    if (code >= 0) return code;
    weft_error err;
    return run_plan(&o, &files, &err) == WEFT_OK ? 0 : weft_cli_fail(&err);
}
