/* Reads GGUF files, versions 2 and 3, little-endian:
 *
 *   "GGUF"  u32 version  u64 tensor count  u64 key count
 *   key:    u64 length, bytes; u32 kind; value (scalar | u64 length, bytes | u32 kind, u64 count, elements)
 *   tensor: u64 length, bytes; u32 dims; u64 extent[dims], innermost first; u32 type; u64 offset
 *   padding to general.alignment (32 when absent), then the data, each tensor's offset counted from here
 *
 * Owns the mappings, the copied keys and the tensor table. Refuses version 1 and big-endian files, nested arrays, keys or
 * tensors that occur twice, unknown types, extents of zero, data that is unaligned, past the end or shared by two
 * tensors, and parts of a split file that do not belong together. */
#include "weights/gguf.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"

typedef struct gguf_key {
    char *name;
    weft_gguf_kind kind, element;
    uint64_t count;      /* array: elements; string: bytes */
    const uint8_t *data; /* the scalar, the string's bytes or the first element */
    size_t bytes;
} gguf_key;

typedef struct gguf_part {
    char *path;
    weft_map map;
} gguf_part;

struct weft_gguf {
    gguf_part *parts;
    int part_count;
    int current; /* the part whose keys are in `keys`: the first once open */
    gguf_key *keys; /* of the first part, sorted by name */
    int64_t key_count;
    weft_tensor_table tensors;
};

/* What is left of a mapped file's header. */
typedef struct gguf_reader {
    const char *path;
    const uint8_t *at;
    size_t left;
    const uint8_t *start;
    weft_error *err;
} gguf_reader;

/* ---- primitives ---- */

static size_t position(const gguf_reader *r) { return (size_t)(r->at - r->start); }

static weft_status take(gguf_reader *r, size_t n, const uint8_t **bytes, const char *what) {
    if (n > r->left)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: the file ends inside %s (at byte %zu, %zu bytes left)", r->path, what, position(r), r->left);
    *bytes = r->at;
    r->at += n;
    r->left -= n;
    return WEFT_OK;
}

static weft_status take_u32(gguf_reader *r, uint32_t *value, const char *what) {
    const uint8_t *b;
    WEFT_TRY(take(r, 4, &b, what));
    memcpy(value, b, 4);
    return WEFT_OK;
}

static weft_status take_u64(gguf_reader *r, uint64_t *value, const char *what) {
    const uint8_t *b;
    WEFT_TRY(take(r, 8, &b, what));
    memcpy(value, b, 8);
    return WEFT_OK;
}

static weft_status take_string(gguf_reader *r, const uint8_t **text, uint64_t *size, const char *what) {
    WEFT_TRY(take_u64(r, size, what));
    if (*size > r->left)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: %s at byte %zu claims %llu bytes, %zu are left", r->path, what, position(r), (unsigned long long)*size, r->left);
    return take(r, (size_t)*size, text, what);
}

/* Bytes of a scalar, 0 for strings, arrays and unknown kinds. */
static size_t scalar_bytes(uint32_t kind) {
    switch (kind) {
    case WEFT_GGUF_U8: case WEFT_GGUF_I8: case WEFT_GGUF_BOOL: return 1;
    case WEFT_GGUF_U16: case WEFT_GGUF_I16: return 2;
    case WEFT_GGUF_U32: case WEFT_GGUF_I32: case WEFT_GGUF_F32: return 4;
    case WEFT_GGUF_U64: case WEFT_GGUF_I64: case WEFT_GGUF_F64: return 8;
    default: return 0;
    }
}

