/* /v1/files: uploaded pictures and clips, kept until the server ends.
 *
 * Bytes go to unlinked temporary files, never to memory as a whole; counts and bytes have named limits, and a full
 * store refuses instead of forgetting what somebody may still refer to. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "server/server_internal.h"

typedef struct upload {
    char id[40];
    char name[256];
    char purpose[64];
    int file; /* descriptor of an unlinked file, -1: the slot is free */
    uint64_t size;
    long long created;
} upload;

struct weft_uploads {
    pthread_mutex_t mutex;
    upload slots[WEFT_UPLOADS_MAX];
    uint64_t bytes;
};

/* One upload on its way in. */
struct weft_upload_parts {
    upload entry;
    bool has_file;
    uint64_t reserved; /* bytes that are counted in the store already */
};

weft_status weft_uploads_create(weft_uploads **out, weft_error *err) {
    weft_uploads *uploads = calloc(1, sizeof *uploads);
    if (!uploads) return weft_fail(err, WEFT_ERR_MEMORY, "uploads: no memory");
    pthread_mutex_init(&uploads->mutex, NULL);
    for (int i = 0; i < WEFT_UPLOADS_MAX; i++) uploads->slots[i].file = -1;
    *out = uploads;
    return WEFT_OK;
}

void weft_uploads_free(weft_uploads *uploads) {
    if (!uploads) return;
    for (int i = 0; i < WEFT_UPLOADS_MAX; i++)
        if (uploads->slots[i].file >= 0) close(uploads->slots[i].file);
    pthread_mutex_destroy(&uploads->mutex);
    free(uploads);
}

static upload *find_upload(weft_uploads *uploads, const char *id) {
    for (int i = 0; i < WEFT_UPLOADS_MAX; i++)
        if (uploads->slots[i].file >= 0 && strcmp(uploads->slots[i].id, id) == 0) return &uploads->slots[i];
    return NULL;
}

/* A descriptor of its own for the bytes of an upload; false when there is no such upload. *file is -1 when the process
 * has no descriptor left. */
static bool open_upload(weft_uploads *uploads, const char *id, int *file, size_t *size) {
    pthread_mutex_lock(&uploads->mutex);
    const upload *entry = find_upload(uploads, id);
    *file = entry ? fcntl(entry->file, F_DUPFD_CLOEXEC, 0) : -1;
    *size = entry ? (size_t)entry->size : 0;
    pthread_mutex_unlock(&uploads->mutex);
    return entry != NULL;
}

weft_status weft_uploads_read(weft_uploads *uploads, const char *id, void **data, size_t *size, weft_error *err) {
    int file;
    size_t bytes;
    if (!open_upload(uploads, id, &file, &bytes))
        return weft_fail(err, WEFT_ERR_INVALID,
                         "'%.100s' is neither a data: URL nor the id of an uploaded file (POST /v1/files)", id);
    char *out = malloc(bytes ? bytes : 1);
    weft_status status = out && file >= 0 ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "uploaded file: no memory");
    for (size_t at = 0; status == WEFT_OK && at < bytes;) {
        ssize_t n = pread(file, out + at, bytes - at, (off_t)at);
        if (n <= 0)
            status = weft_fail(err, WEFT_ERR_IO, "uploaded file: cannot be read back: %s",
                               n < 0 ? strerror(errno) : "it is shorter than it was");
        at += n > 0 ? (size_t)n : 0;
    }
    if (file >= 0) close(file);
    if (status != WEFT_OK) {
        free(out);
        return status;
    }
    *data = out;
    *size = bytes;
    return WEFT_OK;
}

/* ---- coming in ------------------------------------------------------------------------------------------------- */

static int open_unlinked(void) {
    const char *folder = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/weft-upload-XXXXXX", folder && *folder ? folder : "/tmp");
    int file = mkostemp(path, O_CLOEXEC);
    if (file >= 0) unlink(path);
    return file;
}

static const char store_full[] = "the store of uploaded files is full: delete some (DELETE /v1/files/{id})";

