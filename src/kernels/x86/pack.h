/* Packing of panels by 8x8 transposes, for both x86 levels: a transpose of 256-bit vectors keeps up with memory. */
#ifndef WEFT_KERNELS_X86_PACK_H
#define WEFT_KERNELS_X86_PACK_H

#include "kernels/x86/common.h"

WEFT_INLINE void s_transpose8(__m256 r[8]) {
    __m256 t0 = _mm256_unpacklo_ps(r[0], r[1]), t1 = _mm256_unpackhi_ps(r[0], r[1]);
    __m256 t2 = _mm256_unpacklo_ps(r[2], r[3]), t3 = _mm256_unpackhi_ps(r[2], r[3]);
    __m256 t4 = _mm256_unpacklo_ps(r[4], r[5]), t5 = _mm256_unpackhi_ps(r[4], r[5]);
    __m256 t6 = _mm256_unpacklo_ps(r[6], r[7]), t7 = _mm256_unpackhi_ps(r[6], r[7]);
    __m256 u0 = _mm256_shuffle_ps(t0, t2, 0x44), u1 = _mm256_shuffle_ps(t0, t2, 0xEE);
    __m256 u2 = _mm256_shuffle_ps(t1, t3, 0x44), u3 = _mm256_shuffle_ps(t1, t3, 0xEE);
    __m256 u4 = _mm256_shuffle_ps(t4, t6, 0x44), u5 = _mm256_shuffle_ps(t4, t6, 0xEE);
    __m256 u6 = _mm256_shuffle_ps(t5, t7, 0x44), u7 = _mm256_shuffle_ps(t5, t7, 0xEE);
    r[0] = _mm256_permute2f128_ps(u0, u4, 0x20);
    r[1] = _mm256_permute2f128_ps(u1, u5, 0x20);
    r[2] = _mm256_permute2f128_ps(u2, u6, 0x20);
    r[3] = _mm256_permute2f128_ps(u3, u7, 0x20);
    r[4] = _mm256_permute2f128_ps(u0, u4, 0x31);
    r[5] = _mm256_permute2f128_ps(u1, u5, 0x31);
    r[6] = _mm256_permute2f128_ps(u2, u6, 0x31);
    r[7] = _mm256_permute2f128_ps(u3, u7, 0x31);
}

/* Eight values of k from the (at most eight) rows of one group into columns g … g+7 of the panel. A group that is
 * narrower than eight spills into the first columns of the next k, which are written later: groups are written last to
 * first, and `last` says that no next k exists. */
WEFT_INLINE void s_pack_group(float *out, int width, int g, const float *x, int64_t stride, int count, int last) {
    __m256 r[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) r[j] = g + j < count ? _mm256_loadu_ps(x + (g + j) * stride) : _mm256_setzero_ps();
    s_transpose8(r);
    if (!last || g + 8 <= width) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) _mm256_storeu_ps(out + j * width + g, r[j]);
        return;
    }
#pragma GCC unroll 8
    for (int j = 0; j < 7; j++) _mm256_storeu_ps(out + j * width + g, r[j]);
    float rest[8];
    _mm256_storeu_ps(rest, r[7]);
    memcpy(out + 7 * width + g, rest, (size_t)(width - g) * sizeof *rest);
}

/* The slot `pack`. */
static void s_pack(float *out, int width, const float *x, int64_t stride, int count, int64_t k) {
    int64_t i = 0;
    for (; i + 8 <= k; i += 8)
        for (int g = (width - 1) / 8 * 8; g >= 0; g -= 8)
            s_pack_group(out + i * width, width, g, x + i, stride, count, i + 8 == k);
    for (; i < k; i++)
        for (int j = 0; j < width; j++) out[i * width + j] = j < count ? x[j * stride + i] : 0;
}

#endif
