/* Statements of the template language -> syntax tree.
 *
 * Owns nothing: nodes live in the arena of the template. Refuses by name: include, import, from, extends (templates are
 * single files here) and autoescape true (output is never HTML). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_parser.h"

static void parse_body(jparser *p, jnodes *body, jnode *parent, const char *const *ends);

void jparse_fail(jparser *p, const char *format, ...) {
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    p->trap->line = p->at->line;
    p->trap->column = p->at->column;
    jinja_raise(p->trap, WEFT_ERR_FORMAT, "%s", message);
}

void jparse_enter(jparser *p) {
    if (++p->nest > WEFT_JINJA_DEPTH_MAX) {
        p->trap->line = p->at->line;
        p->trap->column = p->at->column;
        jinja_raise(p->trap, WEFT_ERR_LIMIT, "nested deeper than %d", WEFT_JINJA_DEPTH_MAX);
    }
}

jnode *jparse_node(jparser *p, jkind kind, const jtoken *at) {
    jnode *node = jinja_alloc(p->trap, sizeof *node);
    node->kind = kind;
    node->line = at->line;
    node->column = at->column;
    node->depth = 1;
    return node;
}

void jparse_child(jparser *p, jnode *parent, const jnode *child) {
    if (child->depth >= parent->depth) parent->depth = child->depth + 1;
    if (parent->depth > JINJA_TREE_DEPTH_MAX) {
        p->trap->line = p->at->line;
        p->trap->column = p->at->column;
        jinja_raise(p->trap, WEFT_ERR_LIMIT, "an expression has more than %d levels", JINJA_TREE_DEPTH_MAX);
    }
}

void jparse_push(jparser *p, jnodes *nodes, jnode *node, jnode *parent) {
    if (nodes->count == nodes->capacity) {
        uint32_t capacity = nodes->capacity ? nodes->capacity * 2 : 4;
        jnode **at = jinja_alloc(p->trap, capacity * sizeof *at);
        if (nodes->count) memcpy(at, nodes->at, nodes->count * sizeof *at);
        nodes->at = at;
        nodes->capacity = capacity;
    }
    nodes->at[nodes->count++] = node;
    if (parent) jparse_child(p, parent, node);
}

jval jparse_string(jparser *p, const char *data, size_t size) {
    jstr *s = jinja_alloc(p->trap, sizeof *s);
    *s = (jstr){.data = data, .size = size, .shared = true};
    for (size_t i = 0; i < size; i++) s->chars += ((unsigned char)data[i] & 0xC0) != 0x80;
    return (jval){.type = J_STR, .s = s};
}

static uint32_t name_hash(const char *name, size_t size) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < size; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
    return h;
}

static void grow_symbols(jparser *p) {
    weft_jinja *jinja = p->jinja;
    uint32_t capacity = p->symbol_capacity ? p->symbol_capacity * 2 : 64, size = capacity * 2;
    jstr **symbols = jinja_alloc(p->trap, capacity * sizeof *symbols);
    uint32_t *index = jinja_alloc(p->trap, size * sizeof *index);
    if (jinja->symbol_count) memcpy(symbols, jinja->symbols, jinja->symbol_count * sizeof *symbols);
    for (uint32_t i = 0; i < jinja->symbol_count; i++) {
        uint32_t slot = name_hash(symbols[i]->data, symbols[i]->size) & (size - 1);
        while (index[slot]) slot = (slot + 1) & (size - 1);
        index[slot] = i + 1;
    }
    jinja->symbols = symbols;
    p->symbol_index = index;
    p->symbol_index_size = size;
    p->symbol_capacity = capacity;
}

uint32_t jparse_symbol(jparser *p, const char *name, size_t size) {
    weft_jinja *jinja = p->jinja;
    if (jinja->symbol_count == p->symbol_capacity) grow_symbols(p);
    uint32_t slot = name_hash(name, size) & (p->symbol_index_size - 1);
    for (; p->symbol_index[slot]; slot = (slot + 1) & (p->symbol_index_size - 1)) {
        const jstr *have = jinja->symbols[p->symbol_index[slot] - 1];
        if (have->size == size && memcmp(have->data, name, size) == 0) return p->symbol_index[slot] - 1;
    }
    jinja->symbols[jinja->symbol_count] = jparse_string(p, name, size).s;
    p->symbol_index[slot] = ++jinja->symbol_count;
    return jinja->symbol_count - 1;
}

/* Macros take caller, kwargs and varargs only when their body mentions them unassigned. */
void jparse_note_name(jparser *p, const char *name, size_t size, bool store) {
    static const char *const special[] = {"caller", "kwargs", "varargs"};
    for (unsigned i = 0; i < 3; i++) {
        if (strlen(special[i]) != size || memcmp(special[i], name, size) != 0) continue;
        if (store)
            p->declared |= (uint8_t)(1u << i);
        else if (!(p->declared & (1u << i)))
            p->uses |= (uint8_t)(1u << i);
    }
    if (store && size == 4 && memcmp(name, "loop", 4) == 0) p->loop_stores++;
}