static bool reserve(weft_uploads *uploads, struct weft_upload_parts *parts, uint64_t size) {
    pthread_mutex_lock(&uploads->mutex);
    bool fits = size <= WEFT_UPLOADS_BYTES_MAX - uploads->bytes;
    if (fits) {
        uploads->bytes += size;
        parts->reserved += size;
    }
    pthread_mutex_unlock(&uploads->mutex);
    return fits;
}

static enum MHD_Result take_part(void *context, enum MHD_ValueKind kind, const char *key, const char *filename,
                                 const char *type, const char *encoding, const char *data, uint64_t offset,
                                 size_t size) {
    (void)kind, (void)type, (void)encoding;
    weft_exchange *exchange = context;
    struct weft_upload_parts *parts = exchange->upload;
    if (exchange->status != WEFT_OK || !key) return MHD_YES; /* the rest is read and dropped; the answer tells */
    if (strcmp(key, "purpose") == 0 && offset < sizeof parts->entry.purpose - 1) {
        size_t room = sizeof parts->entry.purpose - 1 - (size_t)offset, n = size < room ? size : room;
        if (n) memcpy(parts->entry.purpose + offset, data, n);
        parts->entry.purpose[offset + n] = 0;
        return MHD_YES;
    }
    if (strcmp(key, "file") != 0) return MHD_YES;
    if (parts->has_file && offset == 0 && size > 0) {
        exchange->status = weft_fail(&exchange->error, WEFT_ERR_INVALID, "the form has more than one 'file' part");
        return MHD_YES;
    }
    if (!parts->has_file && size > 0) {
        parts->has_file = true;
        snprintf(parts->entry.name, sizeof parts->entry.name, "%s", filename ? filename : "file");
        parts->entry.file = open_unlinked();
        if (parts->entry.file < 0)
            exchange->status =
                weft_fail(&exchange->error, WEFT_ERR_IO, "upload: no temporary file can be made: %s", strerror(errno));
    }
    if (exchange->status == WEFT_OK && size > WEFT_UPLOAD_BYTES_MAX - parts->entry.size)
        exchange->status = weft_fail(&exchange->error, WEFT_ERR_LIMIT, "the file is over the limit of %d MiB",
                                     WEFT_UPLOAD_BYTES_MAX >> 20);
    if (exchange->status == WEFT_OK && !reserve(exchange->server->uploads, parts, size))
        exchange->status = weft_fail(&exchange->error, WEFT_ERR_LIMIT, "%s", store_full);
    for (size_t at = 0; exchange->status == WEFT_OK && at < size;) {
        ssize_t n = write(parts->entry.file, data + at, size - at);
        if (n < 0 && errno != EINTR)
            exchange->status =
                weft_fail(&exchange->error, WEFT_ERR_IO, "upload: cannot be stored: %s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    if (exchange->status == WEFT_OK) parts->entry.size += size;
    return MHD_YES;
}

weft_status weft_upload_begin(weft_exchange *exchange, struct MHD_Connection *connection) {
    enum { FORM_BUFFER = 65536 };
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    bool multipart = type && strncasecmp(type, "multipart/form-data", 19) == 0;
    exchange->upload = calloc(1, sizeof *exchange->upload);
    if (!exchange->upload) return weft_fail(&exchange->error, WEFT_ERR_MEMORY, "upload: no memory");
    exchange->upload->entry.file = -1;
    exchange->form = multipart ? MHD_create_post_processor(connection, FORM_BUFFER, take_part, exchange) : NULL;
    if (!exchange->form)
        return weft_fail(&exchange->error, WEFT_ERR_INVALID,
                         "POST /v1/files takes multipart/form-data with a 'file' part");
    return WEFT_OK;
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
    weft_uploads *uploads = exchange->server->uploads;
    pthread_mutex_lock(&uploads->mutex);
    uploads->bytes -= exchange->upload->reserved;
    pthread_mutex_unlock(&uploads->mutex);
    if (exchange->upload->entry.file >= 0) close(exchange->upload->entry.file);
    free(exchange->upload);
    exchange->upload = NULL;
}

static json_t *file_object(const upload *entry) {
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:s}", "id", entry->id, "object", "file", "bytes",
                     (json_int_t)entry->size, "created_at", (json_int_t)entry->created, "filename",
                     weft_object_text(entry->name), "purpose",
                     weft_object_text(entry->purpose[0] ? entry->purpose : "vision"), "status", "processed");
}

