/* UTF-8, character classes and NFC: see unicode.h.
 *
 * Owns the generated tables; holds no state. NFC follows UAX #15: full canonical decomposition, canonical ordering,
 * composition. Text is cut into segments that start at a character which neither reorders nor composes with what comes
 * before it, so that plain text is copied and only segments with work in them are expanded to arrays. */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode_tables.h"

_Static_assert((int)WEFT_CHAR_LETTER == (int)UNICODE_LETTER && (int)WEFT_CHAR_NUMBER == (int)UNICODE_NUMBER &&
                   (int)WEFT_CHAR_MARK == (int)UNICODE_MARK && (int)WEFT_CHAR_SPACE == (int)UNICODE_SPACE &&
                   (int)WEFT_CHAR_WORD == (int)UNICODE_WORD,
               "the header's classes are the table's");

enum {
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7, /* one before the first trailing consonant */
    HANGUL_S = 0xAC00,
    HANGUL_L_COUNT = 19,
    HANGUL_V_COUNT = 21,
    HANGUL_T_COUNT = 28,
    HANGUL_S_COUNT = HANGUL_L_COUNT * HANGUL_V_COUNT * HANGUL_T_COUNT,
    DECOMPOSITION_MAX = 4, /* characters in the longest full canonical decomposition */
    SMALL_RUN = 16,        /* marks: up to here insertion sort beats counting sort */
    REPLACEMENT = 0xFFFD,
};

static const uint8_t *properties(uint32_t c) {
    if (c >= 0x110000) return unicode_properties;
    unsigned middle = unicode_first[c >> (UNICODE_SHIFT_HIGH + UNICODE_SHIFT_LOW)];
    middle = middle << UNICODE_SHIFT_HIGH | ((c >> UNICODE_SHIFT_LOW) & ((1u << UNICODE_SHIFT_HIGH) - 1));
    unsigned low = (unsigned)unicode_second[middle] << UNICODE_SHIFT_LOW | (c & ((1u << UNICODE_SHIFT_LOW) - 1));
    return unicode_properties + 2 * unicode_third[low];
}

unsigned weft_char_flags(uint32_t c) {
    return c < 128 ? unicode_ascii[c] : properties(c)[0];
}

static uint8_t combining_class(uint32_t c) {
    return c < 0x300 ? 0 : properties(c)[1];
}

/* ---- UTF-8 ---- */

uint32_t weft_utf8_before(const char *begin, const char *at, const char **start) {
    const char *p = at - 1;
    while (p > begin && ((unsigned char)*p & 0xC0) == 0x80 && at - p < 4) p--;
    *start = p;
    return weft_utf8_next(&p, at);
}

int weft_utf8_put(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

int weft_utf8_check(const unsigned char *p, size_t left) {
    unsigned lead = p[0];
    if (lead < 0x80) return 1;
    if (lead < 0xC2 || lead > 0xF4) return -1;
    int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    /* The second byte's range excludes overlong forms, surrogates and values over U+10FFFF. */
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (left < 2) return 0;
    if (p[1] < low || p[1] > high) return -1;
    for (int i = 2; i < length; i++) {
        if ((size_t)i >= left) return 0;
        if ((p[i] & 0xC0) != 0x80) return -i;
    }
    return length;
}

size_t weft_utf8_valid(const char *text, size_t size) {
    size_t at = 0;
    while (at < size) {
        uint64_t word;
        if (size - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                at += sizeof word;
                continue;
            }
        }
        int length = weft_utf8_check((const unsigned char *)text + at, size - at);
        if (length <= 0) return at;
        at += (size_t)length;
    }
    return at;
}

weft_status weft_utf8_repair(const char *text, size_t size, weft_buffer *out, weft_error *err) {
    size_t at = 0;
    while (at < size) {
        size_t good = weft_utf8_valid(text + at, size - at);
        WEFT_TRY(weft_buffer_append(out, text + at, good, err));
        at += good;
        if (at == size) break;
        int bad = weft_utf8_check((const unsigned char *)text + at, size - at);
        /* 0: the text ends inside a character, and what is there of it counts as one. */
        at = bad < 0 ? at + (size_t)-bad : size;
        WEFT_TRY(weft_buffer_append(out, "\xEF\xBF\xBD", 3, err));
    }
    return WEFT_OK;
}

/* ---- decomposition and composition of single characters ---- */

