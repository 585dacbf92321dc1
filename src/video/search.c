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

/* How the model is asked: directly, in plain words, or, where its yes and no tell nothing, by its caption's words. */
typedef enum question { DIRECT, PLAIN, BY_CAPTION, QUESTIONS } question;

typedef struct second_look {
    weft_video_job *job;
    const char *words;
    question how;
    int least; /* words that a caption must have */
    int parts_max;
} second_look;

static bool in_word(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static size_t word_length(const char *word) {
    size_t length = 0;
    while (in_word(word[length])) length++;
    return length;
}

static bool is_one_of(const char *word, size_t length, const char *const *list) {
    for (; *list; list++)
        if (strlen(*list) == length && strncasecmp(word, *list, length) == 0) return true;
    return false;
}

static bool is_denial(const char *word, size_t length) {
    static const char *const denials[] = {"no", "not", "without", "never", "none", "neither", "nor", "cannot", NULL};
    const char *end = word + length;
    return is_one_of(word, length, denials) || (length > 1 && end[-1] == 'n' && end[0] == '\'' && end[1] == 't');
}

/* Whether `word` stands in the caption; *affirmed: somewhere with no denial before it in its sentence. */
static bool find_word(const char *word, size_t length, const char *caption, bool *affirmed) {
    static const char *const turns[] = {"but", "only", "however", "instead", "except", NULL};
    bool found = false, denied = false;
    *affirmed = false;
    for (const char *at = caption; *at;) {
        size_t here = word_length(at);
        if (here == 0) {
            if (strchr(".!?;", *at)) denied = false;
            at++;
            continue;
        }
        if (here == length && strncasecmp(at, word, length) == 0) {
            found = true;
            *affirmed = *affirmed || !denied;
        }
        if (is_denial(at, here)) denied = at[here] != ','; /* "No, …" answers */
        if (is_one_of(at, here, turns)) denied = false;
        at += here;
    }
    return found;
}

/* The first word of `words` from `at` that counts: all do when all are common ones. NULL past the last. */
static const char *next_word(const char *at, bool common_too) {
    for (; *at; at += word_length(at) ? word_length(at) : 1)
        if (word_length(at) && (common_too || !weft_video_index_common(at, word_length(at)))) return at;
    return NULL;
}

int weft_video_words_in(const char *words, const char *caption, int *denied) {
    int affirmed_count = 0, denied_count = 0;
    bool literal = false, common_too = !next_word(words, false);
    for (const char *w = next_word(words, true); w; w = next_word(w + word_length(w), true))
        literal = literal || is_denial(w, word_length(w));
    for (const char *w = next_word(words, common_too); w; w = next_word(w + word_length(w), common_too)) {
        bool affirmed;
        if (!find_word(w, word_length(w), caption, &affirmed)) continue;
        affirmed_count += affirmed || literal;
        denied_count += !affirmed && !literal;
    }
    if (denied) *denied = denied_count;
    return affirmed_count;
}

/* The questions, from the one that says most: a model that does not understand one is asked the next. */
static void make_question(question how, const char *words, char *text, size_t size) {
    static const char *const articles[] = {"a", "an", "the", "some", "any", "one", "two", "three", NULL};
    if (how == DIRECT) {
        snprintf(text, size, "Does this show: %.1500s? Answer yes or no.", words);
    } else {
        bool has_one = is_one_of(words, word_length(words), articles),
             vowel = words[0] && strchr("aeiouAEIOU", words[0]);
        snprintf(text, size, "Is there %s%.1500s?", has_one ? "" : vowel ? "an " : "a ", words);
    }
}

/* Whether second `at` shows it. */
static weft_status look(const second_look *l, double at, bool *shown, weft_error *err) {
    char answer[WEFT_CAPTION_MAX];
    char text[2048];
    double to = fmin(at + 1, l->job->duration), fps = l->job->settings.closer_fps;
    if (l->how == BY_CAPTION) {
        WEFT_TRY(weft_video_ask_caption(l->job, at, to, fps, answer, sizeof answer, err));
        *shown = weft_video_words_in(l->words, answer, NULL) >= l->least;
    } else {
        make_question(l->how, l->words, text, sizeof text);
        WEFT_TRY(l->job->ask(l->job, text, at, to, fps, answer, sizeof answer, err));
        *shown = strncasecmp(answer, "yes", 3) == 0;
    }
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
    for (int how = DIRECT; how < QUESTIONS && !*found; how++) {
        bool yes = false, everywhere = false;
        l->how = (question)how;
        if (how == BY_CAPTION && l->least == 0) break;
        /* the middle, then the quarters, the eighths…: what is short in a long segment is met too */
        for (int parts = 2; !yes && (parts <= 4 || (parts <= l->parts_max && length / parts >= APART_MIN)); parts *= 2)
            for (int part = 1; part < parts && !yes; part += 2) {
                *inside = floor(range->begins + length * part / parts);
                WEFT_TRY(look(l, *inside, &yes, err));
            }
        if (yes && outside <= l->job->duration - 1) WEFT_TRY(look(l, outside, &everywhere, err));
        *found = yes && !everywhere;
    }
    return WEFT_OK;
}

static weft_status refine_range(weft_video_job *job, const char *words, int parts_max, weft_video_segment *range,
                                bool *confirmed, weft_error *err) {
    second_look l = {
        .job = job, .words = words, .least = weft_video_words_in(words, range->caption, NULL), .parts_max = parts_max};
    double inside = range->begins, first, last, segment = job->settings.segment;
    WEFT_TRY(find_inside(&l, range, &inside, confirmed, err));
    if (!*confirmed) return WEFT_OK;
    WEFT_TRY(find_edge(&l, inside, fmax(floor(range->begins - segment), -1), &first, err));
    WEFT_TRY(find_edge(&l, inside, fmin(ceil(range->ends + segment), ceil(job->duration)), &last, err));
    range->begins = first;
    range->ends = fmin(last + 1, job->duration);
    return WEFT_OK;
}

weft_status weft_video_refine(weft_video_job *job, const char *words, weft_video_segment *range, bool *confirmed,
                              weft_error *err) {
    return refine_range(job, words, PARTS_MAX, range, confirmed, err);
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
            weft_video_words_in(words, hits[i].caption, NULL) == weft_video_words_in(words, last->caption, NULL)) {
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

/* Hits whose captions deny the words go; those that deny some of them rank lower. */
static int drop_denials(const char *words, weft_video_segment *hits, int count) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        int denied, affirmed = weft_video_words_in(words, hits[i].caption, &denied);
        if (denied > 0 && affirmed == 0) continue;
        hits[kept] = hits[i];
        if (denied > 0) hits[kept].score *= (double)affirmed / (affirmed + denied);
        kept++;
    }
    return kept;
}

