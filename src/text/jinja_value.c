/* Values of the template language: making them, strings, lists, dictionaries, iteration cost.
 *
 * Everything lives in the rendering's arena. Strings share bytes wherever they can: slices, strip and split copy
 * nothing, and a + b extends a in place when a is the newest string, so building a text piece by piece is linear. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_internal.h"

void jinja_pay(jrun *run, uint64_t steps) {
    if (steps > run->steps_max - run->steps)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "the template takes more than %llu steps",
                    (unsigned long long)run->steps_max);
    run->steps += steps;
}

jval jinja_int(int64_t i) {
    return (jval){.type = J_INT, .i = i};
}
jval jinja_bool(bool b) {
    return (jval){.type = J_BOOL, .b = b};
}
jval jinja_float(double f) {
    return (jval){.type = J_FLOAT, .f = f};
}
jval jinja_none(void) {
    return (jval){.type = J_NONE};
}
bool jinja_is_number(jval v) {
    return v.type == J_INT || v.type == J_FLOAT || v.type == J_BOOL;
}
double jinja_as_double(jval v) {
    return v.type == J_FLOAT ? v.f : v.type == J_INT ? (double)v.i : (double)v.b;
}
bool jinja_index(jval v, int64_t *out) {
    if (v.type != J_INT && v.type != J_BOOL) return false;
    *out = v.type == J_INT ? v.i : v.b;
    return true;
}

/* ---- strings ---- */

jval jinja_str_view(jrun *run, const char *data, size_t size) {
    jstr *s = jinja_alloc(&run->trap, sizeof *s);
    *s = (jstr){.data = data, .size = size, .chars = size ? JINJA_CHARS_UNKNOWN : 0};
    return (jval){.type = J_STR, .s = s};
}
jval jinja_str_copy(jrun *run, const char *data, size_t size) {
    char *copy = jinja_alloc_bytes(&run->trap, size);
    if (size) memcpy(copy, data, size);
    jinja_pay(run, size / 64);
    return jinja_str_view(run, copy, size);
}
jval jinja_str_literal(jrun *run, const char *text) {
    return jinja_str_view(run, text, strlen(text));
}
jval jinja_str_pick(jrun *run, const jstr *from, const char *data, size_t size) {
    jval v = jinja_str_view(run, data, size);
    if (from->chars == (ptrdiff_t)from->size) v.s->chars = (ptrdiff_t)size; /* all ASCII */
    v.s->markup = from->markup;
    return v;
}

jval jinja_concat(jrun *run, const jstr *a, const jstr *b) {
    jinja_arena *arena = &run->trap.arena;
    const char *data;
    if (a->size && a->data + a->size == arena->bytes_top && b->size <= (size_t)(arena->bytes_end - arena->bytes_top)) {
        if (b->size) memcpy(jinja_alloc_bytes(&run->trap, b->size), b->data, b->size);
        data = a->data;
        jinja_pay(run, b->size / 64);
    } else {
        if (b->size > SIZE_MAX / 2 - a->size) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "a string is too long");
        char *joined = jinja_alloc_bytes(&run->trap, a->size + b->size);
        if (a->size) memcpy(joined, a->data, a->size);
        if (b->size) memcpy(joined + a->size, b->data, b->size);
        data = joined;
        jinja_pay(run, (a->size + b->size) / 64);
    }
    jval v = jinja_str_view(run, data, a->size + b->size);
    if (a->chars >= 0 && b->chars >= 0) v.s->chars = a->chars + b->chars;
    return v;
}

size_t jinja_str_chars(jrun *run, const jstr *s) {
    if (s->chars >= 0) return (size_t)s->chars;
    size_t n = 0;
    for (size_t i = 0; i < s->size; i++) n += ((unsigned char)s->data[i] & 0xC0) != 0x80;
    jinja_pay(run, s->size / 64);
    ((jstr *)s)->chars = (ptrdiff_t)n; /* unknown only in strings of this rendering */
    return n;
}

/* `steps` characters further on. */
static size_t walk(const jstr *s, size_t at, size_t steps) {
    while (steps && at < s->size) {
        at++;
        while (at < s->size && ((unsigned char)s->data[at] & 0xC0) == 0x80) at++;
        steps--;
    }
    return at;
}

