/* String methods that search, cut and join. Positions are code points outside, bytes inside; parts share the bytes of
 * the string they come from. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_internal.h"

bool jinja_str_find(jrun *run, const jstr *s, size_t from, size_t to, const jstr *sub, bool last, size_t *at) {
    if (from > to || sub->size > to - from) return false;
    if (!sub->size) {
        *at = last ? to : from;
        return true;
    }
    jinja_pay(run, 1);
    if (!last) { /* glibc's memmem is linear */
        const char *found = memmem(s->data + from, to - from, sub->data, sub->size);
        if (found) *at = (size_t)(found - s->data);
        jinja_pay(run, ((found ? *at : to) - from) / 64);
        return found != NULL;
    }
    for (size_t i = to - sub->size + 1; i-- > from;) {
        if (s->data[i] != sub->data[0]) continue;
        jinja_pay(run, 1 + sub->size / 64);
        if (memcmp(s->data + i, sub->data, sub->size) != 0) continue;
        *at = i;
        return true;
    }
    jinja_pay(run, (to - from) / 64);
    return false;
}

/* ---- strip ---- */

static bool in_chars(jrun *run, int32_t c, const jstr *chars) {
    if (!chars) return jinja_is_space(c);
    jinja_pay(run, 1 + chars->size / 32);
    for (const char *p = chars->data, *end = p + chars->size; p < end;) {
        int32_t other;
        p += jinja_utf8_decode(p, end, &other);
        if (other == c) return true;
    }
    return false;
}

jval jinja_str_strip(jrun *run, const jstr *s, const jstr *chars, bool left, bool right) {
    const char *start = s->data, *end = start + s->size;
    int32_t c;
    while (left && start < end) {
        size_t n = jinja_utf8_decode(start, end, &c);
        if (!in_chars(run, c, chars)) break;
        start += n;
    }
    while (right && end > start) {
        const char *p = end - 1;
        while (p > start && ((unsigned char)*p & 0xC0) == 0x80) p--;
        jinja_utf8_decode(p, end, &c);
        if (!in_chars(run, c, chars)) break;
        end = p;
    }
    return jinja_str_pick(run, s, start, (size_t)(end - start));
}

/* An optional string argument where None means "not given". */
static const jstr *optional_str(jrun *run, jval v, const char *what) {
    return v.type == J_MISSING || v.type == J_NONE ? NULL : jinja_need_str(run, v, what);
}

#define METHOD(name) static jval name(jrun *run, jval self, jval *a, const jargs *raw)

METHOD(str_strip) {
    (void)raw;
    return jinja_str_strip(run, self.s, optional_str(run, a[0], "strip argument"), true, true);
}
METHOD(str_lstrip) {
    (void)raw;
    return jinja_str_strip(run, self.s, optional_str(run, a[0], "strip argument"), true, false);
}
METHOD(str_rstrip) {
    (void)raw;
    return jinja_str_strip(run, self.s, optional_str(run, a[0], "strip argument"), false, true);
}
METHOD(str_removeprefix) {
    (void)raw;
    const jstr *s = self.s, *prefix = jinja_need_str(run, a[0], "the prefix");
    bool has = prefix->size <= s->size && memcmp(s->data, prefix->data, prefix->size) == 0;
    return has ? jinja_str_pick(run, s, s->data + prefix->size, s->size - prefix->size) : self;
}
METHOD(str_removesuffix) {
    (void)raw;
    const jstr *s = self.s, *suffix = jinja_need_str(run, a[0], "the suffix");
    bool has = suffix->size <= s->size && memcmp(s->data + s->size - suffix->size, suffix->data, suffix->size) == 0;
    return has ? jinja_str_pick(run, s, s->data, s->size - suffix->size) : self;
}

/* ---- split ---- */

static void push_part(jrun *run, jlist *out, const jstr *s, const char *from, const char *to) {
    jinja_list_push(run, out, jinja_str_pick(run, s, from, (size_t)(to - from)));
}

