/* Evaluates expressions. Each node costs a step and a level of depth. */
#include <string.h>

#include "text/jinja_internal.h"

void jinja_enter(jrun *run) {
    if (run->depth >= JINJA_EVAL_DEPTH_MAX)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "evaluation is nested deeper than %d", JINJA_EVAL_DEPTH_MAX);
    run->depth++;
}
void jinja_leave(jrun *run) {
    run->depth--;
}

jval jinja_lookup(jrun *run, const jscope *scope, const jnode *name) {
    jval v = run->globals[name->symbol];
    for (bool found = false; scope && !found; scope = scope->parent) {
        for (uint32_t i = scope->count; i-- > 0 && !found;) {
            if (scope->slots[i].symbol != name->symbol) continue;
            jinja_pay(run, (scope->count - i) / 8);
            v = scope->slots[i].value;
            found = true;
        }
    }
    if (v.type != J_MISSING) return v;
    return jinja_undefined_name(run, (jval){.type = J_STR, .s = run->jinja->symbols[name->symbol]});
}

static jval eval_items(jrun *run, jscope *scope, const jnode *node, jtype type) {
    jval out = jinja_list_new(run, node->items.count);
    out.type = type;
    for (uint32_t i = 0; i < node->items.count; i++)
        jinja_list_push(run, out.list, jinja_eval(run, scope, node->items.at[i]));
    return out;
}

static jval eval_dict(jrun *run, jscope *scope, const jnode *node) {
    jval out = jinja_dict_new(run);
    for (uint32_t i = 0; i < node->items.count; i++) {
        jval key = jinja_eval(run, scope, node->items.at[i]);
        jinja_dict_set(run, out.dict, key, jinja_eval(run, scope, node->other.at[i]));
    }
    return out;
}

static jval eval_compare(jrun *run, jscope *scope, const jnode *node) {
    jval left = jinja_eval(run, scope, node->a);
    bool result = true;
    for (uint32_t i = 0; i < node->other.count && result; i++) {
        jval right = jinja_eval(run, scope, node->other.at[i]);
        result = jinja_compare(run, (jcompare)node->ops[i], left, right);
        left = right;
    }
    return jinja_bool(result);
}

static jval eval_concat(jrun *run, jscope *scope, const jnode *node) {
    jval out = jinja_to_str(run, jinja_eval(run, scope, node->items.at[0]));
    for (uint32_t i = 1; i < node->items.count; i++)
        out = jinja_concat(run, out.s, jinja_to_str(run, jinja_eval(run, scope, node->items.at[i])).s);
    return out;
}

static void add_keyword(jrun *run, jargs *args, size_t capacity, jstr *name, jval value) {
    for (size_t i = 0; i < args->nkw; i++)
        if (args->kw[i].name->size == name->size && memcmp(args->kw[i].name->data, name->data, name->size) == 0)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "got multiple values for a keyword argument");
    if (args->nkw >= capacity) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "too many keyword arguments");
    args->kw[args->nkw++] = (jkeyword){name, value};
}

/* Evaluates the arguments of a call, filter or test. `caller`: a keyword argument more, unless J_MISSING. */
void jinja_call_args(jrun *run, jscope *scope, const jnode *node, jargs *args, jval caller) {
    *args = (jargs){0};
    size_t capacity = node->items.count;
    args->pos = capacity ? jinja_alloc(&run->trap, capacity * sizeof(jval)) : NULL;
    for (uint32_t i = 0; i < node->items.count; i++)
        args->pos[args->npos++] = jinja_eval(run, scope, node->items.at[i]);
    if (node->dyn_args) {
        jlist *more = jinja_to_list(run, jinja_eval(run, scope, node->dyn_args));
        jval *all = jinja_alloc(&run->trap, (capacity + more->count) * sizeof(jval));
        if (capacity) memcpy(all, args->pos, capacity * sizeof(jval));
        if (more->count) memcpy(all + capacity, more->items, more->count * sizeof(jval));
        args->pos = all;
        args->npos += more->count;
    }
    jval extra = {0};
    if (node->dyn_kwargs) {
        extra = jinja_eval(run, scope, node->dyn_kwargs);
        if (extra.type == J_UNDEFINED) jinja_raise_undefined(run, extra);
        if (extra.type != J_DICT) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "argument after ** must be a mapping");
        if (extra.dict->count > 256) jinja_raise(&run->trap, WEFT_ERR_LIMIT, "more than 256 keyword arguments");
    }
    size_t keywords = node->other.count + (extra.type == J_DICT ? extra.dict->count : 0) + 1;
    args->kw = jinja_alloc(&run->trap, keywords * sizeof *args->kw);
    for (uint32_t i = 0; i < node->other.count; i++)
        add_keyword(run, args, keywords, node->keys[i], jinja_eval(run, scope, node->other.at[i]));
    for (size_t i = 0; extra.type == J_DICT && i < extra.dict->count; i++) {
        if (extra.dict->pairs[i].key.type != J_STR)
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "keywords must be strings");
        add_keyword(run, args, keywords, extra.dict->pairs[i].key.s, extra.dict->pairs[i].value);
    }
    if (caller.type != J_MISSING) {
        static jstr name = {.data = "caller", .size = 6, .chars = 6};
        add_keyword(run, args, keywords, &name, caller);
    }
}

