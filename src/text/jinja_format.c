/* "%s" % args and "{}".format(args): Python's two formatting languages, for text and numbers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_internal.h"

enum { WIDTH_MAX = 1 << 20, PRECISION_MAX = 1000 };

/* How one value is to be laid out, common to both languages. */
typedef struct layout {
    jval fill;      /* one character; J_MISSING: space, or zero with `zero` */
    char align;     /* '<' '>' '^' '=', 0: by type */
    char sign;      /* '+', ' ' or 0 */
    bool alternate; /* # */
    bool zero;
    char group;               /* ',' or '_' */
    int64_t width, precision; /* precision -1: none */
    char type;
} layout;

/* Pads `body` (whose first `prefix` bytes are sign and base prefix) to the width. */
static void place(jrun *run, jbuilder *out, const layout *l, jval body, size_t prefix, char default_align) {
    static const jstr space = {.data = " ", .size = 1, .chars = 1}, zero = {.data = "0", .size = 1, .chars = 1};
    const jstr *fill = l->fill.type == J_STR ? l->fill.s : l->zero ? &zero : &space;
    char align = l->align ? l->align : default_align;
    int64_t chars = (int64_t)jinja_str_chars(run, body.s), missing = l->width > chars ? l->width - chars : 0;
    int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
    if (align == '=') {
        jinja_build(run, out, body.s->data, prefix);
        jinja_build_fill(run, out, fill, (size_t)missing);
        jinja_build(run, out, body.s->data + prefix, body.s->size - prefix);
        return;
    }
    jinja_build_fill(run, out, fill, (size_t)left);
    jinja_build(run, out, body.s->data, body.s->size);
    jinja_build_fill(run, out, fill, (size_t)(missing - left));
}

/* Thousands: a separator before every `every` digits of the integer part. */
static void build_grouped(jrun *run, jbuilder *b, const char *digits, size_t size, char separator, size_t every) {
    size_t whole = 0;
    while (whole < size && ((digits[whole] >= '0' && digits[whole] <= '9') || (every == 4 && digits[whole] >= 'a') ||
                            (every == 4 && digits[whole] >= 'A' && digits[whole] <= 'F')))
        whole++;
    for (size_t i = 0; i < size; i++) {
        if (separator && i && i < whole && (whole - i) % every == 0) jinja_build(run, b, &separator, 1);
        jinja_build(run, b, digits + i, 1);
    }
}

static void put_sign(jrun *run, jbuilder *b, bool negative, char sign) {
    if (negative)
        jinja_build(run, b, "-", 1);
    else if (sign == '+' || sign == ' ')
        jinja_build(run, b, &sign, 1);
}

static void format_int(jrun *run, jbuilder *out, const layout *l, int64_t value) {
    char digits[72];
    size_t at = sizeof digits;
    unsigned base = l->type == 'x' || l->type == 'X' ? 16 : l->type == 'o' ? 8 : l->type == 'b' ? 2 : 10;
    const char *symbols = l->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    uint64_t u = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do digits[--at] = symbols[u % base];
    while (u /= base);
    jbuilder b;
    jinja_build_init(&b);
    put_sign(run, &b, value < 0, l->sign);
    if (l->alternate && base != 10) {
        char prefix[2] = {'0', l->type};
        jinja_build(run, &b, prefix, 2);
    }
    size_t prefix = b.size;
    for (int64_t n = (int64_t)(sizeof digits - at); n < l->precision; n++) jinja_build(run, &b, "0", 1);
    build_grouped(run, &b, digits + at, sizeof digits - at, l->group, base == 10 ? 3 : 4);
    place(run, out, l, jinja_build_end(run, &b), prefix, l->zero ? '=' : '>');
}

static void format_float(jrun *run, jbuilder *out, const layout *l, double value) {
    char text[1500]; /* 309 digits before, PRECISION_MAX after the point */
    char type = l->type ? l->type : 'r';
    int precision = l->precision < 0 ? 6 : (int)l->precision;
    double magnitude = fabs(value);
    if (type == '%') magnitude *= 100;
    if (!isfinite(magnitude)) {
        snprintf(text, sizeof text, isnan(magnitude) ? "nan" : "inf");
        if (type == 'F' || type == 'E' || type == 'G') snprintf(text, sizeof text, isnan(magnitude) ? "NAN" : "INF");
    } else if (type == 'r' && l->precision < 0) {
        char repr[40];
        size_t n = jinja_float_repr(magnitude, repr);
        memcpy(text, repr, n + 1);
    } else if (type == 'r') { /* like g, with a decimal point kept */
        snprintf(text, sizeof text, "%.*g", precision ? precision : 1, magnitude);
        if (!strpbrk(text, ".e") && strlen(text) < (size_t)(precision ? precision : 1)) strcat(text, ".0");
    } else {
        char c_format[8] = "%#.*f";
        c_format[4] = type == 'n' ? 'g' : type == '%' ? 'f' : type;
        if (!l->alternate) memmove(c_format + 1, c_format + 2, 5);
        snprintf(text, sizeof text, c_format, precision, magnitude);
    }
    jbuilder b;
    jinja_build_init(&b);
    put_sign(run, &b, signbit(value) && !isnan(value), l->sign);
    size_t prefix = b.size;
    build_grouped(run, &b, text, strlen(text), l->group, 3);
    if (type == '%') jinja_build(run, &b, "%", 1);
    place(run, out, l, jinja_build_end(run, &b), prefix, l->zero ? '=' : '>');
}

