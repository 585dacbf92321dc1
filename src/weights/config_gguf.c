/* The config as GGUF metadata states it: architecture qwen3vl or qwen3vlmoe, and clip with a qwen3vl_merger for the
 * vision half. Keys are those of llama.cpp's converter; what a key does not say comes from the shapes of the tensors.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/checkpoint_internal.h"

enum { KEY_SIZE = 128, TEMPLATE_MAX = 4 << 20 };

/* A file being read, and the prefix of its keys. */
typedef struct reader {
    weft_checkpoint *ck;
    const weft_gguf *gguf;
    const char *prefix; /* "qwen3vl." or "clip.vision." */
    weft_error *err;
} reader;

static const char *full_key(const reader *r, const char *key, char out[KEY_SIZE]) {
    snprintf(out, KEY_SIZE, "%s%s", r->prefix, key);
    return out;
}

static weft_status bounded(const reader *r, const char *key, uint64_t value, int64_t min, int64_t max, int64_t *out) {
    if (value < (uint64_t)min || value > (uint64_t)max)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s%s' is %llu; %lld to %lld are possible",
                         weft_gguf_path(r->gguf), r->prefix, key, (unsigned long long)value, (long long)min,
                         (long long)max);
    *out = (int64_t)value;
    return WEFT_OK;
}

static weft_status need(const reader *r, const char *key, int64_t min, int64_t max, int64_t *out) {
    char name[KEY_SIZE];
    uint64_t value;
    WEFT_TRY(weft_gguf_u64(r->gguf, full_key(r, key, name), &value, r->err));
    return bounded(r, key, value, min, max, out);
}

static weft_status maybe(const reader *r, const char *key, int64_t min, int64_t max, int64_t fallback, int64_t *out) {
    char name[KEY_SIZE];
    *out = fallback;
    return weft_gguf_has(r->gguf, full_key(r, key, name)) ? need(r, key, min, max, out) : WEFT_OK;
}

static weft_status number(const reader *r, const char *key, double min, double max, double fallback, double *out) {
    char name[KEY_SIZE];
    WEFT_TRY(weft_gguf_f64_or(r->gguf, full_key(r, key, name), fallback, out, r->err));
    if (!isfinite(*out) || *out < min || *out > max)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' is %g; %g to %g are possible", weft_gguf_path(r->gguf),
                         name, *out, min, max);
    return WEFT_OK;
}

static bool string_is(const weft_gguf *g, const char *key, const char *wanted) {
    const char *text;
    size_t size;
    return weft_gguf_has(g, key) && weft_gguf_string(g, key, &text, &size, NULL) == WEFT_OK && size == strlen(wanted) &&
           memcmp(text, wanted, size) == 0;
}

/* ---- rope ---- */

static weft_status read_sections(const reader *r, int section[3]) {
    static const int published[3] = {24, 20, 20};
    char key[KEY_SIZE];
    memcpy(section, published, sizeof published);
    full_key(r, "rope.dimension_sections", key);
    if (!weft_gguf_has(r->gguf, key)) {
        weft_checkpoint_warn(r->ck, "key '%s' is missing: the published 24, 20, 20 are used", key);
        return WEFT_OK;
    }
    for (int i = 0; i < 3; i++) {
        double value;
        WEFT_TRY(weft_gguf_array_number(r->gguf, key, (uint64_t)i, &value, r->err));
        if (!(value >= 0 && value <= 4096) || value != floor(value))
            return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' must hold whole numbers from 0 to 4096",
                             weft_gguf_path(r->gguf), key);
        section[i] = (int)value;
    }
    return WEFT_OK;
}

/* llama.cpp multiplies cos and sin by attn_factor * (1 + 0.1 ln(factor)); ours names the whole product. */
static weft_status read_yarn(const reader *r, weft_rope_config *rope) {
    double attention, older;
    rope->truncate = true;
    WEFT_TRY(number(r, "rope.scaling.original_context_length", 1, WEFT_POSITION_MAX, rope->original_max_position,
                    &rope->original_max_position));
    WEFT_TRY(number(r, "rope.scaling.yarn_beta_fast", 0, 1e6, 32, &rope->beta_fast));
    WEFT_TRY(number(r, "rope.scaling.yarn_beta_slow", 0, 1e6, 1, &rope->beta_slow));
    WEFT_TRY(number(r, "rope.scaling.attn_factor", 0, 1e3, 1, &older));
    WEFT_TRY(number(r, "rope.scaling.yarn_attn_factor", 0, 1e3, older, &attention));
    if (attention != 1 && attention != 0) rope->attention_factor = attention * (1 + 0.1 * log(rope->factor));
    return WEFT_OK;
}

