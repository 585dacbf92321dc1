/* POST /v1/chat/completions: one answer, whole or as a stream of server-sent events.
 *
 * Both forms read the same events of a weft_request. A stream's status line waits for the first event, so that a
 * picture that cannot be read is a plain 400 and not a broken stream; a client that asked for progress gets its stream
 * at once. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "server/server_internal.h"

enum { POLL_MS = 100, ANSWER_MAX = 64 << 20, CHUNK_MAX = 256 << 20 };

typedef struct chat_exchange {
    weft_server *server;
    struct MHD_Connection *connection;
    weft_request *request;
    const weft_server_model *model;
    uint64_t reserved; /* bytes that are counted in server->in_flight */
    char id[48];
    long long created;
    bool stream, include_usage, progress;

    /* stream */
    weft_buffer out; /* bytes that wait to be sent */
    size_t sent;
    bool role_sent, finished;
    int tool_calls;
    double last_sent_ms;
} chat_exchange;

static void chat_free(void *context) {
    chat_exchange *chat = context;
    if (!chat) return;
    weft_request_free(chat->request);
    weft_http_release(chat->server, chat->reserved);
    weft_buffer_free(&chat->out);
    free(chat);
}

static const char *openai_reason(const char *reason) {
    return strcmp(reason, "cancelled") == 0 ? "stop" : reason;
}

/* ---- the whole answer at once ---------------------------------------------------------------------------------- */

typedef struct whole_answer {
    weft_buffer content, reasoning;
    json_t *tool_calls;
} whole_answer;

static json_t *completion_object(const chat_exchange *chat, const whole_answer *answer, const weft_event *done) {
    json_t *message = json_pack("{s:s}", "role", "assistant");
    bool calls = json_array_size(answer->tool_calls) > 0;
    json_object_set_new(message, "content",
                        answer->content.size || !calls
                            ? json_stringn(answer->content.data ? answer->content.data : "", answer->content.size)
                            : json_null());
    json_object_set_new(message, "refusal", json_null());
    if (answer->reasoning.size)
        json_object_set_new(message, "reasoning_content", json_stringn(answer->reasoning.data, answer->reasoning.size));
    if (calls) json_object_set(message, "tool_calls", answer->tool_calls);
    json_t *body =
        json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:n, s:s}], s:o, s:o}", "id", chat->id, "object",
                  "chat.completion", "created", (json_int_t)chat->created, "model", chat->model->id, "choices", "index",
                  0, "message", message, "logprobs", "finish_reason", openai_reason(done->finish_reason), "usage",
                  weft_object_usage(&done->usage), "weft", weft_object_timings(&done->usage));
    return body;
}

static enum MHD_Result answer_whole(chat_exchange *chat) {
    whole_answer answer = {.tool_calls = json_array()};
    weft_buffer_init(&answer.content, ANSWER_MAX, "the answer");
    weft_buffer_init(&answer.reasoning, ANSWER_MAX, "the answer");
    enum MHD_Result result = MHD_NO;
    weft_event event;
    weft_error err = {0};
    for (bool open = true; open;) {
        weft_request_poll(chat->request, POLL_MS, &event);
        if (weft_http_disconnected(chat->connection) || atomic_load(&chat->server->stopping)) break;
        weft_status status = WEFT_OK;
        switch (event.kind) {
        case WEFT_EVENT_CONTENT: status = weft_buffer_append(&answer.content, event.text, event.text_size, &err); break;
        case WEFT_EVENT_REASONING:
            status = weft_buffer_append(&answer.reasoning, event.text, event.text_size, &err);
            break;
        case WEFT_EVENT_TOOL_CALL:
            json_array_append_new(answer.tool_calls, weft_object_tool_call(event.text, event.text_size, -1));
            break;
        case WEFT_EVENT_DONE:
            result = weft_http_json(chat->connection, MHD_HTTP_OK, completion_object(chat, &answer, &event));
            open = false;
            break;
        case WEFT_EVENT_ERROR:
            result = weft_http_fail(chat->connection, &event.error);
            open = false;
            break;
        default: break;
        }
        if (status != WEFT_OK) {
            result = weft_http_fail(chat->connection, &err);
            open = false;
        }
    }
    weft_buffer_free(&answer.content);
    weft_buffer_free(&answer.reasoning);
    json_decref(answer.tool_calls);
    chat_free(chat);
    return result;
}

