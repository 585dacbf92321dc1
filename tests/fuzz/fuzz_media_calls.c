/* libFuzzer target: both ends of the media protocol, each against an end that sends anything, over a kernel that is
 * part of the target (fake_kernel.h): short reads and writes, interrupted calls, descriptors anywhere.
 * fuzz_media_protocol.c does it over the real one.
 *
 * What is tested: a session that asks for a picture or a clip (media/session.c) and a document (media/document.c) of a
 * hostile worker; a worker (worker/serve.c) of a hostile session; under all of them process.c and protocol.c. The input
 * is a short program: its first byte chooses the end, the next two how writing goes and what is asked, the rest are
 * records, spelled so that a byte says a type and a byte a number, and raw bytes. What must hold beyond not crashing: a
 * session that succeeds got numbers within its limits, one that fails has a message, and nothing stays open or mapped
 * (fake_kernel.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_kernel.h"
#include "media/document.h"
#include "media/process.h"
#include "worker/serve.h"

/* ---- the input as records --------------------------------------------------------------------------------------- */

typedef struct script {
    const uint8_t *at, *end;
} script;

static uint8_t byte(script *s) {
    return s->at < s->end ? *s->at++ : 0;
}

static int64_t literal(script *s) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)byte(s) << (8 * i);
    return (int64_t)value;
}

/* A byte says small numbers and the edges of larger ones; 255 is followed by all eight bytes. */
static int64_t number(script *s) {
    static const int64_t edges[] = {
        -1,        INT64_MIN, INT64_MAX,        INT64_MAX / 2, INT64_MAX / 3, 1 << 16,           (1 << 16) - 1, 1 << 24,
        INT32_MAX, INT32_MIN, (int64_t)1 << 32, 256,           768,           WEFT_PDF_SIDE_MAX, 4096,          8192,
        1000,      100000,    1 << 20,          196608,        65536 / 8,     UINT32_MAX};
    const uint8_t b = byte(s), first = 255 - sizeof edges / sizeof *edges;
    return b == 255 ? literal(s) : b >= first ? edges[b - first] : b;
}

