/* Packed weights: a quantised matrix re-laid without loss into panels that the matrix kernels read in order.
 *
 * A panel holds 16 rows (outputs) of the matrix over all of K, which is a multiple of 32. First come the scales of the
 * whole panel, then, 64-aligned, its quants. Every quant is stored unsigned, so value = scale * u - min:
 *
 *   type        bits  scales per panel                                                          min
 *   Q4_0 Q5_0   4 5   per 32 of k: f16 d[16]                                                    8 d, 16 d
 *   Q8_0        8     the same; u = q + 128                                                     128 d
 *   Q4_1 Q5_1   4 5   per 32 of k: f16 d[16], f16 m[16]                                         -m
 *   Q4_K Q5_K   4 5   per 256 of k: f16 d[16], f16 dmin[16], u8 scale[8][16], u8 min[8][16]     dmin * min
 *   Q6_K        6     per 256 of k: f16 d[16], s8 scale[16][16] (per 16 of k)                   32 d * scale
 *
 * The quants of 32 of k are eight steps of [16 rows][4 of k] bytes, the operand of the byte dot products of every CPU:
 *   4 bits   64 bytes for v = 0 … 3: the low nibbles are step v, the high ones step v + 4
 *   5 bits   the same, then 64 bytes whose bit j is the fifth bit of step j
 *   6 bits   the same nibbles, then 64 bytes for h = 0, 1 whose bits 2t, 2t+1 are the upper bits of step 4h + t
 *   8 bits   64 bytes for each step
 * The bytes are those of the file's blocks but for Q4_K and Q5_K (+ 2.8 %) and the padding of rows to 16.
 * Plain values that are rounded to Q8_0 get one scale for each run of WEFT_RUN of k, repeated for each of its groups.
 * The layout is the same on every CPU. */
#ifndef WEFT_KERNELS_PACKED_H
#define WEFT_KERNELS_PACKED_H

#include "kernels/kernels.h"

enum { WEFT_PACKED_LAYOUT = 2 }; /* the version of what is described above, for files that hold panels */

typedef struct weft_packed_kind {
    int bits;           /* 4, 5, 6, 8; 0: the type is not packed */
    int zero;           /* min = zero * scale, unless has_min */
    bool has_min;       /* minima are stored */
    int scale_values;   /* of k, for one run of scales: 32 or 256 */
    int scale_bytes;    /* of that run, for 16 rows */
    int group;          /* of k that share a scale: 32 or 16 */
    int group_bytes;    /* of quants, for 16 rows and 32 of k */
} weft_packed_kind;

static inline weft_packed_kind weft_packed_kind_of(weft_type type) {
    switch (type) {
    case WEFT_Q4_0: return (weft_packed_kind){4, 8, false, 32, 32, 32, 256};
    case WEFT_Q4_1: return (weft_packed_kind){4, 0, true, 32, 64, 32, 256};
    case WEFT_Q4_K: return (weft_packed_kind){4, 0, true, 256, 320, 32, 256};
    case WEFT_Q5_0: return (weft_packed_kind){5, 16, false, 32, 32, 32, 320};
    case WEFT_Q5_1: return (weft_packed_kind){5, 0, true, 32, 64, 32, 320};
    case WEFT_Q5_K: return (weft_packed_kind){5, 0, true, 256, 320, 32, 320};
    case WEFT_Q6_K: return (weft_packed_kind){6, 32, false, 256, 288, 16, 384};
    case WEFT_Q8_0: return (weft_packed_kind){8, 128, false, 32, 32, 32, 512};
    default: return (weft_packed_kind){0, 0, false, 0, 0, 0, 0};
    }
}

/* Bytes of the scales of a panel (a multiple of 64), and of the panel. */
static inline size_t weft_panel_scale_bytes(weft_packed_kind kind, int64_t cols) {
    return ((size_t)(cols / kind.scale_values) * (size_t)kind.scale_bytes + 63) / 64 * 64;
}
static inline size_t weft_panel_bytes(weft_packed_kind kind, int64_t cols) {
    return weft_panel_scale_bytes(kind, cols) + (size_t)(cols / 32) * (size_t)kind.group_bytes;
}
static inline int64_t weft_panel_count(int64_t rows) {
    return (rows + WEFT_PANEL_WIDTH - 1) / WEFT_PANEL_WIDTH;
}

/* Where the panel is, and its quants. */
static inline const uint8_t *weft_panel_scales(const weft_matrix *w, int64_t panel) {
    return (const uint8_t *)w->panels + (size_t)panel * weft_panel_bytes(weft_packed_kind_of(w->panel_type), w->cols);
}
static inline const uint8_t *weft_panel_quants(const weft_matrix *w, int64_t panel) {
    return weft_panel_scales(w, panel) + weft_panel_scale_bytes(weft_packed_kind_of(w->panel_type), w->cols);
}

/* Groups of 32 in a chunk of WEFT_QUANT_CHUNK values of k. */
static inline int weft_chunk_groups(int64_t cols, int64_t chunk) {
    int64_t left = cols / 32 - chunk * WEFT_QUANT_GROUPS;
    return left < WEFT_QUANT_GROUPS ? (int)left : WEFT_QUANT_GROUPS;
}
static inline int64_t weft_chunk_count(int64_t cols) {
    return (cols + WEFT_QUANT_CHUNK - 1) / WEFT_QUANT_CHUNK;
}

/* Bytes of a tile of runs_pack: quants, scales and starts of sums; a multiple of 64. */
static inline size_t weft_run_tile_bytes(int64_t cols) {
    return (size_t)cols * WEFT_RUN_TILE_ROWS + (size_t)((cols + WEFT_RUN - 1) / WEFT_RUN) * 2 * 64;
}

/* How many rows of `terms` terms go to packed_dot, in one or two parts, rather than to packed_chunk. */
static inline int weft_few_rows(const weft_kernels *kernels, int terms) {
    int once = kernels->packed_dot_rows;
    return once > WEFT_DOT_ROWS_MAX ? 2 * once / terms : once;
}

/* Whether quantize_rows may give even scales. */
static inline bool weft_takes_even_scales(const weft_matrix *w) {
    return !w->fine && weft_packed_kind_of(w->panel_type).scale_values == 256;
}

/* What packed_open makes: scales and minima as f32, per group of 32 or (Q6_K) of 16 values, then quants, a byte each, as
 * [group of 32][step][16][4] unless the level has a form of its own. */
typedef struct weft_open_panel {
    float scale[2 * WEFT_QUANT_GROUPS][WEFT_PANEL_WIDTH];
    float min[2 * WEFT_QUANT_GROUPS][WEFT_PANEL_WIDTH];
    uint8_t quants[];
} weft_open_panel;

/* The type that the panels of this matrix would have: its own where that is packed, Q8_0 for plain types when `round`
 * allows to round them, else WEFT_TYPE_COUNT: not to be packed. */
weft_type weft_packed_type(const weft_matrix *w, bool round);
/* Whether products with this matrix, which has no panels, may set weft_matrix.tiles. */
bool weft_tiles_allowed(const weft_matrix *w);
/* Bytes of all panels of `type`, a multiple of 64. */
size_t weft_packed_bytes(const weft_matrix *w, weft_type type);
/* Writes panels [p0, p1) of `w` as `type` (of weft_packed_type) to their places in `panels`, where panel 0 begins. */
void weft_pack_panels(const weft_kernels *kernels, void *panels, const weft_matrix *w, weft_type type, int64_t p0, int64_t p1);

#endif
