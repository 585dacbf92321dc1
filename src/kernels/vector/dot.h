/* The slots dot_rows, for any vector width: a weight row is read once, turned into f32 in registers and multiplied with
 * one to four rows of activations. Meant to be as fast as memory delivers the weights. */
#include "kernels/variants.h"

/* Sums of up to four rows. One or two rows use four accumulators each, three or four use two: enough independent chains
 * to hide the latency of a fused product, few enough to stay in registers. Rows and chains are constants everywhere. */
typedef struct sink {
    const float *x0, *x1, *x2, *x3;
    vf a00, a01, a02, a03, a10, a11, a12, a13, a20, a21, a30, a31;
} sink;

WEFT_INLINE void sink_take(sink *s, const int m, const int offset, vf w) {
    const int chain = offset / VF % (m <= 2 ? 4 : 2);
#define ADD(chain_here, r)                                                                                             \
    if (chain == chain_here) s->a##r##chain_here = vf_fma(w, vf_load(s->x##r + offset), s->a##r##chain_here);
    ADD(0, 0)
    ADD(1, 0)
    ADD(2, 0)
    ADD(3, 0)
    if (m > 1) {
        ADD(0, 1)
        ADD(1, 1)
        ADD(2, 1)
        ADD(3, 1)
    }
    if (m > 2) {
        ADD(0, 2)
        ADD(1, 2)
    }
    if (m > 3) {
        ADD(0, 3)
        ADD(1, 3)
    }
#undef ADD
}

WEFT_INLINE void sink_advance(sink *s, int64_t values) {
    s->x0 += values;
    s->x1 += values;
    s->x2 += values;
    s->x3 += values;
}

#define WEFT_DECODE_EXACT 0
#include "kernels/vector/decode.h"

WEFT_INLINE void sink_start(sink *s, const int m, const float *x, int64_t x_stride) {
    s->x0 = x;
    s->x1 = m > 1 ? x + x_stride : x;
    s->x2 = m > 2 ? x + 2 * x_stride : x;
    s->x3 = m > 3 ? x + 3 * x_stride : x;
    s->a00 = s->a01 = s->a02 = s->a03 = s->a10 = s->a11 = s->a12 = s->a13 = vf_zero();
    s->a20 = s->a21 = s->a30 = s->a31 = vf_zero();
}

WEFT_INLINE void sink_finish(const sink *s, const int m, float *out, int64_t out_stride) {
    out[0] = vf_sum(vf_add(vf_add(s->a00, s->a01), vf_add(s->a02, s->a03)));
    if (m > 1) out[out_stride] = vf_sum(vf_add(vf_add(s->a10, s->a11), vf_add(s->a12, s->a13)));
    if (m > 2) out[2 * out_stride] = vf_sum(vf_add(s->a20, s->a21));
    if (m > 3) out[3 * out_stride] = vf_sum(vf_add(s->a30, s->a31));
}

WEFT_INLINE void take_tail(sink *s, const int m, vf w, int64_t n) {
    s->a00 = vf_fma(w, vf_load_n(s->x0, n), s->a00);
    if (m > 1) s->a10 = vf_fma(w, vf_load_n(s->x1, n), s->a10);
    if (m > 2) s->a20 = vf_fma(w, vf_load_n(s->x2, n), s->a20);
    if (m > 3) s->a30 = vf_fma(w, vf_load_n(s->x3, n), s->a30);
}

WEFT_INLINE void dot_blocks(const weft_type type, const int values, const int bytes, const int m, float *out,
                            int64_t out_stride, const float *x, int64_t x_stride, const weft_matrix *w, int64_t n0,
                            int64_t n1) {
    int64_t blocks = w->cols / values;
    const uint8_t *p = (const uint8_t *)w->data + (size_t)(n0 * blocks) * (size_t)bytes;
    for (int64_t n = n0; n < n1; n++, out++) {
        sink s;
        sink_start(&s, m, x, x_stride);
        for (int64_t i = 0; i < blocks; i++, p += bytes) decode_block(type, &s, m, p);
        sink_finish(&s, m, out, out_stride);
    }
}

/* `count` values of a plain type, all of one scale. */
WEFT_INLINE void take_plain(sink *s, const weft_type type, const size_t size, const int m, const uint8_t *p,
                            int64_t count, const bool scaled, vf scale) {
#define VALUE(offset)                                                                                                  \
    (scaled ? vf_mul(decode_plain(type, p + (offset)*size), scale) : decode_plain(type, p + (offset)*size))
    for (; count >= 4 * VF; count -= 4 * VF, p += 4 * VF * size) {
        sink_take(s, m, 0, VALUE(0));
        sink_take(s, m, VF, VALUE(VF));
        sink_take(s, m, 2 * VF, VALUE(2 * VF));
        sink_take(s, m, 3 * VF, VALUE(3 * VF));
        sink_advance(s, 4 * VF);
    }
    for (; count >= VF; count -= VF, p += VF * size) {
        sink_take(s, m, 0, VALUE(0));
        sink_advance(s, VF);
    }
#undef VALUE
    if (count > 0) {
        vf value = decode_plain_n(type, p, count, size);
        take_tail(s, m, scaled ? vf_mul(value, scale) : value, count);
        sink_advance(s, count);
    }
}

