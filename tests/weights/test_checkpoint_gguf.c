/* GGUF pairs: every tensor ends up in its place with its values; the mmproj that belongs to a model is found; what does
 * not fit is refused by name. */
#include "expect.h"

static void add_gguf_linear(gguf_writer *w, const char *base, weft_type type, int64_t rows, int64_t cols) {
    char name[128];
    snprintf(name, sizeof name, "%s.weight", base);
    gguf_tensor(w, name, type, SHAPE(rows, cols));
    snprintf(name, sizeof name, "%s.bias", base);
    gguf_tensor(w, name, WEFT_F32, SHAPE(rows));
}
static void add_gguf_norm(gguf_writer *w, const char *base, int64_t n) {
    char name[128];
    snprintf(name, sizeof name, "%s.weight", base);
    gguf_tensor(w, name, WEFT_F32, SHAPE(n));
    snprintf(name, sizeof name, "%s.bias", base);
    gguf_tensor(w, name, WEFT_F32, SHAPE(n));
}

static void write_text_gguf(const char *path, weft_type type, bool moe, bool yarn) {
    gguf_writer w = gguf_begin();
    char name[96];
    const char *a = moe ? "qwen3vlmoe" : "qwen3vl";
    const struct {
        const char *key;
        uint32_t value;
    } keys[] = {{"embedding_length", HIDDEN},     {"block_count", LAYERS},         {"context_length", 1000},
                {"attention.head_count", HEADS},  {"attention.head_count_kv", KV}, {"attention.key_length", HEAD},
                {"attention.value_length", HEAD}, {"feed_forward_length", FFN},    {"n_deepstack_layers", 2}};
    gguf_text(&w, "general.architecture", a);
    gguf_text(&w, "general.name", "Tiny VL");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(name, sizeof name, "%s.%s", a, keys[i].key);
        gguf_u32(&w, name, keys[i].value);
    }
    snprintf(name, sizeof name, "%s.rope.freq_base", a), gguf_f32(&w, name, 1e6f);
    snprintf(name, sizeof name, "%s.rope.dimension_sections", a), gguf_array_head(&w, name, WEFT_GGUF_I32, 4);
    put_u32(&w.keys, 4), put_u32(&w.keys, 2), put_u32(&w.keys, 2), put_u32(&w.keys, 0);
    if (yarn) {
        snprintf(name, sizeof name, "%s.rope.scaling.type", a), gguf_text(&w, name, "yarn");
        snprintf(name, sizeof name, "%s.rope.scaling.factor", a), gguf_f32(&w, name, 4);
        snprintf(name, sizeof name, "%s.rope.scaling.original_context_length", a), gguf_u32(&w, name, 500);
        snprintf(name, sizeof name, "%s.rope.scaling.yarn_beta_fast", a), gguf_f32(&w, name, 16);
    }
    if (moe) {
        gguf_u32(&w, "qwen3vlmoe.expert_count", EXPERTS), gguf_u32(&w, "qwen3vlmoe.expert_used_count", 2);
        gguf_u32(&w, "qwen3vlmoe.expert_feed_forward_length", INTER);
    }
    gguf_text(&w, "tokenizer.chat_template", "{{ messages }}");
    gguf_u32(&w, "tokenizer.ggml.eos_token_id", 7);
    gguf_array_head(&w, "tokenizer.ggml.tokens", WEFT_GGUF_STRING, 5);
    put_string(&w.keys, "a"), put_string(&w.keys, "<|vision_start|>"), put_string(&w.keys, "<|image_pad|>"),
        put_string(&w.keys, "<|video_pad|>"), put_string(&w.keys, "<|vision_end|>");
    gguf_tensor(&w, "token_embd.weight", type, SHAPE(VOCAB, HIDDEN));
    gguf_tensor(&w, "output_norm.weight", WEFT_F32, SHAPE(HIDDEN));
    if (moe) gguf_tensor(&w, "output.weight", type, SHAPE(VOCAB, HIDDEN));
    for (int i = 0; i < LAYERS; i++) {
        const struct {
            const char *name;
            weft_type type;
            int64_t shape[4];
        } tensors[] = {{"attn_norm", WEFT_F32, {HIDDEN}},
                       {"ffn_norm", WEFT_F32, {HIDDEN}},
                       {"attn_q_norm", WEFT_F32, {HEAD}},
                       {"attn_k_norm", WEFT_F32, {HEAD}},
                       {"attn_q", type, {HEADS * HEAD, HIDDEN}},
                       {"attn_k", type, {KV * HEAD, HIDDEN}},
                       {"attn_v", type, {KV * HEAD, HIDDEN}},
                       {"attn_output", type, {HIDDEN, HEADS * HEAD}},
                       {"ffn_gate", type, {FFN, HIDDEN}},
                       {"ffn_up", type, {FFN, HIDDEN}},
                       {"ffn_down", type, {HIDDEN, FFN}},
                       {"ffn_gate_inp", WEFT_F32, {EXPERTS, HIDDEN}},
                       {"ffn_gate_exps", type, {EXPERTS, INTER, HIDDEN}},
                       {"ffn_up_exps", type, {EXPERTS, INTER, HIDDEN}},
                       {"ffn_down_exps", type, {EXPERTS, HIDDEN, INTER}}};
        bool sparse = moe && i == 1; /* layer 0 of the MoE file is dense */
        for (size_t j = 0; j < sizeof tensors / sizeof *tensors; j++) {
            if (j >= 8 && (j >= 11) != sparse) continue;
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, tensors[j].name);
            gguf_tensor(&w, name, tensors[j].type, tensors[j].shape);
        }
    }
    gguf_end(&w, path);
}

