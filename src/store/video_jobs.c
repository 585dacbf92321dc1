/* Indexes that a server makes: see video_jobs.h. */
#include "store/video_jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/video_index_internal.h"

#define JOB_COLUMNS                                                                                                    \
    "j.number, j.id, j.file, j.sha256, j.name, j.model, j.segment_seconds, j.fps, j.max_pixels, j.state,"              \
    " j.error_status, j.error, j.video, v.duration, (SELECT count(*) FROM segments s WHERE s.video = j.video),"        \
    " j.created, j.ended"
#define JOB_TABLES "jobs j LEFT JOIN videos v ON v.id = j.video"
#define UNFINISHED "(0, 1)" /* QUEUED, RUNNING */

static void read_job(sqlite3_stmt *row, weft_job *job) {
    *job = (weft_job){0};
    job->number = sqlite3_column_int64(row, 0);
    weft_database_text(row, 1, job->id, sizeof job->id);
    weft_database_text(row, 2, job->file, sizeof job->file);
    weft_database_text(row, 3, job->sha256, sizeof job->sha256);
    weft_database_text(row, 4, job->name, sizeof job->name);
    weft_database_text(row, 5, job->model, sizeof job->model);
    job->segment_seconds = sqlite3_column_double(row, 6);
    job->fps = sqlite3_column_double(row, 7);
    job->max_pixels = sqlite3_column_int64(row, 8);
    job->state = (weft_job_state)sqlite3_column_int(row, 9);
    job->error.status = (weft_status)sqlite3_column_int(row, 10);
    weft_database_text(row, 11, job->error.message, sizeof job->error.message);
    job->video = sqlite3_column_int64(row, 12);
    job->duration = sqlite3_column_double(row, 13);
    job->done = sqlite3_column_int64(row, 14);
    job->created = sqlite3_column_int64(row, 15);
    job->ended = sqlite3_column_int64(row, 16);
}

static weft_status no_job(const char *id, weft_error *err) {
    return weft_fail(err, WEFT_ERR_NOT_FOUND, "no index has the id '%.60s'", id);
}

static weft_status get_locked(weft_video_index *index, const char *id, weft_job *job, weft_error *err) {
    sqlite3_stmt *statement;
    bool row = false;
    WEFT_TRY(weft_database_prepare(&index->db, &statement, err,
                                   "SELECT " JOB_COLUMNS " FROM " JOB_TABLES " WHERE j.id = ?1", "s", id));
    weft_status status = weft_database_step(&index->db, statement, &row, err);
    if (row) read_job(statement, job);
    sqlite3_finalize(statement);
    return status == WEFT_OK && !row ? no_job(id, err) : status;
}

/* Captions that no job has any more. The words go first: they are found through the captions. Videos that are indexed
 * from the command line have no job, and are none of this business. */
static weft_status drop_video(weft_video_index *index, int64_t video, weft_error *err) {
    int64_t jobs = 0;
    weft_database *db = &index->db;
    if (video == 0) return WEFT_OK;
    WEFT_TRY(weft_database_integer(db, &jobs, err, "SELECT count(*) FROM jobs WHERE video = ?1", "i", video));
    if (jobs > 0) return WEFT_OK;
    WEFT_TRY(weft_database_run(
        db, err,
        "INSERT INTO words (words, rowid, caption) SELECT 'delete', id, caption FROM segments WHERE video = ?1", "i",
        video));
    return weft_database_run(db, err, "DELETE FROM videos WHERE id = ?1", "i", video);
}

/* ---- changing -------------------------------------------------------------------------------------------------- */

static weft_status add_locked(weft_video_index *index, weft_job *job, weft_error *err) {
    weft_database *db = &index->db;
    int64_t count = 0, same = 0;
    WEFT_TRY(weft_database_integer(db, &same, err,
                                   "SELECT number FROM jobs WHERE file = ?1 AND model = ?2 AND segment_seconds = ?3"
                                   " AND fps = ?4 AND max_pixels = ?5",
                                   "ssddi", job->file, job->model, job->segment_seconds, job->fps, job->max_pixels));
    if (same > 0) {
        WEFT_TRY(weft_database_run(db, err,
                                   "UPDATE jobs SET state = 0, error_status = 0, error = '', ended = 0"
                                   " WHERE number = ?1 AND state NOT IN (0, 1, 2)",
                                   "i", same));
    } else {
        WEFT_TRY(weft_database_integer(db, &count, err, "SELECT count(*) FROM jobs", ""));
        if (count >= WEFT_JOBS_MAX)
            return weft_fail(err, WEFT_ERR_LIMIT, "there are %d indexes already: delete some", WEFT_JOBS_MAX);
        WEFT_TRY(weft_database_run(db, err,
                                   "INSERT INTO jobs (id, file, sha256, name, model, segment_seconds, fps, max_pixels,"
                                   " state, error_status, error, created, ended)"
                                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, '', ?9, 0)",
                                   "sssssddii", job->id, job->file, job->sha256, job->name, job->model,
                                   job->segment_seconds, job->fps, job->max_pixels, (int64_t)time(NULL)));
        same = (int64_t)sqlite3_last_insert_rowid(db->handle);
    }
    sqlite3_stmt *statement;
    bool row = false;
    WEFT_TRY(weft_database_prepare(db, &statement, err,
                                   "SELECT " JOB_COLUMNS " FROM " JOB_TABLES " WHERE j.number = ?1", "i", same));
    weft_status status = weft_database_step(db, statement, &row, err);
    if (row) read_job(statement, job);
    sqlite3_finalize(statement);
    return status;
}

