/* From logits to the next token: see sampler.h.
 *
 * A vocabulary has some 150,000 logits, a choice looks at few of them: the passes over all are plain streams, and only
 * what is kept is ordered and goes through exp. */
#include "decoder/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, HEAP_MAX = 1024 };

typedef struct candidate {
    float value; /* logit, then probability */
    int32_t id;
} candidate;

struct weft_sampler {
    weft_sampling sampling;
    int64_t vocab_size;
    uint32_t *seen;        /* bit set: token is in the prompt or the output */
    uint16_t *output;      /* [vocab_size] occurrences in the output, saturating */
    candidate *candidates; /* [vocab_size], or [top_k] when a heap keeps them */
    candidate *sorting;    /* [vocab_size] for the sort of everything, else NULL */
    uint64_t random;
};

static bool is_greedy(const weft_sampler *s) { return s->sampling.greedy || s->sampling.temperature <= 0; }

/* With more candidates than this a sort of everything is quicker than a heap. */
static bool sorts_all(const weft_sampler *s) {
    int64_t k = s->sampling.top_k;
    return k <= 0 || k >= s->vocab_size || k > HEAP_MAX;
}

weft_status weft_sampler_create(const weft_sampling *sampling, int64_t vocab_size, const int32_t *prompt, int64_t prompt_count,
                                weft_sampler **out, weft_error *err) {
    *out = NULL;
    weft_sampler *s = calloc(1, sizeof *s);
    size_t vocab = (size_t)vocab_size;
    bool all = false;
    if (s) {
        s->sampling = *sampling;
        s->vocab_size = vocab_size;
        s->random = sampling->seed;
        bool greedy = is_greedy(s);
        all = !greedy && sorts_all(s);
        s->seen = calloc((vocab + 31) / 32, sizeof *s->seen);
        s->output = calloc(vocab, sizeof *s->output);
        s->candidates = malloc((all ? vocab : greedy ? 1 : (size_t)sampling->top_k) * sizeof *s->candidates);
        s->sorting = all ? malloc(vocab * sizeof *s->sorting) : NULL;
    }
    if (!s || !s->seen || !s->output || !s->candidates || (all && !s->sorting)) {
        weft_sampler_free(s);
        return weft_fail(err, WEFT_ERR_MEMORY, "sampler: no memory");
    }
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
    free(s->sorting);
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

static void penalise(const weft_sampler *s, float *logits, int64_t id, bool repetition) {
    const weft_sampling *p = &s->sampling;
    float penalty = (float)p->repetition_penalty;
    if (repetition) logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    if (s->output[id]) logits[id] -= (float)(p->presence_penalty + p->frequency_penalty * s->output[id]);
}

static void apply_penalties(weft_sampler *s, float *logits) {
    const weft_sampling *p = &s->sampling;
    bool repetition = p->repetition_penalty != 1 && p->repetition_penalty > 0;
    if (!repetition && p->presence_penalty == 0 && p->frequency_penalty == 0) return;
    for (int64_t word = 0; word < (s->vocab_size + 31) / 32; word++)
        for (uint32_t left = s->seen[word]; left; left &= left - 1)
            penalise(s, logits, word * 32 + __builtin_ctz(left), repetition);
}

/* Four floats, a vector on every target: one pass over the logits is bound by reading them. */
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_bits __attribute__((vector_size(16)));

static four larger(four a, const float *x) {
    four v;
    memcpy(&v, x, sizeof v);
    four_bits above = v > a; /* false for NaN */
    return (four)((above & (four_bits)v) | (~above & (four_bits)a));
}

/* The largest of x[0 … BLOCK-1]; NaN is passed over. */
static float block_largest(const float *x) {
    const float none = -INFINITY;
    four m0 = {none, none, none, none}, m1 = m0, m2 = m0, m3 = m0;
    for (int i = 0; i < BLOCK; i += 16) {
        m0 = larger(m0, x + i);
        m1 = larger(m1, x + i + 4);
        m2 = larger(m2, x + i + 8);
        m3 = larger(m3, x + i + 12);
    }
    float each[12], largest = none;
    memcpy(each, &m1, 16);
    memcpy(each + 4, &m2, 16);
    memcpy(each + 8, &m3, 16);
    m0 = larger(larger(larger(m0, each), each + 4), each + 8);
    for (int i = 0; i < 4; i++) largest = m0[i] > largest ? m0[i] : largest;
    return largest;
}

/* The first of the largest; NaN is passed over. */
static int32_t likeliest(const weft_sampler *s, const float *logits) {
    int64_t n = s->vocab_size, at = 0, found = -1;
    float best = -INFINITY;
    for (; at + BLOCK <= n; at += BLOCK) {
        float largest = block_largest(logits + at);
        if (largest > best) best = largest, found = at;
    }
    for (; at < n; at++)
        if (logits[at] > best) best = logits[at], found = at;
    if (found < 0) found = 0; /* nothing above minus infinity */
    while (found < n && logits[found] != best) found++;
    return (int32_t)(found < n ? found : n - 1);
}

static bool likelier(candidate a, candidate b) { return a.value > b.value || (a.value == b.value && a.id < b.id); }

static int compare_candidates(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    return likelier(*a, *b) ? -1 : likelier(*b, *a) ? 1 : 0;
}

/* Restores the heap (the least likely of the kept at its root) below node i. */
static void sift_down(candidate *heap, int64_t i, int64_t count) {
    for (;;) {
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

/* Fills s->candidates with the k likeliest tokens, likeliest first; returns how many there are. Few: blocks in which no
 * logit is above the least of the k are passed over, and after the first thousands of a vocabulary that is nearly all. */
static int64_t collect_few(weft_sampler *s, const float *logits, int64_t k) {
    candidate *heap = s->candidates;
    int64_t count = 0, n = s->vocab_size;
    for (int64_t block = 0; block < n; block += BLOCK) {
        int64_t end = n - block < BLOCK ? n : block + BLOCK;
        if (count == k && end - block == BLOCK && !(block_largest(logits + block) > heap[0].value)) continue;
        for (int64_t i = block; i < end; i++) {
            candidate c = {logits[i], (int32_t)i};
            if (!(c.value > -INFINITY)) continue; /* masked, or NaN */
            if (count < k) {
                heap[count++] = c;
                if (count == k) /* from now on a heap with the least at its root */
                    for (int64_t root = k / 2; root-- > 0;) sift_down(heap, root, k);
            } else if (likelier(c, heap[0])) {
                heap[0] = c;
                sift_down(heap, 0, k);
            }
        }
    }
    qsort(heap, (size_t)count, sizeof *heap, compare_candidates);
    return count;
}

/* The order of a logit as an integer, largest first; plus and minus zero are equal. */
static uint32_t rank_of(float value) {
    uint32_t bits;
    value += 0.0f;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7FFFFFFFu;
}

/* All of them: a radix sort in three passes of RADIX_BITS, each keeping the order of the one before, so that equal logits
 * stay in the order of their ids. */
static int64_t collect_all(weft_sampler *s, const float *logits) {
    enum { RADIX_BITS = 11, BUCKETS = 1 << RADIX_BITS };
    candidate *from = s->candidates, *to = s->sorting;
    int64_t count = 0;
    for (int64_t i = 0; i < s->vocab_size; i++)
        if (logits[i] > -INFINITY) from[count++] = (candidate){logits[i], (int32_t)i};
    for (int shift = 0; shift < 32; shift += RADIX_BITS) {
        uint32_t start[BUCKETS] = {0}, at = 0;
        for (int64_t i = 0; i < count; i++) start[rank_of(from[i].value) >> shift & (BUCKETS - 1)]++;
        for (int b = 0; b < BUCKETS; b++) {
            uint32_t size = start[b];
            start[b] = at;
            at += size;
        }
        for (int64_t i = 0; i < count; i++) to[start[rank_of(from[i].value) >> shift & (BUCKETS - 1)]++] = from[i];
        candidate *swap = from;
        from = to;
        to = swap;
    }
    s->candidates = from;
    s->sorting = to;
    return count;
}

static int32_t choose(weft_sampler *s, const float *logits) {
    const weft_sampling *p = &s->sampling;
    int64_t k = p->top_k > 0 && p->top_k < s->vocab_size ? p->top_k : s->vocab_size;
    int64_t count = sorts_all(s) ? collect_all(s, logits) : collect_few(s, logits, k);
    if (count > k) count = k;
    if (count == 0) return likeliest(s, logits);
    candidate *c = s->candidates;
    if (c[0].value == INFINITY) return c[0].id; /* certain; the differences below would be NaN */
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
        for (int64_t word = 0; word < (s->vocab_size + 31) / 32; word++)
            for (uint32_t left = ~allowed[word]; left; left &= left - 1) {
                int64_t id = word * 32 + __builtin_ctz(left);
                if (id < s->vocab_size) logits[id] = -INFINITY;
            }
    apply_penalties(s, logits);
    int32_t id = is_greedy(s) ? likeliest(s, logits) : choose(s, logits);
    s->seen[id / 32] |= 1u << (id % 32);
    if (s->output[id] < UINT16_MAX) s->output[id]++;
    return id;
}
