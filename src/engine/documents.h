/* Documents of a request: {"type": "file", "file": {"file_id" | "file_data" | "url", …}} parts become what a model can read.
 *
 * A PDF becomes, page by page, a line that names file and page (so that an answer can cite it), a picture of the page, its text
 * layer, or both. Pages are drawn on the submitting thread by the worker weft-pdf, straight at the size that the
 * encoder takes, and held as pixels until they are encoded; a prompt that they make too long for the context is refused without that. A file that is a picture or a clip becomes such a part. */
#ifndef WEFT_ENGINE_DOCUMENTS_H
#define WEFT_ENGINE_DOCUMENTS_H

#include <jansson.h>

#include "engine/media_source.h"
#include "engine/model.h"

enum {
    WEFT_DOCUMENT_REQUEST_PAGES_MAX = 1000, /* drawn or read for one request */
    WEFT_DOCUMENT_DPI = 100,
    WEFT_DOCUMENT_DPI_MAX = 600,
};

typedef struct weft_rendered_page {
    const json_t *part; /* of the messages, that shows it */
    uint8_t *rgb;       /* [height, width, 3], owned; NULL: not drawn, since only its size matters */
    int64_t width, height;
} weft_rendered_page;

typedef struct weft_rendered_pages { /* in the order of their parts */
    weft_rendered_page *pages;
    int64_t count, capacity;
    int64_t seen;   /* pages of documents so far, read as text ones included */
    int64_t tokens; /* of their pictures */
} weft_rendered_pages;
void weft_rendered_pages_free(weft_rendered_pages *pages);

/* Replaces the file parts of `messages`. Errors name the file. */
weft_status weft_documents_expand(const weft_model *model, json_t *messages, const weft_media_policy *policy, weft_rendered_pages *pages, weft_error *err);

#endif
