/* weft: runs Qwen3-VL vision-language models from their published files.
 *
 * This is the whole public interface; the server, the command line and any other program see nothing deeper.
 *
 *   weft_model    files opened and checked: config, weights (mapped), tokenizer, chat template. Immutable.
 *   weft_engine   one thread that computes for one model: KV pages, sequences, thread pool.
 *   weft_request  one answer being made. Its events are read by polling.
 *
 * Ownership: what a *_open, *_create or *_submit function returns belongs to the caller, who gives it back to the matching
 * *_close, *_destroy or *_free. On failure nothing is returned and nothing has to be freed. Text that is handed out is
 * UTF-8. All functions may be called from any thread unless they say otherwise. */
#ifndef WEFT_H
#define WEFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft_status.h"

#define WEFT_VERSION "0.1.0"

typedef struct weft_model weft_model;
typedef struct weft_engine weft_engine;
typedef struct weft_request weft_request;

/* ---- models ---------------------------------------------------------------------------------------------------- */

typedef struct weft_model_info {
    const char *name;         /* general.name, or the folder's or file's name */
    const char *architecture; /* "qwen3_vl", "qwen3_vl_moe" */
    uint64_t parameters;
    uint64_t file_bytes;
    int64_t context_length; /* positions, scaling included */
    int64_t vocab_size;
    bool vision;   /* takes pictures and clips */
    bool thinking; /* its prompt opens with <think> */
} weft_model_info;

/* Opens a Hugging Face folder or a GGUF file in place. `mmproj`: the vision GGUF, or NULL to look beside the model. */
weft_status weft_model_open(const char *path, const char *mmproj, weft_model **model, weft_error *err);
void weft_model_close(weft_model *model); /* after every engine made of it is gone */
const weft_model_info *weft_model_get_info(const weft_model *model);
/* The same for the same weights and configuration, wherever they lie, and another for any other model: for keys of what was
 * made by a model. Reads a few pages of each tensor. */
uint64_t weft_model_identity(const weft_model *model);
/* Things worth telling the user that are not errors; NULL past the last one. */
const char *weft_model_warning(const weft_model *model, int index);

/* What the files hold, as a table or one JSON object. *text (never NULL, freed with weft_free) holds whatever could be
 * read even when the status says why the model would not open. */
weft_status weft_model_inspect(const char *path, const char *mmproj, bool json, char **text, weft_error *err);

/* Text to ids and back. *ids and *text are freed with weft_free. `parse_special`: added special tokens in the text become
 * their ids. */
weft_status weft_model_tokenize(const weft_model *model, const char *text, size_t size, bool parse_special, int32_t **ids, size_t *count, weft_error *err);
weft_status weft_model_detokenize(const weft_model *model, const int32_t *ids, size_t count, bool skip_special, char **text, size_t *size, weft_error *err);

/* ---- engines --------------------------------------------------------------------------------------------------- */

typedef struct weft_engine_options { /* zero means the default everywhere */
    const char *cpu_level;  /* "ref", "avx2", "avxvnni", "avx512", "avx512-vnni", "amx"; "neon", "dotprod", "i8mm": the highest kernel level to use; NULL: WEFT_CPU, else the best */
    int threads;            /* 0: physical cores that the process may use */
    uint64_t memory_bytes;  /* budget for the KV cache; 0: a quarter of the machine's memory */
    int64_t context_length; /* positions per request at most; 0: the model's */
    bool exact;             /* f32 everywhere, for parity with the reference */
    bool no_cache;          /* keep packed weights in memory only, not in $XDG_CACHE_HOME/weft or ~/.cache/weft */
    const char *kv;         /* how keys and values are kept: "f32", "f16", "q8", "q8q4", "q4"; NULL: f32 when exact, f16 with weights of 16 and 32 bits, else q8 */
    const char *const *media_roots; /* folders from which file:// URLs may be read, NULL-terminated; NULL: none */
    bool allow_urls;        /* fetch http: and https: URLs of requests, from public addresses */
    const char *const *private_networks; /* further networks that URLs may lead to ("192.168.1.0/24"), NULL-terminated; NULL: none */
    const char *rates_file; /* where weft_engine_measure keeps the speed of this machine; NULL: rates.json in the cache folder,
                             * with no_cache nowhere */
    uint64_t url_bytes_max; /* of a fetched file; 0: 256 MiB */
    int url_seconds_max;    /* for a fetch; 0: 120 */
} weft_engine_options;

/* Files of the cache of packed weights, which engines make at a model's first start and map at the next ones. */
typedef struct weft_cached_model {
    char file[256];
    uint64_t bytes;
    int64_t used;  /* seconds since 1970 */
    bool complete; /* false: being written, or left by a start that was killed */
} weft_cached_model;
/* The folder and its files, both freed with weft_free(); and removing them all. */
weft_status weft_cached_models(char **folder, weft_cached_model **list, int *count, weft_error *err);
weft_status weft_cached_models_clear(int *removed, uint64_t *bytes, weft_error *err);

