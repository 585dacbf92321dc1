/* Expressions of the template language -> syntax tree, with jinja2's precedence: inline if, or, and, not, comparison,
 * + -, ~, * / // %, **, unary minus, postfix (attribute, subscript, call), filters and tests.
 *
 * Recursion is bounded by WEFT_JINJA_DEPTH_MAX, the height of the tree by JINJA_TREE_DEPTH_MAX. */
#include <string.h>

#include "text/jinja_parser.h"

static jnode *parse_unary(jparser *p, bool with_filter);
static jnode *parse_postfix(jparser *p, jnode *node);

static jnode *binary(jparser *p, jkind kind, jnode *a, jnode *b, const jtoken *at) {
    jnode *node = jparse_node(p, kind, at);
    node->a = a;
    node->b = b;
    jparse_child(p, node, a);
    jparse_child(p, node, b);
    return node;
}

static jnode *parse_pow(jparser *p) {
    jnode *left = parse_unary(p, true);
    while (jtok_is(p->at, JP_POW)) {
        const jtoken *at = p->at++;
        left = binary(p, JN_BINARY, left, parse_unary(p, true), at);
        left->op = JOP_POW;
    }
    return left;
}

static jnode *parse_product(jparser *p) {
    jnode *left = parse_pow(p);
    for (;;) {
        const jtoken *at = p->at;
        jop op = jtok_is(at, JP_MUL)        ? JOP_MUL
                 : jtok_is(at, JP_DIV)      ? JOP_DIV
                 : jtok_is(at, JP_FLOORDIV) ? JOP_FLOORDIV
                                            : JOP_MOD;
        if (op == JOP_MOD && !jtok_is(at, JP_MOD)) return left;
        p->at++;
        left = binary(p, JN_BINARY, left, parse_pow(p), at);
        left->op = (uint8_t)op;
    }
}

static jnode *parse_concat(jparser *p) {
    const jtoken *at = p->at;
    jnode *first = parse_product(p);
    if (!jtok_is(p->at, JP_TILDE)) return first;
    jnode *node = jparse_node(p, JN_CONCAT, at);
    jparse_push(p, &node->items, first, node);
    while (jparse_skip(p, JP_TILDE)) jparse_push(p, &node->items, parse_product(p), node);
    return node;
}

static jnode *parse_sum(jparser *p) {
    jnode *left = parse_concat(p);
    while (jtok_is(p->at, JP_ADD) || jtok_is(p->at, JP_SUB)) {
        const jtoken *at = p->at++;
        left = binary(p, JN_BINARY, left, parse_concat(p), at);
        left->op = jtok_is(at, JP_ADD) ? JOP_ADD : JOP_SUB;
    }
    return left;
}

static int comparison(jparser *p) {
    const jtoken *t = p->at;
    if (t->type == JT_OPERATOR) {
        switch (t->punct) {
        case JP_EQ: return JCMP_EQ;
        case JP_NE: return JCMP_NE;
        case JP_LT: return JCMP_LT;
        case JP_LE: return JCMP_LE;
        case JP_GT: return JCMP_GT;
        case JP_GE: return JCMP_GE;
        default: return -1;
        }
    }
    if (jtok_name(t, "in")) return JCMP_IN;
    if (jtok_name(t, "not") && jtok_name(t + 1, "in")) {
        p->at++;
        return JCMP_NOTIN;
    }
    return -1;
}

static jnode *parse_compare(jparser *p) {
    const jtoken *at = p->at;
    jnode *first = parse_sum(p), *node = NULL;
    uint32_t capacity = 0;
    for (int op; (op = comparison(p)) >= 0;) {
        p->at++;
        if (!node) {
            node = jparse_node(p, JN_COMPARE, at);
            node->a = first;
            jparse_child(p, node, first);
        }
        jparse_push(p, &node->other, parse_sum(p), node);
        if (node->other.count > capacity) {
            capacity = capacity ? capacity * 2 : 4;
            uint8_t *ops = jinja_alloc(p->trap, capacity);
            if (node->ops) memcpy(ops, node->ops, node->other.count - 1);
            node->ops = ops;
        }
        node->ops[node->other.count - 1] = (uint8_t)op;
    }
    return node ? node : first;
}

