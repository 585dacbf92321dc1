/* config.json and generation_config.json of a Hugging Face folder.
 *
 * Defaults for absent keys are those of transformers' Qwen3VLTextConfig, Qwen3VLMoeTextConfig and Qwen3VLVisionConfig,
 * so that a file means here what it means there; every number is later checked against the tensors. Refuses values of a
 * wrong type or out of range, and features of the config that change the arithmetic in a way that is not implemented.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/checkpoint_internal.h"
#include "weights/json_file.h"

/* ---- rope ---- */

/* rope_scaling, when it says anything, wins over rope_parameters; rope_theta inside it wins over the one beside it
 * (transformers: RotaryEmbeddingConfigMixin.convert_rope_params_to_dict). */
static weft_status read_rope_source(weft_json text, weft_json *rope, weft_error *err) {
    WEFT_TRY(weft_json_object(text, "rope_scaling", "text_config.rope_scaling.", rope, err));
    if (rope->object && json_object_size(rope->object) > 0) return WEFT_OK;
    return weft_json_object(text, "rope_parameters", "text_config.rope_parameters.", rope, err);
}

static weft_status read_mrope_section(weft_json rope, int section[3], weft_error *err) {
    static const int published[3] = {24, 20, 20};
    memcpy(section, published, sizeof published);
    const json_t *array;
    WEFT_TRY(weft_json_array(rope, "mrope_section", &array, err));
    if (!array) return WEFT_OK;
    if (json_array_size(array) != 3)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %smrope_section has %zu numbers, expected 3 (t, h, w)", rope.file,
                         rope.prefix, json_array_size(array));
    for (int i = 0; i < 3; i++) {
        const json_t *value = json_array_get(array, (size_t)i);
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 4096)
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: %smrope_section must hold whole numbers from 0 to 4096",
                             rope.file, rope.prefix);
        section[i] = (int)json_integer_value(value);
    }
    return WEFT_OK;
}

static weft_status read_rope_type(weft_json rope, weft_rope_config *out, weft_error *err) {
    const char *type;
    WEFT_TRY(weft_json_string(rope, "rope_type", &type, err));
    if (!type) WEFT_TRY(weft_json_string(rope, "type", &type, err));
    if (!type || strcmp(type, "default") == 0 || strcmp(type, "mrope") == 0)
        out->scaling = WEFT_ROPE_DEFAULT;
    else if (strcmp(type, "linear") == 0)
        out->scaling = WEFT_ROPE_LINEAR;
    else if (strcmp(type, "dynamic") == 0)
        out->scaling = WEFT_ROPE_DYNAMIC;
    else if (strcmp(type, "yarn") == 0)
        out->scaling = WEFT_ROPE_YARN;
    else
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "%s: %srope_type '%.32s' is not supported; default, linear, dynamic and yarn are", rope.file,
                         rope.prefix, type);
    return WEFT_OK;
}

static weft_status read_rope_scaling(weft_json text, weft_json rope, double max_position, weft_rope_config *out,
                                     weft_error *err) {
    out->factor = 1;
    out->truncate = true;
    out->beta_fast = 32;
    out->beta_slow = 1;
    out->original_max_position = max_position;
    if (out->scaling == WEFT_ROPE_DEFAULT) return WEFT_OK;
    if (out->scaling == WEFT_ROPE_YARN) {
        /* A length beside the rope object wins over the one inside it. */
        WEFT_TRY(weft_json_number(rope, "original_max_position_embeddings", 1, WEFT_POSITION_MAX, max_position,
                                  &out->original_max_position, err));
        WEFT_TRY(weft_json_number(text, "original_max_position_embeddings", 1, WEFT_POSITION_MAX,
                                  out->original_max_position, &out->original_max_position, err));
        WEFT_TRY(weft_json_number(rope, "beta_fast", 0, 1e6, 32, &out->beta_fast, err));
        WEFT_TRY(weft_json_number(rope, "beta_slow", 0, 1e6, 1, &out->beta_slow, err));
        if (out->beta_fast == 0) out->beta_fast = 32;
        if (out->beta_slow == 0) out->beta_slow = 1;
        WEFT_TRY(weft_json_number(rope, "attention_factor", 0, 1e3, 0, &out->attention_factor, err));
        WEFT_TRY(weft_json_number(rope, "mscale", 0, 1e3, 0, &out->mscale, err));
        WEFT_TRY(weft_json_number(rope, "mscale_all_dim", 0, 1e3, 0, &out->mscale_all_dim, err));
        WEFT_TRY(weft_json_bool(rope, "truncate", true, &out->truncate, err));
    }
    bool derived = out->scaling == WEFT_ROPE_YARN && max_position > out->original_max_position;
    if (!weft_json_has(rope, "factor") && !derived)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %sfactor is missing", rope.file, rope.prefix);
    return weft_json_number(rope, "factor", 1, 1e4, max_position / out->original_max_position, &out->factor, err);
}

