/* Small JSON files of a checkpoint folder: see json_file.h. */
#include "weights/json_file.h"

#include <math.h>
#include <string.h>

#include "base/buffer.h"

weft_status weft_json_parse(const char *path, const char *text, size_t size, size_t flags, json_t **root,
                            weft_error *err) {
    *root = NULL;
    json_error_t fault;
    json_t *value = json_loadb(text, size, flags, &fault);
    if (!value) { /* the parser quotes what it stumbled over: keep control characters away from terminals */
        for (char *c = fault.text; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: not valid JSON: line %d, column %d: %s", path, fault.line,
                         fault.column, fault.text);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: must hold a JSON object", path);
    }
    *root = value;
    return WEFT_OK;
}

weft_status weft_json_load(const char *path, bool integers_as_reals, json_t **root, weft_error *err) {
    *root = NULL;
    weft_buffer text;
    WEFT_TRY(weft_read_file(path, WEFT_JSON_FILE_MAX, &text, err));
    weft_status status = weft_json_parse(path, text.data ? text.data : "", text.size,
                                         integers_as_reals ? JSON_DECODE_INT_AS_REAL : 0, root, err);
    weft_buffer_free(&text);
    return status;
}

static const json_t *member(weft_json json, const char *key) {
    const json_t *value = json.object ? json_object_get(json.object, key) : NULL;
    return json_is_null(value) ? NULL : value;
}

static const char *type_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return "a boolean";
    }
}

static weft_status wrong_type(weft_json json, const char *key, const json_t *value, const char *wanted,
                              weft_error *err) {
    return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s is %s, expected %s", json.file, json.prefix, key, type_of(value),
                     wanted);
}

bool weft_json_has(weft_json json, const char *key) {
    return member(json, key) != NULL;
}

weft_status weft_json_object(weft_json json, const char *key, const char *prefix, weft_json *out, weft_error *err) {
    const json_t *value = member(json, key);
    *out = (weft_json){value, json.file, prefix};
    if (value && !json_is_object(value)) return wrong_type(json, key, value, "an object", err);
    return WEFT_OK;
}

weft_status weft_json_int(weft_json json, const char *key, int64_t min, int64_t max, int64_t fallback, int64_t *out,
                          weft_error *err) {
    const json_t *value = member(json, key);
    *out = fallback;
    if (!value && fallback == WEFT_JSON_REQUIRED)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s is missing", json.file, json.prefix, key);
    if (!value) return WEFT_OK;
    if (!json_is_integer(value)) return wrong_type(json, key, value, "an integer", err);
    *out = json_integer_value(value);
    if (*out < min || *out > max)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s is %lld; %lld to %lld are possible", json.file, json.prefix,
                         key, (long long)*out, (long long)min, (long long)max);
    return WEFT_OK;
}

weft_status weft_json_number(weft_json json, const char *key, double min, double max, double fallback, double *out,
                             weft_error *err) {
    const json_t *value = member(json, key);
    *out = fallback;
    if (!value) return WEFT_OK;
    if (!json_is_number(value)) return wrong_type(json, key, value, "a number", err);
    *out = json_number_value(value);
    if (!isfinite(*out) || *out < min || *out > max)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s is %g; %g to %g are possible", json.file, json.prefix, key,
                         *out, min, max);
    return WEFT_OK;
}

weft_status weft_json_bool(weft_json json, const char *key, bool fallback, bool *out, weft_error *err) {
    const json_t *value = member(json, key);
    *out = fallback;
    if (!value) return WEFT_OK;
    if (!json_is_boolean(value)) return wrong_type(json, key, value, "a boolean", err);
    *out = json_is_true(value);
    return WEFT_OK;
}

weft_status weft_json_string(weft_json json, const char *key, const char **text, weft_error *err) {
    const json_t *value = member(json, key);
    *text = NULL;
    if (!value) return WEFT_OK;
    if (!json_is_string(value)) return wrong_type(json, key, value, "a string", err);
    *text = json_string_value(value);
    return WEFT_OK;
}

weft_status weft_json_array(weft_json json, const char *key, const json_t **array, weft_error *err) {
    *array = member(json, key);
    if (*array && !json_is_array(*array)) return wrong_type(json, key, *array, "an array", err);
    return WEFT_OK;
}
