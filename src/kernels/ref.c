/* Every kernel in plain C: the truth that the variants are measured against, and the level that runs anywhere.
 *
 * Sums are taken in double where the contract speaks of a mean, a dot product or a softmax, so that the truth does not
 * depend on an order of addition. No memory but the stack and the caller's scratch. */
#include <math.h>
#include <string.h>

#include "kernels/kv_rows.h"
#include "kernels/scalar.h"
#include "kernels/variants.h"

enum { TILE_M = 4, TILE_N = 8, DOT_CHUNK = 256 /* a multiple of every block */ };

static weft_kernels ref_table; /* only its dequantize slots; filled before any kernel can be reached */

/* ---- matrix products ---- */

static void ref_dot_rows(float *out, int64_t out_stride, const float *x, int64_t x_stride, int m, const weft_matrix *w,
                         int64_t n0, int64_t n1) {
    size_t row_bytes = weft_type_row_bytes(w->type, w->cols);
    for (int64_t n = n0; n < n1; n++) {
        const uint8_t *row = (const uint8_t *)w->data + (size_t)n * row_bytes;
        const float *scales = w->block_scales ? w->block_scales + n / 128 * ((w->cols + 127) / 128) : NULL;
        double sum[WEFT_DOT_ROWS_MAX] = {0};
        for (int64_t k = 0; k < w->cols; k += DOT_CHUNK) {
            float values[DOT_CHUNK];
            int count = w->cols - k < DOT_CHUNK ? (int)(w->cols - k) : DOT_CHUNK;
            ref_table.dequantize[w->type](values, row + weft_type_row_bytes(w->type, k), count);
            if (scales)
                for (int i = 0; i < count; i++) values[i] *= scales[(k + i) / 128];
            for (int r = 0; r < m; r++)
                for (int i = 0; i < count; i++) sum[r] += (double)values[i] * (double)x[r * x_stride + k + i];
        }
        for (int r = 0; r < m; r++) out[r * out_stride + n - n0] = (float)sum[r];
    }
}

static void ref_gemm_tile(float *c, int64_t ldc, const float *a, const float *b, int64_t k, int m, int n,
                          bool accumulate) {
    float sum[TILE_M][TILE_N] = {{0}};
    for (int64_t i = 0; i < k; i++, a += TILE_M, b += TILE_N)
        for (int row = 0; row < TILE_M; row++)
            for (int col = 0; col < TILE_N; col++) sum[row][col] += a[row] * b[col];
    for (int row = 0; row < m; row++)
        for (int col = 0; col < n; col++)
            c[row * ldc + col] = accumulate ? c[row * ldc + col] + sum[row][col] : sum[row][col];
}

static void ref_pack(float *out, int width, const float *x, int64_t stride, int count, int64_t k) {
    for (int64_t i = 0; i < k; i++, out += width)
        for (int j = 0; j < width; j++) out[j] = j < count ? x[j * stride + i] : 0;
}

/* ---- norms, rope, elementwise ---- */

static void ref_rms_norm(float *out, const float *x, const float *weight, int64_t n, float eps) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    float scale = (float)(1.0 / sqrt(sum / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale * weight[i];
}

static void ref_layer_norm(float *out, const float *x, const float *weight, const float *bias, int64_t n, float eps) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1.0 / sqrt(squares / (double)n + (double)eps);
    for (int64_t i = 0; i < n; i++) out[i] = (float)(((double)x[i] - mean) * scale) * weight[i] + bias[i];
}

static void ref_rope_half(float *x, const float *cos, const float *sin, int64_t pairs) {
    for (int64_t j = 0; j < pairs; j++) {
        float a = x[j], b = x[j + pairs];
        x[j] = a * cos[j] - b * sin[j];
        x[j + pairs] = b * cos[j] + a * sin[j];
    }
}

static void ref_add(float *out, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] += x[i];
}

static void ref_scale_add(float *out, const float *x, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] += scale * x[i];
}

static void ref_silu_mul(float *out, const float *gate, const float *up, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void ref_gelu_tanh(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float v = x[i];
        x[i] = 0.5f * v * (1.0f + tanhf(0.7978845608028654f * (v + 0.044715f * v * v * v)));
    }
}

static void ref_gelu_erf(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.7071067811865476f));
}

static void ref_softmax(float *x, int64_t n) {
    float max = -INFINITY;
    for (int64_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)(x[i] = expf(x[i] - max));
    float scale = (float)(1.0 / sum);
    for (int64_t i = 0; i < n; i++) x[i] *= scale;
}

/* ---- keys and values ---- */

static void ref_kv_store(void *slab, weft_kv_format format, int head_dim, int row, const float *x) {
    size_t at = (size_t)row * (size_t)head_dim;
    if (format == WEFT_KV_F32) {
        memcpy((float *)slab + at, x, (size_t)head_dim * sizeof *x);
    } else if (format == WEFT_KV_F16) {
        uint16_t *out = (uint16_t *)slab + at;
        for (int i = 0; i < head_dim; i++) out[i] = weft_f32_to_f16(x[i]);
    } else if (format == WEFT_KV_Q4) {
        weft_kv_store_q4(slab, head_dim, row, x);
    } else {
        int8_t *out = (int8_t *)slab + at;
        float max = 0;
        for (int i = 0; i < head_dim; i++) max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
        float inverse = max > 0 ? 127.0f / max : 0;
        /* 127/max overflows for max below 4e-37: such a row is stored as zeros */
        if (!(inverse <= 3e38f)) inverse = 0;
        for (int i = 0; i < head_dim; i++) {
            float v = rintf(x[i] * inverse);
            out[i] = v >= 127 ? 127 : v <= -127 ? -127 : v == v ? (int8_t)v : 0;
        }
        float scale = max / 127.0f;
        memcpy((int8_t *)slab + (size_t)WEFT_KV_PAGE_ROWS * (size_t)head_dim + (size_t)row * sizeof scale, &scale,
               sizeof scale);
    }
}

