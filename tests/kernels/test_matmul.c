/* Matrix products of every level, type, shape and storage against sums in double. */
#include "levels.h"

/* The tolerance of the contract: 1e-5 of sum |x||w| (and a little for sums that vanish). */
static const double tolerance = 1e-5;

typedef struct problem {
    weft_matrix w;
    uint8_t *base; /* owns w.data */
    float *scales; /* owns w.block_scales */
    float *values; /* [rows][cols] as f32 */
    float *x;      /* [m][x_stride] */
    int64_t m, x_stride;
    double *sums, *size; /* [m][rows]: the product, and sum |x||w| */
} problem;

static void problem_make(problem *p, uint64_t *seed, weft_type type, bool transposed, int64_t m, int64_t rows,
                         int64_t cols) {
    memset(p, 0, sizeof *p);
    p->m = m;
    p->x_stride = cols + random_between(seed, 0, 9);
    p->x = guarded(m * p->x_stride);
    fill_uniform(seed, p->x, m * p->x_stride, 1);
    p->w = (weft_matrix){.type = type, .rows = rows, .cols = cols, .transposed = transposed};
    p->w.data = random_blocks(seed, type, rows * cols, &p->base);
    int64_t blocks = (cols + 127) / 128;
    if (type == WEFT_F8_E4M3 && testing_random(seed) >> 60 > 3) {
        p->scales = guarded((rows + 127) / 128 * blocks);
        fill_uniform(seed, p->scales, (rows + 127) / 128 * blocks, 2);
        p->w.block_scales = p->scales;
    }
    float *stored = malloc((size_t)(rows * cols) * sizeof *stored);
    reference()->dequantize[type](stored, p->w.data, rows * cols);
    p->values = malloc((size_t)(rows * cols) * sizeof *p->values);
    p->sums = calloc((size_t)(m * rows), sizeof *p->sums);
    p->size = calloc((size_t)(m * rows), sizeof *p->size);
    for (int64_t n = 0; n < rows; n++) {
        for (int64_t k = 0; k < cols; k++) {
            float v = transposed ? stored[k * rows + n] : stored[n * cols + k];
            if (p->scales) v *= p->scales[n / 128 * blocks + k / 128];
            p->values[n * cols + k] = v;
        }
        for (int64_t i = 0; i < m; i++) {
            for (int64_t k = 0; k < cols; k++) {
                double product = (double)p->x[i * p->x_stride + k] * (double)p->values[n * cols + k];
                p->sums[i * rows + n] += product;
                p->size[i * rows + n] += fabs(product);
            }
        }
    }
    free(stored);
}

static void problem_free(problem *p) {
    guarded_free(p->x);
    if (p->scales) guarded_free(p->scales);
    free(p->base);
    free(p->values);
    free(p->sums);
    free(p->size);
}

static void check_matmul(const weft_compute *compute, uint64_t *seed, problem *p, bool with_bias, bool accumulate,
                         bool one_thread) {
    int64_t rows = p->w.rows, stride = rows + random_between(seed, 0, 5), total = (p->m - 1) * stride + rows;
    float *out = guarded(total), *before = guarded(total), *bias = guarded(rows);
    fill_uniform(seed, bias, rows, 1);
    if (accumulate) {
        for (int64_t i = 0; i < p->m; i++) fill_uniform(seed, out + i * stride, rows, 1);
        memcpy(before, out, (size_t)total * sizeof *out);
    }
    if (one_thread)
        weft_matmul_one_thread(compute, 0, out, stride, p->x, p->x_stride, p->m, &p->w, with_bias ? bias : NULL,
                               accumulate);
    else
        weft_matmul(compute, out, stride, p->x, p->x_stride, p->m, &p->w, with_bias ? bias : NULL, accumulate);
    int64_t wrong = 0, spilled = 0;
    for (int64_t i = 0; i < total; i++) {
        int64_t m = i / stride, n = i % stride;
        if (n >= rows) {
            spilled += !word_is_poison(out + i);
            continue;
        }
        double want = p->sums[m * rows + n], size = p->size[m * rows + n];
        if (with_bias) want += (double)bias[n];
        if (accumulate) want += (double)before[i];
        wrong += !(fabs((double)out[i] - want) <= tolerance * size + 3e-7);
    }
    CHECK_MSG(wrong == 0, "%s %s m=%lld n=%lld k=%lld%s%s%s%s: %lld wrong", weft_compute_kernels(compute)->level,
              weft_type_name(p->w.type), (long long)p->m, (long long)rows, (long long)p->w.cols,
              p->w.transposed ? " transposed" : "", with_bias ? " bias" : "", accumulate ? " accumulate" : "",
              one_thread ? " one thread" : "", (long long)wrong);
    CHECK(spilled == 0 && guards_whole(out, total));
    guarded_free(out);
    guarded_free(before);
    guarded_free(bias);
}

