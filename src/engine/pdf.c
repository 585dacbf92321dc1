/* Pages of PDF documents for the faces: see weft.h. Drawn by the same worker as for requests (media/document.h). */
#include <stdlib.h>
#include <string.h>

#include "media/document.h"
#include "weft.h"

enum { PIXELS_MAX = 16 << 20 /* of a page for a person */ };

static weft_status open_document(int file, const char *password, weft_document **document, weft_error *err) {
    bool locked;
    weft_status status = weft_document_open(file, password, NULL, document, &locked, err);
    if (locked)
        return weft_fail(err, WEFT_ERR_LOCKED,
                         password ? "the PDF is encrypted and does not open with this password"
                                  : "the PDF is encrypted: give its password");
    return status;
}

weft_status weft_pdf_inspect(int file, const char *password, weft_pdf_info *info, weft_error *err) {
    weft_document *document;
    WEFT_TRY(open_document(file, password, &document, err));
    *info = (weft_pdf_info){.pages = weft_document_pages(document)};
    weft_status status =
        info->pages > 0 ? weft_document_page_size(document, 0, &info->width, &info->height, err) : WEFT_OK;
    weft_document_close(document);
    return status;
}

static weft_status draw(weft_document *document, int64_t page, int64_t width, weft_pdf_page *out, weft_error *err) {
    double wide, high;
    const uint8_t *rgb;
    if (page < 1 || page > weft_document_pages(document))
        return weft_fail(err, WEFT_ERR_NOT_FOUND, "there is no page %lld: the PDF has %lld", (long long)page,
                         (long long)weft_document_pages(document));
    WEFT_TRY(weft_document_page_size(document, page - 1, &wide, &high, err));
    double height = wide > 0 ? (double)width * high / wide + 0.5 : 0;
    if (!(height >= 1)) height = 1;
    if (height * (double)width > PIXELS_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "page %lld is too long for a picture %lld wide", (long long)page,
                         (long long)width);
    WEFT_TRY(weft_document_render(document, page - 1, width, (int64_t)height, &rgb, err));
    *out = (weft_pdf_page){.width = width, .height = (int64_t)height};
    size_t bytes = (size_t)(out->width * out->height * 3);
    out->rgb = malloc(bytes);
    if (!out->rgb) return weft_fail(err, WEFT_ERR_MEMORY, "PDF: no memory for page %lld", (long long)page);
    memcpy(out->rgb, rgb, bytes);
    return WEFT_OK;
}

weft_status weft_pdf_draw(int file, const char *password, int64_t page, int64_t width, weft_pdf_page *out,
                          weft_error *err) {
    weft_document *document;
    WEFT_TRY(open_document(file, password, &document, err));
    weft_status status = draw(document, page, width, out, err);
    weft_document_close(document);
    return status;
}
