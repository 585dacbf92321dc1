/* AVX-512 VNNI: products with packed weights. VPDPBUSD adds four products of an unsigned and a signed byte to a sum of
 * 32 bits: a step of a panel is one vector, and nothing can overflow. Sums are named variables: arrays of them end up
 * in memory. */
#if defined(__x86_64__)
#include "kernels/variants.h"
#include "kernels/x86/avx512_packed.h"

/* ---- few rows ---- */

#define EACH_DOT_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3)

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
        __m512 c0 = _mm512_setzero_ps(), c1 = c0, c2 = c0, c3 = c0, scale, min;
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

#define ROWS_CASE(n, bits, kind, zero)                                                                                 \
    case n:                                                                                                            \
        dot_panels(bits, kind, zero, n, out, out_stride, x, x_rows, w, p0, p1);                                        \
        return;
#define DEFINE_DOT(type, bits, kind, zero)                                                                             \
    static void dot_##type(float *out, int64_t out_stride, const weft_quants *x, int64_t x_rows, int rows,             \
                           const weft_matrix *w, int64_t p0, int64_t p1) {                                             \
        switch (rows) {                                                                                                \
            ROWS_CASE(1, bits, kind, zero)                                                                             \
            ROWS_CASE(2, bits, kind, zero)                                                                             \
            ROWS_CASE(3, bits, kind, zero)                                                                             \
        default: dot_panels(bits, kind, zero, 4, out, out_stride, x, x_rows, w, p0, p1);                               \
        }                                                                                                              \
    }
EACH_PACKED_TYPE(DEFINE_DOT)

static void packed_dot(float *out, int64_t out_stride, const weft_quants *x, int64_t x_rows, int rows,
                       const weft_matrix *w, int64_t p0, int64_t p1) {
#define DOT_CASE(type, bits, kind, zero)                                                                               \
    case type: dot_##type(out, out_stride, x, x_rows, rows, w, p0, p1); return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(DOT_CASE)
    default: return;
    }
}

/* ---- many rows ----
 *
 * What a group costs beside its products bounds the speed, so types whose minimum is a multiple of their scale
 * (is_signed) change the sides of VPDPBUSD: weights open to w = u - zero, signed, and activations become q + 128,
 * unsigned. Their product is too large by 128 times the sum of the group's w, which the opener knows: sums start at
 * minus that, and no minimum has to be taken away in f32. */

WEFT_INLINE bool is_signed(const packed_scales kind) {
    return kind == SCALES_D || kind == SCALES_Q6;
}

WEFT_INLINE void open_quants(const int bits, uint8_t *out, const uint8_t *q, int groups) {
    for (int g = 0; g < groups; g++, q += s_group_bytes(bits), out += 512) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            bytes low, high;
            quants_45_6(bits, v, q, &low, &high);
            _mm512_storeu_si512(out + 64 * v, low);
            _mm512_storeu_si512(out + 64 * (v + 4), high);
        }
    }
}

/* The same as signed bytes, and where the sums of a group start, for each output, in the place of its minimum. */
WEFT_INLINE void open_signed(const int bits, const packed_scales kind, const int zero, weft_open_panel *open,
                             const uint8_t *q, int groups) {
    const bytes shift = _mm512_set1_epi8((char)zero), most = _mm512_set1_epi8((char)128);
    uint8_t *out = open->quants;
    for (int g = 0; g < groups; g++, q += s_group_bytes(bits), out += 512) {
        bytes first = _mm512_setzero_si512(), second = first;
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            bytes low, high;
            if (bits == 8) {
                low = load(q + 64 * v);
                high = load(q + 64 * (v + 4));
            } else {
                quants_45_6(bits, v, q, &low, &high);
            }
            low = _mm512_sub_epi8(low, shift);
            high = _mm512_sub_epi8(high, shift);
            first = _mm512_dpbusd_epi32(first, most, low);
            second = _mm512_dpbusd_epi32(second, most, high);
            _mm512_storeu_si512(out + 64 * v, low);
            _mm512_storeu_si512(out + 64 * (v + 4), high);
        }
        const bytes none = _mm512_setzero_si512();
        if (kind == SCALES_Q6) {
            _mm512_storeu_si512(open->min[2 * g], _mm512_sub_epi32(none, first));
            _mm512_storeu_si512(open->min[2 * g + 1], _mm512_sub_epi32(none, second));
        } else {
            _mm512_storeu_si512(open->min[g], _mm512_sub_epi32(none, _mm512_add_epi32(first, second)));
        }
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
        if (is_signed(kind))                                                                                           \
            open_signed(bits, kind, zero, open, q + (size_t)first * s_group_bytes(bits), groups);                      \
        else                                                                                                           \
            open_quants(bits, open->quants, q + (size_t)first * s_group_bytes(bits), groups);                          \
        return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(OPEN_CASE)
    default: return;
    }
}

