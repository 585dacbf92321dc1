/* AVX2: products with packed weights.
 *
 * The byte product of AVX2, vpmaddubsw, adds two products into 16 bits. With unsigned quants of b bits and |q| <= 127 a
 * chain of 8 (b = 4), 4 (b = 5) or 2 (b = 6) of them cannot overflow; 8-bit quants are split into two nibbles for few
 * rows, widened to 16 bits for many. Chains are widened to 32 bits, converted, and scaled per group. Sums are named
 * variables: arrays of them end up in memory.
 */
#if defined(__x86_64__)
#include "kernels/x86/avx2_packed.h"
#include "kernels/variants.h"

/* The empty assembly keeps the order of the sums: GCC would make all products of a group first, store them, and add
 * them up as a tree, at half the speed. */
WEFT_INLINE bytes add16(bytes a, bytes b) {
    a = _mm256_add_epi16(a, b);
    __asm__("" : "+x"(a));
    return a;
}
WEFT_INLINE bytes add32(bytes a, bytes b) {
    a = _mm256_add_epi32(a, b);
    __asm__("" : "+x"(a));
    return a;
}
WEFT_INLINE bytes product(bytes u, bytes q) {
    return _mm256_maddubs_epi16(u, q);
}
WEFT_INLINE bytes widen(bytes chain, const int factor) {
    return _mm256_madd_epi16(chain, _mm256_set1_epi16((short)factor));
}

/* ---- few rows ---- */

#define EACH_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3)
#define Q(r)           (x[(r)*x_step].q + at)

/* Adds the scaled sum of a group to the sum of row r. */
#define DRAIN(r, total, scale_of, sum_of)                                                                              \
    if (rows > r) {                                                                                                    \
        const weft_quants *xr = x + r * x_step;                                                                        \
        __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(xr->scale_of));                                            \
        c##r = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), factor, c##r);                                               \
        c##r = _mm256_fnmadd_ps(min, _mm256_set1_ps(xr->sum_of), c##r);                                                \
    }

/* Group g of the chunk for eight outputs: sums[r] += . `q` is their half of the group's planes, `s` the run of scales
 * and j the group in it. */
