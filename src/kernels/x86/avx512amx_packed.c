/* AMX: products of many rows with packed weights, in bf16 tiles.
 *
 * Weights open to bf16 (their scales multiplied in) and activations are rounded to bf16, so that a tile sums over all
 * of K and nothing is drained per group of 32, as 8-bit tiles would have to. Rounding to bf16 moves a value by at most
 * 2^-8 of itself, no more than 8-bit groups do to the largest of theirs. Denormals count as zero: the instruction does so.
 *
 * Opened weights: of each group of 32 of k one tile, 16 pairs of k with the 16 outputs side by side (1 KiB).
 * Activations: of 16 rows and 32 of k one tile, row after row. */
#if defined(__x86_64__)
#include "kernels/variants.h"
#include "kernels/x86/amx_tiles.h"
#include "kernels/x86/avx512_packed.h"
#include "kernels/x86/avx512_transpose.h"

enum { CHUNK_TILES = WEFT_QUANT_GROUPS, OPEN_BYTES = CHUNK_TILES * TILE_BYTES, RUN_GROUPS = 8 };
_Static_assert(4 * (int)OPEN_BYTES <= (int)WEFT_TILES_OPEN_BYTES, "two pairs of opened panels fit");
_Static_assert((int)WEFT_TILE_ROWS == (int)TILE_ROWS && (int)WEFT_PANEL_WIDTH * 4 == (int)TILE_ROW_BYTES,
               "a tile of sums is a panel wide");

/* ---- activations ---- */

/* Nearest, ties to even; a NaN stays one. */
static inline uint16_t to_bf16(uint32_t bits) {
    uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded);
}

static void tiles_pack(void *out, const float *x, int64_t x_stride, int rows, int64_t n) {
    memset(out, 0, (size_t)((n + 31) / 32) * TILE_BYTES);
    for (int r = 0; r < rows; r++) {
        const float *from = x + r * x_stride;
        for (int64_t k = 0; k < n; k += 32) {
            uint16_t *to = (uint16_t *)((char *)out + k / 32 * TILE_BYTES + r * TILE_ROW_BYTES);
            uint32_t bits[32] = {0};
            memcpy(bits, from + k, (size_t)(n - k < 32 ? n - k : 32) * sizeof *bits);
            for (int i = 0; i < 32; i++) to[i] = to_bf16(bits[i]);
        }
    }
}

/* ---- weights ---- */

/* bf16 of sixteen pairs, `low` in the lower halves. Ties go away from zero; weights are finite in any sound file. */
WEFT_INLINE bytes bf16_pairs(__m512 low, __m512 high) {
    const bytes half = _mm512_set1_epi32(0x8000), upper = _mm512_set1_epi32((int)0xFFFF0000);
    bytes l = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(low), half), 16);
    bytes h = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(high), half), upper);
    return _mm512_or_si512(l, h);
}

/* Four of k of sixteen outputs: two rows of a tile. */
WEFT_INLINE void open_step(uint8_t *out, bytes u, __m512 scale, __m512 min) {
    const bytes byte = _mm512_set1_epi32(255);
    __m512 v0 = _mm512_cvtepi32_ps(_mm512_and_si512(u, byte));
    __m512 v1 = _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(u, 8), byte));
    __m512 v2 = _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(u, 16), byte));
    __m512 v3 = _mm512_cvtepi32_ps(_mm512_srli_epi32(u, 24));
    _mm512_storeu_si512(out, bf16_pairs(_mm512_fmsub_ps(v0, scale, min), _mm512_fmsub_ps(v1, scale, min)));
    _mm512_storeu_si512(out + 64, bf16_pairs(_mm512_fmsub_ps(v2, scale, min), _mm512_fmsub_ps(v3, scale, min)));
}

/* Group g of all those of a panel. */
WEFT_INLINE void open_packed(const int bits, const packed_scales kind, const int zero, uint8_t *out,
                             const weft_matrix *w, int64_t panel, int64_t g) {
    const uint8_t *s = weft_panel_scales(w, panel) + (size_t)(g / s_scale_groups(kind)) * s_scale_bytes(kind);
    const uint8_t *q = weft_panel_quants(w, panel) + (size_t)g * s_group_bytes(bits);
    const int j = (int)(g % s_scale_groups(kind));
    __m512 scale, min, scale_high, min_high;
    scale_min(kind, zero, s, kind == SCALES_Q6 ? 2 * j : j, &scale, &min);
    scale_high = scale;
    min_high = min;
    if (kind == SCALES_Q6) scale_min(kind, zero, s, 2 * j + 1, &scale_high, &min_high);
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
        bytes low, high;
        if (bits == 8) {
            low = load(q + 64 * v);
            high = load(q + 64 * (v + 4));
        } else {
            quants_45_6(bits, v, q, &low, &high);
        }
        open_step(out + 128 * v, low, scale, min);
        open_step(out + 128 * (v + 4), high, scale_high, min_high);
    }
}

