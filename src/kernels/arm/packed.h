/* Quants, scales and minima of packed weights in NEON registers, four outputs at a time: what the levels with byte
 * products share. See packed.h of the folder above for the layout.
 *
 * The byte products of these levels take signed bytes on both sides. Types whose minimum is a multiple of their scale
 * (is_signed) give w = u - zero, which needs no minimum; the others have at most 5 bits, so u is a signed byte too. */
#ifndef WEFT_KERNELS_ARM_PACKED_H
#define WEFT_KERNELS_ARM_PACKED_H

#include <math.h>

#include "kernels/arm/neon.h"
#include "kernels/packed.h"

typedef int8x16_t bytes;

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

WEFT_INLINE bool is_signed(const packed_scales kind) {
    return kind == SCALES_D || kind == SCALES_Q6;
}
/* Bytes of the scales of 32 of k (D, DM) or of 256. */
WEFT_INLINE size_t scale_bytes(const packed_scales kind) {
    return kind == SCALES_D ? 32 : kind == SCALES_DM ? 64 : kind == SCALES_K ? 320 : 288;
}
WEFT_INLINE int scale_groups(const packed_scales kind) {
    return kind == SCALES_K || kind == SCALES_Q6 ? 8 : 1;
}
WEFT_INLINE size_t group_bytes(const int bits) {
    return bits == 4 ? 256 : bits == 5 ? 320 : bits == 6 ? 384 : 512;
}

/* Weights of step v (low) and v + 4 (high) for four outputs; `q`: their part of the group's planes, v a constant. */
WEFT_INLINE void weights(const int bits, const packed_scales kind, const int zero, const int v, const uint8_t *q,
                         bytes *low, bytes *high) {
    uint8x16_t l, h;
    if (bits == 8) {
        l = vld1q_u8(q + 64 * v);
        h = vld1q_u8(q + 64 * (v + 4));
    } else {
        uint8x16_t nibbles = vld1q_u8(q + 64 * v);
        l = vandq_u8(nibbles, vdupq_n_u8(15));
        h = vshrq_n_u8(nibbles, 4);
    }
    if (bits == 5) {
        uint8x16_t plane = vld1q_u8(q + 256), sixteen = vdupq_n_u8(16);
        l = vorrq_u8(l, vandq_u8(vshlq_u8(plane, vdupq_n_s8((int8_t)(4 - v))), sixteen));
        h = vorrq_u8(h, vandq_u8(vshlq_u8(plane, vdupq_n_s8((int8_t)-v)), sixteen));
    }
    if (bits == 6) {
        uint8x16_t two = vdupq_n_u8(0x30);
        int8x16_t by = vdupq_n_s8((int8_t)(4 - 2 * v));
        l = vorrq_u8(l, vandq_u8(vshlq_u8(vld1q_u8(q + 256), by), two));
        h = vorrq_u8(h, vandq_u8(vshlq_u8(vld1q_u8(q + 320), by), two));
    }
    *low = vreinterpretq_s8_u8(l);
    *high = vreinterpretq_s8_u8(h);
    if (is_signed(kind)) { /* 128 and -128 are the same byte */
        *low = vsubq_s8(*low, vdupq_n_s8((int8_t)zero));
        *high = vsubq_s8(*high, vdupq_n_s8((int8_t)zero));
    }
}

/* Scale and minimum of group j (of 32, Q6: of 16) of the run of scales at `s`, outputs 4 h … 4 h + 3. */
WEFT_INLINE void scale_min(const packed_scales kind, const uint8_t *s, int j, const int h, vf *scale, vf *min) {
    vf d = vf_f16(s + 8 * h);
    *scale = d;
    *min = vf_zero();
    if (kind == SCALES_Q6) *scale = vf_mul(d, vf_i8(s + 32 + 16 * j + 4 * h));
    if (kind == SCALES_DM) *min = vnegq_f32(vf_f16(s + 32 + 8 * h));
    if (kind == SCALES_K) {
        *scale = vf_mul(d, vi_to_f32(vi_u8(s + 64 + 16 * j + 4 * h)));
        *min = vf_mul(vf_f16(s + 32 + 8 * h), vi_to_f32(vi_u8(s + 192 + 16 * j + 4 * h)));
    }
}

