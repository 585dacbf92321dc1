/* Adding a long list of merges quickly.
 *
 * A published vocabulary has some 150,000 merges, each of which needs three strings looked up in tables of several MiB:
 * the time goes into waiting for memory. The list takes merges a group at a time and does each step for the whole
 * group, so that the waits overlap. The result is that of weft_bpe_add_merge for each in order. */
#ifndef WEFT_TEXT_MERGES_H
#define WEFT_TEXT_MERGES_H

#include "text/bpe.h"

enum { WEFT_MERGE_GROUP = 32, WEFT_MERGE_TEXT_MAX = 64 };

typedef struct weft_merge_text { /* a merge that waits for its group */
    uint32_t rank;
    uint8_t left_raw, right_raw; /* bytes of the two strings as the file has them, in `raw` */
    uint8_t left, right;         /* bytes of the two decoded strings, in `bytes` */
    uint64_t left_hash, right_hash;
    char raw[WEFT_MERGE_TEXT_MAX], bytes[WEFT_MERGE_TEXT_MAX];
} weft_merge_text;

/* The strings are copied; `bpe` and `vocab` are borrowed, and the vocabulary must not change until the list is done. */
typedef struct weft_merge_list {
    weft_bpe *bpe;
    const weft_vocab *vocab;
    size_t likely; /* entry of the vocabulary that the next merge probably makes */
    size_t count;
    weft_merge_text waiting[WEFT_MERGE_GROUP];
} weft_merge_list;

void weft_merge_list_init(weft_merge_list *list, weft_bpe *bpe, const weft_vocab *vocab);
/* As weft_bpe_add_merge; an error may be that of an earlier merge of the group. */
weft_status weft_merge_list_add(weft_merge_list *list, weft_bytes left, weft_bytes right, uint32_t rank,
                                weft_error *err);
weft_status weft_merge_list_finish(weft_merge_list *list, weft_error *err);

#endif
