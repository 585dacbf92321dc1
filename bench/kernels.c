/* How near the kernels come to what the machine can do: products of every weight type at 1, 4, 64 and 512 rows, and
 * attention, beside the peak of fused multiply-adds and the speed at which memory can be read. Shares are of the peak of
 * the instruction that the level multiplies many rows with: f32, bytes or, with matrix tiles (level amx), bf16 tiles.
 *
 *   bench_kernels [--level NAME] [--threads N] [--type NAME]
 *
 * The best of several runs counts; on a busy machine all numbers are too low. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/packed.h"
#include "peaks.h"

enum { ROWS = 2560, COLS = 9728, BATCH_MAX = 512, REPEATS = 5 };

/* ---- what the machine can do ---- */

typedef struct probe {
    const char *level;
    bool bytes_product; /* the int8 instruction of the level, with tiles the bf16 one; not the f32 one */
    const unsigned char *bytes;
    int64_t size;
    bool two_streams;
    int ahead; /* bytes; 0: nothing asked for */
    double flops[64];
    uint64_t sums[64];
} probe;

static void probe_flops(void *context, int64_t begin, int64_t end, int thread) {
    probe *p = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        p->flops[i] = 0;
#if defined(__x86_64__)
        bool wide = strncmp(p->level, "avx512", 6) == 0 || strcmp(p->level, "amx") == 0;
        if (strcmp(p->level, "ref") == 0) continue;
        if (!p->bytes_product)
            p->flops[i] = wide ? flops_avx512() : flops_avx2();
        else if (strcmp(p->level, "amx") == 0)
            p->flops[i] = flops_tiles_bf16();
        else if (strcmp(p->level, "avxvnni") == 0)
            p->flops[i] = bytes_avxvnni();
        else
            p->flops[i] = wide && strcmp(p->level, "avx512") != 0 ? bytes_avx512_vnni() : bytes_avx2();
#endif
    }
}

/* A vector word at a time from one or two places, with the lines ahead asked for by name or left to hardware: which of
 * them is fastest differs by CPU. */
typedef uint64_t line_half __attribute__((vector_size(32), aligned(32)));
enum { READ_BYTES = 1 << 20 };

static void probe_read(void *context, int64_t begin, int64_t end, int thread) {
    probe *p = context;
    line_half sum[4] = {0};
    for (int64_t i = begin; i < end; i++) {
        const line_half *a = (const line_half *)(p->bytes + i * READ_BYTES);
        const line_half *b = a + (p->two_streams ? READ_BYTES / 64 : 2);
        for (int at = 0; at < READ_BYTES / 32; at += 4, a += p->two_streams ? 2 : 4, b += p->two_streams ? 2 : 4) {
            if (p->ahead) {
                __builtin_prefetch((const char *)a + p->ahead);
                __builtin_prefetch((const char *)b + p->ahead);
            }
            sum[0] += a[0];
            sum[1] += a[1];
            sum[2] += b[0];
            sum[3] += b[1];
        }
    }
    for (int j = 0; j < 4; j++) p->sums[thread % 64] += sum[j][0] + sum[j][1] + sum[j][2] + sum[j][3];
}

static double peak_flops(const weft_compute *compute, bool bytes_product, double seconds_to_spend) {
    probe p = {.level = weft_compute_kernels(compute)->level, .bytes_product = bytes_product};
    int threads = weft_pool_threads(weft_compute_pool(compute));
    double best = 0, until = now_s() + seconds_to_spend;
    do {
        double sum = 0;
        weft_parallel_for(weft_compute_pool(compute), threads < 64 ? threads : 64, 1, probe_flops, &p);
        for (int i = 0; i < threads && i < 64; i++) sum += p.flops[i];
        if (sum > best) best = sum;
    } while (now_s() < until);
    return best;
}

/* The most that any pattern has read so far: asked again before each type, since memory is shared with all that runs on
 * the machine and a probe of one moment may fall short of what a kernel finds at another. */
static double peak_read(const weft_compute *compute) {
    static double most = 0;
    probe p = {.size = (int64_t)256 << 20};
    unsigned char *bytes = aligned_alloc(64, (size_t)p.size);
    memset(bytes, 1, (size_t)p.size);
    p.bytes = bytes;
    for (int i = 0; i < 3 * 4; i++) {
        static const int ahead[] = {0, 1024, 4096};
        p.ahead = ahead[i % 3];
        p.two_streams = i / 3 % 2;
        double start = now_s();
        weft_parallel_for(weft_compute_pool(compute), p.size / READ_BYTES, 4, probe_read, &p);
        double rate = (double)p.size / (now_s() - start);
        if (rate > most) most = rate;
    }
    free(bytes);
    if (p.sums[0] == 42) puts("");
    return most;
}

