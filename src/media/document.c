/* Pages of a PDF document: see document.h. Every number that the worker says is checked here. */
#include "media/document.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "media/process.h"

struct weft_document {
    weft_media_process process;
    weft_media_limits limits;
    int fd;
    char password[WEFT_PDF_PASSWORD_MAX + 1];
    int64_t pages;
    int memory_fd;
    const uint8_t *memory; /* [memory_size] of the page drawn last */
    size_t memory_size;
    weft_buffer text;
    weft_document_line *lines;
    size_t line_count;
};

static void drop_memory(weft_document *d) {
    if (d->memory) munmap((void *)d->memory, d->memory_size);
    if (d->memory_fd >= 0) close(d->memory_fd);
    d->memory = NULL;
    d->memory_fd = -1;
}

static weft_status protocol_fault(weft_document *d, weft_error *err) {
    weft_media_process_stop(&d->process);
    return weft_fail(err, WEFT_ERR_FORMAT, "the worker for PDF broke its protocol; nothing else is harmed");
}

/* Sends one record and waits for the answer. */
static weft_status receive(weft_document *d, double deadline_ms, const weft_wire_reader **record, weft_error *err) {
    *record = NULL;
    while (!*record) {
        double left = deadline_ms - weft_now_ms();
        WEFT_TRY(weft_media_process_receive(&d->process, left > 0 ? (int)left + 1 : 0, record, err));
        if (!*record && weft_now_ms() >= deadline_ms) {
            weft_media_process_stop(&d->process);
            return weft_fail(err, WEFT_ERR_LIMIT, "the PDF took over %g seconds", d->limits.seconds_max);
        }
    }
    return WEFT_OK;
}

static weft_status ask(weft_document *d, const weft_wire *wire, const void *extra, int fd, const weft_wire_reader **record, weft_error *err) {
    if (weft_wire_send(d->process.socket, wire, extra, fd, err) != WEFT_OK) {
        weft_media_process_stop(&d->process);
        return weft_fail(err, WEFT_ERR_FORMAT, "the worker for PDF has ended: the document is damaged or hostile");
    }
    return receive(d, weft_now_ms() + d->limits.seconds_max * 1e3, record, err);
}

/* Starts the worker, if it is not there, and opens the document in it. */
static weft_status bring_up(weft_document *d, bool *locked, weft_error *err) {
    if (weft_media_process_running(&d->process)) return WEFT_OK;
    const weft_wire_reader *record;
    WEFT_TRY(weft_media_process_start(&d->process, "weft-pdf", &d->limits, err));
    weft_wire open = {.type = WEFT_WIRE_PDF_OPEN, .extra = (uint32_t)strlen(d->password)};
    WEFT_TRY(ask(d, &open, d->password, d->fd, &record, err));
    if (record->wire.type == WEFT_WIRE_PDF_LOCKED) {
        if (locked) *locked = true;
        return weft_fail(err, WEFT_ERR_INVALID, "%s", d->password[0] ? "the PDF is encrypted and does not open with this password" : "the PDF is encrypted: give its password");
    }
    int64_t pages = record->wire.n[0];
    if (record->wire.type != WEFT_WIRE_PDF_OPENED || pages < 1 || pages > WEFT_DOCUMENT_PAGES_MAX || (d->pages && d->pages != pages)) return protocol_fault(d, err);
    d->pages = pages;
    return WEFT_OK;
}

weft_status weft_document_open(int fd, const char *password, const weft_media_limits *limits, weft_document **out, bool *locked, weft_error *err) {
    *out = NULL;
    if (locked) *locked = false;
    if (password && strlen(password) > WEFT_PDF_PASSWORD_MAX) return weft_fail(err, WEFT_ERR_INVALID, "the PDF's password is over %d bytes", WEFT_PDF_PASSWORD_MAX);
    weft_document *d = calloc(1, sizeof *d);
    if (!d) return weft_fail(err, WEFT_ERR_MEMORY, "PDF: no memory");
    d->limits = limits ? *limits : weft_media_default_limits;
    d->fd = fd;
    d->memory_fd = -1;
    if (password) memcpy(d->password, password, strlen(password));
    weft_buffer_init(&d->text, 2 * WEFT_PDF_TEXT_MAX + WEFT_PDF_LINES_MAX * sizeof(weft_pdf_line_wire), "the text of a PDF page");
    weft_status status = bring_up(d, locked, err);
    if (status != WEFT_OK)
        weft_document_close(d);
    else
        *out = d;
    return status;
}

void weft_document_close(weft_document *d) {
    if (!d) return;
    weft_media_process_stop(&d->process);
    drop_memory(d);
    weft_buffer_free(&d->text);
    free(d->lines);
    explicit_bzero(d->password, sizeof d->password);
    free(d);
}

int64_t weft_document_pages(const weft_document *d) { return d->pages; }

