/* Small model files made in C: a temporary folder, and writers of GGUF and safetensors that can also write wrong
 * things.
 *
 * Values follow from the tensor's name and the element's index (file_value), so a test can tell where a view points.
 * They are small whole numbers, exact in every plain type. */
#ifndef WEFT_TESTS_FILES_H
#define WEFT_TESTS_FILES_H

#include <ftw.h>
#include <stdarg.h>
#include <unistd.h>

#include "testing.h"
#include "weights/checkpoint_internal.h"

/* ---- folders ---- */

static char files_folder[256];

static inline int files_remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw) {
    (void)info, (void)kind, (void)ftw;
    return remove(path);
}
static inline void files_end(void) {
    nftw(files_folder, files_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
static inline void files_begin(void) {
    const char *base = getenv("TMPDIR");
    snprintf(files_folder, sizeof files_folder, "%s/weft-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(files_folder)) {
        perror(files_folder);
        exit(1);
    }
    atexit(files_end);
}
/* A path in the test's folder; the text lives until the eighth call after. */
static inline const char *files_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *files_path(const char *format, ...) {
    static char ring[8][512];
    static int next;
    char *out = ring[next++ % 8];
    int n = snprintf(out, 512, "%s/", files_folder);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, 512 - (size_t)n, format, args);
    va_end(args);
    return out;
}
static inline void files_write(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || (size && fwrite(bytes, 1, size, file) != size)) {
        perror(path);
        exit(1);
    }
    fclose(file);
}
static inline void files_text(const char *path, const char *text) {
    files_write(path, text, strlen(text));
}

/* ---- values ---- */

static inline float file_value(const char *name, int64_t index) {
    uint32_t h = 2166136261u ^ (uint32_t)index * 2654435761u;
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    return (float)((int)(h >> 8) % 121 - 60); /* whole, |v| <= 120: exact in bf16 and f16 */
}
static inline uint16_t file_f16(float value) { /* whole numbers up to 2048 */
    union {
        float f;
        uint32_t u;
    } v = {value};
    if (value == 0) return 0;
    return (uint16_t)((v.u >> 16 & 0x8000u) | (((v.u >> 23 & 255) - 112) << 10) | (v.u >> 13 & 0x3ff));
}
static inline uint16_t file_bf16(float value) {
    union {
        float f;
        uint32_t u;
    } v = {value};
    return (uint16_t)(v.u >> 16);
}

/* ---- a growing byte string ---- */

typedef struct bytes {
    uint8_t *data;
    size_t size, capacity;
} bytes;
static inline void put(bytes *b, const void *data, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = (b->size + size) * 2 + 64;
        b->data = realloc(b->data, b->capacity);
        if (!b->data) exit(1);
    }
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
}
static inline void put_u32(bytes *b, uint32_t v) {
    put(b, &v, 4);
}
static inline void put_u64(bytes *b, uint64_t v) {
    put(b, &v, 8);
}
static inline void put_f32(bytes *b, float v) {
    put(b, &v, 4);
}
static inline void put_string(bytes *b, const char *text) {
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}
static inline void pad(bytes *b, size_t alignment) {
    while (b->size % alignment) put(b, "", 1);
}
/* `count` values of tensor `name` as type; F8: byte patterns 0…63. Block types: bytes of the pattern. */
static inline void put_values(bytes *b, const char *name, weft_type type, int64_t count) {
    if (weft_type_block_values(type) > 1 || type == WEFT_F8_E4M3) {
        size_t size = weft_type_row_bytes(type, count);
        for (size_t i = 0; i < size; i++) put(b, &(uint8_t){(uint8_t)((int)file_value(name, (int64_t)i) & 63)}, 1);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        float v = file_value(name, i);
        uint16_t h = type == WEFT_F16 ? file_f16(v) : file_bf16(v);
        if (type == WEFT_F32)
            put_f32(b, v);
        else
            put(b, &h, 2);
    }
}

/* ---- GGUF ---- */

typedef struct gguf_writer {
    bytes keys, infos, data;
    uint64_t key_count, tensor_count;
    uint32_t version;
    size_t alignment;
} gguf_writer;

