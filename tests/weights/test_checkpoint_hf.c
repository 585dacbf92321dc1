/* Hugging Face checkpoints: every tensor ends up in its place with its values, in all layouts that are published; what
 * does not fit is refused by name. */
#include "expect.h"

/* ---- Hugging Face ---- */

typedef enum layout { DENSE, FUSED_IN_OUT, FUSED_OUT_IN, SEPARATE } layout;

typedef struct recipe {
    weft_type type;
    layout experts;
    const char *text, *visual, *head; /* prefixes; head NULL: tied, visual NULL: text only */
    int64_t expert_inter;
    const char *skip; /* a tensor that is left out */
} recipe;

static const recipe plain = {WEFT_BF16, DENSE, "model.language_model.", "model.visual.", NULL, INTER, NULL};

typedef struct maker {
    st_writer w;
    const recipe *r;
} maker;

static void add(maker *m, const int64_t *shape, const char *prefix, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void add(maker *m, const int64_t *shape, const char *prefix, const char *format, ...) {
    char name[160];
    int n = snprintf(name, sizeof name, "%s", prefix);
    va_list args;
    va_start(args, format);
    vsnprintf(name + n, sizeof name - (size_t)n, format, args);
    va_end(args);
    if (m->r->skip && strcmp(m->r->skip, name) == 0) return;
    bool scaled =
        m->r->type == WEFT_F8_E4M3 && shape[1] && strstr(prefix, "layers.") && !strstr(name, "mlp.gate.weight");
    st_tensor(&m->w, name, scaled ? WEFT_F8_E4M3 : m->r->type == WEFT_F8_E4M3 ? WEFT_BF16 : m->r->type, shape);
    if (!scaled) return;
    int d = shape[2] ? 3 : 2;
    int64_t blocks[4] = {0};
    for (int i = 0; i < d; i++) blocks[i] = d == 3 && i == 0 ? shape[0] : (shape[i] + 127) / 128;
    strcat(name, "_scale_inv");
    if (m->r->skip && strcmp(m->r->skip, name) == 0) return;
    st_tensor(&m->w, name, WEFT_F32, blocks);
}

static void add_experts(maker *m, const char *p) {
    int64_t inter = m->r->expert_inter;
    add(m, SHAPE(EXPERTS, HIDDEN), p, "mlp.gate.weight");
    if (m->r->experts == FUSED_IN_OUT) {
        add(m, SHAPE(EXPERTS, HIDDEN, 2 * inter), p, "mlp.experts.gate_up_proj");
        add(m, SHAPE(EXPERTS, inter, HIDDEN), p, "mlp.experts.down_proj");
    } else if (m->r->experts == FUSED_OUT_IN) {
        add(m, SHAPE(EXPERTS, 2 * inter, HIDDEN), p, "mlp.experts.gate_up_proj");
        add(m, SHAPE(EXPERTS, HIDDEN, inter), p, "mlp.experts.down_proj");
    }
    for (int e = 0; e < EXPERTS && m->r->experts == SEPARATE; e++) {
        add(m, SHAPE(inter, HIDDEN), p, "mlp.experts.%d.gate_proj.weight", e);
        add(m, SHAPE(inter, HIDDEN), p, "mlp.experts.%d.up_proj.weight", e);
        add(m, SHAPE(HIDDEN, inter), p, "mlp.experts.%d.down_proj.weight", e);
    }
}

static void add_text(maker *m) {
    char p[96];
    add(m, SHAPE(VOCAB, HIDDEN), m->r->text, "embed_tokens.weight");
    add(m, SHAPE(HIDDEN), m->r->text, "norm.weight");
    if (m->r->head) add(m, SHAPE(VOCAB, HIDDEN), m->r->head, "lm_head.weight");
    for (int i = 0; i < LAYERS; i++) {
        snprintf(p, sizeof p, "%slayers.%d.", m->r->text, i);
        add(m, SHAPE(HIDDEN), p, "input_layernorm.weight");
        add(m, SHAPE(HIDDEN), p, "post_attention_layernorm.weight");
        add(m, SHAPE(HEADS * HEAD, HIDDEN), p, "self_attn.q_proj.weight");
        add(m, SHAPE(KV * HEAD, HIDDEN), p, "self_attn.k_proj.weight");
        add(m, SHAPE(KV * HEAD, HIDDEN), p, "self_attn.v_proj.weight");
        add(m, SHAPE(HIDDEN, HEADS * HEAD), p, "self_attn.o_proj.weight");
        add(m, SHAPE(HEAD), p, "self_attn.q_norm.weight");
        add(m, SHAPE(HEAD), p, "self_attn.k_norm.weight");
        if (m->r->experts != DENSE) {
            add_experts(m, p);
            continue;
        }
        add(m, SHAPE(FFN, HIDDEN), p, "mlp.gate_proj.weight");
        add(m, SHAPE(FFN, HIDDEN), p, "mlp.up_proj.weight");
        add(m, SHAPE(HIDDEN, FFN), p, "mlp.down_proj.weight");
    }
}

static void add_linear(maker *m, const char *p, const char *name, int64_t rows, int64_t cols) {
    add(m, SHAPE(rows, cols), p, "%s.weight", name);
    add(m, SHAPE(rows), p, "%s.bias", name);
}
static void add_norm(maker *m, const char *p, const char *name, int64_t n) {
    add(m, SHAPE(n), p, "%s.weight", name);
    add(m, SHAPE(n), p, "%s.bias", name);
}

static void add_vision(maker *m) {
    char p[96];
    add(m, SHAPE(V_HIDDEN, 3, 2, PATCH, PATCH), m->r->visual, "patch_embed.proj.weight");
    add(m, SHAPE(V_HIDDEN), m->r->visual, "patch_embed.proj.bias");
    add(m, SHAPE(SIDE * SIDE, V_HIDDEN), m->r->visual, "pos_embed.weight");
    for (int i = 0; i < V_LAYERS; i++) {
        snprintf(p, sizeof p, "%sblocks.%d.", m->r->visual, i);
        add_norm(m, p, "norm1", V_HIDDEN), add_norm(m, p, "norm2", V_HIDDEN);
        add_linear(m, p, "attn.qkv", 3 * V_HIDDEN, V_HIDDEN), add_linear(m, p, "attn.proj", V_HIDDEN, V_HIDDEN);
        add_linear(m, p, "mlp.linear_fc1", V_FFN, V_HIDDEN), add_linear(m, p, "mlp.linear_fc2", V_HIDDEN, V_FFN);
    }
    for (int i = -1; i < 2; i++) {
        if (i < 0)
            snprintf(p, sizeof p, "%smerger.", m->r->visual);
        else
            snprintf(p, sizeof p, "%sdeepstack_merger_list.%d.", m->r->visual, i);
        add_norm(m, p, "norm", i < 0 ? V_HIDDEN : WIDE);
        add_linear(m, p, "linear_fc1", WIDE, WIDE), add_linear(m, p, "linear_fc2", HIDDEN, WIDE);
    }
}

static void write_config(const char *folder, const recipe *r, bool tied) {
    char text[2048], moe[256] = "";
    if (r->experts != DENSE)
        snprintf(moe, sizeof moe, ",\"num_experts\":%d,\"num_experts_per_tok\":2,\"moe_intermediate_size\":%d", EXPERTS,
                 (int)r->expert_inter);
    snprintf(text, sizeof text,
             "{\"model_type\":\"%s\",\"tie_word_embeddings\":%s,\"text_config\":{\"hidden_size\":%d,\"num_hidden_"
             "layers\":%d,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,"
             "\"head_dim\":%d,\"intermediate_size\":%d,\"vocab_size\":%d,\"rope_scaling\":{\"mrope_section\":[4,2,2]}%"
             "s},\"vision_config\":{\"depth\":%d,\"hidden_size\":%d,\"num_heads\":2,"
             "\"intermediate_size\":%d,\"out_hidden_size\":%d,\"patch_size\":%d,\"num_position_embeddings\":%d,"
             "\"deepstack_visual_indexes\":[2,0]}}",
             r->experts == DENSE ? "qwen3_vl" : "qwen3_vl_moe", tied ? "true" : "false", HIDDEN, LAYERS, HEADS, KV,
             HEAD, FFN, VOCAB, moe, V_LAYERS, V_HIDDEN, V_FFN, HIDDEN, PATCH, SIDE * SIDE);
    char path[400];
    snprintf(path, sizeof path, "%s/config.json", folder);
    files_text(path, text);
}

static void write_hf(const char *folder, const recipe *r, bool tied, size_t pad_to) {
    char path[400];
    maker m = {.r = r};
    mkdir(folder, 0700);
    write_config(folder, r, tied);
    add_text(&m);
    if (r->visual) add_vision(&m);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    st_end(&m.w, path, pad_to);
}

static void check_hf_vision(const weft_checkpoint *ck) {
    const weft_vision_weights *v = weft_checkpoint_vision(ck);
    CHECK(v != NULL);
    if (!v) return;
    expect_matrix(&v->patch_embed, V_HIDDEN, 3 * 2 * PATCH * PATCH, "model.visual.patch_embed.proj.weight");
    expect_vector(v->patch_bias, V_HIDDEN, "model.visual.patch_embed.proj.bias");
    expect_vector(v->positions, SIDE * SIDE * V_HIDDEN, "model.visual.pos_embed.weight");
    expect_matrix(&v->layers[2].qkv, 3 * V_HIDDEN, V_HIDDEN, "model.visual.blocks.2.attn.qkv.weight");
    expect_vector(v->layers[2].qkv_bias, 3 * V_HIDDEN, "model.visual.blocks.2.attn.qkv.bias");
    expect_matrix(&v->layers[1].proj, V_HIDDEN, V_HIDDEN, "model.visual.blocks.1.attn.proj.weight");
    expect_matrix(&v->layers[0].fc1, V_FFN, V_HIDDEN, "model.visual.blocks.0.mlp.linear_fc1.weight");
    expect_matrix(&v->layers[0].fc2, V_HIDDEN, V_FFN, "model.visual.blocks.0.mlp.linear_fc2.weight");
    expect_vector(v->layers[0].norm1_weight, V_HIDDEN, "model.visual.blocks.0.norm1.weight");
    expect_vector(v->layers[0].norm2_bias, V_HIDDEN, "model.visual.blocks.0.norm2.bias");
    expect_vector(v->merger.norm_weight, V_HIDDEN, "model.visual.merger.norm.weight");
    expect_matrix(&v->merger.fc2, HIDDEN, WIDE, "model.visual.merger.linear_fc2.weight");
    /* the config lists layers 2, 0: the first output comes from layer 0, through the second merger */
    CHECK(ck->config.vision.deepstack_layers[0] == 0 && ck->config.vision.deepstack_layers[1] == 2);
    expect_vector(v->deepstack[0].norm_weight, WIDE, "model.visual.deepstack_merger_list.1.norm.weight");
    expect_matrix(&v->deepstack[1].fc1, WIDE, WIDE, "model.visual.deepstack_merger_list.0.linear_fc1.weight");
}

static void check_hf_text(const weft_checkpoint *ck, const char *prefix) {
    const weft_text_weights *t = weft_checkpoint_text(ck);
    char name[160];
#define NAME(suffix) (snprintf(name, sizeof name, "%s%s", prefix, suffix), name)
    expect_matrix(&t->embed, VOCAB, HIDDEN, NAME("embed_tokens.weight"));
    expect_vector(t->norm, HIDDEN, NAME("norm.weight"));
    expect_vector(t->layers[1].input_norm, HIDDEN, NAME("layers.1.input_layernorm.weight"));
    expect_vector(t->layers[1].post_norm, HIDDEN, NAME("layers.1.post_attention_layernorm.weight"));
    expect_matrix(&t->layers[0].q, HEADS * HEAD, HIDDEN, NAME("layers.0.self_attn.q_proj.weight"));
    expect_matrix(&t->layers[0].k, KV * HEAD, HIDDEN, NAME("layers.0.self_attn.k_proj.weight"));
    expect_matrix(&t->layers[1].v, KV * HEAD, HIDDEN, NAME("layers.1.self_attn.v_proj.weight"));
    expect_matrix(&t->layers[1].o, HIDDEN, HEADS * HEAD, NAME("layers.1.self_attn.o_proj.weight"));
    expect_vector(t->layers[0].q_norm, HEAD, NAME("layers.0.self_attn.q_norm.weight"));
    expect_vector(t->layers[0].k_norm, HEAD, NAME("layers.0.self_attn.k_norm.weight"));
    if (t->layers[1].moe) return;
    expect_matrix(&t->layers[1].gate, FFN, HIDDEN, NAME("layers.1.mlp.gate_proj.weight"));
    expect_matrix(&t->layers[1].up, FFN, HIDDEN, NAME("layers.1.mlp.up_proj.weight"));
    expect_matrix(&t->layers[1].down, HIDDEN, FFN, NAME("layers.1.mlp.down_proj.weight"));
#undef NAME
}

static void test_dense(void) {
    const char *folder = files_path("dense");
    static const weft_type types[] = {WEFT_BF16, WEFT_F16, WEFT_F32};
    for (int i = 0; i < 3; i++) {
        recipe r = plain;
        r.type = types[i];
        write_hf(folder, &r, true, i == 1 ? 1 : 8); /* the second: maybe unaligned, then copied */
        weft_checkpoint *ck = open_good(folder, NULL);
        if (!ck) continue;
        check_hf_text(ck, "model.language_model.");
        check_hf_vision(ck);
        CHECK(weft_checkpoint_text(ck)->output.data == weft_checkpoint_text(ck)->embed.data &&
              ck->config.text.tied_embeddings);
        CHECK_STR(ck->config.name, "dense");
        weft_checkpoint_close(ck);
    }
}

/* All odd header lengths make every tensor unaligned: views must still be aligned, values the same. */
static void test_unaligned(void) {
    const char *folder = files_path("odd");
    recipe r = plain;
    r.type = WEFT_F32;
    int copied = 0;
    for (size_t pad_to = 1; pad_to < 8; pad_to += 2) {
        write_hf(folder, &r, true, pad_to);
        weft_checkpoint *ck = open_good(folder, NULL);
        if (!ck) continue;
        for (int i = 0; i < LAYERS; i++) CHECK((uintptr_t)weft_checkpoint_text(ck)->layers[i].q.data % 4 == 0);
        for (int i = 0; weft_checkpoint_warning(ck, i); i++)
            copied += strstr(weft_checkpoint_warning(ck, i), "not aligned") != NULL;
        check_hf_text(ck, "model.language_model.");
        check_hf_vision(ck);
        weft_checkpoint_close(ck);
    }
    CHECK(copied > 0);
}

static void test_heads_and_prefixes(void) {
    static const struct {
        const char *text, *visual, *head;
    } sets[] = {{"model.language_model.", "model.visual.", "lm_head_is_here"},
                {"model.", "visual.", ""},
                {"language_model.model.", "visual.", "language_model."},
                {"language_model.", "visual.", NULL}};
    const char *folder = files_path("prefixes");
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        recipe r = plain;
        r.text = sets[i].text, r.visual = sets[i].visual;
        r.head = i == 0 ? "" : sets[i].head;
        write_hf(folder, &r, i == 1, 8); /* i == 1: the config says tied, but the file has a head of other values */
        weft_checkpoint *ck = open_good(folder, NULL);
        if (!ck) continue;
        check_hf_text(ck, r.text);
        CHECK(weft_checkpoint_vision(ck) != NULL);
        char head[64];
        snprintf(head, sizeof head, "%slm_head.weight", r.head ? r.head : "");
        if (r.head)
            expect_matrix(&weft_checkpoint_text(ck)->output, VOCAB, HIDDEN, head);
        else
            CHECK(weft_checkpoint_text(ck)->output.data == weft_checkpoint_text(ck)->embed.data);
        CHECK(ck->config.text.tied_embeddings == !r.head);
        weft_checkpoint_close(ck);
    }
    recipe r = plain;
    r.visual = NULL;
    write_hf(folder, &r, true, 8);
    weft_checkpoint *ck = open_good(folder, NULL);
    CHECK(ck && !weft_checkpoint_vision(ck) &&
          strstr(weft_checkpoint_warning(ck, ck->warning_count - 1), "no vision tower"));
    weft_checkpoint_close(ck);
}