static const char *kind_name(weft_gguf_kind kind) {
    static const char *const names[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

/* ---- metadata ---- */

static weft_status read_array(gguf_reader *r, gguf_key *key) {
    uint32_t element;
    WEFT_TRY(take_u32(r, &element, "an array"));
    WEFT_TRY(take_u64(r, &key->count, "an array"));
    key->element = (weft_gguf_kind)element;
    key->data = r->at;
    if (element == WEFT_GGUF_ARRAY)
        return weft_fail(r->err, WEFT_ERR_UNSUPPORTED, "%s: key '%s' is an array of arrays, which is not supported", r->path, key->name);
    if (element == WEFT_GGUF_STRING) {
        if (key->count > r->left / 8)
            return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' claims %llu strings, more than the file has room for", r->path, key->name, (unsigned long long)key->count);
        for (uint64_t i = 0; i < key->count; i++) {
            const uint8_t *text;
            uint64_t size;
            WEFT_TRY(take_string(r, &text, &size, "an array of strings"));
        }
        key->bytes = (size_t)(r->at - key->data);
        return WEFT_OK;
    }
    size_t each = scalar_bytes(element);
    if (each == 0)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' is an array of unknown kind %u", r->path, key->name, element);
    if (key->count > r->left / each)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' claims %llu elements, more than the file has room for", r->path, key->name, (unsigned long long)key->count);
    key->bytes = each * (size_t)key->count;
    return take(r, key->bytes, &key->data, "an array");
}

static weft_status read_key(gguf_reader *r, gguf_key *key) {
    const uint8_t *name;
    uint64_t size;
    WEFT_TRY(take_string(r, &name, &size, "a key"));
    if (size == 0 || size > WEFT_GGUF_KEY_BYTES_MAX || !weft_text_is_plain((const char *)name, (size_t)size))
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: a key that ends at byte %zu is empty, longer than %d bytes or not plain text", r->path, position(r), WEFT_GGUF_KEY_BYTES_MAX);
    key->name = malloc((size_t)size + 1);
    if (!key->name) return weft_fail(r->err, WEFT_ERR_MEMORY, "%s: no memory for the metadata", r->path);
    memcpy(key->name, name, (size_t)size);
    key->name[size] = 0;
    uint32_t kind;
    WEFT_TRY(take_u32(r, &kind, "a key's kind"));
    key->kind = (weft_gguf_kind)kind;
    if (kind == WEFT_GGUF_ARRAY) return read_array(r, key);
    if (kind == WEFT_GGUF_STRING) {
        WEFT_TRY(take_string(r, &key->data, &key->count, "a string value"));
        key->bytes = (size_t)key->count;
        return WEFT_OK;
    }
    key->bytes = scalar_bytes(kind);
    if (key->bytes == 0) return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' has unknown kind %u", r->path, key->name, kind);
    return take(r, key->bytes, &key->data, "a value");
}

static int compare_keys(const void *a, const void *b) { return strcmp(((const gguf_key *)a)->name, ((const gguf_key *)b)->name); }

static void free_keys(gguf_key *keys, int64_t count) {
    for (int64_t i = 0; i < count; i++) free(keys[i].name);
    free(keys);
}

/* Into g->keys; the keys of a former part are dropped (they were only needed to check that part). */
static weft_status read_keys(weft_gguf *g, gguf_reader *r, uint64_t count) {
    /* The smallest key: length, one byte, kind, one byte of value. */
    if (count > WEFT_GGUF_KEYS_MAX || count > r->left / 14)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: the header claims %llu keys; the file has room for %zu and the limit is %d", r->path, (unsigned long long)count, r->left / 14, WEFT_GGUF_KEYS_MAX);
    free_keys(g->keys, g->key_count);
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

/* ---- tensors ---- */

/* Every type that the format defines: those we cannot compute with are still measured, so that `inspect` can show them. */
static const struct gguf_type {
    uint32_t id;
    const char *name;
    uint16_t block_values, block_bytes;
    weft_type type;
} gguf_types[] = {
    {0, "F32", 1, 4, WEFT_F32},         {1, "F16", 1, 2, WEFT_F16},           {2, "Q4_0", 32, 18, WEFT_Q4_0},
    {3, "Q4_1", 32, 20, WEFT_Q4_1},     {6, "Q5_0", 32, 22, WEFT_Q5_0},       {7, "Q5_1", 32, 24, WEFT_Q5_1},
    {8, "Q8_0", 32, 34, WEFT_Q8_0},     {9, "Q8_1", 32, 40, WEFT_TYPE_COUNT}, {10, "Q2_K", 256, 84, WEFT_TYPE_COUNT},
    {11, "Q3_K", 256, 110, WEFT_TYPE_COUNT},   {12, "Q4_K", 256, 144, WEFT_Q4_K},          {13, "Q5_K", 256, 176, WEFT_Q5_K},
    {14, "Q6_K", 256, 210, WEFT_Q6_K},         {15, "Q8_K", 256, 292, WEFT_TYPE_COUNT},    {16, "IQ2_XXS", 256, 66, WEFT_TYPE_COUNT},
    {17, "IQ2_XS", 256, 74, WEFT_TYPE_COUNT},  {18, "IQ3_XXS", 256, 98, WEFT_TYPE_COUNT},  {19, "IQ1_S", 256, 50, WEFT_TYPE_COUNT},
    {20, "IQ4_NL", 32, 18, WEFT_TYPE_COUNT},   {21, "IQ3_S", 256, 110, WEFT_TYPE_COUNT},   {22, "IQ2_S", 256, 82, WEFT_TYPE_COUNT},
    {23, "IQ4_XS", 256, 136, WEFT_TYPE_COUNT}, {24, "I8", 1, 1, WEFT_TYPE_COUNT},          {25, "I16", 1, 2, WEFT_TYPE_COUNT},
    {26, "I32", 1, 4, WEFT_TYPE_COUNT},        {27, "I64", 1, 8, WEFT_TYPE_COUNT},         {28, "F64", 1, 8, WEFT_TYPE_COUNT},
    {29, "IQ1_M", 256, 56, WEFT_TYPE_COUNT},   {30, "BF16", 1, 2, WEFT_BF16},              {34, "TQ1_0", 256, 54, WEFT_TYPE_COUNT},
    {35, "TQ2_0", 256, 66, WEFT_TYPE_COUNT},   {39, "MXFP4", 32, 17, WEFT_TYPE_COUNT},     {40, "NVFP4", 64, 36, WEFT_TYPE_COUNT},
    {41, "Q1_0", 128, 18, WEFT_TYPE_COUNT},
};

static const struct gguf_type *find_type(uint32_t id) {
    for (size_t i = 0; i < sizeof gguf_types / sizeof *gguf_types; i++)
        if (gguf_types[i].id == id) return &gguf_types[i];
    return NULL;
}

/* Reads extents innermost first into shape outermost first, and the bytes that the tensor takes. */
static weft_status read_shape(gguf_reader *r, weft_tensor *t, int name_size, const char *name, uint64_t *elements) {
    uint32_t dims;
    WEFT_TRY(take_u32(r, &dims, "a tensor's shape"));
    if (dims == 0 || dims > WEFT_GGUF_DIMS_MAX)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' has %u dimensions; 1 to %d are allowed", r->path, name_size, name, dims, WEFT_GGUF_DIMS_MAX);
    t->dims = (int)dims;
    *elements = 1;
    for (uint32_t i = 0; i < dims; i++) {
        uint64_t extent;
        WEFT_TRY(take_u64(r, &extent, "a tensor's shape"));
        if (extent == 0 || extent > INT64_MAX / *elements)
            return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' has an impossible extent of %llu", r->path, name_size, name, (unsigned long long)extent);
        *elements *= extent;
        t->shape[dims - 1 - i] = (int64_t)extent;
    }
    return WEFT_OK;
}

static weft_status read_tensor(weft_gguf *g, gguf_reader *r, uint64_t alignment, uint64_t *offset) {
    const uint8_t *raw;
    uint64_t size, elements = 0;
    uint32_t type_id;
    weft_tensor t = {0};
    WEFT_TRY(take_string(r, &raw, &size, "a tensor's name"));
    const char *name = (const char *)raw;
    if (size == 0 || size > WEFT_TENSOR_NAME_MAX || !weft_text_is_plain(name, (size_t)size))
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: a tensor name that ends at byte %zu is empty, longer than %d bytes or not plain text", r->path, position(r), WEFT_TENSOR_NAME_MAX);
    int width = (int)size;
    WEFT_TRY(read_shape(r, &t, width, name, &elements));
    WEFT_TRY(take_u32(r, &type_id, "a tensor's type"));
    WEFT_TRY(take_u64(r, offset, "a tensor's offset"));
    const struct gguf_type *type = find_type(type_id);
    if (!type) return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' has unknown type %u", r->path, width, name, type_id);
    if (t.shape[t.dims - 1] % type->block_values != 0)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' of type %s has rows of %lld values, not a multiple of %d", r->path, width, name, type->name, (long long)t.shape[t.dims - 1], type->block_values);
    uint64_t blocks = elements / type->block_values;
    if (blocks > SIZE_MAX / type->block_bytes)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' is larger than any memory", r->path, width, name);
    if (*offset % alignment != 0)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' starts at offset %llu, not a multiple of the alignment %llu", r->path, width, name, (unsigned long long)*offset, (unsigned long long)alignment);
    t.bytes = (size_t)blocks * type->block_bytes;
    t.type = type->type;
    t.type_name = type->name;
    return weft_tensor_table_add(&g->tensors, r->path, &t, name, (size_t)size, r->err);
}

static int compare_data(const void *a, const void *b) {
    const weft_tensor *const *s = a, *const *t = b;
    return (*s)->data < (*t)->data ? -1 : (*s)->data > (*t)->data;
}

/* Every tensor owns its bytes: two that share some are a sign of a forged or damaged table. */
static weft_status check_overlaps(const gguf_reader *r, const weft_tensor *tensors, int64_t count) {
    const weft_tensor **order = malloc(sizeof *order * (size_t)(count + 1));
    if (!order) return weft_fail(r->err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", r->path);
    for (int64_t i = 0; i < count; i++) order[i] = &tensors[i];
    if (count > 1) qsort(order, (size_t)count, sizeof *order, compare_data);
    weft_status status = WEFT_OK;
    for (int64_t i = 1; i < count && status == WEFT_OK; i++) {
        size_t gap = (size_t)((const uint8_t *)order[i]->data - (const uint8_t *)order[i - 1]->data);
        if (gap < order[i - 1]->bytes)
            status = weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensors '%s' and '%s' share bytes", r->path, order[i - 1]->name, order[i]->name);
    }
    free(order);
    return status;
}

static weft_status read_tensors(weft_gguf *g, gguf_reader *r, uint64_t count, uint64_t alignment) {
    /* The smallest entry: length, one byte, dims, one extent, type, offset. */
    if (count > WEFT_TENSORS_MAX || count > r->left / 33)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: the header claims %llu tensors; the file has room for %zu and the limit is %d", r->path, (unsigned long long)count, r->left / 33, WEFT_TENSORS_MAX);
    uint64_t *offsets = malloc(sizeof *offsets * ((size_t)count + 1));
    if (!offsets) return weft_fail(r->err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", r->path);
    int64_t first = g->tensors.count;
    weft_status status = WEFT_OK;
    for (uint64_t i = 0; i < count && status == WEFT_OK; i++) status = read_tensor(g, r, alignment, &offsets[i]);
    if (status == WEFT_OK && count > 0) {
        size_t padding = (size_t)((alignment - position(r) % alignment) % alignment);
        if (padding > r->left)
            status = weft_fail(r->err, WEFT_ERR_FORMAT, "%s: the file ends before its tensor data", r->path);
        const uint8_t *data = r->at + padding;
        size_t data_bytes = r->left - padding;
        for (uint64_t i = 0; i < count && status == WEFT_OK; i++) {
            weft_tensor *t = &g->tensors.tensors[first + (int64_t)i];
            if (offsets[i] > data_bytes || t->bytes > data_bytes - (size_t)offsets[i])
                status = weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%s' (%zu bytes at offset %llu) ends past the end of the file; is the download complete?", r->path, t->name, t->bytes, (unsigned long long)offsets[i]);
            else t->data = data + offsets[i];
        }
    }
    free(offsets);
    if (status == WEFT_OK) status = check_overlaps(r, g->tensors.tensors + first, g->tensors.count - first);
    return status;
}

/* ---- files ---- */

static weft_status read_part(weft_gguf *g, int index, weft_error *err) {
    gguf_part *part = &g->parts[index];
    g->current = index;
    WEFT_TRY(weft_map_open(part->path, &part->map, err));
    gguf_reader r = {part->path, part->map.data, part->map.size, part->map.data, err};
    const uint8_t *magic;
    uint32_t version;
    uint64_t tensors, keys, alignment;
    WEFT_TRY(take(&r, 4, &magic, "the header"));
    if (memcmp(magic, "GGUF", 4) != 0) return weft_fail(err, WEFT_ERR_FORMAT, "%s: not a GGUF file (it does not begin with 'GGUF')", part->path);
    WEFT_TRY(take_u32(&r, &version, "the header"));
    if (version == 0x02000000 || version == 0x03000000)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: a big-endian GGUF file; convert it to little-endian", part->path);
    if (version != 2 && version != 3)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: GGUF version %u; versions 2 and 3 are supported", part->path, version);
    WEFT_TRY(take_u64(&r, &tensors, "the header"));
    WEFT_TRY(take_u64(&r, &keys, "the header"));
    WEFT_TRY(read_keys(g, &r, keys));
    WEFT_TRY(weft_gguf_u64_or(g, "general.alignment", 32, &alignment, err));
    if (alignment == 0 || alignment > WEFT_GGUF_ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: general.alignment is %llu; it must be a power of two up to %d", part->path, (unsigned long long)alignment, WEFT_GGUF_ALIGNMENT_MAX);
    return read_tensors(g, &r, tensors, alignment);
}

static weft_status add_part(weft_gguf *g, char *path, weft_error *err) {
    gguf_part *parts = path ? realloc(g->parts, sizeof *parts * (size_t)(g->part_count + 1)) : NULL;
    if (!parts) {
        free(path);
        return weft_fail(err, WEFT_ERR_MEMORY, "no memory for the list of files");
    }
    g->parts = parts;
    g->parts[g->part_count++] = (gguf_part){.path = path};
    return WEFT_OK;
}

/* The split keys of the part just read must say `number` of `count`. */
static weft_status check_split(const weft_gguf *g, const char *path, uint64_t number, uint64_t count, weft_error *err) {
    uint64_t no, parts;
    WEFT_TRY(weft_gguf_u64_or(g, "split.no", 0, &no, err));
    WEFT_TRY(weft_gguf_u64_or(g, "split.count", 0, &parts, err));
    if (no != number || parts != count)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: says it is part %llu of %llu, expected part %llu of %llu; the parts do not belong together", path, (unsigned long long)no + 1, (unsigned long long)parts, (unsigned long long)number + 1, (unsigned long long)count);
    return WEFT_OK;
}

/* "dir/name-00002-of-00005.gguf" -> length of "dir/name", or 0 when the name has another form. */
static size_t split_stem(const char *path, uint64_t number, uint64_t count) {
    char tail[64];
    int n = snprintf(tail, sizeof tail, "-%05llu-of-%05llu.gguf", (unsigned long long)number + 1, (unsigned long long)count);
    size_t size = strlen(path);
    return n > 0 && size > (size_t)n && strcmp(path + size - (size_t)n, tail) == 0 ? size - (size_t)n : 0;
}

static char *split_path(const char *path, size_t stem, uint64_t number, uint64_t count) {
    size_t size = stem + 64;
    char *out = malloc(size);
    if (out) snprintf(out, size, "%.*s-%05llu-of-%05llu.gguf", (int)stem, path, (unsigned long long)number + 1, (unsigned long long)count);
    return out;
}

/* Part 0 was read; opens the rest by their numbers, so a part can never lead anywhere but to its fixed siblings. */
static weft_status read_rest(weft_gguf *g, size_t stem, uint64_t count, uint64_t total, weft_error *err) {
    for (uint64_t i = 1; i < count; i++) {
        WEFT_TRY(add_part(g, split_path(g->parts[0].path, stem, i, count), err));
        /* The metadata of the whole is in the first part: set it aside while the other parts are checked. */
        gguf_key *keys = g->keys;
        int64_t key_count = g->key_count;
        g->keys = NULL;
        g->key_count = 0;
        weft_status status = read_part(g, (int)i, err);
        if (status == WEFT_OK) status = check_split(g, g->parts[i].path, i, count, err);
        free_keys(g->keys, g->key_count);
        g->keys = keys;
        g->key_count = key_count;
        g->current = 0;
        WEFT_TRY(status);
    }
    if (total != 0 && total != (uint64_t)g->tensors.count)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: split.tensors.count is %llu, the parts hold %lld tensors", g->parts[0].path, (unsigned long long)total, (long long)g->tensors.count);
    return WEFT_OK;
}

static weft_status read_all(weft_gguf *g, const char *path, weft_error *err) {
    uint64_t no, count, total;
    WEFT_TRY(add_part(g, strdup(path), err));
    WEFT_TRY(read_part(g, 0, err));
    WEFT_TRY(weft_gguf_u64_or(g, "split.no", 0, &no, err));
    WEFT_TRY(weft_gguf_u64_or(g, "split.count", 0, &count, err));
    if (count <= 1) return WEFT_OK;
    if (count > WEFT_GGUF_PARTS_MAX || no >= count)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: says it is part %llu of %llu; at most %d parts are allowed", path, (unsigned long long)no + 1, (unsigned long long)count, WEFT_GGUF_PARTS_MAX);
    size_t stem = split_stem(path, no, count);
    if (stem == 0 || stem > INT_MAX - 64)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: part %llu of %llu of a split file must be named …-%05llu-of-%05llu.gguf", path, (unsigned long long)no + 1, (unsigned long long)count, (unsigned long long)no + 1, (unsigned long long)count);
    if (no != 0) { /* a later part was named: begin again with the first */
        char *first = split_path(path, stem, 0, count);
        weft_map_close(&g->parts[0].map);
        free(g->parts[0].path);
        g->part_count = 0;
        weft_tensor_table_free(&g->tensors);
        WEFT_TRY(add_part(g, first, err));
        WEFT_TRY(read_part(g, 0, err));
        WEFT_TRY(check_split(g, g->parts[0].path, 0, count, err));
    }
    WEFT_TRY(weft_gguf_u64_or(g, "split.tensors.count", 0, &total, err));
    return read_rest(g, stem, count, total, err);
}

weft_status weft_gguf_open(const char *path, weft_gguf **gguf, weft_error *err) {
    *gguf = NULL;
    weft_gguf *g = calloc(1, sizeof *g);
    if (!g) return weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", path);
    weft_status status = read_all(g, path, err);
    if (status == WEFT_OK) status = weft_tensor_table_finish(&g->tensors, path, err);
    if (status != WEFT_OK) {
        weft_gguf_close(g);
        return status;
    }
    *gguf = g;
    return WEFT_OK;
}

void weft_gguf_close(weft_gguf *g) {
    if (!g) return;
    for (int i = 0; i < g->part_count; i++) {
        weft_map_close(&g->parts[i].map);
        free(g->parts[i].path);
    }
    free(g->parts);
    free_keys(g->keys, g->key_count);
    weft_tensor_table_free(&g->tensors);
    free(g);
}

const char *weft_gguf_path(const weft_gguf *g) { return g->parts[0].path; }
const weft_tensor_table *weft_gguf_tensors(const weft_gguf *g) { return &g->tensors; }

const char *weft_gguf_file(const weft_gguf *g, int index, uint64_t *bytes) {
    if (index < 0 || index >= g->part_count) return NULL;
    *bytes = g->parts[index].map.size;
    return g->parts[index].path;
}

/* ---- look-ups ---- */

static const gguf_key *find_key(const weft_gguf *g, const char *name) {
    gguf_key wanted = {.name = (char *)name};
    return g->key_count ? bsearch(&wanted, g->keys, (size_t)g->key_count, sizeof *g->keys, compare_keys) : NULL;
}

bool weft_gguf_has(const weft_gguf *g, const char *key) { return find_key(g, key) != NULL; }

static const char *key_path(const weft_gguf *g) { return g->parts[g->current].path; }

static weft_status missing(const weft_gguf *g, const char *key, weft_error *err) {
    return weft_fail(err, WEFT_ERR_FORMAT, "%s: key '%s' is missing", key_path(g), key);
}

static weft_status wrong_kind(const weft_gguf *g, const gguf_key *key, const char *wanted, weft_error *err) {
    return weft_fail(err, WEFT_ERR_FORMAT, "%s: key '%s' is of kind %s, expected %s", key_path(g), key->name, kind_name(key->kind), wanted);
}

static bool is_integer(weft_gguf_kind kind) {
    return kind <= WEFT_GGUF_I32 || kind == WEFT_GGUF_U64 || kind == WEFT_GGUF_I64;
}

/* Any integer kind; false when it is negative. */
static bool read_unsigned(weft_gguf_kind kind, const uint8_t *data, uint64_t *value) {
    int64_t s = 0;
    switch (kind) {
    case WEFT_GGUF_U8: *value = data[0]; return true;
    case WEFT_GGUF_U16: { uint16_t v; memcpy(&v, data, 2); *value = v; return true; }
    case WEFT_GGUF_U32: { uint32_t v; memcpy(&v, data, 4); *value = v; return true; }
    case WEFT_GGUF_U64: memcpy(value, data, 8); return true;
    case WEFT_GGUF_I8: s = (int8_t)data[0]; break;
    case WEFT_GGUF_I16: { int16_t v; memcpy(&v, data, 2); s = v; break; }
    case WEFT_GGUF_I32: { int32_t v; memcpy(&v, data, 4); s = v; break; }
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
    case WEFT_GGUF_I16: { int16_t v; memcpy(&v, data, 2); return v; }
    case WEFT_GGUF_I32: { int32_t v; memcpy(&v, data, 4); return v; }
    case WEFT_GGUF_I64: { int64_t v; memcpy(&v, data, 8); return (double)v; }
    case WEFT_GGUF_F32: { float v; memcpy(&v, data, 4); return v; }
    case WEFT_GGUF_F64: { double v; memcpy(&v, data, 8); return v; }
    case WEFT_GGUF_BOOL: return data[0] != 0;
    default: { uint64_t v = 0; read_unsigned(kind, data, &v); return (double)v; }
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

weft_status weft_gguf_u64_or(const weft_gguf *g, const char *name, uint64_t fallback, uint64_t *value, weft_error *err) {
    *value = fallback;
    return weft_gguf_has(g, name) ? weft_gguf_u64(g, name, value, err) : WEFT_OK;
}

weft_status weft_gguf_f64_or(const weft_gguf *g, const char *name, double fallback, double *value, weft_error *err) {
    *value = fallback;
    const gguf_key *key = find_key(g, name);
    if (!key) return WEFT_OK;
    if (key->kind != WEFT_GGUF_F32 && key->kind != WEFT_GGUF_F64 && !is_integer(key->kind)) return wrong_kind(g, key, "a number", err);
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

weft_status weft_gguf_array(const weft_gguf *g, const char *name, weft_gguf_kind *kind, uint64_t *count, weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    if (key->kind != WEFT_GGUF_ARRAY) return wrong_kind(g, key, "an array", err);
    *kind = key->element;
    *count = key->count;
    return WEFT_OK;
}

weft_status weft_gguf_array_string(const weft_gguf *g, const char *name, uint64_t *cursor, const char **text, size_t *size, weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    if (key->kind != WEFT_GGUF_ARRAY || key->element != WEFT_GGUF_STRING) return wrong_kind(g, key, "an array of strings", err);
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

weft_status weft_gguf_array_number(const weft_gguf *g, const char *name, uint64_t index, double *value, weft_error *err) {
    const gguf_key *key = find_key(g, name);
    if (!key) return missing(g, name, err);
    size_t each = key->kind == WEFT_GGUF_ARRAY ? scalar_bytes(key->element) : 0;
    if (each == 0) return wrong_kind(g, key, "an array of numbers", err);
    if (index >= key->count)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: key '%s' has %llu elements, element %llu was asked for", key_path(g), name, (unsigned long long)key->count, (unsigned long long)index);
    *value = read_number(key->element, key->data + each * (size_t)index);
    return WEFT_OK;
}
