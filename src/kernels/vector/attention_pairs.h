/* Attention of many rows over 8-bit pages, in integers: products of 16-bit pairs, twice as fast as f32 where a level
 * has them, or of bytes in fours where a level has those and the task is coarse. Part of attention.h.
 *
 * Like the f32 tile it goes page by page and keeps scores as [key][row]. A pair holds values i and i + half of a row of
 * keys or queries, or the values of two neighbouring keys; then one product adds two terms of the sum.
 *
 * Rounding. Queries are rounded to 15 bits of their row's maximum (7 bits for products of bytes); keys and
 * values enter as stored. Probabilities, times the scales of their values, are rounded to 15 bits of the largest of
 * their row in their page. No sum leaves 31 bits: 127 * 32767 * 256 for a score, 127 * 32767 * 128 for values.
 *
 * Where the task allows it (coarse_weights) and there are products of bytes, probabilities are bytes too, in fours of neighbouring
 * keys. A fixed threshold would drop all that are below 1/510 of the largest, which together may be much: each key has a threshold of its own, spread evenly
 * over the step (ordered dither, as of printed greys), so that what many small ones weigh stays right on average. */

enum { HALF_MAX = DIM_MAX / 2 };

typedef struct pairs_state {
    int32_t queries[HALF_MAX * ROWS_MAX];      /* [half][width] pairs, or [dim / 4][width] fours of biased bytes */
    float scores[PAGE * ROWS_MAX];             /* [key][width]; then pairs of weights [key / 2][width] */
    int32_t page[PAGE * HALF_MAX];             /* keys [key][half], or values [key / 2][padded], as pairs */
    float values[ROWS_MAX * DIM_MAX];          /* [rows][padded] */
    float key_scales[PAGE], value_scales[PAGE], weight_scales[PAGE], dither[PAGE];
    int32_t key_starts[PAGE];                  /* what sums of scores start from: less what the bias of queries adds */
    float query_scales[ROWS_MAX], visible[ROWS_MAX], max[ROWS_MAX], sum[ROWS_MAX], shrink[ROWS_MAX], gain[ROWS_MAX];
    int width, half, padded;
    bool bytes;                                /* scores by products of bytes, keys read in place */
    bool byte_weights;                         /* values by products of bytes: weights and values in fours of keys */
} pairs_state;
_Static_assert(sizeof(pairs_state) <= STATE_BYTES, "the scratch holds the state of a tile");

/* ---- products ---- */

/* sums[rows][nv vectors] = START(i) + sum over k of a[i * a_m + k * a_k] . b[k * ldb + …], then STORE(i). */
#define PAIR_TILE(START, DOT, STORE)                                                                                          \
    vi b0, b1;                                                                                                         \
    EACH_TILE_ROW(START)                                                                                        \
    for (; k > 0; k--, a += a_k, b += ldb) {                                                                           \
        b0 = vi_load(b);                                                                                               \
        b1 = nv > 1 ? vi_load(b + VF) : b0;                                                                            \
        EACH_TILE_ROW(DOT)                                                                                             \
    }                                                                                                                  \
    EACH_TILE_ROW(STORE)
#define FROM_ZERO(i) vi c##i##_0 = vi_set(0), c##i##_1 = c##i##_0;
#define PAIR_DOT(i)                                                                                                    \
    if (rows > i) {                                                                                                    \
        vi factor = vi_spread(a + i * a_m);                                                                            \
        c##i##_0 = vi_dot2(c##i##_0, factor, b0);                                                                      \
        if (nv > 1) c##i##_1 = vi_dot2(c##i##_1, factor, b1);                                                          \
    }

#ifdef HAVE_DOT4
#define SCORE_DOT(i)                                                                                                   \
    if (rows > i) {                                                                                                    \
        vi factor = vi_spread(a + i * a_m);                                                                            \
        c##i##_0 = bytes ? vi_dot4(c##i##_0, b0, factor) : vi_dot2(c##i##_0, factor, b0);                              \
        if (nv > 1) c##i##_1 = bytes ? vi_dot4(c##i##_1, b1, factor) : vi_dot2(c##i##_1, factor, b1);                  \
    }
#else
#define SCORE_DOT PAIR_DOT
#endif

