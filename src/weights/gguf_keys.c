/* GGUF metadata: reading the keys of a part, and the look-ups by name. The bytes are laid out in gguf.c.
 *
 * Owns the copied names of the keys; values stay in the mapped file. Refuses what gguf.c lists: keys that occur twice
 * or are not plain text, unknown kinds, nested arrays, and counts that the file has no room for. */
#include <stdlib.h>
#include <string.h>

#include "weights/gguf_internal.h"

/* ---- primitives ---- */

size_t gguf_position(const gguf_reader *r) {
    return (size_t)(r->at - r->start);
}

weft_status gguf_take(gguf_reader *r, size_t n, const uint8_t **bytes, const char *what) {
    if (n > r->left)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: the file ends inside %s (at byte %zu, %zu bytes left)", r->path,
                         what, gguf_position(r), r->left);
    *bytes = r->at;
    r->at += n;
    r->left -= n;
    return WEFT_OK;
}

weft_status gguf_take_u32(gguf_reader *r, uint32_t *value, const char *what) {
    const uint8_t *b = NULL;
    WEFT_TRY(gguf_take(r, 4, &b, what));
    memcpy(value, b, 4);
    return WEFT_OK;
}

weft_status gguf_take_u64(gguf_reader *r, uint64_t *value, const char *what) {
    const uint8_t *b = NULL;
    WEFT_TRY(gguf_take(r, 8, &b, what));
    memcpy(value, b, 8);
    return WEFT_OK;
}

weft_status gguf_take_string(gguf_reader *r, const uint8_t **text, uint64_t *size, const char *what) {
    WEFT_TRY(gguf_take_u64(r, size, what));
    if (*size > r->left)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: %s at byte %zu claims %llu bytes, %zu are left", r->path, what,
                         gguf_position(r), (unsigned long long)*size, r->left);
    return gguf_take(r, (size_t)*size, text, what);
}

/* Bytes of a scalar, 0 for strings, arrays and unknown kinds. */
static size_t scalar_bytes(uint32_t kind) {
    switch (kind) {
    case WEFT_GGUF_U8:
    case WEFT_GGUF_I8:
    case WEFT_GGUF_BOOL: return 1;
    case WEFT_GGUF_U16:
    case WEFT_GGUF_I16: return 2;
    case WEFT_GGUF_U32:
    case WEFT_GGUF_I32:
    case WEFT_GGUF_F32: return 4;
    case WEFT_GGUF_U64:
    case WEFT_GGUF_I64:
    case WEFT_GGUF_F64: return 8;
    default: return 0;
    }
}

static const char *kind_name(weft_gguf_kind kind) {
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

/* ---- metadata ---- */

static weft_status read_array(gguf_reader *r, gguf_key *key) {
    uint32_t element;
    WEFT_TRY(gguf_take_u32(r, &element, "an array"));
    WEFT_TRY(gguf_take_u64(r, &key->count, "an array"));
    key->element = (weft_gguf_kind)element;
    key->data = r->at;
    if (element == WEFT_GGUF_ARRAY)
        return weft_fail(r->err, WEFT_ERR_UNSUPPORTED, "%s: key '%s' is an array of arrays, which is not supported",
                         r->path, key->name);
    if (element == WEFT_GGUF_STRING) {
        if (key->count > r->left / 8)
            return weft_fail(r->err, WEFT_ERR_FORMAT,
                             "%s: key '%s' claims %llu strings, more than the file has room for", r->path, key->name,
                             (unsigned long long)key->count);
        for (uint64_t i = 0; i < key->count; i++) {
            const uint8_t *text;
            uint64_t size;
            WEFT_TRY(gguf_take_string(r, &text, &size, "an array of strings"));
        }
        key->bytes = (size_t)(r->at - key->data);
        return WEFT_OK;
    }
    size_t each = scalar_bytes(element);
    if (each == 0)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' is an array of unknown kind %u", r->path, key->name,
                         element);
    if (key->count > r->left / each)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' claims %llu elements, more than the file has room for",
                         r->path, key->name, (unsigned long long)key->count);
    key->bytes = each * (size_t)key->count;
    return gguf_take(r, key->bytes, &key->data, "an array");
}

