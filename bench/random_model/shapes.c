/* The published shapes, and the tensors and keys of their GGUF pairs: see shapes.h. */
#include "shapes.h"

#include <math.h>
#include <string.h>

#define SMALL_TOWER                                                                                                    \
    .vision_hidden = 1024, .vision_layers = 24, .vision_ffn = 4096, .vision_heads = 16, .taps = {5, 11, 17}
#define LARGE_TOWER                                                                                                    \
    .vision_hidden = 1152, .vision_layers = 27, .vision_ffn = 4304, .vision_heads = 16, .taps = {8, 16, 24}
#define COMMON .head_dim = 128, .vocab = 151936, .context = 262144

static const model_shape shapes[] = {
    {.name = "2b",
     .hidden = 2048,
     .layers = 28,
     .ffn = 6144,
     .heads = 16,
     .kv_heads = 8,
     .tied = true,
     COMMON,
     SMALL_TOWER},
    {.name = "4b",
     .hidden = 2560,
     .layers = 36,
     .ffn = 9728,
     .heads = 32,
     .kv_heads = 8,
     .tied = true,
     COMMON,
     SMALL_TOWER},
    {.name = "8b", .hidden = 4096, .layers = 36, .ffn = 12288, .heads = 32, .kv_heads = 8, COMMON, LARGE_TOWER},
    {.name = "32b", .hidden = 5120, .layers = 64, .ffn = 25600, .heads = 64, .kv_heads = 8, COMMON, LARGE_TOWER},
    {.name = "30b-a3b",
     .hidden = 2048,
     .layers = 48,
     .ffn = 6144,
     .heads = 32,
     .kv_heads = 4,
     .experts = 128,
     .experts_used = 8,
     .expert_ffn = 768,
     COMMON,
     LARGE_TOWER},
};

const model_shape *shape_find(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    return NULL;
}

const char *shape_names(void) {
    return "2b, 4b, 8b, 32b, 30b-a3b";
}

bool policy_parse(const char *name, bool pure, type_policy *policy) {
    *policy = (type_policy){.pure = pure};
    size_t size = strlen(name);
    bool mix = size > 2 && strcmp(name + size - 2, "_M") == 0;
    for (int type = 0; type < WEFT_TYPE_COUNT; type++) {
        const char *known = weft_type_name((weft_type)type);
        if (strlen(known) != size - (mix ? 2 : 0) || strncmp(known, name, strlen(known)) != 0 || type == WEFT_F8_E4M3)
            continue;
        policy->type = (weft_type)type;
        policy->mix = mix;
        return !mix || type == WEFT_Q4_K || type == WEFT_Q5_K;
    }
    return false;
}

/* ---- which type a tensor gets ---------------------------------------------------------------------------------- */

/* Rows that are no multiple of the type's block fall back as in llama.cpp's quantiser. */
static weft_type fitting(weft_type type, int64_t cols) {
    if (cols % weft_type_block_values(type) == 0) return type;
    return cols % 32 == 0 ? WEFT_Q8_0 : WEFT_F16;
}

/* llama.cpp's rule for the finer layers of its _M mixes: the first and last eighth, and every third between. */
static bool finer_layer(int64_t layer, int64_t layers) {
    return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

static weft_type output_type(const type_policy *policy) {
    bool blocks = weft_type_block_values(policy->type) > 1;
    return policy->pure || !blocks || policy->type == WEFT_Q8_0 ? policy->type : WEFT_Q6_K;
}

static weft_type layer_type(const type_policy *policy, bool refined, int64_t layer, int64_t layers) {
    return policy->mix && refined && finer_layer(layer, layers) ? WEFT_Q6_K : policy->type;
}

/* ---- tensors --------------------------------------------------------------------------------------------------- */

/* Spreads as of trained models: rows of the embedding table are small, matrices keep the size of what they carry. */
static void add_matrix(gguf_writer *w, const char *name, int64_t outs, int64_t ins, weft_type type, float std) {
    gguf_add_tensor(w, name, 2, (int64_t[4]){ins, outs}, fitting(type, ins), 0, std);
}

static void add_norm(gguf_writer *w, const char *name, int64_t n) {
    gguf_add_tensor(w, name, 1, (int64_t[4]){n}, WEFT_F32, 1, 0.1f);
}

static void add_layer_matrix(gguf_writer *w, int64_t layer, const char *part, int64_t outs, int64_t ins,
                             weft_type type) {
    char name[96];
    snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)layer, part);
    add_matrix(w, name, outs, ins, type, 1 / sqrtf((float)ins));
}

