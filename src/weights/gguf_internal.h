/* What the two halves of the GGUF reader share: gguf.c (files and tensors) and gguf_keys.c (metadata). */
#ifndef WEFT_WEIGHTS_GGUF_INTERNAL_H
#define WEFT_WEIGHTS_GGUF_INTERNAL_H

#include "base/map.h"
#include "weights/gguf.h"

typedef struct gguf_key {
    char *name;
    weft_gguf_kind kind, element;
    uint64_t count;      /* array: elements; string: bytes */
    const uint8_t *data; /* the scalar, the string's bytes or the first element */
    size_t bytes;
} gguf_key;

typedef struct gguf_part {
    char *path;
    weft_map map;
} gguf_part;

struct weft_gguf {
    gguf_part *parts;
    int part_count;
    int current;    /* the part whose keys are in `keys`: the first once open */
    gguf_key *keys; /* of the first part, sorted by name */
    int64_t key_count;
    weft_tensor_table tensors;
};

/* What is left of a mapped file's header. */
typedef struct gguf_reader {
    const char *path;
    const uint8_t *at;
    size_t left;
    const uint8_t *start;
    weft_error *err;
} gguf_reader;

/* Each takes from the front of what is left and fails, naming `what`, when that is too little. */
weft_status gguf_take(gguf_reader *r, size_t n, const uint8_t **bytes, const char *what);
weft_status gguf_take_u32(gguf_reader *r, uint32_t *value, const char *what);
weft_status gguf_take_u64(gguf_reader *r, uint64_t *value, const char *what);
weft_status gguf_take_string(gguf_reader *r, const uint8_t **text, uint64_t *size, const char *what);
size_t gguf_position(const gguf_reader *r); /* bytes from the start of the file */

/* Reads `count` keys into g->keys, sorted; the keys of a former part are dropped. */
weft_status gguf_read_keys(weft_gguf *g, gguf_reader *r, uint64_t count);
void gguf_free_keys(gguf_key *keys, int64_t count);

#endif
