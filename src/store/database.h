/* SQLite as weft uses it: one file, write-ahead log, prepared statements, errors as weft_status.
 *
 * A weft_database belongs to one thread at a time; whoever shares it brings the lock. Refuses files that are no SQLite
 * database and layouts newer than this program knows. */
#ifndef WEFT_STORE_DATABASE_H
#define WEFT_STORE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct weft_database {
    sqlite3 *handle;
    const char *what; /* for messages; borrowed, static */
} weft_database;

/* Opens or creates `path`. layouts[v] are the statements that bring a file of layout version v (0: a new one) to v + 1,
 * NULL after the last; all run in one transaction. A file of a later version is refused. */
weft_status weft_database_open(const char *path, const char *what, const char *const *layouts, weft_database *db,
                               weft_error *err);
void weft_database_close(weft_database *db); /* closing twice is fine */

weft_status weft_database_fail(const weft_database *db, weft_error *err);
weft_status weft_database_exec(weft_database *db, const char *sql, weft_error *err);

/* Prepares `sql` and binds its ?1, ?2 … by `format`: 's' const char * (NULL: null), 'i' int64_t, 'd' double,
 * 'b' const void * and size_t. Text and blobs are borrowed until the statement is finalized. */
weft_status weft_database_prepare(weft_database *db, sqlite3_stmt **statement, weft_error *err, const char *sql,
                                  const char *format, ...);
/* One step: *row says whether there is a row to read. */
weft_status weft_database_step(weft_database *db, sqlite3_stmt *statement, bool *row, weft_error *err);
/* Prepares, runs to the end and finalizes; rows are dropped. */
weft_status weft_database_run(weft_database *db, weft_error *err, const char *sql, const char *format, ...);
/* The same for one integer: *value is the first column of the first row, untouched when there is none or it is null. */
weft_status weft_database_integer(weft_database *db, int64_t *value, weft_error *err, const char *sql,
                                  const char *format, ...);

/* Copies a text column, cut to size; NULL is "". */
void weft_database_text(sqlite3_stmt *statement, int column, char *out, size_t size);

#endif
