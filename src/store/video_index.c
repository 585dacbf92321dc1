/* What long videos show: see video_index.h. */
#include "store/video_index.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "store/video_index_internal.h"

static const char first_layout[] =
    "CREATE TABLE videos (id INTEGER PRIMARY KEY, path TEXT NOT NULL, bytes INTEGER NOT NULL, modified INTEGER NOT NULL, model TEXT NOT NULL,"
    " segment_seconds REAL NOT NULL, duration REAL NOT NULL, UNIQUE (path, bytes, modified, model, segment_seconds));"
    "CREATE TABLE segments (id INTEGER PRIMARY KEY, video INTEGER NOT NULL REFERENCES videos ON DELETE CASCADE, number INTEGER NOT NULL,"
    " begins REAL NOT NULL, ends REAL NOT NULL, caption TEXT NOT NULL, UNIQUE (video, number));"
    "CREATE VIRTUAL TABLE words USING fts5 (caption, content = 'segments', content_rowid = 'id', tokenize = 'porter unicode61');";

static const char second_layout[] = /* indexes that a server makes: see video_jobs.h */
    "CREATE TABLE jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, sha256 TEXT NOT NULL, name TEXT NOT NULL,"
    " model TEXT NOT NULL, segment_seconds REAL NOT NULL, fps REAL NOT NULL, max_pixels INTEGER NOT NULL, state INTEGER NOT NULL,"
    " error_status INTEGER NOT NULL, error TEXT NOT NULL, video INTEGER REFERENCES videos, created INTEGER NOT NULL, ended INTEGER NOT NULL,"
    " UNIQUE (file, model, segment_seconds, fps, max_pixels));"
    "CREATE INDEX jobs_by_video ON jobs (video);";

static const char third_layout[] =
    "CREATE TABLE vectors (video INTEGER NOT NULL REFERENCES videos ON DELETE CASCADE, caption TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (video, caption)) WITHOUT ROWID;"
    "CREATE INDEX segments_by_caption ON segments (video, caption);";
static const char *const layouts[] = {first_layout, second_layout, third_layout, NULL};

weft_status weft_video_index_open(const char *database, weft_video_index **out, weft_error *err) {
    weft_video_index *index = calloc(1, sizeof *index);
    *out = NULL;
    if (!index) return weft_fail(err, WEFT_ERR_MEMORY, "index: no memory");
    weft_status status = weft_database_open(database, "the index of videos", layouts, &index->db, err);
    if (status != WEFT_OK)
        free(index);
    else
        *out = index;
    if (status == WEFT_OK) pthread_mutex_init(&index->mutex, NULL);
    return status;
}

void weft_video_index_close(weft_video_index *index) {
    if (!index) return;
    weft_database_close(&index->db);
    pthread_mutex_destroy(&index->mutex);
    free(index);
}