static void make_marks(jrun *run, jstr *s) {
    s->marks = jinja_alloc(&run->trap, ((size_t)s->chars / JINJA_MARK_EVERY + 1) * sizeof *s->marks);
    size_t index = 0;
    for (size_t at = 0; at < s->size; at++) {
        if (((unsigned char)s->data[at] & 0xC0) == 0x80) continue;
        if (index % JINJA_MARK_EVERY == 0) s->marks[index / JINJA_MARK_EVERY] = (uint32_t)at;
        index++;
    }
    jinja_pay(run, s->size / 16);
}

size_t jinja_str_offset(jrun *run, const jstr *s, size_t index) {
    size_t chars = jinja_str_chars(run, s), at = 0;
    if (chars == s->size) return index;
    if (index >= chars) return s->size;
    if (index >= JINJA_MARK_EVERY && s->size < UINT32_MAX) {
        if (!s->marks && s->shared) { /* a template's own constant is not written to */
            jinja_pay(run, index / 16);
            return walk(s, 0, index);
        }
        if (!s->marks) make_marks(run, (jstr *)s);
        at = s->marks[index / JINJA_MARK_EVERY];
        index %= JINJA_MARK_EVERY;
    }
    jinja_pay(run, index / 16);
    return walk(s, at, index);
}

bool jinja_str_is(const jstr *s, const char *text) {
    return s->size == strlen(text) && memcmp(s->data, text, s->size) == 0;
}

/* ---- undefined ---- */

static jval new_undefined(jrun *run, jundefined what) {
    jundefined *u = jinja_alloc(&run->trap, sizeof *u);
    *u = what;
    return (jval){.type = J_UNDEFINED, .undefined = u};
}
jval jinja_undefined_name(jrun *run, jval name) {
    return new_undefined(run, (jundefined){.name = name});
}
jval jinja_undefined_attr(jrun *run, jval obj, jval name) {
    return new_undefined(run, (jundefined){.obj = obj, .name = name});
}
jval jinja_undefined_hint(jrun *run, const char *hint) {
    return new_undefined(run, (jundefined){.hint = hint});
}
void jinja_raise_undefined(jrun *run, jval v) {
    const jundefined *u = v.undefined;
    if (u->hint) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%s", u->hint);
    jstr *name = jinja_repr(run, u->name).s;
    int size = (int)(name->size < 80 ? name->size : 80);
    if (u->obj.type == J_MISSING) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%.*s is undefined", size, name->data);
    jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'%s object' has no %s %.*s", jinja_type_name(u->obj),
                u->name.type == J_STR ? "attribute" : "element", size, name->data);
}

/* ---- lists and tuples ---- */

static jval new_list(jrun *run, jtype type, size_t capacity) {
    jlist *list = jinja_alloc(&run->trap, sizeof *list);
    if (capacity > SIZE_MAX / 2 / sizeof(jval)) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "a list is too long");
    list->items = capacity ? jinja_alloc(&run->trap, capacity * sizeof(jval)) : NULL;
    list->capacity = capacity;
    return (jval){.type = type, .list = list};
}
jval jinja_list_new(jrun *run, size_t capacity) {
    return new_list(run, J_LIST, capacity);
}
jval jinja_tuple_new(jrun *run, size_t capacity) {
    return new_list(run, J_TUPLE, capacity);
}
jval jinja_tuple2(jrun *run, jval a, jval b) {
    jval t = jinja_tuple_new(run, 2);
    t.list->items[0] = a;
    t.list->items[1] = b;
    t.list->count = 2;
    return t;
}
void jinja_list_push(jrun *run, jlist *list, jval item) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        jval *items = jinja_alloc(&run->trap, capacity * sizeof *items);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    jinja_pay(run, 1);
}

/* ---- dictionaries ---- */