WEFT_INLINE void dot_group(const int bits, const packed_scales kind, const int zero, const int rows, __m256 *sums,
                           const weft_quants *x, int64_t x_step, int g, const uint8_t *q, const uint8_t *s, int j,
                           const int h) {
    const int at = 32 * g;
    __m256 c0 = sums[0], c1, c2, c3, scale, min;
    c1 = rows > 1 ? sums[2] : c0;
    c2 = rows > 2 ? sums[4] : c0;
    c3 = rows > 3 ? sums[6] : c0;
    bytes low, high;
#define DECLARE(r) bytes a##r = _mm256_setzero_si256(), b##r = a##r;
    EACH_ROW(DECLARE)
#undef DECLARE
    if (bits == 8) { /* a: low nibbles, b: high ones */
#pragma GCC unroll 8
        for (int v = 0; v < 8; v++) {
            bytes u = load(q + 64 * v);
            low = low_nibbles(u);
            high = high_nibbles(u);
#define STEP(r)                                                                                                        \
    if (rows > r) {                                                                                                    \
        bytes f = four(Q(r) + 4 * v);                                                                                  \
        a##r = add16(a##r, product(low, f));                                                                           \
        b##r = add16(b##r, product(high, f));                                                                          \
    }
            EACH_ROW(STEP)
#undef STEP
        }
        s_scale_min(kind, zero, s, j, h, &scale, &min);
#define STEP(r) DRAIN(r, add32(widen(a##r, 1), widen(b##r, 16)), scale[g], sum[g])
        EACH_ROW(STEP)
#undef STEP
    } else if (bits == 6) { /* a: the first half group, b: the second; two steps to a chain */
#pragma GCC unroll 2
        for (int v = 0; v < 4; v += 2) {
            bytes low1, high1;
            quants_45_6(bits, v, q, &low, &high);
            quants_45_6(bits, v + 1, q, &low1, &high1);
#define STEP(r)                                                                                                        \
    if (rows > r) {                                                                                                    \
        a##r = add32(a##r, widen(add16(product(low, four(Q(r) + 4 * v)), product(low1, four(Q(r) + 4 * v + 4))), 1));  \
        b##r = add32(                                                                                                  \
            b##r, widen(add16(product(high, four(Q(r) + 4 * v + 16)), product(high1, four(Q(r) + 4 * v + 20))), 1));   \
    }
            EACH_ROW(STEP)
#undef STEP
        }
        s_scale_min(kind, zero, s, 2 * j, h, &scale, &min);
#define STEP(r) DRAIN(r, a##r, scale[g], half_sum[2 * g])
        EACH_ROW(STEP)
#undef STEP
        s_scale_min(kind, zero, s, 2 * j + 1, h, &scale, &min);
#define STEP(r) DRAIN(r, b##r, scale[g], half_sum[2 * g + 1])
        EACH_ROW(STEP)
#undef STEP
    } else { /* one chain of eight, or two of four */
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            quants_45_6(bits, v, q, &low, &high);
#define STEP(r)                                                                                                        \
    if (rows > r) {                                                                                                    \
        bytes t = add16(product(low, four(Q(r) + 4 * v)), product(high, four(Q(r) + 4 * v + 16)));                     \
        if (bits == 5 && v >= 2)                                                                                       \
            b##r = add16(b##r, t);                                                                                     \
        else                                                                                                           \
            a##r = add16(a##r, t);                                                                                     \
    }
            EACH_ROW(STEP)
#undef STEP
        }
        s_scale_min(kind, zero, s, j, h, &scale, &min);
#define STEP(r) DRAIN(r, bits == 5 ? add32(widen(a##r, 1), widen(b##r, 1)) : widen(a##r, 1), scale[g], sum[g])
        EACH_ROW(STEP)
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
                    /* both streams are long and regular, but a step ahead of the hardware's page limit pays */
                    for (size_t ahead = 0; ahead < s_group_bytes(bits); ahead += 64)
                        _mm_prefetch((const char *)q + 2048 + ahead, _MM_HINT_T0);
                    dot_group(bits, kind, zero, rows, sums, chunk, 1, g, q, s, j, 0);
                    dot_group(bits, kind, zero, rows, sums + 1, chunk, 1, g, q + 32, s, j, 1);
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

/* ---- many rows ---- */

/* Opened quants: [group][step][16][4] bytes, but 8 bits as 16-bit pairs, [group][step][2][16][2]: a byte product with
 * 8-bit quants does not fit 16 bits, and splitting them takes as many products. Of the four values of a step, 0 and 2
 * make one pair and 1 and 3 the other, which needs no shuffle. */
WEFT_INLINE void open_quants(const int bits, uint8_t *out, const uint8_t *q, int groups) {
    for (int g = 0; g < groups; g++, q += s_group_bytes(bits), out += bits == 8 ? 1024 : 512) {
        for (int h = 0; h < 64; h += 32) {
            bytes low, high;
            if (bits == 8) {
                for (int v = 0; v < 8; v++) {
                    bytes u = load(q + 64 * v + h);
                    _mm256_store_si256((bytes *)(out + 128 * v + h), _mm256_and_si256(u, _mm256_set1_epi16(255)));
                    _mm256_store_si256((bytes *)(out + 128 * v + 64 + h), _mm256_srli_epi16(u, 8));
                }
                continue;
            }
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                quants_45_6(bits, v, q + h, &low, &high);
                _mm256_store_si256((bytes *)(out + 64 * v + h), low);
                _mm256_store_si256((bytes *)(out + 64 * (v + 4) + h), high);
            }
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
        open_quants(bits, open->quants, q + (size_t)first * s_group_bytes(bits), groups);                              \
        return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(OPEN_CASE)
    default: return;
    }
}

/* A tile of `rows` rows and all 16 outputs: the two sums of row r are in ar and br. */
#define T(r)    (x[r].q + at)
#define ZERO(r) bytes a##r = _mm256_setzero_si256(), b##r = a##r;
#define CHAIN(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        bytes f = four(T(r));                                                                                          \
        a##r = add16(a##r, product(u0, f));                                                                            \
        b##r = add16(b##r, product(u1, f));                                                                            \
    }
