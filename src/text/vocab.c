/* The strings of a tokenizer: see vocab.h.
 *
 * Memory: one blob for all bytes and one hash table of indices into it. Refuses ids and sizes over the named maxima. */
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

/* The slot of these bytes: of their entry, or the free one where it belongs. */
static uint32_t *find_slot(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim) {
    size_t mask = vocab->slot_count - 1;
    for (size_t at = hash_entry(vocab, bytes, size, verbatim) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = vocab->slots + at;
        if (!*slot) return slot;
        const weft_vocab_entry *entry = vocab->entries + (*slot - 1);
        if (entry->length == size && entry->verbatim == verbatim &&
            memcmp(vocab->blob.data + entry->offset, bytes, size) == 0)
            return slot;
    }
}

const weft_vocab_entry *weft_vocab_find(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim) {
    if (!vocab->count) return NULL;
    uint32_t slot = *find_slot(vocab, bytes, size, verbatim);
    return slot ? vocab->entries + (slot - 1) : NULL;
}

const weft_vocab_entry *weft_vocab_find_string(const weft_vocab *vocab, const char *string, size_t size,
                                               char *scratch) {
    bool verbatim;
    size_t length = weft_byte_level_decode(string, size, scratch, &verbatim);
    return weft_vocab_find(vocab, scratch, length, verbatim);
}

/* Makes room for one more entry; the table stays at most half full. */
static weft_status grow(weft_vocab *vocab, weft_error *err) {
    if (vocab->count == vocab->capacity) {
        size_t capacity = vocab->capacity ? vocab->capacity * 2 : 1024;
        weft_vocab_entry *entries = realloc(vocab->entries, capacity * sizeof *entries);
        if (!entries) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a vocabulary of %zu entries", capacity);
        vocab->entries = entries;
        vocab->capacity = capacity;
    }
    if (vocab->count * 2 < vocab->slot_count) return WEFT_OK;
    size_t slot_count = vocab->slot_count ? vocab->slot_count * 2 : 2048;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a vocabulary of %zu entries", slot_count / 2);
    free(vocab->slots);
    vocab->slots = slots;
    vocab->slot_count = slot_count;
    for (size_t i = 0; i < vocab->count; i++) {
        const weft_vocab_entry *entry = vocab->entries + i;
        *find_slot(vocab, vocab->blob.data + entry->offset, entry->length, entry->verbatim) = (uint32_t)i + 1;
    }
    return WEFT_OK;
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
    uint32_t *slot = find_slot(vocab, bytes, entry.length, entry.verbatim);
    if (*slot) {
        vocab->entries[*slot - 1].id = id;
        return WEFT_OK;
    }
    vocab->blob.size += entry.length;
    vocab->entries[vocab->count++] = entry;
    *slot = (uint32_t)vocab->count;
    return WEFT_OK;
}
