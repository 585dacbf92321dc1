/* Byte pair encoding (Sennrich et al. 2016) as the `tokenizers` library orders it: of all adjacent pairs that have a
 * merge, the one of the lowest rank goes first, and of several equal ones the leftmost.
 *
 * Short words scan for the minimum. Long ones keep, for every rank that occurs, the positions of its pairs; a heap
 * holds the ranks. A position's entry is never removed when its pair changes: it is checked when its turn comes. Text
 * made of one character repeated creates few ranks with positions already in order, so it costs linear time.
 *
 * Memory: the table of merges belongs to the tokenizer, working memory to the caller's scratch. */
#include "text/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHORT_WORD = 48,         /* symbols: up to here scanning for the minimum is the fastest */
    KEPT_CAPACITY = 1 << 14, /* positions a bucket may keep allocated between words */
};
static const uint32_t NONE = UINT32_MAX;
static const size_t WORD_MAX = (size_t)1 << 30; /* positions are 32 bits wide */

/* ---- the table of merges ---- */

void weft_bpe_init(weft_bpe *bpe) {
    *bpe = (weft_bpe){.seed = weft_hash_seed() | 1};
    for (int i = 0; i < 256; i++) bpe->byte_ids[i] = -1;
}

void weft_bpe_free(weft_bpe *bpe) {
    free(bpe->slots);
    *bpe = (weft_bpe){0};
}

void weft_bpe_set_bytes(weft_bpe *bpe, const weft_vocab *vocab) {
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        const weft_vocab_entry *entry = weft_vocab_find(vocab, &byte, 1, false);
        bpe->byte_ids[i] = entry ? entry->id : -1;
    }
}

static inline size_t pair_slot(const weft_bpe *bpe, uint32_t left, uint32_t right) {
    uint64_t key = ((uint64_t)left << 32 | right) ^ bpe->seed;
    unsigned __int128 product = (unsigned __int128)key * 0x9E3779B97F4A7C15u;
    return (size_t)((uint64_t)product ^ (uint64_t)(product >> 64)) & (bpe->slot_count - 1);
}

/* The slot of a pair, or the free one where it belongs. */
static inline weft_merge *find_merge(const weft_bpe *bpe, uint32_t left, uint32_t right) {
    for (size_t at = pair_slot(bpe, left, right);; at = (at + 1) & (bpe->slot_count - 1)) {
        weft_merge *merge = bpe->slots + at;
        if (merge->left == NONE || (merge->left == left && merge->right == right)) return merge;
    }
}

static inline uint32_t rank_of(const weft_bpe *bpe, uint32_t left, uint32_t right) {
    if (!bpe->count) return NONE;
    const weft_merge *merge = find_merge(bpe, left, right);
    return merge->left == NONE ? NONE : merge->rank;
}

static weft_status grow_slots(weft_bpe *bpe, size_t slot_count, weft_error *err) {
    weft_bpe larger = *bpe;
    larger.slot_count = slot_count;
    larger.slots = malloc(larger.slot_count * sizeof *larger.slots);
    if (!larger.slots) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a table of %zu merges", larger.slot_count);
    memset(larger.slots, 0xFF, larger.slot_count * sizeof *larger.slots);
    for (size_t i = 0; i < bpe->slot_count; i++) {
        const weft_merge *merge = bpe->slots + i;
        if (merge->left != NONE) *find_merge(&larger, merge->left, merge->right) = *merge;
    }
    free(bpe->slots);
    *bpe = larger;
    return WEFT_OK;
}

weft_status weft_bpe_reserve(weft_bpe *bpe, size_t count, weft_error *err) {
    size_t slot_count = 1024;
    while (slot_count < 2 * count && slot_count < 2 * (size_t)WEFT_MERGES_MAX) slot_count *= 2;
    return slot_count > bpe->slot_count ? grow_slots(bpe, slot_count, err) : WEFT_OK;
}

static weft_status grow(weft_bpe *bpe, weft_error *err) {
    if (bpe->count * 2 < bpe->slot_count) return WEFT_OK;
    return grow_slots(bpe, bpe->slot_count ? bpe->slot_count * 2 : 1024, err);
}

void weft_bpe_warm(const weft_bpe *bpe, uint32_t left, uint32_t right) {
    if (bpe->slot_count) __builtin_prefetch(bpe->slots + pair_slot(bpe, left, right), 1);
}

weft_status weft_bpe_put(weft_bpe *bpe, weft_merge merge, weft_error *err) {
    WEFT_TRY(grow(bpe, err));
    weft_merge *slot = find_merge(bpe, merge.left, merge.right);
    if (slot->left == NONE) bpe->count++;
    *slot = merge;
    return WEFT_OK;
}

