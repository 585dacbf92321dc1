/* Filters on text and numbers. The subject is `self`; parameters have jinja2's names. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_internal.h"

#define FILTER(name) static jval name(jrun *run, jval self, jval *a, const jargs *raw)
#define UNUSED       (void)a, (void)raw

static bool given(jval v) {
    return v.type != J_MISSING;
}
/* soft_str: strings as they are, everything else by str(). */
static const jstr *soft(jrun *run, jval v) {
    return v.type == J_STR ? v.s : jinja_to_str(run, v).s;
}
static bool flag(jrun *run, jval v, bool otherwise) {
    return given(v) ? jinja_truth(run, v) : otherwise;
}

/* ---- case, whitespace, replacing ---- */

FILTER(filter_upper) {
    UNUSED;
    return jinja_str_case(run, soft(run, self), JCASE_UPPER);
}
FILTER(filter_lower) {
    UNUSED;
    return jinja_str_case(run, soft(run, self), JCASE_LOWER);
}
static jval call_str_method(jrun *run, const jstr *s, const char *name) {
    jval self = {.type = J_STR, .s = (jstr *)s};
    jargs none = {0};
    return jinja_call_builtin(run, jinja_find_in(jinja_case_methods, name, strlen(name)), self, &none);
}
FILTER(filter_capitalize) {
    UNUSED;
    return call_str_method(run, soft(run, self), "capitalize");
}

/* Words begin after one of "-({[<" or whitespace; unlike str.title(), an apostrophe begins none. */
FILTER(filter_title) {
    UNUSED;
    const jstr *s = soft(run, self);
    jbuilder b;
    jinja_build_init(&b);
    const char *p = s->data, *end = p + s->size;
    while (p < end) {
        int32_t c;
        const char *start = p;
        size_t n = 0, first = 0;
        bool between = false;
        for (; p < end; p += n) {
            n = jinja_utf8_decode(p, end, &c);
            bool separator = jinja_is_space(c) || (c < 0x80 && c && strchr("-({[<", c));
            if (p == start) {
                between = separator;
                first = n;
            }
            if (separator != between) break;
        }
        jval head = jinja_str_pick(run, s, start, first);
        jval tail = jinja_str_pick(run, s, start + first, (size_t)(p - start) - first);
        head = jinja_str_case(run, head.s, JCASE_UPPER);
        tail = jinja_str_case(run, tail.s, JCASE_LOWER);
        jinja_build(run, &b, head.s->data, head.s->size);
        jinja_build(run, &b, tail.s->data, tail.s->size);
    }
    return jinja_build_end(run, &b);
}

FILTER(filter_trim) {
    UNUSED;
    bool all = !given(a[0]) || a[0].type == J_NONE;
    return jinja_str_strip(run, soft(run, self), all ? NULL : jinja_need_str(run, a[0], "chars"), true, true);
}

FILTER(filter_replace) {
    UNUSED;
    int64_t count = given(a[2]) && a[2].type != J_NONE ? jinja_need_int(run, a[2], "count") : -1;
    jval s = jinja_to_str(run, self), old = jinja_to_str(run, a[0]), with = jinja_to_str(run, a[1]);
    return jinja_str_replace(run, s.s, old.s, with.s, count);
}

FILTER(filter_string) {
    UNUSED;
    return self.type == J_STR ? self : jinja_to_str(run, self);
}
FILTER(filter_safe) {
    UNUSED;
    jval s = jinja_to_str(run, self);
    s = jinja_str_pick(run, s.s, s.s->data, s.s->size);
    s.s->markup = true;
    return s;
}
FILTER(filter_escape) {
    UNUSED;
    return jinja_escape_html(run, self);
}
FILTER(filter_forceescape) {
    UNUSED;
    return jinja_escape_html(run, jinja_to_str(run, self));
}

