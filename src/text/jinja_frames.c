/* Which names a scope hides from the start, decided once after parsing.
 *
 * jinja2 turns variables into locals of generated functions. A name that a scope first mentions by assigning it
 * (outside of an if), and that no scope around mentions, begins unassigned there: until the assignment runs, inner
 * scopes see an undefined name even when the caller gave a variable of that name. Everything else is plain lookup,
 * scope by scope. */
#include <string.h>

#include "text/jinja_internal.h"

typedef struct frame {
    jinja_trap *trap;
    const struct frame *parent;
    uint32_t *names; /* open addressing: symbol + 1 */
    uint32_t count, size;
    uint32_t *assigned; /* symbols first mentioned by an assignment outside of an if */
    uint32_t assigned_count, assigned_capacity;
    jnodes inner; /* statements with scopes of their own */
    int ifs;
} frame;

static bool knows(const frame *f, uint32_t symbol) {
    if (!f->size) return false;
    for (uint32_t slot = symbol * 2654435761u & (f->size - 1); f->names[slot]; slot = (slot + 1) & (f->size - 1))
        if (f->names[slot] == symbol + 1) return true;
    return false;
}

static void insert(frame *f, uint32_t symbol) {
    uint32_t slot = symbol * 2654435761u & (f->size - 1);
    while (f->names[slot]) slot = (slot + 1) & (f->size - 1);
    f->names[slot] = symbol + 1;
    f->count++;
}

/* True when the name is new here. */
static bool mention(frame *f, uint32_t symbol) {
    if (knows(f, symbol)) return false;
    if ((f->count + 1) * 2 > f->size) {
        uint32_t *old = f->names, old_size = f->size;
        f->size = old_size ? old_size * 2 : 16;
        f->names = jinja_alloc(f->trap, f->size * sizeof *f->names);
        f->count = 0;
        for (uint32_t i = 0; i < old_size; i++)
            if (old[i]) insert(f, old[i] - 1);
    }
    insert(f, symbol);
    return true;
}

static void assign_name(frame *f, uint32_t symbol) {
    if (!mention(f, symbol) || f->ifs) return;
    if (f->assigned_count == f->assigned_capacity) {
        uint32_t capacity = f->assigned_capacity ? f->assigned_capacity * 2 : 4;
        uint32_t *assigned = jinja_alloc(f->trap, capacity * sizeof *assigned);
        if (f->assigned_count) memcpy(assigned, f->assigned, f->assigned_count * sizeof *assigned);
        f->assigned = assigned;
        f->assigned_capacity = capacity;
    }
    f->assigned[f->assigned_count++] = symbol;
}

static void read_names(frame *f, const jnode *node);

static void read_all(frame *f, const jnodes *nodes) {
    for (uint32_t i = 0; i < nodes->count; i++) read_names(f, nodes->at[i]);
}

/* The names an expression reads. */
static void read_names(frame *f, const jnode *node) {
    if (!node) return;
    if (node->kind == JN_NAME || node->kind == JN_NSREF) {
        mention(f, node->symbol);
        return;
    }
    read_names(f, node->a);
    read_names(f, node->b);
    read_names(f, node->c);
    read_all(f, &node->items);
    read_all(f, &node->other);
    read_names(f, node->dyn_args);
    read_names(f, node->dyn_kwargs);
}

static void assign_target(frame *f, const jnode *target, bool parameter) {
    if (target->kind == JN_TUPLE) {
        for (uint32_t i = 0; i < target->items.count; i++) assign_target(f, target->items.at[i], parameter);
    } else if (target->kind == JN_NSREF || parameter) {
        mention(f, target->symbol);
    } else {
        assign_name(f, target->symbol);
    }
}

