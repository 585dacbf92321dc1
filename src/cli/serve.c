/* weft serve: the OpenAI-compatible server and the page. */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "server/server.h"
#include "store/files.h"

enum { MODELS_MAX = 16, ID_MAX = 256 };

typedef struct serve_options {
    weft_cli_model common; /* path unused */
    weft_cli_list models, media_roots;
    const char *host, *api_key, *data_dir;
    uint64_t files_quota, request_bytes;
    int64_t port, request_seconds;
} serve_options;

typedef struct served_model {
    char id[ID_MAX];
    char samples[PATH_MAX];
    weft_model *model;
    weft_engine *engine;
    bool embedded;
} served_model;

/* "name=path" names a model; a bare path is served under the name of its files. */
static const char *split_name(const char *text, char *id) {
    const char *equals = strchr(text, '=');
    id[0] = 0;
    if (!equals || memchr(text, '/', (size_t)(equals - text))) return text;
    snprintf(id, ID_MAX, "%.*s", (int)(equals - text < ID_MAX - 1 ? equals - text : ID_MAX - 1), text);
    return equals + 1;
}

static weft_status open_one(const serve_options *options, const char *text, bool embedded, served_model *served, weft_error *err) {
    weft_cli_model model_options = options->common;
    model_options.path = split_name(text, served->id);
    served->embedded = embedded;
    WEFT_TRY(weft_cli_open_model(&model_options, false, &served->model, err));
    if (!served->id[0]) snprintf(served->id, sizeof served->id, "%s", weft_model_get_info(served->model)->name);
    if (embedded) {
        char candidate[PATH_MAX + 32];
        snprintf(candidate, sizeof candidate, "%s/../samples/samples.json", model_options.path);
        if (!realpath(candidate, served->samples)) served->samples[0] = 0;
    }
    weft_engine_options engine_options = weft_cli_engine_options(&model_options, options->media_roots.items);
    return weft_engine_create(served->model, &engine_options, &served->engine, err);
}

static void close_one(served_model *served) {
    weft_engine_destroy(served->engine);
    weft_model_close(served->model);
    *served = (served_model){0};
}

static weft_status open_models(const serve_options *options, served_model *served, int *count, weft_error *err) {
    static const struct {
        const char *folder, *name;
    } embedded[] = {{"instruct", "weft-tiny-instruct"}, {"thinking", "weft-tiny-thinking"}};
    if (options->models.count > MODELS_MAX) return weft_fail(err, WEFT_ERR_INVALID, "more than %d models", MODELS_MAX);
    for (int i = 0; i < options->models.count; i++) {
        WEFT_TRY(open_one(options, options->models.items[i], false, &served[i], err));
        *count = i + 1;
    }
    weft_error left_out[sizeof embedded / sizeof *embedded] = {0};
    weft_status failed = WEFT_OK;
    for (size_t i = 0; options->models.count == 0 && i < sizeof embedded / sizeof *embedded; i++) {
        const char *path = weft_cli_embedded(embedded[i].folder);
        if (!path) continue;
        char text[PATH_MAX + ID_MAX];
        snprintf(text, sizeof text, "%s=%s", embedded[i].name, path);
        weft_status status = open_one(options, text, true, &served[*count], err);
        if (status == WEFT_OK) {
            (*count)++;
            continue;
        }
        close_one(&served[*count]);
        left_out[i] = *err;
        failed = status;
    }
    if (*count == 0 && failed != WEFT_OK) return failed;
    /* One of the embedded models is enough to serve; a damaged one beside it is told, not fatal. */
    for (size_t i = 0; i < sizeof embedded / sizeof *embedded; i++)
        if (left_out[i].message[0])
            fprintf(stderr, "weft: warning: %s is left out: %s\n", embedded[i].name, left_out[i].message);
    if (*count == 0) return weft_fail(err, WEFT_ERR_NOT_FOUND, "no model given and no embedded one found: name one with --model PATH");
    for (int i = 0; i < *count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(served[i].id, served[j].id) == 0)
                return weft_fail(err, WEFT_ERR_INVALID, "two models are named '%s': give names, as --model NAME=PATH", served[i].id);
    return WEFT_OK;
}

/* A machine whose home cannot be written still serves; it keeps no files then. */
static const char *default_data_dir(char *path, size_t size) {
    weft_error err;
    weft_status status = weft_data_folder(path, size, &err);
    if (status == WEFT_OK) status = weft_make_folders(path, &err);
    if (status == WEFT_OK && access(path, W_OK) != 0) status = weft_fail(&err, WEFT_ERR_IO, "%s: cannot be written", path);
    if (status == WEFT_OK) return path;
    fprintf(stderr, "weft: warning: uploaded files are refused: %s\n", err.message);
    return NULL;
}

