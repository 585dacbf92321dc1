/* Workers through a session: pictures and frames arrive, what is cancelled ends. WEFT_MEDIA names the folder of the
 * workers, WEFT_MISBEHAVE that of misbehave.c's. What the sandbox stops: test_attacks.c. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/media.h"
#include "worker/fixtures.h"

static int share(const void *bytes, size_t size) {
    int fd = -1;
    weft_error err;
    CHECK_OK(weft_media_memory(bytes, size, "test", &fd, &err), err);
    return fd;
}

static weft_media_session *open_session(const weft_media_limits *limits) {
    weft_media_session *session = NULL;
    weft_error err;
    CHECK_OK(weft_media_session_create(limits, &session, &err), err);
    return session;
}

static weft_status read_named(weft_media_session *session, const char *name, weft_image *image, weft_error *err) {
    weft_buffer file = fixture_read(name);
    int fd = share(file.data, file.size);
    weft_status status = weft_media_read_image(session, fd, image, err);
    close(fd);
    weft_buffer_free(&file);
    return status;
}

/* Several pictures of several formats by the same worker, damaged ones in between. */
static void pictures(void) {
    weft_error err;
    weft_image image;
    weft_media_session *session = open_session(NULL);
    static const char *const names[] = {"colour.jpg", "colour.png", "alpha.webp", "turn6.jpg"};
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 4; i++) {
            CHECK_OK(read_named(session, names[i], &image, &err), err);
            CHECK(image.rgb != NULL && image.width == image.full_width && image.height == image.full_height);
            int fd = share("\xFF\xD8\xFF\xE0zzzz", 8);
            CHECK_INT(weft_media_read_image(session, fd, &image, &err), WEFT_ERR_FORMAT);
            close(fd);
        }
    unsigned guards = weft_media_guards(session), least = WEFT_GUARD_PRIVILEGES | WEFT_GUARD_LIMITS | WEFT_GUARD_CALLS;
    CHECK_MSG((guards & least) == least, "guards %u", guards);
    printf("guards: %u\n", guards);
    int fd = share("%PDF-1.7 and so on", 18);
    CHECK_INT(weft_media_read_image(session, fd, &image, &err), WEFT_ERR_UNSUPPORTED);
    CHECK(strstr(err.message, "a PDF document") != NULL);
    close(fd);
    weft_media_session_free(session);
}

/* HEIC, where this build reads it: the picture that lab/media_fixtures.py drew, within what its lossy code leaves. */
static void heic(void) {
    weft_error err;
    weft_image image;
    weft_media_session *session = open_session(NULL);
    weft_status status = read_named(session, "colour.heic", &image, &err);
    if (status == WEFT_ERR_UNSUPPORTED) {
        printf("HEIC: %s\n", err.message);
    } else {
        CHECK_OK(status, err);
        double sum = 0, squares = 0;
        for (int64_t i = 0; status == WEFT_OK && i < 96 * 64 * 3; i++)
            sum += image.rgb[i], squares += (double)image.rgb[i] * image.rgb[i];
        CHECK(image.width == 96 && image.height == 64);
        double mean = sum / (96 * 64 * 3), deviation = sqrt(squares / (96 * 64 * 3) - mean * mean);
        CHECK_MSG(fabs(mean - 127) < 10 && fabs(deviation - 85) < 10, "mean %g, deviation %g", mean, deviation);
        status = read_named(session, "colour.heic", &image, &err); /* a thread more does no harm */
        CHECK_OK(status, err);
    }
    weft_media_session_free(session);
}

static void probes(void) {
    weft_error err;
    bool ready = false;
    weft_media_session *session = open_session(NULL);
    weft_buffer file = fixture_read("turn6.jpg");
    int fd = share(file.data, file.size);
    CHECK_OK(weft_media_image_begin(session, fd, true, &err), err);
    CHECK_OK(weft_media_wait(session, -1, &ready, &err), err);
    const weft_image *image = weft_media_image(session);
    CHECK(ready && image->rgb == NULL && image->width == 5 && image->height == 7); /* upright */
    close(fd);
    weft_buffer_free(&file);
    weft_media_session_free(session);
}

