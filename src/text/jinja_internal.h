/* What the files of the Jinja interpreter share: memory, syntax tree, values, the state of one rendering.
 *
 * Memory: a compiled template and each rendering own one arena; every node, value and string lives in it (or is
 * borrowed from the caller's JSON) and is freed with it at once. Nothing is freed singly, so values carry no counts.
 * Errors: inside the interpreter a fault unwinds with longjmp to the public entry point (jinja.c), which frees the
 * arena and returns a weft_status; no function in between holds anything that would need freeing.
 * Limits: arenas have a byte budget; evaluation counts steps and depth. Every loop whose length the template or the
 * data chooses pays steps. */
#ifndef WEFT_TEXT_JINJA_INTERNAL_H
#define WEFT_TEXT_JINJA_INTERNAL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/jinja.h"

enum {
    JINJA_COMPILE_MEMORY_MAX = 256 << 20, /* bytes of tokens and tree for one template */
    JINJA_RANGE_MAX = 100000,             /* items of one range(), as the sandbox of jinja2 */
    JINJA_EVAL_DEPTH_MAX = 2500,          /* nested evaluations, over all macro calls in progress */
    JINJA_BOUND_MAX = 8,                  /* parameters of one builtin */
};

/* ---- memory and faults ---- */

typedef struct jinja_chunk jinja_chunk;
/* Two bump regions: objects, and the bytes of strings. Strings are apart so that the newest one can grow in place. */
typedef struct jinja_arena {
    jinja_chunk *chunks;
    char *top, *end;             /* objects */
    char *bytes_top, *bytes_end; /* string bytes */
    size_t used, max;            /* bytes taken from malloc, and the budget */
} jinja_arena;

/* Where a fault goes: shared by compiling and rendering. */
typedef struct jinja_trap {
    jmp_buf jump;
    weft_status status;
    weft_error *err;
    const char *name; /* the template's, for messages (borrowed) */
    uint32_t line, column;
    jinja_arena arena;
} jinja_trap;

