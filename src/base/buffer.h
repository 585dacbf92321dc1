/* A growing byte buffer with a named maximum.
 *
 * Owns its bytes; always NUL-terminated after the last byte, so it doubles as a string builder. Growth past `max` is an
 * error, never a crash and never silent: ignoring the result is a compiler warning. */
#ifndef WEFT_BASE_BUFFER_H
#define WEFT_BASE_BUFFER_H

#include <stddef.h>

#include "base/status.h"

typedef struct weft_buffer {
    char *data;       /* NULL until the first append */
    size_t size;      /* bytes in use, without the terminating NUL */
    size_t capacity;  /* bytes allocated */
    size_t max;       /* the most bytes it may ever hold */
    const char *what; /* name of the limit for the message, e.g. "chat template output" (borrowed, static) */
} weft_buffer;

/* Prepares an empty buffer; allocates nothing. */
void weft_buffer_init(weft_buffer *buffer, size_t max, const char *what);
/* Frees the bytes and leaves an empty buffer with the same limit. */
void weft_buffer_free(weft_buffer *buffer);
/* Forgets the contents, keeps the memory. */
void weft_buffer_clear(weft_buffer *buffer);

weft_status weft_buffer_append(weft_buffer *buffer, const void *bytes, size_t size, weft_error *err)
    __attribute__((warn_unused_result));
weft_status weft_buffer_puts(weft_buffer *buffer, const char *text, weft_error *err)
    __attribute__((warn_unused_result));
weft_status weft_buffer_printf(weft_buffer *buffer, weft_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));
/* Makes room for `extra` more bytes (and the NUL) without changing the size. */
weft_status weft_buffer_reserve(weft_buffer *buffer, size_t extra, weft_error *err) __attribute__((warn_unused_result));
/* Gives the bytes to the caller (who frees them with free()); the buffer is empty afterwards. Never NULL unless out of
 * memory: an empty buffer yields "". */
char *weft_buffer_take(weft_buffer *buffer);

/* Reads a whole regular file of at most `max` bytes into *buffer (initialised here; the caller frees it). */
weft_status weft_read_file(const char *path, size_t max, weft_buffer *buffer, weft_error *err)
    __attribute__((warn_unused_result));

#endif