/* Starts the engine's thread. The model must outlive the engine. */
weft_status weft_engine_create(const weft_model *model, const weft_engine_options *options, weft_engine **engine, weft_error *err);
/* Cancels what runs, waits for the thread, frees everything. Requests must have been freed before. */
void weft_engine_destroy(weft_engine *engine);
const char *weft_engine_cpu_level(const weft_engine *engine);
int weft_engine_threads(const weft_engine *engine);

/* ---- requests -------------------------------------------------------------------------------------------------- */

/* The file that stands behind a URL. Called by weft_engine_submit, on the caller's thread. On success *file is a descriptor of a
 * regular file, open for reading only, owned by the engine from then on. */
typedef weft_status weft_media_resolver(void *context, const char *url, int *file, weft_error *err);

typedef struct weft_request_options {
    const char *json; /* an OpenAI chat completion request; copied where needed */
    size_t json_size;
    bool greedy;        /* overrides the request's sampling: always the likeliest token */
    bool background;    /* gives way: works only while no other request could */
    int64_t max_tokens; /* 0: the request's, else up to the context's end */
    weft_media_resolver *resolve; /* for URLs that are neither data: nor file: (uploaded files); NULL: refused */
    void *resolve_context;
    /* Called by weft_engine_submit for bytes that the request holds in memory beside its JSON: what was fetched from a URL,
     * drawn pages of documents. BUSY refuses the request. NULL: there is no limit for all requests together. */
    weft_status (*reserve)(void *context, uint64_t bytes, weft_error *err);
    void *reserve_context;
    bool (*cancelled)(void *context); /* asked by weft_engine_submit while it fetches; NULL: never */
    void *cancelled_context;
    void (*notify)(void *context); /* called from the engine's thread when an event has become ready; must not block, nor call
                                    * any weft_request_* function; never after weft_request_free has returned */
    void *notify_context;
} weft_request_options;

/* Checks the request, fetches its media and queues it. Errors of the request itself are WEFT_ERR_INVALID (400),
 * WEFT_ERR_LIMIT (413), a full queue is WEFT_ERR_BUSY (503). */
weft_status weft_engine_submit(weft_engine *engine, const weft_request_options *options, weft_request **request, weft_error *err);

typedef enum weft_event_kind {
    WEFT_EVENT_NONE, /* nothing came within the time */
    WEFT_EVENT_PROGRESS,
    WEFT_EVENT_REASONING, /* text */
    WEFT_EVENT_CONTENT,   /* text */
    WEFT_EVENT_TOOL_CALL, /* text: {"name": …, "arguments": {…}} */
    WEFT_EVENT_DONE,      /* the last one */
    WEFT_EVENT_ERROR,     /* the last one */
} weft_event_kind;

typedef enum weft_stage { WEFT_STAGE_QUEUED, WEFT_STAGE_DECODE, WEFT_STAGE_VISION, WEFT_STAGE_PREFILL, WEFT_STAGE_GENERATE } weft_stage;

typedef struct weft_progress {
    weft_stage stage;
    int64_t done, total; /* pictures decoded, encoder layers, prompt tokens */
    int64_t elapsed_ms;  /* since the stage began */
    int64_t eta_ms;      /* until the stage ends; -1: unknown */
} weft_progress;

typedef struct weft_usage {
    int64_t prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens;
    double queue_ms, prompt_ms /* media, vision and prefill */, first_token_ms /* since submission */, generate_ms;
} weft_usage;

typedef struct weft_event {
    weft_event_kind kind;
    const char *text; /* NUL-terminated, valid until the next poll or free */
    size_t text_size;
    weft_progress progress;
    const char *finish_reason; /* DONE: "stop", "length", "tool_calls", "cancelled" */
    weft_usage usage;          /* DONE */
    weft_error error;          /* ERROR */
} weft_event;

/* Takes the next event, waiting up to timeout_ms (0: not at all; -1: for ever). Progress and text that the caller has not
 * read yet are merged, so that a slow reader costs no more memory than the answer itself. One thread at a time. */
void weft_request_poll(weft_request *request, int timeout_ms, weft_event *event);
/* Asks for the work to stop at the next step; a DONE event with "cancelled" follows. */
void weft_request_cancel(weft_request *request);
/* The prompt's length once it is known (0 before), and the ids generated so far (valid after DONE, until free). */
const int32_t *weft_request_ids(const weft_request *request, size_t *count);
/* Cancels if need be and forgets the request; the engine frees what it held at its next step. */
void weft_request_free(weft_request *request);

/* ---- planning -------------------------------------------------------------------------------------------------- */

/* Finds out how fast this machine runs this model, for plans: from the rates file, else by measuring for a second or two, in
 * pieces between which requests get their turn. Returns whether it is known now; false: other work came between, try again. */
bool weft_engine_measure(weft_engine *engine);

/* What a request would cost, as one JSON object (docs/api.md, POST /v1/media/plan): each picture's and clip's grid, tokens and
 * frames, the prompt's exact length, estimated seconds and memory, whether it fits, and a setting with which it would. Media
 * are fetched and looked at, nothing is encoded. Seconds are null as long as nobody has measured the machine.
 * *json is freed with weft_free. Errors as for weft_engine_submit, and those of media that cannot be read. */