FILTER(filter_indent) {
    UNUSED;
    if (self.type == J_UNDEFINED) jinja_raise_undefined(run, self);
    const jstr *s = jinja_need_str(run, self, "the indented value");
    jval indent;
    if (given(a[0]) && a[0].type == J_STR) {
        indent = a[0];
    } else {
        int64_t width = given(a[0]) ? jinja_need_int(run, a[0], "width") : 4;
        indent = jinja_binary(run, JOP_MUL, jinja_str_literal(run, " "), jinja_int(width));
    }
    bool first = flag(run, a[1], false), blank = flag(run, a[2], false);
    static const jstr newline = {.data = "\n", .size = 1, .chars = 1};
    jlist *lines = jinja_str_splitlines(run, jinja_concat(run, s, &newline).s, false);
    jbuilder b;
    jinja_build_init(&b);
    for (size_t i = 0; i < lines->count; i++) {
        const jstr *line = lines->items[i].s;
        if (i) jinja_build(run, &b, "\n", 1);
        if (i ? blank || line->size : first) jinja_build(run, &b, indent.s->data, indent.s->size);
        jinja_build(run, &b, line->data, line->size);
    }
    jval out = jinja_build_end(run, &b);
    out.s->markup = s->markup;
    return out;
}

FILTER(filter_center) {
    UNUSED;
    return jinja_str_pad(run, soft(run, self), given(a[0]) ? jinja_need_int(run, a[0], "width") : 80, NULL, 0);
}

FILTER(filter_truncate) {
    UNUSED;
    int64_t length = given(a[0]) ? jinja_need_int(run, a[0], "length") : 255;
    jval end = given(a[2]) ? a[2] : jinja_str_literal(run, "...");
    int64_t leeway = given(a[3]) && a[3].type != J_NONE ? jinja_need_int(run, a[3], "leeway") : 5;
    int64_t end_chars = (int64_t)jinja_str_chars(run, jinja_need_str(run, end, "end"));
    if (length < end_chars || leeway < 0)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "truncate: length or leeway too small");
    size_t chars;
    if (!jinja_length(run, self, &chars))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "object of type '%s' has no len()", jinja_type_name(self));
    if ((int64_t)chars - leeway <= length) return self;
    jval cut = jinja_slice(run, self, jinja_none(), jinja_int(length - end_chars), jinja_none());
    if (!flag(run, a[1], false)) {
        static const jstr space = {.data = " ", .size = 1, .chars = 1};
        const jstr *s = jinja_need_str(run, cut, "the truncated value");
        size_t at;
        if (jinja_str_find(run, s, 0, s->size, &space, true, &at)) cut = jinja_str_pick(run, s, s->data, at);
    }
    return jinja_binary(run, JOP_ADD, cut, end);
}

FILTER(filter_wordcount) {
    UNUSED;
    const jstr *s = soft(run, self);
    int64_t words = 0;
    bool inside = false;
    jinja_pay(run, s->size / 16);
    for (const char *p = s->data, *end = p + s->size; p < end;) {
        int32_t c;
        p += jinja_utf8_decode(p, end, &c);
        bool word = jinja_is_word(c);
        words += word && !inside;
        inside = word;
    }
    return jinja_int(words);
}

/* urllib.parse.quote; in a query a space is "+" and a slash is quoted. */
static void url_quote(jrun *run, jbuilder *b, jval v, bool query) {
    const jstr *s = jinja_to_str(run, v).s;
    jinja_pay(run, s->size / 16);
    for (size_t i = 0; i < s->size; i++) {
        unsigned char c = (unsigned char)s->data[i];
        char text[4];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.-~", c)) ||
            (c == '/' && !query))
            jinja_build(run, b, s->data + i, 1);
        else if (c == ' ' && query)
            jinja_build(run, b, "+", 1);
        else
            jinja_build(run, b, text, (size_t)snprintf(text, sizeof text, "%%%02X", c));
    }
}

FILTER(filter_urlencode) {
    UNUSED;
    jbuilder b;
    jinja_build_init(&b);
    jiter *pairs = NULL;
    if (self.type == J_DICT) {
        jview *view = jinja_alloc(&run->trap, sizeof *view);
        *view = (jview){.dict = self.dict, .kind = JVIEW_ITEMS};
        pairs = jinja_iter(run, (jval){.type = J_VIEW, .view = view});
    } else if (self.type != J_STR) {
        pairs = jinja_try_iter(run, self);
    }
    if (!pairs) url_quote(run, &b, self, false);
    jval pair;
    for (bool first = true; pairs && jinja_next(run, pairs, &pair); first = false) {
        const jlist *parts = jinja_to_list(run, pair);
        if (parts->count != 2) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "urlencode expects pairs");
        if (!first) jinja_build(run, &b, "&", 1);
        url_quote(run, &b, parts->items[0], true);
        jinja_build(run, &b, "=", 1);
        url_quote(run, &b, parts->items[1], true);
    }
    return jinja_build_end(run, &b);
}

