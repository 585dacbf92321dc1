/* Packed weights: panels hold exactly the file's values, and the products of every level equal sums in double over the
 * same int8 activations; against the f32 activations they stay within the bound of kernels.h. */
#include "kernels/packed.h"
#include "levels.h"

static const weft_type packed_types[] = {WEFT_Q4_0, WEFT_Q4_1, WEFT_Q4_K, WEFT_Q5_0,
                                         WEFT_Q5_1, WEFT_Q5_K, WEFT_Q6_K, WEFT_Q8_0};
enum { PACKED_TYPES = 8 };

typedef struct packed {
    weft_matrix w;
    uint8_t *base;
    char *panels;
    float *values; /* [rows][cols] */
} packed;

static void *aligned(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(p, 0xEE, bytes);
    return p;
}

/* Panels are made in two pieces, as threads make them. */
static void packed_make(packed *p, uint64_t *seed, weft_type type, int64_t rows, int64_t cols, bool round) {
    p->w = (weft_matrix){.type = type, .rows = rows, .cols = cols};
    p->w.data = random_blocks(seed, type, rows * cols, &p->base);
    p->values = malloc((size_t)(rows * cols) * sizeof *p->values);
    reference()->dequantize[type](p->values, p->w.data, rows * cols);
    p->w.panel_type = weft_packed_type(&p->w, round);
    size_t bytes = weft_packed_bytes(&p->w, p->w.panel_type);
    p->panels = aligned(bytes);
    int64_t count = weft_panel_count(rows), cut = random_between(seed, 0, count);
    weft_pack_panels(reference(), p->panels, &p->w, p->w.panel_type, cut, count);
    weft_pack_panels(reference(), p->panels, &p->w, p->w.panel_type, 0, cut);
    p->w.panels = p->panels;
}

static void packed_free(packed *p) {
    free(p->base);
    free(p->panels);
    free(p->values);
}

/* Opened by the reference, panels give back the values of the file. */
static void check_lossless(uint64_t *seed) {
    weft_open_panel *open = aligned(WEFT_OPEN_BYTES);
    for (int round = 0; round < ROUNDS(4) * PACKED_TYPES; round++) {
        packed p;
        weft_type type = packed_types[round % PACKED_TYPES];
        int64_t block = weft_type_block_values(type), cols = block * random_between(seed, 1, 1600 / block);
        packed_make(&p, seed, type, random_between(seed, 1, 50), cols, false);
        CHECK_INT(p.w.panel_type, type);
        weft_packed_kind kind = weft_packed_kind_of(type);
        int64_t wrong = 0;
        for (int64_t n = 0; n < p.w.rows; n++)
            for (int64_t chunk = 0; chunk < weft_chunk_count(cols); chunk++) {
                reference()->packed_open(open, &p.w, n / 16, chunk);
                for (int k = 0; k < 32 * weft_chunk_groups(cols, chunk); k++) {
                    int g = k / kind.group, i = (int)(n % 16);
                    double scale = (double)open->scale[g][i], min = (double)open->min[g][i];
                    double value = scale * open->quants[k / 32 * 512 + k % 32 / 4 * 64 + 4 * i + k % 4] - min;
                    double want = (double)p.values[n * cols + chunk * 512 + k];
                    /* the reference rounds product and difference to f32 */
                    wrong += !(fabs(value - want) <= 1.2e-7 * (fabs(value + min) + fabs(min)));
                }
            }
        CHECK_MSG(wrong == 0, "panels of %s: %lld values differ", weft_type_name(type), (long long)wrong);
        packed_free(&p);
    }
    free(open);
}

