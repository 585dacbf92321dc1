/* The server: starting, stopping, and which endpoint a request goes to. See server.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/server_internal.h"

/* ---- one request ----------------------------------------------------------------------------------------------- */

enum method {
    METHOD_GET = 1,
    METHOD_POST = 2,
    METHOD_DELETE = 4,
    METHOD_PUT = 8
}; /* HEAD is GET: only the answer's body is left out */

enum endpoint {
    ENDPOINT_HEALTH,
    ENDPOINT_MODELS,
    ENDPOINT_MODEL,
    ENDPOINT_CHAT,
    ENDPOINT_PLAN,
    ENDPOINT_EMBEDDINGS,
    ENDPOINT_FILES,
    ENDPOINT_FILE,
    ENDPOINT_UPLOADS,
    ENDPOINT_UPLOAD,
    ENDPOINT_INDEXES,
    ENDPOINT_INDEX,
    ENDPOINT_UNKNOWN,
    ENDPOINT_SAMPLE,
    ENDPOINT_PAGE
};

static const struct {
    const char *url; /* a prefix when it ends in '/' */
    unsigned methods;
    uint64_t body_max; /* of a POST or PUT; of files the store's quota decides */
} endpoints[] = {
    [ENDPOINT_HEALTH] = {"/health", METHOD_GET, 0},
    [ENDPOINT_MODELS] = {"/v1/models", METHOD_GET, 0},
    [ENDPOINT_MODEL] = {"/v1/models/", METHOD_GET, 0},
    [ENDPOINT_CHAT] = {"/v1/chat/completions", METHOD_POST, WEFT_HTTP_BODY_MAX},
    [ENDPOINT_PLAN] = {"/v1/media/plan", METHOD_POST, WEFT_HTTP_BODY_MAX},
    [ENDPOINT_EMBEDDINGS] = {"/v1/embeddings", METHOD_POST, WEFT_HTTP_BODY_MAX},
    [ENDPOINT_FILES] = {"/v1/files", METHOD_GET | METHOD_POST, UINT64_MAX},
    [ENDPOINT_FILE] = {"/v1/files/", METHOD_GET | METHOD_DELETE, 0},
    [ENDPOINT_UPLOADS] = {"/v1/uploads", METHOD_POST, WEFT_HTTP_JSON_MAX},
    [ENDPOINT_UPLOAD] = {"/v1/uploads/", METHOD_GET | METHOD_POST | METHOD_PUT | METHOD_DELETE, UINT64_MAX},
    [ENDPOINT_INDEXES] = {"/v1/indexes", METHOD_GET | METHOD_POST, WEFT_HTTP_JSON_MAX},
    [ENDPOINT_INDEX] = {"/v1/indexes/", METHOD_GET | METHOD_POST | METHOD_DELETE, WEFT_HTTP_JSON_MAX},
    [ENDPOINT_UNKNOWN] = {"/v1/", METHOD_GET | METHOD_POST | METHOD_PUT | METHOD_DELETE, 0},
    [ENDPOINT_SAMPLE] = {"/samples/", METHOD_GET, 0},
    [ENDPOINT_PAGE] = {"/", METHOD_GET, 0},
};

static unsigned method_bit(const char *method) {
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) return METHOD_GET;
    if (strcmp(method, "PUT") == 0) return METHOD_PUT;
    return strcmp(method, "POST") == 0 ? METHOD_POST : strcmp(method, "DELETE") == 0 ? METHOD_DELETE : 0;
}

static bool has_body(const char *method) {
    return method_bit(method) & (METHOD_POST | METHOD_PUT);
}

/* The first entry that fits; *rest is what follows a prefix. */
static int find_endpoint(const char *url, const char **rest) {
    int e = 0;
    for (; e < ENDPOINT_PAGE; e++) {
        size_t n = strlen(endpoints[e].url);
        bool prefix = endpoints[e].url[n - 1] == '/';
        *rest = url + (strlen(url) < n ? 0 : n);
        if (prefix ? strncmp(url, endpoints[e].url, n) == 0 && (url[n] || e == ENDPOINT_UNKNOWN)
                   : strcmp(url, endpoints[e].url) == 0)
            break;
    }
    return e;
}