static void test_experts(void) {
    const char *folder = files_path("moe"), *gu = "model.language_model.layers.1.mlp.experts.gate_up_proj",
               *dn = "model.language_model.layers.1.mlp.experts.down_proj";
    /* the last width makes gate_up square: [experts, out, in] is meant */
    static const struct {
        layout experts;
        int64_t inter;
        bool transposed;
    } cases[] = {{FUSED_IN_OUT, INTER + 8, true},
                 {FUSED_OUT_IN, INTER + 8, false},
                 {FUSED_IN_OUT, HIDDEN / 2, false},
                 {SEPARATE, INTER, false}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        recipe r = plain;
        int64_t inter = r.expert_inter = cases[c].inter;
        r.experts = cases[c].experts;
        write_hf(folder, &r, true, 8);
        weft_checkpoint *ck = open_good(folder, NULL);
        if (!ck) continue;
        const weft_text_layer *layer = &weft_checkpoint_text(ck)->layers[1];
        CHECK(layer->moe && layer->expert_gate[0].transposed == cases[c].transposed);
        expect_matrix(&layer->router, EXPERTS, HIDDEN, "model.language_model.layers.1.mlp.gate.weight");
        for (int64_t e = 0; e < EXPERTS && r.experts != SEPARATE; e++) {
            int64_t base = e * 2 * inter * HIDDEN, row = cases[c].transposed ? 1 : HIDDEN,
                    col = cases[c].transposed ? 2 * inter : 1;
            expect_values(&layer->expert_gate[e], inter, HIDDEN, gu, base, row, col);
            expect_values(&layer->expert_up[e], inter, HIDDEN, gu, base + inter * row, row, col);
            bool down_transposed = layer->expert_down[e].transposed;
            CHECK(down_transposed == (r.experts == FUSED_IN_OUT && inter != HIDDEN));
            expect_values(&layer->expert_down[e], HIDDEN, inter, dn, e * inter * HIDDEN, down_transposed ? 1 : inter,
                          down_transposed ? HIDDEN : 1);
        }
        if (r.experts == SEPARATE) {
            expect_matrix(&layer->expert_up[2], inter, HIDDEN,
                          "model.language_model.layers.1.mlp.experts.2.up_proj.weight");
            expect_matrix(&layer->expert_down[0], HIDDEN, inter,
                          "model.language_model.layers.1.mlp.experts.0.down_proj.weight");
        }
        weft_checkpoint_close(ck);
    }
}

