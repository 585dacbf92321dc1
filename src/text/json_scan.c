/* A pull reader for large JSON files: see json_scan.h.
 *
 * Owns nothing. Refuses malformed strings (lone surrogates, control characters, bad UTF-8, unknown escapes) and nesting
 * over WEFT_JSON_DEPTH_MAX. */
#include "text/json_scan.h"

#include <string.h>

#include "text/unicode.h"

weft_status weft_json_scan_error(const weft_json_scan *scan, const char *expected, weft_error *err) {
    return weft_fail(err, WEFT_ERR_FORMAT, "%s: byte %zu: expected %s", scan->what, (size_t)(scan->at - scan->begin),
                     expected);
}

static void skip_space(weft_json_scan *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
}

bool weft_json_scan_take(weft_json_scan *scan, char c) {
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != c) return false;
    scan->at++;
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Reads four hexadecimal digits, or returns -1. */
static int32_t hex_unit(weft_json_scan *scan) {
    if (scan->end - scan->at < 4) return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(scan->at[i]);
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    scan->at += 4;
    return value;
}

/* Reads what follows \u: one unit, or two that form a pair. */
static weft_status unicode_escape(weft_json_scan *scan, weft_buffer *out, weft_error *err) {
    int32_t c = hex_unit(scan);
    if (c >= 0xD800 && c < 0xDC00 && scan->end - scan->at >= 2 && scan->at[0] == '\\' && scan->at[1] == 'u') {
        scan->at += 2;
        int32_t low = hex_unit(scan);
        c = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : -1;
    }
    if (c < 0 || (c >= 0xD800 && c < 0xE000)) return weft_json_scan_error(scan, "a Unicode escape", err);
    char bytes[4];
    return weft_buffer_append(out, bytes, (size_t)weft_utf8_put((uint32_t)c, bytes), err);
}

static weft_status escape(weft_json_scan *scan, weft_buffer *out, weft_error *err) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char name = *scan->at++;
    if (name == 'u') return unicode_escape(scan, out, err);
    const char *found = name ? strchr(names, name) : NULL;
    if (!found) return weft_json_scan_error(scan, "a known escape", err);
    return weft_buffer_append(out, values + (found - names), 1, err);
}

weft_status weft_json_scan_string(weft_json_scan *scan, weft_buffer *out, weft_error *err) {
    if (!weft_json_scan_take(scan, '"')) return weft_json_scan_error(scan, "a string", err);
    weft_buffer_clear(out);
    for (;;) {
        const char *start = scan->at;
        while (scan->at < scan->end && *scan->at != '"' && *scan->at != '\\' && (unsigned char)*scan->at >= 0x20)
            scan->at++;
        size_t size = (size_t)(scan->at - start);
        if (weft_utf8_valid(start, size) != size) return weft_json_scan_error(scan, "valid UTF-8 before it", err);
        WEFT_TRY(weft_buffer_append(out, start, size, err));
        if (scan->at == scan->end || (unsigned char)*scan->at < 0x20)
            return weft_json_scan_error(scan, "the end of a string", err);
        if (*scan->at++ == '"') return WEFT_OK;
        if (scan->at == scan->end) return weft_json_scan_error(scan, "an escape", err);
        WEFT_TRY(escape(scan, out, err));
    }
}

weft_status weft_json_scan_int(weft_json_scan *scan, int32_t *value, weft_error *err) {
    skip_space(scan);
    int64_t number = 0;
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9' && number <= INT32_MAX)
        number = number * 10 + (*scan->at++ - '0');
    bool stopped = scan->at == scan->end || !strchr(".eE", *scan->at) || !*scan->at;
    if (scan->at == start || number > INT32_MAX || !stopped) return weft_json_scan_error(scan, "a whole number", err);
    *value = (int32_t)number;
    return WEFT_OK;
}

static bool skip_string(weft_json_scan *scan) { /* behind the opening quote */
    while (scan->at < scan->end && *scan->at != '"') scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    return scan->at++ < scan->end;
}

weft_status weft_json_scan_skip(weft_json_scan *scan, weft_json_span *span, weft_error *err) {
    char open[WEFT_JSON_DEPTH_MAX];
    int depth = 0;
    skip_space(scan);
    span->data = scan->at;
    do {
        skip_space(scan);
        if (scan->at == scan->end) return weft_json_scan_error(scan, "a value", err);
        char c = *scan->at++;
        if (c == '{' || c == '[') {
            if (depth == WEFT_JSON_DEPTH_MAX) return weft_json_scan_error(scan, "less nesting", err);
            open[depth++] = c;
        } else if (c == '}' || c == ']') {
            if (depth == 0 || open[--depth] != (c == '}' ? '{' : '['))
                return weft_json_scan_error(scan, "a value", err);
        } else if (c == '"') {
            if (!skip_string(scan)) {
                scan->at = scan->end;
                return weft_json_scan_error(scan, "the end of a string", err);
            }
        } else if (c == ',' || c == ':') {
            if (depth == 0) return weft_json_scan_error(scan, "a value", err);
        } else {
            while (scan->at<scan->end && * scan->at> ' ' && !strchr(",:]}[{\"", *scan->at)) scan->at++;
        }
    } while (depth > 0);
    span->size = (size_t)(scan->at - span->data);
    return WEFT_OK;
}

/* Steps to the next element between brackets; false at the end or on failure. */
static bool next_element(weft_json_scan *scan, weft_json_members *members, char open, char close, weft_error *err) {
    if (!members->started) {
        members->started = true;
        if (!weft_json_scan_take(scan, open)) {
            weft_json_scan_error(scan, open == '{' ? "an object" : "an array", err);
            members->failed = true;
            return false;
        }
        return !weft_json_scan_take(scan, close);
    }
    if (weft_json_scan_take(scan, ',')) return true;
    if (!weft_json_scan_take(scan, close)) {
        weft_json_scan_error(scan, open == '{' ? "',' or '}'" : "',' or ']'", err);
        members->failed = true;
    }
    return false;
}

bool weft_json_scan_member(weft_json_scan *scan, weft_json_members *members, weft_buffer *name, weft_error *err) {
    if (!next_element(scan, members, '{', '}', err)) return false;
    if (weft_json_scan_string(scan, name, err) != WEFT_OK) {
        members->failed = true;
    } else if (!weft_json_scan_take(scan, ':')) {
        weft_json_scan_error(scan, "':'", err);
        members->failed = true;
    }
    return !members->failed;
}

bool weft_json_scan_item(weft_json_scan *scan, weft_json_members *members, weft_error *err) {
    return next_element(scan, members, '[', ']', err);
}