static void split_space(jrun *run, jlist *out, const jstr *s, int64_t max) {
    const char *p = s->data, *end = p + s->size;
    int32_t c;
    jinja_pay(run, s->size / 16);
    for (;;) {
        size_t n = 0;
        while (p < end && (n = jinja_utf8_decode(p, end, &c), jinja_is_space(c))) p += n;
        if (p == end) return;
        const char *start = p;
        if (max-- == 0) { /* the rest, trailing whitespace and all */
            push_part(run, out, s, start, end);
            return;
        }
        while (p < end && (n = jinja_utf8_decode(p, end, &c), !jinja_is_space(c))) p += n;
        push_part(run, out, s, start, p);
    }
}

static const char *before(const char *start, const char *p, int32_t *c) {
    const char *end = p--;
    while (p > start && ((unsigned char)*p & 0xC0) == 0x80) p--;
    jinja_utf8_decode(p, end, c);
    return p;
}

static void rsplit_space(jrun *run, jlist *out, const jstr *s, int64_t max) {
    const char *start = s->data, *end = start + s->size, *q;
    int32_t c;
    jinja_pay(run, s->size / 16);
    for (;;) {
        while (end > start && (q = before(start, end, &c), jinja_is_space(c))) end = q;
        if (end == start) return;
        if (max-- == 0) {
            push_part(run, out, s, start, end);
            return;
        }
        const char *p = end;
        while (p > start && (q = before(start, p, &c), !jinja_is_space(c))) p = q;
        push_part(run, out, s, p, end);
        end = p;
    }
}

static void reverse(jlist *list) {
    for (size_t i = 0; i < list->count / 2; i++) {
        jval swap = list->items[i];
        list->items[i] = list->items[list->count - 1 - i];
        list->items[list->count - 1 - i] = swap;
    }
}

static jval split(jrun *run, const jstr *s, jval *a, bool from_right) {
    const jstr *sep = optional_str(run, a[0], "the separator");
    int64_t max = a[1].type == J_MISSING ? -1 : jinja_need_int(run, a[1], "maxsplit");
    jval out = jinja_list_new(run, 0);
    if (sep && !sep->size) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "empty separator");
    if (!sep) {
        (from_right ? rsplit_space : split_space)(run, out.list, s, max);
    } else if (from_right) {
        size_t end = s->size, at;
        while (max-- != 0 && jinja_str_find(run, s, 0, end, sep, true, &at)) {
            push_part(run, out.list, s, s->data + at + sep->size, s->data + end);
            end = at;
        }
        push_part(run, out.list, s, s->data, s->data + end);
    } else {
        size_t start = 0, at;
        while (max-- != 0 && jinja_str_find(run, s, start, s->size, sep, false, &at)) {
            push_part(run, out.list, s, s->data + start, s->data + at);
            start = at + sep->size;
        }
        push_part(run, out.list, s, s->data + start, s->data + s->size);
    }
    if (from_right) reverse(out.list);
    return out;
}
METHOD(str_split) {
    (void)raw;
    return split(run, self.s, a, false);
}
METHOD(str_rsplit) {
    (void)raw;
    return split(run, self.s, a, true);
}

