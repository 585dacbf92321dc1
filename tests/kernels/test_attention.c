/* Attention of every level against a plain softmax(q k^T) v in double: all formats, head sizes, counts of rows, keys
 * and visible keys, views with a stride, pages in parts that are merged, a NaN in one row. */
#include "levels.h"

typedef struct cache {
    weft_kv_format format;
    int dim, pages;
    int64_t stride;
    uint8_t *bytes; /* owns k and v */
    const void **k, **v;
} cache;

/* Random keys and values, stored by ref (kv_store is compared elsewhere). What no key fills is poisoned: NaN. */
static void cache_make(cache *c, uint64_t *seed, weft_kv_format format, int dim, int64_t keys, int64_t stride,
                       float range) {
    size_t slab = weft_kv_slab_bytes(weft_kv_part(format, 0), dim), other = weft_kv_slab_bytes(weft_kv_part(format, 1), dim);
    if (format == WEFT_KV_F32) slab = (size_t)(128 * stride) * 4;
    if (other > slab) slab = other;
    *c = (cache){.format = format, .dim = dim, .pages = (int)((keys + 127) / 128), .stride = stride};
    c->bytes = aligned_alloc(64, 2 * (size_t)c->pages * slab);
    memset(c->bytes, 0xFF, 2 * (size_t)c->pages * slab);
    c->k = malloc((size_t)c->pages * sizeof *c->k);
    c->v = malloc((size_t)c->pages * sizeof *c->v);
    float *row = malloc((size_t)dim * sizeof *row);
    for (int64_t i = 0; i < keys; i++) {
        /* the last page first: pages lie anywhere */
        uint8_t *k = c->bytes + (size_t)(c->pages - 1 - i / 128) * 2 * slab, *v = k + slab;
        c->k[i / 128] = k;
        c->v[i / 128] = v;
        for (int side = 0; side < 2; side++) {
            fill_uniform(seed, row, dim, side ? 1 : range);
            if (format == WEFT_KV_F32)
                memcpy((float *)(side ? v : k) + i % 128 * stride, row, (size_t)dim * 4);
            else
                reference()->kv_store(side ? v : k, weft_kv_part(format, side), dim, (int)(i % 128), row);
        }
    }
    free(row);
}

static void cache_free(cache *c) {
    free(c->bytes);
    free(c->k);
    free(c->v);
}

static double cache_value(const cache *c, int side, int64_t key, int d) {
    const uint8_t *slab = side ? c->v[key / 128] : c->k[key / 128];
    weft_kv_format format = weft_kv_part(c->format, side);
    int64_t row = key % 128;
    float value, scale;
    if (format == WEFT_KV_F32) return (double)((const float *)(const void *)slab)[row * c->stride + d];
    if (format == WEFT_KV_F16) {
        reference()->dequantize[WEFT_F16](&value, (const uint16_t *)(const void *)slab + row * c->dim + d, 1);
        return (double)value;
    }
    if (format == WEFT_KV_Q4) {
        int groups = (c->dim + 31) / 32, byte = slab[(row * groups + d / 32) * 16 + d % 16];
        reference()->dequantize[WEFT_F16](&scale, slab + 128 * groups * 16 + (row * groups + d / 32) * 2, 1);
        return (double)scale * (double)((d % 32 < 16 ? byte & 15 : byte >> 4) - 8);
    }
    memcpy(&scale, slab + 128 * c->dim + 4 * row, 4);
    return (double)((const int8_t *)slab)[row * c->dim + d] * (double)scale;
}

static void attention_double(const cache *c, double *out, const float *q, int64_t visible, double scale) {
    double *p = malloc((size_t)visible * sizeof *p), max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < visible; i++) {
        p[i] = 0;
        for (int d = 0; d < c->dim; d++) p[i] += (double)q[d] * cache_value(c, 0, i, d);
        p[i] *= scale;
        max = fmax(max, p[i]);
    }
    for (int64_t i = 0; i < visible; i++) sum += p[i] = exp(p[i] - max);
    for (int d = 0; d < c->dim; d++) out[d] = 0;
    for (int64_t i = 0; i < visible; i++)
        for (int d = 0; d < c->dim; d++) out[d] += p[i] / sum * cache_value(c, 1, i, d);
    free(p);
}

