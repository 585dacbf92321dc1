/* Truth, identity, equality, order and membership as Python defines them. Recursion over nested lists is bounded by
 * the evaluation depth. */
#include <string.h>

#include "text/jinja_internal.h"

const char *jinja_type_name(jval v) {
    switch (v.type) {
    case J_MISSING: return "missing";
    case J_UNDEFINED: return "Undefined";
    case J_NONE: return "NoneType";
    case J_BOOL: return "bool";
    case J_INT: return "int";
    case J_FLOAT: return "float";
    case J_STR: return "str";
    case J_LIST: return "list";
    case J_TUPLE: return "tuple";
    case J_DICT: return "dict";
    case J_VIEW:
        return v.view->kind == JVIEW_KEYS ? "dict_keys" : v.view->kind == JVIEW_VALUES ? "dict_values" : "dict_items";
    case J_RANGE: return "range";
    case J_ITER: return "generator";
    case J_NAMESPACE: return "Namespace";
    case J_LOOP: return "LoopContext";
    case J_MACRO: return "Macro";
    case J_BUILTIN: return "function";
    case J_METHOD: return "builtin_function_or_method";
    case J_CYCLER: return "Cycler";
    case J_JOINER: return "Joiner";
    }
    return "object";
}

bool jinja_length(jrun *run, jval v, size_t *out) {
    switch (v.type) {
    case J_UNDEFINED: *out = 0; return true;
    case J_STR: *out = jinja_str_chars(run, v.s); return true;
    case J_LIST:
    case J_TUPLE: *out = v.list->count; return true;
    case J_DICT: *out = v.dict->count; return true;
    case J_VIEW: *out = v.view->dict->count; return true;
    case J_RANGE: *out = (size_t)v.range->count; return true;
    case J_LOOP: {
        static const jstr name = {.data = "length", .size = 6, .chars = 6};
        *out = (size_t)jinja_loop_attr(run, v.loop, &name).i;
        return true;
    }
    default: return false;
    }
}

bool jinja_truth(jrun *run, jval v) {
    switch (v.type) {
    case J_MISSING:
    case J_UNDEFINED:
    case J_NONE: return false;
    case J_BOOL: return v.b;
    case J_INT: return v.i != 0;
    case J_FLOAT: return v.f != 0;
    case J_STR: return v.s->size != 0;
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_VIEW:
    case J_RANGE: {
        size_t length = 0;
        jinja_length(run, v, &length);
        return length != 0;
    }
    default: return true;
    }
}

bool jinja_same(jval a, jval b) {
    if (a.type != b.type) return false;
    switch (a.type) {
    case J_MISSING:
    case J_NONE: return true;
    case J_BOOL: return a.b == b.b;
    case J_INT: return a.i == b.i;
    case J_FLOAT: return memcmp(&a.f, &b.f, sizeof a.f) == 0;
    case J_STR: /* equal strings are often, not always, one object in Python; as chat templates use it, they are */
        return a.s->size == b.s->size && memcmp(a.s->data, b.s->data, a.s->size) == 0;
    default: return a.list == b.list;
    }
}

static int compare_numbers(jval a, jval b) { /* -1, 0, 1; 2: unordered (NaN) */
    int64_t i, j;
    if (jinja_index(a, &i) && jinja_index(b, &j)) return i < j ? -1 : i > j;
    /* long double holds every 64-bit integer and every double on the machines weft runs on */
    long double x = a.type == J_FLOAT ? (long double)a.f : jinja_index(a, &i) ? (long double)i : 0;
    long double y = b.type == J_FLOAT ? (long double)b.f : jinja_index(b, &j) ? (long double)j : 0;
    if (x < y) return -1;
    if (x > y) return 1;
    return x == y ? 0 : 2;
}

static bool equal_lists(jrun *run, const jlist *a, const jlist *b) {
    if (a == b) return true;
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!jinja_equal(run, a->items[i], b->items[i])) return false;
    return true;
}

static bool equal_dicts(jrun *run, const jdict *a, const jdict *b) {
    if (a == b) return true;
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        jval other;
        if (!jinja_dict_get(run, b, a->pairs[i].key, &other) || !jinja_equal(run, a->pairs[i].value, other))
            return false;
    }
    return true;
}

static bool equal_views(jrun *run, const jview *a, const jview *b) {
    if (a->kind == JVIEW_VALUES || b->kind == JVIEW_VALUES || a->kind != b->kind) return a == b;
    if (a->kind == JVIEW_ITEMS) return equal_dicts(run, a->dict, b->dict);
    if (a->dict->count != b->dict->count) return false;
    for (size_t i = 0; i < a->dict->count; i++) {
        jval other;
        if (!jinja_dict_get(run, b->dict, a->dict->pairs[i].key, &other)) return false;
    }
    return true;
}