static weft_status refuse_merge(weft_bytes left, weft_bytes right, uint32_t rank, weft_error *err) {
    return weft_fail(
        err, WEFT_ERR_FORMAT, "merge %u (\"%.*s\" \"%.*s\"): its parts or its result are not in the vocabulary", rank,
        (int)(left.size > 60 ? 60 : left.size), left.data, (int)(right.size > 60 ? 60 : right.size), right.data);
}

weft_status weft_bpe_add_merge(weft_bpe *bpe, const weft_vocab *vocab, weft_bytes left, weft_bytes right, uint32_t rank,
                               weft_error *err) {
    if (rank >= WEFT_MERGES_MAX) return weft_fail(err, WEFT_ERR_LIMIT, "more than %d merges", WEFT_MERGES_MAX);
    char small[512], *scratch = small;
    if (left.size > WEFT_VOCAB_STRING_MAX || right.size > WEFT_VOCAB_STRING_MAX)
        return refuse_merge(left, right, rank, err);
    if (left.size + right.size > sizeof small / 2 && !(scratch = malloc(2 * (left.size + right.size))))
        return weft_fail(err, WEFT_ERR_MEMORY, "no memory for merge %u", rank);
    char *joined = scratch + left.size + right.size;
    const weft_vocab_entry *a = weft_vocab_find_string(vocab, left.data, left.size, scratch);
    const weft_vocab_entry *b = weft_vocab_find_string(vocab, right.data, right.size, scratch);
    if (left.size) memcpy(joined, left.data, left.size);
    if (right.size) memcpy(joined + left.size, right.data, right.size);
    const weft_vocab_entry *whole = weft_vocab_find_string(vocab, joined, left.size + right.size, scratch);
    if (scratch != small) free(scratch);
    if (!a || !b || !whole) return refuse_merge(left, right, rank, err);
    return weft_bpe_put(bpe, (weft_merge){(uint32_t)a->id, (uint32_t)b->id, rank, (uint32_t)whole->id}, err);
}

/* ---- lists of ids ---- */

static weft_status reserve_ids(weft_ids *ids, size_t extra, weft_error *err) {
    if (extra <= ids->capacity - ids->count) return WEFT_OK;
    size_t capacity = ids->capacity ? ids->capacity * 2 : 256;
    if (capacity < ids->count + extra) capacity = ids->count + extra;
    int32_t *data = realloc(ids->data, capacity * sizeof *data);
    if (!data) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for %zu token ids", capacity);
    ids->data = data;
    ids->capacity = capacity;
    return WEFT_OK;
}

weft_status weft_ids_append(weft_ids *ids, int32_t id, weft_error *err) {
    WEFT_TRY(reserve_ids(ids, 1, err));
    ids->data[ids->count++] = id;
    return WEFT_OK;
}

void weft_ids_free(weft_ids *ids) {
    free(ids->data);
    *ids = (weft_ids){0};
}

/* ---- short words ---- */

static weft_status encode_short(const weft_bpe *bpe, const char *word, size_t size, weft_ids *ids, weft_error *err) {
    uint32_t symbols[SHORT_WORD], ranks[SHORT_WORD];
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        int32_t id = bpe->byte_ids[(unsigned char)word[i]];
        if (id >= 0) symbols[count++] = (uint32_t)id;
    }
    for (size_t i = 0; i + 1 < count; i++) ranks[i] = rank_of(bpe, symbols[i], symbols[i + 1]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == NONE) break;
        symbols[best] = find_merge(bpe, symbols[best], symbols[best + 1])->id;
        count--;
        memmove(symbols + best + 1, symbols + best + 2, (count - best - 1) * sizeof *symbols);
        if (best + 1 < count) {
            memmove(ranks + best + 1, ranks + best + 2, (count - best - 2) * sizeof *ranks);
            ranks[best] = rank_of(bpe, symbols[best], symbols[best + 1]);
        }
        if (best > 0) ranks[best - 1] = rank_of(bpe, symbols[best - 1], symbols[best]);
    }
    WEFT_TRY(reserve_ids(ids, count, err));
    for (size_t i = 0; i < count; i++) ids->data[ids->count++] = (int32_t)symbols[i];
    return WEFT_OK;
}

/* ---- long words ---- */

typedef struct positions { /* a growing array of 32-bit numbers */
    uint32_t *data;
    size_t count, capacity;
} positions;

/* The positions whose pair has one rank, in order.
 *
 * They arrive in order, too: the inside of a token is always merged in the same sequence, so all pairs of two given
 * tokens come about during the same pass over the word. Where that should ever fail, the newcomer is moved to its
 * place. */
typedef struct bucket {
    uint32_t rank;
    size_t head; /* what is before it is done */
    positions run;
} bucket;