static weft_status read_key(gguf_reader *r, gguf_key *key) {
    const uint8_t *name = NULL;
    uint64_t size;
    WEFT_TRY(gguf_take_string(r, &name, &size, "a key"));
    if (size == 0 || size > WEFT_GGUF_KEY_BYTES_MAX || !weft_text_is_plain((const char *)name, (size_t)size))
        return weft_fail(r->err, WEFT_ERR_FORMAT,
                         "%s: a key that ends at byte %zu is empty, longer than %d bytes or not plain text", r->path,
                         gguf_position(r), WEFT_GGUF_KEY_BYTES_MAX);
    key->name = malloc((size_t)size + 1);
    if (!key->name) return weft_fail(r->err, WEFT_ERR_MEMORY, "%s: no memory for the metadata", r->path);
    memcpy(key->name, name, (size_t)size);
    key->name[size] = 0;
    uint32_t kind;
    WEFT_TRY(gguf_take_u32(r, &kind, "a key's kind"));
    key->kind = (weft_gguf_kind)kind;
    if (kind == WEFT_GGUF_ARRAY) return read_array(r, key);
    if (kind == WEFT_GGUF_STRING) {
        WEFT_TRY(gguf_take_string(r, &key->data, &key->count, "a string value"));
        key->bytes = (size_t)key->count;
        return WEFT_OK;
    }
    key->bytes = scalar_bytes(kind);
    if (key->bytes == 0)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' has unknown kind %u", r->path, key->name, kind);
    return gguf_take(r, key->bytes, &key->data, "a value");
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const gguf_key *)a)->name, ((const gguf_key *)b)->name);
}

void gguf_free_keys(gguf_key *keys, int64_t count) {
    for (int64_t i = 0; i < count; i++) free(keys[i].name);
    free(keys);
}

/* Into g->keys; the keys of a former part are dropped (they were only needed to check that part). */
weft_status gguf_read_keys(weft_gguf *g, gguf_reader *r, uint64_t count) {
    /* The smallest key: length, one byte, kind, one byte of value. */
    if (count > WEFT_GGUF_KEYS_MAX || count > r->left / 14)
        return weft_fail(r->err, WEFT_ERR_FORMAT,
                         "%s: the header claims %llu keys; the file has room for %zu and the limit is %d", r->path,
                         (unsigned long long)count, r->left / 14, WEFT_GGUF_KEYS_MAX);
    gguf_free_keys(g->keys, g->key_count);
    g->key_count = 0;
    g->keys = calloc((size_t)count + 1, sizeof *g->keys);
    if (!g->keys) return weft_fail(r->err, WEFT_ERR_MEMORY, "%s: no memory for the metadata", r->path);
    for (uint64_t i = 0; i < count; i++) {
        g->key_count++;
        WEFT_TRY(read_key(r, &g->keys[i]));
    }
    if (count > 1) qsort(g->keys, (size_t)count, sizeof *g->keys, compare_keys);
    for (uint64_t i = 1; i < count; i++)
        if (strcmp(g->keys[i - 1].name, g->keys[i].name) == 0)
            return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' is there twice", r->path, g->keys[i].name);
    return WEFT_OK;
}

/* ---- look-ups ---- */

static const gguf_key *find_key(const weft_gguf *g, const char *name) {
    gguf_key wanted = {.name = (char *)name};
    return g->key_count ? bsearch(&wanted, g->keys, (size_t)g->key_count, sizeof *g->keys, compare_keys) : NULL;
}

bool weft_gguf_has(const weft_gguf *g, const char *key) {
    return find_key(g, key) != NULL;
}