/* Plain types are rounded to Q8_0: at most half a step of max / 127 of their run, and a little for the f16 scale. */
static void check_rounding(uint64_t *seed) {
    static const weft_type plain[] = {WEFT_F32, WEFT_F16, WEFT_BF16};
    enum { COLS = WEFT_RUN + 96 };
    weft_open_panel *open = aligned(WEFT_OPEN_BYTES);
    for (int t = 0; t < 3; t++) {
        packed p;
        packed_make(&p, seed, plain[t], 21, COLS, true);
        CHECK_INT(p.w.panel_type, WEFT_Q8_0);
        CHECK_INT(weft_packed_type(&p.w, false), WEFT_TYPE_COUNT);
        int64_t wrong = 0;
        for (int64_t n = 0; n < 21; n++) {
            int i = (int)(n % 16);
            reference()->packed_open(open, &p.w, n / 16, 0);
            for (int run = 0; run < COLS; run += WEFT_RUN) {
                const float *v = p.values + n * COLS;
                int end = run + WEFT_RUN < COLS ? run + WEFT_RUN : COLS;
                float largest = 0;
                for (int k = run; k < end; k++) largest = fmaxf(largest, fabsf(v[k]));
                for (int k = run; k < end; k++) {
                    int at = 512 * (k / 32) + 64 * (k % 32 / 4) + 4 * i + k % 4;
                    float got = open->scale[k / 32][i] * (float)(open->quants[at] - 128);
                    wrong += !(fabsf(got - v[k]) <= largest / 127 * 0.502f) || open->scale[k / 32][i] != open->scale[run / 32][i];
                }
            }
        }
        CHECK_MSG(wrong == 0, "%s rounded: %lld wrong", weft_type_name(plain[t]), (long long)wrong);
        packed_free(&p);
    }
    free(open);
}

static void check_refusals(void) {
    weft_matrix w = {.type = WEFT_Q4_0, .rows = 5, .cols = 64};
    CHECK_INT(weft_packed_type(&w, false), WEFT_Q4_0);
    w.transposed = true;
    CHECK_INT(weft_packed_type(&w, true), WEFT_TYPE_COUNT);
    w = (weft_matrix){.type = WEFT_F16, .rows = 5, .cols = 40};
    CHECK_INT(weft_packed_type(&w, true), WEFT_TYPE_COUNT);
    w = (weft_matrix){.type = WEFT_F8_E4M3, .rows = 5, .cols = 64};
    CHECK_INT(weft_packed_type(&w, true), WEFT_TYPE_COUNT);
}

static void fill_extreme(uint64_t *seed, float *x, int64_t n, int kind) {
    for (int64_t i = 0; i < n; i++) {
        float v = testing_uniform(seed);
        switch (kind) {
        case 1: v = 0; break;
        case 2: v *= 1e-40f; break;
        case 3: v *= 1e28f; break;
        case 4: v = i % 7 ? v * 1e-3f : v * 1e4f; break;
        default: break;
        }
        x[i] = v;
    }
}

static void check_quantize(const weft_kernels *k, uint64_t *seed) {
    weft_quants *got = aligned(sizeof *got), *want = aligned(sizeof *want);
    for (int round = 0; round < ROUNDS(200); round++) {
        int64_t n = round < 20 ? 512 : random_between(seed, 1, 512);
        float *x = guarded(n);
        fill_extreme(seed, x, n, round % 5);
        if (round % 11 == 10) x[n / 2] = round % 2 ? NAN : -INFINITY;
        reference()->quantize(want, x, n);
        k->quantize(got, x, n);
        CHECK_MSG(memcmp(got->q, want->q, sizeof got->q) == 0, "%s quants of %lld", k->level, (long long)n);
        int wrong = 0;
        for (int i = 0; i < 32; i++) {
            const float a[3] = {got->scale[i / 2], got->sum[i / 2], got->half_sum[i]};
            const float b[3] = {want->scale[i / 2], want->sum[i / 2], want->half_sum[i]};
            for (int j = 0; j < 3; j++) wrong += !(isnan(b[j]) ? isnan(a[j]) : a[j] == b[j]);
        }
        CHECK_MSG(wrong == 0, "%s scales of %lld: %d wrong", k->level, (long long)n, wrong);
        for (int64_t i = 0; i < n && round % 11 != 10; i++)
            wrong += !(fabsf(want->scale[i / 32] * want->q[i] - x[i]) <= want->scale[i / 32] * 0.5001f + WEFT_QUANT_LEAST);
        CHECK_MSG(wrong == 0, "quants of %lld: %d off", (long long)n, wrong);
        guarded_free(x);
    }
    free(got);
    free(want);
}

