/* What the parts of the server share. Private to src/server. */
#ifndef WEFT_SERVER_INTERNAL_H
#define WEFT_SERVER_INTERNAL_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "server/server.h"
#include "store/files.h"
#include "store/video_jobs.h"
#include "video/video.h"

enum {
    WEFT_HTTP_CONNECTIONS_MAX = 256,
    WEFT_HTTP_IDLE_SECONDS = 60,         /* a connection that sends nothing */
    WEFT_HTTP_STREAM_IDLE_SECONDS = 120, /* a stream whose reader takes nothing */
    WEFT_HTTP_KEEP_ALIVE_MS = 15000,     /* comment lines in a silent stream */
    WEFT_HTTP_BODY_MAX = 512 << 20,      /* of a chat request, pictures as base64 included */
    WEFT_HTTP_VALUES_MAX = 1 << 20,      /* JSON values in a chat request: each costs far more memory than its text */
    WEFT_HTTP_DROP_MAX = 64 << 20,       /* of a body that is read only to be able to answer why it is refused */
    WEFT_HTTP_JSON_MAX = 4 << 20,        /* of every other JSON body */
    WEFT_UPLOAD_FORM_MAX = 1 << 20,      /* of the form around an uploaded file */
    WEFT_INDEX_QUERY_MAX = 1000,         /* bytes of the words that are looked for in a video */
    WEFT_INDEX_SEARCHES_MAX = 4,         /* searches at a time that look again at the video */
};
/* of the chat requests in memory: bodies, and the files and URLs they name */
#define WEFT_HTTP_IN_FLIGHT_BYTES_MAX ((uint64_t)2 << 30)

typedef struct weft_deadlines weft_deadlines;
typedef struct weft_indexer weft_indexer;

struct weft_server {
    weft_server_options options;
    struct MHD_Daemon *daemon;
    weft_deadlines *deadlines;
    weft_files *files; /* NULL: none are kept */
    weft_video_index *videos; /* with the files */
    weft_indexer *indexer;    /* with the files */
    pthread_t measuring;      /* plan.c */
    bool is_measuring;
    json_t *samples; /* url path -> file path, for /samples/ */
    json_t *models;  /* the body of /v1/models */
    char *host;
    char *api_key;
    bool loopback; /* only this machine can connect */
    atomic_bool stopping;
    atomic_uint drawing; /* pages of documents, see pages.c */
    atomic_uint searching; /* videos, see indexes.c */
    atomic_uint_least64_t in_flight; /* bytes, see weft_http_reserve */
};

/* What a connection's request has gathered so far; freed when the request is complete. */
typedef struct weft_exchange weft_exchange;
struct weft_exchange {
    weft_server *server;
    int endpoint;    /* server.c */
    bool takes_body; /* else it is read and forgotten */
    weft_buffer body;
    uint64_t reserved; /* bytes of the body that are counted in server->in_flight */
    struct MHD_PostProcessor *form;
    struct weft_upload_parts *upload; /* files.c */
    weft_status status;               /* of the body */
    weft_error error;
    uint64_t dropped; /* bytes read and forgotten */
};

/* http.c: answers. All queue a response and return MHD's verdict. */
enum MHD_Result weft_http_json(struct MHD_Connection *connection, unsigned status, json_t *body); /* takes body */
enum MHD_Result weft_http_error(struct MHD_Connection *connection, unsigned status, const char *type, const char *code,
                                const char *message);
enum MHD_Result weft_http_wrong_method(struct MHD_Connection *connection, const char *allow);
enum MHD_Result weft_http_fail(struct MHD_Connection *connection, const weft_error *err);
void weft_http_common_headers(struct MHD_Response *response);
bool weft_http_host_allowed(const weft_server *server, struct MHD_Connection *connection);
/* True for a request that a page of another site makes the browser send. */
bool weft_http_cross_site(struct MHD_Connection *connection);
bool weft_http_authorized(const weft_server *server, struct MHD_Connection *connection);
/* True when the peer has closed its side: nobody is there to read an answer. */
bool weft_http_disconnected(struct MHD_Connection *connection);
/* Counts bytes of requests that are kept in memory; false when the limit for all together is reached. */
bool weft_http_reserve(weft_server *server, uint64_t bytes);
void weft_http_release(weft_server *server, uint64_t bytes);

