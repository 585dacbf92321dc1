/* AVX-512 VNNI: products of many rows with panels whose scales are equal over runs of k (weft_matrix.runs).
 *
 * The sums of a tile of rows and two panels stay in registers for a whole run, so that what a group of 32 costs beside
 * its products is paid once per run. Weights are read from their panels as they are: unsigned, q + 128. Their product
 * with a row is too large by 128 times the sum of the row's quants, which sums start less.
 *
 * A tile of rows: quants [cols / 4][14] words of four values, then scales [runs][16], then starts [runs][16]. */
#if defined(__x86_64__)
#include "kernels/variants.h"
#include "kernels/x86/avx512_packed.h"

enum { TILE = WEFT_RUN_TILE_ROWS, LANES = 16 };

#define EACH_ROW(STEP)                                                                                                 \
    STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11) STEP(12) STEP(13)

/* In assembly, because gcc copies sums of a tile to the stack otherwise; the emulation has only the intrinsic. */
WEFT_INLINE bytes add_products(bytes sum, bytes weights, bytes values) {
#if defined(WEFT_TESTS_EMULATED_IMMINTRIN_H)
    return _mm512_dpbusd_epi32(sum, weights, values);
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(values));
    return sum;
#endif
}

/* ---- activations ---- */

/* `n` values of a run as bytes; n is a multiple of 32. A run with a NaN or an infinity has scale NaN. */
WEFT_INLINE void round_run(int8_t *q, float *scale, int32_t *start, const float *x, int n) {
    const __m512i absolute = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i most = _mm512_setzero_si512();
    for (int i = 0; i < n; i += LANES) most = _mm512_max_epi32(most, _mm512_and_si512(load(x + i), absolute));
    int32_t bits = _mm512_reduce_max_epi32(most);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    bool finite = bits < 0x7F800000;
    *start = 0;
    if (!finite || largest < WEFT_QUANT_LEAST) {
        memset(q, 0, (size_t)n);
        *scale = finite ? 0 : NAN;
        return;
    }
    const __m512 inverse = _mm512_set1_ps(127 / largest);
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < n; i += LANES) {
        __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));
        sum = _mm512_add_epi32(sum, v);
        _mm_storeu_si128((__m128i *)(q + i), _mm512_cvtepi32_epi8(v));
    }
    *scale = largest / 127;
    *start = -128 * _mm512_reduce_add_epi32(sum);
}

static void runs_pack(void *out, const float *x, int64_t x_stride, int rows, int64_t cols) {
    int8_t q[TILE][WEFT_RUN];
    int32_t *words = out;
    float *scales = (float *)(words + cols / 4 * TILE);
    int32_t *starts = (int32_t *)(scales + (cols + WEFT_RUN - 1) / WEFT_RUN * LANES);
    for (int64_t k = 0; k < cols; k += WEFT_RUN, scales += LANES, starts += LANES) {
        int n = cols - k < WEFT_RUN ? (int)(cols - k) : WEFT_RUN;
        for (int r = 0; r < rows; r++) round_run(q[r], &scales[r], &starts[r], x + r * x_stride + k, n);
        for (int i = 0; i < n / 4; i++, words += TILE)
            for (int r = 0; r < rows; r++) memcpy(words + r, q[r] + 4 * i, 4);
    }
}

/* ---- products ---- */

#define START(i) bytes a##i = _mm512_set1_epi32(starts[i]), b##i = a##i;
#define ADD(i)                                                                                                         \
    if (rows > i) {                                                                                                    \
        bytes v = _mm512_set1_epi32(x[i]);                                                                             \
        a##i = add_products(a##i, u0, v);                                                                              \
        if (panels > 1) b##i = add_products(b##i, u1, v);                                                              \
    }
