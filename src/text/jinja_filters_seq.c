/* Filters on sequences. map, select, reject, batch, slice, unique, items and reverse are lazy, as in jinja2: they work
 * as they are read and can be read once. */
#include <string.h>

#include "text/jinja_internal.h"

#define FILTER(name) static jval name(jrun *run, jval self, jval *a, const jargs *raw)
#define UNUSED       (void)a, (void)raw

static bool given(jval v) {
    return v.type != J_MISSING;
}
static bool flag(jrun *run, jval v, bool otherwise) {
    return given(v) ? jinja_truth(run, v) : otherwise;
}
/* Comparisons ignore case unless told otherwise. */
static jval fold(jrun *run, jval v, bool case_sensitive) {
    return v.type == J_STR && !case_sensitive ? jinja_str_case(run, v.s, JCASE_LOWER) : v;
}

FILTER(filter_length) {
    UNUSED;
    size_t length;
    if (!jinja_length(run, self, &length))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "object of type '%s' has no len()", jinja_type_name(self));
    return jinja_int((int64_t)length);
}

FILTER(filter_default) {
    UNUSED;
    bool missing = self.type == J_UNDEFINED || (flag(run, a[1], false) && !jinja_truth(run, self));
    if (!missing) return self;
    return given(a[0]) ? a[0] : jinja_str_literal(run, "");
}

FILTER(filter_first) {
    UNUSED;
    jval item;
    if (jinja_next(run, jinja_iter(run, self), &item)) return item;
    return jinja_undefined_hint(run, "No first item, sequence was empty.");
}

FILTER(filter_last) {
    UNUSED;
    jval item;
    jiter *iter = jinja_iter_reversed(run, self);
    if (!iter) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'%s' object is not reversible", jinja_type_name(self));
    if (jinja_next(run, iter, &item)) return item;
    return jinja_undefined_hint(run, "No last item, sequence was empty.");
}

FILTER(filter_list) {
    UNUSED;
    return (jval){.type = J_LIST, .list = jinja_to_list(run, self)};
}

FILTER(filter_reverse) {
    UNUSED;
    if (self.type == J_STR) return jinja_slice(run, self, jinja_none(), jinja_none(), jinja_int(-1));
    jiter *iter = jinja_iter_reversed(run, self);
    if (iter) return jinja_iter_value(iter);
    jlist *list = jinja_to_list(run, self);
    jval v = {.type = J_LIST, .list = list};
    return jinja_slice(run, v, jinja_none(), jinja_none(), jinja_int(-1));
}

FILTER(filter_join) {
    UNUSED;
    const jstr *separator = given(a[0]) ? jinja_to_str(run, a[0]).s : NULL;
    jiter *iter = jinja_iter(run, self);
    jbuilder b;
    jinja_build_init(&b);
    jval item;
    for (bool first = true; jinja_next(run, iter, &item); first = false) {
        if (!first && separator) jinja_build(run, &b, separator->data, separator->size);
        item = jinja_attr_path(run, item, a[1], (jval){0});
        jinja_build_str(run, &b, item);
    }
    return jinja_build_end(run, &b);
}

/* ---- items, dictsort ---- */

static bool next_nothing(jrun *run, jiter *iter, jval *out) {
    (void)run, (void)iter, (void)out;
    return false;
}
static bool next_error(jrun *run, jiter *iter, jval *out) {
    (void)iter, (void)out;
    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "can only get item pairs from a mapping");
}

static bool next_pair(jrun *run, jiter *iter, jval *out) {
    const jdict *dict = iter->source.dict;
    if (iter->at >= dict->count) return false;
    const jpair *pair = &dict->pairs[iter->at++];
    *out = jinja_tuple2(run, pair->key, pair->value);
    return true;
}

FILTER(filter_items) {
    UNUSED;
    return jinja_iter_value(jinja_iter_new(run,
                                           self.type == J_UNDEFINED ? next_nothing
                                           : self.type == J_DICT    ? next_pair
                                                                    : next_error,
                                           self));
}

FILTER(filter_dictsort) {
    UNUSED;
    bool case_sensitive = flag(run, a[0], false), by_value = false;
    if (given(a[1])) {
        const jstr *by = jinja_need_str(run, a[1], "by");
        by_value = jinja_str_is(by, "value");
        if (!by_value && !jinja_str_is(by, "key"))
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "you can only sort by either \"key\" or \"value\"");
    }
    if (self.type == J_UNDEFINED) jinja_raise_undefined(run, self);
    if (self.type != J_DICT)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'%s' object has no items()", jinja_type_name(self));
    const jdict *dict = self.dict;
    jval keys = jinja_list_new(run, dict->count), out = jinja_list_new(run, dict->count);
    for (size_t i = 0; i < dict->count; i++) {
        jinja_list_push(run, keys.list,
                        fold(run, by_value ? dict->pairs[i].value : dict->pairs[i].key, case_sensitive));
        jinja_list_push(run, out.list, jinja_tuple2(run, dict->pairs[i].key, dict->pairs[i].value));
    }
    jinja_sort(run, keys.list->items, out.list->items, dict->count, flag(run, a[2], false));
    return out;
}

