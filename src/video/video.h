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

typedef struct weft_video_settings {
    double segment;     /* seconds */
    double fps;         /* frames a second of the first look */
    double closer_fps;  /* and of the second one */
    int64_t max_pixels; /* of a segment, all frames; 0: the checkpoint's */
    const char *prompt; /* what is asked about each segment; borrowed */
} weft_video_settings;

extern const weft_video_settings weft_video_defaults;

typedef struct weft_video_job weft_video_job;
/* The model's likeliest answer about [from, to) seconds, on one line, cut to `size` bytes at a character's end. */
typedef weft_status weft_video_asker(const weft_video_job *job, const char *text, double from, double to, double fps,
                                     char *answer, size_t size, weft_error *err);

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
    bool background;       /* requests give way to all others */
    weft_video_asker *ask; /* NULL: the engine */

    double duration; /* seconds, from here on by weft_video_open */
    int64_t video, segments;
};

/* Whether the settings can be used; the message names the one that cannot. */
weft_status weft_video_check(const weft_video_settings *settings, weft_error *err);
/* Finds the length of the video and its place in the index. Path, bytes and modified say which video it is (see
 * video_index.h); the same video looked at in another way, or by another model, is another one. */
weft_status weft_video_open(weft_video_job *job, const char *path, int64_t bytes, int64_t modified, weft_error *err);
/* Takes up a video that is in the index already, by what weft_video_open found out then: for looking and searching. */
void weft_video_take_up(weft_video_job *job, int64_t video, double duration);
/* Captions segment `number` (the first that is missing) and keeps it. CANCELLED when job->cancelled says so; what was
 * kept stays. */
weft_status weft_video_caption(const weft_video_job *job, int64_t number, weft_error *err);

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
    char clock[80];           /* "[HH:MM:SS - HH:MM:SS]" */
} weft_video_range;

/* Finds the best `limit` segments for `words`, joins those that follow each other, with `refine` looks at their edges
 * again, and hands out the ranges, best first, as they are found. */
weft_status weft_video_search(const weft_video_job *job, const char *words, int limit, bool refine,
                              void (*found)(void *context, const weft_video_range *range), void *context,
                              weft_error *err);

/* Hits with the same number of the words that follow each other become one, with the caption of the best; hits [count]
 * are overwritten, best first. Returns how many. */
int weft_video_join(const char *words, weft_video_segment *hits, int count);
/* Narrows or widens a range, by less than a segment at either end, to the seconds that show the words; when the model
 * confirms none, *confirmed is false and the range stays. What lies between the edges is taken as shown. */
weft_status weft_video_refine(const weft_video_job *job, const char *words, weft_video_segment *range, bool *confirmed,
                              weft_error *err);

#endif
