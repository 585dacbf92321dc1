/* Added tokens: see added_tokens.h.
 *
 * The rule is the library's (AddedVocabulary::find_matches): among the tokens that match, the leftmost, and of those
 * the longest; matches do not overlap, but the white space that lstrip and rstrip take may reach over a neighbour. A
 * match that is turned down (single_word, or special ones that count as text) is still stepped over as a whole.
 *
 * Memory: a trie as an array of nodes. Time: one step per byte of the text, times the length of the longest token at
 * most. */
#include "text/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

void weft_added_trie_free(weft_added_trie *trie) {
    free(trie->nodes);
    *trie = (weft_added_trie){0};
}

static weft_status new_node(weft_added_trie *trie, unsigned char byte, uint32_t *index, weft_error *err) {
    if (trie->count == trie->capacity) {
        size_t capacity = trie->capacity ? trie->capacity * 2 : 256;
        if (capacity > WEFT_ADDED_TRIE_MAX) return weft_fail(err, WEFT_ERR_LIMIT, "added tokens: too much text");
        weft_added_node *nodes = realloc(trie->nodes, capacity * sizeof *nodes);
        if (!nodes) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for added tokens");
        trie->nodes = nodes;
        trie->capacity = capacity;
        if (trie->count == 0) trie->nodes[trie->count++] = (weft_added_node){.token = -1};
    }
    *index = (uint32_t)trie->count;
    trie->nodes[trie->count++] = (weft_added_node){.token = -1, .byte = byte};
    return WEFT_OK;
}

static uint32_t find_child(const weft_added_trie *trie, uint32_t node, unsigned char byte) {
    if (node == 0) return trie->first[byte];
    uint32_t child = trie->nodes[node].child;
    while (child && trie->nodes[child].byte != byte) child = trie->nodes[child].sibling;
    return child;
}

weft_status weft_added_trie_add(weft_added_trie *trie, const char *string, size_t size, int32_t token,
                                weft_error *err) {
    if (size == 0 || size > WEFT_ADDED_TOKEN_BYTES_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "an added token has %zu bytes: 1 to %d are supported", size,
                         WEFT_ADDED_TOKEN_BYTES_MAX);
    uint32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)string[i];
        uint32_t child = find_child(trie, node, byte);
        if (!child) {
            WEFT_TRY(new_node(trie, byte, &child, err));
            if (node == 0) {
                trie->first[byte] = child;
            } else {
                trie->nodes[child].sibling = trie->nodes[node].child;
                trie->nodes[node].child = child;
            }
        }
        node = child;
    }
    if (trie->nodes[node].token < 0) trie->nodes[node].token = token;
    return WEFT_OK;
}

void weft_added_walk_start(weft_added_walk *walk, const weft_added_trie *trie, const weft_added_token *tokens,
                           bool parse_special, const char *text, size_t size) {
    *walk = (weft_added_walk){.trie = trie,
                              .tokens = tokens,
                              .parse_special = parse_special,
                              .begin = text,
                              .end = text + size,
                              .scan = text,
                              .done = text,
                              .space_end = text};
}

/* The longest token that starts at `at`, or -1; *size is its length. */
static int32_t match_at(const weft_added_trie *trie, const char *at, const char *end, size_t *size) {
    uint32_t node = trie->first[(unsigned char)*at];
    int32_t token = -1;
    for (const char *p = at + 1; node; p++) {
        if (trie->nodes[node].token >= 0) {
            token = trie->nodes[node].token;
            *size = (size_t)(p - at);
        }
        if (p == end) break;
        node = find_child(trie, node, (unsigned char)*p);
    }
    return token;
}

static bool is_word_before(const char *begin, const char *at) {
    const char *start;
    return at > begin && (weft_char_flags(weft_utf8_before(begin, at, &start)) & WEFT_CHAR_WORD);
}

static bool is_word_at(const char *at, const char *end) {
    return at < end && (weft_char_flags(weft_utf8_next(&at, end)) & WEFT_CHAR_WORD);
}

/* The start of the white space that ends at `at`, not before `begin`. */
static const char *space_before(const char *begin, const char *at) {
    while (at > begin) {
        const char *start;
        if (!(weft_char_flags(weft_utf8_before(begin, at, &start)) & WEFT_CHAR_SPACE)) break;
        at = start;
    }
    return at;
}

/* The end of the white space that starts at `at`. A run is measured once, however many tokens lie inside it. */
static const char *space_behind(weft_added_walk *walk, const char *at) {
    const char *p = at;
    while (p < walk->end) {
        const char *next = p;
        if (!(weft_char_flags(weft_utf8_next(&next, walk->end)) & WEFT_CHAR_SPACE)) break;
        if (p < walk->space_end) next = walk->space_end; /* inside the run measured before */
        p = next;
    }
    walk->space_end = p;
    return p;
}

/* Finds the next token that counts; its bounds include the white space it takes. */
static bool next_token(weft_added_walk *walk, weft_added_part *found) {
    const weft_added_trie *trie = walk->trie;
    if (!trie->nodes) return false;
    while (walk->scan < walk->end) {
        size_t size = 0;
        const char *start = walk->scan;
        int32_t index = match_at(trie, start, walk->end, &size);
        if (index < 0) {
            walk->scan++;
            continue;
        }
        const char *stop = walk->scan = start + size;
        const weft_added_token *token = walk->tokens + index;
        if (token->special && !walk->parse_special) continue;
        if (token->single_word && (is_word_before(walk->begin, start) || is_word_at(stop, walk->end))) continue;
        if (token->lstrip) start = start > walk->done ? space_before(walk->done, start) : walk->done;
        if (token->rstrip) stop = space_behind(walk, stop);
        *found = (weft_added_part){index, start, stop > start ? (size_t)(stop - start) : 0};
        return true;
    }
    return false;
}

bool weft_added_walk_next(weft_added_walk *walk, weft_added_part *part) {
    if (walk->has_waiting) {
        walk->has_waiting = false;
        *part = walk->waiting;
        walk->done = part->data + part->size;
        return true;
    }
    weft_added_part token;
    if (!next_token(walk, &token)) {
        if (walk->done >= walk->end) return false;
        *part = (weft_added_part){-1, walk->done, (size_t)(walk->end - walk->done)};
        walk->done = walk->end;
        return true;
    }
    if (token.data > walk->done) {
        *part = (weft_added_part){-1, walk->done, (size_t)(token.data - walk->done)};
        walk->waiting = token;
        walk->has_waiting = true;
        return true;
    }
    *part = token;
    walk->done = token.data + token.size;
    return true;
}
