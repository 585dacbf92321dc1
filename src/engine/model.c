/* Opening a model: checkpoint, tokenizer (from tokenizer.json or GGUF metadata), chat template. See weft.h. */
#include "engine/model.h"

#include <stdlib.h>
#include <string.h>

enum { GGUF_TOKENS_MAX = 4 << 20 }; /* sixteen times today's largest vocabularies */

static void take_string(void *context, uint64_t index, const char *text, size_t size) {
    ((weft_bytes *)context)[index] = (weft_bytes){text, size};
}

static weft_status read_gguf_strings(const weft_gguf *gguf, const char *key, weft_bytes **list, size_t *count, weft_error *err) {
    weft_gguf_kind kind;
    uint64_t n;
    WEFT_TRY(weft_gguf_array(gguf, key, &kind, &n, err));
    if (kind != WEFT_GGUF_STRING)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s is not an array of strings", weft_gguf_path(gguf), key);
    if (n > GGUF_TOKENS_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %s has %llu entries, the limit is %d", weft_gguf_path(gguf), key,
                         (unsigned long long)n, GGUF_TOKENS_MAX);
    weft_bytes *strings = malloc(sizeof *strings * (n ? n : 1));
    if (!strings) return weft_fail(err, WEFT_ERR_MEMORY, "tokenizer: no memory");
    weft_status status = weft_gguf_strings(gguf, key, take_string, strings, err);
    if (status != WEFT_OK) {
        free(strings);
        return status;
    }
    *list = strings;
    *count = n;
    return WEFT_OK;
}

static weft_status read_gguf_kinds(const weft_gguf *gguf, size_t token_count, int32_t **kinds, weft_error *err) {
    const char *key = "tokenizer.ggml.token_type";
    *kinds = malloc(sizeof **kinds * (token_count ? token_count : 1));
    if (!*kinds) return weft_fail(err, WEFT_ERR_MEMORY, "tokenizer: no memory");
    weft_gguf_kind kind;
    uint64_t n;
    WEFT_TRY(weft_gguf_array(gguf, key, &kind, &n, err));
    if (n != token_count)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s has %llu entries for %zu tokens", weft_gguf_path(gguf), key,
                         (unsigned long long)n, token_count);
    double *values = malloc(sizeof *values * (token_count ? token_count : 1));
    if (!values) return weft_fail(err, WEFT_ERR_MEMORY, "tokenizer: no memory");
    weft_status status = weft_gguf_numbers(gguf, key, values, n, err);
    for (uint64_t i = 0; i < n && status == WEFT_OK; i++)
        (*kinds)[i] = values[i] >= 0 && values[i] < 100 ? (int32_t)values[i] : WEFT_TOKEN_UNUSED;
    free(values);
    return status;
}

static weft_status tokenizer_from_gguf(const weft_gguf *gguf, weft_tokenizer **tokenizer, weft_error *err) {
    const char *text;
    size_t size;
    WEFT_TRY(weft_gguf_string(gguf, "tokenizer.ggml.model", &text, &size, err));
    if (size != 4 || memcmp(text, "gpt2", 4) != 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: tokenizer model '%.*s' is not byte-level BPE ('gpt2')",
                         weft_gguf_path(gguf), (int)(size < 64 ? size : 64), text);
    WEFT_TRY(weft_gguf_string(gguf, "tokenizer.ggml.pre", &text, &size, err));
    char pre[64];
    if (size >= sizeof pre)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: tokenizer.ggml.pre is not a known name", weft_gguf_path(gguf));
    memcpy(pre, text, size);
    pre[size] = 0;

    weft_bytes *tokens = NULL, *merges = NULL;
    int32_t *kinds = NULL;
    weft_tokenizer_spec spec = {.pre = pre};
    weft_status status = read_gguf_strings(gguf, "tokenizer.ggml.tokens", &tokens, &spec.token_count, err);
    if (status == WEFT_OK) status = read_gguf_strings(gguf, "tokenizer.ggml.merges", &merges, &spec.merge_count, err);
    if (status == WEFT_OK) status = read_gguf_kinds(gguf, spec.token_count, &kinds, err);
    if (status == WEFT_OK) {
        spec.tokens = tokens;
        spec.merges = merges;
        spec.kinds = kinds;
        status = weft_tokenizer_from_spec(&spec, tokenizer, err);
    }
    free(tokens);
    free(merges);
    free(kinds);
    return status;
}

/* The ids that end an answer: what the checkpoint states, else the family's two. */
static void find_eos(weft_model *model) {
    const weft_generation_config *generation = &model->config->generation;
    for (int i = 0; i < generation->eos_count && i < WEFT_EOS_MAX; i++) model->eos[model->eos_count++] = (int32_t)generation->eos[i];
    if (model->eos_count) return;
    const char *names[] = {"<|im_end|>", "<|endoftext|>"};
    for (int i = 0; i < 2; i++) {
        int32_t id = weft_tokenizer_find(model->tokenizer, names[i]);
        if (id >= 0) model->eos[model->eos_count++] = id;
    }
}

static void add_warning(weft_model *model, const char *warning) {
    if (warning && model->warning_count < WEFT_MODEL_WARNINGS_MAX) model->warnings[model->warning_count++] = warning;
}