static void test_fp8(void) {
    const char *folder = files_path("fp8");
    recipe r = plain;
    r.type = WEFT_F8_E4M3;
    write_hf(folder, &r, true, 8);
    weft_checkpoint *ck = open_good(folder, NULL);
    if (ck) {
        const weft_matrix *q = &weft_checkpoint_text(ck)->layers[1].q;
        CHECK(q->type == WEFT_F8_E4M3 && q->block_scales &&
              q->block_scales[0] == file_value("model.language_model.layers.1.self_attn.q_proj.weight_scale_inv", 0));
    }
    weft_checkpoint_close(ck);
    r.skip = "model.language_model.layers.1.self_attn.q_proj.weight_scale_inv";
    write_hf(folder, &r, true, 8);
    expect_refused(folder, NULL, "q_proj.weight_scale_inv' is missing");
    /* fused, transposed, of two scale blocks a side: the scales are turned round and split between gate and up */
    r.skip = NULL, r.experts = FUSED_IN_OUT, r.expert_inter = 256;
    write_hf(folder, &r, true, 8);
    ck = open_good(folder, NULL);
    if (ck) {
        const weft_text_layer *layer = &weft_checkpoint_text(ck)->layers[0];
        const char *scales = "model.language_model.layers.0.mlp.experts.gate_up_proj_scale_inv",
                   *down = "model.language_model.layers.0.mlp.experts.down_proj_scale_inv";
        CHECK(layer->expert_gate[1].transposed && layer->expert_gate[1].stride == 512);
        for (int e = 0; e < EXPERTS; e++)
            for (int i = 0; i < 2; i++) { /* [experts, 1 block of inputs, 4 blocks of outputs] */
                CHECK(layer->expert_gate[e].block_scales[i] == file_value(scales, e * 4 + i));
                CHECK(layer->expert_up[e].block_scales[i] == file_value(scales, e * 4 + 2 + i));
                CHECK(layer->expert_down[e].block_scales[i] == file_value(down, e * 2 + i));
            }
    }
    weft_checkpoint_close(ck);
    r.expert_inter = 48;
    write_hf(folder, &r, true, 8);
    expect_refused(folder, NULL, "share scale blocks");
}

