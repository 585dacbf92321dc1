/* Adding a long list of merges quickly: see merges.h. Memory: the caller's list; the tables are the tokenizer's.
 *
 * What is unusual (long strings, characters outside the byte-level alphabet, parts that are not in the vocabulary)
 * goes through weft_bpe_add_merge, which also words the refusals. */
#include "text/merges.h"

#include <string.h>

void weft_merge_list_init(weft_merge_list *list, weft_bpe *bpe, const weft_vocab *vocab) {
    list->bpe = bpe;
    list->vocab = vocab;
    list->likely = list->count = 0;
}

static weft_status add_slowly(weft_merge_list *list, const weft_merge_text *m, weft_error *err) {
    weft_bytes left = {m->raw, m->left_raw}, right = {m->raw + m->left_raw, m->right_raw};
    return weft_bpe_add_merge(list->bpe, list->vocab, left, right, m->rank, err);
}

/* The entry of the token that two others make. Published vocabularies number their tokens in the order of the merges
 * that make them, so the entry after the last one found is tried before the table is asked. */
static const weft_vocab_entry *find_whole(weft_merge_list *list, const weft_merge_text *m) {
    const weft_vocab *vocab = list->vocab;
    size_t size = (size_t)m->left + m->right;
    if (list->likely < vocab->count) {
        const weft_vocab_entry *likely = vocab->entries + list->likely;
        if (!likely->verbatim && likely->length == size &&
            memcmp(vocab->blob.data + likely->offset, m->bytes, size) == 0) {
            list->likely++;
            return likely;
        }
    }
    const weft_vocab_entry *whole = weft_vocab_find(vocab, m->bytes, size, false);
    if (whole) list->likely = (size_t)(whole - vocab->entries) + 1;
    return whole;
}

static weft_status add_group(weft_merge_list *list, weft_error *err) {
    const weft_vocab *vocab = list->vocab;
    weft_merge found[WEFT_MERGE_GROUP];
    for (size_t i = 0; i < list->count; i++) {
        weft_vocab_warm(vocab, list->waiting[i].left_hash);
        weft_vocab_warm(vocab, list->waiting[i].right_hash);
    }
    for (size_t i = 0; i < list->count; i++) {
        const weft_merge_text *m = &list->waiting[i];
        const weft_vocab_entry *a = weft_vocab_find_hashed(vocab, m->bytes, m->left, false, m->left_hash);
        const weft_vocab_entry *b = weft_vocab_find_hashed(vocab, m->bytes + m->left, m->right, false, m->right_hash);
        const weft_vocab_entry *whole = a && b ? find_whole(list, m) : NULL;
        if (!whole) {
            list->count = 0;
            return add_slowly(list, m, err); /* refuses it */
        }
        found[i] = (weft_merge){(uint32_t)a->id, (uint32_t)b->id, m->rank, (uint32_t)whole->id};
        weft_bpe_warm(list->bpe, found[i].left, found[i].right);
    }
    for (size_t i = 0; i < list->count; i++) WEFT_TRY(weft_bpe_put(list->bpe, found[i], err));
    list->count = 0;
    return WEFT_OK;
}

weft_status weft_merge_list_add(weft_merge_list *list, weft_bytes left, weft_bytes right, uint32_t rank,
                                weft_error *err) {
    bool usual = left.size <= WEFT_MERGE_TEXT_MAX && right.size <= WEFT_MERGE_TEXT_MAX - left.size;
    if (usual && rank < WEFT_MERGES_MAX) {
        weft_merge_text *m = &list->waiting[list->count];
        bool left_verbatim, right_verbatim;
        m->rank = rank;
        m->left_raw = (uint8_t)left.size;
        m->right_raw = (uint8_t)right.size;
        memcpy(m->raw, left.data, left.size);
        memcpy(m->raw + left.size, right.data, right.size);
        m->left = (uint8_t)weft_byte_level_decode(m->raw, left.size, m->bytes, &left_verbatim);
        m->right = (uint8_t)weft_byte_level_decode(m->raw + left.size, right.size, m->bytes + m->left, &right_verbatim);
        if (!left_verbatim && !right_verbatim) {
            m->left_hash = weft_vocab_hash(list->vocab, m->bytes, m->left, false);
            m->right_hash = weft_vocab_hash(list->vocab, m->bytes + m->left, m->right, false);
            return ++list->count == WEFT_MERGE_GROUP ? add_group(list, err) : WEFT_OK;
        }
    }
    WEFT_TRY(add_group(list, err)); /* the order of equal pairs counts */
    return weft_bpe_add_merge(list->bpe, list->vocab, left, right, rank, err);
}

weft_status weft_merge_list_finish(weft_merge_list *list, weft_error *err) {
    return add_group(list, err);
}
