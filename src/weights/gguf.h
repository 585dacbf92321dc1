/* GGUF files, mapped and checked: metadata and tensor table.
 *
 * Every offset and count is checked once, at open, by subtraction against the file's size; after that all pointers
 * handed out stay valid until close. Strings inside the file are not NUL-terminated; names of tensors and keys are
 * copied. A split file (name-00001-of-0000N.gguf) opens all its parts, whichever part is named. */
#ifndef WEFT_WEIGHTS_GGUF_H
#define WEFT_WEIGHTS_GGUF_H

#include "weights/tensor.h"

typedef struct weft_gguf weft_gguf;

typedef enum weft_gguf_kind {
    WEFT_GGUF_U8 = 0,
    WEFT_GGUF_I8,
    WEFT_GGUF_U16,
    WEFT_GGUF_I16,
    WEFT_GGUF_U32,
    WEFT_GGUF_I32,
    WEFT_GGUF_F32,
    WEFT_GGUF_BOOL,
    WEFT_GGUF_STRING,
    WEFT_GGUF_ARRAY,
    WEFT_GGUF_U64,
    WEFT_GGUF_I64,
    WEFT_GGUF_F64,
} weft_gguf_kind;

enum {
    WEFT_GGUF_KEYS_MAX = 1 << 16,
    WEFT_GGUF_KEY_BYTES_MAX = 65535, /* the format's own limit */
    WEFT_GGUF_DIMS_MAX = 4,          /* the format's own limit */
    WEFT_GGUF_ALIGNMENT_MAX = 1 << 20,
    WEFT_GGUF_PARTS_MAX = 1024,
};

weft_status weft_gguf_open(const char *path, weft_gguf **gguf, weft_error *err);
void weft_gguf_close(weft_gguf *gguf);
const char *weft_gguf_path(const weft_gguf *gguf); /* of the first part */
const weft_tensor_table *weft_gguf_tensors(const weft_gguf *gguf);
/* The files that were opened: one, or the parts in order. NULL past the last. *bytes: its size. */
const char *weft_gguf_file(const weft_gguf *gguf, int index, uint64_t *bytes);

/* Look-ups by key. The scalar ones convert between integer kinds with a range check and report a missing key or a wrong
 * kind by name; *_or give a default when the key is missing (a wrong kind is still an error). */
bool weft_gguf_has(const weft_gguf *gguf, const char *key);
weft_status weft_gguf_u64(const weft_gguf *gguf, const char *key, uint64_t *value, weft_error *err);
weft_status weft_gguf_u64_or(const weft_gguf *gguf, const char *key, uint64_t fallback, uint64_t *value,
                             weft_error *err);
weft_status weft_gguf_f64_or(const weft_gguf *gguf, const char *key, double fallback, double *value, weft_error *err);
weft_status weft_gguf_bool_or(const weft_gguf *gguf, const char *key, bool fallback, bool *value, weft_error *err);
/* *text points into the file, *size bytes. */
weft_status weft_gguf_string(const weft_gguf *gguf, const char *key, const char **text, size_t *size, weft_error *err);
weft_status weft_gguf_array(const weft_gguf *gguf, const char *key, weft_gguf_kind *kind, uint64_t *count,
                            weft_error *err);
/* Walks an array of strings from its start: cursor begins at 0 and is moved on (it counts bytes, not elements). Past
 * the last element: WEFT_ERR_NOT_FOUND. */
weft_status weft_gguf_array_string(const weft_gguf *gguf, const char *key, uint64_t *cursor, const char **text,
                                   size_t *size, weft_error *err);
/* All strings of an array in order, in one go: take(context, index, text, size), text pointing into the file. */
weft_status weft_gguf_strings(const weft_gguf *gguf, const char *key,
                              void (*take)(void *context, uint64_t index, const char *text, size_t size), void *context,
                              weft_error *err);
/* The first `count` elements of an array of numbers or bools. */
weft_status weft_gguf_numbers(const weft_gguf *gguf, const char *key, double *values, uint64_t count, weft_error *err);
/* Element `index` of an array of numbers or bools. */
weft_status weft_gguf_array_number(const weft_gguf *gguf, const char *key, uint64_t index, double *value,
                                   weft_error *err);

#endif