/* 32 values of a row as bf16. */
WEFT_INLINE bytes plain_run(weft_type type, const void *data) {
    if (type == WEFT_BF16) return load(data);
    uint32_t bits[32];
    uint16_t run[32];
    if (type == WEFT_F16) {
        _mm512_storeu_ps(bits, halves16(data));
        _mm512_storeu_ps(bits + 16, halves16((const uint8_t *)data + 32));
    } else {
        memcpy(bits, data, sizeof bits);
    }
    for (int i = 0; i < 32; i++) run[i] = to_bf16(bits[i]);
    return load(run);
}

/* A matrix of plain values as it is stored, row after row. */
static void open_plain(uint8_t *out, const weft_matrix *w, int64_t panel, int64_t g) {
    int64_t first = panel * WEFT_PANEL_WIDTH, left = w->rows - first;
    size_t value = weft_type_block_bytes(w->type), row = (size_t)w->cols * value;
    const char *data = (const char *)w->data + (size_t)first * row + (size_t)g * 32 * value;
    bytes v[16];
#pragma GCC unroll 16
    for (int n = 0; n < 16; n++)
        v[n] = n < left ? plain_run(w->type, data + (size_t)n * row) : _mm512_setzero_si512();
    transpose16(v);
#pragma GCC unroll 16
    for (int n = 0; n < 16; n++) _mm512_storeu_si512(out + 64 * n, v[n]);
}

static void open_group(uint8_t *out, const weft_matrix *w, int64_t panel, int64_t g) {
    if (!w->panels) {
        open_plain(out, w, panel, g);
        return;
    }
#define OPEN_CASE(type, bits, kind, zero)                                                                              \
    case type: open_packed(bits, kind, zero, out, w, panel, g); return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(OPEN_CASE)
    default: return;
    }
}

/* ---- products ---- */

/* Sums 0 … 3 are rows x panels; 4, 5 activations; 6, 7 weights. Two by two loads half a tile for each product. */
WEFT_INLINE void tile_block(const int rows, const int panels, float *c, int64_t c_panel, const char *a, int64_t a_tile,
                            const char *b, int groups, bool add) {
    float *c1 = c + TILE_ROWS * WEFT_PANEL_WIDTH;
    if (add) {
        TILE_LOAD(0, c);
        if (panels > 1) TILE_LOAD(1, c + c_panel);
        if (rows > 1) TILE_LOAD(2, c1);
        if (rows > 1 && panels > 1) TILE_LOAD(3, c1 + c_panel);
    } else {
        TILE_ZERO(0);
        if (panels > 1) TILE_ZERO(1);
        if (rows > 1) TILE_ZERO(2);
        if (rows > 1 && panels > 1) TILE_ZERO(3);
    }
    for (int g = 0; g < groups; g++, a += TILE_BYTES, b += TILE_BYTES) {
        TILE_LOAD(6, b);
        TILE_LOAD(4, a);
        if (panels > 1) TILE_LOAD(7, b + OPEN_BYTES);
        if (rows > 1) TILE_LOAD(5, a + a_tile);
        TILE_DOT_BF16(0, 4, 6);
        if (panels > 1) TILE_DOT_BF16(1, 4, 7);
        if (rows > 1) TILE_DOT_BF16(2, 5, 6);
        if (rows > 1 && panels > 1) TILE_DOT_BF16(3, 5, 7);
    }
    TILE_STORE(0, c);
    if (panels > 1) TILE_STORE(1, c + c_panel);
    if (rows > 1) TILE_STORE(2, c1);
    if (rows > 1 && panels > 1) TILE_STORE(3, c1 + c_panel);
}

/* One or two panels over a chunk. */
typedef struct piece {
    const weft_matrix *w;
    int64_t panel, chunk;
    int panels, groups;
    uint8_t *open; /* [panels][OPEN_BYTES] */
} piece;