/* out[head_dim] = row `row` of a slab as f32. */
static void ref_kv_load(float *out, const void *slab, weft_kv_format format, int head_dim, int64_t stride, int row) {
    if (format == WEFT_KV_F32) {
        memcpy(out, (const float *)slab + row * stride, (size_t)head_dim * sizeof *out);
    } else if (format == WEFT_KV_F16) {
        const uint16_t *in = (const uint16_t *)slab + (size_t)row * (size_t)head_dim;
        for (int i = 0; i < head_dim; i++) out[i] = weft_f16_to_f32(in[i]);
    } else if (format == WEFT_KV_Q4) {
        const uint8_t *in = weft_kv_q4_row(slab, head_dim, row);
        for (int i = 0; i < head_dim; i++) {
            int group = i / WEFT_KV_GROUP, j = i % WEFT_KV_GROUP;
            uint8_t byte = in[group * WEFT_KV_GROUP_BYTES + j % WEFT_KV_GROUP_BYTES];
            float d = weft_f16_to_f32(weft_load_u16(weft_kv_q4_scales(slab, head_dim, row) + 2 * group));
            out[i] = d * (float)((j < WEFT_KV_GROUP_BYTES ? byte & 15 : byte >> 4) - 8);
        }
    } else {
        const int8_t *in = (const int8_t *)slab + (size_t)row * (size_t)head_dim;
        float scale = weft_load_f32((const int8_t *)slab + (size_t)WEFT_KV_PAGE_ROWS * (size_t)head_dim +
                                    (size_t)row * sizeof(float));
        for (int i = 0; i < head_dim; i++) out[i] = (float)in[i] * scale;
    }
}

/* One key at a time for all rows: the running maximum, sum and weighted values of the online softmax (Milakov and
 * Gimelshein, arXiv 1805.02867). */
static void ref_attention(const weft_attention_task *t) {
    double max[WEFT_ATTENTION_ROWS_MAX], sum[WEFT_ATTENTION_ROWS_MAX];
    double *values = t->scratch; /* [rows][head_dim] */
    float key[256], value[256];
    int dim = t->head_dim;
    int64_t keys = 0;
    for (int r = 0; r < t->rows; r++) {
        max[r] = -INFINITY;
        sum[r] = 0;
        if (t->visible[r] > keys) keys = t->visible[r];
        for (int d = 0; d < dim; d++) values[r * dim + d] = 0;
    }
    for (int64_t i = 0; i < keys; i++) {
        int64_t page = i / WEFT_KV_PAGE_ROWS;
        int row = (int)(i % WEFT_KV_PAGE_ROWS);
        ref_kv_load(key, t->k_pages[page], weft_kv_part(t->format, 0), dim, t->kv_stride, row);
        ref_kv_load(value, t->v_pages[page], weft_kv_part(t->format, 1), dim, t->kv_stride, row);
        for (int r = 0; r < t->rows; r++) {
            if (i >= t->visible[r]) continue;
            double score = 0;
            for (int d = 0; d < dim; d++) score += (double)t->q[r][d] * (double)key[d];
            score *= (double)t->scale;
            if (score > max[r]) {
                double shrink = exp(max[r] - score);
                for (int d = 0; d < dim; d++) values[r * dim + d] *= shrink;
                sum[r] *= shrink;
                max[r] = score;
            }
            double p = exp(score - max[r]);
            sum[r] += p;
            for (int d = 0; d < dim; d++) values[r * dim + d] += p * (double)value[d];
        }
    }
    for (int r = 0; r < t->rows; r++) {
        for (int d = 0; d < dim; d++)
            t->out[r][d] = t->log_sums && t->visible[r] < 1 ? 0 : (float)(values[r * dim + d] / sum[r]);
        if (t->log_sums) t->log_sums[r] = t->visible[r] < 1 ? -INFINITY : (float)(max[r] + log(sum[r]));
    }
}

void weft_kernels_fill_ref(weft_kernels *table) {
    weft_ref_dequantize_fill(&ref_table);
    table->level = "ref";
    weft_ref_dequantize_fill(table);
    weft_ref_packed_fill(table);
    for (int type = 0; type < WEFT_TYPE_COUNT; type++) table->dot_rows[type] = ref_dot_rows;
    table->tile_m = TILE_M;
    table->tile_n = TILE_N;
    table->gemm_tile = ref_gemm_tile;
    table->pack = ref_pack;
    table->rms_norm = ref_rms_norm;
    table->layer_norm = ref_layer_norm;
    table->rope_half = ref_rope_half;
    table->add = ref_add;
    table->scale_add = ref_scale_add;
    table->silu_mul = ref_silu_mul;
    table->gelu_tanh = ref_gelu_tanh;
    table->gelu_erf = ref_gelu_erf;
    table->softmax = ref_softmax;
    table->kv_store = ref_kv_store;
    table->attention = ref_attention;
}
