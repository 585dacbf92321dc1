/* weft-media-clip: clips through FFmpeg's libraries, animated WebP through libwebp. Started by weft, see media/session.c. */
#include "worker/clip/clip.h"
#include "worker/serve.h"

int main(int argc, char **argv) {
    static const weft_worker_program program = {
        .warm_up = weft_clip_warm_up, .clip_open = weft_clip_open, .clip_sample = weft_clip_sample, .clip_frame = weft_clip_frame};
    return weft_worker_serve(argc, argv, &program);
}
