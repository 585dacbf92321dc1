/* Template source -> tokens, with the whitespace rules of trim_blocks and lstrip_blocks.
 *
 * Owns nothing: tokens live in the arena of the template being compiled. Newlines are normalised to "\n" and one
 * newline at the very end is dropped before anything else looks at the text. Refuses: unbalanced brackets, unfinished
 * comments, strings and raw blocks, characters no token starts with, integers of more than 64 bits.
 *
 * In front of a tag, text loses: with "-" all trailing whitespace; without a sign, for blocks and comments, the
 * whitespace since the last newline when there is nothing else; with "+" nothing. After a tag: "-" removes all
 * whitespace; a block or comment end without sign removes one newline. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_internal.h"

enum { BRACKETS_MAX = WEFT_JINJA_DEPTH_MAX };

typedef struct lexer {
    jinja_trap *trap;
    const char *source, *end, *p;
    const char *counted; /* line and column are known up to here */
    uint32_t line, column;
    bool line_starting; /* nothing but removed text since the last newline */
    jtoken *tokens;
    size_t count, capacity;
    char brackets[BRACKETS_MAX];
    int depth;
} lexer;

/* Moves the line counter to `to`, so that tokens and faults know their place. */
static void locate(lexer *lx, const char *to) {
    for (; lx->counted < to; lx->counted++) {
        if (*lx->counted == '\n') {
            lx->line++;
            lx->column = 1;
        } else if (((unsigned char)*lx->counted & 0xC0) != 0x80) {
            lx->column++;
        }
    }
    lx->trap->line = lx->line;
    lx->trap->column = lx->column;
}

static jtoken *add_token(lexer *lx, jtok_type type, const char *text, size_t size) {
    if (lx->count == lx->capacity) {
        size_t capacity = lx->capacity ? lx->capacity * 2 : 256;
        jtoken *tokens = jinja_alloc(lx->trap, capacity * sizeof *tokens);
        if (lx->count) memcpy(tokens, lx->tokens, lx->count * sizeof *tokens);
        lx->tokens = tokens;
        lx->capacity = capacity;
    }
    jtoken *token = &lx->tokens[lx->count++];
    *token = (jtoken){.type = type, .text = text, .size = size, .line = lx->line, .column = lx->column};
    return token;
}

static bool starts(const lexer *lx, const char *p, const char *text) {
    size_t size = strlen(text);
    return size <= (size_t)(lx->end - p) && memcmp(p, text, size) == 0;
}

static const char *skip_space(const lexer *lx, const char *p) {
    while (p < lx->end) {
        int32_t c;
        size_t n = jinja_utf8_decode(p, lx->end, &c);
        if (!jinja_is_space(c)) break;
        p += n;
    }
    return p;
}

/* The end of `text` without its trailing whitespace. */
static const char *strip_right(const char *text, const char *end) {
    while (end > text) {
        const char *p = end - 1;
        while (p > text && ((unsigned char)*p & 0xC0) == 0x80) p--;
        int32_t c;
        jinja_utf8_decode(p, end, &c);
        if (!jinja_is_space(c)) break;
        end = p;
    }
    return end;
}

/* Adds the text before a tag. sign: '-', '+' or 0; `variable`: lstrip_blocks does not apply. */
static void add_data(lexer *lx, const char *text, const char *end, char sign, bool variable) {
    locate(lx, text);
    if (sign == '-') {
        end = strip_right(text, end);
    } else if (sign != '+' && !variable) {
        const char *start = end;
        while (start > text && start[-1] != '\n') start--;
        if ((start > text || lx->line_starting) && skip_space(lx, start) >= end) end = start;
    }
    if (end > text) add_token(lx, JT_DATA, text, (size_t)(end - text));
}

/* A block or comment end at p ("+%}", "-%}", "%}"): the position after it and the whitespace it eats, or NULL. */
static const char *match_end(const lexer *lx, const char *p, const char *tag) {
    size_t size = strlen(tag);
    if (*p == '+' && starts(lx, p + 1, tag)) return p + 1 + size;
    if (*p == '-' && starts(lx, p + 1, tag)) return skip_space(lx, p + 1 + size);
    if (!starts(lx, p, tag)) return NULL;
    p += size;
    return p < lx->end && *p == '\n' ? p + 1 : p;
}

static void leave_tag(lexer *lx, const char *to) {
    lx->line_starting = to > lx->source && to[-1] == '\n';
    lx->p = to;
}