/* All scales of a chunk into an opened panel. */
WEFT_INLINE void open_scales(const packed_scales kind, weft_open_panel *open, const uint8_t *s, int groups) {
    const int halves = kind == SCALES_Q6 ? 2 : 1, run = scale_groups(kind) * halves;
    for (int g = 0; g < groups * halves; g += run, s += scale_bytes(kind))
        for (int j = 0; j < run; j++)
            for (int h = 0; h < 4; h++) {
                vf scale, min;
                scale_min(kind, s, j, h, &scale, &min);
                vf_store(open->scale[g + j] + 4 * h, scale);
                vf_store(open->min[g + j] + 4 * h, min);
            }
}

/* One group of 32 activations, equal to ref_packed.c's to the last bit. */
static void quantize_group(weft_quants *out, int g, const float *x) {
    vf v[8];
    uint32x4_t most = vdupq_n_u32(0);
    for (int i = 0; i < 8; i++) {
        v[i] = vf_load(x + 4 * i);
        most = vmaxq_u32(most, vandq_u32(vreinterpretq_u32_f32(v[i]), vdupq_n_u32(0x7FFFFFFF)));
    }
    uint32_t bits = vmaxvq_u32(most);
    float largest = vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(bits)), 0);
    bool broken = bits >= 0x7F800000; /* an infinity or a NaN */
    if (broken || largest < WEFT_QUANT_LEAST) {
        memset(out->q + 32 * g, 0, 32);
        out->scale[g] = out->sum[g] = out->half_sum[2 * g] = out->half_sum[2 * g + 1] = broken ? NAN : 0;
        return;
    }
    const vf inverse = vf_set(127 / largest);
    float scale = largest / 127;
    int sums[2];
    for (int h = 0; h < 2; h++) {
        int32x4_t q0 = vcvtnq_s32_f32(vf_mul(v[4 * h], inverse)), q1 = vcvtnq_s32_f32(vf_mul(v[4 * h + 1], inverse));
        int32x4_t q2 = vcvtnq_s32_f32(vf_mul(v[4 * h + 2], inverse)),
                  q3 = vcvtnq_s32_f32(vf_mul(v[4 * h + 3], inverse));
        sums[h] = vaddvq_s32(vaddq_s32(vaddq_s32(q0, q1), vaddq_s32(q2, q3)));
        int16x8_t low = vcombine_s16(vmovn_s32(q0), vmovn_s32(q1)), high = vcombine_s16(vmovn_s32(q2), vmovn_s32(q3));
        vst1q_s8(out->q + 32 * g + 16 * h, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        out->half_sum[2 * g + h] = scale * (float)sums[h];
    }
    out->scale[g] = scale;
    out->sum[g] = scale * (float)(sums[0] + sums[1]);
}

/* The slot `quantize`. */
__attribute__((unused)) static void quantize(weft_quants *out, const float *x, int64_t n) {
    int g = 0;
    for (; 32 * (g + 1) <= n; g++) quantize_group(out, g, x + 32 * g);
    if (32 * g < n) {
        float last[32] = {0};
        memcpy(last, x + 32 * g, (size_t)(n - 32 * g) * sizeof *last);
        quantize_group(out, g++, last);
    }
    for (; g < WEFT_QUANT_GROUPS; g++) {
        memset(out->q + 32 * g, 0, 32);
        out->scale[g] = out->sum[g] = out->half_sum[2 * g] = out->half_sum[2 * g + 1] = 0;
    }
}

/* The scaled sums of four outputs of a row, added to what `to` holds. */
WEFT_INLINE void scale_sums(const bool has_min, float *to, int32x4_t total, const float *scale, const float *min,
                            float x_scale, float x_sum) {
    vf t = vf_load(to);
    if (has_min) t = vf_fnma(vf_load(min), vf_set(x_sum), t);
    vf_store(to, vf_fma(vcvtq_f32_s32(total), vf_mul(vf_load(scale), vf_set(x_scale)), t));
}

#endif
