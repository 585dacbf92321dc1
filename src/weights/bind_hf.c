/* Binds the tensors of a Hugging Face checkpoint: names as published (model.language_model.layers.N…, model.visual…,
 * lm_head.weight) and the older prefixes that transformers still maps onto them.
 *
 * FP8 weights take their block scales from NAME_scale_inv, kept as owned f32. Fused experts are views of one tensor:
 * [experts, out, in] (newer files) or [experts, in, out] (published ones). */
#include <stdio.h>
#include <string.h>

#include "weights/checkpoint_internal.h"

enum { NAME_SIZE = WEFT_TENSOR_NAME_MAX + 1, PREFIX_SIZE = 96, SCALE_BLOCK = 128 };

/* A binder at work: the table, and the prefix of the part being bound. */
typedef struct binder {
    weft_checkpoint *ck;
    const weft_tensor_table *table;
    const char *prefix;
    weft_error *err;
} binder;

/* prefix + base + suffix. All parts are short and ours: the result always fits. */
static void make_name(char out[NAME_SIZE], const binder *b, const char *base, const char *suffix) {
    snprintf(out, NAME_SIZE, "%s%s%s", b->prefix, base, suffix);
}

static weft_status vector(const binder *b, const char *base, const char *suffix, int64_t count, const float **out) {
    char name[NAME_SIZE];
    make_name(name, b, base, suffix);
    return weft_bind_vector(b->ck, b->table, name, count, out, b->err);
}

static int64_t blocks(int64_t n) {
    return (n + SCALE_BLOCK - 1) / SCALE_BLOCK;
}

/* *scales = [count, ceil(rows/128), ceil(cols/128)] as f32, from a tensor of shape [rows…] or [count, rows…].
 * `swapped`: the file holds them as [.., cols, rows] and they are turned round. */
static weft_status read_scales(const binder *b, const char *name, int64_t count, int64_t rows, int64_t cols,
                               bool swapped, const float **scales) {
    const weft_tensor *t = weft_tensor_find(b->table, name);
    int64_t r = blocks(rows), c = blocks(cols);
    const int64_t shape[3] = {count, swapped ? c : r, swapped ? r : c};
    WEFT_TRY(weft_bind_shape(t, name, count ? 3 : 2, count ? shape : shape + 1, b->err));
    WEFT_TRY(weft_bind_type(t, b->err));
    int64_t n = weft_tensor_elements(t);
    float *values = weft_checkpoint_own(b->ck, (size_t)n, sizeof *values, b->err);
    if (!values) return WEFT_ERR_MEMORY;
    WEFT_TRY(weft_tensor_to_f32(t, values, b->err));
    *scales = values;
    if (!swapped) return WEFT_OK;
    float *turned = weft_checkpoint_own(b->ck, (size_t)n, sizeof *turned, b->err);
    if (!turned) return WEFT_ERR_MEMORY;
    for (int64_t e = 0; e < (count ? count : 1); e++)
        for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < c; j++) turned[(e * r + i) * c + j] = values[(e * c + j) * r + i];
    *scales = turned;
    return WEFT_OK;
}

/* base + ".weight" as [rows, cols], with its scales when it is FP8. */
static weft_status matrix(const binder *b, const char *base, int64_t rows, int64_t cols, weft_matrix *out) {
    char name[NAME_SIZE];
    make_name(name, b, base, ".weight");
    WEFT_TRY(weft_bind_matrix(b->ck, b->table, name, rows, cols, out, b->err));
    if (out->type != WEFT_F8_E4M3) return WEFT_OK;
    make_name(name, b, base, ".weight_scale_inv");
    return read_scales(b, name, 0, rows, cols, false, &out->block_scales);
}

static weft_status linear(const binder *b, const char *base, int64_t rows, int64_t cols, weft_matrix *out,
                          const float **bias) {
    WEFT_TRY(matrix(b, base, rows, cols, out));
    return vector(b, base, ".bias", rows, bias);
}

