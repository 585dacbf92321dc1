/* The tokenizer as a whole: putting it together, text to ids, and the look-ups by id. See tokenizer.h.
 *
 * The stages, in the library's order: tokens added un-normalised are cut out of the text; each piece between them is
 * brought to NFC; tokens added normalised are cut out of that; the pre-tokenizer cuts the rest into words; BPE turns
 * each word into ids. Memory: everything is owned by the tokenizer and immutable after loading; a call to weft_tokenize
 * keeps its working memory to itself. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "text/merges.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

/* ---- putting it together ---- */

weft_status weft_tokenizer_new(weft_tokenizer **tokenizer, weft_error *err) {
    weft_tokenizer *t = calloc(1, sizeof *t);
    if (!t) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a tokenizer");
    weft_vocab_init(&t->vocab);
    weft_vocab_init(&t->added_names);
    weft_bpe_init(&t->bpe);
    weft_buffer_init(&t->contents, WEFT_VOCAB_BYTES_MAX, "the text of the added tokens");
    *tokenizer = t;
    return WEFT_OK;
}

void weft_tokenizer_free(weft_tokenizer *tokenizer) {
    if (!tokenizer) return;
    weft_vocab_free(&tokenizer->vocab);
    weft_vocab_free(&tokenizer->added_names);
    weft_bpe_free(&tokenizer->bpe);
    weft_pretokenizer_free(&tokenizer->pre);
    weft_added_trie_free(&tokenizer->raw);
    weft_added_trie_free(&tokenizer->normalized);
    weft_buffer_free(&tokenizer->contents);
    free(tokenizer->added_contents);
    free(tokenizer->added);
    free(tokenizer->texts);
    free(tokenizer->kinds);
    free(tokenizer);
}

int32_t weft_tokenizer_added_index(const weft_tokenizer *tokenizer, const char *content, size_t size) {
    char small[256], *scratch = size <= sizeof small ? small : malloc(size);
    if (!scratch) return -1;
    const weft_vocab_entry *entry = weft_vocab_find_string(&tokenizer->added_names, content, size, scratch);
    if (scratch != small) free(scratch);
    return entry ? entry->id : -1;
}

static weft_status grow_added(weft_tokenizer *t, weft_error *err) {
    if (t->added_count < t->added_capacity) return WEFT_OK;
    size_t capacity = t->added_capacity ? t->added_capacity * 2 : 64;
    weft_added_token *added = realloc(t->added, capacity * sizeof *added);
    if (added) t->added = added;
    weft_token_text *contents = realloc(t->added_contents, capacity * sizeof *contents);
    if (contents) t->added_contents = contents;
    if (!added || !contents) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for %zu added tokens", capacity);
    t->added_capacity = capacity;
    return WEFT_OK;
}

weft_status weft_tokenizer_add(weft_tokenizer *t, const char *content, size_t size, weft_added_token token,
                               weft_error *err) {
    if (token.id < 0 || token.id >= WEFT_VOCAB_ID_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "added token %d: ids go from 0 to %d", token.id, WEFT_VOCAB_ID_MAX - 1);
    if (size == 0 || size > WEFT_ADDED_TOKEN_BYTES_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "added token %d has %zu bytes: 1 to %d are supported", token.id, size,
                         WEFT_ADDED_TOKEN_BYTES_MAX);
    int32_t index = weft_tokenizer_added_index(t, content, size);
    if (index >= 0) { /* once special, always special: the library never takes that back */
        token.special |= t->added[index].special;
        t->added[index] = token;
        return WEFT_OK;
    }
    if (t->added_count >= WEFT_ADDED_TOKENS_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "more than %d added tokens", WEFT_ADDED_TOKENS_MAX);
    WEFT_TRY(grow_added(t, err));
    WEFT_TRY(weft_vocab_add(&t->added_names, content, size, (int32_t)t->added_count, err));
    t->added_contents[t->added_count] = (weft_token_text){(uint32_t)t->contents.size, (uint32_t)size};
    WEFT_TRY(weft_buffer_append(&t->contents, content, size, err));
    t->added[t->added_count++] = token;
    return WEFT_OK;
}

