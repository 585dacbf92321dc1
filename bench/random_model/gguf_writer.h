/* Writing GGUF files: keys, tensor table, then the tensors' bytes in order.
 *
 *   "GGUF" u32 version=3 u64 tensors u64 keys
 *   keys:    string name, u32 kind, value          string = u64 size, bytes; array = u32 kind, u64 count, values
 *   tensors: string name, u32 dims, u64 ne[dims] (innermost first), u32 type, u64 offset (from the data's begin)
 *   padding to 32, then the data, each tensor padded to 32
 *
 * The head is collected in memory; data is streamed. The file is left behind on failure, with the error saying so. */
#ifndef WEFT_RANDOM_MODEL_GGUF_WRITER_H
#define WEFT_RANDOM_MODEL_GGUF_WRITER_H

#include <stdio.h>

#include "base/buffer.h"
#include "kernels/kernels.h"

enum { GGUF_TENSORS_MAX = 4096, GGUF_HEAD_MAX = 256 << 20, GGUF_ALIGN = 32 };

typedef struct gguf_tensor {
    char name[96];
    int dims;
    int64_t ne[4]; /* innermost first */
    weft_type type;
    float mean, std; /* of its values */
} gguf_tensor;

typedef struct gguf_writer {
    weft_buffer keys;
    uint64_t key_count;
    gguf_tensor tensors[GGUF_TENSORS_MAX];
    int tensor_count;
    weft_status status; /* the first failure; later calls do nothing */
    weft_error err;
} gguf_writer;

gguf_writer *gguf_create(void); /* NULL: no memory */
void gguf_free(gguf_writer *w);

void gguf_u32(gguf_writer *w, const char *key, uint32_t value);
void gguf_f32(gguf_writer *w, const char *key, float value);
void gguf_bool(gguf_writer *w, const char *key, bool value);
void gguf_string(gguf_writer *w, const char *key, const char *value);
/* Arrays: the head, then `count` elements. kinds as in the format: 4 u32, 5 i32, 6 f32, 7 bool, 8 string. */
void gguf_array(gguf_writer *w, const char *key, uint32_t kind, uint64_t count);
void gguf_put(gguf_writer *w, const void *bytes, size_t size);
void gguf_put_string(gguf_writer *w, const char *text, size_t size);

/* A tensor of [outer, …, inner] = ne reversed; mean and std of the values to draw. */
void gguf_add_tensor(gguf_writer *w, const char *name, int dims, const int64_t ne[4], weft_type type, float mean,
                     float std);
size_t gguf_tensor_bytes(const gguf_tensor *tensor);
uint64_t gguf_data_bytes(const gguf_writer *w);

/* Writes the whole file; `fill(context, file, tensor, bytes)` writes each tensor's bytes. */
typedef bool gguf_fill(void *context, FILE *file, const gguf_tensor *tensor, size_t bytes);
weft_status gguf_write(gguf_writer *w, const char *path, gguf_fill *fill, void *context, weft_error *err);

#endif
