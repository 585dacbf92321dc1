/* The slots kv_store and attention, for any vector width.
 *
 * Attention goes page by page with the online softmax (Milakov and Gimelshein, arXiv 1805.02867).
 *
 * Many rows: the queries are packed once as [head_dim][rows]. Scores are computed transposed, [key][row], with a key's
 * value as the factor and queries as the vectors: then keys need no packing, the softmax runs down the columns without
 * any sum across a vector, and the probabilities [key][row] are at once the left factor of the product with the values,
 * whose rows are its vectors as they are stored. Pages of f16 and int8 are first converted to f32 in scratch.
 *
 * Few rows (decode): up to four rows at a time take dot products with each key as it streams from memory, and the same
 * with values; conversion happens in registers. */
#include "kernels/scalar.h"
#include "kernels/variants.h"
#include "kernels/vector/kv_pages.h"
#include "kernels/vector/math.h"
#include "kernels/vector/tile.h"

enum {
    DIRECT_ROWS_MAX = 8, /* up to here the stream of keys bounds the time */
    STATE_BYTES = 3 << 18, /* of the scratch; then there is room for a widened slab */
};

/* ---- pages ---- */

/* The slab of page `page` as the kernels read it: one of 4 bits is widened to 8, good until the next call. */
static const void *read_page(const weft_attention_task *t, int which, int64_t page, int keys) {
    const void *slab = which ? t->v_pages[page] : t->k_pages[page];
    if (weft_kv_part(t->format, which) != WEFT_KV_Q4) return slab;
    void *wide = (char *)t->scratch + STATE_BYTES;
    widen_q4(wide, slab, t->head_dim, keys);
    return wide;
}

/* VF values from index `at` of row `row` (or n < VF of them), without the row's scale. */
WEFT_INLINE vf kv_vector(const weft_kv_format format, const void *slab, int64_t stride, int row, int at) {
    int64_t i = row * stride + at;
    if (format == WEFT_KV_F32) return vf_load((const float *)slab + i);
    if (format == WEFT_KV_F16) return vf_f16((const uint16_t *)slab + i);
    return vf_i8((const int8_t *)slab + i);
}

WEFT_INLINE vf kv_vector_n(const weft_kv_format format, const void *slab, int64_t stride, int row, int at, int n) {
    int64_t i = row * stride + at;
    if (format == WEFT_KV_F32) return vf_load_n((const float *)slab + i, n);
    uint16_t bytes[VF] = {0};
    if (format == WEFT_KV_F16) {
        memcpy(bytes, (const uint16_t *)slab + i, (size_t)n * 2);
        return vf_f16(bytes);
    }
    memcpy(bytes, (const int8_t *)slab + i, (size_t)n);
    return vf_i8(bytes);
}

/* out[keys][padded] = the page as f32, zeros past dim. A value whose scale is not finite counts as zero, as in attention_pairs.h: times the
 * weight of a row that does not see it, zero, it would be NaN. */
WEFT_INLINE void page_convert(const weft_kv_format format, float *out, int padded, const void *slab, int64_t stride,
                              int dim, int keys, bool values) {
    for (int key = 0; key < keys; key++, out += padded) {
        float unit = format == WEFT_KV_Q8 ? kv_scales(slab, dim)[key] : 1.0f;
        vf scale = vf_set(values && !(__builtin_fabsf(unit) <= 3e38f) ? 0 : unit);
        int d = 0;
        for (; d + VF <= dim; d += VF) {
            vf v = kv_vector(format, slab, stride, key, d);
            vf_store(out + d, format == WEFT_KV_Q8 ? vf_mul(v, scale) : v);
        }
        if (d < dim) {
            vf v = kv_vector_n(format, slab, stride, key, d, dim - d);
            vf_store(out + d, format == WEFT_KV_Q8 ? vf_mul(v, scale) : v);
        }
    }
}

/* The page as f32 rows of *stride floats, readable in whole vectors: in place when it is so already. */
static const float *page_rows(const weft_attention_task *t, const void *slab, int keys, bool values, float *scratch,
                              int64_t *stride) {
    int dim = t->head_dim, padded = (dim + VF - 1) / VF * VF;
    if (t->format == WEFT_KV_F32 && dim == padded) {
        *stride = t->kv_stride;
        return slab;
    }
    *stride = padded;
    if (t->format == WEFT_KV_F32)
        page_convert(WEFT_KV_F32, scratch, padded, slab, t->kv_stride, dim, keys, values);
    else if (t->format == WEFT_KV_F16)
        page_convert(WEFT_KV_F16, scratch, padded, slab, dim, dim, keys, values);
    else
        page_convert(WEFT_KV_Q8, scratch, padded, slab, dim, dim, keys, values);
    return scratch;
}

