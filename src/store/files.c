/* Uploaded files: looking, deleting, and cleaning up. See files.h; bytes on their way in are in file_writer.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/files_internal.h"

static const char first_layout[] =
    "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE files (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL REFERENCES blobs,"
    " name TEXT NOT NULL, purpose TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE INDEX files_by_blob ON files (sha256);"
    "CREATE INDEX files_by_expiry ON files (expires) WHERE expires > 0;"
    "CREATE TABLE uploads (id TEXT PRIMARY KEY, name TEXT NOT NULL, purpose TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " created INTEGER NOT NULL, expires INTEGER NOT NULL, touched INTEGER NOT NULL) WITHOUT ROWID;";
static const char *const layouts[] = {first_layout, NULL};

int64_t weft_files_now(void) { return (int64_t)time(NULL); }

/* ---- folders --------------------------------------------------------------------------------------------------- */

weft_status weft_make_folders(const char *path, weft_error *err) {
    char part[WEFT_FILES_PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return weft_fail(err, WEFT_ERR_INVALID, "the name of a folder is empty or too long");
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return weft_fail(err, WEFT_ERR_IO, "%s: cannot be made: %s", part, strerror(errno));
    }
    return WEFT_OK;
}

weft_status weft_data_folder(char *path, size_t size, weft_error *err) {
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n = -1;
    if (data && data[0] == '/')
        n = snprintf(path, size, "%s/weft", data);
    else if (home && home[0] == '/')
        n = snprintf(path, size, "%s/.local/share/weft", home);
    if (n < 0) return weft_fail(err, WEFT_ERR_INVALID, "neither XDG_DATA_HOME nor HOME is set: name a folder with --data-dir");
    return (size_t)n < size ? WEFT_OK : weft_fail(err, WEFT_ERR_INVALID, "the name of the data folder is too long");
}

bool weft_files_blob_path(const weft_files *files, const char *sha256, char *path, size_t size) {
    return strlen(sha256) == 64 && (size_t)snprintf(path, size, "%s/blobs/%.2s/%s", files->folder, sha256, sha256) < size;
}

bool weft_files_incoming_path(const weft_files *files, const char *name, char *path, size_t size) {
    return (size_t)snprintf(path, size, "%s/incoming/%s", files->folder, name) < size;
}

/* ---- transactions ---------------------------------------------------------------------------------------------- */

weft_status weft_files_begin(weft_files *files, weft_error *err) {
    pthread_mutex_lock(&files->mutex);
    weft_status status = weft_database_exec(&files->db, "BEGIN IMMEDIATE", err);
    if (status != WEFT_OK) pthread_mutex_unlock(&files->mutex);
    return status;
}

weft_status weft_files_end(weft_files *files, weft_status status, weft_error *err) {
    if (status == WEFT_OK) status = weft_database_exec(&files->db, "COMMIT", err);
    if (status != WEFT_OK) weft_database_exec(&files->db, "ROLLBACK", NULL);
    pthread_mutex_unlock(&files->mutex);
    return status;
}

/* Removes bytes that no file has any more. In a transaction of its own: whoever adds the same bytes again does so wholly
 * before it (the row is seen here) or wholly after it (the bytes are put back). */
static weft_status drop_blob(weft_files *files, const char *sha256, weft_error *err) {
    int64_t rows = 0;
    char path[WEFT_FILES_PATH_MAX];
    WEFT_TRY(weft_files_begin(files, err));
    weft_status status = weft_database_integer(&files->db, &rows, err, "SELECT count(*) FROM blobs WHERE sha256 = ?1", "s", sha256);
    if (status == WEFT_OK && rows == 0 && weft_files_blob_path(files, sha256, path, sizeof path)) unlink(path);
    return weft_files_end(files, status, err);
}

/* The rows of blobs without a file go; their bytes follow in sweep_blobs or drop_blob. */
static weft_status forget_blob_rows(weft_files *files, weft_error *err) {
    return weft_database_exec(&files->db, "DELETE FROM blobs WHERE sha256 NOT IN (SELECT sha256 FROM files)", err);
}

/* ---- cleaning up ----------------------------------------------------------------------------------------------- */

/* Calls visit for every entry of a folder but "." and "..". */
static void each_entry(const char *folder, void (*visit)(weft_files *files, const char *folder, const char *name), weft_files *files) {
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') visit(files, folder, entry->d_name);
    if (dir) closedir(dir);
}

