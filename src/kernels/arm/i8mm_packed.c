/* ARM with byte matrix products (FEAT_I8MM): products of many rows with packed weights. SMMLA multiplies two rows of
 * eight signed bytes with two outputs of eight and adds to a 2x2 block of sums, twice the products of SDOT. Few rows
 * are bound by memory and stay with SDOT. Sums are named variables: arrays of them end up in memory. */
#if defined(__aarch64__)
#include "kernels/arm/packed.h"
#include "kernels/variants.h"

#define EACH_OF_FOUR(STEP) STEP(0) STEP(1) STEP(2) STEP(3)

/* Opened quants: [group][eight of k][8 pairs of outputs][2][8] signed bytes. */
WEFT_INLINE void open_weights(const int bits, const packed_scales kind, const int zero, int8_t *out, const uint8_t *q,
                              int groups) {
    for (int g = 0; g < groups; g++, q += group_bytes(bits), out += 512)
        for (int h = 0; h < 4; h++) {
            bytes s[8];
#define STEP(v) weights(bits, kind, zero, v, q + 16 * h, &s[v], &s[v + 4]);
            EACH_OF_FOUR(STEP)
#undef STEP
            for (int t = 0; t < 4; t++) {
                int32x4_t even = vreinterpretq_s32_s8(s[2 * t]), odd = vreinterpretq_s32_s8(s[2 * t + 1]);
                vst1q_s8(out + 128 * t + 32 * h, vreinterpretq_s8_s32(vzip1q_s32(even, odd)));
                vst1q_s8(out + 128 * t + 32 * h + 16, vreinterpretq_s8_s32(vzip2q_s32(even, odd)));
            }
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

/* Eight rows at a time, as pairs: [eight of k][pair][2][8]. Rows that lack count as zeros. */
enum { TILE_ROWS = 8, TILE_PAIRS = TILE_ROWS / 2 };
typedef int8_t paired_rows[WEFT_QUANT_CHUNK / 8][TILE_PAIRS][16];

static void pair_rows(paired_rows out, const weft_quants *x, int rows, int groups) {
    for (int p = 0; p < TILE_PAIRS; p++)
        for (int t = 0; t < 4 * groups; t++) {
            int8x8_t low = 2 * p < rows ? vld1_s8(x[2 * p].q + 8 * t) : vdup_n_s8(0);
            int8x8_t high = 2 * p + 1 < rows ? vld1_s8(x[2 * p + 1].q + 8 * t) : vdup_n_s8(0);
            vst1q_s8(out[t][p], vcombine_s8(low, high));
        }
}

/* Sums of rows 2 p and 2 p + 1 and outputs 4 n … 4 n + 3 of the half panel, from their two blocks. */
WEFT_INLINE void scale_blocks(const bool has_min, const int p, const int rows, float *c, int32x4_t a, int32x4_t b,
                              const float *scale, const float *min, const weft_quants *x, int g) {
    int32x4_t first = vcombine_s32(vget_low_s32(a), vget_low_s32(b));
    int32x4_t second = vcombine_s32(vget_high_s32(a), vget_high_s32(b));
    c += 2 * p * WEFT_PANEL_WIDTH;
    x += 2 * p;
    if (2 * p < rows) scale_sums(has_min, c, first, scale, min, x[0].scale[g], x[0].sum[g]);
    if (2 * p + 1 < rows) scale_sums(has_min, c + WEFT_PANEL_WIDTH, second, scale, min, x[1].scale[g], x[1].sum[g]);
}

/* A tile of `pairs` pairs of rows, of which `rows` rows are there, and eight outputs, from output 8 half on: 16 blocks
 * of sums. halves: scales per 16 of k instead of 32. */
WEFT_INLINE void tile(const bool has_min, const bool halves, const int pairs, int rows, float *c, const weft_quants *x,
                      paired_rows paired, const weft_open_panel *open, int groups, int half) {
    const int8_t *u = (const int8_t *)open->quants + 64 * half;
    const int runs = halves ? 2 : 4; /* eights of k that share a scale */
    int t = 0;
    c += 8 * half;
    for (int i = 0; i < (halves ? 2 * groups : groups); i++) {
        const int g = halves ? i / 2 : i;
#define DECLARE(p) int32x4_t a##p##_0 = vdupq_n_s32(0), a##p##_1 = a##p##_0, a##p##_2 = a##p##_0, a##p##_3 = a##p##_0;
        EACH_OF_FOUR(DECLARE)
#undef DECLARE
        for (int run = 0; run < runs; run++, t++, u += 128) {
            const bytes w0 = vld1q_s8(u), w1 = vld1q_s8(u + 16), w2 = vld1q_s8(u + 32), w3 = vld1q_s8(u + 48);
#define STEP(p)                                                                                                        \
    if (pairs > p) {                                                                                                   \
        const bytes f = vld1q_s8(paired[t][p]);                                                                        \
        a##p##_0 = vmmlaq_s32(a##p##_0, f, w0);                                                                        \
        a##p##_1 = vmmlaq_s32(a##p##_1, f, w1);                                                                        \
        a##p##_2 = vmmlaq_s32(a##p##_2, f, w2);                                                                        \
        a##p##_3 = vmmlaq_s32(a##p##_3, f, w3);                                                                        \
    }
            EACH_OF_FOUR(STEP)
#undef STEP
        }
        const float *scale = open->scale[i] + 8 * half, *min = open->min[i] + 8 * half;
#define SCALE(p)                                                                                                       \
    if (pairs > p) {                                                                                                   \
        scale_blocks(has_min, p, rows, c, a##p##_0, a##p##_1, scale, min, x, g);                                       \
        scale_blocks(has_min, p, rows, c + 4, a##p##_2, a##p##_3, scale + 4, min + 4, x, g);                           \
    }
        EACH_OF_FOUR(SCALE)
#undef SCALE
    }
}

/* Rows go by eights past all panels, so that they are paired once. */
WEFT_INLINE void chunk_rows(const bool has_min, const bool halves, float *c, int64_t c_rows, const weft_quants *x,
                            int64_t rows, const char *open, int panels, int groups) {
    _Alignas(64) paired_rows paired;
    for (int64_t r = 0; r < rows; r += TILE_ROWS, x += TILE_ROWS, c += TILE_ROWS * WEFT_PANEL_WIDTH) {
        int count = rows - r < TILE_ROWS ? (int)(rows - r) : TILE_ROWS;
        pair_rows(paired, x, count, groups);
        for (int p = 0; p < panels; p++) {
            const weft_open_panel *panel = (const void *)(open + (size_t)p * WEFT_OPEN_BYTES);
            float *to = c + p * c_rows * WEFT_PANEL_WIDTH;
            for (int half = 0; half < 2; half++) {
                if (count == TILE_ROWS)
                    tile(has_min, halves, 4, TILE_ROWS, to, x, paired, panel, groups, half);
                else if (count > 4)
                    tile(has_min, halves, 4, count, to, x, paired, panel, groups, half);
                else if (count > 2)
                    tile(has_min, halves, 2, count, to, x, paired, panel, groups, half);
                else
                    tile(has_min, halves, 1, count, to, x, paired, panel, groups, half);
            }
        }
    }
}

static void packed_chunk(float *c, int64_t c_rows, const weft_quants *x, int64_t rows, const void *open, int panels,
                         const weft_matrix *w, int64_t chunk, bool add) {
    int groups = weft_chunk_groups(w->cols, chunk);
    weft_packed_kind kind = weft_packed_kind_of(w->panel_type);
    for (int p = 0; p < panels && !add; p++)
        memset(c + p * c_rows * WEFT_PANEL_WIDTH, 0, (size_t)rows * WEFT_PANEL_WIDTH * sizeof *c);
    if (kind.group == 16)
        chunk_rows(false, true, c, c_rows, x, rows, open, panels, groups);
    else if (!kind.has_min)
        chunk_rows(false, false, c, c_rows, x, rows, open, panels, groups);
    else
        chunk_rows(true, false, c, c_rows, x, rows, open, panels, groups);
}

void weft_kernels_fill_i8mm(weft_kernels *table) {
    table->level = "i8mm";
    table->packed_open = packed_open;
    table->packed_chunk = packed_chunk;
    table->packed_chunk_two = NULL;
}
#endif
