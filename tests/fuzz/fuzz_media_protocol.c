/* libFuzzer target: both ends of the media protocol against an end that sends anything.
 *
 * The first byte chooses who is tested: a session that asks for a picture or for a clip and its frames, a document
 * (pages, their size, text and pixels), or a worker that reads a session's records. The other bytes are a recipe for
 * what the hostile end sends: whole records with chosen or odd numbers, cut ones, raw bytes. So each run goes deep,
 * where raw bytes alone would seldom get past the first record. What must hold beyond not crashing: who succeeds got
 * numbers within its limits, who fails has a message, and no descriptor stays open. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media/document.h"
#include "media/process.h"
#include "worker/serve.h"

enum { STREAM_MAX = 96 << 10, PIXELS_MAX = 1 << 12 };

/* Sessions hold 64 KiB readers: without this the freed ones alone keep the machine busy. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=16";
}

static int file_fd = -1;
static int adopted = -1; /* the socket that a document's "process" gets */

/* The linker puts these in place of the real ones (see CMakeLists.txt): a document's worker is this target. */
weft_status __wrap_weft_media_process_start(weft_media_process *process, const char *name,
                                            const weft_media_limits *limits, weft_error *err);
weft_status __wrap_weft_media_process_start(weft_media_process *process, const char *name,
                                            const weft_media_limits *limits, weft_error *err) {
    (void)limits;
    if (adopted < 0) return weft_fail(err, WEFT_ERR_IO, "%s: no second worker", name);
    weft_media_process_adopt(process, adopted);
    adopted = -1;
    return WEFT_OK;
}

/* ---- what the hostile end sends ---------------------------------------------------------------------------------- */

typedef struct recipe {
    const uint8_t *at, *end;
} recipe;

static uint8_t next(recipe *r) {
    return r->at < r->end ? *r->at++ : 0;
}

static int64_t number(recipe *r) {
    static const int64_t odd[] = {-1,      INT64_MAX, INT64_MIN, 1LL << 31, 1LL << 32, 1LL << 24, 65535, 65536,
                                  1 << 20, 100000,    4096,      8192,      12,        -2,        1000,  300};
    uint8_t b = next(r);
    if (b < 0xE0) return b;
    if (b < 0xF0) return odd[b & 15];
    int64_t value = 0;
    for (int i = 0; i < 8; i++) value = (int64_t)((uint64_t)value << 8 | next(r));
    return value;
}

static double fraction(recipe *r) {
    static const double odd[] = {0,  -0.0,  1e300, -1,  INFINITY, -INFINITY, NAN,   5e-324,
                                 25, 29.97, 1e-9,  1e9, 0.5,      3600,      86400, 1.0 / 3};
    uint8_t b = next(r);
    return b < 0xC0 ? b * 0.25 : odd[b & 15];
}

static uint32_t type_of(uint8_t kind) {
    static const uint32_t types[16] = {
        WEFT_WIRE_HELLO,      WEFT_WIRE_IMAGE,    WEFT_WIRE_SIZE,     WEFT_WIRE_MEMORY,
        WEFT_WIRE_DONE,       WEFT_WIRE_CLIP,     WEFT_WIRE_OPENED,   WEFT_WIRE_SAMPLE,
        WEFT_WIRE_PLAN,       WEFT_WIRE_FRAME,    WEFT_WIRE_FAILED,   WEFT_WIRE_PDF_OPENED,
        WEFT_WIRE_PDF_LOCKED, WEFT_WIRE_PDF_SIZE, WEFT_WIRE_PDF_TEXT, WEFT_WIRE_PDF_RENDER};
    return types[kind & 15];
}

static size_t put(uint8_t *out, size_t used, const void *bytes, size_t count) {
    if (count > STREAM_MAX - used) count = STREAM_MAX - used;
    memcpy(out + used, bytes, count);
    return used + count;
}