#define FIRST(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        bytes f = four(T(r));                                                                                          \
        a##r = product(u0, f);                                                                                         \
        b##r = product(u1, f);                                                                                         \
    }
#define PAIR(r)                                                                                                        \
    if (rows > r) {                                                                                                    \
        bytes f = four(T(r)), e = four(T(r) + 4);                                                                      \
        a##r = add32(a##r, widen(add16(product(u0, f), product(u2, e)), 1));                                           \
        b##r = add32(b##r, widen(add16(product(u1, f), product(u3, e)), 1));                                           \
    }
#define WIDEN(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        a##r = widen(a##r, 1);                                                                                         \
        b##r = widen(b##r, 1);                                                                                         \
    }
#define SCALE(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        float *to = c + r * WEFT_PANEL_WIDTH;                                                                          \
        __m256 f = _mm256_set1_ps(x[r].scale[g]);                                                                      \
        __m256 sum = _mm256_set1_ps(halves ? x[r].half_sum[i] : x[r].sum[g]);                                          \
        __m256 t0 = _mm256_fnmadd_ps(min0, sum, _mm256_loadu_ps(to));                                                  \
        __m256 t1 = _mm256_fnmadd_ps(min1, sum, _mm256_loadu_ps(to + 8));                                              \
        t0 = _mm256_fmadd_ps(_mm256_cvtepi32_ps(a##r), _mm256_mul_ps(scale0, f), t0);                                  \
        t1 = _mm256_fmadd_ps(_mm256_cvtepi32_ps(b##r), _mm256_mul_ps(scale1, f), t1);                                  \
        _mm256_storeu_ps(to, t0);                                                                                      \
        _mm256_storeu_ps(to + 8, t1);                                                                                  \
    }

/* Eight chained steps of one group. */
#define CHAIN_STEPS(u)                                                                                                 \
    {                                                                                                                  \
        int at = 32 * g;                                                                                               \
        bytes u0 = load(u), u1 = load((u) + 32);                                                                       \
        EACH_ROW(FIRST)                                                                                                \
        _Pragma("GCC unroll 7") for (int v = 1; v < 8; v++) {                                                          \
            at = 32 * g + 4 * v;                                                                                       \
            u0 = load((u) + 64 * v);                                                                                   \
            u1 = load((u) + 64 * v + 32);                                                                              \
            EACH_ROW(CHAIN)                                                                                            \
        }                                                                                                              \
    }
/* Scales of group i, which is g or a half of it, and their use. */
#define SCALE_ROWS                                                                                                     \
    {                                                                                                                  \
        __m256 scale0 = _mm256_load_ps(open->scale[i]), scale1 = _mm256_load_ps(open->scale[i] + 8);                   \
        __m256 min0 = _mm256_load_ps(open->min[i]), min1 = _mm256_load_ps(open->min[i] + 8);                           \
        EACH_ROW(SCALE)                                                                                                \
    }

WEFT_INLINE void tile(const int bits, const int rows, float *c, const weft_quants *x, const weft_open_panel *open,
                      int groups) {
    const bool halves = bits == 6;
    const uint8_t *u = open->quants;
    for (int g = 0; g < groups; g++, u += 512) {
        EACH_ROW(ZERO)
        if (bits == 4) {
            const int i = g;
            CHAIN_STEPS(u)
            EACH_ROW(WIDEN)
            SCALE_ROWS
        } else if (bits == 5) {
            const int i = g;
#pragma GCC unroll 4
            for (int v = 0; v < 8; v += 2) {
                const int at = 32 * g + 4 * v;
                bytes u0 = load(u + 64 * v), u1 = load(u + 64 * v + 32);
                bytes u2 = load(u + 64 * v + 64), u3 = load(u + 64 * v + 96);
                EACH_ROW(PAIR)
            }
            SCALE_ROWS
        }
        for (int i = 2 * g; bits == 6 && i < 2 * g + 2; i++) {
            const uint8_t *half = u + 256 * (i & 1);
#define AGAIN(r) a##r = b##r = _mm256_setzero_si256();
            EACH_ROW(AGAIN)
#undef AGAIN
#pragma GCC unroll 2
            for (int v = 0; v < 4; v += 2) {
                const int at = 16 * i + 4 * v;
                bytes u0 = load(half + 64 * v), u1 = load(half + 64 * v + 32);
                bytes u2 = load(half + 64 * v + 64), u3 = load(half + 64 * v + 96);
                EACH_ROW(PAIR)
            }
            SCALE_ROWS
        }
    }
}

/* The rows after those at hand, into L1: what comes from L3 otherwise holds up every other group. */
WEFT_INLINE void fetch_rows(const weft_quants *x, int64_t rows) {
    for (size_t at = 0; at < (size_t)rows * sizeof *x; at += 64) _mm_prefetch((const char *)x + at, _MM_HINT_T0);
}

WEFT_INLINE void chunk_rows(const int bits, float *c, const weft_quants *x, int64_t rows, const weft_open_panel *open,
                            int groups) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        fetch_rows(x + r + 4, rows - r < 8 ? rows - r - 4 : 4);
        tile(bits, 4, c + r * WEFT_PANEL_WIDTH, x + r, open, groups);
    }
    for (; r + 2 <= rows; r += 2) tile(bits, 2, c + r * WEFT_PANEL_WIDTH, x + r, open, groups);
    if (r < rows) tile(bits, 1, c + r * WEFT_PANEL_WIDTH, x + r, open, groups);
}

/* ---- many rows, 8 bits ---- */

/* A row's chunk in 16 bits, paired as open_quants pairs weights: [group][values 0 and 2, 1 and 3][step][2]. */
typedef int16_t wide_row[WEFT_QUANT_CHUNK];
enum { WIDE_ROWS = 8 }; /* of all panels, before the next: panel and rows fit L1 together */

static void widen_rows(wide_row *to, const weft_quants *x, int rows, int groups) {
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups; g++) {
            bytes q = load(x[r].q + 32 * g);
            _mm256_store_si256((bytes *)(to[r] + 32 * g), _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8));
            _mm256_store_si256((bytes *)(to[r] + 32 * g + 16), _mm256_srai_epi16(q, 8));
        }
}