static weft_status serve(const serve_options *options, const served_model *served, int count, weft_error *err) {
    weft_server_model models[MODELS_MAX];
    for (int i = 0; i < count; i++)
        models[i] = (weft_server_model){served[i].id, served[i].model, served[i].engine, served[i].embedded, served[i].samples[0] ? served[i].samples : NULL};
    weft_server_options server_options = {.host = options->host, .port = (int)options->port, .models = models, .model_count = count, .api_key = options->api_key, .data_dir = options->data_dir, .files_quota = options->files_quota,
                                          .request_bytes = options->request_bytes,
                                          .request_seconds = (int)(options->request_seconds > 86400 ? 86400 : options->request_seconds)};
    weft_server *server = NULL;
    char data_dir[PATH_MAX];
    if (!options->data_dir) server_options.data_dir = default_data_dir(data_dir, sizeof data_dir);
    WEFT_TRY(weft_server_start(&server_options, &server, err));
    for (int i = 0; i < count; i++) {
        const weft_model_info *info = weft_model_get_info(served[i].model);
        bool billions = info->parameters >= 1000000000;
        fprintf(stderr, "weft: serving %s (%s, %.1f %s parameters, %d threads, %s)\n", served[i].id, info->architecture, (double)info->parameters / (billions ? 1e9 : 1e6),
                billions ? "billion" : "million", weft_engine_threads(served[i].engine), weft_engine_cpu_level(served[i].engine));
    }
    bool any = options->host && (strcmp(options->host, "0.0.0.0") == 0 || strcmp(options->host, "::") == 0);
    const char *host = any || !options->host ? "localhost" : options->host, *v6 = strchr(host, ':');
    fprintf(stderr, "weft: the page is at http://%s%s%s:%d/ and the API at /v1 (Ctrl+C stops)\n", v6 ? "[" : "", host, v6 ? "]" : "", weft_server_port(server));
    while (!weft_cli_interrupted()) poll(NULL, 0, 200);
    fprintf(stderr, "weft: stopping\n");
    weft_server_stop(server);
    return WEFT_OK;
}

int weft_cmd_serve(int argc, char **argv) {
    serve_options o = {.port = 8080};
    const weft_option options[] = {
        {"--host", NULL, WEFT_OPTION_TEXT, &o.host, "address to listen on (default: 127.0.0.1, this machine only)"},
        {"--port", "-p", WEFT_OPTION_INT, &o.port, "port (default: 8080; 0: any free one)"},
        {"--model", "-m", WEFT_OPTION_LIST, &o.models, "model, as PATH or NAME=PATH; may be repeated (default: the embedded ones)"},
        {"--mmproj", NULL, WEFT_OPTION_TEXT, &o.common.mmproj, "vision GGUF of a GGUF model (default: looked for beside it)"},
        WEFT_CLI_ENGINE_OPTIONS(o.common),
        {"--media-root", NULL, WEFT_OPTION_LIST, &o.media_roots, "folder from which requests may name pictures as file:// URLs; may be repeated"},
        WEFT_CLI_URL_OPTIONS(o.common),
        {"--data-dir", NULL, WEFT_OPTION_TEXT, &o.data_dir, "folder for uploaded files (default: $XDG_DATA_HOME/weft, ~/.local/share/weft)"},
        {"--files-quota", NULL, WEFT_OPTION_BYTES, &o.files_quota, "bytes of all uploaded files, as 50G (default: 20G)"},
        {"--request-memory", NULL, WEFT_OPTION_BYTES, &o.request_bytes, "bytes of all requests, with the files and URLs they name (default: 2G)"},
        {"--request-timeout", NULL, WEFT_OPTION_INT, &o.request_seconds, "seconds in which a client must send a request's headers, or a short body (default: 60)"},
        {"--api-key", NULL, WEFT_OPTION_TEXT, &o.api_key, "key that clients must send (default: none; or WEFT_API_KEY)"},
        {0},
    };
    int code = weft_cli_parse(argc, argv, "weft serve [--model PATH …] [--host ADDRESS] [--port N]", options, NULL);
    if (code >= 0) return code;
    if (o.port > 65535) {
        fprintf(stderr, "weft: error: --port is over 65535\n");
        return 2;
    }
    if (!o.api_key) o.api_key = getenv("WEFT_API_KEY");
    weft_cli_interrupted(); /* arms Ctrl+C */
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves ends its own request only */
    weft_error err;
    static served_model served[MODELS_MAX];
    int count = 0;
    weft_status status = open_models(&o, served, &count, &err);
    if (status == WEFT_OK) status = serve(&o, served, count, &err);
    for (int i = 0; i < MODELS_MAX; i++) close_one(&served[i]);
    return status == WEFT_OK ? 0 : weft_cli_fail(&err);
}
