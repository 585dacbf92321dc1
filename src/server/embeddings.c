/* POST /v1/embeddings: texts, or a chat with pictures and clips, as vectors (weft_engine_embed). */
#include <stdlib.h>
#include <string.h>

#include "server/server_internal.h"

enum { INPUTS_MAX = 256 };

typedef struct wish {
    json_t *body;
    size_t count;   /* of texts; 0: the body is a chat */
    bool as_base64; /* as OpenAI's clients ask for */
} wish;

/* Little-endian f32 in base64 (RFC 4648, section 4). */
static json_t *to_base64(const float *vector, int64_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bytes = (size_t)size * sizeof *vector, used = 0;
    unsigned char *source = malloc(bytes + 3);
    char *text = malloc((bytes + 2) / 3 * 4 + 1);
    if (source && text) {
        for (int64_t i = 0; i < size; i++) {
            uint32_t bits;
            memcpy(&bits, &vector[i], sizeof bits);
            for (int b = 0; b < 4; b++) source[4 * i + b] = (unsigned char)(bits >> 8 * b);
        }
        memset(source + bytes, 0, 3);
        for (size_t i = 0; i < bytes; i += 3) {
            unsigned three = (unsigned)source[i] << 16 | (unsigned)source[i + 1] << 8 | source[i + 2];
            for (int d = 3; d >= 0; d--) text[used++] = digits[three >> 6 * d & 63];
        }
        if (bytes % 3) memset(text + used - (3 - bytes % 3), '=', 3 - bytes % 3);
    }
    json_t *value = source && text ? json_stringn(text, used) : NULL;
    free(source);
    free(text);
    return value;
}

static json_t *to_list(const float *vector, int64_t size) {
    json_t *list = json_array();
    for (int64_t i = 0; i < size; i++) json_array_append_new(list, json_real(vector[i]));
    return list;
}

static const char *text_of(const wish *w, size_t i) {
    const json_t *input = json_object_get(w->body, "input");
    return json_string_value(json_is_array(input) ? json_array_get(input, i) : input);
}

static weft_status read_form(weft_json_member *format, weft_json_member *dimensions, wish *w, weft_error *err) {
    json_t *name = weft_json_member_value(format), *count = weft_json_member_value(dimensions);
    bool chosen = count && !json_is_null(count);
    w->as_base64 = json_is_string(name) && strcmp(json_string_value(name), "base64") == 0;
    bool known = w->as_base64 || !format->text || json_is_null(name) ||
                 (json_is_string(name) && strcmp(json_string_value(name), "float") == 0);
    json_decref(name);
    json_decref(count);
    if (!known) return weft_fail(err, WEFT_ERR_INVALID, "'encoding_format' must be \"float\" or \"base64\"");
    if (chosen)
        return weft_fail(err, WEFT_ERR_INVALID,
                         "'dimensions' cannot be chosen: a vector has as many as the model's hidden states");
    return WEFT_OK;
}

static weft_status read_wish(const weft_exchange *exchange, wish *w, weft_error *err) {
    static const char what[] = "'input' must be a text or a list of 1 to %d texts; or send 'messages', as to a chat";
    weft_json_member members[] = {{.name = "messages"}, {.name = "encoding_format"}, {.name = "dimensions"}};
    const weft_buffer *bytes = &exchange->body;
    WEFT_TRY(weft_json_members(bytes->data, bytes->size, WEFT_HTTP_VALUES_MAX, members, 3, err));
    WEFT_TRY(read_form(&members[1], &members[2], w, err));
    if (members[0].text) return WEFT_OK; /* the engine reads it */
    if (bytes->size > WEFT_HTTP_JSON_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "the texts to embed are over %d bytes: send fewer at a time",
                         WEFT_HTTP_JSON_MAX);
    w->body = json_loadb(bytes->data, bytes->size, 0, NULL);
    if (!json_is_object(w->body)) return weft_fail(err, WEFT_ERR_INVALID, "the body must be a JSON object");
    const json_t *input = json_object_get(w->body, "input");
    w->count = json_is_array(input) ? json_array_size(input) : 1;
    if (w->count < 1 || w->count > INPUTS_MAX) return weft_fail(err, WEFT_ERR_INVALID, what, INPUTS_MAX);
    for (size_t i = 0; i < w->count; i++)
        if (!text_of(w, i) || !*text_of(w, i)) return weft_fail(err, WEFT_ERR_INVALID, what, INPUTS_MAX);
    return WEFT_OK;
}

static weft_status embed_all(const weft_engine_call *call, const wish *w, json_t *data, int64_t *tokens,
                             weft_error *err) {
    *tokens = 0;
    for (size_t i = 0; i < (w->count ? w->count : 1); i++) {
        float *vector;
        int64_t size;
        weft_usage usage;
        weft_engine *engine = call->model->engine;
        WEFT_TRY(w->count ? weft_engine_embed_text(engine, text_of(w, i), &call->options, &vector, &size, &usage, err)
                          : weft_engine_embed(engine, &call->options, &vector, &size, &usage, err));
        *tokens += usage.prompt_tokens;
        json_array_append_new(data,
                              json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)i, "embedding",
                                        w->as_base64 ? to_base64(vector, size) : to_list(vector, size)));
        weft_free(vector);
    }
    return WEFT_OK;
}

enum MHD_Result weft_http_embeddings(weft_exchange *exchange, struct MHD_Connection *connection) {
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    weft_engine_call call;
    wish w = {0};
    weft_error err;
    int64_t tokens;
    weft_status status = weft_engine_call_begin(&call, exchange, connection, &err);
    if (status != WEFT_OK) return weft_engine_call_fail(connection, &err);
    json_t *data = json_array();
    status = read_wish(exchange, &w, &err);
    if (status == WEFT_OK) status = embed_all(&call, &w, data, &tokens, &err);
    weft_engine_call_end(&call);
    json_decref(w.body);
    if (status == WEFT_OK)
        return weft_http_json(connection, MHD_HTTP_OK,
                              json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", data, "model",
                                        call.model->id, "usage", "prompt_tokens", (json_int_t)tokens, "total_tokens",
                                        (json_int_t)tokens));
    json_decref(data);
    return weft_engine_call_fail(connection, &err);
}
