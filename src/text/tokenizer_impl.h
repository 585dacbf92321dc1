/* What a tokenizer holds, and how it is put together. Private to src/text. */
#ifndef WEFT_TEXT_TOKENIZER_IMPL_H
#define WEFT_TEXT_TOKENIZER_IMPL_H

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

enum {
    WEFT_TOKENIZE_TEXT_MAX = 256 << 20, /* bytes of one text */
    WEFT_KIND_MASK = 0x0F,              /* of a by-id flag byte: weft_token_kind */
    WEFT_KIND_SKIPPED = 0x80,           /* dropped with skip_special */
};

typedef struct weft_token_text {
    uint32_t offset, length; /* in the vocabulary's blob */
} weft_token_text;

struct weft_tokenizer {
    weft_vocab vocab; /* its table is kept only with ignore_merges; its blob holds the bytes of all tokens */
    weft_bpe bpe;
    weft_pretokenizer pre;
    bool nfc;
    bool ignore_merges; /* a word that is in the vocabulary is one token, whatever the merges say */

    weft_vocab added_names;  /* content -> index in `added` */
    weft_added_token *added; /* [added_count] */
    size_t added_count, added_capacity;
    weft_added_trie raw;             /* tokens looked for before normalisation */
    weft_added_trie normalized;      /* tokens looked for after it */
    weft_buffer contents;            /* while loading: the strings of `added`, one after the other */
    weft_token_text *added_contents; /* while loading: [added_count] */

    weft_token_text *texts; /* [size] by id */
    uint8_t *kinds;         /* [size] by id */
    size_t size;
};

weft_status weft_tokenizer_new(weft_tokenizer **tokenizer, weft_error *err);
/* Adds or changes an added token. `token.id` is taken as it is. */
weft_status weft_tokenizer_add(weft_tokenizer *tokenizer, const char *content, size_t size, weft_added_token token,
                               weft_error *err);
/* The index of an added token by its content, or -1. */
int32_t weft_tokenizer_added_index(const weft_tokenizer *tokenizer, const char *content, size_t size);
/* Builds what is looked up by id and the tries, and frees what only loading needs. */
weft_status weft_tokenizer_finish(weft_tokenizer *tokenizer, weft_error *err);

#endif