/* As `quantize`, in runs of WEFT_RUN instead of groups of 32. */
static void quantize_runs(weft_quants *out, const float *x, int64_t n) {
    for (int64_t k = 0; k < n; k += WEFT_RUN) {
        int64_t end = k + WEFT_RUN < n ? k + WEFT_RUN : n;
        float largest = 0;
        for (int64_t i = k; i < end; i++) largest = fmaxf(largest, fabsf(x[i]));
        for (int64_t i = k; i < end; i++) {
            bool zero = largest < WEFT_QUANT_LEAST;
            out[i / 512].q[i % 512] = zero ? 0 : (int8_t)rintf(x[i] * (127 / largest));
            out[i / 512].scale[i % 512 / 32] = zero ? 0 : largest / 127;
        }
    }
}

/* What packed_chunk reads: the reference's quants and scales, or even scales. */
static void check_quantize_rows(const weft_kernels *k, uint64_t *seed) {
    if (!k->quantize_rows) return;
    weft_quants *got = aligned(sizeof *got), *own = aligned(sizeof *own);
    for (int round = 0; round < ROUNDS(400); round++) {
        weft_matrix w = {.panel_type = packed_types[round % PACKED_TYPES], .fine = round % 5 == 4};
        int64_t n = round < 20 ? 512 : random_between(seed, 1, 512);
        float *x = guarded(n);
        fill_extreme(seed, x, n, round % 5);
        for (int64_t i = 0; i < n && round % 3 == 0; i++) x[i] *= powf(2, (float)(i / 32 * 7 % 40)); /* unlike groups */
        bool even = weft_takes_even_scales(&w);
        if (round % 11 == 10) x[n / 2] = round % 2 ? NAN : -INFINITY;
        reference()->quantize(own, x, n);
        k->quantize_rows(got, x, n, &w);
        int wrong = even ? 0 : memcmp(got->q, own->q, sizeof got->q) != 0;
        for (int g = 0; g < 16; g++) {
            float unit = 0, scale = got->scale[g], needed = own->scale[g], bad = 0;
            for (int i = g / 8 * 8; i < g / 8 * 8 + 8; i++) {
                unit = fmaxf(unit, got->scale[i]);
                bad += own->scale[i] * 0;
            }
            if (isnan(even ? bad : needed)) {
                wrong += !isnan(scale);
                continue;
            }
            int exponent;
            if (even) {
                wrong += frexpf(unit / scale, &exponent) != 0.5f || scale < needed * 0.999999f;
                wrong += !(scale <= needed * 2 || scale == unit * 0x1p-30f || unit < 1e-28f);
            } else {
                wrong += scale != needed;
            }
            for (int i = 32 * g; i < 32 * g + 32; i++)
                wrong += !(fabsf(scale * got->q[i] - (i < n ? x[i] : 0)) <= scale * 0.5001f + WEFT_QUANT_LEAST);
        }
        CHECK_MSG(wrong == 0, "%s rows of %lld for %s, round %d: %d wrong", k->level, (long long)n,
                  weft_type_name(w.panel_type), round, wrong);
        guarded_free(x);
    }
    free(got);
    free(own);
}