static double real(script *s) {
    static const double edges[] = {NAN, INFINITY, -INFINITY, -0.0, 1e300, 1e-300, -1, 1e9, 1e6, 0.1};
    const uint8_t b = byte(s), first = 255 - sizeof edges / sizeof *edges;
    double value;
    int64_t bits;
    if (b < 255) return b >= first ? edges[b - first] : b / 4.0;
    bits = literal(s);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint8_t extra[WEFT_WIRE_EXTRA_MAX + 256];

static void repeat(size_t unit, size_t size) { /* the first `unit` bytes all over extra[size] */
    for (size_t done = unit; done < size; done *= 2)
        memcpy(extra + done, extra, done < size - done ? done : size - done);
}

/* Fills the tail of a record: bytes over and over, rising times, or lines of text with their boxes. */
static void fill_extra(script *s, size_t size, unsigned how) {
    weft_pdf_line_wire head = {.box = {0, 1, 999, 1000}};
    if (how == 1) {
        double step = real(s);
        for (size_t i = 0; i < size / 8; i++) memcpy(extra + 8 * i, &(double){(double)i * step}, 8);
    } else if (how == 2) {
        head.size = (uint32_t)number(s);
        if (byte(s) == 5) head.box[byte(s) % 4] = (float)real(s);
        memset(extra, 'a', size);
        memcpy(extra, &head, sizeof head);
        if (head.size < WEFT_WIRE_EXTRA_MAX) repeat(sizeof head + head.size, size);
    } else {
        for (int i = 0; i < 8; i++) extra[i] = byte(s);
        repeat(8, size);
    }
}

static void send_scripted(script *s, uint8_t how) {
    static const uint32_t types[] = {WEFT_WIRE_HELLO,      WEFT_WIRE_IMAGE,      WEFT_WIRE_SIZE,     WEFT_WIRE_MEMORY,
                                     WEFT_WIRE_DONE,       WEFT_WIRE_CLIP,       WEFT_WIRE_OPENED,   WEFT_WIRE_SAMPLE,
                                     WEFT_WIRE_PLAN,       WEFT_WIRE_FRAME,      WEFT_WIRE_FAILED,   WEFT_WIRE_PDF_OPEN,
                                     WEFT_WIRE_PDF_OPENED, WEFT_WIRE_PDF_LOCKED, WEFT_WIRE_PDF_PAGE, WEFT_WIRE_PDF_SIZE,
                                     WEFT_WIRE_PDF_RENDER, WEFT_WIRE_PDF_TEXT};
    const uint8_t count = sizeof types / sizeof *types, which = how & 31;
    weft_wire wire = {.type = which < count ? types[which] : (uint32_t)literal(s)};
    if (how & 32) { /* numbers, as many as the next byte says */
        uint8_t mask = byte(s);
        for (int i = 0; i < 6; i++)
            if (mask >> i & 1) wire.n[i] = number(s);
        for (int i = 0; i < 3; i++)
            if (mask >> (i ? 7 : 6) & 1) wire.x[i] = real(s);
    }
    if (how & 64) { /* a tail; its stated and its true size may differ */
        uint8_t kind = byte(s);
        int64_t size = number(s);
        if (kind & 4 && size > 0 && size <= WEFT_WIRE_EXTRA_MAX / 8) size *= 8;
        wire.extra = (uint32_t)size;
        if (size < 0 || size > (int64_t)sizeof extra) size = 0;
        fill_extra(s, (size_t)size, kind & 3);
        if (how & 128) fake_mark(FAKE_FILE, number(s));
        fake_send(&wire, sizeof wire);
        fake_send(extra, (size_t)size);
        return;
    }
    if (how & 128) fake_mark(FAKE_FILE, number(s));
    fake_send(&wire, sizeof wire);
}

static void send_all(script *s) {
    while (s->at < s->end) {
        uint8_t how = byte(s), raw[32];
        switch (how & 31) {
        case 28: fake_mark(FAKE_NOTHING_YET, 0); break;
        case 29: fake_mark(FAKE_INTERRUPT, 0); break;
        case 30: fake_mark(how & 32 ? FAKE_SHORT : FAKE_FILE, number(s)); break;
        case 31:
            for (int i = 0; i <= how >> 5; i++) raw[i] = byte(s);
            fake_send(raw, (size_t)(how >> 5) + 1);
            break;
        default: send_scripted(s, how);
        }
    }
}

/* ---- sessions of a hostile worker ------------------------------------------------------------------------------- */

static int starts_left;

/* In the place of the function that starts programs (process.c). */
weft_status __wrap_weft_media_process_start(weft_media_process *process, const char *name,
                                            const weft_media_limits *limits, weft_error *err);
weft_status __wrap_weft_media_process_start(weft_media_process *process, const char *name,
                                            const weft_media_limits *limits, weft_error *err) {
    (void)name, (void)limits;
    int fd = starts_left-- > 0 ? fake_socket() : -1;
    if (fd < 0) return weft_fail(err, WEFT_ERR_NOT_FOUND, "no worker is left");
    weft_media_process_adopt(process, fd);
    return WEFT_OK;
}

static weft_status ends(weft_status status, const weft_error *err) {
    if (status != WEFT_OK && (!err->message[0] || err->status != status)) abort();
    return status;
}

static weft_status wait_for(weft_media_session *session, weft_status status, weft_error *err) {
    bool ready = false;
    while (status == WEFT_OK && !ready) status = weft_media_wait(session, 0, &ready, err);
    return ends(status, err);
}

static void ask_pictures(weft_media_session *session, int fd, unsigned asked, const weft_media_limits *limits) {
    weft_error err = {0};
    for (int i = 0; i < 3; i++) {
        bool probe = asked >> i & 1;
        if (wait_for(session, weft_media_image_begin(session, fd, probe, &err), &err) != WEFT_OK) continue;
        const weft_image *image = weft_media_image(session);
        if (image->width < 1 || image->height < 1 || image->width > limits->pixels_max / image->height ||
            image->full_width < image->width)
            abort();
        if (!image->rgb != probe) abort();
        volatile uint8_t last = probe ? 0 : image->rgb[image->width * image->height * 3 - 1];
        (void)last;
    }
}

static void ask_frames(weft_media_session *session, const weft_media_limits *limits, weft_error *err) {
    const weft_clip_plan *plan = weft_media_clip(session);
    if (!plan || plan->frames < 1 || plan->frames > limits->frames_max ||
        plan->width > limits->pixels_max / plan->height)
        abort();
    const int64_t frames = plan->frames;
    for (int64_t i = 0; i < frames; i++) {
        int64_t index = -1;
        if (!(fabs(plan->seconds[i]) < 1e9)) abort();
        if (wait_for(session, weft_media_frame_begin(session, err), err) != WEFT_OK) return;
        const uint8_t *rgb = weft_media_frame(session, &index);
        if (!rgb || index != i) abort();
        volatile uint8_t last = rgb[plan->width * plan->height * 3 - 1];
        (void)last;
    }
    if (weft_media_frame_begin(session, err) == WEFT_OK) abort();
}

static void ask_clips(weft_media_session *session, int fd, unsigned asked, const weft_media_limits *limits) {
    weft_error err = {0};
    weft_video_sampling sampling = {.fps = 2, .min_frames = 4, .max_frames = asked & 1 ? 3 : 768};
    if (wait_for(session, weft_media_clip_begin(session, fd, &sampling, &err), &err) == WEFT_OK)
        ask_frames(session, limits, &err);
    for (int i = 0; i < 2 && asked >> i & 2; i++) {
        sampling.num_frames = 2;
        if (wait_for(session, weft_media_clip_resample(session, &sampling, &err), &err) == WEFT_OK)
            ask_frames(session, limits, &err);
    }
}

static void run_session(bool clips, unsigned asked, int fd) {
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = 1 << 12;
    limits.side_max = 1 << 10;
    weft_media_session *session;
    if (weft_media_session_create(&limits, &session, NULL) != WEFT_OK) abort();
    if (clips)
        ask_clips(session, fd, asked, &limits);
    else
        ask_pictures(session, fd, asked, &limits);
    weft_media_session_free(session);
}

static void read_lines(weft_document *document, int64_t page, weft_error *err) {
    const weft_document_line *lines;
    size_t count = 0, sum = 0;
    if (ends(weft_document_text(document, page, &lines, &count, err), err) != WEFT_OK) return;
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 4; k++)
            if (!(lines[i].box[k] >= 0 && lines[i].box[k] <= 1000)) abort();
        for (size_t k = 0; k < lines[i].size; k++) sum += (uint8_t)lines[i].text[k];
    }
    volatile size_t all = sum;
    (void)all;
}

