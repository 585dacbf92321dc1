/* The published shapes, and the tensors and keys of their GGUF pairs. */
#ifndef WEFT_RANDOM_MODEL_SHAPES_H
#define WEFT_RANDOM_MODEL_SHAPES_H

#include "gguf_writer.h"

typedef struct model_shape {
    const char *name; /* "4b" */
    int64_t hidden, layers, ffn, heads, kv_heads, head_dim;
    bool tied;
    int64_t experts, experts_used, expert_ffn; /* 0: dense */
    int64_t vocab, context;
    int64_t vision_hidden, vision_layers, vision_ffn, vision_heads;
    int64_t taps[3];
} model_shape;

const model_shape *shape_find(const char *name); /* NULL: unknown */
const char *shape_names(void);

/* A storage type by name, or a mix as published files have it: Q4_K_M and Q5_K_M give the value and down projections of
 * some layers and the output matrix Q6_K; the other block types keep the output matrix in Q6_K. False: unknown. */
typedef struct type_policy {
    weft_type type;
    bool mix;  /* …_M */
    bool pure; /* every matrix in `type` */
} type_policy;
bool policy_parse(const char *name, bool pure, type_policy *policy);

void shape_add_text(gguf_writer *w, const model_shape *shape, const type_policy *policy);   /* keys and tensors */
void shape_add_vision(gguf_writer *w, const model_shape *shape, const type_policy *policy); /* of the mmproj file */

#endif