FILTER(filter_format) {
    (void)a;
    if (raw->npos && raw->nkw)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "can't handle positional and keyword arguments at the same time");
    jval args;
    if (raw->nkw) {
        args = jinja_dict_new(run);
        for (size_t i = 0; i < raw->nkw; i++)
            jinja_dict_set(run, args.dict, (jval){.type = J_STR, .s = raw->kw[i].name}, raw->kw[i].value);
    } else {
        args = jinja_tuple_new(run, raw->npos);
        for (size_t i = 0; i < raw->npos; i++) jinja_list_push(run, args.list, raw->pos[i]);
    }
    return jinja_percent(run, soft(run, self), args);
}

FILTER(filter_tojson) {
    UNUSED;
    jval indent = given(a[1]) ? a[1] : jinja_none();
    if (indent.type != J_NONE && indent.type != J_STR)
        indent =
            jinja_binary(run, JOP_MUL, jinja_str_literal(run, " "), jinja_int(jinja_need_int(run, indent, "indent")));
    const jstr *item_sep = NULL, *key_sep = NULL;
    if (given(a[2]) && a[2].type != J_NONE) {
        const jlist *parts = jinja_to_list(run, a[2]);
        if (parts->count != 2) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "separators must be two strings");
        item_sep = jinja_need_str(run, parts->items[0], "a separator");
        key_sep = jinja_need_str(run, parts->items[1], "a separator");
    }
    return jinja_tojson(run, self, flag(run, a[0], false), indent.type == J_STR ? indent.s : NULL, item_sep, key_sep,
                        flag(run, a[3], false));
}

/* ---- numbers ---- */

/* int(text, base): signs, underscores, whitespace and base prefixes as Python reads them. */
bool jinja_parse_int(const jstr *s, int base, int64_t *out, bool *overflow) {
    const char *p = s->data, *end = p + s->size;
    int32_t c;
    *overflow = false;
    for (size_t n; p < end && (n = jinja_utf8_decode(p, end, &c), jinja_is_space(c));) p += n;
    while (end > p && (unsigned char)end[-1] < 0x80 && jinja_is_space(end[-1])) end--;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    char letter = p + 1 < end && *p == '0' ? (char)(p[1] | 32) : 0;
    int prefixed = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (prefixed && (base == prefixed || base == 0)) {
        p += 2;
        base = prefixed;
        if (p < end && *p == '_') p++;
    } else if (base == 0) {
        base = 10;
        if (p + 1 < end && *p == '0') { /* a leading zero is allowed for zero alone */
            for (const char *q = p; q < end; q++)
                if (*q != '0' && *q != '_') return false;
        }
    }
    if (p >= end) return false;
    uint64_t n = 0;
    for (bool digit = false; p < end; p++) {
        if (*p == '_' && digit && p + 1 < end && p[1] != '_') continue;
        int d = *p >= '0' && *p <= '9' ? *p - '0' : (*p | 32) >= 'a' && (*p | 32) <= 'z' ? (*p | 32) - 'a' + 10 : 99;
        if (d >= base) return false;
        digit = true;
        if (n > ((uint64_t)INT64_MAX - (unsigned)d) / (unsigned)base) *overflow = true;
        n = *overflow ? 0 : n * (unsigned)base + (unsigned)d;
    }
    *out = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

bool jinja_parse_float(const jstr *s, double *out) {
    char text[512];
    size_t size = 0;
    const char *p = s->data, *end = p + s->size;
    int32_t c;
    for (size_t n; p < end && (n = jinja_utf8_decode(p, end, &c), jinja_is_space(c));) p += n;
    while (end > p && (unsigned char)end[-1] < 0x80 && jinja_is_space(end[-1])) end--;
    if (p >= end || (size_t)(end - p) >= sizeof text) return false;
    for (; p < end; p++) {
        if (*p == '_') { /* only between digits */
            bool between =
                size && text[size - 1] >= '0' && text[size - 1] <= '9' && p + 1 < end && p[1] >= '0' && p[1] <= '9';
            if (!between) return false;
            continue;
        }
        if (!*p || strchr("xXpP(", *p)) return false; /* hexadecimal and nan(...) are C's, not Python's */
        text[size++] = *p;
    }
    text[size] = 0;
    char *rest;
    *out = strtod(text, &rest);
    return *rest == 0;
}

static jval int_of_float(jrun *run, double f, jval otherwise) {
    if (isnan(f) || isinf(f)) return otherwise;
    if (f >= 9223372036854775808.0 || f < -9223372036854775808.0)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "the number does not fit into a 64-bit integer");
    return jinja_int((int64_t)f);
}

