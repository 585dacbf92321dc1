/* Products of many rows with packed weights where the level has matrix tiles (AMX): which part runs where.
 *
 * The activations are rounded once, chunk by chunk of 512 values of k, to tiles of 16 rows that all threads read. A
 * task is a block of panels and a part of the rows: the kernel takes it chunk by chunk and opens a pair of panels while it
 * multiplies the one before. The sums of the task stay in the thread's scratch until the last chunk.
 * Sizes: a block of 16 panels uses a tile of activations 8 times for each time that it comes from farther than L2,
 * whose bandwidth would bound narrower ones; sums and two chunks of activations are 1.5 MiB. Allocates nothing. */
#include "kernels/packed.h"
#include "kernels/variants.h"

enum {
    BLOCK_PANELS_MAX = 16,
    PART_TILES_MAX = 32, /* 512 rows */
    SUMS_BYTES = BLOCK_PANELS_MAX * PART_TILES_MAX * WEFT_TILE_ROWS * WEFT_PANEL_WIDTH * 4,
    CHUNK_TILE_BYTES = WEFT_TILE_ROWS * WEFT_QUANT_CHUNK * 2, /* 16 rows of a chunk */
    OWN_TILE_BYTES = WEFT_THREAD_SCRATCH_BYTES - SUMS_BYTES - WEFT_TILES_OPEN_BYTES
};

typedef struct product {
    const weft_compute *compute;
    const weft_kernels *kernels;
    const weft_output *out;
    const float *x;
    int64_t x_stride;
    const weft_matrix *w;
    char *tiles;                      /* [chunks][row tiles of the pass][CHUNK_TILE_BYTES] */
    int64_t m0, m1;                   /* the pass at hand */
    int64_t row_tiles;                /* of it */
    int64_t panels, chunks;           /* of the matrix */
    int64_t block_panels, part_tiles; /* of a task */
} product;

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Items are (row tile, chunk). */
static void pack_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const product *p = context;
    for (int64_t i = begin; i < end; i++) {
        int64_t tile = i / p->chunks, chunk = i % p->chunks, k = chunk * WEFT_QUANT_CHUNK;
        int64_t row = p->m0 + tile * WEFT_TILE_ROWS;
        p->kernels->tiles_pack(p->tiles + (chunk * p->row_tiles + tile) * CHUNK_TILE_BYTES,
                               p->x + row * p->x_stride + k, p->x_stride, (int)min64(WEFT_TILE_ROWS, p->m1 - row),
                               min64(WEFT_QUANT_CHUNK, p->w->cols - k));
    }
}

/* Row tiles [t0, t1) of the pass, panels [p0, p1). */
static void block(const product *p, int64_t t0, int64_t t1, int64_t p0, int64_t p1, char *scratch) {
    float *sums = (float *)(scratch + WEFT_TILES_OPEN_BYTES);
    p->kernels->tiles_block(sums, p->tiles + t0 * CHUNK_TILE_BYTES, CHUNK_TILE_BYTES, p->row_tiles * CHUNK_TILE_BYTES,
                            t1 - t0, p->w, p0, (int)(p1 - p0), scratch);
    int64_t stride = (t1 - t0) * WEFT_TILE_ROWS, first = p->m0 + t0 * WEFT_TILE_ROWS;
    int64_t rows = min64(stride, p->m1 - first);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = p0; i < p1; i++)
            weft_output_write(p->out, sums + ((i - p0) * stride + r) * WEFT_PANEL_WIDTH, first + r,
                              i * WEFT_PANEL_WIDTH, p->w->rows);
}

static void block_body(void *context, int64_t begin, int64_t end, int thread) {
    const product *p = context;
    int64_t parts = ceil_div(p->row_tiles, p->part_tiles);
    for (int64_t task = begin; task < end; task++) {
        int64_t panel = task / parts * p->block_panels, tile = task % parts * p->part_tiles;
        block(p, tile, min64(tile + p->part_tiles, p->row_tiles), panel, min64(panel + p->block_panels, p->panels),
              weft_compute_scratch(p->compute, thread));
    }
}

/* Blocks as large as leave every thread a few; each opens its panels once for all rows of its part. */
static void choose_tasks(product *p, int threads) {
    int64_t parts = ceil_div(p->row_tiles, PART_TILES_MAX);
    p->part_tiles = ceil_div(p->row_tiles, parts);
    p->block_panels = BLOCK_PANELS_MAX;
    while (p->block_panels > 2 && parts * ceil_div(p->panels, p->block_panels) < 4 * threads) p->block_panels /= 2;
}

bool weft_matmul_tiles(const weft_compute *compute, int thread, const weft_output *out, const float *x,
                       int64_t x_stride, int64_t m, const weft_matrix *w) {
    weft_pool *pool = thread < 0 ? weft_compute_pool(compute) : NULL;
    product p = {.compute = compute,
                 .kernels = weft_compute_kernels(compute),
                 .out = out,
                 .x = x,
                 .x_stride = x_stride,
                 .w = w,
                 .panels = weft_panel_count(w->rows),
                 .chunks = weft_chunk_count(w->cols)};
    int64_t capacity = WEFT_SHARED_SCRATCH_BYTES;
    p.tiles = (char *)weft_compute_shared(compute);
    if (thread >= 0) {
        capacity = OWN_TILE_BYTES;
        p.tiles = (char *)weft_compute_scratch(compute, thread) + WEFT_THREAD_SCRATCH_BYTES - OWN_TILE_BYTES;
    }
    int64_t tiles = ceil_div(m, WEFT_TILE_ROWS), fit = capacity / (p.chunks * CHUNK_TILE_BYTES);
    if (fit < 1) return false;
    int64_t step = ceil_div(tiles, ceil_div(tiles, fit)) * WEFT_TILE_ROWS;
    for (p.m0 = 0; p.m0 < m; p.m0 += step) {
        p.m1 = min64(p.m0 + step, m);
        p.row_tiles = ceil_div(p.m1 - p.m0, WEFT_TILE_ROWS);
        choose_tasks(&p, weft_pool_threads(pool));
        int64_t tasks = ceil_div(p.panels, p.block_panels) * ceil_div(p.row_tiles, p.part_tiles);
        if (pool) {
            weft_parallel_for(pool, p.row_tiles * p.chunks, 1, pack_body, &p);
            weft_parallel_for(pool, tasks, 1, block_body, &p);
        } else {
            pack_body(&p, 0, p.row_tiles * p.chunks, thread);
            block_body(&p, 0, tasks, thread);
        }
    }
    return true;
}
