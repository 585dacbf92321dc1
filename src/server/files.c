/* /v1/files and /v1/uploads: pictures, clips and documents that are kept under the data folder (store/files.h).
 *
 * A file comes as one multipart form, as OpenAI's clients send it, or through an upload: announced with its size, then
 * sent in parts (forms) or in ranges (PUT with Content-Range), and taken up again after a broken connection. Bytes go
 * to disk as they come and never lie in memory as a whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/server_internal.h"

enum {
    EXPIRES_MIN = 3600, /* seconds, as OpenAI's API has them */
    EXPIRES_MAX = 30 * 24 * 3600,
    LIST_DEFAULT = 10000,
    PARTS_MAX = 10000, /* of one upload */
};

/* One file on its way in. */
struct weft_upload_parts {
    weft_file_writer *writer;
    weft_file_info info;
    const char *field; /* of the form: "file" or "data" */
    bool upload;       /* the writer is that of an upload */
    bool announced;    /* info and body are those of an upload's range */
    bool has_file;
    uint64_t offset; /* where a part of an upload begins */
    char anchor[32], seconds[32];
};

static const char no_store[] =
    "this server keeps no files: it was started without a folder that it can write to (--data-dir)";

static weft_status check_store(weft_exchange *exchange) {
    return exchange->server->files ? WEFT_OK : weft_fail(&exchange->error, WEFT_ERR_UNSUPPORTED, "%s", no_store);
}

/* ---- an uploaded file for a request -------------------------------------------------------------------------------
 */

weft_status weft_uploads_open(weft_server *server, const char *id, int *file, weft_error *err) {
    weft_file_info info;
    if (server->files) {
        weft_status status = weft_files_read(server->files, id, file, &info, err);
        if (status != WEFT_ERR_NOT_FOUND) return status;
    }
    return weft_fail(err, WEFT_ERR_INVALID,
                     "'%.100s' is neither a data: URL nor the id of an uploaded file (POST /v1/files)", id);
}

/* ---- forms ----------------------------------------------------------------------------------------------------- */

/* A small field of the form, cut to its room. */
static void take_field(char *out, size_t room, const char *data, uint64_t offset, size_t size) {
    if (offset >= room - 1) return;
    size_t n = room - 1 - (size_t)offset < size ? room - 1 - (size_t)offset : size;
    if (n) memcpy(out + offset, data, n);
    out[offset + n] = 0;
}

static void take_bytes(weft_exchange *exchange, const char *filename, const char *data, size_t size) {
    struct weft_upload_parts *parts = exchange->upload;
    if (!parts->has_file) {
        parts->has_file = true;
        snprintf(parts->info.name, sizeof parts->info.name, "%s",
                 parts->upload ? parts->info.name
                 : filename    ? filename
                               : "file");
        if (!parts->writer)
            exchange->status = weft_file_writer_begin(exchange->server->files, &parts->writer, &exchange->error);
    }
    if (exchange->status == WEFT_OK)
        exchange->status = weft_file_writer_append(parts->writer, data, size, &exchange->error);
}

static enum MHD_Result take_part(void *context, enum MHD_ValueKind kind, const char *key, const char *filename,
                                 const char *type, const char *encoding, const char *data, uint64_t offset,
                                 size_t size) {
    (void)kind, (void)type, (void)encoding;
    weft_exchange *exchange = context;
    struct weft_upload_parts *parts = exchange->upload;
    if (exchange->status != WEFT_OK || !key) return MHD_YES; /* the rest is read and dropped; the answer tells */
    if (strcmp(key, "purpose") == 0 && !parts->upload)
        take_field(parts->info.purpose, sizeof parts->info.purpose, data, offset, size);
    if (strcmp(key, "expires_after[anchor]") == 0) take_field(parts->anchor, sizeof parts->anchor, data, offset, size);
    if (strcmp(key, "expires_after[seconds]") == 0)
        take_field(parts->seconds, sizeof parts->seconds, data, offset, size);
    if (strcmp(key, parts->field) != 0 || size == 0) return MHD_YES;
    if (parts->has_file && offset == 0)
        exchange->status =
            weft_fail(&exchange->error, WEFT_ERR_INVALID, "the form has more than one '%s' part", parts->field);
    else
        take_bytes(exchange, filename, data, size);
    return MHD_YES;
}

