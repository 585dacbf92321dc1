/* Cuts normalised text into words: see pretokenizer.h.
 *
 * The pattern of the Qwen family, alternative by alternative (the first that matches wins):
 *   (?i:'s|'t|'re|'ve|'m|'ll|'d)      a contraction; U+017F counts as s, as Unicode case folding has it
 *   [^\r\n\p{L}\p{N}]?\p{L}+          a run of letters, with one character of another kind before it
 *   \p{N}                             one digit
 *    ?[^\s\p{L}\p{N}]+[\r\n]*         a run of symbols, with a space before and line ends behind it
 *   \s*[\r\n]+                        white space up to its last line end
 *   \s+(?!\S)                         white space except its last character, when something follows
 *   \s+                               white space
 * Every character is of exactly one kind (letter, number, white space, symbol), so each alternative is decided by the
 * first one or two characters and nothing is ever tried twice.
 *
 * Other patterns (split_pattern.h) run in PCRE2, with a budget of steps in proportion to the text. */
#include "text/pretokenizer.h"

#include <string.h>

#include "text/split_pattern.h"
#include "text/unicode.h"

enum {
    MATCH_LIMIT = 4 << 20,     /* backtracking steps of one match */
    STEPS_PER_BYTE = 200,      /* a general pattern may take this many steps for each byte of the text ... */
    STEPS_FREE = 4 << 20,      /* ... and these besides */
    HEAP_LIMIT_KIB = 64 << 10, /* of the interpreter */
    JIT_STACK_MIN = 32 << 10,
    JIT_STACK_MAX = 8 << 20,
};

/* ---- the scanner ---- */

enum { KIND_MASK = WEFT_CHAR_LETTER | WEFT_CHAR_NUMBER | WEFT_CHAR_MARK | WEFT_CHAR_SPACE };

/* The kind of the character at p; *next is what follows it. */
static inline unsigned kind_at(const char *p, const char *end, const char **next) {
    *next = p;
    return weft_char_flags(weft_utf8_next(next, end)) & KIND_MASK;
}

static inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* The end of a contraction whose apostrophe is at p, or NULL. */
static const char *contraction(const char *p, const char *end) {
    size_t left = (size_t)(end - p);
    if (left < 2) return NULL;
    char a = lower(p[1]), b = left > 2 ? lower(p[2]) : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if (left > 2 && (unsigned char)p[1] == 0xC5 && (unsigned char)p[2] == 0xBF) return p + 3; /* U+017F */
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
    return NULL;
}

static const char *skip_letters(unsigned letters, const char *p, const char *end) {
    while (p < end) {
        const char *next;
        if (!(kind_at(p, end, &next) & letters)) break;
        p = next;
    }
    return p;
}

/* The end of the word that starts with white space at `at`, when no letter and no symbol takes that character. */
static const char *space_word(const char *at, const char *end) {
    const char *p = at, *last = at, *line_end = NULL;
    while (p < end) {
        const char *next;
        if (!(kind_at(p, end, &next) & WEFT_CHAR_SPACE)) break;
        if (*p == '\r' || *p == '\n') line_end = next;
        last = p;
        p = next;
    }
    if (line_end) return line_end;
    return p < end && last > at ? last : p;
}

const char *weft_next_word(const weft_word_rules *rules, const char *at, const char *end) {
    unsigned letters = rules->letters, not_symbol = letters | WEFT_CHAR_NUMBER | WEFT_CHAR_SPACE;
    const char *second, *third = end;
    unsigned kind = kind_at(at, end, &second);
    if (*at == '\'') {
        const char *behind = contraction(at, end);
        if (behind) return behind;
    }
    if (kind & letters) return skip_letters(letters, second, end);
    if (kind & WEFT_CHAR_NUMBER) {
        const char *p = second;
        for (int i = 1; i < rules->digits_max && p < end && (kind_at(p, end, &third) & WEFT_CHAR_NUMBER); i++)
            p = third;
        return p;
    }
    unsigned next_kind = second < end ? kind_at(second, end, &third) : (unsigned)WEFT_CHAR_SPACE;
    if (*at != '\r' && *at != '\n' && (next_kind & letters)) return skip_letters(letters, third, end);
    const char *p = at;
    if (kind & WEFT_CHAR_SPACE) {
        if (*at != ' ' || (next_kind & not_symbol)) return space_word(at, end);
        p = second;
    }
    while (p < end) {
        const char *next;
        if (kind_at(p, end, &next) & not_symbol) break;
        p = next;
    }
    while (p < end && (*p == '\r' || *p == '\n')) p++;
    return p;
}

/* ---- which pattern goes where ---- */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES       "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    const char *pattern;
    const char *name; /* tokenizer.ggml.pre, or NULL */
    weft_word_rules rules;
} known[] = {
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES,
     "qwen2",
     {WEFT_CHAR_LETTER, 1}},
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES,
     "qwen35",
     {WEFT_CHAR_LETTER | WEFT_CHAR_MARK, 1}},
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES,
     NULL,
     {WEFT_CHAR_LETTER, 3}},
};
enum { KNOWN_COUNT = sizeof known / sizeof known[0] };

bool weft_pretokenizer_add_named(weft_pretokenizer *pre, const char *name) {
    for (int i = 0; i < KNOWN_COUNT; i++) {
        if (!known[i].name || strcmp(known[i].name, name) != 0) continue;
        pre->stages[pre->stage_count++] = (weft_split){.is_scanner = true, .rules = known[i].rules};
        return true;
    }
    return false;
}

void weft_pretokenizer_free(weft_pretokenizer *pre) {
    for (int i = 0; i < pre->stage_count; i++) pcre2_code_free(pre->stages[i].regex);
    pre->stage_count = 0;
}

