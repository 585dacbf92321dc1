/* Indexes of uploaded files that a server makes in the background: what was asked for, how far it is, how it ended.
 *
 * Rows beside the captions, in the same SQLite file: a job that was at work when the process was killed is still listed
 * as unfinished, and is taken up again. Files of the same bytes that are indexed in the same way share their captions,
 * which go with the last job that has them. All functions may be called from any thread, and from several processes. */
#ifndef WEFT_STORE_VIDEO_JOBS_H
#define WEFT_STORE_VIDEO_JOBS_H

#include "store/video_index.h"

enum { WEFT_JOBS_MAX = 1000 }; /* listed, whatever their state */

typedef enum weft_job_state { /* kept in the database: numbers stay */
                              WEFT_JOB_QUEUED = 0,
                              WEFT_JOB_RUNNING = 1,
                              WEFT_JOB_COMPLETED = 2,
                              WEFT_JOB_FAILED = 3,
                              WEFT_JOB_CANCELLED = 4,
} weft_job_state;

typedef struct weft_job {
    char id[40];
    int64_t number;                       /* larger for those that were made later */
    char file[40], sha256[65], name[256]; /* of the uploaded file */
    char model[256];                      /* as the server names it */
    double segment_seconds, fps;
    int64_t max_pixels; /* 0: the checkpoint's */
    weft_job_state state;
    weft_error error;       /* of a job that failed */
    int64_t video;          /* its place in the index; 0: not known yet */
    double duration;        /* seconds; 0: not known yet */
    int64_t done;           /* segments that have a caption */
    int64_t created, ended; /* seconds since 1970; ended 0: it has not */
} weft_job;

/* In: id, file, sha256, name, model, segment_seconds, fps, max_pixels. Out: all. A job that asks for the same of the
 * same file is that one (*id is replaced): one that failed or was cancelled waits for its turn again. LIMIT:
 * WEFT_JOBS_MAX. */
weft_status weft_jobs_add(weft_video_index *index, weft_job *job, weft_error *err);
/* NOT_FOUND when there is none. */
weft_status weft_jobs_get(weft_video_index *index, const char *id, weft_job *job, weft_error *err);
/* A page of the list, newest first, before the job `after` (NULL: from the start), of one file (NULL: any). *list is
 * malloc'ed, the caller's. */
weft_status weft_jobs_list(weft_video_index *index, const char *after, const char *file, int limit, weft_job **list,
                           int *count, bool *more, weft_error *err);
/* The oldest unfinished job after number `after` (0: of all); *found false when there is none. */
weft_status weft_jobs_next(weft_video_index *index, int64_t after, weft_job *job, bool *found, weft_error *err);
/* Moves an unfinished job to `state`; error: of a job that failed, else NULL. *moved false when it has ended already,
 * or is gone. */
weft_status weft_jobs_move(weft_video_index *index, const char *id, weft_job_state state, const weft_error *error,
                           bool *moved, weft_error *err);
/* Its place in the index is known now. A place that it had before and that no job has any more goes. */
weft_status weft_jobs_place(weft_video_index *index, const char *id, int64_t video, weft_error *err);
/* Forgets a job, and its captions unless another one has them. NOT_FOUND when there is none. */
weft_status weft_jobs_delete(weft_video_index *index, const char *id, weft_error *err);

#endif
