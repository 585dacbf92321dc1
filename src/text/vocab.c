/* The strings of a tokenizer: see vocab.h.
 *
 * Memory: one blob for all bytes and one hash table of entries in it. Refuses ids and sizes over the named maxima. */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "text/unicode.h"

uint64_t weft_hash_seed(void) {
    uint64_t seed;
    if (getentropy(&seed, sizeof seed) == 0) return seed;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15u ^ (uint64_t)now.tv_sec ^ (uint64_t)(uintptr_t)&now;
}

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t weft_hash_bytes(const void *bytes, size_t size, uint64_t seed) {
    const char *p = bytes;
    uint64_t hash = seed ^ mix(size ^ 0x9E3779B97F4A7C15u, seed | 1), word;
    for (; size >= sizeof word; p += sizeof word, size -= sizeof word) {
        memcpy(&word, p, sizeof word);
        hash = mix(hash ^ word, 0xD6E8FEB86659FD93u ^ seed);
    }
    word = 0;
    memcpy(&word, p, size);
    return mix(hash ^ word, 0xA0761D6478BD642Fu ^ seed);
}

/* The byte that a character of the byte-level alphabet stands for, or -1. Printable Latin-1 stands for itself; the
 * other 68 bytes are numbered from U+0100 on (0-32, 127-160, 173). */
static int byte_of_char(uint32_t c) {
    if ((c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF)) return (int)c;
    if (c < 0x100 || c >= 0x100 + 68) return -1;
    int n = (int)c - 0x100;
    return n < 33 ? n : n < 67 ? n - 33 + 127 : 173;
}

size_t weft_byte_level_decode(const char *string, size_t size, char *out, bool *verbatim) {
    size_t count = 0;
    for (const char *p = string, *end = string + size; p < end;) {
        if (*p >= '!' && *p <= '~') { /* most of any vocabulary */
            out[count++] = *p++;
            continue;
        }
        int byte = byte_of_char(weft_utf8_next(&p, end));
        if (byte < 0) {
            *verbatim = true;
            memcpy(out, string, size);
            return size;
        }
        out[count++] = (char)byte;
    }
    *verbatim = false;
    return count;
}

void weft_vocab_init(weft_vocab *vocab) {
    *vocab = (weft_vocab){.seed = weft_hash_seed()};
    weft_buffer_init(&vocab->blob, WEFT_VOCAB_BYTES_MAX, "the text of the vocabulary");
}

void weft_vocab_free(weft_vocab *vocab) {
    weft_buffer_free(&vocab->blob);
    free(vocab->entries);
    free(vocab->slots);
    *vocab = (weft_vocab){0};
}

static uint64_t hash_entry(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim) {
    return weft_hash_bytes(bytes, size, vocab->seed + verbatim);
}

/* The slot of these bytes, whose hash is `hash`: of their entry, or the free one where it belongs. */
static weft_vocab_slot *find_slot(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim,
                                  uint64_t hash) {
    size_t mask = vocab->slot_count - 1;
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        weft_vocab_slot *slot = vocab->slots + at;
        if (!slot->entry) return slot;
        if (slot->tag != tag) continue;
        const weft_vocab_entry *entry = vocab->entries + (slot->entry - 1);
        if (entry->length == size && entry->verbatim == verbatim &&
            memcmp(vocab->blob.data + entry->offset, bytes, size) == 0)
            return slot;
    }
}

uint64_t weft_vocab_hash(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim) {
    uint64_t hash = hash_entry(vocab, bytes, size, verbatim);
    if (vocab->slot_count) __builtin_prefetch(vocab->slots + (hash & (vocab->slot_count - 1)));
    return hash;
}

/* Only the first slot of the chain is looked at: most strings are there. */
void weft_vocab_warm(const weft_vocab *vocab, uint64_t hash) {
    if (!vocab->count) return;
    uint32_t entry = vocab->slots[hash & (vocab->slot_count - 1)].entry;
    if (entry) __builtin_prefetch(vocab->entries + (entry - 1));
}

const weft_vocab_entry *weft_vocab_find_hashed(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim,
                                               uint64_t hash) {
    if (!vocab->count) return NULL;
    uint32_t entry = find_slot(vocab, bytes, size, verbatim, hash)->entry;
    return entry ? vocab->entries + (entry - 1) : NULL;
}