/* ---- matrix products ---- */

static void *random_bytes(size_t size) {
    unsigned char *bytes = malloc(size);
    uint32_t state = 1;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((state = state * 1664525 + 1013904223) >> 26); /* small: no NaN */
    return bytes;
}

typedef struct pack_job {
    const weft_kernels *kernels;
    const weft_matrix *w;
    char *panels;
} pack_job;

static void pack_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    pack_job *job = context;
    weft_pack_panels(job->kernels, job->panels, job->w, job->w->type, begin, end);
}

/* `packed`: from panels, bytes are then those of the panels. Shares are of `flops`. */
static void bench_matmul(const weft_compute *compute, weft_type type, bool packed, double flops, double bandwidth) {
    static const int batches[] = {1, 4, 8, 16, 64, 512};
    size_t bytes = weft_type_row_bytes(type, COLS) * ROWS;
    /* as many copies as overflow the caches, used in turn: decoding reads each weight from memory */
    int copies = (int)(((size_t)256 << 20) / bytes) + 1;
    void *weights = random_bytes(bytes * (size_t)copies);
    weft_matrix shape = {.data = weights, .type = type, .rows = (int64_t)ROWS * copies, .cols = COLS};
    char *panels = NULL;
    double pack_s = 0;
    size_t file_bytes = bytes;
    if (packed) {
        panels = aligned_alloc(64, weft_packed_bytes(&shape, type));
        pack_job job = {weft_compute_kernels(compute), &shape, panels};
        double start = now_s();
        weft_parallel_for(weft_compute_pool(compute), weft_panel_count(shape.rows), 4, pack_body, &job);
        pack_s = now_s() - start;
        bytes = weft_packed_bytes(&shape, type) / (size_t)copies;
    }
    float *x = calloc((size_t)BATCH_MAX * COLS, sizeof *x), *out = calloc((size_t)BATCH_MAX * ROWS, sizeof *out);
    for (int64_t i = 0; i < (int64_t)BATCH_MAX * COLS; i++) x[i] = (float)(i % 13 - 6) / 6;
    bool tiles = weft_compute_kernels(compute)->tiles_rows_min > 0;
    printf("%-5s%-2s", weft_type_name(type), packed ? "p" : "");
    for (int b = 0; b < 6; b++) {
        double best = 1e30;
        int runs = batches[b] <= 16 ? 2 * copies : REPEATS;
        for (int r = 0; r < runs; r++) {
            weft_matrix w = {
                .data = (char *)weights + file_bytes * (size_t)(r % copies), .type = type, .rows = ROWS, .cols = COLS};
            if (packed) {
                w.panels = panels + bytes * (size_t)(r % copies);
                w.panel_type = type;
            } else {
                w.tiles = tiles && weft_tiles_allowed(&w);
            }
            double start = now_s();
            weft_matmul(compute, out, ROWS, x, COLS, batches[b], &w, NULL, false);
            if (now_s() - start < best) best = now_s() - start;
        }
        double rate = 2.0 * batches[b] * ROWS * COLS / best, read = (double)bytes / best;
        if (batches[b] <= 16)
            printf("  %3d: %6.1f G %5.1f GB/s %3.0f%%", batches[b], rate / 1e9, read / 1e9, 100 * read / bandwidth);
        else
            printf("  %3d: %6.1f G %3.0f%%", batches[b], rate / 1e9, flops > 0 ? 100 * rate / flops : 0);
        fflush(stdout);
    }
    if (packed) printf("  packing %.1f GB/s", (double)file_bytes * copies / pack_s / 1e9);
    puts("");
    free(panels);
    free(weights);
    free(x);
    free(out);
}

/* ---- attention ---- */

typedef struct attention_bench {
    const weft_compute *compute;
    const weft_attention_task *task;
} attention_bench;

static void attention_body(void *context, int64_t begin, int64_t end, int thread) {
    attention_bench *bench = context;
    weft_attention_task task = *bench->task;
    task.scratch = weft_compute_scratch(bench->compute, thread);
    float *out = malloc((size_t)task.rows * (size_t)task.head_dim * sizeof *out), *rows[WEFT_ATTENTION_ROWS_MAX];
    for (int r = 0; r < task.rows; r++) rows[r] = out + r * task.head_dim;
    task.out = rows;
    for (int64_t i = begin; i < end; i++) weft_compute_kernels(bench->compute)->attention(&task);
    free(out);
}

