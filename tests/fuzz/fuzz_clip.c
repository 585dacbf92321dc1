/* libFuzzer target: hostile bytes through libav's containers and decoders as weft-media-clip uses them.
 *
 * Run `fuzz_clip -max_len=65536 CORPUS tests/worker/fixtures`. What must hold beyond not crashing: frames come in order and every
 * byte of theirs is set; a failure leaves a message. */
#include <stdlib.h>
#include <string.h>

#include "worker/clip/clip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool warm;
    if (!warm) weft_clip_warm_up();
    warm = true;
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = 1 << 18;
    weft_clip_facts facts = {0};
    weft_error err = {0};
    int fd;
    if (size < 1 || weft_media_memory(data, size, "clip", &fd, NULL) != WEFT_OK) return 0;
    weft_video_sampling sampling = {.fps = 2, .min_frames = 4, .max_frames = 16};
    if (size >= 3 && data[size - 1] & 1) { /* a part of it; players ignore bytes behind the end */
        sampling.start_seconds = data[size - 2] / 16.0;
        sampling.end_seconds = data[size - 1] & 2 ? sampling.start_seconds + data[size - 3] / 16.0 : 0;
    }
    int64_t frames = 0, index = -1;
    const double *seconds = NULL;
    weft_status status = weft_clip_open(fd, &limits, &facts, &err);
    if (status == WEFT_OK) status = weft_clip_sample(&sampling, &frames, &seconds, &err);
    uint8_t *rgb = status == WEFT_OK ? calloc((size_t)(facts.width * facts.height), 3) : NULL;
    for (int64_t i = 0; i < frames && status == WEFT_OK; i++) {
        status = weft_clip_frame(rgb, &index, &err);
        if (status == WEFT_OK && index != i) abort();
        if (!(seconds[i] > -1e18 && seconds[i] < 1e18) || (i > 0 && seconds[i] < seconds[i - 1])) abort();
    }
    if (status != WEFT_OK && !err.message[0]) abort();
    free(rgb);
    weft_clip_close();
    return 0;
}
