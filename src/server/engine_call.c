/* Work that the engine does while a client waits for one whole answer (plans, embeddings): the model it asks for, the
 * media it names, the memory they take, and the end of it all when the client has left. */
#include <string.h>

#include "server/server_internal.h"

static const char no_model[] = "no such model is served here; GET /v1/models lists them";

static weft_status reserve(void *context, uint64_t bytes, weft_error *err) {
    weft_engine_call *call = context;
    if (!weft_http_reserve(call->server, bytes))
        return weft_fail(err, WEFT_ERR_BUSY, "other large requests fill the memory for requests: try again later");
    call->reserved += bytes;
    return WEFT_OK;
}

static weft_status resolve(void *context, const char *url, int *file, weft_error *err) {
    const weft_engine_call *call = context;
    return weft_uploads_open(call->server, url, file, err);
}

static bool cancelled(void *context) {
    const weft_engine_call *call = context;
    return atomic_load(&call->server->stopping) || weft_http_disconnected(call->connection);
}

weft_status weft_engine_call_begin(weft_engine_call *call, weft_exchange *exchange, struct MHD_Connection *connection,
                                   weft_error *err) {
    weft_json_member members[] = {{.name = "model"}};
    const weft_buffer *body = &exchange->body;
    *call = (weft_engine_call){.server = exchange->server, .connection = connection};
    WEFT_TRY(weft_json_members(body->data ? body->data : "", body->size, WEFT_HTTP_VALUES_MAX, members, 1, err));
    json_t *name = weft_json_member_value(&members[0]);
    call->model = weft_models_find(exchange->server, json_string_value(name));
    json_decref(name);
    if (!call->model) return weft_fail(err, WEFT_ERR_NOT_FOUND, "%s", no_model);
    call->options = (weft_request_options){.json = body->data,
                                           .json_size = body->size,
                                           .resolve = resolve,
                                           .resolve_context = call,
                                           .reserve = reserve,
                                           .reserve_context = call,
                                           .cancelled = cancelled,
                                           .cancelled_context = call};
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u); /* the work may take long */
    return WEFT_OK;
}

void weft_engine_call_end(weft_engine_call *call) {
    MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)WEFT_HTTP_IDLE_SECONDS);
    weft_http_release(call->server, call->reserved);
}

enum MHD_Result weft_engine_call_fail(struct MHD_Connection *connection, const weft_error *err) {
    if (err->status == WEFT_ERR_CANCELLED) return MHD_NO;
    if (err->status == WEFT_ERR_NOT_FOUND && strcmp(err->message, no_model) == 0)
        return weft_http_error(connection, 404, "invalid_request_error", "model_not_found", err->message);
    return weft_http_fail(connection, err);
}