/* "{%- raw -%}" at p: the position after it, or NULL. */
static const char *match_raw(const lexer *lx, const char *p, char *sign) {
    p += 2;
    *sign = 0;
    if (p < lx->end && (*p == '-' || *p == '+')) *sign = *p++;
    p = skip_space(lx, p);
    if (!starts(lx, p, "raw")) return NULL;
    p = skip_space(lx, p + 3);
    if (starts(lx, p, "-%}")) return skip_space(lx, p + 3);
    return starts(lx, p, "%}") ? p + 2 : NULL;
}

static void lex_raw(lexer *lx) {
    for (const char *p = lx->p; p < lx->end; p++) {
        if (!starts(lx, p, "{%")) continue;
        const char *q = p + 2;
        char sign = 0;
        if (q < lx->end && (*q == '-' || *q == '+')) sign = *q++;
        q = skip_space(lx, q);
        if (!starts(lx, q, "endraw")) continue;
        q = skip_space(lx, q + 6);
        const char *after = q < lx->end ? match_end(lx, q, "%}") : NULL;
        if (!after) continue;
        add_data(lx, lx->p, p, sign, false);
        leave_tag(lx, after);
        return;
    }
    jinja_raise(lx->trap, WEFT_ERR_FORMAT, "missing end of raw directive");
}

