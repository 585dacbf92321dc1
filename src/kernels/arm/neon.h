/* Vectors of four floats (Advanced SIMD of every 64-bit ARM), in the words that the kernels of ../vector are written
 * in.
 *
 * Loads and stores need no alignment. vf_min and vf_max return their second operand when either is NaN. */
#ifndef WEFT_KERNELS_ARM_NEON_H
#define WEFT_KERNELS_ARM_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define WEFT_INLINE static inline __attribute__((always_inline))
#define LEVEL(name) weft_neon_##name

/* 24 sums, two vectors of b and one factor fill the 32 registers but for five. */
enum { VF = 4, TILE_M = 12, TILE_N = 8 };
/* Calls STEP(i) for the rows of a tile, and for every VF-th of 16 and 32. */
#define EACH_TILE_ROW(STEP)                                                                                            \
    STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11)
/* The heights that gemm_tile is compiled for, least first. */
#define EACH_GEMM_ROWS(STEP) STEP(1) STEP(2) STEP(4) STEP(8) STEP(12)
#define EACH_OF_16(STEP)     STEP(0) STEP(4) STEP(8) STEP(12)
#define EACH_OF_32(STEP)     EACH_OF_16(STEP) STEP(16) STEP(20) STEP(24) STEP(28)

typedef float32x4_t vf;
typedef int32x4_t vi;

WEFT_INLINE vf vf_zero(void) {
    return vdupq_n_f32(0);
}
WEFT_INLINE vf vf_set(float v) {
    return vdupq_n_f32(v);
}
WEFT_INLINE vf vf_load(const float *p) {
    return vld1q_f32(p);
}
WEFT_INLINE void vf_store(float *p, vf v) {
    vst1q_f32(p, v);
}
WEFT_INLINE vf vf_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
WEFT_INLINE vf vf_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
WEFT_INLINE vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
WEFT_INLINE vf vf_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
WEFT_INLINE vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
} /* a * b + c */
WEFT_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return vfmsq_f32(c, a, b);
} /* c - a * b */
/* a < b ? x : y, lane by lane; false for NaN. */
WEFT_INLINE vf vf_if_less(vf a, vf b, vf x, vf y) {
    return vbslq_f32(vcltq_f32(a, b), x, y);
}
WEFT_INLINE vf vf_min(vf a, vf b) {
    return vf_if_less(a, b, a, b);
}
WEFT_INLINE vf vf_max(vf a, vf b) {
    return vf_if_less(b, a, a, b);
}
WEFT_INLINE vf vf_abs(vf a) {
    return vabsq_f32(a);
}
WEFT_INLINE vf vf_copysign(vf magnitude, vf sign) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude);
}
WEFT_INLINE float vf_sum(vf v) {
    return vaddvq_f32(v);
}
WEFT_INLINE float vf_largest(vf v) {
    return vmaxvq_f32(v);
}
WEFT_INLINE void vf_sum4(float *out, vf a, vf b, vf c, vf d) {
    vst1q_f32(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}
WEFT_INLINE vf vf_round(vf v) {
    return vrndnq_f32(v);
}
/* 0, 1, 2 … */
WEFT_INLINE vf vf_lanes(void) {
    return (vf){0, 1, 2, 3};
}

/* The first n < VF lanes; the others are zero, and nothing past n is read or written. */
WEFT_INLINE vf vf_load_n(const float *p, int64_t n) {
    float lanes[4] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return vld1q_f32(lanes);
}
WEFT_INLINE void vf_store_n(float *p, vf v, int64_t n) {
    float lanes[4];
    vst1q_f32(lanes, v);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}

/* v * 2^n for integral n in -150 … 129. In two steps, so that subnormal results and infinity come out right. */
WEFT_INLINE vf vf_scale2(vf v, vf n) {
    int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1), rest = vsubq_s32(whole, half);
    int32x4_t one = vdupq_n_s32(127);
    v = vmulq_f32(v, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, one), 23)));
    return vmulq_f32(v, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, one), 23)));
}