static weft_status norm(const binder *b, const char *base, int64_t count, const float **weight, const float **bias) {
    WEFT_TRY(vector(b, base, ".weight", count, weight));
    return vector(b, base, ".bias", count, bias);
}

/* ---- experts ---- */

/* One fused tensor base as [experts, rows, cols] or [experts, cols, rows]; *whole describes expert 0, *step the bytes
 * from one expert to the next. When both readings fit, the first is meant (transformers: Transpose(check_dims=True)).
 */
static weft_status fused(const binder *b, const char *base, int64_t rows, int64_t cols, weft_matrix *whole,
                         size_t *step) {
    char name[NAME_SIZE];
    int64_t experts = b->ck->config.text.experts;
    make_name(name, b, base, "");
    const weft_tensor *t = weft_tensor_find(b->table, name);
    const int64_t straight[3] = {experts, rows, cols}, swapped[3] = {experts, cols, rows};
    *whole = (weft_matrix){.rows = rows, .cols = cols};
    whole->transposed = t && t->dims == 3 && memcmp(t->shape, straight, sizeof straight) != 0 &&
                        memcmp(t->shape, swapped, sizeof swapped) == 0;
    WEFT_TRY(weft_bind_shape(t, name, 3, whole->transposed ? swapped : straight, b->err));
    WEFT_TRY(weft_bind_type(t, b->err));
    whole->type = t->type;
    whole->stride = whole->transposed ? rows : 0;
    *step = t->bytes / (size_t)experts;
    WEFT_TRY(weft_bind_data(b->ck, t, &whole->data, b->err));
    if (t->type != WEFT_F8_E4M3) return WEFT_OK;
    make_name(name, b, base, "_scale_inv");
    return read_scales(b, name, experts, rows, cols, whole->transposed, &whole->block_scales);
}

/* Rows [first, first + count) of expert `e`. */
static weft_matrix slice(const weft_matrix *whole, size_t step, int64_t e, int64_t first, int64_t count) {
    weft_matrix m = *whole;
    size_t value = weft_type_row_bytes(whole->type, 1);
    m.data = (const uint8_t *)whole->data + (size_t)e * step +
             (size_t)first * value * (size_t)(whole->transposed ? 1 : whole->cols);
    m.rows = count;
    if (m.block_scales) m.block_scales += (e * blocks(whole->rows) + first / SCALE_BLOCK) * blocks(whole->cols);
    return m;
}

static weft_status fused_experts(const binder *b, weft_text_layer *layer) {
    const weft_text_config *t = &b->ck->config.text;
    int64_t inter = t->moe_intermediate_size;
    weft_matrix gate_up, down;
    size_t gate_up_step, down_step;
    WEFT_TRY(fused(b, "mlp.experts.gate_up_proj", 2 * inter, t->hidden_size, &gate_up, &gate_up_step));
    WEFT_TRY(fused(b, "mlp.experts.down_proj", t->hidden_size, inter, &down, &down_step));
    if (gate_up.block_scales && inter % SCALE_BLOCK != 0)
        return weft_fail(b->err, WEFT_ERR_UNSUPPORTED,
                         "tensor '%smlp.experts.gate_up_proj': FP8 experts of %lld rows share scale blocks between "
                         "gate and up; a multiple of %d is supported",
                         b->prefix, (long long)inter, SCALE_BLOCK);
    for (int64_t e = 0; e < t->experts; e++) {
        layer->expert_gate[e] = slice(&gate_up, gate_up_step, e, 0, inter);
        layer->expert_up[e] = slice(&gate_up, gate_up_step, e, inter, inter);
        layer->expert_down[e] = slice(&down, down_step, e, 0, t->hidden_size);
    }
    return WEFT_OK;
}

