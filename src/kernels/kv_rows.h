/* Rows of 4-bit slabs: where they are, and how one is stored; plain C, the same for every level.
 *
 * Layout of a WEFT_KV_Q4 slab: [128] rows of [groups][16 bytes], groups of 32 values, value j in the low and value j + 16
 * in the high four bits of byte j; then f16 d [128][groups]. Value = d * (q - 8), where d = -(largest by magnitude) / 8. */
#ifndef WEFT_KERNELS_KV_ROWS_H
#define WEFT_KERNELS_KV_ROWS_H

#include <math.h>

#include "kernels/kernels.h"
#include "kernels/scalar.h"

enum { WEFT_KV_GROUP = 32, WEFT_KV_GROUP_BYTES = 16 };

static inline int weft_kv_groups(int head_dim) {
    return (head_dim + WEFT_KV_GROUP - 1) / WEFT_KV_GROUP;
}

static inline uint8_t *weft_kv_q4_row(const void *slab, int head_dim, int row) {
    return (uint8_t *)slab + (size_t)row * (size_t)weft_kv_groups(head_dim) * WEFT_KV_GROUP_BYTES;
}

static inline uint8_t *weft_kv_q4_scales(const void *slab, int head_dim, int row) {
    size_t groups = (size_t)weft_kv_groups(head_dim);
    return (uint8_t *)slab + WEFT_KV_PAGE_ROWS * groups * WEFT_KV_GROUP_BYTES + (size_t)row * groups * 2;
}

/* NaN counts as zero, and what is over the range of f16 scales is cut: every stored row is finite. */
static inline void weft_kv_store_q4(void *slab, int head_dim, int row, const float *x) {
    uint8_t *out = weft_kv_q4_row(slab, head_dim, row), *scales = weft_kv_q4_scales(slab, head_dim, row);
    for (int at = 0; at < head_dim; at += WEFT_KV_GROUP, out += WEFT_KV_GROUP_BYTES, scales += 2) {
        float values[WEFT_KV_GROUP] = {0}, extreme = 0;
        int count = head_dim - at < WEFT_KV_GROUP ? head_dim - at : WEFT_KV_GROUP;
        for (int j = 0; j < count; j++) {
            values[j] = x[at + j] == x[at + j] ? x[at + j] : 0;
            if (fabsf(values[j]) > fabsf(extreme)) extreme = values[j];
        }
        float d = extreme / -8;
        uint16_t half = weft_f32_to_f16(d > 65504 ? 65504 : d < -65504 ? -65504 : d);
        memcpy(scales, &half, sizeof half);
        d = weft_f16_to_f32(half);
        float inverse = d != 0 ? 1 / d : 0;
        uint8_t quants[WEFT_KV_GROUP];
        for (int j = 0; j < WEFT_KV_GROUP; j++) {
            float q = values[j] * inverse + 8.5f;
            quants[j] = q >= 15 ? 15 : q > 0 ? (uint8_t)q : 0;
        }
        for (int j = 0; j < WEFT_KV_GROUP_BYTES; j++)
            out[j] = (uint8_t)(quants[j] | quants[j + WEFT_KV_GROUP_BYTES] << 4);
    }
}

#endif