/* ---- sort, unique, min, max, sum, groupby ---- */

/* sort's key: a list, one entry for each of the comma-separated attributes. */
static jval sort_key(jrun *run, jval item, jval attribute, bool case_sensitive) {
    jval key = jinja_list_new(run, 1);
    if (attribute.type != J_STR) {
        jinja_list_push(run, key.list, fold(run, jinja_attr_path(run, item, attribute, (jval){0}), case_sensitive));
        return key;
    }
    const jstr *s = attribute.s;
    for (size_t from = 0; from <= s->size;) {
        size_t to = from;
        while (to < s->size && s->data[to] != ',') to++;
        jval path = jinja_str_pick(run, s, s->data + from, to - from);
        jinja_list_push(run, key.list, fold(run, jinja_attr_path(run, item, path, (jval){0}), case_sensitive));
        from = to + 1;
    }
    return key;
}

FILTER(filter_sort) {
    UNUSED;
    bool case_sensitive = flag(run, a[1], false);
    jval out = {.type = J_LIST, .list = jinja_to_list(run, self)};
    jval keys = jinja_list_new(run, out.list->count);
    for (size_t i = 0; i < out.list->count; i++)
        jinja_list_push(run, keys.list, sort_key(run, out.list->items[i], a[2], case_sensitive));
    jinja_sort(run, keys.list->items, out.list->items, out.list->count, flag(run, a[0], false));
    return out;
}

static bool next_unique(jrun *run, jiter *iter, jval *out) {
    while (jinja_next(run, iter->inner, out)) {
        jval key = fold(run, jinja_attr_path(run, *out, iter->argument, (jval){0}), iter->flag), seen;
        if (jinja_hashable(run, key) && jinja_dict_get(run, iter->func.dict, key, &seen)) continue;
        jinja_dict_set(run, iter->func.dict, key, jinja_none());
        return true;
    }
    return false;
}

FILTER(filter_unique) {
    UNUSED;
    jiter *iter = jinja_iter_new(run, next_unique, self);
    iter->inner = jinja_iter(run, self);
    iter->flag = flag(run, a[0], false);
    iter->argument = a[1];
    iter->func = jinja_dict_new(run);
    return jinja_iter_value(iter);
}

static jval extreme(jrun *run, jval self, const jval *a, jcompare better) {
    bool case_sensitive = flag(run, a[0], false);
    jiter *iter = jinja_iter(run, self);
    jval best, item, key, best_key;
    if (!jinja_next(run, iter, &best)) return jinja_undefined_hint(run, "No aggregated item, sequence was empty.");
    best_key = fold(run, jinja_attr_path(run, best, a[1], (jval){0}), case_sensitive);
    while (jinja_next(run, iter, &item)) {
        key = fold(run, jinja_attr_path(run, item, a[1], (jval){0}), case_sensitive);
        if (!jinja_less(run, key, best_key, better)) continue;
        best = item;
        best_key = key;
    }
    return best;
}
FILTER(filter_min) {
    UNUSED;
    return extreme(run, self, a, JCMP_LT);
}
FILTER(filter_max) {
    UNUSED;
    return extreme(run, self, a, JCMP_GT);
}

FILTER(filter_sum) {
    UNUSED;
    jval total = given(a[1]) ? a[1] : jinja_int(0), item;
    if (total.type == J_STR) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "sum() can't sum strings");
    jiter *iter = jinja_iter(run, self);
    while (jinja_next(run, iter, &item))
        total = jinja_binary(run, JOP_ADD, total, jinja_attr_path(run, item, a[0], (jval){0}));
    return total;
}

FILTER(filter_groupby) {
    UNUSED;
    bool case_sensitive = flag(run, a[2], false);
    jlist *items = jinja_to_list(run, self);
    jval keys = jinja_list_new(run, items->count), out = jinja_list_new(run, 0);
    for (size_t i = 0; i < items->count; i++)
        jinja_list_push(run, keys.list, fold(run, jinja_attr_path(run, items->items[i], a[0], a[1]), case_sensitive));
    jinja_sort(run, keys.list->items, items->items, items->count, false);
    for (size_t i = 0; i < items->count;) {
        jval members = jinja_list_new(run, 1), group_key = keys.list->items[i];
        jval shown = case_sensitive ? group_key : jinja_attr_path(run, items->items[i], a[0], a[1]);
        for (; i < items->count && jinja_equal(run, keys.list->items[i], group_key); i++)
            jinja_list_push(run, members.list, items->items[i]);
        if (!members.list->count) jinja_list_push(run, members.list, items->items[i++]); /* NaN equals nothing */
        jval group = jinja_tuple2(run, shown, members);
        group.list->group = true;
        jinja_list_push(run, out.list, group);
    }
    return out;
}

