/* Reads safetensors files:
 *
 *   u64 header length n (little-endian)
 *   n bytes of JSON: {"name": {"dtype": "BF16", "shape": [..], "data_offsets": [begin, end]}, .., "__metadata__": {..}}
 *   the data; offsets count from here, the tensors fill it without gap or overlap
 *
 * Owns the mappings and the tensor table. Refuses headers over WEFT_SAFETENSORS_HEADER_MAX, names that occur twice,
 * unknown dtypes, sizes that do not match dtype and shape, gaps, overlaps, bytes past the last tensor, and an index
 * that names files outside the folder or tensors that are not where it says. */
#include "weights/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "weights/json_file.h"

typedef struct safetensors_file {
    char *path;
    weft_map map;
} safetensors_file;

struct weft_safetensors {
    safetensors_file *files;
    int file_count;
    weft_tensor_table tensors;
};

/* ---- one file ---- */

static const struct dtype {
    const char *name;
    int bits;
    weft_type type;
} dtypes[] = {
    {"F32", 32, WEFT_F32},
    {"F16", 16, WEFT_F16},
    {"BF16", 16, WEFT_BF16},
    {"F8_E4M3", 8, WEFT_F8_E4M3},
    {"F8_E5M2", 8, WEFT_TYPE_COUNT},
    {"F8_E8M0", 8, WEFT_TYPE_COUNT},
    {"F64", 64, WEFT_TYPE_COUNT},
    {"I64", 64, WEFT_TYPE_COUNT},
    {"I32", 32, WEFT_TYPE_COUNT},
    {"I16", 16, WEFT_TYPE_COUNT},
    {"I8", 8, WEFT_TYPE_COUNT},
    {"U64", 64, WEFT_TYPE_COUNT},
    {"U32", 32, WEFT_TYPE_COUNT},
    {"U16", 16, WEFT_TYPE_COUNT},
    {"U8", 8, WEFT_TYPE_COUNT},
    {"BOOL", 8, WEFT_TYPE_COUNT},
    {"C64", 64, WEFT_TYPE_COUNT},
    {"F4", 4, WEFT_TYPE_COUNT},
    {"F6_E2M3", 6, WEFT_TYPE_COUNT},
    {"F6_E3M2", 6, WEFT_TYPE_COUNT},
    {"F8_E4M3FNUZ", 8, WEFT_TYPE_COUNT},
    {"F8_E5M2FNUZ", 8, WEFT_TYPE_COUNT},
};

static const struct dtype *find_dtype(const char *name) {
    for (size_t i = 0; name && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

/* Fills dims and shape; *elements is their product. Names of tensors are not yet known to be printable: messages leave
 * out those that are not. */
static weft_status read_shape(const char *path, const char *name, const json_t *shape, weft_tensor *t,
                              uint64_t *elements, weft_error *err) {
    if (!json_is_array(shape)) return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' has no shape", path, name);
    if (json_array_size(shape) > WEFT_TENSOR_DIMS_MAX)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: tensor '%s' has %zu dimensions, the limit is %d", path, name,
                         json_array_size(shape), WEFT_TENSOR_DIMS_MAX);
    *elements = 1;
    t->dims = (int)json_array_size(shape);
    for (int i = 0; i < t->dims; i++) {
        const json_t *extent = json_array_get(shape, (size_t)i);
        int64_t n = json_is_integer(extent) ? json_integer_value(extent) : -1;
        /* 2^56: times the largest dtype's 64 bits still fits 63 bits. */
        if (n < 0 || (n > 0 && *elements > (1ULL << 56) / (uint64_t)n))
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' has an impossible shape", path, name);
        t->shape[i] = n;
        *elements *= (uint64_t)n;
    }
    return WEFT_OK;
}

static weft_status read_entry(const char *path, const char *name, const json_t *entry, const uint8_t *data,
                              size_t data_bytes, weft_tensor *t, weft_error *err) {
    if (!json_is_object(entry))
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: the entry of tensor '%s' is not an object", path, name);
    const json_t *word = json_object_get(entry, "dtype");
    if (!json_is_string(word)) return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' has no dtype", path, name);
    const struct dtype *dtype = find_dtype(json_string_value(word));
    if (!dtype)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' has unknown dtype '%.32s'", path, name,
                         json_string_value(word));
    uint64_t elements = 0;
    WEFT_TRY(read_shape(path, name, json_object_get(entry, "shape"), t, &elements, err));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' needs data_offsets of two integers", path, name);
    int64_t b = json_integer_value(begin), e = json_integer_value(end);
    if (b < 0 || e < b || (uint64_t)e > data_bytes)
        return weft_fail(err, WEFT_ERR_FORMAT,
                         "%s: tensor '%s' lies at bytes %lld to %lld of %zu; is the download complete?", path, name,
                         (long long)b, (long long)e, data_bytes);
    uint64_t bits = elements * (uint64_t)dtype->bits;
    if (bits % 8 != 0 || (uint64_t)(e - b) != bits / 8)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%s' has %lld bytes; its dtype %s and shape need %llu", path,
                         name, (long long)(e - b), dtype->name, (unsigned long long)(bits / 8));
    t->type = dtype->type;
    t->type_name = dtype->name;
    t->data = data + b;
    t->bytes = (size_t)(e - b);
    return WEFT_OK;
}

