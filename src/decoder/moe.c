/* Mixture of experts: route each row to its experts, then run each expert once over all rows that chose it.
 *
 * transformers: Qwen3VLMoeTextTopKRouter (softmax over all experts in f32, top-k, renormalised) and
 * Qwen3VLMoeTextExperts. Experts are visited in ascending order, so sums are formed in the reference's order. */
#include <string.h>

#include "decoder/decoder_internal.h"

/* The k likeliest experts of a row, likeliest first; equal ones keep their order. */
static void choose_experts(const float *probability, int64_t experts, int64_t k, int32_t *chosen, float *weight) {
    float sum = 0;
    for (int64_t i = 0; i < k; i++) {
        int64_t best = -1;
        for (int64_t e = 0; e < experts; e++) {
            int taken = 0;
            for (int64_t j = 0; j < i; j++) taken |= chosen[j] == e;
            if (!taken && (best < 0 || probability[e] > probability[best])) best = e;
        }
        chosen[i] = (int32_t)best;
        weight[i] = probability[best];
        sum += weight[i];
    }
    for (int64_t i = 0; i < k; i++) weight[i] /= sum;
}

static void group_rows_by_expert(weft_moe_scratch *moe, int64_t experts, int64_t k, int64_t count) {
    memset(moe->first, 0, sizeof(int64_t) * (size_t)(experts + 1));
    for (int64_t i = 0; i < count * k; i++) moe->first[moe->expert[i] + 1]++;
    for (int64_t e = 0; e < experts; e++) moe->first[e + 1] += moe->first[e];
    for (int64_t i = 0; i < count * k; i++) { /* first[e] moves on while its group is filled … */
        int64_t at = moe->first[moe->expert[i]]++;
        moe->row_list[at] = i / k;
        moe->weight_list[at] = moe->weight[i];
    }
    for (int64_t e = experts; e > 0; e--) moe->first[e] = moe->first[e - 1]; /* … and is moved back */
    moe->first[0] = 0;
}

void weft_decoder_moe(weft_decoder *d, const weft_text_layer *layer, int64_t count) {
    const weft_text_config *text = &d->config->text;
    weft_moe_scratch *moe = &d->moe;
    int64_t hidden = text->hidden_size, experts = text->experts, k = text->experts_per_token, ffn = text->moe_intermediate_size;
    weft_matmul(d->compute, moe->router, experts, d->normed, hidden, count, &layer->router, NULL, false);
    for (int64_t r = 0; r < count; r++) {
        d->kernels->softmax(moe->router + r * experts, experts);
        choose_experts(moe->router + r * experts, experts, k, moe->expert + r * k, moe->weight + r * k);
    }
    group_rows_by_expert(moe, experts, k, count);
    for (int64_t e = 0; e < experts; e++) {
        const int64_t *rows = moe->row_list + moe->first[e];
        const float *weights = moe->weight_list + moe->first[e];
        int64_t n = moe->first[e + 1] - moe->first[e];
        if (n == 0) continue;
        for (int64_t i = 0; i < n; i++)
            memcpy(moe->input + i * hidden, d->normed + rows[i] * hidden, sizeof(float) * (size_t)hidden);
        weft_matmul(d->compute, moe->gate, ffn, moe->input, hidden, n, &layer->expert_gate[e], NULL, false);
        weft_matmul(d->compute, moe->up, ffn, moe->input, hidden, n, &layer->expert_up[e], NULL, false);
        d->kernels->silu_mul(moe->gate, moe->gate, moe->up, n * ffn);
        weft_matmul(d->compute, moe->output, hidden, moe->gate, ffn, n, &layer->expert_down[e], NULL, false);
        for (int64_t i = 0; i < n; i++)
            d->kernels->scale_add(d->hidden + rows[i] * hidden, moe->output + i * hidden, weights[i], hidden);
    }
}
