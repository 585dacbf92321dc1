/* Quants, scales and minima of packed weights in AVX-512 registers, sixteen outputs at a time: what the levels above it
 * share. See packed.h for the layout. */
#ifndef WEFT_KERNELS_X86_AVX512_PACKED_H
#define WEFT_KERNELS_X86_AVX512_PACKED_H

#include "kernels/x86/packed_scales.h"

typedef __m512i bytes;

WEFT_INLINE bytes load(const void *p) {
    return _mm512_loadu_si512(p);
}
WEFT_INLINE bytes four(const void *p) { /* four activations, for every output */
    int32_t v;
    memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}
WEFT_INLINE bytes low_nibbles(bytes v) {
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}
WEFT_INLINE bytes high_nibbles(bytes v) {
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}

/* Quant vectors of step v (low) and v + 4 (high); v a constant. */
WEFT_INLINE void quants_45_6(const int bits, const int v, const uint8_t *q, bytes *low, bytes *high) {
    bytes nibbles = load(q + 64 * v);
    *low = low_nibbles(nibbles);
    *high = high_nibbles(nibbles);
    if (bits == 5) {
        bytes plane = load(q + 256), sixteen = _mm512_set1_epi8(16);
        *low = _mm512_or_si512(*low, _mm512_and_si512(_mm512_slli_epi16(plane, 4 - v), sixteen));
        *high = _mm512_or_si512(*high, _mm512_and_si512(_mm512_srli_epi16(plane, v), sixteen));
    }
    if (bits == 6) {
        bytes p0 = load(q + 256), p1 = load(q + 320), two = _mm512_set1_epi8(0x30);
        bytes t0 = v < 2 ? _mm512_slli_epi16(p0, v < 2 ? 4 - 2 * v : 0) : _mm512_srli_epi16(p0, v < 2 ? 0 : 2 * v - 4);
        bytes t1 = v < 2 ? _mm512_slli_epi16(p1, v < 2 ? 4 - 2 * v : 0) : _mm512_srli_epi16(p1, v < 2 ? 0 : 2 * v - 4);
        *low = _mm512_or_si512(*low, _mm512_and_si512(t0, two));
        *high = _mm512_or_si512(*high, _mm512_and_si512(t1, two));
    }
}

WEFT_INLINE __m512 halves16(const uint8_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
WEFT_INLINE __m512 bytes16(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
WEFT_INLINE __m512 signed_bytes16(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

/* s_scale_min for all sixteen outputs. */
WEFT_INLINE void scale_min(const packed_scales kind, const int zero, const uint8_t *s, int j, __m512 *scale,
                           __m512 *min) {
    __m512 d = halves16(s);
    switch (kind) {
    case SCALES_DM:
        *scale = d;
        *min = _mm512_sub_ps(_mm512_setzero_ps(), halves16(s + 32));
        return;
    case SCALES_K:
        *scale = _mm512_mul_ps(d, bytes16(s + 64 + 16 * j));
        *min = _mm512_mul_ps(halves16(s + 32), bytes16(s + 192 + 16 * j));
        return;
    case SCALES_Q6: *scale = _mm512_mul_ps(d, signed_bytes16(s + 32 + 16 * j)); break;
    default: *scale = d; break;
    }
    *min = _mm512_mul_ps(*scale, _mm512_set1_ps((float)zero));
}

#endif
