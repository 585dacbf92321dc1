/* Products with packed weights: which part runs where. See packed.h for the layout.
 *
 * The activations are quantised once, chunk by chunk of 512 values of k, into records that all threads read: first by
 * chunk, then by row, so that a chunk of all rows is one run of memory. Few rows (decode): each thread takes runs of
 * panels and reads every weight once, straight from the panel. Many rows: a task is a block of panels and a part of the
 * rows; for each chunk it opens two panels at a time (L1) and runs the chunk of all its rows (L2, for the whole block)
 * against them. The sums of a task stay in the thread's scratch (L2) until the last chunk. Allocates nothing. */
#include <string.h>

#include "kernels/packed.h"
#include "kernels/variants.h"

enum {
    BLOCK_PANELS_MAX = 16,
    OPEN_PANELS = 2, /* at once: they stay in L1 */
    RUN_ROWS = 24,   /* between two requests for the weights that come next */
    PART_ROWS_MAX = 256,
    SUMS_BYTES = BLOCK_PANELS_MAX * PART_ROWS_MAX * WEFT_PANEL_WIDTH * 4,
    OWN_QUANT_BYTES = WEFT_THREAD_SCRATCH_BYTES - SUMS_BYTES - OPEN_PANELS * WEFT_OPEN_BYTES,
    DOT_RUN_PANELS = 4, /* panels that a thread takes at once, at least */
    QUANTIZE_GRAIN = 24 /* chunks that are not worth waking a thread for */
};

typedef struct product {
    const weft_compute *compute;
    const weft_kernels *kernels;
    float *out;
    int64_t out_stride;
    const float *x;
    int64_t x_stride;
    const weft_matrix *w;
    const float *bias; /* NULL: none */
    bool accumulate;
    weft_quants *quants;    /* [chunks][terms][m1 - m0] */
    int64_t m0, m1;         /* the pass at hand */
    int terms;              /* 2 for weft_matrix.fine, else 1 */
    bool few;               /* rows in the pass at hand */
    int64_t panels, chunks; /* of the matrix */
    int block_panels;       /* of a task */
    int64_t part_rows;
} product;

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static void quantize_term(const product *p, weft_quants *out, const float *x, int64_t n) {
    if (p->few || !p->kernels->quantize_rows)
        p->kernels->quantize(out, x, n);
    else
        p->kernels->quantize_rows(out, x, n, p->w);
}

/* Of the values x and their first term: the second, which is what rounding to the first left. */
static void quantize_rest(const product *p, weft_quants *second, const weft_quants *first, const float *x, int64_t n) {
    float rest[WEFT_QUANT_CHUNK];
    for (int64_t i = 0; i < n; i++) rest[i] = x[i] - first->scale[i / 32] * (float)first->q[i];
    quantize_term(p, second, rest, n);
}

/* Items are (row, chunk). */
static void quantize_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = context;
    int64_t rows = p->m1 - p->m0;
    for (int64_t i = begin; i < end; i++) {
        int64_t row = i / p->chunks, chunk = i % p->chunks, k = chunk * WEFT_QUANT_CHUNK;
        int64_t n = min64(WEFT_QUANT_CHUNK, p->w->cols - k);
        const float *x = p->x + (p->m0 + row) * p->x_stride + k;
        weft_quants *out = p->quants + chunk * p->terms * rows + row;
        quantize_term(p, out, x, n);
        if (p->terms == 2) quantize_rest(p, out + rows, out, x, n);
    }
}

/* ---- few rows ---- */

/* SUM_PANELS_TWICE: that are read twice, the second time from L2. */
enum { SUM_PANELS = 8, SUM_PANELS_TWICE = 2, SUM_WIDTH = SUM_PANELS * WEFT_PANEL_WIDTH };

/* The pass's rows against panels [begin, end), at most SUM_PANELS, which have `width` outputs; into sums[row]. */
static void dot_terms(const product *p, float sums[][SUM_WIDTH], int64_t begin, int64_t end, int64_t width) {
    int rows = (int)(p->m1 - p->m0), all = rows * p->terms, times = (int)ceil_div(all, p->kernels->packed_dot_rows);
    int once = (int)ceil_div(all, times);
    for (int r = 0; r < all; r += once) /* the second time from the cache */
        p->kernels->packed_dot(sums[r], SUM_WIDTH, p->quants + r, all, (int)min64(once, all - r), p->w, begin, end);
    for (int r = rows; r < all; r++)
        for (int64_t i = 0; i < width; i++) sums[r - rows][i] += sums[r][i];
}