static uint64_t announced_length(struct MHD_Connection *connection) {
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    return length ? strtoull(length, NULL, 10) : 0;
}

static enum MHD_Result refuse_method(struct MHD_Connection *connection, unsigned methods) {
    char allow[64];
    snprintf(allow, sizeof allow, "%s%s%s%s", methods & METHOD_GET ? "GET, HEAD" : "",
             methods & METHOD_POST ? (methods & METHOD_GET ? ", POST" : "POST") : "", methods & METHOD_PUT ? ", PUT" : "",
             methods & METHOD_DELETE ? ", DELETE" : "");
    return weft_http_wrong_method(connection, allow);
}

static uint64_t body_max(const weft_exchange *exchange) {
    uint64_t max = endpoints[exchange->endpoint].body_max, quota = exchange->server->options.files_quota;
    return max < UINT64_MAX ? max : quota + WEFT_UPLOAD_FORM_MAX;
}

/* Why a request is refused whatever its body holds. */
enum refusal { REFUSAL_NONE, REFUSAL_HOST, REFUSAL_SITE, REFUSAL_KEY, REFUSAL_ADDRESS, REFUSAL_METHOD, REFUSAL_LENGTH };

static enum refusal judge(const weft_exchange *exchange, struct MHD_Connection *connection, const char *method) {
    int e = exchange->endpoint;
    if (!weft_http_host_allowed(exchange->server, connection)) return REFUSAL_HOST;
    if (method_bit(method) != METHOD_GET && weft_http_cross_site(connection)) return REFUSAL_SITE;
    if (strncmp(endpoints[e].url, "/v1/", 4) == 0 && !weft_http_authorized(exchange->server, connection))
        return REFUSAL_KEY;
    if (e == ENDPOINT_UNKNOWN) return REFUSAL_ADDRESS;
    if (!(method_bit(method) & endpoints[e].methods)) return REFUSAL_METHOD;
    if (has_body(method) && announced_length(connection) > body_max(exchange))
        return REFUSAL_LENGTH;
    return REFUSAL_NONE;
}

static enum MHD_Result answer_refusal(const weft_exchange *exchange, struct MHD_Connection *connection,
                                      enum refusal refusal) {
    const char *type = "invalid_request_error";
    char message[128];
    switch (refusal) {
    case REFUSAL_HOST:
        return weft_http_error(connection, 403, type, "host_not_allowed",
                               "this server answers to localhost only; start it with --host to serve others");
    case REFUSAL_SITE:
        return weft_http_error(connection, 403, type, "cross_site", "pages of other sites may not use this server");
    case REFUSAL_KEY:
        return weft_http_error(connection, 401, type, "invalid_api_key",
                               "this server asks for its API key: Authorization: Bearer KEY");
    case REFUSAL_ADDRESS: return weft_http_error(connection, 404, type, "not_found", "unknown API address");
    case REFUSAL_METHOD: return refuse_method(connection, endpoints[exchange->endpoint].methods);
    default:
        snprintf(message, sizeof message, "the body is over the limit of %llu MiB",
                 (unsigned long long)(body_max(exchange) >> 20));
        return weft_http_error(connection, 413, type, "limit_exceeded", message);
    }
}

static enum MHD_Result route(weft_exchange *exchange, struct MHD_Connection *connection, const char *url,
                             const char *method) {
    weft_server *server = exchange->server;
    enum refusal refusal = judge(exchange, connection, method);
    if (refusal != REFUSAL_NONE) return answer_refusal(exchange, connection, refusal);
    const char *rest;
    switch (find_endpoint(url, &rest)) {
    case ENDPOINT_HEALTH:
        return weft_http_json(connection, MHD_HTTP_OK,
                              json_pack("{s:s, s:s, s:i}", "status", "ok", "version", WEFT_VERSION, "models",
                                        server->options.model_count));
    case ENDPOINT_MODELS: return weft_http_models(server, connection, NULL);
    case ENDPOINT_MODEL: return weft_http_models(server, connection, rest);
    case ENDPOINT_CHAT: return weft_http_chat(exchange, connection);
    case ENDPOINT_PLAN: return weft_http_plan(exchange, connection);
    case ENDPOINT_EMBEDDINGS: return weft_http_embeddings(exchange, connection);
    case ENDPOINT_FILES:
        return method_bit(method) == METHOD_POST ? weft_http_upload(exchange, connection)
                                                 : weft_http_files(server, connection);
    case ENDPOINT_FILE: return weft_http_file(server, connection, method, rest);
    case ENDPOINT_UPLOADS: return weft_http_upload_create(exchange, connection);
    case ENDPOINT_UPLOAD: return weft_http_upload_part(exchange, connection, method, rest);
    case ENDPOINT_INDEXES: return weft_http_indexes(exchange, connection, method);
    case ENDPOINT_INDEX: return weft_http_index(exchange, connection, method, rest);
    case ENDPOINT_SAMPLE: return weft_http_sample(server, connection, url);
    default: return weft_http_page(connection, url);
    }
}

