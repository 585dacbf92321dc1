/* Arithmetic on plain arrays: one contract per kernel.
 *
 * The table weft_kernels holds one function per contract. ref.c fills every slot with the plain-C truth; the variants
 * in x86/ and arm/ overwrite slots after a CPU check, from the weakest level to the strongest. Every variant equals
 * ref.c within the tolerance stated at its slot. Kernels never allocate, never fail and know nothing of models.
 *
 * All activations are f32, row-major. Weights are f32, f16, bf16, f8 or block-quantised and are read as stored. */
#ifndef WEFT_KERNELS_KERNELS_H
#define WEFT_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/threads.h"

/* How a weight is stored. The block types are those of GGUF, bit for bit. */
typedef enum weft_type {
    WEFT_F32,
    WEFT_F16,
    WEFT_BF16,
    WEFT_F8_E4M3, /* with one f32 scale per 128x128 block, see weft_matrix.block_scales */
    WEFT_Q4_0,    /* 32 values: f16 d, 16 bytes of nibbles; value = d * (q - 8) */
    WEFT_Q4_1,    /* 32 values: f16 d, f16 m, 16 bytes; value = d * q + m */
    WEFT_Q5_0,
    WEFT_Q5_1,
    WEFT_Q8_0, /* 32 values: f16 d, 32 int8 */
    WEFT_Q4_K, /* 256 values: f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 128 bytes */
    WEFT_Q5_K,
    WEFT_Q6_K, /* 256 values: 128 + 64 bytes, 16 int8 scales, f16 d */
    WEFT_TYPE_COUNT
} weft_type;

const char *weft_type_name(weft_type type);  /* "Q4_K" */
int weft_type_block_values(weft_type type);  /* values per block: 1, 32 or 256 */
size_t weft_type_block_bytes(weft_type type);
/* Bytes of a row of `cols` values; cols must be a multiple of the block. */
size_t weft_type_row_bytes(weft_type type, int64_t cols);

/* A weight matrix as a view of somebody else's bytes (usually a mapped file): y[n] = sum_k W[n,k] x[k]. */
typedef struct weft_matrix {
    const void *data;
    weft_type type;
    int64_t rows; /* N: outputs */
    int64_t cols; /* K: inputs */
    /* false: row n begins at data + n * weft_type_row_bytes(type, cols).
     * true: stored as [cols, rows], element (n, k) at index k * stride + n; only for F32, F16, BF16 and F8_E4M3
     * (the expert tensors of published MoE checkpoints, where gate and up are the two halves of every stored row). */
    bool transposed;
    int64_t stride; /* transposed only: elements between k and k + 1, >= rows; 0 means rows */
    /* F8_E4M3 only: [ceil(rows/128), ceil(cols/128)], value = f8 * scale; NULL means 1. */
    const float *block_scales;
    /* The same values re-laid in panels (kernels/packed.h), or NULL. With panels weft_matmul rounds the activations to
     * int8 in groups of 32 (see weft_quants for the error); without, it computes in f32. */
    const void *panels;
    /* Without panels: values may be rounded to bf16 for matrix tiles where the level has them (never set for exact work).
     * Plain types, not transposed, cols a multiple of 32; see weft_tiles_allowed in packed.h. */
    bool tiles;
    /* With panels: activations are rounded to two terms of int8, the second for what the first leaves (what both leave is
     * at most 1/100 of that), for twice the products where the level has no wider ones; the weights are read once.
     * Matrix tiles need no second. */
    bool fine;
    /* With panels: their scales are equal over runs of WEFT_RUN values of k, as those of rounded plain values are. A level
     * with the slots runs_… rounds the activations of many rows in such runs too, instead of in groups of 32. */
    bool runs;
    weft_type panel_type; /* a type of the packed kinds; differs from `type` only where values were rounded to Q8_0 */
} weft_matrix;

