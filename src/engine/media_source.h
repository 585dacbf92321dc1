/* From the URL of a media part to its bytes: data: URLs, file: URLs under the allowed roots, http: and https: URLs when they
 * are allowed, and the caller's resolver. */
#ifndef WEFT_ENGINE_MEDIA_SOURCE_H
#define WEFT_ENGINE_MEDIA_SOURCE_H

#include "base/status.h"
#include "net/address.h"
#include "weft.h"

enum { WEFT_MEDIA_BYTES_MAX = 256 << 20 }; /* of one encoded picture or clip */

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
} weft_media_policy;

/* *data is malloc'ed, the caller's. Errors name the part of the URL that is wrong, never the data. */
weft_status weft_media_fetch(const char *url, const weft_media_policy *policy, void **data, size_t *size, weft_error *err);

#endif
