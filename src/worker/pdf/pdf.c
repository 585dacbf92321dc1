/* weft-pdf: pages of PDF documents as pixels and as text with places. A program of its own because Poppler is GPL (this
 * program as a whole is therefore distributed under the GPL, version 2 or later); weft only speaks to it over a socket.
 *
 * Started by weft, see media/document.c; sandboxed before it reads its first record. Owns the document at hand, a mapping of
 * its file, and the memory that pixels go to. Poppler runs no scripts and follows no links; what it cannot survive ends this
 * process and nothing else. */
#include <cairo.h>
#include <gio/gio.h>
#include <math.h>
#include <poppler.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "media/document_wire.h"
#include "media/protocol.h"
#include "worker/pdf/fonts.h"
#include "worker/sandbox.h"

typedef struct pdf_worker {
    weft_wire_reader reader;
    PopplerDocument *document;
    const uint8_t *bytes; /* [size] of the file, for as long as the document is open */
    size_t size;
} pdf_worker;

static bool next_record(pdf_worker *w) {
    bool complete = false;
    weft_wire_reader_next(&w->reader);
    while (!complete)
        if (weft_wire_receive(WEFT_WIRE_FD, &w->reader, true, &complete, NULL) != WEFT_OK) return false;
    return true;
}

static bool send_record(const weft_wire *wire, const void *extra) { return weft_wire_send(WEFT_WIRE_FD, wire, extra, -1, NULL) == WEFT_OK; }

static bool send_failure(weft_status status, const char *message) {
    weft_wire wire = {.type = WEFT_WIRE_FAILED, .extra = (uint32_t)strlen(message), .n = {status}};
    return send_record(&wire, message);
}

/* ---- the document ---------------------------------------------------------------------------------------------- */

static void close_document(pdf_worker *w) {
    if (w->document) g_object_unref(w->document);
    if (w->bytes) munmap((void *)w->bytes, w->size);
    w->document = NULL;
    w->bytes = NULL;
}

/* With a password through a stream: Poppler's functions for memory read freed memory when it is wrong (they try a second
 * spelling on a stream that the first try has deleted; seen in 22.12). */
static PopplerDocument *open_bytes(const pdf_worker *w, const char *password, GError **error) {
    PopplerDocument *document;
    if (password) {
        GInputStream *stream = g_memory_input_stream_new_from_data(w->bytes, (gssize)w->size, NULL);
        document = poppler_document_new_from_stream(stream, (goffset)w->size, password, NULL, error);
        g_object_unref(stream);
    } else {
        GBytes *view = g_bytes_new_static(w->bytes, w->size);
        document = poppler_document_new_from_bytes(view, NULL, error);
        g_bytes_unref(view);
    }
    return document;
}

static bool answer_open(pdf_worker *w) {
    struct stat info;
    int file = w->reader.fd;
    w->reader.fd = -1;
    close_document(w);
    if (file < 0 || fstat(file, &info) != 0 || info.st_size < 1) return false;
    w->size = (size_t)info.st_size;
    void *bytes = mmap(NULL, w->size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED) return send_failure(WEFT_ERR_LIMIT, "the PDF is too large for its worker's memory");
    w->bytes = bytes;
    GError *error = NULL;
    w->document = open_bytes(w, w->reader.wire.extra ? w->reader.bytes : NULL, &error);
    if (!w->document) {
        bool locked = g_error_matches(error, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED);
        g_clear_error(&error);
        close_document(w);
        if (!locked) return send_failure(WEFT_ERR_FORMAT, "the PDF is malformed or truncated");
        weft_wire locked_wire = {.type = WEFT_WIRE_PDF_LOCKED};
        return send_record(&locked_wire, NULL);
    }
    int pages = poppler_document_get_n_pages(w->document);
    if (pages < 1) return send_failure(WEFT_ERR_FORMAT, "the PDF has no pages");
    weft_wire opened = {.type = WEFT_WIRE_PDF_OPENED, .n = {pages}};
    return send_record(&opened, NULL);
}

static PopplerPage *get_page(const pdf_worker *w, int64_t page) {
    return w->document && page >= 0 && page < poppler_document_get_n_pages(w->document) ? poppler_document_get_page(w->document, (int)page) : NULL;
}