static weft_status read_rope(const reader *r, weft_text_config *t) {
    weft_rope_config *rope = &t->rope;
    char key[KEY_SIZE];
    rope->layout = WEFT_ROPE_INTERLEAVED;
    rope->factor = 1;
    rope->beta_fast = 32;
    rope->beta_slow = 1;
    rope->truncate = true;
    rope->original_max_position = (double)t->max_position;
    WEFT_TRY(number(r, "rope.freq_base", 1.0001, 1e15, 10000, &rope->theta));
    WEFT_TRY(read_sections(r, rope->section));
    double older;
    WEFT_TRY(number(r, "rope.scale_linear", 1, 1e4, 1, &older)); /* before scaling had a type */
    full_key(r, "rope.scaling.type", key);
    if (!weft_gguf_has(r->gguf, key) || string_is(r->gguf, key, "none"))
        rope->scaling = older > 1 ? WEFT_ROPE_LINEAR : WEFT_ROPE_DEFAULT;
    else if (string_is(r->gguf, key, "linear"))
        rope->scaling = WEFT_ROPE_LINEAR;
    else if (string_is(r->gguf, key, "yarn"))
        rope->scaling = WEFT_ROPE_YARN;
    else if (string_is(r->gguf, key, "dynamic"))
        rope->scaling = WEFT_ROPE_DYNAMIC;
    else
        return weft_fail(r->err, WEFT_ERR_UNSUPPORTED,
                         "%s: key '%s' names a scaling that is not supported; none, linear, dynamic and yarn are",
                         weft_gguf_path(r->gguf), key);
    if (rope->scaling == WEFT_ROPE_DEFAULT) return WEFT_OK;
    WEFT_TRY(number(r, "rope.scaling.factor", 1, 1e4, older, &rope->factor));
    return rope->scaling == WEFT_ROPE_YARN ? read_yarn(r, rope) : WEFT_OK;
}

/* ---- text ---- */

static weft_status read_moe(const reader *r, weft_text_config *t) {
    WEFT_TRY(need(r, "expert_count", 1, WEFT_EXPERTS_MAX, &t->experts));
    WEFT_TRY(need(r, "expert_used_count", 1, WEFT_EXPERTS_MAX, &t->experts_per_token));
    WEFT_TRY(need(r, "expert_feed_forward_length", 1, WEFT_WIDTH_MAX, &t->moe_intermediate_size));
    t->norm_topk_prob = true;
    for (int64_t i = 0; i < t->layers; i++) { /* a layer without a router is dense */
        char name[KEY_SIZE];
        snprintf(name, sizeof name, "blk.%lld.ffn_gate_inp.weight", (long long)i);
        t->mlp_only[i] = !weft_tensor_find(weft_gguf_tensors(r->gguf), name);
    }
    return WEFT_OK;
}

static weft_status read_text(const reader *r, bool moe) {
    weft_text_config *t = &r->ck->config.text;
    const weft_tensor_table *table = weft_gguf_tensors(r->gguf);
    WEFT_TRY(need(r, "embedding_length", 1, WEFT_WIDTH_MAX, &t->hidden_size));
    WEFT_TRY(need(r, "block_count", 1, WEFT_LAYERS_MAX, &t->layers));
    WEFT_TRY(need(r, "context_length", 1, WEFT_POSITION_MAX, &t->max_position));
    WEFT_TRY(need(r, "attention.head_count", 1, 4096, &t->heads));
    WEFT_TRY(maybe(r, "attention.head_count_kv", 1, t->heads, t->heads, &t->kv_heads));
    WEFT_TRY(maybe(r, "attention.key_length", 2, 256, t->hidden_size / t->heads, &t->head_dim));
    int64_t value_length;
    WEFT_TRY(maybe(r, "attention.value_length", 2, 256, t->head_dim, &value_length));
    if (value_length != t->head_dim)
        return weft_fail(r->err, WEFT_ERR_UNSUPPORTED,
                         "%s: values of %lld and keys of %lld are not supported, only equal sizes",
                         weft_gguf_path(r->gguf), (long long)value_length, (long long)t->head_dim);
    WEFT_TRY(number(r, "attention.layer_norm_rms_epsilon", 0, 1, 1e-6, &t->rms_norm_eps));
    t->decoder_sparse_step = 1;
    if (moe) {
        WEFT_TRY(read_moe(r, t));
        WEFT_TRY(maybe(r, "feed_forward_length", 0, WEFT_WIDTH_MAX, 0, &t->intermediate_size));
    } else {
        WEFT_TRY(need(r, "feed_forward_length", 1, WEFT_WIDTH_MAX, &t->intermediate_size));
    }
    const weft_tensor *embed = weft_tensor_find(table, "token_embd.weight");
    if (!embed || embed->dims != 2)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor 'token_embd.weight' is missing or not a matrix",
                         weft_gguf_path(r->gguf));
    t->vocab_size = embed->shape[0];
    t->tied_embeddings = !weft_tensor_find(table, "output.weight");
    return read_rope(r, t);
}

