/* What weft index and weft find share. */
#ifndef WEFT_CLI_VIDEO_H
#define WEFT_CLI_VIDEO_H

#include "cli/cli.h"
#include "store/video_index.h"

typedef struct video_options {
    weft_cli_model model;
    double segment, fps, closer_fps;
    int64_t max_pixels, limit;
    const char *data_dir, *prompt, *json, *srt;
    bool as_json, no_refine, quiet;
} video_options;

typedef struct video_job video_job;
/* The model's likeliest answer about [from, to) seconds, on one line, cut to `size` bytes at a character's end. */
typedef weft_status weft_video_asker(const video_job *job, const char *text, double from, double to, double fps,
                                     char *answer, size_t size, weft_error *err);

struct video_job {
    const video_options *options;
    weft_model *model;
    weft_engine *engine;
    weft_video_index *index;
    const char *path;
    double duration;
    int64_t video, segments;
    weft_video_asker *ask;
};

/* HH:MM:SS, or HH:MM:SS,mmm as subtitles have it. */
void weft_video_clock(double seconds, bool milliseconds, char *text, size_t size);

/* Hits with the same number of the words that follow each other become one, with the caption of the best; hits [count]
 * are overwritten, best first. Returns how many. */
int weft_video_join(const char *words, weft_video_segment *hits, int count);
/* Narrows or widens a range, by less than a segment at either end, to the seconds that show the words; when the model
 * confirms none, *confirmed is false and the range stays. What lies between the edges is taken as shown. */
weft_status weft_video_refine(const video_job *job, const char *words, weft_video_segment *range, bool *confirmed,
                              weft_error *err);
/* Joins hits that follow each other, looks at their edges again and prints the ranges, best first. hits [count] are
 * those of weft_video_index_find and are overwritten. */
weft_status weft_video_show(const video_job *job, const char *words, weft_video_segment *hits, int count,
                            weft_error *err);

#endif
