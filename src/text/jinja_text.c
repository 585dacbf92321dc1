/* Values as text: Python's str() and repr(), JSON as transformers' tojson writes it (json.dumps with ensure_ascii off),
 * HTML escaping. Floats print by the shortest digits that read back to the same value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_internal.h"

/* float.__repr__: scientific below 1e-4 and from 1e16 on, otherwise positional with at least one decimal. */
size_t jinja_float_repr(double f, char out[40]) {
    if (isnan(f)) return (size_t)sprintf(out, "nan");
    if (isinf(f)) return (size_t)sprintf(out, f < 0 ? "-inf" : "inf");
    char digits[40];
    int precision = 1;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, f);
    } while (strtod(digits, NULL) != f && ++precision <= 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        char *e = strchr(digits, 'e');
        *e = 0;
        return (size_t)snprintf(out, 40, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
    }
    int decimals = precision - 1 - exponent;
    return (size_t)snprintf(out, 40, "%.*f", decimals < 1 ? 1 : decimals, f);
}

static void build_int(jrun *run, jbuilder *b, int64_t i) {
    char text[24];
    jinja_build(run, b, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)i));
}

static void build_float(jrun *run, jbuilder *b, double f) {
    char text[40];
    jinja_build(run, b, text, jinja_float_repr(f, text));
}

/* Single quotes, unless the text has a single and no double quote. */
static void build_str_repr(jrun *run, jbuilder *b, const jstr *s) {
    bool single = memchr(s->data, '\'', s->size) != NULL, has_double = memchr(s->data, '"', s->size) != NULL;
    char quote = s->size && single && !has_double ? '"' : '\'';
    if (s->markup) jinja_build_text(run, b, "Markup(");
    jinja_build(run, b, &quote, 1);
    for (const char *p = s->data, *end = p + s->size; p < end;) {
        int32_t c;
        size_t n = jinja_utf8_decode(p, end, &c);
        char text[12];
        int size = 0;
        if (c == quote || c == '\\')
            size = snprintf(text, sizeof text, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            size = snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!jinja_is_printable(c))
            size = snprintf(text, sizeof text,
                            c < 0x100     ? "\\x%02x"
                            : c < 0x10000 ? "\\u%04x"
                                          : "\\U%08x",
                            (unsigned)c);
        jinja_build(run, b, size ? text : p, size ? (size_t)size : n);
        p += n;
    }
    jinja_build(run, b, &quote, 1);
    if (s->markup) jinja_build_text(run, b, ")");
    jinja_pay(run, s->size / 16);
}

static void build_items(jrun *run, jbuilder *b, const jlist *list, const char *open, const char *close) {
    jinja_build_text(run, b, open);
    for (size_t i = 0; i < list->count; i++) {
        if (i) jinja_build_text(run, b, ", ");
        jinja_build_repr(run, b, list->items[i]);
    }
    jinja_build_text(run, b, close);
}

static void build_dict(jrun *run, jbuilder *b, const jdict *dict) {
    jinja_build_text(run, b, "{");
    for (size_t i = 0; i < dict->count; i++) {
        if (i) jinja_build_text(run, b, ", ");
        jinja_build_repr(run, b, dict->pairs[i].key);
        jinja_build_text(run, b, ": ");
        jinja_build_repr(run, b, dict->pairs[i].value);
    }
    jinja_build_text(run, b, "}");
}

static void build_view(jrun *run, jbuilder *b, const jview *view) {
    jinja_build_text(run, b, jinja_type_name((jval){.type = J_VIEW, .view = (jview *)view}));
    jinja_build_text(run, b, "([");
    for (size_t i = 0; i < view->dict->count; i++) {
        if (i) jinja_build_text(run, b, ", ");
        const jpair *pair = &view->dict->pairs[i];
        if (view->kind == JVIEW_ITEMS) jinja_build_text(run, b, "(");
        if (view->kind != JVIEW_VALUES) jinja_build_repr(run, b, pair->key);
        if (view->kind == JVIEW_ITEMS) jinja_build_text(run, b, ", ");
        if (view->kind != JVIEW_KEYS) jinja_build_repr(run, b, pair->value);
        if (view->kind == JVIEW_ITEMS) jinja_build_text(run, b, ")");
    }
    jinja_build_text(run, b, "])");
}