static void add_layer_norm(gguf_writer *w, int64_t layer, const char *part, int64_t n) {
    char name[96];
    snprintf(name, sizeof name, "blk.%lld.%s.weight", (long long)layer, part);
    add_norm(w, name, n);
}

static void add_experts(gguf_writer *w, int64_t layer, const char *part, int64_t experts, int64_t outs, int64_t ins,
                        weft_type type) {
    char name[96];
    snprintf(name, sizeof name, "blk.%lld.ffn_%s_exps.weight", (long long)layer, part);
    gguf_add_tensor(w, name, 3, (int64_t[4]){ins, outs, experts}, fitting(type, ins), 0, 1 / sqrtf((float)ins));
}

static void add_text_layer(gguf_writer *w, const model_shape *s, const type_policy *policy, int64_t i) {
    weft_type plain = policy->type, finer = layer_type(policy, true, i, s->layers);
    add_layer_norm(w, i, "attn_norm", s->hidden);
    add_layer_matrix(w, i, "attn_q", s->heads * s->head_dim, s->hidden, plain);
    add_layer_matrix(w, i, "attn_k", s->kv_heads * s->head_dim, s->hidden, plain);
    add_layer_matrix(w, i, "attn_v", s->kv_heads * s->head_dim, s->hidden, finer);
    add_layer_matrix(w, i, "attn_output", s->hidden, s->heads * s->head_dim, plain);
    add_layer_norm(w, i, "attn_q_norm", s->head_dim);
    add_layer_norm(w, i, "attn_k_norm", s->head_dim);
    add_layer_norm(w, i, "ffn_norm", s->hidden);
    if (s->experts) {
        add_layer_matrix(w, i, "ffn_gate_inp", s->experts, s->hidden, WEFT_F32);
        add_experts(w, i, "gate", s->experts, s->expert_ffn, s->hidden, plain);
        add_experts(w, i, "up", s->experts, s->expert_ffn, s->hidden, plain);
        add_experts(w, i, "down", s->experts, s->hidden, s->expert_ffn, finer);
        return;
    }
    add_layer_matrix(w, i, "ffn_gate", s->ffn, s->hidden, plain);
    add_layer_matrix(w, i, "ffn_up", s->ffn, s->hidden, plain);
    add_layer_matrix(w, i, "ffn_down", s->hidden, s->ffn, finer);
}

void shape_add_text(gguf_writer *w, const model_shape *s, const type_policy *policy) {
    const char *arch = s->experts ? "qwen3vlmoe" : "qwen3vl";
    char key[96];
#define KEY(name) (snprintf(key, sizeof key, "%s." name, arch), key)
    gguf_string(w, "general.architecture", arch);
    gguf_string(w, "general.name", "random weights of a Qwen3-VL shape");
    gguf_u32(w, KEY("context_length"), (uint32_t)s->context);
    gguf_u32(w, KEY("embedding_length"), (uint32_t)s->hidden);
    gguf_u32(w, KEY("block_count"), (uint32_t)s->layers);
    gguf_u32(w, KEY("feed_forward_length"), (uint32_t)s->ffn);
    gguf_u32(w, KEY("attention.head_count"), (uint32_t)s->heads);
    gguf_u32(w, KEY("attention.head_count_kv"), (uint32_t)s->kv_heads);
    gguf_u32(w, KEY("attention.key_length"), (uint32_t)s->head_dim);
    gguf_u32(w, KEY("attention.value_length"), (uint32_t)s->head_dim);
    gguf_f32(w, KEY("attention.layer_norm_rms_epsilon"), 1e-6f);
    gguf_f32(w, KEY("rope.freq_base"), 5e6f);
    gguf_array(w, KEY("rope.dimension_sections"), 5, 4);
    gguf_put(w, (int32_t[4]){24, 20, 20, 0}, 16);
    gguf_u32(w, KEY("n_deepstack_layers"), 3);
    if (s->experts) {
        gguf_u32(w, KEY("expert_count"), (uint32_t)s->experts);
        gguf_u32(w, KEY("expert_used_count"), (uint32_t)s->experts_used);
        gguf_u32(w, KEY("expert_feed_forward_length"), (uint32_t)s->expert_ffn);
    }
#undef KEY
    add_matrix(w, "token_embd.weight", s->vocab, s->hidden, s->tied ? output_type(policy) : policy->type, 0.02f);
    for (int64_t i = 0; i < s->layers; i++) add_text_layer(w, s, policy, i);
    add_norm(w, "output_norm.weight", s->hidden);
    if (!s->tied) add_matrix(w, "output.weight", s->vocab, s->hidden, output_type(policy), 0.02f);
}

/* ---- the vision file ------------------------------------------------------------------------------------------- */

