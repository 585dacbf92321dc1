/* Small JSON files of a checkpoint folder: reading them under a size cap, and values with type and range checks.
 *
 * Every failure names the file, the key (dotted path) and what was found. An absent key and a null are the same thing.
 */
#ifndef WEFT_WEIGHTS_JSON_FILE_H
#define WEFT_WEIGHTS_JSON_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    WEFT_JSON_FILE_MAX = 32 << 20, /* bytes of any JSON file that the readers parse whole */
};

/* An object inside a file, with the words that messages use for it. */
typedef struct weft_json {
    const json_t *object; /* borrowed; NULL: absent, every look-up gives the fallback */
    const char *file;     /* "config.json" */
    const char *prefix;   /* "text_config." or "" */
} weft_json;

/* Parses `path`; *root is owned by the caller (json_decref). The top must be an object. A missing file is
 * WEFT_ERR_NOT_FOUND. `integers_as_reals`: for files that hold integers beyond 64 bits. */
weft_status weft_json_load(const char *path, bool integers_as_reals, json_t **root, weft_error *err);

/* Parses `size` bytes that must be one object; `flags` are jansson's. `path` is for the message. */
weft_status weft_json_parse(const char *path, const char *text, size_t size, size_t flags, json_t **root,
                            weft_error *err);

/* The member object `key`, or an absent one; any other type is an error. `prefix` is for messages, static. */
weft_status weft_json_object(weft_json json, const char *key, const char *prefix, weft_json *member, weft_error *err);
bool weft_json_has(weft_json json, const char *key); /* present and not null */

/* Required when `fallback` is WEFT_JSON_REQUIRED. */
enum { WEFT_JSON_REQUIRED = -1 };
weft_status weft_json_int(weft_json json, const char *key, int64_t min, int64_t max, int64_t fallback, int64_t *value,
                          weft_error *err);
weft_status weft_json_number(weft_json json, const char *key, double min, double max, double fallback, double *value,
                             weft_error *err);
weft_status weft_json_bool(weft_json json, const char *key, bool fallback, bool *value, weft_error *err);
/* *text is borrowed; NULL when absent. */
weft_status weft_json_string(weft_json json, const char *key, const char **text, weft_error *err);
/* *array is borrowed; NULL when absent. */
weft_status weft_json_array(weft_json json, const char *key, const json_t **array, weft_error *err);

#endif