static weft_status read_rope(weft_checkpoint *ck, weft_json text, weft_text_config *t, weft_error *err) {
    weft_json rope;
    WEFT_TRY(read_rope_source(text, &rope, err));
    weft_rope_config *out = &t->rope;
    WEFT_TRY(weft_json_number(text, "rope_theta", 1, 1e15, 500000, &out->theta, err));
    WEFT_TRY(weft_json_number(rope, "rope_theta", 1, 1e15, out->theta, &out->theta, err));
    if (!(out->theta > 1)) return weft_fail(err, WEFT_ERR_FORMAT, "%s: rope_theta must be over 1", text.file);
    double partial;
    WEFT_TRY(weft_json_number(text, "partial_rotary_factor", 0, 1, 1, &partial, err));
    WEFT_TRY(weft_json_number(rope, "partial_rotary_factor", 0, 1, partial, &partial, err));
    if (partial != 1)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: partial_rotary_factor %g is not supported, only 1", text.file,
                         partial);
    WEFT_TRY(read_mrope_section(rope, out->section, err));
    int64_t stated = out->section[0] + out->section[1] + out->section[2];
    if (stated != t->head_dim / 2 && weft_json_has(rope, "mrope_section"))
        weft_checkpoint_warn(ck, "config.json: mrope_section adds up to %lld, the heads have %lld rotary pairs",
                             (long long)stated, (long long)t->head_dim / 2);
    bool interleaved;
    WEFT_TRY(weft_json_bool(rope, "mrope_interleaved", true, &interleaved, err));
    /* transformers interleaves for this family whatever the key says, and so do the trained weights. */
    out->layout = WEFT_ROPE_INTERLEAVED;
    if (!interleaved)
        weft_checkpoint_warn(
            ck, "config.json: mrope_interleaved is false; this architecture always interleaves, so the key is ignored");
    WEFT_TRY(read_rope_type(rope, out, err));
    return read_rope_scaling(text, rope, (double)t->max_position, out, err);
}

/* ---- text ---- */

static weft_status refuse_bool(weft_json json, const char *key, weft_error *err) {
    bool value;
    WEFT_TRY(weft_json_bool(json, key, false, &value, err));
    if (value)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: %s%s is true, which is not supported", json.file, json.prefix,
                         key);
    return WEFT_OK;
}

static weft_status demand_word(weft_json json, const char *key, const char *wanted, weft_error *err) {
    const char *word;
    WEFT_TRY(weft_json_string(json, key, &word, err));
    if (word && strcmp(word, wanted) != 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: %s%s is '%.32s'; only '%s' is supported", json.file,
                         json.prefix, key, word, wanted);
    return WEFT_OK;
}

static weft_status read_moe(weft_checkpoint *ck, weft_json text, weft_text_config *t, weft_error *err) {
    WEFT_TRY(weft_json_int(text, "num_local_experts", 0, WEFT_EXPERTS_MAX, 60, &t->experts, err));
    WEFT_TRY(weft_json_int(text, "num_experts", 0, WEFT_EXPERTS_MAX, t->experts, &t->experts, err));
    WEFT_TRY(weft_json_int(text, "num_experts_per_tok", 1, WEFT_EXPERTS_MAX, 4, &t->experts_per_token, err));
    WEFT_TRY(weft_json_int(text, "moe_intermediate_size", 1, WEFT_WIDTH_MAX, 1408, &t->moe_intermediate_size, err));
    WEFT_TRY(weft_json_int(text, "decoder_sparse_step", 1, WEFT_LAYERS_MAX, 1, &t->decoder_sparse_step, err));
    bool norm;
    WEFT_TRY(weft_json_bool(text, "norm_topk_prob", true, &norm, err));
    t->norm_topk_prob = true; /* the reference's router renormalises without asking */
    if (!norm)
        weft_checkpoint_warn(
            ck, "config.json: norm_topk_prob is false; this architecture always renormalises, so the key is ignored");
    const json_t *only, *layer;
    size_t i;
    WEFT_TRY(weft_json_array(text, "mlp_only_layers", &only, err));
    json_array_foreach(only, i, layer) {
        if (!json_is_integer(layer))
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: text_config.mlp_only_layers must hold layer numbers",
                             text.file);
        int64_t n = json_integer_value(layer);
        if (n >= 0 && n < WEFT_LAYERS_MAX) t->mlp_only[n] = true;
    }
    return WEFT_OK;
}