static int compare_data(const void *a, const void *b) {
    const weft_tensor *const *s = a, *const *t = b;
    if ((*s)->data != (*t)->data) return (*s)->data < (*t)->data ? -1 : 1;
    return ((*s)->bytes > (*t)->bytes) - ((*s)->bytes < (*t)->bytes); /* an empty tensor goes before its neighbour */
}

/* The tensors from `first` on must cover [data, data + bytes) exactly once. */
static weft_status check_cover(const char *path, const weft_tensor_table *table, int64_t first, const uint8_t *data,
                               size_t bytes, weft_error *err) {
    int64_t count = table->count - first;
    const weft_tensor **order = malloc(sizeof *order * (size_t)(count + 1));
    if (!order) return weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory for the tensor table", path);
    for (int64_t i = 0; i < count; i++) order[i] = &table->tensors[first + i];
    if (count > 1) qsort(order, (size_t)count, sizeof *order, compare_data);
    weft_status status = WEFT_OK;
    size_t at = 0;
    for (int64_t i = 0; i < count && status == WEFT_OK; i++) {
        size_t begin = (size_t)((const uint8_t *)order[i]->data - data);
        if (begin < at)
            status = weft_fail(err, WEFT_ERR_FORMAT, "%s: tensors '%s' and '%s' share bytes", path, order[i - 1]->name,
                               order[i]->name);
        else if (begin > at)
            status = weft_fail(err, WEFT_ERR_FORMAT, "%s: %zu bytes before tensor '%s' belong to no tensor", path,
                               begin - at, order[i]->name);
        at = begin + order[i]->bytes;
    }
    if (status == WEFT_OK && at != bytes)
        status = weft_fail(err, WEFT_ERR_FORMAT, "%s: %zu bytes after the last tensor belong to no tensor", path,
                           bytes - at);
    free(order);
    return status;
}

static weft_status read_header(weft_safetensors *s, const char *path, const weft_map *map, const json_t *header,
                               size_t header_bytes, weft_error *err) {
    const uint8_t *data = map->data + 8 + header_bytes;
    size_t data_bytes = map->size - 8 - header_bytes;
    int64_t first = s->tensors.count;
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)header, name, entry) {
        if (strcmp(name, "__metadata__") == 0) {
            if (!json_is_object(entry))
                return weft_fail(err, WEFT_ERR_FORMAT, "%s: __metadata__ is not an object", path);
            continue;
        }
        if (!weft_text_is_plain(name, strlen(name)))
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: a tensor name holds control characters", path);
        weft_tensor t = {0};
        WEFT_TRY(read_entry(path, name, entry, data, data_bytes, &t, err));
        WEFT_TRY(weft_tensor_table_add(&s->tensors, path, &t, name, strlen(name), err));
    }
    return check_cover(path, &s->tensors, first, data, data_bytes, err);
}

