/* String methods about letters: changing case, and the is...() questions. Full Unicode case mapping. */
#include <string.h>
#include <utf8proc.h>

#include "text/jinja_internal.h"

enum { CAPITAL_SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2 };

static bool is_cased(int32_t c) {
    return jinja_is_upper(c) || jinja_is_lower(c) || jinja_is_title(c);
}

/* Characters that case context looks through: marks, modifiers, apostrophes. */
static bool is_case_ignorable(int32_t c) {
    if (c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xB7 || c == 0x2018 || c == 0x2019 ||
        c == 0x2024 || c == 0x2027 || c == 0x387 || c == 0x55F || c == 0x5F4 || c == 0xFE13 || c == 0xFE52 ||
        c == 0xFE55 || c == 0xFF07 || c == 0xFF0E || c == 0xFF1A)
        return true;
    if (c < 0x80) return false;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return false;
    }
}

static const char *step_back(const char *start, const char *p, int32_t *c) {
    do p--;
    while (p > start && ((unsigned char)*p & 0xC0) == 0x80);
    jinja_utf8_decode(p, p + 4, c);
    return p;
}

/* A capital sigma ends a word: a cased letter before it and none after, marks between not counted. */
static bool sigma_is_final(jrun *run, const jstr *s, const char *p, size_t size) {
    const char *q = p;
    int32_t c = 0;
    bool before = false;
    while (q > s->data) {
        q = step_back(s->data, q, &c);
        jinja_pay(run, 1);
        if (is_case_ignorable(c)) continue;
        before = is_cased(c);
        break;
    }
    if (!before) return false;
    for (q = p + size; q < s->data + s->size;) {
        q += jinja_utf8_decode(q, s->data + s->size, &c);
        jinja_pay(run, 1);
        if (!is_case_ignorable(c)) return !is_cased(c);
    }
    return true;
}

static void build_cased(jrun *run, jbuilder *b, const jstr *s, const char *p, size_t size, int32_t c, jcase mode) {
    int32_t mapped[3];
    if (c == CAPITAL_SIGMA && mode == JCASE_LOWER) {
        jinja_build_char(run, b, sigma_is_final(run, s, p, size) ? FINAL_SIGMA : SMALL_SIGMA);
        return;
    }
    int n = jinja_case_map(c, mode, mapped);
    for (int i = 0; i < n; i++) jinja_build_char(run, b, mapped[i]);
}

typedef enum change { CHANGE_ALL, CHANGE_CAPITALIZE, CHANGE_TITLE, CHANGE_SWAP } change;

static jval change_case(jrun *run, const jstr *s, change how, jcase mode) {
    jbuilder b;
    jinja_build_init(&b);
    jinja_pay(run, s->size / 8);
    bool previous_cased = false;
    const char *end = s->data + s->size;
    for (const char *p = s->data; p < end;) {
        int32_t c;
        size_t n = jinja_utf8_decode(p, end, &c);
        if (how == CHANGE_CAPITALIZE) mode = p == s->data ? JCASE_TITLE : JCASE_LOWER;
        if (how == CHANGE_TITLE) mode = previous_cased ? JCASE_LOWER : JCASE_TITLE;
        if (how == CHANGE_SWAP) mode = jinja_is_upper(c) ? JCASE_LOWER : JCASE_UPPER;
        previous_cased = is_cased(c);
        if (how == CHANGE_SWAP && !jinja_is_upper(c) && !jinja_is_lower(c))
            jinja_build(run, &b, p, n);
        else
            build_cased(run, &b, s, p, n, c, mode);
        p += n;
    }
    jval out = jinja_build_end(run, &b);
    out.s->markup = s->markup;
    return out;
}

jval jinja_str_case(jrun *run, const jstr *s, jcase mode) {
    return change_case(run, s, CHANGE_ALL, mode);
}

#define METHOD(name) static jval name(jrun *run, jval self, jval *a, const jargs *raw)
#define UNUSED       (void)a, (void)raw

METHOD(str_upper) {
    UNUSED;
    return change_case(run, self.s, CHANGE_ALL, JCASE_UPPER);
}
METHOD(str_lower) {
    UNUSED;
    return change_case(run, self.s, CHANGE_ALL, JCASE_LOWER);
}
METHOD(str_casefold) {
    UNUSED;
    return change_case(run, self.s, CHANGE_ALL, JCASE_FOLD);
}
METHOD(str_title) {
    UNUSED;
    return change_case(run, self.s, CHANGE_TITLE, JCASE_TITLE);
}
METHOD(str_capitalize) {
    UNUSED;
    return change_case(run, self.s, CHANGE_CAPITALIZE, JCASE_TITLE);
}
METHOD(str_swapcase) {
    UNUSED;
    return change_case(run, self.s, CHANGE_SWAP, JCASE_UPPER);
}