/* Products with views into fused experts (a stride between inputs, FP8 scales that were turned round) equal the sums
 * over single elements. */
static void test_products(void) {
    enum { ROWS = 5, WIDTH = 256 };
    const char *folder = files_path("products");
    weft_compute *compute = NULL;
    weft_error err = {0};
    CHECK_OK(weft_compute_create(NULL, 1, &compute, &err), err);
    static const weft_type types[] = {WEFT_F8_E4M3, WEFT_BF16, WEFT_F32};
    for (int i = 0; compute && i < 3; i++) {
        recipe r = plain;
        r.type = types[i], r.experts = FUSED_IN_OUT, r.expert_inter = WIDTH;
        write_hf(folder, &r, true, 8);
        weft_checkpoint *ck = open_good(folder, NULL);
        if (!ck) continue;
        const weft_kernels *kernels = weft_compute_kernels(compute);
        const weft_matrix *up = &weft_checkpoint_text(ck)->layers[1].expert_up[2];
        float x[ROWS * HIDDEN], out[ROWS * WIDTH], row[HIDDEN];
        for (int j = 0; j < ROWS * HIDDEN; j++) x[j] = file_value("x", j) / 64;
        weft_matmul(compute, out, WIDTH, x, HIDDEN, ROWS, up, NULL, false);
        for (int64_t n = 0; n < WIDTH; n++) {
            weft_matrix_row(kernels, up, n, row);
            for (int64_t k = 0; k < HIDDEN; k++) {
                int64_t index = k * 2 * WIDTH + n; /* [inputs, gate and up]: up's half */
                float value = 0;
                if (up->type == WEFT_F8_E4M3)
                    kernels->dequantize[WEFT_F8_E4M3](&value, (const uint8_t *)up->data + index, 1);
                else
                    value = file_value("model.language_model.layers.1.mlp.experts.gate_up_proj",
                                       2 * 2 * WIDTH * HIDDEN + WIDTH + index);
                if (up->type == WEFT_F8_E4M3)
                    value *= file_value("model.language_model.layers.1.mlp.experts.gate_up_proj_scale_inv",
                                        2 * 4 + 2 + n / 128);
                CHECK(row[k] == value);
            }
            for (int m = 0; m < ROWS; m++) {
                double sum = 0, size = 0;
                for (int k = 0; k < HIDDEN; k++)
                    sum += (double)x[m * HIDDEN + k] * row[k], size += fabs((double)x[m * HIDDEN + k] * row[k]);
                CHECK(fabs(out[m * WIDTH + n] - sum) <= 1e-5 * size);
            }
        }
        weft_checkpoint_close(ck);
    }
    weft_compute_destroy(compute);
}

