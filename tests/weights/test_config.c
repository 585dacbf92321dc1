/* Configs of Hugging Face folders: both styles mean the same, defaults are the reference's, and every value of a wrong
 * type or size is refused by its name. */
#include "files.h"
#include "weights/json_file.h"

static const char *const published =
    "{\"architectures\":[\"Qwen3VLForConditionalGeneration\"],\"image_token_id\":151655,\"model_type\":\"qwen3_vl\","
    "\"text_config\":{\"attention_bias\":false,\"head_dim\":128,\"hidden_act\":\"silu\",\"hidden_size\":2560,"
    "\"intermediate_size\":9728,"
    "\"max_position_embeddings\":262144,\"model_type\":\"qwen3_vl_text\",\"num_attention_heads\":32,\"num_hidden_"
    "layers\":36,"
    "\"num_key_value_heads\":8,\"rms_norm_eps\":1e-06,\"rope_scaling\":{\"mrope_interleaved\":true,\"mrope_section\":["
    "24,20,20],"
    "\"rope_type\":\"default\"},\"rope_theta\":5000000,\"tie_word_embeddings\":true,\"vocab_size\":151936},"
    "\"tie_word_embeddings\":true,\"video_token_id\":151656,\"vision_config\":{\"deepstack_visual_indexes\":[5,11,17],"
    "\"depth\":24,"
    "\"hidden_act\":\"gelu_pytorch_tanh\",\"hidden_size\":1024,\"in_channels\":3,\"intermediate_size\":4096,\"num_"
    "heads\":16,"
    "\"num_position_embeddings\":2304,\"out_hidden_size\":2560,\"patch_size\":16,\"spatial_merge_size\":2,\"temporal_"
    "patch_size\":2},"
    "\"vision_end_token_id\":151653,\"vision_start_token_id\":151652}";

