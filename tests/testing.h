/* A small harness: CHECK macros that count, print where they failed, and a summary line that CTest and CI can read.
 * A test program is a main() that runs its cases and ends with `return testing_summary();`. */
#ifndef WEFT_TESTS_TESTING_H
#define WEFT_TESTS_TESTING_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int testing_passed, testing_failed;

#define CHECK_MSG(cond, ...)                                                                                           \
    do {                                                                                                               \
        if (cond) {                                                                                                    \
            testing_passed++;                                                                                          \
        } else {                                                                                                       \
            testing_failed++;                                                                                          \
            fprintf(stderr, "%s:%d: failed: %s: ", __FILE__, __LINE__, #cond);                                         \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)
#define CHECK(cond) CHECK_MSG(cond, "%s", "")
#define CHECK_INT(got, want)                                                                                           \
    do {                                                                                                               \
        long long testing_got_ = (long long)(got), testing_want_ = (long long)(want);                                  \
        CHECK_MSG(testing_got_ == testing_want_, "got %lld, want %lld", testing_got_, testing_want_);                  \
    } while (0)
#define CHECK_STR(got, want)                                                                                           \
    do {                                                                                                               \
        const char *testing_got_ = (got), *testing_want_ = (want);                                                     \
        CHECK_MSG(testing_got_ && strcmp(testing_got_, testing_want_) == 0, "got \"%s\", want \"%s\"",                 \
                  testing_got_ ? testing_got_ : "(null)", testing_want_);                                              \
    } while (0)
/* For calls that take a weft_error last: prints its message. */
#define CHECK_OK(expr, err) CHECK_MSG((expr) == WEFT_OK, "%s", (err).message)

/* xorshift64*: reproducible random numbers for tests. */
static inline uint64_t testing_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ULL;
}
static inline float testing_uniform(uint64_t *state) { /* in [-1, 1) */
    return (float)((double)(testing_random(state) >> 11) / 4503599627370496.0 - 1.0);
}

static inline int testing_summary(void) {
    printf("%d passed, %d failed\n", testing_passed, testing_failed);
    return testing_failed ? 1 : 0;
}

#endif
