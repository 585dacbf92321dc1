/* The loop of a worker program: see serve.h.
 *
 * Owns the file at hand (mapped while a picture is decoded) and the memory for frames. The session is treated as
 * hostile too: sizes of memory are compared with the descriptor's own. */
#include "worker/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "media/protocol.h"
#include "worker/sandbox.h"

struct weft_worker {
    const weft_worker_program *program;
    int socket;
    weft_wire_reader reader;
    uint8_t *memory; /* [memory_size] shared, for frames */
    size_t memory_size;
    weft_clip_facts facts;
    int64_t frames_left; /* of the plan; 0: no plan */
};

weft_worker *weft_worker_create(int socket, const weft_worker_program *program) {
    weft_worker *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->program = program;
    w->socket = socket;
    weft_wire_reader_init(&w->reader);
    return w;
}

static void drop_memory(weft_worker *w) {
    if (w->memory) munmap(w->memory, w->memory_size);
    w->memory = NULL;
    w->memory_size = 0;
}

void weft_worker_free(weft_worker *w) {
    if (!w) return;
    weft_wire_reader_next(&w->reader);
    drop_memory(w);
    free(w);
}

static int take_descriptor(weft_worker *w) {
    int fd = w->reader.fd;
    w->reader.fd = -1;
    return fd;
}

static bool send_record(weft_worker *w, const weft_wire *wire, const void *extra) {
    return weft_wire_send(w->socket, wire, extra, -1, NULL) == WEFT_OK;
}

static bool send_failure(weft_worker *w, const weft_error *error) {
    weft_wire wire = {.type = WEFT_WIRE_FAILED, .extra = (uint32_t)strlen(error->message), .n = {error->status}};
    return send_record(w, &wire, error->message);
}

static bool next_record(weft_worker *w) {
    bool complete = false;
    weft_wire_reader_next(&w->reader);
    while (!complete)
        if (weft_wire_receive(w->socket, &w->reader, true, &complete, NULL) != WEFT_OK) return false;
    return true;
}

/* ---- pictures --------------------------------------------------------------------------------------------------- */

static weft_status map_file(int fd, const uint8_t **bytes, size_t *size, weft_error *err) {
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < 1) return weft_fail(err, WEFT_ERR_FORMAT, "the picture is empty");
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a file of %lld bytes", (long long)info.st_size);
    *bytes = map;
    *size = (size_t)info.st_size;
    return WEFT_OK;
}

/* Takes over the shared memory that the record at hand brings. */
static bool map_memory(weft_worker *w) {
    struct stat info;
    int fd = take_descriptor(w);
    int64_t size = w->reader.wire.n[0];
    drop_memory(w);
    bool fits = fd >= 0 && size > 0 && fstat(fd, &info) == 0 && info.st_size == size;
    void *map = fits ? mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0) close(fd);
    if (map == MAP_FAILED) return false;
    w->memory = map;
    w->memory_size = (size_t)size;
    return true;
}

static bool send_pixels(weft_worker *w, const weft_image *image, bool probe) {
    size_t size = (size_t)image->width * (size_t)image->height * 3;
    weft_wire head = {.type = WEFT_WIRE_SIZE, .n = {image->width, image->height, image->full_width, image->full_height}};
    if (!send_record(w, &head, NULL)) return false;
    if (probe) return true;
    if (!next_record(w) || w->reader.wire.type != WEFT_WIRE_MEMORY || !map_memory(w) || w->memory_size != size) return false;
    memcpy(w->memory, image->rgb, size);
    drop_memory(w);
    weft_wire done = {.type = WEFT_WIRE_DONE};
    return send_record(w, &done, NULL);
}

static bool answer_image(weft_worker *w) {
    const weft_wire *wire = &w->reader.wire;
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = wire->n[1];
    limits.side_max = wire->n[2];
    bool probe = wire->n[0] & WEFT_IMAGE_PROBE;
    const uint8_t *bytes = NULL;
    size_t size = 0;
    weft_image image = {0};
    weft_error err;
    int fd = take_descriptor(w);
    weft_status status = map_file(fd, &bytes, &size, &err);
    if (fd >= 0) close(fd);
    if (status == WEFT_OK && !w->program->image) status = weft_fail(&err, WEFT_ERR_INTERNAL, "this worker decodes no pictures");
    if (status == WEFT_OK) status = w->program->image(bytes, size, &limits, probe, &image, &err);
    if (bytes) munmap((void *)bytes, size);
    bool sent = status == WEFT_OK ? send_pixels(w, &image, probe) : send_failure(w, &err);
    free(image.rgb);
    return sent;
}

