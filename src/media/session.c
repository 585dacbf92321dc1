/* A request's media workers and the one piece of work that is under way: see media.h.
 *
 * Owns the processes, the shared memory that pixels arrive in (one picture or one frame), and the times of the clip's
 * sampled frames. Refuses every number of a worker that the limits do not allow. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/process.h"

const weft_media_limits weft_media_default_limits = {
    .bytes_max = (int64_t)256 << 20,
    .pixels_max = (int64_t)128 << 20,
    .side_max = 65535,
    .frames_max = 768,
    .video_seconds_max = 24 * 3600,
    .seconds_max = 60,
    .cpu_seconds_max = 3600,
    .memory_max = (int64_t)3 << 30,
};

enum {
    SNIFF_BYTES = 64,
    FULL_SIDE_MAX = 1 << 24,   /* of a JPEG that is decoded smaller */
    FRAMES_MAX = 8192,         /* that limits may ask for: their times are one record */
    CLIP_BYTES_PER_SECOND = 20 << 20, /* opening a clip reads all of it: time for that is added to seconds_max */
};

typedef enum worker_kind { PICTURES, HEIF, CLIPS, KINDS } worker_kind;
static const char *const programs[KINDS] = {"weft-media", "weft-media-heif", "weft-media-clip"};

typedef enum media_work { NOTHING, IMAGE_SIZE, IMAGE_PIXELS, CLIP_OPENING, CLIP_PLAN, CLIP_FRAME } media_work;

struct weft_media_session {
    weft_media_limits limits;
    weft_media_process processes[KINDS];
    worker_kind serving; /* whose answer is awaited, or came last */
    media_work work;
    double deadline_ms;
    bool probe;

    int memory_fd;
    const uint8_t *memory; /* [memory_size] */
    size_t memory_size;
    bool memory_at_clips; /* the clip worker has it for its frames */

    weft_image image;
    bool clip_open;
    weft_video_sampling sampling;
    weft_clip_plan plan;
    double *seconds; /* [plan.frames] */
    int64_t next_frame, frame;
};

weft_status weft_media_session_create(const weft_media_limits *limits, weft_media_session **out, weft_error *err) {
    weft_media_session *s = calloc(1, sizeof *s);
    *out = s;
    if (!s) return weft_fail(err, WEFT_ERR_MEMORY, "media: no memory");
    s->limits = limits ? *limits : weft_media_default_limits;
    if (s->limits.frames_max > FRAMES_MAX) s->limits.frames_max = FRAMES_MAX;
    s->memory_fd = -1;
    return WEFT_OK;
}

static void drop_memory(weft_media_session *s) {
    if (s->memory) munmap((void *)s->memory, s->memory_size);
    if (s->memory_fd >= 0) close(s->memory_fd);
    s->memory = NULL;
    s->memory_fd = -1;
    s->memory_size = 0;
    s->memory_at_clips = false;
    s->image = (weft_image){0};
    s->frame = -1;
}

static void drop_clip(weft_media_session *s) {
    free(s->seconds);
    s->seconds = NULL;
    s->plan = (weft_clip_plan){0};
    s->clip_open = false;
    s->next_frame = 0;
    s->frame = -1;
}

void weft_media_session_free(weft_media_session *s) {
    if (!s) return;
    for (int i = 0; i < KINDS; i++) weft_media_process_stop(&s->processes[i]);
    drop_memory(s);
    drop_clip(s);
    free(s);
}

void weft_media_session_adopt(weft_media_session *s, int socket) {
    weft_media_process_adopt(&s->processes[PICTURES], socket);
    weft_media_process_adopt(&s->processes[CLIPS], dup(socket));
}

unsigned weft_media_guards(const weft_media_session *s) { return s->processes[s->serving].guards; }
const weft_image *weft_media_image(const weft_media_session *s) { return &s->image; }
const weft_clip_plan *weft_media_clip(const weft_media_session *s) { return s->clip_open && s->seconds ? &s->plan : NULL; }
const uint8_t *weft_media_frame(const weft_media_session *s, int64_t *index) {
    *index = s->frame;
    return s->frame >= 0 ? s->memory : NULL;
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

/* A descriptor that may be handed over: of a regular file, which the worker cannot write. */
static weft_status check_file(int fd, int64_t *size, weft_error *err) {
    struct stat info;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &info) != 0) return weft_fail(err, WEFT_ERR_IO, "media: not a file: %s", strerror(errno));
    bool readonly = (flags & O_ACCMODE) == O_RDONLY;