/* ---- many rows ---- */

typedef struct tile_state {
    float queries[DIM_MAX * ROWS_MAX]; /* [dim][width], scaled */
    float scores[PAGE * ROWS_MAX];     /* [key][width]: scores, then probabilities */
    float values[ROWS_MAX * DIM_MAX];  /* [rows][padded] */
    float page[PAGE * DIM_MAX];
    float visible[ROWS_MAX], max[ROWS_MAX], sum[ROWS_MAX], shrink[ROWS_MAX]; /* [width] */
    int width;                                                               /* rows rounded up to whole vectors */
    int padded;                                                              /* head_dim likewise */
} tile_state;
_Static_assert(STATE_BYTES + (PAGE + 2) * DIM_MAX <= WEFT_ATTENTION_SCRATCH_BYTES, "the scratch holds a widened slab");
_Static_assert(sizeof(tile_state) <= STATE_BYTES, "the scratch holds the state of a tile");

/* `a` has m rows; n is a multiple of VF. Heights beside TILE_M only serve the remainder. */
static void product(float *c, int64_t ldc, const float *a, int64_t a_k, int64_t a_m, const float *b, int64_t ldb,
                    int64_t k, int m, int n, bool accumulate) {
    for (int col = 0; col < n; col += 2 * VF) {
        bool two = n - col >= 2 * VF;
        int i = 0;
        for (; i + TILE_M <= m; i += TILE_M) {
            if (two)
                tile_product(TILE_M, 2, c + i * ldc + col, ldc, a + i * a_m, a_k, a_m, b + col, ldb, k, TILE_M, 2 * VF,
                             accumulate);
            else
                tile_product(TILE_M, 1, c + i * ldc + col, ldc, a + i * a_m, a_k, a_m, b + col, ldb, k, TILE_M, VF,
                             accumulate);
        }
        for (; i + 2 <= m; i += 2) {
            if (two)
                tile_product(2, 2, c + i * ldc + col, ldc, a + i * a_m, a_k, a_m, b + col, ldb, k, 2, 2 * VF,
                             accumulate);
            else
                tile_product(2, 1, c + i * ldc + col, ldc, a + i * a_m, a_k, a_m, b + col, ldb, k, 2, VF, accumulate);
        }
        if (i < m) {
            if (two)
                tile_product(1, 2, c + i * ldc + col, ldc, a + i * a_m, a_k, a_m, b + col, ldb, k, 1, 2 * VF,
                             accumulate);
            else
                tile_product(1, 1, c + i * ldc + col, ldc, a + i * a_m, a_k, a_m, b + col, ldb, k, 1, VF, accumulate);
        }
    }
}

static void tile_start(const weft_attention_task *t, tile_state *s) {
    s->width = (t->rows + VF - 1) / VF * VF;
    s->padded = (t->head_dim + VF - 1) / VF * VF;
    for (int r = 0; r < s->width; r++) {
        for (int d = 0; d < t->head_dim; d++) s->queries[d * s->width + r] = r < t->rows ? t->q[r][d] * t->scale : 0;
        s->max[r] = LEAST_SCORE;
        s->sum[r] = 0;
    }
}

/* out = values [rows][padded] / sum */
static void tile_finish(const weft_attention_task *t, const float *values, int padded, const float *max,
                        const float *sum, float unit) {
    for (int r = 0; r < t->rows; r++, values += padded) {
        vf scale = vf_set(row_finish(t, r, max[r], sum[r], unit));
        int d = 0;
        for (; d + VF <= t->head_dim; d += VF) vf_store(t->out[r] + d, vf_mul(vf_load(values + d), scale));
        if (d < t->head_dim) vf_store_n(t->out[r] + d, vf_mul(vf_load(values + d), scale), t->head_dim - d);
    }
}

