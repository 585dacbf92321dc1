/* Stands before the files of the level avxvnni when they are built for a CPU without AVX-VNNI: its two instructions in
 * AVX2, as the manual describes them (no saturation). Tests only. */
#ifndef WEFT_TESTS_EMULATED_AVXVNNI_H
#define WEFT_TESTS_EMULATED_AVXVNNI_H

#include <immintrin.h>

#define WEFT_EMULATE_AVXVNNI

/* sum + four products of the unsigned bytes of u and the signed ones of s: at most 2 * 255 * 128 in a pair of 16 bits
 * would not fit, so even and odd bytes go apart. */
static inline __m256i emulated_dpbusd(__m256i sum, __m256i u, __m256i s) {
    __m256i u_even = _mm256_and_si256(u, _mm256_set1_epi16(255)), u_odd = _mm256_srli_epi16(u, 8);
    __m256i s_even = _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8), s_odd = _mm256_srai_epi16(s, 8);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(u_even, s_even));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(u_odd, s_odd));
}
static inline __m256i emulated_dpwssd(__m256i sum, __m256i a, __m256i b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd
#define _mm256_dpwssd_avx_epi32 emulated_dpwssd

#endif