/* ---- the stream ------------------------------------------------------------------------------------------------ */

static void put_line(chat_exchange *chat, const char *prefix, const char *text, size_t size) {
    weft_error ignored;
    if (weft_buffer_puts(&chat->out, prefix, &ignored) != WEFT_OK ||
        weft_buffer_append(&chat->out, text, size, &ignored) != WEFT_OK ||
        weft_buffer_puts(&chat->out, "\n\n", &ignored) != WEFT_OK)
        chat->finished = true; /* nothing better can be done for a reader that is this far behind */
}

static void put_json(chat_exchange *chat, json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (text) put_line(chat, "data: ", text, strlen(text));
    free(text);
    json_decref(object);
}

/* A chunk; `choices` is taken over. */
static json_t *chunk_object(const chat_exchange *chat, json_t *choices) {
    json_t *chunk = json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", chat->id, "object", "chat.completion.chunk", "created",
                              (json_int_t)chat->created, "model", chat->model->id, "choices", choices);
    if (chat->include_usage) json_object_set_new(chunk, "usage", json_null());
    return chunk;
}

static void put_delta(chat_exchange *chat, json_t *delta, const char *finish_reason) {
    if (!chat->role_sent) {
        json_object_set_new(delta, "role", json_string("assistant"));
        if (!json_object_get(delta, "content")) json_object_set_new(delta, "content", json_string(""));
        chat->role_sent = true;
    }
    json_t *choice =
        json_pack("{s:i, s:o, s:n, s:s?}", "index", 0, "delta", delta, "logprobs", "finish_reason", finish_reason);
    put_json(chat, chunk_object(chat, json_pack("[o]", choice)));
}

static void put_progress(chat_exchange *chat, const weft_progress *p) {
    static const struct {
        const char *stage, *unit;
    } names[] = {
        [WEFT_STAGE_QUEUED] = {"queued", "requests"},   [WEFT_STAGE_DECODE] = {"decode", "images"},
        [WEFT_STAGE_VISION] = {"vision", "layers"},     [WEFT_STAGE_PREFILL] = {"prefill", "tokens"},
        [WEFT_STAGE_GENERATE] = {"generate", "tokens"},
    };
    json_t *eta = p->eta_ms >= 0 ? json_integer(p->eta_ms) : json_null();
    json_t *chunk = chunk_object(chat, json_array());
    json_object_set_new(chunk, "weft",
                        json_pack("{s:{s:s, s:I, s:I, s:s, s:I, s:o}}", "progress", "stage", names[p->stage].stage,
                                  "done", (json_int_t)p->done, "total", (json_int_t)p->total, "unit",
                                  names[p->stage].unit, "elapsed_ms", (json_int_t)p->elapsed_ms, "eta_ms", eta));
    put_json(chat, chunk);
}

static void put_done(chat_exchange *chat, const weft_event *event) {
    put_delta(chat, json_object(), openai_reason(event->finish_reason));
    if (chat->include_usage || chat->progress) {
        json_t *chunk = chunk_object(chat, json_array());
        json_object_set_new(chunk, "usage", weft_object_usage(&event->usage));
        if (chat->progress) json_object_set_new(chunk, "weft", weft_object_timings(&event->usage));
        put_json(chat, chunk);
    }
    put_line(chat, "data: ", "[DONE]", 6);
    chat->finished = true;
}