/* scores[i][…] = sum * key_scale[i], without the scales of the queries */
WEFT_INLINE void score_tile(const bool bytes, const int rows, const int nv, float *scores, int64_t ldc,
                            const int32_t *a, int64_t a_m, const int32_t *b, int64_t ldb, int64_t k,
                            const float *key_scales, const int32_t *starts) {
    const int64_t a_k = 1;
    (void)bytes;
#define STORE(i)                                                                                                       \
    if (rows > i) {                                                                                                    \
        vf scale = vf_set(key_scales[i]);                                                                              \
        vf_store(scores + i * ldc, vf_mul(vi_to_f32(c##i##_0), scale));                                                \
        if (nv > 1) vf_store(scores + i * ldc + VF, vf_mul(vi_to_f32(c##i##_1), scale));                               \
    }
#define FROM_START(i) vi c##i##_0 = rows > i ? vi_spread(starts + i) : vi_set(0), c##i##_1 = c##i##_0;
    PAIR_TILE(FROM_START, SCORE_DOT, STORE)
#undef FROM_START
#undef STORE
}

#ifdef HAVE_DOT4
#define VALUE_DOT(i)                                                                                                   \
    if (rows > i) {                                                                                                    \
        vi factor = vi_spread(a + i * a_m);                                                                            \
        c##i##_0 = bytes ? vi_dot4(c##i##_0, factor, b0) : vi_dot2(c##i##_0, factor, b0);                              \
        if (nv > 1) c##i##_1 = bytes ? vi_dot4(c##i##_1, factor, b1) : vi_dot2(c##i##_1, factor, b1);                  \
    }
#else
#define VALUE_DOT PAIR_DOT
#endif

/* values[i][…] = values[i][…] * shrink[i] + sum * gain[i] */
WEFT_INLINE void value_tile(const bool bytes, const int rows, const int nv, float *values, int64_t ldc, const int32_t *a, int64_t a_k,
                            int64_t a_m, const int32_t *b, int64_t ldb, int64_t k, const float *shrink,
                            const float *gain) {
#define STORE(i)                                                                                                       \
    if (rows > i) {                                                                                                    \
        vf keep = vf_set(shrink[i]), factor = vf_set(gain[i]);                                                         \
        float *row = values + i * ldc;                                                                                 \
        vf_store(row, vf_fma(vi_to_f32(c##i##_0), factor, vf_mul(vf_load(row), keep)));                                \
        if (nv > 1) vf_store(row + VF, vf_fma(vi_to_f32(c##i##_1), factor, vf_mul(vf_load(row + VF), keep)));          \
    }
    (void)bytes;
    PAIR_TILE(FROM_ZERO, VALUE_DOT, STORE)
#undef STORE
}

/* Calls TILE(height, i) for blocks of rows i … of m, tallest first. */
#define ROW_BLOCKS(m, TILE)                                                                                            \
    for (int i = 0; i < (m);) {                                                                                        \
        int step = 0;                                                                                                  \
        EACH_GEMM_ROWS(ROW_BLOCK_HEIGHT)                                                                               \
        switch (step) { EACH_GEMM_ROWS(TILE) }                                                                         \
        i += step;                                                                                                     \
    }
#define ROW_BLOCK_HEIGHT(height)                                                                                       \
    if (m - i >= height) step = height;

/* Scores of m keys, rows of `length` words. */
WEFT_INLINE void page_scores(const bool bytes, pairs_state *s, const int32_t *keys, int64_t length, int m) {
    int64_t width = s->width;
#define TILE(height)                                                                                                   \
    case height:                                                                                                       \
        for (int col = 0; col < width; col += 2 * VF) {                                                                \
            if (width - col >= 2 * VF)                                                                                 \
                score_tile(bytes, height, 2, s->scores + i * width + col, width, keys + i * length, length,            \
                           s->queries + col, width, length, s->key_scales + i, s->key_starts + i);                     \
            else                                                                                                       \
                score_tile(bytes, height, 1, s->scores + i * width + col, width, keys + i * length, length,            \
                           s->queries + col, width, length, s->key_scales + i, s->key_starts + i);                     \
        }                                                                                                              \
        break;
    ROW_BLOCKS(m, TILE)
#undef TILE
}

static void pair_scores(pairs_state *s, int m) {
    page_scores(false, s, s->page, s->half, m);
}

#ifdef HAVE_DOT4
static void byte_scores(const weft_attention_task *t, pairs_state *s, const void *slab, int m) {
    page_scores(true, s, slab, t->head_dim / 4, m);
}
#endif

WEFT_INLINE void page_values(const bool bytes, pairs_state *s, int m, int steps) {
    int64_t width = s->width, padded = s->padded;
    const int32_t *weights = (const int32_t *)s->scores;
    for (int col = 0; col < padded; col += 2 * VF) {
#define TILE(height)                                                                                                   \
    case height:                                                                                                       \
        if (padded - col >= 2 * VF)                                                                                    \
            value_tile(bytes, height, 2, s->values + i * padded + col, padded, weights + i, width, 1, s->page + col, padded,  \
                       steps, s->shrink + i, s->gain + i);                                                             \
        else                                                                                                           \
            value_tile(bytes, height, 1, s->values + i * padded + col, padded, weights + i, width, 1, s->page + col, padded,  \
                       steps, s->shrink + i, s->gain + i);                                                             \
        break;
        ROW_BLOCKS(m, TILE)
#undef TILE
    }
}

/* What m rows of weights take from the page, `keys` keys of it. */
static void add_values(pairs_state *s, int m, int keys) {
#ifdef HAVE_DOT4
    if (s->byte_weights) {
        page_values(true, s, m, (keys + 3) / 4);
        return;
    }
#endif
    page_values(false, s, m, (keys + 1) / 2);
}

/* ---- rows to pairs ---- */

WEFT_INLINE vi pair_of(vi low, vi high) {
    return vi_or(vi_and(low, vi_set(0xFFFF)), vi_left(high, 16));
}

#ifdef HAVE_DOT4
/* Lowest bytes of four vectors, whose other bytes are zero. */
WEFT_INLINE vi four_of(vi a, vi b, vi c, vi d) {
    return vi_or(vi_or(a, vi_left(b, 8)), vi_or(vi_left(c, 16), vi_left(d, 24)));
}
#endif

/* Row `key` of a slab as int8 with zeros up to `length` values, and its scale. In place when nothing is to be added. */
WEFT_INLINE const int8_t *page_bytes(const weft_attention_task *t, const void *slab, int key, int length, int8_t *room,
                                     float *scale) {
    const int8_t *row = (const int8_t *)slab + (size_t)key * (size_t)t->head_dim;
    *scale = kv_scales(slab, t->head_dim)[key];
    if (length == t->head_dim) return row;
    memcpy(room, row, (size_t)t->head_dim);
    return room;
}

#ifdef HAVE_DOT4
/* Queries are stored as value + 128, so every score comes out 128 times the sum of its key too large. */
static void byte_keys(const weft_attention_task *t, pairs_state *s, const void *slab, int keys) {
    const vi bias = vi_set((int)0x80808080u);
    int dim = t->head_dim;
    memcpy(s->key_scales, kv_scales(slab, dim), (size_t)keys * sizeof(float));
    for (int key = 0; key < keys; key += 4) { /* rows past the last key are there, whatever they hold */
        const int8_t *row = (const int8_t *)slab + (size_t)key * (size_t)dim;
        vi a0 = vi_set(0), a1 = a0, a2 = a0, a3 = a0;
        for (int d = 0; d < dim; d += 4 * VF, row += 4 * VF) {
            a0 = vi_dot4(a0, bias, vi_load(row));
            a1 = vi_dot4(a1, bias, vi_load(row + dim));
            a2 = vi_dot4(a2, bias, vi_load(row + 2 * dim));
            a3 = vi_dot4(a3, bias, vi_load(row + 3 * dim));
        }
        float sums[4];
        vf_sum4(sums, vi_to_f32(a0), vi_to_f32(a1), vi_to_f32(a2), vi_to_f32(a3));
        for (int i = 0; i < 4; i++) s->key_starts[key + i] = -(int32_t)sums[i];
    }
}
#endif

static void pair_keys(const weft_attention_task *t, pairs_state *s, const void *slab, int keys) {
    int8_t room[2 * DIM_MAX] = {0};
    for (int key = 0; key < keys; key++) {
        const int8_t *row = page_bytes(t, slab, key, 2 * s->half, room, &s->key_scales[key]);
        int32_t *out = s->page + key * s->half;
        for (int d = 0; d < s->half; d += VF) vi_store(out + d, pair_of(vi_i8(row + d), vi_i8(row + s->half + d)));
    }
}

/* weight_scales: what makes `top` of the largest scale of a value. Returns the factor that undoes it. A value whose scale is not
 * finite counts as zero, so that it cannot reach rows that do not see it. */
static float scale_weights(pairs_state *s, int keys, float top) {
    float largest = 0;
    for (int key = 0; key < keys; key++) {
        float scale = s->value_scales[key];
        if (scale > largest && scale <= 3e38f) largest = scale;
    }
    float inverse = largest > 1e-30f ? top / largest : 0;
    for (int key = 0; key < keys; key++) {
        float scale = s->value_scales[key];
        s->weight_scales[key] = scale <= largest ? scale * inverse : 0;
    }
    return largest / top;
}

enum { WEIGHT_TOP = 32767, BYTE_WEIGHT_TOP = 254 }; /* a byte may be rounded up by less than one */

static float pair_page_values(const weft_attention_task *t, pairs_state *s, const void *slab, int keys) {
    int8_t room[2][2 * DIM_MAX] = {{0}}, nothing[DIM_MAX + VF] = {0};
    for (int key = 0; key < keys; key += 2) {
        const int8_t *low = page_bytes(t, slab, key, s->padded, room[0], &s->value_scales[key]), *high = nothing;
        if (key + 1 < keys) high = page_bytes(t, slab, key + 1, s->padded, room[1], &s->value_scales[key + 1]);
        int32_t *out = s->page + key / 2 * s->padded;
        for (int d = 0; d < s->padded; d += VF) vi_store(out + d, pair_of(vi_i8(low + d), vi_i8(high + d)));
    }
    return scale_weights(s, keys, WEIGHT_TOP);
}

#ifdef HAVE_DOT4
static float byte_page_values(const weft_attention_task *t, pairs_state *s, const void *slab, int keys) {
    int8_t room[4][2 * DIM_MAX] = {{0}}, nothing[DIM_MAX + VF] = {0};
    for (int key = 0; key < keys; key += 4) {
        const int8_t *row[4] = {nothing, nothing, nothing, nothing};
        for (int i = 0; i < 4 && key + i < keys; i++)
            row[i] = page_bytes(t, slab, key + i, s->padded, room[i], &s->value_scales[key + i]);
        int32_t *out = s->page + key / 4 * s->padded;
        for (int d = 0; d < s->padded; d += VF)
            vi_store(out + d, four_of(vi_u8(row[0] + d), vi_u8(row[1] + d), vi_u8(row[2] + d), vi_u8(row[3] + d)));
    }
    return scale_weights(s, keys, BYTE_WEIGHT_TOP);
}
#endif

/* ---- softmax ---- */

/* Two weights, integers of 15 bits, as a pair. */
WEFT_INLINE vi weight_pair(vf low, vf high) {
    return vi_or(vi_round(low), vi_left(vi_round(high), 16));
}

/* Probabilities at `score` and the rows of keys after it, to weights. Adds them to *sum. */
#define PROBABILITY(i) v_exp2_down(vf_fma(vf_load(score + (i) * width), scale, below))
WEFT_INLINE void pair_weights(pairs_state *s, int32_t *weights, const float *score, int64_t width, int keys, vf scale, vf below, vf *sum) {
    int key = 0;
    for (; key + 2 <= keys; key += 2, score += 2 * width) {
        vf p0 = PROBABILITY(0), p1 = PROBABILITY(1);
        *sum = vf_add(*sum, vf_add(p0, p1));
        vi_store(weights + key / 2 * width, weight_pair(vf_mul(p0, vf_set(s->weight_scales[key])),
                                                        vf_mul(p1, vf_set(s->weight_scales[key + 1]))));
    }
    if (key < keys) {
        vf p = PROBABILITY(0);
        *sum = vf_add(*sum, p);
        vi_store(weights + key / 2 * width, vi_round(vf_mul(p, vf_set(s->weight_scales[key]))));
    }
}

#ifdef HAVE_DOT4
WEFT_INLINE vi byte_weight(const pairs_state *s, vf probability, int key) {
    return vi_round(vf_fma(probability, vf_set(s->weight_scales[key]), vf_set(s->dither[key])));
}

WEFT_INLINE void byte_weights(pairs_state *s, int32_t *weights, const float *score, int64_t width, int keys, vf scale, vf below, vf *sum) {
    int key = 0;
    for (; key + 4 <= keys; key += 4, score += 4 * width) {
        vf p0 = PROBABILITY(0), p1 = PROBABILITY(1), p2 = PROBABILITY(2), p3 = PROBABILITY(3);
        *sum = vf_add(*sum, vf_add(vf_add(p0, p1), vf_add(p2, p3)));
        vi_store(weights + key / 4 * width, four_of(byte_weight(s, p0, key), byte_weight(s, p1, key + 1),
                                                    byte_weight(s, p2, key + 2), byte_weight(s, p3, key + 3)));
    }
    if (key == keys) return;
    vi last[4] = {vi_set(0), vi_set(0), vi_set(0), vi_set(0)};
    for (int i = 0; key + i < keys; i++) {
        vf p = PROBABILITY(i);
        *sum = vf_add(*sum, p);
        last[i] = byte_weight(s, p, key + i);
    }
    vi_store(weights + key / 4 * width, four_of(last[0], last[1], last[2], last[3]));
}

/* The number of each key with its bits reversed: neighbours are far apart, and every part of the step has as many. */
static void spread_dither(pairs_state *s) {
    for (int key = 0; key < PAGE; key++) {
        int reversed = 0;
        for (int bit = 1; bit < PAGE; bit *= 2) reversed = 2 * reversed + !!(key & bit);
        s->dither[key] = ((float)reversed + 0.5f) / PAGE - 0.5f; /* nothing stays nothing: it is less than a half */
    }
}
#endif

/* Scores [keys][width] to integer weights, relative to the maximum of the page; keeps the running maximum and
 * sum. `factor` is what one unit of a weight stands for. */
static void pair_softmax(pairs_state *s, int keys, bool masked, float factor) {
    const vf nothing = vf_set(-__builtin_inff());
    int width = s->width;
    for (int r = 0; r < width; r += VF) {
        float *column = s->scores + r;
        int32_t *weights = (int32_t *)s->scores + r; /* pair or four i takes the place of row i, which has been read by then */
        vf seen = vf_load(s->visible + r), before = vf_load(s->max + r), largest = nothing, sum = vf_zero();
        vf scale = vf_load(s->query_scales + r);
        for (int key = 0; key < keys; key++) { /* a NaN is no maximum, but makes its own row's sum one */
            vf score = vf_load(column + key * width);
            if (masked) {
                score = vf_if_less(vf_set((float)key), seen, score, nothing);
                vf_store(column + key * width, score);
            }
            largest = vf_max(score, largest);
        }
        vf max = vf_max(vf_mul(largest, scale), vf_set(LEAST_SCORE)); /* finite where nothing is seen */
        if (vf_largest(vf_abs(max)) > FUSED_SCORE_MAX) scale = round_huge_scores(column, width, keys, scale, max);
        const vf below = vf_sub(vf_zero(), max);
#ifdef HAVE_DOT4
        if (s->byte_weights)
            byte_weights(s, weights, column, width, keys, scale, below, &sum);
        else
#endif
            pair_weights(s, weights, column, width, keys, scale, below, &sum);
        vf all = vf_max(before, max), shrink = v_exp2_down(vf_sub(before, all)), gain = v_exp2_down(vf_sub(max, all));
        vf_store(s->shrink + r, shrink);
        vf_store(s->gain + r, vf_mul(gain, vf_set(factor)));
        vf_store(s->sum + r, vf_fma(vf_load(s->sum + r), shrink, vf_mul(sum, gain)));
        vf_store(s->max + r, all);
    }
}

#undef PROBABILITY

/* ---- the tile ---- */

/* Row r of the queries, times the scale of scores in powers of two, rounded. */
static void pair_query(const weft_attention_task *t, pairs_state *s, int r) {
    float row[2 * HALF_MAX + 2 * VF] = {0};
    int32_t rounded[2 * HALF_MAX + 2 * VF];
    vf largest = vf_zero(), trace = vf_zero();
    memcpy(row, t->q[r], (size_t)t->head_dim * sizeof *row);
    for (int d = 0; d < 2 * s->half; d += VF) {
        largest = vf_max(vf_abs(vf_load(row + d)), largest);
        trace = vf_fma(vf_load(row + d), vf_zero(), trace);
    }
    const float top = s->bytes ? 127.0f : 32767.0f;
    float max = vf_largest(largest), inverse = max > 0 ? top / max : 0;
    if (!(inverse <= 3e38f)) inverse = 0;
    s->query_scales[r] = max / top * t->scale * 1.44269504088896341f;
    if (s->query_scales[r] < 1.2e-38f) s->query_scales[r] = 1.2e-38f; /* of -infinity it makes -infinity too */
    s->query_scales[r] += vf_sum(trace); /* a NaN has to come out as one: it leaves no trace in the integers */
    vf factor = vf_set(inverse), limit = vf_set(top), minus_limit = vf_set(-top);
    for (int d = 0; d < 2 * s->half; d += VF)
        vi_store(rounded + d, vi_round(vf_max(vf_min(vf_mul(vf_load(row + d), factor), limit), minus_limit)));
    for (int d = 0; s->bytes && d < t->head_dim; d += 4) {
        uint32_t word = 0;
        for (int i = 0; i < 4; i++) word |= (uint32_t)(uint8_t)(rounded[d + i] + 128) << (8 * i);
        s->queries[d / 4 * s->width + r] = (int32_t)word;
    }
    for (int d = 0; !s->bytes && d < s->half; d++)
        s->queries[d * s->width + r] = (rounded[d] & 0xFFFF) | (int32_t)((uint32_t)rounded[d + s->half] << 16);
}

static void score_page(const weft_attention_task *t, pairs_state *s, const void *slab, int keys) {
#ifdef HAVE_DOT4
    if (s->bytes) {
        byte_keys(t, s, slab, keys);
        byte_scores(t, s, slab, keys);
        return;
    }
#endif
    pair_keys(t, s, slab, keys);
    pair_scores(s, keys);
}

static float page_to_values(const weft_attention_task *t, pairs_state *s, const void *slab, int keys) {
#ifdef HAVE_DOT4
    if (s->byte_weights) return byte_page_values(t, s, slab, keys);
#endif
    return pair_page_values(t, s, slab, keys);
}

static void attend_pairs(const weft_attention_task *t) {
    pairs_state *s = t->scratch;
    int64_t visible = 0;
    s->width = (t->rows + VF - 1) / VF * VF;
    s->padded = (t->head_dim + VF - 1) / VF * VF;
    s->half = ((t->head_dim + 1) / 2 + VF - 1) / VF * VF;
#ifdef HAVE_DOT4
    s->bytes = t->coarse && t->head_dim % (4 * VF) == 0;
    s->byte_weights = t->coarse_weights;
    if (s->byte_weights) spread_dither(s);
#else
    s->bytes = s->byte_weights = false;
#endif
    if (!s->bytes) memset(s->key_starts, 0, sizeof s->key_starts);
    for (int r = 0; r < s->width; r++) {
        s->max[r] = LEAST_SCORE;
        s->sum[r] = 0;
        if (r < t->rows) {
            visible = t->visible[r] > visible ? t->visible[r] : visible;
            pair_query(t, s, r);
        } else {
            s->query_scales[r] = 0;
            for (int d = 0; d < s->half; d++) s->queries[d * s->width + r] = 0;
        }
    }
    memset(s->values, 0, (size_t)t->rows * (size_t)s->padded * sizeof(float));
    for (int64_t first = 0; first < visible; first += PAGE) {
        int keys = visible - first < PAGE ? (int)(visible - first) : PAGE;
        score_page(t, s, read_page(t, 0, first / PAGE, keys), keys);
        const void *values = read_page(t, 1, first / PAGE, keys);
        float factor = page_to_values(t, s, values, keys);
        pair_softmax(s, keys, rows_visible(t, s->visible, s->width, first, keys), factor);
        add_values(s, t->rows, keys);
    }
    tile_finish(t, s->values, s->padded, s->max, s->sum, 0.693147180559945309f);
}
