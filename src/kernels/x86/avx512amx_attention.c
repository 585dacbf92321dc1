/* AMX: attention of many rows over 8-bit pages (4-bit ones are widened first), page by page with the online softmax.
 *
 * Scores are sums of bytes, S^T[key][row] = K Q^T: the rows of keys in a slab are tiles as they lie there, and neither
 * keys nor scores are rounded. Queries are rounded to 7 bits of their row's largest value where the task is coarse, else
 * to 15 bits in two terms. Values have to be turned once per page and task, O^T[dim][row] = V^T P^T in bf16: 8-bit values
 * are exact in it, and probabilities times the scales of their values are rounded to bf16, one term where the task is
 * coarse (off by at most 2^-8 of themselves), else two (2^-16). Being floating, they can stay relative to a maximum of
 * earlier pages until scores outgrow it by 2^8, so that the sums of values stay as they are in most pages. All of the
 * softmax runs down the columns, sixteen rows side by side.
 *
 * Rows go in blocks of 32. While the tile unit works on the values of the last block and the scores of the next, the
 * vector unit works on the softmax of the block between them and on the values of the next page. `turn` deals out both in
 * small pieces, so that the CPU, which looks some 500 instructions ahead, always has some of each: four tile products (64
 * cycles), then one or two pieces of 140 to 200 vector instructions (70 to 100 cycles at two a cycle).
 *
 * No memory but the task's scratch. Tiles are configured for the length of a task. */
#if defined(__x86_64__)
#include "kernels/x86/avx512.h"

#include "kernels/variants.h"
#include "kernels/vector/kv_pages.h"
#include "kernels/vector/math.h"
#include "kernels/x86/amx_tiles.h"
#include "kernels/x86/avx512_transpose.h"

enum {
    ROWS_MIN = 9, /* below, the level underneath streams keys and values as they come from memory */
    TERMS_MAX = 2,
    BLOCK_TILES = 2, /* of sixteen rows */
    COLUMNS_MAX = BLOCK_TILES * TERMS_MAX,
    STEP_KEYS = 32,  /* of a product with values: a tile of weights has 16 pairs of keys */
    PIECE_KEYS = 16, /* of weights made at a time */
    KEY_STEPS = PAGE / STEP_KEYS,
    STEP_DIMS = TILE_ROW_BYTES, /* of a product with keys */
    DIM_STEPS = DIM_MAX / STEP_DIMS,
    DIM_TILES = DIM_MAX / TILE_ROWS,
    ROW_TILES = ROWS_MAX / TILE_ROWS,
    TILE_WORDS = TILE_BYTES / 4,
    WIDE_BYTES = (PAGE + 2) * DIM_MAX, /* a widened slab */
};
_Static_assert((int)VF == (int)TILE_ROWS, "a vector is a row of a tile");

#define TERM_BASE  254.0f            /* a fine query is TERM_BASE * first term + second, both within 127 */
#define FINE_TOP   32384.0f          /* the largest of those whose first term is not rounded up to 128 */
#define COARSE_TOP 127.0f
#define GROWTH     8.0f /* how far scores, in powers of two, may outgrow the reference */

typedef struct amx_state {
    uint8_t queries[ROW_TILES][TERMS_MAX][DIM_STEPS][TILE_BYTES]; /* fours of dims [16][row] */
    float scores[2][COLUMNS_MAX][PAGE * TILE_ROWS];               /* by item: [key][row], sums of bytes, then scores */
    uint8_t weights[2][BLOCK_TILES][TERMS_MAX * KEY_STEPS][TILE_BYTES]; /* by item: pairs of keys [16][row] */
    uint8_t values[3][DIM_TILES][KEY_STEPS][TILE_BYTES];                /* by page: [dim][32 keys] */
    float sums[ROW_TILES][DIM_TILES][TILE_WORDS];                       /* [dim][row]: values, weighted */
    float key_scales[2][PAGE], value_scales[2][PAGE];                   /* by page */
    float query_scales[ROWS_MAX], reference[ROWS_MAX], total[ROWS_MAX], visible[ROWS_MAX];
    float largest[TILE_ROWS];                 /* scores of the rows at hand, without their scale */
    float scales[2][BLOCK_TILES * TILE_ROWS]; /* by item: what scores have yet to be multiplied with */
    float shrink[2][BLOCK_TILES * TILE_ROWS]; /* by item: what the sums have to be multiplied with before … */
    uint8_t wide[2][WIDE_BYTES];              /* keys and values of 4 bits, widened */
    const weft_attention_task *task;
    const int8_t *keys, *page_values; /* the slabs at hand: that of scores, and that which is being opened */
    int64_t most, least;              /* keys that some row sees, and that all rows see */
    int64_t asked[2];                 /* bytes of the slabs to come that have been asked for */
    int terms, row_tiles, blocks, dim_tiles, dim_steps;
    bool grown[2][BLOCK_TILES]; /* … if anything */
    bool masked;                /* the page of the softmax */
} amx_state;
_Static_assert(sizeof(amx_state) <= WEFT_ATTENTION_SCRATCH_BYTES, "the scratch holds the state");

