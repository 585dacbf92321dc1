/* Reads GGUF files, versions 2 and 3, little-endian:
 *
 *   "GGUF"  u32 version  u64 tensor count  u64 key count
 *   key:    u64 length, bytes; u32 kind; value (scalar | u64 length, bytes | u32 kind, u64 count, elements)
 *   tensor: u64 length, bytes; u32 dims; u64 extent[dims], innermost first; u32 type; u64 offset
 *   padding to general.alignment (32 when absent), then the data, each tensor's offset counted from here
 *
 * Owns the mappings, the copied keys and the tensor table. Refuses version 1 and big-endian files, nested arrays, keys
 * or tensors that occur twice, unknown types, extents of zero, data that is unaligned, past the end or shared by two
 * tensors, and parts of a split file that do not belong together. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "weights/gguf_internal.h"

/* ---- tensors ---- */

/* Every type that the format defines: those we cannot compute with are still measured, so that `inspect` can show them.
 */
static const struct gguf_type {
    uint32_t id;
    const char *name;
    uint16_t block_values, block_bytes;
    weft_type type;
} gguf_types[] = {
    {0, "F32", 1, 4, WEFT_F32},
    {1, "F16", 1, 2, WEFT_F16},
    {2, "Q4_0", 32, 18, WEFT_Q4_0},
    {3, "Q4_1", 32, 20, WEFT_Q4_1},
    {6, "Q5_0", 32, 22, WEFT_Q5_0},
    {7, "Q5_1", 32, 24, WEFT_Q5_1},
    {8, "Q8_0", 32, 34, WEFT_Q8_0},
    {9, "Q8_1", 32, 40, WEFT_TYPE_COUNT},
    {10, "Q2_K", 256, 84, WEFT_TYPE_COUNT},
    {11, "Q3_K", 256, 110, WEFT_TYPE_COUNT},
    {12, "Q4_K", 256, 144, WEFT_Q4_K},
    {13, "Q5_K", 256, 176, WEFT_Q5_K},
    {14, "Q6_K", 256, 210, WEFT_Q6_K},
    {15, "Q8_K", 256, 292, WEFT_TYPE_COUNT},
    {16, "IQ2_XXS", 256, 66, WEFT_TYPE_COUNT},
    {17, "IQ2_XS", 256, 74, WEFT_TYPE_COUNT},
    {18, "IQ3_XXS", 256, 98, WEFT_TYPE_COUNT},
    {19, "IQ1_S", 256, 50, WEFT_TYPE_COUNT},
    {20, "IQ4_NL", 32, 18, WEFT_TYPE_COUNT},
    {21, "IQ3_S", 256, 110, WEFT_TYPE_COUNT},
    {22, "IQ2_S", 256, 82, WEFT_TYPE_COUNT},
    {23, "IQ4_XS", 256, 136, WEFT_TYPE_COUNT},
    {24, "I8", 1, 1, WEFT_TYPE_COUNT},
    {25, "I16", 1, 2, WEFT_TYPE_COUNT},
    {26, "I32", 1, 4, WEFT_TYPE_COUNT},
    {27, "I64", 1, 8, WEFT_TYPE_COUNT},
    {28, "F64", 1, 8, WEFT_TYPE_COUNT},
    {29, "IQ1_M", 256, 56, WEFT_TYPE_COUNT},
    {30, "BF16", 1, 2, WEFT_BF16},
    {34, "TQ1_0", 256, 54, WEFT_TYPE_COUNT},
    {35, "TQ2_0", 256, 66, WEFT_TYPE_COUNT},
    {39, "MXFP4", 32, 17, WEFT_TYPE_COUNT},
    {40, "NVFP4", 64, 36, WEFT_TYPE_COUNT},
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
    WEFT_TRY(gguf_take_u32(r, &dims, "a tensor's shape"));
    if (dims == 0 || dims > WEFT_GGUF_DIMS_MAX)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' has %u dimensions; 1 to %d are allowed", r->path,
                         name_size, name, dims, WEFT_GGUF_DIMS_MAX);
    t->dims = (int)dims;
    *elements = 1;
    for (uint32_t i = 0; i < dims; i++) {
        uint64_t extent;
        WEFT_TRY(gguf_take_u64(r, &extent, "a tensor's shape"));
        if (extent == 0 || extent > INT64_MAX / *elements)
            return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' has an impossible extent of %llu", r->path,
                             name_size, name, (unsigned long long)extent);
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
    WEFT_TRY(gguf_take_string(r, &raw, &size, "a tensor's name"));
    const char *name = (const char *)raw;
    if (size == 0 || size > WEFT_TENSOR_NAME_MAX || !weft_text_is_plain(name, (size_t)size))
        return weft_fail(r->err, WEFT_ERR_FORMAT,
                         "%s: a tensor name that ends at byte %zu is empty, longer than %d bytes or not plain text",
                         r->path, gguf_position(r), WEFT_TENSOR_NAME_MAX);
    int width = (int)size;
    WEFT_TRY(read_shape(r, &t, width, name, &elements));
    WEFT_TRY(gguf_take_u32(r, &type_id, "a tensor's type"));
    WEFT_TRY(gguf_take_u64(r, offset, "a tensor's offset"));
    const struct gguf_type *type = find_type(type_id);
    if (!type)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' has unknown type %u", r->path, width, name,
                         type_id);
    if (t.shape[t.dims - 1] % type->block_values != 0)
        return weft_fail(r->err, WEFT_ERR_FORMAT,
                         "%s: tensor '%.*s' of type %s has rows of %lld values, not a multiple of %d", r->path, width,
                         name, type->name, (long long)t.shape[t.dims - 1], type->block_values);
    uint64_t blocks = elements / type->block_values;
    if (blocks > SIZE_MAX / type->block_bytes)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' is larger than any memory", r->path, width, name);
    if (*offset % alignment != 0)
        return weft_fail(r->err, WEFT_ERR_FORMAT,
                         "%s: tensor '%.*s' starts at offset %llu, not a multiple of the alignment %llu", r->path,
                         width, name, (unsigned long long)*offset, (unsigned long long)alignment);
    t.bytes = (size_t)blocks * type->block_bytes;
    t.type = type->type;
    t.type_name = type->name;
    return weft_tensor_table_add(&g->tensors, r->path, &t, name, (size_t)size, r->err);
}

