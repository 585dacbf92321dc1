/* Answers and checks that every endpoint shares. See server_internal.h. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/server_internal.h"

void weft_http_common_headers(struct MHD_Response *response) {
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
}

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status, json_t *body, const char *allow) {
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (allow) MHD_add_response_header(response, "Allow", allow);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE) MHD_add_response_header(response, "Retry-After", "2");
    if (status == MHD_HTTP_UNAUTHORIZED) MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result weft_http_json(struct MHD_Connection *connection, unsigned status, json_t *body) {
    return send_json(connection, status, body, NULL);
}

static json_t *error_object(const char *type, const char *code, const char *message) {
    return json_pack("{s:{s:o, s:s, s:n, s:s?}}", "error", "message", weft_object_text(message), "type", type, "param",
                     "code", code);
}

enum MHD_Result weft_http_error(struct MHD_Connection *connection, unsigned status, const char *type, const char *code,
                                const char *message) {
    return send_json(connection, status, error_object(type, code, message), NULL);
}

enum MHD_Result weft_http_wrong_method(struct MHD_Connection *connection, const char *allow) {
    char message[128];
    snprintf(message, sizeof message, "this address takes %s only", allow);
    return send_json(connection, 405, error_object("invalid_request_error", "method_not_allowed", message), allow);
}

enum MHD_Result weft_http_fail(struct MHD_Connection *connection, const weft_error *err) {
    unsigned status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    json_t *body = weft_object_error(err, &status);
    return weft_http_json(connection, status, body);
}

/* A page of some other site may make the browser resolve its own name to 127.0.0.1 (DNS rebinding): while bound to
 * loopback, only loopback names are served. */
bool weft_http_host_allowed(const weft_server *server, struct MHD_Connection *connection) {
    if (!server->loopback) return true;
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    if (!host) return true; /* HTTP/1.0 tools; no browser leaves it out */
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) == 0 && (host[n] == 0 || host[n] == ':')) return true;
    }
    return false;
}

/* Such a request needs no permission (a form can send it) and its sender never sees the answer, but it would make the
 * model work or fill the store. Current browsers all send the header. */
bool weft_http_cross_site(struct MHD_Connection *connection) {
    const char *site = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Sec-Fetch-Site");
    return site && strcmp(site, "cross-site") == 0;
}

bool weft_http_authorized(const weft_server *server, struct MHD_Connection *connection) {
    if (!server->api_key) return true;
    const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0) return false;
    const char *given = header + 7;
    size_t want = strlen(server->api_key), got = strlen(given);
    unsigned char differ = want != got; /* every byte is looked at, so that time tells nothing */
    for (size_t i = 0; i < got; i++) differ |= (unsigned char)(given[i] ^ server->api_key[want ? i % want : 0]);
    return differ == 0;
}

bool weft_http_disconnected(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info) return false;
    /* not a peek into the stream: what a client has sent ahead must not hide that it is gone */
    struct pollfd peer = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

bool weft_http_reserve(weft_server *server, uint64_t bytes) {
    uint64_t before = atomic_fetch_add(&server->in_flight, bytes);
    uint64_t max = server->options.request_bytes;
    if (before <= max && bytes <= max - before) return true;
    weft_http_release(server, bytes);
    return false;
}

void weft_http_release(weft_server *server, uint64_t bytes) {
    atomic_fetch_sub(&server->in_flight, bytes);
}