static const char *key_path(const weft_gguf *g) {
    return g->parts[g->current].path;
}

static weft_status missing(const weft_gguf *g, const char *key, weft_error *err) {
    return weft_fail(err, WEFT_ERR_FORMAT, "%s: key '%s' is missing", key_path(g), key);
}

static weft_status wrong_kind(const weft_gguf *g, const gguf_key *key, const char *wanted, weft_error *err) {
    return weft_fail(err, WEFT_ERR_FORMAT, "%s: key '%s' is of kind %s, expected %s", key_path(g), key->name,
                     kind_name(key->kind), wanted);
}

static bool is_integer(weft_gguf_kind kind) {
    return kind <= WEFT_GGUF_I32 || kind == WEFT_GGUF_U64 || kind == WEFT_GGUF_I64;
}

/* Any integer kind; false when it is negative. */
static bool read_unsigned(weft_gguf_kind kind, const uint8_t *data, uint64_t *value) {
    int64_t s = 0;
    switch (kind) {
    case WEFT_GGUF_U8: *value = data[0]; return true;
    case WEFT_GGUF_U16: {
        uint16_t v;
        memcpy(&v, data, 2);
        *value = v;
        return true;
    }
    case WEFT_GGUF_U32: {
        uint32_t v;
        memcpy(&v, data, 4);
        *value = v;
        return true;
    }
    case WEFT_GGUF_U64: memcpy(value, data, 8); return true;
    case WEFT_GGUF_I8: s = (int8_t)data[0]; break;
    case WEFT_GGUF_I16: {
        int16_t v;
        memcpy(&v, data, 2);
        s = v;
        break;
    }
    case WEFT_GGUF_I32: {
        int32_t v;
        memcpy(&v, data, 4);
        s = v;
        break;
    }
    case WEFT_GGUF_I64: memcpy(&s, data, 8); break;
    default: return false;
    }
    *value = (uint64_t)s;
    return s >= 0;
}

/* Any number or bool as a double. */
static double read_number(weft_gguf_kind kind, const uint8_t *data) {
    switch (kind) {
    case WEFT_GGUF_I8: return (int8_t)data[0];
    case WEFT_GGUF_I16: {
        int16_t v;
        memcpy(&v, data, 2);
        return v;
    }
    case WEFT_GGUF_I32: {
        int32_t v;
        memcpy(&v, data, 4);
        return v;
    }
    case WEFT_GGUF_I64: {
        int64_t v;
        memcpy(&v, data, 8);
        return (double)v;
    }
    case WEFT_GGUF_F32: {
        float v;
        memcpy(&v, data, 4);
        return v;
    }
    case WEFT_GGUF_F64: {
        double v;
        memcpy(&v, data, 8);
        return v;
    }
    case WEFT_GGUF_BOOL: return data[0] != 0;
    default: {
        uint64_t v = 0;
        read_unsigned(kind, data, &v);
        return (double)v;
    }
    }
}

weft_status weft_gguf_u64(const weft_gguf *g, const char *name, uint64_t *value, weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    if (!is_integer(key->kind)) return wrong_kind(g, key, "an integer", err);
    if (!read_unsigned(key->kind, key->data, value))
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: key '%s' is negative", key_path(g), name);
    return WEFT_OK;
}

weft_status weft_gguf_u64_or(const weft_gguf *g, const char *name, uint64_t fallback, uint64_t *value,
                             weft_error *err) {
    *value = fallback;
    return weft_gguf_has(g, name) ? weft_gguf_u64(g, name, value, err) : WEFT_OK;
}

weft_status weft_gguf_f64_or(const weft_gguf *g, const char *name, double fallback, double *value, weft_error *err) {
    *value = fallback;
    const gguf_key *key = find_key(g, name);
    if (!key) return WEFT_OK;
    if (key->kind != WEFT_GGUF_F32 && key->kind != WEFT_GGUF_F64 && !is_integer(key->kind))
        return wrong_kind(g, key, "a number", err);
    *value = read_number(key->kind, key->data);
    return WEFT_OK;
}

