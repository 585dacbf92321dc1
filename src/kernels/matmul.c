/* Matrix products: which kernel runs on which part of the matrix, on which thread.
 *
 * Few rows (decode): each thread takes runs of weight rows and calls dot_rows, which reads every weight once.
 * Many rows (prefill), or transposed storage: the activations are packed once into tiles [k][tile_m] that all threads
 * read; each thread takes a block of output columns, converts the weights of the block to f32 panels [k][tile_n] in its
 * own scratch, WEFT_PANEL_K values at a time, and runs all rows of the batch against them, so that the work of
 * converting is shared by the whole batch. Sizes: a panel of one tile stays in L1, the block's panels and a group of
 * activation tiles in L2 (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
 *
 * Allocates nothing. */
#include <string.h>

#include "kernels/variants.h"

enum {
    DOT_M_MAX = 8,            /* up to here reading the weights bounds the time, and dot_rows wins */
    DOT_RUN_BYTES = 32 << 10, /* weights that stay in L1 while groups of rows pass over them */
    DOT_RUN_ROWS_MAX = 128,
    BLOCK_COLS_MAX = 128, /* output columns per block; a power of two, as every tile_n */
    TILE_COLS_MAX = 32,   /* the widest tile_n */
    GROUP_ROWS = 96,      /* activation rows that stay in L2 */
    K_SPLIT_ROWS = 96,    /* fewer rows per pass than this: rather split k */
    PANEL_FLOATS = BLOCK_COLS_MAX * WEFT_PANEL_K,
    ROWS_FLOATS = TILE_COLS_MAX * WEFT_PANEL_K,
    OWN_PACK_FLOATS = WEFT_THREAD_SCRATCH_BYTES / 4 - PANEL_FLOATS - ROWS_FLOATS,
    SHARED_PACK_FLOATS = WEFT_SHARED_SCRATCH_BYTES / 4
};

typedef struct product {
    const weft_compute *compute;
    const weft_kernels *kernels;
    float *out;
    int64_t out_stride;
    const float *x;
    int64_t x_stride;
    int64_t m;
    const weft_matrix *w;
    const float *bias; /* NULL: none */
    bool accumulate;

    /* panels: the pass at hand */
    float *packed;                 /* [row tiles][k1 - k0][tile_m] */
    int64_t m0, m1;                /* rows */
    int64_t k0, k1;                /* k0 is a multiple of WEFT_PANEL_K */
    int64_t block_cols, part_rows; /* of one task; multiples of tile_n and tile_m */
} product;

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* ---- few rows ---- */

/* Weight rows per run: their bytes fit L1, and at least 4 of them. */
static int64_t run_rows(const weft_matrix *w) {
    int64_t bytes = (int64_t)weft_type_row_bytes(w->type, w->cols);
    int64_t rows = bytes > 0 ? DOT_RUN_BYTES / bytes : DOT_RUN_ROWS_MAX;
    return rows < 4 ? 4 : min64(rows, DOT_RUN_ROWS_MAX);
}

/* One group of at most WEFT_DOT_ROWS_MAX activation rows, from row m0, against weight rows [n0, n1). */
static void dot_group(const product *p, int64_t m0, int m, int64_t n0, int64_t n1) {
    float *out = p->out + m0 * p->out_stride + n0;
    const float *x = p->x + m0 * p->x_stride;
    if (!p->bias && !p->accumulate) {
        p->kernels->dot_rows[p->w->type](out, p->out_stride, x, p->x_stride, m, p->w, n0, n1);
        return;
    }
    float sums[WEFT_DOT_ROWS_MAX][DOT_RUN_ROWS_MAX];
    p->kernels->dot_rows[p->w->type](sums[0], DOT_RUN_ROWS_MAX, x, p->x_stride, m, p->w, n0, n1);
    for (int r = 0; r < m; r++, out += p->out_stride) {
        for (int64_t i = 0; i < n1 - n0; i++) {
            float v = p->bias ? sums[r][i] + p->bias[n0 + i] : sums[r][i];
            out[i] = p->accumulate ? out[i] + v : v;
        }
    }
}

