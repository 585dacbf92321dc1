/* What every checkpoint's config must fulfil, whichever kind of file it came from. */
#include <math.h>
#include <string.h>

#include "weights/checkpoint_internal.h"

int64_t weft_config_context_length(const weft_config *config) {
    const weft_text_config *text = &config->text;
    double scaled = 0;
    if (text->rope.scaling == WEFT_ROPE_YARN || text->rope.scaling == WEFT_ROPE_DYNAMIC)
        scaled = floor(text->rope.original_max_position * text->rope.factor);
    if (scaled > WEFT_POSITION_MAX) scaled = WEFT_POSITION_MAX;
    return scaled > (double)text->max_position ? (int64_t)scaled : text->max_position;
}

bool weft_config_layer_is_moe(const weft_text_config *text, int64_t layer) {
    return text->experts > 0 && !text->mlp_only[layer] && (layer + 1) % text->decoder_sparse_step == 0;
}

static weft_status check_range(const char *what, int64_t value, int64_t min, int64_t max, weft_error *err) {
    if (value >= min && value <= max) return WEFT_OK;
    return weft_fail(err, WEFT_ERR_FORMAT, "%s is %lld; %lld to %lld are possible", what, (long long)value,
                     (long long)min, (long long)max);
}

static weft_status check_text(const weft_text_config *t, weft_error *err) {
    WEFT_TRY(check_range("the vocabulary size", t->vocab_size, 1, WEFT_VOCAB_MAX, err));
    WEFT_TRY(check_range("the hidden size", t->hidden_size, 1, WEFT_WIDTH_MAX, err));
    WEFT_TRY(check_range("the number of layers", t->layers, 1, WEFT_LAYERS_MAX, err));
    WEFT_TRY(check_range("the number of attention heads", t->heads, 1, 4096, err));
    WEFT_TRY(check_range("the number of kv heads", t->kv_heads, 1, t->heads, err));
    WEFT_TRY(check_range("the head size", t->head_dim, 2, 256, err));
    WEFT_TRY(check_range("the context length", t->max_position, 1, WEFT_POSITION_MAX, err));
    if (t->heads % t->kv_heads != 0)
        return weft_fail(err, WEFT_ERR_FORMAT, "%lld attention heads cannot share %lld kv heads evenly",
                         (long long)t->heads, (long long)t->kv_heads);
    if (t->head_dim % 2 != 0)
        return weft_fail(err, WEFT_ERR_FORMAT, "the head size is %lld; rotary positions need an even one",
                         (long long)t->head_dim);
    const int *section = t->rope.section;
    if (section[0] + section[1] + section[2] > 128)
        return weft_fail(err, WEFT_ERR_FORMAT, "mrope sections %d, %d, %d need more rotary pairs than any head has",
                         section[0], section[1], section[2]);
    if (t->experts > 0) {
        WEFT_TRY(check_range("the number of experts", t->experts, 1, WEFT_EXPERTS_MAX, err));
        WEFT_TRY(check_range("the number of experts per token", t->experts_per_token, 1, t->experts, err));
        WEFT_TRY(check_range("the FFN size of an expert", t->moe_intermediate_size, 1, WEFT_WIDTH_MAX, err));
    }
    return WEFT_OK;
}

static weft_status check_vision(const weft_vision_config *v, const weft_text_config *t, weft_error *err) {
    WEFT_TRY(check_range("the vision hidden size", v->hidden_size, 1, WEFT_WIDTH_MAX, err));
    WEFT_TRY(check_range("the number of vision layers", v->layers, 1, WEFT_LAYERS_MAX, err));
    WEFT_TRY(check_range("the number of vision heads", v->heads, 1, 4096, err));
    WEFT_TRY(check_range("the vision FFN size", v->intermediate_size, 1, WEFT_WIDTH_MAX, err));
    WEFT_TRY(check_range("the patch size", v->patch_size, 1, 256, err));
    WEFT_TRY(check_range("the merge size", v->merge_size, 1, 16, err));
    WEFT_TRY(check_range("the side of the position table", v->position_side, 1, 4096, err));
    if (v->channels != 3)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "pictures of %lld channels are not supported, only 3",
                         (long long)v->channels);
    if (v->temporal_patch_size != 2)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "a temporal patch size of %lld is not supported, only 2",
                         (long long)v->temporal_patch_size);
    if (v->hidden_size % v->heads != 0 || v->hidden_size / v->heads % 4 != 0)
        return weft_fail(err, WEFT_ERR_FORMAT,
                         "%lld vision heads do not divide the vision hidden size %lld into heads of a multiple of 4",
                         (long long)v->heads, (long long)v->hidden_size);
    if (v->hidden_size / v->heads > 256)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "vision heads of %lld values are not supported, at most 256",
                         (long long)(v->hidden_size / v->heads));
    if (v->out_hidden_size != t->hidden_size)
        return weft_fail(
            err, WEFT_ERR_FORMAT,
            "the vision tower puts out %lld values, the decoder's hidden size is %lld; do the two belong together?",
            (long long)v->out_hidden_size, (long long)t->hidden_size);
    for (int i = 0; i < v->deepstack_count; i++) {
        WEFT_TRY(check_range("a DeepStack layer", v->deepstack_layers[i], 0, v->layers - 1, err));
        if (i > 0 && v->deepstack_layers[i] == v->deepstack_layers[i - 1])
            return weft_fail(err, WEFT_ERR_FORMAT, "DeepStack layer %d is named twice", v->deepstack_layers[i]);
    }
    return WEFT_OK;
}

weft_status weft_config_check(const weft_config *config, weft_error *err) {
    WEFT_TRY(check_text(&config->text, err));
    return config->vision.present ? check_vision(&config->vision, &config->text, err) : WEFT_OK;
}