static void lex_comment(lexer *lx) {
    for (const char *p = lx->p; p < lx->end; p++) {
        const char *after = match_end(lx, p, "#}");
        if (!after) continue;
        leave_tag(lx, after);
        return;
    }
    jinja_raise(lx->trap, WEFT_ERR_FORMAT, "missing end of comment tag");
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* \xhh, \uhhhh, \Uhhhhhhhh and \ooo. Returns the position after the digits. */
static const char *lex_code_escape(lexer *lx, const char *p, const char *end, char **out) {
    int32_t cp = 0;
    if (*p >= '0' && *p <= '7') {
        for (int i = 0; i < 3 && p < end && *p >= '0' && *p <= '7'; i++) cp = cp * 8 + (*p++ - '0');
    } else {
        int digits = *p == 'x' ? 2 : *p == 'u' ? 4 : 8;
        p++;
        for (int i = 0; i < digits; i++, p++) {
            int d = p < end ? hex_digit(*p) : -1;
            if (d < 0) jinja_raise(lx->trap, WEFT_ERR_FORMAT, "truncated character escape in a string");
            if (cp > 0x10FFFF) break;
            cp = cp * 16 + d;
        }
    }
    if (cp < 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        jinja_raise(lx->trap, WEFT_ERR_FORMAT, "a string escape names no valid character");
    *out += jinja_utf8_encode(cp, *out);
    return p;
}

/* Writes what Python makes of a backslash before a character that is no ASCII: both survive, spelled out. */
static size_t spell_out(int32_t cp, char *out) {
    static const char digits[] = "0123456789abcdef";
    int width = cp < 0x100 ? 2 : cp < 0x10000 ? 4 : 8;
    size_t n = 0;
    out[n++] = '\\';
    out[n++] = cp < 0x100 ? 'x' : cp < 0x10000 ? 'u' : 'U';
    for (int i = width - 1; i >= 0; i--) out[n++] = digits[(cp >> (4 * i)) & 15];
    return n;
}

static void lex_string(lexer *lx) {
    char quote = *lx->p;
    const char *p = lx->p + 1;
    while (p < lx->end && *p != quote) p += *p == '\\' && p + 1 < lx->end ? 2 : 1;
    if (p >= lx->end) jinja_raise(lx->trap, WEFT_ERR_FORMAT, "a string is not closed");
    const char *end = p;
    /* An escape never grows, except the spelled-out one: 4 source bytes at least 3 -> at most 10. */
    char *text = jinja_alloc(lx->trap, (size_t)(end - lx->p) * 4 + 16), *out = text;
    for (p = lx->p + 1; p < end;) {
        if (*p != '\\' || p + 1 >= end) {
            *out++ = *p++;
            continue;
        }
        static const char names[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
        char c = *++p;
        const char *at = strchr(names, c);
        if (c && at) {
            *out++ = values[at - names];
            p++;
        } else if (c == '\n') {
            p++;
        } else if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7')) {
            p = lex_code_escape(lx, p, end, &out);
        } else if (c == 'N') {
            jinja_raise(lx->trap, WEFT_ERR_UNSUPPORTED, "\\N{...} escapes are not supported in a string");
        } else if ((unsigned char)c >= 0x80) {
            int32_t cp;
            p += jinja_utf8_decode(p, end, &cp);
            out += spell_out(cp, out);
        } else {
            *out++ = '\\';
        }
    }
    add_token(lx, JT_STRING, text, (size_t)(out - text));
    lx->p = end + 1;
}

static bool digit_of(char c, int base) {
    int d = hex_digit(c);
    return d >= 0 && d < base;
}

/* Digits with single underscores between them; returns the position after, p itself when there are none. */
static const char *scan_digits(const lexer *lx, const char *p, int base) {
    const char *q = p;
    while (q < lx->end && (digit_of(*q, base) || (q > p && *q == '_' && q + 1 < lx->end && digit_of(q[1], base)))) q++;
    return q;
}

/* The end of a float at p (fraction, exponent or both), or NULL. */
static const char *scan_float(const lexer *lx, const char *p) {
    if (p > lx->source && p[-1] == '.') return NULL; /* "x.0.1" is two subscripts */
    const char *q = scan_digits(lx, p, 10), *after;
    if (q == p) return NULL;
    bool is_float = false;
    if (q + 1 < lx->end && *q == '.' && (after = scan_digits(lx, q + 1, 10)) > q + 1) {
        q = after;
        is_float = true;
    }
    if (q < lx->end && (*q == 'e' || *q == 'E')) {
        const char *e = q + 1;
        if (e < lx->end && (*e == '+' || *e == '-')) e++;
        if ((after = scan_digits(lx, e, 10)) > e) {
            q = after;
            is_float = true;
        }
    }
    return is_float ? q : NULL;
}

static void lex_number(lexer *lx) {
    const char *p = lx->p, *end = scan_float(lx, p);
    bool is_float = end != NULL;
    int base = 10;
    if (!is_float) {
        if (*p == '0' && p + 2 < lx->end && strchr("bBoOxX", p[1]) && p[1]) {
            base = p[1] == 'b' || p[1] == 'B' ? 2 : p[1] == 'o' || p[1] == 'O' ? 8 : 16;
            const char *digits = p + 2;
            if (*digits == '_') digits++;
            end = scan_digits(lx, digits, base);
            if (end == digits) base = 10;
        }
        if (base == 10) { /* a leading zero is followed by zeros only */
            end = scan_digits(lx, p, *p == '0' ? 1 : 10);
            if (end == p) end = p + 1;
        }
    }
    char *digits = jinja_alloc(lx->trap, (size_t)(end - p) + 1), *out = digits;
    for (const char *q = base == 10 ? p : p + 2; q < end; q++)
        if (*q != '_') *out++ = *q;
    jtoken *token = add_token(lx, is_float ? JT_FLOAT : JT_INTEGER, p, (size_t)(end - p));
    if (is_float) {
        token->number = strtod(digits, NULL);
    } else {
        uint64_t n = 0;
        for (const char *q = digits; *q; q++) {
            unsigned d = (unsigned)hex_digit(*q);
            if (n > ((uint64_t)INT64_MAX - d) / (unsigned)base)
                jinja_raise(lx->trap, WEFT_ERR_UNSUPPORTED, "the integer %.40s has more than 64 bits", digits);
            n = n * (unsigned)base + d;
        }
        token->integer = (int64_t)n;
    }
    lx->p = end;
}

/* Longest first. */
static const struct {
    char text[3];
    uint8_t punct;
} operators[] = {
    {"//", JP_FLOORDIV}, {"**", JP_POW},      {"==", JP_EQ},    {"!=", JP_NE},    {">=", JP_GE},    {"<=", JP_LE},
    {"+", JP_ADD},       {"-", JP_SUB},       {"/", JP_DIV},    {"*", JP_MUL},    {"%", JP_MOD},    {"~", JP_TILDE},
    {"[", JP_LBRACKET},  {"]", JP_RBRACKET},  {"(", JP_LPAREN}, {")", JP_RPAREN}, {"{", JP_LBRACE}, {"}", JP_RBRACE},
    {">", JP_GT},        {"<", JP_LT},        {"=", JP_ASSIGN}, {".", JP_DOT},    {":", JP_COLON},  {"|", JP_PIPE},
    {",", JP_COMMA},     {";", JP_SEMICOLON},
};

static void lex_operator(lexer *lx) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!starts(lx, lx->p, operators[i].text)) continue;
        char c = *lx->p;
        if (c == '(' || c == '[' || c == '{') {
            if (lx->depth == BRACKETS_MAX)
                jinja_raise(lx->trap, WEFT_ERR_LIMIT, "brackets are nested deeper than %d", BRACKETS_MAX);
            lx->brackets[lx->depth++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (!lx->depth) jinja_raise(lx->trap, WEFT_ERR_FORMAT, "unexpected '%c'", c);
            char expected = lx->brackets[--lx->depth];
            if (expected != c) jinja_raise(lx->trap, WEFT_ERR_FORMAT, "unexpected '%c', expected '%c'", c, expected);
        }
        size_t size = strlen(operators[i].text);
        add_token(lx, JT_OPERATOR, lx->p, size)->punct = operators[i].punct;
        lx->p += size;
        return;
    }
    int32_t c;
    size_t n = jinja_utf8_decode(lx->p, lx->end, &c);
    jinja_raise(lx->trap, WEFT_ERR_FORMAT, "unexpected character '%.*s'", (int)n, lx->p);
}

