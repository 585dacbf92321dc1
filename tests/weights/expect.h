/* What the tests of whole checkpoints share: their sizes, and comparing bound weights with the values that were
 * written. */
#ifndef WEFT_TESTS_EXPECT_H
#define WEFT_TESTS_EXPECT_H

#include "files.h"

enum { HIDDEN = 32, LAYERS = 2, HEADS = 2, KV = 1, HEAD = 16, FFN = 64, VOCAB = 40, EXPERTS = 3, INTER = 32 };
enum { V_HIDDEN = 16, V_LAYERS = 3, V_FFN = 32, PATCH = 4, SIDE = 4, WIDE = 4 * V_HIDDEN };

static inline weft_checkpoint *open_good(const char *path, const char *mmproj) {
    weft_checkpoint *ck = NULL;
    weft_error err = {0};
    CHECK_MSG(weft_checkpoint_open(path, mmproj, &ck, &err) == WEFT_OK, "%s", err.message);
    return ck;
}

static inline void expect_refused(const char *path, const char *mmproj, const char *words) {
    weft_checkpoint *ck = NULL;
    weft_error err = {0};
    weft_status status = weft_checkpoint_open(path, mmproj, &ck, &err);
    CHECK_MSG(status != WEFT_OK && !ck && strstr(err.message, words), "want '%s', got %d '%s'", words, (int)status,
              err.message);
    weft_checkpoint_close(ck);
}

/* ---- values ---- */

/* Element (n, k) of a plain matrix as the contract of weft_matrix reads it. */
static inline float at(const weft_matrix *m, int64_t n, int64_t k) {
    int64_t index = m->transposed ? k * (m->stride ? m->stride : m->rows) + n : n * m->cols + k;
    if (m->type == WEFT_F32) return ((const float *)m->data)[index];
    weft_tensor one = {.type = m->type, .data = (const uint16_t *)m->data + index};
    float value = NAN;
    weft_tensor_to_f32(&one, &value, NULL);
    return value;
}

/* Element (n, k) must be element first + n * row_step + k * col_step of tensor `name`. */
static inline void expect_values(const weft_matrix *m, int64_t rows, int64_t cols, const char *name, int64_t first,
                                 int64_t row_step, int64_t col_step) {
    CHECK_MSG(m->rows == rows && m->cols == cols && m->data, "%s: %lld x %lld", name, (long long)m->rows,
              (long long)m->cols);
    if (m->rows != rows || m->cols != cols || !m->data) return;
    int64_t wrong = 0;
    for (int64_t n = 0; n < rows; n++)
        for (int64_t k = 0; k < cols; k++)
            wrong += at(m, n, k) != file_value(name, first + n * row_step + k * col_step);
    CHECK_MSG(wrong == 0, "%s: %lld of %lld values differ", name, (long long)wrong, (long long)(rows * cols));
}
static inline void expect_matrix(const weft_matrix *m, int64_t rows, int64_t cols, const char *name) {
    expect_values(m, rows, cols, name, 0, cols, 1);
}
static inline void expect_vector(const float *v, int64_t n, const char *name) {
    int64_t wrong = !v;
    for (int64_t i = 0; v && i < n; i++) wrong += v[i] != file_value(name, i);
    CHECK_MSG(wrong == 0, "%s", name);
}

/* Flips bytes of one file again and again and opens the model each time: it opens, or says why not. */
static inline void damage(const char *file, const char *model, int rounds, size_t span) {
    uint64_t random = 99;
    weft_error err = {0};
    weft_buffer good;
    char path[512];
    snprintf(path, sizeof path, "%s", model);
    CHECK_OK(weft_read_file(file, 1 << 24, &good, &err), err);
    int refused = 0;
    for (int round = 0; round < rounds && good.data; round++) {
        size_t size = good.size < span ? good.size : span;
        char *bad = malloc(good.size);
        memcpy(bad, good.data, good.size);
        for (uint64_t n = testing_random(&random) % 3 + 1; n > 0; n--) {
            static const char likely[] = "0123456789,:[]{}\"-.e nul\0\xff";
            char byte = testing_random(&random) % 2 ? (char)testing_random(&random)
                                                    : likely[testing_random(&random) % (sizeof likely - 1)];
            bad[testing_random(&random) % size] = byte;
        }
        files_write(file, bad, good.size);
        free(bad);
        weft_checkpoint *ck = NULL;
        err = (weft_error){0};
        weft_status status = weft_checkpoint_open(path, NULL, &ck, &err);
        CHECK_MSG((status == WEFT_OK) == (ck != NULL) && (status == WEFT_OK || err.message[0]), "round %d", round);
        refused += status != WEFT_OK;
        weft_checkpoint_close(ck);
    }
    CHECK_MSG(refused > rounds / 8, "only %d of %d damaged models were refused", refused, rounds);
    if (good.data) files_write(file, good.data, good.size);
    weft_buffer_free(&good);
}

#endif