static void point_at(jrun *run, const jnode *node) {
    run->trap.line = node->line;
    run->trap.column = node->column;
}

/* The innermost filter of a filter block or set block has no operand of its own: it gets `subject`. */
jval jinja_apply_filter(jrun *run, jscope *scope, const jnode *node, jval subject) {
    jinja_enter(run);
    jval self = !node->a ? subject
                : node->a->kind == JN_FILTER && subject.type != J_MISSING
                    ? jinja_apply_filter(run, scope, node->a, subject)
                    : jinja_eval(run, scope, node->a);
    jargs args;
    jinja_call_args(run, scope, node, &args, (jval){0});
    point_at(run, node);
    if (!node->builtin)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "no %s named '%.*s' found",
                    node->kind == JN_FILTER ? "filter" : "test",
                    (int)(node->value.s->size < 80 ? node->value.s->size : 80), node->value.s->data);
    jval out = jinja_call_builtin(run, node->builtin, self, &args);
    jinja_leave(run);
    return out;
}

static jval eval_call(jrun *run, jscope *scope, const jnode *node) {
    jval callee = jinja_eval(run, scope, node->a);
    jargs args;
    jinja_call_args(run, scope, node, &args, (jval){0});
    point_at(run, node);
    return jinja_call(run, callee, &args);
}

static jval eval_getitem(jrun *run, jscope *scope, const jnode *node) {
    jval object = jinja_eval(run, scope, node->a);
    if (node->b->kind != JN_SLICE) {
        jval key = jinja_eval(run, scope, node->b);
        point_at(run, node);
        return jinja_getitem(run, object, key);
    }
    const jnode *slice = node->b;
    jval start = slice->a ? jinja_eval(run, scope, slice->a) : jinja_none();
    jval stop = slice->b ? jinja_eval(run, scope, slice->b) : jinja_none();
    jval step = slice->c ? jinja_eval(run, scope, slice->c) : jinja_none();
    point_at(run, node);
    return jinja_slice(run, object, start, stop, step);
}

static jval eval_node(jrun *run, jscope *scope, const jnode *node) {
    jval left, right;
    switch (node->kind) {
    case JN_CONST: return node->value;
    case JN_NAME: return jinja_lookup(run, scope, node);
    case JN_TUPLE: return eval_items(run, scope, node, J_TUPLE);
    case JN_LIST: return eval_items(run, scope, node, J_LIST);
    case JN_DICT: return eval_dict(run, scope, node);
    case JN_NEG: return jinja_negate(run, jinja_eval(run, scope, node->a));
    case JN_POS: return jinja_positive(run, jinja_eval(run, scope, node->a));
    case JN_BINARY:
        left = jinja_eval(run, scope, node->a);
        right = jinja_eval(run, scope, node->b);
        point_at(run, node);
        return jinja_binary(run, (jop)node->op, left, right);
    case JN_AND:
        left = jinja_eval(run, scope, node->a);
        return jinja_truth(run, left) ? jinja_eval(run, scope, node->b) : left;
    case JN_OR:
        left = jinja_eval(run, scope, node->a);
        return jinja_truth(run, left) ? left : jinja_eval(run, scope, node->b);
    case JN_NOT: return jinja_bool(!jinja_truth(run, jinja_eval(run, scope, node->a)));
    case JN_CONCAT: return eval_concat(run, scope, node);
    case JN_COMPARE: return eval_compare(run, scope, node);
    case JN_COND:
        if (jinja_truth(run, jinja_eval(run, scope, node->a))) return jinja_eval(run, scope, node->b);
        if (node->c) return jinja_eval(run, scope, node->c);
        return jinja_undefined_hint(run, "the inline if-expression was false and has no else section");
    case JN_GETATTR:
        left = jinja_eval(run, scope, node->a);
        point_at(run, node);
        return jinja_getattr(run, left, node->value);
    case JN_GETITEM: return eval_getitem(run, scope, node);
    case JN_CALL: return eval_call(run, scope, node);
    case JN_FILTER:
    case JN_TEST: return jinja_apply_filter(run, scope, node, (jval){0});
    default: jinja_raise(&run->trap, WEFT_ERR_INTERNAL, "a statement where an expression should stand");
    }
}

jval jinja_eval(jrun *run, jscope *scope, const jnode *node) {
    jinja_pay(run, 1);
    jinja_enter(run);
    point_at(run, node);
    jval v = eval_node(run, scope, node);
    jinja_leave(run);
    return v;
}