FILTER(filter_int) {
    UNUSED;
    jval otherwise = given(a[0]) ? a[0] : jinja_int(0);
    int64_t base = given(a[1]) ? jinja_need_int(run, a[1], "base") : 10, i;
    if (self.type == J_UNDEFINED) jinja_raise_undefined(run, self);
    if (self.type == J_FLOAT && isinf(self.f))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "cannot convert float infinity to integer");
    if (self.type == J_FLOAT) return int_of_float(run, self.f, otherwise);
    if (jinja_index(self, &i)) return jinja_int(i);
    if (self.type != J_STR) return otherwise;
    bool overflow;
    double f;
    if ((base == 0 || (base >= 2 && base <= 36)) && jinja_parse_int(self.s, (int)base, &i, &overflow)) {
        if (overflow) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "the number does not fit into a 64-bit integer");
        return jinja_int(i);
    }
    return jinja_parse_float(self.s, &f) ? int_of_float(run, f, otherwise) : otherwise;
}

FILTER(filter_float) {
    UNUSED;
    double f;
    if (self.type == J_UNDEFINED) jinja_raise_undefined(run, self);
    if (jinja_is_number(self)) return jinja_float(jinja_as_double(self));
    if (self.type == J_STR && jinja_parse_float(self.s, &f)) return jinja_float(f);
    return given(a[0]) ? a[0] : jinja_float(0);
}

FILTER(filter_abs) {
    UNUSED;
    if (self.type == J_FLOAT) return jinja_float(fabs(self.f));
    int64_t i;
    if (self.type == J_UNDEFINED) jinja_raise_undefined(run, self);
    if (!jinja_index(self, &i))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "bad operand type for abs(): '%s'", jinja_type_name(self));
    return i < 0 ? jinja_negate(run, jinja_int(i)) : jinja_int(i);
}

/* round(): exact half to even, by way of decimal digits for floats. */
static jval round_common(jrun *run, jval v, int64_t precision) {
    int64_t i;
    if (jinja_index(v, &i)) {
        if (precision >= 0) return jinja_int(i);
        if (precision < -18) return jinja_int(0);
        int64_t unit = 1;
        for (; precision < 0; precision++) unit *= 10;
        int64_t low = i / unit * unit - (i % unit < 0 ? unit : 0), rest = i - low;
        bool up = rest > unit / 2 || (rest == unit / 2 && low / unit % 2 != 0);
        if (low < INT64_MIN + unit || low > INT64_MAX - unit) return jinja_int(i);
        return jinja_int(up ? low + unit : low);
    }
    if (!isfinite(v.f) || precision > 320) return v;
    if (precision < -308) return jinja_float(copysign(0, v.f));
    char text[700];
    if (precision >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)precision, v.f);
        double rounded = strtod(text, NULL);
        if (isinf(rounded)) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "rounded value too large to represent");
        return jinja_float(rounded);
    }
    double unit = pow(10, (double)-precision);
    return jinja_float((double)(rintl((long double)v.f / unit) * unit));
}

