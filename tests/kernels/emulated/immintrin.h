/* Stands before the compiler's immintrin.h when the AVX-512 kernels are built for a CPU without AVX-512: SIMDe has most
 * intrinsics, what it lacks follows here in plain C, lane by lane as the manual describes it. Tests only. */
#ifndef WEFT_TESTS_EMULATED_IMMINTRIN_H
#define WEFT_TESTS_EMULATED_IMMINTRIN_H

#include_next <immintrin.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#undef _mm512_madd_epi16 /* SIMDe 0.7 gives this name the arguments of the masked form */
#define _mm512_madd_epi16 simde_mm512_madd_epi16
#undef _mm512_extractf32x8_ps
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_roundscale_ps
#undef _mm512_scalef_ps
#undef _mm512_reduce_ps
#undef _mm512_reduce_max_epi32
#undef _mm512_reduce_add_epi32
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtepi32_epi8
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepu16_epi32
#define _mm512_extractf32x8_ps emulated_extract8
#define _mm512_rcp14_ps        emulated_reciprocal
#define _mm512_maskz_loadu_ps  emulated_maskz_load
#define _mm512_mask_storeu_ps  emulated_mask_store
#define _mm512_roundscale_ps   emulated_round
#define _mm512_scalef_ps       emulated_scalef
#define _mm512_reduce_ps       emulated_fraction
#define _mm512_reduce_max_epi32 emulated_largest
#define _mm512_reduce_add_epi32 emulated_total
#define _mm512_cvtph_ps        emulated_from_half
#define _mm512_cvtps_ph        emulated_to_half
#define _mm512_cvtps_epi32     emulated_to_int
#define _mm512_cvtepi32_ps     emulated_from_int
#define _mm512_cvtepi32_epi8   emulated_to_bytes
#define _mm512_cvtepi8_epi32   emulated_from_i8
#define _mm512_cvtepu8_epi32   emulated_from_u8
#define _mm512_cvtepu16_epi32  emulated_from_u16

typedef struct emulated_floats {
    float lane[16];
} emulated_floats;
typedef struct emulated_ints {
    int32_t lane[16];
} emulated_ints;

#define EMULATED_CAST(name, to, from)                                                                                  \
    static inline to name(from v) {                                                                                    \
        to r;                                                                                                          \
        memcpy(&r, &v, sizeof r);                                                                                      \
        return r;                                                                                                      \
    }
EMULATED_CAST(emulated_split, emulated_floats, __m512)
EMULATED_CAST(emulated_join, __m512, emulated_floats)
EMULATED_CAST(emulated_split_ints, emulated_ints, __m512i)
EMULATED_CAST(emulated_join_ints, __m512i, emulated_ints)

static inline __m256 emulated_extract8(__m512 v, int half) {
    __m256 r;
    memcpy(&r, (const char *)&v + 32 * half, sizeof r);
    return r;
}

/* As far off as the manual allows. */
static inline __m512 emulated_reciprocal(__m512 v) {
    emulated_floats r = emulated_split(v);
    for (int i = 0; i < 16; i++) r.lane[i] = 1 / r.lane[i] * (1 + (i % 2 ? 1 : -1) * 0x1p-14f);
    return emulated_join(r);
}

static inline __m512 emulated_maskz_load(uint16_t mask, const float *p) {
    emulated_floats r = {{0}};
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1) r.lane[i] = p[i];
    return emulated_join(r);
}

static inline void emulated_mask_store(float *p, uint16_t mask, __m512 v) {
    emulated_floats s = emulated_split(v);
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1) p[i] = s.lane[i];
}

/* Only to the nearest integer: the mode that the kernels use. */
/* What rounding down to integers leaves: the one mode in use. */
static inline __m512 emulated_round(__m512 v, int mode) {
    (void)mode;
    emulated_floats s = emulated_split(v);
    for (int i = 0; i < 16; i++) s.lane[i] = rintf(s.lane[i]);
    return emulated_join(s);
}

static inline __m512 emulated_fraction(__m512 v, int mode) { /* rounding down is the only mode in use */
    (void)mode;
    emulated_floats s = emulated_split(v);
    for (int i = 0; i < 16; i++) s.lane[i] -= floorf(s.lane[i]);
    return emulated_join(s);
}

static inline int32_t emulated_largest(__m512i v) {
    emulated_ints s = emulated_split_ints(v);
    int32_t largest = s.lane[0];
    for (int i = 1; i < 16; i++) largest = s.lane[i] > largest ? s.lane[i] : largest;
    return largest;
}

static inline int32_t emulated_total(__m512i v) {
    emulated_ints s = emulated_split_ints(v);
    int32_t total = 0;
    for (int i = 0; i < 16; i++) total += s.lane[i];
    return total;
}

static inline __m512 emulated_scalef(__m512 v, __m512 n) {
    emulated_floats s = emulated_split(v), power = emulated_split(n);
    for (int i = 0; i < 16; i++)
        s.lane[i] = isnan(power.lane[i]) ? power.lane[i] : ldexpf(s.lane[i], (int)floorf(power.lane[i]));
    return emulated_join(s);
}

static inline __m512 emulated_from_half(__m256i v) {
    __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(v)), high = _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1));
    __m512 r;
    memcpy(&r, &low, 32);
    memcpy((char *)&r + 32, &high, 32);
    return r;
}

static inline __m256i emulated_to_half(__m512 v, int mode) {
    (void)mode;
    return _mm256_set_m128i(_mm256_cvtps_ph(emulated_extract8(v, 1), _MM_FROUND_TO_NEAREST_INT),
                            _mm256_cvtps_ph(emulated_extract8(v, 0), _MM_FROUND_TO_NEAREST_INT));
}

static inline __m512i emulated_to_int(__m512 v) {
    emulated_floats s = emulated_split(v);
    emulated_ints r;
    for (int i = 0; i < 16; i++) r.lane[i] = _mm_cvtss_si32(_mm_set_ss(s.lane[i]));
    return emulated_join_ints(r);
}

static inline __m512 emulated_from_int(__m512i v) {
    emulated_ints s = emulated_split_ints(v);
    emulated_floats r;
    for (int i = 0; i < 16; i++) r.lane[i] = (float)s.lane[i];
    return emulated_join(r);
}

static inline __m128i emulated_to_bytes(__m512i v) {
    emulated_ints s = emulated_split_ints(v);
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)s.lane[i];
    return _mm_loadu_si128((const __m128i *)bytes);
}

#define EMULATED_WIDEN(name, element, from)                                                                            \
    static inline __m512i name(from v) {                                                                               \
        element s[16];                                                                                                 \
        emulated_ints r;                                                                                               \
        memcpy(s, &v, sizeof s);                                                                                       \
        for (int i = 0; i < 16; i++) r.lane[i] = s[i];                                                                 \
        return emulated_join_ints(r);                                                                                  \
    }
EMULATED_WIDEN(emulated_from_i8, int8_t, __m128i)
EMULATED_WIDEN(emulated_from_u8, uint8_t, __m128i)
EMULATED_WIDEN(emulated_from_u16, uint16_t, __m256i)

#endif
