/* Binds the tensors of a text GGUF and its mmproj, by the names that llama.cpp's converter writes.
 *
 * Quantised matrices stay as they are. Owned copies are made of norms, biases and the position table (f32), of the
 * patch embedding (its two temporal slices are interleaved into one matrix) and of q, k, v of the vision tower where a
 * file keeps them apart. */
#include <stdio.h>
#include <string.h>

#include "weights/checkpoint_internal.h"

enum { NAME_SIZE = 128 };

typedef struct binder {
    weft_checkpoint *ck;
    const weft_tensor_table *table;
    char prefix[64]; /* "blk.7." */
    weft_error *err;
} binder;

static void make_name(char out[NAME_SIZE], const binder *b, const char *base, const char *suffix) {
    snprintf(out, NAME_SIZE, "%s%s%s", b->prefix, base, suffix);
}

static weft_status vector(const binder *b, const char *base, const char *suffix, int64_t count, const float **out) {
    char name[NAME_SIZE];
    make_name(name, b, base, suffix);
    return weft_bind_vector(b->ck, b->table, name, count, out, b->err);
}

static weft_status matrix(const binder *b, const char *base, int64_t rows, int64_t cols, weft_matrix *out) {
    char name[NAME_SIZE];
    make_name(name, b, base, ".weight");
    return weft_bind_matrix(b->ck, b->table, name, rows, cols, out, b->err);
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

/* ---- decoder ---- */

/* One tensor [experts, rows, cols]; *out holds a view of each expert. */
static weft_status expert_matrices(const binder *b, const char *base, int64_t rows, int64_t cols, weft_matrix *out) {
    char name[NAME_SIZE];
    int64_t experts = b->ck->config.text.experts;
    make_name(name, b, base, ".weight");
    const weft_tensor *t = weft_tensor_find(b->table, name);
    WEFT_TRY(weft_bind_shape(t, name, 3, (const int64_t[]){experts, rows, cols}, b->err));
    WEFT_TRY(weft_bind_type(t, b->err));
    const void *data;
    WEFT_TRY(weft_bind_data(b->ck, t, &data, b->err));
    size_t step = t->bytes / (size_t)experts;
    for (int64_t e = 0; e < experts; e++)
        out[e] = (weft_matrix){
            .data = (const uint8_t *)data + (size_t)e * step, .type = t->type, .rows = rows, .cols = cols};
    return WEFT_OK;
}

static weft_status experts(const binder *b, weft_text_layer *layer) {
    const weft_text_config *t = &b->ck->config.text;
    WEFT_TRY(matrix(b, "ffn_gate_inp", t->experts, t->hidden_size, &layer->router));
    weft_matrix *all = weft_checkpoint_own(b->ck, (size_t)t->experts * 3, sizeof *all, b->err);
    if (!all) return WEFT_ERR_MEMORY;
    layer->expert_gate = all;
    layer->expert_up = all + t->experts;
    layer->expert_down = all + 2 * t->experts;
    WEFT_TRY(expert_matrices(b, "ffn_gate_exps", t->moe_intermediate_size, t->hidden_size, layer->expert_gate));
    WEFT_TRY(expert_matrices(b, "ffn_up_exps", t->moe_intermediate_size, t->hidden_size, layer->expert_up));
    return expert_matrices(b, "ffn_down_exps", t->hidden_size, t->moe_intermediate_size, layer->expert_down);
}

static weft_status text_layer(const binder *b, weft_text_layer *layer) {
    const weft_text_config *t = &b->ck->config.text;
    int64_t hidden = t->hidden_size, q = t->heads * t->head_dim, kv = t->kv_heads * t->head_dim;
    WEFT_TRY(vector(b, "attn_norm", ".weight", hidden, &layer->input_norm));
    WEFT_TRY(vector(b, "ffn_norm", ".weight", hidden, &layer->post_norm));
    WEFT_TRY(matrix(b, "attn_q", q, hidden, &layer->q));
    WEFT_TRY(matrix(b, "attn_k", kv, hidden, &layer->k));
    WEFT_TRY(matrix(b, "attn_v", kv, hidden, &layer->v));
    WEFT_TRY(matrix(b, "attn_output", hidden, q, &layer->o));
    WEFT_TRY(vector(b, "attn_q_norm", ".weight", t->head_dim, &layer->q_norm));
    WEFT_TRY(vector(b, "attn_k_norm", ".weight", t->head_dim, &layer->k_norm));
    if (layer->moe) return experts(b, layer);
    WEFT_TRY(matrix(b, "ffn_gate", t->intermediate_size, hidden, &layer->gate));
    WEFT_TRY(matrix(b, "ffn_up", t->intermediate_size, hidden, &layer->up));
    return matrix(b, "ffn_down", hidden, t->intermediate_size, &layer->down);
}

static weft_status bind_text(weft_checkpoint *ck, weft_error *err) {
    const weft_text_config *t = &ck->config.text;
    weft_text_weights *out = &ck->text;
    binder b = {ck, weft_gguf_tensors(ck->gguf), "", err};
    WEFT_TRY(matrix(&b, "token_embd", t->vocab_size, t->hidden_size, &out->embed));
    WEFT_TRY(vector(&b, "output_norm", ".weight", t->hidden_size, &out->norm));
    out->output = out->embed;
    if (!t->tied_embeddings) WEFT_TRY(matrix(&b, "output", t->vocab_size, t->hidden_size, &out->output));
    for (int64_t i = 0; i < t->layers; i++) {
        snprintf(b.prefix, sizeof b.prefix, "blk.%lld.", (long long)i);
        WEFT_TRY(text_layer(&b, &out->layers[i]));
    }
    snprintf(b.prefix, sizeof b.prefix, "blk.%lld.attn_norm.weight", (long long)t->layers);
    if (weft_tensor_find(b.table, b.prefix))
        return weft_fail(err, WEFT_ERR_FORMAT, "tensor '%s' is there, but the metadata says there are only %lld layers",
                         b.prefix, (long long)t->layers);
    return WEFT_OK;
}

/* ---- vision ---- */

/* Row h of the result is (channel, t, y, x): from each slice in turn, one channel's patch*patch values. */
static void interleave(uint8_t *out, const uint8_t *slice0, const uint8_t *slice1, int64_t rows, size_t run) {
    for (int64_t i = 0; i < rows; i++) {
        memcpy(out + (size_t)i * 2 * run, slice0 + (size_t)i * run, run);
        memcpy(out + (size_t)i * 2 * run + run, slice1 + (size_t)i * run, run);
    }
}

/* The values of a slice as f32, in scratch of the checkpoint. */
static weft_status slice_f32(const binder *b, const weft_tensor *t, const void **out) {
    float *values = weft_checkpoint_own(b->ck, (size_t)weft_tensor_elements(t), sizeof *values, b->err);
    if (!values) return WEFT_ERR_MEMORY;
    *out = values;
    return weft_tensor_to_f32(t, values, b->err);
}

static weft_status patch_embed(const binder *b, weft_vision_weights *out) {
    const weft_vision_config *v = &b->ck->config.vision;
    const int64_t shape[4] = {v->hidden_size, v->channels, v->patch_size, v->patch_size};
    static const char *const names[2] = {"v.patch_embd.weight", "v.patch_embd.weight.1"};
    const weft_tensor *t[2];
    for (int i = 0; i < 2; i++) {
        t[i] = weft_tensor_find(b->table, names[i]);
        WEFT_TRY(weft_bind_shape(t[i], names[i], 4, shape, b->err));
        WEFT_TRY(weft_bind_type(t[i], b->err));
    }
    /* Runs of patch*patch values can only be moved as they are when they are not packed into blocks. */
    bool plain = t[0]->type == t[1]->type && weft_type_block_values(t[0]->type) == 1;
    weft_type type = plain ? t[0]->type : WEFT_F32;
    const void *slices[2] = {t[0]->data, t[1]->data};
    for (int i = 0; i < 2 && !plain; i++) WEFT_TRY(slice_f32(b, t[i], &slices[i]));
    size_t run = weft_type_row_bytes(type, 1) * (size_t)(v->patch_size * v->patch_size);
    int64_t runs = v->hidden_size * v->channels;
    uint8_t *data = weft_checkpoint_own(b->ck, (size_t)runs * 2, run, b->err);
    if (!data) return WEFT_ERR_MEMORY;
    interleave(data, slices[0], slices[1], runs, run);
    out->patch_embed = (weft_matrix){
        .data = data, .type = type, .rows = v->hidden_size, .cols = v->channels * 2 * v->patch_size * v->patch_size};
    return vector(b, "v.patch_embd", ".bias", v->hidden_size, &out->patch_bias);
}

static weft_status positions(const binder *b, weft_vision_weights *out) {
    const weft_vision_config *v = &b->ck->config.vision;
    const char *name = "v.position_embd.weight";
    const weft_tensor *t = weft_tensor_find(b->table, name);
    WEFT_TRY(
        weft_bind_shape(t, name, 2, (const int64_t[]){v->position_side * v->position_side, v->hidden_size}, b->err));
    WEFT_TRY(weft_bind_type(t, b->err));
    const void *values;
    WEFT_TRY(slice_f32(b, t, &values));
    out->positions = values;
    return WEFT_OK;
}

/* q, k and v of their own, stacked into one owned matrix and one bias. */
static weft_status join_qkv(const binder *b, weft_vision_layer *layer) {
    static const char *const names[3] = {"attn_q", "attn_k", "attn_v"};
    int64_t hidden = b->ck->config.vision.hidden_size;
    weft_matrix parts[3];
    float *bias = weft_checkpoint_own(b->ck, (size_t)hidden * 3, sizeof *bias, b->err);
    if (!bias) return WEFT_ERR_MEMORY;
    for (int i = 0; i < 3; i++) {
        const float *part_bias;
        WEFT_TRY(linear(b, names[i], hidden, hidden, &parts[i], &part_bias));
        memcpy(bias + i * hidden, part_bias, (size_t)hidden * sizeof *bias);
        if (parts[i].type != parts[0].type)
            return weft_fail(b->err, WEFT_ERR_UNSUPPORTED,
                             "tensors '%sattn_q.weight' and '%s%s.weight' have different types, which is not supported",
                             b->prefix, b->prefix, names[i]);
    }
    size_t bytes = weft_type_row_bytes(parts[0].type, hidden) * (size_t)hidden;
    uint8_t *data = weft_checkpoint_own(b->ck, 3, bytes, b->err);
    if (!data) return WEFT_ERR_MEMORY;
    for (int i = 0; i < 3; i++) memcpy(data + (size_t)i * bytes, parts[i].data, bytes);
    layer->qkv = (weft_matrix){.data = data, .type = parts[0].type, .rows = 3 * hidden, .cols = hidden};
    layer->qkv_bias = bias;
    return WEFT_OK;
}

static weft_status vision_layer(const binder *b, weft_vision_layer *layer) {
    const weft_vision_config *v = &b->ck->config.vision;
    int64_t hidden = v->hidden_size, ffn = v->intermediate_size;
    char name[NAME_SIZE];
    WEFT_TRY(norm(b, "ln1", hidden, &layer->norm1_weight, &layer->norm1_bias));
    WEFT_TRY(norm(b, "ln2", hidden, &layer->norm2_weight, &layer->norm2_bias));
    make_name(name, b, "attn_q", ".weight");
    if (weft_tensor_find(b->table, name))
        WEFT_TRY(join_qkv(b, layer));
    else
        WEFT_TRY(linear(b, "attn_qkv", 3 * hidden, hidden, &layer->qkv, &layer->qkv_bias));
    WEFT_TRY(linear(b, "attn_out", hidden, hidden, &layer->proj, &layer->proj_bias));
    WEFT_TRY(linear(b, "ffn_up", ffn, hidden, &layer->fc1, &layer->fc1_bias));
    return linear(b, "ffn_down", hidden, ffn, &layer->fc2, &layer->fc2_bias);
}

static weft_status merger(const binder *b, const char *norm_name, const char *fc1, const char *fc2, int64_t norm_count,
                          weft_vision_merger *m) {
    const weft_vision_config *v = &b->ck->config.vision;
    int64_t wide = v->hidden_size * v->merge_size * v->merge_size;
    WEFT_TRY(norm(b, norm_name, norm_count, &m->norm_weight, &m->norm_bias));
    WEFT_TRY(linear(b, fc1, wide, wide, &m->fc1, &m->fc1_bias));
    return linear(b, fc2, v->out_hidden_size, wide, &m->fc2, &m->fc2_bias);
}

static weft_status bind_vision(weft_checkpoint *ck, weft_error *err) {
    const weft_vision_config *v = &ck->config.vision;
    binder b = {ck, weft_gguf_tensors(ck->mmproj), "", err};
    WEFT_TRY(patch_embed(&b, &ck->vision));
    WEFT_TRY(positions(&b, &ck->vision));
    WEFT_TRY(merger(&b, "v.post_ln", "mm.0", "mm.2", v->hidden_size, &ck->vision.merger));
    for (int64_t i = 0; i < v->layers; i++) {
        snprintf(b.prefix, sizeof b.prefix, "v.blk.%lld.", (long long)i);
        WEFT_TRY(vision_layer(&b, &ck->vision.layers[i]));
    }
    for (int i = 0; i < v->deepstack_count; i++) {
        snprintf(b.prefix, sizeof b.prefix, "v.deepstack.%d.", v->deepstack_mergers[i]);
        WEFT_TRY(
            merger(&b, "norm", "fc1", "fc2", v->hidden_size * v->merge_size * v->merge_size, &ck->vision.deepstack[i]));
    }
    return WEFT_OK;
}

weft_status weft_bind_gguf(weft_checkpoint *ck, weft_error *err) {
    WEFT_TRY(weft_bind_allocate(ck, err));
    WEFT_TRY(bind_text(ck, err));
    return ck->mmproj ? bind_vision(ck, err) : WEFT_OK;
}
