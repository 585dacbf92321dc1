/* Stop strings over a stream of text: see stop_strings.h. */
#include "engine/stop_strings.h"

#include <string.h>

enum { HELD_MAX = 1 << 20 }; /* far over a stop string and one token */

void weft_stop_strings_init(weft_stop_strings *matcher, const char *const *stops, int count) {
    *matcher = (weft_stop_strings){.stops = stops, .count = count};
    weft_buffer_init(&matcher->held, HELD_MAX, "text before a stop string");
}

void weft_stop_strings_free(weft_stop_strings *matcher) { weft_buffer_free(&matcher->held); }

/* Length of the longest tail of the text that is a proper beginning of some stop string. */
static size_t undecided_tail(const weft_stop_strings *matcher) {
    size_t longest = 0;
    for (int s = 0; s < matcher->count; s++) {
        size_t length = strlen(matcher->stops[s]), most = matcher->held.size < length - 1 ? matcher->held.size : length - 1;
        for (size_t n = most; n > longest; n--)
            if (memcmp(matcher->held.data + matcher->held.size - n, matcher->stops[s], n) == 0) {
                longest = n;
                break;
            }
    }
    return longest;
}

weft_status weft_stop_strings_push(weft_stop_strings *matcher, const char *text, size_t size, weft_buffer *out, bool *stopped, weft_error *err) {
    *stopped = false;
    if (matcher->count == 0) return weft_buffer_append(out, text, size, err);
    WEFT_TRY(weft_buffer_append(&matcher->held, text, size, err));
    const char *first = NULL, *held = matcher->held.data;
    for (int s = 0; s < matcher->count; s++) {
        const char *hit = memmem(held, matcher->held.size, matcher->stops[s], strlen(matcher->stops[s]));
        if (hit && (!first || hit < first)) first = hit;
    }
    size_t pass = first ? (size_t)(first - held) : matcher->held.size - undecided_tail(matcher);
    WEFT_TRY(weft_buffer_append(out, held, pass, err));
    *stopped = first != NULL;
    if (*stopped) pass = matcher->held.size;
    memmove(matcher->held.data, held + pass, matcher->held.size - pass + 1);
    matcher->held.size -= pass;
    return WEFT_OK;
}

weft_status weft_stop_strings_finish(weft_stop_strings *matcher, weft_buffer *out, weft_error *err) {
    WEFT_TRY(weft_buffer_append(out, matcher->held.data, matcher->held.size, err));
    weft_buffer_clear(&matcher->held);
    return WEFT_OK;
}