static void format_text(jrun *run, jbuilder *out, const layout *l, jval text, char default_align) {
    if (l->precision >= 0) {
        text = jinja_slice(run, text, jinja_int(0), jinja_int(l->precision), jinja_none());
    }
    place(run, out, l, text, 0, default_align);
}

/* ---- "..." % args ---- */

typedef struct percent {
    jrun *run;
    jval args;
    size_t next;  /* positional arguments used */
    bool mapping; /* %(name)s was used */
} percent;

static jval next_argument(percent *p) {
    if (p->args.type == J_TUPLE) {
        if (p->next >= p->args.list->count)
            jinja_raise(&p->run->trap, WEFT_ERR_FORMAT, "not enough arguments for format string");
        return p->args.list->items[p->next++];
    }
    if (p->next++) jinja_raise(&p->run->trap, WEFT_ERR_FORMAT, "not enough arguments for format string");
    return p->args;
}

static int64_t read_number(jrun *run, const char **s, const char *end, int64_t max) {
    int64_t n = 0;
    for (; *s < end && **s >= '0' && **s <= '9'; (*s)++) {
        n = n * 10 + (**s - '0');
        if (n > max) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "a width or precision in a format is too large");
    }
    return n;
}

static int64_t star_or_number(percent *p, const char **s, const char *end, int64_t max) {
    if (*s >= end || **s != '*') return read_number(p->run, s, end, max);
    (*s)++;
    int64_t n = jinja_need_int(p->run, next_argument(p), "* ");
    if (n > max || n < -max)
        jinja_raise(&p->run->trap, WEFT_ERR_LIMIT, "a width or precision in a format is too large");
    return n;
}

static void percent_value(percent *p, jbuilder *out, layout *l, jval v) {
    jrun *run = p->run;
    char type = l->type;
    l->align = l->align ? l->align : (char)0;
    int64_t i;
    switch (type) {
    case 's': format_text(run, out, l, jinja_to_str(run, v), '>'); return;
    case 'r':
    case 'a': format_text(run, out, l, jinja_repr(run, v), '>'); return;
    case 'c': {
        jbuilder b;
        jinja_build_init(&b);
        if (v.type == J_STR && jinja_str_chars(run, v.s) == 1)
            jinja_build(run, &b, v.s->data, v.s->size);
        else if (jinja_index(v, &i) && i >= 0 && i < 0x110000 && !(i >= 0xD800 && i < 0xE000))
            jinja_build_char(run, &b, (int32_t)i);
        else
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%%c requires int or char");
        l->precision = -1;
        format_text(run, out, l, jinja_build_end(run, &b), '>');
        return;
    }
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        if (v.type == J_UNDEFINED) jinja_raise_undefined(run, v);
        if (v.type == J_FLOAT && type != 'x' && type != 'X' && type != 'o') {
            if (!(v.f > -9.2e18 && v.f < 9.2e18)) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "not a 64-bit integer");
            i = (int64_t)v.f;
        } else if (!jinja_index(v, &i)) {
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%%%c format: a real number is required, not %s", type,
                        jinja_type_name(v));
        }
        l->type = type == 'i' || type == 'u' ? 'd' : type;
        format_int(run, out, l, i);
        return;
    default:
        if (v.type == J_UNDEFINED) jinja_raise_undefined(run, v);
        if (!strchr("eEfFgG", type) || !jinja_is_number(v))
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unsupported format character or value in a %% format");
        format_float(run, out, l, jinja_as_double(v));
    }
}

