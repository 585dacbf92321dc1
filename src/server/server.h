/* The OpenAI-compatible server and the page.
 *
 * libmicrohttpd runs one thread per connection: a connection's thread waits for its request's events and writes them,
 * and never computes; the engine's thread does all work. Connections, bodies and uploads have named limits. */
#ifndef WEFT_SERVER_SERVER_H
#define WEFT_SERVER_SERVER_H

#include "base/status.h"
#include "weft.h"

#define WEFT_SERVER_FILES_QUOTA ((uint64_t)20 << 30)

typedef struct weft_server weft_server;

typedef struct weft_server_model {
    const char *id; /* as clients name it */
    const weft_model *model;
    weft_engine *engine;
    bool embedded;
    const char *samples; /* path of samples.json {"about", "samples": [{title, image, prompt, kind}]}, or NULL */
} weft_server_model;

typedef struct weft_server_options {
    const char *host;                /* NULL: 127.0.0.1 */
    int port;                        /* 0: any free one */
    const weft_server_model *models; /* [model_count], borrowed until stop */
    int model_count;
    const char *api_key;  /* NULL: none asked for */
    uint64_t request_bytes; /* of all requests in memory: bodies, and the files and URLs they name; 0: 2 GiB */
    int request_seconds;  /* in which a client must send a request's headers, and its body when it is short; 0: 60 */
    const char *data_dir; /* where uploaded files are kept; NULL: they are refused */
    uint64_t files_quota; /* bytes of all uploaded files; 0: WEFT_SERVER_FILES_QUOTA */
} weft_server_options;

weft_status weft_server_start(const weft_server_options *options, weft_server **server, weft_error *err);
int weft_server_port(const weft_server *server);
/* Ends all connections and their requests. */
void weft_server_stop(weft_server *server);

#endif
