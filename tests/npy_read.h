/* Reads the .npy files of tests/golden (format 1.0, C order): enough for tests, not for hostile files. */
#ifndef WEFT_TESTS_NPY_READ_H
#define WEFT_TESTS_NPY_READ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct npy_array {
    char type[8]; /* "<f4", "<i4", "|u1", … */
    int64_t shape[4], values;
    int dims;
    void *data; /* NULL: the file is missing or of another kind */
} npy_array;

static inline npy_array npy_read(const char *path) {
    npy_array array = {0};
    FILE *file = fopen(path, "rb");
    if (!file) return array;
    unsigned char head[10];
    char text[4096] = "";
    if (fread(head, 1, 10, file) == 10 && memcmp(head, "\x93NUMPY\x01", 7) == 0) {
        size_t size = (size_t)head[8] | (size_t)head[9] << 8;
        if (size < sizeof text && fread(text, 1, size, file) == size) {
            const char *descr = strstr(text, "'descr': '"), *shape = strstr(text, "'shape': (");
            if (descr && shape && strstr(text, "'fortran_order': False")) {
                sscanf(descr + 10, "%7[^']", array.type);
                array.values = 1;
                char *at = (char *)shape + 10;
                while (*at && *at != ')' && array.dims < 4) {
                    array.values *= array.shape[array.dims++] = strtoll(at, &at, 10);
                    while (*at == ',' || *at == ' ') at++;
                }
                size_t bytes = (size_t)array.values * (size_t)atoi(array.type + 2);
                array.data = malloc(bytes + 1);
                if (array.data && fread(array.data, 1, bytes, file) != bytes) {
                    free(array.data);
                    array.data = NULL;
                }
            }
        }
    }
    fclose(file);
    return array;
}

#endif
