/* The API's JSON objects: errors, usage, tool calls. See server_internal.h. No state, no sockets. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "server/server_internal.h"

/* Length of the UTF-8 character at text, 0 when there is none. The library that writes JSON decides what is one. */
static size_t character(const char *text) {
    unsigned char first = (unsigned char)*text;
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (strnlen(text, n) < n) return 0;
    json_t *string = json_stringn(text, n);
    json_decref(string);
    return string ? n : 0;
}

json_t *weft_object_text(const char *text) {
    json_t *string = json_string(text);
    char *copy = string ? NULL : strdup(text);
    if (!copy) return string;
    for (char *p = copy; *p;) {
        size_t n = character(p);
        if (!n) *p = '?';
        p += n ? n : 1;
    }
    string = json_string(copy);
    free(copy);
    return string;
}

json_t *weft_object_error(const weft_error *err, unsigned *status) {
    const char *type = "invalid_request_error", *code = NULL;
    switch (err->status) {
    case WEFT_ERR_INVALID: *status = 400; break;
    case WEFT_ERR_FORMAT:
        *status = 400;
        code = "invalid_media";
        break;
    case WEFT_ERR_UNSUPPORTED:
        *status = 400;
        code = "unsupported";
        break;
    case WEFT_ERR_NOT_FOUND:
        *status = 404;
        code = "not_found";
        break;
    case WEFT_ERR_CONTEXT:
        *status = 400;
        code = "context_length_exceeded";
        break; /* as OpenAI's: clients shorten and retry */
    case WEFT_ERR_LOCKED:
        *status = 400;
        code = "password_required";
        break;
    case WEFT_ERR_LIMIT:
        *status = 413;
        code = "limit_exceeded";
        break;
    case WEFT_ERR_MEMORY:
        *status = 503;
        type = "server_error";
        code = "out_of_memory";
        break;
    case WEFT_ERR_BUSY:
        *status = 503;
        type = "server_error";
        code = "busy";
        break;
    default:
        *status = 500;
        type = "server_error";
        break;
    }
    return json_pack("{s:{s:o, s:s, s:n, s:s?}}", "error", "message", weft_object_text(err->message), "type", type,
                     "param", "code", code);
}

json_t *weft_object_usage(const weft_usage *u) {
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens", (json_int_t)u->prompt_tokens,
                     "completion_tokens", (json_int_t)u->completion_tokens, "total_tokens",
                     (json_int_t)(u->prompt_tokens + u->completion_tokens), "prompt_tokens_details", "cached_tokens",
                     (json_int_t)u->cached_tokens, "completion_tokens_details", "reasoning_tokens",
                     (json_int_t)u->reasoning_tokens);
}

json_t *weft_object_timings(const weft_usage *u) {
    double prompt_rate = u->prompt_ms > 0 ? (double)u->prompt_tokens / u->prompt_ms * 1e3 : 0;
    double rate =
        u->generate_ms > 0 && u->completion_tokens > 1 ? (double)(u->completion_tokens - 1) / u->generate_ms * 1e3 : 0;
    return json_pack("{s:{s:f, s:f, s:f, s:f, s:f, s:f}}", "timings", "queue_ms", u->queue_ms, "prompt_ms",
                     u->prompt_ms, "first_token_ms", u->first_token_ms, "generate_ms", u->generate_ms,
                     "prompt_tokens_per_s", prompt_rate, "tokens_per_s", rate);
}

void weft_object_id(char *id, size_t size, const char *prefix) {
    unsigned char random[12] = {0};
    static atomic_uint counter; /* still unique on a machine that has no random numbers yet */
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        time_t now = time(NULL);
        unsigned number = atomic_fetch_add(&counter, 1);
        memcpy(random, &now, sizeof now);
        memcpy(random + sizeof now, &number, sizeof number);
    }
    size_t n = (size_t)snprintf(id, size, "%s", prefix);
    for (size_t i = 0; i < sizeof random && n + 2 < size; i++)
        n += (size_t)snprintf(id + n, size - n, "%02x", random[i]);
}

json_t *weft_object_tool_call(const char *text, size_t size, int index) {
    /* the arguments stay as the model wrote them: numbers keep their digits */
    weft_json_member members[] = {{.name = "name"}, {.name = "arguments"}};
    if (weft_json_members(text, size, SIZE_MAX, members, 2, NULL) != WEFT_OK) members[0].text = members[1].text = NULL;
    json_t *name = weft_json_member_value(&members[0]);
    json_t *arguments = members[1].text ? json_stringn(members[1].text, members[1].size) : NULL;
    if (!json_is_string(name)) {
        json_decref(name);
        name = json_string("");
    }
    char id[40];
    weft_object_id(id, sizeof id, "call_");
    json_t *call = json_pack("{s:s, s:s, s:{s:o, s:o}}", "id", id, "type", "function", "function", "name", name,
                             "arguments", arguments ? arguments : json_string("{}"));
    if (index >= 0) json_object_set_new(call, "index", json_integer(index));
    return call;
}
