/* Ranges of a search: hits that follow each other join, edges are found to the second whichever way the model tells. */
#include "video/video.h"

#include <math.h>

#include "testing.h"

enum { ANSWERS_BY_YES, ANSWERS_PLAINLY, ALWAYS_YES, NEVER, NOISE };
static int manner;
static double event_begins, event_ends; /* seconds */
static int asked;

/* A model that sees the event in the first frame of a clip; what it says depends on its manner. */
static weft_status ask(const weft_video_job *job, const char *text, double from, double to, double fps, char *answer,
                       size_t size, weft_error *err) {
    (void)job;
    (void)fps;
    (void)err;
    bool shown = from >= event_begins && from < event_ends, yes = strstr(text, "yes or no") != NULL;
    CHECK(to > from && to - from <= 1);
    asked++;
    if (strncmp(text, "Is there a ", 11) == 0)
        snprintf(answer, size, "%s", manner == ANSWERS_PLAINLY && shown ? "Yes, there is." : "There is no red circle.");
    else if (yes)
        snprintf(answer, size, "%s", manner == ALWAYS_YES || (manner == ANSWERS_BY_YES && shown) ? "Yes." : "No.");
    else if (manner == NOISE)
        snprintf(answer, size, "......");
    else
        snprintf(answer, size, "%s", shown && manner == ALWAYS_YES ? "A Red circle, and a square." : "A square.");
    return WEFT_OK;
}

static weft_video_segment segment(int64_t number, double score, const char *caption) {
    double begins = 10.0 * (double)number;
    weft_video_segment s = {.number = number, .begins = begins, .ends = begins + 10, .score = score};
    snprintf(s.caption, sizeof s.caption, "%s", caption);
    return s;
}

static void check_join(void) {
    static weft_video_segment hits[5];
    hits[0] = segment(7, 5, "A red circle.");
    hits[1] = segment(2, 4, "red, a circle");
    hits[2] = segment(3, 9, "Circle: RED");
    hits[3] = segment(8, 1, "a redcircle and a circle");
    hits[4] = segment(4, 3, "the circle is red");
    CHECK_INT(weft_video_join("red circle", hits, 5), 3);
    CHECK(hits[0].begins == 20 && hits[0].ends == 50 && strcmp(hits[0].caption, "Circle: RED") == 0);
    CHECK(hits[1].begins == 70 && hits[1].ends == 80);
    CHECK(hits[2].begins == 80 && hits[2].score == 1); /* one word of the two: another thing */
    CHECK_INT(weft_video_join("red", hits, 0), 0);
}

static void check_denials(void) {
    static const struct {
        const char *words, *caption;
        int affirmed, denied;
    } table[] = {
        {"red circle", "A red circle, and a square.", 2, 0},
        {"red circle", "There is no red circle.", 0, 2},
        {"Is there a red circle on the table?", "There is a blue square on the floor.", 0, 0},
        {"a red circle", "A circle.", 1, 0},
        {"the", "The end.", 1, 0}, /* nothing else is looked for */
        {"red circle", "There isn't a circle. A red square.", 1, 1},
        {"red circle", "No, but a red circle is there", 2, 0},
        {"red circle", "No, there is a red circle.", 2, 0},
        {"red circle", "Not a square but a red circle", 2, 0},
        {"red circle", "A square without a circle; a red circle", 2, 0},
        {"no smoking", "A sign: no smoking", 2, 0},
        {"car", "The cars stop.", 0, 0},
        {"", "a", 0, 0},
        {"a", "", 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int denied, affirmed = weft_video_words_in(table[i].words, table[i].caption, &denied);
        CHECK_MSG(affirmed == table[i].affirmed && denied == table[i].denied, "%s: %d, %d", table[i].caption, affirmed,
                  denied);
    }
}

static void check_range(int how, double begins, double ends, double duration, int64_t first, int64_t last,
                        bool confirmed) {
    weft_video_job job = {
        .settings = {.segment = 10, .closer_fps = 2, .prompt = "Describe."}, .duration = duration, .ask = ask};
    static weft_video_segment range;
    weft_error err;
    bool found = !confirmed;
    range = segment(first, 1, "a red circle");
    range.ends = fmin(10.0 * (double)last + 10, duration);
    double whole_begins = range.begins, whole_ends = range.ends;
    manner = how;
    event_begins = begins;
    event_ends = ends;
    asked = 0;
    CHECK_OK(weft_video_refine(&job, "red circle", &range, &found, &err), err);
    CHECK(found == confirmed);
    CHECK(asked <= (last - first < 4 ? 28 : 64));
    if (!confirmed) {
        CHECK(range.begins == whole_begins && range.ends == whole_ends);
        return;
    }
    /* a second is shown when its first frame is */
    CHECK_MSG(range.begins == ceil(begins) && range.ends == fmin(ceil(ends), duration),
              "%g to %g of %g found as %g to %g", begins, ends, duration, range.begins, range.ends);
}

int main(void) {
    check_join();
    check_denials();
    for (int how = ANSWERS_BY_YES; how <= ALWAYS_YES; how++) {
        check_range(how, 33, 54, 120, 4, 4, true); /* both edges outside the one hit */
        check_range(how, 31, 49, 120, 3, 4, true); /* both inside */
        check_range(how, 6430, 6450, 10800, 643, 644, true);
        check_range(how, 0, 6, 120, 0, 0, true);       /* from the beginning */
        check_range(how, 111, 120, 120, 11, 11, true); /* to the end */
        check_range(how, 111.5, 117.25, 117.25, 11, 11, true);
        check_range(how, 43.5, 47.5, 120, 4, 4, true);
        check_range(how, 7387, 7407, 10800, 732, 743, true); /* short, between the quarters */
    }
    check_range(NEVER, 33, 54, 120, 4, 4, false);
    check_range(NOISE, 33, 54, 120, 4, 4, false);
    return testing_summary();
}