/* published with the JSON value at a dotted path replaced; value NULL: removed. The caller frees. */
static char *changed(const char *base, const char *path, const char *value) {
    json_error_t fault;
    json_t *root = json_loads(base, 0, &fault), *at = root;
    char copy[128];
    snprintf(copy, sizeof copy, "%s", path);
    char *key = copy;
    for (char *dot; (dot = strchr(key, '.')); key = dot + 1) {
        *dot = 0;
        at = json_object_get(at, key);
    }
    json_t *new_value = value ? json_loads(value, JSON_DECODE_ANY, &fault) : NULL;
    if (new_value)
        json_object_set_new(at, key, new_value);
    else
        json_object_del(at, key);
    char *text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

static weft_checkpoint *read_config(const char *config, weft_status *status, weft_error *err) {
    weft_checkpoint *ck = weft_checkpoint_create(err);
    files_text(files_path("config.json"), config);
    ck->folder = strdup(files_folder);
    *err = (weft_error){0};
    *status = weft_config_read_hf(ck, err);
    return ck;
}

static weft_checkpoint *read_good(const char *config) {
    weft_status status;
    weft_error err;
    weft_checkpoint *ck = read_config(config, &status, &err);
    CHECK_MSG(status == WEFT_OK, "%s", err.message);
    return ck;
}

static void expect_refused(const char *path, const char *value, weft_status wanted, const char *words) {
    weft_status status;
    weft_error err;
    char *text = changed(published, path, value);
    weft_checkpoint *ck = read_config(text, &status, &err);
    CHECK_MSG(status == wanted && strstr(err.message, words), "%s = %s: want %d '%s', got %d '%s'", path,
              value ? value : "nothing", (int)wanted, words, (int)status, err.message);
    weft_checkpoint_close(ck);
    free(text);
}

static weft_checkpoint *read_changed(const char *path, const char *value) {
    char *text = changed(published, path, value);
    weft_checkpoint *ck = read_good(text);
    free(text);
    return ck;
}

static void test_published(void) {
    weft_checkpoint *ck = read_good(published);
    const weft_text_config *t = &ck->config.text;
    const weft_vision_config *v = &ck->config.vision;
    CHECK_STR(ck->config.architecture, "qwen3_vl");
    CHECK(t->hidden_size == 2560 && t->layers == 36 && t->heads == 32 && t->kv_heads == 8 && t->head_dim == 128 &&
          t->intermediate_size == 9728);
    CHECK(t->tied_embeddings && t->experts == 0 && t->max_position == 262144 && t->rms_norm_eps == 1e-6 &&
          t->vocab_size == 151936);
    CHECK(t->rope.theta == 5e6 && t->rope.layout == WEFT_ROPE_INTERLEAVED && t->rope.section[0] == 24 &&
          t->rope.section[2] == 20 && t->rope.scaling == WEFT_ROPE_DEFAULT);
    CHECK(v->present && v->layers == 24 && v->position_side == 48 && v->deepstack_count == 3 &&
          v->deepstack_layers[1] == 11 && v->layer_norm_eps == 1e-6 && v->rope_theta == 10000);
    CHECK(ck->config.ids.image_pad == 151655 && ck->config.ids.vision_end == 151653);
    CHECK_INT(weft_config_context_length(&ck->config), 262144);
    /* no preprocessor files: the shipped budgets */
    CHECK(ck->config.image.min_pixels == 65536 && ck->config.image.max_pixels == 16777216 &&
          ck->config.video.min_pixels == 4096 && ck->config.video.max_pixels == 25165824);
    CHECK(ck->warning_count == 2);
    weft_checkpoint_close(ck);
}

static void test_rope(void) {
    weft_checkpoint *ck;
    const weft_rope_config *r;
    char *base = changed(published, "text_config.rope_scaling", NULL), *text;
    text = changed(
        base, "text_config.rope_parameters",
        "{\"rope_theta\":1000000.0,\"rope_type\":\"default\",\"mrope_section\":[16,24,24],\"mrope_interleaved\":true}");
    ck = read_good(text), r = &ck->config.text.rope;
    CHECK(r->theta == 1e6 && r->section[0] == 16 && r->section[1] == 24 && r->layout == WEFT_ROPE_INTERLEAVED);
    weft_checkpoint_close(ck), free(text);
    ck = read_good(base), r = &ck->config.text.rope; /* neither object: theta beside, sections of the class */
    CHECK(r->theta == 5e6 && r->section[0] == 24 && r->section[1] == 20);
    weft_checkpoint_close(ck);
    text = changed(base, "text_config.rope_theta", NULL);
    ck = read_good(text);
    CHECK(ck->config.text.rope.theta == 500000);
    weft_checkpoint_close(ck), free(text), free(base);

    ck = read_changed("text_config.rope_scaling",
                      "{\"rope_type\":\"yarn\",\"factor\":3.0,\"original_max_position_embeddings\":262144,\"mrope_"
                      "section\":[24,20,20],\"mrope_interleaved\":true}");
    r = &ck->config.text.rope;
    CHECK(r->scaling == WEFT_ROPE_YARN && r->factor == 3 && r->original_max_position == 262144 && r->beta_fast == 32 &&
          r->beta_slow == 1 && r->attention_factor == 0 && r->truncate);
    CHECK_INT(weft_config_context_length(&ck->config), 3 * 262144);
    weft_checkpoint_close(ck);
    ck = read_changed("text_config.rope_scaling",
                      "{\"type\":\"yarn\",\"original_max_position_embeddings\":65536,\"factor\":null,\"truncate\":"
                      "false,\"attention_factor\":1.5,\"beta_fast\":16,\"mscale\":1.0,\"mscale_all_dim\":0.5}");
    r = &ck->config.text.rope;
    CHECK(r->scaling == WEFT_ROPE_YARN && r->factor == 4 && !r->truncate && r->attention_factor == 1.5 &&
          r->beta_fast == 16 && r->mscale_all_dim == 0.5);
    weft_checkpoint_close(ck);
    ck = read_changed("text_config.rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":2}");
    CHECK(ck->config.text.rope.original_max_position == 262144);
    weft_checkpoint_close(ck);
    ck = read_changed("text_config.rope_scaling", "{\"rope_type\":\"linear\",\"factor\":2}");
    CHECK(ck->config.text.rope.scaling == WEFT_ROPE_LINEAR && ck->config.text.rope.factor == 2);
    weft_checkpoint_close(ck);
    ck = read_changed("text_config.rope_scaling", "{\"rope_type\":\"dynamic\",\"factor\":2}");
    CHECK(ck->config.text.rope.scaling == WEFT_ROPE_DYNAMIC && ck->config.text.rope.original_max_position == 262144);
    weft_checkpoint_close(ck);
    ck = read_changed("text_config.rope_scaling",
                      "{\"mrope_interleaved\":false,\"mrope_section\":[24,20,20],\"rope_type\":\"default\"}");
    CHECK(ck->config.text.rope.layout == WEFT_ROPE_INTERLEAVED && strstr(ck->warnings[0], "mrope_interleaved"));
    weft_checkpoint_close(ck);
    expect_refused("text_config.rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":2}", WEFT_ERR_UNSUPPORTED,
                   "llama3");
    expect_refused("text_config.rope_scaling", "{\"rope_type\":\"linear\"}", WEFT_ERR_FORMAT,
                   "text_config.rope_scaling.factor is missing");
    expect_refused("text_config.rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":0.5}", WEFT_ERR_FORMAT,
                   "factor is 0.5");
    expect_refused("text_config.rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":\"4\"}", WEFT_ERR_FORMAT,
                   "factor is a string, expected a number");
    expect_refused("text_config.rope_scaling", "{\"mrope_section\":[24,20]}", WEFT_ERR_FORMAT,
                   "mrope_section has 2 numbers");
    expect_refused("text_config.rope_scaling", "{\"mrope_section\":[24,20,-1]}", WEFT_ERR_FORMAT, "mrope_section");
    expect_refused("text_config.rope_scaling", "{\"mrope_section\":[24,20,2.5]}", WEFT_ERR_FORMAT, "mrope_section");
    expect_refused("text_config.rope_scaling", "{\"partial_rotary_factor\":0.5}", WEFT_ERR_UNSUPPORTED,
                   "partial_rotary_factor");
    expect_refused("text_config.rope_theta", "0", WEFT_ERR_FORMAT, "rope_theta is 0");
    expect_refused("text_config.rope_theta", "-5", WEFT_ERR_FORMAT, "rope_theta");
}