/* merged[rows][dim]: the pages in two parts, put together by their log sums. */
static void attend_in_parts(const weft_kernels *k, const weft_attention_task *whole, int pages, int cut, double *merged) {
    int dim = whole->head_dim, rows = whole->rows;
    float *part_out[WEFT_ATTENTION_ROWS_MAX], *out = malloc((size_t)(2 * rows * dim) * sizeof *out);
    float log_sums[2][WEFT_ATTENTION_ROWS_MAX];
    for (int part = 0; part < 2; part++) {
        int64_t visible[WEFT_ATTENTION_ROWS_MAX], first = part ? (int64_t)cut * 128 : 0;
        int64_t end = (int64_t)(part ? pages : cut) * 128;
        for (int r = 0; r < rows; r++) {
            visible[r] = (whole->visible[r] < end ? whole->visible[r] : end) - first;
            part_out[r] = out + (part * rows + r) * dim;
        }
        weft_attention_task task = *whole;
        task.visible = visible;
        task.out = part_out;
        task.k_pages += part ? cut : 0;
        task.v_pages += part ? cut : 0;
        task.log_sums = log_sums[part];
        memset(task.scratch, 0xFF, WEFT_ATTENTION_SCRATCH_BYTES);
        k->attention(&task);
    }
    for (int r = 0; r < rows; r++) {
        double max = fmax((double)log_sums[0][r], (double)log_sums[1][r]);
        double a = exp((double)log_sums[0][r] - max), b = exp((double)log_sums[1][r] - max);
        for (int d = 0; d < dim; d++)
            merged[r * dim + d] =
                (a * (double)out[r * dim + d] + b * (double)out[(rows + r) * dim + d]) / (a + b);
    }
    free(out);
}

/* A NaN in one row's query leaves the other rows as they are, bit by bit. */
static void check_nan_stays(const weft_kernels *k, const weft_attention_task *task) {
    int dim = task->head_dim, rows = task->rows, broken = rows / 2;
    if (rows < 2) return;
    float *before = malloc((size_t)(rows * dim) * sizeof *before);
    for (int r = 0; r < rows; r++) memcpy(before + r * dim, task->out[r], (size_t)dim * sizeof *before);
    float *query = (float *)task->q[broken], kept = query[dim / 2];
    query[dim / 2] = NAN;
    k->attention(task);
    query[dim / 2] = kept;
    int changed = 0, number = 0;
    for (int r = 0; r < rows; r++)
        if (r != broken) changed += memcmp(before + r * dim, task->out[r], (size_t)dim * sizeof *before) != 0;
    for (int d = 0; d < dim; d++) number += task->out[broken][d] == task->out[broken][d];
    CHECK_MSG(changed == 0 && number == 0, "%s format %d dim %d rows %d: a NaN changed %d rows, left %d numbers",
              k->level, task->format, dim, rows, changed, number);
    free(before);
}