/* Scores [keys][width] to probabilities relative to the running maximum. */
static void tile_softmax(tile_state *s, int keys, bool masked) {
    const vf nothing = vf_set(-__builtin_inff());
    for (int r = 0; r < s->width; r += VF) {
        float *column = s->scores + r;
        vf seen = vf_load(s->visible + r), before = vf_load(s->max + r), max = before, sum = vf_zero();
        for (int key = 0; key < keys; key++) {
            vf score = vf_load(column + key * s->width);
            if (masked) {
                score = vf_if_less(vf_set((float)key), seen, score, nothing);
                vf_store(column + key * s->width, score);
            }
            max = vf_max(max, score);
        }
        for (int key = 0; key < keys; key++) {
            vf p = v_exp_down(vf_sub(vf_load(column + key * s->width), max));
            vf_store(column + key * s->width, p);
            sum = vf_add(sum, p);
        }
        vf shrink = v_exp_down(vf_sub(before, max));
        vf_store(s->shrink + r, shrink);
        vf_store(s->sum + r, vf_fma(vf_load(s->sum + r), shrink, sum));
        vf_store(s->max + r, max);
    }
}

static void attend_tile(const weft_attention_task *t) {
    tile_state *s = t->scratch;
    int64_t visible = 0;
    tile_start(t, s);
    for (int r = 0; r < t->rows; r++) visible = t->visible[r] > visible ? t->visible[r] : visible;
    if (visible < 1) memset(s->values, 0, sizeof s->values); /* a part of which no row sees anything */
    for (int64_t first = 0; first < visible; first += PAGE) {
        int keys = visible - first < PAGE ? (int)(visible - first) : PAGE;
        int64_t stride;
        const float *rows = page_rows(t, read_page(t, 0, first / PAGE, keys), keys, false, s->page, &stride);
        product(s->scores, s->width, rows, 1, stride, s->queries, s->width, t->head_dim, keys, s->width, false);
        tile_softmax(s, keys, rows_visible(t, s->visible, s->width, first, keys));
        for (int r = 0; first > 0 && r < t->rows; r++) {
            if (s->shrink[r] == 1) continue;
            float *values = s->values + r * s->padded;
            for (int d = 0; d < s->padded; d += VF)
                vf_store(values + d, vf_mul(vf_load(values + d), vf_set(s->shrink[r])));
        }
        rows = page_rows(t, read_page(t, 1, first / PAGE, keys), keys, true, s->page, &stride);
        product(s->values, s->padded, s->scores, s->width, 1, rows, stride, keys, t->rows, s->padded, first > 0);
    }
    tile_finish(t, s->values, s->padded, s->max, s->sum, 1);
}

#ifdef HAVE_DOT2
#include "kernels/vector/attention_pairs.h"
#endif

/* ---- few rows ---- */

enum { GROUP = 4 };

typedef struct direct_state {
    float queries[GROUP * DIM_MAX]; /* [GROUP][padded], scaled; zeros past dim and past the rows */
    float values[GROUP * DIM_MAX];  /* [GROUP][padded] */
    float scores[PAGE * GROUP];     /* [key][GROUP] */
    float weights[GROUP * PAGE];    /* [GROUP][key]: probabilities, times the scale of the value */
    float max[GROUP], sum[GROUP];
    bool pairs;                         /* scores from integers: */
    int16_t rounded[GROUP * DIM_MAX];   /* [GROUP][dim] queries in 15 bits */
    float rounded_scales[GROUP];
} direct_state;

/* scores[key][GROUP] for one page. */
WEFT_INLINE void direct_scores(const weft_kv_format format, direct_state *s, const void *slab, int64_t stride, int dim,
                               int padded, int keys) {
    const float *q0 = s->queries, *q1 = q0 + padded, *q2 = q1 + padded, *q3 = q2 + padded;
    for (int key = 0; key < keys; key++) {
        vf a0 = vf_zero(), a1 = a0, a2 = a0, a3 = a0;
        int d = 0;
        for (; d + VF <= dim; d += VF) {
            vf k = kv_vector(format, slab, stride, key, d);
            a0 = vf_fma(k, vf_load(q0 + d), a0);
            a1 = vf_fma(k, vf_load(q1 + d), a1);
            a2 = vf_fma(k, vf_load(q2 + d), a2);
            a3 = vf_fma(k, vf_load(q3 + d), a3);
        }
        if (d < dim) {
            vf k = kv_vector_n(format, slab, stride, key, d, dim - d);
            a0 = vf_fma(k, vf_load(q0 + d), a0);
            a1 = vf_fma(k, vf_load(q1 + d), a1);
            a2 = vf_fma(k, vf_load(q2 + d), a2);
            a3 = vf_fma(k, vf_load(q3 + d), a3);
        }
        vf_sum4(s->scores + key * GROUP, a0, a1, a2, a3);
    }
}

