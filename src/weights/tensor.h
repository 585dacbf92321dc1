/* A tensor as a view of bytes in a mapped file, and the table of a file's tensors. */
#ifndef WEFT_WEIGHTS_TENSOR_H
#define WEFT_WEIGHTS_TENSOR_H

#include "kernels/kernels.h"

enum { WEFT_TENSOR_DIMS_MAX = 5 };

typedef struct weft_tensor {
    char *name;        /* owned by the table */
    weft_type type;
    int dims;
    int64_t shape[WEFT_TENSOR_DIMS_MAX]; /* outermost first (row-major); GGUF's reversed order is turned round at open */
    const void *data;  /* range-checked; alignment is whatever the file has */
    size_t bytes;
} weft_tensor;

typedef struct weft_tensor_table {
    weft_tensor *tensors; /* in file order */
    int64_t count;
} weft_tensor_table;

/* By name, or NULL. O(log n) or better. */
const weft_tensor *weft_tensor_find(const weft_tensor_table *table, const char *name);

#endif