void jinja_build_repr(jrun *run, jbuilder *b, jval v) {
    jinja_pay(run, 1);
    jinja_enter(run);
    char text[96];
    switch (v.type) {
    case J_MISSING: break;
    case J_UNDEFINED: jinja_build_text(run, b, "Undefined"); break;
    case J_NONE: jinja_build_text(run, b, "None"); break;
    case J_BOOL: jinja_build_text(run, b, v.b ? "True" : "False"); break;
    case J_INT: build_int(run, b, v.i); break;
    case J_FLOAT: build_float(run, b, v.f); break;
    case J_STR: build_str_repr(run, b, v.s); break;
    case J_LIST: build_items(run, b, v.list, "[", "]"); break;
    case J_TUPLE: build_items(run, b, v.list, "(", v.list->count == 1 ? ",)" : ")"); break;
    case J_DICT: build_dict(run, b, v.dict); break;
    case J_VIEW: build_view(run, b, v.view); break;
    case J_RANGE:
        snprintf(text, sizeof text, v.range->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)",
                 (long long)v.range->start, (long long)v.range->stop, (long long)v.range->step);
        jinja_build_text(run, b, text);
        break;
    case J_NAMESPACE:
        jinja_build_text(run, b, "<Namespace ");
        build_dict(run, b, v.dict);
        jinja_build_text(run, b, ">");
        break;
    case J_MACRO:
        jinja_build_text(run, b, "<Macro ");
        if (v.macro->node->value.type == J_STR)
            build_str_repr(run, b, v.macro->node->value.s);
        else
            jinja_build_text(run, b, "anonymous");
        jinja_build_text(run, b, ">");
        break;
    case J_LOOP: {
        size_t length = 0;
        jinja_length(run, v, &length);
        snprintf(text, sizeof text, "<LoopContext %lld/%zu>", (long long)v.loop->index0 + 1, length);
        jinja_build_text(run, b, text);
        break;
    }
    case J_ITER:
    case J_BUILTIN:
    case J_METHOD:
    case J_CYCLER:
    case J_JOINER:
        snprintf(text, sizeof text, "<%s object>", jinja_type_name(v));
        jinja_build_text(run, b, text);
        break;
    }
    jinja_leave(run);
}

void jinja_build_str(jrun *run, jbuilder *b, jval v) {
    if (v.type == J_STR)
        jinja_build(run, b, v.s->data, v.s->size);
    else if (v.type != J_UNDEFINED)
        jinja_build_repr(run, b, v);
}

jval jinja_to_str(jrun *run, jval v) {
    if (v.type == J_STR) {
        if (!v.s->markup) return v;
        jval plain = jinja_str_pick(run, v.s, v.s->data, v.s->size);
        plain.s->markup = false;
        return plain;
    }
    if (v.type == J_UNDEFINED) return jinja_str_literal(run, "");
    return jinja_repr(run, v);
}

jval jinja_repr(jrun *run, jval v) {
    jbuilder b;
    jinja_build_init(&b);
    jinja_build_repr(run, &b, v);
    return jinja_build_end(run, &b);
}

/* ---- JSON ---- */

typedef struct json_style {
    bool ensure_ascii, sort_keys;
    const jstr *indent, *item_sep, *key_sep; /* indent NULL: one line */
} json_style;

static void write_json_string(jrun *run, jbuilder *b, const jstr *s, bool ensure_ascii) {
    jinja_pay(run, s->size / 16);
    jinja_build(run, b, "\"", 1);
    const char *p = s->data, *end = p + s->size, *plain = p;
    while (p < end) {
        unsigned char byte = (unsigned char)*p;
        if (byte >= 0x20 && byte != '"' && byte != '\\' && (!ensure_ascii || byte < 0x7F)) {
            p++;
            continue;
        }
        jinja_build(run, b, plain, (size_t)(p - plain));
        int32_t c;
        p += jinja_utf8_decode(p, end, &c);
        plain = p;
        char text[16];
        const char *at;
        static const char names[] = "\"\\bfnrt", values[] = "\"\\\b\f\n\r\t";
        if (c && c < 0x80 && (at = strchr(values, c)))
            snprintf(text, sizeof text, "\\%c", names[at - values]);
        else if (c < 0x10000)
            snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
        else
            snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800u + ((unsigned)(c - 0x10000) >> 10),
                     0xDC00u + ((unsigned)(c - 0x10000) & 0x3FF));
        jinja_build_text(run, b, text);
    }
    jinja_build(run, b, plain, (size_t)(p - plain));
    jinja_build(run, b, "\"", 1);
}

static void write_json_newline(jrun *run, jbuilder *b, const json_style *style, size_t level) {
    if (!style->indent) return;
    jinja_build(run, b, "\n", 1);
    jinja_build_fill(run, b, style->indent, level);
}

static void write_json_scalar(jrun *run, jbuilder *b, jval v) {
    if (v.type == J_NONE)
        jinja_build_text(run, b, "null");
    else if (v.type == J_BOOL)
        jinja_build_text(run, b, v.b ? "true" : "false");
    else if (v.type == J_INT)
        build_int(run, b, v.i);
    else if (isnan(v.f))
        jinja_build_text(run, b, "NaN");
    else if (isinf(v.f))
        jinja_build_text(run, b, v.f < 0 ? "-Infinity" : "Infinity");
    else
        build_float(run, b, v.f);
}

