/* The model's output text -> reasoning, content and tool calls, as it streams in.
 *
 * Owns what is not decided yet: a possible beginning of a tag, newlines that may turn out to be trimmed, the inside of
 * a tool call (at most WEFT_OUTPUT_CALL_MAX bytes). Everything else goes to the sink at once. */
#include <stdlib.h>
#include <string.h>

#include "text/chat.h"

typedef enum state {
    STATE_START,           /* nothing but whitespace yet: <think> may follow */
    STATE_REASONING_START, /* in reasoning, its leading newlines and a repeated <think> are dropped */
    STATE_REASONING,
    STATE_CONTENT_START, /* after reasoning or a call: leading newlines are dropped */
    STATE_CONTENT,
    STATE_CALL,
} state;

struct weft_output_parser {
    state state;
    bool tools;
    weft_output_sink *sink;
    void *context;
    weft_buffer held; /* input not yet decided */
    size_t searched;  /* STATE_CALL: held has no end tag before here */
};

static const char think_open[] = "<think>", think_close[] = "</think>";
static const char call_open[] = "<tool_call>", call_close[] = "</tool_call>";

weft_status weft_output_parser_create(bool begins_in_reasoning, bool tools, weft_output_sink *sink, void *context,
                                      weft_output_parser **out, weft_error *err) {
    weft_output_parser *parser = calloc(1, sizeof *parser);
    *out = parser;
    if (!parser) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for the output parser");
    parser->state = begins_in_reasoning ? STATE_REASONING_START : STATE_START;
    parser->tools = tools;
    parser->sink = sink;
    parser->context = context;
    weft_buffer_init(&parser->held, WEFT_OUTPUT_CALL_MAX, "a tool call in the output");
    return WEFT_OK;
}

void weft_output_parser_free(weft_output_parser *parser) {
    if (!parser) return;
    weft_buffer_free(&parser->held);
    free(parser);
}

/* ---- the inside of a tool call ---- */

static const char *skip_blank(const char *p, const char *end) {
    while (p < end && strchr(" \n\r\t", *p) && *p) p++;
    return p;
}

/* The end of the JSON value at p, in text that is known to be JSON. */
static const char *skip_value(const char *p, const char *end) {
    int depth = 0;
    bool quoted = false;
    for (; p < end; p++) {
        if (quoted) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                quoted = false;
        } else if (*p == '"') {
            quoted = true;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            if (!depth) return p;
            depth--;
        } else if (!depth && strchr(", \n\r\t:", *p)) {
            return p;
        }
        if (!depth && !quoted && (*p == '"' || *p == '}' || *p == ']')) return p + 1;
    }
    return end;
}

typedef struct slice {
    const char *start, *end;
} slice;

/* The text of one member of the object, as the model wrote it: numbers keep all their digits. */
static slice member(const char *p, const char *end, const char *name) {
    slice found = {NULL, NULL};
    p = skip_blank(p, end) + 1;
    for (;;) {
        p = skip_blank(p, end);
        if (p >= end || *p != '"') return found;
        const char *key = p + 1;
        p = skip_value(p, end);
        bool wanted = (size_t)(p - 1 - key) == strlen(name) && memcmp(key, name, strlen(name)) == 0;
        p = skip_blank(p, end);
        if (p >= end || *p != ':') return found;
        p = skip_blank(p + 1, end);
        const char *value = p;
        p = skip_value(p, end);
        if (wanted) found = (slice){value, p};
        p = skip_blank(p, end);
        if (p >= end || *p != ',') return found;
        p++;
    }
}

static json_t *load(const char *text, size_t size) {
    json_t *json = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
    return json ? json : json_loadb(text, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL); /* over 64 bits */
}

