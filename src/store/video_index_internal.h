/* What video_index.c and video_jobs.c share. Private to src/store. */
#ifndef WEFT_STORE_VIDEO_INDEX_INTERNAL_H
#define WEFT_STORE_VIDEO_INDEX_INTERNAL_H

#include <pthread.h>

#include "store/database.h"
#include "store/video_index.h"

struct weft_video_index {
    pthread_mutex_t mutex; /* guards db */
    weft_database db;
};

/* Locks the index and begins a transaction that no other process shares; end commits or, for a failure, rolls back, and
 * unlocks. */
weft_status weft_video_index_begin(weft_video_index *index, weft_error *err);
weft_status weft_video_index_end(weft_video_index *index, weft_status status, weft_error *err);

#endif