WEFT_INLINE void dot_plain(const weft_type type, const int size, const int m, float *out, int64_t out_stride,
                           const float *x, int64_t x_stride, const weft_matrix *w, int64_t n0, int64_t n1) {
    const uint8_t *p = (const uint8_t *)w->data + (size_t)(n0 * w->cols) * (size_t)size;
    for (int64_t n = n0; n < n1; n++, out++) {
        sink s;
        sink_start(&s, m, x, x_stride);
        if (type == WEFT_F8_E4M3 && w->block_scales) {
            const float *scale = w->block_scales + n / 128 * ((w->cols + 127) / 128);
            for (int64_t k = 0; k < w->cols; k += 128, scale++, p += 128) {
                int64_t count = w->cols - k < 128 ? w->cols - k : 128;
                take_plain(&s, type, 1, m, p, count, true, vf_set(*scale));
            }
            p -= (128 - w->cols % 128) % 128;
        } else {
            take_plain(&s, type, (size_t)size, m, p, w->cols, false, vf_zero());
            p += w->cols * size;
        }
        sink_finish(&s, m, out, out_stride);
    }
}

/* One slot: the number of rows becomes a constant. KERNEL is dot_blocks or dot_plain with its constants. */
#define DOT_ARGUMENTS out, out_stride, x, x_stride, w, n0, n1
#define DOT_SLOT(name, kernel, ...)                                                                                    \
    static void name(float *out, int64_t out_stride, const float *x, int64_t x_stride, int m, const weft_matrix *w,    \
                     int64_t n0, int64_t n1) {                                                                         \
        switch (m) {                                                                                                   \
        case 1: kernel(__VA_ARGS__, 1, DOT_ARGUMENTS); break;                                                          \
        case 2: kernel(__VA_ARGS__, 2, DOT_ARGUMENTS); break;                                                          \
        case 3: kernel(__VA_ARGS__, 3, DOT_ARGUMENTS); break;                                                          \
        case 4: kernel(__VA_ARGS__, 4, DOT_ARGUMENTS); break;                                                          \
        }                                                                                                              \
    }
DOT_SLOT(dot_f32, dot_plain, WEFT_F32, 4)
DOT_SLOT(dot_f16, dot_plain, WEFT_F16, 2)
DOT_SLOT(dot_bf16, dot_plain, WEFT_BF16, 2)
DOT_SLOT(dot_f8, dot_plain, WEFT_F8_E4M3, 1)
DOT_SLOT(dot_q4_0, dot_blocks, WEFT_Q4_0, 32, 18)
DOT_SLOT(dot_q4_1, dot_blocks, WEFT_Q4_1, 32, 20)
DOT_SLOT(dot_q5_0, dot_blocks, WEFT_Q5_0, 32, 22)
DOT_SLOT(dot_q5_1, dot_blocks, WEFT_Q5_1, 32, 24)
DOT_SLOT(dot_q8_0, dot_blocks, WEFT_Q8_0, 32, 34)
DOT_SLOT(dot_q4_k, dot_blocks, WEFT_Q4_K, 256, 144)
DOT_SLOT(dot_q5_k, dot_blocks, WEFT_Q5_K, 256, 176)
DOT_SLOT(dot_q6_k, dot_blocks, WEFT_Q6_K, 256, 210)

void LEVEL(fill_dot)(weft_kernels *table);
void LEVEL(fill_dot)(weft_kernels *table) {
    table->dot_rows[WEFT_F32] = dot_f32;
    table->dot_rows[WEFT_F16] = dot_f16;
    table->dot_rows[WEFT_BF16] = dot_bf16;
    table->dot_rows[WEFT_F8_E4M3] = dot_f8;
    table->dot_rows[WEFT_Q4_0] = dot_q4_0;
    table->dot_rows[WEFT_Q4_1] = dot_q4_1;
    table->dot_rows[WEFT_Q5_0] = dot_q5_0;
    table->dot_rows[WEFT_Q5_1] = dot_q5_1;
    table->dot_rows[WEFT_Q8_0] = dot_q8_0;
    table->dot_rows[WEFT_Q4_K] = dot_q4_k;
    table->dot_rows[WEFT_Q5_K] = dot_q5_k;
    table->dot_rows[WEFT_Q6_K] = dot_q6_k;
}