static void bench_attention(const weft_compute *compute, weft_kv_format format, int dim, int rows, double flops) {
    enum { KEYS = 4096, TASKS = 16 };
    static const char *const names[] = {"f32", "f16", "q8"};
    size_t slab = weft_kv_slab_bytes(format, dim);
    const int pages = KEYS / WEFT_KV_PAGE_ROWS;
    char *bytes = aligned_alloc(64, slab * 2 * (size_t)pages);
    const void *k[KEYS / WEFT_KV_PAGE_ROWS], *v[KEYS / WEFT_KV_PAGE_ROWS];
    float *q = malloc((size_t)dim * sizeof *q);
    const float *q_rows[WEFT_ATTENTION_ROWS_MAX];
    int64_t visible[WEFT_ATTENTION_ROWS_MAX];
    for (int i = 0; i < dim; i++) q[i] = (float)(i % 7 - 3) / 3;
    for (int p = 0; p < pages; p++) {
        k[p] = bytes + slab * (size_t)(2 * p);
        v[p] = bytes + slab * (size_t)(2 * p + 1);
        for (int r = 0; r < WEFT_KV_PAGE_ROWS; r++) {
            q[r % dim] = (float)(r % 11 - 5) / 5;
            weft_compute_kernels(compute)->kv_store((void *)k[p], format, dim, r, q);
            weft_compute_kernels(compute)->kv_store((void *)v[p], format, dim, r, q);
        }
    }
    for (int r = 0; r < rows; r++) {
        q_rows[r] = q;
        visible[r] = KEYS;
    }
    weft_attention_task task = {.q = q_rows,
                                .rows = rows,
                                .head_dim = dim,
                                .visible = visible,
                                .format = format,
                                .k_pages = k,
                                .v_pages = v,
                                .kv_stride = dim,
                                .scale = 0.09f,
                                .coarse = true}; /* as in deep contexts and in the vision tower */
    attention_bench bench = {compute, &task};
    double best = 1e30;
    for (int i = 0; i < REPEATS; i++) {
        double start = now_s();
        weft_parallel_for(weft_compute_pool(compute), TASKS, 1, attention_body, &bench);
        if (now_s() - start < best) best = now_s() - start;
    }
    double rate = 4.0 * rows * dim * KEYS * TASKS / best;
    printf("attention %-3s dim %3d rows %2d: %6.1f GFLOPS %3.0f%%  %5.1f GB/s of keys and values\n", names[format], dim,
           rows, rate / 1e9, flops > 0 ? 100 * rate / flops : 0, (double)slab * 2 * pages * TASKS / best / 1e9);
    free(bytes);
    free(q);
}

int main(int argc, char **argv) {
    const char *level = NULL, *type_name = NULL;
    int threads = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--level") == 0) level = argv[i + 1];
        if (strcmp(argv[i], "--type") == 0) type_name = argv[i + 1];
        if (strcmp(argv[i], "--threads") == 0) threads = atoi(argv[i + 1]);
    }
    if (threads == 1) bench_clock = CLOCK_THREAD_CPUTIME_ID;
    weft_error err;
    weft_compute *compute;
    if (weft_compute_create(level, threads, &compute, &err) != WEFT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    bool tiles = weft_compute_kernels(compute)->tiles_rows_min > 0;
    double flops = peak_flops(compute, false, 0.3), bytes_peak = peak_flops(compute, true, 0.3),
           bandwidth = peak_read(compute);
    printf("%s, %d threads: peak %.1f GFLOPS f32, %.1f %s, memory %.1f GB/s; out[m, %d] = x[m, %d] W^T\n",
           weft_compute_kernels(compute)->level, weft_pool_threads(weft_compute_pool(compute)), flops / 1e9,
           bytes_peak / 1e9, tiles ? "GFLOPS in bf16 tiles" : "GOPS int8", bandwidth / 1e9, ROWS, COLS);
    for (int type = 0; type < WEFT_TYPE_COUNT; type++)
        if (!type_name || strcmp(type_name, weft_type_name(type)) == 0) {
            bool by_tiles = tiles && (type == WEFT_F32 || type == WEFT_F16 || type == WEFT_BF16);
            bench_matmul(compute, type, false, by_tiles ? bytes_peak : flops, peak_read(compute));
            if (weft_packed_kind_of(type).bits) bench_matmul(compute, type, true, bytes_peak, peak_read(compute));
        }
    for (int format = 0; format < 3 && !type_name; format++) {
        static const int shapes[][2] = {{128, 1}, {128, 4}, {128, 8}, {128, 16}, {128, 64}, {128, 128}, {72, 128}, {64, 128}};
        for (int s = 0; s < 8; s++)
            bench_attention(compute, (weft_kv_format)format, shapes[s][0], shapes[s][1],
                            tiles && format == WEFT_KV_Q8 && shapes[s][1] >= 16 ? bytes_peak : flops);
    }
    weft_compute_destroy(compute);
    return 0;
}
