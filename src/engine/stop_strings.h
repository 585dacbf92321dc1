/* Stop strings over a stream of text: nothing that may be the start of one is let through before it is decided. */
#ifndef WEFT_ENGINE_STOP_STRINGS_H
#define WEFT_ENGINE_STOP_STRINGS_H

#include <stdbool.h>

#include "base/buffer.h"

typedef struct weft_stop_strings {
    const char *const *stops; /* borrowed */
    int count;
    weft_buffer held; /* text that may be the start of a stop string; initialise with weft_stop_strings_init */
} weft_stop_strings;

void weft_stop_strings_init(weft_stop_strings *matcher, const char *const *stops, int count);
void weft_stop_strings_free(weft_stop_strings *matcher);
/* Appends to *out what may be let through; *stopped when a stop string came (it and all after it are dropped). */
weft_status weft_stop_strings_push(weft_stop_strings *matcher, const char *text, size_t size, weft_buffer *out, bool *stopped, weft_error *err);
/* The end of the stream: what was held is let through. */
weft_status weft_stop_strings_finish(weft_stop_strings *matcher, weft_buffer *out, weft_error *err);

#endif