static void write_mmproj(const char *path, bool split_qkv, weft_type patch1, int hidden, const char *projector) {
    gguf_writer w = gguf_begin();
    char name[96];
    gguf_text(&w, "general.architecture", "clip");
    gguf_text(&w, "clip.projector_type", projector);
    gguf_u32(&w, "clip.vision.patch_size", PATCH), gguf_u32(&w, "clip.vision.embedding_length", V_HIDDEN),
        gguf_u32(&w, "clip.vision.feed_forward_length", V_FFN);
    gguf_u32(&w, "clip.vision.block_count", V_LAYERS), gguf_u32(&w, "clip.vision.projection_dim", (uint32_t)hidden),
        gguf_u32(&w, "clip.vision.attention.head_count", 2);
    gguf_f32(&w, "clip.vision.attention.layer_norm_epsilon", 1e-6f);
    gguf_array_head(&w, "clip.vision.image_mean", WEFT_GGUF_F32, 3), put_f32(&w.keys, 0.25f), put_f32(&w.keys, 0.5f),
        put_f32(&w.keys, 0.75f);
    gguf_array_head(&w, "clip.vision.is_deepstack_layers", WEFT_GGUF_BOOL, V_LAYERS), put(&w.keys, "\1\0\1", 3);
    gguf_tensor(&w, "v.patch_embd.weight", WEFT_F16, SHAPE(V_HIDDEN, 3, PATCH, PATCH)),
        gguf_tensor(&w, "v.patch_embd.weight.1", patch1, SHAPE(V_HIDDEN, 3, PATCH, PATCH));
    gguf_tensor(&w, "v.patch_embd.bias", WEFT_F32, SHAPE(V_HIDDEN)),
        gguf_tensor(&w, "v.position_embd.weight", WEFT_F16, SHAPE(SIDE * SIDE, V_HIDDEN));
    for (int i = 0; i < V_LAYERS; i++) {
        static const char *const parts[] = {"attn_q", "attn_k", "attn_v"};
        snprintf(name, sizeof name, "v.blk.%d.ln1", i), add_gguf_norm(&w, name, V_HIDDEN);
        snprintf(name, sizeof name, "v.blk.%d.ln2", i), add_gguf_norm(&w, name, V_HIDDEN);
        for (int j = 0; j < 3 && split_qkv; j++)
            snprintf(name, sizeof name, "v.blk.%d.%s", i, parts[j]),
                add_gguf_linear(&w, name, WEFT_F16, V_HIDDEN, V_HIDDEN);
        if (!split_qkv)
            snprintf(name, sizeof name, "v.blk.%d.attn_qkv", i),
                add_gguf_linear(&w, name, WEFT_F16, 3 * V_HIDDEN, V_HIDDEN);
        snprintf(name, sizeof name, "v.blk.%d.attn_out", i), add_gguf_linear(&w, name, WEFT_F16, V_HIDDEN, V_HIDDEN);
        snprintf(name, sizeof name, "v.blk.%d.ffn_up", i), add_gguf_linear(&w, name, WEFT_F16, V_FFN, V_HIDDEN);
        snprintf(name, sizeof name, "v.blk.%d.ffn_down", i), add_gguf_linear(&w, name, WEFT_F16, V_HIDDEN, V_FFN);
    }
    add_gguf_norm(&w, "v.post_ln", V_HIDDEN), add_gguf_linear(&w, "mm.0", WEFT_F16, WIDE, WIDE),
        add_gguf_linear(&w, "mm.2", WEFT_F16, hidden, WIDE);
    for (int i = 0; i < V_LAYERS; i += 2) {
        snprintf(name, sizeof name, "v.deepstack.%d.norm", i), add_gguf_norm(&w, name, WIDE);
        snprintf(name, sizeof name, "v.deepstack.%d.fc1", i), add_gguf_linear(&w, name, WEFT_F16, WIDE, WIDE);
        snprintf(name, sizeof name, "v.deepstack.%d.fc2", i), add_gguf_linear(&w, name, WEFT_F16, hidden, WIDE);
    }
    gguf_end(&w, path);
}