#ifdef F_GET_SEALS
    int seals = fcntl(fd, F_GET_SEALS);
    readonly = readonly || (seals >= 0 && (seals & F_SEAL_WRITE));
#endif
    if (!S_ISREG(info.st_mode) || !readonly) return weft_fail(err, WEFT_ERR_INTERNAL, "media: a worker gets regular files to read only");
    *size = info.st_size;
    return WEFT_OK;
}

static weft_status ask(weft_media_session *s, worker_kind kind, media_work work, const weft_wire *wire, int fd, double seconds, weft_error *err) {
    if (s->work != NOTHING) return weft_fail(err, WEFT_ERR_INTERNAL, "media: work is under way already");
    weft_media_process *process = &s->processes[kind];
    s->serving = kind;
    if (!weft_media_process_running(process)) {
        if (kind == CLIPS) s->memory_at_clips = false;
        WEFT_TRY(weft_media_process_start(process, programs[kind], &s->limits, err));
    }
    WEFT_TRY(weft_media_process_send(process, wire, fd, err));
    s->work = work;
    s->deadline_ms = weft_now_ms() + seconds * 1000;
    return WEFT_OK;
}

static weft_status kind_of(const weft_media_session *s, int fd, int64_t size, worker_kind *kind, weft_error *err) {
    char head[SNIFF_BYTES];
    const char *name;
    if (size == 0) return weft_fail(err, WEFT_ERR_FORMAT, "the picture is empty (0 bytes)");
    if (size > s->limits.bytes_max)
        return weft_fail(err, WEFT_ERR_LIMIT, "the picture has %lld bytes, the limit is %lld", (long long)size, (long long)s->limits.bytes_max);
    ssize_t count = pread(fd, head, sizeof head, 0);
    if (count < 0) return weft_fail(err, WEFT_ERR_IO, "media: cannot read: %s", strerror(errno));
    switch (weft_media_sniff(head, (size_t)count, &name)) {
    case WEFT_MEDIA_JPEG:
    case WEFT_MEDIA_PNG:
    case WEFT_MEDIA_WEBP:
    case WEFT_MEDIA_GIF:
    case WEFT_MEDIA_BMP:
    case WEFT_MEDIA_TIFF: *kind = PICTURES; return WEFT_OK;
    case WEFT_MEDIA_AVIF:
    case WEFT_MEDIA_HEIC: *kind = HEIF; return WEFT_OK;
    default:
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: send JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF as a picture%s", name,
                         strstr(name, "video") ? ", and clips as video_url" : "");
    }
}

weft_status weft_media_image_begin(weft_media_session *s, int fd, bool probe, weft_error *err) {
    int64_t size;
    worker_kind kind = PICTURES;
    WEFT_TRY(check_file(fd, &size, err));
    WEFT_TRY(kind_of(s, fd, size, &kind, err));
    drop_memory(s);
    s->probe = probe;
    weft_wire wire = {.type = WEFT_WIRE_IMAGE, .n = {probe ? WEFT_IMAGE_PROBE : 0, s->limits.pixels_max, s->limits.side_max}};
    return ask(s, kind, IMAGE_SIZE, &wire, fd, s->limits.seconds_max, err);
}

weft_status weft_media_clip_begin(weft_media_session *s, int fd, const weft_video_sampling *sampling, weft_error *err) {
    int64_t size;
    WEFT_TRY(check_file(fd, &size, err));
    if (size == 0) return weft_fail(err, WEFT_ERR_FORMAT, "the video is empty (0 bytes)");
    drop_clip(s);
    drop_memory(s);
    s->sampling = *sampling;
    weft_wire wire = {.type = WEFT_WIRE_CLIP, .n = {s->limits.pixels_max, s->limits.side_max}, .x = {s->limits.video_seconds_max}};
    return ask(s, CLIPS, CLIP_OPENING, &wire, fd, s->limits.seconds_max + (double)size / CLIP_BYTES_PER_SECOND, err);
}

