/* Captions by what they mean: each caption's vector (weft_engine_embed_text) is kept beside it, in 8 bits, and compared
 * with that of the words. Directions are taken from the mean of the video's captions, since vectors of one model share
 * most of theirs. What is near need not be there: a search shows of it only what a second look confirms. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "video/video.h"

weft_status weft_video_embed_caption(const weft_video_job *job, const char *caption, weft_error *err) {
    bool has;
    float *vector;
    int64_t size;
    if (!job->embed || !*caption) return WEFT_OK;
    WEFT_TRY(weft_video_index_has_vector(job->index, job->video, caption, &has, err));
    if (has) return WEFT_OK;
    WEFT_TRY(job->embed(job, caption, &vector, &size, err));
    float largest = 0;
    for (int64_t i = 0; i < size; i++) largest = fmaxf(largest, fabsf(vector[i]));
    int8_t *kept = (int8_t *)vector; /* each value takes a quarter of the room of the one it is made of */
    for (int64_t i = 0; i < size; i++) {
        long step = largest > 0 ? lrintf(vector[i] / largest * 127) : 0;
        kept[i] = (int8_t)step;
    }
    weft_status status = weft_video_index_put_vector(job->index, job->video, caption, kept, (size_t)size, err);
    weft_free(vector);
    return status;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

typedef struct near_caption {
    double cosine;
    char *caption; /* owned */
} near_caption;

typedef struct comparison {
    const float *words; /* [size], of length 1 */
    size_t size;
    double *mean; /* [size] of all captions, each of length 1 */
    int64_t captions;
    near_caption best[WEFT_VIDEO_MEANINGS]; /* nearest first */
    bool failed;                            /* no memory */
} comparison;

static double length_of(const int8_t *vector, size_t size) {
    double square = 0;
    for (size_t i = 0; i < size; i++) square += (double)vector[i] * vector[i];
    return sqrt(square);
}

static void add_to_mean(void *context, const char *caption, const int8_t *vector, size_t size) {
    comparison *c = context;
    double length = length_of(vector, size);
    (void)caption;
    if (size != c->size || length == 0) return;
    for (size_t i = 0; i < size; i++) c->mean[i] += vector[i] / length;
    c->captions++;
}

static double cosine(const comparison *c, const int8_t *vector) {
    double length = length_of(vector, c->size), both = 0, left = 0, right = 0;
    for (size_t i = 0; i < c->size; i++) {
        double a = c->words[i] - c->mean[i], b = vector[i] / length - c->mean[i];
        both += a * b;
        left += a * a;
        right += b * b;
    }
    return left > 0 && right > 0 ? both / sqrt(left * right) : 0;
}

static void keep_nearest(void *context, const char *caption, const int8_t *vector, size_t size) {
    comparison *c = context;
    const int last = WEFT_VIDEO_MEANINGS - 1;
    if (size != c->size || length_of(vector, size) == 0 || c->failed) return;
    near_caption found = {.cosine = cosine(c, vector)};
    if (c->best[last].caption && c->best[last].cosine >= found.cosine) return;
    found.caption = strdup(caption);
    c->failed = !found.caption;
    if (c->failed) return;
    free(c->best[last].caption);
    int at = last;
    for (; at > 0 && (!c->best[at - 1].caption || c->best[at - 1].cosine < found.cosine); at--)
        c->best[at] = c->best[at - 1];
    c->best[at] = found;
}

static weft_status compare_all(const weft_video_job *job, comparison *c, weft_error *err) {
    WEFT_TRY(weft_video_index_vectors(job->index, job->video, add_to_mean, c, err));
    /* a mean of one would be the caption itself */
    for (size_t i = 0; i < c->size; i++) c->mean[i] = c->captions > 1 ? c->mean[i] / (double)c->captions : 0;
    WEFT_TRY(weft_video_index_vectors(job->index, job->video, keep_nearest, c, err));
    return c->failed ? weft_fail(err, WEFT_ERR_MEMORY, "search: no memory") : WEFT_OK;
}

weft_status weft_video_find_meaning(const weft_video_job *job, const char *words, weft_video_segment *hits, int *count,
                                    weft_error *err) {
    float *vector;
    int64_t size;
    *count = 0;
    if (!job->embed) return WEFT_OK;
    WEFT_TRY(job->embed(job, words, &vector, &size, err));
    comparison c = {.words = vector, .size = (size_t)size, .mean = calloc((size_t)size, sizeof *c.mean)};
    weft_status status = c.mean ? compare_all(job, &c, err) : weft_fail(err, WEFT_ERR_MEMORY, "search: no memory");
    for (int i = 0; status == WEFT_OK && i < WEFT_VIDEO_MEANINGS && c.best[i].caption; i++) {
        int some = 0, room = (WEFT_INDEX_HITS_MAX - *count) / (WEFT_VIDEO_MEANINGS - i);
        status =
            weft_video_index_with_caption(job->index, job->video, c.best[i].caption, room, hits + *count, &some, err);
        for (int j = 0; j < some; j++) hits[*count + j].score = c.best[i].cosine;
        *count += some;
    }
    for (int i = 0; i < WEFT_VIDEO_MEANINGS; i++) free(c.best[i].caption);
    free(c.mean);
    weft_free(vector);
    return status;
}