static weft_status begin_form(weft_exchange *exchange, struct MHD_Connection *connection, const char *field) {
    enum { FORM_BUFFER = 65536 };
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    bool multipart = type && strncasecmp(type, "multipart/form-data", 19) == 0;
    exchange->upload->field = field;
    exchange->form = multipart ? MHD_create_post_processor(connection, FORM_BUFFER, take_part, exchange) : NULL;
    if (exchange->form) return WEFT_OK;
    return weft_fail(&exchange->error, WEFT_ERR_INVALID, "this address takes multipart/form-data with a '%s' part",
                     field);
}

weft_status weft_upload_begin(weft_exchange *exchange, struct MHD_Connection *connection) {
    WEFT_TRY(check_store(exchange));
    exchange->upload = calloc(1, sizeof *exchange->upload);
    if (!exchange->upload) return weft_fail(&exchange->error, WEFT_ERR_MEMORY, "upload: no memory");
    return begin_form(exchange, connection, "file");
}

void weft_upload_finish(weft_exchange *exchange) {
    enum MHD_Result whole = MHD_destroy_post_processor(exchange->form);
    exchange->form = NULL;
    if (whole == MHD_NO && exchange->status == WEFT_OK)
        exchange->status =
            weft_fail(&exchange->error, WEFT_ERR_INVALID, "the multipart form is malformed or cut short");
}

void weft_upload_free(weft_exchange *exchange) {
    if (exchange->form)
        MHD_destroy_post_processor(exchange->form); /* the connection broke; take_part may run once more */
    exchange->form = NULL;
    if (!exchange->upload) return;
    weft_file_info info;
    bool complete;
    if (exchange->upload->writer && exchange->upload->upload)
        weft_file_writer_suspend(exchange->upload->writer, false, &info, &complete, NULL); /* what has come stays */
    else
        weft_file_writer_abort(exchange->upload->writer);
    free(exchange->upload);
    exchange->upload = NULL;
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

static json_t *file_object(const weft_file_info *info) {
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:s, s:s}", "id", info->id, "object", "file", "bytes",
        (json_int_t)info->bytes, "created_at", (json_int_t)info->created, "expires_at",
        info->expires ? json_integer(info->expires) : json_null(), "filename", weft_object_text(info->name), "purpose",
        weft_object_text(info->purpose[0] ? info->purpose : "vision"), "status", "processed", "sha256", info->sha256);
}

/* file: what it has become, or NULL. */
static json_t *upload_object(const weft_file_info *info, const char *status, const weft_file_info *file) {
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:s, s:o}", "id", info->id, "object", "upload", "bytes",
                     (json_int_t)info->bytes, "bytes_received", (json_int_t)(file ? file->bytes : info->received),
                     "created_at", (json_int_t)info->created, "expires_at",
                     (json_int_t)(info->created + WEFT_FILES_UPLOAD_HOURS * 3600), "filename",
                     weft_object_text(info->name), "purpose", weft_object_text(info->purpose), "status", status, "file",
                     file ? file_object(file) : json_null());
}

static weft_status set_expiry(weft_file_info *info, const char *anchor, long long seconds, weft_error *err) {
    if (strcmp(anchor, "created_at") != 0)
        return weft_fail(err, WEFT_ERR_INVALID, "'expires_after' must have the anchor \"created_at\"");
    if (seconds < EXPIRES_MIN || seconds > EXPIRES_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "'expires_after' must have between %d and %d seconds", EXPIRES_MIN,
                         EXPIRES_MAX);
    info->expires = (int64_t)time(NULL) + seconds;
    return WEFT_OK;
}

