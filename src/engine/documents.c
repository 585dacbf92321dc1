/* Documents of a request: see documents.h. */
#include "engine/documents.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "media/document.h"
#include "vision/vision.h"

enum { SNIFF_BYTES = 1024, NAME_MAX_BYTES = 200, TEXT_MAX = 4 << 20 };

typedef struct document_options {
    char name[NAME_MAX_BYTES + 1];
    const char *ranges, *password;
    double dpi;
    int64_t min_pixels, max_pixels;
    bool pictures, text, boxes;
    bool draws; /* the pictures, else only their sizes */
} document_options;

typedef struct document_job {
    const weft_model *model;
    const weft_media_policy *policy;
    weft_rendered_pages *pages;
    json_t *content; /* the new one */
    const json_t *part;
    document_options options;
} document_job;

void weft_rendered_pages_free(weft_rendered_pages *pages) {
    for (int64_t i = 0; i < pages->count; i++) free(pages->pages[i].rgb);
    free(pages->pages);
    *pages = (weft_rendered_pages){0};
}

/* ---- options --------------------------------------------------------------------------------------------------- */

static weft_status take_number(const json_t *object, const char *key, double low, double high, double *value, weft_error *err) {
    const json_t *item = json_object_get(object, key);
    if (!item || json_is_null(item)) return WEFT_OK;
    double number = json_number_value(item);
    if (!json_is_number(item) || !(number >= low && number <= high))
        return weft_fail(err, WEFT_ERR_INVALID, "'%s' of the file must be a number between %g and %g", key, low, high);
    *value = number;
    return WEFT_OK;
}

static weft_status read_options(const weft_model *model, const json_t *file, document_options *o, weft_error *err) {
    const char *name = json_string_value(json_object_get(file, "filename")), *mode = json_string_value(json_object_get(file, "mode"));
    *o = (document_options){.dpi = WEFT_DOCUMENT_DPI, .pictures = true, .text = true};
    snprintf(o->name, sizeof o->name, "%.100s", name && *name ? name : "document");
    for (char *c = o->name; *c; c++)
        if ((unsigned char)*c < ' ' || strchr("[]<>|", *c)) *c = '_';
    o->ranges = json_string_value(json_object_get(file, "pages"));
    o->password = json_string_value(json_object_get(file, "password"));
    o->boxes = json_is_true(json_object_get(file, "boxes"));
    if (mode) {
        o->pictures = strcmp(mode, "pages") == 0 || strcmp(mode, "both") == 0;
        o->text = strcmp(mode, "text") == 0 || strcmp(mode, "both") == 0;
        if (!o->pictures && !o->text) return weft_fail(err, WEFT_ERR_INVALID, "'mode' of the file must be \"pages\", \"text\" or \"both\"");
    }
    if (!model->config->vision.present) {
        if (mode && o->pictures) return weft_fail(err, WEFT_ERR_INVALID, "this model takes text only: ask for \"mode\": \"text\"");
        o->pictures = false;
    }
    const weft_vision_config *v = &model->config->vision;
    double most = (double)model->config->image.max_pixels, least = (double)model->config->image.min_pixels, tokens = 0, token_area = (double)(v->patch_size * v->merge_size);
    WEFT_TRY(take_number(file, "dpi", 10, WEFT_DOCUMENT_DPI_MAX, &o->dpi, err));
    WEFT_TRY(take_number(file, "max_pixels", 1, 1e9, &most, err));
    WEFT_TRY(take_number(file, "page_tokens", 1, 1e6, &tokens, err));
    if (tokens > 0) { /* as large as the budget allows, whatever the dpi */
        most = tokens * token_area * token_area;
        if (!json_object_get(file, "dpi")) o->dpi = WEFT_DOCUMENT_DPI_MAX;
    }
    o->max_pixels = (int64_t)most;
    o->min_pixels = (int64_t)(least < most ? least : most);
    return WEFT_OK;
}

/* "1-3,7,10-": calls visit for each page, from 0, in the order written. */
static weft_status each_page(document_job *job, weft_document *document, weft_status (*visit)(document_job *job, weft_document *document, int64_t page, weft_error *err),
                             weft_error *err) {
    int64_t pages = weft_document_pages(document);
    const char *p = job->options.ranges ? job->options.ranges : "1-";
    do {
        char *end;
        long long first = strtoll(p, &end, 10), last = first;
        bool valid = *p >= '0' && *p <= '9' && end != p;
        if (valid && *end == '-') {
            p = end + 1;
            last = *p >= '0' && *p <= '9' ? strtoll(p, &end, 10) : (end = (char *)p, (long long)pages);
        }
        if (!valid || (*end && *end != ',') || first < 1 || last < first)
            return weft_fail(err, WEFT_ERR_INVALID, "'pages' is '%.100s': write it as \"1-3,7\"", job->options.ranges);
        if (last > pages) return weft_fail(err, WEFT_ERR_INVALID, "there is no page %lld: the PDF has %lld", last, (long long)pages);
        if (last - first >= WEFT_DOCUMENT_REQUEST_PAGES_MAX - job->pages->seen)
            return weft_fail(err, WEFT_ERR_LIMIT, "more than %d pages in one request: choose some of the PDF's %lld ('pages': \"1-20\")", WEFT_DOCUMENT_REQUEST_PAGES_MAX,
                             (long long)pages);
        for (long long page = first; page <= last; page++) {
            const weft_request_options *request = job->policy->request;
            if (request->cancelled && request->cancelled(request->cancelled_context)) return weft_fail(err, WEFT_ERR_CANCELLED, "cancelled");
            job->pages->seen++;
            WEFT_TRY(visit(job, document, page - 1, err));
        }
        p = *end ? end + 1 : end;
    } while (*p);
    return WEFT_OK;
}

