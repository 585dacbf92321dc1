/* Products of many rows with panels whose scales are equal over runs of k, where the level has the slots runs_…: which
 * part runs where.
 *
 * The activations are rounded once to tiles of up to 14 rows that all threads read. A task is a few pairs of panels and
 * a part of the tiles: a pair stays in L2 while the tiles pass over it, and a product goes over all of K at once, so
 * that its sums are written to their place and nowhere else. Allocates nothing. */
#include "kernels/packed.h"
#include "kernels/variants.h"

enum {
    TASK_PAIRS = 2,
    OWN_TILE_BYTES = WEFT_THREAD_SCRATCH_BYTES,
};

typedef struct product {
    const weft_kernels *kernels;
    const weft_output *out;
    const float *x;
    int64_t x_stride;
    const weft_matrix *w;
    char *tiles; /* [tiles of the pass][tile_bytes] */
    int64_t tile_bytes;
    int64_t m0, m1;     /* the pass at hand */
    int64_t count;      /* tiles of it */
    int64_t part_tiles; /* of a task */
} product;

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* The first row of a tile: their heights differ by one at most. */
static int64_t tile_row(const product *p, int64_t tile) {
    return p->m0 + (p->m1 - p->m0) * tile / p->count;
}

static void pack_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = context;
    for (int64_t tile = begin; tile < end; tile++) {
        int64_t row = tile_row(p, tile);
        p->kernels->runs_pack(p->tiles + tile * p->tile_bytes, p->x + row * p->x_stride, p->x_stride,
                              (int)(tile_row(p, tile + 1) - row), p->w->cols);
    }
}

/* Tiles [t0, t1), panels `panel` and the next, if there is one. */
static void pair_product(const product *p, int64_t t0, int64_t t1, int64_t panel) {
    int panels = p->w->rows - panel * WEFT_PANEL_WIDTH > WEFT_PANEL_WIDTH ? 2 : 1;
    for (int64_t tile = t0; tile < t1; tile++) {
        int64_t row = tile_row(p, tile);
        p->kernels->runs_product(p->out, row, p->tiles + tile * p->tile_bytes, (int)(tile_row(p, tile + 1) - row), p->w,
                                 panel, panels);
    }
}

static void task_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = context;
    int64_t parts = ceil_div(p->count, p->part_tiles), panels = weft_panel_count(p->w->rows);
    for (int64_t task = begin; task < end; task++) {
        int64_t panel = task / parts * 2 * TASK_PAIRS, tile = task % parts * p->part_tiles;
        int64_t last = min64(panel + 2 * TASK_PAIRS, panels);
        for (; panel < last; panel += 2) pair_product(p, tile, min64(tile + p->part_tiles, p->count), panel);
    }
}

bool weft_matmul_runs(const weft_compute *compute, int thread, const weft_output *out, const float *x,
                      int64_t x_stride, int64_t m, const weft_matrix *w) {
    weft_pool *pool = thread < 0 ? weft_compute_pool(compute) : NULL;
    product p = {.kernels = weft_compute_kernels(compute), .out = out, .x = x, .x_stride = x_stride, .w = w};
    int64_t capacity = WEFT_SHARED_SCRATCH_BYTES;
    p.tiles = (char *)weft_compute_shared(compute);
    if (thread >= 0) {
        capacity = OWN_TILE_BYTES;
        p.tiles = weft_compute_scratch(compute, thread);
    }
    p.tile_bytes = (int64_t)weft_run_tile_bytes(w->cols);
    int64_t fit = capacity / p.tile_bytes * WEFT_RUN_TILE_ROWS;
    if (fit < 4 * WEFT_RUN_TILE_ROWS) return false;
    int64_t passes = ceil_div(m, fit), threads = weft_pool_threads(pool);
    int64_t blocks = ceil_div(weft_panel_count(w->rows), 2 * TASK_PAIRS);
    for (int64_t pass = 0; pass < passes; pass++) {
        p.m0 = m * pass / passes;
        p.m1 = m * (pass + 1) / passes;
        p.count = ceil_div(p.m1 - p.m0, WEFT_RUN_TILE_ROWS);
        int64_t parts = min64(ceil_div(4 * threads, blocks), p.count);
        p.part_tiles = ceil_div(p.count, parts);
        int64_t tasks = blocks * ceil_div(p.count, p.part_tiles);
        if (pool) {
            weft_parallel_for(pool, p.count, 1, pack_body, &p);
            weft_parallel_for(pool, tasks, 1, task_body, &p);
        } else {
            pack_body(&p, 0, p.count, thread);
            task_body(&p, 0, tasks, thread);
        }
    }
    return true;
}