/* ---- vision ---- */

static weft_status read_channels(const reader *r, const char *name, double min, float out[3]) {
    char key[KEY_SIZE];
    full_key(r, name, key);
    for (uint64_t i = 0; i < 3 && weft_gguf_has(r->gguf, key); i++) {
        double value;
        WEFT_TRY(weft_gguf_array_number(r->gguf, key, i, &value, r->err));
        if (!(value >= min && value <= 1e6))
            return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' must hold numbers from %g to 1e6",
                             weft_gguf_path(r->gguf), key, min);
        out[i] = (float)value;
    }
    return WEFT_OK;
}

static weft_status read_deepstack(const reader *r, weft_vision_config *v) {
    char key[KEY_SIZE];
    full_key(r, "is_deepstack_layers", key);
    if (!weft_gguf_has(r->gguf, key)) {
        weft_checkpoint_warn(r->ck, "key '%s' is missing: no DeepStack", key);
        return WEFT_OK;
    }
    weft_gguf_kind kind;
    uint64_t count;
    WEFT_TRY(weft_gguf_array(r->gguf, key, &kind, &count, r->err));
    if (kind != WEFT_GGUF_BOOL || count != (uint64_t)v->layers)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' must hold one bool for each of the %lld layers",
                         weft_gguf_path(r->gguf), key, (long long)v->layers);
    for (int i = 0; i < (int)v->layers; i++) {
        double tap;
        WEFT_TRY(weft_gguf_array_number(r->gguf, key, (uint64_t)i, &tap, r->err));
        if (tap == 0) continue;
        if (v->deepstack_count == WEFT_DEEPSTACK_MAX)
            return weft_fail(r->err, WEFT_ERR_LIMIT, "%s: key '%s' names over %d DeepStack layers",
                             weft_gguf_path(r->gguf), key, WEFT_DEEPSTACK_MAX);
        v->deepstack_mergers[v->deepstack_count] = i; /* GGUF names a merger by its layer */
        v->deepstack_layers[v->deepstack_count++] = i;
    }
    return WEFT_OK;
}