static void dot_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = context;
    int64_t groups = ceil_div(p->m, WEFT_DOT_ROWS_MAX), size = ceil_div(p->m, groups), run = run_rows(p->w);
    for (int64_t n = begin; n < end; n += run)
        for (int64_t m = 0; m < p->m; m += size) dot_group(p, m, (int)min64(size, p->m - m), n, min64(n + run, end));
}

/* ---- many rows ---- */

/* The run of `count` values of weight row n from k on, as f32; k at a block boundary. */
static void weight_run(const weft_kernels *kernels, const weft_matrix *w, int64_t n, int64_t k, int64_t count,
                       float *out) {
    const uint8_t *row = (const uint8_t *)w->data + (size_t)n * weft_type_row_bytes(w->type, w->cols);
    kernels->dequantize[w->type](out, row + weft_type_row_bytes(w->type, k), count);
    if (w->type != WEFT_F8_E4M3 || !w->block_scales) return;
    const float *scales = w->block_scales + n / 128 * ceil_div(w->cols, 128);
    for (int64_t i = 0; i < count;) {
        int64_t block_end = min64(count, ((k + i) / 128 + 1) * 128 - k);
        float scale = scales[(k + i) / 128];
        for (; i < block_end; i++) out[i] *= scale;
    }
}

static size_t transposed_stride(const weft_matrix *w) {
    return (size_t)(w->stride ? w->stride : w->rows);
}

/* One panel [count_k][tile_n] of weight rows n … n+count_n-1, values k … k+count_k-1. */
static void weight_panel(const product *p, int64_t n, int count_n, int64_t k, int64_t count_k, float *panel,
                         float *rows) {
    const weft_kernels *kernels = p->kernels;
    const weft_matrix *w = p->w;
    int tile_n = kernels->tile_n;
    if (w->transposed) {
        size_t size = weft_type_block_bytes(w->type);
        const uint8_t *data = w->data;
        for (int64_t i = 0; i < count_k; i++, panel += tile_n) {
            kernels->dequantize[w->type](panel, data + ((size_t)(k + i) * transposed_stride(w) + (size_t)n) * size,
                                         count_n);
            for (int j = 0; w->block_scales && j < count_n; j++)
                panel[j] *= w->block_scales[(n + j) / 128 * ((w->cols + 127) / 128) + (k + i) / 128];
            for (int j = count_n; j < tile_n; j++) panel[j] = 0;
        }
        return;
    }
    for (int i = 0; i < count_n; i++) weight_run(kernels, w, n + i, k, count_k, rows + i * WEFT_PANEL_K);
    kernels->pack(panel, tile_n, rows, WEFT_PANEL_K, count_n, count_k);
}

/* Before the first pass over k: the rows of the block hold what the sums are added to. */
static void start_block(const product *p, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    for (int64_t m = m0; m < m1; m++) {
        float *out = p->out + m * p->out_stride + n0;
        if (p->accumulate)
            p->kernels->add(out, p->bias + n0, n1 - n0);
        else
            memcpy(out, p->bias + n0, (size_t)(n1 - n0) * sizeof *out);
    }
}

/* Output columns [n0, n1) of rows [m0, m1) of the pass; m0 is a multiple of tile_m away from the pass's first row. */
static void panel_block(const product *p, int64_t m0, int64_t m1, int64_t n0, int64_t n1, float *scratch) {
    const weft_kernels *kernels = p->kernels;
    int tile_m = kernels->tile_m, tile_n = kernels->tile_n;
    int64_t length = p->k1 - p->k0, group = GROUP_ROWS / tile_m * tile_m;
    float *panels = scratch, *rows = scratch + PANEL_FLOATS;
    bool add = p->accumulate || p->k0 > 0;
    if (p->bias && p->k0 == 0) {
        start_block(p, m0, m1, n0, n1);
        add = true;
    }
    for (int64_t k = p->k0; k < p->k1; k += WEFT_PANEL_K, add = true) {
        int64_t count_k = min64(WEFT_PANEL_K, p->k1 - k);
        float *panel = panels;
        for (int64_t n = n0; n < n1; n += tile_n, panel += count_k * tile_n)
            weight_panel(p, n, (int)min64(tile_n, n1 - n), k, count_k, panel, rows);
        for (int64_t g = m0; g < m1; g += group) {
            panel = panels;
            for (int64_t n = n0; n < n1; n += tile_n, panel += count_k * tile_n) {
                for (int64_t m = g; m < min64(g + group, m1); m += tile_m) {
                    const float *a = p->packed + (m - p->m0) * length + (k - p->k0) * tile_m;
                    kernels->gemm_tile(p->out + m * p->out_stride + n, p->out_stride, a, panel, count_k,
                                       (int)min64(tile_m, m1 - m), (int)min64(tile_n, n1 - n), add);
                }
            }
        }
    }
}

