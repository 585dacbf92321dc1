/* The sampler's steps, one by one, against distributions worked out by hand, and its short cuts against plain sorting. */
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

typedef struct ranked {
    float logit;
    int32_t id;
} ranked;

static int by_rank(const void *left, const void *right) {
    const ranked *a = left, *b = right;
    if (a->logit != b->logit) return a->logit > b->logit ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* The id that a sampler with this seed must draw first, by sorting everything: the steps as sampler.h states them. */
static int32_t drawn_by_sorting(const weft_sampling *sampling, const float *logits, int64_t n, ranked *order) {
    int64_t count = 0, k = sampling->top_k ? sampling->top_k : n, kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (logits[i] > -INFINITY) order[count++] = (ranked){logits[i], (int32_t)i};
    qsort(order, (size_t)count, sizeof *order, by_rank);
    if (count > k) count = k;
    double sum = 0, mass = 0, top = order[0].logit;
    for (int64_t i = 0; i < count; i++) {
        order[i].logit = (float)exp((order[i].logit - top) / sampling->temperature);
        sum += order[i].logit;
    }
    while (kept < count && (kept == 0 || mass < sampling->top_p * sum)) mass += order[kept++].logit;
    if (sampling->top_p == 1) kept = count, mass = sum;
    uint64_t z = sampling->seed + 0x9E3779B97F4A7C15ULL; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    double pick = (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0 * mass;
    for (int64_t i = 0; i < kept; i++)
        if ((pick -= order[i].logit) < 0) return order[i].id;
    return order[kept - 1].id;
}

/* Large vocabularies, equal logits, NaN and minus infinity among them: heap, sort and greedy agree with plain sorting. */
static void test_large(void) {
    enum { LARGE = 30011 };
    float *logits = malloc(LARGE * sizeof *logits), *copy = malloc(LARGE * sizeof *copy);
    ranked *order = malloc(LARGE * sizeof *order);
    uint64_t random = 99;
    const int64_t top_k[] = {0, 1, 20, 1024, 1025, LARGE};
    for (int round = 0; round < 60; round++) {
        int64_t n = round % 3 ? LARGE : 2 + (int64_t)(testing_random(&random) % 700);
        for (int64_t i = 0; i < n; i++) {
            float u = testing_uniform(&random);
            logits[i] = round % 2 ? u * 9 : floorf(u * 9) * 0.5f; /* many equal, zeros of both signs */
            if (round % 5 == 0 && i % 3 == 0) logits[i] = i % 2 ? NAN : -INFINITY;
            if (round % 7 == 0 && logits[i] == 0) logits[i] = i % 2 ? 0.0f : -0.0f;
        }
        weft_sampling sampling = neutral();
        sampling.temperature = 0.5 + round % 4;
        sampling.top_k = top_k[round % 6];
        sampling.top_p = round % 4 == 1 ? 0.9 : 1;
        sampling.seed = testing_random(&random);
        weft_error err;
        for (int greedy = 0; greedy < 2; greedy++) {
            weft_sampler *s = NULL;
            sampling.greedy = greedy;
            CHECK_OK(weft_sampler_create(&sampling, n, NULL, 0, &s, &err), err);
            memcpy(copy, logits, (size_t)n * sizeof *copy);
            if (greedy) sampling.top_k = 1; /* the first of the largest */
            int32_t want = drawn_by_sorting(&sampling, logits, n, order), got = weft_sampler_next(s, copy, NULL);
            CHECK_MSG(got == want, "round %d greedy %d n %lld top_k %lld: %d, want %d", round, greedy, (long long)n,
                      (long long)sampling.top_k, got, want);
            weft_sampler_free(s);
        }
    }
    free(logits);
    free(copy);
    free(order);
}

int main(void) {
    test_distribution();
    test_sequence();
    test_large();
    return testing_summary();
}