static void check_case(const weft_kernels *k, uint64_t *seed, weft_kv_format format, int dim, int rows, int64_t keys,
                       int64_t stride, float range) {
    cache c;
    cache_make(&c, seed, format, dim, keys, stride, range);
    /* rows of a larger array in any order, as the heads of a group lie between those of others */
    int64_t spread = dim + random_between(seed, 0, 40);
    float *q = guarded(rows * spread), *out = guarded(rows * spread);
    const float *q_rows[WEFT_ATTENTION_ROWS_MAX];
    float *out_rows[WEFT_ATTENTION_ROWS_MAX];
    int64_t visible[WEFT_ATTENTION_ROWS_MAX];
    fill_uniform(seed, q, rows * spread, 1);
    int kind = (int)random_between(seed, 0, 3);
    for (int r = 0; r < rows; r++) {
        int place = (r * 7 + 3) % rows;
        if (rows % 7 == 0) place = rows - 1 - r;
        q_rows[r] = q + place * spread;
        out_rows[r] = out + place * spread;
        int64_t causal = keys - rows + 1 + r;
        visible[r] = kind == 0 ? keys : kind == 1 ? (causal < 1 ? 1 : causal) : random_between(seed, 1, keys);
    }
    visible[rows - 1] = keys;
    float scale = 1 / sqrtf((float)dim);
    weft_attention_task task = {.out = out_rows,
                                .q = q_rows,
                                .rows = rows,
                                .head_dim = dim,
                                .visible = visible,
                                .format = format,
                                .k_pages = c.k,
                                .v_pages = c.v,
                                .kv_stride = stride,
                                .scale = scale,
                                .coarse = testing_random(seed) % 2 == 0,
                                .coarse_weights = testing_random(seed) % 3 == 0,
                                .scratch = aligned_alloc(64, WEFT_ATTENTION_SCRATCH_BYTES)};
    memset(task.scratch, 0xFF, WEFT_ATTENTION_SCRATCH_BYTES);
    k->attention(&task);
    double *want = malloc((size_t)dim * sizeof *want), *merged = malloc((size_t)(rows * dim) * sizeof *merged);
    attend_in_parts(k, &task, c.pages, (int)random_between(seed, 0, c.pages), merged);
    /* scores are sums in f32: their rounding, relative to sum |q||k| * scale, goes through the exponential */
    double tolerance = 2e-6 + 1.2e-7 * (double)range * sqrt((double)dim) / 4, worst = 0;
    /* over 8-bit pages queries, and with many rows weights, are rounded to 15 bits, see kernels.h */
    bool bytes = format != WEFT_KV_F32 && format != WEFT_KV_F16;
    if (bytes) tolerance += 5e-5 + 1e-5 * (double)range;
    /* on levels with products of bytes, queries of coarse tasks to 7 bits; tiles round the weights of such tasks to bf16,
     * each by 2^-8 of itself at most, so their mean of values within 1 by as much */
    bool tiles = strcmp(k->level, "amx") == 0 && rows > 8;
    if (bytes && task.coarse && rows > 8 && (tiles || dim % 32 == 0) && (strstr(k->level, "vnni") || strcmp(k->level, "amx") == 0))
        tolerance += 4e-3 * (double)range;
    if (bytes && task.coarse && tiles) tolerance += 0x1p-8;
    /* coarse weights are off by up to 1/254 of the largest of their page each, one up and the next down: of values within 1 and at
     * random, a page's sum is off by sqrt(128 / 12) / 254 of the largest weight at most, five times that at the worst */
    if (bytes && task.coarse_weights && rows > 8 && strstr(k->level, "vnni")) tolerance += 5 * sqrt(128 / 12.0) / 254 / sqrt(3);
    /* four bits are widened to eight, with a rounding of 1/254 of the row's maximum */
    if (weft_kv_part(format, 0) == WEFT_KV_Q4) tolerance += 4e-3 * (double)range;
    if (weft_kv_part(format, 1) == WEFT_KV_Q4) tolerance += 5e-3;
    int64_t wrong = 0, spilled = 0;
    for (int r = 0; r < rows; r++) {
        attention_double(&c, want, q_rows[r], visible[r], (double)scale);
        for (int d = 0; d < dim; d++) {
            double error = fabs((double)out_rows[r][d] - want[d]);
            worst = fmax(worst, error);
            wrong += !(error <= tolerance) + !(fabs(merged[r * dim + d] - want[d]) <= tolerance);
        }
        for (int64_t d = dim; d < spread; d++) spilled += !word_is_poison(out_rows[r] + d);
    }
    CHECK_MSG(wrong == 0, "%s format %d dim %d rows %d keys %lld kind %d: %lld wrong by up to %g, %g allowed",
              k->level, format, dim, rows, (long long)keys, kind, (long long)wrong, worst, tolerance);
    CHECK_MSG(spilled == 0 && guards_whole(out, rows * spread), "%s wrote past a row, dim %d", k->level, dim);
    check_nan_stays(k, &task);
    free(want);
    free(merged);
    free(task.scratch);
    guarded_free(q);
    guarded_free(out);
    cache_free(&c);
}

/* The largest difference; infinite where one is no number. (As one loop without a way out GCC 12 crashes on it for ARM.) */
static double farthest(const float *got, const double *want, int n) {
    double worst = 0;
    for (int i = 0; i < n; i++) {
        double error = fabs((double)got[i] - want[i]);
        if (!(error <= 1e300)) return INFINITY;
        worst = fmax(worst, error);
    }
    return worst;
}