FILTER(filter_round) {
    UNUSED;
    int64_t precision = given(a[0]) ? jinja_need_int(run, a[0], "precision") : 0;
    const char *method = "common";
    if (given(a[1])) {
        const jstr *name = jinja_need_str(run, a[1], "method");
        method = jinja_str_is(name, "common")  ? "common"
                 : jinja_str_is(name, "ceil")  ? "ceil"
                 : jinja_str_is(name, "floor") ? "floor"
                                               : NULL;
        if (!method) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "method must be common, ceil or floor");
    }
    if (self.type == J_UNDEFINED) jinja_raise_undefined(run, self);
    if (!jinja_is_number(self))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "type %s cannot be rounded", jinja_type_name(self));
    if (*method == 'c' && method[1] == 'o') return round_common(run, self, precision);
    jval scale = jinja_binary(run, JOP_POW, jinja_int(10), jinja_int(precision));
    jval scaled = jinja_binary(run, JOP_MUL, self, scale);
    double f = jinja_as_double(scaled);
    if (!isfinite(f)) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "cannot convert float infinity or NaN to integer");
    jval whole = scaled.type == J_FLOAT ? int_of_float(run, *method == 'f' ? floor(f) : ceil(f), jinja_int(0)) : scaled;
    return jinja_binary(run, JOP_DIV, whole, scale);
}

FILTER(filter_filesizeformat) {
    UNUSED;
    bool binary = flag(run, a[0], false);
    double bytes, base = binary ? 1024 : 1000;
    if (jinja_is_number(self))
        bytes = jinja_as_double(self);
    else if (self.type != J_STR || !jinja_parse_float(self.s, &bytes))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "filesizeformat expects a number");
    char text[64];
    if (bytes == 1) return jinja_str_literal(run, "1 Byte");
    if (bytes < base) {
        snprintf(text, sizeof text, "%lld Bytes", (long long)bytes);
        return jinja_str_copy(run, text, strlen(text));
    }
    static const char prefixes[] = "kMGTPEZY";
    double unit = base;
    int i = 0;
    for (; i < 8; i++) {
        unit *= base;
        if (bytes < unit) break;
    }
    if (i == 8) i = 7;
    snprintf(text, sizeof text, "%.1f %c%s", base * bytes / unit, binary && !i ? 'K' : prefixes[i],
             binary ? "iB" : "B");
    return jinja_str_copy(run, text, strlen(text));
}

FILTER(filter_unsupported) {
    (void)self, UNUSED;
    jinja_raise(&run->trap, WEFT_ERR_UNSUPPORTED,
                "this filter (pprint, random, striptags, urlize, wordwrap, xmlattr) is not supported");
}

const jbuiltin jinja_text_filters[] = {
    {"trim", "chars?", filter_trim},
    {"tojson", "ensure_ascii?,indent?,separators?,sort_keys?", filter_tojson},
    {"string", "", filter_string},
    {"upper", "", filter_upper},
    {"lower", "", filter_lower},
    {"capitalize", "", filter_capitalize},
    {"title", "", filter_title},
    {"replace", "old,new,count?", filter_replace},
    {"indent", "width?,first?,blank?", filter_indent},
    {"int", "default?,base?", filter_int},
    {"float", "default?", filter_float},
    {"abs", "/", filter_abs},
    {"round", "precision?,method?", filter_round},
    {"safe", "", filter_safe},
    {"escape", "", filter_escape},
    {"e", "", filter_escape},
    {"forceescape", "", filter_forceescape},
    {"format", NULL, filter_format},
    {"center", "width?", filter_center},
    {"truncate", "length?,killwords?,end?,leeway?", filter_truncate},
    {"wordcount", "", filter_wordcount},
    {"urlencode", "", filter_urlencode},
    {"filesizeformat", "binary?", filter_filesizeformat},
    {"pprint", NULL, filter_unsupported},
    {"random", NULL, filter_unsupported},
    {"striptags", NULL, filter_unsupported},
    {"urlize", NULL, filter_unsupported},
    {"wordwrap", NULL, filter_unsupported},
    {"xmlattr", NULL, filter_unsupported},
    {0},
};

const jbuiltin *jinja_find_filter(const char *name, size_t size) {
    const jbuiltin *found = jinja_find_in(jinja_text_filters, name, size);
    return found ? found : jinja_find_in(jinja_seq_filters, name, size);
}
