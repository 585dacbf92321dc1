/* Executes statements: output, scopes, loops, macros.
 *
 * Scopes are jinja2's: if has none; loop bodies (anew each time), macros, call, filter, set and with blocks have one;
 * a set inside stays inside. Names are looked up where a macro was written, at the time it is called. */
#include <string.h>

#include "text/jinja_internal.h"

/* ---- output ---- */

static void emit(jrun *run, const char *data, size_t size) {
    if (run->capture) {
        jinja_build(run, run->capture, data, size);
        return;
    }
    jinja_pay(run, size / 64);
    if (size > (size_t)WEFT_JINJA_OUTPUT_MAX - run->written)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "the rendering is longer than %d MB", WEFT_JINJA_OUTPUT_MAX >> 20);
    weft_error err;
    if (weft_buffer_append(run->out, data, size, &err) != WEFT_OK)
        jinja_raise(&run->trap, err.status, "%s", err.message);
    run->written += size;
}

static void emit_value(jrun *run, jval v) {
    const jstr *s = jinja_to_str(run, v).s;
    emit(run, s->data, s->size);
}

/* What a filter or call block made: jinja2 prints it without str(), so nothing but a string will do. */
static void emit_text(jrun *run, jval v) {
    if (v.type != J_STR)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "the block yields %s, not a string", jinja_type_name(v));
    emit(run, v.s->data, v.s->size);
}

/* Renders a body into a string. */
static jval capture(jrun *run, jscope *scope, const jnodes *body, jflow *flow) {
    jbuilder builder, *outer = run->capture;
    jinja_build_init(&builder);
    run->capture = &builder;
    jflow how = jinja_exec(run, scope, body);
    if (flow) *flow = how;
    run->capture = outer;
    return jinja_build_end(run, &builder);
}

/* ---- scopes ---- */

static jscope *open_scope(jrun *run, jscope *parent, const jhidden *hidden) {
    jscope *scope = run->free_scopes;
    if (scope)
        run->free_scopes = scope->parent;
    else
        scope = jinja_alloc(&run->trap, sizeof *scope);
    scope->parent = parent;
    scope->count = 0;
    for (uint32_t i = 0; hidden && i < hidden->count; i++) jinja_bind(run, scope, hidden->symbols[i], (jval){0});
    return scope;
}

static void close_scope(jrun *run, jscope *scope) {
    if (scope->captured) return;
    scope->parent = run->free_scopes;
    run->free_scopes = scope;
}

static void keep_scope(jscope *scope) {
    for (; scope && !scope->captured; scope = scope->parent) scope->captured = true;
}

void jinja_bind(jrun *run, jscope *scope, uint32_t symbol, jval value) {
    if (!scope) {
        run->globals[symbol] = value;
        return;
    }
    for (uint32_t i = 0; i < scope->count; i++)
        if (scope->slots[i].symbol == symbol) {
            scope->slots[i].value = value;
            return;
        }
    jinja_pay(run, 1 + scope->count / 8);
    if (scope->count == scope->capacity) {
        uint32_t capacity = scope->capacity ? scope->capacity * 2 : 4;
        jslot *slots = jinja_alloc(&run->trap, capacity * sizeof *slots);
        if (scope->count) memcpy(slots, scope->slots, scope->count * sizeof *slots);
        scope->slots = slots;
        scope->capacity = capacity;
    }
    scope->slots[scope->count++] = (jslot){symbol, value};
}

static void assign_attribute(jrun *run, jscope *scope, const jnode *target, jval value) {
    jval object = jinja_lookup(run, scope, target);
    const jstr *name = target->value.s;
    if (object.type != J_NAMESPACE)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "cannot assign attribute on non-namespace object");
    if (name->size && name->data[0] == '_')
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "a namespace cannot hold names that begin with an underscore");
    jinja_dict_set(run, object.dict, target->value, value);
}

static void assign(jrun *run, jscope *scope, const jnode *target, jval value) {
    if (target->kind == JN_NAME) {
        jinja_bind(run, scope, target->symbol, value);
        return;
    }
    if (target->kind == JN_NSREF) {
        assign_attribute(run, scope, target, value);
        return;
    }
    jiter *iter = jinja_try_iter(run, value);
    if (!iter) jinja_raise(&run->trap, WEFT_ERR_FORMAT, "cannot unpack non-iterable %s object", jinja_type_name(value));
    jinja_enter(run);
    jval item;
    for (uint32_t i = 0; i < target->items.count; i++) {
        if (!jinja_next(run, iter, &item))
            jinja_raise(&run->trap, WEFT_ERR_FORMAT, "not enough values to unpack (expected %u, got %u)",
                        target->items.count, i);
        assign(run, scope, target->items.at[i], item);
    }
    if (jinja_next(run, iter, &item))
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "too many values to unpack (expected %u)", target->items.count);
    jinja_leave(run);
}

