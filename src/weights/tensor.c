/* The table of a checkpoint's tensors: look-up by name, and values as f32.
 *
 * The table owns its array and the names; the data stays in the mapped file. Refuses names that could not be printed
 * and names that occur twice. */
#include "weights/tensor.h"

#include <stdlib.h>
#include <string.h>

const weft_tensor *weft_tensor_find(const weft_tensor_table *table, const char *name) {
    int64_t low = 0, high = table->by_name ? table->count : 0;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        const weft_tensor *tensor = &table->tensors[table->by_name[middle]];
        int order = strcmp(name, tensor->name);
        if (order == 0) return tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int64_t weft_tensor_elements(const weft_tensor *tensor) {
    int64_t n = 1;
    for (int i = 0; i < tensor->dims; i++) n *= tensor->shape[i];
    return n;
}

/* Bytes of the UTF-8 character at `s`, or 0 when it is broken (overlong forms and surrogates included). */
static size_t utf8_length(const uint8_t *s, size_t size) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    if (n < 2) return n;
    if (n > size) return 0;
    uint32_t c = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

bool weft_text_is_plain(const char *text, size_t size) {
    const uint8_t *s = (const uint8_t *)text;
    for (size_t i = 0; i < size;) {
        size_t n = utf8_length(s + i, size - i);
        if (n == 0 || s[i] < 0x20 || s[i] == 0x7f) return false;
        if (n == 2 && s[i] == 0xc2 && s[i + 1] < 0xa0) return false; /* C1 controls */
        i += n;
    }
    return true;
}

weft_status weft_tensor_table_add(weft_tensor_table *table, const char *path, const weft_tensor *tensor,
                                  const char *name, size_t size, weft_error *err) {
    if (size == 0 || size > WEFT_TENSOR_NAME_MAX)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor %lld has a name of %zu bytes; 1 to %d are allowed", path,
                         (long long)table->count, size, WEFT_TENSOR_NAME_MAX);
    if (!weft_text_is_plain(name, size))
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: the name of tensor %lld holds control characters or is not UTF-8",
                         path, (long long)table->count);
    if (table->count >= WEFT_TENSORS_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: more than %d tensors", path, WEFT_TENSORS_MAX);
    if (table->count == table->capacity) {
        int64_t capacity = table->capacity ? table->capacity * 2 : 256;
        weft_tensor *grown = realloc(table->tensors, (size_t)capacity * sizeof *grown);
        if (!grown) return weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", path);
        table->tensors = grown;
        table->capacity = capacity;
    }
    char *copy = malloc(size + 1);
    if (!copy) return weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", path);
    memcpy(copy, name, size);
    copy[size] = 0;
    table->tensors[table->count] = *tensor;
    table->tensors[table->count++].name = copy;
    return WEFT_OK;
}

static int compare_names(const void *a, const void *b, void *context) {
    const weft_tensor *tensors = context;
    return strcmp(tensors[*(const int64_t *)a].name, tensors[*(const int64_t *)b].name);
}

weft_status weft_tensor_table_finish(weft_tensor_table *table, const char *path, weft_error *err) {
    free(table->by_name);
    table->by_name = malloc(sizeof(int64_t) * (size_t)(table->count + 1));
    if (!table->by_name) return weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", path);
    for (int64_t i = 0; i < table->count; i++) table->by_name[i] = i;
    if (table->count > 1) qsort_r(table->by_name, (size_t)table->count, sizeof(int64_t), compare_names, table->tensors);
    for (int64_t i = 1; i < table->count; i++) {
        const char *name = table->tensors[table->by_name[i]].name;
        if (strcmp(table->tensors[table->by_name[i - 1]].name, name) == 0)
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' is there twice", path, name);
    }
    return WEFT_OK;
}

void weft_tensor_table_free(weft_tensor_table *table) {
    for (int64_t i = 0; i < table->count; i++) free(table->tensors[i].name);
    free(table->tensors);
    free(table->by_name);
    *table = (weft_tensor_table){0};
}

/* IEEE half to float by integer arithmetic: every input, subnormals and NaN included, exactly. */
static float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ffu;
    union {
        uint32_t u;
        float f;
    } v;
    if (exponent == 31) {
        v.u = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent != 0) {
        v.u = sign | (exponent + 112) << 23 | mantissa << 13;
    } else {
        v.f = (float)mantissa * 0x1p-24f;
        v.u |= sign;
    }
    return v.f;
}

weft_status weft_tensor_to_f32(const weft_tensor *tensor, float *out, weft_error *err) {
    int64_t n = weft_tensor_elements(tensor);
    const uint8_t *bytes = tensor->data;
    if (tensor->type == WEFT_F32) {
        memcpy(out, bytes, (size_t)n * sizeof *out);
    } else if (tensor->type == WEFT_F16 || tensor->type == WEFT_BF16) {
        for (int64_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, bytes + 2 * i, 2); /* the file may not be aligned */
            out[i] = tensor->type == WEFT_F16 ? f16_to_f32(h) : weft_bf16_to_f32(h);
        }
    } else if (tensor->type == WEFT_TYPE_COUNT || tensor->type == WEFT_F8_E4M3) {
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "tensor '%s' is stored as %s, which cannot be read here",
                         tensor->name, tensor->type_name);
    } else {
        const weft_kernels *kernels;
        WEFT_TRY(weft_kernels_select("ref", &kernels, err));
        kernels->dequantize[tensor->type](out, bytes, n);
    }
    return WEFT_OK;
}
