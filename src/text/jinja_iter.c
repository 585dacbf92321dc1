/* Iteration, lazily as Python iterates: a generator evaluates its source item by item and yields once. */
#include <string.h>

#include "text/jinja_internal.h"

jiter *jinja_iter_new(jrun *run, bool (*next)(jrun *, jiter *, jval *), jval source) {
    jiter *iter = jinja_alloc(&run->trap, sizeof *iter);
    iter->next = next;
    iter->source = source;
    return iter;
}

bool jinja_next(jrun *run, jiter *iter, jval *out) {
    if (iter->done) return false;
    jinja_pay(run, 1);
    jinja_enter(run); /* generators read generators, as deep as a template piles them up */
    iter->done = !iter->next(run, iter, out);
    jinja_leave(run);
    return !iter->done;
}

jval jinja_iter_value(jiter *iter) {
    return (jval){.type = J_ITER, .iter = iter};
}

static bool next_item(jrun *run, jiter *iter, jval *out) {
    (void)run;
    if (iter->at >= iter->source.list->count) return false;
    *out = iter->source.list->items[iter->at++];
    return true;
}

static bool next_char(jrun *run, jiter *iter, jval *out) {
    const jstr *s = iter->source.s;
    if (iter->at >= s->size) return false;
    size_t n = 1;
    while (iter->at + n < s->size && ((unsigned char)s->data[iter->at + n] & 0xC0) == 0x80) n++;
    *out = jinja_str_pick(run, s, s->data + iter->at, n);
    out->s->chars = 1;
    out->s->markup = false;
    iter->at += n;
    return true;
}

static jval view_item(jrun *run, const jview *view, size_t at) {
    const jpair *pair = &view->dict->pairs[at];
    return view->kind == JVIEW_KEYS     ? pair->key
           : view->kind == JVIEW_VALUES ? pair->value
                                        : jinja_tuple2(run, pair->key, pair->value);
}

static bool next_view(jrun *run, jiter *iter, jval *out) {
    const jview *view = iter->source.view;
    if (iter->at >= view->dict->count) return false;
    *out = view_item(run, view, iter->at++);
    return true;
}

static bool next_range(jrun *run, jiter *iter, jval *out) {
    (void)run;
    const jrange *r = iter->source.range;
    if ((int64_t)iter->at >= r->count) return false;
    *out = jinja_int(r->start + (int64_t)iter->at++ * r->step);
    return true;
}

static bool next_nothing(jrun *run, jiter *iter, jval *out) {
    (void)run, (void)iter, (void)out;
    return false;
}

static jval keys_of(jrun *run, jdict *dict) {
    jview *view = jinja_alloc(&run->trap, sizeof *view);
    *view = (jview){.dict = dict, .kind = JVIEW_KEYS};
    return (jval){.type = J_VIEW, .view = view};
}

/* Reading the loop variable itself advances the loop. */
static bool next_of_loop(jrun *run, jiter *iter, jval *out) {
    jval item;
    if (!jinja_loop_next(run, iter->source.loop, &item)) return false;
    *out = jinja_tuple2(run, item, iter->source);
    return true;
}

jiter *jinja_try_iter(jrun *run, jval v) {
    switch (v.type) {
    case J_ITER: return v.iter;
    case J_LIST:
    case J_TUPLE: return jinja_iter_new(run, next_item, v);
    case J_STR: return jinja_iter_new(run, next_char, v);
    case J_DICT: return jinja_iter_new(run, next_view, keys_of(run, v.dict));
    case J_VIEW: return jinja_iter_new(run, next_view, v);
    case J_RANGE: return jinja_iter_new(run, next_range, v);
    case J_LOOP: return jinja_iter_new(run, next_of_loop, v);
    case J_UNDEFINED: return jinja_iter_new(run, next_nothing, v);
    default: return NULL;
    }
}

jiter *jinja_iter(jrun *run, jval v) {
    jiter *iter = jinja_try_iter(run, v);
    if (!iter) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'%s' object is not iterable", jinja_type_name(v));
    return iter;
}

jlist *jinja_to_list(jrun *run, jval v) {
    if (v.type == J_LIST || v.type == J_TUPLE) {
        jlist *copy = jinja_list_new(run, v.list->count).list;
        jinja_pay(run, v.list->count);
        if (v.list->count) memcpy(copy->items, v.list->items, v.list->count * sizeof(jval));
        copy->count = v.list->count;
        return copy;
    }
    jlist *list = jinja_list_new(run, 0).list;
    jiter *iter = jinja_iter(run, v);
    jval item;
    while (jinja_next(run, iter, &item)) jinja_list_push(run, list, item);
    return list;
}

/* ---- reversed() ---- */

static bool next_reversed(jrun *run, jiter *iter, jval *out) {
    jval v = iter->source;
    size_t count = 0;
    jinja_length(run, v, &count);
    if (iter->at >= count) return false;
    size_t at = count - ++iter->at;
    if (v.type == J_VIEW)
        *out = view_item(run, v.view, at);
    else if (v.type == J_RANGE)
        *out = jinja_int(v.range->start + (int64_t)at * v.range->step);
    else
        *out = v.list->items[at];
    return true;
}

jiter *jinja_iter_reversed(jrun *run, jval v) {
    if (v.type == J_UNDEFINED) v = jinja_list_new(run, 0);
    if (v.type == J_DICT) v = keys_of(run, v.dict);
    if (v.type == J_STR) v = (jval){.type = J_LIST, .list = jinja_to_list(run, v)};
    if (v.type != J_LIST && v.type != J_TUPLE && v.type != J_VIEW && v.type != J_RANGE) return NULL;
    return jinja_iter_new(run, next_reversed, v);
}