/* An item is a block of rows at a page; items run through the blocks of a page before the next. */
static int64_t page_of(const amx_state *s, int64_t item) {
    return item / s->blocks;
}
static int block_tiles(const amx_state *s, int64_t item) {
    int left = s->row_tiles - (int)(item % s->blocks) * BLOCK_TILES;
    return left < BLOCK_TILES ? left : BLOCK_TILES;
}
static int page_keys(const amx_state *s, int64_t page) {
    int64_t left = s->most - page * PAGE;
    return left < PAGE ? (int)left : PAGE;
}
static int page_steps(const amx_state *s, int64_t page) {
    return (page_keys(s, page) + STEP_KEYS - 1) / STEP_KEYS;
}

/* ---- queries ---- */

/* Row r to bytes, `terms` rows of dims rounded up to whole steps. */
static void round_query(amx_state *s, int r, int8_t *out[TERMS_MAX]) {
    const weft_attention_task *t = s->task;
    float row[DIM_MAX + VF] = {0};
    int dims = s->dim_steps * STEP_DIMS;
    vf largest = vf_zero(), trace = vf_zero();
    memcpy(row, t->q[r], (size_t)t->head_dim * sizeof *row);
    for (int d = 0; d < dims; d += VF) {
        largest = vf_max(vf_abs(vf_load(row + d)), largest);
        trace = vf_fma(vf_load(row + d), vf_zero(), trace);
    }
    const float top = s->terms > 1 ? FINE_TOP : COARSE_TOP;
    float max = vf_largest(largest), inverse = max > 0 ? top / max : 0;
    if (!(inverse <= 3e38f)) inverse = 0;
    float scale = max / top * t->scale * 1.44269504088896341f;
    if (scale < 1.2e-38f) scale = 1.2e-38f; /* of -infinity it makes -infinity too */
    s->query_scales[r] = scale + vf_sum(trace); /* a NaN has to come out as one: it leaves no trace in the integers */
    vf factor = vf_set(inverse), limit = vf_set(top), minus_limit = vf_set(-top);
    for (int d = 0; d < dims; d += VF) {
        vf v = vf_round(vf_max(vf_min(vf_mul(vf_load(row + d), factor), limit), minus_limit));
        if (s->terms > 1) {
            vf first = vf_round(vf_mul(v, vf_set(1 / TERM_BASE)));
            vf_store_i8(out[1] + d, vf_fnma(first, vf_set(TERM_BASE), v));
            v = first;
        }
        vf_store_i8(out[0] + d, v);
    }
}

static void pack_queries(amx_state *s) {
    int8_t room[TERMS_MAX][TILE_ROWS][DIM_MAX];
    for (int tile = 0; tile < s->row_tiles; tile++) {
        for (int i = 0; i < TILE_ROWS; i++) {
            int r = tile * TILE_ROWS + i;
            int8_t *out[TERMS_MAX] = {room[0][i], room[1][i]};
            s->reference[r] = LEAST_SCORE;
            s->total[r] = s->query_scales[r] = 0;
            if (r < s->task->rows)
                round_query(s, r, out);
            else
                for (int term = 0; term < s->terms; term++) memset(out[term], 0, DIM_MAX);
        }
        for (int term = 0; term < s->terms; term++)
            for (int step = 0; step < s->dim_steps; step++) {
                vi v[TILE_ROWS];
#pragma GCC unroll 16
                for (int i = 0; i < TILE_ROWS; i++) v[i] = vi_load(room[term][i] + step * STEP_DIMS);
                transpose16(v);
#pragma GCC unroll 16
                for (int i = 0; i < TILE_ROWS; i++)
                    vi_store(s->queries[tile][term][step] + i * TILE_ROW_BYTES, v[i]);
            }
    }
}

