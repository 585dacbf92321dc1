/* Norms, rotary turns, sums, activations and softmax, for any vector width. Tails run through the same vector code on a
 * masked load, so that a value does not depend on its place in the row. */
#include "kernels/variants.h"
#include "kernels/vector/math.h"

/* Calls STEP(load, store, i) for each vector of n values; the last one may be short. */
#define EACH_VECTOR(n, STEP)                                                                                           \
    {                                                                                                                  \
        int64_t i = 0;                                                                                                 \
        for (; i + VF <= (n); i += VF) STEP(LOAD_FULL, STORE_FULL)                                                     \
        if (i < (n)) {                                                                                                 \
            int64_t rest = (n)-i;                                                                                      \
            STEP(LOAD_PART, STORE_PART)                                                                                \
        }                                                                                                              \
    }
#define LOAD_FULL(p)     vf_load((p) + i)
#define STORE_FULL(p, v) vf_store((p) + i, v)
#define LOAD_PART(p)     vf_load_n((p) + i, rest)
#define STORE_PART(p, v) vf_store_n((p) + i, v, rest)

static float sum_of_squares(const float *x, int64_t n) {
    vf s0 = vf_zero(), s1 = vf_zero(), s2 = vf_zero(), s3 = vf_zero();
    int64_t i = 0;
    for (; i + 4 * VF <= n; i += 4 * VF) {
        vf v0 = vf_load(x + i), v1 = vf_load(x + i + VF), v2 = vf_load(x + i + 2 * VF), v3 = vf_load(x + i + 3 * VF);
        s0 = vf_fma(v0, v0, s0);
        s1 = vf_fma(v1, v1, s1);
        s2 = vf_fma(v2, v2, s2);
        s3 = vf_fma(v3, v3, s3);
    }
    for (; i < n; i += VF) {
        vf v = n - i < VF ? vf_load_n(x + i, n - i) : vf_load(x + i);
        s0 = vf_fma(v, v, s0);
    }
    return vf_sum(vf_add(vf_add(s0, s1), vf_add(s2, s3)));
}

static void rms_norm(float *out, const float *x, const float *weight, int64_t n, float eps) {
    vf scale = vf_set(1.0f / __builtin_sqrtf(sum_of_squares(x, n) / (float)n + eps));
#define STEP(LOAD, STORE) STORE(out, vf_mul(vf_mul(LOAD(x), scale), LOAD(weight)));
    EACH_VECTOR(n, STEP)
#undef STEP
}

static void layer_norm(float *out, const float *x, const float *weight, const float *bias, int64_t n, float eps) {
    vf s0 = vf_zero(), s1 = vf_zero(), squares = vf_zero();
    int64_t k = 0;
    for (; k + 2 * VF <= n; k += 2 * VF) {
        s0 = vf_add(s0, vf_load(x + k));
        s1 = vf_add(s1, vf_load(x + k + VF));
    }
    for (; k < n; k += VF) s0 = vf_add(s0, n - k < VF ? vf_load_n(x + k, n - k) : vf_load(x + k));
    float average = vf_sum(vf_add(s0, s1)) / (float)n;
    vf mean = vf_set(average);
    for (k = 0; k + VF <= n; k += VF) {
        vf v = vf_sub(vf_load(x + k), mean);
        squares = vf_fma(v, v, squares);
    }
    float square = vf_sum(squares);
    for (; k < n; k++) square += (x[k] - average) * (x[k] - average);
    vf scale = vf_set(1.0f / __builtin_sqrtf(square / (float)n + eps));
#define STEP(LOAD, STORE) STORE(out, vf_add(vf_mul(vf_mul(vf_sub(LOAD(x), mean), scale), LOAD(weight)), LOAD(bias)));
    EACH_VECTOR(n, STEP)
#undef STEP
}

static void rope_half(float *x, const float *cos, const float *sin, int64_t pairs) {
    float *y = x + pairs;
#define STEP(LOAD, STORE)                                                                                              \
    {                                                                                                                  \
        vf a = LOAD(x), b = LOAD(y), c = LOAD(cos), s = LOAD(sin);                                                     \
        STORE(x, vf_sub(vf_mul(a, c), vf_mul(b, s)));                                                                  \
        STORE(y, vf_add(vf_mul(b, c), vf_mul(a, s)));                                                                  \
    }
    EACH_VECTOR(pairs, STEP)
#undef STEP
}