/* A tile of `rows` rows and the outputs of one or two panels: the sums of row r are in ar and br. */
#define EACH_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5)
#define START(r)       bytes a##r = start0, b##r = start1;
#define CHAIN(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        bytes f = four(sign ? (const void *)(shifted[r] + at) : (const void *)(x[r].q + at));                          \
        a##r = sign ? _mm512_dpbusd_epi32(a##r, f, u0) : _mm512_dpbusd_epi32(a##r, u0, f);                             \
        if (panels > 1) b##r = sign ? _mm512_dpbusd_epi32(b##r, f, u1) : _mm512_dpbusd_epi32(b##r, u1, f);             \
    }
#define SCALE(r)                                                                                                       \
    if (rows > r) {                                                                                                    \
        float *to = c + r * WEFT_PANEL_WIDTH;                                                                          \
        __m512 f = _mm512_set1_ps(x[r].scale[g]), sum = _mm512_set1_ps(x[r].sum[g]), t = _mm512_loadu_ps(to);          \
        if (!sign) t = _mm512_fnmadd_ps(min0, sum, t);                                                                 \
        _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(a##r), _mm512_mul_ps(scale0, f), t));                  \
        if (panels > 1) {                                                                                              \
            t = _mm512_loadu_ps(to + c_panel);                                                                         \
            if (!sign) t = _mm512_fnmadd_ps(min1, sum, t);                                                             \
            t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(b##r), _mm512_mul_ps(scale1, f), t);                                \
            _mm512_storeu_ps(to + c_panel, t);                                                                         \
        }                                                                                                              \
    }

/* c_panel: floats between the sums of two panels. halves: scales per 16 of k instead of 32. shifted: the rows' q + 128,
 * where sign. */
WEFT_INLINE void tile(const bool sign, const bool halves, const int rows, const int panels, float *c, int64_t c_panel,
                      const weft_quants *x, const uint8_t shifted[][WEFT_QUANT_CHUNK], const weft_open_panel *open,
                      int groups) {
    const weft_open_panel *next = (const void *)((const char *)open + (panels > 1 ? WEFT_OPEN_BYTES : 0));
    const uint8_t *q0 = open->quants, *q1 = next->quants;
    const int steps = halves ? 4 : 8;
    for (int i = 0; i < (halves ? 2 * groups : groups); i++, q0 += 64 * steps, q1 += 64 * steps) {
        const int g = halves ? i / 2 : i, start = i * 4 * steps;
        const bytes zero = _mm512_setzero_si512();
        const bytes start0 = sign ? load(open->min[i]) : zero, start1 = sign ? load(next->min[i]) : zero;
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
}

WEFT_INLINE void shift_row(uint8_t *out, const weft_quants *x, int groups) {
    for (int k = 0; k < 32 * groups; k += 64)
        _mm512_storeu_si512(out + k, _mm512_xor_si512(load(x->q + k), _mm512_set1_epi8((char)128)));
}

WEFT_INLINE void chunk_rows(const bool sign, const bool halves, const int panels, float *c, int64_t c_rows,
                            const weft_quants *x, int64_t rows, const weft_open_panel *open, int groups) {
    _Alignas(64) uint8_t shifted[6][WEFT_QUANT_CHUNK];
    int64_t r = 0, c_panel = c_rows * WEFT_PANEL_WIDTH;
#define ROWS_TILE(n)                                                                                                   \
    for (; r + n <= rows; r += n) {                                                                                    \
        for (int i = 0; sign && i < n; i++) shift_row(shifted[i], x + r + i, groups);                                  \
        tile(sign, halves, n, panels, c + r * WEFT_PANEL_WIDTH, c_panel, x + r, shifted, open, groups);                \
    }
    ROWS_TILE(6)
    ROWS_TILE(4)
    ROWS_TILE(2)
    ROWS_TILE(1)
}

static void packed_chunk(float *c, int64_t c_rows, const weft_quants *x, int64_t rows, const void *open, int panels,
                         const weft_matrix *w, int64_t chunk, bool add) {
    int groups = weft_chunk_groups(w->cols, chunk);
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    for (int p = 0; p < panels && !add; p++)
        memset(c + p * c_rows * WEFT_PANEL_WIDTH, 0, (size_t)rows * WEFT_PANEL_WIDTH * sizeof *c);
    for (int p = 0; p < panels; p += 2) {
        const weft_open_panel *panel = (const void *)((const char *)open + (size_t)p * WEFT_OPEN_BYTES);
        float *to = c + p * c_rows * WEFT_PANEL_WIDTH;
#define CHUNK(sign, halves)                                                                                            \
    do {                                                                                                               \
        if (panels - p > 1)                                                                                            \
            chunk_rows(sign, halves, 2, to, c_rows, x, rows, panel, groups);                                           \
        else                                                                                                           \
            chunk_rows(sign, halves, 1, to, c_rows, x, rows, panel, groups);                                           \
    } while (0)
        if (kind.group == 16)
            CHUNK(true, true);
        else if (!kind.has_min)
            CHUNK(true, false);
        else
            CHUNK(false, false);
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
}
#endif
