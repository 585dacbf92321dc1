/* Vectors of eight floats, in the words that the kernels of ../vector are written in.
 *
 * Loads and stores need no alignment. vf_min and vf_max return their second operand when either is NaN. */
#ifndef WEFT_KERNELS_X86_AVX2_H
#define WEFT_KERNELS_X86_AVX2_H

#include "kernels/x86/common.h"

#if defined(WITH_VNNI)
#define LEVEL(name) weft_avxvnni_##name
#else
#define LEVEL(name) weft_avx2_##name
#endif

enum { VF = 8, TILE_M = 6, TILE_N = 16 };
/* Calls STEP(i) for the rows of a tile, and for every VF-th of 16 and 32. */
#define EACH_TILE_ROW(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5)
/* The heights that gemm_tile is compiled for, least first. */
#define EACH_GEMM_ROWS(STEP) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6)
#define EACH_OF_16(STEP)     STEP(0) STEP(8)
#define EACH_OF_32(STEP)     STEP(0) STEP(8) STEP(16) STEP(24)

typedef __m256 vf;
typedef __m256i vi;

WEFT_INLINE vf vf_zero(void) {
    return _mm256_setzero_ps();
}
WEFT_INLINE vf vf_set(float v) {
    return _mm256_set1_ps(v);
}
WEFT_INLINE vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
WEFT_INLINE void vf_store(float *p, vf v) {
    _mm256_storeu_ps(p, v);
}
WEFT_INLINE vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
WEFT_INLINE vf vf_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
WEFT_INLINE vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
WEFT_INLINE vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
WEFT_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
} /* a * b + c */
WEFT_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return _mm256_fnmadd_ps(a, b, c);
} /* c - a * b */
WEFT_INLINE vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
WEFT_INLINE vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
WEFT_INLINE vf vf_abs(vf a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
WEFT_INLINE vf vf_copysign(vf magnitude, vf sign) {
    vf bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
}
/* a < b ? x : y, lane by lane; false for NaN. */
WEFT_INLINE vf vf_if_less(vf a, vf b, vf x, vf y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
WEFT_INLINE float vf_sum(vf v) {
    return s_sum(v);
}
WEFT_INLINE float vf_largest(vf v) {
    return s_max(v);
}
WEFT_INLINE void vf_sum4(float *out, vf a, vf b, vf c, vf d) {
    _mm_storeu_ps(out, s_sum4(a, b, c, d));
}
WEFT_INLINE vf vf_round(vf v) {
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* 0, 1, 2 … */
WEFT_INLINE vf vf_lanes(void) {
    return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
}

/* The first n < VF lanes; the others are zero, and nothing past n is read or written. */
WEFT_INLINE vf vf_load_n(const float *p, int64_t n) {
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes));
}
WEFT_INLINE void vf_store_n(float *p, vf v, int64_t n) { /* masked stores are slow on several CPUs */
    float lanes[8];
    _mm256_storeu_ps(lanes, v);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}

/* v * 2^n for integral n in -150 … 129. In two steps, so that subnormal results and infinity come out right. */
WEFT_INLINE vf vf_scale2(vf v, vf n) {
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half);
    __m256i one = _mm256_set1_epi32(127);
    v = _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, one), 23)));
    return _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, one), 23)));
}

/* The same when v and the result are normal numbers. */
WEFT_INLINE vf vf_scale2_normal(vf v, vf n) {
    __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), exponent));
}

/* VF stored values as f32. */
WEFT_INLINE vf vf_f16(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}
WEFT_INLINE vf vf_bf16(const void *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}
WEFT_INLINE vf vf_i8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}
/* E4M3's bits are those of a half whose exponent is eight less: exact, subnormals too; all ones is made a NaN. */
WEFT_INLINE vf vf_f8(const void *p) {
    __m128i b = _mm_cvtepu8_epi16(_mm_loadl_epi64(p)), all = _mm_set1_epi16(0x7F), abs = _mm_and_si128(b, all);
    __m128i half = _mm_or_si128(_mm_slli_epi16(abs, 7), _mm_slli_epi16(_mm_andnot_si128(all, b), 8));
    half = _mm_or_si128(half, _mm_and_si128(_mm_cmpeq_epi16(abs, all), _mm_set1_epi16(0x7E00)));
    return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256));
}
WEFT_INLINE void vf_store_f16(void *p, vf v) {
    _mm_storeu_si128(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
/* Rounded to the nearest int8, ties to even; v within int8. */
WEFT_INLINE void vf_store_i8(void *p, vf v) {
    __m256i i = _mm256_cvtps_epi32(v);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64(p, _mm_packs_epi16(words, words));
}

/* VF integers of 32 bits. */
WEFT_INLINE vi vi_u8(const void *p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(p));
}
WEFT_INLINE vi vi_i8(const void *p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(p));
}
/* 2 VF stored bytes as pairs of int16. */
WEFT_INLINE vi vi_i8_pairs(const void *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(p));
}
WEFT_INLINE vi vi_load(const void *p) {
    return _mm256_loadu_si256(p);
}
WEFT_INLINE void vi_store(void *p, vi v) {
    _mm256_storeu_si256(p, v);
}
WEFT_INLINE vi vi_spread(const void *p) { /* 32 bits in all lanes */
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}
WEFT_INLINE vi vi_round(vf v) {
    return _mm256_cvtps_epi32(v);
}
/* sum + a.low * b.low + a.high * b.high, lanes being pairs of int16; with VNNI also the four products of the unsigned
 * bytes of a and the signed bytes of b. In assembly, because gcc computes all products of a tile before the first sum,
 * and then registers do not suffice; the emulation of the tests has only the intrinsics. */
#define HAVE_DOT2
#if defined(WITH_VNNI)
#define HAVE_DOT4
WEFT_INLINE vi vi_dot2(vi sum, vi a, vi b) {
#if defined(WEFT_EMULATE_AVXVNNI)
    return _mm256_dpwssd_avx_epi32(sum, a, b);
#else
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
#endif
}
WEFT_INLINE vi vi_dot4(vi sum, vi a, vi b) {
#if defined(WEFT_EMULATE_AVXVNNI)
    return _mm256_dpbusd_avx_epi32(sum, a, b);
#else
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
#endif
}
#else
WEFT_INLINE vi vi_dot2(vi sum, vi a, vi b) {
    vi product;
    __asm__("vpmaddwd %3, %2, %0\n\tvpaddd %0, %1, %1" : "=&x"(product), "+x"(sum) : "x"(a), "x"(b));
    return sum;
}
#endif
WEFT_INLINE vi vi_set(int v) {
    return _mm256_set1_epi32(v);
}
WEFT_INLINE vi vi_and(vi a, vi b) {
    return _mm256_and_si256(a, b);
}
WEFT_INLINE vi vi_or(vi a, vi b) {
    return _mm256_or_si256(a, b);
}
WEFT_INLINE vi vi_sub(vi a, vi b) {
    return _mm256_sub_epi32(a, b);
}
#define vi_right(a, bits) _mm256_srli_epi32(a, bits)
#define vi_left(a, bits)  _mm256_slli_epi32(a, bits)
WEFT_INLINE vi vi_right_by(vi a, vi bits) {
    return _mm256_srlv_epi32(a, bits);
}
WEFT_INLINE vf vi_to_f32(vi a) {
    return _mm256_cvtepi32_ps(a);
}
/* Lane j is 16 where bit j of `bits` is set, 0 elsewhere. */
WEFT_INLINE vi vi_sixteen_where(uint32_t bits) {
    __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), lane), lane);
    return _mm256_and_si256(set, _mm256_set1_epi32(16));
}

#endif
