/* Cuts normalised text into the words that BPE sees. */
#ifndef WEFT_TEXT_PRETOKENIZER_H
#define WEFT_TEXT_PRETOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    WEFT_PRETOKENIZER_STAGES_MAX = 8,
    WEFT_PATTERN_TEXT_MAX = 64 << 20, /* bytes of text that a general pattern is let loose on */
};

/* The published patterns differ in two things only. */
typedef struct weft_word_rules {
    unsigned letters; /* flags of what continues a word: LETTER, or LETTER | MARK */
    int digits_max;   /* \p{N} or \p{N}{1,3} */
} weft_word_rules;

typedef struct weft_split { /* one Split of the pre-tokenizer */
    bool is_scanner;
    weft_word_rules rules;           /* with is_scanner */
    struct pcre2_real_code_8 *regex; /* otherwise */
} weft_split;

typedef struct weft_pretokenizer {
    weft_split stages[WEFT_PRETOKENIZER_STAGES_MAX];
    int stage_count; /* 0: the whole text is one word */
} weft_pretokenizer;

/* Adds a stage that isolates the matches of a pattern; `literal` takes it as a plain string. The published patterns of
 * the Qwen family go to a scanner of their own, the others to PCRE2. */
weft_status weft_pretokenizer_add(weft_pretokenizer *pre, const char *pattern, size_t size, bool literal,
                                  weft_error *err);
/* The scanner by the name that GGUF files give it; false when the name is unknown. */
bool weft_pretokenizer_add_named(weft_pretokenizer *pre, const char *name);
void weft_pretokenizer_free(weft_pretokenizer *pre);

/* What runs for each word, in order. */
typedef weft_status weft_word_sink(void *context, const char *word, size_t size, weft_error *err);
/* Cuts well-formed UTF-8. Linear in time with the scanner; general patterns stop at PCRE2's match limit. */
weft_status weft_pretokenize(const weft_pretokenizer *pre, const char *text, size_t size, weft_word_sink *sink,
                             void *context, weft_error *err);

/* The end of the first word of [at, end), which is not empty. */
const char *weft_next_word(const weft_word_rules *rules, const char *at, const char *end);

#endif
