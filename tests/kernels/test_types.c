/* Weight types: the table, and dequantisation on every level against vectors of the gguf package and against ref. */
#include "levels.h"

static void check_table(void) {
    static const struct {
        weft_type type;
        const char *name;
        int values, bytes;
    } want[] = {{WEFT_F32, "F32", 1, 4},         {WEFT_F16, "F16", 1, 2},       {WEFT_BF16, "BF16", 1, 2},
                {WEFT_F8_E4M3, "F8_E4M3", 1, 1}, {WEFT_Q4_0, "Q4_0", 32, 18},   {WEFT_Q4_1, "Q4_1", 32, 20},
                {WEFT_Q5_0, "Q5_0", 32, 22},     {WEFT_Q5_1, "Q5_1", 32, 24},   {WEFT_Q8_0, "Q8_0", 32, 34},
                {WEFT_Q4_K, "Q4_K", 256, 144},   {WEFT_Q5_K, "Q5_K", 256, 176}, {WEFT_Q6_K, "Q6_K", 256, 210}};
    CHECK_INT(sizeof want / sizeof want[0], WEFT_TYPE_COUNT);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        CHECK_STR(weft_type_name(want[i].type), want[i].name);
        CHECK_INT(weft_type_block_values(want[i].type), want[i].values);
        CHECK_INT(weft_type_block_bytes(want[i].type), want[i].bytes);
        CHECK_INT(weft_type_row_bytes(want[i].type, 512), 512 / want[i].values * want[i].bytes);
    }
    CHECK_INT(weft_kv_slab_bytes(WEFT_KV_F32, 72), 128 * 72 * 4);
    CHECK_INT(weft_kv_slab_bytes(WEFT_KV_F16, 72), 128 * 72 * 2);
    CHECK_INT(weft_kv_slab_bytes(WEFT_KV_Q8, 72), 128 * 72 + 128 * 4);
    CHECK_INT(weft_kv_slab_bytes(WEFT_KV_Q4, 128), 128 * 64 + 128 * 4 * 2);
    CHECK_INT(weft_kv_slab_bytes(WEFT_KV_Q4, 72) % 64, 0);
}

static void check_selection(void) {
    weft_error err;
    const weft_kernels *table;
    CHECK(weft_kernels_select("ref", &table, &err) == WEFT_OK && strcmp(table->level, "ref") == 0);
    CHECK_INT(weft_kernels_select("mmx", &table, &err), WEFT_ERR_INVALID);
    CHECK(table == NULL && strstr(err.message, "mmx") && strstr(err.message, "ref"));
    setenv("WEFT_CPU", "ref", 1);
    CHECK(weft_kernels_select(NULL, &table, &err) == WEFT_OK && strcmp(table->level, "ref") == 0);
    setenv("WEFT_CPU", "nonsense", 1);
    CHECK_INT(weft_kernels_select(NULL, &table, &err), WEFT_ERR_INVALID);
    CHECK(strstr(err.message, "WEFT_CPU") != NULL);
    unsetenv("WEFT_CPU");
    CHECK_OK(weft_kernels_select(NULL, &table, &err), err);
    for (int type = 0; type < WEFT_TYPE_COUNT; type++) CHECK(table->dequantize[type] && table->dot_rows[type]);
}

/* Equal bits; any NaN equals any NaN. */
static int64_t differing(const float *got, const float *want, int64_t n) {
    int64_t different = 0;
    for (int64_t i = 0; i < n; i++)
        different += memcmp(got + i, want + i, 4) != 0 && !(isnan(got[i]) && isnan(want[i]));
    return different;
}

static uint8_t *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    uint8_t *bytes = malloc(1 << 20);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

/* tests/golden/quants: <type>.bin holds blocks, <type>.npy (f32) what the gguf package makes of them. */
static void check_golden(const weft_kernels *table) {
    static const char *const names[WEFT_TYPE_COUNT] = {NULL,   "f16",  "bf16", "f8_e4m3", "q4_0", "q4_1",
                                                       "q5_0", "q5_1", "q8_0", "q4_k",    "q5_k", "q6_k"};
    for (int type = 1; type < WEFT_TYPE_COUNT; type++) {
        char path[512];
        size_t bin_size = 0, npy_size = 0;
        snprintf(path, sizeof path, "%s/quants/%s.bin", WEFT_TEST_DATA, names[type]);
        uint8_t *bin = read_whole(path, &bin_size);
        snprintf(path, sizeof path, "%s/quants/%s.npy", WEFT_TEST_DATA, names[type]);
        uint8_t *npy = read_whole(path, &npy_size);
        CHECK_MSG(bin && npy && npy_size > 10, "%s", path);
        if (bin && npy && npy_size > 10) {
            size_t header = 10 + (npy[8] | (size_t)npy[9] << 8);
            int64_t n = (int64_t)((npy_size - header) / 4);
            float *want = malloc((size_t)n * 4), *got = guarded(n);
            memcpy(want, npy + header, (size_t)n * 4);
            CHECK_INT(bin_size, weft_type_row_bytes(type, n));
            table->dequantize[type](got, bin, n);
            CHECK_MSG(differing(got, want, n) == 0, "%s %s: %lld of %lld differ from gguf", table->level, names[type],
                      (long long)differing(got, want, n), (long long)n);
            CHECK(guards_whole(got, n));
            guarded_free(got);
            free(want);
        }
        free(bin);
        free(npy);
    }
}

/* Random bits (NaNs and infinities too), any count. */
static void check_against_ref(const weft_kernels *table) {
    uint64_t seed = 11;
    for (int type = 0; type < WEFT_TYPE_COUNT; type++) {
        for (int round = 0; round < ROUNDS(60); round++) {
            int64_t n = random_between(&seed, 1, 1500), block = weft_type_block_values(type);
            size_t bytes = weft_type_row_bytes(type, (n + block - 1) / block * block);
            uint8_t *base = malloc(bytes + 1), *blocks = base + 1;
            for (size_t i = 0; i < bytes; i++) blocks[i] = (uint8_t)(testing_random(&seed) >> 32);
            float *want = guarded(n), *got = guarded(n);
            reference()->dequantize[type](want, blocks, n);
            table->dequantize[type](got, blocks, n);
            CHECK_MSG(differing(got, want, n) == 0, "%s %s n=%lld", table->level, weft_type_name(type), (long long)n);
            CHECK(guards_whole(got, n) && guards_whole(want, n));
            guarded_free(want);
            guarded_free(got);
            free(base);
        }
    }
}

int main(void) {
    const weft_kernels *tables[ALL_LEVELS];
    int levels = test_levels(tables);
    check_table();
    check_selection();
    for (int i = 0; i < levels; i++) {
        check_golden(tables[i]);
        check_against_ref(tables[i]);
    }
    return testing_summary();
}
