/* A square of 32-bit words, transposed in registers. */
#ifndef WEFT_KERNELS_X86_AVX512_TRANSPOSE_H
#define WEFT_KERNELS_X86_AVX512_TRANSPOSE_H

#include "kernels/x86/common.h"

/* Sixteen rows of sixteen words to sixteen columns: in stage s, words whose index has bit s change places with those of
 * the row s away that have not. */
WEFT_INLINE void transpose16(__m512i *v) {
#pragma GCC unroll 4
    for (int s = 1; s < 16; s *= 2) {
        int32_t low[16], high[16];
        for (int l = 0; l < 16; l++) {
            low[l] = l & s ? 16 + l - s : l;
            high[l] = l & s ? 16 + l : l + s;
        }
        const __m512i pick_low = _mm512_loadu_si512(low), pick_high = _mm512_loadu_si512(high);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i & s) continue;
            __m512i a = v[i], b = v[i + s];
            v[i] = _mm512_permutex2var_epi32(a, pick_low, b);
            v[i + s] = _mm512_permutex2var_epi32(a, pick_high, b);
        }
    }
}

#endif
