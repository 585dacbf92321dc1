/* The page's files: see page.h. */
#include "server/page.h"

#include <string.h>

#include "server/server_internal.h"

enum MHD_Result weft_http_page(struct MHD_Connection *connection, const char *url) {
    if (strcmp(url, "/") == 0) url = "/index.html";
    if (strcmp(url, "/favicon.ico") == 0) url = "/favicon.svg";
    const weft_page_resource *found = NULL;
    for (unsigned i = 0; i < weft_page_resource_count && !found; i++)
        if (strcmp(weft_page_resources[i].url, url) == 0) found = &weft_page_resources[i];
    if (!found)
        return weft_http_error(connection, 404, "invalid_request_error", "not_found",
                               "there is nothing at this address; the API is under /v1/");
    const char *known = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-None-Match");
    bool same = known && strcmp(known, found->etag) == 0;
    size_t size = same ? 0 : (size_t)(found->end - found->begin);
    struct MHD_Response *response = MHD_create_response_from_buffer(size, (void *)found->begin, MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Content-Type", found->type);
    MHD_add_response_header(response, "ETag", found->etag);
    MHD_add_response_header(response, "Cache-Control", "no-cache"); /* asked for again, answered by 304 */
    MHD_add_response_header(response, "Content-Security-Policy", weft_page_csp);
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}
