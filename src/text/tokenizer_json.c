/* Reads tokenizer.json (the `tokenizers` library's serialisation, version 1.0).
 *
 * Handles what the Qwen family and its fine-tunes use: normalizer null, NFC or a Sequence of those; pre_tokenizer of
 * Splits (behavior Isolated) and one ByteLevel at the end; model BPE over bytes; any added tokens; a decoder and a
 * post-processor that are ByteLevel. Everything else is refused by its name, so that text becomes the same ids as in
 * the library; the one known exception is stated in split_pattern.c. Truncation and padding are settings of a training
 * run and are ignored.
 *
 * Memory while loading: the file's bytes beside the tables being built. */
#include <jansson.h>
#include <string.h>

#include "text/json_scan.h"
#include "text/merges.h"
#include "text/tokenizer.h"
#include "text/tokenizer_impl.h"

enum {
    TOKENIZER_JSON_MAX = 256 << 20, /* bytes */
    SEQUENCE_DEPTH_MAX = 8,         /* Sequences within Sequences */
};

#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct parts { /* the members of the file, as text */
    weft_json_span version, added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model;
    weft_json_span type, dropout, unk_token, prefix, suffix, byte_fallback, ignore_merges, vocab, merges;
} parts;

typedef struct loader {
    const char *path;
    weft_tokenizer *tokenizer;
    parts parts;
    weft_buffer name, left, right; /* strings being read */
} loader;

/* ---- small values, by the JSON library ---- */

static weft_status parse(const loader *l, weft_json_span span, const char *what, json_t **value, weft_error *err) {
    json_error_t why;
    *value = span.data ? json_loadb(span.data, span.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why) : json_null();
    if (*value) return WEFT_OK;
    return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s: %s", l->path, what, why.text);
}

static weft_status refuse(const loader *l, const char *what, const char *name, weft_error *err) {
    return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: %s \"%.100s\" is not supported", l->path, what, name ? name : "");
}

static const char *type_of(const json_t *value) {
    if (json_is_null(value)) return "null";
    const char *type = json_string_value(json_object_get(value, "type"));
    return type ? type : "(no type)";
}