struct weft_bpe_scratch {
    uint32_t *symbols, *next, *before; /* [capacity]: a doubly linked list of symbols by position */
    size_t capacity;
    bucket *buckets; /* [bucket_count] in use by this word, [bucket_capacity] kept for the next */
    size_t bucket_count, bucket_capacity;
    uint32_t *by_rank; /* [rank_slots] open addressing by rank: index of a bucket + 1, or 0 */
    size_t rank_slots;
    uint64_t *active; /* min-heap of rank << 32 | bucket, of the buckets that hold a position */
    size_t active_count, active_capacity;
};

weft_bpe_scratch *weft_bpe_scratch_new(void) {
    return calloc(1, sizeof(weft_bpe_scratch));
}

static void free_buckets(weft_bpe_scratch *s) {
    for (size_t i = 0; i < s->bucket_capacity; i++) {
        free(s->buckets[i].run.data);
    }
    free(s->buckets);
    s->buckets = NULL;
    s->bucket_count = s->bucket_capacity = 0;
}

void weft_bpe_scratch_free(weft_bpe_scratch *scratch) {
    if (!scratch) return;
    free_buckets(scratch);
    free(scratch->symbols);
    free(scratch->next);
    free(scratch->before);
    free(scratch->by_rank);
    free(scratch->active);
    free(scratch);
}

static bool push_position(positions *list, uint32_t value) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        uint32_t *data = realloc(list->data, capacity * sizeof *data);
        if (!data) return false;
        list->data = data;
        list->capacity = capacity;
    }
    list->data[list->count++] = value;
    return true;
}

static bool bucket_push(bucket *b, uint32_t position) {
    if (b->head == b->run.count) b->head = b->run.count = 0;
    if (!push_position(&b->run, position)) return false;
    size_t at = b->run.count - 1;
    for (; at > b->head && b->run.data[at - 1] > position; at--) b->run.data[at] = b->run.data[at - 1];
    b->run.data[at] = position;
    return true;
}

static void active_push(weft_bpe_scratch *s, uint64_t value) { /* there is room: one entry per bucket */
    size_t at = s->active_count++;
    for (; at > 0 && s->active[(at - 1) / 2] > value; at = (at - 1) / 2) s->active[at] = s->active[(at - 1) / 2];
    s->active[at] = value;
}

static void active_pop(weft_bpe_scratch *s) {
    uint64_t *heap = s->active, last = heap[--s->active_count];
    size_t at = 0, count = s->active_count;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[at] = heap[child];
    }
    heap[at] = last;
}

static uint32_t *rank_slot(const weft_bpe_scratch *s, uint32_t rank) {
    size_t at = (size_t)(rank * 0x9E3779B1u) & (s->rank_slots - 1);
    while (s->by_rank[at] && s->buckets[s->by_rank[at] - 1].rank != rank) at = (at + 1) & (s->rank_slots - 1);
    return s->by_rank + at;
}

/* Doubles what is counted per bucket. */
static bool grow_buckets(weft_bpe_scratch *s) {
    size_t capacity = s->bucket_capacity ? s->bucket_capacity * 2 : 64;
    bucket *buckets = realloc(s->buckets, capacity * sizeof *buckets);
    if (!buckets) return false;
    memset(buckets + s->bucket_capacity, 0, (capacity - s->bucket_capacity) * sizeof *buckets);
    s->buckets = buckets;
    s->bucket_capacity = capacity;
    return true;
}

static bool grow_rank_table(weft_bpe_scratch *s) {
    size_t slots = s->rank_slots ? s->rank_slots * 2 : 256;
    uint32_t *by_rank = calloc(slots, sizeof *by_rank);
    uint64_t *active = realloc(s->active, slots * sizeof *active);
    if (active) s->active = active;
    if (!by_rank || !active) {
        free(by_rank);
        return false;
    }
    free(s->by_rank);
    s->by_rank = by_rank;
    s->rank_slots = slots;
    for (size_t i = 0; i < s->bucket_count; i++) *rank_slot(s, s->buckets[i].rank) = (uint32_t)i + 1;
    return true;
}

/* Notes that the pair which starts at `position` has this rank. */
static bool note_pair(weft_bpe_scratch *s, uint32_t rank, uint32_t position) {
    if (s->bucket_count * 2 >= s->rank_slots && !grow_rank_table(s)) return false;
    uint32_t *slot = rank_slot(s, rank);
    if (!*slot) {
        if (s->bucket_count == s->bucket_capacity && !grow_buckets(s)) return false;
        bucket *fresh = s->buckets + s->bucket_count++;
        fresh->rank = rank;
        fresh->head = fresh->run.count = 0;
        *slot = (uint32_t)s->bucket_count;
    }
    uint32_t index = *slot - 1;
    bucket *b = s->buckets + index;
    bool was_empty = b->head == b->run.count;
    if (!bucket_push(b, position)) return false;
    if (was_empty) active_push(s, (uint64_t)rank << 32 | index);
    return true;
}