/* ---- pages ---- */

static const int8_t *read_slab(amx_state *s, int which, int64_t page) {
    const weft_attention_task *t = s->task;
    const void *slab = which ? t->v_pages[page] : t->k_pages[page];
    if (weft_kv_part(t->format, which) != WEFT_KV_Q4) return slab;
    widen_q4((int8_t *)s->wide[which], slab, t->head_dim, page_keys(s, page));
    return (const int8_t *)s->wide[which];
}

/* Scales of the rows that are there, zeros for the others and, of values, for what is not finite: it must not reach rows
 * that do not see it. */
static void copy_scales(float *out, const int8_t *slab, int dim, int keys, bool finite) {
    const float *scales = kv_scales(slab, dim);
    for (int key = 0; key < PAGE; key++) {
        float scale = key < keys ? scales[key] : 0;
        out[key] = finite && !(__builtin_fabsf(scale) <= 3e38f) ? 0 : scale;
    }
}

static void start_keys(amx_state *s, int64_t page) {
    s->keys = read_slab(s, 0, page);
    copy_scales(s->key_scales[page % 2], s->keys, s->task->head_dim, page_keys(s, page), false);
}

static void start_values(amx_state *s, int64_t page) {
    s->page_values = read_slab(s, 1, page);
    copy_scales(s->value_scales[page % 2], s->page_values, s->task->head_dim, page_keys(s, page), true);
    s->asked[0] = s->asked[1] = 0;
}

/* Piece i of a page's values: sixteen dims of 32 keys, turned. What lies past a row is another's, or scales: finite as
 * bytes, and nobody takes what comes of it. Also asks for a share of the next keys and of the values after these. */
static void open_piece(amx_state *s, int64_t page, int i) {
    const weft_attention_task *t = s->task;
    int steps = page_steps(s, page), step = i % steps, tile = i / steps, dim = t->head_dim;
    const int8_t *from = s->page_values + (size_t)step * STEP_KEYS * (size_t)dim + (size_t)tile * TILE_ROWS;
    vi v[TILE_ROWS];
#pragma GCC unroll 16
    for (int j = 0; j < TILE_ROWS; j++, from += 2 * dim) {
        vi low = _mm512_castps_si512(vf_i8(from)), high = _mm512_castps_si512(vf_i8(from + dim));
        v[j] = vi_or(vi_right(low, 16), high); /* small whole numbers: lower halves are zero */
    }
    transpose16(v);
    uint8_t *to = s->values[page % 3][tile][step];
#pragma GCC unroll 16
    for (int j = 0; j < TILE_ROWS; j++) vi_store(to + j * TILE_ROW_BYTES, v[j]);

    int64_t pages = (s->most + PAGE - 1) / PAGE;
    for (int which = 0; which < 2; which++) {
        int64_t next = page + which, bytes = (int64_t)weft_kv_slab_bytes(weft_kv_part(t->format, which), dim);
        if (next >= pages) continue;
        const char *slab = which ? t->v_pages[next] : t->k_pages[next];
        int64_t until = s->asked[which] + 2 * bytes / (s->dim_tiles * KEY_STEPS);
        for (; s->asked[which] < until && s->asked[which] < bytes; s->asked[which] += 64)
            __builtin_prefetch(slab + s->asked[which], 0, 2);
    }
}

/* ---- products ---- */

/* Tiles 0 … 3 are sums, 4 and 5 keys or values, 6 and 7 queries or weights: two by two loads one tile for each product. */

/* 64 dims of 32 keys with one or two columns of queries, `below` being the second sixteen keys. */
WEFT_INLINE void score_step(const int columns, const int8_t *keys, int64_t dim, const uint8_t *q0, const uint8_t *q1) {
    const int8_t *below = keys + TILE_ROWS * dim;
    TILE_LOAD(6, q0);
    TILE_LOAD_ROWS(4, keys, dim);
    if (columns > 1) TILE_LOAD(7, q1);
    TILE_LOAD_ROWS(5, below, dim);
    TILE_DOT_I8(0, 4, 6);
    if (columns > 1) TILE_DOT_I8(1, 4, 7);
    TILE_DOT_I8(2, 5, 6);
    if (columns > 1) TILE_DOT_I8(3, 5, 7);
}