weft_status weft_video_index_add(weft_video_index *index, const char *path, int64_t bytes, int64_t modified, const char *model, double segment_seconds, double duration,
                                 int64_t *video, weft_error *err) {
    weft_database *db = &index->db;
    *video = 0;
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_run(db, err, "INSERT OR IGNORE INTO videos (path, bytes, modified, model, segment_seconds, duration) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", "siisdd",
                               path, bytes, modified, model, segment_seconds, duration);
    if (status == WEFT_OK)
        status = weft_database_integer(db, video, err, "SELECT id FROM videos WHERE path = ?1 AND bytes = ?2 AND modified = ?3 AND model = ?4 AND segment_seconds = ?5", "siisd", path,
                                       bytes, modified, model, segment_seconds);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_video_index_begin(weft_video_index *index, weft_error *err) {
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_exec(&index->db, "BEGIN IMMEDIATE", err);
    if (status != WEFT_OK) pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_video_index_end(weft_video_index *index, weft_status status, weft_error *err) {
    if (status == WEFT_OK) status = weft_database_exec(&index->db, "COMMIT", err);
    if (status != WEFT_OK) weft_database_exec(&index->db, "ROLLBACK", NULL);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_video_index_count(weft_video_index *index, int64_t video, int64_t *count, weft_error *err) {
    *count = 0;
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_integer(&index->db, count, err, "SELECT count(*) FROM segments WHERE video = ?1", "i", video);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_video_index_put(weft_video_index *index, int64_t video, const weft_video_segment *s, weft_error *err) {
    weft_database *db = &index->db;
    WEFT_TRY(weft_video_index_begin(index, err));
    weft_status status = weft_database_run(db, err, "INSERT INTO segments (video, number, begins, ends, caption) VALUES (?1, ?2, ?3, ?4, ?5)", "iidds", video, s->number,
                                           s->begins, s->ends, s->caption);
    if (status == WEFT_OK)
        status = weft_database_run(db, err, "INSERT INTO words (rowid, caption) VALUES (?1, ?2)", "is", (int64_t)sqlite3_last_insert_rowid(db->handle), s->caption);
    return weft_video_index_end(index, status, err);
}

static void read_segment(sqlite3_stmt *row, weft_video_segment *s) {
    s->number = sqlite3_column_int64(row, 0);
    s->begins = sqlite3_column_double(row, 1);
    s->ends = sqlite3_column_double(row, 2);
    weft_database_text(row, 3, s->caption, sizeof s->caption);
    s->score = sqlite3_column_count(row) > 4 ? -sqlite3_column_double(row, 4) : 0; /* bm25 is smaller for better ones */
}

weft_status weft_video_index_get(weft_video_index *index, int64_t video, int64_t number, weft_video_segment *segment, bool *found, weft_error *err) {
    sqlite3_stmt *statement;
    *found = false;
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_prepare(&index->db, &statement, err, "SELECT number, begins, ends, caption FROM segments WHERE video = ?1 AND number = ?2", "ii", video, number);
    if (status == WEFT_OK) status = weft_database_step(&index->db, statement, found, err);
    if (*found) read_segment(statement, segment);
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

bool weft_video_index_common(const char *word, size_t length) {
    static const char *const common[] = {"a",  "an",   "the",  "some",  "this", "that", "these", "those", "of",   "in",  "on",   "at",   "to",  "from", "by",   "with", "for",
                                         "as", "into", "and",  "or",    "is",   "are",  "was",   "were",  "be",   "it",  "its",  "he",   "she", "his",  "her",  "they", "there",
                                         "i",  "what", "when", "where", "who",  "which", "how",  "does",  "do",   "did", "has",  "have"};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strlen(common[i]) == length && strncasecmp(common[i], word, length) == 0) return true;
    return false;
}

static const char apart[] = " \t\r\n.,;:!?\"'()[]{}<>*^-+/\\|&";

static bool all_common(const char *words) {
    for (const char *p = words + strspn(words, apart); *p;) {
        size_t n = strcspn(p, apart);
        if (!weft_video_index_common(p, n)) return false;
        p += n;
        p += strspn(p, apart);
    }
    return true;
}

/* Words as FTS5 strings, joined by OR: nothing that a person types is query syntax. */
static weft_status make_query(const char *words, weft_buffer *query, weft_error *err) {
    int count = 0;
    bool all = all_common(words);
    for (const char *p = words + strspn(words, apart); *p && count < WEFT_INDEX_WORDS_MAX;) {
        size_t n = strcspn(p, apart);
        if (all || !weft_video_index_common(p, n)) {
            WEFT_TRY(weft_buffer_printf(query, err, "%s\"%.*s\"", count ? " OR " : "", (int)(n < 200 ? n : 200), p));
            count++;
        }
        p += n;
        p += strspn(p, apart);
    }
    return count > 0 ? WEFT_OK : weft_fail(err, WEFT_ERR_INVALID, "there is no word to look for");
}

weft_status weft_video_index_find(weft_video_index *index, int64_t video, const char *words, int limit, weft_video_segment *hits, int *count, weft_error *err) {
    weft_buffer query;
    sqlite3_stmt *statement = NULL;
    *count = 0;
    weft_buffer_init(&query, 1 << 16, "the words to look for");
    weft_status status = make_query(words, &query, err);
    pthread_mutex_lock(&index->mutex);
    if (status == WEFT_OK)
        status = weft_database_prepare(&index->db, &statement, err,
                                       "SELECT s.number, s.begins, s.ends, s.caption, bm25(words) FROM words JOIN segments s ON s.id = words.rowid"
                                       " WHERE words MATCH ?1 AND s.video = ?2 ORDER BY bm25(words), s.number LIMIT ?3",
                                       "sii", query.data, video, (int64_t)limit);
    for (bool row = true; status == WEFT_OK && row && *count < limit;) {
        status = weft_database_step(&index->db, statement, &row, err);
        if (status == WEFT_OK && row) read_segment(statement, &hits[(*count)++]);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&index->mutex);
    weft_buffer_free(&query);
    return status;
}

/* ---- vectors --------------------------------------------------------------------------------------------------- */

weft_status weft_video_index_put_vector(weft_video_index *index, int64_t video, const char *caption, const int8_t *vector, size_t size, weft_error *err) {
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_run(&index->db, err, "INSERT OR REPLACE INTO vectors (video, caption, vector) VALUES (?1, ?2, ?3)", "isb", video, caption, vector, size);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_video_index_has_vector(weft_video_index *index, int64_t video, const char *caption, bool *has, weft_error *err) {
    int64_t count = 0;
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_integer(&index->db, &count, err, "SELECT count(*) FROM vectors WHERE video = ?1 AND caption = ?2", "is", video, caption);
    pthread_mutex_unlock(&index->mutex);
    *has = count > 0;
    return status;
}

weft_status weft_video_index_vectors(weft_video_index *index, int64_t video, weft_video_vector_taker *take, void *context, weft_error *err) {
    sqlite3_stmt *statement;
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_prepare(&index->db, &statement, err, "SELECT caption, vector FROM vectors WHERE video = ?1", "i", video);
    for (bool row = true; status == WEFT_OK && row;) {
        status = weft_database_step(&index->db, statement, &row, err);
        if (status != WEFT_OK || !row) continue;
        const char *caption = (const char *)sqlite3_column_text(statement, 0);
        const int8_t *vector = sqlite3_column_blob(statement, 1);
        if (caption && vector) take(context, caption, vector, (size_t)sqlite3_column_bytes(statement, 1));
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_video_index_with_caption(weft_video_index *index, int64_t video, const char *caption, int limit, weft_video_segment *hits, int *count, weft_error *err) {
    sqlite3_stmt *statement;
    *count = 0;
    pthread_mutex_lock(&index->mutex);
    weft_status status = weft_database_prepare(&index->db, &statement, err, "SELECT number, begins, ends, caption FROM segments WHERE video = ?1 AND caption = ?2 ORDER BY number LIMIT ?3",
                                               "isi", video, caption, (int64_t)limit);
    for (bool row = true; status == WEFT_OK && row && *count < limit;) {
        status = weft_database_step(&index->db, statement, &row, err);
        if (status == WEFT_OK && row) read_segment(statement, &hits[(*count)++]);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&index->mutex);
    return status;
}
