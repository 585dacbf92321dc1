/* Random weights of every type: the wanted mean and spread, whole blocks, other bytes for another seed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random_model/blocks.h"
#include "testing.h"

enum { VALUES = 1 << 19 };

static void draw(weft_type type, float mean, float std, uint64_t seed, uint8_t *bytes) {
    gguf_tensor tensor = {.name = "t", .dims = 2, .ne = {256, VALUES / 256}, .type = type, .mean = mean, .std = std};
    size_t size = gguf_tensor_bytes(&tensor);
    FILE *file = tmpfile();
    block_source *source = blocks_create(seed);
    CHECK(file && source && blocks_fill(source, file, &tensor, size));
    rewind(file);
    CHECK(fread(bytes, 1, size, file) == size && fgetc(file) == EOF);
    fclose(file);
    blocks_free(source);
}

static void check_type(weft_type type, float mean, float std) {
    const weft_kernels *kernels;
    CHECK(weft_kernels_select("ref", &kernels, NULL) == WEFT_OK);
    uint8_t *bytes = calloc(VALUES, 4), *other = calloc(VALUES, 4);
    float *values = malloc(sizeof *values * VALUES);
    draw(type, mean, std, 1, bytes);
    draw(type, mean, std, 2, other);
    CHECK(memcmp(bytes, other, VALUES / 4) != 0);
    draw(type, mean, std, 1, other);
    CHECK(memcmp(bytes, other, weft_type_row_bytes(type, VALUES)) == 0);
    kernels->dequantize[type](values, bytes, VALUES);
    double sum = 0, squares = 0;
    bool finite = true;
    for (int i = 0; i < VALUES; i++) {
        finite = finite && isfinite(values[i]);
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    double found_mean = sum / VALUES, found_std = sqrt(squares / VALUES - found_mean * found_mean);
    CHECK(finite);
    CHECK(fabs(found_mean - mean) < 0.05 * std);
    CHECK(found_std > 0.93 * std && found_std < 1.07 * std);
    free(bytes);
    free(other);
    free(values);
}

int main(void) {
    for (int type = 0; type < WEFT_TYPE_COUNT; type++) {
        if (type == WEFT_F8_E4M3) continue; /* no GGUF type */
        check_type((weft_type)type, 0, 0.02f);
        check_type((weft_type)type, 0, 0.006f);
    }
    check_type(WEFT_F32, 1, 0.1f);
    return testing_summary();
}