/* One record: a byte of kind and flags (16: numbers follow, 32: bytes follow, 64: cut short, 128: raw bytes instead).
 */
static size_t put_record(uint8_t *out, size_t used, recipe *r) {
    static const uint8_t zeros[WEFT_WIRE_EXTRA_MAX];
    uint8_t what = next(r);
    if (what & 128) {
        size_t count = what & 127, left = (size_t)(r->end - r->at);
        if (count > left) count = left;
        used = put(out, used, r->at, count);
        r->at += count;
        return used;
    }
    weft_wire wire = {.type = type_of(what), .n = {1, 0}};
    size_t given = 0, before = used;
    const uint8_t *bytes = r->at;
    if (what & 16) {
        for (int i = 0; i < 4; i++) wire.n[i] = number(r);
        for (int i = 0; i < 2; i++) wire.x[i] = fraction(r);
    }
    if (what & 32) {
        wire.extra = (uint32_t)number(r);
        given = next(r);
        bytes = r->at;
        if (given > (size_t)(r->end - r->at)) given = (size_t)(r->end - r->at);
        r->at += given;
    }
    used = put(out, used, &wire, sizeof wire);
    used = put(out, used, bytes, given);
    if (wire.extra > given && wire.extra <= WEFT_WIRE_EXTRA_MAX) used = put(out, used, zeros, wire.extra - given);
    if (what & 64) used = before + (used - before) / 2;
    return used;
}

static size_t put_all(uint8_t *out, bool greeting, recipe *r) {
    weft_wire hello = {.type = WEFT_WIRE_HELLO, .n = {WEFT_WIRE_VERSION, 7}};
    size_t used = greeting ? put(out, 0, &hello, sizeof hello) : 0;
    while (r->at < r->end && used < STREAM_MAX) used = put_record(out, used, r);
    return used;
}

/* ---- who is tested ------------------------------------------------------------------------------------------------
 */

static weft_status failed_well(weft_status status, const weft_error *err) {
    if (status != WEFT_OK && (!err->message[0] || err->status != status)) abort();
    return status;
}

static weft_status wait_for(weft_media_session *session, weft_error *err) {
    weft_status status = WEFT_OK;
    for (bool ready = false; status == WEFT_OK && !ready;) status = weft_media_wait(session, 0, &ready, err);
    return failed_well(status, err);
}

static void use_image(weft_media_session *session, bool probe) {
    weft_error err = {0};
    weft_status status = failed_well(weft_media_image_begin(session, file_fd, probe, &err), &err);
    if (status == WEFT_OK) status = wait_for(session, &err);
    const weft_image *image = weft_media_image(session);
    if (status != WEFT_OK) return;
    if ((!probe && !image->rgb) || image->width < 1 || image->height < 1 || image->width > PIXELS_MAX / image->height)
        abort();
    if (image->rgb && image->rgb[image->width * image->height * 3 - 1] != 0) abort(); /* all of it can be read */
}

static void use_clip(weft_media_session *session) {
    weft_error err = {0};
    weft_video_sampling sampling = {.fps = 2, .min_frames = 4, .max_frames = 768};
    if (failed_well(weft_media_clip_begin(session, file_fd, &sampling, &err), &err) != WEFT_OK ||
        wait_for(session, &err) != WEFT_OK)
        return;
    const weft_clip_plan *plan = weft_media_clip(session);
    if (!plan || plan->frames < 1 || plan->frames > 768 || !isfinite(plan->seconds[plan->frames - 1])) abort();
    for (int64_t i = 0; i < plan->frames; i++) {
        int64_t index;
        if (failed_well(weft_media_frame_begin(session, &err), &err) != WEFT_OK || wait_for(session, &err) != WEFT_OK)
            return;
        const uint8_t *rgb = weft_media_frame(session, &index);
        if (!rgb || index != i || rgb[plan->width * plan->height * 3 - 1] != 0) abort();
    }
}

