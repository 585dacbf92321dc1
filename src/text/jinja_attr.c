/* Attributes and subscripts with jinja2's order: x.name asks for the attribute (a method) first and the item second,
 * x["name"] the other way round. What would change a list or dictionary is refused, as in the immutable sandbox. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_internal.h"

/* ---- methods of lists, tuples, ranges and dictionaries ---- */

static jval seq_count(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)raw;
    jiter *iter = jinja_iter(run, self);
    int64_t count = 0;
    jval item;
    while (jinja_next(run, iter, &item)) count += jinja_equal(run, item, a[0]);
    return jinja_int(count);
}

static jval seq_index(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)raw;
    size_t length = 0;
    jinja_length(run, self, &length);
    int64_t start = a[1].type == J_MISSING ? 0 : jinja_need_int(run, a[1], "index");
    int64_t stop = a[2].type == J_MISSING ? (int64_t)length : jinja_need_int(run, a[2], "index");
    if (start < 0) start = start + (int64_t)length < 0 ? 0 : start + (int64_t)length;
    if (stop < 0) stop += (int64_t)length;
    jiter *iter = jinja_iter(run, self);
    jval item;
    for (int64_t i = 0; i < stop && jinja_next(run, iter, &item); i++)
        if (i >= start && jinja_equal(run, item, a[0])) return jinja_int(i);
    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "the value is not in the list");
}

static jval seq_copy(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a, (void)raw;
    return (jval){.type = J_LIST, .list = jinja_to_list(run, self)};
}

static jval new_view(jrun *run, jval self, jview_kind kind) {
    jview *view = jinja_alloc(&run->trap, sizeof *view);
    *view = (jview){.dict = self.dict, .kind = kind};
    return (jval){.type = J_VIEW, .view = view};
}
static jval dict_keys(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a, (void)raw;
    return new_view(run, self, JVIEW_KEYS);
}
static jval dict_values(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a, (void)raw;
    return new_view(run, self, JVIEW_VALUES);
}
static jval dict_items(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a, (void)raw;
    return new_view(run, self, JVIEW_ITEMS);
}
static jval dict_get(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)raw;
    jval found;
    if (!jinja_hashable(run, a[0]))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unhashable type: '%s'", jinja_type_name(a[0]));
    if (jinja_dict_get(run, self.dict, a[0], &found)) return found;
    return a[1].type == J_MISSING ? jinja_none() : a[1];
}
static jval dict_copy(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a, (void)raw;
    jval copy = jinja_dict_new(run);
    for (size_t i = 0; i < self.dict->count; i++)
        jinja_dict_set(run, copy.dict, self.dict->pairs[i].key, self.dict->pairs[i].value);
    return copy;
}

static jval number_is_integer(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)run, (void)a, (void)raw;
    return jinja_bool(isfinite(self.f) && self.f == floor(self.f));
}
static jval number_bit_length(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)run, (void)a, (void)raw;
    int64_t i = 0, bits = 0;
    jinja_index(self, &i);
    for (uint64_t u = i < 0 ? -(uint64_t)i : (uint64_t)i; u; u >>= 1) bits++;
    return jinja_int(bits);
}
static jval number_itself(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a, (void)raw;
    return jinja_positive(run, self);
}

static const jbuiltin list_methods[] = {
    {"count", "/value", seq_count}, {"index", "/value,start?,stop?", seq_index}, {"copy", "", seq_copy}, {0}};
static const jbuiltin tuple_methods[] = {
    {"count", "/value", seq_count}, {"index", "/value,start?,stop?", seq_index}, {0}};
static const jbuiltin dict_methods[] = {
    {"items", "", dict_items},   {"keys", "", dict_keys}, {"get", "/key,default?", dict_get},
    {"values", "", dict_values}, {"copy", "", dict_copy}, {0}};
static const jbuiltin float_methods[] = {{"is_integer", "", number_is_integer}, {"conjugate", "", number_itself}, {0}};
static const jbuiltin int_methods[] = {{"bit_length", "", number_bit_length}, {"conjugate", "", number_itself}, {0}};