/* ---- batch, slice ---- */

static bool next_batch(jrun *run, jiter *iter, jval *out) {
    jval batch = jinja_list_new(run, 0), item;
    int64_t size = iter->func.i;
    if (iter->flag) { /* an item read ahead; a size of zero or less never fills */
        jinja_list_push(run, batch.list, iter->source);
        iter->flag = false;
    }
    while (jinja_next(run, iter->inner, &item)) {
        if ((int64_t)batch.list->count == size) {
            iter->source = item;
            iter->flag = true;
            *out = batch;
            return true;
        }
        jinja_list_push(run, batch.list, item);
    }
    if (!batch.list->count) return false;
    if (iter->argument.type != J_MISSING && iter->argument.type != J_NONE)
        while ((int64_t)batch.list->count < size) jinja_list_push(run, batch.list, iter->argument);
    *out = batch;
    return true;
}

FILTER(filter_batch) {
    UNUSED;
    jiter *iter = jinja_iter_new(run, next_batch, (jval){0});
    iter->inner = jinja_iter(run, self);
    iter->func = jinja_int(jinja_need_int(run, a[0], "linecount"));
    iter->argument = a[1];
    return jinja_iter_value(iter);
}

static bool next_slice(jrun *run, jiter *iter, jval *out) {
    const jlist *list = iter->source.list;
    size_t slices = (size_t)iter->func.i, number = iter->at;
    if (number >= slices) return false;
    size_t each = list->count / slices, extra = list->count % slices;
    size_t start = number * each + (number < extra ? number : extra);
    size_t end = start + each + (number < extra);
    jval part = jinja_list_new(run, end - start + 1);
    for (size_t i = start; i < end; i++) jinja_list_push(run, part.list, list->items[i]);
    if (iter->argument.type != J_MISSING && iter->argument.type != J_NONE && number >= extra)
        jinja_list_push(run, part.list, iter->argument);
    iter->at++;
    *out = part;
    return true;
}

FILTER(filter_slice) {
    UNUSED;
    int64_t slices = jinja_need_int(run, a[0], "slices");
    if (!slices) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "division by zero");
    jval list = {.type = J_LIST, .list = jinja_to_list(run, self)};
    jiter *iter = jinja_iter_new(run, next_slice, list);
    iter->func = jinja_int(slices < 0 ? 0 : slices);
    iter->argument = a[1];
    return jinja_iter_value(iter);
}

/* ---- map, select, reject ---- */

static const jstr *callee_name(jrun *run, jval name, const char *kind) {
    if (name.type == J_STR) return name.s;
    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a %s is named by a string, not %s", kind, jinja_type_name(name));
}

static const jbuiltin *find_callee(jrun *run, jval name, bool filter) {
    const jstr *s = callee_name(run, name, filter ? "filter" : "test");
    const jbuiltin *found = filter ? jinja_find_filter(s->data, s->size) : jinja_find_test(s->data, s->size);
    if (!found)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "no %s named '%.*s'", filter ? "filter" : "test",
                    (int)(s->size < 80 ? s->size : 80), s->data);
    return found;
}

static const jargs *rest_of(jrun *run, const jargs *args, size_t skip) {
    jargs *rest = jinja_alloc(&run->trap, sizeof *rest);
    *rest = *args;
    rest->pos += skip;
    rest->npos -= skip;
    return rest;
}

static bool next_mapped(jrun *run, jiter *iter, jval *out) {
    jval item;
    const jargs *args = iter->args;
    if (!iter->flag) { /* the arguments are looked at when the first item is asked for */
        iter->flag = true;
        if (!jinja_truth(run, iter->source)) return false;
        iter->inner = jinja_iter(run, iter->source);
        bool by_attribute = false;
        for (size_t i = 0; i < args->nkw; i++) by_attribute |= jinja_str_is(args->kw[i].name, "attribute");
        if (!args->npos && by_attribute) {
            for (size_t i = 0; i < args->nkw; i++) {
                if (jinja_str_is(args->kw[i].name, "attribute"))
                    iter->argument = args->kw[i].value;
                else if (jinja_str_is(args->kw[i].name, "default"))
                    iter->func = args->kw[i].value;
                else
                    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "map got an unexpected keyword argument");
            }
        } else if (!args->npos) {
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "map requires a filter argument");
        }
    }
    if (!jinja_next(run, iter->inner, &item)) return false;
    if (!args->npos) {
        *out = jinja_attr_path(run, item, iter->argument, iter->func);
        return true;
    }
    if (!iter->data) {
        iter->data = find_callee(run, args->pos[0], true);
        iter->func = (jval){0};
    }
    *out = jinja_call_builtin(run, iter->data, item, rest_of(run, args, 1));
    return true;
}