/* ---- clips ------------------------------------------------------------------------------------------------------ */

static bool answer_clip(weft_worker *w) {
    const weft_wire *wire = &w->reader.wire;
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = wire->n[0];
    limits.side_max = wire->n[1];
    limits.video_seconds_max = wire->x[0];
    weft_error err;
    weft_status status = WEFT_OK;
    w->frames_left = 0;
    w->facts = (weft_clip_facts){0};
    int fd = take_descriptor(w);
    if (fd < 0) return false;
    if (!w->program->clip_open) {
        close(fd);
        status = weft_fail(&err, WEFT_ERR_INTERNAL, "this worker decodes no clips");
    } else {
        status = w->program->clip_open(fd, &limits, &w->facts, &err);
    }
    if (status != WEFT_OK) return send_failure(w, &err);
    weft_wire opened = {.type = WEFT_WIRE_OPENED,
                        .n = {w->facts.width, w->facts.height, w->facts.total},
                        .x = {w->facts.fps, w->facts.duration}};
    return send_record(w, &opened, NULL);
}

static bool answer_sample(weft_worker *w) {
    const weft_wire *wire = &w->reader.wire;
    weft_video_sampling sampling = {.fps = wire->x[0], .num_frames = wire->n[0], .min_frames = wire->n[1],
                                    .max_frames = wire->n[2], .start_seconds = wire->x[1], .end_seconds = wire->x[2]};
    if (w->facts.total < 1 || sampling.max_frames < 1 || sampling.max_frames > WEFT_WIRE_EXTRA_MAX / (int64_t)sizeof(double)) return false;
    weft_error err;
    const double *seconds = NULL;
    w->frames_left = 0;
    if (w->program->clip_sample(&sampling, &w->frames_left, &seconds, &err) != WEFT_OK) return send_failure(w, &err);
    weft_wire plan = {.type = WEFT_WIRE_PLAN, .extra = (uint32_t)w->frames_left * (uint32_t)sizeof(double), .n = {w->frames_left}};
    return send_record(w, &plan, seconds);
}

static bool answer_frame(weft_worker *w) {
    size_t size = (size_t)w->facts.width * (size_t)w->facts.height * 3;
    if (w->frames_left < 1 || !w->memory || w->memory_size != size) return false;
    weft_error err;
    weft_wire done = {.type = WEFT_WIRE_DONE};
    if (w->program->clip_frame(w->memory, &done.n[0], &err) != WEFT_OK) return send_failure(w, &err);
    w->frames_left--;
    return send_record(w, &done, NULL);
}

bool weft_worker_answer(weft_worker *w) {
    if (!next_record(w)) return false;
    switch (w->reader.wire.type) {
    case WEFT_WIRE_IMAGE: return answer_image(w);
    case WEFT_WIRE_MEMORY: return map_memory(w);
    case WEFT_WIRE_CLIP: return answer_clip(w);
    case WEFT_WIRE_SAMPLE: return answer_sample(w);
    case WEFT_WIRE_FRAME: return answer_frame(w);
    default: return false;
    }
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static int64_t option(int argc, char **argv, const char *name) {
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0) return strtoll(argv[i] + length, NULL, 10);
    return 0;
}

int weft_worker_serve(int argc, char **argv, const weft_worker_program *program) {
    struct stat info;
    if (fstat(WEFT_WIRE_FD, &info) != 0 || !S_ISSOCK(info.st_mode)) {
        static const char text[] = "This program decodes media for weft and is started by it.\n";
        return write(2, text, sizeof text - 1) < 0 ? 1 : 2;
    }
    tzset(); /* containers hold dates: the zone's file cannot be read later */
    if (program->warm_up) program->warm_up();
    unsigned guards = weft_sandbox_enter(option(argc, argv, "--memory="), option(argc, argv, "--cpu="), program->threads);
    weft_worker *worker = weft_worker_create(WEFT_WIRE_FD, program);
    weft_wire hello = {.type = WEFT_WIRE_HELLO, .n = {WEFT_WIRE_VERSION, guards}};
    if (worker && send_record(worker, &hello, NULL))
        while (weft_worker_answer(worker)) {}
    _exit(0); /* what the libraries hold ends with the process */
}
