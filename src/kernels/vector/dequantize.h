/* The slots dequantize, for any vector width: as ref_dequantize.c, bit for bit. */
#include "kernels/variants.h"

typedef struct sink {
    float *out;
} sink;

WEFT_INLINE void sink_take(sink *s, const int m, const int offset, vf w) {
    (void)m;
    vf_store(s->out + offset, w);
}

WEFT_INLINE void sink_advance(sink *s, int values) {
    s->out += values;
}

#define WEFT_DECODE_EXACT 1
#include "kernels/vector/decode.h"

WEFT_INLINE void dequantize_blocks(const weft_type type, const int values, const int bytes, float *out,
                                   const uint8_t *p, int64_t n) {
    sink s = {out};
    for (; n >= values; n -= values, p += bytes) decode_block(type, &s, 0, p);
    if (n > 0) { /* the block's bytes are all there */
        float last[256];
        sink rest = {last};
        decode_block(type, &rest, 0, p);
        memcpy(s.out, last, (size_t)n * sizeof *last);
    }
}

WEFT_INLINE void dequantize_plain(const weft_type type, const int size, float *out, const uint8_t *p, int64_t n) {
    int64_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(out + i, decode_plain(type, p + i * size));
    if (i < n) vf_store_n(out + i, decode_plain_n(type, p + i * size, n - i, (size_t)size), n - i);
}

static void dequantize_f16(float *out, const void *p, int64_t n) {
    dequantize_plain(WEFT_F16, 2, out, p, n);
}
static void dequantize_bf16(float *out, const void *p, int64_t n) {
    dequantize_plain(WEFT_BF16, 2, out, p, n);
}
static void dequantize_f8(float *out, const void *p, int64_t n) {
    dequantize_plain(WEFT_F8_E4M3, 1, out, p, n);
}
static void dequantize_q4_0(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q4_0, 32, 18, out, p, n);
}
static void dequantize_q4_1(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q4_1, 32, 20, out, p, n);
}
static void dequantize_q5_0(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q5_0, 32, 22, out, p, n);
}
static void dequantize_q5_1(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q5_1, 32, 24, out, p, n);
}
static void dequantize_q8_0(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q8_0, 32, 34, out, p, n);
}
static void dequantize_q4_k(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q4_K, 256, 144, out, p, n);
}
static void dequantize_q5_k(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q5_K, 256, 176, out, p, n);
}
static void dequantize_q6_k(float *out, const void *p, int64_t n) {
    dequantize_blocks(WEFT_Q6_K, 256, 210, out, p, n);
}

/* F32 stays with ref: a copy. */
void LEVEL(fill_dequantize)(weft_kernels *table);
void LEVEL(fill_dequantize)(weft_kernels *table) {
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