static void add_inner(frame *f, jnode *node) {
    jnodes *inner = &f->inner;
    if (inner->count == inner->capacity) {
        uint32_t capacity = inner->capacity ? inner->capacity * 2 : 8;
        jnode **at = jinja_alloc(f->trap, capacity * sizeof *at);
        if (inner->count) memcpy(at, inner->at, inner->count * sizeof *at);
        inner->at = at;
        inner->capacity = capacity;
    }
    inner->at[inner->count++] = node;
}

static void visit_body(frame *f, const jnodes *body);

static void visit(frame *f, jnode *node) {
    switch (node->kind) {
    case JN_OUTPUT: read_all(f, &node->items); break;
    case JN_IF:
        for (; node; node = node->b) {
            read_names(f, node->a);
            f->ifs++;
            visit_body(f, &node->items);
            visit_body(f, &node->other);
            f->ifs--;
        }
        break;
    case JN_SET:
        read_names(f, node->b);
        assign_target(f, node->a, false);
        break;
    case JN_FOR:
        read_names(f, node->b);
        add_inner(f, node);
        break;
    case JN_MACRO:
        assign_name(f, node->symbol);
        add_inner(f, node);
        break;
    case JN_CALL_BLOCK:
        read_names(f, node->a);
        add_inner(f, node->b);
        break;
    case JN_SET_BLOCK:
        assign_target(f, node->a, false);
        add_inner(f, node);
        break;
    case JN_FILTER_BLOCK:
        read_names(f, node->a);
        add_inner(f, node);
        break;
    case JN_WITH:
        read_all(f, &node->other);
        add_inner(f, node);
        break;
    case JN_SCOPE:
    case JN_BLOCK: add_inner(f, node); break;
    default: break;
    }
}

static void visit_body(frame *f, const jnodes *body) {
    for (uint32_t i = 0; i < body->count; i++) visit(f, body->at[i]);
}

static bool known_around(const frame *f, uint32_t symbol) {
    for (f = f->parent; f; f = f->parent)
        if (knows(f, symbol)) return true;
    return false;
}

static void enter_inner(const frame *f);

/* Reads a scope's body (its parameters are mentioned already) and everything inside; returns what it hides. */
static jhidden *finish(frame *f, const jnodes *body) {
    visit_body(f, body);
    jhidden *hidden = NULL;
    for (uint32_t i = 0; i < f->assigned_count; i++) {
        if (known_around(f, f->assigned[i])) continue;
        if (!hidden) {
            hidden = jinja_alloc(f->trap, sizeof *hidden);
            hidden->symbols = jinja_alloc(f->trap, f->assigned_count * sizeof *hidden->symbols);
        }
        hidden->symbols[hidden->count++] = f->assigned[i];
    }
    enter_inner(f);
    return hidden;
}

static void enter_inner(const frame *parent) {
    for (uint32_t i = 0; i < parent->inner.count; i++) {
        jnode *node = parent->inner.at[i];
        frame f = {.trap = parent->trap, .parent = node->kind == JN_BLOCK ? NULL : parent};
        if (node->kind == JN_FOR) {
            frame other = f;
            node->hidden_else = finish(&other, &node->other);
            mention(&f, JSYM_LOOP);
        }
        if (node->kind == JN_FOR || node->kind == JN_WITH) assign_target(&f, node->a, true);
        if (node->kind == JN_MACRO) {
            for (uint32_t k = 0; k < node->op; k++) mention(&f, node->symbols[k]);
            if (node->flags & JINJA_USES_CALLER) mention(&f, JSYM_CALLER);
            if (node->flags & JINJA_USES_KWARGS) mention(&f, JSYM_KWARGS);
            if (node->flags & JINJA_USES_VARARGS) mention(&f, JSYM_VARARGS);
            read_all(&f, &node->other);
        }
        node->hidden = finish(&f, &node->items);
    }
}

void jinja_resolve_frames(jinja_trap *trap, weft_jinja *jinja) {
    frame root = {.trap = trap};
    jinja->hidden = finish(&root, &jinja->body);
}