static void dot_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = context;
    const weft_matrix *w = p->w;
    int rows = (int)(p->m1 - p->m0);
    float *out = p->out + p->m0 * p->out_stride;
    if (!p->bias && !p->accumulate && p->terms == 1 && rows <= p->kernels->packed_dot_rows) {
        p->kernels->packed_dot(out + begin * WEFT_PANEL_WIDTH, p->out_stride, p->quants, rows, rows, w, begin, end);
        return;
    }
    float sums[2 * WEFT_PACKED_DOT_ROWS_MAX][SUM_WIDTH];
    int64_t step = rows * p->terms > p->kernels->packed_dot_rows ? SUM_PANELS_TWICE : SUM_PANELS;
    for (int64_t panel = begin; panel < end; panel += step) {
        int64_t n0 = panel * WEFT_PANEL_WIDTH, last = min64(panel + step, end);
        int64_t n1 = min64(last * WEFT_PANEL_WIDTH, w->rows);
        dot_terms(p, sums, panel, last, n1 - n0);
        for (int r = 0; r < rows; r++) {
            float *to = out + r * p->out_stride;
            for (int64_t n = n0; n < n1; n++) {
                float v = p->bias ? sums[r][n - n0] + p->bias[n] : sums[r][n - n0];
                to[n] = p->accumulate ? to[n] + v : v;
            }
        }
    }
}

/* ---- many rows ---- */

void weft_output_write(const weft_output *to, const float *sums, int64_t m, int64_t n, int64_t rows) {
    int64_t width = min64(WEFT_PANEL_WIDTH, rows - n);
    float *out = to->out + m * to->stride + n;
    if (width == WEFT_PANEL_WIDTH) { /* of a width that the compiler knows */
        const float *bias = to->bias ? to->bias + n : NULL;
        if (!bias && !to->accumulate) memcpy(out, sums, WEFT_PANEL_WIDTH * sizeof *out);
        for (int i = 0; bias && !to->accumulate && i < WEFT_PANEL_WIDTH; i++) out[i] = sums[i] + bias[i];
        for (int i = 0; bias && to->accumulate && i < WEFT_PANEL_WIDTH; i++) out[i] = sums[i] + bias[i] + out[i];
        for (int i = 0; !bias && to->accumulate && i < WEFT_PANEL_WIDTH; i++) out[i] = sums[i] + out[i];
        return;
    }
    float v[WEFT_PANEL_WIDTH];
    memcpy(v, sums, sizeof v);
    if (to->bias)
        for (int64_t i = 0; i < width; i++) v[i] += to->bias[n + i];
    if (to->accumulate)
        for (int64_t i = 0; i < width; i++) v[i] += out[i];
    memcpy(out, v, (size_t)width * sizeof *v);
}

/* A chunk of a panel begins in pages that nothing has read from yet, where hardware does not look ahead: of the next
 * panels' chunk, the part that is due before row r of `rows`. */
static void ask_for(const weft_matrix *w, int64_t panel, int64_t chunk, int64_t r, int64_t rows) {
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    int64_t groups = weft_chunk_groups(w->cols, chunk), values = chunk * WEFT_QUANT_CHUNK;
    int64_t lines = groups * kind.group_bytes / 64, last = lines * min64(r + RUN_ROWS, rows) / rows;
    for (int64_t i = panel; i < min64(panel + OPEN_PANELS, weft_panel_count(w->rows)); i++) {
        const uint8_t *scales = weft_panel_scales(w, i) + values / kind.scale_values * kind.scale_bytes;
        const uint8_t *quants = weft_panel_quants(w, i) + values / 32 * kind.group_bytes;
        for (int64_t at = 0; r == 0 && at < 32 * groups / kind.scale_values * kind.scale_bytes; at += 64)
            __builtin_prefetch(scales + at, 0, 2);
        for (int64_t at = lines * r / rows; at < last; at++) __builtin_prefetch(quants + 64 * at, 0, 2);
    }
}

/* Rows [r0, r1) of the pass, panels [p0, p1). */
static void block(const product *p, int64_t r0, int64_t r1, int64_t p0, int64_t p1, char *scratch) {
    const weft_kernels *kernels = p->kernels;
    char *open = scratch;
    float *sums = (float *)(scratch + OPEN_PANELS * WEFT_OPEN_BYTES);
    int64_t rows = r1 - r0, pass = p->m1 - p->m0;
    const weft_output to = {p->out, p->out_stride, p->bias, p->accumulate};
    for (int64_t chunk = 0; chunk < p->chunks; chunk++) {
        const weft_quants *x = p->quants + chunk * p->terms * pass + r0;
        for (int64_t i = p0; i < p1; i += OPEN_PANELS) {
            int panels = (int)min64(OPEN_PANELS, p1 - i);
            float *c = sums + (i - p0) * rows * WEFT_PANEL_WIDTH;
            for (int j = 0; j < panels; j++) kernels->packed_open(open + j * WEFT_OPEN_BYTES, p->w, i + j, chunk);
            int64_t next_panel = i + OPEN_PANELS < p1 ? i + OPEN_PANELS : p0, next_chunk = chunk + (next_panel == p0);
            for (int64_t r = 0; r < rows; r += RUN_ROWS) {
                int64_t run = min64(RUN_ROWS, rows - r);
                if (next_chunk < p->chunks) ask_for(p->w, next_panel, next_chunk, r, rows);
                float *to_run = c + r * WEFT_PANEL_WIDTH;
                if (p->terms == 2 && kernels->packed_chunk_two &&
                    kernels->packed_chunk_two(to_run, rows, x + r, pass, run, open, panels, p->w, chunk, chunk > 0))
                    continue;
                for (int t = 0; t < p->terms; t++)
                    kernels->packed_chunk(to_run, rows, x + t * pass + r, run, open, panels, p->w, chunk,
                                          chunk + t > 0);
            }
        }
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = p0; i < p1; i++)
            weft_output_write(&to, sums + ((i - p0) * rows + r) * WEFT_PANEL_WIDTH, p->m0 + r0 + r,
                              i * WEFT_PANEL_WIDTH, p->w->rows);
}

