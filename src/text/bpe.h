/* Byte pair encoding of one word: the table of merges and the merging itself. */
#ifndef WEFT_TEXT_BPE_H
#define WEFT_TEXT_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

enum { WEFT_MERGES_MAX = 4 << 20 };

typedef struct weft_merge {
    uint32_t left, right; /* ids of the pair; left == UINT32_MAX: a free slot */
    uint32_t rank;        /* its place in the list of merges: lower goes first */
    uint32_t id;          /* of the merged token */
} weft_merge;

/* Immutable once every merge is added. */
typedef struct weft_bpe {
    int32_t byte_ids[256]; /* id of each single byte, or -1 (such a byte is dropped, as the library does) */
    weft_merge *slots;     /* open addressing, at most half full */
    size_t slot_count, count;
    uint64_t seed;
} weft_bpe;

void weft_bpe_init(weft_bpe *bpe);
void weft_bpe_free(weft_bpe *bpe);
/* Makes room for `count` merges at once; a hint. */
weft_status weft_bpe_reserve(weft_bpe *bpe, size_t count, weft_error *err);
/* Takes the single-byte tokens from the vocabulary. */
void weft_bpe_set_bytes(weft_bpe *bpe, const weft_vocab *vocab);
/* Adds the merge of two strings (as the file writes them) with its rank; all three tokens must be in the vocabulary.
 * The same pair given twice keeps the later rank. */
weft_status weft_bpe_add_merge(weft_bpe *bpe, const weft_vocab *vocab, weft_bytes left, weft_bytes right, uint32_t rank,
                               weft_error *err);

/* Adds a merge whose ids are known; weft_bpe_warm beforehand fetches its slot into the CPU's caches. */
weft_status weft_bpe_put(weft_bpe *bpe, weft_merge merge, weft_error *err);
void weft_bpe_warm(const weft_bpe *bpe, uint32_t left, uint32_t right);

/* Working memory of one caller; zero-initialise. Grows with the longest word: about 24 bytes per byte of it. */
typedef struct weft_bpe_scratch weft_bpe_scratch;
weft_bpe_scratch *weft_bpe_scratch_new(void);
void weft_bpe_scratch_free(weft_bpe_scratch *scratch);

weft_status weft_ids_append(weft_ids *ids, int32_t id, weft_error *err);

/* Appends the ids of one word, which is `size` bytes of UTF-8. O(n log n). */
weft_status weft_bpe_encode(const weft_bpe *bpe, weft_bpe_scratch *scratch, const char *word, size_t size,
                            weft_ids *ids, weft_error *err);

#endif
