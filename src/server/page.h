/* The page's files, packed into the program at build time (cmake/web.cmake). */
#ifndef WEFT_SERVER_PAGE_H
#define WEFT_SERVER_PAGE_H

typedef struct weft_page_resource {
    const char *url, *type, *etag;
    const unsigned char *begin, *end;
} weft_page_resource;

extern const weft_page_resource weft_page_resources[];
extern const unsigned weft_page_resource_count;
extern const char weft_page_csp[]; /* the Content-Security-Policy that the page is written for */

#endif