static void sweep_blob(weft_files *files, const char *folder, const char *name) {
    int64_t rows = 1;
    char path[WEFT_FILES_PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return;
    if (weft_database_integer(&files->db, &rows, NULL, "SELECT count(*) FROM blobs WHERE sha256 = ?1", "s", name) == WEFT_OK && rows == 0)
        unlink(path);
}

static void sweep_blob_folder(weft_files *files, const char *folder, const char *name) {
    char path[WEFT_FILES_PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path) each_entry(path, sweep_blob, files);
}

/* Bytes on their way in belong to a living writer when they are locked, or to an upload that may go on. */
static void sweep_incoming(weft_files *files, const char *folder, const char *name) {
    int64_t rows = 1;
    char path[WEFT_FILES_PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return;
    if (weft_database_integer(&files->db, &rows, NULL, "SELECT count(*) FROM uploads WHERE id = ?1", "s", name) != WEFT_OK || rows > 0) return;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return;
    if (flock(file, LOCK_EX | LOCK_NB) == 0) unlink(path);
    close(file);
}

/* What has expired goes. Called with the transaction open. */
static weft_status expire(weft_files *files, weft_error *err) {
    int64_t now = weft_files_now();
    WEFT_TRY(weft_database_run(&files->db, err, "DELETE FROM files WHERE expires > 0 AND expires <= ?1", "i", now));
    if (sqlite3_changes(files->db.handle) > 0) {
        WEFT_TRY(forget_blob_rows(files, err));
        files->unswept = true;
    }
    WEFT_TRY(weft_database_run(&files->db, err, "DELETE FROM uploads WHERE touched < ?1", "i", now - WEFT_FILES_UPLOAD_HOURS * 3600));
    if (sqlite3_changes(files->db.handle) > 0) files->unswept = true;
    return WEFT_OK;
}

weft_status weft_files_tidy(weft_files *files, bool whole, weft_error *err) {
    WEFT_TRY(weft_files_begin(files, err));
    if (whole) files->unswept = true;
    weft_status status = whole ? forget_blob_rows(files, err) : WEFT_OK;
    if (status == WEFT_OK) status = expire(files, err);
    bool sweep = files->unswept;
    files->unswept = false;
    WEFT_TRY(weft_files_end(files, status, err));
    if (!sweep) return WEFT_OK;
    /* the rows are gone for good: only now may the bytes go */
    WEFT_TRY(weft_files_begin(files, err));
    char path[WEFT_FILES_PATH_MAX];
    snprintf(path, sizeof path, "%.4000s/blobs", files->folder);
    each_entry(path, sweep_blob_folder, files);
    snprintf(path, sizeof path, "%.4000s/incoming", files->folder);
    each_entry(path, sweep_incoming, files);
    return weft_files_end(files, WEFT_OK, err);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

weft_status weft_files_open(const char *folder, uint64_t quota_bytes, weft_files **out, weft_error *err) {
    *out = NULL;
    char path[WEFT_FILES_PATH_MAX];
    if (strlen(folder) > 3900) return weft_fail(err, WEFT_ERR_INVALID, "the name of the data folder is too long");
    weft_files *files = calloc(1, sizeof *files);
    if (!files) return weft_fail(err, WEFT_ERR_MEMORY, "files: no memory");
    pthread_mutex_init(&files->mutex, NULL);
    snprintf(files->folder, sizeof files->folder, "%s", folder);
    files->quota = quota_bytes < INT64_MAX ? quota_bytes : INT64_MAX;
    static const char *const folders[] = {"blobs", "incoming"};
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < 2 && status == WEFT_OK; i++) {
        snprintf(path, sizeof path, "%.4000s/%s", folder, folders[i]);
        status = weft_make_folders(path, err);
    }
    snprintf(path, sizeof path, "%s/files.db", folder);
    if (status == WEFT_OK) status = weft_database_open(path, "the list of uploaded files", layouts, &files->db, err);
    if (status == WEFT_OK) status = weft_files_tidy(files, true, err);
    if (status != WEFT_OK) {
        weft_error_prefix(err, "%s", folder);
        weft_files_close(files);
        return status;
    }
    *out = files;
    return WEFT_OK;
}

void weft_files_close(weft_files *files) {
    if (!files) return;
    weft_database_close(&files->db);
    pthread_mutex_destroy(&files->mutex);
    free(files);
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

#define FILE_COLUMNS "f.id, f.sha256, f.name, f.purpose, b.bytes, f.created, f.expires"
#define FILE_TABLES  "files f JOIN blobs b ON b.sha256 = f.sha256"

static void read_info(sqlite3_stmt *row, weft_file_info *info) {
    *info = (weft_file_info){0};
    weft_database_text(row, 0, info->id, sizeof info->id);
    weft_database_text(row, 1, info->sha256, sizeof info->sha256);
    weft_database_text(row, 2, info->name, sizeof info->name);
    weft_database_text(row, 3, info->purpose, sizeof info->purpose);
    info->bytes = info->received = (uint64_t)sqlite3_column_int64(row, 4);
    info->created = sqlite3_column_int64(row, 5);
    info->expires = sqlite3_column_int64(row, 6);
}

static weft_status no_file(const char *id, weft_error *err) {
    return weft_fail(err, WEFT_ERR_NOT_FOUND, "no file has the id '%.60s'", id);
}

static weft_status get_locked(weft_files *files, const char *id, weft_file_info *info, weft_error *err) {
    sqlite3_stmt *statement;
    bool row = false;
    WEFT_TRY(weft_database_prepare(&files->db, &statement, err,
                                   "SELECT " FILE_COLUMNS " FROM " FILE_TABLES " WHERE f.id = ?1 AND (f.expires = 0 OR f.expires > ?2)", "si",
                                   id, weft_files_now()));
    weft_status status = weft_database_step(&files->db, statement, &row, err);
    if (row) read_info(statement, info);
    sqlite3_finalize(statement);
    if (status == WEFT_OK && !row) status = no_file(id, err);
    return status;
}

weft_status weft_files_get(weft_files *files, const char *id, weft_file_info *info, weft_error *err) {
    pthread_mutex_lock(&files->mutex);
    weft_status status = get_locked(files, id, info, err);
    pthread_mutex_unlock(&files->mutex);
    return status;
}

weft_status weft_files_read(weft_files *files, const char *id, int *file, weft_file_info *info, weft_error *err) {
    char path[WEFT_FILES_PATH_MAX];
    *file = -1;
    WEFT_TRY(weft_files_get(files, id, info, err));
    if (weft_files_blob_path(files, info->sha256, path, sizeof path)) *file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*file >= 0) return WEFT_OK;
    if (errno == ENOENT) return no_file(id, err); /* deleted in this moment */
    return weft_fail(err, errno == EMFILE || errno == ENFILE ? WEFT_ERR_BUSY : WEFT_ERR_IO, "file '%s': %s", id, strerror(errno));
}

weft_status weft_files_delete(weft_files *files, const char *id, weft_error *err) {
    weft_file_info info;
    WEFT_TRY(weft_files_begin(files, err));
    weft_status status = get_locked(files, id, &info, err);
    if (status == WEFT_OK) status = weft_database_run(&files->db, err, "DELETE FROM files WHERE id = ?1", "s", id);
    if (status == WEFT_OK)
        status = weft_database_run(&files->db, err, "DELETE FROM blobs WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE sha256 = ?1)",
                                   "s", info.sha256);
    WEFT_TRY(weft_files_end(files, status, err));
    return drop_blob(files, info.sha256, err);
}

weft_status weft_files_list(weft_files *files, const char *after, const char *purpose, bool ascending, int limit,
                            weft_file_info **list, int *count, bool *more, weft_error *err) {
    *list = NULL;
    *count = 0;
    *more = false;
    if (limit < 1 || limit > WEFT_FILES_PAGE_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "'limit' is %d, it must be between 1 and %d", limit, WEFT_FILES_PAGE_MAX);
    WEFT_TRY(weft_files_tidy(files, false, err));
    pthread_mutex_lock(&files->mutex);
    int64_t number = ascending ? 0 : INT64_MAX;
    weft_status status = WEFT_OK;
    if (after) {
        int64_t found = -1;
        status = weft_database_integer(&files->db, &found, err, "SELECT number FROM files WHERE id = ?1", "s", after);
        if (status == WEFT_OK && found < 0) status = weft_fail(err, WEFT_ERR_INVALID, "'after' names no file: '%.60s'", after);
        number = found;
    }
    sqlite3_stmt *statement = NULL;
    if (status == WEFT_OK)
        status = weft_database_prepare(&files->db, &statement, err,
                                       ascending ? "SELECT " FILE_COLUMNS " FROM " FILE_TABLES
                                                   " WHERE f.number > ?1 AND (?2 IS NULL OR f.purpose = ?2) ORDER BY f.number LIMIT ?3"
                                                 : "SELECT " FILE_COLUMNS " FROM " FILE_TABLES
                                                   " WHERE f.number < ?1 AND (?2 IS NULL OR f.purpose = ?2) ORDER BY f.number DESC LIMIT ?3",
                                       "isi", number, purpose, (int64_t)limit + 1);
    int capacity = 0;
    for (bool row = true; status == WEFT_OK && row;) {
        status = weft_database_step(&files->db, statement, &row, err);
        if (status != WEFT_OK || !row) break;
        *more = *count == limit;
        if (*more) break;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            weft_file_info *grown = realloc(*list, (size_t)capacity * sizeof *grown);
            if (!grown) {
                status = weft_fail(err, WEFT_ERR_MEMORY, "files: no memory for the list");
                break;
            }
            *list = grown;
        }
        read_info(statement, &(*list)[(*count)++]);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&files->mutex);
    if (status != WEFT_OK) {
        free(*list);
        *list = NULL;
        *count = 0;
    }
    return status;
}
