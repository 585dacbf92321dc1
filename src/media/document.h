/* Pages of a PDF document, drawn and read by the worker program weft-pdf (see document_wire.h).
 *
 * A document belongs to one request and one thread at a time; its worker is started when it is opened, and killed when it
 * is closed, gets stuck or breaks the protocol. The next call then starts another. This side never parses PDF. */
#ifndef WEFT_MEDIA_DOCUMENT_H
#define WEFT_MEDIA_DOCUMENT_H

#include "media/document_wire.h"
#include "media/media.h"

enum { WEFT_DOCUMENT_PAGES_MAX = 1 << 24 };

typedef struct weft_document weft_document;

typedef struct weft_document_line { /* one line of text, in reading order */
    float box[4];                   /* x1, y1, x2, y2 in thousandths of the page, from its upper left corner */
    const char *text;               /* UTF-8, one line */
    size_t size;
} weft_document_line;

/* `fd`: a regular file or sealed memory, open for reading; stays the caller's and must stay open as long as the document.
 * `password` NULL: none. An encrypted document without its password is WEFT_ERR_INVALID with *locked true (may be NULL).
 * `limits` NULL: the defaults. */
weft_status weft_document_open(int fd, const char *password, const weft_media_limits *limits, weft_document **document,
                               bool *locked, weft_error *err);
void weft_document_close(weft_document *document); /* NULL is allowed */

int64_t weft_document_pages(const weft_document *document);
/* Size of a page (from 0) in points, 72 an inch, turned as it is shown. */
weft_status weft_document_page_size(weft_document *document, int64_t page, double *width, double *height, weft_error *err);
/* Draws a page on white, stretched to width x height. *rgb is [height, width, 3], valid until the next call. */
weft_status weft_document_render(weft_document *document, int64_t page, int64_t width, int64_t height, const uint8_t **rgb,
                                 weft_error *err);
/* Its text layer. *lines is [*count], the document's until the next call. */
weft_status weft_document_text(weft_document *document, int64_t page, const weft_document_line **lines, size_t *count,
                               weft_error *err);

#endif