/* ---- pages ----------------------------------------------------------------------------------------------------- */

static weft_status add_text(document_job *job, const char *text, size_t size, weft_error *err) {
    json_t *string = json_stringn(text, size);
    if (!string) return weft_fail(err, WEFT_ERR_FORMAT, "the PDF's text is not UTF-8");
    json_array_append_new(job->content, json_pack("{s:s, s:o}", "type", "text", "text", string));
    return WEFT_OK;
}

/* Of the picture that the encoder takes. */
static weft_status picture_size(const document_job *job, weft_document *document, int64_t page, int64_t *width, int64_t *height, weft_error *err) {
    const weft_vision_config *v = &job->model->config->vision;
    const document_options *o = &job->options;
    double wide, high;
    WEFT_TRY(weft_document_page_size(document, page, &wide, &high, err));
    int64_t asked_width = (int64_t)fmax(1, wide * o->dpi / 72 + 0.5), asked_height = (int64_t)fmax(1, high * o->dpi / 72 + 0.5);
    return weft_smart_resize(asked_width, asked_height, v->patch_size * v->merge_size, o->min_pixels, o->max_pixels, width, height, err);
}

static weft_status count_tokens(document_job *job, weft_document *document, int64_t page, weft_error *err) {
    int64_t width, height, side = job->model->config->vision.patch_size * job->model->config->vision.merge_size;
    WEFT_TRY(picture_size(job, document, page, &width, &height, err));
    job->pages->tokens += width / side * (height / side);
    return WEFT_OK;
}

static weft_status draw(document_job *job, weft_document *document, int64_t page, int64_t width, int64_t height, uint8_t **copy, weft_error *err) {
    size_t bytes = (size_t)(width * height * 3);
    const weft_request_options *request = job->policy->request;
    const uint8_t *rgb;
    WEFT_TRY(weft_document_render(document, page, width, height, &rgb, err));
    if (request->reserve) WEFT_TRY(request->reserve(request->reserve_context, bytes, err));
    *copy = malloc(bytes);
    if (!*copy) return weft_fail(err, WEFT_ERR_MEMORY, "PDF: no memory for page %lld", (long long)page + 1);
    memcpy(*copy, rgb, bytes);
    return WEFT_OK;
}

static weft_status add_picture(document_job *job, weft_document *document, int64_t page, weft_error *err) {
    weft_rendered_pages *pages = job->pages;
    int64_t width, height;
    uint8_t *copy = NULL;
    WEFT_TRY(picture_size(job, document, page, &width, &height, err));
    if (pages->count == pages->capacity) {
        int64_t capacity = pages->capacity ? 2 * pages->capacity : 16;
        weft_rendered_page *grown = realloc(pages->pages, (size_t)capacity * sizeof *grown);
        if (!grown) return weft_fail(err, WEFT_ERR_MEMORY, "PDF: no memory");
        pages->pages = grown;
        pages->capacity = capacity;
    }
    if (job->options.draws) WEFT_TRY(draw(job, document, page, width, height, &copy, err));
    json_t *part = json_pack("{s:s}", "type", "image");
    if (!part) {
        free(copy);
        return weft_fail(err, WEFT_ERR_MEMORY, "PDF: no memory for page %lld", (long long)page + 1);
    }
    pages->pages[pages->count++] = (weft_rendered_page){part, copy, width, height};
    json_array_append_new(job->content, part);
    return WEFT_OK;
}

/* The text layer, a line each; with boxes, in thousandths of the page as the model writes them itself. */
static weft_status add_text_layer(document_job *job, weft_document *document, int64_t page, weft_error *err) {
    const weft_document_line *lines;
    size_t count;
    weft_buffer text;
    WEFT_TRY(weft_document_text(document, page, &lines, &count, err));
    weft_buffer_init(&text, TEXT_MAX, "the text of a PDF page");
    weft_status status = weft_buffer_puts(&text, "\n", err);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        const float *b = lines[i].box;
        if (job->options.boxes) status = weft_buffer_printf(&text, err, "[%.0f, %.0f, %.0f, %.0f] ", b[0], b[1], b[2], b[3]);
        if (status == WEFT_OK) status = weft_buffer_append(&text, lines[i].text, lines[i].size, err);
        if (status == WEFT_OK) status = weft_buffer_puts(&text, "\n", err);
    }
    if (status == WEFT_OK && count > 0) status = add_text(job, text.data, text.size, err);
    weft_buffer_free(&text);
    return status;
}

