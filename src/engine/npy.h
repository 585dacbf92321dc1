/* Writes .npy files (NumPy format 1.0, little endian), row by row. */
#ifndef WEFT_ENGINE_NPY_H
#define WEFT_ENGINE_NPY_H

#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

typedef enum weft_npy_type { WEFT_NPY_F32, WEFT_NPY_I32 } weft_npy_type;

typedef struct weft_npy {
    FILE *file;
    char path[1024];
} weft_npy;

/* Creates folder/name with the shape stated; the values follow with weft_npy_write, in row-major order. */
weft_status weft_npy_open(weft_npy *npy, const char *folder, const char *name, weft_npy_type type, const int64_t *shape, int dims, weft_error *err);
weft_status weft_npy_write(weft_npy *npy, const void *values, int64_t count, weft_error *err); /* of 4 bytes each */
weft_status weft_npy_close(weft_npy *npy, weft_error *err); /* reports what the disk refused */
/* All of it at once. */
weft_status weft_npy_save(const char *folder, const char *name, weft_npy_type type, const int64_t *shape, int dims, const void *values, weft_error *err);

#endif