static void add_biased(gguf_writer *w, const char *name, int64_t outs, int64_t ins, weft_type type) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    if (ins)
        add_matrix(w, full, outs, ins, type, 1 / sqrtf((float)ins));
    else
        add_norm(w, full, outs);
    snprintf(full, sizeof full, "%s.bias", name);
    gguf_add_tensor(w, full, 1, (int64_t[4]){outs}, WEFT_F32, 0, 0.02f);
}

static void add_vision_keys(gguf_writer *w, const model_shape *s) {
    gguf_string(w, "general.architecture", "clip");
    gguf_string(w, "general.type", "mmproj");
    gguf_string(w, "general.name", "random vision tower of a Qwen3-VL shape");
    gguf_bool(w, "clip.has_vision_encoder", true);
    gguf_string(w, "clip.projector_type", "qwen3vl_merger");
    gguf_bool(w, "clip.use_gelu", true);
    gguf_u32(w, "clip.vision.image_size", 768);
    gguf_u32(w, "clip.vision.patch_size", 16);
    gguf_u32(w, "clip.vision.embedding_length", (uint32_t)s->vision_hidden);
    gguf_u32(w, "clip.vision.feed_forward_length", (uint32_t)s->vision_ffn);
    gguf_u32(w, "clip.vision.block_count", (uint32_t)s->vision_layers);
    gguf_u32(w, "clip.vision.projection_dim", (uint32_t)s->hidden);
    gguf_u32(w, "clip.vision.attention.head_count", (uint32_t)s->vision_heads);
    gguf_u32(w, "clip.vision.spatial_merge_size", 2);
    gguf_u32(w, "clip.vision.image_min_pixels", 65536);
    gguf_u32(w, "clip.vision.image_max_pixels", 16777216);
    gguf_f32(w, "clip.vision.attention.layer_norm_epsilon", 1e-6f);
    gguf_array(w, "clip.vision.image_mean", 6, 3);
    gguf_put(w, (float[3]){0.5f, 0.5f, 0.5f}, 12);
    gguf_array(w, "clip.vision.image_std", 6, 3);
    gguf_put(w, (float[3]){0.5f, 0.5f, 0.5f}, 12);
    gguf_array(w, "clip.vision.is_deepstack_layers", 7, (uint64_t)s->vision_layers);
    for (int64_t i = 0; i < s->vision_layers; i++) {
        uint8_t tap = i == s->taps[0] || i == s->taps[1] || i == s->taps[2];
        gguf_put(w, &tap, 1);
    }
}

void shape_add_vision(gguf_writer *w, const model_shape *s, const type_policy *policy) {
    int64_t d = s->vision_hidden, merged = 4 * d;
    weft_type type = policy->type, patch = type == WEFT_F32 ? WEFT_F32 : WEFT_F16;
    char name[64];
    add_vision_keys(w, s);
    for (int half = 0; half < 2; half++) /* the two temporal slices */
        gguf_add_tensor(w, half ? "v.patch_embd.weight.1" : "v.patch_embd.weight", 4, (int64_t[4]){16, 16, 3, d}, patch,
                        0, 1 / sqrtf(1536));
    gguf_add_tensor(w, "v.patch_embd.bias", 1, (int64_t[4]){d}, WEFT_F32, 0, 0.02f);
    gguf_add_tensor(w, "v.position_embd.weight", 2, (int64_t[4]){d, 48 * 48}, WEFT_F32, 0, 0.02f);
    for (int64_t i = 0; i < s->vision_layers; i++) {
        const struct {
            const char *part;
            int64_t outs, ins;
        } parts[] = {{"ln1", d, 0},
                     {"ln2", d, 0},
                     {"attn_qkv", 3 * d, d},
                     {"attn_out", d, d},
                     {"ffn_up", s->vision_ffn, d},
                     {"ffn_down", d, s->vision_ffn}};
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            snprintf(name, sizeof name, "v.blk.%lld.%s", (long long)i, parts[p].part);
            add_biased(w, name, parts[p].outs, parts[p].ins, type);
        }
    }
    add_biased(w, "v.post_ln", d, 0, type);
    add_biased(w, "mm.0", merged, merged, type);
    add_biased(w, "mm.2", s->hidden, merged, type);
    for (int t = 0; t < 3; t++) {
        const struct {
            const char *part;
            int64_t outs, ins;
        } parts[] = {{"norm", merged, 0}, {"fc1", merged, merged}, {"fc2", s->hidden, merged}};
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            snprintf(name, sizeof name, "v.deepstack.%lld.%s", (long long)s->taps[t], parts[p].part);
            add_biased(w, name, parts[p].outs, parts[p].ins, type);
        }
    }
}
