/* Norms, rotary turns, activations, softmax and kv_store of every level against ref, and ref against formulas in
 * double. */
#include "levels.h"

static const int64_t sizes[] = {1,  2,  3,  7,  8,   9,   15,  16,  17,   31,   33,
                                63, 64, 65, 72, 100, 127, 128, 255, 1000, 2560, 4099};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* |got - want| <= tolerance * scale everywhere, NaN nowhere. */
static bool close_to(const float *got, const double *want, int64_t n, double relative, double absolute) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= relative * fabs(want[i]) + absolute)) return false;
    return true;
}

static void check_norms(const weft_kernels *k, uint64_t *seed, int64_t n) {
    float *x = guarded(n), *weight = guarded(n), *bias = guarded(n), *out = guarded(n);
    double *want = malloc((size_t)n * sizeof *want), squares = 0, mean = 0, variance = 0;
    fill_uniform(seed, x, n, 3);
    fill_uniform(seed, weight, n, 2);
    fill_uniform(seed, bias, n, 1);
    for (int64_t i = 0; i < n; i++) x[i] += 0.5f;
    for (int64_t i = 0; i < n; i++) {
        squares += (double)x[i] * (double)x[i];
        mean += (double)x[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) want[i] = (double)x[i] / sqrt(squares / (double)n + 1e-6) * (double)weight[i];
    k->rms_norm(out, x, weight, n, 1e-6f);
    CHECK_MSG(close_to(out, want, n, 2e-6, 1e-7), "%s rms_norm n=%lld", k->level, (long long)n);
    CHECK(guards_whole(out, n));
    memcpy(out, x, (size_t)n * sizeof *x);
    k->rms_norm(out, out, weight, n, 1e-6f);
    CHECK_MSG(close_to(out, want, n, 2e-6, 1e-7), "%s rms_norm in place n=%lld", k->level, (long long)n);
    for (int64_t i = 0; i < n; i++)
        want[i] = ((double)x[i] - mean) / sqrt(variance + 1e-6) * (double)weight[i] + (double)bias[i];
    k->layer_norm(out, x, weight, bias, n, 1e-6f);
    /* for n = 1 the variance is 0, and what rounding leaves of x - mean is divided by sqrt(eps) */
    CHECK_MSG(close_to(out, want, n, 4e-6, n < 3 ? 1e-3 : 4e-6), "%s layer_norm n=%lld", k->level, (long long)n);
    memcpy(out, x, (size_t)n * sizeof *x);
    k->layer_norm(out, out, weight, bias, n, 1e-6f);
    CHECK_MSG(close_to(out, want, n, 4e-6, n < 3 ? 1e-3 : 4e-6), "%s layer_norm in place n=%lld", k->level,
              (long long)n);
    CHECK(guards_whole(out, n));
    guarded_free(x);
    guarded_free(weight);
    guarded_free(bias);
    guarded_free(out);
    free(want);
}

static void check_sums(const weft_kernels *k, uint64_t *seed, int64_t n) {
    float *x = guarded(n), *y = guarded(n), *got = guarded(n), *want = guarded(n);
    fill_uniform(seed, x, n, 2);
    fill_uniform(seed, y, n, 2);
    memcpy(got, y, (size_t)n * sizeof *y);
    k->add(got, x, n);
    for (int64_t i = 0; i < n; i++) want[i] = y[i] + x[i];
    CHECK_MSG(memcmp(got, want, (size_t)n * 4) == 0, "%s add n=%lld", k->level, (long long)n);
    memcpy(got, y, (size_t)n * sizeof *y);
    memcpy(want, y, (size_t)n * sizeof *y);
    k->scale_add(got, x, 0.37f, n);
    reference()->scale_add(want, x, 0.37f, n);
    CHECK_MSG(memcmp(got, want, (size_t)n * 4) == 0, "%s scale_add n=%lld", k->level, (long long)n);
    CHECK(guards_whole(got, n));
    guarded_free(x);
    guarded_free(y);
    guarded_free(got);
    guarded_free(want);
}

static void check_rope(const weft_kernels *k, uint64_t *seed, int64_t pairs) {
    float *x = guarded(2 * pairs + 3), *cosines = guarded(pairs), *sines = guarded(pairs);
    double *want = malloc((size_t)(2 * pairs + 3) * sizeof *want);
    fill_uniform(seed, x, 2 * pairs + 3, 2);
    for (int64_t j = 0; j < pairs; j++) {
        double angle = 10.0 * (double)testing_uniform(seed);
        cosines[j] = (float)cos(angle);
        sines[j] = (float)sin(angle);
        want[j] = (double)x[j] * (double)cosines[j] - (double)x[j + pairs] * (double)sines[j];
        want[j + pairs] = (double)x[j + pairs] * (double)cosines[j] + (double)x[j] * (double)sines[j];
    }
    for (int i = 0; i < 3; i++) want[2 * pairs + i] = (double)x[2 * pairs + i];
    k->rope_half(x, cosines, sines, pairs);
    CHECK_MSG(close_to(x, want, 2 * pairs + 3, 0, 5e-7), "%s rope_half pairs=%lld", k->level, (long long)pairs);
    CHECK(guards_whole(x, 2 * pairs + 3));
    guarded_free(x);
    guarded_free(cosines);
    guarded_free(sines);
    free(want);
}

static double gelu_tanh_double(double v) {
    return 0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v)));
}
static double gelu_erf_double(double v) {
    return 0.5 * v * erfc(-v * 0.70710678118654752440);
}
static double silu_double(double v) {
    return v / (1 + exp(-v));
}