static void pack_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = context;
    int tile_m = p->kernels->tile_m;
    int64_t length = p->k1 - p->k0;
    for (int64_t tile = begin; tile < end; tile++) {
        int64_t m = p->m0 + tile * tile_m;
        p->kernels->pack(p->packed + tile * tile_m * length, tile_m, p->x + m * p->x_stride + p->k0, p->x_stride,
                         (int)min64(tile_m, p->m1 - m), length);
    }
}

static void panel_body(void *context, int64_t begin, int64_t end, int thread) {
    const product *p = context;
    int64_t parts = ceil_div(p->m1 - p->m0, p->part_rows);
    for (int64_t task = begin; task < end; task++) {
        int64_t n = task / parts * p->block_cols, m = p->m0 + task % parts * p->part_rows;
        panel_block(p, m, min64(m + p->part_rows, p->m1), n, min64(n + p->block_cols, p->w->rows),
                    weft_compute_scratch(p->compute, thread));
    }
}

/* How to cut a pass into tasks: block_cols and part_rows that make the slowest thread's time least, by a rough count of
 * cycles: products at one vector of tile_n/2 values per cycle, about 1.5 cycles to convert a weight, and the traffic of
 * packed activations, which a wider block uses more often. */
static void choose_tasks(product *p, int threads) {
    int tile_m = p->kernels->tile_m, tile_n = p->kernels->tile_n;
    int64_t rows = p->m1 - p->m0;
    double best = 0;
    for (int64_t cols = BLOCK_COLS_MAX; cols >= tile_n; cols /= 2) {
        for (int64_t parts = 1; parts <= 8; parts *= 2) {
            int64_t part = ceil_div(ceil_div(rows, parts), tile_m) * tile_m;
            if (parts > 1 && (part < 2 * tile_m || threads == 1)) break;
            int64_t tasks = ceil_div(p->w->rows, cols) * ceil_div(rows, part);
            double per_k = (double)(part * cols) / tile_n + 1.5 * (double)cols + 0.25 * (double)part;
            double cost = (double)ceil_div(tasks, threads) * per_k;
            if (best == 0 || cost < best * 0.98) {
                best = cost;
                p->block_cols = cols;
                p->part_rows = part;
            }
        }
    }
}

/* All passes: rows, then k, cut so that the packed activations of a pass fit `capacity` floats. */
static void panel_product(product *p, weft_pool *pool, float *packed, int64_t capacity, int thread) {
    int tile_m = p->kernels->tile_m;
    int64_t cols = p->w->cols, rows = ceil_div(p->m, tile_m) * tile_m;
    int64_t wanted = min64(rows, K_SPLIT_ROWS / tile_m * tile_m);
    int64_t fit = capacity / cols / tile_m * tile_m, length = cols;
    if (fit < wanted) {
        fit = wanted;
        length = capacity / wanted / WEFT_PANEL_K * WEFT_PANEL_K;
    }
    int64_t step = ceil_div(ceil_div(rows, ceil_div(rows, fit)), tile_m) * tile_m;
    p->packed = packed;
    for (p->m0 = 0; p->m0 < p->m; p->m0 += step) {
        p->m1 = min64(p->m0 + step, p->m);
        for (p->k0 = 0; p->k0 < cols; p->k0 += length) {
            p->k1 = min64(p->k0 + length, cols);
            int64_t tiles = ceil_div(p->m1 - p->m0, tile_m);
            choose_tasks(p, weft_pool_threads(pool));
            int64_t parts = ceil_div(p->m1 - p->m0, p->part_rows), blocks = ceil_div(p->w->rows, p->block_cols);
            if (pool) {
                weft_parallel_for(pool, tiles, 1, pack_body, p);
                weft_parallel_for(pool, parts * blocks, 1, panel_body, p);
            } else {
                pack_body(p, 0, tiles, thread);
                panel_body(p, 0, parts * blocks, thread);
            }
        }
    }
}

