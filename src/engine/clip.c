/* Clips for the faces, without a model: see weft.h. One worker per open clip; holds the little pictures of one glance.
 */
#include <stdlib.h>
#include <string.h>

#include "media/media.h"
#include "weft.h"

struct weft_clip {
    weft_media_session *session;
    int file;
    bool open;    /* in the session */
    uint8_t *rgb; /* [capacity, WEFT_GLANCE_BYTES] */
    int64_t capacity;
};

weft_status weft_clip_open(int file, weft_clip **out, weft_error *err) {
    weft_clip *clip = calloc(1, sizeof *clip);
    *out = NULL;
    if (!clip) return weft_fail(err, WEFT_ERR_MEMORY, "clip: no memory");
    clip->file = file;
    weft_status status = weft_media_session_create(NULL, &clip->session, err);
    if (status != WEFT_OK)
        free(clip);
    else
        *out = clip;
    return status;
}

void weft_clip_close(weft_clip *clip) {
    if (!clip) return;
    weft_media_session_free(clip->session);
    free(clip->rgb);
    free(clip);
}

static weft_status wait_for(weft_clip *clip, weft_error *err) {
    bool ready = false;
    return weft_media_wait(clip->session, -1, &ready, err);
}

/* out[32, 32, 3]: means of the cells; a cell of a picture under 32 pixels is the pixel under it. */
static void shrink(const uint8_t *rgb, int64_t width, int64_t height, uint8_t *out) {
    const int64_t side = WEFT_GLANCE_SIDE;
    for (int64_t y = 0; y < side; y++) {
        int64_t top = y * height / side, below = (y + 1) * height / side;
        if (below == top) below = top + 1;
        for (int64_t x = 0; x < side; x++) {
            int64_t left = x * width / side, right = (x + 1) * width / side;
            if (right == left) right = left + 1;
            uint64_t sum[3] = {0}, count = (uint64_t)((below - top) * (right - left));
            for (int64_t row = top; row < below; row++)
                for (const uint8_t *p = rgb + 3 * (row * width + left), *end = p + 3 * (right - left); p < end; p += 3)
                    for (int c = 0; c < 3; c++) sum[c] += p[c];
            for (int c = 0; c < 3; c++) *out++ = (uint8_t)((sum[c] + count / 2) / count);
        }
    }
}

static weft_status sample(weft_clip *clip, double from, double to, double fps, weft_error *err) {
    weft_video_sampling sampling = {.fps = fps,
                                    .min_frames = 2,
                                    .max_frames = weft_media_default_limits.frames_max,
                                    .start_seconds = from,
                                    .end_seconds = to};
    weft_status status = clip->open ? weft_media_clip_resample(clip->session, &sampling, err)
                                    : weft_media_clip_begin(clip->session, clip->file, &sampling, err);
    if (status == WEFT_OK) status = wait_for(clip, err);
    clip->open = weft_media_clip(clip->session) != NULL;
    return status;
}

weft_status weft_clip_glance(weft_clip *clip, double from, double to, double fps, const uint8_t **rgb, int64_t *frames,
                             weft_error *err) {
    WEFT_TRY(sample(clip, from, to, fps, err));
    const weft_clip_plan *plan = weft_media_clip(clip->session);
    if (!plan) return weft_fail(err, WEFT_ERR_INTERNAL, "clip: it has no plan");
    const int64_t count = plan->frames, width = plan->width, height = plan->height;
    if (count > clip->capacity) {
        uint8_t *grown = realloc(clip->rgb, (size_t)count * WEFT_GLANCE_BYTES);
        if (!grown) return weft_fail(err, WEFT_ERR_MEMORY, "clip: no memory for %lld frames", (long long)count);
        clip->rgb = grown;
        clip->capacity = count;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t index;
        WEFT_TRY(weft_media_frame_begin(clip->session, err));
        WEFT_TRY(wait_for(clip, err));
        const uint8_t *frame = weft_media_frame(clip->session, &index);
        if (!frame || index != i)
            return weft_fail(err, WEFT_ERR_INTERNAL, "clip: another frame came than the next one");
        shrink(frame, width, height, clip->rgb + i * WEFT_GLANCE_BYTES);
    }
    *rgb = clip->rgb;
    *frames = count;
    return WEFT_OK;
}
