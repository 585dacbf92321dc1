/* What the kernel tests share: the levels of this CPU, guarded arrays, random values and random weights of every type.
 */
#ifndef WEFT_TESTS_KERNELS_LEVELS_H
#define WEFT_TESTS_KERNELS_LEVELS_H

#include "kernels/kernels.h"
#include "testing.h"

static const char *const all_levels[] = {"ref", "avx2", "avxvnni", "avx512", "avx512-vnni", "amx", "neon", "dotprod", "i8mm"};
enum { ALL_LEVELS = 9 };

/* Fills tables with what this machine can run and says what it cannot. */
static inline int test_levels(const weft_kernels *tables[ALL_LEVELS]) {
    int count = 0;
    for (int i = 0; i < ALL_LEVELS; i++) {
        weft_error err;
        const weft_kernels *table;
#ifdef WEFT_TESTS_ONLY_LEVEL
        if (strcmp(all_levels[i], WEFT_TESTS_ONLY_LEVEL) != 0) continue; /* the others as everywhere: tested elsewhere */
#endif
        if (weft_kernels_select(all_levels[i], &table, &err) == WEFT_OK) {
            printf("level %s: tested\n", all_levels[i]);
            tables[count++] = table;
        } else {
            printf("level %s: NOT tested here (%s)\n", all_levels[i], err.message);
        }
    }
    return count;
}

static inline const weft_kernels *reference(void) {
    const weft_kernels *table = NULL;
    weft_kernels_select("ref", &table, NULL);
    return table;
}

/* Of `n` random cases, how many to run: an emulated CPU is some twenty times slower and takes one in eight. */
#ifdef WEFT_TESTS_EMULATED_CPU
#define ROUNDS(n) (((n) + 7) / 8)
#else
#define ROUNDS(n) (n)
#endif

/* n floats with GUARD poisoned words before and after. */
enum { GUARD = 24 };
#define POISON 0x7FA5A5A5u /* a NaN that no kernel makes */

static inline float *guarded(int64_t n) {
    uint32_t *words = malloc((size_t)(n + 2 * GUARD) * sizeof *words);
    for (int64_t i = 0; i < n + 2 * GUARD; i++) words[i] = POISON;
    return (float *)words + GUARD;
}

static inline bool word_is_poison(const float *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word == POISON;
}

static inline bool guards_whole(const float *p, int64_t n) {
    for (int i = 1; i <= GUARD; i++)
        if (!word_is_poison(p - i) || !word_is_poison(p + n + i - 1)) return false;
    return true;
}

static inline void guarded_free(float *p) {
    free(p - GUARD);
}

static inline int64_t random_between(uint64_t *seed, int64_t low, int64_t high) {
    return low + (int64_t)(testing_random(seed) % (uint64_t)(high - low + 1));
}

static inline void fill_uniform(uint64_t *seed, float *x, int64_t n, float range) {
    for (int64_t i = 0; i < n; i++) x[i] = range * testing_uniform(seed);
}

/* A finite f16 of modest size, as the scale of a block; both signs. */
static inline uint16_t random_half(uint64_t *seed) {
    return (uint16_t)((testing_random(seed) & 0x83FF) | (uint64_t)random_between(seed, 1, 12) << 10);
}

/* Random blocks of `values` values with finite scales, starting one byte past any alignment. The caller frees *base. */
static inline const uint8_t *random_blocks(uint64_t *seed, weft_type type, int64_t values, uint8_t **base) {
    size_t bytes = weft_type_row_bytes(type, values), block = weft_type_block_bytes(type);
    uint8_t *data = malloc(bytes + 1);
    *base = data++;
    for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)(testing_random(seed) >> 32);
    for (size_t b = 0; b < bytes; b += block) {
        uint16_t h = random_half(seed), h2 = random_half(seed);
        float f = testing_uniform(seed);
        switch (type) {
        case WEFT_F32: memcpy(data + b, &f, 4); break;
        case WEFT_BF16: {
            uint32_t bits;
            memcpy(&bits, &f, 4);
            h = (uint16_t)(bits >> 16);
            memcpy(data + b, &h, 2);
            break;
        }
        case WEFT_F8_E4M3:
            if ((data[b] & 0x7F) == 0x7F) data[b] ^= 1; /* NaN */
            break;
        case WEFT_Q6_K: memcpy(data + b + 208, &h, 2); break;
        case WEFT_Q4_1:
        case WEFT_Q5_1:
        case WEFT_Q4_K:
        case WEFT_Q5_K: memcpy(data + b + 2, &h2, 2); /* fall through */
        default: memcpy(data + b, &h, 2); break;
        }
    }
    return data;
}

#endif