static void write_json_value(jrun *run, jbuilder *b, jval v, const json_style *style, size_t level);

static void write_json_dict(jrun *run, jbuilder *b, const jdict *dict, const json_style *style, size_t level) {
    jval items = jinja_list_new(run, dict->count), keys = jinja_list_new(run, dict->count);
    for (size_t i = 0; i < dict->count; i++) {
        jinja_list_push(run, keys.list, dict->pairs[i].key);
        jinja_list_push(run, items.list, dict->pairs[i].value);
    }
    if (style->sort_keys && dict->count) {
        jval order = jinja_list_new(run, dict->count);
        memcpy(order.list->items, keys.list->items, dict->count * sizeof(jval));
        jinja_sort(run, order.list->items, items.list->items, dict->count, false);
        jinja_sort(run, keys.list->items, keys.list->items, dict->count, false);
    }
    jinja_build(run, b, "{", 1);
    for (size_t i = 0; i < dict->count; i++) {
        if (i) jinja_build(run, b, style->item_sep->data, style->item_sep->size);
        write_json_newline(run, b, style, level + 1);
        jval key = keys.list->items[i];
        if (key.type == J_STR) {
            write_json_string(run, b, key.s, style->ensure_ascii);
        } else if (key.type == J_NONE || jinja_is_number(key)) {
            jinja_build(run, b, "\"", 1);
            write_json_scalar(run, b, key);
            jinja_build(run, b, "\"", 1);
        } else {
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "keys must be str, int, float, bool or None, not %s",
                        jinja_type_name(key));
        }
        jinja_build(run, b, style->key_sep->data, style->key_sep->size);
        write_json_value(run, b, items.list->items[i], style, level + 1);
    }
    if (dict->count) write_json_newline(run, b, style, level);
    jinja_build(run, b, "}", 1);
}

static void write_json_value(jrun *run, jbuilder *b, jval v, const json_style *style, size_t level) {
    jinja_pay(run, 1);
    jinja_enter(run);
    switch (v.type) {
    case J_NONE:
    case J_BOOL:
    case J_INT:
    case J_FLOAT: write_json_scalar(run, b, v); break;
    case J_STR: write_json_string(run, b, v.s, style->ensure_ascii); break;
    case J_LIST:
    case J_TUPLE:
        jinja_build(run, b, "[", 1);
        for (size_t i = 0; i < v.list->count; i++) {
            if (i) jinja_build(run, b, style->item_sep->data, style->item_sep->size);
            write_json_newline(run, b, style, level + 1);
            write_json_value(run, b, v.list->items[i], style, level + 1);
        }
        if (v.list->count) write_json_newline(run, b, style, level);
        jinja_build(run, b, "]", 1);
        break;
    case J_DICT: write_json_dict(run, b, v.dict, style, level); break;
    default: jinja_raise(&run->trap, WEFT_ERR_FORMAT, "Object of type %s is not JSON serializable", jinja_type_name(v));
    }
    jinja_leave(run);
}

jval jinja_tojson(jrun *run, jval v, bool ensure_ascii, const jstr *indent, const jstr *item_sep, const jstr *key_sep,
                  bool sort_keys) {
    static const jstr comma = {.data = ", ", .size = 2, .chars = 2}, colon = {.data = ": ", .size = 2, .chars = 2};
    static const jstr short_comma = {.data = ",", .size = 1, .chars = 1};
    json_style style = {
        .ensure_ascii = ensure_ascii,
        .sort_keys = sort_keys,
        .indent = indent,
        .item_sep = item_sep ? item_sep
                    : indent ? &short_comma
                             : &comma,
        .key_sep = key_sep ? key_sep : &colon,
    };
    jbuilder b;
    jinja_build_init(&b);
    write_json_value(run, &b, v, &style, 0);
    return jinja_build_end(run, &b);
}

/* markupsafe.escape */
jval jinja_escape_html(jrun *run, jval v) {
    if (v.type == J_STR && v.s->markup) return v;
    const jstr *s = jinja_to_str(run, v).s;
    jbuilder b;
    jinja_build_init(&b);
    for (size_t i = 0; i < s->size; i++) {
        switch (s->data[i]) {
        case '&': jinja_build_text(run, &b, "&amp;"); break;
        case '<': jinja_build_text(run, &b, "&lt;"); break;
        case '>': jinja_build_text(run, &b, "&gt;"); break;
        case '"': jinja_build_text(run, &b, "&#34;"); break;
        case '\'': jinja_build_text(run, &b, "&#39;"); break;
        default: jinja_build(run, &b, s->data + i, 1);
        }
    }
    jinja_pay(run, s->size / 16);
    jval out = jinja_build_end(run, &b);
    out.s->markup = true;
    return out;
}