static void test_hf_refusals(void) {
    const char *folder = files_path("bad");
    recipe r = plain;
    static const char *const needed[] = {"model.language_model.embed_tokens.weight",
                                         "model.language_model.layers.1.self_attn.k_norm.weight",
                                         "model.language_model.layers.0.mlp.down_proj.weight",
                                         "model.visual.blocks.1.attn.qkv.bias",
                                         "model.visual.deepstack_merger_list.1.linear_fc2.weight",
                                         "model.visual.pos_embed.weight",
                                         "model.visual.merger.norm.bias"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char words[200];
        r.skip = needed[i];
        write_hf(folder, &r, true, 8);
        snprintf(words, sizeof words, "tensor '%s' is missing", needed[i]);
        expect_refused(folder, NULL, words);
    }
    r.skip = NULL;
    write_hf(folder, &r, true, 8);
    recipe moe = r;
    moe.experts = SEPARATE;
    write_config(folder, &moe, true);
    expect_refused(folder, NULL, "mlp.gate.weight' is missing");
    write_hf(folder, &r, true, 8);
    expect_refused(folder, "x.gguf", "an mmproj only goes with a GGUF file");
    expect_refused(files_path("bad/model.safetensors"), NULL, "name the folder");
    unlink(files_path("bad/config.json"));
    expect_refused(folder, NULL, "config.json is missing");
    unlink(files_path("bad/model.safetensors"));
    expect_refused(folder, NULL, "no model here");
    expect_refused(files_path("nowhere"), NULL, "No such file");
}

