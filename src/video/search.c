/* From captions that have the words to ranges of time: hits that follow each other become one range, whose edges are
 * then looked for to the second, by asking about single seconds at a higher rate. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "video/video.h"

/* ---- what a second shows --------------------------------------------------------------------------------------- */

enum {
    PARTS_MAX = 32, /* looks into one range, less one */
    APART_MIN = 5,  /* seconds between them at least */
};

/* How the model is asked: directly, or, where its yes and no tell nothing, by its caption's words. */
typedef struct second_look {
    const weft_video_job *job;
    const char *words;
    bool by_caption;
    int least; /* words that a caption must have */
} second_look;

/* How many of the words (letters, digits and bytes past ASCII) stand in `caption`, whole, in any case. */
static int words_in(const char *words, const char *caption) {
#define IN_WORD(c) (isalnum((unsigned char)(c)) || (unsigned char)(c) >= 0x80)
    int found = 0;
    for (const char *w = words; *w;) {
        size_t length = 0;
        while (IN_WORD(w[length])) length++;
        bool here = false;
        for (const char *at = caption; length > 0 && !here && *at; at++)
            here = (at == caption || !IN_WORD(at[-1])) && strncasecmp(at, w, length) == 0 && !IN_WORD(at[length]);
        found += here;
        w += length ? length : 1;
    }
    return found;
#undef IN_WORD
}

/* Whether second `at` shows it. */
static weft_status look(const second_look *l, double at, bool *shown, weft_error *err) {
    char answer[WEFT_CAPTION_MAX];
    char question[2048];
    const weft_video_settings *settings = &l->job->settings;
    double to = fmin(at + 1, l->job->duration);
    snprintf(question, sizeof question, "Does this show: %.1500s? Answer yes or no.", l->words);
    WEFT_TRY(l->job->ask(l->job, l->by_caption ? settings->prompt : question, at, to, settings->closer_fps, answer,
                         sizeof answer, err));
    *shown = l->by_caption ? words_in(l->words, answer) >= l->least : strncasecmp(answer, "yes", 3) == 0;
    return WEFT_OK;
}

/* The last second in [shown, other) that shows it, when `shown` does and `other` is thought not to; by halves. */
static weft_status find_edge(const second_look *l, double shown, double other, double *edge, weft_error *err) {
    bool yes;
    if (other >= 0 && other <= l->job->duration - 1) {
        WEFT_TRY(look(l, other, &yes, err));
        if (yes) {
            *edge = other;
            return WEFT_OK;
        }
    }
    while (fabs(other - shown) > 1) {
        double middle = floor((shown + other) / 2);
        if (middle == shown) middle = other > shown ? shown + 1 : shown - 1;
        WEFT_TRY(look(l, middle, &yes, err));
        *(yes ? &shown : &other) = middle;
    }
    *edge = shown;
    return WEFT_OK;
}

/* A second inside the range that shows it, with the way of asking that tells it from one well outside. */
static weft_status find_inside(second_look *l, const weft_video_segment *range, double *inside, bool *found,
                               weft_error *err) {
    double length = range->ends - range->begins, apart = 1.5 * l->job->settings.segment;
    double outside = range->begins - apart >= 0 ? floor(range->begins - apart) : ceil(range->ends + apart);
    *found = false;
    for (int way = 0; way < 2 && !*found; way++) {
        bool yes = false, everywhere = false;
        l->by_caption = way == 1;
        /* the middle, then the quarters, the eighths…: what is short in a long segment is met too */
        for (int parts = 2; !yes && (parts <= 4 || (parts <= PARTS_MAX && length / parts >= APART_MIN)); parts *= 2)
            for (int part = 1; part < parts && !yes; part += 2) {
                *inside = floor(range->begins + length * part / parts);
                WEFT_TRY(look(l, *inside, &yes, err));
            }
        if (yes && outside <= l->job->duration - 1) WEFT_TRY(look(l, outside, &everywhere, err));
        *found = yes && !everywhere;
    }
    return WEFT_OK;
}

weft_status weft_video_refine(const weft_video_job *job, const char *words, weft_video_segment *range, bool *confirmed,
                              weft_error *err) {
    second_look l = {.job = job, .words = words, .least = words_in(words, range->caption)};
    double inside = range->begins, first, last, segment = job->settings.segment;
    WEFT_TRY(find_inside(&l, range, &inside, confirmed, err));
    if (!*confirmed) return WEFT_OK;
    WEFT_TRY(find_edge(&l, inside, fmax(floor(range->begins - segment), -1), &first, err));
    WEFT_TRY(find_edge(&l, inside, fmin(ceil(range->ends + segment), ceil(job->duration)), &last, err));
    range->begins = first;
    range->ends = fmin(last + 1, job->duration);
    return WEFT_OK;
}

/* ---- ranges ---------------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
    const weft_video_segment *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}
static int by_score(const void *a, const void *b) {
    const weft_video_segment *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : by_number(a, b);
}

int weft_video_join(const char *words, weft_video_segment *hits, int count) {
    int kept = 0;
    qsort(hits, (size_t)count, sizeof *hits, by_number);
    for (int i = 0; i < count; i++) {
        weft_video_segment *last = kept ? &hits[kept - 1] : NULL;
        if (last && hits[i].begins <= last->ends &&
            words_in(words, hits[i].caption) == words_in(words, last->caption)) {
            double begins = last->begins;
            last->ends = hits[i].ends;
            if (hits[i].score > last->score) {
                *last = hits[i];
                last->begins = begins;
            }
        } else {
            hits[kept++] = hits[i];
        }
    }
    qsort(hits, (size_t)kept, sizeof *hits, by_score);
    return kept;
}

/* Of the same seconds as one that was shown before? */
static bool shown_before(const weft_video_segment *hits, int i) {
    for (int j = 0; j < i; j++)
        if (hits[i].begins < hits[j].ends && hits[j].begins < hits[i].ends) return true;
    return false;
}

static weft_status show(const weft_video_job *job, const char *words, weft_video_segment *hits, int count, bool refine,
                        void (*found)(void *, const weft_video_range *), void *context, weft_error *err) {
    weft_video_range range;
    count = weft_video_join(words, hits, count);
    for (int i = 0; i < count; i++) {
        bool confirmed = false;
        if (refine) WEFT_TRY(weft_video_refine(job, words, &hits[i], &confirmed, err));
        if (shown_before(hits, i)) continue;
        char from[32], to[32];
        weft_video_clock(hits[i].begins, false, from, sizeof from);
        weft_video_clock(hits[i].ends, false, to, sizeof to);
        range.found = hits[i];
        range.confirmed = confirmed;
        snprintf(range.clock, sizeof range.clock, "[%s - %s]", from, to);
        found(context, &range);
    }
    return WEFT_OK;
}

weft_status weft_video_search(const weft_video_job *job, const char *words, int limit, bool refine,
                              void (*found)(void *, const weft_video_range *), void *context, weft_error *err) {
    if (limit < 1 || limit > WEFT_INDEX_HITS_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "the limit of ranges is 1 to %d", WEFT_INDEX_HITS_MAX);
    weft_video_segment *hits = calloc((size_t)limit, sizeof *hits);
    if (!hits) return weft_fail(err, WEFT_ERR_MEMORY, "search: no memory");
    int count = 0;
    weft_status status = weft_video_index_find(job->index, job->video, words, limit, hits, &count, err);
    if (status == WEFT_OK) status = show(job, words, hits, count, refine, found, context, err);
    free(hits);
    return status;
}
