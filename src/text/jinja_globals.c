/* What a template finds without being given: range, dict, namespace, cycler, joiner, raise_exception, strftime_now;
 * and the attributes of `loop`. */
#include <string.h>
#include <time.h>

#include "text/jinja_internal.h"

static jval make_range(jrun *run, int64_t start, int64_t stop, int64_t step) {
    if (!step) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "range() arg 3 must not be zero");
    __int128 distance = (__int128)stop - start, stride = step, count = 0;
    if (step > 0 && distance > 0) count = (distance + stride - 1) / stride;
    if (step < 0 && distance < 0) count = (distance + stride + 1) / stride;
    if (count > JINJA_RANGE_MAX)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "range() is limited to %d items", JINJA_RANGE_MAX);
    jrange *range = jinja_alloc(&run->trap, sizeof *range);
    *range = (jrange){.start = start, .stop = stop, .step = step, .count = (int64_t)count};
    return (jval){.type = J_RANGE, .range = range};
}

static jval global_range(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)self, (void)raw;
    int64_t first = jinja_need_int(run, a[0], "a range bound");
    if (a[1].type == J_MISSING) return make_range(run, 0, first, 1);
    int64_t stop = jinja_need_int(run, a[1], "a range bound");
    return make_range(run, first, stop, a[2].type == J_MISSING ? 1 : jinja_need_int(run, a[2], "the range step"));
}

/* dict(mapping or pairs, **names) */
static jval global_dict(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)self, (void)a;
    if (raw->npos > 1) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "dict expected at most 1 argument");
    if (raw->npos && raw->pos[0].type == J_UNDEFINED) jinja_raise_undefined(run, raw->pos[0]);
    jval out = jinja_dict_new(run);
    if (raw->npos && raw->pos[0].type == J_DICT) {
        const jdict *from = raw->pos[0].dict;
        for (size_t i = 0; i < from->count; i++)
            jinja_dict_set(run, out.dict, from->pairs[i].key, from->pairs[i].value);
    } else if (raw->npos) {
        jiter *iter = jinja_iter(run, raw->pos[0]);
        jval pair;
        while (jinja_next(run, iter, &pair)) {
            const jlist *parts = jinja_to_list(run, pair);
            if (parts->count != 2)
                jinja_raise(&run->trap, WEFT_ERR_FORMAT,
                            "dictionary update sequence element has length %zu; 2 is required", parts->count);
            jinja_dict_set(run, out.dict, parts->items[0], parts->items[1]);
        }
    }
    for (size_t i = 0; i < raw->nkw; i++)
        jinja_dict_set(run, out.dict, (jval){.type = J_STR, .s = raw->kw[i].name}, raw->kw[i].value);
    return out;
}

static jval global_namespace(jrun *run, jval self, jval *a, const jargs *raw) {
    jval out = global_dict(run, self, a, raw);
    for (size_t i = 0; i < out.dict->count; i++) {
        jval key = out.dict->pairs[i].key;
        if (key.type == J_STR && key.s->size && key.s->data[0] == '_')
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a namespace cannot hold names that begin with an underscore");
    }
    out.type = J_NAMESPACE;
    return out;
}

static jval global_cycler(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)self, (void)a;
    if (!raw->npos || raw->nkw) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "at least one item has to be provided");
    jcycler *cycler = jinja_alloc(&run->trap, sizeof *cycler);
    cycler->items = jinja_tuple_new(run, raw->npos).list;
    for (size_t i = 0; i < raw->npos; i++) jinja_list_push(run, cycler->items, raw->pos[i]);
    return (jval){.type = J_CYCLER, .cycler = cycler};
}
static jval cycler_next(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)run, (void)a, (void)raw;
    jcycler *cycler = self.cycler;
    jval item = cycler->items->items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->items->count;
    return item;
}
static jval cycler_reset(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)run, (void)a, (void)raw;
    self.cycler->at = 0;
    return jinja_none();
}
const jbuiltin jinja_cycler_methods[] = {{"next", "", cycler_next}, {"reset", "", cycler_reset}, {0}};

static jval global_joiner(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)self, (void)raw;
    jcycler *joiner = jinja_alloc(&run->trap, sizeof *joiner);
    joiner->separator = a[0].type == J_MISSING ? jinja_str_literal(run, ", ") : a[0];
    return (jval){.type = J_JOINER, .cycler = joiner};
}