bool jtok_is(const jtoken *t, jpunct punct) {
    return t->type == JT_OPERATOR && t->punct == punct;
}
bool jtok_name(const jtoken *t, const char *name) {
    return t->type == JT_NAME && t->size == strlen(name) && memcmp(t->text, name, t->size) == 0;
}
bool jparse_skip(jparser *p, jpunct punct) {
    if (!jtok_is(p->at, punct)) return false;
    p->at++;
    return true;
}
bool jparse_skip_name(jparser *p, const char *name) {
    if (!jtok_name(p->at, name)) return false;
    p->at++;
    return true;
}
void jparse_expect(jparser *p, jpunct punct, const char *what) {
    if (!jparse_skip(p, punct))
        jparse_fail(p, p->at->type == JT_EOF ? "unexpected end of template, expected %s" : "expected %s here", what);
}
void jparse_expect_type(jparser *p, jtok_type type, const char *what) {
    if (p->at->type != type)
        jparse_fail(p, p->at->type == JT_EOF ? "unexpected end of template, expected %s" : "expected %s here", what);
    p->at++;
}

/* ---- assignment targets ---- */

static void check_target(jparser *p, const jnode *target) {
    if (target->kind == JN_NSREF) return;
    if (target->kind == JN_NAME) {
        jparse_note_name(p, target->value.s->data, target->value.s->size, true);
        return;
    }
    if (target->kind != JN_TUPLE) jparse_fail(p, "cannot assign to this expression");
    for (uint32_t i = 0; i < target->items.count; i++) check_target(p, target->items.at[i]);
}

static jnode *parse_target(jparser *p, const char *end_name, bool with_namespace) {
    bool outer = p->target;
    p->target = true;
    jnode *target =
        jparse_tuple(p, (jtuple_rules){.simplified = true, .with_namespace = with_namespace, .end_name = end_name});
    p->target = outer;
    check_target(p, target);
    return target;
}

static const jtoken *parse_plain_name(jparser *p) {
    const jtoken *t = p->at;
    jparse_expect_type(p, JT_NAME, "a name");
    static const char *const constants[] = {"true", "True", "false", "False", "none", "None"};
    for (size_t i = 0; i < 6; i++)
        if (jtok_name(t, constants[i])) jparse_fail(p, "cannot assign to '%s'", constants[i]);
    return t;
}

/* ---- statements ---- */

static bool is_end(const jtoken *t, const char *const *ends) {
    for (; ends && *ends; ends++)
        if (jtok_name(t, *ends)) return true;
    return false;
}

/* The body of a statement after its head: up to one of `ends`, which stays the current token. */
static void parse_block_body(jparser *p, jnodes *body, jnode *parent, const char *const *ends) {
    jparse_skip(p, JP_COLON);
    jparse_expect_type(p, JT_BLOCK_END, "end of statement block");
    parse_body(p, body, parent, ends);
}
static void parse_block_to(jparser *p, jnodes *body, jnode *parent, const char *end) {
    parse_block_body(p, body, parent, (const char *const[]){end, NULL});
    p->at++;
}

/* What a nested frame (loop body, macro, ...) changes: unknown filters are errors again. */
static void parse_frame(jparser *p, jnodes *body, jnode *parent, const char *end) {
    bool soft = p->soft;
    p->soft = false;
    parse_block_to(p, body, parent, end);
    p->soft = soft;
}