/* Rows over 8-bit pages at the edges of f32. A wrong result is one off by more than `tolerance` of the largest value. */
static void check_extremes(const weft_kernels *k, uint64_t *seed, int rows, bool coarse) {
    enum { DIM = 64, KEYS = 300 };
    static const struct {
        const char *name;
        float query, key, value;
    } kinds[] = {{"subnormal queries", 1e-40f, 1, 1},   {"small scores", 1e-20f, 1e-20f, 1}, {"huge scores", 1e15f, 1e15f, 1},
                 {"subnormal values", 1, 1, 1e-40f}, {"huge values", 1, 1, 1e35f}};
    static float q[WEFT_ATTENTION_ROWS_MAX][DIM], out[WEFT_ATTENTION_ROWS_MAX][DIM], before[WEFT_ATTENTION_ROWS_MAX][DIM];
    const float *q_rows[WEFT_ATTENTION_ROWS_MAX];
    float *out_rows[WEFT_ATTENTION_ROWS_MAX], row[DIM];
    int64_t visible[WEFT_ATTENTION_ROWS_MAX];
    for (int i = 0; i < 5; i++) {
        cache c;
        cache_make(&c, seed, WEFT_KV_Q8, DIM, KEYS, DIM, 1);
        for (int key = 0; key < KEYS; key++) /* a query of huge scores finds one key that is like it */
            for (int side = 0; side < 2; side++) {
                fill_uniform(seed, row, DIM, side ? kinds[i].value : kinds[i].key);
                for (int d = 0; d < DIM && side == 0 && key < rows; d++) q[key][d] = row[d] / kinds[i].key * kinds[i].query;
                reference()->kv_store((void *)(side ? c.v : c.k)[key / 128], WEFT_KV_Q8, DIM, key % 128, row);
            }
        for (int r = 0; r < rows; r++) {
            q_rows[r] = q[r];
            out_rows[r] = out[r];
            visible[r] = KEYS - rows + 1 + r;
        }
        weft_attention_task task = {.out = out_rows, .q = q_rows, .rows = rows, .head_dim = DIM, .visible = visible,
                                    .format = WEFT_KV_Q8, .k_pages = c.k, .v_pages = c.v, .kv_stride = DIM,
                                    .scale = 0.125f, .coarse = coarse,
                                    .scratch = aligned_alloc(64, WEFT_ATTENTION_SCRATCH_BYTES)};
        k->attention(&task);
        double tolerance = coarse ? 8e-3 : 1e-4, worst = 0, want[DIM];
        for (int r = 0; r < rows; r++) {
            attention_double(&c, want, q[r], visible[r], 0.125);
            worst = fmax(worst, farthest(out[r], want, DIM));
        }
        CHECK_MSG(worst <= tolerance * fmax((double)kinds[i].value, 1e-38), "%s rows %d coarse %d, %s: off by %g", k->level,
                  rows, coarse, kinds[i].name, worst);

        /* the scale of a key becomes a NaN, that of a value infinite: rows that do not see them stay, bit by bit */
        int64_t seen = KEYS - rows / 2;
        memcpy(before, out, sizeof out);
        float bad[2] = {NAN, INFINITY};
        for (int side = 0; side < 2; side++)
            memcpy((char *)(side ? c.v : c.k)[seen / 128] + 128 * DIM + 4 * (seen % 128), &bad[side], sizeof(float));
        k->attention(&task);
        int changed = 0, numbers = 0;
        for (int r = 0; r < rows; r++) {
            if (visible[r] <= seen) changed += memcmp(before[r], out[r], sizeof out[r]) != 0;
            for (int d = 0; d < DIM && visible[r] > seen; d++) numbers += out[r][d] == out[r][d];
        }
        CHECK_MSG(changed == 0 && numbers == 0, "%s rows %d coarse %d, %s: bad scales changed %d rows, left %d numbers",
                  k->level, rows, coarse, kinds[i].name, changed, numbers);
        free(task.scratch);
        cache_free(&c);
    }
}

/* Weights of which each is nothing beside the largest of its page, and all are most of what there is: one key of each page with score 0 and
 * value 0, all others with a score of -6.3 (1/545, under half a step of eight bits) and value 1. */
