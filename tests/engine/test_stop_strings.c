/* Stop strings: whatever the pieces, the text let through is what stands before the first stop string. */
#include "engine/stop_strings.h"

#include "testing.h"

/* Feeds `text` in pieces of at most `piece` bytes. */
static void run(const char *const *stops, int count, const char *text, size_t piece, weft_buffer *out, bool *stopped) {
    weft_error err;
    weft_stop_strings matcher;
    weft_stop_strings_init(&matcher, stops, count);
    weft_buffer_init(out, 1 << 16, "test");
    *stopped = false;
    for (size_t at = 0, size = strlen(text); at < size && !*stopped; at += piece)
        CHECK_OK(weft_stop_strings_push(&matcher, text + at, size - at < piece ? size - at : piece, out, stopped, &err), err);
    if (!*stopped) CHECK_OK(weft_stop_strings_finish(&matcher, out, &err), err);
    weft_stop_strings_free(&matcher);
}

int main(void) {
    const char *stops[] = {"STOP", "\n\n", "aab"};
    const struct {
        const char *text, *want;
        bool stopped;
    } cases[] = {
        {"hello STOP world", "hello ", true}, {"hello STO", "hello STO", false}, {"a\n\nb", "a", true}, {"aaaab!", "aa", true},
        {"nothing here", "nothing here", false}, {"SSTOP", "S", true}, {"STOP", "", true}, {"a\nb\nc", "a\nb\nc", false}, {"one\n\nSTOP", "one", true},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (size_t piece = 1; piece <= 8; piece++) {
            weft_buffer out;
            bool stopped;
            run(stops, 3, cases[c].text, piece, &out, &stopped);
            CHECK_STR(out.data ? out.data : "", cases[c].want);
            CHECK_INT(stopped, cases[c].stopped);
            weft_buffer_free(&out);
        }
    /* nothing is held back longer than needed: after "ST" and "x" all has been let through */
    weft_error err;
    weft_stop_strings matcher;
    weft_stop_strings_init(&matcher, stops, 3);
    weft_buffer out;
    weft_buffer_init(&out, 1 << 16, "test");
    bool stopped;
    CHECK_OK(weft_stop_strings_push(&matcher, "abST", 4, &out, &stopped, &err), err);
    CHECK_STR(out.data, "ab");
    CHECK_OK(weft_stop_strings_push(&matcher, "x", 1, &out, &stopped, &err), err);
    CHECK_STR(out.data, "abSTx");
    weft_stop_strings_free(&matcher);
    weft_buffer_free(&out);
    return testing_summary();
}