static weft_status single_experts(const binder *b, weft_text_layer *layer) {
    const weft_text_config *t = &b->ck->config.text;
    char base[64];
    for (int64_t e = 0; e < t->experts; e++) {
        snprintf(base, sizeof base, "mlp.experts.%lld.gate_proj", (long long)e);
        WEFT_TRY(matrix(b, base, t->moe_intermediate_size, t->hidden_size, &layer->expert_gate[e]));
        snprintf(base, sizeof base, "mlp.experts.%lld.up_proj", (long long)e);
        WEFT_TRY(matrix(b, base, t->moe_intermediate_size, t->hidden_size, &layer->expert_up[e]));
        snprintf(base, sizeof base, "mlp.experts.%lld.down_proj", (long long)e);
        WEFT_TRY(matrix(b, base, t->hidden_size, t->moe_intermediate_size, &layer->expert_down[e]));
    }
    return WEFT_OK;
}

static weft_status experts(const binder *b, weft_text_layer *layer) {
    const weft_text_config *t = &b->ck->config.text;
    char name[NAME_SIZE];
    WEFT_TRY(matrix(b, "mlp.gate", t->experts, t->hidden_size, &layer->router));
    weft_matrix *all = weft_checkpoint_own(b->ck, (size_t)t->experts * 3, sizeof *all, b->err);
    if (!all) return WEFT_ERR_MEMORY;
    layer->expert_gate = all;
    layer->expert_up = all + t->experts;
    layer->expert_down = all + 2 * t->experts;
    make_name(name, b, "mlp.experts.0.gate_proj", ".weight");
    return weft_tensor_find(b->table, name) ? single_experts(b, layer) : fused_experts(b, layer);
}

/* ---- decoder ---- */

static weft_status text_layer(const binder *b, weft_text_layer *layer) {
    const weft_text_config *t = &b->ck->config.text;
    int64_t hidden = t->hidden_size, q = t->heads * t->head_dim, kv = t->kv_heads * t->head_dim;
    WEFT_TRY(vector(b, "input_layernorm", ".weight", hidden, &layer->input_norm));
    WEFT_TRY(vector(b, "post_attention_layernorm", ".weight", hidden, &layer->post_norm));
    WEFT_TRY(matrix(b, "self_attn.q_proj", q, hidden, &layer->q));
    WEFT_TRY(matrix(b, "self_attn.k_proj", kv, hidden, &layer->k));
    WEFT_TRY(matrix(b, "self_attn.v_proj", kv, hidden, &layer->v));
    WEFT_TRY(matrix(b, "self_attn.o_proj", hidden, q, &layer->o));
    WEFT_TRY(vector(b, "self_attn.q_norm", ".weight", t->head_dim, &layer->q_norm));
    WEFT_TRY(vector(b, "self_attn.k_norm", ".weight", t->head_dim, &layer->k_norm));
    if (layer->moe) return experts(b, layer);
    WEFT_TRY(matrix(b, "mlp.gate_proj", t->intermediate_size, hidden, &layer->gate));
    WEFT_TRY(matrix(b, "mlp.up_proj", t->intermediate_size, hidden, &layer->up));
    return matrix(b, "mlp.down_proj", hidden, t->intermediate_size, &layer->down);
}

/* The first prefix with which `probe` exists, or NULL. */
static const char *find_prefix(const binder *b, const char *const *prefixes, const char *probe) {
    char name[NAME_SIZE];
    for (; *prefixes; prefixes++) {
        snprintf(name, sizeof name, "%s%s", *prefixes, probe);
        if (weft_tensor_find(b->table, name)) return *prefixes;
    }
    return NULL;
}

/* The head is lm_head when the file has one, whatever the config says of tying (a tied file that holds it holds the
 * same values, and one that holds others is not tied: transformers' tie_weights decides so too). */
