/* What a document's session and weft-pdf say to each other, over the records of protocol.h:
 *
 *   -> PDF_OPEN    fd: the file; extra: the password   <- PDF_OPENED n: pages, or PDF_LOCKED: a (better) password is needed
 *   -> PDF_PAGE    n: page, from 0                     <- PDF_SIZE   x: width, height in points, as shown
 *   -> PDF_RENDER  n: page, width, height in pixels    <- SIZE, then MEMORY and DONE as for a picture
 *   -> PDF_TEXT    n: page                             <- PDF_TEXT   n: 1 for the last; extra: lines, each a weft_pdf_line_wire
 *                                                                    and its UTF-8 */
#ifndef WEFT_MEDIA_DOCUMENT_WIRE_H
#define WEFT_MEDIA_DOCUMENT_WIRE_H

#include <stdint.h>

enum { /* between WEFT_WIRE_FAILED and WEFT_WIRE_LAST */
    WEFT_WIRE_PDF_OPEN = 0x57460040,
    WEFT_WIRE_PDF_OPENED,
    WEFT_WIRE_PDF_LOCKED,
    WEFT_WIRE_PDF_PAGE,
    WEFT_WIRE_PDF_SIZE,
    WEFT_WIRE_PDF_RENDER,
    WEFT_WIRE_PDF_TEXT,
};

enum {
    WEFT_PDF_SIDE_MAX = 16384,    /* pixels of a rendered page's side */
    WEFT_PDF_LINE_MAX = 8192,     /* bytes of one line of text */
    WEFT_PDF_TEXT_MAX = 1 << 20,  /* bytes of one page's text */
    WEFT_PDF_LINES_MAX = 100000,  /* lines of one page */
    WEFT_PDF_PASSWORD_MAX = 1024, /* bytes */
};

typedef struct weft_pdf_line_wire {
    float box[4]; /* x1, y1, x2, y2 in thousandths of the page, from its upper left corner */
    uint32_t size;
} weft_pdf_line_wire;

#endif