static void check_small_weights(const weft_kernels *k) {
    enum { DIM = 64, KEYS = 1024, ROWS = 20 };
    static float q[ROWS][DIM], out[ROWS][DIM];
    const float *q_rows[ROWS];
    float *out_rows[ROWS], row[DIM];
    int64_t visible[ROWS];
    size_t slab = weft_kv_slab_bytes(WEFT_KV_Q8, DIM);
    uint8_t *pages = aligned_alloc(64, 2 * KEYS / 128 * slab);
    const void *keys[KEYS / 128], *values[KEYS / 128];
    for (int i = 0; i < KEYS; i++) {
        uint8_t *page = pages + (size_t)(i / 128) * 2 * slab;
        keys[i / 128] = page;
        values[i / 128] = page + slab;
        bool large = i % 128 == 77;
        for (int side = 0; side < 2; side++) {
            for (int d = 0; d < DIM; d++) row[d] = side ? (float)!large : large ? 0 : d == 0 ? -6.3f : 0;
            reference()->kv_store(page + (side ? slab : 0), WEFT_KV_Q8, DIM, i % 128, row);
        }
    }
    for (int r = 0; r < ROWS; r++) {
        memset(q[r], 0, sizeof q[r]);
        q[r][0] = 1;
        q_rows[r] = q[r];
        out_rows[r] = out[r];
        visible[r] = KEYS;
    }
    weft_attention_task task = {.out = out_rows, .q = q_rows, .rows = ROWS, .head_dim = DIM, .visible = visible, .format = WEFT_KV_Q8,
                                .k_pages = keys, .v_pages = values, .kv_stride = DIM, .scale = 1, .coarse = true, .coarse_weights = true,
                                .scratch = aligned_alloc(64, WEFT_ATTENTION_SCRATCH_BYTES)};
    k->attention(&task);
    double small = 127 * exp(-6.3), want = small / (1 + small), worst = 0, wanted[DIM];
    for (int d = 0; d < DIM; d++) wanted[d] = want;
    for (int r = 0; r < ROWS; r++) worst = fmax(worst, farthest(out[r], wanted, DIM));
    CHECK_MSG(worst < 0.01, "%s: many small weights are %g of %g off", k->level, worst, want);
    free(task.scratch);
    free(pages);
}

int main(void) {
    static const weft_kv_format formats[] = {WEFT_KV_F32, WEFT_KV_F16, WEFT_KV_Q8, WEFT_KV_Q8Q4, WEFT_KV_Q4};
    static const int dims[] = {8, 12, 16, 24, 31, 64, 72, 80, 100, 128, 192, 256};
    static const int64_t keys[] = {1, 2, 5, 127, 128, 129, 200, 256, 300, 513};
    static const int rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 30, 33, 48, 63, 64, 65, 97, 127, 128};
    const weft_kernels *tables[ALL_LEVELS];
    int levels = test_levels(tables);
    for (int i = 0; i < levels; i++) {
        uint64_t seed = 31;
        for (int round = 0; round < ROUNDS(300); round++) {
            weft_kv_format format = formats[round % 5];
            int dim = dims[testing_random(&seed) % 12], count = rows[testing_random(&seed) % 20];
            int64_t stride = format == WEFT_KV_F32 && round % 2 ? dim + random_between(&seed, 1, 300) : dim;
            check_case(tables[i], &seed, format, dim, count, keys[testing_random(&seed) % 10], stride,
                       round % 7 == 0 ? 20.0f : 2.0f);
        }
        check_small_weights(tables[i]);
        for (int coarse = 0; coarse < 2; coarse++) {
            check_extremes(tables[i], &seed, 9, coarse);
            check_extremes(tables[i], &seed, 50, coarse);
        }
        for (int f = 0; f < 5; f++) { /* the sizes of the real models, many pages */
            check_case(tables[i], &seed, formats[f], 128, 4, 1500, 128, 2);
            check_case(tables[i], &seed, formats[f], 128, 64, 1100, 128, 2);
            check_case(tables[i], &seed, formats[f], 72, 64, 600, 72, 2);
        }
    }
    return testing_summary();
}