static weft_status embeddings(binder *b, weft_text_weights *out) {
    weft_text_config *t = &b->ck->config.text;
    static const char *const heads[] = {"", "language_model.", "model.", NULL};
    const char *text_prefix = b->prefix, *head = find_prefix(b, heads, "lm_head.weight");
    char name[NAME_SIZE];
    make_name(name, b, "embed_tokens", ".weight");
    bool has_embed = weft_tensor_find(b->table, name) != NULL;
    if (has_embed || !head || !t->tied_embeddings)
        WEFT_TRY(matrix(b, "embed_tokens", t->vocab_size, t->hidden_size, &out->embed));
    if (head) {
        b->prefix = head;
        weft_status status = matrix(b, "lm_head", t->vocab_size, t->hidden_size, &out->output);
        b->prefix = text_prefix;
        WEFT_TRY(status);
        if (!out->embed.data) out->embed = out->output;
        t->tied_embeddings = out->embed.data == out->output.data;
        return WEFT_OK;
    }
    if (!t->tied_embeddings)
        weft_checkpoint_warn(b->ck, "there is no lm_head.weight though the config does not tie the embeddings: the "
                                    "embeddings are used as the head");
    t->tied_embeddings = true;
    out->output = out->embed;
    return WEFT_OK;
}

static weft_status bind_text(binder *b) {
    weft_text_config *t = &b->ck->config.text;
    weft_text_weights *out = &b->ck->text;
    static const char *const prefixes[] = {
        "model.language_model.", "language_model.model.", "language_model.", "model.", "", NULL};
    const char *prefix = find_prefix(b, prefixes, "norm.weight");
    if (!prefix) prefix = prefixes[0]; /* the message then names the published tensor */
    b->prefix = prefix;
    WEFT_TRY(embeddings(b, out));
    WEFT_TRY(vector(b, "norm", ".weight", t->hidden_size, &out->norm));
    char layer[PREFIX_SIZE];
    for (int64_t i = 0; i < t->layers; i++) {
        snprintf(layer, sizeof layer, "%slayers.%lld.", prefix, (long long)i);
        b->prefix = layer;
        WEFT_TRY(text_layer(b, &out->layers[i]));
    }
    snprintf(layer, sizeof layer, "%slayers.%lld.input_layernorm.weight", prefix, (long long)t->layers);
    if (weft_tensor_find(b->table, layer))
        return weft_fail(b->err, WEFT_ERR_FORMAT,
                         "tensor '%s' is there, but config.json says there are only %lld layers", layer,
                         (long long)t->layers);
    return WEFT_OK;
}

/* ---- vision ---- */

static weft_status merger(const binder *b, const char *base, int64_t norm_count, weft_vision_merger *m) {
    const weft_vision_config *v = &b->ck->config.vision;
    int64_t wide = v->hidden_size * v->merge_size * v->merge_size;
    char name[96];
    snprintf(name, sizeof name, "%s.norm", base);
    WEFT_TRY(norm(b, name, norm_count, &m->norm_weight, &m->norm_bias));
    snprintf(name, sizeof name, "%s.linear_fc1", base);
    WEFT_TRY(linear(b, name, wide, wide, &m->fc1, &m->fc1_bias));
    snprintf(name, sizeof name, "%s.linear_fc2", base);
    return linear(b, name, v->out_hidden_size, wide, &m->fc2, &m->fc2_bias);
}

/* Conv3d's weight [hidden, channels, t, y, x] is the matrix already; some files store it flat. */
static weft_status patch_embed(const binder *b, weft_vision_weights *out) {
    const weft_vision_config *v = &b->ck->config.vision;
    char name[NAME_SIZE];
    make_name(name, b, "patch_embed.proj", ".weight");
    const weft_tensor *t = weft_tensor_find(b->table, name);
    const int64_t shape[5] = {v->hidden_size, v->channels, v->temporal_patch_size, v->patch_size, v->patch_size};
    const int64_t flat[2] = {shape[0], shape[1] * shape[2] * shape[3] * shape[4]};
    if (t && t->dims == 2)
        WEFT_TRY(weft_bind_shape(t, name, 2, flat, b->err));
    else
        WEFT_TRY(weft_bind_shape(t, name, 5, shape, b->err));
    WEFT_TRY(weft_bind_type(t, b->err));
    if (t->type == WEFT_F8_E4M3)
        return weft_fail(b->err, WEFT_ERR_UNSUPPORTED,
                         "tensor '%s' is stored as F8_E4M3, which is not supported for the patch embedding", name);
    out->patch_embed = (weft_matrix){.type = t->type, .rows = flat[0], .cols = flat[1]};
    WEFT_TRY(weft_bind_data(b->ck, t, &out->patch_embed.data, b->err));
    return vector(b, "patch_embed.proj", ".bias", v->hidden_size, &out->patch_bias);
}

