/* Scales and minima of packed weights as f32, eight outputs at a time, and the quantisation of activations: what the
 * packed kernels of all x86 levels share. Needs AVX2, FMA and F16C; see packed.h for the layout. */
#ifndef WEFT_KERNELS_X86_PACKED_SCALES_H
#define WEFT_KERNELS_X86_PACKED_SCALES_H

#include <math.h>

#include "kernels/packed.h"
#include "kernels/x86/common.h"

/* What is constant of a packed type; every use is inlined with constants. */
typedef enum packed_scales { SCALES_D, SCALES_DM, SCALES_K, SCALES_Q6 } packed_scales;

/* Calls F(type, bits, scales, zero) for each packed type. */
#define EACH_PACKED_TYPE(F)                                                                                            \
    F(WEFT_Q4_0, 4, SCALES_D, 8)                                                                                       \
    F(WEFT_Q4_1, 4, SCALES_DM, 0)                                                                                      \
    F(WEFT_Q4_K, 4, SCALES_K, 0)                                                                                       \
    F(WEFT_Q5_0, 5, SCALES_D, 16)                                                                                      \
    F(WEFT_Q5_1, 5, SCALES_DM, 0)                                                                                      \
    F(WEFT_Q5_K, 5, SCALES_K, 0)                                                                                       \
    F(WEFT_Q6_K, 6, SCALES_Q6, 32)                                                                                     \
    F(WEFT_Q8_0, 8, SCALES_D, 128)

WEFT_INLINE __m256 s_halves(const uint8_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
WEFT_INLINE __m256 s_bytes(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
WEFT_INLINE __m256 s_signed_bytes(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

/* Bytes of the scales of 32 of k (D, DM) or of 256. */
WEFT_INLINE size_t s_scale_bytes(const packed_scales kind) {
    return kind == SCALES_D ? 32 : kind == SCALES_DM ? 64 : kind == SCALES_K ? 320 : 288;
}
WEFT_INLINE int s_scale_groups(const packed_scales kind) {
    return kind == SCALES_K || kind == SCALES_Q6 ? 8 : 1;
}
WEFT_INLINE size_t s_group_bytes(const int bits) {
    return bits == 4 ? 256 : bits == 5 ? 320 : bits == 6 ? 384 : 512;
}

/* Scale and minimum of group j (of 32, Q6: of 16) of the run of scales at `s`, outputs 8 h … 8 h + 7. */
WEFT_INLINE void s_scale_min(const packed_scales kind, const int zero, const uint8_t *s, int j, const int h,
                             __m256 *scale, __m256 *min) {
    __m256 d = s_halves(s + 16 * h);
    switch (kind) {
    case SCALES_DM:
        *scale = d;
        *min = _mm256_xor_ps(s_halves(s + 32 + 16 * h), _mm256_set1_ps(-0.0f));
        return;
    case SCALES_K:
        *scale = _mm256_mul_ps(d, s_bytes(s + 64 + 16 * j + 8 * h));
        *min = _mm256_mul_ps(s_halves(s + 32 + 16 * h), s_bytes(s + 192 + 16 * j + 8 * h));
        return;
    case SCALES_Q6: *scale = _mm256_mul_ps(d, s_signed_bytes(s + 32 + 16 * j + 8 * h)); break;
    default: *scale = d; break;
    }
    *min = _mm256_mul_ps(*scale, _mm256_set1_ps((float)zero));
}

/* All scales of a chunk into an opened panel. */
WEFT_INLINE void s_open_scales(const packed_scales kind, const int zero, weft_open_panel *open, const uint8_t *s,
                               int groups) {
    const int halves = kind == SCALES_Q6 ? 2 : 1, run = s_scale_groups(kind) * halves;
    for (int g = 0; g < groups * halves; g += run, s += s_scale_bytes(kind))
        for (int j = 0; j < run; j++)
            for (int h = 0; h < 2; h++) {
                __m256 scale, min;
                s_scale_min(kind, zero, s, j, h, &scale, &min);
                _mm256_storeu_ps(open->scale[g + j] + 8 * h, scale);
                _mm256_storeu_ps(open->min[g + j] + 8 * h, min);
            }
}

WEFT_INLINE int s_sum_i32(__m128i v) {
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xB1)));
}

/* One group of 32 activations. */
WEFT_INLINE void s_quantize_group(weft_quants *out, int g, const float *x) {
    const __m256i absolute = _mm256_set1_epi32(0x7FFFFFFF);
    __m256 v0 = _mm256_loadu_ps(x), v1 = _mm256_loadu_ps(x + 8), v2 = _mm256_loadu_ps(x + 16),
           v3 = _mm256_loadu_ps(x + 24);
#define BITS(v) _mm256_and_si256(_mm256_castps_si256(v), absolute)
    __m256i most = _mm256_max_epi32(_mm256_max_epi32(BITS(v0), BITS(v1)), _mm256_max_epi32(BITS(v2), BITS(v3)));
#undef BITS
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1));
    if (_mm_cvtsi128_si32(m) >= 0x7F800000) { /* an infinity or a NaN */
        memset(out->q + 32 * g, 0, 32);
        out->scale[g] = out->sum[g] = out->half_sum[2 * g] = out->half_sum[2 * g + 1] = NAN;
        return;
    }
    float largest = _mm_cvtss_f32(_mm_castsi128_ps(m));
    if (largest < WEFT_QUANT_LEAST) {
        memset(out->q + 32 * g, 0, 32);
        out->scale[g] = out->sum[g] = out->half_sum[2 * g] = out->half_sum[2 * g + 1] = 0;
        return;
    }
    __m256 inverse = _mm256_set1_ps(127 / largest);
    __m256i q0 = _mm256_cvtps_epi32(_mm256_mul_ps(v0, inverse)), q1 = _mm256_cvtps_epi32(_mm256_mul_ps(v1, inverse));
    __m256i q2 = _mm256_cvtps_epi32(_mm256_mul_ps(v2, inverse)), q3 = _mm256_cvtps_epi32(_mm256_mul_ps(v3, inverse));
    __m256i low = _mm256_add_epi32(q0, q1), high = _mm256_add_epi32(q2, q3);
    int sums[2] = {s_sum_i32(_mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1))),
                   s_sum_i32(_mm_add_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)))};
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q0, q1), _mm256_packs_epi32(q2, q3));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(out->q + 32 * g), bytes);
    float scale = largest / 127;
    out->scale[g] = scale;
    out->sum[g] = scale * (float)(sums[0] + sums[1]);
    out->half_sum[2 * g] = scale * (float)sums[0];
    out->half_sum[2 * g + 1] = scale * (float)sums[1];
}

/* The slot `quantize`. */
__attribute__((unused)) static void s_quantize(weft_quants *out, const float *x, int64_t n) {
    int g = 0;
    for (; 32 * (g + 1) <= n; g++) s_quantize_group(out, g, x + 32 * g);
    if (32 * g < n) {
        float last[32] = {0};
        memcpy(last, x + 32 * g, (size_t)(n - 32 * g) * sizeof *last);
        s_quantize_group(out, g++, last);
    }
    for (; g < WEFT_QUANT_GROUPS; g++) {
        memset(out->q + 32 * g, 0, 32);
        out->scale[g] = out->sum[g] = out->half_sum[2 * g] = out->half_sum[2 * g + 1] = 0;
    }
}

#endif