static jnode *parse_if(jparser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    bool soft = p->soft;
    p->soft = true;
    jnode *first = NULL, *last = NULL;
    do {
        jnode *node = jparse_node(p, JN_IF, p->at++);
        node->a = jparse_tuple(p, (jtuple_rules){.no_condition = true});
        jparse_child(p, node, node->a);
        parse_block_body(p, &node->items, node, ends);
        if (last)
            last->b = node;
        else
            first = node;
        last = node;
    } while (jtok_name(p->at, "elif"));
    const jtoken *end = p->at++;
    if (jtok_name(end, "else")) parse_block_to(p, &last->other, last, "endif");
    p->soft = soft;
    /* An elif chain is walked in a loop, so it does not count as depth; its bodies do. */
    for (jnode *node = first; node; node = node->b)
        if (node->depth > first->depth) first->depth = node->depth;
    return first;
}

static jnode *parse_for(jparser *p) {
    jnode *node = jparse_node(p, JN_FOR, p->at++);
    uint32_t stores = p->loop_stores;
    node->a = parse_target(p, "in", false);
    if (!jparse_skip_name(p, "in")) jparse_fail(p, "expected 'in'");
    node->b = jparse_tuple(p, (jtuple_rules){.no_condition = true, .end_name = "recursive"});
    jparse_child(p, node, node->b);
    if (jparse_skip_name(p, "if")) {
        node->c = jparse_expression(p, true);
        jparse_child(p, node, node->c);
    }
    node->flags = jparse_skip_name(p, "recursive");
    bool soft = p->soft;
    p->soft = false;
    p->loops++;
    parse_block_body(p, &node->items, node, (const char *const[]){"endfor", "else", NULL});
    p->loops--;
    const jtoken *end = p->at++;
    if (jtok_name(end, "else")) parse_block_to(p, &node->other, node, "endfor");
    p->soft = soft;
    if (p->loop_stores != stores) jparse_fail(p, "cannot assign to the special variable 'loop' in a for loop");
    return node;
}

static jnode *parse_set(jparser *p) {
    const jtoken *at = p->at++;
    /* The value is read before the name is assigned, so mentions in it count first. */
    uint8_t declared = p->declared;
    jnode *node = jparse_node(p, JN_SET, at);
    node->a = parse_target(p, NULL, true);
    uint8_t now = p->declared;
    if (jparse_skip(p, JP_ASSIGN)) {
        p->declared = declared;
        node->b = jparse_tuple(p, (jtuple_rules){0});
        p->declared |= now;
        jparse_child(p, node, node->b);
        return node;
    }
    node->kind = JN_SET_BLOCK;
    node->b = jparse_filter_chain(p, NULL, false);
    if (node->b) jparse_child(p, node, node->b);
    parse_frame(p, &node->items, node, "endset");
    return node;
}

/* Parameters of a macro or call block: keys and symbols are names, other the defaults of the last ones. */
static void parse_signature(jparser *p, jnode *node) {
    uint32_t capacity = 0, count = 0;
    jparse_expect(p, JP_LPAREN, "'('");
    while (!jtok_is(p->at, JP_RPAREN)) {
        if (count) jparse_expect(p, JP_COMMA, "','");
        const jtoken *t = parse_plain_name(p);
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 4;
            jstr **keys = jinja_alloc(p->trap, capacity * sizeof *keys);
            uint32_t *symbols = jinja_alloc(p->trap, capacity * sizeof *symbols);
            if (count) memcpy(keys, node->keys, count * sizeof *keys);
            if (count) memcpy(symbols, node->symbols, count * sizeof *symbols);
            node->keys = keys;
            node->symbols = symbols;
        }
        if (count == 64) jparse_fail(p, "a macro takes at most 64 parameters");
        uint32_t symbol = jparse_symbol(p, t->text, t->size);
        for (uint32_t i = 0; i < count; i++)
            if (node->symbols[i] == symbol) jparse_fail(p, "duplicate parameter name");
        node->symbols[count] = symbol;
        node->keys[count++] = p->jinja->symbols[symbol];
        jparse_note_name(p, t->text, t->size, true);
        if (jparse_skip(p, JP_ASSIGN))
            jparse_push(p, &node->other, jparse_expression(p, true), node);
        else if (node->other.count)
            jparse_fail(p, "non-default argument follows default argument");
    }
    p->at++;
    node->op = (uint8_t)count;
}