static int compare_data(const void *a, const void *b) {
    const weft_tensor *const *s = a, *const *t = b;
    return (*s)->data < (*t)->data ? -1 : (*s)->data > (*t)->data;
}

/* Every tensor (from `first` on: of one file) owns its bytes: two that share some are a sign of a forged or damaged
 * table. */
static weft_status check_overlaps(const gguf_reader *r, const weft_tensor_table *table, int64_t first) {
    int64_t count = table->count - first;
    const weft_tensor **order = malloc(sizeof *order * (size_t)(count + 1));
    if (!order) return weft_fail(r->err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", r->path);
    for (int64_t i = 0; i < count; i++) order[i] = &table->tensors[first + i];
    if (count > 1) qsort(order, (size_t)count, sizeof *order, compare_data);
    weft_status status = WEFT_OK;
    for (int64_t i = 1; i < count && status == WEFT_OK; i++) {
        size_t gap = (size_t)((const uint8_t *)order[i]->data - (const uint8_t *)order[i - 1]->data);
        if (gap < order[i - 1]->bytes)
            status = weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensors '%s' and '%s' share bytes", r->path,
                               order[i - 1]->name, order[i]->name);
    }
    free(order);
    return status;
}

static weft_status read_tensors(weft_gguf *g, gguf_reader *r, uint64_t count, uint64_t alignment) {
    /* The smallest entry: length, one byte, dims, one extent, type, offset. */
    if (count > WEFT_TENSORS_MAX || count > r->left / 33)
        return weft_fail(r->err, WEFT_ERR_FORMAT,
                         "%s: the header claims %llu tensors; the file has room for %zu and the limit is %d", r->path,
                         (unsigned long long)count, r->left / 33, WEFT_TENSORS_MAX);
    uint64_t *offsets = malloc(sizeof *offsets * ((size_t)count + 1));
    if (!offsets) return weft_fail(r->err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", r->path);
    int64_t first = g->tensors.count;
    weft_status status = WEFT_OK;
    for (uint64_t i = 0; i < count && status == WEFT_OK; i++) status = read_tensor(g, r, alignment, &offsets[i]);
    if (status == WEFT_OK && count > 0) {
        size_t padding = (size_t)((alignment - gguf_position(r) % alignment) % alignment);
        if (padding > r->left)
            status = weft_fail(r->err, WEFT_ERR_FORMAT, "%s: the file ends before its tensor data", r->path);
        const uint8_t *data = r->at + padding;
        size_t data_bytes = r->left - padding;
        for (uint64_t i = 0; i < count && status == WEFT_OK; i++) {
            weft_tensor *t = &g->tensors.tensors[first + (int64_t)i];
            if (offsets[i] > data_bytes || t->bytes > data_bytes - (size_t)offsets[i])
                status = weft_fail(r->err, WEFT_ERR_FORMAT,
                                   "%s: tensor '%s' (%zu bytes at offset %llu) ends past the end of the file; is the "
                                   "download complete?",
                                   r->path, t->name, t->bytes, (unsigned long long)offsets[i]);
            else
                t->data = data + offsets[i];
        }
    }
    free(offsets);
    if (status == WEFT_OK) status = check_overlaps(r, &g->tensors, first);
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
    WEFT_TRY(gguf_take(&r, 4, &magic, "the header"));
    if (memcmp(magic, "GGUF", 4) != 0)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: not a GGUF file (it does not begin with 'GGUF')", part->path);
    WEFT_TRY(gguf_take_u32(&r, &version, "the header"));
    if (version == 0x02000000 || version == 0x03000000)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: a big-endian GGUF file; convert it to little-endian",
                         part->path);
    if (version != 2 && version != 3)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: GGUF version %u; versions 2 and 3 are supported", part->path,
                         version);
    WEFT_TRY(gguf_take_u64(&r, &tensors, "the header"));
    WEFT_TRY(gguf_take_u64(&r, &keys, "the header"));
    WEFT_TRY(gguf_read_keys(g, &r, keys));
    WEFT_TRY(weft_gguf_u64_or(g, "general.alignment", 32, &alignment, err));
    if (alignment == 0 || alignment > WEFT_GGUF_ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: general.alignment is %llu; it must be a power of two up to %d",
                         part->path, (unsigned long long)alignment, WEFT_GGUF_ALIGNMENT_MAX);
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
        return weft_fail(
            err, WEFT_ERR_FORMAT,
            "%s: says it is part %llu of %llu, expected part %llu of %llu; the parts do not belong together", path,
            (unsigned long long)no + 1, (unsigned long long)parts, (unsigned long long)number + 1,
            (unsigned long long)count);
    return WEFT_OK;
}

