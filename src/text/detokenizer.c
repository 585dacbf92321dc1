/* Ids to text: all at once, or as they come. See tokenizer.h.
 *
 * The incremental form holds back at most the three bytes of a character whose end has not come. Everything it has ever
 * put out, finish included, equals Python's bytes.decode("utf-8", errors="replace") over the bytes of all tokens. */
#include <string.h>

#include "text/tokenizer_impl.h"
#include "text/unicode.h"

/* The bytes that an id adds to the text. Ids without a token (a model's head may be larger than its vocabulary) and, on
 * request, special tokens add nothing. */
static weft_status token_text(const weft_tokenizer *tokenizer, int32_t id, bool skip_special, weft_bytes *bytes,
                              weft_error *err) {
    if (id < 0) return weft_fail(err, WEFT_ERR_INVALID, "token id %d is negative", id);
    *bytes = weft_tokenizer_bytes(tokenizer, id);
    if (skip_special && (size_t)id < tokenizer->size && (tokenizer->kinds[id] & WEFT_KIND_SKIPPED)) bytes->size = 0;
    return WEFT_OK;
}

weft_status weft_detokenize(const weft_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special,
                            weft_buffer *out, weft_error *err) {
    for (size_t i = 0; i < count; i++) {
        weft_bytes bytes;
        WEFT_TRY(token_text(tokenizer, ids[i], skip_special, &bytes, err));
        WEFT_TRY(weft_buffer_append(out, bytes.data, bytes.size, err));
    }
    return WEFT_OK;
}

void weft_detokenizer_init(weft_detokenizer *detokenizer, const weft_tokenizer *tokenizer, bool skip_special) {
    *detokenizer = (weft_detokenizer){.tokenizer = tokenizer, .skip_special = skip_special};
}

static weft_status put_replacement(weft_buffer *out, weft_error *err) {
    return weft_buffer_append(out, "\xEF\xBF\xBD", 3, err);
}

/* Settles what is held, byte by byte of the new text, until it is a character, or malformed, or the text ends. Returns
 * through *used how many of the new bytes went into it. */
static weft_status settle_held(weft_detokenizer *d, weft_bytes bytes, size_t *used, weft_buffer *out, weft_error *err) {
    *used = 0;
    while (d->held_count > 0 && *used < bytes.size) {
        d->held[d->held_count] = (unsigned char)bytes.data[*used];
        int length = weft_utf8_check(d->held, (size_t)d->held_count + 1);
        if (length < 0) { /* the new byte does not belong to it and is looked at afresh */
            WEFT_TRY(put_replacement(out, err));
            d->held_count = 0;
            break;
        }
        d->held_count++;
        ++*used;
        if (length > 0) {
            WEFT_TRY(weft_buffer_append(out, d->held, (size_t)length, err));
            d->held_count = 0;
        }
    }
    return WEFT_OK;
}

weft_status weft_detokenizer_push(weft_detokenizer *detokenizer, int32_t id, weft_buffer *out, weft_error *err) {
    weft_bytes bytes;
    WEFT_TRY(token_text(detokenizer->tokenizer, id, detokenizer->skip_special, &bytes, err));
    size_t at;
    WEFT_TRY(settle_held(detokenizer, bytes, &at, out, err));
    while (at < bytes.size) {
        size_t good = weft_utf8_valid(bytes.data + at, bytes.size - at);
        WEFT_TRY(weft_buffer_append(out, bytes.data + at, good, err));
        at += good;
        if (at == bytes.size) break;
        int bad = weft_utf8_check((const unsigned char *)bytes.data + at, bytes.size - at);
        if (bad == 0) { /* at most three bytes: a fourth would have decided it */
            detokenizer->held_count = (int)(bytes.size - at);
            memcpy(detokenizer->held, bytes.data + at, bytes.size - at);
            break;
        }
        WEFT_TRY(put_replacement(out, err));
        at += (size_t)-bad;
    }
    return WEFT_OK;
}

weft_status weft_detokenizer_finish(weft_detokenizer *detokenizer, weft_buffer *out, weft_error *err) {
    if (detokenizer->held_count == 0) return WEFT_OK;
    detokenizer->held_count = 0;
    return put_replacement(out, err);
}