/* All characters satisfy `is`, and there is one. */
static jval all_are(jrun *run, const jstr *s, bool (*is)(int32_t)) {
    jinja_pay(run, s->size / 16);
    for (const char *p = s->data, *end = p + s->size; p < end;) {
        int32_t c;
        p += jinja_utf8_decode(p, end, &c);
        if (!is(c)) return jinja_bool(false);
    }
    return jinja_bool(s->size != 0);
}
static bool is_alnum(int32_t c) {
    return jinja_is_alpha(c) || jinja_is_decimal(c) || jinja_is_digit(c) || jinja_is_numeric(c);
}
static bool is_ascii(int32_t c) {
    return c < 0x80;
}

METHOD(str_isalpha) {
    UNUSED;
    return all_are(run, self.s, jinja_is_alpha);
}
METHOD(str_isalnum) {
    UNUSED;
    return all_are(run, self.s, is_alnum);
}
METHOD(str_isdigit) {
    UNUSED;
    return all_are(run, self.s, jinja_is_digit);
}
METHOD(str_isdecimal) {
    UNUSED;
    return all_are(run, self.s, jinja_is_decimal);
}
METHOD(str_isnumeric) {
    UNUSED;
    return all_are(run, self.s, jinja_is_numeric);
}
METHOD(str_isspace) {
    UNUSED;
    return all_are(run, self.s, jinja_is_space);
}
METHOD(str_isascii) {
    UNUSED;
    return jinja_bool(!self.s->size || all_are(run, self.s, is_ascii).b);
}
METHOD(str_isprintable) {
    UNUSED;
    return jinja_bool(!self.s->size || all_are(run, self.s, jinja_is_printable).b);
}
METHOD(str_isidentifier) {
    UNUSED;
    (void)run;
    return jinja_bool(jinja_is_identifier(self.s->data, self.s->size));
}

bool jinja_str_all_cased(const jstr *s, bool upper) {
    bool any = false;
    for (const char *p = s->data, *end = p + s->size; p < end;) {
        int32_t c;
        p += jinja_utf8_decode(p, end, &c);
        if (jinja_is_title(c) || (upper ? jinja_is_lower(c) : jinja_is_upper(c))) return false;
        any |= upper ? jinja_is_upper(c) : jinja_is_lower(c);
    }
    return any;
}
METHOD(str_isupper) {
    UNUSED;
    jinja_pay(run, self.s->size / 16);
    return jinja_bool(jinja_str_all_cased(self.s, true));
}
METHOD(str_islower) {
    UNUSED;
    jinja_pay(run, self.s->size / 16);
    return jinja_bool(jinja_str_all_cased(self.s, false));
}
METHOD(str_istitle) {
    UNUSED;
    bool cased = false, previous_cased = false;
    jinja_pay(run, self.s->size / 16);
    for (const char *p = self.s->data, *end = p + self.s->size; p < end;) {
        int32_t c;
        p += jinja_utf8_decode(p, end, &c);
        bool begins = jinja_is_upper(c) || jinja_is_title(c), goes_on = jinja_is_lower(c);
        if ((begins && previous_cased) || (goes_on && !previous_cased)) return jinja_bool(false);
        previous_cased = begins || goes_on;
        cased |= previous_cased;
    }
    return jinja_bool(cased);
}

const jbuiltin jinja_case_methods[] = {
    {"upper", "", str_upper},
    {"lower", "", str_lower},
    {"title", "", str_title},
    {"capitalize", "", str_capitalize},
    {"casefold", "", str_casefold},
    {"swapcase", "", str_swapcase},
    {"isalpha", "", str_isalpha},
    {"isalnum", "", str_isalnum},
    {"isdigit", "", str_isdigit},
    {"isdecimal", "", str_isdecimal},
    {"isnumeric", "", str_isnumeric},
    {"isspace", "", str_isspace},
    {"isascii", "", str_isascii},
    {"isprintable", "", str_isprintable},
    {"isidentifier", "", str_isidentifier},
    {"isupper", "", str_isupper},
    {"islower", "", str_islower},
    {"istitle", "", str_istitle},
    {0},
};
