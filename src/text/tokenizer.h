/* Byte-level BPE, as the `tokenizers` library computes it: added tokens, NFC, pre-tokenizer, merges.
 *
 * A tokenizer is immutable after it is made and may be used from several threads at once. */
#ifndef WEFT_TEXT_TOKENIZER_H
#define WEFT_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

typedef struct weft_tokenizer weft_tokenizer;

typedef struct weft_bytes { /* borrowed, not NUL-terminated */
    const char *data;
    size_t size;
} weft_bytes;

typedef enum weft_token_kind { /* the values of tokenizer.ggml.token_type */
    WEFT_TOKEN_NORMAL = 1,
    WEFT_TOKEN_UNKNOWN = 2,
    WEFT_TOKEN_CONTROL = 3,      /* special added token: dropped by detokenize with skip_special */
    WEFT_TOKEN_USER_DEFINED = 4, /* added token that is not special */
    WEFT_TOKEN_UNUSED = 5,
    WEFT_TOKEN_BYTE = 6,
} weft_token_kind;

/* What GGUF metadata holds; everything is borrowed for the call. */
typedef struct weft_tokenizer_spec {
    const weft_bytes *tokens; /* [token_count], in the byte-level alphabet for normal tokens, verbatim for added ones */
    const int32_t *kinds;     /* [token_count] weft_token_kind */
    size_t token_count;
    const weft_bytes *merges; /* [merge_count] "left right" */
    size_t merge_count;
    const char *pre; /* tokenizer.ggml.pre: "qwen2" (others refused by name) */
} weft_tokenizer_spec;

weft_status weft_tokenizer_from_json(const char *path, weft_tokenizer **tokenizer, weft_error *err);
weft_status weft_tokenizer_from_spec(const weft_tokenizer_spec *spec, weft_tokenizer **tokenizer, weft_error *err);
void weft_tokenizer_free(weft_tokenizer *tokenizer);

typedef struct weft_ids { /* a growing list of token ids; zero-initialise, free with weft_ids_free */
    int32_t *data;
    size_t count, capacity;
} weft_ids;
void weft_ids_free(weft_ids *ids);

/* Appends the ids of `text` (UTF-8; malformed bytes are replaced by U+FFFD as Python's errors="replace" does).
 * With parse_special false, added special tokens in the text are treated as plain text. Linear in practice. */
weft_status weft_tokenize(const weft_tokenizer *tokenizer, const char *text, size_t size, bool parse_special, weft_ids *ids, weft_error *err);
/* Appends the bytes of the tokens (may be malformed UTF-8 at the edges). */
weft_status weft_detokenize(const weft_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special, weft_buffer *out, weft_error *err);

size_t weft_tokenizer_size(const weft_tokenizer *tokenizer);                         /* largest id + 1 */
int32_t weft_tokenizer_find(const weft_tokenizer *tokenizer, const char *token);     /* id of an added token, or -1 */
weft_token_kind weft_tokenizer_kind(const weft_tokenizer *tokenizer, int32_t id);
/* The bytes of one token (decoded from the byte-level alphabet), borrowed from the tokenizer. */
weft_bytes weft_tokenizer_bytes(const weft_tokenizer *tokenizer, int32_t id);

/* Streams text out of tokens: never emits half a UTF-8 character; malformed sequences become U+FFFD once it is certain
 * that they are malformed. */
typedef struct weft_detokenizer {
    const weft_tokenizer *tokenizer;
    bool skip_special;
    unsigned char held[4]; /* the start of a character whose end has not come yet */
    int held_count;
} weft_detokenizer;
void weft_detokenizer_init(weft_detokenizer *detokenizer, const weft_tokenizer *tokenizer, bool skip_special);
weft_status weft_detokenizer_push(weft_detokenizer *detokenizer, int32_t id, weft_buffer *out, weft_error *err);
weft_status weft_detokenizer_finish(weft_detokenizer *detokenizer, weft_buffer *out, weft_error *err);

#endif