static const char *percent_item(percent *p, jbuilder *out, const char *s, const char *end) {
    jrun *run = p->run;
    jval keyed = {0};
    if (s < end && *s == '(') {
        const char *name = ++s;
        for (int depth = 1; s < end; s++) {
            depth += *s == '(' ? 1 : *s == ')' ? -1 : 0;
            if (!depth) break;
        }
        if (s >= end) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "incomplete format key");
        if (p->args.type != J_DICT) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "format requires a mapping");
        if (!jinja_dict_get_text(run, p->args.dict, name, (size_t)(s - name), &keyed))
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a format key is not in the mapping");
        p->mapping = true;
        s++;
    }
    layout l = {.precision = -1};
    bool minus = false;
    for (; s < end && strchr("#0- +", *s) && *s; s++) {
        minus |= *s == '-';
        l.zero |= *s == '0';
        l.alternate |= *s == '#';
        if (*s == '+' || (*s == ' ' && l.sign != '+')) l.sign = *s;
    }
    l.width = star_or_number(p, &s, end, WIDTH_MAX);
    if (l.width < 0) {
        minus = true;
        l.width = -l.width;
    }
    if (s < end && *s == '.') {
        s++;
        l.precision = star_or_number(p, &s, end, PRECISION_MAX);
        if (l.precision < 0) l.precision = 0;
    }
    while (s < end && (*s == 'h' || *s == 'l' || *s == 'L')) s++;
    if (s >= end) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "incomplete format");
    if (minus) {
        l.align = '<';
        l.zero = false;
    }
    l.type = *s++;
    if (l.type == '%') {
        jinja_build(run, out, "%", 1);
        return s;
    }
    if (strchr("srac", l.type)) l.zero = false;
    percent_value(p, out, &l, keyed.type != J_MISSING ? keyed : next_argument(p));
    return s;
}

jval jinja_percent(jrun *run, const jstr *format, jval args) {
    percent p = {.run = run, .args = args};
    jbuilder out;
    jinja_build_init(&out);
    const char *s = format->data, *end = s + format->size;
    while (s < end) {
        const char *at = memchr(s, '%', (size_t)(end - s));
        if (!at) at = end;
        jinja_build(run, &out, s, (size_t)(at - s));
        s = at < end ? percent_item(&p, &out, at + 1, end) : end;
        jinja_pay(run, 1);
    }
    /* What has subscripts counts as a mapping, and a mapping need not be used up. */
    bool mapping = args.type == J_DICT || args.type == J_LIST || args.type == J_RANGE || args.type == J_UNDEFINED;
    bool all_used = args.type == J_TUPLE ? p.next >= args.list->count : p.next || mapping;
    if (!all_used) {
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "not all arguments converted during string formatting");
    }
    return jinja_build_end(run, &out);
}

/* ---- "{}".format(args) ---- */

typedef struct formatter {
    jrun *run;
    const jargs *args;
    size_t next;
    bool automatic, manual;
} formatter;

static jval field_root(formatter *f, const char *name, size_t size) {
    jrun *run = f->run;
    bool digits = size > 0 && size < 10;
    size_t index = 0;
    for (size_t i = 0; i < size && digits; i++) {
        digits = name[i] >= '0' && name[i] <= '9';
        index = index * 10 + (size_t)(name[i] - '0');
    }
    if (!size || digits) {
        f->automatic |= !size;
        f->manual |= size != 0;
        if (f->automatic && f->manual)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "cannot switch between manual and automatic field numbering");
        if (!size) index = f->next++;
        if (index >= f->args->npos) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a format index is out of range");
        return f->args->pos[index];
    }
    for (size_t i = 0; i < f->args->nkw; i++)
        if (f->args->kw[i].name->size == size && memcmp(f->args->kw[i].name->data, name, size) == 0)
            return f->args->kw[i].value;
    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a format name is not given");
}

/* name.attribute[key]... */
static jval field_value(formatter *f, const char *s, const char *end) {
    jrun *run = f->run;
    const char *p = s;
    while (p < end && *p != '.' && *p != '[') p++;
    jval v = field_root(f, s, (size_t)(p - s));
    while (p < end) {
        bool subscript = *p == '[';
        const char *name = ++p;
        while (p < end && (subscript ? *p != ']' : *p != '.' && *p != '[')) p++;
        size_t size = (size_t)(p - name);
        if (!size || (subscript && p >= end)) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a malformed format field");
        jval key = jinja_str_copy(run, name, size);
        int64_t index;
        bool overflow, number = subscript && jinja_parse_int(key.s, 10, &index, &overflow) && name[0] != '-';
        v = number      ? jinja_getitem(run, v, jinja_int(index))
            : subscript ? jinja_getitem(run, v, key)
                        : jinja_getattr(run, v, key);
        if (subscript) p++;
        if (subscript && p < end && *p != '.' && *p != '[')
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "only '.' or '[' may follow ']' in a format field");
    }
    return v;
}