/* ---- loops ---- */

/* What the target's names hold now: a filtered loop hands on a fresh tuple, not the item itself. */
static jval read_target(jrun *run, const jscope *scope, const jnode *target) {
    if (target->kind == JN_NAME) return jinja_lookup(run, scope, target);
    jval tuple = jinja_tuple_new(run, target->items.count);
    for (uint32_t i = 0; i < target->items.count; i++)
        jinja_list_push(run, tuple.list, read_target(run, scope, target->items.at[i]));
    return tuple;
}

/* for ... if test: the test runs as the loop asks for items, and may see what the body changed. */
static bool next_filtered(jrun *run, jiter *iter, jval *out) {
    const jnode *node = iter->data;
    jval item;
    while (jinja_next(run, iter->inner, &item)) {
        jscope *scope = open_scope(run, iter->scope, NULL);
        assign(run, scope, node->a, item);
        bool wanted = jinja_truth(run, jinja_eval(run, scope, node->c));
        if (wanted) *out = read_target(run, scope, node->a);
        close_scope(run, scope);
        if (wanted) return true;
    }
    return false;
}

bool jinja_loop_next(jrun *run, jloop *loop, jval *out) {
    if (loop->has_after) {
        *out = loop->after;
        loop->has_after = false;
    } else if (!jinja_next(run, loop->iter, out)) {
        return false;
    }
    loop->index0++;
    loop->before = loop->current;
    loop->current = *out;
    return true;
}

static jloop *new_loop(jrun *run, jscope *scope, const jnode *node, jval iterable, int64_t depth0) {
    jloop *loop = jinja_alloc(&run->trap, sizeof *loop);
    *loop = (jloop){.iterable = iterable, .index0 = -1, .length = -1, .scope = scope, .depth0 = depth0};
    loop->iter = jinja_iter(run, iterable);
    if (node->flags) loop->recurse = node;
    if (node->c) {
        jiter *filtered = jinja_iter_new(run, next_filtered, iterable);
        filtered->inner = loop->iter;
        filtered->data = node;
        filtered->scope = scope;
        loop->iter = filtered;
        loop->iterable = jinja_iter_value(filtered);
    }
    if (node->c || node->flags) keep_scope(scope);
    return loop;
}

static jflow run_loop(jrun *run, jscope *scope, const jnode *node, jval iterable, int64_t depth0) {
    jloop *loop = new_loop(run, scope, node, iterable, depth0);
    bool any = false; /* jinja2's else runs unless a body ran to its end: break and continue do not count */
    jval item;
    while (jinja_loop_next(run, loop, &item)) {
        jscope *body = open_scope(run, scope, node->hidden);
        jinja_bind(run, body, JSYM_LOOP, (jval){.type = J_LOOP, .loop = loop});
        assign(run, body, node->a, item);
        jflow flow = jinja_exec(run, body, &node->items);
        close_scope(run, body);
        if (flow == JFLOW_BREAK) break;
        any |= flow == JFLOW_NORMAL;
    }
    if (any || !node->other.count) return JFLOW_NORMAL;
    jscope *other = open_scope(run, scope, node->hidden_else);
    jflow flow = jinja_exec(run, other, &node->other);
    close_scope(run, other);
    return flow;
}

/* loop(children) inside a recursive loop. */
jval jinja_call_loop(jrun *run, jloop *loop, jval iterable) {
    if (!loop->recurse)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "the loop must have the 'recursive' marker to be called recursively");
    if (run->calls >= WEFT_JINJA_DEPTH_MAX)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "recursion deeper than %d", WEFT_JINJA_DEPTH_MAX);
    run->calls++;
    jbuilder builder, *outer = run->capture;
    jinja_build_init(&builder);
    run->capture = &builder;
    run_loop(run, loop->scope, loop->recurse, iterable, loop->depth0 + 1);
    run->capture = outer;
    run->calls--;
    return jinja_build_end(run, &builder);
}

/* ---- macros ---- */