/* Pieces of an item's scores: for each 32 keys with two columns, which are two terms of the same rows or two tiles of
 * rows, all steps of the dims. */
static int score_pieces(const amx_state *s, int64_t item) {
    return (block_tiles(s, item) * s->terms + 1) / 2 * page_steps(s, page_of(s, item)) * s->dim_steps;
}

static void score_piece(amx_state *s, int64_t item, int i) {
    int step = i % s->dim_steps, steps = page_steps(s, page_of(s, item)), key = i / s->dim_steps % steps * STEP_KEYS;
    int column = i / s->dim_steps / steps * 2, next = column + 1;
    int columns = block_tiles(s, item) * s->terms - column, tile = (int)(item % s->blocks) * BLOCK_TILES;
    int64_t dim = s->task->head_dim;
    const int8_t *keys = s->keys + key * dim + step * STEP_DIMS;
    const uint8_t *q = s->queries[tile + column / s->terms][column % s->terms][step];
    if (step == 0) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    if (columns > 1)
        score_step(2, keys, dim, q, s->queries[tile + next / s->terms][next % s->terms][step]);
    else
        score_step(1, keys, dim, q, q);
    if (step < s->dim_steps - 1) return;
    float *to = s->scores[item % 2][column] + key * TILE_ROWS;
    TILE_STORE(0, to);
    TILE_STORE(2, to + TILE_WORDS);
    if (columns > 1) TILE_STORE(1, to + PAGE * TILE_ROWS);
    if (columns > 1) TILE_STORE(3, to + PAGE * TILE_ROWS + TILE_WORDS);
}

/* Two tiles of dims with two of rows over 32 keys. */
static void value_step(const uint8_t *v0, const uint8_t *v1, const uint8_t *w0, const uint8_t *w1) {
    TILE_LOAD(6, w0);
    TILE_LOAD(4, v0);
    if (w1) TILE_LOAD(7, w1);
    if (v1) TILE_LOAD(5, v1);
    TILE_DOT_BF16(0, 4, 6);
    if (w1) TILE_DOT_BF16(1, 4, 7);
    if (v1) TILE_DOT_BF16(2, 5, 6);
    if (v1 && w1) TILE_DOT_BF16(3, 5, 7);
}

/* Pieces of an item's values: for each 32 dims all its rows and, step by step, the keys of the page, which meet the second
 * terms of the weights after the first. */
static int value_pieces(const amx_state *s, int64_t item) {
    return (s->dim_tiles + 1) / 2 * s->terms * page_steps(s, page_of(s, item));
}

static void value_piece(amx_state *s, int64_t item, int i) {
    int64_t page = page_of(s, item);
    int steps = page_steps(s, page), part = i % (s->terms * steps), step = part % steps;
    int first = i / (s->terms * steps) * 2, weight = part / steps * KEY_STEPS + step;
    int tile = (int)(item % s->blocks) * BLOCK_TILES;
    bool two_rows = block_tiles(s, item) > 1, two_dims = s->dim_tiles - first > 1;
    float *c0 = s->sums[tile][first], *c1 = s->sums[tile + two_rows][first];
    if (part == 0 && page == 0) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    } else if (part == 0) {
        for (int u = 0; u <= two_rows; u++) {
            if (!s->grown[item % 2][u]) continue;
            vf shrink = vf_load(s->shrink[item % 2] + u * TILE_ROWS);
            float *sums = u ? c1 : c0;
            for (int j = 0; j < (1 + two_dims) * TILE_WORDS; j += VF) vf_store(sums + j, vf_mul(vf_load(sums + j), shrink));
        }
        TILE_LOAD(0, c0);
        if (two_rows) TILE_LOAD(1, c1);
        if (two_dims) TILE_LOAD(2, c0 + TILE_WORDS);
        if (two_dims && two_rows) TILE_LOAD(3, c1 + TILE_WORDS);
    }
    value_step(s->values[page % 3][first][step], two_dims ? s->values[page % 3][first + 1][step] : NULL,
               s->weights[item % 2][0][weight], two_rows ? s->weights[item % 2][1][weight] : NULL);
    if (part < s->terms * steps - 1) return;
    TILE_STORE(0, c0);
    if (two_rows) TILE_STORE(1, c1);
    if (two_dims) TILE_STORE(2, c0 + TILE_WORDS);
    if (two_dims && two_rows) TILE_STORE(3, c1 + TILE_WORDS);
}