const weft_vocab_entry *weft_vocab_find(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim) {
    return weft_vocab_find_hashed(vocab, bytes, size, verbatim, hash_entry(vocab, bytes, size, verbatim));
}

const weft_vocab_entry *weft_vocab_find_string(const weft_vocab *vocab, const char *string, size_t size,
                                               char *scratch) {
    bool verbatim;
    size_t length = weft_byte_level_decode(string, size, scratch, &verbatim);
    return weft_vocab_find(vocab, scratch, length, verbatim);
}

static weft_status grow_entries(weft_vocab *vocab, size_t capacity, weft_error *err) {
    weft_vocab_entry *entries = realloc(vocab->entries, capacity * sizeof *entries);
    if (!entries) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a vocabulary of %zu entries", capacity);
    vocab->entries = entries;
    vocab->capacity = capacity;
    return WEFT_OK;
}

static weft_status grow_slots(weft_vocab *vocab, size_t slot_count, weft_error *err) {
    weft_vocab_slot *slots = calloc(slot_count, sizeof *slots);
    if (!slots) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a vocabulary of %zu entries", slot_count / 2);
    free(vocab->slots);
    vocab->slots = slots;
    vocab->slot_count = slot_count;
    for (size_t i = 0; i < vocab->count; i++) {
        const weft_vocab_entry *entry = vocab->entries + i;
        const char *bytes = vocab->blob.data + entry->offset;
        uint64_t hash = hash_entry(vocab, bytes, entry->length, entry->verbatim);
        *find_slot(vocab, bytes, entry->length, entry->verbatim, hash) =
            (weft_vocab_slot){(uint32_t)i + 1, (uint32_t)(hash >> 32)};
    }
    return WEFT_OK;
}

weft_status weft_vocab_reserve(weft_vocab *vocab, size_t count, weft_error *err) {
    if (count > WEFT_VOCAB_ID_MAX) count = WEFT_VOCAB_ID_MAX;
    size_t slot_count = 2048;
    while (slot_count < 2 * count) slot_count *= 2;
    if (count > vocab->capacity) WEFT_TRY(grow_entries(vocab, count, err));
    return slot_count > vocab->slot_count ? grow_slots(vocab, slot_count, err) : WEFT_OK;
}

/* Makes room for one more entry; the table stays at most half full. */
static weft_status grow(weft_vocab *vocab, weft_error *err) {
    if (vocab->count == vocab->capacity)
        WEFT_TRY(grow_entries(vocab, vocab->capacity ? vocab->capacity * 2 : 1024, err));
    if (vocab->count * 2 < vocab->slot_count) return WEFT_OK;
    return grow_slots(vocab, vocab->slot_count ? vocab->slot_count * 2 : 2048, err);
}

weft_status weft_vocab_add(weft_vocab *vocab, const char *string, size_t size, int32_t id, weft_error *err) {
    if (id < 0 || id >= WEFT_VOCAB_ID_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "vocabulary: id %d is not in 0 … %d", id, WEFT_VOCAB_ID_MAX - 1);
    if (size > WEFT_VOCAB_STRING_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "vocabulary: the string of id %d has %zu bytes, over %d", id, size,
                         WEFT_VOCAB_STRING_MAX);
    if (vocab->count >= WEFT_VOCAB_ID_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "vocabulary: more than %d entries", WEFT_VOCAB_ID_MAX);
    WEFT_TRY(grow(vocab, err));
    WEFT_TRY(weft_buffer_reserve(&vocab->blob, size, err));
    weft_vocab_entry entry = {.offset = (uint32_t)vocab->blob.size, .id = id};
    char *bytes = vocab->blob.data + vocab->blob.size;
    entry.length = (uint32_t)weft_byte_level_decode(string, size, bytes, &entry.verbatim);
    uint64_t hash = hash_entry(vocab, bytes, entry.length, entry.verbatim);
    weft_vocab_slot *slot = find_slot(vocab, bytes, entry.length, entry.verbatim, hash);
    if (slot->entry) {
        vocab->entries[slot->entry - 1].id = id;
        return WEFT_OK;
    }
    vocab->blob.size += entry.length;
    vocab->entries[vocab->count++] = entry;
    *slot = (weft_vocab_slot){(uint32_t)vocab->count, (uint32_t)(hash >> 32)};
    return WEFT_OK;
}