static weft_status alloc_by_id(weft_tokenizer *t, weft_error *err) {
    for (size_t i = 0; i < t->vocab.count; i++)
        if ((size_t)t->vocab.entries[i].id >= t->size) t->size = (size_t)t->vocab.entries[i].id + 1;
    for (size_t i = 0; i < t->added_count; i++)
        if ((size_t)t->added[i].id >= t->size) t->size = (size_t)t->added[i].id + 1;
    t->texts = calloc(t->size + 1, sizeof *t->texts);
    t->kinds = malloc(t->size + 1);
    if (!t->texts || !t->kinds) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for %zu tokens", t->size);
    memset(t->kinds, WEFT_TOKEN_UNUSED, t->size + 1);
    for (size_t i = 0; i < t->vocab.count; i++) {
        const weft_vocab_entry *entry = t->vocab.entries + i;
        t->texts[entry->id] = (weft_token_text){entry->offset, entry->length};
        t->kinds[entry->id] = WEFT_TOKEN_NORMAL;
    }
    return WEFT_OK;
}

/* Enters one added token by id and into its trie. Its text when decoding is the byte-level reading of the normalised
 * content (the library's simple_id_to_token, then its ByteLevel decoder). */
static weft_status finish_added(weft_tokenizer *t, size_t index, weft_buffer *form, weft_error *err) {
    const weft_added_token *token = t->added + index;
    const char *content = t->contents.data + t->added_contents[index].offset;
    size_t size = t->added_contents[index].length;
    const char *shown = content;
    size_t shown_size = size;
    if (token->normalized && t->nfc && !weft_nfc_is_sure(content, size)) {
        weft_buffer_clear(form);
        WEFT_TRY(weft_nfc(content, size, form, err));
        shown = form->data;
        shown_size = form->size;
    }
    WEFT_TRY(weft_added_trie_add(token->normalized ? &t->normalized : &t->raw, shown, shown_size, (int32_t)index, err));
    weft_buffer *blob = &t->vocab.blob;
    WEFT_TRY(weft_buffer_reserve(blob, shown_size, err));
    bool verbatim;
    size_t length = weft_byte_level_decode(shown, shown_size, blob->data + blob->size, &verbatim);
    t->texts[token->id] = (weft_token_text){(uint32_t)blob->size, (uint32_t)length};
    blob->size += length;
    t->kinds[token->id] = token->special ? WEFT_TOKEN_CONTROL : WEFT_TOKEN_USER_DEFINED;
    /* The library drops a token when the text it shows is the content of a special one. */
    int32_t same = weft_tokenizer_added_index(t, shown, shown_size);
    if (same >= 0 && t->added[same].special) t->kinds[token->id] |= WEFT_KIND_SKIPPED;
    return WEFT_OK;
}

weft_status weft_tokenizer_finish(weft_tokenizer *t, weft_error *err) {
    WEFT_TRY(alloc_by_id(t, err));
    weft_buffer form;
    weft_buffer_init(&form, 4 * WEFT_ADDED_TOKEN_BYTES_MAX, "a normalised added token");
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < t->added_count && status == WEFT_OK; i++) status = finish_added(t, i, &form, err);
    weft_buffer_free(&form);
    WEFT_TRY(status);
    weft_buffer_free(&t->contents);
    free(t->added_contents);
    t->added_contents = NULL;
    if (!t->ignore_merges) {
        free(t->vocab.entries);
        free(t->vocab.slots);
        t->vocab.entries = NULL;
        t->vocab.slots = NULL;
        t->vocab.count = t->vocab.capacity = t->vocab.slot_count = 0;
    }
    return WEFT_OK;
}

/* ---- GGUF metadata ---- */

enum { AHEAD = 8 };

/* Fetches the place of a token that will soon be added into the CPU's caches. */
static void warm_token(const weft_vocab *vocab, weft_bytes token) {
    char bytes[64];
    bool verbatim;
    if (token.size > sizeof bytes) return;
    size_t size = weft_byte_level_decode(token.data, token.size, bytes, &verbatim);
    weft_vocab_hash(vocab, bytes, size, verbatim);
}