enum MHD_Result weft_http_upload(weft_exchange *exchange, struct MHD_Connection *connection) {
    struct weft_upload_parts *parts = exchange->upload;
    weft_status status = exchange->status;
    if (status == WEFT_OK && !parts->has_file)
        status = weft_fail(&exchange->error, WEFT_ERR_INVALID, "the form has no 'file' part, or it is empty");
    if (status == WEFT_OK && (parts->anchor[0] || parts->seconds[0]))
        status = set_expiry(&parts->info, parts->anchor, strtoll(parts->seconds, NULL, 10), &exchange->error);
    if (status == WEFT_OK) {
        status = weft_file_writer_commit(parts->writer, &parts->info, &exchange->error);
        parts->writer = NULL;
    }
    return status == WEFT_OK ? weft_http_json(connection, MHD_HTTP_OK, file_object(&parts->info))
                             : weft_http_fail(connection, &exchange->error);
}

/* ---- uploads: announced, sent in parts or ranges --------------------------------------------------------------- */

static bool ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

/* "ID/action": the id; false when it is too long to be one. */
static bool split_id(const char *rest, char id[40]) {
    size_t n = strcspn(rest, "/");
    snprintf(id, 40, "%.*s", (int)(n < 40 ? n : 39), rest);
    return n < 40;
}

/* "bytes 0-99/1000" */
static bool parse_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total) {
    unsigned long long a, b, t;
    int end = 0;
    if (!text || sscanf(text, "bytes %llu-%llu/%llu%n", &a, &b, &t, &end) != 3 || text[end] || strchr(text, '+') ||
        a > b || b >= t)
        return false;
    for (const char *p = text + 6; *p; p++)
        if (!strchr("0123456789-/", *p)) return false;
    *first = a;
    *last = b;
    *total = t;
    return text[6] != '-';
}

weft_status weft_upload_resume(weft_exchange *exchange, struct MHD_Connection *connection, const char *method,
                               const char *rest) {
    char id[40];
    bool put = strcmp(method, "PUT") == 0;
    if (!put && !ends_with(rest, "/parts")) return WEFT_OK; /* its body is JSON */
    WEFT_TRY(check_store(exchange));
    struct weft_upload_parts *parts = exchange->upload = calloc(1, sizeof *parts);
    if (!parts) return weft_fail(&exchange->error, WEFT_ERR_MEMORY, "upload: no memory");
    split_id(rest, id);
    parts->upload = true;
    WEFT_TRY(weft_files_upload_get(exchange->server->files, id, &parts->info, &exchange->error));
    uint64_t last = 0, total = parts->info.bytes;
    parts->offset = parts->info.received;
    if (put && !parse_range(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Range"), &parts->offset,
                            &last, &total))
        return weft_fail(&exchange->error, WEFT_ERR_INVALID,
                         "PUT takes the header Content-Range: bytes FIRST-LAST/TOTAL");
    if (total != parts->info.bytes)
        return weft_fail(&exchange->error, WEFT_ERR_INVALID,
                         "the upload was announced with %llu bytes, Content-Range says %llu",
                         (unsigned long long)parts->info.bytes, (unsigned long long)total);
    WEFT_TRY(weft_files_upload_resume(exchange->server->files, id, parts->offset, &parts->writer, &parts->info,
                                      &exchange->error));
    if (!put) return begin_form(exchange, connection, "data");
    parts->announced = true;
    return WEFT_OK;
}

bool weft_upload_is_range(const weft_exchange *exchange) {
    return exchange->upload && exchange->upload->announced;
}

void weft_upload_take(weft_exchange *exchange, const char *data, size_t size) {
    exchange->status = weft_file_writer_append(exchange->upload->writer, data, size, &exchange->error);
}