#define SCALE(i)                                                                                                       \
    if (rows > i) {                                                                                                    \
        __m512 f = _mm512_set1_ps(scales[i]);                                                                          \
        float *to = sums + 2 * LANES * i;                                                                              \
        __m512 t0 = k ? _mm512_load_ps(to) : _mm512_setzero_ps();                                                      \
        _mm512_store_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(a##i), _mm512_mul_ps(d0, f), t0));                      \
        if (panels > 1) {                                                                                              \
            to += LANES;                                                                                               \
            __m512 t1 = k ? _mm512_load_ps(to) : _mm512_setzero_ps();                                                  \
            _mm512_store_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(b##i), _mm512_mul_ps(d1, f), t1));                  \
        }                                                                                                              \
    }

/* sums [rows][2 panels][16] = the product of a tile of rows and the panels whose scales and quants are given. */
WEFT_INLINE void run_tile(const int rows, const int panels, float *sums, const int32_t *x, const float *scales,
                          const int32_t *starts, const uint8_t *const d[2], const uint8_t *const q[2], int64_t cols) {
    const uint8_t *q0 = q[0], *q1 = q[1];
    for (int64_t k = 0; k < cols; k += WEFT_RUN, scales += LANES, starts += LANES) {
        int steps = (cols - k < WEFT_RUN ? (int)(cols - k) : WEFT_RUN) / 4;
        EACH_ROW(START)
        for (; steps > 0; steps--, x += TILE, q0 += 64, q1 += 64) {
            bytes u0 = load(q0), u1 = panels > 1 ? load(q1) : u0;
            EACH_ROW(ADD)
        }
        __m512 d0 = halves16(d[0] + k), d1 = panels > 1 ? halves16(d[1] + k) : d0; /* a scale per 32 of k, two bytes */
        EACH_ROW(SCALE)
    }
}

/* Row r of the sums to its place. */
WEFT_INLINE void write_row(const weft_output *to, const float *sums, int64_t m, int64_t n, int64_t width) {
    __mmask16 mask = (__mmask16)(width >= LANES ? 0xFFFF : (1u << width) - 1);
    float *out = to->out + m * to->stride + n;
    __m512 v = _mm512_load_ps(sums);
    if (to->bias) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, to->bias + n));
    if (to->accumulate) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, out));
    _mm512_mask_storeu_ps(out, mask, v);
}

static void runs_product(const weft_output *to, int64_t m, const void *tile, int rows, const weft_matrix *w,
                         int64_t panel, int panels) {
    _Alignas(64) float sums[TILE * 2 * LANES];
    int64_t runs = (w->cols + WEFT_RUN - 1) / WEFT_RUN;
    const int32_t *words = tile;
    const float *scales = (const float *)(words + w->cols / 4 * TILE);
    const int32_t *starts = (const int32_t *)(scales + runs * LANES);
    int64_t second = panels > 1 ? panel + 1 : panel;
    const uint8_t *const d[2] = {weft_panel_scales(w, panel), weft_panel_scales(w, second)};
    const uint8_t *const q[2] = {weft_panel_quants(w, panel), weft_panel_quants(w, second)};
    int64_t n = panel * LANES, width = w->rows - n;
    for (int r = 0; r < rows; r++) /* on its way while the product is at work */
        for (int i = 0; i < panels; i++) _mm_prefetch((const char *)(to->out + (m + r) * to->stride + n + i * LANES), _MM_HINT_T0);
#define ROWS_CASE(n)                                                                                                   \
    case n:                                                                                                            \
        if (panels > 1)                                                                                                \
            run_tile(n, 2, sums, words, scales, starts, d, q, w->cols);                                                \
        else                                                                                                           \
            run_tile(n, 1, sums, words, scales, starts, d, q, w->cols);                                                \
        break;
    switch (rows) {
        ROWS_CASE(8)
        ROWS_CASE(9)
        ROWS_CASE(10)
        ROWS_CASE(11)
        ROWS_CASE(12)
        ROWS_CASE(13)
        ROWS_CASE(14)
    default: return;
    }
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < panels; i++)
            write_row(to, sums + (2 * r + i) * LANES, m + r, n + i * LANES, width - i * LANES);
}

void weft_avx512vnni_fill_runs(weft_kernels *table);
void weft_avx512vnni_fill_runs(weft_kernels *table) {
    table->runs_rows_min = 2 * WEFT_RUN_TILE_ROWS_MIN;
    table->runs_pack = runs_pack;
    table->runs_product = runs_product;
}
#endif