static weft_status add_spec_tokens(weft_tokenizer *t, const weft_tokenizer_spec *spec, weft_error *err) {
    WEFT_TRY(weft_vocab_reserve(&t->vocab, spec->token_count, err));
    for (size_t i = 0; i < spec->token_count; i++) {
        weft_bytes token = spec->tokens[i];
        if (i + AHEAD < spec->token_count) warm_token(&t->vocab, spec->tokens[i + AHEAD]);
        int32_t kind = spec->kinds[i];
        if (kind < WEFT_TOKEN_NORMAL || kind > WEFT_TOKEN_BYTE)
            return weft_fail(err, WEFT_ERR_FORMAT, "tokenizer.ggml.token_type: token %zu has type %d", i, kind);
        if (weft_utf8_valid(token.data, token.size) != token.size)
            return weft_fail(err, WEFT_ERR_FORMAT, "tokenizer.ggml.tokens: token %zu is not UTF-8", i);
        if (kind == WEFT_TOKEN_UNUSED) continue;
        if (kind == WEFT_TOKEN_CONTROL || kind == WEFT_TOKEN_USER_DEFINED) {
            if (token.size == 0) continue;
            weft_added_token added = {.id = (int32_t)i, .special = kind == WEFT_TOKEN_CONTROL};
            WEFT_TRY(weft_tokenizer_add(t, token.data, token.size, added, err));
        } else {
            WEFT_TRY(weft_vocab_add(&t->vocab, token.data, token.size, (int32_t)i, err));
        }
    }
    return WEFT_OK;
}

static weft_status add_spec_merges(weft_tokenizer *t, const weft_tokenizer_spec *spec, weft_error *err) {
    if (spec->merge_count > WEFT_MERGES_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "tokenizer.ggml.merges: more than %d", WEFT_MERGES_MAX);
    weft_bpe_set_bytes(&t->bpe, &t->vocab);
    WEFT_TRY(weft_bpe_reserve(&t->bpe, spec->merge_count, err));
    weft_merge_list list;
    weft_merge_list_init(&list, &t->bpe, &t->vocab);
    for (size_t i = 0; i < spec->merge_count; i++) {
        weft_bytes merge = spec->merges[i];
        const char *space = merge.size ? memchr(merge.data, ' ', merge.size) : NULL;
        if (!space || weft_utf8_valid(merge.data, merge.size) != merge.size)
            return weft_fail(err, WEFT_ERR_FORMAT, "tokenizer.ggml.merges: merge %zu is not two tokens", i);
        size_t left = (size_t)(space - merge.data);
        WEFT_TRY(weft_merge_list_add(&list, (weft_bytes){merge.data, left},
                                     (weft_bytes){space + 1, merge.size - left - 1}, (uint32_t)i, err));
    }
    return weft_merge_list_finish(&list, err);
}

weft_status weft_tokenizer_from_spec(const weft_tokenizer_spec *spec, weft_tokenizer **tokenizer, weft_error *err) {
    *tokenizer = NULL;
    if (spec->token_count > WEFT_VOCAB_ID_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "tokenizer.ggml.tokens: more than %d", WEFT_VOCAB_ID_MAX);
    if (spec->token_count && (!spec->tokens || !spec->kinds))
        return weft_fail(err, WEFT_ERR_FORMAT, "tokenizer.ggml.tokens or tokenizer.ggml.token_type is missing");
    weft_tokenizer *t;
    WEFT_TRY(weft_tokenizer_new(&t, err));
    weft_status status = WEFT_OK;
    if (!weft_pretokenizer_add_named(&t->pre, spec->pre ? spec->pre : ""))
        status = weft_fail(err, WEFT_ERR_UNSUPPORTED,
                           "tokenizer.ggml.pre: the pre-tokenizer \"%.60s\" is not supported (\"qwen2\" is)",
                           spec->pre ? spec->pre : "");
    t->nfc = true;
    if (status == WEFT_OK) status = add_spec_tokens(t, spec, err);
    if (status == WEFT_OK) status = add_spec_merges(t, spec, err);
    if (status == WEFT_OK) status = weft_tokenizer_finish(t, err);
    if (status != WEFT_OK) {
        weft_tokenizer_free(t);
        return status;
    }
    *tokenizer = t;
    return WEFT_OK;
}

/* ---- text to ids ---- */

typedef struct run {
    const weft_tokenizer *tokenizer;
    weft_bpe_scratch *scratch;
    bool parse_special;
    weft_ids *ids;
    weft_buffer normal; /* the NFC form of the piece at hand */
} run;