static void use_document(const weft_media_limits *limits) {
    weft_error err = {0};
    weft_document *document;
    const weft_document_line *lines;
    const uint8_t *rgb;
    double width, height;
    size_t count, bytes = 0;
    bool locked;
    if (failed_well(weft_document_open(file_fd, "x", limits, &document, &locked, &err), &err) != WEFT_OK) return;
    if (weft_document_pages(document) < 1) abort();
    if (failed_well(weft_document_page_size(document, 0, &width, &height, &err), &err) == WEFT_OK &&
        !(width > 0 && height < 1e6))
        abort();
    if (failed_well(weft_document_text(document, 0, &lines, &count, &err), &err) == WEFT_OK)
        for (size_t i = 0; i < count; i++)
            bytes += lines[i].size + (lines[i].size ? lines[i].text[lines[i].size - 1] == 'x' : 0);
    if (bytes > 4 * WEFT_PDF_TEXT_MAX) abort();
    if (failed_well(weft_document_render(document, 0, 8, 9, &rgb, &err), &err) == WEFT_OK && rgb[8 * 9 * 3 - 1] != 0)
        abort();
    weft_document_close(document);
}

static weft_status fake_image(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe,
                              weft_image *image, weft_error *err) {
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
static weft_status fake_sample(const weft_video_sampling *sampling, int64_t *frames, const double **seconds,
                               weft_error *err) {
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

/* A worker reads the session's records; descriptors, right and wrong ones, come with every fourth byte of the recipe's
 * first. */
static void use_worker(int socket, int other, const uint8_t *stream, size_t size, uint8_t how) {
    static const weft_worker_program program = {
        .image = fake_image, .clip_open = fake_open, .clip_sample = fake_sample, .clip_frame = fake_frame};
    weft_error err;
    size_t half = how & 8 ? size / 2 / sizeof(weft_wire) * sizeof(weft_wire) : 0;
    fcntl(socket, F_SETFL, O_NONBLOCK);
    weft_worker *worker = weft_worker_create(socket, &program);
    (void)!send(other, stream, half, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (how & 16) {
        weft_wire wire = {.type = how & 32 ? WEFT_WIRE_CLIP : WEFT_WIRE_IMAGE,
                          .n = {how & 64 ? WEFT_IMAGE_PROBE : 0, 100, 100},
                          .x = {100}};
        weft_wire_send(other, &wire, NULL, file_fd, &err);
    }
    (void)!send(other, stream + half, size - half, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(other, SHUT_WR);
    while (worker && weft_worker_answer(worker)) {
    }
    weft_worker_free(worker);
    close(socket);
}

static int lowest_free(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t stream[STREAM_MAX];
    int ends[2];
    if (file_fd < 0 && weft_media_memory("\xFF\xD8\xFF", 3, "picture", &file_fd, NULL) != WEFT_OK) abort();
    int before = lowest_free();
    if (size < 1 || size > 4096 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = PIXELS_MAX;
    recipe r = {data + 1, data + size};
    size_t count = put_all(stream, data[0] % 4 != 3 && !(data[0] & 4), &r);
    if (data[0] % 4 == 3) {
        use_worker(ends[0], ends[1], stream, count, data[0]);
    } else {
        (void)!send(ends[1], stream, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        shutdown(ends[1], SHUT_WR);
        if (data[0] % 4 == 2) {
            adopted = ends[0];
            use_document(&limits);
            if (adopted >= 0) abort();
        } else {
            weft_media_session *session;
            if (weft_media_session_create(&limits, &session, NULL) != WEFT_OK) abort();
            weft_media_session_adopt(session, ends[0]);
            data[0] % 4 == 1 ? use_clip(session) : use_image(session, data[0] & 8);
            weft_media_session_free(session);
        }
    }
    close(ends[1]);
    if (lowest_free() != before) abort(); /* something stays open */
    return 0;
}