void jinja_arena_free(jinja_arena *arena);
void *jinja_alloc(jinja_trap *trap, size_t size); /* zeroed; raises WEFT_ERR_MEMORY */
char *jinja_alloc_bytes(jinja_trap *trap, size_t size);
_Noreturn void jinja_raise(jinja_trap *trap, weft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- values ---- */

typedef enum jtype {
    J_MISSING, /* no value at all: an argument not given, a name not bound */
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STR,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_VIEW,
    J_RANGE,
    J_ITER,
    J_NAMESPACE,
    J_LOOP,
    J_MACRO,
    J_BUILTIN,
    J_METHOD,
    J_CYCLER,
    J_JOINER,
} jtype;

typedef struct jstr jstr;
typedef struct jlist jlist;
typedef struct jdict jdict;
typedef struct jview jview;
typedef struct jrange jrange;
typedef struct jiter jiter;
typedef struct jloop jloop;
typedef struct jmacro jmacro;
typedef struct jbuiltin jbuiltin;
typedef struct jmethod jmethod;
typedef struct jcycler jcycler;
typedef struct jundefined jundefined;
typedef struct jnode jnode;
typedef struct jscope jscope;
typedef struct jrun jrun;
/* Names that a scope hides until it assigns them: see jinja_frames.c. */
typedef struct jhidden {
    uint32_t *symbols;
    uint32_t count;
} jhidden;

typedef struct jval {
    jtype type;
    union {
        bool b;
        int64_t i;
        double f;
        jstr *s;
        jlist *list; /* list and tuple */
        jdict *dict; /* dict and namespace */
        jview *view;
        jrange *range;
        jiter *iter;
        jloop *loop;
        jmacro *macro;
        const jbuiltin *builtin;
        jmethod *method;
        jcycler *cycler; /* cycler and joiner */
        jundefined *undefined;
    };
} jval;

enum { JINJA_CHARS_UNKNOWN = -1, JINJA_MARK_EVERY = 64 };
struct jstr {
    const char *data; /* UTF-8, not NUL-terminated; may point into another string or the caller's JSON */
    size_t size;
    ptrdiff_t chars; /* code points, JINJA_CHARS_UNKNOWN until asked; constants of a template are counted at once,
                        because a compiled template is shared between threads */
    uint32_t *marks; /* byte offset of every JINJA_MARK_EVERY-th character, once a non-ASCII string was indexed */
    bool shared;     /* belongs to a compiled template, which several threads may render */
    bool markup;     /* |safe, |escape: matters only to later escaping and concatenation */
};
struct jlist {
    jval *items;
    size_t count, capacity;
    bool group; /* a tuple made by groupby: has .grouper and .list */
};
typedef struct jpair {
    jval key, value;
    uint64_t hash;
} jpair;
struct jdict {
    jpair *pairs; /* in insertion order */
    size_t count, capacity;
    uint32_t *index; /* open addressing, pair number + 1; NULL while small */
    size_t index_size;
};
typedef enum jview_kind { JVIEW_KEYS, JVIEW_VALUES, JVIEW_ITEMS } jview_kind;
struct jview {
    jdict *dict;
    jview_kind kind;
};
struct jrange {
    int64_t start, stop, step, count;
};
struct jundefined {
    const char *hint; /* the whole message, or NULL: built from obj and name */
    jval obj, name;   /* obj J_MISSING: a variable */
};
/* A Python iterator: yields once, in order, evaluating as it goes. */
struct jiter {
    bool (*next)(jrun *run, jiter *iter, jval *out);
    jval source;
    jiter *inner;
    size_t at;
    jval func, argument; /* per kind */
    const void *data;
    const struct jargs *args;
    jscope *scope;
    bool flag, done;
};
struct jcycler {
    jlist *items;
    size_t at;
    jval separator;
    bool used;
};
struct jloop {
    jiter *iter;
    jval iterable;
    int64_t index0, length; /* length -1: not known yet */
    jval before, current, after, changed;
    bool has_after;
    const jnode *recurse; /* the for node when recursive */
    jscope *scope;        /* where the for stands */
    int64_t depth0;
};
struct jmacro {
    const jnode *node;
    jscope *scope; /* where it was defined: names are looked up there */
};

typedef struct jkeyword {
    jstr *name;
    jval value;
} jkeyword;
typedef struct jargs {
    jval *pos;
    size_t npos;
    jkeyword *kw;
    size_t nkw;
} jargs;

/* A filter, test, method or global. `spec` names the parameters after the subject, "?" marks optional ones, "/" in
 * front: by position only; NULL: the function reads `raw` itself. `bound` holds J_MISSING for parameters not given. */
struct jbuiltin {
    const char *name, *spec;
    jval (*call)(jrun *run, jval self, jval *bound, const jargs *raw);
};
struct jmethod {
    const jbuiltin *builtin;
    jval self;
};

/* ---- syntax tree ---- */

typedef enum jkind {
    JN_CONST,
    JN_NAME,
    JN_NSREF,
    JN_TUPLE,
    JN_LIST,
    JN_DICT,
    JN_NEG,
    JN_POS,
    JN_BINARY,
    JN_AND,
    JN_OR,
    JN_NOT,
    JN_CONCAT,
    JN_COMPARE,
    JN_COND,
    JN_GETATTR,
    JN_GETITEM,
    JN_SLICE,
    JN_CALL,
    JN_FILTER,
    JN_TEST,
    JN_DATA,
    JN_OUTPUT,
    JN_IF,
    JN_FOR,
    JN_SET,
    JN_SET_BLOCK,
    JN_MACRO,
    JN_CALL_BLOCK,
    JN_FILTER_BLOCK,
    JN_WITH,
    JN_SCOPE,
    JN_BLOCK,
    JN_BREAK,
    JN_CONTINUE,
} jkind;

typedef enum jop { JOP_ADD, JOP_SUB, JOP_MUL, JOP_DIV, JOP_FLOORDIV, JOP_MOD, JOP_POW } jop;
typedef enum jcompare { JCMP_EQ, JCMP_NE, JCMP_LT, JCMP_LE, JCMP_GT, JCMP_GE, JCMP_IN, JCMP_NOTIN } jcompare;

typedef struct jnodes {
    jnode **at;
    uint32_t count, capacity;
} jnodes;

/* Symbols every template has; the rest follow in order of appearance. */
enum { JSYM_LOOP, JSYM_CALLER, JSYM_KWARGS, JSYM_VARARGS, JSYM_FIRST_FREE };
enum { JINJA_USES_CALLER = 1, JINJA_USES_KWARGS = 2, JINJA_USES_VARARGS = 4 };

/* One struct for all kinds; which fields mean what:
 *   operands in a, b, c (COND: test, then, else; GETITEM: object, subscript; SLICE: start, stop, step;
 *     FOR: target, iterable, test; SET: target, value; IF: test); lists in items (elements, body) and other (else,
 *     macro defaults, comparison operands, WITH values, DICT values); calls: items positional, other keyword values
 * with their names in keys, dyn_args and dyn_kwargs. */
struct jnode {
    jkind kind;
    uint8_t op;    /* jop; SET_BLOCK etc.: unused */
    uint8_t flags; /* MACRO: JINJA_USES_*; FOR: recursive; BLOCK: scoped */
    uint32_t line, column, depth;
    uint32_t symbol; /* NAME, NSREF, MACRO, BLOCK */
    jnode *a, *b, *c;
    jnodes items, other;
    jstr **keys;       /* names of keyword arguments; MACRO: of parameters */
    uint8_t *ops;      /* COMPARE: jcompare per operand */
    uint32_t *symbols; /* MACRO: of parameters */
    jnode *dyn_args, *dyn_kwargs;
    jval value;                    /* CONST, DATA; GETATTR, NSREF, FILTER, TEST: the name */
    jhidden *hidden, *hidden_else; /* statements with a scope: of the body, of a loop\'s else; or NULL */
    const jbuiltin *builtin;       /* FILTER, TEST: NULL when unknown, an error once reached */
};

typedef enum jtok_type {
    JT_EOF,
    JT_DATA,
    JT_VARIABLE_BEGIN,
    JT_VARIABLE_END,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_NAME,
    JT_STRING,
    JT_INTEGER,
    JT_FLOAT,
    JT_OPERATOR,
} jtok_type;
typedef enum jpunct {
    JP_ADD,
    JP_SUB,
    JP_DIV,
    JP_FLOORDIV,
    JP_MUL,
    JP_MOD,
    JP_POW,
    JP_TILDE,
    JP_LBRACKET,
    JP_RBRACKET,
    JP_LPAREN,
    JP_RPAREN,
    JP_LBRACE,
    JP_RBRACE,
    JP_EQ,
    JP_NE,
    JP_GT,
    JP_GE,
    JP_LT,
    JP_LE,
    JP_ASSIGN,
    JP_DOT,
    JP_COLON,
    JP_PIPE,
    JP_COMMA,
    JP_SEMICOLON,
} jpunct;
typedef struct jtoken {
    jtok_type type;
    jpunct punct;
    uint32_t line, column;
    const char *text; /* NAME, DATA: bytes of the source; STRING: unescaped */
    size_t size;
    int64_t integer;
    double number;
} jtoken;

struct weft_jinja {
    jinja_arena arena;
    char *name;
    jnodes body;
    jstr **symbols; /* names of variables, by symbol */
    uint32_t symbol_count;
    jhidden *hidden; /* of the outermost level */
};

/* ---- one rendering ---- */

typedef struct jslot {
    uint32_t symbol;
    jval value;
} jslot;
struct jscope {
    jscope *parent; /* NULL: the template's outermost names follow (jrun.globals) */
    jslot *slots;
    uint32_t count, capacity;
    bool captured; /* a macro or lazy iterator may outlive the block: do not recycle */
};

/* A string being built in the arena. */
typedef struct jbuilder {
    char *data;
    size_t size, capacity;
} jbuilder;

struct jrun {
    jinja_trap trap; /* first: a jrun is a trap */
    const weft_jinja *jinja;
    weft_buffer *out;  /* where output goes when no capture is open */
    jbuilder *capture; /* macro bodies, set and filter blocks */
    jval *globals;     /* by symbol: the caller's context, builtins, names set at the outermost level */
    jscope *free_scopes;
    uint64_t steps, steps_max;
    uint32_t depth, calls;
    size_t written; /* bytes given to out */
    uint64_t seed;  /* of string hashes: dictionary keys come from outside */
};

/* jinja_lexer.c: the tokens of the whole source, ended by JT_EOF. */
jtoken *jinja_tokenize(jinja_trap *trap, const char *source, size_t size);
/* jinja_parser.c, jinja_expr.c */
void jinja_parse(jinja_trap *trap, const jtoken *tokens, weft_jinja *jinja);
/* jinja_frames.c: fills the `hidden` fields of a parsed template. */
void jinja_resolve_frames(jinja_trap *trap, weft_jinja *jinja);

/* jinja_unicode.c */
size_t jinja_utf8_decode(const char *p, const char *end, int32_t *cp); /* bytes consumed, at least 1 */
size_t jinja_utf8_encode(int32_t cp, char out[4]);
bool jinja_utf8_valid(const char *p, size_t size);
bool jinja_is_space(int32_t cp);
bool jinja_is_alpha(int32_t cp);
bool jinja_is_decimal(int32_t cp);
bool jinja_is_digit(int32_t cp);
bool jinja_is_numeric(int32_t cp);
bool jinja_is_word(int32_t cp); /* \w */
bool jinja_is_identifier(const char *p, size_t size);
bool jinja_is_printable(int32_t cp);
bool jinja_is_upper(int32_t cp);
bool jinja_is_lower(int32_t cp);
bool jinja_is_title(int32_t cp);
typedef enum jcase { JCASE_UPPER, JCASE_LOWER, JCASE_TITLE, JCASE_FOLD } jcase;
/* Full case mapping of one character: up to 3 code points into out; returns how many. (Not the final sigma.) */
int jinja_case_map(int32_t cp, jcase mode, int32_t out[3]);

/* jinja_value.c */
void jinja_pay(jrun *run, uint64_t steps); /* raises WEFT_ERR_LIMIT when the steps are spent */
jval jinja_int(int64_t i);
jval jinja_bool(bool b);
jval jinja_float(double f);
jval jinja_none(void);
jval jinja_str_view(jrun *run, const char *data, size_t size); /* shares the bytes */
jval jinja_str_copy(jrun *run, const char *data, size_t size);
jval jinja_str_literal(jrun *run, const char *text); /* static text */
jval jinja_str_pick(jrun *run, const jstr *from, const char *data,
                    size_t size); /* a part of `from`: shares, keeps markup */
jval jinja_concat(jrun *run, const jstr *a, const jstr *b);
size_t jinja_str_chars(jrun *run, const jstr *s);
/* Byte offset of code point `index` (index <= chars). */
size_t jinja_str_offset(jrun *run, const jstr *s, size_t index);
bool jinja_str_is(const jstr *s, const char *text);
jval jinja_undefined_name(jrun *run, jval name);
jval jinja_undefined_attr(jrun *run, jval obj, jval name);
jval jinja_undefined_hint(jrun *run, const char *hint);
_Noreturn void jinja_raise_undefined(jrun *run, jval undefined);
jval jinja_list_new(jrun *run, size_t capacity);
jval jinja_tuple_new(jrun *run, size_t capacity);
jval jinja_tuple2(jrun *run, jval a, jval b);
void jinja_list_push(jrun *run, jlist *list, jval item);
jval jinja_dict_new(jrun *run);
bool jinja_dict_get(jrun *run, const jdict *dict, jval key, jval *out); /* key must be hashable */
bool jinja_dict_get_text(jrun *run, const jdict *dict, const char *data, size_t size, jval *out);
void jinja_dict_set(jrun *run, jdict *dict, jval key, jval value); /* raises when the key is unhashable */
bool jinja_hashable(jrun *run, jval v);
bool jinja_truth(jrun *run, jval v);
bool jinja_same(jval a, jval b); /* Python's `is` */
bool jinja_equal(jrun *run, jval a, jval b);
bool jinja_less(jrun *run, jval a, jval b, jcompare op); /* LT LE GT GE; raises when unordered */
bool jinja_contains(jrun *run, jval container, jval item);
bool jinja_length(jrun *run, jval v, size_t *out); /* false: has no len() */
const char *jinja_type_name(jval v);
jval jinja_from_json(jrun *run, const json_t *json);
bool jinja_is_number(jval v); /* int, float or bool */
double jinja_as_double(jval v);
bool jinja_index(jval v, int64_t *out); /* int or bool */

void jinja_build_init(jbuilder *b);
void jinja_build(jrun *run, jbuilder *b, const char *data, size_t size);
void jinja_build_text(jrun *run, jbuilder *b, const char *text);
void jinja_build_char(jrun *run, jbuilder *b, int32_t cp);
void jinja_build_fill(jrun *run, jbuilder *b, const jstr *fill, size_t times);
jval jinja_build_end(jrun *run, jbuilder *b);

/* jinja_text.c: str(), repr(), JSON */
void jinja_build_str(jrun *run, jbuilder *b, jval v);
void jinja_build_repr(jrun *run, jbuilder *b, jval v);
jval jinja_to_str(jrun *run, jval v); /* a J_STR */
jval jinja_repr(jrun *run, jval v);
size_t jinja_float_repr(double f, char out[40]);
jval jinja_tojson(jrun *run, jval v, bool ensure_ascii, const jstr *indent, const jstr *item_sep, const jstr *key_sep,
                  bool sort_keys);
jval jinja_escape_html(jrun *run, jval v);

/* jinja_iter.c */
jiter *jinja_try_iter(jrun *run, jval v); /* NULL: not iterable */
jiter *jinja_iter(jrun *run, jval v);     /* raises */
bool jinja_next(jrun *run, jiter *iter, jval *out);
jval jinja_iter_value(jiter *iter);
jiter *jinja_iter_new(jrun *run, bool (*next)(jrun *, jiter *, jval *), jval source);
jlist *jinja_to_list(jrun *run, jval v);       /* a fresh list */
jiter *jinja_iter_reversed(jrun *run, jval v); /* NULL: not reversible */

/* jinja_ops.c */
jval jinja_binary(jrun *run, jop op, jval a, jval b);
jval jinja_negate(jrun *run, jval v);
jval jinja_positive(jrun *run, jval v);
bool jinja_compare(jrun *run, jcompare op, jval a, jval b);
jval jinja_slice(jrun *run, jval v, jval start, jval stop, jval step);

/* jinja_sort.c: stable; keys[i] belongs to items[i]. */
void jinja_sort(jrun *run, jval *keys, jval *items, size_t count, bool reverse);

/* jinja_attr.c */
jval jinja_getattr(jrun *run, jval obj, jval name);                   /* obj.name */
jval jinja_getitem(jrun *run, jval obj, jval key);                    /* obj[key] */
jval jinja_attr_path(jrun *run, jval item, jval path, jval fallback); /* "a.b.0", as filters name attributes */
jval jinja_loop_attr(jrun *run, jloop *loop, const jstr *name);       /* J_MISSING: no such attribute */
bool jinja_loop_next(jrun *run, jloop *loop, jval *out);

/* jinja_str.c, jinja_format.c */
extern const jbuiltin jinja_str_methods[];
jval jinja_percent(jrun *run, const jstr *format, jval args);
jval jinja_format(jrun *run, const jstr *format, const jargs *args);
jval jinja_str_strip(jrun *run, const jstr *s, const jstr *chars, bool left, bool right);
jval jinja_str_case(jrun *run, const jstr *s, jcase mode);
jval jinja_str_replace(jrun *run, const jstr *s, const jstr *old, const jstr *with, int64_t count);
bool jinja_str_find(jrun *run, const jstr *s, size_t from, size_t to, const jstr *sub, bool last,
                    size_t *at);            /* bytes */
extern const jbuiltin jinja_case_methods[]; /* jinja_strcase.c */
jval jinja_str_pad(jrun *run, const jstr *s, int64_t width, const jstr *fill,
                   int where); /* -1 left of, 0 around, 1 right of */
jlist *jinja_str_splitlines(jrun *run, const jstr *s, bool keep);
bool jinja_str_all_cased(const jstr *s, bool upper);
bool jinja_parse_int(const jstr *s, int base, int64_t *out, bool *overflow);
bool jinja_parse_float(const jstr *s, double *out);

/* jinja_filters.c, jinja_filters_seq.c, jinja_tests.c, jinja_globals.c */
const jbuiltin *jinja_find_filter(const char *name, size_t size);
const jbuiltin *jinja_find_test(const char *name, size_t size);
const jbuiltin *jinja_find_global(const char *name, size_t size);
const jbuiltin *jinja_find_in(const jbuiltin *table, const char *name, size_t size);
extern const jbuiltin jinja_text_filters[], jinja_seq_filters[];
extern const jbuiltin jinja_cycler_methods[], jinja_loop_methods[];

/* jinja_call.c */
jval jinja_call(jrun *run, jval callee, const jargs *args);
jval jinja_call_builtin(jrun *run, const jbuiltin *builtin, jval self, const jargs *args);
const jstr *jinja_need_str(jrun *run, jval v, const char *what);
int64_t jinja_need_int(jrun *run, jval v, const char *what);

/* jinja_eval.c (expressions), jinja_exec.c (statements) */
jval jinja_eval(jrun *run, jscope *scope, const jnode *node);
typedef enum jflow { JFLOW_NORMAL, JFLOW_BREAK, JFLOW_CONTINUE } jflow;
jflow jinja_exec(jrun *run, jscope *scope, const jnodes *body);
jval jinja_lookup(jrun *run, const jscope *scope, const jnode *name);
void jinja_bind(jrun *run, jscope *scope, uint32_t symbol, jval value);
jval jinja_call_macro(jrun *run, jmacro *macro, const jargs *args);
jval jinja_call_loop(jrun *run, jloop *loop, jval iterable);
jval jinja_apply_filter(jrun *run, jscope *scope, const jnode *node, jval subject);
void jinja_call_args(jrun *run, jscope *scope, const jnode *node, jargs *args, jval caller);
void jinja_enter(jrun *run); /* one level deeper, raises at the limit */
void jinja_leave(jrun *run);

/* Renders with other limits than the public ones (tests, fuzzing). */
typedef struct jinja_limits {
    size_t memory;
    uint64_t steps;
} jinja_limits;
weft_status jinja_render_limited(const weft_jinja *jinja, const json_t *context, const jinja_limits *limits,
                                 weft_buffer *out, weft_error *err);

#endif
