/* The clip at hand: opened, sampled, its frames decoded one after the other. The members of weft_worker_program. */
#ifndef WEFT_WORKER_CLIP_CLIP_H
#define WEFT_WORKER_CLIP_CLIP_H

#include "worker/serve.h"

void weft_clip_warm_up(void);
weft_status weft_clip_open(int fd, const weft_media_limits *limits, weft_clip_facts *facts, weft_error *err);
weft_status weft_clip_sample(const weft_video_sampling *sampling, int64_t *frames, const double **seconds, weft_error *err);
weft_status weft_clip_frame(uint8_t *rgb, int64_t *index, weft_error *err);
void weft_clip_close(void);

/* ---- for clip.c and animation.c only ---------------------------------------------------------------------------- */

/* An animated WebP, whose frames come in order. */
typedef struct weft_animation weft_animation;
weft_status weft_animation_open(const uint8_t *bytes, size_t size, const weft_media_limits *limits, weft_animation **animation, weft_error *err);
void weft_animation_close(weft_animation *animation);
int64_t weft_animation_frames(const weft_animation *animation);
double weft_animation_seconds(const weft_animation *animation, int64_t frame); /* frame == frames: the end */
void weft_animation_size(const weft_animation *animation, int64_t *width, int64_t *height);
/* Frames must be asked for in ascending order; going back begins anew. */
weft_status weft_animation_frame(weft_animation *animation, int64_t frame, uint8_t *rgb, weft_error *err);

#endif
