/* Quants of packed weights in AVX2 registers, eight outputs at a time: what the levels of this width share. See
 * packed.h for the layout. */
#ifndef WEFT_KERNELS_X86_AVX2_PACKED_H
#define WEFT_KERNELS_X86_AVX2_PACKED_H

#include "kernels/x86/packed_scales.h"

typedef __m256i bytes;

WEFT_INLINE bytes load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
WEFT_INLINE bytes four(const void *p) { /* four activations, for every output */
    int32_t v;
    memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}
WEFT_INLINE bytes low_nibbles(bytes v) {
    return _mm256_and_si256(v, _mm256_set1_epi8(15));
}
WEFT_INLINE bytes high_nibbles(bytes v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

/* Quant vectors of step v (low) and v + 4 (high) for eight outputs; v a constant. */
WEFT_INLINE void quants_45_6(const int bits, const int v, const uint8_t *q, bytes *low, bytes *high) {
    bytes nibbles = load(q + 64 * v);
    *low = low_nibbles(nibbles);
    *high = high_nibbles(nibbles);
    if (bits == 5) {
        bytes plane = load(q + 256), sixteen = _mm256_set1_epi8(16);
        *low = _mm256_or_si256(*low, _mm256_and_si256(_mm256_slli_epi16(plane, 4 - v), sixteen));
        *high = _mm256_or_si256(*high, _mm256_and_si256(_mm256_srli_epi16(plane, v), sixteen));
    }
    if (bits == 6) {
        bytes p0 = load(q + 256), p1 = load(q + 320), two = _mm256_set1_epi8(0x30);
        bytes t0 = v < 2 ? _mm256_slli_epi16(p0, 4 - 2 * v) : _mm256_srli_epi16(p0, 2 * v - 4);
        bytes t1 = v < 2 ? _mm256_slli_epi16(p1, 4 - 2 * v) : _mm256_srli_epi16(p1, 2 * v - 4);
        *low = _mm256_or_si256(*low, _mm256_and_si256(t0, two));
        *high = _mm256_or_si256(*high, _mm256_and_si256(t1, two));
    }
}

#endif