#define MULTIPLY(r)                                                                                                    \
    if (rows > r) {                                                                                                    \
        bytes f = four(wide[r] + at);                                                                                  \
        a##r = add32(a##r, _mm256_madd_epi16(u0, f));                                                                  \
        b##r = add32(b##r, _mm256_madd_epi16(u1, f));                                                                  \
    }

WEFT_INLINE void tile_8(const int rows, float *c, const weft_quants *x, const wide_row *wide,
                        const weft_open_panel *open, int groups) {
    const bool halves = false;
    const uint8_t *u = open->quants;
    for (int g = 0; g < groups; g++, u += 1024) {
        const int i = g;
        EACH_ROW(ZERO)
#pragma GCC unroll 16
        for (int v = 0; v < 16; v++) {
            const int at = 32 * g + 16 * (v & 1) + (v & ~1);
            bytes u0 = load(u + 64 * v), u1 = load(u + 64 * v + 32);
            EACH_ROW(MULTIPLY)
        }
        SCALE_ROWS
    }
}

static void chunk_rows_8(float *c, const weft_quants *x, int rows, const wide_row *wide, const weft_open_panel *open,
                         int groups) {
    int r = 0;
    for (; r + 4 <= rows; r += 4) tile_8(4, c + r * WEFT_PANEL_WIDTH, x + r, wide + r, open, groups);
    for (; r + 2 <= rows; r += 2) tile_8(2, c + r * WEFT_PANEL_WIDTH, x + r, wide + r, open, groups);
    if (r < rows) tile_8(1, c + r * WEFT_PANEL_WIDTH, x + r, wide + r, open, groups);
}

/* Two terms in 16 bits: 256 times the first and the second in the same unit, the 256th part of the first one's scale.
 * `both` gets the scales and sums. The second one's factor to that unit is at most 256/254, kept as 256 times itself.
 */