static bool is_line_end(int32_t c) {
    return (c >= 0xA && c <= 0xD) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

jlist *jinja_str_splitlines(jrun *run, const jstr *s, bool keep) {
    jlist *out = jinja_list_new(run, 0).list;
    jinja_pay(run, s->size / 16);
    const char *p = s->data, *end = p + s->size, *start = p;
    while (p < end) {
        int32_t c;
        const char *stop = p;
        p += jinja_utf8_decode(p, end, &c);
        if (!is_line_end(c)) continue;
        if (c == '\r' && p < end && *p == '\n') p++;
        push_part(run, out, s, start, keep ? p : stop);
        start = p;
    }
    if (start < end) push_part(run, out, s, start, end);
    return out;
}
METHOD(str_splitlines) {
    (void)raw;
    bool keep = a[0].type != J_MISSING && jinja_truth(run, a[0]);
    return (jval){.type = J_LIST, .list = jinja_str_splitlines(run, self.s, keep)};
}

static jval partition(jrun *run, const jstr *s, jval sep_value, bool last) {
    const jstr *sep = jinja_need_str(run, sep_value, "the separator");
    if (!sep->size) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "empty separator");
    jval out = jinja_tuple_new(run, 3);
    size_t at;
    bool found = jinja_str_find(run, s, 0, s->size, sep, last, &at);
    size_t cut = found ? at : last ? 0 : s->size, after = found ? at + sep->size : cut;
    push_part(run, out.list, s, s->data, s->data + cut);
    push_part(run, out.list, s, s->data + cut, s->data + after);
    push_part(run, out.list, s, s->data + after, s->data + s->size);
    return out;
}
METHOD(str_partition) {
    (void)raw;
    return partition(run, self.s, a[0], false);
}
METHOD(str_rpartition) {
    (void)raw;
    return partition(run, self.s, a[0], true);
}

/* ---- search ---- */

/* start and end arguments as byte offsets; false when the window is empty beyond reach (start after the end). */
static bool window(jrun *run, const jstr *s, jval start, jval end, size_t *from, size_t *to) {
    int64_t chars = (int64_t)jinja_str_chars(run, s);
    int64_t i = start.type == J_MISSING || start.type == J_NONE ? 0 : jinja_need_int(run, start, "start");
    int64_t j = end.type == J_MISSING || end.type == J_NONE ? chars : jinja_need_int(run, end, "end");
    if (i < 0) i = i + chars < 0 ? 0 : i + chars;
    if (j < 0) j = j + chars < 0 ? 0 : j + chars;
    if (j > chars) j = chars;
    if (i > j) return false;
    *from = jinja_str_offset(run, s, (size_t)i);
    *to = jinja_str_offset(run, s, (size_t)j);
    return true;
}

static jval find(jrun *run, jval self, jval *a, bool last, bool must) {
    const jstr *sub = jinja_need_str(run, a[0], "the argument");
    size_t from, to, at;
    if (window(run, self.s, a[1], a[2], &from, &to) && jinja_str_find(run, self.s, from, to, sub, last, &at)) {
        jval before_it = jinja_str_pick(run, self.s, self.s->data, at);
        return jinja_int((int64_t)jinja_str_chars(run, before_it.s));
    }
    if (must) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "substring not found");
    return jinja_int(-1);
}
METHOD(str_find) {
    (void)raw;
    return find(run, self, a, false, false);
}
METHOD(str_rfind) {
    (void)raw;
    return find(run, self, a, true, false);
}
METHOD(str_index) {
    (void)raw;
    return find(run, self, a, false, true);
}
METHOD(str_rindex) {
    (void)raw;
    return find(run, self, a, true, true);
}

METHOD(str_count) {
    (void)raw;
    const jstr *sub = jinja_need_str(run, a[0], "the argument");
    size_t from, to, at;
    if (!window(run, self.s, a[1], a[2], &from, &to)) return jinja_int(0);
    if (!sub->size) {
        jval part = jinja_str_pick(run, self.s, self.s->data + from, to - from);
        return jinja_int((int64_t)jinja_str_chars(run, part.s) + 1);
    }
    int64_t count = 0;
    for (; jinja_str_find(run, self.s, from, to, sub, false, &at); from = at + sub->size) count++;
    return jinja_int(count);
}

static jval affix(jrun *run, jval self, jval *a, bool at_end) {
    size_t from, to;
    bool in_window = window(run, self.s, a[1], a[2], &from, &to);
    jval one = a[0];
    const jval *list = &one;
    size_t count = 1;
    if (a[0].type == J_TUPLE) {
        list = a[0].list->items;
        count = a[0].list->count;
    }
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        const jstr *part = jinja_need_str(run, list[i], "the argument");
        jinja_pay(run, 1 + part->size / 64);
        if (!in_window || part->size > to - from) continue;
        found = memcmp(self.s->data + (at_end ? to - part->size : from), part->data, part->size) == 0;
    }
    return jinja_bool(found);
}
METHOD(str_startswith) {
    (void)raw;
    return affix(run, self, a, false);
}
METHOD(str_endswith) {
    (void)raw;
    return affix(run, self, a, true);
}

