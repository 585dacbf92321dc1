/* The sampler's steps, one by one, against distributions worked out by hand. */
#include "decoder/sampler.h"

#include "testing.h"

enum { VOCAB = 50, DRAWS = 20000 };

static weft_sampling neutral(void) {
    return (weft_sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 7};
}

/* Draws many tokens of the same logits and counts them. Each draw uses a fresh sampler so that penalties do not build up. */
static void draw(weft_sampling sampling, const float *logits, const int32_t *prompt, int64_t prompt_count, int *counts) {
    memset(counts, 0, sizeof(int) * VOCAB);
    for (int i = 0; i < DRAWS; i++) {
        weft_error err;
        weft_sampler *s = NULL;
        sampling.seed = (uint64_t)i * 7919 + 3;
        if (weft_sampler_create(&sampling, VOCAB, prompt, prompt_count, &s, &err) != WEFT_OK) return;
        float copy[VOCAB];
        memcpy(copy, logits, sizeof copy);
        counts[weft_sampler_next(s, copy, NULL)]++;
        weft_sampler_free(s);
    }
}

static void test_distribution(void) {
    float logits[VOCAB];
    for (int i = 0; i < VOCAB; i++) logits[i] = -30;
    logits[3] = logf(0.5f), logits[10] = logf(0.3f), logits[20] = logf(0.15f), logits[40] = logf(0.05f);
    int counts[VOCAB];
    draw(neutral(), logits, NULL, 0, counts);
    CHECK(abs(counts[3] - DRAWS / 2) < DRAWS / 50);
    CHECK(abs(counts[40] - DRAWS / 20) < DRAWS / 50);

    weft_sampling s = neutral();
    s.top_k = 2;
    draw(s, logits, NULL, 0, counts);
    CHECK(abs(counts[3] - DRAWS * 5 / 8) < DRAWS / 50);
    CHECK_INT(counts[3] + counts[10], DRAWS);

    s = neutral();
    s.top_p = 0.75; /* 0.5 is not enough, 0.8 is */
    draw(s, logits, NULL, 0, counts);
    CHECK_INT(counts[3] + counts[10], DRAWS);
    CHECK(counts[10] > 0);

    s = neutral();
    s.min_p = 0.25; /* 0.15 >= 0.125 stays, 0.05 goes */
    draw(s, logits, NULL, 0, counts);
    CHECK_INT(counts[40], 0);
    CHECK(counts[20] > 0);

    s = neutral();
    s.temperature = 0.5; /* squares the odds: 0.25, 0.09, 0.0225, 0.0025 */
    draw(s, logits, NULL, 0, counts);
    CHECK(abs(counts[3] - (int)(DRAWS * 0.25 / 0.365)) < DRAWS / 50);

    s = neutral();
    s.repetition_penalty = 2; /* a prompt token with a negative logit: the logit is doubled, so 0.5 becomes 0.25 */
    int32_t prompt[] = {3};
    draw(s, logits, prompt, 1, counts);
    CHECK(abs(counts[3] - DRAWS / 3) < DRAWS / 50);
}

static void test_sequence(void) {
    weft_error err;
    weft_sampling sampling = neutral();
    sampling.greedy = true;
    sampling.presence_penalty = 1.5;
    sampling.frequency_penalty = 0.25;
    weft_sampler *s = NULL;
    CHECK_OK(weft_sampler_create(&sampling, VOCAB, NULL, 0, &s, &err), err);
    const int32_t want[] = {5, 6, 5, 5};
    for (int i = 0; i < 4; i++) { /* 5: 10 -> 8.25 -> 8.0; 6: 9 -> 7.25 */
        float logits[VOCAB] = {0};
        logits[5] = 10, logits[6] = 9;
        CHECK_INT(weft_sampler_next(s, logits, NULL), want[i]);
    }
    float logits[VOCAB] = {0};
    logits[9] = NAN, logits[11] = 3;
    uint32_t allowed[2] = {1u << 11 | 1u << 2, 0};
    CHECK_INT(weft_sampler_next(s, logits, allowed), 11);
    weft_sampler_free(s);

    int32_t first[8], again[8]; /* the same seed gives the same tokens */
    for (int round = 0; round < 2; round++) {
        sampling = neutral();
        sampling.seed = 42;
        CHECK_OK(weft_sampler_create(&sampling, VOCAB, NULL, 0, &s, &err), err);
        for (int i = 0; i < 8; i++) {
            float flat[VOCAB] = {0};
            (round ? again : first)[i] = weft_sampler_next(s, flat, NULL);
        }
        weft_sampler_free(s);
    }
    CHECK(memcmp(first, again, sizeof first) == 0);
    CHECK(first[0] != first[1] || first[1] != first[2]);
}

int main(void) {
    test_distribution();
    test_sequence();
    return testing_summary();
}
