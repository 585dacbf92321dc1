/* Packing of panels by 4x4 transposes. */
#ifndef WEFT_KERNELS_ARM_PACK_H
#define WEFT_KERNELS_ARM_PACK_H

#include "kernels/arm/neon.h"

/* r[i] becomes column i of the 4x4 block. */
WEFT_INLINE void s_transpose4(float32x4_t r[4]) {
    float32x4_t t0 = vtrn1q_f32(r[0], r[1]), t1 = vtrn2q_f32(r[0], r[1]);
    float32x4_t t2 = vtrn1q_f32(r[2], r[3]), t3 = vtrn2q_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(t0), vget_low_f32(t2));
    r[1] = vcombine_f32(vget_low_f32(t1), vget_low_f32(t3));
    r[2] = vcombine_f32(vget_high_f32(t0), vget_high_f32(t2));
    r[3] = vcombine_f32(vget_high_f32(t1), vget_high_f32(t3));
}

/* The slot `pack`: four values of k of four rows at a time, what is left over one by one. */
static void s_pack(float *out, int width, const float *x, int64_t stride, int count, int64_t k) {
    int64_t i = 0;
    int whole = width / 4 * 4;
    for (; i + 4 <= k; i += 4) {
        for (int g = 0; g < whole; g += 4) {
            float32x4_t r[4];
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) r[j] = g + j < count ? vld1q_f32(x + (g + j) * stride + i) : vf_zero();
            s_transpose4(r);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) vst1q_f32(out + (i + j) * width + g, r[j]);
        }
        for (int g = whole; g < width; g++)
            for (int j = 0; j < 4; j++) out[(i + j) * width + g] = g < count ? x[g * stride + i + j] : 0;
    }
    for (; i < k; i++)
        for (int j = 0; j < width; j++) out[i * width + j] = j < count ? x[j * stride + i] : 0;
}

#endif