/* The products of random rows, of which `poisoned` (or -1) holds a NaN. */
static void check_product(const weft_compute *compute, uint64_t *seed, weft_type type, int64_t m, int64_t rows,
                          int64_t cols, int kind, bool one_thread) {
    const weft_kernels *k = weft_compute_kernels(compute);
    packed p;
    packed_make(&p, seed, type, rows, cols, true);
    p.w.runs = p.w.panel_type != type;
    p.w.fine = testing_random(seed) >> 63 && !p.w.runs;
    int64_t x_stride = cols + random_between(seed, 0, 5), stride = rows + random_between(seed, 0, 5);
    float *x = guarded(m * x_stride), *out = guarded(m * stride), *before = guarded(m * stride), *bias = guarded(rows);
    fill_extreme(seed, x, m * x_stride, kind);
    fill_uniform(seed, bias, rows, 1);
    bool with_bias = testing_random(seed) >> 63, accumulate = testing_random(seed) >> 63;
    int64_t poisoned = testing_random(seed) >> 62 ? -1 : random_between(seed, 0, m - 1);
    if (poisoned >= 0) x[poisoned * x_stride + random_between(seed, 0, cols - 1)] = NAN;
    for (int64_t r = 0; r < m && accumulate; r++) fill_uniform(seed, out + r * stride, rows, 1);
    memcpy(before, out, (size_t)(m * stride) * sizeof *out);
    if (one_thread)
        weft_matmul_one_thread(compute, 0, out, stride, x, x_stride, m, &p.w, with_bias ? bias : NULL, accumulate);
    else
        weft_matmul(compute, out, stride, x, x_stride, m, &p.w, with_bias ? bias : NULL, accumulate);
    bool tiles = k->tiles_rows_min && m >= k->tiles_rows_min;
    bool runs = !tiles && p.w.runs && k->runs_rows_min && m >= k->runs_rows_min;
    int64_t wrong = 0, far = 0, spilled = 0;
    weft_quants *q = aligned(sizeof *q * (size_t)weft_chunk_count(cols));
    weft_open_panel *open = aligned(WEFT_OPEN_BYTES * (size_t)weft_chunk_count(cols));
    bool half_groups = weft_packed_kind_of(p.w.panel_type).group == 16;
    bool rows_form = k->quantize_rows && m > weft_few_rows(k, p.w.fine ? 2 : 1);
    for (int64_t n = 0; n < rows; n++) {
        for (int64_t c = 0; c < weft_chunk_count(cols) && n % 16 == 0; c++)
            reference()->packed_open((char *)open + c * WEFT_OPEN_BYTES, &p.w, n / 16, c);
        for (int64_t r = 0; r < m; r++) {
            if (runs) quantize_runs(q, x + r * x_stride, cols);
            for (int64_t c = 0; c < weft_chunk_count(cols) && !runs; c++) {
                int64_t count = cols - c * 512 < 512 ? cols - c * 512 : 512;
                reference()->quantize(q + c, x + r * x_stride + c * 512, count);
                if (rows_form) k->quantize_rows(q + c, x + r * x_stride + c * 512, count, &p.w);
            }
            double exact = 0, rounded = 0, size = 0, bound = 0, halves = 0;
            for (int64_t i = 0; i < cols; i++) {
                const weft_open_panel *o = (const void *)((char *)open + i / 512 * WEFT_OPEN_BYTES);
                int at = (int)(i % 512), g = half_groups ? at / 16 : at / 32, lane = (int)(n % 16);
                double u = o->quants[at / 32 * 512 + at % 32 / 4 * 64 + 4 * lane + at % 4];
                double w = (double)o->scale[g][lane] * u - (double)o->min[g][lane];
                double spread = fabs((double)o->scale[g][lane] * u) + fabs((double)o->min[g][lane]);
                double scale = (double)q[i / 512].scale[at / 32];
                rounded += scale * q[i / 512].q[at] * w;
                size += scale * abs(q[i / 512].q[at]) * spread;
                exact += (double)x[r * x_stride + i] * w;
                halves += (fabs((double)x[r * x_stride + i]) + 1.2e-38) * (fabs(w) + 1.2e-38);
                bound += (scale / 2 + (double)WEFT_QUANT_LEAST) * fabs(w) * 1.001;
            }
            double got = (double)out[r * stride + n];
            double added = (with_bias ? (double)bias[n] : 0) + (accumulate ? (double)before[r * stride + n] : 0);
            if (r == poisoned) {
                wrong += !isnan(got);
                continue;
            }
            double rest = 1e-6 * size + 3e-7 * (1 + fabs(added));
            if (tiles) { /* both factors rounded to bf16, 2^-8 each; denormals may count as zero */
                wrong += !(fabs(got - exact - added) <= halves * 0.00784 + rest);
                continue;
            }
            if (p.w.fine) { /* what the first term leaves, at most half a step, is rounded to 127 steps or to 1/256 of a step */
                wrong += !(fabs(got - exact - added) <= bound / 100 + rest);
                continue;
            }
            wrong += !(fabs(got - rounded - added) <= rest);
            far += !(fabs(got - exact - added) <= bound + rest);
        }
    }
    for (int64_t i = 0; i < m * stride; i++) spilled += i % stride >= rows && !word_is_poison(out + i);
    CHECK_MSG(wrong == 0 && far == 0, "%s %s m=%lld n=%lld k=%lld kind %d%s%s%s: %lld wrong, %lld outside the bound",
              k->level, weft_type_name(type), (long long)m, (long long)rows, (long long)cols, kind,
              p.w.fine ? " fine" : with_bias ? " bias" : "", accumulate ? " accumulate" : "", one_thread ? " one thread" : "",
              (long long)wrong, (long long)far);
    CHECK(spilled == 0 && guards_whole(out, m * stride));
    guarded_free(x);
    guarded_free(out);
    guarded_free(before);
    guarded_free(bias);
    free(q);
    free(open);
    packed_free(&p);
}

