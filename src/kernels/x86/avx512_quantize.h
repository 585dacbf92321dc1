/* The quantisation of activations in AVX-512 VNNI, all sixteen groups of a chunk side by side: the slots `quantize`,
 * bit for bit the reference's, and `quantize_rows`. Everything is static. */
#ifndef WEFT_KERNELS_X86_AVX512_QUANTIZE_H
#define WEFT_KERNELS_X86_AVX512_QUANTIZE_H

#include <math.h>

#include "kernels/packed.h"
#include "kernels/x86/avx512_packed.h"


/* Four vectors to one: v[i][j] = op over lanes 4 j … 4 j + 3 of vector i comes to lane 4 j + i. */
#define FOUR_TO_ONE(op, v0, v1, v2, v3)                                                                                \
    op(_mm512_unpacklo_epi64(op(_mm512_unpacklo_epi32(v0, v1), _mm512_unpackhi_epi32(v0, v1)),                         \
                             op(_mm512_unpacklo_epi32(v2, v3), _mm512_unpackhi_epi32(v2, v3))),                        \
       _mm512_unpackhi_epi64(op(_mm512_unpacklo_epi32(v0, v1), _mm512_unpackhi_epi32(v0, v1)),                         \
                             op(_mm512_unpacklo_epi32(v2, v3), _mm512_unpackhi_epi32(v2, v3))))

WEFT_INLINE bytes magnitudes(const float *x) {
    return _mm512_and_si512(load(x), _mm512_set1_epi32(0x7FFFFFFF));
}

/* The largest |x| of each group of 32, as bits. */
WEFT_INLINE bytes group_maxima(const float *x) {
    bytes v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        bytes m[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            const float *group = x + 32 * (4 * i + j);
            m[j] = _mm512_max_epi32(magnitudes(group), magnitudes(group + 16));
        }
        v[i] = FOUR_TO_ONE(_mm512_max_epi32, m[0], m[1], m[2], m[3]);
    }
    /* lane 4 j + g of v[i] is a part of group 4 i + g: the square is turned before and after */
    const bytes turn = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int i = 0; i < 4; i++) v[i] = _mm512_permutexvar_epi32(turn, v[i]);
    return _mm512_permutexvar_epi32(turn, FOUR_TO_ONE(_mm512_max_epi32, v[0], v[1], v[2], v[3]));
}

/* In each lane the largest of the eight lanes of its half: of 256 values of k. */
WEFT_INLINE bytes block_maxima(bytes v) {
    const bytes pair = _mm512_setr_epi32(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    const bytes four = _mm512_setr_epi32(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    const bytes eight = _mm512_setr_epi32(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v = _mm512_max_epi32(v, _mm512_permutexvar_epi32(eight, v));
    v = _mm512_max_epi32(v, _mm512_permutexvar_epi32(four, v));
    return _mm512_max_epi32(v, _mm512_permutexvar_epi32(pair, v));
}

/* Quants for tiles of many rows. Even scales are unit / 2^shift, with shift given in the place of an exponent. */
typedef struct tile_quants {
    int8_t q[WEFT_QUANT_CHUNK];
    float scale[WEFT_QUANT_GROUPS];
    union {
        float sum[WEFT_QUANT_GROUPS];     /* as in weft_quants */
        int32_t shift[WEFT_QUANT_GROUPS]; /* even */
    };
    union {
        int32_t start[2 * WEFT_QUANT_GROUPS]; /* zero > 0: minus zero times the sum of q of a group or half of one */
        float even_sum[WEFT_QUANT_GROUPS];    /* even, zero = 0: the sum of q / 2^shift */
    };
} tile_quants;
_Static_assert(sizeof(tile_quants) == sizeof(weft_quants), "one takes the place of the other");

/* Into `sums` those of q of each half group. */
WEFT_INLINE void quantize_values(int8_t *out, bytes sums[2], const float *x, __m512 inverses) {
    _Alignas(64) float inverse[WEFT_QUANT_GROUPS];
    _mm512_store_ps(inverse, inverses);
    /* an infinity or a NaN times zero becomes INT_MIN, whose low byte is 0 */
    for (int g = 0; g < WEFT_QUANT_GROUPS; g++) {
        __m512 f = _mm512_set1_ps(inverse[g]);
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 32 * g + 16 * h), f));
            _mm_storeu_si128((__m128i *)(out + 32 * g + 16 * h), _mm512_cvtepi32_epi8(q));
        }
    }
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        bytes v[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            v[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), load(out + 256 * h + 64 * i));
        /* lane 4 j + i is now half group 4 i + j */
        const bytes turn = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        sums[h] = _mm512_permutexvar_epi32(turn, FOUR_TO_ONE(_mm512_add_epi32, v[0], v[1], v[2], v[3]));
    }
}

WEFT_INLINE bytes group_sums(const bytes sums[2]) {
    const bytes first = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_add_epi32(
        _mm512_permutex2var_epi32(sums[0], first, sums[1]),
        _mm512_permutex2var_epi32(sums[0], _mm512_add_epi32(first, _mm512_set1_epi32(1)), sums[1]));
}

