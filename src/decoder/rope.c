/* Rotary layouts as data: see rope.h. */
#include "decoder/rope.h"

#include <math.h>
#include <stdlib.h>

static float base_frequency(double theta, int pair, int pairs) {
    return 1.0f / powf((float)theta, (float)(2 * pair) / (float)(2 * pairs));
}

/* The dimension whose wavelength fits `rotations` times into the original context (YaRN, arXiv 2309.00071). */
static double correction_dim(double rotations, int dim, double theta, double original) {
    return dim * log(original / (rotations * 2 * M_PI)) / (2 * log(theta));
}

static double yarn_mscale(double factor, double mscale) { return factor <= 1 ? 1.0 : 0.1 * mscale * log(factor) + 1.0; }

static void fill_yarn(weft_rope *rope, const weft_rope_config *config, double original) {
    int dim = 2 * rope->pairs;
    double beta_fast = config->beta_fast > 0 ? config->beta_fast : 32, beta_slow = config->beta_slow > 0 ? config->beta_slow : 1;
    double low = correction_dim(beta_fast, dim, config->theta, original);
    double high = correction_dim(beta_slow, dim, config->theta, original);
    if (config->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, dim - 1);
    if (low == high) high += 0.001; /* as transformers: keeps the ramp finite */
    for (int j = 0; j < rope->pairs; j++) {
        float wavelength = powf((float)config->theta, (float)(2 * j) / (float)dim);
        float extrapolation = 1.0f / wavelength, interpolation = 1.0f / ((float)config->factor * wavelength);
        float ramp = ((float)j - (float)low) / (float)(high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        float keep = 1 - ramp;
        rope->inv_freq[j] = interpolation * (1 - keep) + extrapolation * keep;
    }
    double scale = config->attention_factor;
    if (scale <= 0) {
        scale = yarn_mscale(config->factor, 1);
        if (config->mscale != 0 && config->mscale_all_dim != 0)
            scale = yarn_mscale(config->factor, config->mscale) / yarn_mscale(config->factor, config->mscale_all_dim);
    }
    rope->attention_scale = (float)scale;
}

static unsigned char pair_axis(const weft_rope_config *config, int pair) {
    const int *section = config->section;
    switch (config->layout) {
    case WEFT_ROPE_STANDARD: return 0;
    case WEFT_ROPE_CHUNKED: return pair < section[0] ? 0 : pair < section[0] + section[1] ? 1 : 2;
    case WEFT_ROPE_INTERLEAVED:
        if (pair % 3 == 1 && pair < 3 * section[1]) return 1;
        if (pair % 3 == 2 && pair < 3 * section[2]) return 2;
        return 0;
    }
    return 0;
}

weft_status weft_rope_create(const weft_text_config *text, weft_rope *rope, weft_error *err) {
    const weft_rope_config *config = &text->rope;
    *rope = (weft_rope){.pairs = (int)(text->head_dim / 2), .attention_scale = 1, .theta = config->theta, .factor = config->factor};
    if (rope->pairs < 1 || text->head_dim % 2)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "rotary embedding: head_dim %lld is not even", (long long)text->head_dim);
    rope->axis = malloc((size_t)rope->pairs);
    rope->inv_freq = malloc(sizeof(float) * (size_t)rope->pairs);
    if (!rope->axis || !rope->inv_freq) {
        weft_rope_free(rope);
        return weft_fail(err, WEFT_ERR_MEMORY, "rotary table: no memory");
    }
    for (int j = 0; j < rope->pairs; j++) {
        rope->axis[j] = pair_axis(config, j);
        rope->inv_freq[j] = base_frequency(config->theta, j, rope->pairs);
    }
    double original = config->original_max_position > 0 ? config->original_max_position : (double)text->max_position;
    switch (config->scaling) {
    case WEFT_ROPE_DEFAULT: break;
    case WEFT_ROPE_LINEAR:
        for (int j = 0; j < rope->pairs; j++) rope->inv_freq[j] /= (float)config->factor;
        break;
    case WEFT_ROPE_DYNAMIC: rope->dynamic_from = text->max_position; break;
    case WEFT_ROPE_YARN: fill_yarn(rope, config, original); break;
    }
    return WEFT_OK;
}

void weft_rope_free(weft_rope *rope) {
    free(rope->axis);
    free(rope->inv_freq);
    *rope = (weft_rope){0};
}

void weft_rope_row(const weft_rope *rope, const int32_t position[3], int64_t length, float *cos_row, float *sin_row) {
    double theta = 0;
    if (rope->dynamic_from > 0 && length > rope->dynamic_from) {
        double dim = 2.0 * rope->pairs, stretched = rope->factor * (double)length / (double)rope->dynamic_from - (rope->factor - 1);
        theta = rope->theta * pow(stretched, dim / (dim - 2));
    }
    for (int j = 0; j < rope->pairs; j++) {
        float inv_freq = theta > 0 ? base_frequency(theta, j, rope->pairs) : rope->inv_freq[j];
        float angle = (float)position[rope->axis[j]] * inv_freq;
        cos_row[j] = cosf(angle) * rope->attention_scale;
        sin_row[j] = sinf(angle) * rope->attention_scale;
    }
}
