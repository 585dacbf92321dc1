/* Dequantisation in plain C: what the gguf package computes in f32, in the same order of operations, so that the
 * results are equal bit for bit. Every other reading of a weight is measured against these.
 *
 * A run may end inside a block: the block's bytes are there in full, only the values asked for are written. */
#include "kernels/scalar.h"
#include "kernels/variants.h"

static void dequantize_f32(float *out, const void *blocks, int64_t n) {
    memcpy(out, blocks, (size_t)n * sizeof *out);
}

static void dequantize_f16(float *out, const void *blocks, int64_t n) {
    const uint8_t *p = blocks;
    for (int64_t i = 0; i < n; i++) out[i] = weft_f16_to_f32(weft_load_u16(p + 2 * i));
}

static void dequantize_bf16(float *out, const void *blocks, int64_t n) {
    const uint8_t *p = blocks;
    for (int64_t i = 0; i < n; i++) out[i] = weft_bf16_to_f32(weft_load_u16(p + 2 * i));
}

static void dequantize_f8(float *out, const void *blocks, int64_t n) {
    const uint8_t *p = blocks;
    for (int64_t i = 0; i < n; i++) out[i] = weft_f8_to_f32(p[i]);
}

/* The blocks of 32: d f16 [, m f16] [, high bits u32], 16 bytes whose low nibbles are values 0-15, high ones 16-31. */
static void block_q4_0(float *out, const uint8_t *b) {
    float d = weft_f16_to_f32(weft_load_u16(b));
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((b[2 + i] & 15) - 8);
        out[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

static void block_q4_1(float *out, const uint8_t *b) {
    float d = weft_f16_to_f32(weft_load_u16(b)), m = weft_f16_to_f32(weft_load_u16(b + 2));
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(b[4 + i] & 15) + m;
        out[i + 16] = d * (float)(b[4 + i] >> 4) + m;
    }
}

static void block_q5_0(float *out, const uint8_t *b) {
    float d = weft_f16_to_f32(weft_load_u16(b));
    uint32_t high = weft_load_u32(b + 2);
    for (int i = 0; i < 16; i++) {
        int low = (b[6 + i] & 15) | (int)(high >> i & 1) << 4;
        int top = b[6 + i] >> 4 | (int)(high >> (i + 16) & 1) << 4;
        out[i] = d * (float)(low - 16);
        out[i + 16] = d * (float)(top - 16);
    }
}

static void block_q5_1(float *out, const uint8_t *b) {
    float d = weft_f16_to_f32(weft_load_u16(b)), m = weft_f16_to_f32(weft_load_u16(b + 2));
    uint32_t high = weft_load_u32(b + 4);
    for (int i = 0; i < 16; i++) {
        int low = (b[8 + i] & 15) | (int)(high >> i & 1) << 4;
        int top = b[8 + i] >> 4 | (int)(high >> (i + 16) & 1) << 4;
        out[i] = d * (float)low + m;
        out[i + 16] = d * (float)top + m;
    }
}

static void block_q8_0(float *out, const uint8_t *b) {
    float d = weft_f16_to_f32(weft_load_u16(b));
    for (int i = 0; i < 32; i++) out[i] = (float)(int8_t)b[2 + i] * d;
}

/* The blocks of 256. Q4_K and Q5_K: d, dmin, 12 bytes of scales and minima for 8 groups of 32, [Q5_K: 32 bytes of high
 * bits, bit j of byte i belongs to value i of group j,] 128 bytes: each run of 32 holds two groups, low and high
 * nibbles. */
static void block_q45_k(float *out, const uint8_t *b, const uint8_t *high_bits, const uint8_t *q) {
    float d = weft_f16_to_f32(weft_load_u16(b)), dmin = weft_f16_to_f32(weft_load_u16(b + 2));
    for (int j = 0; j < 8; j++) {
        int scale, min;
        weft_k_scale_min(b + 4, j, &scale, &min);
        float dj = d * (float)scale, mj = dmin * (float)min;
        const uint8_t *run = q + j / 2 * 32;
        for (int i = 0; i < 32; i++) {
            int v = j & 1 ? run[i] >> 4 : run[i] & 15;
            if (high_bits) v |= (high_bits[i] >> j & 1) << 4;
            out[32 * j + i] = dj * (float)v - mj;
        }
    }
}

static void block_q4_k(float *out, const uint8_t *b) {
    block_q45_k(out, b, NULL, b + 16);
}

static void block_q5_k(float *out, const uint8_t *b) {
    block_q45_k(out, b, b + 16, b + 48);
}

/* Q6_K: ql 128 bytes, qh 64 bytes, 16 int8 scales, d. Each half of 128 values takes 64 bytes of ql and 32 of qh. */
static void block_q6_k(float *out, const uint8_t *b) {
    float d = weft_f16_to_f32(weft_load_u16(b + 208));
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = b + 64 * half, *qh = b + 128 + 32 * half, *scales = b + 192 + 8 * half;
        for (int group = 0; group < 4; group++) {
            for (int i = 0; i < 32; i++) {
                int low = ql[(group & 1) * 32 + i], q = group & 2 ? low >> 4 : low & 15;
                q |= (qh[i] >> (2 * group) & 3) << 4;
                float scale = d * (float)(int8_t)scales[2 * group + i / 16];
                out[128 * half + 32 * group + i] = scale * (float)(q - 32);
            }
        }
    }
}

static inline void each_block(float *out, const void *blocks, int64_t n, int values, int bytes,
                              void (*block)(float *, const uint8_t *)) {
    const uint8_t *p = blocks;
    for (; n >= values; n -= values, out += values, p += bytes) block(out, p);
    if (n > 0) {
        float last[256];
        block(last, p);
        memcpy(out, last, (size_t)n * sizeof *out);
    }
}

static void dequantize_q4_0(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 32, 18, block_q4_0);
}
static void dequantize_q4_1(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 32, 20, block_q4_1);
}
static void dequantize_q5_0(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 32, 22, block_q5_0);
}
static void dequantize_q5_1(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 32, 24, block_q5_1);
}
static void dequantize_q8_0(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 32, 34, block_q8_0);
}
static void dequantize_q4_k(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 256, 144, block_q4_k);
}
static void dequantize_q5_k(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 256, 176, block_q5_k);
}
static void dequantize_q6_k(float *out, const void *blocks, int64_t n) {
    each_block(out, blocks, n, 256, 210, block_q6_k);
}

void weft_ref_dequantize_fill(weft_kernels *table) {
    table->dequantize[WEFT_F32] = dequantize_f32;
    table->dequantize[WEFT_F16] = dequantize_f16;
    table->dequantize[WEFT_BF16] = dequantize_bf16;
    table->dequantize[WEFT_F8_E4M3] = dequantize_f8;
    table->dequantize[WEFT_Q4_0] = dequantize_q4_0;
    table->dequantize[WEFT_Q4_1] = dequantize_q4_1;
    table->dequantize[WEFT_Q5_0] = dequantize_q5_0;
    table->dequantize[WEFT_Q5_1] = dequantize_q5_1;
    table->dequantize[WEFT_Q8_0] = dequantize_q8_0;
    table->dequantize[WEFT_Q4_K] = dequantize_q4_k;
    table->dequantize[WEFT_Q5_K] = dequantize_q5_k;
    table->dequantize[WEFT_Q6_K] = dequantize_q6_k;
}
