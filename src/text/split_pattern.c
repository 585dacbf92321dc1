/* Compiles the regular expression of a Split: see split_pattern.h.
 *
 * The library runs patterns in Oniguruma, here they run in PCRE2. Syntax that means something else there is refused.
 * \s \p{L} \p{N} \p{M} and their negations are written out as ranges from our own tables, because PCRE2's white space
 * and Unicode version differ from the library's. Other properties (\p{P}, \p{Lu}, \d ...) are PCRE2's: on characters
 * that are newer than its Unicode version, such a pattern may cut elsewhere than the library does. No pattern of the
 * Qwen family uses them.
 *
 * PCRE2's own match limit does not see scans inside one item (a* over the whole text, at every start). So patterns are
 * compiled with callouts, from which pretokenizer.c counts how far each step moved. What a callout cannot see is
 * bounded by the largest repeat count allowed. */
#include "text/split_pattern.h"

#include <string.h>

#include "base/buffer.h"
#include "text/unicode.h"

enum { EXPANDED_BYTES_MAX = 1 << 20, REPEAT_DIGITS_MAX = 3 };

/* A piece of syntax that means something else in Oniguruma, or NULL. */
static const char *foreign_syntax(const char *pattern) {
    static const char *const refused[] = {"\\h", "\\H", "\\R", "\\X", "\\K", "\\g", "\\k", "\\y", "\\Y", "\\O",
                                          "\\N", "(?m", "(?s", "(?x", "(?y", "(?~", "(?-", "(?(", "(?R", "(?&",
                                          "(*",  "&&",  "\\C", "\\Q", "\\E", "\\w", "\\W", "\\b", "\\B", "[["};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strstr(pattern, refused[i])) return refused[i];
    for (const char *p = pattern; (p = strstr(p, "}+")) != NULL; p++) /* {1,3}+ is greedy here, possessive there */
        if (p > pattern && ((p[-1] >= '0' && p[-1] <= '9') || p[-1] == ',')) return p - 1;
    for (const char *p = pattern; (p = strpbrk(p, "{,")) != NULL;) {
        size_t digits = strspn(++p, "0123456789");
        if (digits > REPEAT_DIGITS_MAX) return p - 1;
    }
    return NULL;
}

static weft_status put_limit(uint32_t c, weft_buffer *out, weft_error *err) {
    if (c < 128) return weft_buffer_printf(out, err, "\\x{%x}", (unsigned)c);
    char bytes[4];
    return weft_buffer_append(out, bytes, (size_t)weft_utf8_put(c, bytes), err);
}

/* Writes the ranges of the characters that have (or, negated, have not) the flag, as the inside of a class. */
static weft_status put_ranges(unsigned flag, bool negated, weft_buffer *out, weft_error *err) {
    uint32_t first = 0, last = 0;
    bool open = false;
    for (uint32_t c = 0; c <= 0x110000; c++) {
        if (c == 0xD800) c = 0xE000; /* no range may begin or end at a surrogate */
        bool inside = c < 0x110000 && ((weft_char_flags(c) & flag) != 0) != negated;
        if (inside && !open) first = c;
        if (!inside && open) {
            WEFT_TRY(put_limit(first, out, err));
            WEFT_TRY(weft_buffer_puts(out, "-", err));
            WEFT_TRY(put_limit(last, out, err));
        }
        open = inside;
        last = c;
    }
    return WEFT_OK;
}

/* The flag of the class escape at p, or 0; *length is the escape's. */
static unsigned class_escape(const char *p, bool *negated, size_t *length) {
    static const struct {
        const char *text;
        unsigned flag;
        bool negated;
    } escapes[] = {{"\\s", WEFT_CHAR_SPACE, false},     {"\\S", WEFT_CHAR_SPACE, true},
                   {"\\p{L}", WEFT_CHAR_LETTER, false}, {"\\P{L}", WEFT_CHAR_LETTER, true},
                   {"\\p{N}", WEFT_CHAR_NUMBER, false}, {"\\P{N}", WEFT_CHAR_NUMBER, true},
                   {"\\p{M}", WEFT_CHAR_MARK, false},   {"\\P{M}", WEFT_CHAR_MARK, true}};
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        *length = strlen(escapes[i].text);
        if (strncmp(p, escapes[i].text, *length) != 0) continue;
        *negated = escapes[i].negated;
        return escapes[i].flag;
    }
    return 0;
}

static weft_status expand(const char *pattern, weft_buffer *out, weft_error *err) {
    bool in_class = false;
    for (const char *p = pattern; *p;) {
        bool negated;
        size_t length;
        unsigned flag = class_escape(p, &negated, &length);
        if (flag) {
            if (!in_class) WEFT_TRY(weft_buffer_puts(out, negated ? "[^" : "[", err));
            WEFT_TRY(put_ranges(flag, in_class && negated, out, err));
            if (!in_class) WEFT_TRY(weft_buffer_puts(out, "]", err));
            p += length;
            continue;
        }
        length = *p == '\\' && p[1] ? 2 : 1;
        if (*p == '[' && !in_class) {
            in_class = true;
            if (p[1] == '^') length++;
            if (p[length] == ']') length++; /* a ] that comes first is itself a member */
        } else if (*p == ']') {
            in_class = false;
        }
        WEFT_TRY(weft_buffer_append(out, p, length, err));
        p += length;
    }
    return WEFT_OK;
}

static weft_status compile(const char *shown, const char *pattern, size_t size, uint32_t options, pcre2_code **regex,
                           weft_error *err) {
    int code;
    PCRE2_SIZE at;
    *regex = pcre2_compile((PCRE2_SPTR)pattern, size, options, &code, &at, NULL);
    if (*regex) {
        pcre2_jit_compile(*regex, PCRE2_JIT_COMPLETE); /* without it the interpreter runs */
        return WEFT_OK;
    }
    PCRE2_UCHAR why[128];
    pcre2_get_error_message(code, why, sizeof why);
    return weft_fail(err, WEFT_ERR_UNSUPPORTED, "pre-tokenizer: pattern \"%.200s\": %s", shown, (const char *)why);
}

weft_status weft_split_pattern_compile(const char *pattern, size_t size, bool literal, pcre2_code **regex,
                                       weft_error *err) {
    if (size == 0 || size > WEFT_PATTERN_BYTES_MAX || memchr(pattern, 0, size))
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "pre-tokenizer: a pattern of %zu bytes, or with a NUL in it", size);
    char copy[WEFT_PATTERN_BYTES_MAX + 1]; /* terminated, for the searches in it */
    memcpy(copy, pattern, size);
    copy[size] = 0;
    if (literal) return compile(copy, copy, size, PCRE2_UTF | PCRE2_LITERAL, regex, err);
    const char *foreign = foreign_syntax(copy);
    if (foreign)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "pre-tokenizer: \"%.4s\" in the pattern \"%.200s\" is not supported", foreign, copy);
    weft_buffer expanded;
    weft_buffer_init(&expanded, EXPANDED_BYTES_MAX, "a pre-tokenizer's pattern with its classes written out");
    weft_status status = expand(copy, &expanded, err);
    /* In Oniguruma ^ and $ always match at line ends. */
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
    if (status == WEFT_OK) status = compile(copy, expanded.data, expanded.size, options, regex, err);
    weft_buffer_free(&expanded);
    return status;
}
