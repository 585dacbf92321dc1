/* libFuzzer target: both ends of the media protocol, and the sniffer, against an end that sends anything.
 *
 * The first byte chooses: 0 a session that asks for a picture, 1 one that asks for a clip and its frames, from a "worker" that
 * sends the input; 2 a worker that reads the input as its session's records. The sniffer sees every input. What must hold beyond
 * not crashing: a session that succeeds got numbers within its limits, one that fails has a message. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media/process.h"
#include "worker/serve.h"

static int picture_fd = -1;

static weft_status fake_image(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe, weft_image *image, weft_error *err) {
    (void)bytes, (void)limits, (void)probe;
    if (size % 2) return weft_fail(err, WEFT_ERR_FORMAT, "odd");
    *image = (weft_image){2, 2, 2, 2, calloc(12, 1)};
    return WEFT_OK;
}
static weft_status fake_open(int fd, const weft_media_limits *limits, weft_clip_facts *facts, weft_error *err) {
    (void)limits, (void)err;
    close(fd);
    *facts = (weft_clip_facts){2, 2, 5, 2, 2.5};
    return WEFT_OK;
}
static weft_status fake_sample(const weft_video_sampling *sampling, int64_t *frames, const double **seconds, weft_error *err) {
    static const double times[5] = {0, 0.5, 1, 1.5, 2};
    (void)err;
    *frames = sampling->max_frames < 5 ? sampling->max_frames : 5;
    *seconds = times;
    return WEFT_OK;
}
static weft_status fake_frame(uint8_t *rgb, int64_t *index, weft_error *err) {
    (void)err;
    memset(rgb, 1, 12);
    *index = 0;
    return WEFT_OK;
}

static void end_session(weft_media_session *session, int other, const uint8_t *data, size_t size, bool clip) {
    weft_media_limits limits = weft_media_default_limits;
    weft_error err = {0};
    bool ready = false;
    weft_video_sampling sampling = {.fps = 2, .min_frames = 4, .max_frames = 768};
    if (send(other, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) abort();
    shutdown(other, SHUT_WR);
    weft_status status = clip ? weft_media_clip_begin(session, picture_fd, &sampling, &err) : weft_media_image_begin(session, picture_fd, false, &err);
    while (status == WEFT_OK && !ready) status = weft_media_wait(session, 0, &ready, &err);
    if (status != WEFT_OK) {
        if (!err.message[0] || err.status != status) abort();
        return;
    }
    const weft_image *image = weft_media_image(session);
    const weft_clip_plan *plan = weft_media_clip(session);
    if (!clip && (!image->rgb || image->width < 1 || image->height < 1 || image->width > limits.pixels_max / image->height)) abort();
    if (clip && (!plan || plan->frames < 1 || plan->frames > 768)) abort();
    for (int64_t i = 0; clip && i < plan->frames && status == WEFT_OK; i++) {
        int64_t index;
        status = weft_media_frame_begin(session, &err);
        for (ready = false; status == WEFT_OK && !ready;) status = weft_media_wait(session, 0, &ready, &err);
        if (status == WEFT_OK && (!weft_media_frame(session, &index) || index != i)) abort();
        if (status != WEFT_OK) return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const weft_worker_program program = {.image = fake_image, .clip_open = fake_open, .clip_sample = fake_sample, .clip_frame = fake_frame};
    const char *name = NULL;
    weft_media_sniff(data, size, &name);
    if (!name || !name[0]) abort();
    if (picture_fd < 0 && weft_media_memory("\xFF\xD8\xFF", 3, "picture", &picture_fd, NULL) != WEFT_OK) abort();
    int ends[2];
    if (size < 1 || size > 4096 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
    if (data[0] < 2) {
        weft_media_limits limits = weft_media_default_limits;
        limits.pixels_max = 1 << 16;
        weft_media_session *session;
        if (weft_media_session_create(&limits, &session, NULL) != WEFT_OK) abort();
        weft_media_session_adopt(session, ends[0]);
        end_session(session, ends[1], data + 1, size - 1, data[0] == 1);
        weft_media_session_free(session);
    } else {
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        weft_worker *worker = weft_worker_create(ends[0], &program);
        weft_error err;
        size_t half = size > 200 ? 153 : size / 2; /* a descriptor comes with the second part */
        (void)!send(ends[1], data + 1, half ? half - 1 : 0, MSG_NOSIGNAL);
        weft_wire wire = {.type = WEFT_WIRE_IMAGE, .n = {data[0] & 1, 100, 100}};
        if (data[0] & 2) weft_wire_send(ends[1], &wire, NULL, picture_fd, &err);
        (void)!send(ends[1], data + half, size - half, MSG_NOSIGNAL);
        shutdown(ends[1], SHUT_WR);
        while (worker && weft_worker_answer(worker)) {}
        weft_worker_free(worker);
        close(ends[0]);
    }
    close(ends[1]);
    return 0;
}