static weft_status add_file(weft_safetensors *s, char *path, weft_error *err) {
    safetensors_file *files = path ? realloc(s->files, sizeof *files * (size_t)(s->file_count + 1)) : NULL;
    if (!files) {
        free(path);
        return weft_fail(err, WEFT_ERR_MEMORY, "no memory for the list of files");
    }
    s->files = files;
    safetensors_file *file = &s->files[s->file_count++];
    *file = (safetensors_file){.path = path};
    WEFT_TRY(weft_map_open(path, &file->map, err));
    uint64_t n;
    if (file->map.size < 8)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", path,
                         file->map.size);
    memcpy(&n, file->map.data, 8);
    if (n > WEFT_SAFETENSORS_HEADER_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT,
                         "%s: claims a header of %llu bytes, the limit is %d; is it a safetensors file?", path,
                         (unsigned long long)n, WEFT_SAFETENSORS_HEADER_MAX);
    if (n > file->map.size - 8)
        return weft_fail(err, WEFT_ERR_FORMAT,
                         "%s: claims a header of %llu bytes, the file has %zu; is the download complete?", path,
                         (unsigned long long)n, file->map.size);
    json_t *header;
    WEFT_TRY(weft_json_parse(path, (const char *)file->map.data + 8, (size_t)n, JSON_REJECT_DUPLICATES, &header, err));
    weft_status status = read_header(s, path, &file->map, header, (size_t)n, err);
    json_decref(header);
    return status;
}

/* ---- shards ---- */

static char *join(const char *folder, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* A shard is a plain file name: nothing that could lead out of the folder. */
static weft_status check_shard_name(const char *index, const char *name, weft_error *err) {
    size_t size = strlen(name);
    const char *suffix = ".safetensors";
    if (size > 255 || !weft_text_is_plain(name, size))
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: a file name in weight_map is too long or not plain text", index);
    if (strchr(name, '/') || strchr(name, '\\') || name[0] == '.')
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: weight_map names '%s'; only files of the folder itself are allowed",
                         index, name);
    if (size <= strlen(suffix) || strcmp(name + size - strlen(suffix), suffix) != 0)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: weight_map names '%s', which is not a .safetensors file", index,
                         name);
    return WEFT_OK;
}

static int compare_strings(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct file names of the map, sorted, borrowed from it. */
static weft_status list_shards(const char *index, const json_t *map, const char ***names, size_t *count,
                               weft_error *err) {
    *count = 0;
    *names = malloc(sizeof **names * (json_object_size(map) + 1));
    if (!*names) return weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", index);
    const char *tensor;
    json_t *file;
    json_object_foreach((json_t *)map, tensor, file) {
        if (!json_is_string(file))
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: weight_map holds a value that is not a file name", index);
        (*names)[(*count)++] = json_string_value(file);
    }
    if (*count == 0) return weft_fail(err, WEFT_ERR_FORMAT, "%s: weight_map is empty", index);
    qsort(*names, *count, sizeof **names, compare_strings);
    size_t distinct = 1;
    for (size_t i = 1; i < *count; i++)
        if (strcmp((*names)[i], (*names)[distinct - 1]) != 0) (*names)[distinct++] = (*names)[i];
    *count = distinct;
    if (distinct > WEFT_SAFETENSORS_FILES_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: weight_map names %zu files, the limit is %d", index, distinct,
                         WEFT_SAFETENSORS_FILES_MAX);
    for (size_t i = 0; i < distinct; i++) WEFT_TRY(check_shard_name(index, (*names)[i], err));
    return WEFT_OK;
}

/* Each tensor of the map must be there, in the file that the map names. */
static weft_status check_index(const weft_safetensors *s, const char *index, const json_t *map, weft_error *err) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)map, name, value) {
        const weft_tensor *t = weft_tensor_find(&s->tensors, name);
        const char *wanted = json_string_value(value);
        bool there = false;
        for (int i = 0; t && !there && i < s->file_count; i++) {
            const weft_map *m = &s->files[i].map;
            bool inside = (const uint8_t *)t->data >= m->data && (const uint8_t *)t->data <= m->data + m->size;
            there = inside && strcmp(strrchr(s->files[i].path, '/') + 1, wanted) == 0;
        }
        if (!there && weft_text_is_plain(name, strlen(name)))
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: tensor '%.*s' is not in %s, where the index says it is", index,
                             WEFT_TENSOR_NAME_MAX, name, wanted);
        if (!there) return weft_fail(err, WEFT_ERR_FORMAT, "%s: weight_map holds a name that is not plain text", index);
    }
    return WEFT_OK;
}

