/* Hours of video, looked at once at a low rate, then searched by words.
 *
 * Each segment is one request to the engine, as any client's, so memory does not grow with the length of the video; its
 * caption is kept before the next one begins. A search takes the best captions and looks at those segments again,
 * closer. Knows the engine by weft.h only. A job belongs to one thread; several jobs may share a model, an engine and
 * an index. */
#ifndef WEFT_VIDEO_VIDEO_H
#define WEFT_VIDEO_VIDEO_H

#include "base/buffer.h"
#include "store/video_index.h"
#include "weft.h"

#define WEFT_VIDEO_SEGMENT_MIN 0.1 /* seconds */
#define WEFT_VIDEO_SEGMENT_MAX 3600.0
#define WEFT_VIDEO_FPS_MAX     1000.0
enum { WEFT_VIDEO_SEGMENTS_MAX = 100000 };

/* What is asked about each segment. A model that answers this with boxes or nothing is asked in plainer words. */
#define WEFT_VIDEO_PROMPT "Describe in one sentence what is seen and what happens."

typedef struct weft_video_settings {
    double segment;     /* seconds */
    double fps;         /* frames a second of the first look */
    double closer_fps;  /* and of the second one */
    int64_t max_pixels; /* of a segment, all frames; 0: the checkpoint's */
    const char *prompt; /* what is asked about each segment; borrowed */
} weft_video_settings;

extern const weft_video_settings weft_video_defaults;

typedef struct weft_video_job weft_video_job;
typedef struct weft_video_memory weft_video_memory; /* of what was captioned last; caption.c */
/* The model's likeliest answer about [from, to) seconds, on one line, cut to `size` bytes at a character's end. */
typedef weft_status weft_video_asker(const weft_video_job *job, const char *text, double from, double to, double fps,
                                     char *answer, size_t size, weft_error *err);

/* The direction of a text's meaning; *vector [*size] is freed with weft_free. */
typedef weft_status weft_video_embedder(const weft_video_job *job, const char *text, float **vector, int64_t *size,
                                        weft_error *err);

struct weft_video_job { /* the caller fills the first part; everything in it is borrowed */
    weft_video_settings settings;
    const weft_model *model;
    weft_engine *engine;
    weft_video_index *index;
    const char *name;             /* of the video, for messages */
    const char *url;              /* of the video, as a request names it */
    weft_media_resolver *resolve; /* of uploaded files; NULL: the engine's media roots only */
    void *resolve_context;
    bool (*cancelled)(void *context); /* asked while the model works; NULL: never */
    void *cancelled_context;
    bool background;            /* requests give way to all others */
    weft_video_asker *ask;      /* NULL: the engine */
    weft_video_embedder *embed; /* NULL: the engine, if there is one */

    double duration; /* seconds, from here on by weft_video_open */
    int64_t video, segments;
    int plainness;             /* of the question, once a model needed a plainer one */
    weft_video_memory *memory; /* owned: weft_video_close */
};

/* Whether the settings can be used; the message names the one that cannot. */
weft_status weft_video_check(const weft_video_settings *settings, weft_error *err);
/* Finds the length of the video and its place in the index. Path, bytes and modified say which video it is (see
 * video_index.h); the same video looked at in another way, or by another model, is another one. */
weft_status weft_video_open(weft_video_job *job, const char *path, int64_t bytes, int64_t modified, weft_error *err);
/* Takes up a video that is in the index already, by what weft_video_open found out then: for looking and searching. */
void weft_video_take_up(weft_video_job *job, int64_t video, double duration);
/* Captions segment `number` (the first that is missing) and keeps it. A segment whose frames all show, cell by cell,
 * the one still picture that the segment captioned last showed gets its caption without the model. CANCELLED when
 * job->cancelled says so; what was kept stays. */
weft_status weft_video_caption(weft_video_job *job, int64_t number, weft_error *err);
/* Gives back what weft_video_open has opened: a file, and the worker that compares. A job that holds nothing is fine.
 */
void weft_video_close(weft_video_job *job);

/* For the other files of this layer, and tests. The caption of [from, to); opening the file for comparing (the job's
 * resolver's, or `path`); whether two pictures of weft_clip_glance are the same. */
weft_status weft_video_ask_caption(weft_video_job *job, double from, double to, double fps, char *answer, size_t size,
                                   weft_error *err);
weft_status weft_video_remember(weft_video_job *job, const char *path, weft_error *err);
bool weft_video_same_picture(const uint8_t *a, const uint8_t *b);
/* Keeps the caption's vector, unless it is kept already or nothing embeds. */
weft_status weft_video_embed_caption(const weft_video_job *job, const char *caption, weft_error *err);

typedef enum weft_video_format { WEFT_VIDEO_JSON, WEFT_VIDEO_SRT } weft_video_format;
/* Appends piece `number` of all captions to `out`, from 0 until *more is false: the whole is never in memory. */
weft_status weft_video_export(const weft_video_job *job, weft_video_format format, int64_t number, weft_buffer *out,
                              bool *more, weft_error *err);

/* HH:MM:SS, or HH:MM:SS,mmm as subtitles have it. */
void weft_video_clock(double seconds, bool milliseconds, char *text, size_t size);

/* ---- search ---------------------------------------------------------------------------------------------------- */

typedef struct weft_video_range {
    weft_video_segment found; /* begins, ends, caption and score of the range */
    bool confirmed;           /* the second look has seen it */
    bool by_meaning;          /* no caption has the words; one means something alike */
    char clock[80];           /* "[HH:MM:SS - HH:MM:SS]" */
} weft_video_range;

/* Finds the best segments for `words`, joins those that follow each other, with `refine` looks at their edges again,
 * and hands out `limit` ranges, best first, as they are found. A caption that denies the words ("There is no circle")
 * is none. Where the model confirms none of them, the captions whose vectors are nearest to that of the words are
 * looked at again too, and what it confirms is handed out; without `refine` they are not. */
weft_status weft_video_search(weft_video_job *job, const char *words, int limit, bool refine,
                              void (*found)(void *context, const weft_video_range *range), void *context,
                              weft_error *err);

/* How many of `words` the caption has, whole and in any case; *denied: how many of them only behind a "no", "not" or
 * "without" of their sentence, which are not counted (NULL: no matter). Words that deny themselves are taken as they
 * stand. */
int weft_video_words_in(const char *words, const char *caption, int *denied);
/* Hits with the same number of the words that follow each other become one, with the caption of the best; hits [count]
 * are overwritten, best first. Returns how many. */
int weft_video_join(const char *words, weft_video_segment *hits, int count);
/* Segments whose captions mean something like the words, nearest first, at most WEFT_VIDEO_MEANINGS captions; score is
 * the cosine of the two directions from the video's mean. hits [WEFT_INDEX_HITS_MAX]. */
enum { WEFT_VIDEO_MEANINGS = 3 };
weft_status weft_video_find_meaning(const weft_video_job *job, const char *words, weft_video_segment *hits, int *count,
                                    weft_error *err);
/* Narrows or widens a range, by less than a segment at either end, to the seconds that show the words; when the model
 * confirms none, *confirmed is false and the range stays. What lies between the edges is taken as shown. */
weft_status weft_video_refine(weft_video_job *job, const char *words, weft_video_segment *range, bool *confirmed,
                              weft_error *err);

#endif