static jnode *parse_not(jparser *p) {
    if (!jtok_name(p->at, "not")) return parse_compare(p);
    jparse_enter(p);
    const jtoken *at = p->at++;
    jnode *node = jparse_node(p, JN_NOT, at);
    node->a = parse_not(p);
    jparse_child(p, node, node->a);
    p->nest--;
    return node;
}

static jnode *parse_and(jparser *p) {
    jnode *left = parse_not(p);
    while (jtok_name(p->at, "and")) {
        const jtoken *at = p->at++;
        left = binary(p, JN_AND, left, parse_not(p), at);
    }
    return left;
}

static jnode *parse_or(jparser *p) {
    jnode *left = parse_and(p);
    while (jtok_name(p->at, "or")) {
        const jtoken *at = p->at++;
        left = binary(p, JN_OR, left, parse_and(p), at);
    }
    return left;
}

/* a if test else b. What stands in an inline if may name unknown filters as long as they are not reached; its first
 * operand is read before the "if" is seen, so what it noted is forgiven afterwards. */
static jnode *parse_condition(jparser *p) {
    const jnode *unknown = p->unknown;
    jnode *value = parse_or(p);
    if (!jtok_name(p->at, "if")) return value;
    bool soft = p->soft;
    p->unknown = unknown;
    p->soft = true;
    while (jtok_name(p->at, "if")) {
        const jtoken *at = p->at++;
        jnode *node = jparse_node(p, JN_COND, at);
        node->a = parse_or(p);
        node->b = value;
        if (jparse_skip_name(p, "else")) node->c = jparse_expression(p, true);
        jparse_child(p, node, node->a);
        jparse_child(p, node, node->b);
        if (node->c) jparse_child(p, node, node->c);
        value = node;
    }
    p->soft = soft;
    return value;
}

jnode *jparse_expression(jparser *p, bool with_condition) {
    jparse_enter(p);
    jnode *node = with_condition ? parse_condition(p) : parse_or(p);
    p->nest--;
    return node;
}

static jnode *parse_list(jparser *p) {
    jnode *node = jparse_node(p, JN_LIST, p->at++);
    while (!jtok_is(p->at, JP_RBRACKET)) {
        if (node->items.count) jparse_expect(p, JP_COMMA, "','");
        if (jtok_is(p->at, JP_RBRACKET)) break;
        jparse_push(p, &node->items, jparse_expression(p, true), node);
    }
    p->at++;
    return node;
}

static jnode *parse_dict(jparser *p) {
    jnode *node = jparse_node(p, JN_DICT, p->at++);
    while (!jtok_is(p->at, JP_RBRACE)) {
        if (node->items.count) jparse_expect(p, JP_COMMA, "','");
        if (jtok_is(p->at, JP_RBRACE)) break;
        jparse_push(p, &node->items, jparse_expression(p, true), node);
        jparse_expect(p, JP_COLON, "':'");
        jparse_push(p, &node->other, jparse_expression(p, true), node);
    }
    p->at++;
    return node;
}

static jnode *parse_name(jparser *p, bool with_namespace) {
    const jtoken *t = p->at++;
    jnode *node = jparse_node(p, JN_CONST, t);
    if (jtok_name(t, "true") || jtok_name(t, "True")) {
        node->value = jinja_bool(true);
    } else if (jtok_name(t, "false") || jtok_name(t, "False")) {
        node->value = jinja_bool(false);
    } else if (jtok_name(t, "none") || jtok_name(t, "None")) {
        node->value = jinja_none();
    } else {
        node->kind = JN_NAME;
        node->symbol = jparse_symbol(p, t->text, t->size);
        node->value = (jval){.type = J_STR, .s = p->jinja->symbols[node->symbol]};
        if (with_namespace && jparse_skip(p, JP_DOT)) {
            node->kind = JN_NSREF;
            if (p->at->type != JT_NAME) jparse_fail(p, "expected a name after '.'");
            node->value = jparse_string(p, p->at->text, p->at->size);
            p->at++;
        } else if (!p->target) {
            jparse_note_name(p, t->text, t->size, false);
        }
    }
    return node;
}