/* Columns in order (channel, t, y, x), from the two slices. */
static void check_patches(const weft_matrix *m) {
    int64_t area = PATCH * PATCH, wrong = 0;
    CHECK(m->rows == V_HIDDEN && m->cols == 3 * 2 * area);
    for (int64_t h = 0; h < m->rows; h++)
        for (int64_t k = 0; k < m->cols; k++) {
            int64_t c = k / (2 * area), t = k / area % 2, yx = k % area;
            wrong +=
                at(m, h, k) != file_value(t ? "v.patch_embd.weight.1" : "v.patch_embd.weight", (h * 3 + c) * area + yx);
        }
    CHECK_INT(wrong, 0);
}

static void test_gguf_pair(void) {
    mkdir(files_path("pair"), 0700);
    const char *text = files_path("pair/Tiny-VL-Q8_0.gguf"), *mmproj = files_path("pair/mmproj-Tiny-VL-F16.gguf");
    for (int round = 0; round < 3; round++) {
        write_text_gguf(text, WEFT_F16, round == 1, round == 2);
        write_mmproj(mmproj, round == 1, round == 2 ? WEFT_F32 : WEFT_F16, HIDDEN, "qwen3vl_merger");
        weft_checkpoint *ck = open_good(round ? text : files_path("pair"), NULL);
        if (!ck) continue;
        const weft_text_weights *t = weft_checkpoint_text(ck);
        const weft_vision_weights *v = weft_checkpoint_vision(ck);
        CHECK_STR(ck->config.name, "Tiny VL");
        CHECK_STR(ck->config.architecture, round == 1 ? "qwen3_vl_moe" : "qwen3_vl");
        CHECK_STR(weft_checkpoint_sources(ck)->chat_template, "{{ messages }}");
        CHECK(ck->config.ids.vision_start == 1 && ck->config.ids.image_pad == 2 && ck->config.ids.video_pad == 3 &&
              ck->config.ids.vision_end == 4 && ck->config.generation.eos[0] == 7);
        CHECK(ck->config.text.vocab_size == VOCAB && ck->config.text.rope.theta == 1e6 &&
              ck->config.text.rope.section[1] == 2);
        CHECK(ck->config.image.mean[0] == 0.25f && ck->config.video.mean[2] == 0.75f &&
              ck->config.image.std[0] == 0.5f);
        expect_matrix(&t->embed, VOCAB, HIDDEN, "token_embd.weight");
        expect_matrix(&t->layers[1].q, HEADS * HEAD, HIDDEN, "blk.1.attn_q.weight");
        expect_matrix(&t->layers[0].o, HIDDEN, HEADS * HEAD, "blk.0.attn_output.weight");
        expect_matrix(&t->layers[0].down, HIDDEN, FFN, "blk.0.ffn_down.weight");
        expect_vector(t->layers[1].input_norm, HIDDEN, "blk.1.attn_norm.weight");
        expect_vector(t->layers[1].k_norm, HEAD, "blk.1.attn_k_norm.weight");
        if (round == 1) {
            CHECK(!t->layers[0].moe && t->layers[1].moe && !ck->config.text.tied_embeddings);
            expect_matrix(&t->output, VOCAB, HIDDEN, "output.weight");
            expect_matrix(&t->layers[1].router, EXPERTS, HIDDEN, "blk.1.ffn_gate_inp.weight");
            expect_values(&t->layers[1].expert_up[2], INTER, HIDDEN, "blk.1.ffn_up_exps.weight", 2 * INTER * HIDDEN,
                          HIDDEN, 1);
            expect_values(&t->layers[1].expert_down[1], HIDDEN, INTER, "blk.1.ffn_down_exps.weight", INTER * HIDDEN,
                          INTER, 1);
        }
        if (round == 2) {
            const weft_rope_config *r = &ck->config.text.rope;
            CHECK(r->scaling == WEFT_ROPE_YARN && r->factor == 4 && r->original_max_position == 500 &&
                  r->beta_fast == 16 && r->attention_factor == 0 && r->truncate);
            CHECK_INT(weft_config_context_length(&ck->config), 2000);
        }
        CHECK(v != NULL);
        if (!v) continue;
        check_patches(&v->patch_embed);
        expect_vector(v->positions, SIDE * SIDE * V_HIDDEN, "v.position_embd.weight");
        CHECK(ck->config.vision.position_side == SIDE && ck->config.vision.deepstack_count == 2 &&
              ck->config.vision.deepstack_layers[1] == 2);
        expect_matrix(&v->deepstack[1].fc2, HIDDEN, WIDE, "v.deepstack.2.fc2.weight");
        expect_matrix(&v->merger.fc1, WIDE, WIDE, "mm.0.weight");
        expect_vector(v->merger.norm_bias, V_HIDDEN, "v.post_ln.bias");
        expect_matrix(&v->layers[2].fc2, V_HIDDEN, V_FFN, "v.blk.2.ffn_down.weight");
        weft_matrix k = v->layers[1].qkv;
        k.data = (const uint16_t *)k.data + V_HIDDEN * V_HIDDEN, k.rows = V_HIDDEN;
        if (round == 1)
            expect_matrix(&k, V_HIDDEN, V_HIDDEN, "v.blk.1.attn_k.weight");
        else
            expect_matrix(&v->layers[1].qkv, 3 * V_HIDDEN, V_HIDDEN, "v.blk.1.attn_qkv.weight");
        if (round == 1) expect_vector(v->layers[1].qkv_bias + 2 * V_HIDDEN, V_HIDDEN, "v.blk.1.attn_v.bias");
        weft_checkpoint_close(ck);
    }
}