bool jinja_hashable(jrun *run, jval v) {
    if (v.type == J_LIST || v.type == J_DICT || v.type == J_VIEW) return false;
    if (v.type != J_TUPLE) return true;
    bool hashable = true;
    jinja_enter(run);
    jinja_pay(run, v.list->count);
    for (size_t i = 0; i < v.list->count && hashable; i++) hashable = jinja_hashable(run, v.list->items[i]);
    jinja_leave(run);
    return hashable;
}

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x9E3779B97F4A7C15ull;
    return h ^ (h >> 29);
}

static uint64_t hash_bytes(uint64_t seed, const char *data, size_t size) {
    uint64_t h = seed ^ size;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        h = mix(h, word);
    }
    uint64_t tail = 0;
    if (size) memcpy(&tail, data, size);
    return mix(mix(h, tail), seed);
}

/* Equal values hash alike: 1, 1.0 and true are one key. */
static uint64_t hash_value(jrun *run, jval v) {
    switch (v.type) {
    case J_STR: return hash_bytes(run->seed, v.s->data, v.s->size);
    case J_BOOL: return mix(run->seed, v.b);
    case J_INT: return mix(run->seed, (uint64_t)v.i);
    case J_FLOAT:
        if (v.f >= -9.2e18 && v.f <= 9.2e18 && v.f == (double)(int64_t)v.f)
            return mix(run->seed, (uint64_t)(int64_t)v.f);
        return hash_bytes(run->seed, (const char *)&v.f, sizeof v.f);
    case J_TUPLE: {
        uint64_t h = run->seed;
        jinja_enter(run);
        jinja_pay(run, v.list->count);
        for (size_t i = 0; i < v.list->count; i++) h = mix(h, hash_value(run, v.list->items[i]));
        jinja_leave(run);
        return h;
    }
    case J_NONE:
    case J_UNDEFINED: return mix(run->seed, (uint64_t)v.type);
    case J_RANGE: return mix(run->seed, (uint64_t)v.range->count);
    default: return mix(run->seed, (uint64_t)(uintptr_t)v.s);
    }
}

jval jinja_dict_new(jrun *run) {
    jdict *dict = jinja_alloc(&run->trap, sizeof *dict);
    return (jval){.type = J_DICT, .dict = dict};
}

static jpair *find_pair(jrun *run, const jdict *dict, jval key, uint64_t hash) {
    if (!dict->index) {
        for (size_t i = 0; i < dict->count; i++)
            if (dict->pairs[i].hash == hash && jinja_equal(run, dict->pairs[i].key, key)) return &dict->pairs[i];
        return NULL;
    }
    for (size_t slot = hash & (dict->index_size - 1); dict->index[slot]; slot = (slot + 1) & (dict->index_size - 1)) {
        jpair *pair = &dict->pairs[dict->index[slot] - 1];
        if (pair->hash == hash && jinja_equal(run, pair->key, key)) return pair;
    }
    return NULL;
}

bool jinja_dict_get(jrun *run, const jdict *dict, jval key, jval *out) {
    if (!dict->count) return false;
    jpair *pair = find_pair(run, dict, key, hash_value(run, key));
    if (pair) *out = pair->value;
    return pair != NULL;
}
bool jinja_dict_get_text(jrun *run, const jdict *dict, const char *data, size_t size, jval *out) {
    jstr key = {.data = data, .size = size, .chars = JINJA_CHARS_UNKNOWN};
    return jinja_dict_get(run, dict, (jval){.type = J_STR, .s = &key}, out);
}

static void grow_dict(jrun *run, jdict *dict) {
    size_t capacity = dict->capacity ? dict->capacity * 2 : 4;
    jpair *pairs = jinja_alloc(&run->trap, capacity * sizeof *pairs);
    if (dict->count) memcpy(pairs, dict->pairs, dict->count * sizeof *pairs);
    dict->pairs = pairs;
    dict->capacity = capacity;
    if (capacity <= 8) return;
    dict->index_size = capacity * 2;
    dict->index = jinja_alloc(&run->trap, dict->index_size * sizeof *dict->index);
    for (size_t i = 0; i < dict->count; i++) {
        size_t slot = pairs[i].hash & (dict->index_size - 1);
        while (dict->index[slot]) slot = (slot + 1) & (dict->index_size - 1);
        dict->index[slot] = (uint32_t)i + 1;
    }
}

