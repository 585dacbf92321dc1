/* The command line: one function per command, and what they share. */
#ifndef WEFT_CLI_CLI_H
#define WEFT_CLI_CLI_H

#include <jansson.h>

#include "base/buffer.h"
#include "weft.h"

/* The whole program; returns the exit code: 0, 1 for a failure (its message is on stderr), 2 for wrong usage. */
int weft_cli_main(int argc, char **argv);

int weft_cmd_serve(int argc, char **argv);
int weft_cmd_chat(int argc, char **argv);
int weft_cmd_generate(int argc, char **argv);
int weft_cmd_bench(int argc, char **argv);
int weft_cmd_index(int argc, char **argv);
int weft_cmd_find(int argc, char **argv);
int weft_cmd_plan(int argc, char **argv);
int weft_cmd_dump(int argc, char **argv);
int weft_cmd_tokenize(int argc, char **argv);
int weft_cmd_detokenize(int argc, char **argv);
int weft_cmd_inspect(int argc, char **argv);
int weft_cmd_cache(int argc, char **argv);

enum { WEFT_CLI_LIST_MAX = 64 };

/* A list option (--image a --image b): NULL-terminated. */
typedef struct weft_cli_list {
    const char *items[WEFT_CLI_LIST_MAX + 1];
    int count;
} weft_cli_list;

typedef enum weft_option_kind {
    WEFT_OPTION_FLAG,   /* bool */
    WEFT_OPTION_TEXT,   /* const char * */
    WEFT_OPTION_INT,    /* int64_t, >= 0 */
    WEFT_OPTION_NUMBER, /* double */
    WEFT_OPTION_BYTES,  /* uint64_t: 512M, 8G, 1.5GiB */
    WEFT_OPTION_LIST,   /* weft_cli_list */
} weft_option_kind;

typedef struct weft_option {
    const char *name;  /* "--model" */
    const char *brief; /* "-m" or NULL */
    weft_option_kind kind;
    void *value;
    const char *help;
} weft_option;

/* Parses argv[1 …] against the table (ended by a NULL name). What is no option goes to *words (may be NULL: then refused).
 * --help prints `usage` and the table. Returns -1 to go on, else an exit code. */
int weft_cli_parse(int argc, char **argv, const char *usage, const weft_option *options, weft_cli_list *words);

/* "weft: error: …" on stderr; returns 1. */
int weft_cli_fail(const weft_error *err);

/* What every command that runs a model takes. */
typedef struct weft_cli_model {
    const char *path, *mmproj, *cpu, *kv;
    int64_t threads, context;
    uint64_t memory;
    bool exact, no_cache;
    bool allow_url;
    weft_cli_list private_urls;
    uint64_t url_bytes;
    int64_t url_seconds;
} weft_cli_model;
/* What requests may fetch. */
#define WEFT_CLI_URL_OPTIONS(m)                                                                                                \
    {"--allow-url", NULL, WEFT_OPTION_FLAG, &(m).allow_url, "fetch http: and https: URLs of media, from public addresses (default: refused)"}, \
        {"--allow-private-url", NULL, WEFT_OPTION_LIST, &(m).private_urls, "and from a private network, as 192.168.1.0/24; may be repeated"},  \
        {"--url-max-size", NULL, WEFT_OPTION_BYTES, &(m).url_bytes, "size of a fetched file (default: 256M)"},                 \
        {"--url-max-seconds", NULL, WEFT_OPTION_INT, &(m).url_seconds, "time for a fetch (default: 120)"}
#define WEFT_CLI_MODEL_OPTIONS(m)                                                                                              \
    {"--model", "-m", WEFT_OPTION_TEXT, &(m).path, "model: a Hugging Face folder or a .gguf file"},                            \
        {"--mmproj", NULL, WEFT_OPTION_TEXT, &(m).mmproj, "vision GGUF of a GGUF model (default: looked for beside it)"},      \
        WEFT_CLI_ENGINE_OPTIONS(m)
/* The part of them that shapes the engine. */
#define WEFT_CLI_ENGINE_OPTIONS(m)                                                                                             \
    {"--threads", "-t", WEFT_OPTION_INT, &(m).threads, "threads (default: physical cores)"},                               \
        {"--memory", NULL, WEFT_OPTION_BYTES, &(m).memory, "budget of the KV cache, as 4G (default: a quarter of memory)"},    \
        {"--context", NULL, WEFT_OPTION_INT, &(m).context, "positions of a conversation at most (default: the model's)"},      \
        {"--kv", NULL, WEFT_OPTION_TEXT, &(m).kv, "keys and values as f32, f16, q8, q8q4 or q4 (default: q8; with --exact f32)"},        \
        {"--exact", NULL, WEFT_OPTION_FLAG, &(m).exact, "f32 throughout, for parity with the reference"},                      \
        {"--no-cache", NULL, WEFT_OPTION_FLAG, &(m).no_cache, "do not keep re-laid weights on disk for the next start"},        \
        {"--cpu", NULL, WEFT_OPTION_TEXT, &(m).cpu, "highest kernel level: ref, avx2, avxvnni, avx512, avx512-vnni, amx; neon, dotprod, i8mm (default: the CPU's best)"}

/* The model named, or the embedded one (Instruct, else Thinking); prints warnings on stderr unless quiet. */
weft_status weft_cli_open_model(weft_cli_model *options, bool quiet, weft_model **model, weft_error *err);
weft_engine_options weft_cli_engine_options(const weft_cli_model *options, const char *const *media_roots);
/* The folder of the embedded model (models/tiny), found beside the program or in the source tree; NULL if absent.
 * `name`: "instruct" or "thinking". */
const char *weft_cli_embedded(const char *name);

/* A part {"type": kind, kind: {"url": …}} of a request for a path of this machine or an http(s) URL; NULL with *err. */
json_t *weft_cli_media_part(const char *kind, const char *path, weft_error *err);

/* Reads a file, or standard input for "-". */
weft_status weft_cli_read(const char *path, size_t max, weft_buffer *out, weft_error *err);

/* True after Ctrl+C; the first call arms the handler. */
bool weft_cli_interrupted(void);
void weft_cli_clear_interrupt(void);

#endif