/* Views of rows [first, first + count) of a matrix that is not transposed; panels stay where first is a multiple of 16. */
weft_matrix weft_matrix_rows(const weft_matrix *w, int64_t first, int64_t count);

/* How keys and values are stored in a page of the KV cache. The first three and WEFT_KV_Q4 name the layout of a slab;
 * see kv_rows.h for that of WEFT_KV_Q4. */
typedef enum weft_kv_format {
    WEFT_KV_F32,
    WEFT_KV_F16,
    WEFT_KV_Q8, /* int8 [128][head_dim], then f32 scale[128]: value = q * scale of its row, scale = max|x| / 127 */
    WEFT_KV_Q4,   /* 4 bits in groups of 32 with an f16 scale; the decoder spreads keys before, see attention.c there */
    WEFT_KV_Q8Q4, /* keys as WEFT_KV_Q8, values as WEFT_KV_Q4 */
} weft_kv_format;

/* The layout of the slabs of keys (which = 0) and of values (1). */
static inline weft_kv_format weft_kv_part(weft_kv_format format, int which) {
    return format != WEFT_KV_Q8Q4 ? format : which ? WEFT_KV_Q4 : WEFT_KV_Q8;
}

enum { WEFT_KV_PAGE_ROWS = 128 };

/* "f32", "f16", "q8", "q8q4" or "q4" ("q8_0" and "q4_0" are understood too); another name is an error that lists them. */
weft_status weft_kv_format_from_name(const char *name, weft_kv_format *format, weft_error *err);

/* Bytes of one slab: 128 rows of keys (or values) of one kv head, a multiple of 64; `format` is that of the slab. */
size_t weft_kv_slab_bytes(weft_kv_format format, int head_dim);

/* One block of query rows against the keys and values of one kv head, softmax(q k^T * scale) v, without ever writing a
 * row of scores to memory. The rows may belong to several query heads of the group and several positions. */
typedef struct weft_attention_task {
    float *const *out;       /* [rows] pointers to head_dim floats each */
    const float *const *q;   /* [rows] pointers to head_dim floats each */
    int rows;                /* 1 … WEFT_ATTENTION_ROWS_MAX */
    int head_dim;            /* any, 8 … 256 */
    const int64_t *visible;  /* [rows]: row r sees keys 0 … visible[r]-1, each >= 1 (but see log_sums) */
    weft_kv_format format;
    /* Key i is row i % 128 of k_pages[i / 128]; likewise values. */
    const void *const *k_pages;
    const void *const *v_pages;
    int64_t kv_stride; /* floats between rows, for WEFT_KV_F32 only (views of larger arrays); head_dim otherwise */
    float scale;
    bool coarse; /* over pages of 8 and 4 bits: queries may be rounded to 7 bits, probabilities to 8 bits of themselves */
    bool coarse_weights; /* over such pages: probabilities may be rounded to 8 bits of the largest of their page, up or down in fixed turns */
    void *scratch; /* WEFT_ATTENTION_SCRATCH_BYTES, 64-aligned, of the calling thread */
    /* [rows] or NULL. Where it is given, the pages are a part of what a row sees: `visible` counts from their beginning
     * and may be zero or less, and log_sums[r] becomes the log of the sum of exponentials of the row's scores
     * (-infinity, with zeros in `out`, when it sees nothing), from which the results of all parts can be merged. */
    float *log_sums;
} weft_attention_task;

enum { WEFT_ATTENTION_ROWS_MAX = 128, WEFT_ATTENTION_SCRATCH_BYTES = 1 << 20 };

/* A run of 512 activations as int8 in groups of 32: x = q * scale of its group, scale = max|x| / 127, q rounded to
 * nearest. So a product differs from that of the f32 values by at most sum over groups of scale / 2 * sum |w|. A group
 * with a NaN or an infinity has scale NaN; one whose largest value is below WEFT_QUANT_LEAST counts as zeros. */