static weft_status read_vision(const reader *r) {
    weft_config *config = &r->ck->config;
    weft_vision_config *v = &config->vision;
    const char *projector =
        weft_gguf_has(r->gguf, "clip.projector_type") ? "clip.projector_type" : "clip.vision.projector_type";
    if (!string_is(r->gguf, projector, "qwen3vl_merger"))
        return weft_fail(r->err, WEFT_ERR_UNSUPPORTED,
                         "%s: '%s' is not 'qwen3vl_merger': this mmproj belongs to another family of models",
                         weft_gguf_path(r->gguf), projector);
    v->present = true;
    v->channels = 3;
    v->temporal_patch_size = 2;
    v->rope_theta = 10000;
    WEFT_TRY(need(r, "patch_size", 1, 256, &v->patch_size));
    WEFT_TRY(need(r, "embedding_length", 1, WEFT_WIDTH_MAX, &v->hidden_size));
    WEFT_TRY(need(r, "feed_forward_length", 1, WEFT_WIDTH_MAX, &v->intermediate_size));
    WEFT_TRY(need(r, "block_count", 1, WEFT_LAYERS_MAX, &v->layers));
    WEFT_TRY(need(r, "projection_dim", 1, WEFT_WIDTH_MAX, &v->out_hidden_size));
    WEFT_TRY(need(r, "attention.head_count", 1, 4096, &v->heads));
    WEFT_TRY(number(r, "attention.layer_norm_epsilon", 0, 1, 1e-6, &v->layer_norm_eps));
    WEFT_TRY(maybe(r, "spatial_merge_size", 1, 16, 2, &v->merge_size));
    const weft_tensor *positions = weft_tensor_find(weft_gguf_tensors(r->gguf), "v.position_embd.weight");
    if (!positions || positions->dims != 2)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor 'v.position_embd.weight' is missing or not a matrix",
                         weft_gguf_path(r->gguf));
    v->position_side = (int64_t)floor(sqrt((double)positions->shape[0]));
    if (v->position_side * v->position_side != positions->shape[0])
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: tensor 'v.position_embd.weight' has %lld rows, not a square",
                         weft_gguf_path(r->gguf), (long long)positions->shape[0]);
    WEFT_TRY(read_deepstack(r, v));
    WEFT_TRY(read_channels(r, "image_mean", -1e6, config->image.mean));
    WEFT_TRY(read_channels(r, "image_std", 1e-6, config->image.std));
    memcpy(config->video.mean, config->image.mean, sizeof config->video.mean);
    memcpy(config->video.std, config->image.std, sizeof config->video.std);
    WEFT_TRY(maybe(r, "image_min_pixels", 1, INT64_C(1) << 40, config->image.min_pixels, &config->image.min_pixels));
    WEFT_TRY(maybe(r, "image_max_pixels", 1, INT64_C(1) << 40, config->image.max_pixels, &config->image.max_pixels));
    if (config->image.min_pixels > config->image.max_pixels)
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: clip.vision.image_min_pixels is over image_max_pixels",
                         weft_gguf_path(r->gguf));
    return WEFT_OK;
}

/* ---- tokenizer, template, generation ---- */

static weft_status find_ids(const reader *r, weft_token_ids *ids) {
    const struct {
        const char *text;
        int64_t *id;
    } wanted[] = {{"<|image_pad|>", &ids->image_pad},
                  {"<|video_pad|>", &ids->video_pad},
                  {"<|vision_start|>", &ids->vision_start},
                  {"<|vision_end|>", &ids->vision_end}};
    const char *key = "tokenizer.ggml.tokens";
    if (!weft_gguf_has(r->gguf, key)) {
        weft_checkpoint_warn(r->ck, "key '%s' is missing: text cannot be read or written", key);
        return WEFT_OK;
    }
    weft_gguf_kind kind;
    uint64_t count, cursor = 0;
    WEFT_TRY(weft_gguf_array(r->gguf, key, &kind, &count, r->err));
    for (uint64_t i = 0; i < count; i++) {
        const char *text;
        size_t size;
        WEFT_TRY(weft_gguf_array_string(r->gguf, key, &cursor, &text, &size, r->err));
        if (size < 2 || text[0] != '<') continue;
        for (size_t j = 0; j < sizeof wanted / sizeof *wanted; j++)
            if (size == strlen(wanted[j].text) && memcmp(text, wanted[j].text, size) == 0) *wanted[j].id = (int64_t)i;
    }
    return WEFT_OK;
}

static weft_status read_template(const reader *r) {
    const char *key = "tokenizer.chat_template", *text;
    weft_text_sources *sources = &r->ck->sources;
    size_t size;
    sources->gguf = r->gguf;
    if (!weft_gguf_has(r->gguf, key)) {
        weft_checkpoint_warn(r->ck, "no chat template in the checkpoint: the built-in one is used");
        return WEFT_OK;
    }
    WEFT_TRY(weft_gguf_string(r->gguf, key, &text, &size, r->err));
    if (size > TEMPLATE_MAX)
        return weft_fail(r->err, WEFT_ERR_LIMIT, "%s: the chat template is over %d bytes", weft_gguf_path(r->gguf),
                         TEMPLATE_MAX);
    if (memchr(text, 0, size))
        return weft_fail(r->err, WEFT_ERR_FORMAT, "%s: key '%s' holds a NUL byte", weft_gguf_path(r->gguf), key);
    sources->chat_template = weft_checkpoint_own_text(r->ck, text, size, r->err);
    sources->chat_template_origin = key;
    return sources->chat_template ? WEFT_OK : WEFT_ERR_MEMORY;
}