bool jinja_equal(jrun *run, jval a, jval b) {
    jinja_pay(run, 1);
    if (jinja_is_number(a) && jinja_is_number(b)) return compare_numbers(a, b) == 0;
    if (a.type != b.type) return false;
    bool equal;
    switch (a.type) {
    case J_STR: return a.s->size == b.s->size && memcmp(a.s->data, b.s->data, a.s->size) == 0;
    case J_NONE:
    case J_UNDEFINED: return true;
    case J_RANGE: {
        const jrange *x = a.range, *y = b.range;
        return x->count == y->count && (!x->count || (x->start == y->start && (x->count == 1 || x->step == y->step)));
    }
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_VIEW:
        jinja_enter(run);
        equal = a.type == J_DICT   ? equal_dicts(run, a.dict, b.dict)
                : a.type == J_VIEW ? equal_views(run, a.view, b.view)
                                   : equal_lists(run, a.list, b.list);
        jinja_leave(run);
        return equal;
    default: return a.list == b.list;
    }
}

static bool order(int sign, jcompare op) {
    switch (op) {
    case JCMP_LT: return sign < 0;
    case JCMP_LE: return sign <= 0;
    case JCMP_GT: return sign > 0;
    default: return sign >= 0;
    }
}

bool jinja_less(jrun *run, jval a, jval b, jcompare op) {
    jinja_pay(run, 1);
    if (a.type == J_UNDEFINED) jinja_raise_undefined(run, a);
    if (b.type == J_UNDEFINED) jinja_raise_undefined(run, b);
    if (jinja_is_number(a) && jinja_is_number(b)) {
        int sign = compare_numbers(a, b);
        return sign != 2 && order(sign, op);
    }
    if (a.type == J_STR && b.type == J_STR) { /* UTF-8 bytes order as code points do */
        size_t size = a.s->size < b.s->size ? a.s->size : b.s->size;
        int sign = size ? memcmp(a.s->data, b.s->data, size) : 0;
        if (!sign) sign = a.s->size < b.s->size ? -1 : a.s->size > b.s->size;
        return order(sign, op);
    }
    if (a.type == b.type && (a.type == J_LIST || a.type == J_TUPLE)) {
        const jlist *x = a.list, *y = b.list;
        size_t i = 0;
        while (i < x->count && i < y->count && jinja_equal(run, x->items[i], y->items[i])) i++;
        if (i == x->count || i == y->count) return order(x->count < y->count ? -1 : x->count > y->count, op);
        jinja_enter(run);
        bool less = jinja_less(run, x->items[i], y->items[i], op);
        jinja_leave(run);
        return less;
    }
    static const char *const names[] = {"==", "!=", "<", "<=", ">", ">="};
    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'%s' not supported between instances of '%s' and '%s'", names[op],
                jinja_type_name(a), jinja_type_name(b));
}

bool jinja_contains(jrun *run, jval container, jval item) {
    jval found;
    size_t at;
    switch (container.type) {
    case J_STR:
        if (item.type != J_STR)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'in <string>' requires string as left operand, not %s",
                        jinja_type_name(item));
        jinja_pay(run, container.s->size / 64);
        return jinja_str_find(run, container.s, 0, container.s->size, item.s, false, &at);
    case J_DICT:
    case J_VIEW:
        if (container.type == J_VIEW && container.view->kind != JVIEW_KEYS) break;
        if (!jinja_hashable(run, item))
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unhashable type: '%s'", jinja_type_name(item));
        return jinja_dict_get(run, container.type == J_DICT ? container.dict : container.view->dict, item, &found);
    case J_RANGE: {
        int64_t i;
        const jrange *r = container.range;
        if (item.type == J_FLOAT && item.f > -1e18 && item.f < 1e18 && item.f == (double)(int64_t)item.f)
            item = jinja_int((int64_t)item.f);
        if (!jinja_index(item, &i) || !r->count) return false;
        __int128 offset = (__int128)i - r->start;
        return offset % r->step == 0 && offset / r->step >= 0 && offset / r->step < r->count;
    }
    default: break;
    }
    jiter *iter = jinja_try_iter(run, container);
    if (!iter)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "argument of type '%s' is not iterable", jinja_type_name(container));
    while (jinja_next(run, iter, &found))
        if (jinja_equal(run, found, item)) return true;
    return false;
}
