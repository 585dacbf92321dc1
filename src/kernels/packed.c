/* Packing: from the blocks of a file to panels. See packed.h for the layout. Plain C: it runs once per model, and the
 * words of four bytes that it moves keep up with a disk. Owns nothing, allocates nothing. */
#include "kernels/packed.h"

#include <math.h>
#include <string.h>

#include "kernels/scalar.h"
#include "kernels/variants.h"

enum { COLS_MAX = 1 << 20 }; /* chunks of a row fit the scratch of a thread many times over */

weft_type weft_packed_type(const weft_matrix *w, bool round) {
    if (w->transposed || w->rows <= 0 || w->cols <= 0 || w->cols % 32 || w->cols > COLS_MAX) return WEFT_TYPE_COUNT;
    if (weft_packed_kind_of(w->type).bits) return w->type;
    bool plain = w->type == WEFT_F32 || w->type == WEFT_F16 || w->type == WEFT_BF16;
    return round && plain ? WEFT_Q8_0 : WEFT_TYPE_COUNT;
}

bool weft_tiles_allowed(const weft_matrix *w) {
    bool plain = w->type == WEFT_F32 || w->type == WEFT_F16 || w->type == WEFT_BF16;
    return plain && !w->transposed && w->cols > 0 && w->cols % 32 == 0;
}

size_t weft_packed_bytes(const weft_matrix *w, weft_type type) {
    return (size_t)weft_panel_count(w->rows) * weft_panel_bytes(weft_packed_kind_of(type), w->cols);
}

weft_matrix weft_matrix_rows(const weft_matrix *w, int64_t first, int64_t count) {
    weft_matrix view = *w;
    view.rows = count;
    view.data = (const uint8_t *)w->data + (size_t)first * weft_type_row_bytes(w->type, w->cols);
    if (w->panels && first % WEFT_PANEL_WIDTH == 0)
        view.panels = weft_panel_scales(w, first / WEFT_PANEL_WIDTH);
    else
        view.panels = NULL;
    return view;
}

/* ---- blocks to unsigned quants, 32 at a time ---- */

static void nibbles_16(uint8_t u[32], const uint8_t *q) {
    for (int i = 0; i < 16; i++) {
        u[i] = q[i] & 15;
        u[i + 16] = q[i] >> 4;
    }
}

static void fifth_bits(uint8_t u[32], uint32_t high) {
    for (int i = 0; i < 32; i++) u[i] |= (uint8_t)((high >> i & 1) << 4);
}

/* Group j of a Q4_K or Q5_K block. */
static void group_k(uint8_t u[32], const uint8_t *q, const uint8_t *high, int j) {
    const uint8_t *run = q + j / 2 * 32;
    for (int i = 0; i < 32; i++) u[i] = j & 1 ? run[i] >> 4 : run[i] & 15;
    for (int i = 0; high && i < 32; i++) u[i] |= (uint8_t)((high[i] >> j & 1) << 4);
}

static void group_q6_k(uint8_t u[32], const uint8_t *b, int j) {
    const uint8_t *ql = b + 64 * (j / 4) + (j & 1) * 32, *qh = b + 128 + 32 * (j / 4);
    int group = j % 4;
    for (int i = 0; i < 32; i++) {
        int low = group & 2 ? ql[i] >> 4 : ql[i] & 15;
        u[i] = (uint8_t)(low | (qh[i] >> (2 * group) & 3) << 4);
    }
}

/* The 32 quants from k = 32 * group on of a row of blocks. */
static void unpack_group(uint8_t u[32], weft_type type, const uint8_t *row, int64_t group) {
    const uint8_t *b;
    switch (type) {
    case WEFT_Q4_0: nibbles_16(u, row + group * 18 + 2); break;
    case WEFT_Q4_1: nibbles_16(u, row + group * 20 + 4); break;
    case WEFT_Q5_0:
        b = row + group * 22;
        nibbles_16(u, b + 6);
        fifth_bits(u, weft_load_u32(b + 2));
        break;
    case WEFT_Q5_1:
        b = row + group * 24;
        nibbles_16(u, b + 8);
        fifth_bits(u, weft_load_u32(b + 4));
        break;
    case WEFT_Q8_0:
        for (int i = 0; i < 32; i++) u[i] = row[group * 34 + 2 + i] ^ 0x80;
        break;
    case WEFT_Q4_K: group_k(u, row + group / 8 * 144 + 16, NULL, (int)(group % 8)); break;
    case WEFT_Q5_K:
        b = row + group / 8 * 176;
        group_k(u, b + 48, b + 16, (int)(group % 8));
        break;
    default: group_q6_k(u, row + group / 8 * 210, (int)(group % 8)); break;
    }
}

/* ---- quants to their places ---- */

static void put_word(uint8_t *p, uint32_t word) {
    memcpy(p, &word, 4);
}

/* The quants of row i (of 16) in the planes of one group. */
static void place_group(uint8_t *out, int i, const uint8_t u[32], int bits) {
    uint32_t step[8];
    memcpy(step, u, sizeof step);
    out += 4 * i;
    if (bits == 8) {
        for (int j = 0; j < 8; j++) put_word(out + 64 * j, step[j]);
        return;
    }
    const uint32_t low = 0x0F0F0F0F;
    for (int v = 0; v < 4; v++) put_word(out + 64 * v, (step[v] & low) | (step[v + 4] & low) << 4);
    if (bits == 5) {
        uint32_t plane = 0;
        for (int j = 0; j < 8; j++) plane |= (step[j] >> 4 & 0x01010101) << j;
        put_word(out + 256, plane);
    }
    for (int h = 0; bits == 6 && h < 2; h++) {
        uint32_t plane = 0;
        for (int t = 0; t < 4; t++) plane |= (step[4 * h + t] >> 4 & 0x03030303) << (2 * t);
        put_word(out + 256 + 64 * h, plane);
    }
}

