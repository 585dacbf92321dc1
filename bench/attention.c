/* How near attention comes to what the machine can do: 256 rows at a depth (prefill) and one row at a depth (decode),
 * per format, beside the peaks of fused multiply-adds and of 16-bit pair products; with matrix tiles (level amx) prefill
 * rows over 8- and 4-bit pages name their share of the peak of bf16 tiles.
 *
 *   bench_attention [--level NAME] [--threads N] [--heads N] [--kv-heads N]
 *
 * The best of several runs counts; on a busy machine all numbers are too low. With one thread its CPU time is taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "peaks.h"

/* Of all threads together, 0 where the level has no tiles. */
static double tiles_peak;

#if defined(__x86_64__)
static void probe_tiles(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    for (int64_t i = begin; i < end; i++) ((double *)context)[i] = flops_tiles_bf16();
}

static void measure_tiles(const weft_compute *compute) {
    double rates[64];
    int threads = weft_pool_threads(weft_compute_pool(compute));
    if (!weft_compute_kernels(compute)->tiles_rows_min || threads > 64) return;
    for (int i = 0; i < 5; i++) {
        double sum = 0;
        weft_parallel_for(weft_compute_pool(compute), threads, 1, probe_tiles, rates);
        for (int t = 0; t < threads; t++) sum += rates[t];
        if (sum > tiles_peak) tiles_peak = sum;
    }
    printf("peak of bf16 tiles, %d threads: %.0f GFLOPS\n", threads, tiles_peak / 1e9);
}

static void print_peaks(void) {
    printf("peaks of one core: f32 FMA %.0f GFLOPS, 16-bit pairs %.0f GOPS (both AVX2)", flops_avx2() / 1e9,
           pairs_avx2() / 1e9);
    if (__builtin_cpu_supports("avx512vnni")) printf(", VPDPBUSD %.0f GOPS", bytes_avx512_vnni() / 1e9);
    puts("");
}
#else
static void print_peaks(void) {}
static void measure_tiles(const weft_compute *compute) {
    (void)compute;
}
#endif

typedef struct bench {
    const weft_compute *compute;
    weft_kv_format format;
    int head_dim, heads, kv_heads, rows;
    int64_t depth, pages;
    char *slabs;                   /* [kv_heads][pages][2] */
    size_t key_bytes, value_bytes; /* of a slab */
    float *q, *out;                /* [rows][heads][head_dim] */
} bench;

/* The tasks of one layer as the decoder cuts them: a block of rows, all query heads of one kv head. */
static void body(void *context, int64_t begin, int64_t end, int thread) {
    bench *b = context;
    int group = b->heads / b->kv_heads, block = WEFT_ATTENTION_ROWS_MAX / group;
    const void **k = malloc((size_t)b->pages * 2 * sizeof *k), **v = k + b->pages;
    for (int64_t i = begin; i < end; i++) {
        int64_t head = i % b->kv_heads, first = i / b->kv_heads * block;
        float *out[WEFT_ATTENTION_ROWS_MAX];
        const float *q[WEFT_ATTENTION_ROWS_MAX];
        int64_t visible[WEFT_ATTENTION_ROWS_MAX];
        int n = 0;
        for (int64_t r = first; r < b->rows && r < first + block; r++)
            for (int j = 0; j < group; j++, n++) {
                int64_t at = (r * b->heads + head * group + j) * b->head_dim;
                q[n] = b->q + at;
                out[n] = b->out + at;
                visible[n] = b->depth + r + 1;
            }
        for (int64_t p = 0; p < b->pages; p++) {
            k[p] = b->slabs + (size_t)(head * b->pages + p) * (b->key_bytes + b->value_bytes);
            v[p] = (const char *)k[p] + b->key_bytes;
        }
        weft_attention_task task = {.q = q,
                                    .out = out,
                                    .rows = n,
                                    .head_dim = b->head_dim,
                                    .visible = visible,
                                    .format = b->format,
                                    .k_pages = k,
                                    .v_pages = v,
                                    .kv_stride = b->head_dim,
                                    .scale = 0.09f,
                                    .coarse = true, /* as in deep contexts and in the vision tower */
                                    .scratch = weft_compute_scratch(b->compute, thread)};
        weft_compute_kernels(b->compute)->attention(&task);
    }
    free(k);
}

static float noise(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*seed >> 32) / 2147483648.0f;
}