/* Writes {"name": ..., "arguments": {...}} when `text` is a call; *valid says whether. */
static weft_status build_call(const char *text, size_t size, weft_buffer *out, bool *valid, weft_error *err) {
    *valid = false;
    json_t *call = load(text, size);
    json_t *name = json_object_get(call, "name"), *arguments = json_object_get(call, "arguments");
    slice name_text = {NULL, NULL}, arguments_text = {"{}", NULL};
    arguments_text.end = arguments_text.start + 2;
    bool good = json_is_string(name) && json_string_length(name) &&
                (!arguments || json_is_object(arguments) || json_is_string(arguments));
    if (good) name_text = member(text, text + size, "name");
    if (good && json_is_object(arguments)) arguments_text = member(text, text + size, "arguments");
    if (good && json_is_string(arguments)) { /* JSON in a string: what it holds counts */
        json_t *inner = load(json_string_value(arguments), json_string_length(arguments));
        good = json_is_object(inner);
        json_decref(inner);
        arguments_text =
            (slice){json_string_value(arguments), json_string_value(arguments) + json_string_length(arguments)};
    }
    weft_status status = WEFT_OK;
    if (good && name_text.start && arguments_text.start) {
        *valid = true;
        status = weft_buffer_puts(out, "{\"name\": ", err);
        if (status == WEFT_OK)
            status = weft_buffer_append(out, name_text.start, (size_t)(name_text.end - name_text.start), err);
        if (status == WEFT_OK) status = weft_buffer_puts(out, ", \"arguments\": ", err);
        if (status == WEFT_OK)
            status =
                weft_buffer_append(out, arguments_text.start, (size_t)(arguments_text.end - arguments_text.start), err);
        if (status == WEFT_OK) status = weft_buffer_puts(out, "}", err);
    }
    json_decref(call);
    return status;
}

/* ---- the stream ---- */

static weft_status emit(weft_output_parser *p, weft_output_kind kind, const char *text, size_t size, weft_error *err) {
    return size ? p->sink(p->context, kind, text, size, err) : WEFT_OK;
}

static void drop(weft_output_parser *p, size_t size) {
    if (!size) return;
    p->held.size -= size;
    memmove(p->held.data, p->held.data + size, p->held.size + 1);
    p->searched = 0;
}

/* How far the text at `at` agrees with the tag: the whole tag, or all that is left of the text. */
static bool may_be(const weft_output_parser *p, size_t at, const char *tag, bool *whole) {
    size_t size = strlen(tag), left = p->held.size - at;
    *whole = left >= size;
    return memcmp(p->held.data + at, tag, *whole ? size : left) == 0;
}

/* A call is complete (`end` is where its end tag starts), or the output is over. */
static weft_status finish_call(weft_output_parser *p, size_t end, bool closed, weft_error *err) {
    size_t open = sizeof call_open - 1, whole = end + (closed ? sizeof call_close - 1 : 0);
    weft_buffer call;
    weft_buffer_init(&call, WEFT_OUTPUT_CALL_MAX + 64, "a tool call in the output");
    bool valid;
    weft_status status = build_call(p->held.data + open, end - open, &call, &valid, err);
    if (status == WEFT_OK)
        status = valid ? emit(p, WEFT_OUTPUT_TOOL_CALL, call.data, call.size, err)
                       : emit(p, WEFT_OUTPUT_CONTENT, p->held.data, whole, err);
    weft_buffer_free(&call);
    drop(p, whole);
    p->state = valid ? STATE_CONTENT_START : STATE_CONTENT;
    return status;
}

static weft_status step_call(weft_output_parser *p, bool *more, weft_error *err) {
    size_t size = sizeof call_close - 1;
    const char *found = memmem(p->held.data + p->searched, p->held.size - p->searched, call_close, size);
    *more = found != NULL;
    if (found) return finish_call(p, (size_t)(found - p->held.data), true, err);
    if (p->held.size >= size) p->searched = p->held.size - size + 1;
    return WEFT_OK;
}

static weft_status step_start(weft_output_parser *p, bool over, bool *more, weft_error *err) {
    size_t at = 0;
    bool whole = false;
    while (at < p->held.size && strchr(" \n\r\t", p->held.data[at]) && p->held.data[at]) at++;
    bool candidate = may_be(p, at, think_open, &whole);
    *more = false;
    if (candidate && !whole && !over) return WEFT_OK;
    *more = true;
    if (candidate && whole) {
        drop(p, at + sizeof think_open - 1);
        p->state = STATE_REASONING_START;
    } else if (p->state == STATE_REASONING_START) {
        size_t newlines = 0;
        while (newlines < p->held.size && (p->held.data[newlines] == '\n' || p->held.data[newlines] == '\r'))
            newlines++;
        drop(p, newlines);
        if (p->held.size || over) p->state = STATE_REASONING;
        *more = p->held.size != 0;
    } else {
        p->state = STATE_CONTENT;
    }
    (void)err;
    return WEFT_OK;
}