/* The end of a range or a part. */
static enum MHD_Result end_range(weft_exchange *exchange, struct MHD_Connection *connection, bool put) {
    struct weft_upload_parts *parts = exchange->upload;
    weft_file_info upload = parts->info;
    bool complete = false;
    weft_status status = exchange->status;
    if (status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    uint64_t size = weft_file_writer_bytes(parts->writer) - parts->offset;
    status = weft_file_writer_suspend(parts->writer, put, &parts->info, &complete, &exchange->error);
    parts->writer = NULL;
    if (status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    if (put) {
        upload.received = parts->offset + size;
        return weft_http_json(
            connection, MHD_HTTP_OK,
            upload_object(&upload, complete ? "completed" : "pending", complete ? &parts->info : NULL));
    }
    char id[64]; /* says where the part lies, so that completion can check the order */
    snprintf(id, sizeof id, "part_%llu_%llu", (unsigned long long)parts->offset, (unsigned long long)size);
    return weft_http_json(connection, MHD_HTTP_OK,
                          json_pack("{s:s, s:s, s:I, s:s}", "id", id, "object", "upload.part", "created_at",
                                    (json_int_t)time(NULL), "upload_id", upload.id));
}

enum MHD_Result weft_http_upload_create(weft_exchange *exchange, struct MHD_Connection *connection) {
    weft_status status = exchange->status != WEFT_OK ? exchange->status : check_store(exchange);
    weft_file_info info = {0};
    json_t *body = status == WEFT_OK
                       ? json_loadb(exchange->body.data ? exchange->body.data : "", exchange->body.size, 0, NULL)
                       : NULL;
    if (status == WEFT_OK && !json_is_object(body))
        status = weft_fail(&exchange->error, WEFT_ERR_INVALID, "the body must be a JSON object");
    if (status == WEFT_OK) {
        const char *name = json_string_value(json_object_get(body, "filename")),
                   *purpose = json_string_value(json_object_get(body, "purpose"));
        const json_t *bytes = json_object_get(body, "bytes"), *expires = json_object_get(body, "expires_after");
        if (!name || !json_is_integer(bytes) || json_integer_value(bytes) < 1)
            status =
                weft_fail(&exchange->error, WEFT_ERR_INVALID, "an upload needs 'filename' and 'bytes' (1 or more)");
        snprintf(info.name, sizeof info.name, "%s", name ? name : "");
        snprintf(info.purpose, sizeof info.purpose, "%s", purpose ? purpose : "vision");
        info.bytes = (uint64_t)json_integer_value(bytes);
        const char *anchor = json_string_value(json_object_get(expires, "anchor"));
        if (status == WEFT_OK && json_is_object(expires))
            status = set_expiry(&info, anchor ? anchor : "", json_integer_value(json_object_get(expires, "seconds")),
                                &exchange->error);
    }
    json_decref(body);
    if (status == WEFT_OK) status = weft_files_upload_create(exchange->server->files, &info, &exchange->error);
    return status == WEFT_OK ? weft_http_json(connection, MHD_HTTP_OK, upload_object(&info, "pending", NULL))
                             : weft_http_fail(connection, &exchange->error);
}

/* The parts must be all, in the order in which they were sent. */
static weft_status check_parts(const json_t *body, const weft_file_info *info, weft_error *err) {
    uint64_t at = 0;
    size_t i;
    json_t *part;
    const json_t *list = json_object_get(body, "part_ids"), *md5 = json_object_get(body, "md5");
    if (md5 && !json_is_null(md5))
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "'md5' is not checked here: compare the file's 'sha256'");
    if (!json_is_array(list) || json_array_size(list) > PARTS_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "'part_ids' must be a list of at most %d ids", PARTS_MAX);
    json_array_foreach(list, i, part) {
        unsigned long long offset = 0, size = 0;
        const char *id = json_string_value(part);
        if (!id || sscanf(id, "part_%llu_%llu", &offset, &size) != 2 || offset != at || size > info->bytes - at)
            return weft_fail(err, WEFT_ERR_INVALID,
                             "part %zu is not the one that was sent after part %zu: send and name the parts in order",
                             i + 1, i);
        at += size;
    }
    if (at != info->bytes || info->received != info->bytes)
        return weft_fail(err, WEFT_ERR_INVALID, "the upload was announced with %llu bytes, the parts have %llu",
                         (unsigned long long)info->bytes, (unsigned long long)at);
    return WEFT_OK;
}

static enum MHD_Result complete_upload(weft_exchange *exchange, struct MHD_Connection *connection, const char *id) {
    weft_file_info info, file;
    weft_file_writer *writer = NULL;
    bool complete = false;
    weft_error *err = &exchange->error;
    json_t *body = json_loadb(exchange->body.data ? exchange->body.data : "", exchange->body.size, 0, NULL);
    weft_status status = weft_files_upload_get(exchange->server->files, id, &info, err);
    if (status == WEFT_OK) status = check_parts(body, &info, err);
    json_decref(body);
    if (status == WEFT_OK)
        status = weft_files_upload_resume(exchange->server->files, id, info.bytes, &writer, &info, err);
    if (status == WEFT_OK) status = weft_file_writer_suspend(writer, true, &file, &complete, err);
    return status == WEFT_OK ? weft_http_json(connection, MHD_HTTP_OK, upload_object(&info, "completed", &file))
                             : weft_http_fail(connection, err);
}

enum MHD_Result weft_http_upload_part(weft_exchange *exchange, struct MHD_Connection *connection, const char *method,
                                      const char *rest) {
    char id[40];
    weft_file_info info;
    const char *action = strchr(rest, '/');
    bool post = strcmp(method, "POST") == 0,
         cancel = (post && action && strcmp(action, "/cancel") == 0) || (!action && strcmp(method, "DELETE") == 0);
    weft_status status = exchange->status != WEFT_OK ? exchange->status : check_store(exchange);
    if (status == WEFT_OK && (!split_id(rest, id) || (action && !(post && (cancel || strcmp(action, "/parts") == 0 ||
                                                                           strcmp(action, "/complete") == 0)))))
        status = weft_fail(&exchange->error, WEFT_ERR_NOT_FOUND, "no such upload");
    if (status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    if (exchange->upload) {
        if (!exchange->upload->announced && !exchange->upload->has_file)
            return weft_http_error(connection, 400, "invalid_request_error", NULL,
                                   "the form has no 'data' part, or it is empty");
        return end_range(exchange, connection, exchange->upload->announced);
    }
    if (post && !cancel && action) return complete_upload(exchange, connection, id);
    if (post && !cancel) return weft_http_wrong_method(connection, "GET, PUT, DELETE");
    status = cancel ? weft_files_upload_cancel(exchange->server->files, id, &info, &exchange->error)
                    : weft_files_upload_get(exchange->server->files, id, &info, &exchange->error);
    return status == WEFT_OK
               ? weft_http_json(connection, MHD_HTTP_OK, upload_object(&info, cancel ? "cancelled" : "pending", NULL))
               : weft_http_fail(connection, &exchange->error);
}

/* ---- looking and deleting -------------------------------------------------------------------------------------- */

static enum MHD_Result no_such_file(struct MHD_Connection *connection) {
    return weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such file");
}

/* "bytes=A-B", "bytes=A-", "bytes=-N": one range of a file of `size` bytes. 0: none asked for (or a form that is not
 * understood, which is then ignored), 1: *first and *count, -1: outside. */
static int asked_range(struct MHD_Connection *connection, uint64_t size, uint64_t *first, uint64_t *count) {
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
    unsigned long long a = 0, b = 0;
    int end = 0;
    *first = 0;
    *count = size;
    if (!text || strncmp(text, "bytes=", 6) != 0 || strpbrk(text + 6, "+, \t")) return 0;
    text += 6;
    if (sscanf(text, "-%llu%n", &b, &end) == 1 && !text[end]) {
        a = b < size ? size - b : 0;
        b = b ? size - 1 : 0;
        if (a >= size) return -1;
    } else if (text[0] >= '0' && text[0] <= '9' && sscanf(text, "%llu-%llu%n", &a, &b, &end) == 2 && !text[end]) {
        if (b < a) return 0;
        if (b >= size) b = size ? size - 1 : 0;
    } else if (text[0] >= '0' && text[0] <= '9' && sscanf(text, "%llu-%n", &a, &end) == 1 && end && !text[end]) {
        b = size ? size - 1 : 0;
    } else {
        return 0;
    }
    if (a >= size) return -1;
    *first = a;
    *count = b - a + 1;
    return 1;
}

/* Pictures and clips say what they are, so that a browser plays them; everything else could be a page with scripts. */
static const char *content_type(const char *name) {
    static const char *const known[][2] = {
        {"jpg", "image/jpeg"},  {"jpeg", "image/jpeg"},      {"png", "image/png"}, {"webp", "image/webp"},
        {"gif", "image/gif"},   {"mp4", "video/mp4"},        {"m4v", "video/mp4"}, {"mov", "video/mp4"},
        {"webm", "video/webm"}, {"mkv", "video/x-matroska"}, {"ogv", "video/ogg"}, {"avi", "video/x-msvideo"},
        {"ts", "video/mp2t"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
        if (strcasecmp(dot + 1, known[i][0]) == 0) return known[i][1];
    return "application/octet-stream";
}

static enum MHD_Result send_content(weft_server *server, struct MHD_Connection *connection, const char *id) {
    int file;
    weft_file_info info;
    weft_error err;
    if (weft_files_read(server->files, id, &file, &info, &err) != WEFT_OK)
        return err.status == WEFT_ERR_NOT_FOUND ? no_such_file(connection) : weft_http_fail(connection, &err);
    uint64_t first, count;
    char range[96];
    int asked = asked_range(connection, info.bytes, &first, &count);
    struct MHD_Response *response = asked >= 0 ? MHD_create_response_from_fd_at_offset64(count, file, first) : NULL;
    if (asked < 0) {
        close(file);
        response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
        snprintf(range, sizeof range, "bytes */%llu", (unsigned long long)info.bytes);
    } else if (!response) {
        close(file);
        return MHD_NO;
    } else {
        snprintf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)(first + count - 1), (unsigned long long)info.bytes);
    }
    if (asked) MHD_add_response_header(response, "Content-Range", range);
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
    MHD_add_response_header(response, "Content-Type", content_type(info.name));
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, asked < 0 ? 416 : asked ? 206 : MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result weft_http_files(weft_server *server, struct MHD_Connection *connection) {
    weft_error err;
    if (!server->files) return weft_http_error(connection, 503, "server_error", "unsupported", no_store);
    const char *limit = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "limit");
    const char *order = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "order");
    weft_file_info *list;
    int count;
    bool more;
    if (weft_files_list(server->files, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "after"),
                        MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "purpose"),
                        order && strcmp(order, "asc") == 0, limit ? atoi(limit) : LIST_DEFAULT, &list, &count, &more,
                        &err) != WEFT_OK)
        return weft_http_fail(connection, &err);
    json_t *data = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(data, file_object(&list[i]));
    json_t *body = json_pack("{s:s, s:o, s:b, s:s?, s:s?}", "object", "list", "data", data, "has_more", more,
                             "first_id", count ? list[0].id : NULL, "last_id", count ? list[count - 1].id : NULL);
    free(list);
    return weft_http_json(connection, MHD_HTTP_OK, body);
}

