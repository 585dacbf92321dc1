/* Indexes of uploaded videos, made in the background: one thread, one segment of one video at a time, each a background
 * request of the same engine that answers chats. What is to be done stands in the database (store/video_jobs.h), so a
 * server that was killed goes on where it was. Memory: one request at a time.
 *
 * Several servers may share a folder: whoever holds its lock works, the others look again every POLL_MS. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/server_internal.h"

enum {
    POLL_MS = 5000,  /* work that another server has been given, or the lock that it has left */
    RETRY_MS = 2000, /* after the engine's queue was full */
};

struct weft_indexer {
    weft_server *server;
    pthread_t thread;
    int lock; /* descriptor of the lock file */
    bool locked;
    atomic_bool stopping, interrupted; /* the latter: the current job was cancelled or deleted */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool woken;
    char current[40];       /* id of the job at work, or "" */
    double segment_seconds; /* that a segment takes, smoothed; 0: none is done yet */
};

static bool cancelled(void *context) {
    weft_indexer *indexer = context;
    return atomic_load(&indexer->stopping) || atomic_load(&indexer->interrupted) ||
           atomic_load(&indexer->server->stopping);
}

/* Waits until there is something new, at most so long. */
static void rest(weft_indexer *indexer, int milliseconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&indexer->mutex);
    while (!indexer->woken && !cancelled(indexer))
        if (pthread_cond_timedwait(&indexer->changed, &indexer->mutex, &until) == ETIMEDOUT) break;
    indexer->woken = false;
    pthread_mutex_unlock(&indexer->mutex);
}

/* ---- one job --------------------------------------------------------------------------------------------------- */

static weft_status resolve(void *context, const char *url, int *file, weft_error *err) {
    return weft_uploads_open(context, url, file, err);
}

weft_video_job weft_indexer_video_job(weft_server *server, const weft_job *job, const weft_server_model *model) {
    weft_video_job video = {.settings = weft_video_defaults,
                            .model = model ? model->model : NULL,
                            .engine = model ? model->engine : NULL,
                            .index = server->videos,
                            .name = job->name,
                            .url = job->file,
                            .resolve = resolve,
                            .resolve_context = server};
    video.settings.segment = job->segment_seconds;
    video.settings.fps = job->fps;
    video.settings.max_pixels = job->max_pixels;
    return video;
}

weft_status weft_indexer_check_file(weft_server *server, const weft_job *job, weft_error *err) {
    weft_file_info info;
    weft_status status = weft_files_get(server->files, job->file, &info, err);
    if (status != WEFT_ERR_NOT_FOUND) return status;
    weft_jobs_delete(server->videos, job->id, NULL);
    weft_indexer_interrupt(server->indexer, job->id);
    return status;
}

/* Whether the database still wants this job to run: another process may have ended it. */
static bool is_wanted(weft_indexer *indexer, const char *id) {
    weft_job job;
    return !cancelled(indexer) && weft_jobs_get(indexer->server->videos, id, &job, NULL) == WEFT_OK &&
           job.state == WEFT_JOB_RUNNING;
}

static void keep_pace(weft_indexer *indexer, double seconds) {
    pthread_mutex_lock(&indexer->mutex);
    double before = indexer->segment_seconds;
    indexer->segment_seconds = before > 0 ? before + (seconds - before) / 5 : seconds;
    pthread_mutex_unlock(&indexer->mutex);
}

static weft_status caption_all(weft_indexer *indexer, const weft_job *job, weft_video_job *video, weft_error *err) {
    weft_server *server = indexer->server;
    weft_file_info info;
    char path[80];
    int64_t done;
    WEFT_TRY(weft_files_get(server->files, job->file, &info, err));
    snprintf(path, sizeof path, "sha256:%s",
             job->sha256); /* the same bytes are the same video, however often uploaded */
    WEFT_TRY(weft_video_open(video, path, (int64_t)info.bytes, 0, err));
    WEFT_TRY(weft_jobs_place(server->videos, job->id, video->video, err));
    WEFT_TRY(weft_video_index_count(server->videos, video->video, &done, err));
    for (int64_t i = done; i < video->segments; i++) {
        double begun = weft_now_ms();
        if (!is_wanted(indexer, job->id)) return weft_fail(err, WEFT_ERR_CANCELLED, "cancelled");
        WEFT_TRY(weft_video_caption(video, i, err));
        keep_pace(indexer, (weft_now_ms() - begun) / 1000);
    }
    return WEFT_OK;
}

static weft_status make_index(weft_indexer *indexer, const weft_job *job, const weft_server_model *model,
                              weft_error *err) {
    weft_video_job video = weft_indexer_video_job(indexer->server, job, model);
    video.background = true;
    video.cancelled = cancelled;
    video.cancelled_context = indexer;
    weft_status status = caption_all(indexer, job, &video, err);
    weft_video_close(&video);
    return status;
}