#ifdef HAVE_DOT2
/* Queries of one row in 15 bits; a NaN goes into the scale, since integers would lose it. */
static void round_query(direct_state *s, int r, int dim, int padded) {
    const float *query = s->queries + r * padded;
    float max = 0, nan = 0;
    for (int d = 0; d < dim; d++) {
        max = __builtin_fabsf(query[d]) > max ? __builtin_fabsf(query[d]) : max;
        if (query[d] != query[d]) nan = query[d];
    }
    float inverse = max > 0 ? 32767.0f / max : 0;
    if (!(inverse <= 3e38f)) inverse = 0;
    s->rounded_scales[r] = max / 32767.0f + nan;
    int32_t words[VF];
    vf limit = vf_set(32767), minus_limit = vf_set(-32767), factor = vf_set(inverse);
    for (int d = 0; d < dim; d += VF) {
        vi_store(words, vi_round(vf_max(vf_min(vf_mul(vf_load(query + d), factor), limit), minus_limit)));
        for (int i = 0; i < VF; i++) s->rounded[r * dim + d + i] = (int16_t)words[i];
    }
}

/* The same as direct_scores for pages of 8 bits when dim is a multiple of 2 VF; without the scales of the keys. */
static void direct_pair_scores(direct_state *s, const void *slab, int dim, int keys) {
    const int16_t *q0 = s->rounded, *q1 = q0 + dim, *q2 = q1 + dim, *q3 = q2 + dim;
    vf scale0 = vf_set(s->rounded_scales[0]), scale1 = vf_set(s->rounded_scales[1]);
    vf scale2 = vf_set(s->rounded_scales[2]), scale3 = vf_set(s->rounded_scales[3]);
    const int8_t *row = slab;
    for (int key = 0; key < keys; key++, row += dim) {
        vi a0 = vi_set(0), a1 = a0, a2 = a0, a3 = a0;
        for (int d = 0; d < dim; d += 2 * VF) {
            vi k = vi_i8_pairs(row + d);
            a0 = vi_dot2(a0, k, vi_load(q0 + d));
            a1 = vi_dot2(a1, k, vi_load(q1 + d));
            a2 = vi_dot2(a2, k, vi_load(q2 + d));
            a3 = vi_dot2(a3, k, vi_load(q3 + d));
        }
        vf_sum4(s->scores + key * GROUP, vf_mul(vi_to_f32(a0), scale0), vf_mul(vi_to_f32(a1), scale1),
                vf_mul(vi_to_f32(a2), scale2), vf_mul(vi_to_f32(a3), scale3));
    }
}
#endif

/* One row's scores to probabilities, `seen` of `keys` being visible; returns what the earlier values shrink by. */
static float direct_softmax(direct_state *s, int r, int keys, int64_t seen, const float *key_scales,
                            const float *value_scales) {
    float *weights = s->weights + r * PAGE;
    const float nothing = -__builtin_inff();
    int whole = (keys + VF - 1) / VF * VF;
    for (int key = 0; key < whole; key++)
        weights[key] = key >= seen || key >= keys ? nothing
                       : key_scales               ? s->scores[key * GROUP + r] * key_scales[key]
                                                  : s->scores[key * GROUP + r];
    vf max = vf_set(s->max[r]), sum = vf_zero();
    for (int key = 0; key < whole; key += VF) max = vf_max(max, vf_load(weights + key));
    float largest = vf_largest(max);
    max = vf_set(largest);
    for (int key = 0; key < whole; key += VF) {
        vf p = v_exp_down(vf_sub(vf_load(weights + key), max));
        sum = vf_add(sum, p);
        vf_store(weights + key, value_scales ? vf_mul(p, vf_load(value_scales + key)) : p);
    }
    float shrink[VF];
    vf_store(shrink, v_exp_down(vf_sub(vf_set(s->max[r]), max)));
    s->sum[r] = s->sum[r] * shrink[0] + vf_sum(sum);
    s->max[r] = largest;
    return shrink[0];
}