static weft_status positions(const binder *b, weft_vision_weights *out) {
    const weft_vision_config *v = &b->ck->config.vision;
    char name[NAME_SIZE];
    make_name(name, b, "pos_embed", ".weight");
    const weft_tensor *t = weft_tensor_find(b->table, name);
    WEFT_TRY(
        weft_bind_shape(t, name, 2, (const int64_t[]){v->position_side * v->position_side, v->hidden_size}, b->err));
    WEFT_TRY(weft_bind_type(t, b->err));
    float *values = weft_checkpoint_own(b->ck, (size_t)weft_tensor_elements(t), sizeof *values, b->err);
    if (!values) return WEFT_ERR_MEMORY;
    out->positions = values;
    return weft_tensor_to_f32(t, values, b->err);
}

static weft_status vision_layer(const binder *b, weft_vision_layer *layer) {
    const weft_vision_config *v = &b->ck->config.vision;
    int64_t hidden = v->hidden_size, ffn = v->intermediate_size;
    WEFT_TRY(norm(b, "norm1", hidden, &layer->norm1_weight, &layer->norm1_bias));
    WEFT_TRY(norm(b, "norm2", hidden, &layer->norm2_weight, &layer->norm2_bias));
    WEFT_TRY(linear(b, "attn.qkv", 3 * hidden, hidden, &layer->qkv, &layer->qkv_bias));
    WEFT_TRY(linear(b, "attn.proj", hidden, hidden, &layer->proj, &layer->proj_bias));
    WEFT_TRY(linear(b, "mlp.linear_fc1", ffn, hidden, &layer->fc1, &layer->fc1_bias));
    return linear(b, "mlp.linear_fc2", hidden, ffn, &layer->fc2, &layer->fc2_bias);
}

static weft_status bind_vision(binder *b, const char *prefix) {
    const weft_vision_config *v = &b->ck->config.vision;
    weft_vision_weights *out = &b->ck->vision;
    char name[PREFIX_SIZE];
    b->prefix = prefix;
    WEFT_TRY(patch_embed(b, out));
    WEFT_TRY(positions(b, out));
    WEFT_TRY(merger(b, "merger", v->hidden_size, &out->merger));
    for (int i = 0; i < v->deepstack_count; i++) {
        snprintf(name, sizeof name, "deepstack_merger_list.%d", v->deepstack_mergers[i]);
        WEFT_TRY(merger(b, name, v->hidden_size * v->merge_size * v->merge_size, &out->deepstack[i]));
    }
    for (int64_t i = 0; i < v->layers; i++) {
        snprintf(name, sizeof name, "%sblocks.%lld.", prefix, (long long)i);
        b->prefix = name;
        WEFT_TRY(vision_layer(b, &out->layers[i]));
    }
    return WEFT_OK;
}

weft_status weft_bind_hf(weft_checkpoint *ck, weft_error *err) {
    binder b = {ck, weft_safetensors_tensors(ck->safetensors), "", err};
    static const char *const prefixes[] = {"model.visual.", "visual.", "vision_model.", NULL};
    const char *vision = find_prefix(&b, prefixes, "patch_embed.proj.weight");
    if (!vision && ck->config.vision.present) {
        ck->config.vision.present = false;
        weft_checkpoint_warn(
            ck, "the checkpoint holds no vision tower (tensor 'model.visual.patch_embed.proj.weight'): text only");
    }
    WEFT_TRY(weft_bind_allocate(ck, err));
    WEFT_TRY(bind_text(&b));
    return ck->config.vision.present ? bind_vision(&b, vision) : WEFT_OK;
}
