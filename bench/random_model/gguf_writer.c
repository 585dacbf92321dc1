/* Writing GGUF files: see gguf_writer.h. */
#include "gguf_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t type_number(weft_type type) { /* GGUF's own numbering */
    static const uint32_t numbers[WEFT_TYPE_COUNT] = {
        [WEFT_F32] = 0,  [WEFT_F16] = 1,   [WEFT_Q4_0] = 2,  [WEFT_Q4_1] = 3,  [WEFT_Q5_0] = 6,  [WEFT_Q5_1] = 7,
        [WEFT_Q8_0] = 8, [WEFT_Q4_K] = 12, [WEFT_Q5_K] = 13, [WEFT_Q6_K] = 14, [WEFT_BF16] = 30,
    };
    return numbers[type];
}

gguf_writer *gguf_create(void) {
    gguf_writer *w = calloc(1, sizeof *w);
    if (w) weft_buffer_init(&w->keys, GGUF_HEAD_MAX, "GGUF metadata");
    return w;
}

void gguf_free(gguf_writer *w) {
    if (!w) return;
    weft_buffer_free(&w->keys);
    free(w);
}

void gguf_put(gguf_writer *w, const void *bytes, size_t size) {
    if (w->status == WEFT_OK) w->status = weft_buffer_append(&w->keys, bytes, size, &w->err);
}

void gguf_put_string(gguf_writer *w, const char *text, size_t size) {
    uint64_t length = size;
    gguf_put(w, &length, sizeof length);
    gguf_put(w, text, size);
}

static void put_key(gguf_writer *w, const char *key, uint32_t kind) {
    gguf_put_string(w, key, strlen(key));
    gguf_put(w, &kind, sizeof kind);
    w->key_count++;
}

void gguf_u32(gguf_writer *w, const char *key, uint32_t value) {
    put_key(w, key, 4);
    gguf_put(w, &value, sizeof value);
}

void gguf_f32(gguf_writer *w, const char *key, float value) {
    put_key(w, key, 6);
    gguf_put(w, &value, sizeof value);
}

void gguf_bool(gguf_writer *w, const char *key, bool value) {
    uint8_t byte = value;
    put_key(w, key, 7);
    gguf_put(w, &byte, sizeof byte);
}

void gguf_string(gguf_writer *w, const char *key, const char *value) {
    put_key(w, key, 8);
    gguf_put_string(w, value, strlen(value));
}

void gguf_array(gguf_writer *w, const char *key, uint32_t kind, uint64_t count) {
    put_key(w, key, 9);
    gguf_put(w, &kind, sizeof kind);
    gguf_put(w, &count, sizeof count);
}

void gguf_add_tensor(gguf_writer *w, const char *name, int dims, const int64_t ne[4], weft_type type, float mean,
                     float std) {
    if (w->tensor_count == GGUF_TENSORS_MAX) {
        w->status = weft_fail(&w->err, WEFT_ERR_LIMIT, "more than %d tensors", GGUF_TENSORS_MAX);
        return;
    }
    gguf_tensor *t = &w->tensors[w->tensor_count++];
    *t = (gguf_tensor){.dims = dims, .type = type, .mean = mean, .std = std};
    snprintf(t->name, sizeof t->name, "%s", name);
    memcpy(t->ne, ne, sizeof *ne * (size_t)dims);
}

size_t gguf_tensor_bytes(const gguf_tensor *t) {
    size_t bytes = weft_type_row_bytes(t->type, t->ne[0]);
    for (int i = 1; i < t->dims; i++) bytes *= (size_t)t->ne[i];
    return bytes;
}

static uint64_t padded(uint64_t bytes) {
    return (bytes + GGUF_ALIGN - 1) / GGUF_ALIGN * GGUF_ALIGN;
}

uint64_t gguf_data_bytes(const gguf_writer *w) {
    uint64_t bytes = 0;
    for (int i = 0; i < w->tensor_count; i++) bytes += padded(gguf_tensor_bytes(&w->tensors[i]));
    return bytes;
}

static bool write_padding(FILE *file, uint64_t written) {
    static const char zeros[GGUF_ALIGN];
    size_t rest = (size_t)(padded(written) - written);
    return fwrite(zeros, 1, rest, file) == rest;
}

/* The tensor table goes behind the keys in the same buffer, so that the head is one write. */
static void put_tensor_table(gguf_writer *w) {
    uint64_t offset = 0;
    for (int i = 0; i < w->tensor_count; i++) {
        const gguf_tensor *t = &w->tensors[i];
        uint32_t dims = (uint32_t)t->dims, type = type_number(t->type);
        gguf_put_string(w, t->name, strlen(t->name));
        gguf_put(w, &dims, sizeof dims);
        for (int d = 0; d < t->dims; d++) gguf_put(w, &(uint64_t){(uint64_t)t->ne[d]}, sizeof(uint64_t));
        gguf_put(w, &type, sizeof type);
        gguf_put(w, &offset, sizeof offset);
        offset += padded(gguf_tensor_bytes(t));
    }
}

weft_status gguf_write(gguf_writer *w, const char *path, gguf_fill *fill, void *context, weft_error *err) {
    struct {
        char magic[4];
        uint32_t version;
        uint64_t tensors, keys;
    } head = {"GGUF", 3, (uint64_t)w->tensor_count, w->key_count};
    put_tensor_table(w);
    if (w->status != WEFT_OK) return weft_fail(err, w->status, "%s: %s", path, w->err.message);
    FILE *file = fopen(path, "wb");
    if (!file) return weft_fail(err, WEFT_ERR_IO, "%s: cannot create: %s", path, strerror(errno));
    bool good = fwrite(&head, sizeof head, 1, file) == 1 &&
                fwrite(w->keys.data, 1, w->keys.size, file) == w->keys.size &&
                write_padding(file, sizeof head + w->keys.size);
    for (int i = 0; i < w->tensor_count && good; i++) {
        size_t bytes = gguf_tensor_bytes(&w->tensors[i]);
        good = fill(context, file, &w->tensors[i], bytes) && write_padding(file, bytes);
    }
    if (fclose(file) != 0) good = false;
    return good ? WEFT_OK : weft_fail(err, WEFT_ERR_IO, "%s: cannot be written whole: %s", path, strerror(errno));
}