/* "dir/name-00002-of-00005.gguf" -> length of "dir/name", or 0 when the name has another form. */
static size_t split_stem(const char *path, uint64_t number, uint64_t count) {
    char tail[64];
    int n = snprintf(tail, sizeof tail, "-%05llu-of-%05llu.gguf", (unsigned long long)number + 1,
                     (unsigned long long)count);
    size_t size = strlen(path);
    return n > 0 && size > (size_t)n && strcmp(path + size - (size_t)n, tail) == 0 ? size - (size_t)n : 0;
}

static char *split_path(const char *path, size_t stem, uint64_t number, uint64_t count) {
    size_t size = stem + 64;
    char *out = malloc(size);
    if (out)
        snprintf(out, size, "%.*s-%05llu-of-%05llu.gguf", (int)stem, path, (unsigned long long)number + 1,
                 (unsigned long long)count);
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
        gguf_free_keys(g->keys, g->key_count);
        g->keys = keys;
        g->key_count = key_count;
        g->current = 0;
        WEFT_TRY(status);
    }
    if (total != 0 && total != (uint64_t)g->tensors.count)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: split.tensors.count is %llu, the parts hold %lld tensors",
                         g->parts[0].path, (unsigned long long)total, (long long)g->tensors.count);
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
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: says it is part %llu of %llu; at most %d parts are allowed", path,
                         (unsigned long long)no + 1, (unsigned long long)count, WEFT_GGUF_PARTS_MAX);
    size_t stem = split_stem(path, no, count);
    if (stem == 0 || stem > INT_MAX - 64)
        return weft_fail(err, WEFT_ERR_FORMAT,
                         "%s: part %llu of %llu of a split file must be named …-%05llu-of-%05llu.gguf", path,
                         (unsigned long long)no + 1, (unsigned long long)count, (unsigned long long)no + 1,
                         (unsigned long long)count);
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
    gguf_free_keys(g->keys, g->key_count);
    weft_tensor_table_free(&g->tensors);
    free(g);
}

const char *weft_gguf_path(const weft_gguf *g) {
    return g->parts[0].path;
}
const weft_tensor_table *weft_gguf_tensors(const weft_gguf *g) {
    return &g->tensors;
}

const char *weft_gguf_file(const weft_gguf *g, int index, uint64_t *bytes) {
    if (index < 0 || index >= g->part_count) return NULL;
    *bytes = g->parts[index].map.size;
    return g->parts[index].path;
}
