/* The strings of a tokenizer: their bytes by id, and, while it is being made, their ids by string.
 *
 * Byte-level BPE writes each byte as one printable character (the "byte-level alphabet"). A string made only of those
 * stands for its bytes; any other string stands for itself, as the library's ByteLevel decoder has it. */
#ifndef WEFT_TEXT_VOCAB_H
#define WEFT_TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

enum {
    WEFT_VOCAB_ID_MAX = 4 << 20,      /* ids are below this */
    WEFT_VOCAB_BYTES_MAX = 256 << 20, /* of all strings together */
    WEFT_VOCAB_STRING_MAX = 1 << 20,  /* of one string */
};

typedef struct weft_vocab_entry {
    uint32_t offset, length; /* of the decoded bytes in the blob */
    int32_t id;
    bool verbatim; /* not in the byte-level alphabet: `bytes` is the string itself */
} weft_vocab_entry;

typedef struct weft_vocab_slot {
    uint32_t entry; /* index of an entry + 1, or 0 */
    uint32_t tag;   /* upper half of its hash: entries of other strings need not be looked at */
} weft_vocab_slot;

/* Zero-initialise, then weft_vocab_init; free with weft_vocab_free. */
typedef struct weft_vocab {
    weft_buffer blob;
    weft_vocab_entry *entries; /* [count], in the order they came */
    size_t count, capacity;
    weft_vocab_slot *slots; /* open addressing, at most half full */
    size_t slot_count;
    uint64_t seed; /* random, so that nobody can prepare strings that collide */
} weft_vocab;

void weft_vocab_init(weft_vocab *vocab);
void weft_vocab_free(weft_vocab *vocab);

/* A 64-bit hash of bytes; `seed` keeps it unpredictable. */
uint64_t weft_hash_bytes(const void *bytes, size_t size, uint64_t seed);
uint64_t weft_hash_seed(void);

/* Decodes `string` from the byte-level alphabet to out[size] (bytes never outgrow the string). Returns the number of
 * bytes and sets *verbatim; a verbatim string is copied. */
size_t weft_byte_level_decode(const char *string, size_t size, char *out, bool *verbatim);

/* Makes room for `count` entries in all at once; a hint, so that tables need not grow step by step. */
weft_status weft_vocab_reserve(weft_vocab *vocab, size_t count, weft_error *err);

/* Adds a string with its id. A string that is there already gets the new id, as in a JSON object. */
weft_status weft_vocab_add(weft_vocab *vocab, const char *string, size_t size, int32_t id, weft_error *err);

/* The entry of some bytes, or NULL. */
const weft_vocab_entry *weft_vocab_find(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim);

/* The same in two steps, for callers that look up many: the hash fetches the slot into the CPU's caches, and after a
 * while weft_vocab_warm fetches the entry and its bytes; then the look-up waits for no memory. */
uint64_t weft_vocab_hash(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim);
void weft_vocab_warm(const weft_vocab *vocab, uint64_t hash);
const weft_vocab_entry *weft_vocab_find_hashed(const weft_vocab *vocab, const char *bytes, size_t size, bool verbatim,
                                               uint64_t hash);

/* The entry of a string as the file writes it, or NULL. `scratch` has room for `size` bytes. */
const weft_vocab_entry *weft_vocab_find_string(const weft_vocab *vocab, const char *string, size_t size, char *scratch);

#endif
