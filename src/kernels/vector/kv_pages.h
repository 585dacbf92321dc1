/* What every attention in vectors needs of pages and rows: 4-bit slabs widened, which keys a row sees, what ends it. To be
 * included after the words of a level. */
#include "kernels/kv_rows.h"

enum { PAGE = WEFT_KV_PAGE_ROWS, DIM_MAX = 256, ROWS_MAX = WEFT_ATTENTION_ROWS_MAX };

/* Where maxima start: finite, so that a row that sees nothing of a page leaves zeros and no NaN. */
#define LEAST_SCORE (-3e38f)

/* The first `keys` rows of a 4-bit slab as a WEFT_KV_Q8 slab. A row gets one scale; the rounding to it is at most 1/254
 * of the row's largest value, a thirtieth of a step of four bits. */
static void widen_q4(int8_t *out, const void *slab, int dim, int keys) {
    float *row_scales = (float *)(out + (size_t)PAGE * (size_t)dim);
    int groups = weft_kv_groups(dim);
    for (int row = 0; row < keys; row++) {
        const uint8_t *in = weft_kv_q4_row(slab, dim, row), *scales = weft_kv_q4_scales(slab, dim, row);
        float d[DIM_MAX / WEFT_KV_GROUP], largest = 0;
        for (int g = 0; g < groups; g++) {
            d[g] = s_f16(scales + 2 * g);
            largest = __builtin_fabsf(d[g]) > largest ? __builtin_fabsf(d[g]) : largest;
        }
        float inverse = largest > 0 ? 127.0f / 8 / largest : 0;
        row_scales[row] = largest * (8 / 127.0f);
        for (int g = 0; g < groups; g++, in += WEFT_KV_GROUP_BYTES) {
            int8_t room[WEFT_KV_GROUP];
            int left = dim - g * WEFT_KV_GROUP, count = left < WEFT_KV_GROUP ? left : WEFT_KV_GROUP;
            int8_t *wide = count < WEFT_KV_GROUP ? room : out;
            vf factor = vf_set(d[g] * inverse), middle = vf_set(-8 * d[g] * inverse);
            for (int j = 0; j < WEFT_KV_GROUP_BYTES; j += VF) {
                vi bytes = vi_u8(in + j);
                vf_store_i8(wide + j, vf_fma(vi_to_f32(vi_and(bytes, vi_set(15))), factor, middle));
                vf_store_i8(wide + j + WEFT_KV_GROUP_BYTES, vf_fma(vi_to_f32(vi_right(bytes, 4)), factor, middle));
            }
            if (wide == room) memcpy(out, room, (size_t)count);
            out += count;
        }
    }
}

static const float *kv_scales(const void *slab, int dim) {
    return (const float *)((const int8_t *)slab + (size_t)PAGE * (size_t)dim);
}

/* Scores times the scale of their row less a maximum are taken in one rounding, so that the maximum's own rounding stays:
 * harmless up to here, while beyond the power of two of it could be anything. */
#define FUSED_SCORE_MAX 0x1p20f

/* Rows with a larger maximum: multiplies their scores, [keys] rows of `stride`, with their scales. Returns the scales that
 * are left to multiply with. */
static inline vf round_huge_scores(float *column, int stride, int keys, vf scale, vf max) {
    vf limit = vf_set(FUSED_SCORE_MAX), factor = vf_if_less(limit, vf_abs(max), scale, vf_set(1));
    for (int key = 0; key < keys; key++, column += stride) vf_store(column, vf_mul(vf_load(column), factor));
    return vf_if_less(limit, vf_abs(max), vf_set(1), scale);
}

/* Which keys of the page that starts at `first` a row sees, as a float that vectors can compare. Rows that are only
 * there to fill a vector see all keys. Returns whether some row sees less than `keys`. */
static bool rows_visible(const weft_attention_task *t, float *visible, int width, int64_t first, int keys) {
    bool masked = false;
    for (int r = 0; r < width; r++) {
        int64_t seen = r < t->rows ? t->visible[r] - first : keys;
        visible[r] = (float)(seen < 0 ? 0 : seen > keys ? keys : seen);
        masked |= seen < keys;
    }
    return masked;
}

/* What a row's values are divided by, as a factor; `unit` is the log of the base that max and the sum are kept in. */
static float row_finish(const weft_attention_task *t, int r, float max, float sum, float unit) {
    if (!t->log_sums) return 1.0f / sum;
    bool sees = t->visible[r] > 0;
    t->log_sums[r] = sees ? (float)((double)max * (double)unit + __builtin_log((double)sum)) : -__builtin_inff();
    return sees ? 1.0f / sum : 0;
}
