/* From the URL of a media part to its bytes: data: URLs, file: URLs under the allowed roots, and the caller's resolver. */
#ifndef WEFT_ENGINE_MEDIA_SOURCE_H
#define WEFT_ENGINE_MEDIA_SOURCE_H

#include "base/status.h"
#include "weft.h"

enum { WEFT_MEDIA_BYTES_MAX = 256 << 20 }; /* of one encoded picture or clip */

typedef struct weft_media_policy {
    const char *const *roots; /* NULL-terminated folders that file: URLs may point into; NULL: none */
    weft_media_resolver *resolve;
    void *resolve_context;
} weft_media_policy;

/* *data is malloc'ed, the caller's. Errors name the part of the URL that is wrong, never the data. */
weft_status weft_media_fetch(const char *url, const weft_media_policy *policy, void **data, size_t *size, weft_error *err);

#endif
