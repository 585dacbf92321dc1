/* A tensor as a view of bytes in a mapped file, and the table of a file's tensors. */
#ifndef WEFT_WEIGHTS_TENSOR_H
#define WEFT_WEIGHTS_TENSOR_H

#include "kernels/kernels.h"

enum {
    WEFT_TENSOR_DIMS_MAX = 5,
    WEFT_TENSOR_NAME_MAX = 255, /* bytes */
    WEFT_TENSORS_MAX = 1 << 20, /* in one checkpoint */
};

typedef struct weft_tensor {
    char *name;            /* owned by the table; valid UTF-8 without control characters */
    const char *type_name; /* the file's own word for the type ("BF16", "IQ4_XS"); static */
    weft_type type;        /* WEFT_TYPE_COUNT: a type of the format that weft does not compute with */
    int dims;              /* 0 … WEFT_TENSOR_DIMS_MAX */
    int64_t
        shape[WEFT_TENSOR_DIMS_MAX]; /* outermost first (row-major); GGUF's reversed order is turned round at open */
    const void *data;                /* range-checked; alignment is whatever the file has */
    size_t bytes;
} weft_tensor;

typedef struct weft_tensor_table {
    weft_tensor *tensors; /* in file order */
    int64_t count;
    int64_t capacity;
    int64_t *by_name; /* [count] indices in name order, made by weft_tensor_table_finish */
} weft_tensor_table;

/* By name, or NULL. O(log n). */
const weft_tensor *weft_tensor_find(const weft_tensor_table *table, const char *name);

/* Product of the shape. Cannot overflow for a tensor of a table: its bytes were checked. */
int64_t weft_tensor_elements(const weft_tensor *tensor);

/* For the readers: appends *tensor, taking a copy of the `size` bytes of its name (tensor->name is ignored). `path` is
 * for the message. Refuses names that are too long or hold control characters or broken UTF-8. */
weft_status weft_tensor_table_add(weft_tensor_table *table, const char *path, const weft_tensor *tensor,
                                  const char *name, size_t size, weft_error *err);
/* Sorts by name; a name that occurs twice is an error. To be called once, after the last add. */
weft_status weft_tensor_table_finish(weft_tensor_table *table, const char *path, weft_error *err);
void weft_tensor_table_free(weft_tensor_table *table);

/* True when the bytes are valid UTF-8 without control characters: safe to print and to put into JSON. */
bool weft_text_is_plain(const char *text, size_t size);

/* out[elements] = the tensor's values as f32; any type that weft computes with except F8 (which needs its scales). */
weft_status weft_tensor_to_f32(const weft_tensor *tensor, float *out, weft_error *err);

#endif