/* ---- softmax ---- */

/* Sums of bytes to scores in place, 32 keys from `first` on, without the scale of the row; the largest of each row. */
WEFT_INLINE void softmax_scores(const int terms, const bool masked, amx_state *s, int64_t item, int u, int first) {
    const vf nothing = vf_set(-__builtin_inff());
    int row = ((int)(item % s->blocks) * BLOCK_TILES + u) * TILE_ROWS;
    float *at = s->scores[item % 2][u * terms] + first * TILE_ROWS;
    const float *key_scales = s->key_scales[page_of(s, item) % 2];
    vf seen = vf_load(s->visible + row), max0 = first ? vf_load(s->largest) : nothing, max1 = nothing;
    for (int key = first; key < first + STEP_KEYS; key += 2, at += 2 * VF) {
        vf a = vi_to_f32(vi_load(at)), b = vi_to_f32(vi_load(at + VF));
        if (terms > 1) {
            a = vf_fma(a, vf_set(TERM_BASE), vi_to_f32(vi_load(at + PAGE * TILE_ROWS)));
            b = vf_fma(b, vf_set(TERM_BASE), vi_to_f32(vi_load(at + PAGE * TILE_ROWS + VF)));
        }
        a = vf_mul(a, vf_set(key_scales[key]));
        b = vf_mul(b, vf_set(key_scales[key + 1]));
        if (masked) {
            a = vf_if_less(vf_set((float)key), seen, a, nothing);
            b = vf_if_less(vf_set((float)(key + 1)), seen, b, nothing);
        }
        vf_store(at, a);
        vf_store(at + VF, b);
        max0 = vf_max(a, max0); /* a NaN is no maximum, but makes its own row's total one */
        max1 = vf_max(b, max1);
    }
    vf_store(s->largest, vf_max(max0, max1));
}

/* With the largest of all keys at hand: the reference follows where scores have outgrown it. */
static void softmax_reference(amx_state *s, int64_t item, int u, int keys) {
    int row = ((int)(item % s->blocks) * BLOCK_TILES + u) * TILE_ROWS;
    vf before = vf_load(s->reference + row), scale = vf_load(s->query_scales + row);
    vf max = vf_max(vf_mul(vf_load(s->largest), scale), vf_set(LEAST_SCORE)); /* finite where nothing is seen */
    bool grown = s->grown[item % 2][u] = vf_largest(vf_sub(max, before)) > GROWTH;
    if (grown) max = vf_if_less(vf_add(before, vf_set(GROWTH)), max, max, before); /* a row's numbers are its own */
    if (!grown) max = before;
    if (vf_largest(vf_abs(max)) > FUSED_SCORE_MAX)
        scale = round_huge_scores(s->scores[item % 2][u * s->terms], TILE_ROWS, keys, scale, max);
    vf_store(s->scales[item % 2] + u * TILE_ROWS, scale);
    if (!grown) return;
    vf shrink = v_exp2_down(vf_sub(before, max));
    vf_store(s->shrink[item % 2] + u * TILE_ROWS, shrink);
    vf_store(s->reference + row, max);
    vf_store(s->total + row, vf_mul(vf_load(s->total + row), shrink));
}

/* 2^x; of what lies below 2^-100 no more than that is made, so that no product is subnormal. Terms of degree 3 (off by
 * 9e-5 of the value, a fortieth of what rounding to one term of bf16 adds) or 4. */
WEFT_INLINE vf weight_exp2(const int terms, vf x) {
    x = vf_max(vf_set(-100), x);
    if (terms > 1) return v_exp2_down(x);
    vf f = vf_fraction(x);
    vf p = vf_fma(vf_set(0.07706717401742935f), f, vf_set(0.22764484584331512f));
    p = vf_fma(p, f, vf_set(0.6951168179512024f));
    return vf_scale2_floor(vf_fma(p, f, vf_set(1)), x);
}

/* The bits of v, to which half a unit of bf16 is added: the upper half is v rounded. A NaN may lose itself here, but not
 * in the row's total. */
WEFT_INLINE vi rounded_bits(vf v) {
    return _mm512_add_epi32(_mm512_castps_si512(v), vi_set(0x8000));
}
WEFT_INLINE vi upper_half(vi v) {
    return vi_and(v, vi_set((int)0xFFFF0000));
}