enum { WEFT_QUANT_CHUNK = 512, WEFT_QUANT_GROUPS = 16, WEFT_PANEL_WIDTH = 16, WEFT_OPEN_BYTES = 20 << 10 };
enum { WEFT_TILE_ROWS = 16, WEFT_TILES_OPEN_BYTES = 64 << 10 };
enum { WEFT_RUN = 128, WEFT_RUN_TILE_ROWS = 14, WEFT_RUN_TILE_ROWS_MIN = 8 };
#define WEFT_QUANT_LEAST 1e-35f
typedef struct weft_quants {
    int8_t q[WEFT_QUANT_CHUNK];
    float scale[WEFT_QUANT_GROUPS];
    float sum[WEFT_QUANT_GROUPS];           /* scale * sum of the group's q */
    float half_sum[2 * WEFT_QUANT_GROUPS]; /* the same of each half group */
} weft_quants;

/* Where a product goes: out[m][n] (+)= sum + bias[n]. */
typedef struct weft_output {
    float *out;
    int64_t stride;
    const float *bias; /* NULL: none */
    bool accumulate;
} weft_output;

typedef struct weft_kernels {
    const char *level; /* "ref", "avx2", "avxvnni", "avx512", "avx512-vnni", "amx", "neon", "dotprod", "i8mm": the
                        * strongest level that filled a slot */

    /* out[n] = value of each stored element of a run of `n` values that starts at a block boundary; exact (bit for bit
     * what the gguf package computes in f32). One slot per type; F8 without its scales. */
    void (*dequantize[WEFT_TYPE_COUNT])(float *out, const void *blocks, int64_t n);

    /* Small batches (decode). out[m][i] = sum_k x[m][k] * W[n0 + i][k] for rows [n0, n1) of a row-major weight, M from
     * 1 to WEFT_DOT_ROWS_MAX. out_stride, x_stride in floats. Dequantises in registers, accumulates in f32. NULL for a
     * type: the caller goes through panels. Relative tolerance to ref 1e-5 of sum |x||w|. */
    void (*dot_rows[WEFT_TYPE_COUNT])(float *out, int64_t out_stride, const float *x, int64_t x_stride, int m,
                                      const weft_matrix *w, int64_t n0, int64_t n1);

    /* Large batches (prefill). The tile shape of the level: */
    int tile_m, tile_n; /* e.g. 6x16 on AVX2, 14x32 on AVX-512 */
    /* c[m][n] (+)= sum_k a[k][m] * b[k][n] over packed panels a [k][tile_m], b [k][tile_n]; c has stride ldc floats;
     * only the first m x n entries are written. `accumulate`: add to what c holds. */
    void (*gemm_tile)(float *c, int64_t ldc, const float *a, const float *b, int64_t k, int m, int n, bool accumulate);
    /* Makes a panel, exactly: out[i * width + j] = x[j * stride + i] for i < k, j < count; 0 for count <= j < width. */
    void (*pack)(float *out, int width, const float *x, int64_t stride, int count, int64_t k);

    /* Products with packed weights, see kernels/packed.h. */
    bool packs; /* the level has these slots in a form that is worth packing for; else they are ref's */
    /* One row of activations, n = 1 … WEFT_QUANT_CHUNK values, as int8; the values past n are 0. */
    void (*quantize)(weft_quants *out, const float *x, int64_t n);
    /* The same for packed_chunk with w, in a form of the level's own that begins like weft_quants (q, scale). Types with
     * blocks of 256, whose users elsewhere round activations in blocks of 256, may get even scales: those of 256 of k are
     * one number times powers of two, none more than twice what its group needs but for groups below 2^-30 of the largest
     * or 1e-26; one NaN or infinity is in all eight. NULL: packed_chunk reads what `quantize` makes. */
    void (*quantize_rows)(weft_quants *out, const float *x, int64_t n, const weft_matrix *w);
    /* Few rows: out[r][i] = sum_k x[r][k] W[16 p0 + i][k] for the outputs of panels [p0, p1), r < rows <=
     * packed_dot_rows (WEFT_DOT_ROWS_MAX or WEFT_PACKED_DOT_ROWS_MAX). x holds chunk c of row r at x[c * x_rows + r]. */
    int packed_dot_rows;
    void (*packed_dot)(float *out, int64_t out_stride, const weft_quants *x, int64_t x_rows, int rows,
                       const weft_matrix *w, int64_t p0, int64_t p1);
    /* Many rows: opens chunk `chunk` of panel `panel` into the form that packed_chunk multiplies (the level's own, at
     * most WEFT_OPEN_BYTES, 64-aligned), then c[p][r][i] (+)= sum over the chunk for `panels` opened panels, one after
     * the other, and rows x[0 … rows). c is [panels][c_rows][16]. `add`: to what c holds. */
    void (*packed_open)(void *open, const weft_matrix *w, int64_t panel, int64_t chunk);
    void (*packed_chunk)(float *c, int64_t c_rows, const weft_quants *x, int64_t rows, const void *open, int panels,
                         const weft_matrix *w, int64_t chunk, bool add);
    /* The same for rows of two terms (weft_matrix.fine), of which those of row r are x[r] and x[second + r]; false, and
     * nothing done: the level has no better way for the type than packed_chunk for each. NULL: for no type. */
    bool (*packed_chunk_two)(float *c, int64_t c_rows, const weft_quants *x, int64_t second, int64_t rows,
                             const void *open, int panels, const weft_matrix *w, int64_t chunk, bool add);

    /* Panels with weft_matrix.runs, where the level has a way for them, for runs_rows_min rows and more; 0: it has none.
     * runs_pack: `rows` rows, WEFT_RUN_TILE_ROWS_MIN … WEFT_RUN_TILE_ROWS, of n values, a multiple of 32, to a tile of
     * weft_run_tile_bytes(n); rounded as by `quantize`, but in runs of WEFT_RUN.
     * runs_product: the product of such a tile, whose first row is row m, with `panels` = 1 or 2 panels from `panel` on,
     * over all of K, to its place. Tiles are 64-aligned. */
    int runs_rows_min;
    void (*runs_pack)(void *out, const float *x, int64_t x_stride, int rows, int64_t n);
    void (*runs_product)(const weft_output *to, int64_t m, const void *tile, int rows, const weft_matrix *w, int64_t panel,
                         int panels);

    /* Matrix tiles, where the level has them, for tiles_rows_min rows and more; 0: it has none. Weights and activations
     * are rounded to bf16 (half a unit in the last of 8 bits, 2^-8 of the value at most), sums are f32 over all of K.
     * tiles_pack: `rows` <= WEFT_TILE_ROWS rows of n <= WEFT_QUANT_CHUNK values; the rows that lack become zeros.
     * tiles_block: c[panels][row_tiles * WEFT_TILE_ROWS][16] = the product, over all of K, of `panels` panels from `panel`
     * on, or of rows 16 panel … of a matrix with `tiles`, with packed rows, of which chunk i of tile t is at
     * a + i * a_chunk + t * a_tile; `open` is room of WEFT_TILES_OPEN_BYTES. All 64-aligned. */
    int tiles_rows_min;
    void (*tiles_pack)(void *out, const float *x, int64_t x_stride, int rows, int64_t n);
    void (*tiles_block)(float *c, const void *a, int64_t a_tile, int64_t a_chunk, int64_t row_tiles,
                        const weft_matrix *w, int64_t panel, int panels, void *open);

    /* out = x / sqrt(mean(x^2) + eps) * weight; in place allowed. transformers' Qwen3VLTextRMSNorm. */
    void (*rms_norm)(float *out, const float *x, const float *weight, int64_t n, float eps);
    /* out = (x - mean) / sqrt(var + eps) * weight + bias, biased variance; in place allowed. torch LayerNorm. */
    void (*layer_norm)(float *out, const float *x, const float *weight, const float *bias, int64_t n, float eps);
    /* Half layout: for j < pairs: (x[j], x[j+pairs]) turned by (cos[j], sin[j]); in place. Values past 2*pairs stay. */
    void (*rope_half)(float *x, const float *cos, const float *sin, int64_t pairs);
    void (*add)(float *out, const float *x, int64_t n);                           /* out += x */
    void (*scale_add)(float *out, const float *x, float scale, int64_t n);        /* out += scale * x */
    void (*silu_mul)(float *out, const float *gate, const float *up, int64_t n); /* silu(gate) * up; in place allowed */
    void (*gelu_tanh)(float *x, int64_t n); /* 0.5x(1+tanh(sqrt(2/pi)(x+0.044715x^3))) */
    void (*gelu_erf)(float *x, int64_t n);                                        /* 0.5x(1+erf(x/sqrt(2))) */
    void (*softmax)(float *x, int64_t n);                                         /* in place, max subtracted */
    /* Stores one row of head_dim floats as row `row` of a slab, whose format is not WEFT_KV_Q8Q4. */
    void (*kv_store)(void *slab, weft_kv_format format, int head_dim, int row, const float *x);
    /* Slabs of 4 bits are read as rows of 8 bits (kv_rows.h). For formats of 8 and 4 bits, queries may be rounded to 15
     * bits of their row's maximum (to 7 bits with VNNI, where the task is coarse and has more than eight rows), and with
     * more than eight rows probabilities to 15 bits of the largest of their page. With AMX and more than eight rows:
     * queries the same, probabilities times the scales of their values to bf16 in two terms (each is off by at most 2^-16
     * of itself), in one where the task is coarse (2^-8); so a mean of values by as much of the largest of them. */
    void (*attention)(const weft_attention_task *task);
} weft_kernels;