static void put_event(chat_exchange *chat, const weft_event *event) {
    unsigned status;
    switch (event->kind) {
    case WEFT_EVENT_PROGRESS:
        if (chat->progress) put_progress(chat, &event->progress);
        break;
    case WEFT_EVENT_CONTENT:
        put_delta(chat, json_pack("{s:s%}", "content", event->text, event->text_size), NULL);
        break;
    case WEFT_EVENT_REASONING:
        put_delta(chat, json_pack("{s:s%}", "reasoning_content", event->text, event->text_size), NULL);
        break;
    case WEFT_EVENT_TOOL_CALL: {
        json_t *call = weft_object_tool_call(event->text, event->text_size, chat->tool_calls++);
        put_delta(chat, json_pack("{s:[o]}", "tool_calls", call), NULL);
        break;
    }
    case WEFT_EVENT_DONE: put_done(chat, event); break;
    case WEFT_EVENT_ERROR:
        put_json(chat, weft_object_error(&event->error, &status));
        chat->finished = true;
        break;
    case WEFT_EVENT_NONE: break;
    }
}

/* MHD asks for more bytes: waits for the next event when nothing is left to send. */
static ssize_t stream_read(void *context, uint64_t position, char *buffer, size_t max) {
    (void)position;
    chat_exchange *chat = context;
    while (chat->sent == chat->out.size) {
        if (chat->finished) return MHD_CONTENT_READER_END_OF_STREAM;
        weft_buffer_clear(&chat->out);
        chat->sent = 0;
        weft_event event;
        weft_request_poll(chat->request, POLL_MS, &event);
        if (atomic_load(&chat->server->stopping) || weft_http_disconnected(chat->connection))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        put_event(chat, &event);
        if (chat->out.size == 0 && weft_now_ms() - chat->last_sent_ms > WEFT_HTTP_KEEP_ALIVE_MS)
            put_line(chat, ": ", "waiting", 7);
    }
    size_t n = chat->out.size - chat->sent < max ? chat->out.size - chat->sent : max;
    memcpy(buffer, chat->out.data + chat->sent, n);
    chat->sent += n;
    chat->last_sent_ms = weft_now_ms();
    return (ssize_t)n;
}

static enum MHD_Result answer_stream(chat_exchange *chat) {
    weft_event event = {0};
    while (!chat->progress) { /* the first event that decides between a stream and an error */
        weft_request_poll(chat->request, POLL_MS, &event);
        if (weft_http_disconnected(chat->connection) || atomic_load(&chat->server->stopping)) {
            chat_free(chat);
            return MHD_NO;
        }
        if (event.kind == WEFT_EVENT_ERROR) {
            enum MHD_Result result = weft_http_fail(chat->connection, &event.error);
            chat_free(chat);
            return result;
        }
        if (event.kind == WEFT_EVENT_PROGRESS && event.progress.stage < WEFT_STAGE_PREFILL)
            continue; /* a picture may still be refused */
        if (event.kind != WEFT_EVENT_NONE) break;
    }
    put_event(chat, &event);
    chat->last_sent_ms = weft_now_ms();
    struct MHD_Connection *connection = chat->connection;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, chat, chat_free);
    if (!response) {
        chat_free(chat);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "text/event-stream; charset=utf-8");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the request ----------------------------------------------------------------------------------------------- */

/* What the server itself needs of the body; the engine parses it and checks everything. */
static weft_status read_envelope(chat_exchange *chat, const weft_buffer *body, json_t **model, weft_error *err) {
    weft_json_member members[] = {{.name = "model"}, {.name = "stream"}, {.name = "stream_options"}, {.name = "weft"}};
    WEFT_TRY(weft_json_members(body->data ? body->data : "", body->size, WEFT_HTTP_VALUES_MAX, members, 4, err));
    *model = weft_json_member_value(&members[0]);
    if (members[0].text && !json_is_string(*model) && !json_is_null(*model))
        return weft_fail(err, WEFT_ERR_INVALID, "'model' must be a string");
    json_t *stream = weft_json_member_value(&members[1]), *options = weft_json_member_value(&members[2]),
           *weft = weft_json_member_value(&members[3]);
    chat->stream = json_is_true(stream);
    chat->include_usage = json_is_true(json_object_get(options, "include_usage"));
    chat->progress = json_is_true(json_object_get(weft, "progress"));
    json_decref(stream);
    json_decref(options);
    json_decref(weft);
    return WEFT_OK;
}