/* ---- replace, join, pad ---- */

jval jinja_str_replace(jrun *run, const jstr *s, const jstr *old, const jstr *with, int64_t count) {
    jbuilder b;
    jinja_build_init(&b);
    size_t start = 0, at = 0;
    if (!old->size) { /* between all characters */
        while (count-- != 0) {
            jinja_build(run, &b, with->data, with->size);
            if (start >= s->size) break;
            size_t n = 1;
            while (start + n < s->size && ((unsigned char)s->data[start + n] & 0xC0) == 0x80) n++;
            jinja_build(run, &b, s->data + start, n);
            jinja_pay(run, 1);
            start += n;
        }
    } else {
        for (; count != 0 && jinja_str_find(run, s, start, s->size, old, false, &at); start = at + old->size, count--) {
            jinja_build(run, &b, s->data + start, at - start);
            jinja_build(run, &b, with->data, with->size);
        }
        if (!start && !b.size) return jinja_str_pick(run, s, s->data, s->size); /* nothing found */
    }
    jinja_build(run, &b, s->data + start, s->size - start);
    jval out = jinja_build_end(run, &b);
    out.s->markup = s->markup;
    return out;
}
METHOD(str_replace) {
    (void)raw;
    const jstr *old = jinja_need_str(run, a[0], "the old part"), *with = jinja_need_str(run, a[1], "the new part");
    return jinja_str_replace(run, self.s, old, with, a[2].type == J_MISSING ? -1 : jinja_need_int(run, a[2], "count"));
}

METHOD(str_join) {
    (void)raw;
    jiter *iter = jinja_iter(run, a[0]);
    jbuilder b;
    jinja_build_init(&b);
    jval item;
    for (bool first = true; jinja_next(run, iter, &item); first = false) {
        const jstr *part = jinja_need_str(run, item, "a joined item");
        if (!first) jinja_build(run, &b, self.s->data, self.s->size);
        jinja_build(run, &b, part->data, part->size);
    }
    return jinja_build_end(run, &b);
}

jval jinja_str_pad(jrun *run, const jstr *s, int64_t width, const jstr *fill, int where) {
    static const jstr space = {.data = " ", .size = 1, .chars = 1};
    if (!fill) fill = &space;
    if (jinja_str_chars(run, fill) != 1)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "the fill character must be exactly one character long");
    int64_t chars = (int64_t)jinja_str_chars(run, s), missing = width - chars;
    if (missing <= 0) return jinja_str_pick(run, s, s->data, s->size);
    int64_t left = where < 0 ? missing : where > 0 ? 0 : missing / 2 + (missing & width & 1);
    jbuilder b;
    jinja_build_init(&b);
    jinja_build_fill(run, &b, fill, (size_t)left);
    jinja_build(run, &b, s->data, s->size);
    jinja_build_fill(run, &b, fill, (size_t)(missing - left));
    jval out = jinja_build_end(run, &b);
    out.s->markup = s->markup;
    return out;
}
METHOD(str_ljust) {
    (void)raw;
    return jinja_str_pad(run, self.s, jinja_need_int(run, a[0], "width"), optional_str(run, a[1], "fill"), 1);
}
METHOD(str_rjust) {
    (void)raw;
    return jinja_str_pad(run, self.s, jinja_need_int(run, a[0], "width"), optional_str(run, a[1], "fill"), -1);
}
METHOD(str_center) {
    (void)raw;
    return jinja_str_pad(run, self.s, jinja_need_int(run, a[0], "width"), optional_str(run, a[1], "fill"), 0);
}
METHOD(str_zfill) {
    (void)raw;
    static const jstr zero = {.data = "0", .size = 1, .chars = 1};
    int64_t width = jinja_need_int(run, a[0], "width");
    bool sign = self.s->size && (self.s->data[0] == '+' || self.s->data[0] == '-');
    if (!sign) return jinja_str_pad(run, self.s, width, &zero, -1);
    jval digits = jinja_str_pick(run, self.s, self.s->data + 1, self.s->size - 1);
    digits = jinja_str_pad(run, digits.s, width > INT64_MIN ? width - 1 : width, &zero, -1);
    jval first = jinja_str_pick(run, self.s, self.s->data, 1);
    return jinja_concat(run, first.s, digits.s);
}

