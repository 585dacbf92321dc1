/* From logits to the next token: see sampler.h. */
#include "decoder/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    float value; /* logit, then probability */
    int32_t id;
} candidate;

struct weft_sampler {
    weft_sampling sampling;
    int64_t vocab_size;
    uint32_t *seen;        /* bit set: token is in the prompt or the output */
    uint16_t *output;      /* [vocab_size] occurrences in the output, saturating */
    candidate *candidates; /* [vocab_size] */
    uint64_t random;
};

weft_status weft_sampler_create(const weft_sampling *sampling, int64_t vocab_size, const int32_t *prompt, int64_t prompt_count,
                                weft_sampler **out, weft_error *err) {
    *out = NULL;
    weft_sampler *s = calloc(1, sizeof *s);
    size_t vocab = (size_t)vocab_size;
    if (s) {
        s->seen = calloc((vocab + 31) / 32, sizeof *s->seen);
        s->output = calloc(vocab, sizeof *s->output);
        s->candidates = malloc(vocab * sizeof *s->candidates);
    }
    if (!s || !s->seen || !s->output || !s->candidates) {
        weft_sampler_free(s);
        return weft_fail(err, WEFT_ERR_MEMORY, "sampler: no memory");
    }
    s->sampling = *sampling;
    s->vocab_size = vocab_size;
    s->random = sampling->seed;
    for (int64_t i = 0; i < prompt_count; i++)
        if (prompt[i] >= 0 && prompt[i] < vocab_size) s->seen[prompt[i] / 32] |= 1u << (prompt[i] % 32);
    *out = s;
    return WEFT_OK;
}

void weft_sampler_free(weft_sampler *s) {
    if (!s) return;
    free(s->seen);
    free(s->output);
    free(s->candidates);
    free(s);
}

/* splitmix64 (Steele, Lea, Flood 2014): a 64-bit counter hashed; any seed is a good seed. */
static double random_unit(weft_sampler *s) {
    uint64_t z = s->random += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return (double)(z >> 11) / 9007199254740992.0;
}

static void apply_penalties(weft_sampler *s, float *logits) {
    const weft_sampling *p = &s->sampling;
    bool repetition = p->repetition_penalty != 1 && p->repetition_penalty > 0;
    if (!repetition && p->presence_penalty == 0 && p->frequency_penalty == 0) return;
    for (int64_t i = 0; i < s->vocab_size; i++) {
        if (!(s->seen[i / 32] >> (i % 32) & 1)) continue;
        if (repetition)
            logits[i] = logits[i] > 0 ? logits[i] / (float)p->repetition_penalty : logits[i] * (float)p->repetition_penalty;
        if (s->output[i]) logits[i] -= (float)(p->presence_penalty + p->frequency_penalty * s->output[i]);
    }
}

static int32_t likeliest(const weft_sampler *s, const float *logits) {
    int64_t best = 0;
    for (int64_t i = 1; i < s->vocab_size; i++)
        if (logits[i] > logits[best] || isnan(logits[best])) best = i;
    return (int32_t)best;
}

static bool likelier(candidate a, candidate b) { return a.value > b.value || (a.value == b.value && a.id < b.id); }

static int compare_candidates(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    return likelier(*a, *b) ? -1 : likelier(*b, *a) ? 1 : 0;
}

/* Restores the heap whose root (the least likely of the kept) has changed. */
static void sift_down(candidate *heap, int64_t count) {
    for (int64_t i = 0;;) {
        int64_t least = i, left = 2 * i + 1, right = left + 1;
        if (left < count && likelier(heap[least], heap[left])) least = left;
        if (right < count && likelier(heap[least], heap[right])) least = right;
        if (least == i) return;
        candidate swap = heap[i];
        heap[i] = heap[least];
        heap[least] = swap;
        i = least;
    }
}

/* Fills s->candidates with the k likeliest tokens, likeliest first; returns how many there are. */
static int64_t collect_top(weft_sampler *s, const float *logits, int64_t k) {
    candidate *heap = s->candidates;
    int64_t count = 0;
    for (int64_t i = 0; i < s->vocab_size; i++) {
        candidate c = {logits[i], (int32_t)i};
        if (!(c.value > -INFINITY)) continue; /* masked, or NaN */
        if (count < k) {
            heap[count++] = c;
            if (count == k) { /* from now on a heap: sorted descending, reversed, is one */
                qsort(heap, (size_t)k, sizeof *heap, compare_candidates);
                for (int64_t a = 0, b = k - 1; a < b; a++, b--) {
                    candidate swap = heap[a];
                    heap[a] = heap[b];
                    heap[b] = swap;
                }
            }
        } else if (likelier(c, heap[0])) {
            heap[0] = c;
            sift_down(heap, k);
        }
    }
    qsort(heap, (size_t)count, sizeof *heap, compare_candidates);
    return count;
}

static int32_t choose(weft_sampler *s, const float *logits) {
    const weft_sampling *p = &s->sampling;
    int64_t k = p->top_k > 0 && p->top_k < s->vocab_size ? p->top_k : s->vocab_size;
    int64_t count = collect_top(s, logits, k);
    if (count == 0) return likeliest(s, logits);
    candidate *c = s->candidates;
    double sum = 0, top = c[0].value;
    for (int64_t i = 0; i < count; i++) {
        c[i].value = (float)exp(((double)c[i].value - top) / p->temperature);
        sum += c[i].value;
    }
    if (p->top_p < 1) { /* the smallest set of likeliest tokens whose mass reaches top_p */
        double mass = 0;
        int64_t kept = 0;
        while (kept < count && (kept == 0 || mass < p->top_p * sum)) mass += c[kept++].value;
        count = kept;
        sum = mass;
    }
    if (p->min_p > 0) {
        int64_t kept = 1;
        double mass = c[0].value;
        while (kept < count && c[kept].value >= p->min_p * c[0].value) mass += c[kept++].value;
        count = kept;
        sum = mass;
    }
    double pick = random_unit(s) * sum;
    for (int64_t i = 0; i < count; i++) {
        pick -= c[i].value;
        if (pick < 0) return c[i].id;
    }
    return c[count - 1].id;
}

int32_t weft_sampler_next(weft_sampler *s, float *logits, const uint32_t *allowed) {
    if (allowed)
        for (int64_t i = 0; i < s->vocab_size; i++)
            if (!(allowed[i / 32] >> (i % 32) & 1)) logits[i] = -INFINITY;
    apply_penalties(s, logits);
    int32_t id = s->sampling.greedy || s->sampling.temperature <= 0 ? likeliest(s, logits) : choose(s, logits);
    s->seen[id / 32] |= 1u << (id % 32);
    if (s->output[id] < UINT16_MAX) s->output[id]++;
    return id;
}