static void check_random(const weft_compute *compute, uint64_t *seed) {
    static const int64_t batches[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 14, 17, 29, 64, 100, 131};
    for (int round = 0; round < ROUNDS(70); round++) {
        weft_type type = (weft_type)(testing_random(seed) % WEFT_TYPE_COUNT);
        bool transposed = type <= WEFT_BF16 && testing_random(seed) >> 63;
        int64_t m = batches[testing_random(seed) % 15], block = weft_type_block_values(type);
        int64_t cols = block == 1 ? random_between(seed, 1, 700) : block * random_between(seed, 1, 800 / block);
        problem p;
        problem_make(&p, seed, type, transposed, m, random_between(seed, 1, m > 20 ? 150 : 400), cols);
        check_matmul(compute, seed, &p, round & 1, round & 2, round & 4);
        problem_free(&p);
    }
}

/* Shapes that cross the sizes of blocks, panels and passes. */
static void check_large(const weft_compute *compute, uint64_t *seed) {
    static const struct {
        weft_type type;
        bool transposed;
        int64_t m, rows, cols;
    } shapes[] = {{WEFT_F32, false, 200, 300, 600},
                  {WEFT_Q4_K, false, 110, 515, 1024},
                  {WEFT_BF16, true, 97, 300, 513},
                  {WEFT_F8_E4M3, false, 40, 260, 900},
                  {WEFT_F16, false, 6, 3, 30000},
                  {WEFT_F32, true, 9, 5, 40000},
                  {WEFT_Q8_0, false, 33, 40, 20000 / 32 * 32},
                  {WEFT_F32, false, 4, 64, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        problem p;
        problem_make(&p, seed, shapes[i].type, shapes[i].transposed, shapes[i].m, shapes[i].rows, shapes[i].cols);
        for (int flags = 0; flags < 8; flags += 3) check_matmul(compute, seed, &p, flags & 1, flags & 2, flags & 4);
        problem_free(&p);
    }
}

/* More activations than the packed buffer of one thread, and of all, can hold: several passes over k and rows. */
static void check_passes(const weft_compute *compute, uint64_t *seed) {
    problem p;
    problem_make(&p, seed, WEFT_BF16, false, 130, 7, 9000);
    check_matmul(compute, seed, &p, true, true, true);
    check_matmul(compute, seed, &p, false, false, true);
    problem_free(&p);
    problem_make(&p, seed, WEFT_F32, false, 100, 3, 100000);
    check_matmul(compute, seed, &p, true, false, false);
    check_matmul(compute, seed, &p, true, false, true);
    problem_free(&p);
}

/* Every dot_rows slot for every number of rows, on part of the matrix. */
static void check_dot_rows(const weft_kernels *k, uint64_t *seed) {
    for (int type = 0; type < WEFT_TYPE_COUNT; type++) {
        for (int round = 0; round < ROUNDS(24); round++) {
            int m = 1 + round % WEFT_DOT_ROWS_MAX;
            int64_t block = weft_type_block_values(type), rows = random_between(seed, 1, 300);
            int64_t cols = block == 1 ? random_between(seed, 1, 500) : block * random_between(seed, 1, 1024 / block);
            int64_t n0 = random_between(seed, 0, rows - 1), n1 = random_between(seed, n0, rows), stride = n1 - n0 + 3;
            problem p;
            problem_make(&p, seed, type, false, m, rows, cols);
            float *out = guarded(m * stride);
            k->dot_rows[type](out, stride, p.x, p.x_stride, m, &p.w, n0, n1);
            int64_t wrong = 0;
            for (int64_t i = 0; i < m * stride; i++) {
                int64_t r = i / stride, n = n0 + i % stride;
                if (n >= n1)
                    wrong += !word_is_poison(out + i);
                else
                    wrong += !(fabs((double)out[i] - p.sums[r * rows + n]) <= tolerance * p.size[r * rows + n] + 1e-9);
            }
            CHECK_MSG(wrong == 0, "%s dot_rows %s m=%d k=%lld: %lld wrong", k->level, weft_type_name(type), m,
                      (long long)cols, (long long)wrong);
            CHECK(guards_whole(out, m * stride));
            guarded_free(out);
            problem_free(&p);
        }
    }
}

static void check_tiles(const weft_kernels *k, uint64_t *seed) {
    for (int round = 0; round < ROUNDS(400); round++) {
        int m = (int)random_between(seed, 1, k->tile_m), n = (int)random_between(seed, 1, k->tile_n);
        int64_t length = random_between(seed, 0, 70), ldc = n + random_between(seed, 0, 3);
        bool accumulate = testing_random(seed) >> 63;
        float *a = guarded(m * length + 1), *b = guarded(n * length + 1);
        float *pa = guarded(k->tile_m * length), *pb = guarded(k->tile_n * length);
        fill_uniform(seed, a, m * length + 1, 1);
        fill_uniform(seed, b, n * length + 1, 1);
        k->pack(pa, k->tile_m, a, length, m, length);
        k->pack(pb, k->tile_n, b, length, n, length);
        int64_t wrong = 0;
        for (int64_t i = 0; i < k->tile_m * length; i++) {
            int64_t row = i % k->tile_m;
            wrong += pa[i] != (row < m ? a[row * length + i / k->tile_m] : 0);
        }
        CHECK_MSG(wrong == 0 && guards_whole(pa, k->tile_m * length), "%s pack m=%d k=%lld", k->level, m,
                  (long long)length);
        CHECK(guards_whole(pb, k->tile_n * length));
        float *c = guarded((m - 1) * ldc + n), *before = guarded((m - 1) * ldc + n);
        for (int row = 0; row < m && accumulate; row++) fill_uniform(seed, c + row * ldc, n, 1);
        memcpy(before, c, (size_t)((m - 1) * ldc + n) * sizeof *c);
        k->gemm_tile(c, ldc, pa, pb, length, m, n, accumulate);
        wrong = 0;
        for (int64_t i = 0; i < (m - 1) * ldc + n; i++) {
            if (i % ldc >= n) {
                wrong += !word_is_poison(c + i);
                continue;
            }
            double want = accumulate ? (double)before[i] : 0;
            for (int64_t j = 0; j < length; j++)
                want += (double)a[i / ldc * length + j] * (double)b[i % ldc * length + j];
            wrong += !(fabs((double)c[i] - want) < 1e-5);
        }
        CHECK_MSG(wrong == 0, "%s gemm_tile %dx%d k=%lld", k->level, m, n, (long long)length);
        CHECK(guards_whole(c, (m - 1) * ldc + n));
        guarded_free(a);
        guarded_free(b);
        guarded_free(pa);
        guarded_free(pb);
        guarded_free(c);
        guarded_free(before);
    }
}

static void check_rows(const weft_kernels *k, uint64_t *seed) {
    for (int round = 0; round < ROUNDS(60); round++) {
        weft_type type = (weft_type)(round % WEFT_TYPE_COUNT);
        bool transposed = type <= WEFT_BF16 && testing_random(seed) >> 63;
        int64_t block = weft_type_block_values(type), rows = random_between(seed, 1, 200);
        int64_t cols = block == 1 ? random_between(seed, 1, 300) : block * random_between(seed, 1, 512 / block);
        problem p;
        problem_make(&p, seed, type, transposed, 1, rows, cols);
        float *out = guarded(cols);
        int64_t row = random_between(seed, 0, rows - 1);
        weft_matrix_row(k, &p.w, row, out);
        CHECK_MSG(memcmp(out, p.values + row * cols, (size_t)cols * 4) == 0, "%s row of %s", k->level,
                  weft_type_name(type));
        CHECK(guards_whole(out, cols));
        guarded_free(out);
        problem_free(&p);
    }
}

int main(void) {
    const weft_kernels *tables[ALL_LEVELS];
    int levels = test_levels(tables);
    for (int i = 0; i < levels; i++) {
        uint64_t seed = 77;
        check_dot_rows(tables[i], &seed);
        check_tiles(tables[i], &seed);
        check_rows(tables[i], &seed);
        for (int threads = 1; threads <= 5; threads += 2) {
            weft_error err;
            weft_compute *compute;
            CHECK_OK(weft_compute_create(tables[i]->level, threads, &compute, &err), err);
            if (!compute) continue;
            CHECK_INT(weft_pool_threads(weft_compute_pool(compute)), threads);
            CHECK((uintptr_t)weft_compute_scratch(compute, threads - 1) % 64 == 0);
            check_random(compute, &seed);
            if (threads == 3) check_large(compute, &seed);
            if (threads == 3) check_passes(compute, &seed);
            weft_compute_destroy(compute);
        }
    }
    return testing_summary();
}
