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

enum MHD_Result weft_http_plan(weft_exchange *exchange, struct MHD_Connection *connection) {
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    weft_engine_call call;
    weft_error err;
    char *text = NULL;
    weft_status status = weft_engine_call_begin(&call, exchange, connection, &err);
    if (status != WEFT_OK) return weft_engine_call_fail(connection, &err);
    status = weft_engine_plan(call.model->engine, &call.options, &text, &err);
    weft_engine_call_end(&call);
    if (status != WEFT_OK) return weft_engine_call_fail(connection, &err);
    json_t *object = json_loads(text, 0, NULL);
    weft_free(text);
    if (object) json_object_set_new(object, "model", json_string(call.model->id));
    return weft_http_json(connection, MHD_HTTP_OK, object);
}