enum { WEFT_DOT_ROWS_MAX = 4, WEFT_PACKED_DOT_ROWS_MAX = 8 };

/* The table of `level` (a name of weft_kernels.level; NULL: WEFT_CPU from the environment, else the best of this CPU). An
 * unknown level, or one that this CPU lacks, is an error that names the levels. */
weft_status weft_kernels_select(const char *level, const weft_kernels **table, weft_error *err);

/* A sentence for the user when this CPU has a level that was found not to work here and is left out; else NULL. */
const char *weft_kernels_warning(void);

/* What every caller of matrix products needs: the table, the pool and per-thread scratch, made once. */
typedef struct weft_compute weft_compute;
weft_status weft_compute_create(const char *cpu_level, int threads, weft_compute **compute, weft_error *err);
void weft_compute_destroy(weft_compute *compute);
const weft_kernels *weft_compute_kernels(const weft_compute *compute);
weft_pool *weft_compute_pool(const weft_compute *compute);
/* 64-aligned scratch of thread `thread`, at least WEFT_ATTENTION_SCRATCH_BYTES; shared by matmul and attention. */
void *weft_compute_scratch(const weft_compute *compute, int thread);

/* out[m, n] = x[m, k] W^T (+ bias[n]) (+ what out holds, when `accumulate`), over all threads of the pool.
 * out is [m, w->rows] with stride out_stride floats, x is [m, w->cols] with stride x_stride; out must not overlap x.
 * Picks dot_rows for small m and packed panels for large m; allocates nothing. */
void weft_matmul(const weft_compute *compute, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                 int64_t m, const weft_matrix *w, const float *bias, bool accumulate);
/* The same on the calling thread only, for callers that split the work themselves (one expert per task). */
void weft_matmul_one_thread(const weft_compute *compute, int thread, float *out, int64_t out_stride, const float *x,
                            int64_t x_stride, int64_t m, const weft_matrix *w, const float *bias, bool accumulate);
/* out[w->cols] = row `row` of w as f32 (embedding look-up); any type, transposed too. */
void weft_matrix_row(const weft_kernels *kernels, const weft_matrix *w, int64_t row, float *out);

static inline float weft_bf16_to_f32(uint16_t h) {
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}

#endif
