/* AVX2 with AVX-VNNI: products with packed weights. VPDPBUSD adds four products of an unsigned and a signed byte to a
 * sum of 32 bits, so nothing can overflow and 8-bit quants need no splitting. A step of a panel is two vectors of eight
 * outputs. Sums are named variables: arrays of them end up in memory. */
#if defined(__x86_64__)
#include "kernels/variants.h"
#include "kernels/x86/avx2_packed.h"

WEFT_INLINE bytes product_add(bytes sum, bytes u, bytes q) { /* unsigned u, signed q */
    return _mm256_dpbusd_avx_epi32(sum, u, q);
}

/* Quant vectors of steps v and v + 4, 8 bits too. */
WEFT_INLINE void quants(const int bits, const int v, const uint8_t *q, bytes *low, bytes *high) {
    if (bits == 8) {
        *low = load(q + 64 * v);
        *high = load(q + 64 * (v + 4));
    } else {
        quants_45_6(bits, v, q, low, high);
    }
}

/* ---- few rows ---- */

#define EACH_DOT_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3)

/* Adds the scaled sum of a group to the sum of row r. */
#define DRAIN(r, total, sum_of)                                                                                        \
    if (rows > r) {                                                                                                    \
        __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(x[r].scale[g]));                                           \
        c##r = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), factor, c##r);                                               \
        c##r = _mm256_fnmadd_ps(min, _mm256_set1_ps(x[r].sum_of), c##r);                                               \
    }

/* Group g of the chunk for half h of the outputs: sums[2 r] += . `q` is their half of the group's planes, `s` the run
 * of scales and j the group in it. */
WEFT_INLINE void dot_group(const int bits, const packed_scales kind, const int zero, const int rows, __m256 *sums,
                           const weft_quants *x, int g, const uint8_t *q, const uint8_t *s, int j, const int h) {
    __m256 c0 = sums[0], c1, c2, c3, scale, min;
    c1 = rows > 1 ? sums[2] : c0;
    c2 = rows > 2 ? sums[4] : c0;
    c3 = rows > 3 ? sums[6] : c0;
    /* a: the first four steps, b: the last */
#define DECLARE(r) bytes a##r = _mm256_setzero_si256(), b##r = a##r;
    EACH_DOT_ROW(DECLARE)
#undef DECLARE
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
        bytes low, high;
        quants(bits, v, q, &low, &high);
#define STEP(r)                                                                                                        \
    if (rows > r) {                                                                                                    \
        a##r = product_add(a##r, low, four(x[r].q + 32 * g + 4 * v));                                                  \
        b##r = product_add(b##r, high, four(x[r].q + 32 * g + 4 * v + 16));                                            \
    }
        EACH_DOT_ROW(STEP)
#undef STEP
    }
    if (kind == SCALES_Q6) {
        s_scale_min(kind, zero, s, 2 * j, h, &scale, &min);
#define STEP(r) DRAIN(r, a##r, half_sum[2 * g])
        EACH_DOT_ROW(STEP)
#undef STEP
        s_scale_min(kind, zero, s, 2 * j + 1, h, &scale, &min);
#define STEP(r) DRAIN(r, b##r, half_sum[2 * g + 1])
        EACH_DOT_ROW(STEP)
#undef STEP
    } else {
        s_scale_min(kind, zero, s, j, h, &scale, &min);
#define STEP(r) DRAIN(r, _mm256_add_epi32(a##r, b##r), sum[g])
        EACH_DOT_ROW(STEP)
#undef STEP
    }
    sums[0] = c0;
    if (rows > 1) sums[2] = c1;
    if (rows > 2) sums[4] = c2;
    if (rows > 3) sums[6] = c3;
}

WEFT_INLINE void dot_panels(const int bits, const packed_scales kind, const int zero, const int rows, float *out,
                            int64_t out_stride, const weft_quants *x, int64_t x_rows, const weft_matrix *w, int64_t p0,
                            int64_t p1) {
    int64_t groups = w->cols / 32;
    for (int64_t p = p0; p < p1; p++) {
        const uint8_t *s = weft_panel_scales(w, p), *q = weft_panel_quants(w, p);
        __m256 sums[2 * WEFT_DOT_ROWS_MAX];
        for (int i = 0; i < 2 * WEFT_DOT_ROWS_MAX; i++) sums[i] = _mm256_setzero_ps();
        const weft_quants *chunk = x;
        for (int64_t first = 0; first < groups; first += WEFT_QUANT_GROUPS, chunk += x_rows) {
            int count = groups - first < WEFT_QUANT_GROUPS ? (int)(groups - first) : WEFT_QUANT_GROUPS;
            for (int g = 0; g < count; s += s_scale_bytes(kind))
                for (int j = 0; j < s_scale_groups(kind); j++, g++, q += s_group_bytes(bits)) {
                    /* a step ahead of the hardware's page limit, as in avx2_packed.c */
                    for (size_t ahead = 0; ahead < s_group_bytes(bits); ahead += 64)
                        _mm_prefetch((const char *)q + 2048 + ahead, _MM_HINT_T0);
                    dot_group(bits, kind, zero, rows, sums, chunk, g, q, s, j, 0);
                    dot_group(bits, kind, zero, rows, sums + 1, chunk, g, q + 32, s, j, 1);
                }
        }
        int64_t n = p * WEFT_PANEL_WIDTH, width = w->rows - n;
        for (int r = 0; r < rows; r++) {
            float *to = out + r * out_stride + n - p0 * WEFT_PANEL_WIDTH, last[WEFT_PANEL_WIDTH];
            float *target = width >= WEFT_PANEL_WIDTH ? to : last;
            _mm256_storeu_ps(target, sums[2 * r]);
            _mm256_storeu_ps(target + 8, sums[2 * r + 1]);
            if (target == last) memcpy(to, last, (size_t)width * sizeof *last);
        }
    }
}