static weft_status open_shards(weft_safetensors *s, const char *folder, const char *index, weft_error *err) {
    json_t *root;
    WEFT_TRY(weft_json_load(index, false, &root, err));
    const json_t *map = json_object_get(root, "weight_map");
    const char **names = NULL;
    size_t count = 0;
    weft_status status = json_is_object(map)
                             ? list_shards(index, map, &names, &count, err)
                             : weft_fail(err, WEFT_ERR_FORMAT, "%s: weight_map is missing or not an object", index);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        status = add_file(s, join(folder, names[i]), err);
        if (status == WEFT_ERR_NOT_FOUND) weft_error_prefix(err, "%s names a file that is not there", index);
    }
    if (status == WEFT_OK) status = weft_tensor_table_finish(&s->tensors, index, err);
    if (status == WEFT_OK) status = check_index(s, index, map, err);
    free(names);
    json_decref(root);
    return status;
}

/* ---- the folder ---- */

static weft_status open_folder(weft_safetensors *s, const char *folder, weft_error *err) {
    char *single = join(folder, "model.safetensors"), *index = join(folder, "model.safetensors.index.json");
    weft_status status;
    if (!single || !index)
        status = weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", folder);
    else if (access(single, F_OK) == 0) {
        status = add_file(s, strdup(single), err);
        if (status == WEFT_OK) status = weft_tensor_table_finish(&s->tensors, single, err);
    } else if (access(index, F_OK) == 0)
        status = open_shards(s, folder, index, err);
    else
        status = weft_fail(err, WEFT_ERR_NOT_FOUND,
                           "%s: there is neither model.safetensors nor model.safetensors.index.json", folder);
    free(single);
    free(index);
    return status;
}

static weft_status finish_open(weft_safetensors *s, weft_status status, weft_safetensors **files) {
    if (status != WEFT_OK) {
        weft_safetensors_close(s);
        return status;
    }
    *files = s;
    return WEFT_OK;
}

weft_status weft_safetensors_open(const char *folder, weft_safetensors **files, weft_error *err) {
    *files = NULL;
    weft_safetensors *s = calloc(1, sizeof *s);
    if (!s) return weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", folder);
    return finish_open(s, open_folder(s, folder, err), files);
}

weft_status weft_safetensors_open_file(const char *path, weft_safetensors **files, weft_error *err) {
    *files = NULL;
    weft_safetensors *s = calloc(1, sizeof *s);
    if (!s) return weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", path);
    weft_status status = add_file(s, strdup(path), err);
    if (status == WEFT_OK) status = weft_tensor_table_finish(&s->tensors, path, err);
    return finish_open(s, status, files);
}

void weft_safetensors_close(weft_safetensors *s) {
    if (!s) return;
    for (int i = 0; i < s->file_count; i++) {
        weft_map_close(&s->files[i].map);
        free(s->files[i].path);
    }
    free(s->files);
    weft_tensor_table_free(&s->tensors);
    free(s);
}

const weft_tensor_table *weft_safetensors_tensors(const weft_safetensors *s) {
    return &s->tensors;
}

const char *weft_safetensors_file(const weft_safetensors *s, int index, uint64_t *bytes) {
    if (index < 0 || index >= s->file_count) return NULL;
    *bytes = s->files[index].map.size;
    return s->files[index].path;
}
