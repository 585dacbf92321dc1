/* Members of the object at the top of a JSON text: see server_internal.h.
 *
 * A chat request may be hundreds of megabytes of base64. The engine parses and checks it; the server needs three or
 * four small members, and has to know before anything is built that the text is not millions of tiny values. One pass,
 * no recursion, nothing allocated but for a name with escapes. */
#include <string.h>

#include "server/server_internal.h"

typedef struct scan {
    const char *at, *end;
    size_t values, values_max;
} scan;

static void skip_blank(scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) s->at++;
}

/* At an opening quote: past the closing one. False when there is none. */
static bool skip_string(scan *s) {
    for (s->at++; s->at < s->end; s->at++) {
        const char *stop = s->at;
        while (stop < s->end && *stop != '"' && *stop != '\\') stop++;
        s->at = stop;
        if (stop == s->end) return false;
        if (*stop == '"') {
            s->at++;
            return true;
        }
        s->at++; /* what a backslash hides */
    }
    return false;
}

/* Past one value of any depth, counting the values inside. False when the text ends or the limit is reached. */
static bool skip_value(scan *s) {
    for (size_t depth = 0; s->at < s->end;) {
        switch (*s->at) {
        case '"':
            if (!skip_string(s)) return false;
            break;
        case '{':
        case '[':
            depth++;
            s->at++;
            s->values++;
            break;
        case '}':
        case ']':
            if (depth == 0) return true; /* of the object around */
            depth--;
            s->at++;
            break;
        case ',':
            if (depth == 0) return true;
            s->at++;
            s->values++;
            break;
        default: s->at++;
        }
        if (s->values > s->values_max) return false;
    }
    return true;
}

static bool same_name(const char *text, size_t size, const char *name) {
    if (!memchr(text, '\\', size)) return size == strlen(name) + 2 && memcmp(text + 1, name, size - 2) == 0;
    json_t *decoded = size < 256 ? json_loadb(text, size, JSON_DECODE_ANY, NULL) : NULL;
    bool same = decoded && strcmp(json_string_value(decoded), name) == 0;
    json_decref(decoded);
    return same;
}

static weft_status broken(const scan *s, weft_error *err) {
    if (s->values > s->values_max)
        return weft_fail(err, WEFT_ERR_LIMIT, "the request has more than %zu JSON values", s->values_max);
    return weft_fail(err, WEFT_ERR_INVALID, "the request is not a JSON object, or it is cut short");
}

weft_status weft_json_members(const char *text, size_t size, size_t values_max, weft_json_member *members, int count,
                              weft_error *err) {
    scan s = {.at = text, .end = text + size, .values_max = values_max};
    for (int i = 0; i < count; i++) members[i].text = NULL;
    skip_blank(&s);
    if (s.at == s.end || *s.at++ != '{') return broken(&s, err);
    for (skip_blank(&s); s.at < s.end && *s.at == '"'; skip_blank(&s)) {
        const char *name = s.at;
        if (!skip_string(&s)) return broken(&s, err);
        size_t name_size = (size_t)(s.at - name);
        skip_blank(&s);
        if (s.at == s.end || *s.at++ != ':') return broken(&s, err);
        skip_blank(&s);
        const char *value = s.at;
        s.values++;
        if (!skip_value(&s)) return broken(&s, err);
        for (int i = 0; i < count; i++)
            if (same_name(name, name_size, members[i].name)) {
                members[i].text = value;
                members[i].size = (size_t)(s.at - value);
                while (members[i].size && strchr(" \t\r\n", value[members[i].size - 1]) && value[members[i].size - 1])
                    members[i].size--;
            }
        if (s.at == s.end || *s.at != ',') break;
        s.at++;
    }
    if (s.at == s.end || *s.at != '}') return broken(&s, err);
    return WEFT_OK;
}

json_t *weft_json_member_value(const weft_json_member *member) {
    return member->text ? json_loadb(member->text, member->size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
}
