/* GET /v1/files/{id}/pages: what a PDF document is; …/pages/{number}: a picture of one of its pages. For people who
 * choose pages, or want to see the one that an answer cites.
 *
 * Every request has a worker of its own, as everywhere; at most PAGES_AT_ONCE draw at a time, the others are told to
 * come again. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/png.h"
#include "server/server_internal.h"
#include "weft.h"

enum { PAGES_AT_ONCE = 4, WIDTH_DEFAULT = 900, WIDTH_MIN = 16, WIDTH_MAX = 4096, PASSWORD_MAX = 256 };

/* The header X-Document-Password, percent-encoded UTF-8. *given: there is one. False: malformed. */
static bool take_password(struct MHD_Connection *connection, char password[PASSWORD_MAX], bool *given) {
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Document-Password");
    *given = text != NULL;
    if (!text) return true;
    size_t n = strlen(text);
    if (n >= PASSWORD_MAX) return false;
    memcpy(password, text, n + 1);
    MHD_http_unescape(password);
    return true;
}

static enum MHD_Result send_description(struct MHD_Connection *connection, const weft_file_info *info, int file,
                                        const char *password) {
    weft_pdf_info pdf;
    weft_error err;
    if (weft_pdf_inspect(file, password, &pdf, &err) != WEFT_OK) return weft_http_fail(connection, &err);
    return weft_http_json(connection, MHD_HTTP_OK,
                          json_pack("{s:s, s:s, s:o, s:I, s:f, s:f}", "object", "document", "file_id", info->id,
                                    "filename", weft_object_text(info->name), "pages", (json_int_t)pdf.pages, "width",
                                    pdf.width, "height", pdf.height));
}

static enum MHD_Result send_page(weft_server *server, struct MHD_Connection *connection, int file, const char *password,
                                 int64_t page, int64_t width) {
    weft_pdf_page drawn;
    weft_error err;
    uint8_t *png = NULL;
    size_t size = 0;
    if (weft_pdf_draw(file, password, page, width, &drawn, &err) != WEFT_OK) return weft_http_fail(connection, &err);
    uint64_t bytes = 3 * (uint64_t)drawn.width * (uint64_t)drawn.height * 3; /* pixels, rows, file */
    if (!weft_http_reserve(server, bytes)) {
        weft_free(drawn.rgb);
        return weft_http_error(connection, 503, "server_error", "busy",
                               "other large requests fill the memory for requests: try again later");
    }
    weft_status status = weft_png_write(drawn.rgb, (uint32_t)drawn.width, (uint32_t)drawn.height, &png, &size, &err);
    weft_free(drawn.rgb);
    weft_http_release(server, bytes);
    if (status != WEFT_OK) return weft_http_fail(connection, &err);
    struct MHD_Response *response = MHD_create_response_from_buffer(size, png, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(png);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "image/png");
    MHD_add_response_header(response, "Cache-Control", "private, no-store"); /* it may be of an encrypted document */
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result weft_http_document(weft_server *server, struct MHD_Connection *connection, const char *id,
                                   const char *rest) {
    char password[PASSWORD_MAX], *end = NULL;
    bool given;
    const char *asked = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "width");
    long long page = *rest ? strtoll(rest, &end, 10) : 0, width = asked ? strtoll(asked, NULL, 10) : WIDTH_DEFAULT;
    if (*rest && (*rest < '0' || *rest > '9' || *end || page < 1))
        return weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such page");
    if (width < WIDTH_MIN || width > WIDTH_MAX)
        return weft_http_error(connection, 400, "invalid_request_error", NULL,
                               "'width' must be between 16 and 4096 pixels");
    if (!take_password(connection, password, &given))
        return weft_http_error(connection, 400, "invalid_request_error", NULL, "the password is too long");
    int file;
    weft_file_info info;
    weft_error err;
    if (weft_files_read(server->files, id, &file, &info, &err) != WEFT_OK)
        return err.status == WEFT_ERR_NOT_FOUND
                   ? weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such file")
                   : weft_http_fail(connection, &err);
    enum MHD_Result result;
    if (atomic_fetch_add(&server->drawing, 1) >= PAGES_AT_ONCE)
        result = weft_http_error(connection, 503, "server_error", "busy",
                                 "other pages are being drawn: try again in a moment");
    else
        result = page ? send_page(server, connection, file, given ? password : NULL, page, width)
                      : send_description(connection, &info, file, given ? password : NULL);
    atomic_fetch_sub(&server->drawing, 1);
    close(file);
    return result;
}
