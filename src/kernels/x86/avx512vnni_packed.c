/* AVX-512 VNNI: products with packed weights. VPDPBUSD adds four products of an unsigned and a signed byte to a sum of
 * 32 bits: a step of a panel is one vector, and nothing can overflow. Sums are named variables: arrays of them end up
 * in memory. */
#if defined(__x86_64__)
#include <float.h>

#include "kernels/variants.h"
#include "kernels/x86/avx512_packed.h"
#include "kernels/x86/avx512_quantize.h"

/* ---- few rows ---- */

enum { DOT_ROWS_MAX = 8 };
#define EACH_DOT_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7)

#define DRAIN(r, total, sum_of)                                                                                        \
    if (rows > r) {                                                                                                    \
        __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(x[r].scale[g]));                                           \
        c##r = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), factor, c##r);                                               \
        c##r = _mm512_fnmadd_ps(min, _mm512_set1_ps(x[r].sum_of), c##r);                                               \
    }

WEFT_INLINE void dot_panels(const int bits, const packed_scales kind, const int zero, const int rows, float *out,
                            int64_t out_stride, const weft_quants *first_chunk, int64_t x_rows, const weft_matrix *w,
                            int64_t p0, int64_t p1) {
    int64_t groups = w->cols / 32;
    for (int64_t p = p0; p < p1; p++) {
        const uint8_t *s = weft_panel_scales(w, p), *q = weft_panel_quants(w, p);
        __m512 c0 = _mm512_setzero_ps(), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0, scale, min;
        const weft_quants *x = first_chunk;
        for (int64_t first = 0; first < groups; first += WEFT_QUANT_GROUPS, x += x_rows) {
            int count = groups - first < WEFT_QUANT_GROUPS ? (int)(groups - first) : WEFT_QUANT_GROUPS;
            for (int g = 0; g < count; s += s_scale_bytes(kind))
                for (int j = 0; j < s_scale_groups(kind); j++, g++, q += s_group_bytes(bits)) {
                    for (size_t ahead = 0; ahead < s_group_bytes(bits); ahead += 64)
                        _mm_prefetch((const char *)q + 4096 + ahead, _MM_HINT_T0);
                        /* a: the first four steps, b: the last */
#define DECLARE(r) bytes a##r = _mm512_setzero_si512(), b##r = a##r;
                    EACH_DOT_ROW(DECLARE)
#undef DECLARE
#pragma GCC unroll 4
                    for (int v = 0; v < 4; v++) {
                        bytes low, high;
                        if (bits == 8) {
                            low = load(q + 64 * v);
                            high = load(q + 64 * (v + 4));
                        } else {
                            quants_45_6(bits, v, q, &low, &high);
                        }
#define STEP(r)                                                                                                        \
    if (rows > r) {                                                                                                    \
        a##r = _mm512_dpbusd_epi32(a##r, low, four(x[r].q + 32 * g + 4 * v));                                          \
        b##r = _mm512_dpbusd_epi32(b##r, high, four(x[r].q + 32 * g + 4 * v + 16));                                    \
    }
                        EACH_DOT_ROW(STEP)
#undef STEP
                    }
                    if (kind == SCALES_Q6) {
                        scale_min(kind, zero, s, 2 * j, &scale, &min);
#define STEP(r) DRAIN(r, a##r, half_sum[2 * g])
                        EACH_DOT_ROW(STEP)
#undef STEP
                        scale_min(kind, zero, s, 2 * j + 1, &scale, &min);
#define STEP(r) DRAIN(r, b##r, half_sum[2 * g + 1])
                        EACH_DOT_ROW(STEP)
#undef STEP
                    } else {
                        scale_min(kind, zero, s, j, &scale, &min);
#define STEP(r) DRAIN(r, _mm512_add_epi32(a##r, b##r), sum[g])
                        EACH_DOT_ROW(STEP)
#undef STEP
                    }
                }
        }
        int64_t n = p * WEFT_PANEL_WIDTH, width = w->rows - n;
        float *to = out + n - p0 * WEFT_PANEL_WIDTH;
        __mmask16 mask = (__mmask16)(width >= WEFT_PANEL_WIDTH ? 0xFFFF : (1u << width) - 1);
#define STORE(r)                                                                                                       \
    if (rows > r) _mm512_mask_storeu_ps(to + r * out_stride, mask, c##r);
        EACH_DOT_ROW(STORE)
#undef STORE
    }
}

#define EACH_DOT_COUNT(CASE, bits, kind, zero)                                                                         \
    CASE(1, bits, kind, zero)                                                                                          \
    CASE(2, bits, kind, zero)                                                                                          \
    CASE(3, bits, kind, zero)                                                                                          \
    CASE(4, bits, kind, zero)                                                                                          \
    CASE(6, bits, kind, zero)                                                                                          \
    CASE(8, bits, kind, zero)
#include "kernels/vector/packed_dot.h"

/* ---- many rows ----
 *
 * VPDPBUSD, the multiplications and the fused sums of f32 share two pipes, so what a group costs beside its products
 * bounds the speed. The sums of a tile stay in registers for the whole chunk. Types whose minimum is a multiple of
 * their scale take it off in integers (`sign`): a group starts at minus `zero` times the sum of its activations. */

WEFT_INLINE void open_quants(const int bits, uint8_t *out, const uint8_t *q, int groups) {
    for (int g = 0; g < groups; g++, q += s_group_bytes(bits), out += 512) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            bytes low, high;
            if (bits == 8) {
                low = load(q + 64 * v);
                high = load(q + 64 * (v + 4));
            } else {
                quants_45_6(bits, v, q, &low, &high);
            }
            _mm512_storeu_si512(out + 64 * v, low);
            _mm512_storeu_si512(out + 64 * (v + 4), high);
        }
    }
}

