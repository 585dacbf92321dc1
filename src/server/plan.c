/* POST /v1/media/plan: what a chat request would cost, before it is sent. Its body is that of a chat completion. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "server/server_internal.h"

enum { MEASURE_AGAIN_MS = 1000, STOP_MS = 100 };

/* ---- how fast the machine is ----------------------------------------------------------------------------------- */

static void *measure(void *argument) {
    weft_server *server = argument;
    for (int i = 0; i < server->options.model_count; i++)
        while (!atomic_load(&server->stopping) && !weft_engine_measure(server->options.models[i].engine))
            for (int waited = 0; waited < MEASURE_AGAIN_MS && !atomic_load(&server->stopping); waited += STOP_MS)
                poll(NULL, 0, STOP_MS);
    return NULL;
}

weft_status weft_measuring_start(weft_server *server, weft_error *err) {
    server->is_measuring = pthread_create(&server->measuring, NULL, measure, server) == 0;
    return server->is_measuring ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "server: cannot start a thread");
}

void weft_measuring_stop(weft_server *server) {
    if (server->is_measuring) pthread_join(server->measuring, NULL);
}

/* ---- plans ----------------------------------------------------------------------------------------------------- */

typedef struct plan_exchange {
    weft_server *server;
    struct MHD_Connection *connection;
    uint64_t reserved;
} plan_exchange;

static weft_status reserve(void *context, uint64_t bytes, weft_error *err) {
    plan_exchange *plan = context;
    if (!weft_http_reserve(plan->server, bytes))
        return weft_fail(err, WEFT_ERR_BUSY, "other large requests fill the memory for requests: try again later");
    plan->reserved += bytes;
    return WEFT_OK;
}

static weft_status resolve(void *context, const char *url, int *file, weft_error *err) {
    const plan_exchange *plan = context;
    return weft_uploads_open(plan->server, url, file, err);
}

static bool cancelled(void *context) {
    const plan_exchange *plan = context;
    return atomic_load(&plan->server->stopping) || weft_http_disconnected(plan->connection);
}

enum MHD_Result weft_http_plan(weft_exchange *exchange, struct MHD_Connection *connection) {
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    plan_exchange plan = {.server = exchange->server, .connection = connection};
    weft_error err;
    weft_json_member members[] = {{.name = "model"}};
    const weft_buffer *body = &exchange->body;
    weft_status status =
        weft_json_members(body->data ? body->data : "", body->size, WEFT_HTTP_VALUES_MAX, members, 1, &err);
    if (status != WEFT_OK) return weft_http_fail(connection, &err);
    json_t *name = weft_json_member_value(&members[0]);
    const weft_server_model *model = weft_models_find(exchange->server, json_string_value(name));
    json_decref(name);
    if (!model)
        return weft_http_error(connection, 404, "invalid_request_error", "model_not_found",
                               "no such model is served here; GET /v1/models lists them");
    char *text = NULL;
    weft_request_options options = {.json = body->data,
                                    .json_size = body->size,
                                    .resolve = resolve,
                                    .resolve_context = &plan,
                                    .reserve = reserve,
                                    .reserve_context = &plan,
                                    .cancelled = cancelled,
                                    .cancelled_context = &plan};
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              0u); /* measuring the machine, or waiting, may take long */
    status = weft_engine_plan(model->engine, &options, &text, &err);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)WEFT_HTTP_IDLE_SECONDS);
    weft_http_release(plan.server, plan.reserved);
    if (status == WEFT_ERR_CANCELLED) return MHD_NO;
    if (status != WEFT_OK) return weft_http_fail(connection, &err);
    json_t *object = json_loads(text, 0, NULL);
    weft_free(text);
    if (object) json_object_set_new(object, "model", json_string(model->id));
    return weft_http_json(connection, MHD_HTTP_OK, object);
}