weft_status weft_jobs_add(weft_video_index *index, weft_job *job, weft_error *err) {
    WEFT_TRY(weft_video_index_begin(index, err));
    return weft_video_index_end(index, add_locked(index, job, err), err);
}

weft_status weft_jobs_move(weft_video_index *index, const char *id, weft_job_state state, const weft_error *error,
                           bool *moved, weft_error *err) {
    bool unfinished = state == WEFT_JOB_QUEUED || state == WEFT_JOB_RUNNING;
    *moved = false;
    WEFT_TRY(weft_video_index_begin(index, err));
    weft_status status = weft_database_run(
        &index->db, err,
        "UPDATE jobs SET state = ?2, error_status = ?3, error = ?4, ended = ?5 WHERE id = ?1 AND state IN " UNFINISHED,
        "siisi", id, (int64_t)state, (int64_t)(error ? error->status : WEFT_OK), error ? error->message : "",
        unfinished ? (int64_t)0 : (int64_t)time(NULL));
    if (status == WEFT_OK) *moved = sqlite3_changes(index->db.handle) > 0;
    return weft_video_index_end(index, status, err);
}

static weft_status place_locked(weft_video_index *index, const char *id, int64_t video, weft_error *err) {
    weft_job job;
    WEFT_TRY(get_locked(index, id, &job, err));
    if (job.video == video) return WEFT_OK;
    WEFT_TRY(weft_database_run(&index->db, err, "UPDATE jobs SET video = ?2 WHERE id = ?1", "si", id, video));
    return drop_video(index, job.video, err);
}

weft_status weft_jobs_place(weft_video_index *index, const char *id, int64_t video, weft_error *err) {
    WEFT_TRY(weft_video_index_begin(index, err));
    return weft_video_index_end(index, place_locked(index, id, video, err), err);
}

static weft_status delete_locked(weft_video_index *index, const char *id, weft_error *err) {
    weft_job job;
    WEFT_TRY(get_locked(index, id, &job, err));
    WEFT_TRY(weft_database_run(&index->db, err, "DELETE FROM jobs WHERE id = ?1", "s", id));
    return drop_video(index, job.video, err);
}

weft_status weft_jobs_delete(weft_video_index *index, const char *id, weft_error *err) {
    WEFT_TRY(weft_video_index_begin(index, err));
    return weft_video_index_end(index, delete_locked(index, id, err), err);
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

weft_status weft_jobs_get(weft_video_index *index, const char *id, weft_job *job, weft_error *err) {
    pthread_mutex_lock(&index->mutex);
    weft_status status = get_locked(index, id, job, err);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_jobs_next(weft_video_index *index, int64_t after, weft_job *job, bool *found, weft_error *err) {
    sqlite3_stmt *statement;
    *found = false;
    pthread_mutex_lock(&index->mutex);
    weft_status status =
        weft_database_prepare(&index->db, &statement, err,
                              "SELECT " JOB_COLUMNS " FROM " JOB_TABLES
                              " WHERE j.number > ?1 AND j.state IN " UNFINISHED " ORDER BY j.number LIMIT 1",
                              "i", after);
    if (status == WEFT_OK) status = weft_database_step(&index->db, statement, found, err);
    if (*found) read_job(statement, job);
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&index->mutex);
    return status;
}

weft_status weft_jobs_list(weft_video_index *index, const char *after, const char *file, int limit, weft_job **list,
                           int *count, bool *more, weft_error *err) {
    *list = NULL;
    *count = 0;
    *more = false;
    if (limit < 1 || limit > WEFT_JOBS_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "'limit' must be between 1 and %d", WEFT_JOBS_MAX);
    weft_job *jobs = calloc((size_t)limit, sizeof *jobs);
    if (!jobs) return weft_fail(err, WEFT_ERR_MEMORY, "indexes: no memory for the list");
    int64_t number = INT64_MAX;
    sqlite3_stmt *statement = NULL;
    weft_status status = WEFT_OK;
    pthread_mutex_lock(&index->mutex);
    if (after) {
        number = 0;
        status = weft_database_integer(&index->db, &number, err, "SELECT number FROM jobs WHERE id = ?1", "s", after);
        if (status == WEFT_OK && number == 0)
            status = weft_fail(err, WEFT_ERR_INVALID, "'after' names no index: '%.60s'", after);
    }
    if (status == WEFT_OK)
        status = weft_database_prepare(&index->db, &statement, err,
                                       "SELECT " JOB_COLUMNS " FROM " JOB_TABLES
                                       " WHERE j.number < ?1 AND (?2 IS NULL OR j.file = ?2)"
                                       " ORDER BY j.number DESC LIMIT ?3",
                                       "isi", number, file, (int64_t)limit + 1);
    for (bool row = true; status == WEFT_OK && row && !*more;) {
        status = weft_database_step(&index->db, statement, &row, err);
        if (status != WEFT_OK || !row) break;
        *more = *count == limit;
        if (!*more) read_job(statement, &jobs[(*count)++]);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&index->mutex);
    if (status != WEFT_OK) {
        free(jobs);
        *count = 0;
        return status;
    }
    *list = jobs;
    return WEFT_OK;
}
