/* The server: starting, stopping, and which endpoint a request goes to. See server.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/server_internal.h"

/* ---- one request ----------------------------------------------------------------------------------------------- */

static bool is(const char *left, const char *right) { return strcmp(left, right) == 0; }

/* What follows "/v1/files/" in a URL, or NULL. */
static const char *after(const char *url, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(url, prefix, n) == 0 && url[n] ? url + n : NULL;
}

static enum MHD_Result route(weft_exchange *exchange, struct MHD_Connection *connection, const char *url, const char *method) {
    weft_server *server = exchange->server;
    bool get = is(method, "GET") || is(method, "HEAD"), post = is(method, "POST");
    if (!weft_http_host_allowed(server, connection))
        return weft_http_error(connection, 403, "invalid_request_error", "host_not_allowed", "this server answers to localhost only; start it with --host to serve others");
    if (get && is(url, "/health"))
        return weft_http_json(connection, MHD_HTTP_OK, json_pack("{s:s, s:s, s:i}", "status", "ok", "version", WEFT_VERSION, "models", server->options.model_count));
    if (strncmp(url, "/v1/", 4) == 0) {
        if (!weft_http_authorized(server, connection))
            return weft_http_error(connection, 401, "invalid_request_error", "invalid_api_key", "this server asks for its API key: Authorization: Bearer KEY");
        if (is(url, "/v1/models") && get) return weft_http_models(server, connection, NULL);
        if (after(url, "/v1/models/") && get) return weft_http_models(server, connection, after(url, "/v1/models/"));
        if (is(url, "/v1/chat/completions") && post) {
            if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
            return weft_http_chat(server, connection, exchange->body.data ? exchange->body.data : "", exchange->body.size);
        }
        if (is(url, "/v1/files") && post) return weft_http_upload(exchange, connection);
        if (is(url, "/v1/files") && get) return weft_http_files(server, connection, method, NULL);
        if (after(url, "/v1/files/") && (get || is(method, "DELETE"))) return weft_http_files(server, connection, method, after(url, "/v1/files/"));
        if (is(url, "/v1/models") || is(url, "/v1/chat/completions") || is(url, "/v1/files"))
            return weft_http_error(connection, 405, "invalid_request_error", "method_not_allowed", "this address does not take that method");
        return weft_http_error(connection, 404, "invalid_request_error", "not_found", "unknown API address");
    }
    if (!get) return weft_http_error(connection, 405, "invalid_request_error", "method_not_allowed", "this address does not take that method");
    if (after(url, "/samples/")) return weft_http_sample(server, connection, url);
    return weft_http_page(connection, url);
}

static bool takes_body(const char *url, const char *method) { return is(method, "POST") && (is(url, "/v1/chat/completions") || is(url, "/v1/files")); }

/* First call of a request: its headers are here. */
static weft_exchange *begin_exchange(weft_server *server, struct MHD_Connection *connection, const char *url, const char *method) {
    weft_exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange) return NULL;
    exchange->server = server;
    weft_buffer_init(&exchange->body, WEFT_HTTP_BODY_MAX, "the request body");
    if (!takes_body(url, method) || !weft_http_authorized(server, connection) || !weft_http_host_allowed(server, connection)) {
        exchange->refused = true; /* whatever comes is dropped, then answered */
    } else if (is(url, "/v1/files")) {
        exchange->status = weft_upload_begin(exchange, connection);
    }
    return exchange;
}

static void take_body(weft_exchange *exchange, const char *data, size_t size) {
    if (exchange->refused || exchange->status != WEFT_OK) return;
    if (exchange->form) {
        if (MHD_post_process(exchange->form, data, size) == MHD_NO && exchange->status == WEFT_OK)
            exchange->status = weft_fail(&exchange->error, WEFT_ERR_INVALID, "the multipart form is malformed");
        return;
    }
    exchange->status = weft_buffer_append(&exchange->body, data, size, &exchange->error);
    if (exchange->status != WEFT_OK) weft_buffer_free(&exchange->body);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                              const char *data, size_t *size, void **state) {
    (void)version;
    weft_exchange *exchange = *state;
    if (!exchange) {
        *state = exchange = begin_exchange(context, connection, url, method);
        return exchange ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        take_body(exchange, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (exchange->form) { /* the last part ends when the form does */
        MHD_destroy_post_processor(exchange->form);
        exchange->form = NULL;
    }
    return route(exchange, connection, url, method);
}

static void complete(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code) {
    (void)context, (void)connection, (void)code;
    weft_exchange *exchange = *state;
    if (!exchange) return;
    weft_upload_end(exchange);
    weft_buffer_free(&exchange->body);
    free(exchange);
    *state = NULL;
}

/* ---- start and stop -------------------------------------------------------------------------------------------- */

static weft_status open_socket(const char *host, int port, int *out, weft_error *err) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(host, service, &hints, &list);
    if (failed) return weft_fail(err, WEFT_ERR_INVALID, "--host %s: %s", host, gai_strerror(failed));
    int error = 0, file = -1;
    for (const struct addrinfo *a = list; a && file < 0; a = a->ai_next) {
        file = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (file < 0) {
            error = errno;
            continue;
        }
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (bind(file, a->ai_addr, a->ai_addrlen) != 0 || listen(file, 128) != 0) {
            error = errno;
            close(file);
            file = -1;
        }
    }
    freeaddrinfo(list);
    if (file < 0)
        return weft_fail(err, WEFT_ERR_IO, "cannot listen on %s port %d: %s%s", host, port, strerror(error),
                         error == EADDRINUSE ? "; another program (or another weft) is there: choose another --port" : "");
    *out = file;
    return WEFT_OK;
}

weft_status weft_server_start(const weft_server_options *options, weft_server **out, weft_error *err) {
    *out = NULL;
    weft_server *server = calloc(1, sizeof *server);
    if (!server) return weft_fail(err, WEFT_ERR_MEMORY, "server: no memory");
    server->options = *options;
    server->host = strdup(options->host ? options->host : "127.0.0.1");
    server->api_key = options->api_key ? strdup(options->api_key) : NULL;
    int file = -1;
    weft_status status = server->host ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "server: no memory");
    if (status == WEFT_OK) status = weft_uploads_create(&server->uploads, err);
    if (status == WEFT_OK) status = weft_models_load(server, err);
    if (status == WEFT_OK) status = open_socket(server->host, options->port, &file, err);
    if (status == WEFT_OK) {
        server->daemon = MHD_start_daemon(
            MHD_USE_POLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC, 0, NULL, NULL, handle, server,
            MHD_OPTION_LISTEN_SOCKET, file, MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEFT_HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)WEFT_HTTP_IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, complete, NULL, MHD_OPTION_THREAD_STACK_SIZE, (size_t)1 << 20, MHD_OPTION_END);
        if (!server->daemon) {
            close(file);
            status = weft_fail(err, WEFT_ERR_IO, "the HTTP server does not start: %s", strerror(errno));
        }
    }
    if (status != WEFT_OK) {
        weft_server_stop(server);
        return status;
    }
    *out = server;
    return WEFT_OK;
}

int weft_server_port(const weft_server *server) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (!info || getsockname(info->listen_fd, (struct sockaddr *)&address, &size) != 0) return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port);
}

void weft_server_stop(weft_server *server) {
    if (!server) return;
    atomic_store(&server->stopping, true);
    if (server->daemon) MHD_stop_daemon(server->daemon);
    weft_uploads_free(server->uploads);
    json_decref(server->samples);
    json_decref(server->models);
    free(server->host);
    free(server->api_key);
    free(server);
}