static void lex_name(lexer *lx) {
    const char *p = lx->p;
    while (p < lx->end) {
        int32_t c;
        size_t n = jinja_utf8_decode(p, lx->end, &c);
        if (!jinja_is_word(c) && !(c >= 0x80 && !jinja_is_space(c))) break;
        p += n;
    }
    if (!jinja_is_identifier(lx->p, (size_t)(p - lx->p)))
        jinja_raise(lx->trap, WEFT_ERR_FORMAT, "invalid character in identifier");
    add_token(lx, JT_NAME, lx->p, (size_t)(p - lx->p));
    lx->p = p;
}

/* Inside {{ }} or {% %}, up to and with its end. */
static void lex_tag(lexer *lx, bool variable) {
    for (;;) {
        lx->p = skip_space(lx, lx->p);
        locate(lx, lx->p);
        if (lx->p >= lx->end) return; /* the parser says what is missing */
        const char *p = lx->p, *after = NULL;
        if (!lx->depth) {
            if (!variable)
                after = match_end(lx, p, "%}");
            else if (starts(lx, p, "-}}"))
                after = skip_space(lx, p + 3);
            else if (starts(lx, p, "}}"))
                after = p + 2;
        }
        if (after) {
            add_token(lx, variable ? JT_VARIABLE_END : JT_BLOCK_END, p, (size_t)(after - p));
            leave_tag(lx, after);
            return;
        }
        if (*p >= '0' && *p <= '9')
            lex_number(lx);
        else if (*p == '\'' || *p == '"')
            lex_string(lx);
        else if (*p == '_' || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (unsigned char)*p >= 0x80)
            lex_name(lx);
        else
            lex_operator(lx);
    }
}

/* Text up to the next tag, and the tag. */
static void lex_text(lexer *lx) {
    const char *p = lx->p;
    while (p < lx->end && !(*p == '{' && p + 1 < lx->end && (p[1] == '%' || p[1] == '{' || p[1] == '#'))) p++;
    if (p >= lx->end) {
        locate(lx, lx->p);
        if (p > lx->p) add_token(lx, JT_DATA, lx->p, (size_t)(p - lx->p));
        lx->p = p;
        return;
    }
    char sign = 0;
    const char *after = p[1] == '%' ? match_raw(lx, p, &sign) : NULL;
    if (after) {
        add_data(lx, lx->p, p, sign, false);
        locate(lx, p);
        leave_tag(lx, after);
        lex_raw(lx);
        return;
    }
    char kind = p[1];
    after = p + 2;
    sign = after < lx->end && (*after == '-' || *after == '+') ? *after : 0;
    if (sign) after++;
    add_data(lx, lx->p, p, sign, kind == '{');
    locate(lx, p);
    leave_tag(lx, after);
    if (kind == '#') {
        lex_comment(lx);
        return;
    }
    add_token(lx, kind == '{' ? JT_VARIABLE_BEGIN : JT_BLOCK_BEGIN, p, 2);
    lex_tag(lx, kind == '{');
}

jtoken *jinja_tokenize(jinja_trap *trap, const char *source, size_t size) {
    char *text = jinja_alloc(trap, size + 1), *out = text;
    for (size_t i = 0; i < size; i++) {
        if (source[i] == '\r') {
            *out++ = '\n';
            if (i + 1 < size && source[i + 1] == '\n') i++;
        } else {
            *out++ = source[i];
        }
    }
    if (out > text && out[-1] == '\n') out--;
    lexer lx = {.trap = trap,
                .source = text,
                .p = text,
                .end = out,
                .counted = text,
                .line = 1,
                .column = 1,
                .line_starting = true};
    *out = 0;
    while (lx.p < lx.end) lex_text(&lx);
    locate(&lx, lx.end);
    add_token(&lx, JT_EOF, lx.end, 0);
    return lx.tokens;
}