/* Files that a worker could change are refused before one is started. */
static void writable_files(void) {
    weft_error err;
    weft_image image;
    char path[] = "/tmp/weft-test-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    CHECK(write(fd, "\xFF\xD8\xFF", 3) == 3);
    weft_media_session *session = open_session(NULL);
    CHECK_INT(weft_media_read_image(session, fd, &image, &err), WEFT_ERR_INTERNAL);
    weft_media_session_free(session);
    close(fd);
}

static void clips(void) {
    weft_error err;
    bool ready;
    weft_media_session *session = open_session(NULL);
    weft_buffer file = fixture_read("b_frames.mp4");
    int fd = share(file.data, file.size);
    weft_video_sampling sampling = {.fps = 2, .min_frames = 4, .max_frames = 768};
    CHECK_OK(weft_media_clip_begin(session, fd, &sampling, &err), err);
    CHECK_OK(weft_media_wait(session, -1, &ready, &err), err);
    const weft_clip_plan *plan = weft_media_clip(session);
    CHECK(plan && plan->frames == 8 && plan->total == 48 && plan->width == 64 && plan->height == 32);
    for (int round = 0; plan && round < 2; round++) {
        uint32_t first = 0;
        for (int64_t i = 0; i < plan->frames; i++) {
            int64_t index = -1;
            CHECK_OK(weft_media_frame_begin(session, &err), err);
            CHECK_OK(weft_media_wait(session, -1, &ready, &err), err);
            const uint8_t *rgb = weft_media_frame(session, &index);
            CHECK_INT(index, i);
            CHECK(rgb != NULL);
            uint32_t sum = 0;
            for (int64_t k = 0; rgb && k < plan->width * plan->height * 3; k++) sum = sum * 31 + rgb[k];
            if (i == 0) first = sum;
            if (i > 0) CHECK(sum != first);
        }
        CHECK_INT(weft_media_frame_begin(session, &err), WEFT_ERR_INTERNAL); /* none is left */
        sampling.num_frames = 3;
        CHECK_OK(weft_media_clip_resample(session, &sampling, &err), err);
        CHECK_OK(weft_media_wait(session, -1, &ready, &err), err);
        CHECK(weft_media_clip(session)->frames == 3);
    }
    sampling.start_seconds = 100;
    CHECK_OK(weft_media_clip_resample(session, &sampling, &err), err);
    CHECK_INT(weft_media_wait(session, -1, &ready, &err), WEFT_ERR_INVALID);
    close(fd);
    weft_buffer_free(&file);
    weft_media_session_free(session);
}

/* ---- a worker that was taken over ------------------------------------------------------------------------------- */

static int begin(weft_media_session *session, const char *deed) {
    char bytes[64] = "\xFF\xD8\xFF";
    weft_error err;
    memcpy(bytes + 3, deed, strlen(deed));
    int fd = share(bytes, 3 + strlen(deed));
    CHECK_OK(weft_media_image_begin(session, fd, false, &err), err);
    return fd;
}

/* Ending a session ends what it began, and leaves no process behind. */
static void cancelling(void) {
    weft_error err;
    bool ready = true;
    weft_media_session *session = open_session(NULL);
    int fd = begin(session, "hang");
    CHECK_OK(weft_media_wait(session, 300, &ready, &err), err);
    CHECK(!ready);
    CHECK_INT(weft_media_image_begin(session, fd, false, &err), WEFT_ERR_INTERNAL); /* one thing at a time */
    weft_media_session_free(session);
    close(fd);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1);
}

static void missing_program(void) {
    weft_error err;
    weft_image image;
    setenv("WEFT_MEDIA", "/nowhere", 1);
    weft_media_session *session = open_session(NULL);
    int fd = share("\xFF\xD8\xFF", 3);
    CHECK_INT(weft_media_read_image(session, fd, &image, &err), WEFT_ERR_NOT_FOUND);
    CHECK(strstr(err.message, "weft-media") && strstr(err.message, "WEFT_MEDIA"));
    close(fd);
    weft_media_session_free(session);
}

int main(void) {
    pictures();
    heic();
    probes();
    writable_files();
    clips();
    const char *folder = getenv("WEFT_MISBEHAVE");
    CHECK(folder != NULL);
    setenv("WEFT_MEDIA", folder ? folder : "", 1);
    cancelling();
    missing_program();
    return testing_summary();
}