/* objects.c: the API's JSON objects. New references; NULL only without memory. */
json_t *weft_object_text(const char *text); /* bytes that are not UTF-8 become '?' */
json_t *weft_object_error(const weft_error *err, unsigned *status);
json_t *weft_object_usage(const weft_usage *usage);
json_t *weft_object_timings(const weft_usage *usage);
/* text: {"name": …, "arguments": {…}}, as the engine hands it out; index < 0: without one. */
json_t *weft_object_tool_call(const char *text, size_t size, int index);
/* prefix and 24 random hexadecimal digits. */
void weft_object_id(char *id, size_t size, const char *prefix);

/* json_members.c: members of the object at the top of a JSON text, found without building the whole of it. */
typedef struct weft_json_member {
    const char *name;
    const char *text; /* of its value (the last one, when the name comes twice); NULL: absent */
    size_t size;
} weft_json_member;
/* Finds members[count]. Checks no more than it needs to find its way: whoever reads the values checks them.
 * Errors: WEFT_ERR_INVALID when this is not an object, WEFT_ERR_LIMIT for more than values_max values. */
weft_status weft_json_members(const char *text, size_t size, size_t values_max, weft_json_member *members, int count,
                              weft_error *err);
/* The value of a member that was found; NULL when absent or malformed. */
json_t *weft_json_member_value(const weft_json_member *member);

/* chat.c */
enum MHD_Result weft_http_chat(weft_exchange *exchange, struct MHD_Connection *connection);

/* engine_call.c: the engine at work for the length of one exchange, whose answer comes whole. */
typedef struct weft_engine_call {
    weft_server *server;
    struct MHD_Connection *connection;
    const weft_server_model *model;
    weft_request_options options; /* the exchange's body, its media, and the end of the work when the client leaves */
    uint64_t reserved;
} weft_engine_call;
/* Finds the model that the body names. NOT_FOUND: it is not served here. */
weft_status weft_engine_call_begin(weft_engine_call *call, weft_exchange *exchange, struct MHD_Connection *connection,
                                   weft_error *err);
void weft_engine_call_end(weft_engine_call *call); /* after a begin that succeeded */
/* The answer to a call that failed. */
enum MHD_Result weft_engine_call_fail(struct MHD_Connection *connection, const weft_error *err);

/* embeddings.c */
enum MHD_Result weft_http_embeddings(weft_exchange *exchange, struct MHD_Connection *connection);

/* plan.c: measures the machine for plans, once, on a thread of its own while nothing else is at work. */
weft_status weft_measuring_start(weft_server *server, weft_error *err);
void weft_measuring_stop(weft_server *server); /* server->stopping is set */
enum MHD_Result weft_http_plan(weft_exchange *exchange, struct MHD_Connection *connection);

/* models.c */
weft_status weft_models_load(weft_server *server, weft_error *err);
const weft_server_model *weft_models_find(const weft_server *server, const char *id);
enum MHD_Result weft_http_models(weft_server *server, struct MHD_Connection *connection, const char *id);
enum MHD_Result weft_http_sample(weft_server *server, struct MHD_Connection *connection, const char *url);

/* files.c */
/* An uploaded file for a request; the descriptor is the caller's. */
weft_status weft_uploads_open(weft_server *server, const char *id, int *file, weft_error *err);
/* The headers of a form with a file have come. */
weft_status weft_upload_begin(weft_exchange *exchange, struct MHD_Connection *connection);
/* The headers of a part or a range of an upload have come; `rest` follows "/v1/uploads/". */
weft_status weft_upload_resume(weft_exchange *exchange, struct MHD_Connection *connection, const char *method,
                               const char *rest);
