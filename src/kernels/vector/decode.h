/* Blocks of quantised weights to vectors of f32, one function per type, for any vector width.
 *
 * The including file defines `sink`, a struct, and two functions that receive the values in order of storage:
 *   sink_take(s, m, offset, w)   VF values at `offset` (a constant) from where the sink stands; m is passed through
 *   sink_advance(s, values)      the sink moves on
 * and WEFT_DECODE_EXACT: 1 rounds as ref_dequantize.c does, 0 may fuse a product and a sum.
 * The layouts are described in ref_dequantize.c. */
#include "kernels/scalar.h"

/* d * q + add */
WEFT_INLINE vf decode_affine(vi q, vf d, vf add) {
    vf v = vi_to_f32(q);
    return WEFT_DECODE_EXACT ? vf_add(vf_mul(d, v), add) : vf_fma(v, d, add);
}

/* d * (q - zero), given minus = -zero * d */
WEFT_INLINE vf decode_centred(vi q, int zero, vf d, vf minus) {
    if (WEFT_DECODE_EXACT) return vf_mul(d, vi_to_f32(vi_sub(q, vi_set(zero))));
    return vf_fma(vi_to_f32(q), d, minus);
}

WEFT_INLINE vi low_nibbles(vi q) {
    return vi_and(q, vi_set(15));
}

WEFT_INLINE void decode_q4_0(sink *s, const int m, const uint8_t *b) {
    float scale = s_f16(b);
    vf d = vf_set(scale), minus = vf_set(-8 * scale);
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        vi q = vi_u8(b + 2 + i);                                                                                       \
        sink_take(s, m, i, decode_centred(low_nibbles(q), 8, d, minus));                                               \
        sink_take(s, m, 16 + i, decode_centred(vi_right(q, 4), 8, d, minus));                                          \
    }
    EACH_OF_16(STEP)
#undef STEP
    sink_advance(s, 32);
}

WEFT_INLINE void decode_q4_1(sink *s, const int m, const uint8_t *b) {
    vf d = vf_set(s_f16(b)), min = vf_set(s_f16(b + 2));
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        vi q = vi_u8(b + 4 + i);                                                                                       \
        sink_take(s, m, i, decode_affine(low_nibbles(q), d, min));                                                     \
        sink_take(s, m, 16 + i, decode_affine(vi_right(q, 4), d, min));                                                \
    }
    EACH_OF_16(STEP)
#undef STEP
    sink_advance(s, 32);
}

WEFT_INLINE void decode_q5_0(sink *s, const int m, const uint8_t *b) {
    float scale = s_f16(b);
    uint32_t high = weft_load_u32(b + 2);
    vf d = vf_set(scale), minus = vf_set(-16 * scale);
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        vi q = vi_u8(b + 6 + i);                                                                                       \
        vi low = vi_or(low_nibbles(q), vi_sixteen_where(high >> i));                                                   \
        vi top = vi_or(vi_right(q, 4), vi_sixteen_where(high >> (16 + i)));                                            \
        sink_take(s, m, i, decode_centred(low, 16, d, minus));                                                         \
        sink_take(s, m, 16 + i, decode_centred(top, 16, d, minus));                                                    \
    }
    EACH_OF_16(STEP)
#undef STEP
    sink_advance(s, 32);
}

WEFT_INLINE void decode_q5_1(sink *s, const int m, const uint8_t *b) {
    uint32_t high = weft_load_u32(b + 4);
    vf d = vf_set(s_f16(b)), min = vf_set(s_f16(b + 2));
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        vi q = vi_u8(b + 8 + i);                                                                                       \
        vi low = vi_or(low_nibbles(q), vi_sixteen_where(high >> i));                                                   \
        vi top = vi_or(vi_right(q, 4), vi_sixteen_where(high >> (16 + i)));                                            \
        sink_take(s, m, i, decode_affine(low, d, min));                                                                \
        sink_take(s, m, 16 + i, decode_affine(top, d, min));                                                           \
    }
    EACH_OF_16(STEP)
#undef STEP
    sink_advance(s, 32);
}

WEFT_INLINE void decode_q8_0(sink *s, const int m, const uint8_t *b) {
    vf d = vf_set(s_f16(b));
#define STEP(i) sink_take(s, m, i, vf_mul(vf_i8(b + 2 + i), d));
    EACH_OF_32(STEP)
#undef STEP
    sink_advance(s, 32);
}

/* d * scale and -dmin * min of the eight groups: weft_k_scale_min, four bytes at a time. */
WEFT_INLINE void decode_k_scales(float scale[8], float minus[8], const uint8_t *b) {
    uint32_t s03 = weft_load_u32(b + 4), m03 = weft_load_u32(b + 8), low = weft_load_u32(b + 12);
    uint64_t s47 = (low & 0x0F0F0F0F) | (s03 >> 2 & 0x30303030),
             m47 = (low >> 4 & 0x0F0F0F0F) | (m03 >> 2 & 0x30303030);
    s_scales_u8(scale, (s03 & 0x3F3F3F3F) | s47 << 32, s_f16(b));
    s_scales_u8(minus, (m03 & 0x3F3F3F3F) | m47 << 32, -s_f16(b + 2));
}