/* Scores to weights: sixteen keys from `start` on, pairs of neighbours, half a tile for each term. */
WEFT_INLINE void softmax_weights(const int terms, const bool masked, amx_state *s, int64_t item, int u, int start) {
    int row = ((int)(item % s->blocks) * BLOCK_TILES + u) * TILE_ROWS;
    const float *column = s->scores[item % 2][u * terms] + start * TILE_ROWS;
    const float *value_scales = s->value_scales[page_of(s, item) % 2] + start;
    uint8_t *first = s->weights[item % 2][u][start / STEP_KEYS] + start % STEP_KEYS / 2 * TILE_ROW_BYTES;
    uint8_t *second = first + KEY_STEPS * TILE_BYTES;
    vf scale = vf_load(s->scales[item % 2] + u * TILE_ROWS), below = vf_sub(vf_zero(), vf_load(s->reference + row));
    vf total0 = vf_load(s->total + row), total1 = vf_zero(), seen = vf_load(s->visible + row);
#pragma GCC unroll 2
    for (int key = 0; key < PIECE_KEYS; key += 2, first += TILE_ROW_BYTES, second += TILE_ROW_BYTES) {
        vf p = weight_exp2(terms, vf_fma(vf_load(column + key * TILE_ROWS), scale, below));
        vf q = weight_exp2(terms, vf_fma(vf_load(column + (key + 1) * TILE_ROWS), scale, below));
        if (masked) {
            int at = start + key;
            p = vf_if_less(vf_set((float)at), seen, p, vf_zero());
            q = vf_if_less(vf_set((float)(at + 1)), seen, q, vf_zero());
        }
        total0 = vf_add(total0, p);
        total1 = vf_add(total1, q);
        p = vf_mul(p, vf_set(value_scales[key]));
        q = vf_mul(q, vf_set(value_scales[key + 1]));
        vi low = rounded_bits(p), high = upper_half(rounded_bits(q));
        vi_store(first, vi_or(vi_right(low, 16), high));
        if (terms < 2) continue;
        p = vf_sub(p, _mm512_castsi512_ps(upper_half(low)));
        q = vf_sub(q, _mm512_castsi512_ps(high));
        vi_store(second, vi_or(vi_right(rounded_bits(p), 16), upper_half(rounded_bits(q))));
    }
    vf_store(s->total + row, vf_add(total0, total1));
}

/* Pieces of an item's softmax: for each tile of rows the scores, then the weights. */
static int softmax_pieces(const amx_state *s, int64_t item) {
    return block_tiles(s, item) * page_steps(s, page_of(s, item)) * (1 + STEP_KEYS / PIECE_KEYS);
}

WEFT_INLINE void any_softmax_piece(const int terms, const bool masked, amx_state *s, int64_t item, int i) {
    int steps = page_steps(s, page_of(s, item)), pieces = steps * (1 + STEP_KEYS / PIECE_KEYS);
    int u = i / pieces, piece = i % pieces;
    if (piece < steps)
        softmax_scores(terms, masked, s, item, u, piece * STEP_KEYS);
    else
        softmax_weights(terms, masked, s, item, u, (piece - steps) * PIECE_KEYS);
    if (piece == steps - 1) softmax_reference(s, item, u, steps * STEP_KEYS);
}

static void softmax_piece(amx_state *s, int64_t item, int i) {
    if (s->terms > 1 && s->masked)
        any_softmax_piece(2, true, s, item, i);
    else if (s->terms > 1)
        any_softmax_piece(2, false, s, item, i);
    else if (s->masked)
        any_softmax_piece(1, true, s, item, i);
    else
        any_softmax_piece(1, false, s, item, i);
}

/* ---- the task ---- */

/* Item `now` through the softmax, that before it through the product with values, that after it through its scores, and
 * a share of the values of the page after that of `now`; now = -1 … items. */
