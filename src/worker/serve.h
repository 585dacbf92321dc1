/* The loop of a worker program: reads records, calls the decoders, answers. See media/protocol.h. */
#ifndef WEFT_WORKER_SERVE_H
#define WEFT_WORKER_SERVE_H

#include "media/media.h"

typedef struct weft_clip_facts {
    int64_t width, height, total;
    double fps, duration;
} weft_clip_facts;

/* What a program decodes; members that are NULL are answered by an error. All run on one thread. */
typedef struct weft_worker_program {
    /* Loads and initialises whatever the libraries would otherwise load on their first use. Before the sandbox. */
    void (*warm_up)(void);
    bool threads; /* the libraries cannot do without */
    /* Decodes a picture from memory: *image as in media.h, rgb malloc'ed (NULL when `probe`). */
    weft_status (*image)(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe, weft_image *image,
                         weft_error *err);
    /* Opens a clip in place of the one before. The descriptor becomes the program's. */
    weft_status (*clip_open)(int fd, const weft_media_limits *limits, weft_clip_facts *facts, weft_error *err);
    /* Chooses frames; *seconds is [*frames], the program's until the next call. */
    weft_status (*clip_sample)(const weft_video_sampling *sampling, int64_t *frames, const double **seconds, weft_error *err);
    /* Writes the next chosen frame, [facts.height, facts.width, 3]. */
    weft_status (*clip_frame)(uint8_t *rgb, int64_t *index, weft_error *err);
} weft_worker_program;

/* The main function of a worker program: sandbox first, then records until the other end closes. Returns the exit status. */
int weft_worker_serve(int argc, char **argv, const weft_worker_program *program);

/* Answers one record that has come; for tests and fuzzing, which bring their own socket. Returns false when the other end
 * is gone or broke the protocol. */
typedef struct weft_worker weft_worker;
weft_worker *weft_worker_create(int socket, const weft_worker_program *program);
bool weft_worker_answer(weft_worker *worker);
void weft_worker_free(weft_worker *worker);

#endif