static const char no_page[] = "the page cannot be read: the PDF is malformed";

static bool answer_page(pdf_worker *w) {
    PopplerPage *page = get_page(w, w->reader.wire.n[0]);
    if (!page) return send_failure(WEFT_ERR_FORMAT, no_page);
    weft_wire size = {.type = WEFT_WIRE_PDF_SIZE};
    poppler_page_get_size(page, &size.x[0], &size.x[1]);
    g_object_unref(page);
    return send_record(&size, NULL);
}

/* ---- pixels ---------------------------------------------------------------------------------------------------- */

static uint8_t *map_pixels(pdf_worker *w, size_t size) {
    struct stat info;
    if (!next_record(w) || w->reader.wire.type != WEFT_WIRE_MEMORY || w->reader.fd < 0) return NULL;
    bool fits = fstat(w->reader.fd, &info) == 0 && info.st_size >= 0 && (size_t)info.st_size == size;
    void *memory = fits ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, w->reader.fd, 0) : MAP_FAILED;
    close(w->reader.fd);
    w->reader.fd = -1;
    return memory == MAP_FAILED ? NULL : memory;
}

static bool send_pixels(pdf_worker *w, cairo_surface_t *surface, int width, int height) {
    size_t size = (size_t)width * (size_t)height * 3;
    weft_wire wire = {.type = WEFT_WIRE_SIZE, .n = {width, height, width, height}};
    uint8_t *out = send_record(&wire, NULL) ? map_pixels(w, size) : NULL;
    if (!out) return false;
    cairo_surface_flush(surface);
    const unsigned char *data = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t pixel; /* 0x..RRGGBB in the machine's order */
            memcpy(&pixel, data + (size_t)y * (size_t)stride + 4 * (size_t)x, 4);
            uint8_t *rgb = out + 3 * ((size_t)y * (size_t)width + (size_t)x);
            rgb[0] = (uint8_t)(pixel >> 16);
            rgb[1] = (uint8_t)(pixel >> 8);
            rgb[2] = (uint8_t)pixel;
        }
    munmap(out, size);
    wire = (weft_wire){.type = WEFT_WIRE_DONE};
    return send_record(&wire, NULL);
}