static void test_quantised(void) {
    mkdir(files_path("q"), 0700);
    const char *text = files_path("q/m.gguf");
    write_text_gguf(text, WEFT_Q8_0, false, false);
    weft_checkpoint *ck = open_good(text, NULL);
    if (ck) {
        const weft_matrix *q = &weft_checkpoint_text(ck)->layers[0].q;
        CHECK(q->type == WEFT_Q8_0 &&
              ((const uint8_t *)q->data)[5] == ((int)file_value("blk.0.attn_q.weight", 5) & 63));
        CHECK(!weft_checkpoint_vision(ck) && strstr(weft_checkpoint_warning(ck, 0), "no mmproj"));
    }
    weft_checkpoint_close(ck);
}

static const char *mmproj_of(const char *path) {
    static char name[256];
    name[0] = 0;
    weft_error err = {0};
    weft_checkpoint *ck = NULL;
    uint64_t bytes;
    if (weft_checkpoint_open(path, NULL, &ck, &err) != WEFT_OK)
        snprintf(name, sizeof name, "%.200s", err.message);
    else if (weft_checkpoint_file(ck, 1, &bytes))
        snprintf(name, sizeof name, "%.200s", strrchr(weft_checkpoint_file(ck, 1, &bytes), '/') + 1);
    weft_checkpoint_close(ck);
    return name;
}

