/* From the URL of a media part to its bytes: data: URLs, file: URLs under the allowed roots, http: and https: URLs when they
 * are allowed, and the caller's resolver. */
#ifndef WEFT_ENGINE_MEDIA_SOURCE_H
#define WEFT_ENGINE_MEDIA_SOURCE_H

#include "base/status.h"
#include "net/address.h"
#include "weft.h"

enum { WEFT_MEDIA_BYTES_MAX = 256 << 20 }; /* of one data: URL, or one file from the network */

enum { WEFT_MEDIA_NETWORKS_MAX = 64 };

/* What the requests of an engine may name. */
typedef struct weft_media_sources {
    char **roots; /* owned copies, NULL-terminated: folders that file: URLs may point into */
    bool allow_urls;
    weft_network networks[WEFT_MEDIA_NETWORKS_MAX]; /* that URLs may lead to although they are not public */
    int network_count;
    uint64_t url_bytes_max;
    int url_seconds_max;
} weft_media_sources;

weft_status weft_media_sources_init(weft_media_sources *sources, const weft_engine_options *options, weft_error *err);
void weft_media_sources_free(weft_media_sources *sources); /* a zeroed one is fine */

typedef struct weft_media_policy {
    const weft_media_sources *sources;
    const weft_request_options *request; /* resolve, reserve, cancelled */
    int64_t tokens_max; /* pages of documents are not drawn when their pictures alone have more tokens; 0: never (a plan) */
} weft_media_policy;

typedef struct weft_media_bytes { /* of one file: in memory, or behind a descriptor */
    void *data; /* owned */
    size_t size;
    int file; /* descriptor + 1 of a regular file open for reading, 0: the bytes are in `data`; owned */
} weft_media_bytes;

/* data: URLs come as bytes, all others as a file. Errors name the part of the URL that is wrong, never the data. */
weft_status weft_media_fetch(const char *url, const weft_media_policy *policy, weft_media_bytes *bytes, weft_error *err);

#endif