/* The same when v and the result are normal numbers. */
WEFT_INLINE vf vf_scale2_normal(vf v, vf n) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(v), vshlq_n_s32(vcvtnq_s32_f32(n), 23)));
}

/* Four stored bytes, and four stored half words, as unsigned lanes of 16 bits. */
WEFT_INLINE uint16x4_t s_bytes(const void *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return vget_low_u16(vmovl_u8(vcreate_u8(word)));
}
WEFT_INLINE uint16x4_t s_halves(const void *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return vcreate_u16(word);
}

/* VF stored values as f32. */
WEFT_INLINE vf vf_f16(const void *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(s_halves(p)));
}
WEFT_INLINE vf vf_bf16(const void *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(s_halves(p), 16));
}
WEFT_INLINE vf vf_i8(const void *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(word)))));
}
/* E4M3's bits are those of a half whose exponent is eight less: exact, subnormals too; all ones is made a NaN. */
WEFT_INLINE vf vf_f8(const void *p) {
    uint16x4_t b = s_bytes(p), all = vdup_n_u16(0x7F), abs = vand_u16(b, all);
    uint16x4_t half = vorr_u16(vshl_n_u16(abs, 7), vshl_n_u16(vbic_u16(b, all), 8));
    half = vorr_u16(half, vand_u16(vceq_u16(abs, all), vdup_n_u16(0x7E00)));
    return vmulq_n_f32(vcvt_f32_f16(vreinterpret_f16_u16(half)), 256);
}
WEFT_INLINE void vf_store_f16(void *p, vf v) {
    uint16x4_t halves = vreinterpret_u16_f16(vcvt_f16_f32(v));
    memcpy(p, &halves, sizeof halves);
}
/* Rounded to the nearest int8, ties to even; v within int8. */
WEFT_INLINE void vf_store_i8(void *p, vf v) {
    int16x4_t words = vmovn_s32(vcvtnq_s32_f32(v));
    int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    memcpy(p, &bytes, 4);
}

/* VF integers of 32 bits. */
WEFT_INLINE vi vi_u8(const void *p) {
    return vreinterpretq_s32_u32(vmovl_u16(s_bytes(p)));
}
WEFT_INLINE vi vi_set(int v) {
    return vdupq_n_s32(v);
}
WEFT_INLINE vi vi_and(vi a, vi b) {
    return vandq_s32(a, b);
}
WEFT_INLINE vi vi_or(vi a, vi b) {
    return vorrq_s32(a, b);
}
WEFT_INLINE vi vi_sub(vi a, vi b) {
    return vsubq_s32(a, b);
}
#define vi_right(a, bits) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), bits))
#define vi_left(a, bits)  vshlq_n_s32(a, bits)
WEFT_INLINE vi vi_right_by(vi a, vi bits) {
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vnegq_s32(bits)));
}
WEFT_INLINE vf vi_to_f32(vi a) {
    return vcvtq_f32_s32(a);
}
/* Lane j is 16 where bit j of `bits` is set, 0 elsewhere. */
WEFT_INLINE vi vi_sixteen_where(uint32_t bits) {
    const int32x4_t lane = {1, 2, 4, 8};
    return vreinterpretq_s32_u32(vandq_u32(vtstq_s32(vdupq_n_s32((int)bits), lane), vdupq_n_u32(16)));
}

/* One f16 as f32. */
WEFT_INLINE float s_f16(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}

/* out[8] = d * each of eight unsigned bytes. */
WEFT_INLINE void s_scales_u8(float *out, uint64_t bytes, float d) {
    uint16x8_t wide = vmovl_u8(vcreate_u8(bytes));
    vst1q_f32(out, vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide))), d));
    vst1q_f32(out + 4, vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(vget_high_u16(wide))), d));
}

/* out[8] = d * each of eight signed bytes. */
WEFT_INLINE void s_scales_i8(float *out, const void *bytes, float d) {
    int16x8_t wide = vmovl_s8(vld1_s8(bytes));
    vst1q_f32(out, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), d));
    vst1q_f32(out + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide))), d));
}

#endif
