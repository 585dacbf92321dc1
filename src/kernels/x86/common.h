/* What both x86 levels share: pieces that are 128 or 256 bits wide by nature. Needs AVX2, FMA and F16C; to be included
 * only by the files of a level. Everything here is static, so no other file can be linked to code of this level. */
#ifndef WEFT_KERNELS_X86_COMMON_H
#define WEFT_KERNELS_X86_COMMON_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define WEFT_INLINE static inline __attribute__((always_inline))

/* One f16 as f32. */
WEFT_INLINE float s_f16(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

/* out[8] = d * each of eight unsigned bytes. */
WEFT_INLINE void s_scales_u8(float *out, uint64_t bytes, float d) {
    __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(wide)));
}

/* out[8] = d * each of eight signed bytes. */
WEFT_INLINE void s_scales_i8(float *out, const void *bytes, float d) {
    __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(bytes));
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(wide)));
}

/* The sums of four vectors, in order. */
WEFT_INLINE __m128 s_sum4(__m256 a, __m256 b, __m256 c, __m256 d) {
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

WEFT_INLINE float s_sum(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

WEFT_INLINE float s_max(__m256 v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

#endif
