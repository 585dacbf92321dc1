/* SQLite as weft uses it: see database.h. */
#include "store/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUSY_MS = 10000 }; /* another process holds the lock for the length of one short transaction */

weft_status weft_database_fail(const weft_database *db, weft_error *err) {
    int code = db->handle ? sqlite3_errcode(db->handle) & 0xff : SQLITE_NOMEM;
    weft_status status = code == SQLITE_NOMEM                              ? WEFT_ERR_MEMORY
                         : code == SQLITE_BUSY                             ? WEFT_ERR_BUSY
                         : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? WEFT_ERR_FORMAT
                                                                           : WEFT_ERR_IO;
    return weft_fail(err, status, "%s: %s", db->what, db->handle ? sqlite3_errmsg(db->handle) : "no memory");
}

weft_status weft_database_exec(weft_database *db, const char *sql, weft_error *err) {
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? WEFT_OK : weft_database_fail(db, err);
}

static weft_status bring_layout(weft_database *db, const char *const *layouts, weft_error *err) {
    int64_t found = 0, version = 0;
    while (layouts[version]) version++;
    WEFT_TRY(weft_database_integer(db, &found, err, "PRAGMA user_version", ""));
    if (found < 0 || found > version)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: its layout is version %lld, this program knows version %lld",
                         db->what, (long long)found, (long long)version);
    if (found == version) return WEFT_OK;
    for (int64_t v = found; v < version; v++) WEFT_TRY(weft_database_exec(db, layouts[v], err));
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %lld", (long long)version);
    return weft_database_exec(db, sql, err);
}

weft_status weft_database_open(const char *path, const char *what, const char *const *layouts, weft_database *db,
                               weft_error *err) {
    *db = (weft_database){.what = what};
    weft_status status = WEFT_OK;
    if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL) !=
        SQLITE_OK) {
        status = weft_database_fail(db, err);
        weft_error_prefix(err, "%s", path);
    }
    if (status == WEFT_OK) {
        sqlite3_busy_timeout(db->handle, BUSY_MS);
        /* a name with double quotes must never pass for text, and a hostile file must not run functions by its schema */
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        status = weft_database_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", err);
    }
    if (status == WEFT_OK) status = weft_database_exec(db, "BEGIN IMMEDIATE", err);
    if (status == WEFT_OK) {
        status = bring_layout(db, layouts, err);
        weft_status ended = weft_database_exec(db, status == WEFT_OK ? "COMMIT" : "ROLLBACK", status == WEFT_OK ? err : NULL);
        if (status == WEFT_OK) status = ended;
    }
    if (status != WEFT_OK) weft_database_close(db);
    return status;
}

void weft_database_close(weft_database *db) {
    sqlite3_close_v2(db->handle);
    db->handle = NULL;
}

static weft_status prepare(weft_database *db, sqlite3_stmt **statement, weft_error *err, const char *sql,
                           const char *format, va_list values) {
    *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, statement, NULL);
    for (int i = 0; code == SQLITE_OK && format[i]; i++) {
        switch (format[i]) {
        case 's': code = sqlite3_bind_text(*statement, i + 1, va_arg(values, const char *), -1, SQLITE_STATIC); break;
        case 'i': code = sqlite3_bind_int64(*statement, i + 1, va_arg(values, int64_t)); break;
        case 'd': code = sqlite3_bind_double(*statement, i + 1, va_arg(values, double)); break;
        default: {
            const void *data = va_arg(values, const void *);
            code = sqlite3_bind_blob64(*statement, i + 1, data, va_arg(values, size_t), SQLITE_STATIC);
        }
        }
    }
    if (code == SQLITE_OK) return WEFT_OK;
    weft_status status = weft_database_fail(db, err);
    sqlite3_finalize(*statement);
    *statement = NULL;
    return status;
}

weft_status weft_database_prepare(weft_database *db, sqlite3_stmt **statement, weft_error *err, const char *sql,
                                  const char *format, ...) {
    va_list values;
    va_start(values, format);
    weft_status status = prepare(db, statement, err, sql, format, values);
    va_end(values);
    return status;
}

weft_status weft_database_step(weft_database *db, sqlite3_stmt *statement, bool *row, weft_error *err) {
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? WEFT_OK : weft_database_fail(db, err);
}

weft_status weft_database_run(weft_database *db, weft_error *err, const char *sql, const char *format, ...) {
    va_list values;
    va_start(values, format);
    sqlite3_stmt *statement;
    weft_status status = prepare(db, &statement, err, sql, format, values);
    va_end(values);
    bool row = true;
    while (status == WEFT_OK && row) status = weft_database_step(db, statement, &row, err);
    sqlite3_finalize(statement);
    return status;
}

weft_status weft_database_integer(weft_database *db, int64_t *value, weft_error *err, const char *sql,
                                  const char *format, ...) {
    va_list values;
    va_start(values, format);
    sqlite3_stmt *statement;
    weft_status status = prepare(db, &statement, err, sql, format, values);
    va_end(values);
    bool row = false;
    if (status == WEFT_OK) status = weft_database_step(db, statement, &row, err);
    if (row && sqlite3_column_type(statement, 0) != SQLITE_NULL) *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

void weft_database_text(sqlite3_stmt *statement, int column, char *out, size_t size) {
    const unsigned char *text = sqlite3_column_text(statement, column);
    snprintf(out, size, "%s", text ? (const char *)text : "");
}