/* A group's factor over even scales is the weights' scale with an exponent less by the row's shift, which the pipes of
 * the products do not see; unit comes in once in 256 of k. Zeros have no exponent to spare and become this. */
#define SCALE_LEAST 0x1p-96f
enum { EVEN_GROUPS = 8 };
_Static_assert(96 + EVEN_SHIFT_MAX <= 126, "no factor becomes denormal");

WEFT_INLINE void raise_zeros(weft_open_panel *open, int groups) {
    for (int g = 0; g < groups; g++) {
        __m512 scale = _mm512_loadu_ps(open->scale[g]);
        __mmask16 none = _mm512_cmp_ps_mask(scale, _mm512_setzero_ps(), _CMP_EQ_OQ);
        _mm512_storeu_ps(open->scale[g], _mm512_mask_mov_ps(scale, none, _mm512_set1_ps(SCALE_LEAST)));
    }
}

static void packed_open(void *memory, const weft_matrix *w, int64_t panel, int64_t chunk) {
    weft_open_panel *open = memory;
    int groups = weft_chunk_groups(w->cols, chunk);
    int64_t first = chunk * WEFT_QUANT_GROUPS;
    const uint8_t *s = weft_panel_scales(w, panel), *q = weft_panel_quants(w, panel);
#define OPEN_CASE(type, bits, kind, zero)                                                                              \
    case type:                                                                                                         \
        s_open_scales(kind, zero, open, s + (size_t)(first / s_scale_groups(kind)) * s_scale_bytes(kind), groups);     \
        if (s_scale_groups(kind) > 1) raise_zeros(open, kind == SCALES_Q6 ? 2 * groups : groups);                      \
        open_quants(bits, open->quants, q + (size_t)first * s_group_bytes(bits), groups);                              \
        return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(OPEN_CASE)
    default: return;
    }
}

WEFT_INLINE __m512 even_unit(const tile_quants *x, int g) {
    int32_t bits;
    memcpy(&bits, &x->scale[g], sizeof bits);
    return _mm512_castsi512_ps(_mm512_set1_epi32(bits + x->shift[g]));
}

/* A tile of `rows` rows and the outputs of one or two panels: the sums of row r are in s##r and t##r, the products of
 * the group at hand in a##r and b##r. */
