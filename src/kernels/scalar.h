/* Single values: unaligned loads and the small float formats.
 *
 * Weights come from mapped files and have whatever alignment the file has, so everything is read through memcpy. */
#ifndef WEFT_KERNELS_SCALAR_H
#define WEFT_KERNELS_SCALAR_H

#include <stdint.h>
#include <string.h>

static inline uint16_t weft_load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t weft_load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float weft_load_f32(const void *p) {
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float weft_bits_f32(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* IEEE binary16, exact, subnormals, infinities and NaNs included. */
static inline float weft_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
    if (exponent == 0) { /* mantissa * 2^-24; the product is exact */
        float v = (float)mantissa * 5.9604644775390625e-8f;
        return sign ? -v : v;
    }
    if (exponent == 31) return weft_bits_f32(sign | 0x7F800000 | mantissa << 13);
    return weft_bits_f32(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* Rounds to nearest, ties to even; overflow gives infinity, NaN stays a (quiet) NaN. */
static inline uint16_t weft_f32_to_f16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, abs = bits & 0x7FFFFFFF;
    if (abs > 0x7F800000) return (uint16_t)(sign | 0x7E00 | (abs >> 13 & 0x1FF));
    if (abs >= 0x477FF000) return (uint16_t)(sign | 0x7C00); /* 65520 and above round to infinity */
    uint32_t value, rest, half;
    if (abs < 0x38800000) {                          /* below 2^-14: a subnormal half, in units of 2^-24 */
        if (abs < 0x33000000) return (uint16_t)sign; /* below 2^-25 */
        uint32_t shift = 126 - (abs >> 23), mantissa = (abs & 0x7FFFFF) | 0x800000;
        value = mantissa >> shift;
        rest = mantissa & ((1u << shift) - 1);
        half = 1u << (shift - 1);
    } else {
        value = (abs - 0x38000000) >> 13;
        rest = abs & 0x1FFF;
        half = 0x1000;
    }
    if (rest > half || (rest == half && (value & 1))) value++;
    return (uint16_t)(sign | value);
}

/* E4M3FN as torch.float8_e4m3fn: bias 7, no infinities, S.1111.111 is NaN. */
static inline float weft_f8_to_f32(uint8_t b) {
    uint32_t sign = (uint32_t)(b & 0x80) << 24, exponent = (b >> 3) & 15, mantissa = b & 7;
    if (exponent == 0) { /* mantissa * 2^-9 */
        float v = (float)mantissa * 0.001953125f;
        return sign ? -v : v;
    }
    if (exponent == 15 && mantissa == 7) return weft_bits_f32(sign | 0x7FC00000);
    return weft_bits_f32(sign | (exponent + 120) << 23 | mantissa << 20);
}

/* The 6-bit scale and minimum of group j (0 … 7) of Q4_K and Q5_K. 12 bytes: scales of groups 0-3 in the low six bits
 * of bytes 0-3, minima in bytes 4-7; groups 4-7 have their low four bits in bytes 8-11 (scale low nibble, minimum high
 * nibble) and their high two bits in the top bits of bytes 0-3 and 4-7. */
static inline void weft_k_scale_min(const uint8_t *packed, int j, int *scale, int *min) {
    if (j < 4) {
        *scale = packed[j] & 63;
        *min = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
        *min = packed[j + 4] >> 4 | (packed[j] >> 6) << 4;
    }
}

#endif