static void put_u16(uint8_t *p, int i, const uint8_t *from) {
    memcpy(p + 2 * i, from, 2);
}

/* The scales of row i. */
static void place_scales(uint8_t *out, int i, weft_type type, const uint8_t *row, int64_t cols) {
    size_t block = weft_type_block_bytes(type);
    weft_packed_kind kind = weft_packed_kind_of(type);
    for (int64_t s = 0; s < cols / kind.scale_values; s++, out += kind.scale_bytes, row += block) {
        switch (type) {
        case WEFT_Q4_K:
        case WEFT_Q5_K:
            put_u16(out, i, row);
            put_u16(out + 32, i, row + 2);
            for (int j = 0; j < 8; j++) {
                int scale, min;
                weft_k_scale_min(row + 4, j, &scale, &min);
                out[64 + 16 * j + i] = (uint8_t)scale;
                out[192 + 16 * j + i] = (uint8_t)min;
            }
            break;
        case WEFT_Q6_K:
            put_u16(out, i, row + 208);
            for (int j = 0; j < 16; j++) out[32 + 16 * j + i] = row[192 + j];
            break;
        default:
            put_u16(out, i, row);
            if (kind.has_min) put_u16(out + 32, i, row + 2);
            break;
        }
    }
}

/* The scale of a run: max|w| / 127 as f16, rounded up so that no quant passes 127. */
static uint16_t run_scale(const float *values, int64_t n) {
    float largest = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(values[i]) <= largest)) largest = fabsf(values[i]);
    uint16_t d = weft_f32_to_f16(largest / 127);
    if (weft_f16_to_f32(d) * 127 < largest && d < 0x7C00) d++;
    return d;
}

/* 32 values as a block of Q8_0 with scale d. */
static void round_group(uint8_t block[34], uint16_t d, const float values[32]) {
    float scale = weft_f16_to_f32(d);
    memcpy(block, &d, 2);
    if (!(scale > 0 && scale < INFINITY)) { /* zeros; or a NaN, which the scale keeps */
        memset(block + 2, 0, 32);
        return;
    }
    const float integers = 12582912; /* 1.5 * 2^23: adding it rounds to an integer, ties to even */
    for (int i = 0; i < 32; i++) block[2 + i] = (uint8_t)(int8_t)((values[i] / scale + integers) - integers);
}

static void place_rounded(uint8_t *scales, uint8_t *quants, int i, uint16_t d, const float values[32]) {
    uint8_t block[34], u[32];
    round_group(block, d, values);
    put_u16(scales, i, block);
    unpack_group(u, WEFT_Q8_0, block, 0);
    place_group(quants, i, u, 8);
}

/* A panel of plain rows, which are widened a run at a time. */
static void pack_rounded(const weft_kernels *kernels, uint8_t *scales, uint8_t *quants, const weft_matrix *w,
                         int64_t first, int rows) {
    const uint8_t *data = (const uint8_t *)w->data + (size_t)first * weft_type_row_bytes(w->type, w->cols);
    for (int i = 0; i < rows; i++, data += weft_type_row_bytes(w->type, w->cols))
        for (int64_t k = 0; k < w->cols; k += WEFT_RUN) {
            float values[WEFT_RUN];
            int64_t count = w->cols - k < WEFT_RUN ? w->cols - k : WEFT_RUN;
            kernels->dequantize[w->type](values, data + weft_type_row_bytes(w->type, k), count);
            uint16_t d = run_scale(values, count);
            for (int64_t g = 0; g < count / 32; g++)
                place_rounded(scales + (k / 32 + g) * 32, quants + (k / 32 + g) * 512, i, d, values + 32 * g);
        }
}

void weft_pack_panels(const weft_kernels *kernels, void *panels, const weft_matrix *w, weft_type type, int64_t p0, int64_t p1) {
    weft_packed_kind kind = weft_packed_kind_of(type);
    size_t bytes = weft_panel_bytes(kind, w->cols), row_bytes = weft_type_row_bytes(w->type, w->cols);
    for (int64_t p = p0; p < p1; p++) {
        uint8_t *scales = (uint8_t *)panels + (size_t)p * bytes;
        uint8_t *quants = scales + weft_panel_scale_bytes(kind, w->cols);
        int64_t first = p * WEFT_PANEL_WIDTH, rows = w->rows - first;
        if (rows < WEFT_PANEL_WIDTH)
            memset(scales, 0, bytes); /* rows past the end are 0 */
        else
            rows = WEFT_PANEL_WIDTH;
        if (w->type != type) {
            pack_rounded(kernels, scales, quants, w, first, (int)rows);
            continue;
        }
        const uint8_t *data = (const uint8_t *)w->data + (size_t)first * row_bytes;
        for (int i = 0; i < rows; i++) place_scales(scales, i, type, data + (size_t)i * row_bytes, w->cols);
        for (int64_t g = 0; g < w->cols / 32; g++, quants += kind.group_bytes)
            for (int i = 0; i < rows; i++) {
                uint8_t u[32];
                unpack_group(u, type, data + (size_t)i * row_bytes, g);
                place_group(quants, i, u, kind.bits);
            }
    }
}
