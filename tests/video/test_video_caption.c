/* Captions of segments: what shows the same still picture is asked about once, and an answer that is no sentence is
 * asked for again in plainer words. The clip is an animated GIF of one picture a second, decoded by the real worker. */
#include <fcntl.h>
#include <unistd.h>

#include "testing.h"
#include "video/video.h"

enum { SEGMENTS = 6, SECONDS = 10 * SEGMENTS };
static const int pictures[SECONDS] = {/* segments 0 and 1 */ [24] = 1,
                                      1,
                                      1,
                                      1,
                                      1,
                                      1,
                                      /* 3 and 4 */[50] = 1,
                                      1,
                                      1,
                                      1,
                                      1,
                                      1,
                                      1,
                                      1,
                                      1,
                                      1};
static const bool asked_about[SEGMENTS] = {true, false, true, true, false, true};

static int asked;
static bool talks_in_boxes;
static char folder[64], clip[96], database[96];

static void put(uint8_t **at, const void *bytes, size_t count) {
    memcpy(*at, bytes, count);
    *at += count;
}

/* Eight by eight pixels of one colour: codes of 3 bits, the table cleared after every second one, so that it never
 * grows. */
static void put_frame(uint8_t **at, int colour) {
    uint8_t data[64] = {0};
    size_t bits = 0;
#define CODE(value)                                                                                                    \
    do {                                                                                                               \
        for (int b = 0; b < 3; b++, bits++) data[bits / 8] |= (uint8_t)(((value) >> b & 1) << bits % 8);               \
    } while (0)
    for (int i = 0; i < 64; i++) {
        if (i % 2 == 0) CODE(4);
        CODE(colour);
    }
    CODE(5);
#undef CODE
    put(at, "!\xF9\4\0\x64\0\0\0", 8); /* for 100 hundredths of a second */
    put(at, ",\0\0\0\0\x8\0\x8\0\0\2", 11);
    uint8_t length = (uint8_t)((bits + 7) / 8);
    put(at, &length, 1);
    put(at, data, length);
    put(at, "", 1);
}

static void make_clip(void) {
    static uint8_t bytes[1 << 16];
    uint8_t *at = bytes;
    put(&at, "GIF89a\x8\0\x8\0\x81\0\0", 13);
    put(&at, "\0\0\0\xFF\0\0\1\1\1\xFF\xFF\xFF", 12); /* black, red, nearly black, white */
    for (int i = 0; i < SECONDS; i++) put_frame(&at, pictures[i] ? 1 : i >= 30 && i < 50 ? 0 : i % 2 * 2);
    put(&at, ";", 1);
    int fd = open(clip, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && write(fd, bytes, (size_t)(at - bytes)) == at - bytes);
    close(fd);
}

static weft_status ask(const weft_video_job *job, const char *text, double from, double to, double fps, char *answer,
                       size_t size, weft_error *err) {
    (void)job, (void)err;
    CHECK(to > from && fps > 0);
    asked++;
    if (talks_in_boxes && strcmp(text, WEFT_VIDEO_PROMPT) == 0)
        snprintf(answer, size, "[{\"bbox_2d\": [1, 2, 3, 4], \"label\": \"circle\"}]");
    else
        snprintf(answer, size, "Answer %d.", asked);
    return WEFT_OK;
}

/* The captions of the whole clip under a name of its own. */
static void caption_all(const char *name, const char *prompt, bool compares, char captions[SEGMENTS][64],
                        bool about[SEGMENTS]) {
    weft_error err;
    weft_video_index *index = NULL;
    CHECK_OK(weft_video_index_open(database, &index, &err), err);
    weft_video_job job = {
        .settings = weft_video_defaults, .index = index, .ask = ask, .duration = SECONDS, .segments = SEGMENTS};
    job.settings.prompt = prompt;
    CHECK_OK(weft_video_index_add(index, name, 1, 1, "model", 10, SECONDS, &job.video, &err), err);
    if (compares) CHECK_OK(weft_video_remember(&job, clip, &err), err);
    asked = 0;
    for (int i = 0; i < SEGMENTS; i++) {
        int before = asked;
        bool found = false;
        static weft_video_segment segment;
        CHECK_OK(weft_video_caption(&job, i, &err), err);
        about[i] = asked > before;
        CHECK_OK(weft_video_index_get(index, job.video, i, &segment, &found, &err), err);
        CHECK(found && segment.begins == 10 * i && segment.ends == 10 * i + 10);
        snprintf(captions[i], 64, "%.60s", segment.caption);
    }
    weft_video_close(&job);
    weft_video_close(&job); /* twice is once */
    weft_video_index_close(index);
}

int main(void) {
    char captions[SEGMENTS][64];
    bool about[SEGMENTS];
    snprintf(folder, sizeof folder, "/tmp/weft-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(clip, sizeof clip, "%s/clip.gif", folder);
    snprintf(database, sizeof database, "%s/videos.db", folder);
    make_clip();

    caption_all("still", "Describe.", true, captions, about);
    for (int i = 0; i < SEGMENTS; i++) {
        CHECK_MSG(about[i] == asked_about[i], "segment %d", i);
        if (i > 0)
            CHECK_MSG((strcmp(captions[i], captions[i - 1]) == 0) == !asked_about[i], "segment %d: %s", i, captions[i]);
    }
    caption_all("nothing to compare", "Describe.", false, captions, about);
    for (int i = 0; i < SEGMENTS; i++) CHECK(about[i]);

    talks_in_boxes = true;
    caption_all("boxes", WEFT_VIDEO_PROMPT, false, captions, about);
    CHECK_STR(captions[0], "Answer 2.");
    CHECK_STR(captions[1], "Answer 3."); /* plainly from now on */
    caption_all("as was asked", "Where?", false, captions, about);
    CHECK_INT(asked, SEGMENTS);
    unlink(clip);
    unlink(database);
    char rest[128];
    snprintf(rest, sizeof rest, "rm -rf %s", folder);
    CHECK(system(rest) == 0);
    return testing_summary();
}