static jval global_raise(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)self, (void)raw;
    const jstr *message = jinja_to_str(run, a[0]).s;
    int size = (int)(message->size < WEFT_ERROR_MESSAGE_MAX ? message->size : WEFT_ERROR_MESSAGE_MAX);
    jinja_raise(&run->trap, WEFT_ERR_INVALID, "%.*s", size, message->data);
}

static jval global_strftime(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)self, (void)raw;
    const jstr *s = jinja_need_str(run, a[0], "the format");
    char format[256], text[1024];
    if (s->size >= sizeof format) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "a date format is longer than 255 bytes");
    memcpy(format, s->data, s->size);
    format[s->size] = 0;
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    return jinja_str_copy(run, text, strftime(text, sizeof text, format, &local));
}

static const jbuiltin globals[] = {
    {"range", "/start,stop?,step?", global_range},
    {"dict", NULL, global_dict},
    {"namespace", NULL, global_namespace},
    {"cycler", NULL, global_cycler},
    {"joiner", "sep?", global_joiner},
    {"raise_exception", "message", global_raise},
    {"strftime_now", "format", global_strftime},
    {0},
};

const jbuiltin *jinja_find_in(const jbuiltin *table, const char *name, size_t size) {
    for (; table->name; table++)
        if (strlen(table->name) == size && memcmp(table->name, name, size) == 0) return table;
    return NULL;
}
const jbuiltin *jinja_find_global(const char *name, size_t size) {
    return jinja_find_in(globals, name, size);
}

/* ---- loop ---- */

static int64_t loop_length(jrun *run, jloop *loop) {
    if (loop->length >= 0) return loop->length;
    size_t length;
    if (jinja_length(run, loop->iterable, &length)) {
        loop->length = (int64_t)length;
    } else { /* a generator: read the rest now */
        jval rest = {.type = J_LIST, .list = jinja_to_list(run, jinja_iter_value(loop->iter))};
        loop->iter = jinja_iter(run, rest);
        loop->length = (int64_t)rest.list->count + loop->index0 + 1 + loop->has_after;
    }
    return loop->length;
}

static bool loop_peek(jrun *run, jloop *loop) {
    if (!loop->has_after) loop->has_after = jinja_next(run, loop->iter, &loop->after);
    return loop->has_after;
}

jval jinja_loop_attr(jrun *run, jloop *loop, const jstr *name) {
    if (jinja_str_is(name, "index")) return jinja_int(loop->index0 + 1);
    if (jinja_str_is(name, "index0")) return jinja_int(loop->index0);
    if (jinja_str_is(name, "first")) return jinja_bool(loop->index0 == 0);
    if (jinja_str_is(name, "last")) return jinja_bool(!loop_peek(run, loop));
    if (jinja_str_is(name, "length")) return jinja_int(loop_length(run, loop));
    if (jinja_str_is(name, "revindex")) return jinja_int(loop_length(run, loop) - loop->index0);
    if (jinja_str_is(name, "revindex0")) return jinja_int(loop_length(run, loop) - loop->index0 - 1);
    if (jinja_str_is(name, "depth")) return jinja_int(loop->depth0 + 1);
    if (jinja_str_is(name, "depth0")) return jinja_int(loop->depth0);
    if (jinja_str_is(name, "previtem"))
        return loop->index0 == 0 ? jinja_undefined_hint(run, "there is no previous item") : loop->before;
    if (jinja_str_is(name, "nextitem"))
        return loop_peek(run, loop) ? loop->after : jinja_undefined_hint(run, "there is no next item");
    return (jval){0};
}

static jval loop_cycle(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a;
    if (!raw->npos || raw->nkw) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "no items for cycling given");
    return raw->pos[(size_t)self.loop->index0 % raw->npos];
}

static jval loop_changed(jrun *run, jval self, jval *a, const jargs *raw) {
    (void)a;
    jval now = jinja_tuple_new(run, raw->npos);
    for (size_t i = 0; i < raw->npos; i++) jinja_list_push(run, now.list, raw->pos[i]);
    if (self.loop->changed.type == J_TUPLE && jinja_equal(run, self.loop->changed, now)) return jinja_bool(false);
    self.loop->changed = now;
    return jinja_bool(true);
}
const jbuiltin jinja_loop_methods[] = {{"cycle", NULL, loop_cycle}, {"changed", NULL, loop_changed}, {0}};