weft_status weft_engine_plan(weft_engine *engine, const weft_request_options *options, char **json, weft_error *err);

/* ---- embeddings ------------------------------------------------------------------------------------------------ */

/* The request's prompt as a vector: the decoder's state after its final norm at the prompt's last position, from which the
 * first token of the answer would be chosen, scaled to length 1. A prompt that asks for its contents in one word makes
 * vectors of alike contents point alike (compare "E5-V", Jiang et al. 2024). *vector [*size] is freed with weft_free; *usage
 * has the prompt's tokens. Errors as for weft_engine_submit, and those of media that cannot be read. */
weft_status weft_engine_embed(weft_engine *engine, const weft_request_options *options, float **vector, int64_t *size, weft_usage *usage, weft_error *err);
/* The same of a text, asked for in one word; options->json is not read. */
weft_status weft_engine_embed_text(weft_engine *engine, const char *text, const weft_request_options *options, float **vector, int64_t *size, weft_usage *usage, weft_error *err);

/* ---- documents ------------------------------------------------------------------------------------------------- */

typedef struct weft_pdf_info {
    int64_t pages;
    double width, height; /* of the first page, points (72 an inch), turned as it is shown */
} weft_pdf_info;

typedef struct weft_pdf_page {
    uint8_t *rgb; /* [height, width, 3], freed with weft_free */
    int64_t width, height;
} weft_pdf_page;

/* A PDF document, opened by a sandboxed worker for the length of the call. `file`: a regular file open for reading; stays the
 * caller's. `password` NULL: none. WEFT_ERR_LOCKED: it is encrypted, and there is no password or not the right one. */
weft_status weft_pdf_inspect(int file, const char *password, weft_pdf_info *info, weft_error *err);
/* Draws a page (from 1) `width` pixels wide (1 to 16,384), as high as its shape says: 16 million pixels at most.
 * NOT_FOUND for a page past the end. */
weft_status weft_pdf_draw(int file, const char *password, int64_t page, int64_t width, weft_pdf_page *out, weft_error *err);

/* ---- clips ----------------------------------------------------------------------------------------------------- */

typedef struct weft_clip weft_clip;

/* Opens a clip for looking at it without a model, in a sandboxed worker that lives until weft_clip_close. `file`: a regular
 * file open for reading; stays the caller's and must stay open. */
weft_status weft_clip_open(int file, weft_clip **clip, weft_error *err);
void weft_clip_close(weft_clip *clip); /* NULL is allowed */

enum { WEFT_GLANCE_SIDE = 32, WEFT_GLANCE_BYTES = WEFT_GLANCE_SIDE * WEFT_GLANCE_SIDE * 3 };

/* What a request for [from, to) seconds at `fps` (2 frames at least) would show the model, in little: *frames times
 * [32, 32, 3], the mean colour of each cell of a grid. *rgb is the clip's until the next call. One thread at a time. */
weft_status weft_clip_glance(weft_clip *clip, double from, double to, double fps, const uint8_t **rgb, int64_t *frames,
                             weft_error *err);

/* ---- measuring ------------------------------------------------------------------------------------------------- */

typedef enum weft_bench_kind { WEFT_BENCH_PREFILL, WEFT_BENCH_DECODE, WEFT_BENCH_IMAGE } weft_bench_kind;

typedef struct weft_bench_task {
    weft_bench_kind kind;
    int64_t tokens;        /* PREFILL: of the prompt; DECODE: steps */
    int64_t depth;         /* PREFILL, DECODE: positions that stand in the cache already, with random contents */
    int64_t batch;         /* DECODE: sequences that each get a token in every step; 0: one */
    int64_t width, height; /* IMAGE: pixels of the picture before it is resized */
    int64_t repeat;        /* runs; 0: one */
} weft_bench_task;

typedef struct weft_bench_result {
    int64_t tokens; /* of one run, all sequences together; IMAGE: embedding rows */
    double seconds; /* of the median run */
    double seconds_min, seconds_max;
} weft_bench_result;

/* Times one kind of work on the engine's thread, through the step, sampler and encoder that serve requests: PREFILL from
 * token ids to the first sampled token, IMAGE from decoded pixels to embedding rows. Waits until no request is at work;
 * requests submitted meanwhile wait. Nothing is warmed up: the first run pays for reading the weights. */
weft_status weft_engine_bench(weft_engine *engine, const weft_bench_task *task, weft_bench_result *result, weft_error *err);

/* ---- looking inside -------------------------------------------------------------------------------------------- */

/* Runs one request up to the end of the prompt, as the engine options say (NULL: exactly), and writes the stages named in `stages` (a comma-separated
 * list of prompt, ids, positions, pixels, vision, deepstack, hidden, logits; "all") into folder `out` as .npy files.
 * `last`: logits of the last position only. */
weft_status weft_dump(const weft_model *model, const weft_engine_options *engine_options, const weft_request_options *request, const char *stages, bool last, const char *out, weft_error *err);

void weft_free(void *pointer);

#endif