static weft_status check_page(weft_document *d, int64_t page, weft_error *err) {
    if (page < 0 || page >= d->pages)
        return weft_fail(err, WEFT_ERR_INVALID, "there is no page %lld: the PDF has %lld", (long long)page + 1, (long long)d->pages);
    return bring_up(d, NULL, err);
}

weft_status weft_document_page_size(weft_document *d, int64_t page, double *width, double *height, weft_error *err) {
    const weft_wire_reader *record;
    WEFT_TRY(check_page(d, page, err));
    weft_wire wire = {.type = WEFT_WIRE_PDF_PAGE, .n = {page}};
    WEFT_TRY(ask(d, &wire, NULL, -1, &record, err));
    *width = record->wire.x[0];
    *height = record->wire.x[1];
    if (record->wire.type != WEFT_WIRE_PDF_SIZE || !isfinite(*width) || !isfinite(*height)) return protocol_fault(d, err);
    if (!(*width > 0 && *height > 0 && *width < 1e6 && *height < 1e6))
        return weft_fail(err, WEFT_ERR_FORMAT, "page %lld has no usable size", (long long)page + 1);
    return WEFT_OK;
}

weft_status weft_document_render(weft_document *d, int64_t page, int64_t width, int64_t height, const uint8_t **rgb, weft_error *err) {
    const weft_wire_reader *record;
    WEFT_TRY(check_page(d, page, err));
    if (width < 1 || height < 1 || width > WEFT_PDF_SIDE_MAX || height > WEFT_PDF_SIDE_MAX || width > d->limits.pixels_max / height)
        return weft_fail(err, WEFT_ERR_LIMIT, "a page of %lld x %lld pixels is over the limit", (long long)width, (long long)height);
    weft_wire wire = {.type = WEFT_WIRE_PDF_RENDER, .n = {page, width, height}};
    weft_status status = ask(d, &wire, NULL, -1, &record, err);
    if (status != WEFT_OK) {
        weft_error_prefix(err, "page %lld", (long long)page + 1);
        return status;
    }
    if (record->wire.type != WEFT_WIRE_SIZE || record->wire.n[0] != width || record->wire.n[1] != height) return protocol_fault(d, err);
    drop_memory(d);
    d->memory_size = (size_t)width * (size_t)height * 3;
    WEFT_TRY(weft_media_share(d->memory_size, &d->memory_fd, &d->memory, err));
    wire = (weft_wire){.type = WEFT_WIRE_MEMORY, .n = {(int64_t)d->memory_size}};
    WEFT_TRY(ask(d, &wire, NULL, d->memory_fd, &record, err));
    if (record->wire.type != WEFT_WIRE_DONE) return protocol_fault(d, err);
    *rgb = d->memory;
    return WEFT_OK;
}

/* Cuts the gathered bytes into lines. False when they are not what the protocol says. */
static bool cut_lines(weft_document *d) {
    size_t capacity = 0;
    d->line_count = 0;
    for (size_t at = 0; at < d->text.size;) {
        weft_pdf_line_wire head;
        if (d->text.size - at < sizeof head || d->line_count >= WEFT_PDF_LINES_MAX) return false;
        memcpy(&head, d->text.data + at, sizeof head);
        at += sizeof head;
        if (head.size > d->text.size - at) return false;
        for (int i = 0; i < 4; i++)
            if (!(head.box[i] >= 0 && head.box[i] <= 1000)) return false;
        if (d->line_count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            weft_document_line *grown = realloc(d->lines, capacity * sizeof *grown);
            if (!grown) return false;
            d->lines = grown;
        }
        weft_document_line *line = &d->lines[d->line_count++];
        memcpy(line->box, head.box, sizeof line->box);
        line->text = d->text.data + at;
        line->size = head.size;
        at += head.size;
    }
    return true;
}

weft_status weft_document_text(weft_document *d, int64_t page, const weft_document_line **lines, size_t *count, weft_error *err) {
    const weft_wire_reader *record;
    WEFT_TRY(check_page(d, page, err));
    weft_buffer_clear(&d->text);
    weft_wire wire = {.type = WEFT_WIRE_PDF_TEXT, .n = {page}};
    WEFT_TRY(ask(d, &wire, NULL, -1, &record, err));
    for (bool last = false; !last;) {
        if (record->wire.type != WEFT_WIRE_PDF_TEXT) return protocol_fault(d, err);
        last = record->wire.n[0] != 0;
        if (!last && record->wire.extra == 0) return protocol_fault(d, err);
        WEFT_TRY(weft_buffer_append(&d->text, record->bytes, record->wire.extra, err));
        if (!last) WEFT_TRY(receive(d, weft_now_ms() + d->limits.seconds_max * 1e3, &record, err));
    }
    free(d->lines);
    d->lines = NULL;
    if (!cut_lines(d)) return protocol_fault(d, err);
    *lines = d->lines;
    *count = d->line_count;
    return WEFT_OK;
}
