/* What a checkpoint says of its own shape: every number comes from its files, none from a table of ours. */
#ifndef WEFT_WEIGHTS_CONFIG_H
#define WEFT_WEIGHTS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WEFT_DEEPSTACK_MAX = 16,
    WEFT_EOS_MAX = 8,
    WEFT_LAYERS_MAX = 1024,
    WEFT_EXPERTS_MAX = 4096,
    WEFT_WIDTH_MAX = 1 << 20, /* of any hidden, FFN or head size */
    WEFT_VOCAB_MAX = 1 << 24,
    WEFT_POSITION_MAX = 1 << 28,
};

/* How the three position axes share the rotary pairs. */
typedef enum weft_rope_layout {
    WEFT_ROPE_STANDARD,    /* one axis: t */
    WEFT_ROPE_CHUNKED,     /* Qwen2-VL: first section[0] pairs t, then h, then w */
    WEFT_ROPE_INTERLEAVED, /* Qwen3-VL: pair j is h if j % 3 == 1 && j < 3*section[1], w if j % 3 == 2 && j <
                              3*section[2], else t */
} weft_rope_layout;

typedef enum weft_rope_scaling {
    WEFT_ROPE_DEFAULT,
    WEFT_ROPE_LINEAR,
    WEFT_ROPE_DYNAMIC, /* NTK */
    WEFT_ROPE_YARN,
} weft_rope_scaling;

typedef struct weft_rope_config {
    double theta;
    weft_rope_layout layout;
    int section[3]; /* pairs for t, h, w */
    weft_rope_scaling scaling;
    double factor;                 /* >= 1 */
    double original_max_position;  /* yarn, dynamic; 0: max_position of the config */
    double beta_fast, beta_slow;   /* yarn: 32, 1 */
    double attention_factor;       /* yarn: 0 = computed (0.1 ln(factor) + 1, or from mscale, mscale_all_dim) */
    double mscale, mscale_all_dim; /* 0 = absent */
    bool truncate;                 /* yarn: floor and ceil the correction range (default true) */
} weft_rope_config;

typedef struct weft_text_config {
    int64_t vocab_size, hidden_size, layers, heads, kv_heads, head_dim, intermediate_size;
    int64_t max_position; /* as stated; see weft_config_context_length */
    double rms_norm_eps;
    bool tied_embeddings;
    weft_rope_config rope;
    /* MoE: experts == 0 means dense everywhere */
    int64_t experts, experts_per_token, moe_intermediate_size;
    bool norm_topk_prob;
    int64_t decoder_sparse_step; /* layer i is MoE if experts > 0, not mlp_only and (i + 1) % step == 0 */
    bool mlp_only[WEFT_LAYERS_MAX];
} weft_text_config;

typedef struct weft_vision_config {
    bool present; /* false: text only */
    int64_t hidden_size, layers, heads, intermediate_size, out_hidden_size;
    int64_t patch_size, temporal_patch_size, merge_size, channels;
    int64_t position_side; /* the learned table is position_side x position_side */
    double layer_norm_eps; /* 1e-6 */
    double rope_theta;     /* 10,000 */
    int deepstack_count;
    int deepstack_layers[WEFT_DEEPSTACK_MAX];  /* 0-based ViT layer of each tap, ascending */
    int deepstack_mergers[WEFT_DEEPSTACK_MAX]; /* which merger of the file belongs to tap i (used by the binder) */
} weft_vision_config;

typedef struct weft_pixels_config { /* preprocessor_config.json or video_preprocessor_config.json */
    int64_t min_pixels, max_pixels; /* image: area; video: over T*H*W */
    float mean[3], std[3];
    double rescale;                 /* 1/255 */
    double fps;                     /* video: 2 */
    int64_t min_frames, max_frames; /* video: 4, 768 */
    /* video: at most max_video_tokens * factor^2 pixels a frame (and max_pixels / frames, but at least 1.05 *
     * min_pixels); off unless the checkpoint asks for it (transformers: Qwen3VLVideoProcessor.resize) */
    bool cap_pixels_per_frame;
    int64_t max_video_tokens;
} weft_pixels_config;

typedef struct weft_generation_config { /* generation_config.json; `has_*` false: not stated */
    bool do_sample, has_do_sample;
    double temperature, top_p, min_p, repetition_penalty, presence_penalty;
    bool has_temperature, has_top_p, has_min_p, has_repetition_penalty, has_presence_penalty;
    int64_t top_k;
    bool has_top_k;
    int64_t eos[WEFT_EOS_MAX];
    int eos_count;
} weft_generation_config;

typedef struct weft_token_ids { /* -1: not stated */
    int64_t image_pad, video_pad, vision_start, vision_end;
} weft_token_ids;

typedef struct weft_config {
    char architecture[64]; /* "qwen3_vl", "qwen3_vl_moe" */
    char name[256];        /* general.name or the folder's name */
    weft_text_config text;
    weft_vision_config vision;
    weft_pixels_config image, video;
    weft_generation_config generation;
    weft_token_ids ids;
} weft_config;

/* Positions that the model can address: what the config states, or the scaled original length where that is more. */
int64_t weft_config_context_length(const weft_config *config);
/* Whether decoder layer `layer` is a mixture of experts. */
bool weft_config_layer_is_moe(const weft_text_config *text, int64_t layer);

#endif
