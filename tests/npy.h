/* Reads the .npy files of the goldens: little-endian f32 and i32, C order. For tests only. */
#ifndef WEFT_TESTS_NPY_H
#define WEFT_TESTS_NPY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct npy_array {
    long count;
    float *f32;   /* owned; NULL unless the file holds '<f4' */
    int32_t *i32; /* owned; NULL unless '<i4' */
} npy_array;

static inline void npy_free(npy_array *array) {
    free(array->f32);
    free(array->i32);
    *array = (npy_array){0};
}

/* 0 on success. */
static inline int npy_load(const char *path, npy_array *array) {
    *array = (npy_array){0};
    FILE *file = fopen(path, "rb");
    unsigned char magic[10];
    char header[4096] = "";
    if (!file || fread(magic, 1, 10, file) != 10) {
        if (file) fclose(file);
        return -1;
    }
    size_t size = (size_t)(magic[8] | magic[9] << 8);
    int failed = size >= sizeof header || fread(header, 1, size, file) != size;
    int is_float = strstr(header, "'<f4'") != NULL;
    long begin = ftell(file);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file) - begin;
    fseek(file, begin, SEEK_SET);
    void *data = malloc((size_t)bytes + 4);
    failed |= !data || fread(data, 1, (size_t)bytes, file) != (size_t)bytes || (!is_float && !strstr(header, "'<i4'"));
    fclose(file);
    if (failed) {
        free(data);
        return -1;
    }
    array->count = bytes / 4;
    if (is_float)
        array->f32 = data;
    else
        array->i32 = data;
    return 0;
}

#endif