/* First call of a request: its headers are here. What will be refused anyway is refused before its body comes when that
 * is long or waits for leave; a short body is read first, so that every client gets to read the answer. */
static enum MHD_Result begin_exchange(weft_server *server, struct MHD_Connection *connection, const char *url,
                                      const char *method, void **state) {
    weft_exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange) return MHD_NO;
    *state = exchange;
    exchange->server = server;
    weft_deadlines_enter(server->deadlines, connection, WEFT_DEADLINE_BODY, 0);
    const char *rest;
    exchange->endpoint = find_endpoint(url, &rest);
    uint64_t max = body_max(exchange);
    weft_buffer_init(&exchange->body, max < WEFT_HTTP_BODY_MAX ? (size_t)max : WEFT_HTTP_BODY_MAX, "the request body");
    enum refusal refusal = judge(exchange, connection, method);
    exchange->takes_body = refusal == REFUSAL_NONE && has_body(method);
    const char *expect = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect");
    if (refusal != REFUSAL_NONE && (expect || announced_length(connection) > WEFT_HTTP_DROP_MAX))
        return answer_refusal(exchange, connection, refusal);
    if (exchange->takes_body && exchange->endpoint == ENDPOINT_FILES)
        exchange->status = weft_upload_begin(exchange, connection);
    if (exchange->takes_body && exchange->endpoint == ENDPOINT_UPLOAD)
        exchange->status = weft_upload_resume(exchange, connection, method, rest);
    return MHD_YES;
}

static enum MHD_Result take_body(weft_exchange *exchange, const char *data, size_t size) {
    if (!exchange->takes_body || exchange->status != WEFT_OK) {
        exchange->dropped += size;
        return exchange->dropped <= WEFT_HTTP_DROP_MAX ? MHD_YES : MHD_NO;
    }
    if (exchange->form) {
        if (MHD_post_process(exchange->form, data, size) == MHD_NO && exchange->status == WEFT_OK)
            exchange->status = weft_fail(&exchange->error, WEFT_ERR_INVALID, "the multipart form is malformed");
        return MHD_YES;
    }
    if (weft_upload_is_range(exchange)) {
        weft_upload_take(exchange, data, size);
        return MHD_YES;
    }
    if (!weft_http_reserve(exchange->server, size)) {
        exchange->status = weft_fail(&exchange->error, WEFT_ERR_BUSY,
                                     "other large requests fill the memory for requests: try again later");
    } else {
        exchange->reserved += size;
        exchange->status = weft_buffer_append(&exchange->body, data, size, &exchange->error);
    }
    if (exchange->status != WEFT_OK) {
        weft_buffer_free(&exchange->body);
        weft_http_release(exchange->server, exchange->reserved);
        exchange->reserved = 0;
    }
    return MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **state) {
    (void)version;
    weft_exchange *exchange = *state;
    if (!exchange) return begin_exchange(context, connection, url, method, state);
    if (*size > 0) {
        weft_deadlines_enter(exchange->server->deadlines, connection, WEFT_DEADLINE_BYTES, *size);
        enum MHD_Result result = take_body(exchange, data, *size);
        *size = 0;
        return result;
    }
    weft_deadlines_enter(exchange->server->deadlines, connection, WEFT_DEADLINE_NONE, 0);
    if (exchange->form) weft_upload_finish(exchange);
    return route(exchange, connection, url, method);
}

