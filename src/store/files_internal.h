/* What files.c and file_writer.c share. Private to src/store. */
#ifndef WEFT_STORE_FILES_INTERNAL_H
#define WEFT_STORE_FILES_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "store/database.h"
#include "store/files.h"

enum { WEFT_FILES_PATH_MAX = 4096 };

struct weft_files {
    pthread_mutex_t mutex; /* guards db and the fields below */
    weft_database db;
    char folder[WEFT_FILES_PATH_MAX];
    uint64_t quota;
    uint64_t in_flight; /* bytes that writers of this process have written and not committed; uploads are in the database */
    uint64_t stored;    /* what the database counted last */
    atomic_bool unswept; /* rows are gone whose bytes are not */
};

int64_t weft_files_now(void);
/* False when the name does not fit. */
bool weft_files_blob_path(const weft_files *files, const char *sha256, char *path, size_t size);
bool weft_files_incoming_path(const weft_files *files, const char *name, char *path, size_t size);

/* Locks the store and begins a transaction that no other process shares; end commits or, for a failure, rolls back, and
 * unlocks. */
weft_status weft_files_begin(weft_files *files, weft_error *err);
weft_status weft_files_end(weft_files *files, weft_status status, weft_error *err);
/* Forgets what has expired; `whole`: and looks for everything that a killed process left behind. */
weft_status weft_files_tidy(weft_files *files, bool whole, weft_error *err);

#endif