#include "kernels/vector/packed_dot.h"

/* ---- many rows ----
 *
 * As at the level avx512-vnni: types whose minimum is a multiple of their scale (is_signed) open to signed weights
 * u - zero, activations become q + 128, unsigned, and sums start at minus 128 times the sum of the group's weights, so
 * that no minimum has to be taken away in f32. */

WEFT_INLINE bool is_signed(const packed_scales kind) {
    return kind == SCALES_D || kind == SCALES_Q6;
}

/* Opened quants: [group][step][16][4] bytes; where signed, the starts of sums stand in the place of the minima. */
WEFT_INLINE void open_quants(const int bits, const packed_scales kind, const int zero, weft_open_panel *open,
                             const uint8_t *q, int groups) {
    const bool sign = is_signed(kind);
    const bytes none = _mm256_setzero_si256(), shift = _mm256_set1_epi8((char)zero), most = _mm256_set1_epi8((char)128);
    uint8_t *out = open->quants;
    for (int g = 0; g < groups; g++, q += s_group_bytes(bits), out += 512)
        for (int h = 0; h < 2; h++) {
            bytes first = none, second = none, low, high;
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                quants(bits, v, q + 32 * h, &low, &high);
                if (sign) {
                    low = _mm256_sub_epi8(low, shift);
                    high = _mm256_sub_epi8(high, shift);
                    first = product_add(first, most, low);
                    second = product_add(second, most, high);
                }
                _mm256_storeu_si256((bytes *)(out + 64 * v + 32 * h), low);
                _mm256_storeu_si256((bytes *)(out + 64 * (v + 4) + 32 * h), high);
            }
            if (kind == SCALES_Q6) {
                _mm256_storeu_si256((bytes *)(open->min[2 * g] + 8 * h), _mm256_sub_epi32(none, first));
                _mm256_storeu_si256((bytes *)(open->min[2 * g + 1] + 8 * h), _mm256_sub_epi32(none, second));
            } else if (sign) {
                bytes all = _mm256_add_epi32(first, second);
                _mm256_storeu_si256((bytes *)(open->min[g] + 8 * h), _mm256_sub_epi32(none, all));
            }
        }
}

static void packed_open(void *memory, const weft_matrix *w, int64_t panel, int64_t chunk) {
    weft_open_panel *open = memory;
    int groups = weft_chunk_groups(w->cols, chunk);
    int64_t first = chunk * WEFT_QUANT_GROUPS;
    const uint8_t *s = weft_panel_scales(w, panel), *q = weft_panel_quants(w, panel);
    /* the panel's next chunk, which is opened after the products with this one */
    size_t chunk_bytes = (size_t)WEFT_QUANT_GROUPS * (size_t)weft_packed_kind_of(w->panel_type).group_bytes;
    if (first + 2 * WEFT_QUANT_GROUPS <= w->cols / 32)
        for (size_t at = 0; at < chunk_bytes; at += 64)
            _mm_prefetch((const char *)q + (size_t)(chunk + 1) * chunk_bytes + at, _MM_HINT_T1);
#define OPEN_CASE(type, bits, kind, zero)                                                                              \
    case type:                                                                                                         \
        s_open_scales(kind, zero, open, s + (size_t)(first / s_scale_groups(kind)) * s_scale_bytes(kind), groups);     \
        open_quants(bits, kind, zero, open, q + (size_t)first * s_group_bytes(bits), groups);                          \
        return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(OPEN_CASE)
    default: return;
    }
}

/* A tile of `rows` rows and all 16 outputs: the two sums of row r are in ar and br. Twelve sums, two vectors of weights
 * and one factor fill the 16 registers but for one. */
#define EACH_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5)
#define START(r)       bytes a##r = start0, b##r = start1;
#define CHAIN(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        bytes f = four(sign ? (const void *)(shifted[r] + at) : (const void *)(x[r].q + at));                          \
        a##r = sign ? product_add(a##r, f, u0) : product_add(a##r, u0, f);                                             \
        b##r = sign ? product_add(b##r, f, u1) : product_add(b##r, u1, f);                                             \
    }
