/* Bytes on their way into the store of uploaded files: see files.h.
 *
 * A writer's file lies in incoming/ and is locked (flock) for as long as the writer lives: a lock that can be had means
 * that its process is gone. */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/files_internal.h"

struct weft_file_writer {
    weft_files *files;
    int file;
    char name[48]; /* in incoming/ */
    bool upload;   /* in ranges: name is its id */
    uint64_t bytes;
    uint64_t total; /* upload: how many it is to have */
    uint64_t reserved;
    gnutls_hash_hd_t hash; /* NULL for an upload: its bytes are read again when they are complete */
};

static weft_status make_id(const char *prefix, char *id, size_t size, weft_error *err) {
    unsigned char bytes[12];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return weft_fail(err, WEFT_ERR_IO, "the system has no random numbers");
    size_t n = (size_t)snprintf(id, size, "%s", prefix);
    for (size_t i = 0; i < sizeof bytes && n + 3 <= size; i++) n += (size_t)snprintf(id + n, size - n, "%02x", bytes[i]);
    return WEFT_OK;
}

/* ---- room ------------------------------------------------------------------------------------------------------ */

static weft_status full(const weft_files *files, weft_error *err) {
    return weft_fail(err, WEFT_ERR_LIMIT, "the store of uploaded files is full (%llu MiB): delete some (DELETE /v1/files/{id}) or raise --files-quota",
                     (unsigned long long)(files->quota >> 20));
}

/* Called with the store locked: bytes of all blobs and of what uploads are going to be. */
static weft_status count_stored(weft_files *files, weft_error *err) {
    int64_t blobs = 0, uploads = 0;
    WEFT_TRY(weft_database_integer(&files->db, &blobs, err, "SELECT sum(bytes) FROM blobs", ""));
    WEFT_TRY(weft_database_integer(&files->db, &uploads, err, "SELECT sum(bytes) FROM uploads", ""));
    files->stored = (uint64_t)blobs + (uint64_t)uploads;
    return WEFT_OK;
}

static bool has_room(const weft_files *files, uint64_t bytes) {
    uint64_t used = files->stored + files->in_flight;
    return used <= files->quota && bytes <= files->quota - used;
}

/* ---- a writer -------------------------------------------------------------------------------------------------- */

/* Opens incoming/NAME and locks it. A file that a sweep removed between the two is made again. */
static weft_status open_incoming(weft_file_writer *w, bool create, weft_error *err) {
    char path[WEFT_FILES_PATH_MAX];
    weft_files_incoming_path(w->files, w->name, path, sizeof path);
    for (int attempt = 0; attempt < 8; attempt++) {
        struct stat info;
        w->file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600);
        if (w->file < 0) return weft_fail(err, WEFT_ERR_IO, "%s: cannot be made: %s", path, strerror(errno));
        if (flock(w->file, LOCK_EX | LOCK_NB) != 0)
            return weft_fail(err, WEFT_ERR_BUSY, "another connection sends bytes of this upload: try again later");
        if (fstat(w->file, &info) == 0 && info.st_nlink > 0) {
            w->bytes = (uint64_t)info.st_size;
            return WEFT_OK;
        }
        close(w->file);
        w->file = -1;
    }
    return weft_fail(err, WEFT_ERR_IO, "%s: is removed again and again", path);
}

static void free_writer(weft_file_writer *w) {
    if (w->reserved) {
        pthread_mutex_lock(&w->files->mutex);
        w->files->in_flight -= w->reserved;
        pthread_mutex_unlock(&w->files->mutex);
    }
    if (w->hash) gnutls_hash_deinit(w->hash, NULL);
    if (w->file >= 0) close(w->file);
    free(w);
}

weft_status weft_file_writer_begin(weft_files *files, weft_file_writer **out, weft_error *err) {
    *out = NULL;
    weft_file_writer *w = calloc(1, sizeof *w);
    if (!w) return weft_fail(err, WEFT_ERR_MEMORY, "upload: no memory");
    w->files = files;
    w->file = -1;
    weft_status status = make_id("part-", w->name, sizeof w->name, err);
    if (status == WEFT_OK) status = weft_files_tidy(files, false, err);
    if (status == WEFT_OK) {
        pthread_mutex_lock(&files->mutex);
        status = count_stored(files, err);
        pthread_mutex_unlock(&files->mutex);
    }
    if (status == WEFT_OK && gnutls_hash_init(&w->hash, GNUTLS_DIG_SHA256) != 0)
        status = weft_fail(err, WEFT_ERR_MEMORY, "upload: SHA-256 cannot be had");
    if (status == WEFT_OK) status = open_incoming(w, true, err);
    if (status != WEFT_OK) {
        free_writer(w);
        return status;
    }
    *out = w;
    return WEFT_OK;
}