static void widen_two(wide_row *to, weft_quants *both, const weft_quants *x, const weft_quants *second, int rows,
                      int groups) {
    const bytes odd = _mm256_set1_epi16((short)0xFF00);
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups; g++) {
            float scale = x[r].scale[g];
            bytes factor = _mm256_set1_epi16(scale > 0 ? (short)(65536 * (second[r].scale[g] / scale) + 0.5f) : 0);
            bytes q = load(x[r].q + 32 * g), s = load(second[r].q + 32 * g);
            bytes s0 = _mm256_mulhrs_epi16(_mm256_srai_epi16(_mm256_slli_epi16(s, 8), 1), factor);
            bytes s1 = _mm256_mulhrs_epi16(_mm256_srai_epi16(_mm256_and_si256(s, odd), 1), factor);
            _mm256_store_si256((bytes *)(to[r] + 32 * g), _mm256_add_epi16(_mm256_slli_epi16(q, 8), s0));
            _mm256_store_si256((bytes *)(to[r] + 32 * g + 16), _mm256_add_epi16(_mm256_and_si256(q, odd), s1));
            both[r].scale[g] = scale / 256;
            both[r].sum[g] = x[r].sum[g] + second[r].sum[g];
        }
}

/* second: how far behind x the second terms are; 0: there are none. */
static void packed_chunk_8(float *c, int64_t c_rows, const weft_quants *x, int64_t second, int64_t rows,
                           const char *open, int panels, int groups) {
    _Alignas(64) wide_row wide[WIDE_ROWS];
    weft_quants both[WIDE_ROWS];
    for (int64_t r = 0; r < rows; r += WIDE_ROWS) {
        int count = rows - r < WIDE_ROWS ? (int)(rows - r) : WIDE_ROWS;
        int64_t next = rows - r < 2 * WIDE_ROWS ? rows - r - count : WIDE_ROWS;
        if (second)
            widen_two(wide, both, x + r, x + second + r, count, groups);
        else
            widen_rows(wide, x + r, count, groups);
        fetch_rows(x + r + count, next);
        if (second) fetch_rows(x + second + r + count, next);
        for (int p = 0; p < panels; p++)
            chunk_rows_8(c + (p * c_rows + r) * WEFT_PANEL_WIDTH, second ? both : x + r, count, wide,
                         (const void *)(open + (size_t)p * WEFT_OPEN_BYTES), groups);
    }
}

static void packed_chunk(float *c, int64_t c_rows, const weft_quants *x, int64_t rows, const void *open, int panels,
                         const weft_matrix *w, int64_t chunk, bool add) {
    int groups = weft_chunk_groups(w->cols, chunk), bits = weft_packed_kind_of(w->panel_type).bits;
    for (int p = 0; !add && p < panels; p++)
        memset(c + p * c_rows * WEFT_PANEL_WIDTH, 0, (size_t)rows * WEFT_PANEL_WIDTH * sizeof *c);
    if (bits == 8) {
        packed_chunk_8(c, c_rows, x, 0, rows, open, panels, groups);
        return;
    }
    for (int p = 0; p < panels; p++) {
        const weft_open_panel *panel = (const void *)((const char *)open + (size_t)p * WEFT_OPEN_BYTES);
        float *to = c + p * c_rows * WEFT_PANEL_WIDTH;
        switch (bits) {
        case 4: chunk_rows(4, to, x, rows, panel, groups); break;
        case 5: chunk_rows(5, to, x, rows, panel, groups); break;
        default: chunk_rows(6, to, x, rows, panel, groups); break;
        }
    }
}

/* 8 bits are multiplied in 16 anyway. */
static bool packed_chunk_two(float *c, int64_t c_rows, const weft_quants *x, int64_t second, int64_t rows,
                             const void *open, int panels, const weft_matrix *w, int64_t chunk, bool add) {
    if (weft_packed_kind_of(w->panel_type).bits != 8) return false;
    for (int p = 0; !add && p < panels; p++)
        memset(c + p * c_rows * WEFT_PANEL_WIDTH, 0, (size_t)rows * WEFT_PANEL_WIDTH * sizeof *c);
    packed_chunk_8(c, c_rows, x, second, rows, open, panels, weft_chunk_groups(w->cols, chunk));
    return true;
}

void weft_avx2_fill_packed(weft_kernels *table);
void weft_avx2_fill_packed(weft_kernels *table) {
    table->packs = true;
    table->quantize = s_quantize;
    table->packed_dot = packed_dot;
    table->packed_open = packed_open;
    table->packed_chunk = packed_chunk;
    table->packed_chunk_two = packed_chunk_two;
}
#endif