static void test_inspect(void) {
    weft_error err = {0};
    weft_buffer out;
    CHECK_OK(weft_checkpoint_inspect(files_path("dense"), NULL, true, &out, &err), err);
    CHECK(strstr(out.data, "\"opens\": true") && strstr(out.data, "\"hidden\": 32"));
    weft_buffer_free(&out);
    recipe r = plain;
    r.skip = "model.visual.pos_embed.weight";
    write_hf(files_path("dense"), &r, true, 8);
    CHECK(weft_checkpoint_inspect(files_path("dense"), NULL, true, &out, &err) == WEFT_ERR_FORMAT);
    CHECK(strstr(err.message, "pos_embed") && strstr(out.data, "\"opens\": false") && strstr(out.data, "pos_embed") &&
          strstr(out.data, "\"hidden\": 32"));
    weft_buffer_free(&out);
    CHECK(weft_checkpoint_inspect(files_path("nowhere"), NULL, false, &out, &err) == WEFT_ERR_NOT_FOUND && out.data &&
          strstr(out.data, "does not open"));
    weft_buffer_free(&out);
}

static void test_damage(void) {
    const char *folder = files_path("damaged");
    write_hf(folder, &plain, true, 8);
    char config[512], weights[512];
    snprintf(config, sizeof config, "%s/config.json", folder);
    snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
    damage(config, folder, 1000, SIZE_MAX);
    damage(weights, folder, 1000, 9000); /* its header */
}

int main(void) {
    files_begin();
    test_dense();
    test_unaligned();
    test_heads_and_prefixes();
    test_experts();
    test_fp8();
    test_products();
    test_hf_refusals();
    test_damage();
    test_inspect();
    return testing_summary();
}
