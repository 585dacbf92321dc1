/* The tokenizer of a random model: see vocabulary.h. */
#include "vocabulary.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    KIND_NORMAL = 1,
    KIND_CONTROL = 3,
    KIND_USER = 4,
    KIND_UNUSED = 5,
    TOKEN_BYTES_MAX = 16,
    FIRST_CONTROL = 151643
};

static const char chat_template[] =
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type == 'text' -%}{{- part.text -}}{%- elif part.type == 'video' -%}"
    "{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}{%- else -%}{{- "
    "'<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- endif -%}{%- endfor -%}{%- endif -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";

/* The published control tokens, from FIRST_CONTROL on. The last ones are ordinary added tokens. */
static const char *const control_tokens[] = {
    "<|endoftext|>",  "<|im_start|>",   "<|im_end|>",      "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>",  "<|box_end|>",    "<|quad_start|>",  "<|quad_end|>",         "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>",   "<|video_pad|>",        "<tool_call>",
    "</tool_call>",   "<|fim_prefix|>", "<|fim_middle|>",  "<|fim_suffix|>",       "<|fim_pad|>",
    "<|repo_name|>",  "<|file_sep|>",   "<tool_response>", "</tool_response>",     "<think>",
    "</think>",
};
enum { CONTROL_COUNT = sizeof control_tokens / sizeof *control_tokens };

static bool is_user_token(const char *text) {
    return text[1] != '|';
}

typedef struct token {
    const char *text; /* borrowed or in `storage` */
    size_t size;
    int32_t kind;
} token;

typedef struct vocabulary {
    token *tokens; /* [count] */
    int64_t count;
    char *storage;
    size_t used;
    char (*merges)[2 * TOKEN_BYTES_MAX * 2 + 2]; /* synthetic only */
    int64_t merge_count;
} vocabulary;

static const char *keep(vocabulary *v, const char *text, size_t size) {
    char *place = v->storage + v->used;
    memcpy(place, text, size);
    v->used += size;
    return place;
}

/* ---- synthetic ------------------------------------------------------------------------------------------------- */

/* The letters that stand for bytes in byte-level vocabularies: printable Latin-1 as itself, the rest from U+0100 on. */
static size_t byte_letter(int byte, char out[2]) {
    static int others[256], filled;
    if (!filled) {
        int next = 256;
        for (int b = 0; b < 256; b++)
            others[b] = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : next++;
        filled = 1;
    }
    int code = others[byte];
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
}

/* Mostly letters and spaces, so that ordinary text meets the merges. */
static int draw_byte(uint64_t *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    uint32_t r = (uint32_t)(*state >> 33);
    if (r % 16 == 0) return (int)(r >> 8) & 255;
    return "etaoinshrdlucmfwypvbgkjqxz ETAOIN0123456789.,"[(r >> 4) % 45];
}

/* Every token is an earlier one and a byte, each such pair once: so no two tokens are equal. */
static bool draw_tokens(vocabulary *v, uint64_t seed) {
    uint8_t *seen = calloc((size_t)FIRST_CONTROL * 32, 1); /* a bit per (token, byte) */
    if (!seen) return false;
    char letter[2];
    for (int b = 0; b < 256; b++) {
        size_t size = byte_letter(b, letter);
        v->tokens[b] = (token){keep(v, letter, size), size, KIND_NORMAL};
    }
    uint64_t state = seed;
    for (int64_t i = 256; i < FIRST_CONTROL;) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        int64_t parent = state >> 63 ? draw_byte(&state) : (int64_t)((state >> 33) % (uint64_t)i);
        int byte = draw_byte(&state);
        const token *p = &v->tokens[parent];
        size_t size = byte_letter(byte, letter);
        if (p->size + size > TOKEN_BYTES_MAX || seen[parent * 32 + byte / 8] >> byte % 8 & 1) continue;
        seen[parent * 32 + byte / 8] |= (uint8_t)(1 << byte % 8);
        char text[TOKEN_BYTES_MAX];
        memcpy(text, p->text, p->size);
        memcpy(text + p->size, letter, size);
        snprintf(v->merges[v->merge_count++], sizeof *v->merges, "%.*s %.*s", (int)p->size, p->text, (int)size, letter);
        v->tokens[i++] = (token){keep(v, text, p->size + size), p->size + size, KIND_NORMAL};
    }
    free(seen);
    return true;
}

static bool make_synthetic(vocabulary *v, uint64_t seed) {
    v->merges = malloc(sizeof *v->merges * FIRST_CONTROL);
    if (!v->merges || v->count < FIRST_CONTROL + CONTROL_COUNT || !draw_tokens(v, seed)) return false;
    for (int i = 0; i < CONTROL_COUNT; i++)
        v->tokens[FIRST_CONTROL + i] = (token){control_tokens[i], strlen(control_tokens[i]),
                                               is_user_token(control_tokens[i]) ? KIND_USER : KIND_CONTROL};
    return true;
}

/* ---- from tokenizer.json --------------------------------------------------------------------------------------- */

