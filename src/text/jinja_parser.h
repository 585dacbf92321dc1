/* What the two halves of the parser share: jinja_parser.c (statements) and jinja_expr.c (expressions). */
#ifndef WEFT_TEXT_JINJA_PARSER_H
#define WEFT_TEXT_JINJA_PARSER_H

#include "text/jinja_internal.h"

enum { JINJA_TREE_DEPTH_MAX = 500 }; /* nodes from a statement's root to a leaf: a + b + c + ... counts each */

typedef struct jparser {
    jinja_trap *trap;
    weft_jinja *jinja;
    const jtoken *at;
    uint32_t *symbol_index; /* open addressing over jinja->symbols, number + 1 */
    uint32_t symbol_index_size, symbol_capacity;
    int nest;               /* recursion of the parser itself */
    int loops;              /* for bodies around, inside the innermost macro: break and continue need one */
    uint32_t loop_stores;   /* assignments to the name "loop" so far */
    bool soft;              /* directly under an if: an unknown filter is an error only when reached */
    const jnode *unknown;   /* the first filter or test that nobody knows where that is an error */
    bool target;            /* reading an assignment target */
    uint8_t uses, declared; /* JINJA_USES_* seen in the macro body being read */
} jparser;

/* Faults point at the current token. */
_Noreturn void jparse_fail(jparser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void jparse_enter(jparser *p);
jnode *jparse_node(jparser *p, jkind kind, const jtoken *at);
/* Notes a child's depth in its parent. */
void jparse_child(jparser *p, jnode *parent, const jnode *child);
void jparse_push(jparser *p, jnodes *nodes, jnode *node, jnode *parent);
uint32_t jparse_symbol(jparser *p, const char *name, size_t size);
jval jparse_string(jparser *p, const char *data, size_t size);
void jparse_note_name(jparser *p, const char *name, size_t size, bool store);

bool jtok_is(const jtoken *t, jpunct punct);
bool jtok_name(const jtoken *t, const char *name);
bool jparse_skip(jparser *p, jpunct punct);
bool jparse_skip_name(jparser *p, const char *name);
void jparse_expect(jparser *p, jpunct punct, const char *what);
void jparse_expect_type(jparser *p, jtok_type type, const char *what);

jnode *jparse_expression(jparser *p, bool with_condition);
typedef struct jtuple_rules {
    bool simplified, no_condition, parentheses, with_namespace;
    const char *end_name;
} jtuple_rules;
jnode *jparse_tuple(jparser *p, jtuple_rules rules);
jnode *jparse_filter_chain(jparser *p, jnode *node, bool start_inline);

#endif
