/* Captions of segments: see video.h. Asks again, more plainly, where the answer is no sentence, and does not ask about
 * a segment that shows just what the one before showed.
 *
 * Owns, per job, the file and one worker that decodes it for comparing; a job whose video cannot be compared is asked
 * about all. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "video/video.h"

enum { FAILURES_MAX = 3 /* of comparing, in a row: then it is not tried again */ };
enum { SAME_MOST = 3 /* of 255: by how much the mean colour of a cell may differ between frames that are the same */ };

struct weft_video_memory {
    int file; /* -1: none */
    int failures;
    weft_clip *clip;
    bool still; /* the segment that was captioned last showed one picture: this one */
    uint8_t picture[WEFT_GLANCE_BYTES];
    char caption[WEFT_CAPTION_MAX];
};

weft_status weft_video_remember(weft_video_job *job, const char *path, weft_error *err) {
    weft_video_close(job);
    weft_video_memory *memory = calloc(1, sizeof *memory);
    if (!memory) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory");
    memory->file = -1;
    job->memory = memory;
    if (job->resolve)
        (void)job->resolve(job->resolve_context, job->url, &memory->file, NULL);
    else
        memory->file = open(path, O_RDONLY | O_CLOEXEC);
    return WEFT_OK;
}

void weft_video_close(weft_video_job *job) {
    weft_video_memory *memory = job->memory;
    if (!memory) return;
    weft_clip_close(memory->clip);
    if (memory->file >= 0) close(memory->file);
    free(memory);
    job->memory = NULL;
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

static const char *const plain_prompts[] = {WEFT_VIDEO_PROMPT, "Describe the video.", "What is shown?"};

/* Words, as people write them: not a list of boxes, markup or nothing. */
static bool is_sentence(const char *answer) {
    size_t letters = 0;
    while (*answer == ' ') answer++;
    if (*answer == 0 || strchr("[{<`|", *answer)) return false;
    for (; *answer; answer++)
        letters += ((*answer | 32) >= 'a' && (*answer | 32) <= 'z') || (unsigned char)*answer >= 0x80;
    return letters >= 3;
}

weft_status weft_video_ask_caption(weft_video_job *job, double from, double to, double fps, char *answer, size_t size,
                                   weft_error *err) {
    const int count = sizeof plain_prompts / sizeof *plain_prompts;
    if (strcmp(job->settings.prompt, WEFT_VIDEO_PROMPT) != 0)
        return job->ask(job, job->settings.prompt, from, to, fps, answer, size, err);
    for (int i = job->plainness; i < count; i++) {
        WEFT_TRY(job->ask(job, plain_prompts[i], from, to, fps, answer, size, err));
        if (!is_sentence(answer)) continue;
        job->plainness = i; /* a model that needs plain words needs them again */
        break;
    }
    return WEFT_OK;
}

/* ---- what is the same ------------------------------------------------------------------------------------------- */

bool weft_video_same_picture(const uint8_t *a, const uint8_t *b) {
    for (int i = 0; i < WEFT_GLANCE_BYTES; i++)
        if (abs(a[i] - b[i]) > SAME_MOST) return false;
    return true;
}

/* Looks at the frames that the model would get. *same: they all show the remembered picture; *still: they all show one,
 * the first. */
static void compare(weft_video_job *job, const weft_video_segment *segment, bool *still, bool *same,
                    const uint8_t **first) {
    weft_video_memory *memory = job->memory;
    int64_t frames = 0;
    *still = *same = false;
    if (!memory || memory->file < 0 || memory->failures >= FAILURES_MAX) return;
    weft_status status = memory->clip ? WEFT_OK : weft_clip_open(memory->file, &memory->clip, NULL);
    if (status == WEFT_OK)
        status =
            weft_clip_glance(memory->clip, segment->begins, segment->ends, job->settings.fps, first, &frames, NULL);
    if (status != WEFT_OK) { /* a worker that has used up its time is replaced */
        memory->failures++;
        weft_clip_close(memory->clip);
        memory->clip = NULL;
        return;
    }
    memory->failures = 0;
    if (frames < 1) return;
    *still = true;
    *same = memory->still;
    for (int64_t i = 0; i < frames && (*still || *same); i++) {
        const uint8_t *frame = *first + i * WEFT_GLANCE_BYTES;
        *still = *still && weft_video_same_picture(*first, frame);
        *same = *same && weft_video_same_picture(memory->picture, frame);
    }
}

weft_status weft_video_caption(weft_video_job *job, int64_t number, weft_error *err) {
    const weft_video_settings *s = &job->settings;
    weft_video_memory *memory = job->memory;
    const uint8_t *first = NULL;
    bool still, same;
    weft_video_segment segment = {.number = number,
                                  .begins = (double)number * s->segment,
                                  .ends = fmin((double)(number + 1) * s->segment, job->duration)};
    compare(job, &segment, &still, &same, &first);
    if (same) {
        memcpy(segment.caption, memory->caption, sizeof segment.caption);
        return weft_video_index_put(job->index, job->video, &segment, err);
    }
    if (memory) memory->still = still;
    if (still) memcpy(memory->picture, first, sizeof memory->picture);
    weft_status status =
        weft_video_ask_caption(job, segment.begins, segment.ends, s->fps, segment.caption, sizeof segment.caption, err);
    if (memory && status != WEFT_OK) memory->still = false;
    WEFT_TRY(status);
    if (still) memcpy(memory->caption, segment.caption, sizeof memory->caption);
    WEFT_TRY(weft_video_embed_caption(job, segment.caption, err));
    return weft_video_index_put(job->index, job->video, &segment, err);
}