static inline gguf_writer gguf_begin(void) {
    return (gguf_writer){.version = 3, .alignment = 32};
}
static inline void gguf_key_head(gguf_writer *w, const char *key, uint32_t kind) {
    put_string(&w->keys, key);
    put_u32(&w->keys, kind);
    w->key_count++;
}
static inline void gguf_u32(gguf_writer *w, const char *key, uint32_t v) {
    gguf_key_head(w, key, WEFT_GGUF_U32);
    put_u32(&w->keys, v);
}
static inline void gguf_f32(gguf_writer *w, const char *key, float v) {
    gguf_key_head(w, key, WEFT_GGUF_F32);
    put_f32(&w->keys, v);
}
static inline void gguf_text(gguf_writer *w, const char *key, const char *v) {
    gguf_key_head(w, key, WEFT_GGUF_STRING);
    put_string(&w->keys, v);
}
static inline void gguf_array_head(gguf_writer *w, const char *key, uint32_t kind, uint64_t count) {
    gguf_key_head(w, key, WEFT_GGUF_ARRAY);
    put_u32(&w->keys, kind);
    put_u64(&w->keys, count);
}
static inline uint32_t gguf_type_id(weft_type type) {
    static const uint32_t ids[] = {
        [WEFT_F32] = 0,  [WEFT_F16] = 1,  [WEFT_BF16] = 30, [WEFT_Q4_0] = 2,  [WEFT_Q4_1] = 3, [WEFT_Q5_0] = 6,
        [WEFT_Q5_1] = 7, [WEFT_Q8_0] = 8, [WEFT_Q4_K] = 12, [WEFT_Q5_K] = 13, [WEFT_Q6_K] = 14};
    return ids[type];
}
static inline void gguf_info(gguf_writer *w, const char *name, uint32_t type_id, int dims, const int64_t *shape,
                             uint64_t offset) {
    put_string(&w->infos, name);
    put_u32(&w->infos, (uint32_t)dims);
    for (int i = dims - 1; i >= 0; i--) put_u64(&w->infos, (uint64_t)shape[i]);
    put_u32(&w->infos, type_id);
    put_u64(&w->infos, offset);
    w->tensor_count++;
}
/* shape outermost first, ended by 0. */
static inline void gguf_tensor(gguf_writer *w, const char *name, weft_type type, const int64_t *shape) {
    int dims = 0;
    int64_t count = 1;
    for (; shape[dims]; dims++) count *= shape[dims];
    pad(&w->data, w->alignment);
    gguf_info(w, name, gguf_type_id(type), dims, shape, w->data.size);
    put_values(&w->data, name, type, count);
}
#define SHAPE(...) ((const int64_t[]){__VA_ARGS__, 0})
static inline bytes gguf_bytes(const gguf_writer *w) {
    bytes b = {0};
    put(&b, "GGUF", 4);
    put_u32(&b, w->version);
    put_u64(&b, w->tensor_count);
    put_u64(&b, w->key_count);
    put(&b, w->keys.data, w->keys.size);
    put(&b, w->infos.data, w->infos.size);
    pad(&b, w->alignment);
    put(&b, w->data.data, w->data.size);
    return b;
}
static inline void gguf_end(gguf_writer *w, const char *path) {
    bytes b = gguf_bytes(w);
    if (path) files_write(path, b.data, b.size);
    free(b.data);
    free(w->keys.data);
    free(w->infos.data);
    free(w->data.data);
    *w = gguf_begin();
}

/* ---- safetensors ---- */

typedef struct st_writer {
    bytes header, data;
} st_writer;

static inline const char *st_dtype(weft_type type) {
    return type == WEFT_F32 ? "F32" : type == WEFT_F16 ? "F16" : type == WEFT_BF16 ? "BF16" : "F8_E4M3";
}
static inline void st_tensor(st_writer *w, const char *name, weft_type type, const int64_t *shape) {
    char text[512];
    size_t begin = w->data.size;
    int64_t count = 1;
    int n = snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", w->header.size ? "," : "", name,
                     st_dtype(type));
    for (int i = 0; shape[i]; count *= shape[i++])
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld", i ? "," : "", (long long)shape[i]);
    put_values(&w->data, name, type, count);
    n += snprintf(text + n, sizeof text - (size_t)n, "],\"data_offsets\":[%zu,%zu]}", begin, w->data.size);
    put(&w->header, text, (size_t)n);
}
/* A file of any header text and data. `pad_to`: the header is padded with spaces to this multiple. */
static inline bytes st_file(const void *header, size_t header_size, const void *data, size_t data_size, size_t pad_to) {
    bytes b = {0};
    size_t total = (header_size + pad_to - 1) / pad_to * pad_to;
    put_u64(&b, total);
    put(&b, header, header_size);
    for (size_t i = header_size; i < total; i++) put(&b, " ", 1);
    put(&b, data, data_size);
    return b;
}
static inline bytes st_bytes(const st_writer *w, size_t pad_to) {
    bytes header = {0};
    put(&header, "{", 1);
    put(&header, w->header.data, w->header.size);
    put(&header, "}", 1);
    bytes b = st_file(header.data, header.size, w->data.data, w->data.size, pad_to);
    free(header.data);
    return b;
}
static inline void st_end(st_writer *w, const char *path, size_t pad_to) {
    bytes b = st_bytes(w, pad_to);
    files_write(path, b.data, b.size);
    free(b.data);
    free(w->header.data);
    free(w->data.data);
    *w = (st_writer){0};
}

#endif
