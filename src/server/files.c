/* /v1/files: uploaded pictures and clips, kept until the server ends.
 *
 * Bytes go to unlinked temporary files, never to memory as a whole; counts and bytes have named limits, and a full store
 * refuses instead of forgetting what somebody may still refer to. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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

weft_status weft_uploads_read(void *context, const char *id, void **data, size_t *size, weft_error *err) {
    weft_uploads *uploads = context;
    pthread_mutex_lock(&uploads->mutex);
    const upload *entry = find_upload(uploads, id);
    int file = entry ? dup(entry->file) : -1;
    size_t bytes = entry ? (size_t)entry->size : 0;
    pthread_mutex_unlock(&uploads->mutex);
    if (!entry) return weft_fail(err, WEFT_ERR_INVALID, "'%.100s' is neither a data: URL nor the id of an uploaded file (POST /v1/files)", id);
    char *out = malloc(bytes ? bytes : 1);
    weft_status status = out && file >= 0 ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "uploaded file: no memory");
    for (size_t at = 0; status == WEFT_OK && at < bytes;) {
        ssize_t n = pread(file, out + at, bytes - at, (off_t)at);
        if (n <= 0) status = weft_fail(err, WEFT_ERR_IO, "uploaded file: cannot be read back: %s", n < 0 ? strerror(errno) : "it is shorter than it was");
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
    int file = mkstemp(path);
    if (file >= 0) unlink(path);
    return file;
}

static enum MHD_Result take_part(void *context, enum MHD_ValueKind kind, const char *key, const char *filename, const char *type,
                                 const char *encoding, const char *data, uint64_t offset, size_t size) {
    (void)kind, (void)type, (void)encoding;
    weft_exchange *exchange = context;
    struct weft_upload_parts *parts = exchange->upload;
    if (exchange->status != WEFT_OK) return MHD_YES; /* the rest is read and dropped; the answer tells */
    if (strcmp(key, "purpose") == 0 && offset == 0) {
        snprintf(parts->entry.purpose, sizeof parts->entry.purpose, "%.*s", (int)(size < 63 ? size : 63), data ? data : "");
        return MHD_YES;
    }
    if (strcmp(key, "file") != 0) return MHD_YES;
    if (!parts->has_file) {
        parts->has_file = true;
        snprintf(parts->entry.name, sizeof parts->entry.name, "%s", filename ? filename : "file");
        parts->entry.file = open_unlinked();
        if (parts->entry.file < 0)
            exchange->status = weft_fail(&exchange->error, WEFT_ERR_IO, "upload: no temporary file can be made: %s", strerror(errno));
    }
    if (exchange->status == WEFT_OK && size > WEFT_UPLOAD_BYTES_MAX - parts->entry.size)
        exchange->status = weft_fail(&exchange->error, WEFT_ERR_LIMIT, "the file is over the limit of %d MiB", WEFT_UPLOAD_BYTES_MAX >> 20);
    for (size_t at = 0; exchange->status == WEFT_OK && at < size;) {
        ssize_t n = write(parts->entry.file, data + at, size - at);
        if (n < 0 && errno != EINTR) exchange->status = weft_fail(&exchange->error, WEFT_ERR_IO, "upload: cannot be stored: %s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    if (exchange->status == WEFT_OK) parts->entry.size += size;
    return MHD_YES;
}

weft_status weft_upload_begin(weft_exchange *exchange, struct MHD_Connection *connection) {
    enum { FORM_BUFFER = 65536 };
    exchange->upload = calloc(1, sizeof *exchange->upload);
    if (!exchange->upload) return weft_fail(&exchange->error, WEFT_ERR_MEMORY, "upload: no memory");
    exchange->upload->entry.file = -1;
    exchange->form = MHD_create_post_processor(connection, FORM_BUFFER, take_part, exchange);
    if (!exchange->form) return weft_fail(&exchange->error, WEFT_ERR_INVALID, "POST /v1/files takes multipart/form-data with a 'file' part");
    return WEFT_OK;
}

void weft_upload_end(weft_exchange *exchange) {
    if (exchange->form) MHD_destroy_post_processor(exchange->form);
    exchange->form = NULL;
    if (!exchange->upload) return;
    if (exchange->upload->entry.file >= 0) close(exchange->upload->entry.file);
    free(exchange->upload);
    exchange->upload = NULL;
}

static json_t *file_object(const upload *entry) {
    json_t *name = json_string(entry->name);
    if (!name) name = json_string("file"); /* a name that is not UTF-8 */
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:s, s:s}", "id", entry->id, "object", "file", "bytes", (json_int_t)entry->size, "created_at",
                     (json_int_t)entry->created, "filename", name, "purpose", entry->purpose[0] ? entry->purpose : "vision", "status", "processed");
}