/* ---- the entry points ---- */

/* By matrix tiles, where the matrix allows them and there are rows enough. */
static bool by_tiles(const product *p, int thread) {
    int64_t least = p->kernels->tiles_rows_min;
    if (!p->w->tiles || !least || p->m < least) return false;
    const weft_output to = {p->out, p->out_stride, p->bias, p->accumulate};
    return weft_matmul_tiles(p->compute, thread, &to, p->x, p->x_stride, p->m, p->w);
}

static bool use_dot(const product *p) {
    if (p->w->cols == 0) return true;
    return p->m <= DOT_M_MAX && !p->w->transposed && p->kernels->dot_rows[p->w->type] != NULL;
}

void weft_matmul(const weft_compute *compute, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                 int64_t m, const weft_matrix *w, const float *bias, bool accumulate) {
    product p = {.compute = compute,
                 .kernels = weft_compute_kernels(compute),
                 .out = out,
                 .out_stride = out_stride,
                 .x = x,
                 .x_stride = x_stride,
                 .m = m,
                 .w = w,
                 .bias = bias,
                 .accumulate = accumulate};
    if (m <= 0 || w->rows <= 0) return;
    if (w->panels) {
        weft_matmul_packed(compute, -1, out, out_stride, x, x_stride, m, w, bias, accumulate);
        return;
    }
    if (by_tiles(&p, -1)) return;
    weft_pool *pool = weft_compute_pool(compute);
    if (!use_dot(&p)) {
        panel_product(&p, pool, weft_compute_shared(compute), SHARED_PACK_FLOATS, 0);
        return;
    }
    /* a few runs per task, but enough tasks that the last ones even the threads out */
    int64_t run = run_rows(w), share = w->rows / ((int64_t)weft_pool_threads(pool) * 8);
    int64_t grain = share / run * run;
    weft_parallel_for(pool, w->rows, grain < run ? run : min64(grain, 8 * run), dot_body, &p);
}

void weft_matmul_one_thread(const weft_compute *compute, int thread, float *out, int64_t out_stride, const float *x,
                            int64_t x_stride, int64_t m, const weft_matrix *w, const float *bias, bool accumulate) {
    product p = {.compute = compute,
                 .kernels = weft_compute_kernels(compute),
                 .out = out,
                 .out_stride = out_stride,
                 .x = x,
                 .x_stride = x_stride,
                 .m = m,
                 .w = w,
                 .bias = bias,
                 .accumulate = accumulate};
    if (m <= 0 || w->rows <= 0) return;
    if (w->panels) {
        weft_matmul_packed(compute, thread, out, out_stride, x, x_stride, m, w, bias, accumulate);
        return;
    }
    if (by_tiles(&p, thread)) return;
    if (use_dot(&p)) {
        dot_body(&p, 0, w->rows, thread);
        return;
    }
    float *scratch = weft_compute_scratch(compute, thread);
    panel_product(&p, NULL, scratch + PANEL_FLOATS + ROWS_FLOATS, OWN_PACK_FLOATS, thread);
}

void weft_matrix_row(const weft_kernels *kernels, const weft_matrix *w, int64_t row, float *out) {
    if (!w->transposed) {
        weight_run(kernels, w, row, 0, w->cols, out);
        return;
    }
    size_t size = weft_type_block_bytes(w->type);
    const uint8_t *data = w->data;
    for (int64_t k = 0; k < w->cols; k++)
        kernels->dequantize[w->type](out + k, data + ((size_t)k * transposed_stride(w) + (size_t)row) * size, 1);
    for (int64_t k = 0; w->block_scales && k < w->cols; k++)
        out[k] *= w->block_scales[row / 128 * ((w->cols + 127) / 128) + k / 128];
}