static bool reserve_symbols(weft_bpe_scratch *s, size_t size) {
    if (size <= s->capacity) return true;
    free(s->symbols);
    free(s->next);
    free(s->before);
    s->symbols = malloc(size * sizeof *s->symbols);
    s->next = malloc(size * sizeof *s->next);
    s->before = malloc(size * sizeof *s->before);
    s->capacity = s->symbols && s->next && s->before ? size : 0;
    return s->capacity != 0;
}

/* Fills the list of symbols and notes its pairs; returns how many symbols there are. */
static size_t start_word(const weft_bpe *bpe, weft_bpe_scratch *s, const char *word, size_t size, bool *enough) {
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        int32_t id = bpe->byte_ids[(unsigned char)word[i]];
        if (id >= 0) s->symbols[count++] = (uint32_t)id;
    }
    for (size_t i = 0; i < count; i++) {
        s->before[i] = i ? (uint32_t)i - 1 : NONE;
        s->next[i] = i + 1 < count ? (uint32_t)i + 1 : NONE;
        uint32_t rank = i + 1 < count ? rank_of(bpe, s->symbols[i], s->symbols[i + 1]) : NONE;
        if (rank != NONE && *enough) *enough = note_pair(s, rank, (uint32_t)i);
    }
    return count;
}

/* Merges the pair at `left` if it still has this rank. */
static bool merge_pair(const weft_bpe *bpe, weft_bpe_scratch *s, uint32_t left, uint32_t rank) {
    if (s->symbols[left] == NONE || s->next[left] == NONE) return true;
    uint32_t right = s->next[left];
    const weft_merge *merge = find_merge(bpe, s->symbols[left], s->symbols[right]);
    if (merge->left == NONE || merge->rank != rank) return true;
    s->symbols[left] = merge->id;
    s->symbols[right] = NONE;
    uint32_t next = s->next[left] = s->next[right], before = s->before[left];
    if (next != NONE) s->before[next] = left;
    if (before != NONE) {
        rank = rank_of(bpe, s->symbols[before], s->symbols[left]);
        if (rank != NONE && !note_pair(s, rank, before)) return false;
    }
    if (next != NONE) {
        rank = rank_of(bpe, s->symbols[left], s->symbols[next]);
        if (rank != NONE && !note_pair(s, rank, left)) return false;
    }
    return true;
}

/* Empties the buckets for the next word and gives back the large ones. */
static void finish_word(weft_bpe_scratch *s) {
    for (size_t i = s->bucket_count; i-- > 0;) { /* backwards, so that no chain of the table is cut in its middle */
        bucket *b = s->buckets + i;
        *rank_slot(s, b->rank) = 0;
        if (b->run.capacity > KEPT_CAPACITY) {
            free(b->run.data);
            b->run = (positions){0};
        }
    }
    s->bucket_count = s->active_count = 0;
}

static weft_status encode_long(const weft_bpe *bpe, weft_bpe_scratch *s, const char *word, size_t size, weft_ids *ids,
                               weft_error *err) {
    if (size > WORD_MAX) return weft_fail(err, WEFT_ERR_LIMIT, "a word of %zu bytes is over %zu", size, WORD_MAX);
    bool enough = reserve_symbols(s, size);
    size_t count = enough ? start_word(bpe, s, word, size, &enough) : 0;
    while (enough && s->active_count) {
        uint32_t rank = (uint32_t)(s->active[0] >> 32);
        bucket *b = s->buckets + (uint32_t)s->active[0];
        uint32_t position = b->run.data[b->head++];
        if (b->head == b->run.count) active_pop(s); /* now: merging may put lower ranks in front */
        enough = merge_pair(bpe, s, position, rank);
    }
    finish_word(s);
    if (!enough) return weft_fail(err, WEFT_ERR_MEMORY, "no memory to tokenize a word of %zu bytes", size);
    for (uint32_t at = 0; count > 0 && at != NONE; at = s->next[at])
        WEFT_TRY(weft_ids_append(ids, (int32_t)s->symbols[at], err));
    return WEFT_OK;
}

weft_status weft_bpe_encode(const weft_bpe *bpe, weft_bpe_scratch *scratch, const char *word, size_t size,
                            weft_ids *ids, weft_error *err) {
    if (size <= SHORT_WORD) return encode_short(bpe, word, size, ids, err);
    return encode_long(bpe, scratch, word, size, ids, err);
}