static weft_status ask_plan(weft_media_session *s, weft_error *err) {
    weft_video_sampling *p = &s->sampling;
    if (p->max_frames <= 0 || p->max_frames > s->limits.frames_max) p->max_frames = s->limits.frames_max;
    if (p->min_frames > p->max_frames) p->min_frames = p->max_frames;
    if (p->num_frames > p->max_frames) p->max_frames = p->num_frames < s->limits.frames_max ? p->num_frames : s->limits.frames_max;
    weft_wire wire = {.type = WEFT_WIRE_SAMPLE, .n = {p->num_frames, p->min_frames, p->max_frames}, .x = {p->fps, p->start_seconds, p->end_seconds}};
    return ask(s, CLIPS, CLIP_PLAN, &wire, -1, s->limits.seconds_max, err);
}

weft_status weft_media_clip_resample(weft_media_session *s, const weft_video_sampling *sampling, weft_error *err) {
    if (!s->clip_open) return weft_fail(err, WEFT_ERR_INTERNAL, "media: no clip is open");
    s->sampling = *sampling;
    s->next_frame = 0;
    s->frame = -1;
    free(s->seconds);
    s->seconds = NULL;
    return ask_plan(s, err);
}

static weft_status share(weft_media_session *s, int64_t width, int64_t height, weft_error *err) {
    drop_memory(s);
    size_t size = (size_t)width * (size_t)height * 3;
    WEFT_TRY(weft_media_share(size, &s->memory_fd, &s->memory, err));
    s->memory_size = size;
    return WEFT_OK;
}

