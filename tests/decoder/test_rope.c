/* Rotary tables against transformers' (lab/unit_goldens.py): frequencies of every scaling, and cosines and sines of the
 * interleaved layout at random position triples. */
#include "decoder/rope.h"

#include <jansson.h>

#include "npy_read.h"
#include "testing.h"

static double number_or(const json_t *object, const char *key, double fallback) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

static weft_text_config config_of(const json_t *settings) {
    weft_text_config text = {.head_dim = (int64_t)number_or(settings, "head_dim", 0), .max_position = (int64_t)number_or(settings, "max_position_embeddings", 0)};
    const char *type = json_string_value(json_object_get(settings, "rope_type"));
    text.rope = (weft_rope_config){
        .theta = number_or(settings, "rope_theta", 0),
        .factor = number_or(settings, "factor", 1),
        .original_max_position = number_or(settings, "original_max_position_embeddings", 0),
        .beta_fast = number_or(settings, "beta_fast", 0),
        .beta_slow = number_or(settings, "beta_slow", 0),
        .attention_factor = number_or(settings, "attention_factor", 0),
        .mscale = number_or(settings, "mscale", 0),
        .mscale_all_dim = number_or(settings, "mscale_all_dim", 0),
        .truncate = !json_is_false(json_object_get(settings, "truncate")),
        .scaling = !type ? WEFT_ROPE_DEFAULT : strcmp(type, "linear") == 0 ? WEFT_ROPE_LINEAR : strcmp(type, "dynamic") == 0 ? WEFT_ROPE_DYNAMIC : WEFT_ROPE_YARN,
    };
    return text;
}

static void test_frequencies(void) {
    json_t *cases = json_load_file(WEFT_TEST_DATA "/rope/rope.json", 0, NULL), *settings;
    const char *name;
    CHECK(json_object_size(cases) >= 10);
    json_object_foreach(cases, name, settings) {
        char path[512];
        snprintf(path, sizeof path, "%s/rope/%s.npy", WEFT_TEST_DATA, name);
        npy_array want = npy_read(path);
        CHECK_STR(want.type, "<f4");
        const float *frequencies = want.data;
        if (!frequencies) continue; /* the check above has failed */
        weft_text_config text = config_of(settings);
        weft_error err;
        weft_rope rope;
        CHECK_OK(weft_rope_create(&text, &rope, &err), err);
        CHECK_INT(want.values, rope.pairs);
        CHECK_MSG(fabs(rope.attention_scale - number_or(settings, "attention_scaling", 0)) < 1e-6, "%s: %g", name, rope.attention_scale);
        /* at position 1 the angle is the frequency itself: acos would lose precision, so sine and cosine are compared */
        float cosines[256], sines[256];
        int64_t length = (int64_t)number_or(settings, "seq_len", 1);
        weft_rope_row(&rope, (int32_t[]){1, 1, 1}, length, cosines, sines);
        double worst = 0;
        for (int j = 0; j < rope.pairs && j < want.values; j++) {
            double scale = rope.attention_scale, angle = frequencies[j];
            worst = fmax(worst, fabs(cosines[j] - cos(angle) * scale));
            worst = fmax(worst, fabs(sines[j] - sin(angle) * scale) / fmax(fabs(sin(angle)), 1e-30));
        }
        CHECK_MSG(worst < 1e-6, "%s: off by %g", name, worst);
        weft_rope_free(&rope);
        free(want.data);
    }
    json_decref(cases);
}

static void test_rows(const char *name, const int section[3], int head_dim) {
    npy_array arrays[3];
    const char *kinds[] = {"positions", "cos", "sin"};
    for (int i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/rope/rows_%s_%s.npy", WEFT_TEST_DATA, name, kinds[i]);
        arrays[i] = npy_read(path);
        CHECK_STR(arrays[i].type, i == 0 ? "<i4" : "<f4");
        if (!arrays[i].data) return; /* the check above has failed */
    }
    const int32_t *positions = arrays[0].data;
    const float *want_cos = arrays[1].data, *want_sin = arrays[2].data;
    weft_text_config text = {.head_dim = head_dim, .max_position = 4096};
    text.rope = (weft_rope_config){.theta = 10000, .factor = 1, .layout = WEFT_ROPE_INTERLEAVED, .section = {section[0], section[1], section[2]}};
    weft_error err;
    weft_rope rope;
    CHECK_OK(weft_rope_create(&text, &rope, &err), err);
    long rows = (long)(arrays[0].values / 3);
    CHECK_INT(arrays[1].values, rows * rope.pairs);
    double worst = 0;
    for (long r = 0; r < rows; r++) {
        float cosines[256], sines[256];
        weft_rope_row(&rope, positions + 3 * r, 1, cosines, sines);
        for (int j = 0; j < rope.pairs; j++) {
            worst = fmax(worst, fabs(cosines[j] - want_cos[r * rope.pairs + j]));
            worst = fmax(worst, fabs(sines[j] - want_sin[r * rope.pairs + j]));
        }
    }
    CHECK_MSG(worst < 3e-4, "%s: off by %g", name, worst); /* angles reach 3,000: one bit of a frequency is 2e-4 there */
    weft_rope_free(&rope);
    for (int i = 0; i < 3; i++) free(arrays[i].data);
}

/* Chunked and standard layouts have no published checkpoint here: their axes are checked by what a single axis moves. */
static void test_other_layouts(void) {
    weft_text_config text = {.head_dim = 16, .max_position = 4096};
    text.rope = (weft_rope_config){.theta = 100, .factor = 1, .layout = WEFT_ROPE_CHUNKED, .section = {4, 2, 2}};
    const char *want[] = {"ttttHHww", "tttttttt"};
    for (int layout = 0; layout < 2; layout++) {
        weft_error err;
        weft_rope rope;
        if (layout) text.rope.layout = WEFT_ROPE_STANDARD;
        CHECK_OK(weft_rope_create(&text, &rope, &err), err);
        for (int j = 0; j < rope.pairs; j++) CHECK_INT(rope.axis[j], want[layout][j] == 't' ? 0 : want[layout][j] == 'H' ? 1 : 2);
        weft_rope_free(&rope);
    }
}

int main(void) {
    test_frequencies();
    test_rows("24_20_20", (int[]){24, 20, 20}, 128);
    test_rows("12_10_10", (int[]){12, 10, 10}, 64);
    test_rows("16_8_8", (int[]){16, 8, 8}, 64);
    test_rows("6_5_5", (int[]){6, 5, 5}, 32);
    test_other_layouts();
    return testing_summary();
}