/* The body of a macro, with the special names it uses in node->flags. */
static void parse_macro_body(jparser *p, jnode *node, const char *end) {
    uint8_t uses = p->uses, declared = p->declared;
    int loops = p->loops;
    p->uses = p->declared = 0;
    p->loops = 0;
    parse_frame(p, &node->items, node, end);
    node->flags = p->uses;
    for (uint32_t i = 0; i < node->op; i++) { /* a parameter of that name is an ordinary one */
        if (jinja_str_is(node->keys[i], "kwargs")) node->flags &= (uint8_t)~JINJA_USES_KWARGS;
        if (jinja_str_is(node->keys[i], "varargs")) node->flags &= (uint8_t)~JINJA_USES_VARARGS;
        if (jinja_str_is(node->keys[i], "caller")) {
            if ((node->flags & JINJA_USES_CALLER) && i < node->op - node->other.count)
                jparse_fail(p, "the parameter \"caller\" must be omitted or be given a default");
            node->flags &= (uint8_t)~JINJA_USES_CALLER;
        }
    }
    p->uses = uses | (uint8_t)(p->uses & ~declared);
    p->declared |= declared;
    p->loops = loops;
}

static jnode *parse_macro(jparser *p) {
    jnode *node = jparse_node(p, JN_MACRO, p->at++);
    const jtoken *t = parse_plain_name(p);
    node->symbol = jparse_symbol(p, t->text, t->size);
    node->value = (jval){.type = J_STR, .s = p->jinja->symbols[node->symbol]};
    parse_signature(p, node);
    parse_macro_body(p, node, "endmacro");
    return node;
}

/* a: the call; b: the macro that the call gets as caller. */
static jnode *parse_call_block(jparser *p) {
    jnode *node = jparse_node(p, JN_CALL_BLOCK, p->at++);
    node->b = jparse_node(p, JN_MACRO, p->at);
    if (jtok_is(p->at, JP_LPAREN)) parse_signature(p, node->b);
    node->a = jparse_expression(p, true);
    if (node->a->kind != JN_CALL) jparse_fail(p, "expected call");
    parse_macro_body(p, node->b, "endcall");
    jparse_child(p, node, node->a);
    jparse_child(p, node, node->b);
    return node;
}

static jnode *parse_filter_block(jparser *p) {
    jnode *node = jparse_node(p, JN_FILTER_BLOCK, p->at++);
    node->a = jparse_filter_chain(p, NULL, true);
    jparse_child(p, node, node->a);
    parse_frame(p, &node->items, node, "endfilter");
    return node;
}

/* items: targets in a JN_TUPLE at a; other: values; body in items. */
static jnode *parse_with(jparser *p) {
    jnode *node = jparse_node(p, JN_WITH, p->at++);
    node->a = jparse_node(p, JN_TUPLE, p->at);
    while (p->at->type != JT_BLOCK_END) {
        if (node->a->items.count) jparse_expect(p, JP_COMMA, "','");
        uint32_t stores = p->loop_stores;
        jparse_push(p, &node->a->items, parse_target(p, NULL, false), node->a);
        p->loop_stores = stores; /* a parameter, not an assignment */
        jparse_expect(p, JP_ASSIGN, "'='");
        jparse_push(p, &node->other, jparse_expression(p, true), node);
    }
    parse_frame(p, &node->items, node, "endwith");
    return node;
}

static jnode *parse_block(jparser *p) {
    jnode *node = jparse_node(p, JN_BLOCK, p->at++);
    const jtoken *t = p->at;
    jparse_expect_type(p, JT_NAME, "a block name");
    node->flags = jparse_skip_name(p, "scoped");
    jparse_skip_name(p, "required");
    int loops = p->loops;
    uint8_t uses = p->uses, declared = p->declared;
    p->loops = 0;
    parse_frame(p, &node->items, node, "endblock");
    p->loops = loops;
    p->uses = uses;
    p->declared = declared;
    if (p->at->type == JT_NAME && p->at->size == t->size && memcmp(p->at->text, t->text, t->size) == 0) p->at++;
    return node;
}

static jnode *parse_print(jparser *p) {
    jnode *scope = jparse_node(p, JN_OUTPUT, p->at++);
    while (p->at->type != JT_BLOCK_END) {
        if (scope->items.count) jparse_expect(p, JP_COMMA, "','");
        jparse_push(p, &scope->items, jparse_expression(p, true), scope);
    }
    return scope;
}