void jinja_dict_set(jrun *run, jdict *dict, jval key, jval value) {
    if (!jinja_hashable(run, key))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "unhashable type: '%s'", jinja_type_name(key));
    uint64_t hash = hash_value(run, key);
    jinja_pay(run, 1);
    jpair *pair = find_pair(run, dict, key, hash);
    if (pair) {
        pair->value = value;
        return;
    }
    if (dict->count == dict->capacity) grow_dict(run, dict);
    if (dict->index) {
        size_t slot = hash & (dict->index_size - 1);
        while (dict->index[slot]) slot = (slot + 1) & (dict->index_size - 1);
        dict->index[slot] = (uint32_t)dict->count + 1;
    }
    dict->pairs[dict->count++] = (jpair){.key = key, .value = value, .hash = hash};
}

/* ---- from JSON ---- */

static jval from_json(jrun *run, const json_t *json, int depth) {
    if (depth > WEFT_JINJA_DEPTH_MAX)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "the data is nested deeper than %d", WEFT_JINJA_DEPTH_MAX);
    jinja_pay(run, 1);
    jval v = jinja_none();
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT: {
        v = jinja_dict_new(run);
        const char *key;
        size_t key_size;
        json_t *item;
        json_object_keylen_foreach((json_t *)json, key, key_size, item)
            jinja_dict_set(run, v.dict, jinja_str_view(run, key, key_size), from_json(run, item, depth + 1));
        break;
    }
    case JSON_ARRAY: {
        size_t count = json_array_size(json);
        v = jinja_list_new(run, count);
        for (size_t i = 0; i < count; i++)
            jinja_list_push(run, v.list, from_json(run, json_array_get(json, i), depth + 1));
        break;
    }
    case JSON_STRING: return jinja_str_view(run, json_string_value(json), json_string_length(json));
    case JSON_INTEGER: return jinja_int(json_integer_value(json));
    case JSON_REAL: return jinja_float(json_real_value(json));
    case JSON_TRUE: return jinja_bool(true);
    case JSON_FALSE: return jinja_bool(false);
    case JSON_NULL: break;
    }
    return v;
}
jval jinja_from_json(jrun *run, const json_t *json) {
    return from_json(run, json, 0);
}

/* ---- strings being built ---- */

void jinja_build_init(jbuilder *b) {
    *b = (jbuilder){0};
}

void jinja_build(jrun *run, jbuilder *b, const char *data, size_t size) {
    if (!size) return;
    if (size > b->capacity - b->size) {
        jinja_arena *arena = &run->trap.arena;
        size_t capacity = b->capacity ? b->capacity : 64;
        while (capacity - b->size < size) {
            if (capacity > SIZE_MAX / 4) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "a string is too long");
            capacity *= 2;
        }
        if (b->data && b->data + b->capacity == arena->bytes_top &&
            capacity - b->capacity <= (size_t)(arena->bytes_end - arena->bytes_top)) {
            arena->bytes_top += capacity - b->capacity; /* the newest string: grow in place */
        } else {
            char *grown = jinja_alloc_bytes(&run->trap, capacity);
            if (b->size) memcpy(grown, b->data, b->size);
            b->data = grown;
        }
        b->capacity = capacity;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
    jinja_pay(run, size / 64);
}
void jinja_build_text(jrun *run, jbuilder *b, const char *text) {
    jinja_build(run, b, text, strlen(text));
}
void jinja_build_char(jrun *run, jbuilder *b, int32_t cp) {
    char bytes[4];
    jinja_build(run, b, bytes, jinja_utf8_encode(cp, bytes));
}
void jinja_build_fill(jrun *run, jbuilder *b, const jstr *fill, size_t times) {
    if (!fill->size) return;
    jinja_pay(run, times);
    while (times--) jinja_build(run, b, fill->data, fill->size);
}
jval jinja_build_end(jrun *run, jbuilder *b) {
    jinja_arena *arena = &run->trap.arena;
    if (b->data && b->data + b->capacity == arena->bytes_top) arena->bytes_top -= b->capacity - b->size; /* give back */
    return jinja_str_view(run, b->data ? b->data : "", b->size);
}