/* Whether a value of the model is one of those that mean "not used": null, false, 0, "". */
static bool is_unused(const json_t *value) {
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

/* ---- normalizer, pre_tokenizer, decoder, post_processor ---- */

typedef weft_status piece_reader(loader *l, const json_t *piece, weft_error *err);

/* Gives each piece of a (possibly nested) Sequence to `read`. */
static weft_status each_piece(loader *l, const json_t *value, const char *list_name, int depth, piece_reader *read,
                              weft_error *err) {
    if (strcmp(type_of(value), "Sequence") != 0) return read(l, value, err);
    if (depth == SEQUENCE_DEPTH_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: Sequences nested deeper than %d", l->path, SEQUENCE_DEPTH_MAX);
    const json_t *list = json_object_get(value, list_name);
    if (!json_is_array(list))
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: a Sequence without its list \"%s\"", l->path, list_name);
    for (size_t i = 0; i < json_array_size(list); i++)
        WEFT_TRY(each_piece(l, json_array_get(list, i), list_name, depth + 1, read, err));
    return WEFT_OK;
}

static weft_status read_normalizer(loader *l, const json_t *piece, weft_error *err) {
    if (json_is_null(piece)) return WEFT_OK;
    if (strcmp(type_of(piece), "NFC") != 0) return refuse(l, "the normalizer", type_of(piece), err);
    l->tokenizer->nfc = true;
    return WEFT_OK;
}

static weft_status read_split(loader *l, const json_t *piece, weft_error *err) {
    const char *behavior = json_string_value(json_object_get(piece, "behavior"));
    if (!behavior || strcmp(behavior, "Isolated") != 0) return refuse(l, "a Split's behavior", behavior, err);
    /* "invert" swaps matches and what is between them; Isolated keeps both, so it changes nothing. */
    const json_t *pattern = json_object_get(piece, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex"), *literal = json_object_get(pattern, "String");
    const json_t *text = regex ? regex : literal;
    if (!json_is_string(text)) return weft_fail(err, WEFT_ERR_FORMAT, "%s: a Split without a pattern", l->path);
    weft_status status =
        weft_pretokenizer_add(&l->tokenizer->pre, json_string_value(text), json_string_length(text), !regex, err);
    if (status != WEFT_OK) weft_error_prefix(err, "%s", l->path);
    return status;
}

static bool is_byte_level(const json_t *piece) {
    return strcmp(type_of(piece), "ByteLevel") == 0;
}

/* Puts the Splits into the tokenizer; ByteLevel's own effect (bytes as characters) is how the vocabulary is stored. */
static weft_status read_pre_tokenizer(loader *l, const json_t *piece, weft_error *err) {
    if (strcmp(type_of(piece), "Split") == 0) return read_split(l, piece, err);
    if (!is_byte_level(piece)) return refuse(l, "the pre-tokenizer", type_of(piece), err);
    const json_t *use_regex = json_object_get(piece, "use_regex"), *space = json_object_get(piece, "add_prefix_space");
    if (!json_is_false(space)) return refuse(l, "the pre-tokenizer", "ByteLevel with add_prefix_space", err);
    if (json_is_false(use_regex)) return WEFT_OK;
    return weft_pretokenizer_add(&l->tokenizer->pre, GPT2_PATTERN, sizeof GPT2_PATTERN - 1, false, err);
}

static weft_status read_decoder(loader *l, const json_t *piece, weft_error *err) {
    return is_byte_level(piece) ? WEFT_OK : refuse(l, "the decoder", type_of(piece), err);
}

static weft_status read_post_processor(loader *l, const json_t *piece, weft_error *err) {
    if (json_is_null(piece) || is_byte_level(piece)) return WEFT_OK;
    return refuse(l, "the post-processor", type_of(piece), err);
}

static weft_status read_part(loader *l, weft_json_span span, const char *what, const char *list_name,
                             piece_reader *read, weft_error *err) {
    json_t *value;
    WEFT_TRY(parse(l, span, what, &value, err));
    weft_status status = each_piece(l, value, list_name, 0, read, err);
    json_decref(value);
    return status;
}

/* ByteLevel has to be there once, as the last piece: Splits behind it would see bytes instead of text. */
static weft_status check_byte_level(const loader *l, weft_error *err) {
    json_t *value;
    WEFT_TRY(parse(l, l->parts.pre_tokenizer, "pre_tokenizer", &value, err));
    const json_t *last = value;
    weft_status status = WEFT_OK;
    for (int depth = 0; depth <= SEQUENCE_DEPTH_MAX && strcmp(type_of(last), "Sequence") == 0; depth++) {
        const json_t *list = json_object_get(last, "pretokenizers");
        size_t count = json_array_size(list);
        for (size_t i = 0; i + 1 < count; i++)
            if (is_byte_level(json_array_get(list, i)) || strcmp(type_of(json_array_get(list, i)), "Sequence") == 0)
                status = refuse(l, "the pre-tokenizer", "ByteLevel or Sequence before other pieces", err);
        last = count ? json_array_get(list, count - 1) : NULL;
        if (!last) break;
    }
    if (status == WEFT_OK && (!last || !is_byte_level(last)))
        status = refuse(l, "a pre-tokenizer without ByteLevel at its end,", type_of(value), err);
    json_decref(value);
    return status;
}

/* ---- the model ---- */

enum { ENTRY_BYTES = 24 }; /* of JSON for a token or a merge, roughly: to make tables of about the right size */

static weft_status read_vocab(loader *l, weft_error *err) {
    weft_json_span span = l->parts.vocab;
    weft_json_scan scan = {span.data, span.data + span.size, span.data, "vocab"};
    WEFT_TRY(weft_vocab_reserve(&l->tokenizer->vocab, span.size / ENTRY_BYTES, err));
    weft_json_members members = {0};
    while (weft_json_scan_member(&scan, &members, &l->name, err)) {
        int32_t id;
        WEFT_TRY(weft_json_scan_int(&scan, &id, err));
        WEFT_TRY(weft_vocab_add(&l->tokenizer->vocab, l->name.data, l->name.size, id, err));
    }
    return members.failed ? WEFT_ERR_FORMAT : WEFT_OK;
}

static weft_bytes bytes_of(const weft_buffer *buffer) {
    return (weft_bytes){buffer->data, buffer->size};
}

/* One merge: ["left", "right"], or in older files "left right". */
static weft_status read_merge(loader *l, weft_json_scan *scan, weft_merge_list *list, uint32_t *rank, weft_error *err) {
    if (weft_json_scan_take(scan, '[')) {
        WEFT_TRY(weft_json_scan_string(scan, &l->left, err));
        if (!weft_json_scan_take(scan, ',')) return weft_json_scan_error(scan, "','", err);
        WEFT_TRY(weft_json_scan_string(scan, &l->right, err));
        if (!weft_json_scan_take(scan, ']')) return weft_json_scan_error(scan, "']'", err);
        return weft_merge_list_add(list, bytes_of(&l->left), bytes_of(&l->right), (*rank)++, err);
    }
    WEFT_TRY(weft_json_scan_string(scan, &l->left, err));
    weft_bytes whole = bytes_of(&l->left);
    if (whole.size >= 8 && memcmp(whole.data, "#version", 8) == 0) return WEFT_OK;
    const char *space = memchr(whole.data, ' ', whole.size);
    size_t size = space ? (size_t)(space - whole.data) : 0, rest = space ? whole.size - size - 1 : 0;
    if (!space || memchr(space + 1, ' ', rest))
        return weft_json_scan_error(scan, "a merge of two tokens before it", err);
    return weft_merge_list_add(list, (weft_bytes){whole.data, size}, (weft_bytes){space + 1, rest}, (*rank)++, err);
}

static weft_status read_merges(loader *l, weft_error *err) {
    weft_json_span span = l->parts.merges;
    weft_json_scan scan = {span.data, span.data + span.size, span.data, "merges"};
    WEFT_TRY(weft_bpe_reserve(&l->tokenizer->bpe, span.size / ENTRY_BYTES, err));
    weft_json_members members = {0};
    uint32_t rank = 0;
    weft_merge_list list;
    weft_merge_list_init(&list, &l->tokenizer->bpe, &l->tokenizer->vocab);
    while (weft_json_scan_item(&scan, &members, err)) WEFT_TRY(read_merge(l, &scan, &list, &rank, err));
    return members.failed ? WEFT_ERR_FORMAT : weft_merge_list_finish(&list, err);
}

static bool has_every_byte(const weft_bpe *bpe) {
    for (int i = 0; i < 256; i++)
        if (bpe->byte_ids[i] < 0) return false;
    return true;
}

/* Refuses the settings that would change ids. What stands in for unknown characters does not matter when every byte has
 * a token. */
static weft_status check_settings(loader *l, weft_error *err) {
    bool complete = has_every_byte(&l->tokenizer->bpe);
    const struct {
        weft_json_span span;
        const char *name;
        bool harmless;
    } settings[] = {{l->parts.dropout, "dropout", false},
                    {l->parts.prefix, "continuing_subword_prefix", false},
                    {l->parts.suffix, "end_of_word_suffix", false},
                    {l->parts.byte_fallback, "byte_fallback", complete},
                    {l->parts.unk_token, "unk_token", complete}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        json_t *value;
        WEFT_TRY(parse(l, settings[i].span, settings[i].name, &value, err));
        bool unused = is_unused(value);
        json_decref(value);
        if (!unused && !settings[i].harmless) return refuse(l, "the model's setting", settings[i].name, err);
    }
    return WEFT_OK;
}

static weft_status read_model(loader *l, weft_error *err) {
    json_t *type, *ignore;
    WEFT_TRY(parse(l, l->parts.type, "model.type", &type, err));
    weft_status status = WEFT_OK;
    if (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0)
        status = refuse(l, "the model", json_string_value(type), err);
    json_decref(type);
    WEFT_TRY(status);
    WEFT_TRY(parse(l, l->parts.ignore_merges, "model.ignore_merges", &ignore, err));
    l->tokenizer->ignore_merges = json_is_true(ignore);
    json_decref(ignore);
    if (!l->parts.vocab.data || !l->parts.merges.data)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: the model has no vocab or no merges", l->path);
    status = read_vocab(l, err);
    if (status == WEFT_OK) {
        weft_bpe_set_bytes(&l->tokenizer->bpe, &l->tokenizer->vocab);
        status = read_merges(l, err);
    }
    if (status != WEFT_OK) weft_error_prefix(err, "%s", l->path);
    WEFT_TRY(status);
    return check_settings(l, err);
}

/* ---- added tokens ---- */

/* The id that the library gives: that of the same content if it has one, else the next free number. The file's own "id"
 * is not looked at. */
static weft_status added_id(loader *l, const char *content, size_t size, int32_t *next_id, int32_t *id,
                            weft_error *err) {
    weft_tokenizer *t = l->tokenizer;
    int32_t index = weft_tokenizer_added_index(t, content, size);
    if (index >= 0) {
        *id = t->added[index].id;
        return WEFT_OK;
    }
    weft_buffer_clear(&l->left);
    WEFT_TRY(weft_buffer_reserve(&l->left, size, err));
    const weft_vocab_entry *entry = weft_vocab_find_string(&t->vocab, content, size, l->left.data);
    *id = entry ? entry->id : (*next_id)++;
    return WEFT_OK;
}

static weft_status read_added_token(loader *l, const json_t *value, int32_t *next_id, weft_error *err) {
    static const char *const names[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    weft_added_token token = {0};
    bool *flags[] = {&token.single_word, &token.lstrip, &token.rstrip, &token.normalized, &token.special};
    for (int i = 0; i < 5; i++) {
        const json_t *flag = json_object_get(value, names[i]);
        if (!json_is_boolean(flag))
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: an added token without \"%s\"", l->path, names[i]);
        *flags[i] = json_is_true(flag);
    }
    const json_t *content = json_object_get(value, "content");
    if (!json_is_string(content))
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: an added token without \"content\"", l->path);
    const char *text = json_string_value(content);
    size_t size = json_string_length(content);
    if (size == 0) return WEFT_OK;
    WEFT_TRY(added_id(l, text, size, next_id, &token.id, err));
    return weft_tokenizer_add(l->tokenizer, text, size, token, err);
}

static weft_status read_added_tokens(loader *l, weft_error *err) {
    if (!l->parts.added_tokens.data) return WEFT_OK;
    json_t *list;
    WEFT_TRY(parse(l, l->parts.added_tokens, "added_tokens", &list, err));
    weft_status status = WEFT_OK;
    if (!json_is_array(list)) status = weft_fail(err, WEFT_ERR_FORMAT, "%s: added_tokens is not a list", l->path);
    int32_t next_id = (int32_t)l->tokenizer->vocab.count;
    for (size_t i = 0; i < json_array_size(list) && status == WEFT_OK; i++)
        status = read_added_token(l, json_array_get(list, i), &next_id, err);
    json_decref(list);
    return status;
}

/* ---- the file ---- */

typedef struct named_span {
    const char *name;
    weft_json_span *span;
} named_span;

/* Notes where the members of an object are; of a name given twice, the last counts. */
static weft_status find_members(loader *l, weft_json_scan *scan, const named_span *wanted, size_t count,
                                weft_error *err) {
    weft_json_members members = {0};
    while (weft_json_scan_member(scan, &members, &l->name, err)) {
        weft_json_span span;
        WEFT_TRY(weft_json_scan_skip(scan, &span, err));
        for (size_t i = 0; i < count; i++)
            if (strcmp(l->name.data, wanted[i].name) == 0) *wanted[i].span = span;
    }
    return members.failed ? WEFT_ERR_FORMAT : WEFT_OK;
}

static weft_status find_parts(loader *l, const weft_buffer *file, weft_error *err) {
    parts *p = &l->parts;
    const named_span top[] = {{"version", &p->version},
                              {"added_tokens", &p->added_tokens},
                              {"normalizer", &p->normalizer},
                              {"pre_tokenizer", &p->pre_tokenizer},
                              {"decoder", &p->decoder},
                              {"post_processor", &p->post_processor},
                              {"model", &p->model}};
    const named_span model[] = {{"type", &p->type},
                                {"dropout", &p->dropout},
                                {"unk_token", &p->unk_token},
                                {"continuing_subword_prefix", &p->prefix},
                                {"end_of_word_suffix", &p->suffix},
                                {"byte_fallback", &p->byte_fallback},
                                {"ignore_merges", &p->ignore_merges},
                                {"vocab", &p->vocab},
                                {"merges", &p->merges}};
    const char *end = file->data + file->size;
    weft_json_scan scan = {file->data, end, file->data, l->path};
    WEFT_TRY(find_members(l, &scan, top, sizeof top / sizeof top[0], err));
    if (weft_json_scan_take(&scan, 0) || scan.at != end) return weft_json_scan_error(&scan, "the end of the file", err);
    if (!p->model.data) return weft_fail(err, WEFT_ERR_FORMAT, "%s: there is no \"model\"", l->path);
    weft_json_scan inner = {p->model.data, p->model.data + p->model.size, file->data, l->path};
    return find_members(l, &inner, model, sizeof model / sizeof model[0], err);
}

static weft_status check_version(loader *l, weft_error *err) {
    json_t *version;
    WEFT_TRY(parse(l, l->parts.version, "version", &version, err));
    const char *text = json_string_value(version);
    bool known = json_is_null(version) || (text && strcmp(text, "1.0") == 0);
    weft_status status = known ? WEFT_OK : refuse(l, "the version", text, err);
    json_decref(version);
    return status;
}

static weft_status load(loader *l, const weft_buffer *file, weft_error *err) {
    const parts *p = &l->parts;
    WEFT_TRY(find_parts(l, file, err));
    WEFT_TRY(check_version(l, err));
    WEFT_TRY(read_part(l, p->normalizer, "normalizer", "normalizers", read_normalizer, err));
    WEFT_TRY(check_byte_level(l, err));
    WEFT_TRY(read_part(l, p->pre_tokenizer, "pre_tokenizer", "pretokenizers", read_pre_tokenizer, err));
    WEFT_TRY(read_part(l, p->post_processor, "post_processor", "processors", read_post_processor, err));
    WEFT_TRY(read_part(l, p->decoder, "decoder", "decoders", read_decoder, err));
    WEFT_TRY(read_model(l, err));
    WEFT_TRY(read_added_tokens(l, err));
    return weft_tokenizer_finish(l->tokenizer, err);
}

weft_status weft_tokenizer_from_json(const char *path, weft_tokenizer **tokenizer, weft_error *err) {
    *tokenizer = NULL;
    weft_buffer file;
    WEFT_TRY(weft_read_file(path, TOKENIZER_JSON_MAX, &file, err));
    loader l = {.path = path};
    weft_buffer_init(&l.name, WEFT_VOCAB_STRING_MAX, "a name in tokenizer.json");
    weft_buffer_init(&l.left, WEFT_VOCAB_STRING_MAX, "a string in tokenizer.json");
    weft_buffer_init(&l.right, WEFT_VOCAB_STRING_MAX, "a string in tokenizer.json");
    weft_status status = weft_tokenizer_new(&l.tokenizer, err);
    if (status == WEFT_OK) status = load(&l, &file, err);
    if (status == WEFT_OK)
        *tokenizer = l.tokenizer;
    else
        weft_tokenizer_free(l.tokenizer);
    weft_buffer_free(&l.name);
    weft_buffer_free(&l.left);
    weft_buffer_free(&l.right);
    weft_buffer_free(&file);
    return status;
}