static jnode *parse_string(jparser *p) {
    const jtoken *first = p->at;
    size_t size = 0;
    for (; p->at->type == JT_STRING; p->at++) size += p->at->size;
    jnode *node = jparse_node(p, JN_CONST, first);
    if (p->at == first + 1) {
        node->value = jparse_string(p, first->text, first->size);
        return node;
    }
    char *joined = jinja_alloc(p->trap, size + 1), *out = joined;
    for (const jtoken *t = first; t < p->at; t++) {
        memcpy(out, t->text, t->size);
        out += t->size;
    }
    node->value = jparse_string(p, joined, size);
    return node;
}

static jnode *parse_primary(jparser *p, bool with_namespace) {
    const jtoken *t = p->at;
    jnode *node;
    switch (t->type) {
    case JT_NAME: return parse_name(p, with_namespace);
    case JT_STRING: return parse_string(p);
    case JT_INTEGER:
    case JT_FLOAT:
        p->at++;
        node = jparse_node(p, JN_CONST, t);
        node->value = t->type == JT_INTEGER ? jinja_int(t->integer) : jinja_float(t->number);
        return node;
    case JT_OPERATOR:
        if (t->punct == JP_LBRACKET) return parse_list(p);
        if (t->punct == JP_LBRACE) return parse_dict(p);
        if (t->punct == JP_LPAREN) {
            p->at++;
            node = jparse_tuple(p, (jtuple_rules){.parentheses = true});
            jparse_expect(p, JP_RPAREN, "')'");
            return node;
        }
        break;
    default: break;
    }
    jparse_fail(p, "unexpected %s", t->type == JT_EOF ? "end of template" : "token where a value should stand");
}

static bool tuple_ends(const jparser *p, const char *end_name) {
    const jtoken *t = p->at;
    return t->type == JT_VARIABLE_END || t->type == JT_BLOCK_END || jtok_is(t, JP_RPAREN) ||
           (end_name && jtok_name(t, end_name));
}

jnode *jparse_tuple(jparser *p, jtuple_rules rules) {
    jparse_enter(p);
    jnode *tuple = jparse_node(p, JN_TUPLE, p->at);
    bool is_tuple = false;
    for (;;) {
        if (tuple->items.count) jparse_expect(p, JP_COMMA, "','");
        if (tuple_ends(p, rules.end_name)) break;
        jnode *item =
            rules.simplified ? parse_primary(p, rules.with_namespace) : jparse_expression(p, !rules.no_condition);
        jparse_push(p, &tuple->items, item, tuple);
        if (!jtok_is(p->at, JP_COMMA)) break;
        is_tuple = true;
    }
    p->nest--;
    if (is_tuple) return tuple;
    if (tuple->items.count) return tuple->items.at[0];
    if (!rules.parentheses) jparse_fail(p, "expected an expression");
    return tuple;
}

/* One subscript: an expression or a slice. */
static jnode *parse_subscribed(jparser *p) {
    const jtoken *at = p->at;
    jnode *start = NULL;
    if (!jtok_is(p->at, JP_COLON)) {
        start = jparse_expression(p, true);
        if (!jtok_is(p->at, JP_COLON)) return start;
    }
    p->at++;
    jnode *slice = jparse_node(p, JN_SLICE, at);
    slice->a = start;
    if (!jtok_is(p->at, JP_COLON) && !jtok_is(p->at, JP_RBRACKET) && !jtok_is(p->at, JP_COMMA))
        slice->b = jparse_expression(p, true);
    if (jparse_skip(p, JP_COLON) && !jtok_is(p->at, JP_RBRACKET) && !jtok_is(p->at, JP_COMMA))
        slice->c = jparse_expression(p, true);
    if (slice->a) jparse_child(p, slice, slice->a);
    if (slice->b) jparse_child(p, slice, slice->b);
    if (slice->c) jparse_child(p, slice, slice->c);
    return slice;
}

