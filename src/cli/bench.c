/* weft bench: how fast a model runs here. Prefill, decode, pictures, load and first token, as a table or one JSON
 * object.
 *
 * Everything goes through weft.h: rows are measured by weft_engine_bench, load and first token by doing them. Lists of
 * the command line are checked whole before anything is measured. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "cli/cli.h"

enum { ROWS_MAX = 256, BENCH_NUMBER_MAX = 1 << 24 };

typedef struct bench_plan {
    weft_bench_task tasks[ROWS_MAX];
    int count;
} bench_plan;

typedef struct bench_output {
    bool json;
    json_t *rows;
} bench_output;

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- what the machine says ------------------------------------------------------------------------------------- */

/* A line "key: value" of a /proc file; false when there is none. */
static bool read_proc(const char *path, const char *key, char *value, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)) != 0) continue;
        const char *text = colon + 1 + strspn(colon + 1, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(text, "\n"), text);
        found = true;
    }
    fclose(file);
    return found;
}

static void cpu_name(char *name, size_t size) {
    if (!read_proc("/proc/cpuinfo", "model name", name, size) &&
        !read_proc("/proc/cpuinfo", "CPU implementer", name, size))
        snprintf(name, size, "unknown");
}

/* The peak of resident memory, mapped weights included, is counted anew for each row where Linux allows it. */
static void reset_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file) return;
    fputs("5", file);
    fclose(file);
}