static const char *const list_changers[] = {"append", "clear",  "pop",    "reverse", "insert",
                                            "sort",   "extend", "remove", 0};
static const char *const dict_changers[] = {"clear", "pop", "popitem", "setdefault", "update", 0};

static const jbuiltin *methods_of(jval v) {
    switch (v.type) {
    case J_STR: return jinja_str_methods;
    case J_LIST: return list_methods;
    case J_TUPLE:
    case J_RANGE: return tuple_methods;
    case J_DICT: return dict_methods;
    case J_FLOAT: return float_methods;
    case J_INT:
    case J_BOOL: return int_methods;
    case J_CYCLER: return jinja_cycler_methods;
    case J_LOOP: return jinja_loop_methods;
    default: return NULL;
    }
}

static jval number_property(jval v, const jstr *name) {
    bool is_float = v.type == J_FLOAT;
    int64_t i = 0;
    jinja_index(v, &i);
    if (jinja_str_is(name, "real")) return is_float ? v : jinja_int(i);
    if (jinja_str_is(name, "imag")) return is_float ? jinja_float(0) : jinja_int(0);
    if (!is_float && jinja_str_is(name, "numerator")) return jinja_int(i);
    if (!is_float && jinja_str_is(name, "denominator")) return jinja_int(1);
    return (jval){0};
}

static jval macro_property(jrun *run, const jmacro *macro, const jstr *name) {
    const jnode *node = macro->node;
    if (jinja_str_is(name, "name")) return node->value.type == J_STR ? node->value : jinja_none();
    if (jinja_str_is(name, "catch_kwargs")) return jinja_bool(node->flags & JINJA_USES_KWARGS);
    if (jinja_str_is(name, "catch_varargs")) return jinja_bool(node->flags & JINJA_USES_VARARGS);
    if (jinja_str_is(name, "caller")) return jinja_bool(node->flags & JINJA_USES_CALLER);
    if (!jinja_str_is(name, "arguments")) return (jval){0};
    jval names = jinja_tuple_new(run, node->op);
    for (uint32_t i = 0; i < node->op; i++) jinja_list_push(run, names.list, (jval){.type = J_STR, .s = node->keys[i]});
    return names;
}

static jval property_of(jrun *run, jval obj, const jstr *name) {
    switch (obj.type) {
    case J_INT:
    case J_BOOL:
    case J_FLOAT: return number_property(obj, name);
    case J_LOOP: return jinja_loop_attr(run, obj.loop, name);
    case J_MACRO: return macro_property(run, obj.macro, name);
    case J_TUPLE:
        if (obj.list->group && jinja_str_is(name, "grouper")) return obj.list->items[0];
        if (obj.list->group && jinja_str_is(name, "list")) return obj.list->items[1];
        return (jval){0};
    case J_RANGE:
        if (jinja_str_is(name, "start")) return jinja_int(obj.range->start);
        if (jinja_str_is(name, "stop")) return jinja_int(obj.range->stop);
        if (jinja_str_is(name, "step")) return jinja_int(obj.range->step);
        return (jval){0};
    case J_CYCLER:
        if (jinja_str_is(name, "current")) return obj.cycler->items->items[obj.cycler->at];
        if (jinja_str_is(name, "items")) return (jval){.type = J_TUPLE, .list = obj.cycler->items};
        return (jval){0};
    case J_JOINER:
        if (jinja_str_is(name, "used")) return jinja_bool(obj.cycler->used);
        if (jinja_str_is(name, "sep")) return obj.cycler->separator;
        return (jval){0};
    default: return (jval){0};
    }
}

static bool named_in(const char *const *names, const jstr *name) {
    for (; *names; names++)
        if (jinja_str_is(name, *names)) return true;
    return false;
}