static enum MHD_Result refuse_model(const weft_server *server, struct MHD_Connection *connection, const char *name) {
    weft_error err;
    weft_buffer message;
    weft_buffer_init(&message, 4096, "message");
    weft_status status = weft_buffer_printf(&message, &err, "the model '%.200s' is not served here; served:", name);
    for (int i = 0; status == WEFT_OK && i < server->options.model_count; i++)
        status = weft_buffer_printf(&message, &err, "%s %s", i ? "," : "", server->options.models[i].id);
    enum MHD_Result result = weft_http_error(connection, 404, "invalid_request_error", "model_not_found",
                                             message.data ? message.data : "model not found");
    weft_buffer_free(&message);
    return result;
}

static weft_status resolve(void *context, const char *url, int *file, weft_error *err) {
    const chat_exchange *chat = context;
    return weft_uploads_open(chat->server, url, file, err);
}

static weft_status reserve(void *context, uint64_t bytes, weft_error *err) {
    chat_exchange *chat = context;
    if (!weft_http_reserve(chat->server, bytes))
        return weft_fail(err, WEFT_ERR_BUSY, "other large requests fill the memory for requests: try again later");
    chat->reserved += bytes;
    return WEFT_OK;
}

static bool cancelled(void *context) {
    const chat_exchange *chat = context;
    return atomic_load(&chat->server->stopping) || weft_http_disconnected(chat->connection);
}

/* Hands the body to the engine and frees it: the answer may take long. */
static weft_status submit(chat_exchange *chat, weft_exchange *exchange, weft_error *err) {
    weft_request_options options = {.json = exchange->body.data,
                                    .json_size = exchange->body.size,
                                    .resolve = resolve,
                                    .resolve_context = chat,
                                    .reserve = reserve,
                                    .reserve_context = chat,
                                    .cancelled = cancelled,
                                    .cancelled_context = chat};
    weft_status status = weft_engine_submit(chat->model->engine, &options, &chat->request, err);
    weft_buffer_free(&exchange->body);
    chat->reserved += exchange->reserved; /* pictures of the body live on, decoded */
    exchange->reserved = 0;
    return status;
}

enum MHD_Result weft_http_chat(weft_exchange *exchange, struct MHD_Connection *connection) {
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    chat_exchange *chat = calloc(1, sizeof *chat);
    if (!chat) return weft_http_error(connection, 503, "server_error", "out_of_memory", "no memory for the request");
    chat->server = exchange->server;
    chat->connection = connection;
    chat->created = (long long)time(NULL);
    weft_object_id(chat->id, sizeof chat->id, "chatcmpl-");
    weft_buffer_init(&chat->out, CHUNK_MAX, "unsent answer");
    weft_error err;
    json_t *name = NULL;
    enum MHD_Result result;
    if (read_envelope(chat, &exchange->body, &name, &err) != WEFT_OK) {
        result = weft_http_fail(connection, &err);
    } else if (!(chat->model = weft_models_find(exchange->server, json_string_value(name)))) {
        result = refuse_model(exchange->server, connection, json_string_value(name));
    } else if (submit(chat, exchange, &err) != WEFT_OK) {
        result = weft_http_fail(connection, &err);
    } else {
        json_decref(name);
        /* the answer may take longer than any idle time: the wait itself watches for the peer's close */
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
        unsigned idle = chat->stream ? WEFT_HTTP_STREAM_IDLE_SECONDS : WEFT_HTTP_IDLE_SECONDS;
        result = chat->stream ? answer_stream(chat) : answer_whole(chat);
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, idle);
        return result;
    }
    json_decref(name);
    chat_free(chat);
    return result;
}