weft_status weft_pretokenizer_add(weft_pretokenizer *pre, const char *pattern, size_t size, bool literal,
                                  weft_error *err) {
    if (pre->stage_count == WEFT_PRETOKENIZER_STAGES_MAX)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "pre-tokenizer: more than %d Splits", WEFT_PRETOKENIZER_STAGES_MAX);
    weft_split split = {0};
    for (int i = 0; i < KNOWN_COUNT && !literal; i++) {
        if (strlen(known[i].pattern) != size || memcmp(known[i].pattern, pattern, size) != 0) continue;
        split.is_scanner = true;
        split.rules = known[i].rules;
    }
    if (!split.is_scanner) WEFT_TRY(weft_split_pattern_compile(pattern, size, literal, &split.regex, err));
    pre->stages[pre->stage_count++] = split;
    return WEFT_OK;
}

/* ---- running ---- */

typedef struct cutter {
    const weft_pretokenizer *pre;
    weft_word_sink *sink;
    void *context;
    pcre2_match_context *match; /* NULL until a pattern runs */
    pcre2_jit_stack *stack;
    uint64_t steps_left;
    size_t position; /* where the last step of the match was */
} cutter;

static weft_status run_stage(cutter *c, int stage, const char *text, size_t size, weft_error *err);

/* Called before each item of a pattern: counts the step and how far the one before it moved. */
static int count_step(pcre2_callout_block *block, void *context) {
    cutter *c = context;
    if (block->callout_flags & PCRE2_CALLOUT_STARTMATCH) c->position = block->start_match;
    size_t here = block->current_position, moved = here > c->position ? here - c->position : c->position - here;
    c->position = here;
    if (moved >= c->steps_left) return PCRE2_ERROR_MATCHLIMIT;
    c->steps_left -= moved + 1;
    return 0;
}

static weft_status prepare_match(cutter *c, weft_error *err) {
    if (c->match) return WEFT_OK;
    c->match = pcre2_match_context_create(NULL);
    if (!c->match) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a regular expression");
    pcre2_set_match_limit(c->match, MATCH_LIMIT);
    pcre2_set_callout(c->match, count_step, c);
    pcre2_set_heap_limit(c->match, HEAP_LIMIT_KIB);
    c->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
    if (c->stack) pcre2_jit_stack_assign(c->match, NULL, c->stack);
    return WEFT_OK;
}

static weft_status match_failed(int code, weft_error *err) {
    PCRE2_UCHAR why[128];
    pcre2_get_error_message(code, why, sizeof why);
    return weft_fail(err, WEFT_ERR_LIMIT, "pre-tokenizer: the pattern gave up on this text: %s", (const char *)why);
}

/* Hands on the matches of a pattern and what lies between them. Only a non-empty match counts; the search goes on one
 * character behind an empty one. */
static weft_status run_regex(cutter *c, int stage, const char *text, size_t size, weft_error *err) {
    if (size > WEFT_PATTERN_TEXT_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "pre-tokenizer: %zu bytes of text are over %d", size,
                         WEFT_PATTERN_TEXT_MAX);
    WEFT_TRY(prepare_match(c, err));
    const pcre2_code *regex = c->pre->stages[stage].regex;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(regex, NULL);
    if (!data) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a regular expression");
    weft_status status = WEFT_OK;
    size_t done = 0, from = 0;
    while (from < size && status == WEFT_OK) {
        /* Without NO_UTF_CHECK each call would look at the whole text again. */
        int code = pcre2_match(regex, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, data, c->match);
        if (code == PCRE2_ERROR_NOMATCH) break;
        if (code < 0) status = match_failed(code, err);
        if (status != WEFT_OK) break;
        const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(data);
        size_t start = bounds[0], stop = bounds[1];
        if (stop <= start) {
            const char *p = text + start;
            if (start < size)
                weft_utf8_next(&p, text + size);
            else
                p++;
            from = (size_t)(p - text);
            continue;
        }
        if (start > done) status = run_stage(c, stage + 1, text + done, start - done, err);
        if (status == WEFT_OK) status = run_stage(c, stage + 1, text + start, stop - start, err);
        from = done = stop;
    }
    pcre2_match_data_free(data);
    if (status == WEFT_OK && done < size) status = run_stage(c, stage + 1, text + done, size - done, err);
    return status;
}

/* The depth is bounded by WEFT_PRETOKENIZER_STAGES_MAX. */
static weft_status run_stage(cutter *c, int stage, const char *text, size_t size, weft_error *err) {
    if (stage == c->pre->stage_count) return c->sink(c->context, text, size, err);
    const weft_split *split = c->pre->stages + stage;
    if (!split->is_scanner) return run_regex(c, stage, text, size, err);
    for (const char *p = text, *end = text + size; p < end;) {
        const char *next = weft_next_word(&split->rules, p, end);
        WEFT_TRY(run_stage(c, stage + 1, p, (size_t)(next - p), err));
        p = next;
    }
    return WEFT_OK;
}

weft_status weft_pretokenize(const weft_pretokenizer *pre, const char *text, size_t size, weft_word_sink *sink,
                             void *context, weft_error *err) {
    cutter c = {.pre = pre, .sink = sink, .context = context};
    c.steps_left = STEPS_FREE + (uint64_t)STEPS_PER_BYTE * size * (uint64_t)pre->stage_count;
    weft_status status = size ? run_stage(&c, 0, text, size, err) : WEFT_OK;
    pcre2_jit_stack_free(c.stack);
    pcre2_match_context_free(c.match);
    return status;
}