WEFT_INLINE void decode_q4_k(sink *s, const int m, const uint8_t *b) {
    float scale[8], minus[8];
    decode_k_scales(scale, minus, b);
    const uint8_t *run = b + 16;
    for (int j = 0; j < 8; j += 2, run += 32) {
        vf d0 = vf_set(scale[j]), d1 = vf_set(scale[j + 1]), min0 = vf_set(minus[j]), min1 = vf_set(minus[j + 1]);
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        vi q = vi_u8(run + i);                                                                                         \
        sink_take(s, m, i, decode_affine(low_nibbles(q), d0, min0));                                                   \
        sink_take(s, m, 32 + i, decode_affine(vi_right(q, 4), d1, min1));                                              \
    }
        EACH_OF_32(STEP)
#undef STEP
        sink_advance(s, 64);
    }
}

WEFT_INLINE void decode_q5_k(sink *s, const int m, const uint8_t *b) {
    float scale[8], minus[8];
    decode_k_scales(scale, minus, b);
    const uint8_t *run = b + 48;
    for (int j = 0; j < 8; j += 2, run += 32) {
        vf d0 = vf_set(scale[j]), d1 = vf_set(scale[j + 1]), min0 = vf_set(minus[j]), min1 = vf_set(minus[j + 1]);
        vi shift = vi_set(j);
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        vi q = vi_u8(run + i), high = vi_right_by(vi_u8(b + 16 + i), shift);                                           \
        vi low = vi_or(low_nibbles(q), vi_left(vi_and(high, vi_set(1)), 4));                                           \
        vi top = vi_or(vi_right(q, 4), vi_left(vi_and(high, vi_set(2)), 3));                                           \
        sink_take(s, m, i, decode_affine(low, d0, min0));                                                              \
        sink_take(s, m, 32 + i, decode_affine(top, d1, min1));                                                         \
    }
        EACH_OF_32(STEP)
#undef STEP
        sink_advance(s, 64);
    }
}

WEFT_INLINE void decode_q6_k(sink *s, const int m, const uint8_t *b) {
    float scales[16];
    float d = s_f16(b + 208);
    s_scales_i8(scales, b + 192, d);
    s_scales_i8(scales + 8, b + 200, d);
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = b + 64 * half, *qh = b + 128 + 32 * half;
        const float *scale = scales + 8 * half;
#define GROUP(group, i, q)                                                                                             \
    {                                                                                                                  \
        float factor = scale[2 * group + i / 16];                                                                      \
        sink_take(s, m, 32 * group + i, decode_centred(q, 32, vf_set(factor), vf_set(-32 * factor)));                  \
    }
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        vi q0 = vi_u8(ql + i), q1 = vi_u8(ql + 32 + i), high = vi_u8(qh + i), two = vi_set(0x30);                      \
        GROUP(0, i, vi_or(low_nibbles(q0), vi_and(vi_left(high, 4), two)))                                             \
        GROUP(1, i, vi_or(low_nibbles(q1), vi_and(vi_left(high, 2), two)))                                             \
        GROUP(2, i, vi_or(vi_right(q0, 4), vi_and(high, two)))                                                         \
        GROUP(3, i, vi_or(vi_right(q1, 4), vi_and(vi_right(high, 2), two)))                                            \
    }
        EACH_OF_32(STEP)
#undef STEP
#undef GROUP
        sink_advance(s, 128);
    }
}

/* `type` is a constant; the plain types (one value per block) are not decoded here. */
WEFT_INLINE void decode_block(const weft_type type, sink *s, const int m, const uint8_t *b) {
    switch (type) {
    case WEFT_Q4_0: decode_q4_0(s, m, b); break;
    case WEFT_Q4_1: decode_q4_1(s, m, b); break;
    case WEFT_Q5_0: decode_q5_0(s, m, b); break;
    case WEFT_Q5_1: decode_q5_1(s, m, b); break;
    case WEFT_Q8_0: decode_q8_0(s, m, b); break;
    case WEFT_Q4_K: decode_q4_k(s, m, b); break;
    case WEFT_Q5_K: decode_q5_k(s, m, b); break;
    case WEFT_Q6_K: decode_q6_k(s, m, b); break;
    default: break;
    }
}

/* VF values of a plain type. */
WEFT_INLINE vf decode_plain(const weft_type type, const uint8_t *p) {
    switch (type) {
    case WEFT_F16: return vf_f16(p);
    case WEFT_BF16: return vf_bf16(p);
    case WEFT_F8_E4M3: return vf_f8(p);
    default: {
        vf v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    }
}

/* The first n < VF of them; reads nothing past them. */
WEFT_INLINE vf decode_plain_n(const weft_type type, const uint8_t *p, int64_t n, const size_t size) {
    uint8_t bytes[VF * 4] = {0};
    memcpy(bytes, p, (size_t)n * size);
    return decode_plain(type, bytes);
}