static jnode *parse_subscript(jparser *p, jnode *object) {
    const jtoken *at = p->at++;
    jnode *node = jparse_node(p, JN_GETITEM, at);
    node->a = object;
    if (jtok_is(at, JP_DOT)) {
        const jtoken *t = p->at;
        if (t->type == JT_NAME) {
            node->kind = JN_GETATTR;
            node->value = jparse_string(p, t->text, t->size);
        } else if (t->type == JT_INTEGER) {
            node->b = jparse_node(p, JN_CONST, t);
            node->b->value = jinja_int(t->integer);
        } else {
            jparse_fail(p, "expected name or number");
        }
        p->at++;
        jparse_child(p, node, object);
        return node;
    }
    jnode *tuple = jparse_node(p, JN_TUPLE, at);
    bool slices = false;
    while (!jtok_is(p->at, JP_RBRACKET)) {
        if (tuple->items.count) jparse_expect(p, JP_COMMA, "','");
        jnode *item = parse_subscribed(p);
        slices |= item->kind == JN_SLICE;
        jparse_push(p, &tuple->items, item, tuple);
    }
    p->at++;
    if (slices && tuple->items.count > 1) jparse_fail(p, "a slice cannot be part of a tuple");
    node->b = tuple->items.count == 1 ? tuple->items.at[0] : tuple;
    jparse_child(p, node, object);
    jparse_child(p, node, node->b);
    return node;
}

static void add_keyword(jparser *p, jnode *node, const jtoken *name, jnode *value) {
    uint32_t n = node->other.count;
    for (uint32_t i = 0; i < n; i++)
        if (node->keys[i]->size == name->size && memcmp(node->keys[i]->data, name->text, name->size) == 0)
            jparse_fail(p, "keyword argument '%.*s' repeated", (int)(name->size < 80 ? name->size : 80), name->text);
    if (n == 64) jparse_fail(p, "more than 64 keyword arguments");
    if ((n & (n - 1)) == 0) { /* full at every power of two */
        jstr **keys = jinja_alloc(p->trap, (n ? n * 2 : 1) * sizeof *keys);
        if (n) memcpy(keys, node->keys, n * sizeof *keys);
        node->keys = keys;
    }
    node->keys[n] = jparse_string(p, name->text, name->size).s;
    jparse_push(p, &node->other, value, node);
}

static void parse_call_args(jparser *p, jnode *node) {
    jparse_expect(p, JP_LPAREN, "'('");
    bool comma = false;
    while (!jtok_is(p->at, JP_RPAREN)) {
        if (comma) {
            jparse_expect(p, JP_COMMA, "','");
            if (jtok_is(p->at, JP_RPAREN)) break;
        }
        comma = true;
        bool keyword = p->at->type == JT_NAME && jtok_is(p->at + 1, JP_ASSIGN);
        if (node->dyn_kwargs || (node->dyn_args && !keyword && !jtok_is(p->at, JP_POW)) ||
            (node->other.count && !keyword && !jtok_is(p->at, JP_MUL) && !jtok_is(p->at, JP_POW)))
            jparse_fail(p, "invalid syntax for function call expression");
        if (jparse_skip(p, JP_MUL)) {
            node->dyn_args = jparse_expression(p, true);
            jparse_child(p, node, node->dyn_args);
        } else if (jparse_skip(p, JP_POW)) {
            node->dyn_kwargs = jparse_expression(p, true);
            jparse_child(p, node, node->dyn_kwargs);
        } else if (keyword) {
            const jtoken *name = p->at;
            p->at += 2;
            add_keyword(p, node, name, jparse_expression(p, true));
        } else {
            jparse_push(p, &node->items, jparse_expression(p, true), node);
        }
    }
    p->at++;
}

static jnode *parse_call(jparser *p, jnode *callee) {
    jnode *node = jparse_node(p, JN_CALL, p->at);
    node->a = callee;
    jparse_child(p, node, callee);
    parse_call_args(p, node);
    return node;
}

static jnode *parse_postfix(jparser *p, jnode *node) {
    for (;;) {
        if (jtok_is(p->at, JP_DOT) || jtok_is(p->at, JP_LBRACKET))
            node = parse_subscript(p, node);
        else if (jtok_is(p->at, JP_LPAREN))
            node = parse_call(p, node);
        else
            return node;
    }
}

