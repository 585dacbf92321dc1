/* What long videos show, segment by segment: captions in SQLite, searched by words (FTS5), and their vectors.
 *
 * A video is known by its path, size and time of change together with the model and the length of its segments: a file that
 * changes is another video. Each segment is one transaction, so that indexing goes on where it was interrupted, however
 * that was. All functions may be called from any thread. */
#ifndef WEFT_STORE_VIDEO_INDEX_H
#define WEFT_STORE_VIDEO_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { WEFT_CAPTION_MAX = 4096, WEFT_INDEX_HITS_MAX = 100, WEFT_INDEX_WORDS_MAX = 64 };

typedef struct weft_video_index weft_video_index;

typedef struct weft_video_segment {
    int64_t number;      /* from 0 */
    double begins, ends; /* seconds */
    char caption[WEFT_CAPTION_MAX];
    double score; /* of a hit: larger is better */
} weft_video_segment;

weft_status weft_video_index_open(const char *database, weft_video_index **index, weft_error *err);
void weft_video_index_close(weft_video_index *index); /* NULL is allowed */

/* *video is the number under which a video's segments are kept. */
weft_status weft_video_index_add(weft_video_index *index, const char *path, int64_t bytes, int64_t modified, const char *model, double segment_seconds, double duration,
                                 int64_t *video, weft_error *err);
/* How many segments are there; they are always the first ones. */
weft_status weft_video_index_count(weft_video_index *index, int64_t video, int64_t *count, weft_error *err);
weft_status weft_video_index_put(weft_video_index *index, int64_t video, const weft_video_segment *segment, weft_error *err);
/* Segment `number`; *found false when it is not there. */
weft_status weft_video_index_get(weft_video_index *index, int64_t video, int64_t number, weft_video_segment *segment, bool *found, weft_error *err);
/* Whether a word is one that nearly every sentence has ("the", "is"): nothing is looked for by it while there are others. */
bool weft_video_index_common(const char *word, size_t length);
/* The best segments for `words` (any of them, by bm25; no query syntax), best first. *count: how many of `limit`. */
weft_status weft_video_index_find(weft_video_index *index, int64_t video, const char *words, int limit, weft_video_segment *hits, int *count, weft_error *err);

/* Vectors of captions, one for each caption of a video: 8-bit numbers whose direction counts. */
weft_status weft_video_index_put_vector(weft_video_index *index, int64_t video, const char *caption, const int8_t *vector, size_t size, weft_error *err);
weft_status weft_video_index_has_vector(weft_video_index *index, int64_t video, const char *caption, bool *has, weft_error *err);
/* Hands out all of a video's, in no order; `take` must not call this index. */
typedef void weft_video_vector_taker(void *context, const char *caption, const int8_t *vector, size_t size);
weft_status weft_video_index_vectors(weft_video_index *index, int64_t video, weft_video_vector_taker *take, void *context, weft_error *err);
/* The segments that have this caption, by number. */
weft_status weft_video_index_with_caption(weft_video_index *index, int64_t video, const char *caption, int limit, weft_video_segment *hits, int *count, weft_error *err);

#endif