weft_status weft_media_frame_begin(weft_media_session *s, weft_error *err) {
    if (!weft_media_clip(s) || s->next_frame >= s->plan.frames) return weft_fail(err, WEFT_ERR_INTERNAL, "media: no frame is left");
    s->frame = -1;
    if (!s->memory_at_clips) {
        WEFT_TRY(share(s, s->plan.width, s->plan.height, err));
        weft_wire memory = {.type = WEFT_WIRE_MEMORY, .n = {(int64_t)s->memory_size}};
        WEFT_TRY(weft_media_process_send(&s->processes[CLIPS], &memory, s->memory_fd, err));
        s->memory_at_clips = true;
    }
    weft_wire wire = {.type = WEFT_WIRE_FRAME};
    return ask(s, CLIPS, CLIP_FRAME, &wire, -1, s->limits.seconds_max, err);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static weft_status protocol_fault(weft_media_session *s, weft_error *err) {
    weft_media_process_stop(&s->processes[s->serving]);
    return weft_fail(err, WEFT_ERR_FORMAT, "the decoder broke its protocol; nothing else is harmed");
}

static bool size_allowed(const weft_media_session *s, int64_t width, int64_t height) {
    const weft_media_limits *l = &s->limits;
    return width >= 1 && height >= 1 && width <= l->side_max && height <= l->side_max && width <= l->pixels_max / height;
}

static weft_status on_size(weft_media_session *s, const weft_wire *wire, weft_error *err) {
    weft_image image = {wire->n[0], wire->n[1], wire->n[2], wire->n[3], NULL};
    if (!size_allowed(s, image.width, image.height) || image.full_width < image.width || image.full_height < image.height ||
        image.full_width > FULL_SIDE_MAX || image.full_height > FULL_SIDE_MAX)
        return protocol_fault(s, err);
    s->work = NOTHING;
    if (!s->probe) {
        WEFT_TRY(share(s, image.width, image.height, err));
        weft_wire memory = {.type = WEFT_WIRE_MEMORY, .n = {(int64_t)s->memory_size}};
        WEFT_TRY(weft_media_process_send(&s->processes[s->serving], &memory, s->memory_fd, err));
        s->work = IMAGE_PIXELS;
    }
    s->image = image;
    return WEFT_OK;
}

static weft_status on_opened(weft_media_session *s, const weft_wire *wire, weft_error *err) {
    s->plan = (weft_clip_plan){.width = wire->n[0], .height = wire->n[1], .total = wire->n[2], .fps = wire->x[0], .duration = wire->x[1]};
    if (!size_allowed(s, s->plan.width, s->plan.height) || s->plan.total < 1 || !(s->plan.fps > 0) || !isfinite(s->plan.fps) ||
        !(s->plan.duration >= 0) || !isfinite(s->plan.duration))
        return protocol_fault(s, err);
    s->clip_open = true;
    s->work = NOTHING;
    return ask_plan(s, err);
}

static weft_status on_plan(weft_media_session *s, const weft_wire_reader *record, weft_error *err) {
    int64_t frames = record->wire.n[0];
    if (frames < 1 || frames > s->sampling.max_frames || record->wire.extra != (uint32_t)frames * sizeof(double)) return protocol_fault(s, err);
    s->seconds = malloc((size_t)frames * sizeof *s->seconds);
    if (!s->seconds) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its times");
    memcpy(s->seconds, record->bytes, (size_t)frames * sizeof *s->seconds);
    for (int64_t i = 0; i < frames; i++)
        if (!(fabs(s->seconds[i]) < 1e9)) return protocol_fault(s, err);
    s->plan.frames = frames;
    s->plan.seconds = s->seconds;
    s->work = NOTHING;
    return WEFT_OK;
}

static weft_status on_record(weft_media_session *s, const weft_wire_reader *record, weft_error *err) {
    const weft_wire *wire = &record->wire;
    switch (s->work) {
    case IMAGE_SIZE: return wire->type == WEFT_WIRE_SIZE ? on_size(s, wire, err) : protocol_fault(s, err);
    case IMAGE_PIXELS:
        if (wire->type != WEFT_WIRE_DONE) return protocol_fault(s, err);
        s->image.rgb = (uint8_t *)s->memory;
        s->work = NOTHING;
        return WEFT_OK;
    case CLIP_OPENING: return wire->type == WEFT_WIRE_OPENED ? on_opened(s, wire, err) : protocol_fault(s, err);
    case CLIP_PLAN: return wire->type == WEFT_WIRE_PLAN ? on_plan(s, record, err) : protocol_fault(s, err);
    case CLIP_FRAME:
        if (wire->type != WEFT_WIRE_DONE || wire->n[0] != s->next_frame) return protocol_fault(s, err);
        s->frame = s->next_frame++;
        s->work = NOTHING;
        return WEFT_OK;
    case NOTHING: break;
    }
    return protocol_fault(s, err);
}

static weft_status too_slow(weft_media_session *s, weft_error *err) {
    const char *what = s->serving == CLIPS ? "video" : "picture";
    weft_media_process_stop(&s->processes[s->serving]);
    return weft_fail(err, WEFT_ERR_LIMIT, "the %s took over %g seconds to decode", what, s->limits.seconds_max);
}

weft_status weft_media_wait(weft_media_session *s, int timeout_ms, bool *ready, weft_error *err) {
    double end = weft_now_ms() + timeout_ms;
    *ready = s->work == NOTHING;
    while (!*ready) {
        double now = weft_now_ms(), left = timeout_ms < 0 ? 1000 : end - now;
        if (left > s->deadline_ms - now) left = s->deadline_ms - now;
        const weft_wire_reader *record = NULL;
        weft_status status = weft_media_process_receive(&s->processes[s->serving], left > 0 ? (int)left : 0, &record, err);
        if (status == WEFT_OK && record) status = on_record(s, record, err);
        if (status == WEFT_OK && s->work != NOTHING && weft_now_ms() > s->deadline_ms) status = too_slow(s, err);
        if (status != WEFT_OK) {
            s->work = NOTHING;
            if (s->serving == CLIPS && !weft_media_process_running(&s->processes[CLIPS])) drop_clip(s);
            return status;
        }
        *ready = s->work == NOTHING;
        if (!*ready && !record && timeout_ms >= 0 && weft_now_ms() >= end) return WEFT_OK;
    }
    return WEFT_OK;
}

weft_status weft_media_read_image(weft_media_session *s, int fd, weft_image *image, weft_error *err) {
    bool ready;
    *image = (weft_image){0};
    WEFT_TRY(weft_media_image_begin(s, fd, false, err));
    WEFT_TRY(weft_media_wait(s, -1, &ready, err));
    *image = s->image;
    return WEFT_OK;
}