static void test_finding_files(void) {
    mkdir(files_path("many"), 0700);
    char a[512], b[512]; /* files_path's own texts do not live long enough */
    snprintf(a, sizeof a, "%s", files_path("many/Qwen3VL-4B-Instruct-Q4_K_M.gguf"));
    snprintf(b, sizeof b, "%s", files_path("many/Qwen3VL-4B-Thinking-Q8_0.gguf"));
    write_text_gguf(a, WEFT_F16, false, false);
    write_text_gguf(b, WEFT_F16, false, false);
    expect_refused(files_path("many"), NULL,
                   "name one of them: Qwen3VL-4B-Instruct-Q4_K_M.gguf, Qwen3VL-4B-Thinking-Q8_0.gguf");
    CHECK_STR(mmproj_of(a), "");
    write_mmproj(files_path("many/mmproj-Qwen3VL-4B-Thinking-Q8_0.gguf"), false, WEFT_F16, HIDDEN, "qwen3vl_merger");
    CHECK_STR(mmproj_of(a), "mmproj-Qwen3VL-4B-Thinking-Q8_0.gguf"); /* the only one */
    write_mmproj(files_path("many/mmproj-Qwen3VL-4B-Instruct-Q8_0.gguf"), false, WEFT_F16, HIDDEN, "qwen3vl_merger");
    CHECK_STR(mmproj_of(a), "mmproj-Qwen3VL-4B-Instruct-Q8_0.gguf"); /* the same stem */
    write_mmproj(files_path("many/mmproj-Qwen3VL-4B-Instruct-F16.gguf"), false, WEFT_F16, HIDDEN, "qwen3vl_merger");
    write_mmproj(files_path("many/mmproj-Qwen3VL-4B-Instruct-BF16.gguf"), false, WEFT_F16, HIDDEN, "qwen3vl_merger");
    CHECK_STR(mmproj_of(a), "mmproj-Qwen3VL-4B-Instruct-F16.gguf"); /* F16 of several */
    CHECK_STR(mmproj_of(b), "mmproj-Qwen3VL-4B-Thinking-Q8_0.gguf");
    weft_checkpoint *ck = open_good(a, files_path("many/mmproj-Qwen3VL-4B-Thinking-Q8_0.gguf")); /* named: taken */
    weft_checkpoint_close(ck);
    write_mmproj(files_path("many/mmproj-Qwen3VL-4B-Instruct-F16.gguf"), false, WEFT_F16, 2 * HIDDEN, "qwen3vl_merger");
    CHECK(strstr(mmproj_of(a), "name one with --mmproj") &&
          strstr(mmproj_of(a), "BF16")); /* F16 is of another width; two are left */
    expect_refused(a, files_path("many/mmproj-Qwen3VL-4B-Instruct-F16.gguf"), "belong together");
    expect_refused(a, b, "not an mmproj file");
    expect_refused(files_path("many/mmproj-Qwen3VL-4B-Instruct-F16.gguf"), NULL, "vision half");
    write_mmproj(files_path("many/other.gguf"), false, WEFT_F16, HIDDEN, "ldp");
    expect_refused(a, files_path("many/other.gguf"), "qwen3vl_merger");
    write_mmproj(files_path("many/mmproj-Qwen3VL-4B-Instruct-Q4_K_M.gguf"), false, WEFT_F16, HIDDEN, "qwen3vl_merger");
    CHECK_STR(mmproj_of(a), "mmproj-Qwen3VL-4B-Instruct-Q4_K_M.gguf"); /* "mmproj-" and the model's own name */
    unlink(files_path("many/mmproj-Qwen3VL-4B-Instruct-Q4_K_M.gguf"));
    unlink(files_path("many/mmproj-Qwen3VL-4B-Thinking-Q8_0.gguf"));
}

static void test_inspect(void) {
    weft_error err = {0};
    weft_buffer out;
    CHECK_OK(weft_checkpoint_inspect(files_path("pair"), NULL, false, &out, &err), err);
    CHECK(strstr(out.data, "Tiny VL") && strstr(out.data, "F16") && strstr(out.data, "yarn x4 from 500"));
    weft_buffer_free(&out);
}

static void test_damage(void) {
    char text[512], mmproj[512];
    mkdir(files_path("damaged"), 0700);
    snprintf(text, sizeof text, "%s", files_path("damaged/m.gguf"));
    snprintf(mmproj, sizeof mmproj, "%s", files_path("damaged/mmproj.gguf"));
    write_text_gguf(text, WEFT_F16, true, true);
    write_mmproj(mmproj, false, WEFT_F16, HIDDEN, "qwen3vl_merger");
    damage(text, text, 1000, 3000);
    damage(mmproj, text, 1000, 4000);
}

int main(void) {
    files_begin();
    test_gguf_pair();
    test_quantised();
    test_finding_files();
    test_damage();
    test_inspect();
    return testing_summary();
}