static void block_body(void *context, int64_t begin, int64_t end, int thread) {
    const product *p = context;
    int64_t rows = p->m1 - p->m0, parts = ceil_div(rows, p->part_rows);
    for (int64_t task = begin; task < end; task++) {
        int64_t panel = task / parts * p->block_panels, row = task % parts * p->part_rows;
        block(p, row, min64(row + p->part_rows, rows), panel, min64(panel + p->block_panels, p->panels),
              weft_compute_scratch(p->compute, thread));
    }
}

/* Blocks as large as leave every thread a few. */
static void choose_tasks(product *p, int threads) {
    int64_t rows = p->m1 - p->m0;
    int64_t parts = ceil_div(rows, PART_ROWS_MAX);
    p->block_panels = BLOCK_PANELS_MAX;
    while (p->block_panels > 1 && parts * ceil_div(p->panels, p->block_panels) < 6 * threads) p->block_panels /= 2;
    while (parts * p->panels < 2 * threads && rows / parts > 32) parts *= 2;
    p->part_rows = ceil_div(ceil_div(rows, parts), 4) * 4;
}

void weft_matmul_packed(const weft_compute *compute, int thread, float *out, int64_t out_stride, const float *x,
                        int64_t x_stride, int64_t m, const weft_matrix *w, const float *bias, bool accumulate) {
    const weft_output to = {out, out_stride, bias, accumulate};
    int64_t tiles_from = weft_compute_kernels(compute)->tiles_rows_min;
    if (tiles_from && m >= tiles_from && weft_matmul_tiles(compute, thread, &to, x, x_stride, m, w)) return;
    int64_t runs_from = weft_compute_kernels(compute)->runs_rows_min;
    if (w->runs && !w->fine && runs_from && m >= runs_from && weft_matmul_runs(compute, thread, &to, x, x_stride, m, w)) return;
    weft_pool *pool = thread < 0 ? weft_compute_pool(compute) : NULL;
    product p = {.compute = compute,
                 .kernels = weft_compute_kernels(compute),
                 .out = out,
                 .out_stride = out_stride,
                 .x = x,
                 .x_stride = x_stride,
                 .w = w,
                 .bias = bias,
                 .accumulate = accumulate,
                 .panels = weft_panel_count(w->rows),
                 .chunks = weft_chunk_count(w->cols)};
    int64_t capacity = WEFT_SHARED_SCRATCH_BYTES;
    p.quants = (void *)weft_compute_shared(compute);
    if (thread >= 0) {
        capacity = OWN_QUANT_BYTES;
        p.quants =
            (void *)((char *)weft_compute_scratch(compute, thread) + WEFT_THREAD_SCRATCH_BYTES - OWN_QUANT_BYTES);
    }
    capacity /= p.chunks * (int64_t)sizeof *p.quants;
    p.terms = w->fine && capacity >= 2 ? 2 : 1;
    capacity /= p.terms;
    int64_t step = ceil_div(m, ceil_div(m, capacity));
    int threads = weft_pool_threads(pool);
    for (p.m0 = 0; p.m0 < m; p.m0 += step) {
        p.m1 = min64(p.m0 + step, m);
        int64_t items = (p.m1 - p.m0) * p.chunks;
        p.few = p.m1 - p.m0 <= weft_few_rows(p.kernels, p.terms);
        choose_tasks(&p, threads);
        int64_t tasks = ceil_div(p.panels, p.block_panels) * ceil_div(p.m1 - p.m0, p.part_rows);
        int64_t grain = p.panels / (threads * 8);
        if (grain < DOT_RUN_PANELS) grain = DOT_RUN_PANELS;
        if (thread >= 0) {
            quantize_body(&p, 0, items, thread);
            if (p.few)
                dot_body(&p, 0, p.panels, thread);
            else
                block_body(&p, 0, tasks, thread);
            continue;
        }
        weft_parallel_for(pool, items, items <= QUANTIZE_GRAIN ? items : 8, quantize_body, &p);
        if (p.few)
            weft_parallel_for(pool, p.panels, grain, dot_body, &p);
        else
            weft_parallel_for(pool, tasks, 1, block_body, &p);
    }
}
