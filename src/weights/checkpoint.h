/* A published checkpoint, of either kind, opened in place: its config, and its weights bound to their places.
 *
 * Accepts a Hugging Face folder (config.json, safetensors single or sharded), a text GGUF (with its mmproj beside it or
 * named), or a folder that holds GGUF files. Everything is mapped, nothing is copied except norms, biases and small
 * tensors that must be f32. All pointers stay valid until close. */
#ifndef WEFT_WEIGHTS_CHECKPOINT_H
#define WEFT_WEIGHTS_CHECKPOINT_H

#include "base/buffer.h"
#include "weights/config.h"
#include "weights/gguf.h"
#include "weights/tensor.h"

typedef struct weft_checkpoint weft_checkpoint;

/* One ViT block. */
typedef struct weft_vision_layer {
    const float *norm1_weight, *norm1_bias; /* [vision hidden] */
    const float *norm2_weight, *norm2_bias;
    weft_matrix qkv; /* [3*hidden, hidden] */
    const float *qkv_bias;
    weft_matrix proj; /* [hidden, hidden] */
    const float *proj_bias;
    weft_matrix fc1; /* [ffn, hidden] */
    const float *fc1_bias;
    weft_matrix fc2; /* [hidden, ffn] */
    const float *fc2_bias;
} weft_vision_layer;

/* The merger, and each DeepStack merger: norm, fc1 [4h,4h], GELU(erf), fc2 [out,4h]. */
typedef struct weft_vision_merger {
    const float *norm_weight, *norm_bias; /* merger: [hidden]; DeepStack: [4*hidden] (normalised after concatenation) */
    weft_matrix fc1, fc2;
    const float *fc1_bias, *fc2_bias;
} weft_vision_merger;

typedef struct weft_vision_weights {
    weft_matrix patch_embed; /* [hidden, 3*2*16*16], columns in order (channel, t, y, x) */
    const float *patch_bias;
    const float *positions; /* [side*side, hidden] f32 */
    weft_vision_layer *layers;
    weft_vision_merger merger;
    weft_vision_merger deepstack[WEFT_DEEPSTACK_MAX];
} weft_vision_weights;

/* One decoder layer, dense or MoE. */
typedef struct weft_text_layer {
    const float *input_norm, *post_norm; /* [hidden] */
    weft_matrix q, k, v, o;              /* [heads*hd, hidden], [kv*hd, hidden], [kv*hd, hidden], [hidden, heads*hd] */
    const float *q_norm, *k_norm;        /* [head_dim] */
    bool moe;
    weft_matrix gate, up, down;                         /* dense: [ffn, hidden], [ffn, hidden], [hidden, ffn] */
    weft_matrix router;                                 /* [experts, hidden] */
    weft_matrix *expert_gate, *expert_up, *expert_down; /* [experts] each; views, possibly transposed or strided */
} weft_text_layer;

typedef struct weft_text_weights {
    weft_matrix embed;  /* [vocab, hidden] */
    const float *norm;  /* [hidden] */
    weft_matrix output; /* [vocab, hidden]; the same view as embed when tied */
    weft_text_layer *layers;
} weft_text_weights;

/* Where the tokenizer and the chat template of the checkpoint are to be read from. */
typedef struct weft_text_sources {
    const char *tokenizer_json;        /* path or NULL */
    const char *tokenizer_config_json; /* path or NULL */
    const weft_gguf *gguf;             /* tokenizer.ggml.* are here, or NULL */
    const char *chat_template;         /* the template's text, or NULL when the checkpoint has none */
    const char *chat_template_origin;  /* "chat_template.jinja", "tokenizer.chat_template", … for messages */
} weft_text_sources;

/* `mmproj` NULL: looked for beside a GGUF. Checks every shape against the config; refuses what does not fit by name. */
weft_status weft_checkpoint_open(const char *path, const char *mmproj, weft_checkpoint **checkpoint, weft_error *err);
void weft_checkpoint_close(weft_checkpoint *checkpoint);
const weft_config *weft_checkpoint_config(const weft_checkpoint *checkpoint);
const weft_text_weights *weft_checkpoint_text(const weft_checkpoint *checkpoint);
const weft_vision_weights *weft_checkpoint_vision(const weft_checkpoint *checkpoint); /* NULL: text only */
const weft_text_sources *weft_checkpoint_sources(const weft_checkpoint *checkpoint);
uint64_t weft_checkpoint_file_bytes(const weft_checkpoint *checkpoint);
uint64_t weft_checkpoint_parameters(const weft_checkpoint *checkpoint);
/* A hash that another model has not, by what the tensors are called and hold (a few hundred bytes of each), the
 * configuration and the chat template, wherever the files lie. Not against somebody who wants two alike. */
uint64_t weft_checkpoint_identity(const weft_checkpoint *checkpoint);
/* Things worth telling the user that are not errors ("no preprocessor_config.json: using the shipped defaults"), or
 * NULL past the end. */
const char *weft_checkpoint_warning(const weft_checkpoint *checkpoint, int index);

/* What `weft inspect` prints: files, layout, shapes, types, sizes, context, what is missing. Works as far as it can on
 * a checkpoint that would not open, and says why not: then the status is the reason and *out holds what was readable.
 * *out is initialised here and freed by the caller, whatever the status. `json`: one JSON object instead of the table.
 */
weft_status weft_checkpoint_inspect(const char *path, const char *mmproj, bool json, weft_buffer *out, weft_error *err);

#endif