static weft_status write_all(int file, const char *data, size_t size, weft_error *err) {
    for (size_t at = 0; at < size;) {
        ssize_t n = write(file, data + at, size - at);
        if (n < 0 && errno != EINTR) return weft_fail(err, WEFT_ERR_IO, "upload: cannot be stored: %s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    return WEFT_OK;
}

weft_status weft_file_writer_append(weft_file_writer *w, const void *data, size_t size, weft_error *err) {
    if (w->upload) {
        if (size > w->total - w->bytes)
            return weft_fail(err, WEFT_ERR_INVALID, "the upload was announced with %llu bytes, more have come", (unsigned long long)w->total);
    } else {
        pthread_mutex_lock(&w->files->mutex);
        bool fits = has_room(w->files, size);
        if (fits) {
            w->files->in_flight += size;
            w->reserved += size;
        }
        pthread_mutex_unlock(&w->files->mutex);
        if (!fits) return full(w->files, err);
        gnutls_hash(w->hash, data, size);
    }
    WEFT_TRY(write_all(w->file, data, size, err));
    w->bytes += size;
    return WEFT_OK;
}

uint64_t weft_file_writer_bytes(const weft_file_writer *w) { return w->bytes; }

void weft_file_writer_abort(weft_file_writer *w) {
    if (!w) return;
    char path[WEFT_FILES_PATH_MAX];
    weft_files_incoming_path(w->files, w->name, path, sizeof path);
    if (!w->upload) unlink(path);
    free_writer(w);
}

/* ---- from incoming bytes to a file ----------------------------------------------------------------------------- */

static weft_status sync_folder(const char *path, weft_error *err) {
    char folder[WEFT_FILES_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool failed = file < 0 || fsync(file) != 0;
    if (file >= 0) close(file);
    return failed ? weft_fail(err, WEFT_ERR_IO, "%s: cannot be synced: %s", folder, strerror(errno)) : WEFT_OK;
}

/* Puts the bytes under their name and lists them; the transaction is open. */
static weft_status publish(weft_file_writer *w, weft_file_info *info, weft_error *err) {
    weft_files *files = w->files;
    int64_t count = 0, known = 0;
    char from[WEFT_FILES_PATH_MAX], to[WEFT_FILES_PATH_MAX], folder[WEFT_FILES_PATH_MAX];
    weft_files_incoming_path(files, w->name, from, sizeof from);
    weft_files_blob_path(files, info->sha256, to, sizeof to);
    WEFT_TRY(weft_database_integer(&files->db, &count, err, "SELECT count(*) FROM files", ""));
    if (count >= WEFT_FILES_MAX) return weft_fail(err, WEFT_ERR_LIMIT, "there are %d uploaded files already: delete some", WEFT_FILES_MAX);
    if (w->upload) WEFT_TRY(weft_database_run(&files->db, err, "DELETE FROM uploads WHERE id = ?1", "s", w->name));
    WEFT_TRY(weft_database_integer(&files->db, &known, err, "SELECT count(*) FROM blobs WHERE sha256 = ?1", "s", info->sha256));
    WEFT_TRY(count_stored(files, err));
    if (!known && (files->stored > files->quota || info->bytes > files->quota - files->stored)) return full(files, err);
    snprintf(folder, sizeof folder, "%s", to);
    *strrchr(folder, '/') = 0;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) return weft_fail(err, WEFT_ERR_IO, "%s: cannot be made: %s", folder, strerror(errno));
    if (rename(from, to) != 0) return weft_fail(err, WEFT_ERR_IO, "%s: cannot be renamed: %s", from, strerror(errno));
    WEFT_TRY(sync_folder(to, err));
    if (!known) WEFT_TRY(weft_database_run(&files->db, err, "INSERT INTO blobs VALUES (?1, ?2)", "si", info->sha256, (int64_t)info->bytes));
    return weft_database_run(&files->db, err, "INSERT INTO files (id, sha256, name, purpose, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", "ssssii",
                             info->id, info->sha256, info->name, info->purpose, info->created, info->expires);
}

/* Frees the writer. A failure leaves at most bytes without a row, which the next open removes. */
static weft_status publish_and_free(weft_file_writer *w, const unsigned char digest[32], weft_file_info *info, weft_error *err) {
    for (int i = 0; i < 32; i++) snprintf(info->sha256 + 2 * i, 3, "%02x", digest[i]);
    info->bytes = info->received = w->bytes;
    info->created = weft_files_now();
    weft_status status = make_id("file-", info->id, sizeof info->id, err);
    if (status == WEFT_OK && fsync(w->file) != 0) status = weft_fail(err, WEFT_ERR_IO, "upload: cannot be stored: %s", strerror(errno));
    if (status == WEFT_OK) {
        status = weft_files_begin(w->files, err);
        if (status == WEFT_OK) status = weft_files_end(w->files, publish(w, info, err), err);
    }
    if (status != WEFT_OK) {
        w->files->unswept = true;
        weft_file_writer_abort(w);
    } else {
        free_writer(w);
    }
    return status;
}

weft_status weft_file_writer_commit(weft_file_writer *w, weft_file_info *info, weft_error *err) {
    unsigned char digest[32];
    gnutls_hash_output(w->hash, digest);
    return publish_and_free(w, digest, info, err);
}

/* ---- uploads in ranges ----------------------------------------------------------------------------------------- */

weft_status weft_files_upload_create(weft_files *files, weft_file_info *info, weft_error *err) {
    int64_t count = 0;
    if (info->bytes < 1 || info->bytes > INT64_MAX) return weft_fail(err, WEFT_ERR_INVALID, "'bytes' must be 1 or more");
    WEFT_TRY(make_id("upload_", info->id, sizeof info->id, err));
    info->created = weft_files_now();
    info->received = 0;
    WEFT_TRY(weft_files_tidy(files, false, err));
    WEFT_TRY(weft_files_begin(files, err));
    weft_status status = weft_database_integer(&files->db, &count, err, "SELECT count(*) FROM uploads", "");
    if (status == WEFT_OK && count >= WEFT_FILES_UPLOADS_MAX)
        status = weft_fail(err, WEFT_ERR_LIMIT, "%d uploads are open already: finish or cancel some", WEFT_FILES_UPLOADS_MAX);
    if (status == WEFT_OK) status = count_stored(files, err);
    if (status == WEFT_OK && !has_room(files, info->bytes)) status = full(files, err);
    if (status == WEFT_OK)
        status = weft_database_run(&files->db, err, "INSERT INTO uploads VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)", "sssiii", info->id, info->name,
                                   info->purpose, (int64_t)info->bytes, info->created, info->expires);
    return weft_files_end(files, status, err);
}

static weft_status get_upload(weft_files *files, const char *id, weft_file_info *info, weft_error *err) {
    sqlite3_stmt *statement;
    bool row = false;
    char path[WEFT_FILES_PATH_MAX];
    struct stat file;
    char key[sizeof info->id]; /* a copy: the caller's may lie in *info */
    snprintf(key, sizeof key, "%s", id);
    id = key;
    *info = (weft_file_info){0};
    WEFT_TRY(weft_database_prepare(&files->db, &statement, err, "SELECT id, name, purpose, bytes, created, expires FROM uploads WHERE id = ?1", "s", id));
    weft_status status = weft_database_step(&files->db, statement, &row, err);
    if (row) {
        weft_database_text(statement, 0, info->id, sizeof info->id);
        weft_database_text(statement, 1, info->name, sizeof info->name);
        weft_database_text(statement, 2, info->purpose, sizeof info->purpose);
        info->bytes = (uint64_t)sqlite3_column_int64(statement, 3);
        info->created = sqlite3_column_int64(statement, 4);
        info->expires = sqlite3_column_int64(statement, 5);
    }
    sqlite3_finalize(statement);
    if (status == WEFT_OK && !row) status = weft_fail(err, WEFT_ERR_NOT_FOUND, "no upload has the id '%.60s'", id);
    if (status == WEFT_OK && weft_files_incoming_path(files, info->id, path, sizeof path) && stat(path, &file) == 0)
        info->received = (uint64_t)file.st_size;
    return status;
}

weft_status weft_files_upload_get(weft_files *files, const char *id, weft_file_info *info, weft_error *err) {
    pthread_mutex_lock(&files->mutex);
    weft_status status = get_upload(files, id, info, err);
    pthread_mutex_unlock(&files->mutex);
    return status;
}

weft_status weft_files_upload_resume(weft_files *files, const char *id, uint64_t offset, weft_file_writer **out, weft_file_info *info,
                                     weft_error *err) {
    *out = NULL;
    WEFT_TRY(weft_files_upload_get(files, id, info, err));
    weft_file_writer *w = calloc(1, sizeof *w);
    if (!w) return weft_fail(err, WEFT_ERR_MEMORY, "upload: no memory");
    w->files = files;
    w->file = -1;
    w->upload = true;
    w->total = info->bytes;
    snprintf(w->name, sizeof w->name, "%s", info->id);
    weft_status status = open_incoming(w, true, err);
    if (status == WEFT_OK && offset != w->bytes)
        status = weft_fail(err, WEFT_ERR_INVALID, "%llu bytes of this upload are here: send on from there, not from %llu", (unsigned long long)w->bytes,
                           (unsigned long long)offset);
    if (status == WEFT_OK && lseek(w->file, 0, SEEK_END) < 0) status = weft_fail(err, WEFT_ERR_IO, "upload: %s", strerror(errno));
    if (status == WEFT_OK)
        status = weft_files_begin(files, err);
    if (status == WEFT_OK)
        status = weft_files_end(files, weft_database_run(&files->db, err, "UPDATE uploads SET touched = ?2 WHERE id = ?1", "si", info->id, weft_files_now()), err);
    if (status != WEFT_OK) {
        free_writer(w);
        return status;
    }
    *out = w;
    return WEFT_OK;
}

static weft_status hash_file(int file, unsigned char digest[32], weft_error *err) {
    enum { CHUNK = 1 << 20 };
    gnutls_hash_hd_t hash;
    char *chunk = malloc(CHUNK);
    if (!chunk || gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) != 0) {
        free(chunk);
        return weft_fail(err, WEFT_ERR_MEMORY, "upload: no memory");
    }
    ssize_t n;
    for (off_t at = 0; (n = pread(file, chunk, CHUNK, at)) > 0; at += n) gnutls_hash(hash, chunk, (size_t)n);
    gnutls_hash_deinit(hash, digest);
    free(chunk);
    return n < 0 ? weft_fail(err, WEFT_ERR_IO, "upload: cannot be read back: %s", strerror(errno)) : WEFT_OK;
}

weft_status weft_file_writer_suspend(weft_file_writer *w, bool finish, weft_file_info *info, bool *complete, weft_error *err) {
    unsigned char digest[32];
    *complete = false;
    weft_status status = weft_files_upload_get(w->files, w->name, info, err); /* it may have been cancelled */
    finish = finish && w->bytes == w->total;
    if (status == WEFT_OK && finish) status = hash_file(w->file, digest, err);
    if (status == WEFT_OK && finish) {
        status = publish_and_free(w, digest, info, err);
        *complete = status == WEFT_OK;
        return status;
    }
    if (status == WEFT_OK && fsync(w->file) != 0) status = weft_fail(err, WEFT_ERR_IO, "upload: cannot be stored: %s", strerror(errno));
    info->received = w->bytes;
    free_writer(w);
    return status;
}

weft_status weft_files_upload_cancel(weft_files *files, const char *id, weft_file_info *info, weft_error *err) {
    WEFT_TRY(weft_files_begin(files, err));
    weft_status status = get_upload(files, id, info, err);
    if (status == WEFT_OK) status = weft_database_run(&files->db, err, "DELETE FROM uploads WHERE id = ?1", "s", id);
    WEFT_TRY(weft_files_end(files, status, err));
    char path[WEFT_FILES_PATH_MAX];
    if (weft_files_incoming_path(files, info->id, path, sizeof path)) unlink(path);
    return WEFT_OK;
}