/* Values that sweep small, usual and extreme sizes of both signs. */
static void fill_sweep(uint64_t *seed, float *x, int64_t n) {
    static const float special[] = {0.0f,   -0.0f, 1e-30f, -1e-30f, 1e-6f, -1e-6f, 88.5f,
                                    -88.5f, -104,  200,    -200,    1e4f,  -1e4f};
    for (int64_t i = 0; i < n; i++) {
        uint64_t pick = testing_random(seed) >> 40;
        x[i] = pick % 8 == 0 ? special[pick / 8 % (sizeof special / sizeof special[0])]
                             : testing_uniform(seed) * (pick % 3 == 0   ? 0.1f
                                                        : pick % 3 == 1 ? 3.0f
                                                                        : 12.0f);
    }
}

static void check_activations(const weft_kernels *k, uint64_t *seed, int64_t n) {
    float *x = guarded(n), *up = guarded(n), *got = guarded(n);
    fill_sweep(seed, x, n);
    fill_uniform(seed, up, n, 2);
    k->silu_mul(got, x, up, n);
    bool silu = true, tanh_form = true, erf_form = true;
    for (int64_t i = 0; i < n; i++) {
        double want = silu_double((double)x[i]) * (double)up[i];
        silu &= fabs((double)got[i] - want) <= 1e-6 * fabs(want) + 1e-37;
    }
    CHECK_MSG(silu, "%s silu_mul n=%lld", k->level, (long long)n);
    CHECK(guards_whole(got, n));
    memcpy(got, x, (size_t)n * 4);
    k->silu_mul(got, got, up, n);
    silu = true;
    for (int64_t i = 0; i < n; i++) {
        double want = silu_double((double)x[i]) * (double)up[i];
        silu &= fabs((double)got[i] - want) <= 1e-6 * fabs(want) + 1e-37;
    }
    CHECK_MSG(silu, "%s silu_mul in place n=%lld", k->level, (long long)n);
    memcpy(got, x, (size_t)n * 4);
    k->gelu_tanh(got, n);
    /* 1 + tanh loses its last digits below zero: an error relative to x, in ref and in torch alike */
    for (int64_t i = 0; i < n; i++)
        tanh_form &= fabs((double)got[i] - gelu_tanh_double((double)x[i])) <= 2e-7 * fabs((double)x[i]);
    CHECK_MSG(tanh_form, "%s gelu_tanh n=%lld", k->level, (long long)n);
    memcpy(got, x, (size_t)n * 4);
    k->gelu_erf(got, n);
    for (int64_t i = 0; i < n; i++)
        erf_form &= fabs((double)got[i] - gelu_erf_double((double)x[i])) <= 1.5e-7 * fabs((double)x[i]);
    CHECK_MSG(erf_form, "%s gelu_erf n=%lld", k->level, (long long)n);
    CHECK(guards_whole(got, n));
    guarded_free(x);
    guarded_free(up);
    guarded_free(got);
}

static void check_softmax(const weft_kernels *k, uint64_t *seed, int64_t n, float range) {
    float *x = guarded(n);
    double *want = malloc((size_t)n * sizeof *want), sum = 0;
    float max = -INFINITY;
    fill_uniform(seed, x, n, range);
    for (int64_t i = 0; i < n; i++) max = fmaxf(max, x[i]);
    /* the difference is taken in f32, as every f32 softmax does: its rounding is not an error of the exponential */
    for (int64_t i = 0; i < n; i++) sum += want[i] = exp((double)(x[i] - max));
    for (int64_t i = 0; i < n; i++) want[i] /= sum;
    k->softmax(x, n);
    CHECK_MSG(close_to(x, want, n, 2e-6, 1e-37), "%s softmax n=%lld range=%g", k->level, (long long)n, (double)range);
    CHECK(guards_whole(x, n));
    guarded_free(x);
    free(want);
}