static void turn(amx_state *s, int64_t now, int64_t items) {
    bool softmax = now >= 0 && now < items;
    int64_t page = now < 0 ? -1 : page_of(s, now), block = now < 0 ? 0 : now % s->blocks;
    int shares = now < 0 ? 1 : s->blocks, opened = 0, open_until = 0;
    int64_t keys = s->most - (page + 1) * PAGE;
    if (now + 1 < items && (now + 1) % s->blocks == 0) start_keys(s, page_of(s, now + 1));
    if (keys > 0) {
        if (block == 0) start_values(s, page + 1);
        int pieces = s->dim_tiles * page_steps(s, page + 1);
        opened = (int)(pieces * block / shares);
        open_until = (int)(pieces * (block + 1) / shares);
    }
    if (softmax && block == 0) {
        s->masked = s->least < (page + 1) * PAGE;
        if (s->masked) rows_visible(s->task, s->visible, s->row_tiles * TILE_ROWS, page * PAGE, page_keys(s, page));
    }
    int values = now > 0 ? value_pieces(s, now - 1) : 0, scores = now + 1 < items ? score_pieces(s, now + 1) : 0;
    int weights = softmax ? softmax_pieces(s, now) : 0;
    int tile_pieces = values + scores, vector_pieces = weights + open_until - opened, done = 0;
    for (int i = 0; i <= vector_pieces; i++) {
        for (; done < tile_pieces && (done * vector_pieces <= i * tile_pieces || i == vector_pieces); done++) {
            if (done < values)
                value_piece(s, now - 1, done);
            else
                score_piece(s, now + 1, done - values);
        }
        if (i < weights)
            softmax_piece(s, now, i);
        else if (i < vector_pieces)
            open_piece(s, page + 1, opened + i - weights);
    }
}

/* out = the sums, turned back, over their totals. */
static void write_out(amx_state *s) {
    const weft_attention_task *t = s->task;
    for (int tile = 0; tile < s->row_tiles; tile++) {
        float factors[TILE_ROWS];
        int first = tile * TILE_ROWS, rows = t->rows - first < TILE_ROWS ? t->rows - first : TILE_ROWS;
        for (int r = 0; r < rows; r++)
            factors[r] = row_finish(t, first + r, s->reference[first + r], s->total[first + r], 0.693147180559945309f);
        for (int d = 0; d < t->head_dim; d += VF) {
            vi v[TILE_ROWS];
            const float *sums = s->sums[tile][d / VF];
#pragma GCC unroll 16
            for (int j = 0; j < TILE_ROWS; j++) v[j] = vi_load(sums + j * VF);
            transpose16(v);
#pragma GCC unroll 16
            for (int j = 0; j < TILE_ROWS; j++) vi_store((float *)sums + j * VF, v[j]);
            for (int r = 0; r < rows; r++) {
                vf row = vf_mul(vf_load(sums + r * VF), vf_set(factors[r]));
                if (t->head_dim - d < VF)
                    vf_store_n(t->out[first + r] + d, row, t->head_dim - d);
                else
                    vf_store(t->out[first + r] + d, row);
            }
        }
    }
}

static void attend(const weft_attention_task *t) {
    amx_state *s = t->scratch;
    s->task = t;
    s->terms = t->coarse ? 1 : 2;
    s->row_tiles = (t->rows + TILE_ROWS - 1) / TILE_ROWS;
    s->blocks = (s->row_tiles + BLOCK_TILES - 1) / BLOCK_TILES;
    s->dim_tiles = (t->head_dim + TILE_ROWS - 1) / TILE_ROWS;
    s->dim_steps = (t->head_dim + STEP_DIMS - 1) / STEP_DIMS;
    s->most = s->least = t->visible[0];
    for (int r = 1; r < t->rows; r++) {
        if (t->visible[r] > s->most) s->most = t->visible[r];
        if (t->visible[r] < s->least) s->least = t->visible[r];
    }
    pack_queries(s);
    if (s->most < 1) memset(s->sums, 0, sizeof s->sums); /* a part of which no row sees anything */
    int64_t items = s->most < 1 ? 0 : (s->most + PAGE - 1) / PAGE * s->blocks;
    tiles_configure();
    for (int64_t now = -1; items > 0 && now <= items; now++) turn(s, now, items);
    tiles_release();
    write_out(s);
}

static void (*few_rows)(const weft_attention_task *); /* of the level below; set before any kernel can be reached */

static void attention(const weft_attention_task *t) {
    if (t->rows < ROWS_MIN || t->format == WEFT_KV_F32 || t->format == WEFT_KV_F16)
        few_rows(t);
    else
        attend(t);
}

void weft_amx_fill_attention(weft_kernels *table);
void weft_amx_fill_attention(weft_kernels *table) {
    few_rows = table->attention;
    table->attention = attention;
}
#endif
