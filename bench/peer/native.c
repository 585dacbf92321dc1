/* The peer built for this CPU: raw prefill, decode and picture encoding of llama.cpp through its C interface.
 *
 *   native --model M.gguf [--mmproj P.gguf] --threads N --kv f16|q8_0|f32 --repeat N --rows KIND:A:B[:C],…
 *   native --model M.gguf --threads N --kv f16 --logits IDS --out FILE
 *
 * Rows: prefill:tokens:depth, decode:steps:depth:batch, image:width:height, first_token:tokens. Prints one JSON object.
 * --logits: a file of ids, whitespace between them; writes f32 [ids, vocab]. Built by ./setup --native, not by weft. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "llama.h"
#include "mtmd.h"

enum { ROWS_MAX = 64, REPEAT_MAX = 100, BATCH = 512 };

typedef struct row {
    char kind[16];
    long a, b, c;
} row;

static struct {
    const char *model, *mmproj, *kv, *rows, *logits, *out;
    int threads, repeat;
} options = {.kv = "f16", .rows = "", .threads = 2, .repeat = 1};

static double started;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    fprintf(stderr, "peer: %s\n", what);
    exit(1);
}

static void quiet(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static long resident_bytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    if (file) fclose(file);
    return pages * 4096;
}

static int compare_doubles(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* ---- text ---- */

static llama_token random_token(int vocab) {
    static unsigned long long state = 1;
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (llama_token)((state >> 33) % (unsigned long long)vocab);
}

static void add(struct llama_batch *batch, llama_token token, long position, int sequence, bool logits) {
    int i = batch->n_tokens++;
    batch->token[i] = token;
    batch->pos[i] = (llama_pos)position;
    batch->n_seq_id[i] = 1;
    batch->seq_id[i][0] = sequence;
    batch->logits[i] = logits;
}

static void feed(struct llama_context *context, struct llama_batch *batch, int vocab, long tokens, long at, int sequence, bool logits) {
    for (long done = 0; done < tokens;) {
        batch->n_tokens = 0;
        for (; done < tokens && batch->n_tokens < BATCH; done++)
            add(batch, random_token(vocab), at + done, sequence, logits && done + 1 == tokens);
        if (llama_decode(context, *batch) != 0) die("llama_decode failed");
    }
    llama_synchronize(context);
}

static void decode(struct llama_context *context, struct llama_batch *batch, int vocab, long steps, long at, long sequences) {
    for (long i = 0; i < steps; i++) {
        batch->n_tokens = 0;
        for (int s = 0; s < sequences; s++) add(batch, random_token(vocab), at + i, s, true);
        if (llama_decode(context, *batch) != 0) die("llama_decode failed");
        llama_synchronize(context);
    }
}

static double run_text(struct llama_context *context, struct llama_batch *batch, int vocab, const row *r) {
    bool is_prefill = strcmp(r->kind, "prefill") == 0;
    long sequences = is_prefill ? 1 : r->c;
    double start = now_s();
    if (is_prefill)
        feed(context, batch, vocab, r->a, r->b, 0, true);
    else
        decode(context, batch, vocab, r->a, r->b, sequences);
    double seconds = now_s() - start;
    for (int s = 0; s < sequences; s++) llama_memory_seq_rm(llama_get_memory(context), s, (llama_pos)r->b, -1);
    return seconds;
}

static struct llama_context *make_context(struct llama_model *model, long positions, long sequences, long batch) {
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)((positions + 255) / 256 * 256 * sequences);
    params.n_batch = params.n_ubatch = (uint32_t)batch;
    params.n_seq_max = (uint32_t)sequences;
    params.n_threads = params.n_threads_batch = options.threads;
    params.type_k = params.type_v = strcmp(options.kv, "q8_0") == 0 ? GGML_TYPE_Q8_0 : strcmp(options.kv, "f32") == 0 ? GGML_TYPE_F32 : GGML_TYPE_F16;
    if (strcmp(options.kv, "q8_0") == 0) params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context) die("the context could not be made");
    return context;
}

/* ---- pictures ---- */