static void check_nan(const weft_kernels *k) {
    float x[19], y[19], up[19];
    for (int i = 0; i < 19; i++) {
        up[i] = 1;
        x[i] = i % 5 == 0 ? NAN : i % 5 == 1 ? INFINITY : (float)i;
    }
    memcpy(y, x, sizeof x);
    k->gelu_tanh(y, 19);
    for (int i = 0; i < 19; i++) CHECK_MSG(!!isnan(x[i]) == !!isnan(y[i]), "%s gelu_tanh lane %d", k->level, i);
    memcpy(y, x, sizeof x);
    k->gelu_erf(y, 19);
    for (int i = 0; i < 19; i++) CHECK_MSG(!!isnan(x[i]) == !!isnan(y[i]), "%s gelu_erf lane %d", k->level, i);
    k->silu_mul(y, x, up, 19);
    for (int i = 0; i < 19; i++) CHECK_MSG(!!isnan(x[i]) == !!isnan(y[i]), "%s silu_mul lane %d", k->level, i);
}

/* Equal bytes on all levels; the row's neighbours stay. */
static void check_kv_store(const weft_kernels *k, uint64_t *seed) {
    static const weft_kv_format formats[] = {WEFT_KV_F32, WEFT_KV_F16, WEFT_KV_Q8, WEFT_KV_Q4};
    for (int round = 0; round < ROUNDS(300); round++) {
        weft_kv_format format = formats[round % 4];
        int dim = (int)random_between(seed, 8, 256), row = (int)random_between(seed, 0, 127);
        size_t bytes = weft_kv_slab_bytes(format, dim);
        uint8_t *want = aligned_alloc(64, bytes), *got = aligned_alloc(64, bytes);
        float *x = guarded(dim);
        memset(want, 0xA5, bytes);
        memset(got, 0xA5, bytes);
        float range = round % 7 == 0 ? 1e5f : round % 7 == 1 ? 1e-6f : round % 7 == 2 ? 1e-39f : 4;
        fill_uniform(seed, x, dim, round % 11 == 0 ? 0 : range);
        reference()->kv_store(want, format, dim, row, x);
        k->kv_store(got, format, dim, row, x);
        CHECK_MSG(memcmp(want, got, bytes) == 0, "%s kv_store format %d dim %d row %d", k->level, format, dim, row);
        if (format == WEFT_KV_Q8 && range == 4) {
            float scale;
            memcpy(&scale, got + 128 * dim + 4 * row, 4);
            for (int d = 0; d < dim; d++)
                CHECK(fabsf((float)(int8_t)got[row * dim + d] * scale - x[d]) <= 0.501f * scale + 1e-30f);
        }
        guarded_free(x);
        free(want);
        free(got);
    }
}

/* All halves survive a round trip, and ties go to even. */
static void check_half(const weft_kernels *k) {
    static uint16_t slab[128 * 8] __attribute__((aligned(64)));
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {{65504, 0x7BFF},          {65519.996f, 0x7BFF},     {65520, 0x7C00},         {-1e9f, 0xFC00},
                 {5.9604645e-8f, 1},       {2.9802322e-8f, 0},       {2.9802326e-8f, 1},      {8.940697e-8f, 2},
                 {1.00048828125f, 0x3C00}, {1.00146484375f, 0x3C02}, {6.1035156e-5f, 0x0400}, {6.0975552e-5f, 0x03FF},
                 {-0.0f, 0x8000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float x[8] = {cases[i].value};
        k->kv_store(slab, WEFT_KV_F16, 8, 3, x);
        CHECK_MSG(slab[24] == cases[i].half, "%s: %.9g became %04x", k->level, (double)cases[i].value, slab[24]);
    }
    for (int h = 0; h < 65536; h += 8) {
        uint16_t halves[8];
        float x[8];
        for (int i = 0; i < 8; i++) halves[i] = (uint16_t)(h + i);
        if ((h & 0x7C00) == 0x7C00) continue;
        k->dequantize[WEFT_F16](x, halves, 8);
        k->kv_store(slab, WEFT_KV_F16, 8, 5, x);
        CHECK(memcmp(slab + 40, halves, sizeof halves) == 0);
    }
}

int main(void) {
    const weft_kernels *tables[ALL_LEVELS];
    int levels = test_levels(tables);
    for (int i = 0; i < levels; i++) {
        uint64_t seed = 5;
        for (int s = 0; s < SIZES; s++) {
            check_norms(tables[i], &seed, sizes[s]);
            check_sums(tables[i], &seed, sizes[s]);
            check_rope(tables[i], &seed, sizes[s]);
            check_activations(tables[i], &seed, sizes[s]);
            check_softmax(tables[i], &seed, sizes[s], 5);
            check_softmax(tables[i], &seed, sizes[s], 60);
        }
        check_nan(tables[i]);
        check_kv_store(tables[i], &seed);
        check_half(tables[i]);
    }
    return testing_summary();
}