FILTER(filter_map) {
    UNUSED;
    jiter *iter = jinja_iter_new(run, next_mapped, self);
    jargs *kept = jinja_alloc(&run->trap, sizeof *kept); /* raw lives on the caller's stack */
    *kept = *raw;
    iter->args = kept;
    return jinja_iter_value(iter);
}

typedef struct selection {
    bool by_attribute, wanted;
} selection;

static bool next_selected(jrun *run, jiter *iter, jval *out) {
    const selection *how = iter->data;
    size_t skip = how->by_attribute;
    const jargs *args = iter->args;
    if (!iter->flag) {
        iter->flag = true;
        if (!jinja_truth(run, iter->source)) return false;
        if (how->by_attribute && !args->npos)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "missing parameter for attribute name");
        iter->inner = jinja_iter(run, iter->source);
    }
    while (jinja_next(run, iter->inner, out)) {
        jval subject = how->by_attribute ? jinja_attr_path(run, *out, args->pos[0], (jval){0}) : *out;
        bool passed;
        if (args->npos > skip)
            passed = jinja_truth(run, jinja_call_builtin(run, find_callee(run, args->pos[skip], false), subject,
                                                         rest_of(run, args, skip + 1)));
        else
            passed = jinja_truth(run, subject);
        if (passed == how->wanted) return true;
    }
    return false;
}

static jval select_items(jrun *run, jval self, const jargs *raw, const selection *how) {
    jiter *iter = jinja_iter_new(run, next_selected, self);
    jargs *kept = jinja_alloc(&run->trap, sizeof *kept);
    *kept = *raw;
    iter->args = kept;
    iter->data = how;
    return jinja_iter_value(iter);
}

FILTER(filter_select) {
    UNUSED;
    static const selection how = {false, true};
    return select_items(run, self, raw, &how);
}
FILTER(filter_reject) {
    UNUSED;
    static const selection how = {false, false};
    return select_items(run, self, raw, &how);
}
FILTER(filter_selectattr) {
    UNUSED;
    static const selection how = {true, true};
    return select_items(run, self, raw, &how);
}
FILTER(filter_rejectattr) {
    UNUSED;
    static const selection how = {true, false};
    return select_items(run, self, raw, &how);
}

/* attr(name): the attribute alone, never the item. */
FILTER(filter_attr) {
    UNUSED;
    jinja_need_str(run, a[0], "the attribute name");
    if (self.type == J_UNDEFINED) jinja_raise_undefined(run, self);
    if (self.type == J_DICT) { /* methods only: an empty dictionary has no items to fall back to */
        jval found = jinja_getattr(run, jinja_dict_new(run), a[0]);
        if (found.type == J_METHOD) found.method->self = self;
        return found;
    }
    return jinja_getattr(run, self, a[0]);
}

const jbuiltin jinja_seq_filters[] = {
    {"length", "/", filter_length},
    {"count", "/", filter_length},
    {"default", "default_value?,boolean?", filter_default},
    {"d", "default_value?,boolean?", filter_default},
    {"first", "", filter_first},
    {"last", "", filter_last},
    {"list", "", filter_list},
    {"join", "d?,attribute?", filter_join},
    {"items", "", filter_items},
    {"map", NULL, filter_map},
    {"select", NULL, filter_select},
    {"selectattr", NULL, filter_selectattr},
    {"reject", NULL, filter_reject},
    {"rejectattr", NULL, filter_rejectattr},
    {"reverse", "", filter_reverse},
    {"sort", "reverse?,case_sensitive?,attribute?", filter_sort},
    {"unique", "case_sensitive?,attribute?", filter_unique},
    {"dictsort", "case_sensitive?,by?,reverse?", filter_dictsort},
    {"min", "case_sensitive?,attribute?", filter_min},
    {"max", "case_sensitive?,attribute?", filter_max},
    {"sum", "attribute?,start?", filter_sum},
    {"groupby", "attribute,default?,case_sensitive?", filter_groupby},
    {"batch", "linecount,fill_with?", filter_batch},
    {"slice", "slices,fill_with?", filter_slice},
    {"attr", "name", filter_attr},
    {0},
};
