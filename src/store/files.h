/* Uploaded files: content-addressed storage under a data folder, with its list in SQLite.
 *
 *   FOLDER/files.db              who is there: id, name, purpose, size, hash, expiry; uploads that are not complete
 *   FOLDER/blobs/ab/abcdef…      bytes, named after their SHA-256; one file however often it was uploaded
 *   FOLDER/incoming/…            bytes on their way in
 *
 * A file is listed by one SQLite transaction that comes after its bytes are complete, synced and under their final name:
 * whatever kills the process, nothing half-written is ever listed. What a killed process leaves behind (bytes without a
 * row) is removed at the next open. Several processes may share a folder. All functions may be called from any thread.
 *
 * Refuses more than the quota, and names no bytes by anything but their id. */
#ifndef WEFT_STORE_FILES_H
#define WEFT_STORE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    WEFT_FILES_MAX = 100000,        /* files listed */
    WEFT_FILES_UPLOADS_MAX = 1000,  /* uploads that are not complete */
    WEFT_FILES_UPLOAD_HOURS = 24,   /* after which an upload that stands still is forgotten */
    WEFT_FILES_PAGE_MAX = 10000,    /* entries of one answer to a list */
};

typedef struct weft_files weft_files;
typedef struct weft_file_writer weft_file_writer;

typedef struct weft_file_info {
    char id[40]; /* "file-…" or "upload_…" */
    char sha256[65];
    char name[256];
    char purpose[64];
    uint64_t bytes;    /* of an upload: how many it is to have */
    uint64_t received; /* of an upload: how many are here */
    int64_t created, expires; /* seconds since 1970; expires 0: never */
} weft_file_info;

/* Opens or creates the store. quota_bytes: of all distinct bytes together, those on their way in included. */
weft_status weft_files_open(const char *folder, uint64_t quota_bytes, weft_files **files, weft_error *err);
void weft_files_close(weft_files *files); /* NULL is allowed; no writer may be open */

/* ---- coming in ---- */

/* A file that comes in one piece. Append, then commit (which frees the writer on success or failure) or abort. */
weft_status weft_file_writer_begin(weft_files *files, weft_file_writer **writer, weft_error *err);
weft_status weft_file_writer_append(weft_file_writer *writer, const void *data, size_t size, weft_error *err);
uint64_t weft_file_writer_bytes(const weft_file_writer *writer);
/* In: name, purpose, expires. Out: all. */
weft_status weft_file_writer_commit(weft_file_writer *writer, weft_file_info *info, weft_error *err);
void weft_file_writer_abort(weft_file_writer *writer); /* NULL is allowed */

/* A file that comes in ranges and survives broken connections and restarts. In: name, purpose, bytes, expires. */
weft_status weft_files_upload_create(weft_files *files, weft_file_info *info, weft_error *err);
weft_status weft_files_upload_get(weft_files *files, const char *id, weft_file_info *info, weft_error *err);
/* Takes up an upload at `offset`, which must be how much is here (else WEFT_ERR_INVALID and info->received says it). Ends
 * with weft_file_writer_suspend. BUSY when another connection writes to it. */
weft_status weft_files_upload_resume(weft_files *files, const char *id, uint64_t offset, weft_file_writer **writer,
                                     weft_file_info *info, weft_error *err);
/* Syncs and keeps what has come. With `finish` an upload whose last byte is here becomes a file: *info is that file and
 * *complete true. Frees the writer. */
weft_status weft_file_writer_suspend(weft_file_writer *writer, bool finish, weft_file_info *info, bool *complete, weft_error *err);
weft_status weft_files_upload_cancel(weft_files *files, const char *id, weft_file_info *info, weft_error *err);

/* ---- looking and deleting; NOT_FOUND for what is not there or has expired ---- */

weft_status weft_files_get(weft_files *files, const char *id, weft_file_info *info, weft_error *err);
/* *file is a descriptor open for reading, the caller's; deletion does not touch it. */
weft_status weft_files_read(weft_files *files, const char *id, int *file, weft_file_info *info, weft_error *err);
weft_status weft_files_delete(weft_files *files, const char *id, weft_error *err);
/* A page of the list, newest first unless `ascending`, after the file `after` (NULL: from the start), of one `purpose` (NULL:
 * any). *list is malloc'ed, the caller's. */
weft_status weft_files_list(weft_files *files, const char *after, const char *purpose, bool ascending, int limit,
                            weft_file_info **list, int *count, bool *more, weft_error *err);

/* The folder for weft's data: $XDG_DATA_HOME/weft, else ~/.local/share/weft. */
weft_status weft_data_folder(char *path, size_t size, weft_error *err);
/* Makes a folder (0700) and those above it. */
weft_status weft_make_folders(const char *path, weft_error *err);

#endif