static weft_status take_word(void *context, const char *word, size_t size, weft_error *err) {
    run *r = context;
    const weft_tokenizer *t = r->tokenizer;
    if (t->ignore_merges) {
        const weft_vocab_entry *entry = weft_vocab_find(&t->vocab, word, size, false);
        if (entry) return weft_ids_append(r->ids, entry->id, err);
    }
    return weft_bpe_encode(&t->bpe, r->scratch, word, size, r->ids, err);
}

/* A piece of the text between un-normalised added tokens. */
static weft_status take_piece(run *r, const char *text, size_t size, weft_error *err) {
    const weft_tokenizer *t = r->tokenizer;
    if (t->nfc && !weft_nfc_is_sure(text, size)) {
        weft_buffer_clear(&r->normal);
        WEFT_TRY(weft_nfc(text, size, &r->normal, err));
        text = r->normal.data;
        size = r->normal.size;
    }
    weft_added_walk walk;
    weft_added_walk_start(&walk, &t->normalized, t->added, r->parse_special, text, size);
    for (weft_added_part part; weft_added_walk_next(&walk, &part);) {
        if (part.token >= 0)
            WEFT_TRY(weft_ids_append(r->ids, t->added[part.token].id, err));
        else
            WEFT_TRY(weft_pretokenize(&t->pre, part.data, part.size, take_word, r, err));
    }
    return WEFT_OK;
}

static weft_status take_text(run *r, const char *text, size_t size, weft_error *err) {
    const weft_tokenizer *t = r->tokenizer;
    weft_added_walk walk;
    weft_added_walk_start(&walk, &t->raw, t->added, r->parse_special, text, size);
    for (weft_added_part part; weft_added_walk_next(&walk, &part);) {
        if (part.token >= 0)
            WEFT_TRY(weft_ids_append(r->ids, t->added[part.token].id, err));
        else
            WEFT_TRY(take_piece(r, part.data, part.size, err));
    }
    return WEFT_OK;
}

weft_status weft_tokenize(const weft_tokenizer *tokenizer, const char *text, size_t size, bool parse_special,
                          weft_ids *ids, weft_error *err) {
    if (size == 0) return WEFT_OK;
    if (size > WEFT_TOKENIZE_TEXT_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "the text has %zu bytes, over the limit of %d", size,
                         WEFT_TOKENIZE_TEXT_MAX);
    run r = {.tokenizer = tokenizer, .parse_special = parse_special, .ids = ids};
    size_t count = ids->count;
    weft_buffer repaired;
    weft_buffer_init(&repaired, 3 * size, "the repaired text");   /* one bad byte becomes three */
    weft_buffer_init(&r.normal, 9 * size, "the normalised text"); /* a character triples at most (UAX #15) */
    weft_status status = WEFT_OK;
    if (weft_utf8_valid(text, size) != size) {
        status = weft_utf8_repair(text, size, &repaired, err);
        text = repaired.data;
        size = repaired.size;
    }
    r.scratch = weft_bpe_scratch_new();
    if (status == WEFT_OK && !r.scratch) status = weft_fail(err, WEFT_ERR_MEMORY, "no memory to tokenize");
    if (status == WEFT_OK) status = take_text(&r, text, size, err);
    if (status != WEFT_OK) ids->count = count;
    weft_bpe_scratch_free(r.scratch);
    weft_buffer_free(&r.normal);
    weft_buffer_free(&repaired);
    return status;
}

/* ---- look-ups ---- */

size_t weft_tokenizer_size(const weft_tokenizer *tokenizer) {
    return tokenizer->size;
}

int32_t weft_tokenizer_find(const weft_tokenizer *tokenizer, const char *token) {
    int32_t index = weft_tokenizer_added_index(tokenizer, token, strlen(token));
    return index < 0 ? -1 : tokenizer->added[index].id;
}

weft_token_kind weft_tokenizer_kind(const weft_tokenizer *tokenizer, int32_t id) {
    if (id < 0 || (size_t)id >= tokenizer->size) return WEFT_TOKEN_UNUSED;
    return (weft_token_kind)(tokenizer->kinds[id] & WEFT_KIND_MASK);
}

weft_bytes weft_tokenizer_bytes(const weft_tokenizer *tokenizer, int32_t id) {
    if (id < 0 || (size_t)id >= tokenizer->size) return (weft_bytes){"", 0};
    weft_token_text text = tokenizer->texts[id];
    return text.length ? (weft_bytes){tokenizer->vocab.blob.data + text.offset, text.length} : (weft_bytes){"", 0};
}