enum MHD_Result weft_http_file(weft_server *server, struct MHD_Connection *connection, const char *method,
                               const char *rest) {
    char id[40];
    weft_file_info info;
    weft_error err;
    if (!server->files) return weft_http_error(connection, 503, "server_error", "unsupported", no_store);
    bool delete = strcmp(method, "DELETE") == 0;
    const char *slash = strchr(rest, '/');
    if (!split_id(rest, id) || (slash && delete)) return no_such_file(connection);
    if (slash && strncmp(slash, "/pages", 6) == 0 && (!slash[6] || (slash[6] == '/' && slash[7])))
        return weft_http_document(server, connection, id, slash + 6 + (slash[6] == '/'));
    if (slash && strcmp(slash, "/content") != 0) return no_such_file(connection);
    if (slash) return send_content(server, connection, id);
    weft_status status =
        delete ? weft_files_delete(server->files, id, &err) : weft_files_get(server->files, id, &info, &err);
    if (delete && status == WEFT_OK) weft_indexes_forget_file(server, id);
    if (status == WEFT_ERR_NOT_FOUND) return no_such_file(connection);
    if (status != WEFT_OK) return weft_http_fail(connection, &err);
    return weft_http_json(connection, MHD_HTTP_OK,
                          delete ? json_pack("{s:s, s:s, s:b}", "id", id, "object", "file", "deleted", 1)
                                 : file_object(&info));
}
