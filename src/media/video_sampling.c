/* Which frames of a clip the published video processor keeps. Pure arithmetic, no state. */
#include <math.h>

#include "media/media.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    if (value < low) value = low;
    return value > high ? high : value;
}

/* sample_frames of transformers' Qwen3VLVideoProcessor. numpy's linspace multiplies the index by one step, and sets the
 * last value to the end exactly; its round is half to even, as rint's. */
int64_t weft_video_sample_indices(int64_t total, double native_fps, const weft_video_sampling *sampling,
                                  int64_t *indices) {
    if (total < 1 || sampling->max_frames < 1) return 0;
    if (!(native_fps > 0)) native_fps = 24; /* the processor's own assumption */
    int64_t n = sampling->num_frames;
    if (n > 0) { /* a stated number is taken as it is: a short clip's frames come more than once */
        n = clamp(n, 1, sampling->max_frames);
    } else {
        double wanted = (double)total / native_fps * sampling->fps;
        n = wanted >= (double)total ? total : wanted > 0 ? (int64_t)wanted : 0;
        n = clamp(n, sampling->min_frames, sampling->max_frames);
        n = clamp(n, 1, total);
    }
    double step = n > 1 ? (double)(total - 1) / (double)(n - 1) : 0;
    for (int64_t i = 0; i < n; i++) indices[i] = i == n - 1 && n > 1 ? total - 1 : (int64_t)rint((double)i * step);
    return n;
}