/* The page stretched to width x height pixels, on white. */
static bool answer_render(pdf_worker *w) {
    int64_t width = w->reader.wire.n[1], height = w->reader.wire.n[2];
    if (width < 1 || height < 1 || width > WEFT_PDF_SIDE_MAX || height > WEFT_PDF_SIDE_MAX) return false;
    PopplerPage *page = get_page(w, w->reader.wire.n[0]);
    double points_wide = 0, points_high = 0;
    if (page) poppler_page_get_size(page, &points_wide, &points_high);
    if (!page || !(points_wide > 0) || !(points_high > 0)) {
        if (page) g_object_unref(page);
        return send_failure(WEFT_ERR_FORMAT, no_page);
    }
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
    cairo_t *cairo = cairo_create(surface);
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_scale(cairo, (double)width / points_wide, (double)height / points_high);
    poppler_page_render(page, cairo);
    bool drawn = cairo_status(cairo) == CAIRO_STATUS_SUCCESS && cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS;
    bool going = drawn ? send_pixels(w, surface, (int)width, (int)height)
                       : send_failure(WEFT_ERR_FORMAT, "the page cannot be drawn: the PDF is malformed or needs too much memory");
    cairo_destroy(cairo);
    cairo_surface_destroy(surface);
    g_object_unref(page);
    return going;
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

typedef struct text_writer {
    char bytes[WEFT_WIRE_EXTRA_MAX];
    uint32_t used;
    int64_t total;
    bool broken;
} text_writer;

static void flush_text(text_writer *t, bool last) {
    weft_wire wire = {.type = WEFT_WIRE_PDF_TEXT, .extra = t->used, .n = {last}};
    if (!t->broken && (t->used || last)) t->broken = !send_record(&wire, t->bytes);
    t->used = 0;
}

/* One line: its box in thousandths of the page, then its text; cut when it is longer than a line can be. */
static void add_line(text_writer *t, const PopplerRectangle *box, double width, double height, const char *text, size_t size) {
    while (size > WEFT_PDF_LINE_MAX || (size && (text[size] & 0xc0) == 0x80)) size--; /* at a whole character */
    weft_pdf_line_wire line = {.size = (uint32_t)size};
    const double edges[4] = {box->x1 / width, box->y1 / height, box->x2 / width, box->y2 / height};
    for (int i = 0; i < 4; i++) line.box[i] = (float)(1000 * fmin(1, fmax(0, edges[i])));
    if (t->total >= WEFT_PDF_TEXT_MAX) return;
    if (sizeof line + size > sizeof t->bytes - t->used) flush_text(t, false);
    memcpy(t->bytes + t->used, &line, sizeof line);
    memcpy(t->bytes + t->used + sizeof line, text, size);
    t->used += (uint32_t)(sizeof line + size);
    t->total += (int64_t)size;
}

static void widen(PopplerRectangle *box, const PopplerRectangle *by, bool first) {
    if (first) {
        *box = *by;
        return;
    }
    box->x1 = fmin(box->x1, by->x1);
    box->y1 = fmin(box->y1, by->y1);
    box->x2 = fmax(box->x2, by->x2);
    box->y2 = fmax(box->y2, by->y2);
}

/* Poppler gives the page's text in reading order, and a box for each of its characters. */
static bool answer_text(pdf_worker *w) {
    PopplerPage *page = get_page(w, w->reader.wire.n[0]);
    if (!page) return send_failure(WEFT_ERR_FORMAT, no_page);
    static text_writer writer;
    writer.used = 0;
    writer.total = 0;
    writer.broken = false;
    double width = 1, height = 1;
    poppler_page_get_size(page, &width, &height);
    char *text = poppler_page_get_text(page);
    PopplerRectangle *boxes = NULL, box = {0, 0, 0, 0};
    guint count = 0, at = 0;
    poppler_page_get_text_layout(page, &boxes, &count);
    const char *line = text;
    bool empty = true;
    for (const char *c = text; c && width > 0 && height > 0; c = g_utf8_next_char(c)) {
        if (*c == '\n' || *c == 0) {
            if (!empty) add_line(&writer, &box, width, height, line, (size_t)(c - line));
            line = c + 1;
            empty = true;
        } else if (at < count && *c != ' ') {
            widen(&box, &boxes[at], empty);
            empty = false;
        }
        if (*c == 0) break;
        at++;
    }
    flush_text(&writer, true);
    g_free(boxes);
    g_free(text);
    g_object_unref(page);
    return !writer.broken;
}

/* ---- the program ----------------------------------------------------------------------------------------------- */

static int64_t option(int argc, char **argv, const char *name) {
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0) return strtoll(argv[i] + length, NULL, 10);
    return 0;
}

/* Types, tables and fonts that the libraries would look for when they first draw. */
static void warm_up(void) {
    weft_pdf_fonts_load();
    (void)poppler_document_get_type();
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 8, 8);
    cairo_t *cairo = cairo_create(surface);
    cairo_show_text(cairo, "a");
    cairo_destroy(cairo);
    cairo_surface_destroy(surface);
}

static bool answer(pdf_worker *w) {
    if (!next_record(w)) return false;
    switch (w->reader.wire.type) {
    case WEFT_WIRE_PDF_OPEN: return answer_open(w);
    case WEFT_WIRE_PDF_PAGE: return answer_page(w);
    case WEFT_WIRE_PDF_RENDER: return answer_render(w);
    case WEFT_WIRE_PDF_TEXT: return answer_text(w);
    default: return false;
    }
}

int main(int argc, char **argv) {
    struct stat info;
    if (fstat(WEFT_WIRE_FD, &info) != 0 || !S_ISSOCK(info.st_mode)) {
        static const char text[] = "This program draws PDF pages for weft and is started by it.\n";
        return write(2, text, sizeof text - 1) < 0 ? 1 : 2;
    }
    tzset();
    warm_up();
    unsigned guards = weft_sandbox_enter(option(argc, argv, "--memory="), option(argc, argv, "--cpu="), false);
    static pdf_worker worker;
    weft_wire_reader_init(&worker.reader);
    weft_wire hello = {.type = WEFT_WIRE_HELLO, .n = {WEFT_WIRE_VERSION, guards}};
    if (send_record(&hello, NULL))
        while (answer(&worker)) {}
    _exit(0);
}