METHOD(str_expandtabs) {
    (void)raw;
    static const jstr space = {.data = " ", .size = 1, .chars = 1};
    int64_t size = a[0].type == J_MISSING ? 8 : jinja_need_int(run, a[0], "tabsize"), column = 0;
    jbuilder b;
    jinja_build_init(&b);
    for (size_t i = 0; i < self.s->size; i++) {
        char c = self.s->data[i];
        jinja_pay(run, 1);
        if (c == '\t') {
            int64_t n = size > 0 ? size - column % size : 0;
            jinja_build_fill(run, &b, &space, (size_t)n);
            column += n;
            continue;
        }
        column = c == '\n' || c == '\r' ? 0 : column + (((unsigned char)c & 0xC0) != 0x80);
        jinja_build(run, &b, &c, 1);
    }
    return jinja_build_end(run, &b);
}

METHOD(str_format) {
    (void)a;
    return jinja_format(run, self.s, raw);
}
METHOD(str_format_map) {
    (void)raw;
    if (a[0].type != J_DICT) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "format_map() takes a mapping");
    jargs args = {.kw = jinja_alloc(&run->trap, (a[0].dict->count + 1) * sizeof(jkeyword))};
    for (size_t i = 0; i < a[0].dict->count; i++)
        if (a[0].dict->pairs[i].key.type == J_STR)
            args.kw[args.nkw++] = (jkeyword){a[0].dict->pairs[i].key.s, a[0].dict->pairs[i].value};
    return jinja_format(run, self.s, &args);
}
METHOD(str_bytes) {
    (void)self, (void)a, (void)raw;
    jinja_raise(&run->trap, WEFT_ERR_UNSUPPORTED, "encode, translate and maketrans are not supported");
}

/* Asked first; jinja_case_methods (jinja_strcase.c) second. */
const jbuiltin jinja_str_methods[] = {
    {"strip", "/chars?", str_strip},
    {"lstrip", "/chars?", str_lstrip},
    {"rstrip", "/chars?", str_rstrip},
    {"split", "sep?,maxsplit?", str_split},
    {"startswith", "/prefix,start?,end?", str_startswith},
    {"endswith", "/suffix,start?,end?", str_endswith},
    {"replace", "/old,new,count?", str_replace},
    {"join", "/iterable", str_join},
    {"find", "/sub,start?,end?", str_find},
    {"format", NULL, str_format},
    {"rsplit", "sep?,maxsplit?", str_rsplit},
    {"splitlines", "keepends?", str_splitlines},
    {"removeprefix", "/prefix", str_removeprefix},
    {"removesuffix", "/suffix", str_removesuffix},
    {"partition", "/sep", str_partition},
    {"rpartition", "/sep", str_rpartition},
    {"rfind", "/sub,start?,end?", str_rfind},
    {"index", "/sub,start?,end?", str_index},
    {"rindex", "/sub,start?,end?", str_rindex},
    {"count", "/sub,start?,end?", str_count},
    {"ljust", "/width,fill?", str_ljust},
    {"rjust", "/width,fill?", str_rjust},
    {"center", "/width,fill?", str_center},
    {"zfill", "/width", str_zfill},
    {"expandtabs", "tabsize?", str_expandtabs},
    {"format_map", "/mapping", str_format_map},
    {"encode", NULL, str_bytes},
    {"translate", NULL, str_bytes},
    {"maketrans", NULL, str_bytes},
    {0},
};