static mtmd_context *open_vision(const struct llama_model *model) {
    if (!options.mmproj) die("image rows need --mmproj");
    struct mtmd_context_params params = mtmd_context_params_default();
    params.use_gpu = false;
    params.print_timings = false;
    params.n_threads = options.threads;
    params.warmup = false; /* done with a small picture: its own takes one of 1472 x 1472 */
    mtmd_context *vision = mtmd_init_from_file(options.mmproj, model, params);
    if (!vision) die("the mmproj file cannot be loaded");
    return vision;
}

/* From pixels to embedding rows: its preprocessing and its encoder. */
static double run_image(mtmd_context *vision, const row *r, long *tokens) {
    unsigned char *rgb = malloc((size_t)(r->a * r->b * 3));
    for (long i = 0; i < r->a * r->b * 3; i++) rgb[i] = (unsigned char)(i / 3 % r->a / 4 + i / 3 / r->a / 2 + random_token(32));
    mtmd_bitmap *bitmap = mtmd_bitmap_init((uint32_t)r->a, (uint32_t)r->b, rgb);
    free(rgb);
    mtmd_input_chunks *chunks = mtmd_input_chunks_init();
    const char *marker = mtmd_get_marker(vision);
    struct mtmd_input_text text = {.text = marker, .text_len = strlen(marker), .add_special = false, .parse_special = true};
    const mtmd_bitmap *bitmaps[] = {bitmap};
    double start = now_s();
    if (mtmd_tokenize(vision, chunks, &text, bitmaps, 1) != 0) die("the picture was refused");
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks); i++) {
        const mtmd_input_chunk *chunk = mtmd_input_chunks_get(chunks, i);
        if (mtmd_input_chunk_get_type(chunk) != MTMD_INPUT_CHUNK_TYPE_IMAGE) continue;
        if (mtmd_encode_chunk(vision, chunk) != 0) die("the picture could not be encoded");
        *tokens = (long)mtmd_input_chunk_get_n_tokens(chunk);
    }
    double seconds = now_s() - start;
    mtmd_input_chunks_free(chunks);
    mtmd_bitmap_free(bitmap);
    return seconds;
}

/* ---- the whole ---- */

static int parse_rows(row rows[ROWS_MAX]) {
    int count = 0;
    for (const char *p = options.rows; *p && count < ROWS_MAX; p += *p == ',') {
        row *r = &rows[count++];
        *r = (row){.c = 1};
        int used = 0;
        if (sscanf(p, "%15[a-z_]:%ld%n", r->kind, &r->a, &used) < 2) die("rows are KIND:A:B[:C]");
        p += used;
        if (*p == ':') r->b = strtol(p + 1, (char **)&p, 10);
        if (*p == ':') r->c = strtol(p + 1, (char **)&p, 10);
    }
    return count;
}

static void print_row(bool *first, const row *r, long tokens, double seconds, double fastest) {
    bool image = strcmp(r->kind, "image") == 0;
    printf("%s{\"kind\":\"%s\",\"a\":%ld,\"b\":%ld,\"c\":%ld,\"tokens\":%ld,\"seconds\":%.6f,\"seconds_min\":%.6f,\"tokens_per_s\":%.4f,\"rss_bytes\":%ld}",
           *first ? "" : ",", r->kind, r->a, image || r->b ? r->b : 0, r->c, tokens, seconds, fastest, (double)tokens / seconds, resident_bytes());
    *first = false;
}