enum MHD_Result weft_http_upload(weft_exchange *exchange, struct MHD_Connection *connection) {
    weft_uploads *uploads = exchange->server->uploads;
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    upload *entry = &exchange->upload->entry;
    if (!exchange->upload->has_file)
        return weft_http_error(connection, 400, "invalid_request_error", NULL,
                               "the form has no 'file' part, or it is empty");
    weft_object_id(entry->id, sizeof entry->id, "file-");
    entry->created = (long long)time(NULL);
    pthread_mutex_lock(&uploads->mutex);
    upload *slot = NULL;
    for (int i = 0; i < WEFT_UPLOADS_MAX && !slot; i++)
        if (uploads->slots[i].file < 0) slot = &uploads->slots[i];
    json_t *body = slot ? file_object(entry) : NULL;
    if (body) {
        *slot = *entry;
        entry->file = -1; /* the store owns file and bytes now */
        exchange->upload->reserved = 0;
    }
    pthread_mutex_unlock(&uploads->mutex);
    if (!slot) return weft_http_error(connection, 413, "invalid_request_error", "limit_exceeded", store_full);
    return weft_http_json(connection, MHD_HTTP_OK, body);
}

/* ---- looking and deleting -------------------------------------------------------------------------------------- */

static enum MHD_Result no_such_file(struct MHD_Connection *connection) {
    return weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such file");
}

static enum MHD_Result send_content(weft_server *server, struct MHD_Connection *connection, const char *id) {
    int file;
    size_t size;
    if (!open_upload(server->uploads, id, &file, &size)) return no_such_file(connection);
    struct MHD_Response *response = file >= 0 ? MHD_create_response_from_fd64(size, file) : NULL;
    if (!response) {
        if (file >= 0) close(file);
        return weft_http_error(connection, 503, "server_error", "busy", "too many files are open: try again later");
    }
    MHD_add_response_header(response, "Content-Type", "application/octet-stream");
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result weft_http_files(weft_server *server, struct MHD_Connection *connection) {
    weft_uploads *uploads = server->uploads;
    json_t *list = json_array();
    pthread_mutex_lock(&uploads->mutex);
    for (int i = 0; i < WEFT_UPLOADS_MAX; i++)
        if (uploads->slots[i].file >= 0) json_array_append_new(list, file_object(&uploads->slots[i]));
    pthread_mutex_unlock(&uploads->mutex);
    return weft_http_json(connection, MHD_HTTP_OK,
                          json_pack("{s:s, s:o, s:b}", "object", "list", "data", list, "has_more", 0));
}

enum MHD_Result weft_http_file(weft_server *server, struct MHD_Connection *connection, const char *method,
                               const char *id) {
    weft_uploads *uploads = server->uploads;
    bool delete = strcmp(method, "DELETE") == 0;
    const char *slash = strchr(id, '/');
    if (slash) {
        char key[sizeof((upload *)0)->id];
        if (delete || strcmp(slash, "/content") != 0 || (size_t)(slash - id) >= sizeof key)
            return no_such_file(connection);
        memcpy(key, id, (size_t)(slash - id));
        key[slash - id] = 0;
        return send_content(server, connection, key);
    }
    json_t *body = NULL;
    pthread_mutex_lock(&uploads->mutex);
    upload *entry = find_upload(uploads, id);
    if (entry && delete) {
        body = json_pack("{s:s, s:s, s:b}", "id", entry->id, "object", "file", "deleted", 1);
        close(entry->file);
        uploads->bytes -= entry->size;
        *entry = (upload){.file = -1};
    } else if (entry) {
        body = file_object(entry);
    }
    pthread_mutex_unlock(&uploads->mutex);
    return body ? weft_http_json(connection, MHD_HTTP_OK, body) : no_such_file(connection);
}