weft_status weft_gguf_bool_or(const weft_gguf *g, const char *name, bool fallback, bool *value, weft_error *err) {
    *value = fallback;
    const gguf_key *key = find_key(g, name);
    if (!key) return WEFT_OK;
    if (key->kind != WEFT_GGUF_BOOL) return wrong_kind(g, key, "a bool", err);
    *value = key->data[0] != 0;
    return WEFT_OK;
}

weft_status weft_gguf_string(const weft_gguf *g, const char *name, const char **text, size_t *size, weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    if (key->kind != WEFT_GGUF_STRING) return wrong_kind(g, key, "a string", err);
    *text = (const char *)key->data;
    *size = key->bytes;
    return WEFT_OK;
}

weft_status weft_gguf_array(const weft_gguf *g, const char *name, weft_gguf_kind *kind, uint64_t *count,
                            weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    if (key->kind != WEFT_GGUF_ARRAY) return wrong_kind(g, key, "an array", err);
    *kind = key->element;
    *count = key->count;
    return WEFT_OK;
}

weft_status weft_gguf_array_string(const weft_gguf *g, const char *name, uint64_t *cursor, const char **text,
                                   size_t *size, weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    if (key->kind != WEFT_GGUF_ARRAY || key->element != WEFT_GGUF_STRING)
        return wrong_kind(g, key, "an array of strings", err);
    if (*cursor > key->bytes || key->bytes - *cursor < 8)
        return weft_fail(err, WEFT_ERR_NOT_FOUND, "%s: key '%s' has no further element", key_path(g), name);
    uint64_t length;
    memcpy(&length, key->data + *cursor, 8);
    if (length > key->bytes - *cursor - 8)
        return weft_fail(err, WEFT_ERR_INTERNAL, "%s: key '%s': the cursor is not at an element", key_path(g), name);
    *text = (const char *)key->data + *cursor + 8;
    *size = (size_t)length;
    *cursor += 8 + length;
    return WEFT_OK;
}

weft_status weft_gguf_array_number(const weft_gguf *g, const char *name, uint64_t index, double *value,
                                   weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    size_t each = key->kind == WEFT_GGUF_ARRAY ? scalar_bytes(key->element) : 0;
    if (each == 0) return wrong_kind(g, key, "an array of numbers", err);
    if (index >= key->count)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: key '%s' has %llu elements, element %llu was asked for",
                         key_path(g), name, (unsigned long long)key->count, (unsigned long long)index);
    *value = read_number(key->element, key->data + each * (size_t)index);
    return WEFT_OK;
}

weft_status weft_gguf_strings(const weft_gguf *g, const char *name,
                              void (*take)(void *context, uint64_t index, const char *text, size_t size), void *context,
                              weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    if (key->kind != WEFT_GGUF_ARRAY || key->element != WEFT_GGUF_STRING)
        return wrong_kind(g, key, "an array of strings", err);
    const uint8_t *at = key->data;
    for (uint64_t i = 0; i < key->count; i++) { /* lengths were checked when the keys were read */
        uint64_t length;
        memcpy(&length, at, 8);
        take(context, i, (const char *)at + 8, (size_t)length);
        at += 8 + length;
    }
    return WEFT_OK;
}

weft_status weft_gguf_numbers(const weft_gguf *g, const char *name, double *values, uint64_t count, weft_error *err) {
    if (count > 0) WEFT_TRY(weft_gguf_array_number(g, name, count - 1, values, err)); /* the kind and the last one */
    const gguf_key *key = find_key(g, name);
    for (uint64_t i = 0; i < count; i++)
        values[i] = read_number(key->element, key->data + scalar_bytes(key->element) * (size_t)i);
    return WEFT_OK;
}