static void measure(struct llama_model *model, const row *rows, int count) {
    long positions = 256, sequences = 1, depth = 0;
    bool text = false, first = true;
    for (int i = 0; i < count; i++) {
        bool image = strcmp(rows[i].kind, "image") == 0;
        text = text || !image;
        if (!image && rows[i].a + rows[i].b > positions) positions = rows[i].a + rows[i].b;
        if (!image && rows[i].c > sequences) sequences = rows[i].c;
    }
    int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    struct llama_batch batch = llama_batch_init(BATCH, 0, 1);
    struct llama_context *context = text ? make_context(model, positions, sequences, BATCH) : NULL;
    mtmd_context *vision = NULL;
    bool warm = false;
    for (int i = 0; i < count; i++) {
        const row *r = &rows[i];
        double seconds[REPEAT_MAX];
        long tokens = r->a * r->c;
        int repeat = options.repeat;
        bool image = strcmp(r->kind, "image") == 0, start = strcmp(r->kind, "first_token") == 0;
        if (image && !vision) {
            vision = open_vision(model);
            run_image(vision, &(row){"image", 256, 256, 1}, &tokens);
        }
        if (start) {
            feed(context, &batch, vocab, r->a, 0, 0, true);
            seconds[0] = now_s() - started;
            repeat = 1;
            llama_memory_seq_rm(llama_get_memory(context), 0, 0, -1);
        } else if (!image) {
            if (!warm) { /* as llama.cpp's own benchmark does */
                run_text(context, &batch, vocab, &(row){"prefill", 8, 0, 1});
                run_text(context, &batch, vocab, &(row){"decode", 1, 0, 1});
                warm = true;
            }
            for (int s = 0; s < r->c; s++) /* every row finds its depth computed afresh */
                if (r->b != depth || r->c > 1) {
                    llama_memory_seq_rm(llama_get_memory(context), s, 0, -1);
                    feed(context, &batch, vocab, r->b, 0, s, false);
                }
            depth = r->b;
        }
        for (int n = 0; n < repeat && !start; n++)
            seconds[n] = image ? run_image(vision, r, &tokens) : run_text(context, &batch, vocab, r);
        qsort(seconds, (size_t)repeat, sizeof *seconds, compare_doubles);
        print_row(&first, r, tokens, (seconds[(repeat - 1) / 2] + seconds[repeat / 2]) / 2, seconds[0]);
    }
}

static void write_logits(struct llama_model *model) {
    int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    FILE *in = fopen(options.logits, "r"), *out = fopen(options.out ? options.out : "", "wb");
    if (!in || !out) die("--logits and --out name files");
    struct llama_batch batch = llama_batch_init(4096, 0, 1);
    int id;
    while (batch.n_tokens < 4096 && fscanf(in, "%d", &id) == 1) add(&batch, id, batch.n_tokens, 0, true);
    struct llama_context *context = make_context(model, batch.n_tokens, 1, batch.n_tokens);
    if (llama_decode(context, batch) != 0) die("llama_decode failed");
    for (int i = 0; i < batch.n_tokens; i++)
        if (fwrite(llama_get_logits_ith(context, i), sizeof(float), (size_t)vocab, out) != (size_t)vocab) die("the output cannot be written");
    if (fclose(out) != 0) die("the output cannot be written");
    fclose(in);
}

int main(int argc, char **argv) {
    started = now_s();
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--model") == 0) options.model = value;
        else if (strcmp(name, "--mmproj") == 0) options.mmproj = value;
        else if (strcmp(name, "--kv") == 0) options.kv = value;
        else if (strcmp(name, "--rows") == 0) options.rows = value;
        else if (strcmp(name, "--logits") == 0) options.logits = value;
        else if (strcmp(name, "--out") == 0) options.out = value;
        else if (strcmp(name, "--threads") == 0) options.threads = atoi(value);
        else if (strcmp(name, "--repeat") == 0) options.repeat = atoi(value);
        else die("an option is not known");
    }
    if (!options.model || options.repeat < 1 || options.repeat > REPEAT_MAX) die("--model and a --repeat of 1 to 100 are needed");
    row rows[ROWS_MAX];
    int count = parse_rows(rows);
    llama_log_set(quiet, NULL);
    mtmd_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    struct llama_model *model = llama_model_load_from_file(options.model, params);
    if (!model) die("llama.cpp cannot load the model");
    double load = now_s() - started;
    printf("{\"program\":\"llama.cpp, native build\",\"load_seconds\":%.4f,\"rows\":[", load);
    if (options.logits)
        write_logits(model);
    else
        measure(model, rows, count);
    printf("],\"system\":\"%s\"}\n", llama_print_system_info());
    fflush(stdout);
    _exit(0);
}