#define EACH_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5)
#define LOAD_SUMS(r)                                                                                                   \
    __m512 s##r = none, t##r = none;                                                                                   \
    if (rows > r && !even && add) {                                                                                    \
        s##r = _mm512_loadu_ps(c + r * WEFT_PANEL_WIDTH);                                                              \
        if (panels > 1) t##r = _mm512_loadu_ps(c + c_panel + r * WEFT_PANEL_WIDTH);                                    \
    }
#define STORE_SUMS(r)                                                                                                  \
    if (rows > r) {                                                                                                    \
        float *to = c + r * WEFT_PANEL_WIDTH;                                                                          \
        if (even) {                                                                                                    \
            __m512 unit = even_unit(x + r, first);                                                                     \
            s##r = more ? _mm512_fmadd_ps(s##r, unit, _mm512_loadu_ps(to)) : _mm512_mul_ps(s##r, unit);                \
            if (panels > 1)                                                                                            \
                t##r = more ? _mm512_fmadd_ps(t##r, unit, _mm512_loadu_ps(to + c_panel)) : _mm512_mul_ps(t##r, unit);  \
        }                                                                                                              \
        _mm512_storeu_ps(to, s##r);                                                                                    \
        if (panels > 1) _mm512_storeu_ps(to + c_panel, t##r);                                                          \
    }
#define START(r) bytes a##r = sign ? _mm512_set1_epi32(x[r].start[i]) : _mm512_setzero_si512(), b##r = a##r;
#define CHAIN(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        bytes f = four(x[r].q + at);                                                                                   \
        a##r = _mm512_dpbusd_epi32(a##r, u0, f);                                                                       \
        if (panels > 1) b##r = _mm512_dpbusd_epi32(b##r, u1, f);                                                       \
    }
#define FACTOR(own, r)                                                                                                 \
    (even ? _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_castps_si512(own), _mm512_set1_epi32(x[r].shift[g])))          \
          : _mm512_mul_ps(own, _mm512_set1_ps(x[r].scale[g])))
#define SCALE(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        __m512 sum = _mm512_set1_ps(even ? x[r].even_sum[g] : x[r].sum[g]);                                            \
        if (!sign) s##r = _mm512_fnmadd_ps(min0, sum, s##r);                                                           \
        s##r = _mm512_fmadd_ps(_mm512_cvtepi32_ps(a##r), FACTOR(scale0, r), s##r);                                     \
        if (panels > 1) {                                                                                              \
            if (!sign) t##r = _mm512_fnmadd_ps(min1, sum, t##r);                                                       \
            t##r = _mm512_fmadd_ps(_mm512_cvtepi32_ps(b##r), FACTOR(scale1, r), t##r);                                 \
        }                                                                                                              \
    }

/* c_panel: floats between the sums of two panels. halves: scales per 16 of k instead of 32. */
WEFT_INLINE void tile(const bool even, const bool sign, const bool halves, const int rows, const int panels, float *c,
                      int64_t c_panel, const tile_quants *x, const weft_open_panel *open, int groups, bool add) {
    const weft_open_panel *next = (const void *)((const char *)open + (panels > 1 ? WEFT_OPEN_BYTES : 0));
    const uint8_t *q0 = open->quants, *q1 = next->quants;
    const int parts = halves ? 2 : 1, steps = 8 / parts;
    const __m512 none = _mm512_setzero_ps();
    for (int first = 0; first < groups; first += even ? EVEN_GROUPS : groups) {
        const int last = even ? first + EVEN_GROUPS : groups;
        const bool more = add || first > 0;
        EACH_ROW(LOAD_SUMS)
        for (int i = parts * first; i < parts * last; i++, q0 += 64 * steps, q1 += 64 * steps) {
            const int g = i / parts, start = i * 4 * steps;
            if (start % 32 == 0) /* the rows of the next tile, to the part of their length */
                for (int j = 0; j < (rows * (int)sizeof *x / 64 + WEFT_QUANT_GROUPS - 1) / WEFT_QUANT_GROUPS; j++)
                    _mm_prefetch((const char *)(x + rows) + 64 * (g + WEFT_QUANT_GROUPS * j), _MM_HINT_T1);
            EACH_ROW(START)
#pragma GCC unroll 8
            for (int v = 0; v < steps; v++) {
                const int at = start + 4 * v;
                bytes u0 = load(q0 + 64 * v), u1 = load(q1 + 64 * v);
                EACH_ROW(CHAIN)
            }
            __m512 scale0 = _mm512_loadu_ps(open->scale[i]), scale1 = _mm512_loadu_ps(next->scale[i]);
            __m512 min0 = _mm512_loadu_ps(open->min[i]), min1 = _mm512_loadu_ps(next->min[i]);
            EACH_ROW(SCALE)
        }
        EACH_ROW(STORE_SUMS)
    }
}