static weft_status stated(const reader *r, const char *key, double min, double max, bool *has, double *value) {
    *has = weft_gguf_has(r->gguf, key);
    return *has ? number(r, key, min, max, 0, value) : WEFT_OK;
}

static weft_status read_generation(const reader *r, weft_generation_config *g) {
    reader plain = {r->ck, r->gguf, "", r->err};
    WEFT_TRY(stated(&plain, "general.sampling.temp", 0, 100, &g->has_temperature, &g->temperature));
    WEFT_TRY(stated(&plain, "general.sampling.top_p", 0, 1, &g->has_top_p, &g->top_p));
    WEFT_TRY(stated(&plain, "general.sampling.min_p", 0, 1, &g->has_min_p, &g->min_p));
    WEFT_TRY(stated(&plain, "general.sampling.penalty_repeat", 1e-3, 100, &g->has_repetition_penalty,
                    &g->repetition_penalty));
    g->has_top_k = weft_gguf_has(r->gguf, "general.sampling.top_k");
    WEFT_TRY(maybe(&plain, "general.sampling.top_k", 0, WEFT_VOCAB_MAX, 0, &g->top_k));
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int64_t id;
        WEFT_TRY(maybe(&plain, keys[i], 0, WEFT_VOCAB_MAX, -1, &id));
        if (id >= 0 && (g->eos_count == 0 || g->eos[0] != id)) g->eos[g->eos_count++] = id;
    }
    return WEFT_OK;
}

/* general.name when it is plain text that fits, else the name that the caller set from the file. */
static void read_name(const reader *r, char *out, size_t out_size) {
    const char *text;
    size_t size;
    if (weft_gguf_string(r->gguf, "general.name", &text, &size, NULL) != WEFT_OK) return;
    if (size == 0 || size >= out_size || !weft_text_is_plain(text, size)) return;
    memcpy(out, text, size);
    out[size] = 0;
}

weft_status weft_config_read_gguf(weft_checkpoint *ck, weft_error *err) {
    weft_config *config = &ck->config;
    const weft_gguf *g = ck->gguf;
    bool moe = string_is(g, "general.architecture", "qwen3vlmoe");
    if (!moe && !string_is(g, "general.architecture", "qwen3vl")) {
        const char *text = "";
        size_t size = 0;
        WEFT_TRY(weft_gguf_string(g, "general.architecture", &text, &size, err));
        if (string_is(g, "general.architecture", "clip"))
            return weft_fail(err, WEFT_ERR_INVALID,
                             "%s: this is the vision half of a model (an mmproj); name the text GGUF as the model and "
                             "this one with --mmproj",
                             weft_gguf_path(g));
        if (size > 64 || !weft_text_is_plain(text, size)) size = 0;
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "%s: architecture '%.*s' is not supported; qwen3vl and qwen3vlmoe are", weft_gguf_path(g),
                         (int)size, text);
    }
    snprintf(config->architecture, sizeof config->architecture, "%s", moe ? "qwen3_vl_moe" : "qwen3_vl");
    config->ids = (weft_token_ids){-1, -1, -1, -1};
    weft_pixels_shipped(&config->image, &config->video);
    reader text = {ck, g, moe ? "qwen3vlmoe." : "qwen3vl.", err}, vision = {ck, ck->mmproj, "clip.vision.", err};
    read_name(&text, config->name, sizeof config->name);
    WEFT_TRY(read_text(&text, moe));
    WEFT_TRY(find_ids(&text, &config->ids));
    WEFT_TRY(read_template(&text));
    WEFT_TRY(read_generation(&text, &config->generation));
    if (ck->mmproj) WEFT_TRY(read_vision(&vision));
    int64_t taps;
    WEFT_TRY(maybe(&text, "n_deepstack_layers", 0, WEFT_DEEPSTACK_MAX, config->vision.deepstack_count, &taps));
    if (ck->mmproj && taps != config->vision.deepstack_count)
        return weft_fail(err, WEFT_ERR_FORMAT,
                         "%s: the text model expects %lld DeepStack layers, %s has %d; do the two belong together?",
                         weft_gguf_path(g), (long long)taps, weft_gguf_path(ck->mmproj),
                         config->vision.deepstack_count);
    return weft_config_check(config, err);
}
