/* Calling: binding arguments to the parameters of builtins, and what is callable. */
#include <string.h>

#include "text/jinja_internal.h"

const jstr *jinja_need_str(jrun *run, jval v, const char *what) {
    if (v.type == J_UNDEFINED) jinja_raise_undefined(run, v);
    if (v.type != J_STR) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%s must be str, not %s", what, jinja_type_name(v));
    return v.s;
}

int64_t jinja_need_int(jrun *run, jval v, const char *what) {
    int64_t i;
    if (v.type == J_UNDEFINED) jinja_raise_undefined(run, v);
    if (!jinja_index(v, &i))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%s must be an integer, not %s", what, jinja_type_name(v));
    return i;
}

/* The position of `name` among the parameters of `spec`, -1: no such parameter. */
static int find_parameter(const char *spec, const jstr *name) {
    for (int at = 0; *spec; at++) {
        size_t size = strcspn(spec, ",?");
        if (size == name->size && memcmp(spec, name->data, size) == 0) return at;
        spec += size;
        if (*spec == '?') spec++;
        if (*spec == ',') spec++;
    }
    return -1;
}

static void bind(jrun *run, const jbuiltin *builtin, const jargs *args, jval bound[JINJA_BOUND_MAX]) {
    const char *spec = builtin->spec;
    bool by_position = *spec == '/';
    if (by_position) spec++;
    size_t count = 0;
    for (const char *s = spec; *s; count++) s += strcspn(s, ",") + (s[strcspn(s, ",")] == ',');
    if (args->npos > count)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%s() takes at most %zu arguments (%zu given)", builtin->name, count,
                    args->npos);
    for (size_t i = 0; i < args->npos; i++) bound[i] = args->pos[i];
    for (size_t i = 0; i < args->nkw; i++) {
        int at = by_position ? -1 : find_parameter(spec, args->kw[i].name);
        if (at < 0)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%s() got an unexpected keyword argument '%.*s'", builtin->name,
                        (int)(args->kw[i].name->size < 80 ? args->kw[i].name->size : 80), args->kw[i].name->data);
        if (bound[at].type != J_MISSING)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%s() got multiple values for an argument", builtin->name);
        bound[at] = args->kw[i].value;
    }
    for (size_t i = 0; *spec; i++) {
        size_t size = strcspn(spec, ",");
        if (spec[size - 1] != '?' && bound[i].type == J_MISSING)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "%s() missing argument '%.*s'", builtin->name, (int)size, spec);
        spec += size + (spec[size] == ',');
    }
}

jval jinja_call_builtin(jrun *run, const jbuiltin *builtin, jval self, const jargs *args) {
    jval bound[JINJA_BOUND_MAX] = {0};
    if (builtin->spec) bind(run, builtin, args, bound);
    return builtin->call(run, self, bound, args);
}

static jval call_joiner(jrun *run, jcycler *joiner) {
    if (joiner->used) return joiner->separator;
    joiner->used = true;
    return jinja_str_literal(run, "");
}

jval jinja_call(jrun *run, jval callee, const jargs *args) {
    switch (callee.type) {
    case J_UNDEFINED: jinja_raise_undefined(run, callee);
    case J_BUILTIN: return jinja_call_builtin(run, callee.builtin, (jval){0}, args);
    case J_METHOD: return jinja_call_builtin(run, callee.method->builtin, callee.method->self, args);
    case J_MACRO: return jinja_call_macro(run, callee.macro, args);
    case J_LOOP:
        if (args->npos != 1 || args->nkw) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "loop() takes one argument");
        return jinja_call_loop(run, callee.loop, args->pos[0]);
    case J_JOINER:
        if (!args->npos && !args->nkw) return call_joiner(run, callee.cycler);
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a joiner takes no arguments");
    default: jinja_raise(&run->trap, WEFT_ERR_FORMAT, "'%s' object is not callable", jinja_type_name(callee));
    }
}