/* Plain matrices by tiles: within the rounding of both factors to bf16; unlike those, rows with a NaN stay apart. */
static void check_plain(const weft_compute *compute, uint64_t *seed, weft_type type, int64_t m, int64_t rows,
                        int64_t cols, bool one_thread) {
    const weft_kernels *k = weft_compute_kernels(compute);
    uint8_t *base;
    weft_matrix w = {.type = type, .rows = rows, .cols = cols};
    w.data = random_blocks(seed, type, rows * cols, &base);
    CHECK(weft_tiles_allowed(&w));
    w.tiles = true;
    float *values = malloc((size_t)(rows * cols) * sizeof *values), *x = guarded(m * cols), *out = guarded(m * rows);
    float *bias = guarded(rows);
    reference()->dequantize[type](values, w.data, rows * cols);
    fill_uniform(seed, x, m * cols, 3);
    fill_uniform(seed, bias, rows, 1);
    int64_t poisoned = m / 2, wrong = 0;
    x[poisoned * cols + cols / 2] = NAN;
    if (one_thread)
        weft_matmul_one_thread(compute, 0, out, rows, x, cols, m, &w, bias, false);
    else
        weft_matmul(compute, out, rows, x, cols, m, &w, bias, false);
    for (int64_t r = 0; r < m; r++)
        for (int64_t n = 0; n < rows; n++) {
            double sum = (double)bias[n], size = 0;
            for (int64_t i = 0; i < cols; i++) {
                double product = (double)x[r * cols + i] * (double)values[n * cols + i];
                sum += product;
                size += fabs(product);
            }
            double got = (double)out[r * rows + n], off = k->tiles_rows_min ? 0.00784 : 1e-5;
            wrong += r == poisoned ? !isnan(got) : !(fabs(got - sum) <= off * size + 1e-6);
        }
    CHECK_MSG(wrong == 0, "%s %s as it is, m=%lld n=%lld k=%lld: %lld wrong", k->level, weft_type_name(type),
              (long long)m, (long long)rows, (long long)cols, (long long)wrong);
    CHECK(guards_whole(out, m * rows));
    guarded_free(x);
    guarded_free(out);
    guarded_free(bias);
    free(values);
    free(base);
}

static void check_products(const weft_compute *compute, uint64_t *seed) {
    static const int64_t batches[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 19, 23, 29, 35, 50};
#ifdef WEFT_TESTS_EMULATED_CPU
    const int step = 3;
#else
    const int step = 1;
#endif
    for (int round = 0; round < 15 / step * PACKED_TYPES; round++) {
        weft_type type = packed_types[round % PACKED_TYPES];
        int64_t block = weft_type_block_values(type), m = batches[round / PACKED_TYPES * step];
        int64_t cols = block * random_between(seed, 1, 1300 / block);
        check_product(compute, seed, type, m, random_between(seed, 1, 90), cols, (int)(testing_random(seed) % 5),
                      testing_random(seed) >> 63);
    }
    for (int kind = 0; kind < 5; kind++) check_product(compute, seed, WEFT_F16, 9, 40, 160, kind, false);
    for (int round = 0; round < ROUNDS(40); round++) { /* rounded plain values: runs that are whole and not, every height of a tile */
        int64_t cols = 32 * random_between(seed, 1, 40);
        check_product(compute, seed, round % 2 ? WEFT_F16 : WEFT_BF16, random_between(seed, 14, 60), random_between(seed, 1, 90), cols,
                      round % 5, testing_random(seed) >> 63);
    }
}

