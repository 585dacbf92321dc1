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

/* A plain row as Q8_0 blocks: d = max|w| / 127 as f16, rounded up so that no quant passes 127. */
static void round_group(uint8_t block[34], const weft_matrix *w, int64_t row, int64_t k) {
    float values[32], largest = 0;
    const uint8_t *from = (const uint8_t *)w->data + (size_t)row * weft_type_row_bytes(w->type, w->cols);
    for (int i = 0; i < 32; i++) {
        const uint8_t *p = from + weft_type_row_bytes(w->type, k + i);
        values[i] = w->type == WEFT_F32   ? weft_load_f32(p)
                    : w->type == WEFT_F16 ? weft_f16_to_f32(weft_load_u16(p))
                                          : weft_bf16_to_f32(weft_load_u16(p));
        if (!(fabsf(values[i]) <= largest)) largest = fabsf(values[i]);
    }
    uint16_t d = weft_f32_to_f16(largest / 127);
    if (weft_f16_to_f32(d) * 127 < largest && d < 0x7C00) d++;
    float scale = weft_f16_to_f32(d);
    memcpy(block, &d, 2);
    for (int i = 0; i < 32; i++) {
        float q = scale > 0 && scale < INFINITY ? rintf(values[i] / scale) : 0;
        block[2 + i] = (uint8_t)(int8_t)(q > 127 ? 127 : q < -127 ? -127 : q);
    }
}

static void pack_rounded_row(uint8_t *scales, uint8_t *quants, int i, const weft_matrix *w, int64_t row) {
    for (int64_t g = 0; g < w->cols / 32; g++) {
        uint8_t block[34], u[32];
        round_group(block, w, row, 32 * g);
        put_u16(scales + 32 * g, i, block);
        unpack_group(u, WEFT_Q8_0, block, 0);
        place_group(quants + 512 * g, i, u, 8);
    }
}

void weft_pack_panels(void *panels, const weft_matrix *w, weft_type type, int64_t p0, int64_t p1) {
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
        for (int i = 0; i < rows; i++) {
            if (w->type != type) {
                pack_rounded_row(scales, quants, i, w, first + i);
                continue;
            }
            const uint8_t *row = (const uint8_t *)w->data + (size_t)(first + i) * row_bytes;
            place_scales(scales, i, type, row, w->cols);
            for (int64_t g = 0; g < w->cols / 32; g++) {
                uint8_t u[32];
                unpack_group(u, type, row, g);
                place_group(quants + (size_t)g * (size_t)kind.group_bytes, i, u, kind.bits);
            }
        }
    }
}