/* Emits text up to `tag`, holding back newlines (trimmed when the tag follows) and the tag's possible beginning. */
static weft_status step_text(weft_output_parser *p, weft_output_kind kind, const char *tag, bool *found,
                             weft_error *err) {
    const char *text = p->held.data;
    size_t at = 0, keep = 0; /* text before `keep` is decided */
    bool whole = false;
    *found = false;
    for (; at < p->held.size; at++) {
        if (text[at] == '\n' || text[at] == '\r') continue; /* decided by what follows */
        if (tag && text[at] == *tag && may_be(p, at, tag, &whole)) {
            *found = whole;
            break;
        }
        keep = at + 1;
    }
    if (!tag) keep = p->held.size;
    WEFT_TRY(emit(p, kind, text, keep, err));
    drop(p, *found ? at : keep);
    return WEFT_OK;
}

static weft_status step(weft_output_parser *p, bool over, bool *more, weft_error *err) {
    bool found;
    *more = false;
    switch (p->state) {
    case STATE_START:
    case STATE_REASONING_START: return step_start(p, over, more, err);
    case STATE_REASONING:
        WEFT_TRY(step_text(p, WEFT_OUTPUT_REASONING, think_close, &found, err));
        if (found) {
            drop(p, sizeof think_close - 1);
            p->state = STATE_CONTENT_START;
            *more = true;
        }
        return WEFT_OK;
    case STATE_CONTENT_START: {
        size_t newlines = 0;
        while (newlines < p->held.size && (p->held.data[newlines] == '\n' || p->held.data[newlines] == '\r'))
            newlines++;
        drop(p, newlines);
        if (p->held.size) p->state = STATE_CONTENT;
        *more = p->held.size != 0;
        return WEFT_OK;
    }
    case STATE_CONTENT:
        WEFT_TRY(step_text(p, WEFT_OUTPUT_CONTENT, p->tools ? call_open : NULL, &found, err));
        if (found) p->state = STATE_CALL;
        *more = found;
        return WEFT_OK;
    case STATE_CALL: return step_call(p, more, err);
    }
    return WEFT_OK;
}

static weft_status run(weft_output_parser *p, bool over, weft_error *err) {
    bool more = p->held.size != 0;
    while (more) WEFT_TRY(step(p, over, &more, err));
    return WEFT_OK;
}

weft_status weft_output_parser_push(weft_output_parser *parser, const char *text, size_t size, weft_error *err) {
    while (size) {
        size_t piece = WEFT_OUTPUT_CALL_MAX - parser->held.size;
        if (piece > size) piece = size;
        if (!piece) { /* no call is that long, and nobody needs that many newlines: it was text */
            bool reasoning = parser->state == STATE_REASONING;
            WEFT_TRY(emit(parser, reasoning ? WEFT_OUTPUT_REASONING : WEFT_OUTPUT_CONTENT, parser->held.data,
                          parser->held.size, err));
            drop(parser, parser->held.size);
            if (!reasoning) parser->state = STATE_CONTENT;
            continue;
        }
        WEFT_TRY(weft_buffer_append(&parser->held, text, piece, err));
        WEFT_TRY(run(parser, false, err));
        text += piece;
        size -= piece;
    }
    return WEFT_OK;
}

weft_status weft_output_parser_finish(weft_output_parser *parser, weft_error *err) {
    WEFT_TRY(run(parser, true, err));
    if (parser->state == STATE_CALL) WEFT_TRY(finish_call(parser, parser->held.size, false, err));
    size_t size = parser->held.size;
    bool reasoning = parser->state == STATE_REASONING || parser->state == STATE_REASONING_START;
    if (reasoning) /* newlines at the end of reasoning are dropped; the beginning of a tag is text after all */
        while (size && (parser->held.data[size - 1] == '\n' || parser->held.data[size - 1] == '\r')) size--;
    weft_status status =
        emit(parser, reasoning ? WEFT_OUTPUT_REASONING : WEFT_OUTPUT_CONTENT, parser->held.data, size, err);
    drop(parser, parser->held.size);
    return status;
}