static void complete(void *context, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode code) {
    (void)code;
    weft_exchange *exchange = *state;
    weft_deadlines_enter(((weft_server *)context)->deadlines, connection, WEFT_DEADLINE_IDLE, 0);
    if (!exchange) return;
    weft_upload_free(exchange);
    weft_http_release(exchange->server, exchange->reserved);
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
                         error == EADDRINUSE ? "; another program (or another weft) is there: choose another --port"
                                             : "");
    *out = file;
    return WEFT_OK;
}

static socklen_t local_address(int file, struct sockaddr_storage *address) {
    socklen_t size = sizeof *address;
    *address = (struct sockaddr_storage){0};
    return getsockname(file, (struct sockaddr *)address, &size) == 0 ? size : 0;
}

static bool is_loopback(int file) {
    struct sockaddr_storage address;
    if (!local_address(file, &address)) return false;
    const struct in6_addr *v6 = &((struct sockaddr_in6 *)&address)->sin6_addr;
    if (address.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
    return address.ss_family == AF_INET && ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == 127;
}

/* A connection may hold several descriptors; the usual soft limit of 1024 is below their maxima. */
static void raise_file_limit(void) {
    const rlim_t want = WEFT_HTTP_CONNECTIONS_MAX * 4 + 256;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want) return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static weft_status open_store(weft_server *server, const char *folder, weft_error *err) {
    char path[PATH_MAX];
    WEFT_TRY(weft_files_open(folder, server->options.files_quota, &server->files, err));
    snprintf(path, sizeof path, "%s/videos.db", folder);
    return weft_video_index_open(path, &server->videos, err);
}

weft_status weft_server_start(const weft_server_options *options, weft_server **out, weft_error *err) {
    *out = NULL;
    weft_server *server = calloc(1, sizeof *server);
    if (!server) return weft_fail(err, WEFT_ERR_MEMORY, "server: no memory");
    server->options = *options;
    if (!options->request_bytes) server->options.request_bytes = WEFT_HTTP_IN_FLIGHT_BYTES_MAX;
    if (!options->files_quota) server->options.files_quota = WEFT_SERVER_FILES_QUOTA;
    server->host = strdup(options->host ? options->host : "127.0.0.1");
    bool key = options->api_key && *options->api_key;
    server->api_key = key ? strdup(options->api_key) : NULL;
    int file = -1;
    weft_status status =
        server->host && (server->api_key || !key) ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "server: no memory");
    raise_file_limit();
    if (status == WEFT_OK && options->data_dir)
        status = open_store(server, options->data_dir, err);
    if (status == WEFT_OK) status = weft_deadlines_start(options->request_seconds > 0 ? options->request_seconds : 60, &server->deadlines, err);
    if (status == WEFT_OK) status = weft_models_load(server, err);
    if (status == WEFT_OK) status = weft_measuring_start(server, err);
    if (status == WEFT_OK && server->files) status = weft_indexer_start(server, &server->indexer, err);
    if (status == WEFT_OK) status = open_socket(server->host, options->port, &file, err);
    if (status == WEFT_OK) {
        server->loopback = is_loopback(file);
        /* the stack holds a parse of JSON as deep as its library allows */
        server->daemon = MHD_start_daemon(
            MHD_USE_POLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC, 0, NULL, NULL,
            handle, server, MHD_OPTION_LISTEN_SOCKET, file, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)WEFT_HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WEFT_HTTP_IDLE_SECONDS,
            MHD_OPTION_NOTIFY_COMPLETED, complete, server,
            MHD_OPTION_NOTIFY_CONNECTION, weft_deadlines_connection, server->deadlines, MHD_OPTION_THREAD_STACK_SIZE, (size_t)4 << 20,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)64 << 10, MHD_OPTION_END);
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
    if (!info || !local_address(info->listen_fd, &address)) return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

void weft_server_stop(weft_server *server) {
    if (!server) return;
    atomic_store(&server->stopping, true);
    if (server->daemon) MHD_stop_daemon(server->daemon);
    weft_deadlines_stop(server->deadlines);
    weft_indexer_stop(server->indexer);
    weft_measuring_stop(server);
    weft_video_index_close(server->videos);
    weft_files_close(server->files);
    json_decref(server->samples);
    json_decref(server->models);
    free(server->host);
    free(server->api_key);
    free(server);
}