static weft_status open_text(weft_model *model, weft_error *err) {
    const weft_text_sources *sources = weft_checkpoint_sources(model->checkpoint);
    if (sources->tokenizer_json)
        WEFT_TRY(weft_tokenizer_from_json(sources->tokenizer_json, &model->tokenizer, err));
    else if (sources->gguf)
        WEFT_TRY(tokenizer_from_gguf(sources->gguf, &model->tokenizer, err));
    else
        return weft_fail(err, WEFT_ERR_NOT_FOUND, "the checkpoint has no tokenizer.json: put the published one beside its weights");
    int64_t vocab = model->config->text.vocab_size;
    if ((int64_t)weft_tokenizer_size(model->tokenizer) > vocab)
        return weft_fail(err, WEFT_ERR_FORMAT, "the tokenizer has ids up to %zu, the embedding table only %lld rows",
                         weft_tokenizer_size(model->tokenizer) - 1, (long long)vocab);
    bool thinking = strstr(model->config->name, "hinking") != NULL;
    WEFT_TRY(weft_chat_template_create(sources->chat_template, sources->chat_template_origin, thinking, &model->chat, err));
    const weft_token_ids *ids = &model->config->ids;
    model->image_pad = ids->image_pad >= 0 ? (int32_t)ids->image_pad : weft_tokenizer_find(model->tokenizer, "<|image_pad|>");
    model->video_pad = ids->video_pad >= 0 ? (int32_t)ids->video_pad : weft_tokenizer_find(model->tokenizer, "<|video_pad|>");
    model->think_end = weft_tokenizer_find(model->tokenizer, "</think>");
    find_eos(model);
    return WEFT_OK;
}

weft_status weft_model_open(const char *path, const char *mmproj, weft_model **out, weft_error *err) {
    *out = NULL;
    weft_model *model = calloc(1, sizeof *model);
    if (!model) return weft_fail(err, WEFT_ERR_MEMORY, "model: no memory");
    weft_status status = weft_checkpoint_open(path, mmproj, &model->checkpoint, err);
    if (status == WEFT_OK) {
        model->config = weft_checkpoint_config(model->checkpoint);
        status = open_text(model, err);
    }
    if (status != WEFT_OK) {
        weft_model_close(model);
        return status;
    }
    const weft_config *config = model->config;
    model->info = (weft_model_info){
        .name = config->name,
        .architecture = config->architecture,
        .parameters = weft_checkpoint_parameters(model->checkpoint),
        .file_bytes = weft_checkpoint_file_bytes(model->checkpoint),
        .context_length = weft_config_context_length(config),
        .vocab_size = config->text.vocab_size,
        .vision = config->vision.present,
        .thinking = weft_chat_template_thinks(model->chat),
    };
    for (int i = 0; weft_checkpoint_warning(model->checkpoint, i); i++) add_warning(model, weft_checkpoint_warning(model->checkpoint, i));
    add_warning(model, weft_chat_template_warning(model->chat));
    add_warning(model, weft_kernels_warning());
    *out = model;
    return WEFT_OK;
}

void weft_model_close(weft_model *model) {
    if (!model) return;
    weft_chat_template_free(model->chat);
    weft_tokenizer_free(model->tokenizer);
    weft_checkpoint_close(model->checkpoint);
    free(model);
}

const weft_model_info *weft_model_get_info(const weft_model *model) { return &model->info; }

uint64_t weft_model_identity(const weft_model *model) { return weft_checkpoint_identity(model->checkpoint); }

const char *weft_model_warning(const weft_model *model, int index) {
    return index >= 0 && index < model->warning_count ? model->warnings[index] : NULL;
}

weft_status weft_model_inspect(const char *path, const char *mmproj, bool json, char **text, weft_error *err) {
    enum { INSPECT_MAX = 64 << 20 };
    weft_buffer out;
    weft_buffer_init(&out, INSPECT_MAX, "inspect output");
    weft_status status = weft_checkpoint_inspect(path, mmproj, json, &out, err);
    *text = weft_buffer_take(&out);
    if (status != WEFT_OK) return status;
    weft_model *model = NULL; /* the tokenizer and the template are part of what a model needs to run */
    status = weft_model_open(path, mmproj, &model, err);
    weft_model_close(model);
    return status;
}

weft_status weft_model_tokenize(const weft_model *model, const char *text, size_t size, bool parse_special, int32_t **ids,
                                size_t *count, weft_error *err) {
    weft_ids list = {0};
    weft_status status = weft_tokenize(model->tokenizer, text, size, parse_special, &list, err);
    if (status != WEFT_OK) {
        weft_ids_free(&list);
        return status;
    }
    *ids = list.data;
    *count = list.count;
    return WEFT_OK;
}

weft_status weft_model_detokenize(const weft_model *model, const int32_t *ids, size_t count, bool skip_special, char **text,
                                  size_t *size, weft_error *err) {
    enum { DETOKENIZE_MAX = 1 << 30 };
    weft_buffer out;
    weft_buffer_init(&out, DETOKENIZE_MAX, "detokenized text");
    weft_detokenizer detokenizer;
    weft_detokenizer_init(&detokenizer, model->tokenizer, skip_special);
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= weft_tokenizer_size(model->tokenizer))
            status = weft_fail(err, WEFT_ERR_INVALID, "token id %d is not in the vocabulary", ids[i]);
        else
            status = weft_detokenizer_push(&detokenizer, ids[i], &out, err);
    }
    if (status == WEFT_OK) status = weft_detokenizer_finish(&detokenizer, &out, err);
    if (status != WEFT_OK) {
        weft_buffer_free(&out);
        return status;
    }
    *size = out.size;
    *text = weft_buffer_take(&out);
    return WEFT_OK;
}

void weft_free(void *pointer) { free(pointer); }