static weft_status read_text(weft_checkpoint *ck, weft_json root, weft_json text, bool moe, weft_error *err) {
    weft_text_config *t = &ck->config.text;
    WEFT_TRY(weft_json_int(text, "vocab_size", 1, WEFT_VOCAB_MAX, 151936, &t->vocab_size, err));
    WEFT_TRY(weft_json_int(text, "hidden_size", 1, WEFT_WIDTH_MAX, moe ? 2048 : 4096, &t->hidden_size, err));
    WEFT_TRY(
        weft_json_int(text, "intermediate_size", 1, WEFT_WIDTH_MAX, moe ? 5632 : 22016, &t->intermediate_size, err));
    WEFT_TRY(weft_json_int(text, "num_hidden_layers", 1, WEFT_LAYERS_MAX, moe ? 24 : 32, &t->layers, err));
    WEFT_TRY(weft_json_int(text, "num_attention_heads", 1, 4096, moe ? 16 : 32, &t->heads, err));
    bool null_kv = text.object && json_is_null(json_object_get(text.object, "num_key_value_heads"));
    WEFT_TRY(weft_json_int(text, "num_key_value_heads", 1, t->heads,
                           null_kv ? t->heads
                           : moe   ? 16
                                   : 32,
                           &t->kv_heads, err));
    WEFT_TRY(weft_json_int(text, "head_dim", 2, 256, moe ? t->hidden_size / t->heads : 128, &t->head_dim, err));
    WEFT_TRY(weft_json_int(text, "max_position_embeddings", 1, WEFT_POSITION_MAX, 128000, &t->max_position, err));
    WEFT_TRY(weft_json_number(text, "rms_norm_eps", 0, 1, 1e-6, &t->rms_norm_eps, err));
    WEFT_TRY(demand_word(text, "hidden_act", "silu", err));
    WEFT_TRY(refuse_bool(text, "attention_bias", err));
    WEFT_TRY(refuse_bool(text, "use_sliding_window", err));
    bool inner;
    WEFT_TRY(weft_json_bool(text, "tie_word_embeddings", false, &inner, err));
    WEFT_TRY(weft_json_bool(root, "tie_word_embeddings", inner, &t->tied_embeddings, err));
    t->tied_embeddings |= inner;
    t->decoder_sparse_step = 1;
    if (moe) WEFT_TRY(read_moe(ck, text, t, err));
    return read_rope(ck, text, t, err);
}

/* ---- vision ---- */

/* An integer, or a list of equal ones (kernel sizes are stated either way). */
static weft_status read_size(weft_json json, const char *key, int64_t max, int64_t fallback, int64_t *out,
                             weft_error *err) {
    const json_t *value = json.object ? json_object_get(json.object, key) : NULL;
    if (!json_is_array(value)) return weft_json_int(json, key, 1, max, fallback, out, err);
    size_t n = json_array_size(value);
    for (size_t i = 0; i < n; i++) {
        const json_t *each = json_array_get(value, i);
        if (!json_is_integer(each) || json_integer_value(each) < 1 || json_integer_value(each) > max ||
            json_integer_value(each) != json_integer_value(json_array_get(value, 0)))
            return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: %s%s must be one whole number from 1 to %lld", json.file,
                             json.prefix, key, (long long)max);
        *out = json_integer_value(each);
    }
    if (n == 0) return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s is an empty list", json.file, json.prefix, key);
    return WEFT_OK;
}

/* The outputs go to the decoder in the order of the layers, each through the merger at its place in the list. */
static weft_status read_deepstack(weft_json vision, weft_vision_config *v, weft_error *err) {
    static const int published[] = {8, 16, 24};
    const json_t *list;
    WEFT_TRY(weft_json_array(vision, "deepstack_visual_indexes", &list, err));
    size_t count = list ? json_array_size(list) : 3;
    if (count > WEFT_DEEPSTACK_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %zu DeepStack layers, the limit is %d", vision.file, count,
                         WEFT_DEEPSTACK_MAX);
    v->deepstack_count = (int)count;
    for (int i = 0; i < v->deepstack_count; i++) {
        const json_t *value = list ? json_array_get(list, (size_t)i) : NULL;
        if (list &&
            (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= v->layers))
            return weft_fail(err, WEFT_ERR_FORMAT,
                             "%s: vision_config.deepstack_visual_indexes must hold layer numbers from 0 to %lld",
                             vision.file, (long long)v->layers - 1);
        int layer = list ? (int)json_integer_value(value) : published[i], at = i;
        for (; at > 0 && v->deepstack_layers[at - 1] > layer; at--) {
            v->deepstack_layers[at] = v->deepstack_layers[at - 1];
            v->deepstack_mergers[at] = v->deepstack_mergers[at - 1];
        }
        v->deepstack_layers[at] = layer;
        v->deepstack_mergers[at] = i;
    }
    return WEFT_OK;
}

