/* A pull reader for large JSON files: finds values without building a tree. Private to src/text.
 *
 * tokenizer.json holds some 450,000 short strings; a tree of them takes ten times the file's size. So the two large
 * members are read in place, and only the small ones are given to the JSON library. */
#ifndef WEFT_TEXT_JSON_SCAN_H
#define WEFT_TEXT_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

enum { WEFT_JSON_DEPTH_MAX = 512 };

typedef struct weft_json_scan {
    const char *at, *end;
    const char *begin; /* for positions in messages */
    const char *what;  /* the file's name for messages */
} weft_json_scan;

typedef struct weft_json_span { /* the text of one value; NULL: absent */
    const char *data;
    size_t size;
} weft_json_span;

weft_status weft_json_scan_error(const weft_json_scan *scan, const char *expected, weft_error *err);
/* Steps over white space and, if `c` comes next, over that too. */
bool weft_json_scan_take(weft_json_scan *scan, char c);
/* Reads a string; its text replaces what is in `out`. */
weft_status weft_json_scan_string(weft_json_scan *scan, weft_buffer *out, weft_error *err);
/* Reads a whole number of 0 … INT32_MAX. */
weft_status weft_json_scan_int(weft_json_scan *scan, int32_t *value, weft_error *err);
/* Steps over any value; brackets are checked, numbers and words are not. */
weft_status weft_json_scan_skip(weft_json_scan *scan, weft_json_span *span, weft_error *err);

/* Members of an object: begins with '{', then returns true for each, its name in `name` and the reader at its value. */
typedef struct weft_json_members {
    bool started, failed;
} weft_json_members;
bool weft_json_scan_member(weft_json_scan *scan, weft_json_members *members, weft_buffer *name, weft_error *err);
/* The same for the items of an array. After either ends, look at `failed` (the error is filled). */
bool weft_json_scan_item(weft_json_scan *scan, weft_json_members *members, weft_error *err);

#endif