#define SCALE(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        float *to = c + r * WEFT_PANEL_WIDTH;                                                                          \
        __m256 f = _mm256_set1_ps(x[r].scale[g]), sum = _mm256_set1_ps(x[r].sum[g]);                                   \
        __m256 t0 = _mm256_loadu_ps(to), t1 = _mm256_loadu_ps(to + 8);                                                 \
        if (!sign) {                                                                                                   \
            t0 = _mm256_fnmadd_ps(_mm256_load_ps(open->min[i]), sum, t0);                                              \
            t1 = _mm256_fnmadd_ps(_mm256_load_ps(open->min[i] + 8), sum, t1);                                          \
        }                                                                                                              \
        __m256 f0 = _mm256_mul_ps(_mm256_load_ps(open->scale[i]), f);                                                  \
        __m256 f1 = _mm256_mul_ps(_mm256_load_ps(open->scale[i] + 8), f);                                              \
        _mm256_storeu_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(a##r), f0, t0));                                       \
        _mm256_storeu_ps(to + 8, _mm256_fmadd_ps(_mm256_cvtepi32_ps(b##r), f1, t1));                                   \
    }

/* halves: scales per 16 of k instead of 32. shifted: the rows' q + 128, where sign. */
WEFT_INLINE void tile(const bool sign, const bool halves, const int rows, float *c, const weft_quants *x,
                      const uint8_t shifted[][WEFT_QUANT_CHUNK], const weft_open_panel *open, int groups) {
    const uint8_t *q = open->quants;
    const int steps = halves ? 4 : 8;
    for (int i = 0; i < (halves ? 2 * groups : groups); i++, q += 64 * steps) {
        const int g = halves ? i / 2 : i, start = i * 4 * steps;
        const bytes start0 = sign ? load(open->min[i]) : _mm256_setzero_si256();
        const bytes start1 = sign ? load(open->min[i] + 8) : start0;
        EACH_ROW(START)
#pragma GCC unroll 8
        for (int v = 0; v < steps; v++) {
            const int at = start + 4 * v;
            bytes u0 = load(q + 64 * v), u1 = load(q + 64 * v + 32);
            EACH_ROW(CHAIN)
        }
        EACH_ROW(SCALE)
    }
}

WEFT_INLINE void shift_row(uint8_t *out, const weft_quants *x, int groups) {
    for (int k = 0; k < 32 * groups; k += 32)
        _mm256_store_si256((bytes *)(out + k), _mm256_xor_si256(load(x->q + k), _mm256_set1_epi8((char)128)));
}

static void fetch_rows(const weft_quants *x, int64_t rows) {
    for (size_t at = 0; at < (size_t)rows * sizeof *x; at += 64) _mm_prefetch((const char *)x + at, _MM_HINT_T0);
}

enum { TILE_ROWS = 6 };

/* Rows go by sixes past all panels, so that they are shifted once. */
WEFT_INLINE void chunk_rows(const bool sign, const bool halves, float *c, int64_t c_rows, const weft_quants *x,
                            int64_t rows, const char *open, int panels, int groups) {
    _Alignas(64) uint8_t shifted[TILE_ROWS][WEFT_QUANT_CHUNK];
    for (int64_t r = 0; r < rows; r += TILE_ROWS, x += TILE_ROWS, c += TILE_ROWS * WEFT_PANEL_WIDTH) {
        int64_t left = rows - r, next = left - TILE_ROWS;
        if (next > 0) fetch_rows(x + TILE_ROWS, next < TILE_ROWS ? next : TILE_ROWS);
        for (int i = 0; sign && i < TILE_ROWS && i < left; i++) shift_row(shifted[i], x + i, groups);
        for (int p = 0; p < panels; p++) {
            const weft_open_panel *panel = (const void *)(open + (size_t)p * WEFT_OPEN_BYTES);
            float *to = c + p * c_rows * WEFT_PANEL_WIDTH;
#define TILE(n)                                                                                                        \
    case n: tile(sign, halves, n, to, x, shifted, panel, groups); break;
            switch (left) {
                TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) default : tile(sign, halves, 6, to, x, shifted, panel, groups);
            }
#undef TILE
        }
    }
}

static void packed_chunk(float *c, int64_t c_rows, const weft_quants *x, int64_t rows, const void *open, int panels,
                         const weft_matrix *w, int64_t chunk, bool add) {
    int groups = weft_chunk_groups(w->cols, chunk);
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    for (int p = 0; p < panels && !add; p++)
        memset(c + p * c_rows * WEFT_PANEL_WIDTH, 0, (size_t)rows * WEFT_PANEL_WIDTH * sizeof *c);
    if (kind.group == 16)
        chunk_rows(true, true, c, c_rows, x, rows, open, panels, groups);
    else if (!kind.has_min)
        chunk_rows(true, false, c, c_rows, x, rows, open, panels, groups);
    else
        chunk_rows(false, false, c, c_rows, x, rows, open, panels, groups);
}

void weft_avxvnni_fill_attention(weft_kernels *table);

void weft_kernels_fill_avxvnni(weft_kernels *table) {
    table->level = "avxvnni";
    weft_avxvnni_fill_attention(table);
    table->packed_dot = packed_dot;
    table->packed_open = packed_open;
    table->packed_chunk = packed_chunk;
    table->packed_chunk_two = NULL;
}
#endif
