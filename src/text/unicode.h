/* Characters as the `tokenizers` library sees them: UTF-8, classes, NFC.
 *
 * All functions are pure and thread-safe. Text that enters is made valid once by weft_utf8_repair; everything behind it
 * may take well-formed UTF-8 for granted (weft_utf8_next never reads past `end` either way). */
#ifndef WEFT_TEXT_UNICODE_H
#define WEFT_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

/* Classes of a character; the values are those of the generated table. */
enum {
    WEFT_CHAR_LETTER = 1, /* \p{L} of the library's regular expressions */
    WEFT_CHAR_NUMBER = 2, /* \p{N} */
    WEFT_CHAR_MARK = 4,   /* \p{M} */
    WEFT_CHAR_SPACE = 8,  /* \s */
    WEFT_CHAR_WORD = 16,  /* \w of its added tokens */
};
unsigned weft_char_flags(uint32_t c);

/* Reads one character at *at, which is before `end`, and moves *at behind it. Needs well-formed UTF-8. */
static inline uint32_t weft_utf8_next(const char **at, const char *end) {
    const unsigned char *p = (const unsigned char *)*at;
    size_t left = (size_t)(end - *at);
    if (p[0] < 0x80 || left < 2) {
        *at += 1;
        return p[0];
    }
    if (p[0] < 0xE0 || left < 3) {
        *at += 2;
        return (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
    }
    if (p[0] < 0xF0 || left < 4) {
        *at += 3;
        return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    }
    *at += 4;
    return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
}

/* The character that ends at `at`, which is behind `begin`; *start is where it starts. */
uint32_t weft_utf8_before(const char *begin, const char *at, const char **start);

/* Writes c (a scalar value) to out[4] and returns how many bytes that took. */
int weft_utf8_put(uint32_t c, char out[4]);

/* Looks at the bytes of one character at `p` of which `left` (at least 1) are there. Returns its length when it is well
 * formed; 0 when it may become so with more bytes; otherwise minus the number of bytes that one U+FFFD replaces, as
 * Python's errors="replace" and Unicode's "maximal subpart" rule count them. */
int weft_utf8_check(const unsigned char *p, size_t left);

/* How many bytes from the start are well-formed UTF-8. */
size_t weft_utf8_valid(const char *text, size_t size);

/* Appends `text` with every malformed sequence replaced by U+FFFD. */
weft_status weft_utf8_repair(const char *text, size_t size, weft_buffer *out, weft_error *err);

/* True when the text is surely in NFC already (a quick check: false says nothing). */
bool weft_nfc_is_sure(const char *text, size_t size);

/* Appends the NFC form of well-formed UTF-8. Time is linear, even for one endless run of combining marks; memory is
 * 16 bytes per byte of the longest run of characters that need work. */
weft_status weft_nfc(const char *text, size_t size, weft_buffer *out, weft_error *err);

#endif