static layout parse_layout(jrun *run, const jstr *spec) {
    layout l = {.precision = -1};
    const char *s = spec->data, *end = s + spec->size;
    if (s < end) {
        int32_t c;
        size_t n = jinja_utf8_decode(s, end, &c);
        if (s + n < end && strchr("<>^=", s[n]) && s[n]) {
            l.fill = jinja_str_pick(run, spec, s, n);
            l.align = s[n];
            s += n + 1;
        } else if (strchr("<>^=", *s) && *s) {
            l.align = *s++;
        }
    }
    if (s < end && (*s == '+' || *s == '-' || *s == ' ')) l.sign = *s == '-' ? 0 : *s, s++;
    if (s < end && *s == '#') l.alternate = true, s++;
    if (s < end && *s == '0') {
        l.zero = true;
        s++;
    }
    l.width = read_number(run, &s, end, WIDTH_MAX);
    if (s < end && (*s == ',' || *s == '_')) l.group = *s++;
    if (s < end && *s == '.') {
        const char *digits = ++s;
        l.precision = read_number(run, &s, end, PRECISION_MAX);
        if (s == digits) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "format specifier missing precision");
    }
    if (s < end) l.type = *s++;
    if (s < end) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "invalid format specifier");
    return l;
}

static void format_value(jrun *run, jbuilder *out, jval v, const jstr *spec) {
    if (!spec->size) {
        jinja_build_str(run, out, v);
        return;
    }
    layout l = parse_layout(run, spec);
    if (v.type == J_BOOL) v = jinja_int(v.b); /* only without a specifier is it a word */
    int64_t i;
    if (v.type == J_STR) {
        if ((l.type && l.type != 's') || l.align == '=' || l.sign || l.group || l.alternate)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "the format specifier does not fit a string");
        format_text(run, out, &l, jinja_to_str(run, v), '<');
    } else if (jinja_index(v, &i) && (!l.type || strchr("bcdoxXn", l.type))) {
        if (l.precision >= 0)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "precision not allowed in integer format specifier");
        if (l.type == 'c') jinja_raise(&run->trap, WEFT_ERR_UNSUPPORTED, "the format type 'c' is not supported");
        if (!l.type || l.type == 'n') l.type = 'd';
        format_int(run, out, &l, i);
    } else if (jinja_is_number(v) && (!l.type || strchr("eEfFgGn%", l.type))) {
        format_float(run, out, &l, jinja_as_double(v));
    } else {
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unsupported format specifier for '%s'", jinja_type_name(v));
    }
}

static void format_string(formatter *f, jbuilder *out, const char *s, const char *end, int depth);

/* The field after '{': name!conversion:spec}. Returns the position after '}'. */
static const char *format_field(formatter *f, jbuilder *out, const char *s, const char *end, int depth) {
    jrun *run = f->run;
    const char *name = s;
    int brackets = 0;
    while (s < end && (brackets || (*s != '!' && *s != ':' && *s != '}'))) {
        if (*s == '{') jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unexpected '{' in field name");
        brackets += *s == '[' ? 1 : *s == ']' && brackets ? -1 : 0;
        s++;
    }
    if (s >= end) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "expected '}' before end of string");
    jval v = field_value(f, name, s);
    if (*s == '!') {
        if (s + 1 >= end || !strchr("rsa", s[1]) || !s[1])
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unknown conversion specifier");
        v = s[1] == 's' ? jinja_to_str(run, v) : jinja_repr(run, v);
        s += 2;
        if (s >= end || (*s != ':' && *s != '}'))
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "expected ':' after conversion specifier");
    }
    jbuilder spec;
    jinja_build_init(&spec);
    if (*s == ':') {
        const char *from = ++s;
        int nested = 1;
        for (; s < end && nested; s++) nested += *s == '{' ? 1 : *s == '}' ? -1 : 0;
        if (nested) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "expected '}' before end of string");
        s--;
        format_string(f, &spec, from, s, depth + 1);
    }
    jval spec_text = jinja_build_end(run, &spec);
    if (v.type == J_UNDEFINED && spec_text.s->size) jinja_raise_undefined(run, v);
    format_value(run, out, v, spec_text.s);
    return s + 1;
}

static void format_string(formatter *f, jbuilder *out, const char *s, const char *end, int depth) {
    jrun *run = f->run;
    if (depth > 2) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "max string recursion exceeded");
    while (s < end) {
        jinja_pay(run, 1);
        const char *p = s;
        while (p < end && *p != '{' && *p != '}') p++;
        jinja_build(run, out, s, (size_t)(p - s));
        if (p >= end) return;
        if (p + 1 < end && p[1] == *p) {
            jinja_build(run, out, p, 1);
            s = p + 2;
            continue;
        }
        if (*p == '}' || p + 1 >= end)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "single '%c' encountered in format string", *p);
        s = format_field(f, out, p + 1, end, depth);
    }
}

jval jinja_format(jrun *run, const jstr *format, const jargs *args) {
    formatter f = {.run = run, .args = args};
    jbuilder out;
    jinja_build_init(&out);
    format_string(&f, &out, format->data, format->data + format->size, 1);
    return jinja_build_end(run, &out);
}