/* Index of `key` in sorted[count], or -1. */
static int find_sorted(const uint32_t *sorted, int count, uint32_t key) {
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (sorted[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low] == key ? low : -1;
}

/* Writes the full canonical decomposition of c and returns its length. */
static int decompose(uint32_t c, uint32_t out[DECOMPOSITION_MAX]) {
    if (c - HANGUL_S < HANGUL_S_COUNT) {
        uint32_t index = c - HANGUL_S;
        out[0] = HANGUL_L + index / (HANGUL_V_COUNT * HANGUL_T_COUNT);
        out[1] = HANGUL_V + index / HANGUL_T_COUNT % HANGUL_V_COUNT;
        out[2] = HANGUL_T + index % HANGUL_T_COUNT;
        return index % HANGUL_T_COUNT ? 3 : 2;
    }
    if (c >= 128 && (properties(c)[0] & UNICODE_DECOMPOSES)) {
        int at = find_sorted(unicode_single_from, UNICODE_SINGLES, c);
        if (at >= 0) {
            out[0] = unicode_single_to[at];
            return 1;
        }
        at = find_sorted(unicode_longer_from, UNICODE_LONGER, c);
        if (at >= 0) {
            int start = unicode_longer_start[at], length = unicode_longer_start[at + 1] - start;
            if (length > DECOMPOSITION_MAX) length = DECOMPOSITION_MAX;
            memcpy(out, unicode_longer_to + start, (size_t)length * sizeof *out);
            return length;
        }
    }
    out[0] = c;
    return 1;
}

/* The primary composite of a pair, or 0. */
static uint32_t compose(uint32_t first, uint32_t second) {
    if (first - HANGUL_L < HANGUL_L_COUNT && second - HANGUL_V < HANGUL_V_COUNT)
        return HANGUL_S + ((first - HANGUL_L) * HANGUL_V_COUNT + (second - HANGUL_V)) * HANGUL_T_COUNT;
    if (first - HANGUL_S < HANGUL_S_COUNT && (first - HANGUL_S) % HANGUL_T_COUNT == 0 &&
        second - HANGUL_T - 1 < HANGUL_T_COUNT - 1)
        return first + (second - HANGUL_T);
    int low = 0, high = UNICODE_PAIRS;
    while (low < high) {
        int middle = (low + high) / 2;
        bool below = unicode_pair_second[middle] != second ? unicode_pair_second[middle] < second
                                                           : unicode_pair_first[middle] < first;
        if (below)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < UNICODE_PAIRS && unicode_pair_second[low] == second && unicode_pair_first[low] == first;
    return found ? unicode_pair_composite[low] : 0;
}

/* ---- NFC of one segment ---- */

typedef struct segment { /* grown as needed, reused from segment to segment */
    uint32_t *chars, *spare;
    uint8_t *classes, *spare_classes;
    size_t capacity;
} segment;

static void segment_free(segment *s) {
    free(s->chars);
    free(s->spare);
    free(s->classes);
    free(s->spare_classes);
}

static weft_status segment_reserve(segment *s, size_t need, weft_error *err) {
    if (need <= s->capacity) return WEFT_OK;
    segment_free(s);
    size_t capacity = need < 256 ? 256 : need;
    *s = (segment){malloc(capacity * sizeof *s->chars), malloc(capacity * sizeof *s->spare), malloc(capacity),
                   malloc(capacity), capacity};
    if (s->chars && s->spare && s->classes && s->spare_classes) return WEFT_OK;
    segment_free(s);
    *s = (segment){0};
    return weft_fail(err, WEFT_ERR_MEMORY, "no memory to normalise %zu characters", need);
}

/* Sorts the marks [from, to) by combining class; equal classes keep their order. */
static void order_marks(segment *s, size_t from, size_t to) {
    if (to - from <= SMALL_RUN) {
        for (size_t i = from + 1; i < to; i++) {
            uint32_t c = s->chars[i];
            uint8_t class = s->classes[i];
            size_t at = i;
            for (; at > from && s->classes[at - 1] > class; at--) {
                s->chars[at] = s->chars[at - 1];
                s->classes[at] = s->classes[at - 1];
            }
            s->chars[at] = c;
            s->classes[at] = class;
        }
        return;
    }
    size_t starts[UNICODE_COMBINING_CLASSES + 1] = {0};
    for (size_t i = from; i < to; i++) starts[s->classes[i] + 1]++;
    for (int i = 0; i < UNICODE_COMBINING_CLASSES; i++) starts[i + 1] += starts[i];
    for (size_t i = from; i < to; i++) {
        size_t at = starts[s->classes[i]]++;
        s->spare[at] = s->chars[i];
        s->spare_classes[at] = s->classes[i];
    }
    memcpy(s->chars + from, s->spare, (to - from) * sizeof *s->chars);
    memcpy(s->classes + from, s->spare_classes, to - from);
}

/* Composes s->chars[count] in place and returns the new count (UAX #15, "Canonical Composition Algorithm"). */
static size_t compose_segment(segment *s, size_t count) {
    size_t kept = 0, starter = SIZE_MAX;
    int last_class = -1; /* class of the last kept character behind the starter; -1: nothing is between */
    for (size_t i = 0; i < count; i++) {
        uint32_t c = s->chars[i];
        int class = s->classes[i];
        if (starter != SIZE_MAX && last_class < class) {
            uint32_t composite = compose(s->chars[starter], c);
            if (composite) {
                s->chars[starter] = composite;
                continue;
            }
        }
        s->chars[kept] = c;
        if (class == 0) {
            starter = kept;
            last_class = -1;
        } else {
            last_class = class;
        }
        kept++;
    }
    return kept;
}

static weft_status normalise_segment(segment *s, const char *text, size_t size, weft_buffer *out, weft_error *err) {
    /* At most three characters come of two bytes (U+0390), three of three, four of three (U+1F82). */
    WEFT_TRY(segment_reserve(s, size + size / 2 + DECOMPOSITION_MAX, err));
    size_t count = 0, run = 0;
    for (const char *p = text, *end = text + size; p < end;) {
        uint32_t parts[DECOMPOSITION_MAX];
        int length = decompose(weft_utf8_next(&p, end), parts);
        for (int i = 0; i < length && count < s->capacity; i++) {
            s->chars[count] = parts[i];
            s->classes[count] = combining_class(parts[i]);
            if (s->classes[count] == 0) {
                order_marks(s, run, count);
                run = count + 1;
            }
            count++;
        }
    }
    order_marks(s, run, count);
    count = compose_segment(s, count);
    WEFT_TRY(weft_buffer_reserve(out, count * 4, err));
    for (size_t i = 0; i < count; i++) out->size += (size_t)weft_utf8_put(s->chars[i], out->data + out->size);
    out->data[out->size] = 0;
    return WEFT_OK;
}

/* ---- NFC of a text ---- */

/* Steps over the ASCII characters at p, none of which ever needs work. */
static const char *skip_ascii(const char *p, const char *end) {
    uint64_t word;
    while ((size_t)(end - p) >= sizeof word) {
        memcpy(&word, p, sizeof word);
        if (word & 0x8080808080808080u) break;
        p += sizeof word;
    }
    while (p < end && (unsigned char)*p < 0x80) p++;
    return p;
}

/* The first character from p on that is not surely normal; *before is the start of the character in front of it. */
static const char *find_unsafe(const char *p, const char *end, const char **before) {
    while (p < end) {
        const char *ascii = skip_ascii(p, end);
        if (ascii > p) *before = ascii - 1;
        p = ascii;
        if (p == end) break;
        const char *here = p;
        if (properties(weft_utf8_next(&p, end))[0] & UNICODE_NFC_UNSAFE) return here;
        *before = here;
    }
    return end;
}

bool weft_nfc_is_sure(const char *text, size_t size) {
    if (size == 0) return true;
    const char *before = text;
    return find_unsafe(text, text + size, &before) == text + size;
}

weft_status weft_nfc(const char *text, size_t size, weft_buffer *out, weft_error *err) {
    if (size == 0) return WEFT_OK;
    segment s = {0};
    weft_status status = WEFT_OK;
    const char *p = text, *end = text + size;
    while (p < end && status == WEFT_OK) {
        const char *start = p; /* where the segment starts when its first character is unsafe itself */
        const char *unsafe = find_unsafe(p, end, &start);
        if (unsafe == end) start = end;
        status = weft_buffer_append(out, p, (size_t)(start - p), err);
        p = unsafe;
        while (p < end) { /* the segment ends before the next safe character */
            const char *next = p;
            if (!(properties(weft_utf8_next(&next, end))[0] & UNICODE_NFC_UNSAFE)) break;
            p = next;
        }
        if (status == WEFT_OK && start < end) status = normalise_segment(&s, start, (size_t)(p - start), out, err);
    }
    segment_free(&s);
    return status;
}