typedef struct search {
    weft_video_job *job;
    const char *words;
    int limit;
    bool refine, by_meaning;
    void (*found)(void *context, const weft_video_range *range);
    void *context;
    int shown, confirmed;
} search;

static weft_status show(search *s, weft_video_segment *hits, int count, weft_error *err) {
    weft_video_range range;
    count = weft_video_join(s->words, hits, drop_denials(s->words, hits, count));
    for (int i = 0; i < count && s->shown < s->limit; i++) {
        bool confirmed = false;
        /* a caption that only means something alike says the same of all its range: a few looks do */
        if (s->refine)
            WEFT_TRY(refine_range(s->job, s->words, s->by_meaning ? 0 : PARTS_MAX, &hits[i], &confirmed, err));
        if (shown_before(hits, i) || (s->by_meaning && !confirmed)) continue;
        char from[32], to[32];
        weft_video_clock(hits[i].begins, false, from, sizeof from);
        weft_video_clock(hits[i].ends, false, to, sizeof to);
        range.found = hits[i];
        range.confirmed = confirmed;
        range.by_meaning = s->by_meaning;
        snprintf(range.clock, sizeof range.clock, "[%s - %s]", from, to);
        s->found(s->context, &range);
        s->shown++;
        s->confirmed += confirmed;
    }
    return WEFT_OK;
}

weft_status weft_video_search(weft_video_job *job, const char *words, int limit, bool refine,
                              void (*found)(void *, const weft_video_range *), void *context, weft_error *err) {
    search s = {.job = job, .words = words, .limit = limit, .refine = refine, .found = found, .context = context};
    if (limit < 1 || limit > WEFT_INDEX_HITS_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "the limit of ranges is 1 to %d", WEFT_INDEX_HITS_MAX);
    weft_video_segment *hits = calloc(WEFT_INDEX_HITS_MAX, sizeof *hits); /* some of which will go or join */
    if (!hits) return weft_fail(err, WEFT_ERR_MEMORY, "search: no memory");
    int count = 0;
    weft_status status = weft_video_index_find(job->index, job->video, words, WEFT_INDEX_HITS_MAX, hits, &count, err);
    if (status == WEFT_OK) status = show(&s, hits, count, err);
    if (status == WEFT_OK && refine && s.confirmed == 0 && s.shown < limit) {
        s.by_meaning = true;
        status = weft_video_find_meaning(job, words, hits, &count, err);
        if (status == WEFT_OK) status = show(&s, hits, count, err);
    }
    free(hits);
    return status;
}