static void set_current(weft_indexer *indexer, const char *id) {
    pthread_mutex_lock(&indexer->mutex);
    snprintf(indexer->current, sizeof indexer->current, "%s", id);
    indexer->segment_seconds = 0;
    atomic_store(&indexer->interrupted, false);
    pthread_mutex_unlock(&indexer->mutex);
}

/* Runs a job until it has ended, or until it must be left for later (false). */
static bool run_job(weft_indexer *indexer, const weft_job *job, const weft_server_model *model) {
    weft_video_index *videos = indexer->server->videos;
    weft_error err;
    bool moved = false;
    set_current(indexer, job->id);
    weft_status status = weft_jobs_move(videos, job->id, WEFT_JOB_RUNNING, NULL, &moved, &err);
    if (status == WEFT_OK && moved) status = make_index(indexer, job, model, &err);
    bool waits = status == WEFT_ERR_BUSY || status == WEFT_ERR_CANCELLED;
    if (moved && status == WEFT_OK) weft_jobs_move(videos, job->id, WEFT_JOB_COMPLETED, NULL, &moved, NULL);
    if (moved && status != WEFT_OK && !waits && weft_indexer_check_file(indexer->server, job, NULL) == WEFT_OK)
        weft_jobs_move(videos, job->id, WEFT_JOB_FAILED, &err, &moved, NULL);
    set_current(indexer, "");
    return status != WEFT_ERR_BUSY;
}

/* ---- the thread ------------------------------------------------------------------------------------------------ */

/* Every unfinished job whose model is served here, oldest first. False: something must be tried again soon. */
static bool run_jobs(weft_indexer *indexer) {
    weft_job job;
    bool found = true, settled = true;
    int64_t after = 0;
    while (found && settled && !cancelled(indexer)) {
        if (weft_jobs_next(indexer->server->videos, after, &job, &found, NULL) != WEFT_OK || !found) break;
        const weft_server_model *model = weft_models_find(indexer->server, job.model);
        if (model) settled = run_job(indexer, &job, model);
        after = job.number;
    }
    return settled;
}

static void *indexer_main(void *argument) {
    weft_indexer *indexer = argument;
    while (!cancelled(indexer)) {
        if (!indexer->locked) indexer->locked = flock(indexer->lock, LOCK_EX | LOCK_NB) == 0;
        bool settled = !indexer->locked || run_jobs(indexer);
        rest(indexer, settled ? POLL_MS : RETRY_MS);
    }
    return NULL;
}

weft_status weft_indexer_start(weft_server *server, weft_indexer **out, weft_error *err) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/indexer.lock", server->options.data_dir);
    weft_indexer *indexer = calloc(1, sizeof *indexer);
    if (!indexer) return weft_fail(err, WEFT_ERR_MEMORY, "indexer: no memory");
    indexer->server = server;
    indexer->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (indexer->lock < 0) {
        free(indexer);
        return weft_fail(err, WEFT_ERR_IO, "%s: %s", path, strerror(errno));
    }
    pthread_mutex_init(&indexer->mutex, NULL);
    pthread_cond_init(&indexer->changed, NULL);
    *out = indexer; /* the thread may need it at once */
    if (pthread_create(&indexer->thread, NULL, indexer_main, indexer) == 0) return WEFT_OK;
    *out = NULL;
    close(indexer->lock);
    free(indexer);
    return weft_fail(err, WEFT_ERR_MEMORY, "indexer: cannot start its thread");
}

void weft_indexer_stop(weft_indexer *indexer) {
    if (!indexer) return;
    atomic_store(&indexer->stopping, true);
    weft_indexer_wake(indexer);
    pthread_join(indexer->thread, NULL);
    close(indexer->lock);
    pthread_cond_destroy(&indexer->changed);
    pthread_mutex_destroy(&indexer->mutex);
    free(indexer);
}

void weft_indexer_wake(weft_indexer *indexer) {
    pthread_mutex_lock(&indexer->mutex);
    indexer->woken = true;
    pthread_cond_signal(&indexer->changed);
    pthread_mutex_unlock(&indexer->mutex);
}

void weft_indexer_interrupt(weft_indexer *indexer, const char *id) {
    pthread_mutex_lock(&indexer->mutex);
    if (strcmp(indexer->current, id) == 0) atomic_store(&indexer->interrupted, true);
    pthread_mutex_unlock(&indexer->mutex);
}

double weft_indexer_seconds_left(weft_indexer *indexer, const char *id, int64_t segments_left) {
    pthread_mutex_lock(&indexer->mutex);
    bool known = strcmp(indexer->current, id) == 0 && indexer->segment_seconds > 0;
    double seconds = known ? indexer->segment_seconds * (double)segments_left : -1;
    pthread_mutex_unlock(&indexer->mutex);
    return seconds;
}
