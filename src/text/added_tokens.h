/* Added tokens: strings that are cut out of the text before anything else looks at it. */
#ifndef WEFT_TEXT_ADDED_TOKENS_H
#define WEFT_TEXT_ADDED_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

enum {
    WEFT_ADDED_TOKENS_MAX = 1 << 20,
    WEFT_ADDED_TOKEN_BYTES_MAX = 4096, /* bounds the work at one position of the text */
    WEFT_ADDED_TRIE_MAX = 16 << 20,    /* nodes */
};

typedef struct weft_added_token {
    int32_t id;
    bool single_word; /* matches only between non-word characters */
    bool lstrip;      /* takes the white space before it */
    bool rstrip;      /* takes the white space behind it */
    bool normalized;  /* is looked for in the normalised text, and in normalised form */
    bool special;
} weft_added_token;

typedef struct weft_added_node {
    uint32_t child, sibling; /* 0: none (node 0 is the root, nobody's child) */
    int32_t token;           /* index of the token that ends here, or -1 */
    unsigned char byte;
} weft_added_node;

typedef struct weft_added_trie {
    weft_added_node *nodes; /* [count], or NULL when no token was added */
    size_t count, capacity;
    uint32_t first[256]; /* the root's child for each byte */
} weft_added_trie;

/* One part of the text: an added token (index >= 0), or what lies between (-1). */
typedef struct weft_added_part {
    int32_t token;
    const char *data;
    size_t size;
} weft_added_part;

/* Walks over the parts of a text. */
typedef struct weft_added_walk {
    const weft_added_trie *trie;
    const weft_added_token *tokens;
    bool parse_special;      /* false: special tokens are plain text */
    const char *begin, *end; /* the text */
    const char *scan;        /* where to look for the next match */
    const char *done;        /* what is before it has been given out */
    const char *space_end;   /* the end of the run of white space that was measured last */
    weft_added_part waiting; /* the token behind the plain part that was just given out */
    bool has_waiting;
} weft_added_walk;

void weft_added_trie_free(weft_added_trie *trie);
/* Adds a string (1 … WEFT_ADDED_TOKEN_BYTES_MAX bytes) for the token with this index. If it is there, the first stays.
 */
weft_status weft_added_trie_add(weft_added_trie *trie, const char *string, size_t size, int32_t token, weft_error *err);

/* `tokens` are indexed by what the trie holds; everything is borrowed. */
void weft_added_walk_start(weft_added_walk *walk, const weft_added_trie *trie, const weft_added_token *tokens,
                           bool parse_special, const char *text, size_t size);
/* Gives the next part and returns true, or false at the end. */
bool weft_added_walk_next(weft_added_walk *walk, weft_added_part *part);

#endif