/* {% generation %}: transformers marks what the assistant says with it; rendered like a macro without a name. */
static jnode *parse_generation(jparser *p) {
    jnode *node = jparse_node(p, JN_SCOPE, p->at++);
    int loops = p->loops;
    p->loops = 0;
    parse_frame(p, &node->items, node, "endgeneration");
    p->loops = loops;
    return node;
}

static jnode *parse_autoescape(jparser *p) {
    jnode *node = jparse_node(p, JN_SCOPE, p->at++);
    jnode *value = jparse_expression(p, true);
    if (value->kind != JN_CONST || value->value.type != J_BOOL || value->value.b)
        jinja_raise(p->trap, WEFT_ERR_UNSUPPORTED, "{%% autoescape %%} other than false is not supported");
    parse_frame(p, &node->items, node, "endautoescape");
    return node;
}

static jnode *parse_statement(jparser *p) {
    const jtoken *t = p->at;
    p->trap->line = t->line;
    p->trap->column = t->column;
    if (t->type != JT_NAME) jparse_fail(p, "tag name expected");
    static const struct {
        const char *name;
        jnode *(*parse)(jparser *p);
    } statements[] = {
        {"if", parse_if},
        {"for", parse_for},
        {"set", parse_set},
        {"macro", parse_macro},
        {"call", parse_call_block},
        {"filter", parse_filter_block},
        {"with", parse_with},
        {"block", parse_block},
        {"print", parse_print},
        {"generation", parse_generation},
        {"autoescape", parse_autoescape},
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (jtok_name(t, statements[i].name)) return statements[i].parse(p);
    if (jtok_name(t, "break") || jtok_name(t, "continue")) {
        if (!p->loops) jparse_fail(p, "'%s' outside of a loop", jtok_name(t, "break") ? "break" : "continue");
        p->at++;
        return jparse_node(p, jtok_name(t, "break") ? JN_BREAK : JN_CONTINUE, t);
    }
    static const char *const refused[] = {"include", "import", "from", "extends"};
    for (size_t i = 0; i < 4; i++)
        if (jtok_name(t, refused[i]))
            jinja_raise(p->trap, WEFT_ERR_UNSUPPORTED, "{%% %s %%} is not supported: a chat template is one file",
                        refused[i]);
    jparse_fail(p, "unknown tag '%.*s'", (int)(t->size < 80 ? t->size : 80), t->text);
}

static void parse_body(jparser *p, jnodes *body, jnode *parent, const char *const *ends) {
    jparse_enter(p);
    for (;;) {
        const jtoken *t = p->at;
        jnode *node;
        if (t->type == JT_EOF) {
            if (ends) jparse_fail(p, "unexpected end of template, expected '%s'", ends[0]);
            break;
        }
        if (t->type == JT_DATA) {
            p->at++;
            node = jparse_node(p, JN_DATA, t);
            node->value = jparse_string(p, t->text, t->size);
        } else if (t->type == JT_VARIABLE_BEGIN) {
            p->at++;
            node = jparse_node(p, JN_OUTPUT, t);
            jparse_push(p, &node->items, jparse_tuple(p, (jtuple_rules){0}), node);
            jparse_expect_type(p, JT_VARIABLE_END, "end of print statement");
        } else {
            p->at++;
            if (is_end(p->at, ends)) break;
            node = parse_statement(p);
            jparse_expect_type(p, JT_BLOCK_END, "end of statement block");
        }
        jparse_push(p, body, node, parent);
    }
    p->nest--;
}

void jinja_parse(jinja_trap *trap, const jtoken *tokens, weft_jinja *jinja) {
    jparser p = {.trap = trap, .jinja = jinja, .at = tokens};
    static const char *const names[JSYM_FIRST_FREE] = {"loop", "caller", "kwargs", "varargs"};
    for (int i = 0; i < JSYM_FIRST_FREE; i++) jparse_symbol(&p, names[i], strlen(names[i]));
    parse_body(&p, &jinja->body, NULL, NULL);
    if (!p.unknown) return;
    trap->line = p.unknown->line;
    trap->column = p.unknown->column;
    const jstr *name = p.unknown->value.s;
    jinja_raise(trap, WEFT_ERR_FORMAT, "no %s named '%.*s'", p.unknown->kind == JN_FILTER ? "filter" : "test",
                (int)(name->size < 80 ? name->size : 80), name->data);
}