static void run_document(unsigned asked, int fd) {
    weft_document *document;
    weft_error err = {0};
    bool locked = true;
    if (ends(weft_document_open(fd, asked & 1 ? "word" : NULL, NULL, &document, &locked, &err), &err) != WEFT_OK)
        return;
    int64_t pages = weft_document_pages(document);
    if (locked || pages < 1 || pages > WEFT_DOCUMENT_PAGES_MAX) abort();
    for (asked >>= 1; asked; asked >>= 2) {
        double width = 0, height = 0;
        const uint8_t *rgb;
        switch (asked & 3) {
        case 0: return (void)weft_document_close(document);
        case 1:
            if (ends(weft_document_page_size(document, pages - 1, &width, &height, &err), &err) == WEFT_OK &&
                !(width > 0 && height > 0 && width < 1e6))
                abort();
            break;
        case 2:
            if (ends(weft_document_render(document, 0, 5, 3, &rgb, &err), &err) == WEFT_OK && rgb[5 * 3 * 3 - 1] != 0)
                abort();
            break;
        case 3: read_lines(document, 0, &err);
        }
    }
    weft_document_close(document);
}

/* ---- a worker of a hostile session ------------------------------------------------------------------------------ */

static weft_status decode(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe,
                          weft_image *image, weft_error *err) {
    (void)limits;
    volatile uint8_t last = bytes[size - 1];
    (void)last;
    if (size % 2) return weft_fail(err, WEFT_ERR_FORMAT, "odd");
    *image = (weft_image){2, 2, 2, 2, probe ? NULL : calloc(12, 1)};
    return WEFT_OK;
}
static weft_status open_clip(int fd, const weft_media_limits *limits, weft_clip_facts *facts, weft_error *err) {
    close(fd);
    if (limits->side_max == 7) return weft_fail(err, WEFT_ERR_FORMAT, "seven");
    *facts = (weft_clip_facts){2, 2, 5, 2, 2.5};
    return WEFT_OK;
}
static weft_status sample_clip(const weft_video_sampling *sampling, int64_t *frames, const double **seconds,
                               weft_error *err) {
    static const double times[5] = {0, 0.5, 1, 1.5, 2};
    if (sampling->num_frames < 0) return weft_fail(err, WEFT_ERR_INVALID, "a negative number of frames");
    *frames = sampling->max_frames < 5 ? sampling->max_frames : 5;
    *seconds = times;
    return WEFT_OK;
}
static weft_status next_frame(uint8_t *rgb, int64_t *index, weft_error *err) {
    (void)err;
    memset(rgb, 1, 12);
    *index = 0;
    return WEFT_OK;
}

static void run_worker(unsigned asked) {
    static const weft_worker_program whole = {.image = decode,
                                              .clip_open = open_clip,
                                              .clip_sample = sample_clip,
                                              .clip_frame = next_frame},
                                     none = {0};
    int fd = fake_socket();
    weft_worker *worker = weft_worker_create(fd, asked == 255 ? &none : &whole);
    if (!worker) abort();
    while (weft_worker_answer(worker)) {
    }
    weft_worker_free(worker);
    close(fd);
}

/* ---- one run ---------------------------------------------------------------------------------------------------- */

/* What a run frees is needed again at once: little of it lies in quarantine. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=4:malloc_context_size=4";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4 || size > 4096) return 0;
    script s = {data, data + size};
    unsigned end = byte(&s) & 3, writing = byte(&s), asked = byte(&s);
    fake_begin(writing < 16 ? writing : 0);
    starts_left = 3;
    send_all(&s);
    if (end == 3) {
        run_worker(asked);
    } else {
        int fd = fake_file(asked == 254 ? 0 : 5000, "\xFF\xD8\xFF", 3);
        if (end == 2)
            run_document(asked, fd);
        else
            run_session(end == 1, asked, fd);
        close(fd);
    }
    fake_end();
    return 0;
}