/* Units [from, to) of its panels x groups. */
static void open_units(const piece *p, int from, int to) {
    for (int i = from; i < to; i++) {
        int panel = i / p->groups, g = i % p->groups;
        open_group(p->open + panel * OPEN_BYTES + g * TILE_BYTES, p->w, p->panel + panel,
                   p->chunk * WEFT_QUANT_GROUPS + g);
    }
}

/* Piece n of a block: chunk by chunk through all pairs of panels; pieces are opened to two places in turn. */
static piece piece_of(const weft_matrix *w, int64_t panel, int panels, void *open, int64_t n) {
    int64_t pairs = (panels + 1) / 2, chunk = n / pairs;
    int first = (int)(n % pairs) * 2;
    return (piece){w, panel + first, chunk, panels - first > 1 ? 2 : 1, weft_chunk_groups(w->cols, chunk),
                   (uint8_t *)open + n % 2 * 2 * OPEN_BYTES};
}

static void any_block(int rows, int panels, float *c, int64_t c_panel, const char *a, int64_t a_tile, const uint8_t *b,
                      int groups, bool add) {
    if (rows > 1 && panels > 1)
        tile_block(2, 2, c, c_panel, a, a_tile, (const char *)b, groups, add);
    else if (panels > 1)
        tile_block(1, 2, c, c_panel, a, a_tile, (const char *)b, groups, add);
    else if (rows > 1)
        tile_block(2, 1, c, c_panel, a, a_tile, (const char *)b, groups, add);
    else
        tile_block(1, 1, c, c_panel, a, a_tile, (const char *)b, groups, add);
}

/* A pair of panels meets all rows, 256 of k at a time: then the pair (16 KiB) stays in L1 while the activations pass, 16
 * KiB a block of 32 tile products. Between the blocks the vector unit, idle otherwise, opens the next pair, and the next
 * chunk of the activations is asked for, which would come from L3 at a rate below that of the products. */
static void tiles_block(float *c, const void *a, int64_t a_tile, int64_t a_chunk, int64_t row_tiles,
                        const weft_matrix *w, int64_t panel, int panels, void *open) {
    int64_t c_panel = row_tiles * TILE_ROWS * WEFT_PANEL_WIDTH, pairs = (panels + 1) / 2, row_pairs = (row_tiles + 1) / 2;
    int64_t pieces = pairs * weft_chunk_count(w->cols);
    piece now = piece_of(w, panel, panels, open, 0);
    open_units(&now, 0, now.panels * now.groups);
    tiles_configure();
    for (int64_t n = 0; n < pieces; n++) {
        piece next = piece_of(w, panel, panels, open, n + 1);
        int units = n + 1 < pieces ? next.panels * next.groups : 0, parts = now.groups > RUN_GROUPS ? 2 : 1;
        int64_t blocks = parts * row_pairs, lines = n + pairs < pieces ? row_tiles * a_tile / 64 : 0;
        const char *rows = (const char *)a + now.chunk * a_chunk, *ahead = rows + a_chunk;
        int64_t line = lines * (n % pairs) / pairs, share = lines / (pairs * blocks) + 1, last = lines * (n % pairs + 1) / pairs;
        for (int64_t i = 0; i < blocks; i++) {
            int64_t t = i % row_pairs * 2;
            int g = (int)(i / row_pairs) * RUN_GROUPS, groups = now.groups - g < RUN_GROUPS ? now.groups - g : RUN_GROUPS;
            any_block(row_tiles - t > 1 ? 2 : 1, now.panels,
                      c + n % pairs * 2 * c_panel + t * TILE_ROWS * WEFT_PANEL_WIDTH, c_panel,
                      rows + t * a_tile + g * TILE_BYTES, a_tile, now.open + g * TILE_BYTES, groups, now.chunk > 0 || g > 0);
            open_units(&next, (int)(units * i / blocks), (int)(units * (i + 1) / blocks));
            for (int64_t until = line + share; line < until && line < last; line++) __builtin_prefetch(ahead + 64 * line, 0, 2);
        }
        now = next;
    }
    tiles_release();
}

void weft_amx_fill_attention(weft_kernels *table); /* avx512amx_attention.c */

void weft_kernels_fill_amx(weft_kernels *table) {
    table->level = "amx";
    table->tiles_rows_min = TILE_ROWS;
    table->tiles_pack = tiles_pack;
    table->tiles_block = tiles_block;
    weft_amx_fill_attention(table);
}
#endif
