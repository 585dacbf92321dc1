/* What the parts of the server share. Private to src/server. */
#ifndef WEFT_SERVER_INTERNAL_H
#define WEFT_SERVER_INTERNAL_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "server/server.h"

enum {
    WEFT_HTTP_CONNECTIONS_MAX = 256,
    WEFT_HTTP_IDLE_SECONDS = 60,            /* a connection that sends nothing */
    WEFT_HTTP_STREAM_IDLE_SECONDS = 120,    /* a stream whose reader takes nothing */
    WEFT_HTTP_KEEP_ALIVE_MS = 15000,        /* comment lines in a silent stream */
    WEFT_HTTP_BODY_MAX = 512 << 20,         /* of a chat request, pictures as base64 included */
    WEFT_UPLOAD_BYTES_MAX = 256 << 20,      /* of one uploaded file */
    WEFT_UPLOADS_MAX = 1000,                /* files kept */
};
#define WEFT_UPLOADS_BYTES_MAX ((uint64_t)8 << 30) /* of all uploaded files together */

typedef struct weft_uploads weft_uploads;

struct weft_server {
    weft_server_options options;
    struct MHD_Daemon *daemon;
    weft_uploads *uploads;
    json_t *samples; /* url path -> file path, for /samples/ */
    json_t *models;  /* the body of /v1/models */
    char *host;
    char *api_key;
    atomic_bool stopping;
};

/* What a connection's request has gathered so far; freed when the request is complete. */
typedef struct weft_exchange weft_exchange;
struct weft_exchange {
    weft_server *server;
    weft_buffer body;
    struct MHD_PostProcessor *form;
    struct weft_upload_parts *upload; /* files.c */
    weft_status status;
    weft_error error;
    bool refused; /* answered before the body has come */
};

/* http.c: answers. All queue a response and return MHD's verdict. */
enum MHD_Result weft_http_json(struct MHD_Connection *connection, unsigned status, json_t *body); /* takes body */
enum MHD_Result weft_http_error(struct MHD_Connection *connection, unsigned status, const char *type, const char *code, const char *message);
enum MHD_Result weft_http_fail(struct MHD_Connection *connection, const weft_error *err);
json_t *weft_http_error_object(const weft_error *err, unsigned *status);
void weft_http_common_headers(struct MHD_Response *response);
bool weft_http_host_allowed(const weft_server *server, struct MHD_Connection *connection);
bool weft_http_authorized(const weft_server *server, struct MHD_Connection *connection);
/* True when the peer has closed its side: nobody is there to read an answer. */
bool weft_http_disconnected(struct MHD_Connection *connection);

/* chat.c */
enum MHD_Result weft_http_chat(weft_server *server, struct MHD_Connection *connection, const char *body, size_t size);

/* models.c */
weft_status weft_models_load(weft_server *server, weft_error *err);
const weft_server_model *weft_models_find(const weft_server *server, const char *id);
enum MHD_Result weft_http_models(weft_server *server, struct MHD_Connection *connection, const char *id);
enum MHD_Result weft_http_sample(weft_server *server, struct MHD_Connection *connection, const char *url);

/* files.c */
weft_status weft_uploads_create(weft_uploads **uploads, weft_error *err);
void weft_uploads_free(weft_uploads *uploads);
weft_status weft_uploads_read(void *uploads, const char *id, void **data, size_t *size, weft_error *err); /* a weft_media_resolver */
weft_status weft_upload_begin(weft_exchange *exchange, struct MHD_Connection *connection);
void weft_upload_end(weft_exchange *exchange);
enum MHD_Result weft_http_upload(weft_exchange *exchange, struct MHD_Connection *connection);
enum MHD_Result weft_http_files(weft_server *server, struct MHD_Connection *connection, const char *method, const char *id);

/* page.c */
enum MHD_Result weft_http_page(struct MHD_Connection *connection, const char *url);

#endif