/* More rows than a part, more chunks than one. */
static void check_large(const weft_compute *compute, uint64_t *seed) {
    check_plain(compute, seed, WEFT_BF16, 37, 50, 1056, false);
    check_plain(compute, seed, WEFT_F16, 16, 31, 544, true);
    check_plain(compute, seed, WEFT_F32, 70, 16, 32, false);
    check_product(compute, seed, WEFT_Q8_0, 263, 33, 1056, 0, false);
    check_product(compute, seed, WEFT_F16, 301, 49, 1184, 0, true);
#ifndef WEFT_TESTS_EMULATED_CPU
    check_product(compute, seed, WEFT_Q4_K, 300, 70, 1024, 0, false);
    check_product(compute, seed, WEFT_Q6_K, 600, 17, 512, 0, true);
    check_product(compute, seed, WEFT_Q4_0, 4, 700, 2080, 0, false);
#endif
}

/* The largest quants and activations there are: chains of 16-bit sums must not overflow. */
static void check_saturation(const weft_compute *compute) {
    const weft_kernels *k = weft_compute_kernels(compute);
    for (int t = 0; t < PACKED_TYPES; t++) {
        weft_type type = packed_types[t];
        packed p;
        uint64_t seed = 5;
        packed_make(&p, &seed, type, 16, 512, false);
        weft_packed_kind kind = weft_packed_kind_of(type);
        char *quants = p.panels + weft_panel_scale_bytes(kind, 512);
        memset(quants, 0xFF, (size_t)(16 * kind.group_bytes));
        for (int sign = -1; sign < 2; sign += 2) {
            for (int m = 1; m <= 9; m++) {
                float x[9 * 512], out[9 * 16], want[16];
                for (int i = 0; i < 9 * 512; i++) x[i] = (float)sign;
                weft_matmul(compute, out, 16, x, 512, m, &p.w, NULL, false);
                weft_quants q;
                reference()->quantize(&q, x, 512);
                reference()->packed_dot(want, 16, &q, 1, 1, &p.w, 0, 1);
                int wrong = 0;
                for (int i = 0; i < 16 * m; i++)
                    wrong += !(fabsf(out[i] - want[i % 16]) <= 1e-4f * fabsf(want[i % 16]) + 1e-2f);
                CHECK_MSG(wrong == 0, "%s %s m=%d largest quants: %d wrong (%g, %g)", k->level, weft_type_name(type), m,
                          wrong, (double)out[0], (double)want[0]);
            }
        }
        packed_free(&p);
    }
}

static void check_views(uint64_t *seed) {
    packed p;
    packed_make(&p, seed, WEFT_Q4_1, 64, 64, false);
    weft_matrix view = weft_matrix_rows(&p.w, 32, 20), odd = weft_matrix_rows(&p.w, 5, 20);
    CHECK(view.panels == p.panels + 2 * weft_panel_bytes(weft_packed_kind_of(WEFT_Q4_1), 64));
    CHECK(odd.panels == NULL && odd.rows == 20);
    CHECK(odd.data == (const char *)p.w.data + 5 * weft_type_row_bytes(WEFT_Q4_1, 64));
    packed_free(&p);
}

int main(void) {
    const weft_kernels *tables[ALL_LEVELS];
    int levels = test_levels(tables);
    uint64_t seed = 2024;
    check_lossless(&seed);
    check_rounding(&seed);
    check_refusals();
    check_views(&seed);
    for (int i = 0; i < levels; i++) {
        check_quantize(tables[i], &seed);
        check_quantize_rows(tables[i], &seed);
        for (int threads = 1; threads <= 3; threads += 2) {
            weft_error err;
            weft_compute *compute;
            CHECK_OK(weft_compute_create(tables[i]->level, threads, &compute, &err), err);
            if (!compute) continue;
            check_products(compute, &seed);
            check_saturation(compute);
            if (threads == 3) check_large(compute, &seed);
            weft_compute_destroy(compute);
        }
    }
    return testing_summary();
}