static bool take_keyword(jargs *args, const jstr *name, jval *out) {
    for (size_t i = 0; i < args->nkw; i++) {
        if (args->kw[i].name->size != name->size || memcmp(args->kw[i].name->data, name->data, name->size) != 0)
            continue;
        *out = args->kw[i].value;
        memmove(&args->kw[i], &args->kw[i + 1], (args->nkw - i - 1) * sizeof *args->kw);
        args->nkw--;
        return true;
    }
    return false;
}

/* What is left after the parameters: caller, kwargs, varargs when the body mentions them, an error otherwise. */
static void bind_rest(jrun *run, jscope *scope, const jnode *node, jargs *rest) {
    static const jstr caller_name = {.data = "caller", .size = 6, .chars = 6};
    if (node->flags & JINJA_USES_CALLER) {
        jval caller;
        if (!take_keyword(rest, &caller_name, &caller) || caller.type == J_NONE)
            caller = jinja_undefined_hint(run, "No caller defined");
        jinja_bind(run, scope, JSYM_CALLER, caller);
    }
    if (node->flags & JINJA_USES_KWARGS) {
        jval kwargs = jinja_dict_new(run);
        for (size_t i = 0; i < rest->nkw; i++)
            jinja_dict_set(run, kwargs.dict, (jval){.type = J_STR, .s = rest->kw[i].name}, rest->kw[i].value);
        jinja_bind(run, scope, JSYM_KWARGS, kwargs);
    } else if (rest->nkw) {
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "the macro takes no keyword argument '%.*s'",
                    (int)(rest->kw[0].name->size < 80 ? rest->kw[0].name->size : 80), rest->kw[0].name->data);
    }
    if (node->flags & JINJA_USES_VARARGS) {
        jval varargs = jinja_tuple_new(run, rest->npos);
        for (size_t i = 0; i < rest->npos; i++) jinja_list_push(run, varargs.list, rest->pos[i]);
        jinja_bind(run, scope, JSYM_VARARGS, varargs);
    } else if (rest->npos) {
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "the macro takes not more than %u argument(s)", node->op);
    }
}

static void bind_parameters(jrun *run, jscope *scope, const jnode *node, const jargs *given) {
    uint32_t count = node->op, required = count - node->other.count;
    jargs rest = *given;
    if (rest.nkw) { /* taken from a copy: varargs and kwargs hold what remains */
        rest.kw = jinja_alloc(&run->trap, rest.nkw * sizeof *rest.kw);
        memcpy(rest.kw, given->kw, rest.nkw * sizeof *rest.kw);
    }
    bool missing[64] = {false}; /* a macro has at most 64 parameters */
    for (uint32_t i = 0; i < count; i++) {
        jval value = {0};
        if (rest.npos) {
            value = *rest.pos++;
            rest.npos--;
        } else if (!take_keyword(&rest, node->keys[i], &value)) {
            missing[i] = true;
            continue;
        }
        jinja_bind(run, scope, node->symbols[i], value);
    }
    bind_rest(run, scope, node, &rest);
    for (uint32_t i = 0; i < count; i++) {
        if (!missing[i]) continue;
        jval value = i >= required ? jinja_eval(run, scope, node->other.at[i - required])
                                   : jinja_undefined_hint(run, "a parameter of the macro was not provided");
        jinja_bind(run, scope, node->symbols[i], value);
    }
}

jval jinja_call_macro(jrun *run, jmacro *macro, const jargs *args) {
    if (run->calls >= WEFT_JINJA_DEPTH_MAX)
        jinja_raise(&run->trap, WEFT_ERR_LIMIT, "recursion deeper than %d", WEFT_JINJA_DEPTH_MAX);
    run->calls++;
    jscope *scope = open_scope(run, macro->scope, macro->node->hidden);
    bind_parameters(run, scope, macro->node, args);
    jval out = capture(run, scope, &macro->node->items, NULL);
    close_scope(run, scope);
    run->calls--;
    return out;
}

static jval new_macro(jrun *run, jscope *scope, const jnode *node) {
    jmacro *macro = jinja_alloc(&run->trap, sizeof *macro);
    *macro = (jmacro){.node = node, .scope = scope};
    keep_scope(scope);
    return (jval){.type = J_MACRO, .macro = macro};
}

/* ---- statements ---- */

