/* Products with packed weights in plain C: the truth that the variants of packed_dot and packed_chunk are measured
 * against. Integer sums are exact; scales are applied per group in f32. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/packed.h"
#include "kernels/scalar.h"
#include "kernels/variants.h"

static void quantize(weft_quants *out, const float *x, int64_t n) {
    memset(out, 0, sizeof *out);
    for (int64_t g = 0; 32 * g < n; g++) {
        const float *v = x + 32 * g;
        int count = n - 32 * g < 32 ? (int)(n - 32 * g) : 32;
        uint32_t largest_bits = 0;
        for (int i = 0; i < count; i++) {
            uint32_t bits = weft_load_u32(v + i) & 0x7FFFFFFF;
            if (bits > largest_bits) largest_bits = bits;
        }
        if (largest_bits >= 0x7F800000) { /* an infinity or a NaN: the products of this row are NaN, of no other */
            out->scale[g] = out->sum[g] = out->half_sum[2 * g] = out->half_sum[2 * g + 1] = NAN;
            continue;
        }
        float largest = weft_bits_f32(largest_bits);
        if (largest < WEFT_QUANT_LEAST) continue;
        float inverse = 127 / largest;
        int sums[2] = {0, 0};
        for (int i = 0; i < count; i++) {
            int q = (int)rintf(v[i] * inverse);
            out->q[32 * g + i] = (int8_t)q;
            sums[i / 16] += q;
        }
        out->scale[g] = largest / 127;
        out->sum[g] = out->scale[g] * (float)(sums[0] + sums[1]);
        for (int h = 0; h < 2; h++) out->half_sum[2 * g + h] = out->scale[g] * (float)sums[h];
    }
}

static float half(const uint8_t *p, int i) {
    return weft_f16_to_f32(weft_load_u16(p + 2 * i));
}

static void open_scales(weft_open_panel *open, const weft_matrix *w, int64_t panel, int64_t chunk) {
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    const uint8_t *scales = weft_panel_scales(w, panel);
    int groups = weft_chunk_groups(w->cols, chunk), halves = 32 / kind.group;
    for (int g = 0; g < groups * halves; g++) {
        int64_t k = chunk * WEFT_QUANT_CHUNK + (int64_t)g * kind.group;
        const uint8_t *s = scales + k / kind.scale_values * kind.scale_bytes;
        int j = (int)(k % kind.scale_values / kind.group);
        for (int i = 0; i < WEFT_PANEL_WIDTH; i++) {
            float d = half(s, i);
            if (kind.scale_values == 256 && kind.has_min) {
                open->scale[g][i] = d * (float)s[64 + 16 * j + i];
                open->min[g][i] = half(s + 32, i) * (float)s[192 + 16 * j + i];
            } else {
                if (kind.scale_values == 256) d *= (float)(int8_t)s[32 + 16 * j + i];
                open->scale[g][i] = d;
                open->min[g][i] = kind.has_min ? -half(s + 32, i) : (float)kind.zero * d;
            }
        }
    }
}

static uint8_t quant_at(const uint8_t *q, int bits, int step, int at) {
    if (bits == 8) return q[64 * step + at];
    int nibble = q[64 * (step % 4) + at] >> (4 * (step / 4)) & 15;
    if (bits == 5) nibble |= (q[256 + at] >> step & 1) << 4;
    if (bits == 6) nibble |= (q[256 + 64 * (step / 4) + at] >> (2 * (step % 4)) & 3) << 4;
    return (uint8_t)nibble;
}

static void packed_open(void *memory, const weft_matrix *w, int64_t panel, int64_t chunk) {
    weft_open_panel *open = memory;
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    open_scales(open, w, panel, chunk);
    const uint8_t *quants = weft_panel_quants(w, panel) + (size_t)chunk * WEFT_QUANT_GROUPS * (size_t)kind.group_bytes;
    for (int g = 0; g < weft_chunk_groups(w->cols, chunk); g++, quants += kind.group_bytes)
        for (int step = 0; step < 8; step++)
            for (int at = 0; at < 64; at++)
                open->quants[512 * g + 64 * step + at] = quant_at(quants, kind.bits, step, at);
}

static float chunk_sum(const weft_quants *x, const weft_open_panel *open, int column, int groups, int half_groups) {
    float sum = 0;
    for (int g = 0; g < groups; g++) {
        int products[2] = {0, 0};
        for (int k = 0; k < 32; k++)
            products[k / 16] += x->q[32 * g + k] * open->quants[512 * g + 64 * (k / 4) + 4 * column + k % 4];
        if (half_groups) {
            for (int h = 0; h < 2; h++) {
                int at = 2 * g + h;
                sum += (float)products[h] * (open->scale[at][column] * x->scale[g]);
                sum -= open->min[at][column] * x->half_sum[at];
            }
        } else {
            sum += (float)(products[0] + products[1]) * (open->scale[g][column] * x->scale[g]);
            sum -= open->min[g][column] * x->sum[g];
        }
    }
    return sum;
}

static void packed_chunk(float *c, int64_t c_rows, const weft_quants *x, int64_t rows, const void *open, int panels,
                         const weft_matrix *w, int64_t chunk, bool add) {
    int groups = weft_chunk_groups(w->cols, chunk), half_groups = weft_packed_kind_of(w->panel_type).group == 16;
    for (int p = 0; p < panels; p++) {
        const weft_open_panel *panel = (const void *)((const char *)open + (size_t)p * WEFT_OPEN_BYTES);
        for (int64_t r = 0; r < rows; r++) {
            float *out = c + (p * c_rows + r) * WEFT_PANEL_WIDTH;
            for (int i = 0; i < WEFT_PANEL_WIDTH; i++) {
                float sum = chunk_sum(x + r, panel, i, groups, half_groups);
                out[i] = add ? out[i] + sum : sum;
            }
        }
    }
}

static void packed_dot(float *out, int64_t out_stride, const weft_quants *x, int64_t x_rows, int rows,
                       const weft_matrix *w, int64_t p0, int64_t p1) {
    _Alignas(64) char open[WEFT_OPEN_BYTES];
    float c[WEFT_DOT_ROWS_MAX * WEFT_PANEL_WIDTH];
    for (int64_t p = p0; p < p1; p++) {
        for (int64_t chunk = 0; chunk < weft_chunk_count(w->cols); chunk++) {
            packed_open(open, w, p, chunk);
            packed_chunk(c, rows, x + chunk * x_rows, rows, open, 1, w, chunk, chunk > 0);
        }
        int64_t first = p * WEFT_PANEL_WIDTH, width = w->rows - first;
        if (width > WEFT_PANEL_WIDTH) width = WEFT_PANEL_WIDTH;
        for (int r = 0; r < rows; r++)
            memcpy(out + r * out_stride + first - p0 * WEFT_PANEL_WIDTH, c + r * WEFT_PANEL_WIDTH, (size_t)width * sizeof *c);
    }
}

void weft_ref_packed_fill(weft_kernels *table) {
    table->quantize = quantize;
    table->packed_dot = packed_dot;
    table->packed_dot_rows = WEFT_DOT_ROWS_MAX;
    table->packed_open = packed_open;
    table->packed_chunk = packed_chunk;
    table->packed_chunk_two = NULL;
    table->quantize_rows = NULL;
}