static void run(const weft_compute *compute, const char *name, weft_kv_format format, int dim, int heads, int kv_heads,
                int rows, int64_t depth) {
    bench b = {.compute = compute,
               .format = format,
               .head_dim = dim,
               .heads = heads,
               .kv_heads = kv_heads,
               .rows = rows,
               .depth = depth,
               .pages = (depth + rows + WEFT_KV_PAGE_ROWS - 1) / WEFT_KV_PAGE_ROWS};
    uint64_t seed = 1;
    b.key_bytes = weft_kv_slab_bytes(weft_kv_part(format, 0), dim);
    b.value_bytes = weft_kv_slab_bytes(weft_kv_part(format, 1), dim);
    b.slabs = aligned_alloc(64, (b.key_bytes + b.value_bytes) * (size_t)(b.pages * kv_heads));
    float row[256];
    for (int64_t s = 0; s < b.pages * kv_heads * 2; s++)
        for (int r = 0; r < WEFT_KV_PAGE_ROWS; r++) {
            for (int d = 0; d < dim; d++) row[d] = noise(&seed);
            weft_compute_kernels(compute)->kv_store(b.slabs + (size_t)(s / 2) * (b.key_bytes + b.value_bytes) +
                                                        (s % 2 ? b.key_bytes : 0),
                                                    weft_kv_part(format, (int)(s % 2)), dim, r, row);
        }
    size_t values = (size_t)rows * (size_t)heads * (size_t)dim;
    b.q = malloc(values * sizeof(float));
    b.out = malloc(values * sizeof(float));
    for (size_t i = 0; i < values; i++) b.q[i] = noise(&seed);
    int block = WEFT_ATTENTION_ROWS_MAX / (heads / kv_heads);
    int64_t tasks = (rows + block - 1) / block * kv_heads;
    double best = 1e30;
    for (int i = 0; i < (rows == 1 ? 9 : 3); i++) {
        double start = now_s();
        weft_parallel_for(weft_compute_pool(compute), tasks, 1, body, &b);
        if (now_s() - start < best) best = now_s() - start;
    }
    double keys = (double)depth + (double)rows / 2;
    double rate = 4.0 * keys * rows * heads * dim / best;
    printf("%-11s %-5s dim %3d rows %3d depth %5lld: %7.1f GFLOPS  %5.1f GB/s of keys and values",
           weft_compute_kernels(compute)->level, name, dim, rows, (long long)depth, rate / 1e9,
           (double)(b.key_bytes + b.value_bytes) / WEFT_KV_PAGE_ROWS * keys * kv_heads / best / 1e9);
    if (tiles_peak > 0 && rows > 1 && format != WEFT_KV_F32 && format != WEFT_KV_F16)
        printf("  %3.0f%% of bf16 tiles", 100 * rate / tiles_peak);
    puts("");
    free(b.slabs);
    free(b.q);
    free(b.out);
}

int main(int argc, char **argv) {
    const char *level = NULL;
    int threads = 0, heads = 32, kv_heads = 8;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--level") == 0) level = argv[i + 1];
        if (strcmp(argv[i], "--threads") == 0) threads = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--heads") == 0) heads = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--kv-heads") == 0) kv_heads = atoi(argv[i + 1]);
    }
    if (threads == 1) bench_clock = CLOCK_THREAD_CPUTIME_ID;
    if (heads < 1 || kv_heads < 1 || heads % kv_heads || heads / kv_heads > WEFT_ATTENTION_ROWS_MAX) return 1;
    weft_error err;
    weft_compute *compute;
    if (weft_compute_create(level, threads, &compute, &err) != WEFT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%s, %d threads, %d heads, %d kv heads\n", weft_compute_kernels(compute)->level,
           weft_pool_threads(weft_compute_pool(compute)), heads, kv_heads);
    print_peaks();
    measure_tiles(compute);
    static const struct {
        const char *name;
        weft_kv_format format;
    } formats[] = {
        {"f32", WEFT_KV_F32}, {"f16", WEFT_KV_F16}, {"q8", WEFT_KV_Q8}, {"q8q4", WEFT_KV_Q8Q4}, {"q4", WEFT_KV_Q4}};
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        run(compute, formats[f].name, formats[f].format, 128, heads, kv_heads, 256, 4096);
        run(compute, formats[f].name, formats[f].format, 128, heads, kv_heads, 1, 8192);
    }
    for (int i = 0; i < 4; i++) /* as in the vision towers, but causal */
        run(compute, i % 2 ? "q8" : "f32", i % 2 ? WEFT_KV_Q8 : WEFT_KV_F32, i < 2 ? 64 : 72, 16, 16, 256, 1024);
    weft_compute_destroy(compute);
    return 0;
}