WEFT_INLINE const float *whole_chunk(float padded[WEFT_QUANT_CHUNK], const float *x, int64_t n) {
    if (n == WEFT_QUANT_CHUNK) return x;
    memcpy(padded, x, (size_t)n * sizeof *x);
    memset(padded + n, 0, (size_t)(WEFT_QUANT_CHUNK - n) * sizeof *x);
    return padded;
}

/* Scale of each group, as the reference finds it; sums of q to `sums`. */
WEFT_INLINE __m512 quantize_groups(int8_t *q, bytes sums[2], const float *x) {
    bytes most = group_maxima(x);
    __m512 largest = _mm512_castsi512_ps(most), steps = _mm512_set1_ps(127);
    __mmask16 bad = _mm512_cmpgt_epi32_mask(most, _mm512_set1_epi32(0x7F7FFFFF));
    __mmask16 some = (__mmask16)(_mm512_cmp_ps_mask(largest, _mm512_set1_ps(WEFT_QUANT_LEAST), _CMP_GE_OQ) & ~bad);
    quantize_values(q, sums, x, _mm512_maskz_div_ps(some, steps, largest));
    return _mm512_mask_mov_ps(_mm512_maskz_div_ps(some, largest, steps), bad, _mm512_set1_ps(NAN));
}

static void quantize(weft_quants *out, const float *x, int64_t n) {
    const bytes twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    float padded[WEFT_QUANT_CHUNK];
    bytes sums[2];
    __m512 scale = quantize_groups(out->q, sums, whole_chunk(padded, x, n));
    _mm512_storeu_ps(out->scale, scale);
    _mm512_storeu_ps(out->sum, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(group_sums(sums))));
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m512 own = _mm512_permutexvar_ps(_mm512_add_epi32(twice, _mm512_set1_epi32(8 * h)), scale);
        _mm512_storeu_ps(out->half_sum + 16 * h, _mm512_mul_ps(own, _mm512_cvtepi32_ps(sums[h])));
    }
}

/* The same for tiles; of 256 of k the scales are one number times powers of two, none larger than twice what its group
 * needs or EVEN_LEAST. A block with a NaN or an infinity has scales of NaN. */
enum { EVEN_SHIFT_MAX = 30 };
#define EVEN_LEAST 1e-26f

WEFT_INLINE void quantize_even(tile_quants *out, bytes sums[2], const float *x) {
    bytes most = group_maxima(x);
    __mmask16 bad = _mm512_cmpgt_epi32_mask(block_maxima(most), _mm512_set1_epi32(0x7F7FFFFF));
    bytes top = _mm512_max_epi32(block_maxima(most), _mm512_castps_si512(_mm512_set1_ps(EVEN_LEAST)));
    bytes shift = _mm512_srli_epi32(_mm512_sub_epi32(top, most), 23);
    shift = _mm512_min_epi32(shift, _mm512_set1_epi32(EVEN_SHIFT_MAX));
    shift = _mm512_maskz_mov_epi32((__mmask16)~bad, _mm512_slli_epi32(shift, 23));
    __m512 largest = _mm512_castsi512_ps(_mm512_sub_epi32(top, shift)), steps = _mm512_set1_ps(127);
    quantize_values(out->q, sums, x, _mm512_maskz_div_ps((__mmask16)~bad, steps, largest));
    _mm512_storeu_si512(out->shift, shift);
    _mm512_storeu_ps(out->scale, _mm512_mask_mov_ps(_mm512_div_ps(largest, steps), bad, _mm512_set1_ps(NAN)));
    bytes whole = _mm512_castps_si512(_mm512_cvtepi32_ps(group_sums(sums)));
    whole = _mm512_maskz_sub_epi32(_mm512_test_epi32_mask(whole, whole), whole, shift);
    _mm512_storeu_ps(out->even_sum, _mm512_castsi512_ps(whole));
}

static void quantize_rows(weft_quants *to, const float *x, int64_t n, const weft_matrix *w) {
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    tile_quants *out = (void *)to;
    float padded[WEFT_QUANT_CHUNK];
    bytes sums[2];
    x = whole_chunk(padded, x, n);
    if (weft_takes_even_scales(w)) {
        quantize_even(out, sums, x);
    } else {
        __m512 scale = quantize_groups(out->q, sums, x);
        _mm512_storeu_ps(out->scale, scale);
        _mm512_storeu_ps(out->sum, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(group_sums(sums))));
    }
    if (!kind.zero) return;
    const bytes factor = _mm512_set1_epi32(-kind.zero);
    if (kind.group == 16) {
        _mm512_storeu_si512(out->start, _mm512_mullo_epi32(sums[0], factor));
        _mm512_storeu_si512(out->start + 16, _mm512_mullo_epi32(sums[1], factor));
    } else {
        _mm512_storeu_si512(out->start, _mm512_mullo_epi32(group_sums(sums), factor));
    }
}

#endif
