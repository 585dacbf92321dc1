/* The product tile that matrix products and attention share, for any vector width. */

static void tile_store_part(float *c, vf sum, int n, bool accumulate) {
    if (n == VF) {
        vf_store(c, accumulate ? vf_add(vf_load(c), sum) : sum);
        return;
    }
    if (accumulate) sum = vf_add(vf_load_n(c, n), sum);
    vf_store_n(c, sum, n);
}

/* c[i][0 … nv*VF) (+)= sum over k of a[i * a_m + k * a_k] * b[k * ldb + …], for `rows` <= TILE_M rows and one or two
 * vectors of columns. `rows` and `nv` are constants: the sums are named variables, because arrays of accumulators end
 * up in memory. The first m <= rows rows and n <= nv*VF columns are written; b is read in whole vectors. */
WEFT_INLINE void tile_product(const int rows, const int nv, float *c, int64_t ldc, const float *a, int64_t a_k,
                              int64_t a_m, const float *b, int64_t ldb, int64_t k, int m, int n, bool accumulate) {
#define DECLARE(i) vf c##i##_0 = vf_zero(), c##i##_1 = vf_zero();
    EACH_TILE_ROW(DECLARE)
#undef DECLARE
#define STEP(i)                                                                                                        \
    if (rows > i) {                                                                                                    \
        vf factor = vf_set(a[i * a_m]);                                                                                \
        c##i##_0 = vf_fma(factor, b0, c##i##_0);                                                                       \
        if (nv > 1) c##i##_1 = vf_fma(factor, b1, c##i##_1);                                                           \
    }
#pragma GCC unroll 4
    for (; k > 0; k--, a += a_k, b += ldb) {
        vf b0 = vf_load(b), b1 = nv > 1 ? vf_load(b + VF) : b0;
        EACH_TILE_ROW(STEP)
    }
#undef STEP
#define STORE(i)                                                                                                       \
    if (rows > i && i < m) {                                                                                           \
        float *row = c + i * ldc;                                                                                      \
        if (n == nv * VF) {                                                                                            \
            vf_store(row, accumulate ? vf_add(vf_load(row), c##i##_0) : c##i##_0);                                     \
            if (nv > 1) vf_store(row + VF, accumulate ? vf_add(vf_load(row + VF), c##i##_1) : c##i##_1);               \
        } else {                                                                                                       \
            tile_store_part(row, c##i##_0, n < VF ? n : VF, accumulate);                                               \
            if (nv > 1 && n > VF) tile_store_part(row + VF, c##i##_1, n - VF, accumulate);                             \
        }                                                                                                              \
    }
    EACH_TILE_ROW(STORE)
#undef STORE
}