/* Python's attribute lookup without the item fallback: J_MISSING when there is none. */
static jval attribute(jrun *run, jval obj, jval name_value) {
    const jstr *name = name_value.s;
    if (obj.type == J_NAMESPACE) {
        jval found;
        return jinja_dict_get(run, obj.dict, name_value, &found) ? found : (jval){0};
    }
    static const char *const dunders[] = {
        "__class__", "__doc__", "__init__",    "__eq__",       "__hash__",   "__repr__", "__str__", "__dict__",
        "__iter__",  "__len__", "__getitem__", "__contains__", "__reduce__", "__new__",  "__dir__", 0};
    if (named_in(dunders, name)) return jinja_undefined_hint(run, "access to an internal attribute is unsafe");
    if ((obj.type == J_LIST && named_in(list_changers, name)) || (obj.type == J_DICT && named_in(dict_changers, name)))
        return jinja_undefined_hint(run, "access to an attribute that would change the value is unsafe");
    const jbuiltin *methods = methods_of(obj), *method;
    if (methods && ((method = jinja_find_in(methods, name->data, name->size)) ||
                    (obj.type == J_STR && (method = jinja_find_in(jinja_case_methods, name->data, name->size))))) {
        jmethod *bound = jinja_alloc(&run->trap, sizeof *bound);
        *bound = (jmethod){.builtin = method, .self = obj};
        return (jval){.type = J_METHOD, .method = bound};
    }
    return property_of(run, obj, name);
}

/* obj[key] alone; false where Python raises TypeError, KeyError or IndexError. */
static bool item(jrun *run, jval obj, jval key, jval *out) {
    int64_t i;
    size_t length = 0;
    switch (obj.type) {
    case J_UNDEFINED: jinja_raise_undefined(run, obj);
    case J_DICT: return jinja_hashable(run, key) && jinja_dict_get(run, obj.dict, key, out);
    case J_STR:
    case J_LIST:
    case J_TUPLE:
    case J_RANGE:
        if (!jinja_index(key, &i)) return false;
        jinja_length(run, obj, &length);
        if (i < 0) i += (int64_t)length;
        if (i < 0 || i >= (int64_t)length) return false;
        if (obj.type == J_RANGE)
            *out = jinja_int(obj.range->start + i * obj.range->step);
        else if (obj.type == J_STR)
            *out = jinja_slice(run, obj, jinja_int(i), jinja_int(i + 1), jinja_none());
        else
            *out = obj.list->items[i];
        return true;
    default: return false;
    }
}

jval jinja_getattr(jrun *run, jval obj, jval name) {
    jval found = attribute(run, obj, name);
    if (obj.type == J_UNDEFINED && found.type == J_MISSING) jinja_raise_undefined(run, obj);
    if (found.type != J_MISSING) return found;
    if (item(run, obj, name, &found)) return found;
    return jinja_undefined_attr(run, obj, name);
}

jval jinja_getitem(jrun *run, jval obj, jval key) {
    jval found;
    if (item(run, obj, key, &found)) return found;
    if (key.type == J_STR) {
        found = attribute(run, obj, key);
        if (found.type != J_MISSING) return found;
    }
    return jinja_undefined_attr(run, obj, key);
}

/* One step of a path: digits are an index. */
static jval path_step(jrun *run, jval item_value, const jstr *path, size_t from, size_t to) {
    int64_t index = 0;
    bool digits = to > from && to - from < 19;
    for (size_t i = from; i < to; i++) {
        digits = digits && path->data[i] >= '0' && path->data[i] <= '9';
        if (digits) index = index * 10 + (path->data[i] - '0');
    }
    return jinja_getitem(run, item_value,
                         digits ? jinja_int(index) : jinja_str_pick(run, path, path->data + from, to - from));
}

jval jinja_attr_path(jrun *run, jval value, jval path, jval fallback) {
    if (path.type == J_NONE || path.type == J_MISSING) return value;
    bool has_fallback = fallback.type != J_NONE && fallback.type != J_MISSING;
    if (path.type != J_STR) {
        value = jinja_getitem(run, value, path);
        return has_fallback && value.type == J_UNDEFINED ? fallback : value;
    }
    for (size_t from = 0; from <= path.s->size;) {
        size_t to = from;
        while (to < path.s->size && path.s->data[to] != '.') to++;
        value = path_step(run, value, path.s, from, to);
        if (has_fallback && value.type == J_UNDEFINED) value = fallback;
        from = to + 1;
    }
    return value;
}
