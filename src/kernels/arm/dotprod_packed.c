/* ARM with the dot product (FEAT_DotProd): products with packed weights. SDOT adds four products of signed bytes to
 * each of four sums; a step of a panel is four vectors of four outputs, and the activations of four steps are one
 * vector, of which each product names a lane. Sums are named variables: arrays of them end up in memory. */
#if defined(__aarch64__)
#include "kernels/arm/packed.h"
#include "kernels/variants.h"

#define EACH_ROW(STEP)        STEP(0) STEP(1) STEP(2) STEP(3)
#define EACH_QUARTER(STEP, r) STEP(r, 0) STEP(r, 1) STEP(r, 2) STEP(r, 3)
#define EACH_OF_FOUR(STEP)    STEP(0) STEP(1) STEP(2) STEP(3)

/* ---- few rows ---- */

/* Adds the scaled sum of a group to the sum of row r. */
#define DRAIN(r, total)                                                                                                \
    if (rows > r) {                                                                                                    \
        vf sum = sums[4 * r];                                                                                          \
        if (!is_signed(kind)) sum = vf_fnma(min, vf_set(x[r].sum[g]), sum);                                            \
        sums[4 * r] = vf_fma(vcvtq_f32_s32(total), vf_mul(scale, vf_set(x[r].scale[g])), sum);                         \
    }

/* Group g of the chunk for quarter h of the outputs: sums[4 r] += . `q` is their part of the group's planes, `s` the
 * run of scales and j the group in it. */
WEFT_INLINE void dot_group(const int bits, const packed_scales kind, const int zero, const int rows, vf *sums,
                           const weft_quants *x, int g, const uint8_t *q, const uint8_t *s, int j, const int h) {
    vf scale, min;
    /* a: the first four steps, b: the last */
#define DECLARE(r)                                                                                                     \
    const int8_t *x##r = x[rows > r ? r : 0].q + 32 * g;                                                               \
    const bytes f##r = vld1q_s8(x##r), e##r = vld1q_s8(x##r + 16);                                                     \
    int32x4_t a##r = vdupq_n_s32(0), b##r = a##r;
    EACH_ROW(DECLARE)
#undef DECLARE
#define ROW(r, v)                                                                                                      \
    if (rows > r) {                                                                                                    \
        a##r = vdotq_laneq_s32(a##r, low, f##r, v);                                                                    \
        b##r = vdotq_laneq_s32(b##r, high, e##r, v);                                                                   \
    }
#define STEP(v)                                                                                                        \
    {                                                                                                                  \
        bytes low, high;                                                                                               \
        weights(bits, kind, zero, v, q, &low, &high);                                                                  \
        ROW(0, v) ROW(1, v) ROW(2, v) ROW(3, v)                                                                        \
    }
    EACH_OF_FOUR(STEP)
#undef STEP
#undef ROW
    if (kind == SCALES_Q6) {
        scale_min(kind, s, 2 * j, h, &scale, &min);
#define STEP(r) DRAIN(r, a##r)
        EACH_ROW(STEP)
#undef STEP
        scale_min(kind, s, 2 * j + 1, h, &scale, &min);
#define STEP(r) DRAIN(r, b##r)
        EACH_ROW(STEP)
#undef STEP
    } else {
        scale_min(kind, s, j, h, &scale, &min);
#define STEP(r) DRAIN(r, vaddq_s32(a##r, b##r))
        EACH_ROW(STEP)
#undef STEP
    }
}

WEFT_INLINE void dot_panels(const int bits, const packed_scales kind, const int zero, const int rows, float *out,
                            int64_t out_stride, const weft_quants *x, int64_t x_rows, const weft_matrix *w, int64_t p0,
                            int64_t p1) {
    int64_t groups = w->cols / 32;
    for (int64_t p = p0; p < p1; p++) {
        const uint8_t *s = weft_panel_scales(w, p), *q = weft_panel_quants(w, p);
        vf sums[4 * WEFT_DOT_ROWS_MAX];
        for (int i = 0; i < 4 * WEFT_DOT_ROWS_MAX; i++) sums[i] = vf_zero();
        const weft_quants *chunk = x;
        for (int64_t first = 0; first < groups; first += WEFT_QUANT_GROUPS, chunk += x_rows) {
            int count = groups - first < WEFT_QUANT_GROUPS ? (int)(groups - first) : WEFT_QUANT_GROUPS;
            for (int g = 0; g < count; s += scale_bytes(kind))
                for (int j = 0; j < scale_groups(kind); j++, g++, q += group_bytes(bits)) {
                    for (size_t ahead = 0; ahead < group_bytes(bits); ahead += 64) __builtin_prefetch(q + 2048 + ahead);
#define QUARTER(h) dot_group(bits, kind, zero, rows, sums + h, chunk, g, q + 16 * h, s, j, h);
                    EACH_OF_FOUR(QUARTER)
#undef QUARTER
                }
        }
        int64_t n = p * WEFT_PANEL_WIDTH, width = w->rows - n;
        for (int r = 0; r < rows; r++) {
            float *to = out + r * out_stride + n - p0 * WEFT_PANEL_WIDTH, last[WEFT_PANEL_WIDTH];
            float *target = width >= WEFT_PANEL_WIDTH ? to : last;
            for (int h = 0; h < 4; h++) vf_store(target + 4 * h, sums[4 * r + h]);
            if (target == last) memcpy(to, last, (size_t)width * sizeof *last);
        }
    }
}

#include "kernels/vector/packed_dot.h"

/* ---- many rows ---- */