static weft_status add_page(document_job *job, weft_document *document, int64_t page, weft_error *err) {
    char line[NAME_MAX_BYTES + 100];
    int n = snprintf(line, sizeof line, "\n[%s, page %lld of %lld]\n", job->options.name, (long long)page + 1, (long long)weft_document_pages(document));
    WEFT_TRY(add_text(job, line, (size_t)n, err));
    if (job->options.pictures) WEFT_TRY(add_picture(job, document, page, err));
    return job->options.text ? add_text_layer(job, document, page, err) : WEFT_OK;
}

/* ---- parts ----------------------------------------------------------------------------------------------------- */

static weft_status expand_pdf(document_job *job, int fd, weft_error *err) {
    weft_document *document;
    bool locked;
    weft_status status = weft_document_open(fd, job->options.password, NULL, &document, &locked, err);
    if (locked) return weft_fail(err, WEFT_ERR_LOCKED, "%s", job->options.password ? "the PDF is encrypted and does not open with this password" : "the PDF is encrypted: give its password ('password' of the file)");
    if (status != WEFT_OK) return status;
    int64_t seen = job->pages->seen;
    if (job->options.pictures) status = each_page(job, document, count_tokens, err);
    job->pages->seen = seen;
    job->options.draws = job->pages->tokens <= job->policy->tokens_max;
    if (status == WEFT_OK) status = each_page(job, document, add_page, err);
    weft_document_close(document);
    return status;
}

/* A picture or clip in a file part: the part of its own kind, with the same source. */
static weft_status become_media(document_job *job, const json_t *file, const char *url, bool video, weft_error *err) {
    json_t *holder = json_copy((json_t *)file);
    json_object_del(holder, "file_data");
    json_object_del(holder, "file_id");
    json_object_set_new(holder, "url", json_string(url));
    const char *kind = video ? "video_url" : "image_url";
    json_t *part = json_pack("{s:s, s:o}", "type", kind, kind, holder);
    return json_array_append_new(job->content, part) == 0 ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "file: no memory");
}

static weft_status expand_file(document_job *job, const json_t *file, weft_error *err) {
    const char *keys[] = {"file_data", "file_id", "url", "file_url"}, *url = NULL;
    for (size_t i = 0; i < 4 && !url; i++) url = json_string_value(json_object_get(file, keys[i]));
    if (!url) return weft_fail(err, WEFT_ERR_INVALID, "a file part needs 'file_id' or 'file_data'");
    weft_media_bytes bytes = {0};
    char head[SNIFF_BYTES];
    int fd = -1;
    WEFT_TRY(weft_media_fetch(url, job->policy, &bytes, err));
    weft_status status = WEFT_OK;
    if (bytes.file)
        fd = bytes.file - 1;
    else
        status = weft_media_memory(bytes.data, bytes.size, "file", &fd, err);
    free(bytes.data);
    ssize_t n = status == WEFT_OK ? pread(fd, head, sizeof head, 0) : 0;
    if (status == WEFT_OK && n > 0 && memmem(head, (size_t)n, "%PDF-", 5)) {
        status = read_options(job->model, file, &job->options, err);
        if (status == WEFT_OK) status = expand_pdf(job, fd, err);
        if (status != WEFT_OK) weft_error_prefix(err, "%s", job->options.name);
    } else if (status == WEFT_OK) {
        const char *name;
        weft_media_format format = weft_media_sniff(head, n > 0 ? (size_t)n : 0, &name);
        bool known = n > 0 && format != WEFT_MEDIA_UNKNOWN && format != WEFT_MEDIA_OTHER;
        status = become_media(job, file, url, !known, err);
    }
    if (fd >= 0) close(fd);
    return status;
}

/* The object that names the file, when this is a file part. */
static const json_t *file_of(const json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    if (!type) return NULL;
    if (strcmp(type, "file") == 0) return json_is_object(json_object_get(part, "file")) ? json_object_get(part, "file") : part;
    return strcmp(type, "input_file") == 0 ? part : NULL;
}

static weft_status expand_content(document_job *job, json_t *message, weft_error *err) {
    json_t *content = json_object_get(message, "content"), *part;
    size_t i, files = 0;
    json_array_foreach(content, i, part) files += file_of(part) != NULL;
    if (files == 0) return WEFT_OK;
    job->content = json_array();
    weft_status status = job->content ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "file: no memory");
    json_array_foreach(content, i, part) {
        const json_t *file = file_of(part);
        if (status == WEFT_OK && file) status = expand_file(job, file, err);
        if (status == WEFT_OK && !file) json_array_append(job->content, part);
    }
    if (status != WEFT_OK) {
        json_decref(job->content);
        return status;
    }
    json_object_set_new(message, "content", job->content);
    return WEFT_OK;
}

weft_status weft_documents_expand(const weft_model *model, json_t *messages, const weft_media_policy *policy, weft_rendered_pages *pages, weft_error *err) {
    document_job job = {.model = model, .policy = policy, .pages = pages};
    size_t m;
    json_t *message;
    json_array_foreach(messages, m, message) WEFT_TRY(expand_content(&job, message, err));
    return WEFT_OK;
}