bool weft_upload_is_range(const weft_exchange *exchange);
/* Bytes of a range. */
void weft_upload_take(weft_exchange *exchange, const char *data, size_t size);
/* The body is complete: the last part ends when the form does. */
void weft_upload_finish(weft_exchange *exchange);
void weft_upload_free(weft_exchange *exchange);
enum MHD_Result weft_http_upload(weft_exchange *exchange, struct MHD_Connection *connection);
enum MHD_Result weft_http_upload_create(weft_exchange *exchange, struct MHD_Connection *connection);
enum MHD_Result weft_http_upload_part(weft_exchange *exchange, struct MHD_Connection *connection, const char *method,
                                      const char *rest);
enum MHD_Result weft_http_files(weft_server *server, struct MHD_Connection *connection);
enum MHD_Result weft_http_file(weft_server *server, struct MHD_Connection *connection, const char *method,
                               const char *rest);

/* indexer.c: makes indexes of uploaded videos, one segment after the other, on a thread of its own. It gives way to all
 * other requests, and takes up after a restart what is unfinished. Of several servers on one folder one is at work. */
weft_status weft_indexer_start(weft_server *server, weft_indexer **indexer, weft_error *err);
void weft_indexer_stop(weft_indexer *indexer); /* NULL is allowed; after the daemon, before the store closes */
void weft_indexer_wake(weft_indexer *indexer); /* there is something new to do */
void weft_indexer_interrupt(weft_indexer *indexer, const char *id); /* this index was cancelled or deleted */
/* Seconds until index `id` is complete, by the pace so far; -1: unknown. */
double weft_indexer_seconds_left(weft_indexer *indexer, const char *id, int64_t segments_left);
/* How the model is asked about a job's video; the name and URL borrow from `job`. */
weft_video_job weft_indexer_video_job(weft_server *server, const weft_job *job, const weft_server_model *model);
/* NOT_FOUND when the file of the job is gone; the job is then deleted. */
weft_status weft_indexer_check_file(weft_server *server, const weft_job *job, weft_error *err);

/* indexes.c */
enum MHD_Result weft_http_indexes(weft_exchange *exchange, struct MHD_Connection *connection, const char *method);
enum MHD_Result weft_http_index(weft_exchange *exchange, struct MHD_Connection *connection, const char *method,
                                const char *rest);
/* An uploaded file was deleted: so are its indexes. */
void weft_indexes_forget_file(weft_server *server, const char *file);

/* pages.c: pages of the PDF `id`; rest is empty, or the number of one. server->files is there. */
enum MHD_Result weft_http_document(weft_server *server, struct MHD_Connection *connection, const char *id, const char *rest);

/* deadlines.c: clients that send too slowly are cut off. */
typedef enum weft_deadline_phase {
    WEFT_DEADLINE_IDLE,  /* the next request may come, later */
    WEFT_DEADLINE_BODY,  /* the headers are here */
    WEFT_DEADLINE_BYTES, /* so many of the body have come */
    WEFT_DEADLINE_NONE,  /* it is the server's turn */
} weft_deadline_phase;
weft_status weft_deadlines_start(int seconds, weft_deadlines **deadlines, weft_error *err);
void weft_deadlines_stop(weft_deadlines *deadlines); /* after the daemon; NULL is allowed */
/* MHD's notice of connections that begin and end. */
void weft_deadlines_connection(void *deadlines, struct MHD_Connection *connection, void **state,
                               enum MHD_ConnectionNotificationCode code);
void weft_deadlines_enter(weft_deadlines *deadlines, struct MHD_Connection *connection, weft_deadline_phase phase,
                          uint64_t bytes);

/* page.c */
enum MHD_Result weft_http_page(struct MHD_Connection *connection, const char *url);

#endif
