/* Vectors of sixteen floats (AVX-512 F, BW, DQ, VL), in the words that the kernels of ../vector are written in.
 *
 * Loads and stores need no alignment. vf_min and vf_max return their second operand when either is NaN. */
#ifndef WEFT_KERNELS_X86_AVX512_H
#define WEFT_KERNELS_X86_AVX512_H

#include "kernels/x86/common.h"

#if defined(WITH_VNNI)
#define LEVEL(name) weft_avx512vnni_##name
#else
#define LEVEL(name) weft_avx512_##name
#endif

enum { VF = 16, TILE_M = 14, TILE_N = 32 };
/* Calls STEP(i) for the rows of a tile, and for every VF-th of 16 and 32. */
#define EACH_TILE_ROW(STEP)                                                                                            \
    STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11) STEP(12) STEP(13)
/* The heights that gemm_tile is compiled for, least first. */
#define EACH_GEMM_ROWS(STEP) STEP(1) STEP(2) STEP(4) STEP(8) STEP(14)
#define EACH_OF_16(STEP)     STEP(0)
#define EACH_OF_32(STEP)     STEP(0) STEP(16)

typedef __m512 vf;
typedef __m512i vi;

WEFT_INLINE vf vf_zero(void) {
    return _mm512_setzero_ps();
}
WEFT_INLINE vf vf_set(float v) {
    return _mm512_set1_ps(v);
}
WEFT_INLINE vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
WEFT_INLINE void vf_store(float *p, vf v) {
    _mm512_storeu_ps(p, v);
}
WEFT_INLINE vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
WEFT_INLINE vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
WEFT_INLINE vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
WEFT_INLINE vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
WEFT_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
} /* a * b + c */
WEFT_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return _mm512_fnmadd_ps(a, b, c);
} /* c - a * b */
WEFT_INLINE vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
WEFT_INLINE vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
WEFT_INLINE vf vf_abs(vf a) {
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}
WEFT_INLINE vf vf_copysign(vf magnitude, vf sign) {
    vf bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
}
/* a < b ? x : y, lane by lane; false for NaN. */
WEFT_INLINE vf vf_if_less(vf a, vf b, vf x, vf y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
WEFT_INLINE __m256 vf_halves_added(vf v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
WEFT_INLINE float vf_sum(vf v) {
    return s_sum(vf_halves_added(v));
}
WEFT_INLINE float vf_largest(vf v) {
    return s_max(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}
WEFT_INLINE void vf_sum4(float *out, vf a, vf b, vf c, vf d) {
    _mm_storeu_ps(out, s_sum4(vf_halves_added(a), vf_halves_added(b), vf_halves_added(c), vf_halves_added(d)));
}
WEFT_INLINE vf vf_round(vf v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* 0, 1, 2 … */
WEFT_INLINE vf vf_lanes(void) {
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/* The first n < VF lanes; the others are zero, and nothing past n is read or written. */
WEFT_INLINE vf vf_load_n(const float *p, int64_t n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
WEFT_INLINE void vf_store_n(float *p, vf v, int64_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}

/* v * 2^n for integral n; subnormal results and infinity come out right. */
WEFT_INLINE vf vf_scale2(vf v, vf n) {
    return _mm512_scalef_ps(v, n);
}

WEFT_INLINE vf vf_scale2_normal(vf v, vf n) {
    return _mm512_scalef_ps(v, n);
}
/* x less the next lower integer, and v times two to that integer. */
#define HAVE_SCALE2_FLOOR
WEFT_INLINE vf vf_fraction(vf x) {
    return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
WEFT_INLINE vf vf_scale2_floor(vf v, vf x) {
    return _mm512_scalef_ps(v, x);
}

/* VF stored values as f32. */
WEFT_INLINE vf vf_f16(const void *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}
WEFT_INLINE vf vf_bf16(const void *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16));
}
WEFT_INLINE vf vf_i8(const void *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}
/* E4M3's bits are those of a half whose exponent is eight less: exact, subnormals too; all ones is made a NaN. */
WEFT_INLINE vf vf_f8(const void *p) {
    __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128(p)), all = _mm256_set1_epi16(0x7F), abs = _mm256_and_si256(b, all);
    __m256i half = _mm256_or_si256(_mm256_slli_epi16(abs, 7), _mm256_slli_epi16(_mm256_andnot_si256(all, b), 8));
    half = _mm256_or_si256(half, _mm256_and_si256(_mm256_cmpeq_epi16(abs, all), _mm256_set1_epi16(0x7E00)));
    return _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256));
}
WEFT_INLINE void vf_store_f16(void *p, vf v) {
    _mm256_storeu_si256(p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* Rounded to the nearest int8, ties to even; v within int8. */
WEFT_INLINE void vf_store_i8(void *p, vf v) {
    _mm_storeu_si128(p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

/* VF integers of 32 bits. */
WEFT_INLINE vi vi_u8(const void *p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(p));
}
WEFT_INLINE vi vi_i8(const void *p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(p));
}
/* 2 VF stored bytes as pairs of int16. */
WEFT_INLINE vi vi_i8_pairs(const void *p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(p));
}
WEFT_INLINE vi vi_load(const void *p) {
    return _mm512_loadu_si512(p);
}
WEFT_INLINE void vi_store(void *p, vi v) {
    _mm512_storeu_si512(p, v);
}
WEFT_INLINE vi vi_spread(const void *p) { /* 32 bits in all lanes */
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}
WEFT_INLINE vi vi_round(vf v) {
    return _mm512_cvtps_epi32(v);
}
/* sum + a.low * b.low + a.high * b.high, lanes being pairs of int16; and sum + the four products of the unsigned bytes
 * of a and the signed bytes of b. In assembly, because gcc copies every sum of a tile to the stack otherwise; the
 * emulation of the tests has only the intrinsics. */
#define HAVE_DOT2
#if defined(WITH_VNNI)
#define HAVE_DOT4
WEFT_INLINE vi vi_dot2(vi sum, vi a, vi b) {
#if defined(WEFT_TESTS_EMULATED_IMMINTRIN_H)
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
#endif
}
WEFT_INLINE vi vi_dot4(vi sum, vi a, vi b) {
#if defined(WEFT_TESTS_EMULATED_IMMINTRIN_H)
    return _mm512_dpbusd_epi32(sum, a, b);
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
#endif
}
#else
WEFT_INLINE vi vi_dot2(vi sum, vi a, vi b) {
#if defined(WEFT_TESTS_EMULATED_IMMINTRIN_H)
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#else
    vi product;
    __asm__("vpmaddwd %3, %2, %0\n\tvpaddd %0, %1, %1" : "=&v"(product), "+v"(sum) : "v"(a), "v"(b));
    return sum;
#endif
}
#endif
WEFT_INLINE vi vi_set(int v) {
    return _mm512_set1_epi32(v);
}
WEFT_INLINE vi vi_and(vi a, vi b) {
    return _mm512_and_si512(a, b);
}
WEFT_INLINE vi vi_or(vi a, vi b) {
    return _mm512_or_si512(a, b);
}
WEFT_INLINE vi vi_sub(vi a, vi b) {
    return _mm512_sub_epi32(a, b);
}
#define vi_right(a, bits) _mm512_srli_epi32(a, bits)
#define vi_left(a, bits)  _mm512_slli_epi32(a, bits)
WEFT_INLINE vi vi_right_by(vi a, vi bits) {
    return _mm512_srlv_epi32(a, bits);
}
WEFT_INLINE vf vi_to_f32(vi a) {
    return _mm512_cvtepi32_ps(a);
}
/* Lane j is 16 where bit j of `bits` is set, 0 elsewhere. */
WEFT_INLINE vi vi_sixteen_where(uint32_t bits) {
    return _mm512_maskz_mov_epi32((__mmask16)bits, _mm512_set1_epi32(16));
}

#endif
