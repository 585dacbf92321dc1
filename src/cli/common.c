/* What the commands share: opening models, reading files, Ctrl+C. See cli.h. */
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#ifndef WEFT_DATA_DIR
#define WEFT_DATA_DIR "/usr/local/share/weft"
#endif

int weft_cli_fail(const weft_error *err) {
    fprintf(stderr, "weft: error: %s\n", err->message);
    return 1;
}

/* Where the embedded models may be: in $WEFT_MODELS alone when it is set, else the source tree that the program was built in,
 * the installed place. */
const char *weft_cli_embedded(const char *name) {
    static char path[PATH_MAX];
    char program[PATH_MAX] = "";
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size > 0) {
        program[size] = 0;
        char *slash = strrchr(program, '/');
        if (slash) *slash = 0;
    }
    const char *base = getenv("WEFT_MODELS");
    char beside[4][PATH_MAX];
    snprintf(beside[0], PATH_MAX, "%s", base ? base : "");
    snprintf(beside[1], PATH_MAX, "%.2000s/../models/tiny", program);
    snprintf(beside[2], PATH_MAX, "%.2000s/../share/weft/models/tiny", program);
    snprintf(beside[3], PATH_MAX, "%s/models/tiny", WEFT_DATA_DIR);
    for (int i = 0; i < 4; i++) {
        if (!beside[i][0] || (i > 0 && beside[0][0])) continue;
        char candidate[PATH_MAX];
        snprintf(candidate, sizeof candidate, "%.3000s/%.200s", beside[i], name);
        if (access(candidate, R_OK) == 0 && realpath(candidate, path)) return path;
    }
    return NULL;
}

json_t *weft_cli_media_part(const char *kind, const char *path, weft_error *err) {
    char resolved[PATH_MAX], url[3 * PATH_MAX + 8] = "file://";
    if (strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0)
        return json_pack("{s:s, s:{s:s}}", "type", kind, kind, "url", path);
    if (!realpath(path, resolved)) {
        weft_fail(err, WEFT_ERR_NOT_FOUND, "%s: no such file", path);
        return NULL;
    }
    size_t n = strlen(url);
    for (const char *p = resolved; *p; p++) {
        if (*p == '%' || *p == '#' || *p == '?' || (unsigned char)*p <= ' ')
            n += (size_t)snprintf(url + n, sizeof url - n, "%%%02X", (unsigned char)*p);
        else
            url[n++] = *p;
    }
    url[n] = 0;
    json_t *part = json_pack("{s:s, s:{s:s}}", "type", kind, kind, "url", url);
    if (!part) weft_fail(err, WEFT_ERR_INVALID, "%s: its name is not UTF-8", path);
    return part;
}

weft_status weft_cli_open_model(weft_cli_model *options, bool quiet, weft_model **model, weft_error *err) {
    if (!options->path) options->path = weft_cli_embedded("instruct");
    if (!options->path) options->path = weft_cli_embedded("thinking");
    if (!options->path)
        return weft_fail(err, WEFT_ERR_NOT_FOUND, "no model given and no embedded one found: name one with --model PATH");
    WEFT_TRY(weft_model_open(options->path, options->mmproj, model, err));
    for (int i = 0; !quiet && weft_model_warning(*model, i); i++) fprintf(stderr, "weft: warning: %s\n", weft_model_warning(*model, i));
    return WEFT_OK;
}

weft_engine_options weft_cli_engine_options(const weft_cli_model *options, const char *const *media_roots) {
    return (weft_engine_options){
        .cpu_level = options->cpu,
        .threads = (int)(options->threads > INT_MAX ? INT_MAX : options->threads),
        .memory_bytes = options->memory,
        .context_length = options->context,
        .exact = options->exact,
        .no_cache = options->no_cache,
        .kv = options->kv,
        .media_roots = media_roots,
        .allow_urls = options->allow_url || options->private_urls.count > 0,
        .private_networks = options->private_urls.items,
        .url_bytes_max = options->url_bytes,
        .url_seconds_max = (int)(options->url_seconds > 86400 ? 86400 : options->url_seconds),
    };
}

weft_status weft_cli_read(const char *path, size_t max, weft_buffer *out, weft_error *err) {
    if (strcmp(path, "-") != 0) return weft_read_file(path, max, out, err);
    weft_buffer_init(out, max, "standard input");
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        weft_status status = weft_buffer_append(out, chunk, n, err);
        if (status != WEFT_OK) {
            weft_buffer_free(out);
            return status;
        }
    }
    return WEFT_OK;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    if (interrupted) _exit(130); /* the second Ctrl+C does not wait */
    interrupted = 1;
}

bool weft_cli_interrupted(void) {
    static bool armed;
    if (!armed) {
        struct sigaction action = {.sa_handler = on_interrupt};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        armed = true;
    }
    return interrupted;
}

void weft_cli_clear_interrupt(void) { interrupted = 0; }