static void test_moe(void) {
    char *a = changed(published, "model_type", "\"qwen3_vl_moe\""), *b = changed(a, "text_config.num_experts", "8"),
         *c = changed(b, "text_config.num_experts_per_tok", "2");
    char *d = changed(c, "text_config.moe_intermediate_size", "768"),
         *e = changed(d, "text_config.mlp_only_layers", "[3,500]"),
         *f = changed(e, "text_config.decoder_sparse_step", "2");
    weft_checkpoint *ck = read_good(f);
    const weft_text_config *t = &ck->config.text;
    CHECK_STR(ck->config.architecture, "qwen3_vl_moe");
    CHECK(t->experts == 8 && t->experts_per_token == 2 && t->moe_intermediate_size == 768 && t->norm_topk_prob);
    CHECK(!weft_config_layer_is_moe(t, 0) && weft_config_layer_is_moe(t, 1) && !weft_config_layer_is_moe(t, 2) &&
          !weft_config_layer_is_moe(t, 3) && weft_config_layer_is_moe(t, 5));
    weft_checkpoint_close(ck);
    char *g = changed(e, "text_config.head_dim", NULL); /* the MoE class divides, the dense class says 128 */
    ck = read_good(g);
    CHECK_INT(ck->config.text.head_dim, 2560 / 32);
    weft_checkpoint_close(ck);
    ck = read_changed("text_config.head_dim", NULL);
    CHECK_INT(ck->config.text.head_dim, 128);
    weft_checkpoint_close(ck);
    ck = read_changed("text_config.num_experts", "8"); /* the dense class knows no experts */
    CHECK_INT(ck->config.text.experts, 0);
    weft_checkpoint_close(ck);
    weft_status status;
    weft_error err;
    char *bad = changed(c, "text_config.num_experts_per_tok", "9");
    ck = read_config(bad, &status, &err);
    CHECK(status == WEFT_ERR_FORMAT && strstr(err.message, "experts per token"));
    weft_checkpoint_close(ck);
    char *all[] = {a, b, c, d, e, f, g, bad};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Every whole number of the config, against every kind of wrong value. */
static void test_refusals(void) {
    static const char *const keys[] = {"text_config.hidden_size",
                                       "text_config.num_hidden_layers",
                                       "text_config.num_attention_heads",
                                       "text_config.num_key_value_heads",
                                       "text_config.head_dim",
                                       "text_config.intermediate_size",
                                       "text_config.vocab_size",
                                       "text_config.max_position_embeddings",
                                       "vision_config.hidden_size",
                                       "vision_config.depth",
                                       "vision_config.num_heads",
                                       "vision_config.intermediate_size",
                                       "vision_config.patch_size",
                                       "vision_config.spatial_merge_size",
                                       "vision_config.num_position_embeddings",
                                       "vision_config.out_hidden_size"};
    static const char *const values[] = {"0",      "-1",  "1099511627776", "9223372036854775807",
                                         "\"64\"", "2.5", "true",          "{}"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            expect_refused(keys[k], values[i], WEFT_ERR_FORMAT, keys[k]);
    expect_refused("model_type", NULL, WEFT_ERR_FORMAT, "model_type is missing");
    expect_refused("model_type", "\"llama\"", WEFT_ERR_UNSUPPORTED, "'llama'");
    expect_refused("model_type", "7", WEFT_ERR_FORMAT, "model_type is an integer");
    expect_refused("text_config", NULL, WEFT_ERR_FORMAT, "text_config is missing");
    expect_refused("text_config", "[]", WEFT_ERR_FORMAT, "text_config is an array");
    expect_refused("vision_config", "\"x\"", WEFT_ERR_FORMAT, "vision_config is a string");
    expect_refused("text_config.hidden_act", "\"gelu\"", WEFT_ERR_UNSUPPORTED, "hidden_act");
    expect_refused("text_config.attention_bias", "true", WEFT_ERR_UNSUPPORTED, "attention_bias");
    expect_refused("text_config.rms_norm_eps", "-1", WEFT_ERR_FORMAT, "rms_norm_eps");
    expect_refused("text_config.rms_norm_eps", "\"small\"", WEFT_ERR_FORMAT, "rms_norm_eps");
    expect_refused("text_config.num_key_value_heads", "7", WEFT_ERR_FORMAT, "evenly");
    expect_refused("text_config.head_dim", "127", WEFT_ERR_FORMAT, "head size is 127");
    expect_refused("tie_word_embeddings", "1", WEFT_ERR_FORMAT, "tie_word_embeddings");
    expect_refused("image_token_id", "-3", WEFT_ERR_FORMAT, "image_token_id");
    expect_refused("vision_config.in_channels", "1", WEFT_ERR_UNSUPPORTED, "channels");
    expect_refused("vision_config.temporal_patch_size", "1", WEFT_ERR_UNSUPPORTED, "temporal");
    expect_refused("vision_config.num_heads", "7", WEFT_ERR_FORMAT, "vision heads");
    expect_refused("vision_config.out_hidden_size", "2048", WEFT_ERR_FORMAT, "belong together");
    expect_refused("vision_config.num_position_embeddings", "2305", WEFT_ERR_FORMAT, "not a square");
    expect_refused("vision_config.hidden_act", "\"quick_gelu\"", WEFT_ERR_UNSUPPORTED, "quick_gelu");
    expect_refused("vision_config.patch_size", "[16,14]", WEFT_ERR_UNSUPPORTED, "patch_size");
    expect_refused("vision_config.deepstack_visual_indexes", "[5,99]", WEFT_ERR_FORMAT, "deepstack_visual_indexes");
    expect_refused("vision_config.deepstack_visual_indexes", "[5,5]", WEFT_ERR_FORMAT, "named twice");
    expect_refused("vision_config.deepstack_visual_indexes", "5", WEFT_ERR_FORMAT, "deepstack_visual_indexes");
    expect_refused("vision_config.deepstack_visual_indexes", "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]",
                   WEFT_ERR_LIMIT, "17 DeepStack");
    expect_refused("quantization_config", "{\"quant_method\":\"awq\"}", WEFT_ERR_UNSUPPORTED, "awq");
    expect_refused("quantization_config", "{\"quant_method\":\"fp8\",\"weight_block_size\":[64,64]}",
                   WEFT_ERR_UNSUPPORTED, "weight_block_size");
    weft_checkpoint *ck =
        read_changed("quantization_config", "{\"quant_method\":\"fp8\",\"fmt\":\"e4m3\",\"weight_block_size\":[128,128]"
                                            ",\"activation_scheme\":\"dynamic\"}");
    weft_checkpoint_close(ck);
    ck = read_changed("vision_config.deepstack_visual_indexes",
                      "[17,5,11]"); /* outputs in layer order, mergers in list order */
    CHECK(ck->config.vision.deepstack_layers[0] == 5 && ck->config.vision.deepstack_mergers[0] == 1 &&
          ck->config.vision.deepstack_layers[2] == 17 && ck->config.vision.deepstack_mergers[2] == 0);
    weft_checkpoint_close(ck);
    ck = read_changed("vision_config.patch_size", "[14,14]");
    CHECK_INT(ck->config.vision.patch_size, 14);
    weft_checkpoint_close(ck);
    ck = read_changed("vision_config", NULL);
    CHECK(!ck->config.vision.present);
    weft_checkpoint_close(ck);
    weft_status status;
    weft_error err;
    ck = read_config("{\"model_type\": \"qwen3_vl\", \x1b[31m", &status, &err);
    CHECK(status == WEFT_ERR_FORMAT && strstr(err.message, "not valid JSON") && !strchr(err.message, '\x1b'));
    weft_checkpoint_close(ck);
}

/* ---- pixels ---- */

static void write_pixels(const char *processor, const char *image, const char *video) {
    const struct {
        const char *name, *text;
    } files[] = {{"processor_config.json", processor},
                 {"preprocessor_config.json", image},
                 {"video_preprocessor_config.json", video}};
    for (int i = 0; i < 3; i++) {
        unlink(files_path("%s", files[i].name));
        if (files[i].text) files_text(files_path("%s", files[i].name), files[i].text);
    }
}

static void expect_pixels(const char *processor, const char *image, const char *video, int64_t image_min,
                          int64_t image_max, int64_t video_min, int64_t video_max) {
    write_pixels(processor, image, video);
    weft_checkpoint *ck = read_good(published);
    const weft_config *c = &ck->config;
    CHECK_MSG(c->image.min_pixels == image_min && c->image.max_pixels == image_max, "image %lld to %lld",
              (long long)c->image.min_pixels, (long long)c->image.max_pixels);
    CHECK_MSG(c->video.min_pixels == video_min && c->video.max_pixels == video_max, "video %lld to %lld",
              (long long)c->video.min_pixels, (long long)c->video.max_pixels);
    weft_checkpoint_close(ck);
}

static void refuse_pixels(const char *image, const char *video, const char *words) {
    write_pixels(NULL, image, video);
    weft_status status;
    weft_error err;
    weft_checkpoint *ck = read_config(published, &status, &err);
    CHECK_MSG(status != WEFT_OK && strstr(err.message, words), "want '%s', got %d '%s'", words, (int)status,
              err.message);
    weft_checkpoint_close(ck);
}

static void test_pixels(void) {
    const char *image = "{\"size\":{\"longest_edge\":16777216,\"shortest_edge\":65536},\"patch_size\":16,\"temporal_"
                        "patch_size\":2,\"merge_size\":2,\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5]}";
    const char *video = "{\"size\":{\"longest_edge\":25165824,\"shortest_edge\":4096},\"patch_size\":16,\"temporal_"
                        "patch_size\":2,\"merge_size\":2,\"fps\":1.5,\"max_frames\":100}";
    expect_pixels(NULL, image, video, 65536, 16777216, 4096, 25165824);
    /* without a video file its class reads the image file */
    expect_pixels(NULL, image, NULL, 65536, 16777216, 65536, 16777216);
    /* old names: they move the image's edges, and mean nothing to the video class */
    expect_pixels(NULL, "{\"min_pixels\":1024,\"max_pixels\":4096}", "{\"min_pixels\":1024,\"max_pixels\":4096}", 1024,
                  4096, 131072, 786432);
    expect_pixels(NULL, "{\"min_pixels\":2048,\"size\":{\"shortest_edge\":1024,\"longest_edge\":9999}}", video, 2048,
                  9999, 4096, 25165824);
    /* keys missing: the classes' own values */
    expect_pixels(NULL, "{}", "{}", 3136, 1003520, 131072, 786432);
    expect_pixels(NULL, "{\"size\":null}", NULL, 3136, 1003520, 131072, 786432);
    /* nested objects of newer checkpoints win */
    expect_pixels("{\"image_processor\":{\"size\":{\"shortest_edge\":1,\"longest_edge\":2}},\"video_processor\":{"
                  "\"size\":{\"shortest_edge\":3,\"longest_edge\":4}}}",
                  image, video, 1, 2, 3, 4);
    expect_pixels("{\"processor_class\":\"Qwen3VLProcessor\"}", image, video, 65536, 16777216, 4096, 25165824);

    write_pixels(NULL, "{\"image_mean\":[0.1,0.2,0.3],\"image_std\":0.25,\"rescale_factor\":0.5}",
                 "{\"fps\":1.5,\"max_frames\":100,\"min_frames\":6,\"do_normalize\":false,\"do_rescale\":false,\"cap_"
                 "pixels_per_frame\":true}");
    weft_checkpoint *ck = read_good(published);
    const weft_pixels_config *i = &ck->config.image, *v = &ck->config.video;
    CHECK(i->mean[0] == 0.1f && i->mean[2] == 0.3f && i->std[0] == 0.25f && i->std[2] == 0.25f && i->rescale == 0.5);
    CHECK(v->fps == 1.5 && v->max_frames == 100 && v->min_frames == 6 && v->mean[0] == 0 && v->std[1] == 1 &&
          v->rescale == 1 && v->cap_pixels_per_frame && v->max_video_tokens == 768);
    weft_checkpoint_close(ck);
    write_pixels(NULL, "{}", NULL); /* OpenAI CLIP's statistics for the image class, one half for the video class */
    ck = read_good(published);
    CHECK(fabsf(ck->config.image.mean[0] - 0.48145466f) < 1e-7f &&
          fabsf(ck->config.image.std[2] - 0.27577711f) < 1e-7f && ck->config.video.mean[0] == 0.5f &&
          ck->config.video.fps == 2 && ck->config.video.max_frames == 768);
    weft_checkpoint_close(ck);

    refuse_pixels("{\"size\":{\"shortest_edge\":5}}", NULL, "both shortest_edge and longest_edge");
    refuse_pixels("{\"size\":{\"height\":5,\"width\":5}}", NULL, "both shortest_edge and longest_edge");
    refuse_pixels("{\"size\":448}", NULL, "must be an object");
    refuse_pixels("{\"size\":{\"shortest_edge\":-5,\"longest_edge\":7}}", NULL, "shortest_edge is -5");
    refuse_pixels("{\"min_pixels\":\"5\"}", NULL, "min_pixels is a string");
    refuse_pixels("{\"size\":{\"shortest_edge\":50,\"longest_edge\":7}}", NULL, "over the greatest");
    refuse_pixels("{\"patch_size\":14}", NULL, "patch_size is 14");
    refuse_pixels("{\"image_mean\":[0.5,0.5]}", NULL, "image_mean");
    refuse_pixels("{\"image_std\":[0.5,0,0.5]}", NULL, "image_std");
    refuse_pixels("{\"image_std\":\"x\"}", NULL, "image_std");
    refuse_pixels("{}", "{\"fps\":0}", "fps is 0");
    refuse_pixels("{}", "{\"max_frames\":2.5}", "max_frames");
    refuse_pixels("[]", NULL, "must hold a JSON object");
    write_pixels(NULL, NULL, NULL);
}

/* ---- generation and template ---- */

static void test_generation(void) {
    files_text(files_path("generation_config.json"),
               "{\"do_sample\":true,\"temperature\":0.7,\"top_p\":0.8,\"top_k\":20,\"repetition_penalty\":1.0,\"eos_"
               "token_id\":[151645,151643],\"min_p\":null}");
    weft_checkpoint *ck = read_good(published);
    const weft_generation_config *g = &ck->config.generation;
    CHECK(g->has_do_sample && g->do_sample && g->has_temperature && g->temperature == 0.7 && g->top_p == 0.8 &&
          g->top_k == 20 && g->has_repetition_penalty);
    CHECK(!g->has_min_p && !g->has_presence_penalty && g->eos_count == 2 && g->eos[0] == 151645 && g->eos[1] == 151643);
    weft_checkpoint_close(ck);
    static const char *const bad[][2] = {{"{\"temperature\":-1}", "temperature is -1"},
                                         {"{\"top_p\":2}", "top_p"},
                                         {"{\"top_k\":1.5}", "top_k"},
                                         {"{\"eos_token_id\":\"x\"}", "eos_token_id"},
                                         {"{\"eos_token_id\":[1,2,3,4,5,6,7,8,9]}", "9 ids"},
                                         {"{\"do_sample\":1}", "do_sample"},
                                         {"{", "not valid JSON"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_status status;
        weft_error err;
        files_text(files_path("generation_config.json"), bad[i][0]);
        weft_checkpoint *broken = read_config(published, &status, &err);
        CHECK_MSG(status != WEFT_OK && strstr(err.message, bad[i][1]) && strstr(err.message, "generation_config.json"),
                  "%s: %s", bad[i][0], err.message);
        weft_checkpoint_close(broken);
    }
    unlink(files_path("generation_config.json"));
    char *text = changed(published, "text_config.eos_token_id", "151645"); /* without the file, config.json's own */
    ck = read_good(text);
    CHECK(ck->config.generation.eos_count == 1 && ck->config.generation.eos[0] == 151645);
    weft_checkpoint_close(ck);
    free(text);
}

static void expect_template(const char *wanted, const char *origin) {
    weft_error err = {0};
    weft_checkpoint *ck = weft_checkpoint_create(&err);
    ck->folder = strdup(files_folder);
    CHECK_OK(weft_sources_read_hf(ck, &err), err);
    if (wanted) {
        CHECK_STR(ck->sources.chat_template, wanted);
        CHECK_STR(ck->sources.chat_template_origin, origin);
    } else {
        CHECK(!ck->sources.chat_template && ck->warning_count > 0);
    }
    weft_checkpoint_close(ck);
}

static void test_templates(void) {
    expect_template(NULL, NULL);
    /* model_max_length as published: beyond 64 bits */
    files_text(files_path("tokenizer_config.json"),
               "{\"model_max_length\":1000000000000000019884624838656,\"chat_template\":[{\"name\":\"tool_use\","
               "\"template\":\"no\"},{\"name\":\"default\",\"template\":\"list\"}]}");
    expect_template("list", "tokenizer_config.json");
    files_text(files_path("tokenizer_config.json"), "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"no\"}]}");
    expect_template(NULL, NULL);
    files_text(files_path("tokenizer_config.json"), "{\"chat_template\":\"plain\"}");
    expect_template("plain", "tokenizer_config.json");
    files_text(files_path("chat_template.jinja"), "jinja\r\nline\rend");
    expect_template("jinja\nline\nend", "chat_template.jinja");
    files_text(files_path("chat_template.json"), "{\"chat_template\":\"legacy\\r\\n\"}");
    expect_template("legacy\r\n", "chat_template.json");
    files_text(files_path("processor_config.json"), "{\"chat_template\":\"processor\"}");
    expect_template("processor", "processor_config.json");
    files_text(files_path("processor_config.json"), "{\"chat_template\":12}");
    weft_error err;
    weft_checkpoint *ck = weft_checkpoint_create(&err);
    ck->folder = strdup(files_folder);
    CHECK(weft_sources_read_hf(ck, &err) == WEFT_ERR_FORMAT && strstr(err.message, "chat_template must be a string"));
    weft_checkpoint_close(ck);
}

int main(void) {
    files_begin();
    test_published();
    test_rope();
    test_moe();
    test_refusals();
    test_pixels();
    test_generation();
    test_templates();
    return testing_summary();
}