static int64_t peak_bytes(void) {
    char text[64];
    if (read_proc("/proc/self/status", "VmHWM", text, sizeof text)) return strtoll(text, NULL, 10) * 1024;
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

/* ---- the lists ------------------------------------------------------------------------------------------------- */

/* A positive number at *text, which moves behind it. */
static bool take_number(const char **text, int64_t least, int64_t *number) {
    char *end;
    if (**text < '0' || **text > '9') return false;
    long long value = strtoll(*text, &end, 10);
    *text = end;
    *number = value;
    return value >= least && value <= BENCH_NUMBER_MAX;
}

static int refuse(const char *option, const char *text, const char *form) {
    fprintf(stderr, "weft: error: %s does not take '%s': write it as %s\n", option, text, form);
    return 2;
}

static int add_task(bench_plan *plan, const weft_bench_task *task) {
    if (plan->count == ROWS_MAX) {
        fprintf(stderr, "weft: error: more than %d measurements in one run\n", ROWS_MAX);
        return 2;
    }
    plan->tasks[plan->count++] = *task;
    return 0;
}

/* "512,512@8192": lengths, each at a depth. Decode rows are measured once per batch size. */
static int add_text(bench_plan *plan, weft_bench_kind kind, const char *option, const char *list, const char *batches) {
    for (const char *p = list;;) {
        weft_bench_task task = {.kind = kind, .batch = 1};
        bool good = take_number(&p, 1, &task.tokens);
        if (good && *p == '@') good = (p++, take_number(&p, 0, &task.depth));
        if (!good || (*p != 0 && *p != ',')) return refuse(option, list, "512,512@8192 (tokens, tokens@depth)");
        for (const char *b = batches;;) {
            if (batches && (!take_number(&b, 1, &task.batch) || (*b != 0 && *b != ',')))
                return refuse("--batch", batches, "1,4,8 (sequences at once)");
            int code = add_task(plan, &task);
            if (code) return code;
            if (!batches || *b++ == 0) break;
        }
        if (*p++ == 0) return 0;
    }
}

static int add_images(bench_plan *plan, const char *list) {
    for (const char *p = list;;) {
        weft_bench_task task = {.kind = WEFT_BENCH_IMAGE};
        bool good = take_number(&p, 1, &task.width) && *p == 'x';
        if (good) good = (p++, take_number(&p, 1, &task.height));
        if (!good || (*p != 0 && *p != ','))
            return refuse("--image", list, "512x512,1024x1024 (width x height in pixels)");
        int code = add_task(plan, &task);
        if (code) return code;
        if (*p++ == 0) return 0;
    }
}

/* ---- output ---------------------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
    [WEFT_BENCH_PREFILL] = "prefill", [WEFT_BENCH_DECODE] = "decode", [WEFT_BENCH_IMAGE] = "image"};

/* `extra` (taken over, NULL for load and first token, which have no rate) holds what only this kind has. */
static void put_row(bench_output *out, const char *kind, const char *label, int64_t tokens, int64_t depth,
                    double seconds, json_t *extra) {
    int64_t rss = peak_bytes();
    double rate = extra && seconds > 0 ? (double)tokens / seconds : 0;
    if (out->json) {
        json_t *row =
            json_pack("{s:s, s:I, s:I, s:f, s:f, s:I}", "kind", kind, "tokens", (json_int_t)tokens, "depth",
                      (json_int_t)depth, "tokens_per_s", rate, "seconds", seconds, "rss_bytes", (json_int_t)rss);
        if (extra) json_object_update(row, extra);
        json_array_append_new(out->rows, row);
    } else {
        char rate_text[32] = "-";
        if (rate > 0) snprintf(rate_text, sizeof rate_text, rate < 100 ? "%.2f" : "%.1f", rate);
        printf("%-12s %-20s %8lld %8lld %12s %12.4f %10.1f\n", kind, label, (long long)tokens, (long long)depth,
               rate_text, seconds, (double)rss / (1 << 20));
        fflush(stdout);
    }
    json_decref(extra);
}

static void put_result(bench_output *out, const weft_bench_task *task, const weft_bench_result *result) {
    char label[64];
    json_t *extra = json_pack("{s:I, s:f, s:f}", "runs", (json_int_t)task->repeat, "seconds_min", result->seconds_min,
                              "seconds_max", result->seconds_max);
    if (task->kind == WEFT_BENCH_IMAGE) {
        snprintf(label, sizeof label, "%lldx%lld", (long long)task->width, (long long)task->height);
        json_object_set_new(extra, "width", json_integer(task->width));
        json_object_set_new(extra, "height", json_integer(task->height));
    } else {
        int used = snprintf(label, sizeof label, "%lld@%lld", (long long)task->tokens, (long long)task->depth);
        if (task->batch > 1)
            snprintf(label + used, sizeof label - (size_t)used, ", %lld at once", (long long)task->batch);
        if (task->kind == WEFT_BENCH_DECODE) json_object_set_new(extra, "batch", json_integer(task->batch));
    }
    put_row(out, kind_names[task->kind], label, result->tokens, task->depth, result->seconds, extra);
}

/* ---- measuring ------------------------------------------------------------------------------------------------- */

/* One short question, greedily, up to its first token; returns the prompt's length. */
static weft_status first_token(weft_engine *engine, int64_t *prompt_tokens, weft_error *err) {
    static const char body[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"What is the capital of France?\"}]}";
    weft_request_options options = {.json = body, .json_size = sizeof body - 1, .greedy = true, .max_tokens = 1};
    weft_request *request;
    WEFT_TRY(weft_engine_submit(engine, &options, &request, err));
    weft_event event;
    do weft_request_poll(request, -1, &event);
    while (event.kind != WEFT_EVENT_DONE && event.kind != WEFT_EVENT_ERROR);
    weft_status status = WEFT_OK;
    if (event.kind == WEFT_EVENT_ERROR) {
        *err = event.error;
        status = event.error.status;
    }
    *prompt_tokens = event.usage.prompt_tokens;
    weft_request_free(request);
    return status;
}

static weft_status run_tasks(weft_engine *engine, bench_plan *plan, int64_t repeat, bench_output *out,
                             weft_error *err) {
    /* what the tasks need beside the text weights (the vision tower, scratch) is read once before it counts */
    bool warm[3] = {true, true, false};
    for (int i = 0; i < plan->count; i++) {
        weft_bench_task *task = &plan->tasks[i];
        weft_bench_result result;
        task->repeat = repeat;
        reset_peak();
        if (!warm[task->kind]) {
            weft_bench_task small = {.kind = WEFT_BENCH_IMAGE, .width = 64, .height = 64};
            WEFT_TRY(weft_engine_bench(engine, &small, &result, err));
            warm[task->kind] = true;
        }
        WEFT_TRY(weft_engine_bench(engine, task, &result, err));
        put_result(out, task, &result);
    }
    return WEFT_OK;
}

typedef struct bench_job {
    weft_cli_model model_options;
    bench_plan plan;
    int64_t repeat;
    bool first_look; /* nothing was named */
    bench_output out;
} bench_job;

static void put_head(const weft_model *model, const weft_engine *engine, const char *cpu) {
    const weft_model_info *info = weft_model_get_info(model);
    printf("%s, %.2f GB of files\n%s, level %s, %d threads\n\n", info->name, (double)info->file_bytes * 1e-9, cpu,
           weft_engine_cpu_level(engine), weft_engine_threads(engine));
    printf("%-12s %-20s %8s %8s %12s %12s %10s\n", "", "", "tokens", "depth", "tokens/s", "seconds", "peak MiB");
}

static weft_status run_bench(bench_job *job, weft_error *err) {
    double start = now_s();
    weft_model *model = NULL;
    WEFT_TRY(weft_cli_open_model(&job->model_options, job->out.json, &model, err));
    weft_engine_options engine_options = weft_cli_engine_options(&job->model_options, NULL);
    weft_engine *engine = NULL;
    weft_status status = weft_engine_create(model, &engine_options, &engine, err);
    double loaded = now_s() - start;
    char cpu[256];
    cpu_name(cpu, sizeof cpu);
    if (status == WEFT_OK) {
        if (!job->out.json) put_head(model, engine, cpu);
        put_row(&job->out, "load", "", 0, 0, loaded, NULL);
        int64_t prompt_tokens = 0;
        status = first_token(engine, &prompt_tokens, err);
        if (job->first_look && weft_model_get_info(model)->vision) add_images(&job->plan, "512x512");
        if (status == WEFT_OK) {
            double first = now_s() - start;
            put_row(&job->out, "first_token", "load included", prompt_tokens, 0, first, NULL);
            status = run_tasks(engine, &job->plan, job->repeat, &job->out, err);
        }
        if (status == WEFT_OK && job->out.json) {
            json_t *root = json_pack("{s:s, s:s, s:i, s:s, s:s, s:O}", "cpu", cpu, "level",
                                     weft_engine_cpu_level(engine), "threads", weft_engine_threads(engine), "model",
                                     weft_model_get_info(model)->name, "version", WEFT_VERSION, "rows", job->out.rows);
            json_dumpf(root, stdout, JSON_REAL_PRECISION(7));
            putchar('\n');
            json_decref(root);
        }
        weft_engine_destroy(engine);
    }
    weft_model_close(model);
    return status;
}

int weft_cmd_bench(int argc, char **argv) {
    bench_job job = {.repeat = 1};
    const char *prefill = NULL, *decode = NULL, *image = NULL, *batch = NULL;
    const weft_option options[] = {
        WEFT_CLI_MODEL_OPTIONS(job.model_options),
        {"--prefill", NULL, WEFT_OPTION_TEXT, &prefill, "lengths of prompts, each at a depth: 512,512@8192"},
        {"--decode", NULL, WEFT_OPTION_TEXT, &decode, "numbers of generated tokens, each at a depth: 32,32@8192"},
        {"--image", NULL, WEFT_OPTION_TEXT, &image, "pictures to encode: 512x512,1024x1024"},
        {"--batch", NULL, WEFT_OPTION_TEXT, &batch, "sequences that decode at once: 1,4,8 (default: 1)"},
        {"--repeat", NULL, WEFT_OPTION_INT, &job.repeat, "runs of each; the median counts (default: 1)"},
        {"--json", NULL, WEFT_OPTION_FLAG, &job.out.json, "one JSON object instead of a table"},
        {0},
    };
    int code = weft_cli_parse(
        argc, argv, "weft bench --model MODEL [--prefill LIST] [--decode LIST] [--image LIST] [--json]", options, NULL);
    if (code >= 0) return code;
    job.first_look = !prefill && !decode && !image && !batch;
    if (job.first_look) prefill = "512";
    if (!decode && (job.first_look || batch)) decode = "32";
    if (job.repeat < 1) {
        fprintf(stderr, "weft: error: --repeat needs at least one run\n");
        return 2;
    }
    code = prefill ? add_text(&job.plan, WEFT_BENCH_PREFILL, "--prefill", prefill, NULL) : 0;
    if (code == 0 && decode) code = add_text(&job.plan, WEFT_BENCH_DECODE, "--decode", decode, batch);
    if (code == 0 && image) code = add_images(&job.plan, image);
    if (code != 0) return code;
    weft_error err;
    job.out.rows = json_array();
    code = run_bench(&job, &err) == WEFT_OK ? 0 : weft_cli_fail(&err);
    json_decref(job.out.rows);
    return code;
}