/* name or name.name, as filters and tests are called; the text of the source is contiguous only without spaces, so it
 * is joined anew. */
static jval parse_dotted(jparser *p) {
    if (p->at->type != JT_NAME) jparse_fail(p, "expected a name");
    const jtoken *t = p->at++;
    jval name = jparse_string(p, t->text, t->size);
    while (jparse_skip(p, JP_DOT)) {
        if (p->at->type != JT_NAME) jparse_fail(p, "expected a name");
        size_t size = name.s->size + 1 + p->at->size;
        char *joined = jinja_alloc(p->trap, size);
        memcpy(joined, name.s->data, name.s->size);
        joined[name.s->size] = '.';
        memcpy(joined + name.s->size + 1, p->at->text, p->at->size);
        name = jparse_string(p, joined, size);
        p->at++;
    }
    return name;
}

jnode *jparse_filter_chain(jparser *p, jnode *subject, bool start_inline) {
    while (start_inline || jtok_is(p->at, JP_PIPE)) {
        if (!start_inline) p->at++;
        start_inline = false;
        jnode *node = jparse_node(p, JN_FILTER, p->at);
        node->a = subject;
        if (subject) jparse_child(p, node, subject);
        node->value = parse_dotted(p);
        node->builtin = jinja_find_filter(node->value.s->data, node->value.s->size);
        if (!node->builtin && !p->soft && !p->unknown) p->unknown = node;
        if (jtok_is(p->at, JP_LPAREN)) parse_call_args(p, node);
        subject = node;
        if (!jtok_is(p->at, JP_PIPE)) break;
    }
    return subject;
}

static bool test_argument_follows(const jtoken *t) {
    if (t->type == JT_NAME) return !jtok_name(t, "else") && !jtok_name(t, "or") && !jtok_name(t, "and");
    return t->type == JT_STRING || t->type == JT_INTEGER || t->type == JT_FLOAT || jtok_is(t, JP_LBRACKET) ||
           jtok_is(t, JP_LBRACE);
}

static jnode *parse_test(jparser *p, jnode *subject) {
    const jtoken *at = p->at++;
    bool negated = jparse_skip_name(p, "not");
    jnode *node = jparse_node(p, JN_TEST, at);
    node->a = subject;
    jparse_child(p, node, subject);
    node->value = parse_dotted(p);
    node->builtin = jinja_find_test(node->value.s->data, node->value.s->size);
    if (!node->builtin && !p->soft && !p->unknown) p->unknown = node;
    if (jtok_is(p->at, JP_LPAREN)) {
        parse_call_args(p, node);
    } else if (test_argument_follows(p->at)) {
        if (jtok_name(p->at, "is")) jparse_fail(p, "tests cannot be chained with 'is'");
        jnode *argument = parse_postfix(p, parse_primary(p, false));
        jparse_push(p, &node->items, argument, node);
    }
    if (!negated) return node;
    jnode *not_node = jparse_node(p, JN_NOT, at);
    not_node->a = node;
    jparse_child(p, not_node, node);
    return not_node;
}

static jnode *parse_filter_expr(jparser *p, jnode *node) {
    for (;;) {
        if (jtok_is(p->at, JP_PIPE))
            node = jparse_filter_chain(p, node, false);
        else if (jtok_name(p->at, "is"))
            node = parse_test(p, node);
        else if (jtok_is(p->at, JP_LPAREN))
            node = parse_call(p, node);
        else
            return node;
    }
}

static jnode *parse_unary(jparser *p, bool with_filter) {
    jnode *node;
    const jtoken *at = p->at;
    if (jtok_is(at, JP_SUB) || jtok_is(at, JP_ADD)) {
        jparse_enter(p);
        p->at++;
        node = jparse_node(p, jtok_is(at, JP_SUB) ? JN_NEG : JN_POS, at);
        node->a = parse_unary(p, false);
        jparse_child(p, node, node->a);
        p->nest--;
    } else {
        node = parse_primary(p, false);
    }
    node = parse_postfix(p, node);
    return with_filter ? parse_filter_expr(p, node) : node;
}