static weft_status take_json(vocabulary *v, const json_t *root, const char *path, weft_error *err) {
    json_t *entry;
    const char *text;
    size_t index;
    json_object_foreach(json_object_get(json_object_get(root, "model"), "vocab"), text, entry) {
        int64_t id = json_integer_value(entry);
        if (id < 0 || id >= v->count)
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: token id %lld is past the %lld rows of the shape", path,
                             (long long)id, (long long)v->count);
        v->tokens[id] = (token){text, strlen(text), KIND_NORMAL};
    }
    json_array_foreach(json_object_get(root, "added_tokens"), index, entry) {
        int64_t id = json_integer_value(json_object_get(entry, "id"));
        text = json_string_value(json_object_get(entry, "content"));
        if (!text || id < 0 || id >= v->count)
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: added token %zu is malformed", path, index);
        v->tokens[id] =
            (token){text, strlen(text), json_is_true(json_object_get(entry, "special")) ? KIND_CONTROL : KIND_USER};
    }
    return WEFT_OK;
}

static weft_status put_json_merges(gguf_writer *w, const json_t *merges, const char *path, weft_error *err) {
    if (json_array_size(merges) == 0) return weft_fail(err, WEFT_ERR_FORMAT, "%s: no merges in it", path);
    gguf_array(w, "tokenizer.ggml.merges", 8, json_array_size(merges));
    size_t index;
    json_t *merge;
    json_array_foreach(merges, index, merge) {
        char joined[4096];
        const char *text = json_string_value(merge);
        if (!text) { /* a pair */
            const char *left = json_string_value(json_array_get(merge, 0)),
                       *right = json_string_value(json_array_get(merge, 1));
            int size = left && right ? snprintf(joined, sizeof joined, "%s %s", left, right) : -1;
            if (size < 0 || (size_t)size >= sizeof joined)
                return weft_fail(err, WEFT_ERR_FORMAT, "%s: merge %zu is malformed", path, index);
            text = joined;
        }
        gguf_put_string(w, text, strlen(text));
    }
    return WEFT_OK;
}

/* ---- the keys -------------------------------------------------------------------------------------------------- */

static void fill_gaps(vocabulary *v) { /* rows past the tokenizer, as converters name them */
    for (int64_t i = 0; i < v->count; i++) {
        if (v->tokens[i].text) continue;
        char name[32];
        size_t size = (size_t)snprintf(name, sizeof name, "[PAD%lld]", (long long)i);
        v->tokens[i] = (token){keep(v, name, size), size, KIND_UNUSED};
    }
}

static void put_tokens(gguf_writer *w, const vocabulary *v) {
    gguf_string(w, "tokenizer.ggml.model", "gpt2");
    gguf_string(w, "tokenizer.ggml.pre", "qwen2");
    gguf_array(w, "tokenizer.ggml.tokens", 8, (uint64_t)v->count);
    for (int64_t i = 0; i < v->count; i++) gguf_put_string(w, v->tokens[i].text, v->tokens[i].size);
    gguf_array(w, "tokenizer.ggml.token_type", 5, (uint64_t)v->count);
    for (int64_t i = 0; i < v->count; i++) gguf_put(w, &v->tokens[i].kind, 4);
    gguf_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_string(w, "tokenizer.chat_template", chat_template);
    const struct {
        const char *key, *text;
    } named[] = {{"tokenizer.ggml.eos_token_id", "<|im_end|>"},
                 {"tokenizer.ggml.padding_token_id", "<|endoftext|>"},
                 {"tokenizer.ggml.bos_token_id", "<|endoftext|>"}};
    for (size_t n = 0; n < sizeof named / sizeof *named; n++)
        for (int64_t i = 0; i < v->count; i++)
            if (v->tokens[i].size == strlen(named[n].text) &&
                memcmp(v->tokens[i].text, named[n].text, v->tokens[i].size) == 0)
                gguf_u32(w, named[n].key, (uint32_t)i);
}

static weft_status add_given(gguf_writer *w, vocabulary *v, const char *path, weft_error *err) {
    json_error_t json_err;
    json_t *root = json_load_file(path, 0, &json_err);
    if (!root) return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s", path, json_err.text);
    weft_status status = take_json(v, root, path, err);
    if (status == WEFT_OK) {
        fill_gaps(v);
        put_tokens(w, v);
        status = put_json_merges(w, json_object_get(json_object_get(root, "model"), "merges"), path, err);
    }
    json_decref(root);
    return status;
}

weft_status vocabulary_add(gguf_writer *w, const char *path, int64_t vocab, uint64_t seed, weft_error *err) {
    vocabulary v = {.count = vocab};
    v.tokens = calloc((size_t)vocab, sizeof *v.tokens);
    v.storage = malloc((size_t)vocab * 32);
    weft_status status = WEFT_OK;
    if (!v.tokens || !v.storage) {
        status = weft_fail(err, WEFT_ERR_MEMORY, "vocabulary: no memory");
    } else if (path) {
        status = add_given(w, &v, path, err);
    } else if (make_synthetic(&v, seed)) {
        fill_gaps(&v);
        put_tokens(w, &v);
        gguf_array(w, "tokenizer.ggml.merges", 8, (uint64_t)v.merge_count);
        for (int64_t i = 0; i < v.merge_count; i++) gguf_put_string(w, v.merges[i], strlen(v.merges[i]));
    } else {
        status = weft_fail(err, WEFT_ERR_MEMORY, "vocabulary: no memory, or fewer than %d rows",
                           FIRST_CONTROL + CONTROL_COUNT);
    }
    free(v.tokens);
    free(v.storage);
    free(v.merges);
    return status;
}