static jflow exec_if(jrun *run, jscope *scope, const jnode *node) {
    for (; node; node = node->b) {
        if (jinja_truth(run, jinja_eval(run, scope, node->a))) return jinja_exec(run, scope, &node->items);
        if (!node->b) return jinja_exec(run, scope, &node->other);
    }
    return JFLOW_NORMAL;
}

static jflow exec_nested(jrun *run, jscope *parent, const jnode *node) {
    jscope *scope = open_scope(run, parent, node->hidden);
    jflow flow = jinja_exec(run, scope, &node->items);
    close_scope(run, scope);
    return flow;
}

static jflow exec_with(jrun *run, jscope *parent, const jnode *node) {
    jscope *scope = open_scope(run, parent, node->hidden);
    for (uint32_t i = 0; i < node->other.count; i++)
        assign(run, scope, node->a->items.at[i], jinja_eval(run, parent, node->other.at[i]));
    jflow flow = jinja_exec(run, scope, &node->items);
    close_scope(run, scope);
    return flow;
}

/* Filter and set blocks: the body as a string, through the filters. A break in the body drops what it wrote. */
static jflow exec_captured(jrun *run, jscope *parent, const jnode *node) {
    jscope *scope = open_scope(run, parent, node->hidden);
    jflow flow;
    jval text = capture(run, scope, &node->items, &flow);
    if (flow == JFLOW_NORMAL) {
        const jnode *filter = node->kind == JN_SET_BLOCK ? node->b : node->a;
        if (filter) text = jinja_apply_filter(run, scope, filter, text);
        if (node->kind == JN_SET_BLOCK)
            assign(run, parent, node->a, text);
        else
            emit_text(run, text);
    }
    close_scope(run, scope);
    return flow;
}

static void exec_call_block(jrun *run, jscope *scope, const jnode *node) {
    jval caller = new_macro(run, scope, node->b);
    jval callee = jinja_eval(run, scope, node->a->a);
    jargs args;
    jinja_call_args(run, scope, node->a, &args, caller);
    emit_text(run, jinja_call(run, callee, &args));
}

static void check_namespaces(jrun *run, jscope *scope, const jnode *target) {
    if (target->kind == JN_NSREF && jinja_lookup(run, scope, target).type != J_NAMESPACE)
        jinja_raise(&run->trap, WEFT_ERR_FORMAT, "cannot assign attribute on non-namespace object");
    for (uint32_t i = 0; target->kind == JN_TUPLE && i < target->items.count; i++)
        check_namespaces(run, scope, target->items.at[i]);
}

static jflow exec_node(jrun *run, jscope *scope, const jnode *node) {
    switch (node->kind) {
    case JN_DATA: emit(run, node->value.s->data, node->value.s->size); break;
    case JN_OUTPUT:
        for (uint32_t i = 0; i < node->items.count; i++) emit_value(run, jinja_eval(run, scope, node->items.at[i]));
        break;
    case JN_IF: return exec_if(run, scope, node);
    case JN_FOR: return run_loop(run, scope, node, jinja_eval(run, scope, node->b), 0);
    case JN_SET:
        check_namespaces(run, scope, node->a);
        assign(run, scope, node->a, jinja_eval(run, scope, node->b));
        break;
    case JN_SET_BLOCK:
    case JN_FILTER_BLOCK: return exec_captured(run, scope, node);
    case JN_MACRO: jinja_bind(run, scope, node->symbol, new_macro(run, scope, node)); break;
    case JN_CALL_BLOCK: exec_call_block(run, scope, node); break;
    case JN_WITH: return exec_with(run, scope, node);
    case JN_SCOPE: return exec_nested(run, scope, node);
    case JN_BLOCK: return exec_nested(run, node->flags ? scope : NULL, node);
    case JN_BREAK: return JFLOW_BREAK;
    case JN_CONTINUE: return JFLOW_CONTINUE;
    default: jinja_raise(&run->trap, WEFT_ERR_INTERNAL, "an expression where a statement should stand");
    }
    return JFLOW_NORMAL;
}

jflow jinja_exec(jrun *run, jscope *scope, const jnodes *body) {
    jinja_enter(run);
    jflow flow = JFLOW_NORMAL;
    for (uint32_t i = 0; i < body->count && flow == JFLOW_NORMAL; i++) {
        const jnode *node = body->at[i];
        jinja_pay(run, 1);
        run->trap.line = node->line;
        run->trap.column = node->column;
        flow = exec_node(run, scope, node);
    }
    jinja_leave(run);
    return flow;
}