enum { TILE_ROWS = 6 };

WEFT_INLINE void chunk_rows(const bool even, const bool sign, const bool halves, const int panels, float *c,
                            int64_t c_rows, const tile_quants *x, int64_t rows, const weft_open_panel *open, int groups,
                            bool add) {
    int64_t c_panel = c_rows * WEFT_PANEL_WIDTH;
    for (int64_t r = 0; r < rows;) {
        int64_t tiles = (rows - r + TILE_ROWS - 1) / TILE_ROWS;
        int64_t n = (rows - r + tiles - 1) / tiles; /* so that all are of like height */
        float *to = c + r * WEFT_PANEL_WIDTH;
#define ROWS_TILE(n)                                                                                                   \
    case n: tile(even, sign, halves, n, panels, to, c_panel, x + r, open, groups, add); break;
        switch (n) {
            ROWS_TILE(1)
            ROWS_TILE(2)
            ROWS_TILE(3)
            ROWS_TILE(4)
            ROWS_TILE(5)
            ROWS_TILE(6)
        }
        r += n;
    }
}

static void packed_chunk(float *c, int64_t c_rows, const weft_quants *rows_quants, int64_t rows, const void *open,
                         int panels, const weft_matrix *w, int64_t chunk, bool add) {
    int groups = weft_chunk_groups(w->cols, chunk);
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    const tile_quants *x = (const void *)rows_quants;
    for (int p = 0; p < panels; p += 2) {
        const weft_open_panel *panel = (const void *)((const char *)open + (size_t)p * WEFT_OPEN_BYTES);
        float *to = c + p * c_rows * WEFT_PANEL_WIDTH;
#define CHUNK(even, sign, halves)                                                                                      \
    do {                                                                                                               \
        if (panels - p > 1)                                                                                            \
            chunk_rows(even, sign, halves, 2, to, c_rows, x, rows, panel, groups, add);                                \
        else                                                                                                           \
            chunk_rows(even, sign, halves, 1, to, c_rows, x, rows, panel, groups, add);                                \
    } while (0)
        if (weft_takes_even_scales(w)) {
            if (kind.group == 16)
                CHUNK(true, true, true);
            else
                CHUNK(true, false, false);
        } else if (kind.group == 16) {
            CHUNK(false, true, true);
        } else if (!kind.has_min) {
            CHUNK(false, true, false);
        } else {
            CHUNK(false, false, false);
        }
    }
}

void weft_avx512vnni_fill_attention(weft_kernels *table);
void weft_avx512vnni_fill_runs(weft_kernels *table);

void weft_kernels_fill_avx512_vnni(weft_kernels *table) {
    table->level = "avx512-vnni";
    weft_avx512vnni_fill_attention(table);
    weft_avx512vnni_fill_runs(table);
    table->packed_dot = packed_dot;
    table->packed_open = packed_open;
    table->packed_chunk = packed_chunk;
    table->packed_chunk_two = NULL;
    table->quantize = quantize;
    table->quantize_rows = quantize_rows;
    table->packed_dot_rows = DOT_ROWS_MAX;
}
#endif