static void add(float *out, const float *x, int64_t n) {
#define STEP(LOAD, STORE) STORE(out, vf_add(LOAD(out), LOAD(x)));
    EACH_VECTOR(n, STEP)
#undef STEP
}

static void scale_add(float *out, const float *x, float scale, int64_t n) {
    vf factor = vf_set(scale);
#define STEP(LOAD, STORE) STORE(out, vf_add(LOAD(out), vf_mul(LOAD(x), factor)));
    EACH_VECTOR(n, STEP)
#undef STEP
}

/* x / (1 + e^-y) */
WEFT_INLINE vf times_sigmoid(vf x, vf y) {
    return vf_div(x, vf_add(vf_set(1), v_exp(vf_sub(vf_zero(), y))));
}

static void silu_mul(float *out, const float *gate, const float *up, int64_t n) {
#define STEP(LOAD, STORE)                                                                                              \
    {                                                                                                                  \
        vf g = LOAD(gate);                                                                                             \
        STORE(out, vf_mul(times_sigmoid(g, g), LOAD(up)));                                                             \
    }
    EACH_VECTOR(n, STEP)
#undef STEP
}

/* 0.5 (1 + tanh(y)) = 1 / (1 + e^-2y), without the cancellation of the left side. */
static void gelu_tanh(float *x, int64_t n) {
    const vf twice = vf_set(1.5957691216057308f), cubic = vf_set(0.044715f);
#define STEP(LOAD, STORE)                                                                                              \
    {                                                                                                                  \
        vf v = LOAD(x), cube = vf_mul(vf_mul(v, v), v);                                                                \
        STORE(x, times_sigmoid(v, vf_mul(twice, vf_fma(cubic, cube, v))));                                             \
    }
    EACH_VECTOR(n, STEP)
#undef STEP
}

static void gelu_erf(float *x, int64_t n) {
    const vf root = vf_set(0.7071067811865476f), half = vf_set(0.5f), one = vf_set(1);
#define STEP(LOAD, STORE)                                                                                              \
    {                                                                                                                  \
        vf v = LOAD(x);                                                                                                \
        STORE(x, vf_mul(vf_mul(half, v), vf_add(one, v_erf(vf_mul(v, root)))));                                        \
    }
    EACH_VECTOR(n, STEP)
#undef STEP
}

static void softmax(float *x, int64_t n) {
    vf max = vf_set(-__builtin_inff());
    int64_t k = 0;
    for (; k + VF <= n; k += VF) max = vf_max(max, vf_load(x + k));
    float largest = vf_largest(max);
    for (; k < n; k++) largest = x[k] > largest ? x[k] : largest;
    max = vf_set(largest);
    vf sums = vf_zero();
    for (k = 0; k + VF <= n; k += VF) {
        vf p = v_exp(vf_sub(vf_load(x + k), max));
        vf_store(x + k, p);
        sums = vf_add(sums, p);
    }
    float sum = vf_sum(sums);
    if (k < n) {
        vf_store_n(x + k, v_exp(vf_sub(vf_load_n(x + k, n - k), max)), n - k);
        for (int64_t j = k; j < n; j++) sum += x[j];
    }
    vf scale = vf_set(1.0f / sum);
#define STEP(LOAD, STORE) STORE(x, vf_mul(LOAD(x), scale));
    EACH_VECTOR(n, STEP)
#undef STEP
}

void LEVEL(fill_elementwise)(weft_kernels *table);
void LEVEL(fill_elementwise)(weft_kernels *table) {
    table->rms_norm = rms_norm;
    table->layer_norm = layer_norm;
    table->rope_half = rope_half;
    table->add = add;
    table->scale_add = scale_add;
    table->silu_mul = silu_mul;
    table->gelu_tanh = gelu_tanh;
    table->gelu_erf = gelu_erf;
    table->softmax = softmax;
}