static weft_status read_vision(weft_json vision, weft_vision_config *v, weft_error *err) {
    v->present = true;
    WEFT_TRY(weft_json_int(vision, "depth", 1, WEFT_LAYERS_MAX, 27, &v->layers, err));
    WEFT_TRY(weft_json_int(vision, "hidden_size", 1, WEFT_WIDTH_MAX, 1152, &v->hidden_size, err));
    WEFT_TRY(weft_json_int(vision, "intermediate_size", 1, WEFT_WIDTH_MAX, 4304, &v->intermediate_size, err));
    WEFT_TRY(weft_json_int(vision, "num_heads", 1, 4096, 16, &v->heads, err));
    WEFT_TRY(weft_json_int(vision, "in_channels", 1, 16, 3, &v->channels, err));
    WEFT_TRY(weft_json_int(vision, "out_hidden_size", 1, WEFT_WIDTH_MAX, 3584, &v->out_hidden_size, err));
    WEFT_TRY(weft_json_int(vision, "spatial_merge_size", 1, 16, 2, &v->merge_size, err));
    WEFT_TRY(read_size(vision, "patch_size", 256, 16, &v->patch_size, err));
    WEFT_TRY(read_size(vision, "temporal_patch_size", 16, 2, &v->temporal_patch_size, err));
    WEFT_TRY(demand_word(vision, "hidden_act", "gelu_pytorch_tanh", err));
    int64_t positions;
    WEFT_TRY(weft_json_int(vision, "num_position_embeddings", 1, 1 << 24, 2304, &positions, err));
    v->position_side = (int64_t)floor(sqrt((double)positions));
    if (v->position_side * v->position_side != positions)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: vision_config.num_position_embeddings is %lld, not a square",
                         vision.file, (long long)positions);
    v->layer_norm_eps = 1e-6;
    weft_json rope;
    WEFT_TRY(weft_json_object(vision, "rope_parameters", "vision_config.rope_parameters.", &rope, err));
    WEFT_TRY(weft_json_number(vision, "rope_theta", 1, 1e15, 10000, &v->rope_theta, err));
    WEFT_TRY(weft_json_number(rope, "rope_theta", 1, 1e15, v->rope_theta, &v->rope_theta, err));
    const char *type;
    WEFT_TRY(weft_json_string(rope, "rope_type", &type, err));
    if (type && strcmp(type, "axial") != 0 && strcmp(type, "default") != 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "%s: vision_config.rope_parameters.rope_type '%.32s' is not supported", vision.file, type);
    return read_deepstack(vision, v, err);
}

/* ---- the rest of config.json ---- */

/* Published FP8: e4m3 with one scale for every 128 x 128 block. Other quantisations keep their weights in ways of their
 * own. */
static weft_status check_quantization(weft_json root, weft_error *err) {
    weft_json q;
    WEFT_TRY(weft_json_object(root, "quantization_config", "quantization_config.", &q, err));
    if (!q.object) return WEFT_OK;
    WEFT_TRY(demand_word(q, "quant_method", "fp8", err));
    WEFT_TRY(demand_word(q, "fmt", "e4m3", err));
    const json_t *block;
    WEFT_TRY(weft_json_array(q, "weight_block_size", &block, err));
    if (block && (json_array_size(block) != 2 || json_integer_value(json_array_get(block, 0)) != 128 ||
                  json_integer_value(json_array_get(block, 1)) != 128))
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "%s: quantization_config.weight_block_size: only [128, 128] is supported", root.file);
    return WEFT_OK;
}

static weft_status read_ids(weft_json root, weft_token_ids *ids, weft_error *err) {
    WEFT_TRY(weft_json_int(root, "image_token_id", 0, WEFT_VOCAB_MAX, 151655, &ids->image_pad, err));
    WEFT_TRY(weft_json_int(root, "video_token_id", 0, WEFT_VOCAB_MAX, 151656, &ids->video_pad, err));
    WEFT_TRY(weft_json_int(root, "vision_start_token_id", 0, WEFT_VOCAB_MAX, 151652, &ids->vision_start, err));
    return weft_json_int(root, "vision_end_token_id", 0, WEFT_VOCAB_MAX, 151653, &ids->vision_end, err);
}