/* Opened quants: [group][step][16][4] signed bytes. */
WEFT_INLINE void open_weights(const int bits, const packed_scales kind, const int zero, int8_t *out, const uint8_t *q,
                              int groups) {
    for (int g = 0; g < groups; g++, q += group_bytes(bits), out += 512)
        for (int h = 0; h < 64; h += 16) {
            bytes low, high;
#define STEP(v)                                                                                                        \
    weights(bits, kind, zero, v, q + h, &low, &high);                                                                  \
    vst1q_s8(out + 64 * (v) + h, low);                                                                                 \
    vst1q_s8(out + 64 * ((v) + 4) + h, high);
            EACH_OF_FOUR(STEP)
#undef STEP
        }
}

static void packed_open(void *memory, const weft_matrix *w, int64_t panel, int64_t chunk) {
    weft_open_panel *open = memory;
    int groups = weft_chunk_groups(w->cols, chunk);
    int64_t first = chunk * WEFT_QUANT_GROUPS;
    const uint8_t *s = weft_panel_scales(w, panel), *q = weft_panel_quants(w, panel);
#define OPEN_CASE(type, bits, kind, zero)                                                                              \
    case type:                                                                                                         \
        open_scales(kind, open, s + (size_t)(first / scale_groups(kind)) * scale_bytes(kind), groups);                 \
        open_weights(bits, kind, zero, (int8_t *)open->quants, q + (size_t)first * group_bytes(bits), groups);         \
        return;
    switch (w->panel_type) {
        EACH_PACKED_TYPE(OPEN_CASE)
    default: return;
    }
}

/* A tile of `rows` rows and all 16 outputs: 16 sums, the activations of a half group of four rows, four vectors of
 * weights. halves: scales per 16 of k instead of 32. */
WEFT_INLINE void tile(const bool has_min, const bool halves, const int rows, float *c, const weft_quants *x,
                      const weft_open_panel *open, int groups) {
    const int8_t *u = (const int8_t *)open->quants;
    int k = 0;
    for (int i = 0; i < (halves ? 2 * groups : groups); i++) {
        const int g = halves ? i / 2 : i;
#define DECLARE(r) int32x4_t a##r##_0 = vdupq_n_s32(0), a##r##_1 = a##r##_0, a##r##_2 = a##r##_0, a##r##_3 = a##r##_0;
        EACH_ROW(DECLARE)
#undef DECLARE
        for (int part = 0; part < (halves ? 1 : 2); part++, k += 16, u += 256) {
#define LOAD(r) const bytes f##r = vld1q_s8(x[rows > r ? r : 0].q + k);
            EACH_ROW(LOAD)
#undef LOAD
#define DOT(r, h, v)                                                                                                   \
    if (rows > r) a##r##_##h = vdotq_laneq_s32(a##r##_##h, w##h, f##r, v);
#define DOT_ROW(r, v) DOT(r, 0, v) DOT(r, 1, v) DOT(r, 2, v) DOT(r, 3, v)
#define STEP(v)                                                                                                        \
    {                                                                                                                  \
        const bytes w0 = vld1q_s8(u + 64 * v), w1 = vld1q_s8(u + 64 * v + 16), w2 = vld1q_s8(u + 64 * v + 32),         \
                    w3 = vld1q_s8(u + 64 * v + 48);                                                                    \
        DOT_ROW(0, v) DOT_ROW(1, v) DOT_ROW(2, v) DOT_ROW(3, v)                                                        \
    }
            EACH_OF_FOUR(STEP)
#undef STEP
        }
#define SCALE(r, h)                                                                                                    \
    scale_sums(has_min, c + r * WEFT_PANEL_WIDTH + 4 * h, a##r##_##h, open->scale[i] + 4 * h, open->min[i] + 4 * h,    \
               x[r].scale[g], x[r].sum[g]);
#define SCALE_ROW(r)                                                                                                   \
    if (rows > r) {                                                                                                    \
        EACH_QUARTER(SCALE, r)                                                                                         \
    }
        EACH_ROW(SCALE_ROW)
    }
}

WEFT_INLINE void chunk_rows(const bool has_min, const bool halves, float *c, const weft_quants *x, int64_t rows,
                            const weft_open_panel *open, int groups) {
    for (int64_t r = 0; r < rows; r += 4, c += 4 * WEFT_PANEL_WIDTH, x += 4) {
        switch (rows - r) {
        case 1: tile(has_min, halves, 1, c, x, open, groups); break;
        case 2: tile(has_min, halves, 2, c, x, open, groups); break;
        case 3: tile(has_min, halves, 3, c, x, open, groups); break;
        default: tile(has_min, halves, 4, c, x, open, groups);
        }
    }
}

static void packed_chunk(float *c, int64_t c_rows, const weft_quants *x, int64_t rows, const void *open, int panels,
                         const weft_matrix *w, int64_t chunk, bool add) {
    int groups = weft_chunk_groups(w->cols, chunk);
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    for (int p = 0; p < panels; p++) {
        const weft_open_panel *panel = (const void *)((const char *)open + (size_t)p * WEFT_OPEN_BYTES);
        float *to = c + p * c_rows * WEFT_PANEL_WIDTH;
        if (!add) memset(to, 0, (size_t)rows * WEFT_PANEL_WIDTH * sizeof *to);
        if (kind.group == 16)
            chunk_rows(false, true, to, x, rows, panel, groups);
        else if (!kind.has_min)
            chunk_rows(false, false, to, x, rows, panel, groups);
        else
            chunk_rows(true, false, to, x, rows, panel, groups);
    }
}

void weft_kernels_fill_dotprod(weft_kernels *table) {
    table->level = "dotprod";
    table->packs = true;
    table->quantize = quantize;
    table->packed_dot = packed_dot;
    table->packed_open = packed_open;
    table->packed_chunk = packed_chunk;
    table->packed_chunk_two = NULL;
}
#endif