static void make_file_id(char *id, size_t size) {
    unsigned char random[12] = {0};
    if (getrandom(random, sizeof random, 0) != sizeof random) memcpy(random, &(time_t){time(NULL)}, sizeof(time_t));
    size_t n = (size_t)snprintf(id, size, "file-");
    for (size_t i = 0; i < sizeof random; i++) n += (size_t)snprintf(id + n, size - n, "%02x", random[i]);
}

enum MHD_Result weft_http_upload(weft_exchange *exchange, struct MHD_Connection *connection) {
    weft_uploads *uploads = exchange->server->uploads;
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    upload *entry = &exchange->upload->entry;
    if (!exchange->upload->has_file) return weft_http_error(connection, 400, "invalid_request_error", NULL, "the form has no 'file' part");
    make_file_id(entry->id, sizeof entry->id);
    entry->created = (long long)time(NULL);
    pthread_mutex_lock(&uploads->mutex);
    upload *slot = NULL;
    for (int i = 0; i < WEFT_UPLOADS_MAX && !slot; i++)
        if (uploads->slots[i].file < 0) slot = &uploads->slots[i];
    bool fits = slot && entry->size <= WEFT_UPLOADS_BYTES_MAX - uploads->bytes;
    json_t *body = fits ? file_object(entry) : NULL;
    if (fits) {
        *slot = *entry;
        uploads->bytes += entry->size;
        entry->file = -1; /* the store owns it now */
    }
    pthread_mutex_unlock(&uploads->mutex);
    if (!fits) return weft_http_error(connection, 413, "invalid_request_error", "limit_exceeded", "the store of uploaded files is full: delete some (DELETE /v1/files/{id})");
    return weft_http_json(connection, MHD_HTTP_OK, body);
}

/* ---- looking and deleting -------------------------------------------------------------------------------------- */

static enum MHD_Result send_content(weft_server *server, struct MHD_Connection *connection, const char *id) {
    void *data;
    size_t size;
    weft_error err;
    if (weft_uploads_read(server->uploads, id, &data, &size, &err) != WEFT_OK) return weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such file");
    struct MHD_Response *response = MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(data);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/octet-stream");
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result weft_http_files(weft_server *server, struct MHD_Connection *connection, const char *method, const char *id) {
    weft_uploads *uploads = server->uploads;
    char key[64];
    const char *slash = id ? strchr(id, '/') : NULL;
    if (slash && strcmp(slash, "/content") == 0 && (size_t)(slash - id) < sizeof key && strcmp(method, "GET") == 0) {
        memcpy(key, id, (size_t)(slash - id));
        key[slash - id] = 0;
        return send_content(server, connection, key);
    }
    json_t *body = NULL;
    pthread_mutex_lock(&uploads->mutex);
    upload *entry = id ? find_upload(uploads, id) : NULL;
    if (!id) {
        json_t *list = json_array();
        for (int i = 0; i < WEFT_UPLOADS_MAX; i++)
            if (uploads->slots[i].file >= 0) json_array_append_new(list, file_object(&uploads->slots[i]));
        body = json_pack("{s:s, s:o, s:b}", "object", "list", "data", list, "has_more", 0);
    } else if (entry && strcmp(method, "DELETE") == 0) {
        body = json_pack("{s:s, s:s, s:b}", "id", entry->id, "object", "file", "deleted", 1);
        close(entry->file);
        uploads->bytes -= entry->size;
        *entry = (upload){.file = -1};
    } else if (entry) {
        body = file_object(entry);
    }
    pthread_mutex_unlock(&uploads->mutex);
    return body ? weft_http_json(connection, MHD_HTTP_OK, body) : weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such file");
}