/* A token id or a list of them. */
static weft_status read_eos(weft_json json, weft_generation_config *g, weft_error *err) {
    const json_t *value = json.object ? json_object_get(json.object, "eos_token_id") : NULL;
    if (!value || json_is_null(value)) return WEFT_OK;
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count > WEFT_EOS_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %seos_token_id holds %zu ids, the limit is %d", json.file,
                         json.prefix, count, WEFT_EOS_MAX);
    g->eos_count = (int)count;
    for (int i = 0; i < g->eos_count; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, (size_t)i) : value;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > WEFT_VOCAB_MAX)
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: %seos_token_id must be a token id or a list of them", json.file,
                             json.prefix);
        g->eos[i] = json_integer_value(id);
    }
    return WEFT_OK;
}

static weft_status read_config(weft_checkpoint *ck, const json_t *object, weft_error *err) {
    weft_json root = {object, "config.json", ""}, text, vision;
    weft_config *config = &ck->config;
    const char *type;
    WEFT_TRY(weft_json_string(root, "model_type", &type, err));
    if (!type) return weft_fail(err, WEFT_ERR_FORMAT, "config.json: model_type is missing");
    bool moe = strcmp(type, "qwen3_vl_moe") == 0;
    if (!moe && strcmp(type, "qwen3_vl") != 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "config.json: model_type '%.64s' is not supported; qwen3_vl and qwen3_vl_moe are", type);
    snprintf(config->architecture, sizeof config->architecture, "%s", type);
    WEFT_TRY(check_quantization(root, err));
    WEFT_TRY(weft_json_object(root, "text_config", "text_config.", &text, err));
    if (!text.object) return weft_fail(err, WEFT_ERR_FORMAT, "config.json: text_config is missing");
    WEFT_TRY(read_text(ck, root, text, moe, err));
    WEFT_TRY(weft_json_object(root, "vision_config", "vision_config.", &vision, err));
    if (vision.object) WEFT_TRY(read_vision(vision, &config->vision, err));
    WEFT_TRY(read_ids(root, &config->ids, err));
    WEFT_TRY(read_eos(text, &config->generation, err));
    WEFT_TRY(read_eos(root, &config->generation, err));
    return weft_config_check(config, err);
}

/* ---- generation_config.json ---- */

static weft_status read_stated(weft_json json, const char *key, double min, double max, bool *has, double *value,
                               weft_error *err) {
    *has = weft_json_has(json, key);
    return weft_json_number(json, key, min, max, 0, value, err);
}

static weft_status read_generation(const json_t *object, weft_generation_config *g, weft_error *err) {
    weft_json json = {object, "generation_config.json", ""};
    g->has_do_sample = weft_json_has(json, "do_sample");
    WEFT_TRY(weft_json_bool(json, "do_sample", false, &g->do_sample, err));
    WEFT_TRY(read_stated(json, "temperature", 0, 100, &g->has_temperature, &g->temperature, err));
    WEFT_TRY(read_stated(json, "top_p", 0, 1, &g->has_top_p, &g->top_p, err));
    WEFT_TRY(read_stated(json, "min_p", 0, 1, &g->has_min_p, &g->min_p, err));
    WEFT_TRY(
        read_stated(json, "repetition_penalty", 1e-3, 100, &g->has_repetition_penalty, &g->repetition_penalty, err));
    WEFT_TRY(read_stated(json, "presence_penalty", -100, 100, &g->has_presence_penalty, &g->presence_penalty, err));
    g->has_top_k = weft_json_has(json, "top_k");
    WEFT_TRY(weft_json_int(json, "top_k", 0, WEFT_VOCAB_MAX, 0, &g->top_k, err));
    return read_eos(json, g, err);
}

/* ---- entry ---- */

static weft_status load(weft_checkpoint *ck, const char *name, json_t **root, weft_error *err) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", ck->folder, name) < 0)
        return weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", name);
    weft_status status = weft_json_load(path, false, root, err);
    free(path);
    return status;
}

weft_status weft_config_read_hf(weft_checkpoint *ck, weft_error *err) {
    json_t *root;
    WEFT_TRY(load(ck, "config.json", &root, err));
    weft_status status = read_config(ck, root, err);
    json_decref(root);
    WEFT_TRY(status);
    status = load(ck, "generation_config.json", &root, err);
    if (status == WEFT_OK) {
        status = read_generation(root, &ck->config.generation, err);
        json_decref(root);
    } else if (status == WEFT_ERR_NOT_FOUND) {
        status = WEFT_OK;
    }
    WEFT_TRY(status);
    return weft_pixels_read_hf(ck, err);
}