/* values[r] = values[r] * shrink[r] + sum over keys of weights[r][key] * value[key], two vectors of all rows at a time.
 */
WEFT_INLINE void direct_values(const weft_kv_format format, direct_state *s, const float shrink[GROUP],
                               const void *slab, int64_t stride, int dim, int padded, int keys) {
    const float *w0 = s->weights, *w1 = w0 + PAGE, *w2 = w1 + PAGE, *w3 = w2 + PAGE;
    int d = 0;
    for (; d + 2 * VF <= dim; d += 2 * VF) {
        vf a0 = vf_zero(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        for (int key = 0; key < keys; key++) {
            vf v = kv_vector(format, slab, stride, key, d), u = kv_vector(format, slab, stride, key, d + VF);
            vf p0 = vf_set(w0[key]), p1 = vf_set(w1[key]), p2 = vf_set(w2[key]), p3 = vf_set(w3[key]);
            a0 = vf_fma(p0, v, a0);
            b0 = vf_fma(p0, u, b0);
            a1 = vf_fma(p1, v, a1);
            b1 = vf_fma(p1, u, b1);
            a2 = vf_fma(p2, v, a2);
            b2 = vf_fma(p2, u, b2);
            a3 = vf_fma(p3, v, a3);
            b3 = vf_fma(p3, u, b3);
        }
#define KEEP(r)                                                                                                        \
    {                                                                                                                  \
        float *row = s->values + r * padded + d;                                                                       \
        vf factor = vf_set(shrink[r]);                                                                                 \
        vf_store(row, vf_fma(vf_load(row), factor, a##r));                                                             \
        vf_store(row + VF, vf_fma(vf_load(row + VF), factor, b##r));                                                   \
    }
        KEEP(0) KEEP(1) KEEP(2) KEEP(3)
#undef KEEP
    }
    for (; d < dim; d += VF) {
        vf a0 = vf_zero(), a1 = a0, a2 = a0, a3 = a0;
        for (int key = 0; key < keys; key++) {
            vf v = dim - d < VF ? kv_vector_n(format, slab, stride, key, d, dim - d)
                                : kv_vector(format, slab, stride, key, d);
            a0 = vf_fma(vf_set(w0[key]), v, a0);
            a1 = vf_fma(vf_set(w1[key]), v, a1);
            a2 = vf_fma(vf_set(w2[key]), v, a2);
            a3 = vf_fma(vf_set(w3[key]), v, a3);
        }
#define KEEP(r)                                                                                                        \
    {                                                                                                                  \
        float *row = s->values + r * padded + d;                                                                       \
        vf_store(row, vf_fma(vf_load(row), vf_set(shrink[r]), a##r));                                                  \
    }
        KEEP(0) KEEP(1) KEEP(2) KEEP(3)
#undef KEEP
    }
}

/* Rows r0 … r0+rows-1 of the task, at most GROUP. */
WEFT_INLINE void attend_group(const weft_kv_format format, const weft_attention_task *t, int r0, int rows) {
    direct_state *s = t->scratch;
    int dim = t->head_dim, padded = (dim + VF - 1) / VF * VF;
    int64_t visible = 0, stride = format == WEFT_KV_F32 ? t->kv_stride : dim;
    memset(s, 0, sizeof *s);
    for (int r = 0; r < GROUP; r++) {
        s->max[r] = LEAST_SCORE;
        if (r >= rows) continue;
        for (int d = 0; d < dim; d++) s->queries[r * padded + d] = t->q[r0 + r][d] * t->scale;
        if (t->visible[r0 + r] > visible) visible = t->visible[r0 + r];
    }
#ifdef HAVE_DOT2
    s->pairs = format == WEFT_KV_Q8 && dim % (2 * VF) == 0;
    for (int r = 0; s->pairs && r < rows; r++) round_query(s, r, dim, padded);
#endif
    for (int64_t first = 0; first < visible; first += PAGE) {
        int keys = visible - first < PAGE ? (int)(visible - first) : PAGE;
        const void *k = read_page(t, 0, first / PAGE, keys), *v;
        float key_scales[PAGE];
        float shrink[GROUP] = {1, 1, 1, 1};
#ifdef HAVE_DOT2
        if (s->pairs)
            direct_pair_scores(s, k, dim, keys);
        else
#endif
            direct_scores(format, s, k, stride, dim, padded, keys);
        if (format == WEFT_KV_Q8) memcpy(key_scales, kv_scales(k, dim), sizeof key_scales);
        v = read_page(t, 1, first / PAGE, keys);
        for (int r = 0; r < rows; r++)
            shrink[r] = direct_softmax(s, r, keys, t->visible[r0 + r] - first,
                                       format == WEFT_KV_Q8 ? key_scales : NULL,
                                       format == WEFT_KV_Q8 ? kv_scales(v, dim) : NULL);
        direct_values(format, s, shrink, v, stride, dim, padded, keys);
    }
    for (int r = 0; r < rows; r++) {
        float scale = row_finish(t, r0 + r, s->max[r], s->sum[r], 1);
        for (int d = 0; d < dim; d++) t->out[r0 + r][d] = s->values[r * padded + d] * scale;
    }
}

static void attend_f32(const weft_attention_task *t, int r0, int rows) {
    attend_group(WEFT_KV_F32, t, r0, rows);
}
static void attend_f16(const weft_attention_task *t, int r0, int rows) {
    attend_group(WEFT_KV_F16, t, r0, rows);
}
static void attend_q8(const weft_attention_task *t, int r0, int rows) {
    attend_group(WEFT_KV_Q8, t, r0, rows);
}

static void attention(const weft_attention_task *t) {
    if (t->rows > DIRECT_ROWS_MAX) {
#ifdef HAVE_DOT2
        if (t->format != WEFT_KV_F32 && t->format != WEFT_KV_F16) {
            attend_pairs(t);
            return;
        }
#endif
        attend_tile(t);
        return;
    }
    for (int r = 0; r < t->rows; r += GROUP) {
        int rows = t->rows - r < GROUP ? t->rows - r : GROUP;
        if (t->format == WEFT_KV_F32)
            attend_f32(t, r, rows);
        else if (t->format == WEFT_KV_F16)
            attend_f16(t, r, rows);
        else
            attend_q8(t, r, rows);
    }
}

/* ---- storing ---- */

static void store_f16(uint16_t *out, const float *x, int n) {
    int i = 0;
    for (; i + VF <= n; i += VF) vf_store_f16(out + i, vf_load(x + i));
    if (i < n) {
        uint16_t halves[VF];
        vf_store_f16(halves, vf_load_n(x + i, n - i));
        memcpy(out + i, halves, (size_t)(n - i) * sizeof *out);
    }
}

static void store_q8(int8_t *out, float *scale, const float *x, int n) {
    float largest = 0;
    vf max = vf_zero();
    for (int i = 0; i < n; i += VF) max = vf_max(vf_abs(n - i < VF ? vf_load_n(x + i, n - i) : vf_load(x + i)), max);
    largest = vf_largest(max);
    float inverse = largest > 0 ? 127.0f / largest : 0;
    if (!(inverse <= 3e38f)) inverse = 0; /* as ref: the row is stored as zeros */
    vf factor = vf_set(inverse), limit = vf_set(127), minus_limit = vf_set(-127);
    int8_t bytes[VF];
    for (int i = 0; i < n; i += VF) {
        int count = n - i < VF ? n - i : VF;
        vf v = vf_mul(count < VF ? vf_load_n(x + i, count) : vf_load(x + i), factor);
        vf_store_i8(bytes, vf_max(vf_min(v, limit), minus_limit));
        memcpy(out + i, bytes, (size_t)count);
    }
    *scale = largest / 127.0f;
}

static void kv_store(void *slab, weft_kv_format format, int head_dim, int row, const float *x) {
    size_t at = (size_t)row * (size_t)head_dim;
    if (format == WEFT_KV_F32)
        memcpy((float *)slab + at, x, (size_t)head_dim * sizeof *x);
    else if (format == WEFT_KV_F16)
        store_f16((uint16_t *)slab + at, x, head_dim);
    else if (format == WEFT_KV_Q4)
        weft_kv_store_q4(slab, head_dim, row, x);
    else
        store_q8((int8_t *)slab + at, (float *)((int8_t *)slab + (size_t)PAGE * (size_t)head_dim) + row, x, head_dim);
}

void LEVEL(fill_attention)(weft_kernels *table);
void LEVEL(fill_attention)(weft_kernels *table) {
    table->kv_store = kv_store;
    table->attention = attention;
}
