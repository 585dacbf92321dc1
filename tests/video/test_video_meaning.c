/* Search by meaning: captions near to the words are looked at again, and only what is confirmed is found; words that
 * captions have come first; one vector a caption. */
#include "video/video.h"

#include <unistd.h>

#include "testing.h"

enum { SEGMENTS = 12, WIDTH = 3 };
static const char *const captions[SEGMENTS] = {
    "Rain on a window.", "Rain on a window.", "Rain on a window.", "A dog runs.",
    "A dog runs.",       "Rain on a window.", "A car stops.",      "A car stops.",
    "Rain on a window.", "Rain on a window.", "A dog sleeps.",     "Rain on a window.",
};
static double shown_from, shown_to; /* where the model says yes */
static int embedded, asked;
static bool failing;

static weft_status ask(const weft_video_job *job, const char *text, double from, double to, double fps, char *answer,
                       size_t size, weft_error *err) {
    (void)job, (void)to, (void)fps, (void)err;
    asked++;
    if (strcmp(text, "Describe.") == 0)
        snprintf(answer, size, "%s", captions[(int)(from / 10)]);
    else
        snprintf(answer, size, "%s", from >= shown_from && from < shown_to ? "Yes." : "No.");
    return WEFT_OK;
}

/* Axis 0: dogs, 1: cars, 2: what all texts share. */
static weft_status embed(const weft_video_job *job, const char *text, float **vector, int64_t *size, weft_error *err) {
    (void)job;
    float *v = calloc(WIDTH, sizeof *v);
    embedded++;
    *vector = NULL;
    if (failing || !v) {
        free(v);
        return weft_fail(err, WEFT_ERR_BUSY, "busy");
    }
    bool dog = strstr(text, "dog") || strstr(text, "puppy"), car = strstr(text, "car") || strstr(text, "vehicle");
    v[0] = dog ? 0.3F : 0;
    v[1] = car ? 0.3F : 0;
    v[2] = strstr(text, "sleeps") ? 0.8F : 0.95F;
    *vector = v;
    *size = WIDTH;
    return WEFT_OK;
}

typedef struct results {
    weft_video_range ranges[8];
    int count;
} results;
static void take(void *context, const weft_video_range *range) {
    results *r = context;
    r->ranges[r->count++] = *range;
}

static void search(weft_video_job *job, const char *words, int limit, bool refine, results *r) {
    weft_error err;
    r->count = 0;
    CHECK_OK(weft_video_search(job, words, limit, refine, take, r, &err), err);
}

static void find_all(weft_video_job *job) {
    static results r;
    shown_from = 30, shown_to = 47;
    search(job, "puppy", 5, true, &r);
    CHECK_INT(r.count, 1);
    CHECK_STR(r.ranges[0].clock, "[00:00:30 - 00:00:47]");
    CHECK_STR(r.ranges[0].found.caption, "A dog runs.");
    CHECK(r.ranges[0].by_meaning && r.ranges[0].confirmed && r.ranges[0].found.score > 0.5);
    search(job, "A puppy on the lawn", 5, true, &r); /* "a" and "on" are in most captions */
    CHECK(r.count == 1 && r.ranges[0].by_meaning);
    search(job, "puppy", 5, false, &r); /* nobody has looked */
    CHECK_INT(r.count, 0);
    search(job, "vehicle", 5, true, &r); /* near, but the model does not see it there */
    for (int i = 0; i < r.count; i++) CHECK(r.ranges[i].found.begins >= 30 && r.ranges[i].found.ends <= 47);
    shown_from = shown_to = 0;
    asked = 0;
    search(job, "puppy", 5, true, &r); /* nor there */
    CHECK_INT(r.count, 0);
    CHECK(asked > 0 && asked <= 60); /* 3 captions, a few looks each */
    int before = embedded;
    search(job, "the dog", 5, true, &r); /* words come first, as ever, and need no vector */
    CHECK(r.count == 2 && !r.ranges[0].by_meaning && embedded == before);
}

int main(void) {
    char folder[64], database[96];
    weft_error err;
    weft_video_index *index = NULL;
    snprintf(folder, sizeof folder, "/tmp/weft-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(database, sizeof database, "%s/videos.db", folder);
    CHECK_OK(weft_video_index_open(database, &index, &err), err);
    weft_video_job job = {.settings = {.segment = 10, .fps = 1, .closer_fps = 2, .prompt = "Describe."},
                          .index = index,
                          .ask = ask,
                          .embed = embed,
                          .duration = 10 * SEGMENTS,
                          .segments = SEGMENTS};
    CHECK_OK(weft_video_index_add(index, "clip", 1, 1, "model", 10, job.duration, &job.video, &err), err);
    failing = true;
    CHECK(weft_video_caption(&job, 0, &err) == WEFT_ERR_BUSY); /* kept neither: the next run does both */
    int64_t kept;
    CHECK_OK(weft_video_index_count(index, job.video, &kept, &err), err);
    CHECK_INT(kept, 0);
    failing = false;
    embedded = 0;
    for (int i = 0; i < SEGMENTS; i++) CHECK_OK(weft_video_caption(&job, i, &err), err);
    CHECK_INT(embedded, 4); /* one a caption */
    find_all(&job);
    /* a vector of another size is another model's: not compared */
    CHECK_OK(weft_video_index_put_vector(index, job.video, "A dog runs.", (const int8_t[]){1, 2}, 2, &err), err);
    static results r;
    shown_from = 30, shown_to = 47;
    search(&job, "puppy", 5, true, &r);
    for (int i = 0; i < r.count; i++) CHECK(strcmp(r.ranges[i].found.caption, "A dog runs.") != 0);
    weft_video_index_close(index);
    unlink(database);
    rmdir(folder);
    return testing_summary();
}
