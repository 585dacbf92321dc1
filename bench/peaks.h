/* What one core can do: chains of one instruction each, for the benchmarks to hold their kernels against. Each probe
 * returns operations a second (a multiplication and an addition are two). For one source file of a program only. */
#ifndef WEFT_BENCH_PEAKS_H
#define WEFT_BENCH_PEAKS_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* With one thread its own CPU time counts, which other work on the machine disturbs less. */
static clockid_t bench_clock = CLOCK_MONOTONIC;

static double now_s(void) {
    struct timespec t;
    clock_gettime(bench_clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { PROBE_ROUNDS = 2000000 };

#if defined(__x86_64__)
/* Ten independent chains hide the latency of a fused multiply-add; the empty asm keeps the compiler from folding them.
 */
#define CHAINS(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9)

__attribute__((target("avx2,fma"))) static inline double flops_avx2(void) {
    __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
#define START(i) __m256 a##i = _mm256_set1_ps(i);
#define STEP(i)                                                                                                        \
    a##i = _mm256_fmadd_ps(a##i, x, y);                                                                                \
    __asm__ volatile("" : "+x"(a##i));
    CHAINS(START)
    double start = now_s();
    for (int r = 0; r < PROBE_ROUNDS; r++) {
        CHAINS(STEP)
    }
    return (double)PROBE_ROUNDS * 10 * 16 / (now_s() - start);
#undef START
#undef STEP
}

/* The byte product of AVX2 with the sum of its 16-bit chain. */
__attribute__((target("avx2"))) static inline double bytes_avx2(void) {
    __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(5);
#define START(i) __m256i a##i = _mm256_set1_epi8(i);
#define STEP(i)                                                                                                        \
    a##i = _mm256_add_epi16(a##i, _mm256_maddubs_epi16(x, y));                                                         \
    __asm__ volatile("" : "+x"(a##i), "+x"(x));
    CHAINS(START)
    double start = now_s();
    for (int r = 0; r < PROBE_ROUNDS; r++) {
        CHAINS(STEP)
    }
    return (double)PROBE_ROUNDS * 10 * 64 / (now_s() - start);
#undef START
#undef STEP
}

/* VPDPBUSD, spelt as assembly: compilers of this age want a whole level switched on for it. */
__attribute__((target("avx512f"))) static inline double bytes_avx512_vnni(void) {
    __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5);
#define START(i) __m512i a##i = _mm512_set1_epi32(i);
#define STEP(i)  __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(a##i) : "v"(x), "v"(y));
    CHAINS(START)
    double start = now_s();
    for (int r = 0; r < PROBE_ROUNDS; r++) {
        CHAINS(STEP)
    }
    return (double)PROBE_ROUNDS * 10 * 128 / (now_s() - start);
#undef START
#undef STEP
}

/* Tile products of bf16 on zeros, six sums in turn. Only after the level amx has been selected: the system wants to be
 * asked for the tiles. */
static inline double flops_tiles_bf16(void) {
    struct {
        uint8_t palette, start_row, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = 64;
        config.rows[t] = 16;
    }
    __asm__ volatile("ldtilecfg %0\n\ttilezero %%tmm6\n\ttilezero %%tmm7" ::"m"(config) : "memory");
    double start = now_s();
    for (int r = 0; r < PROBE_ROUNDS / 16; r++)
        __asm__ volatile("tdpbf16ps %%tmm7, %%tmm6, %%tmm0\n\ttdpbf16ps %%tmm7, %%tmm6, %%tmm1\n\t"
                         "tdpbf16ps %%tmm7, %%tmm6, %%tmm2\n\ttdpbf16ps %%tmm7, %%tmm6, %%tmm3\n\t"
                         "tdpbf16ps %%tmm7, %%tmm6, %%tmm4\n\ttdpbf16ps %%tmm7, %%tmm6, %%tmm5" ::
                             : "memory");
    double rate = (double)(PROBE_ROUNDS / 16) * 6 * 16 * 16 * 64 / (now_s() - start);
    __asm__ volatile("tilerelease" ::: "memory");
    return rate;
}

__attribute__((target("avx2"))) static inline double bytes_avxvnni(void) {
    __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(5);
#define START(i) __m256i a##i = _mm256_set1_epi32(i);
#define STEP(i)  __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(a##i) : "x"(x), "x"(y));
    CHAINS(START)
    double start = now_s();
    for (int r = 0; r < PROBE_ROUNDS; r++) {
        CHAINS(STEP)
    }
    return (double)PROBE_ROUNDS * 10 * 64 / (now_s() - start);
#undef START
#undef STEP
}

__attribute__((target("avx512f"))) static inline double flops_avx512(void) {
    __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
#define START(i) __m512 a##i = _mm512_set1_ps(i);
#define STEP(i)                                                                                                        \
    a##i = _mm512_fmadd_ps(a##i, x, y);                                                                                \
    __asm__ volatile("" : "+v"(a##i));
    CHAINS(START)
    double start = now_s();
    for (int r = 0; r < PROBE_ROUNDS; r++) {
        CHAINS(STEP)
    }
    return (double)PROBE_ROUNDS * 10 * 32 / (now_s() - start);
#undef START
#undef STEP
}

/* 16-bit pair products, added up. */
__attribute__((target("avx2,fma"))) static inline double pairs_avx2(void) {
    __m256i x = _mm256_set1_epi32(3), y = _mm256_set1_epi32(5);
#define START(i) __m256i a##i = _mm256_set1_epi32(i);
#define STEP(i)                                                                                                        \
    __asm__ volatile("" : "+x"(x));                                                                                    \
    a##i = _mm256_add_epi32(a##i, _mm256_madd_epi16(x, y));                                                            \
    __asm__ volatile("" : "+x"(a##i));
    CHAINS(START)
    double start = now_s();
    for (int r = 0; r < PROBE_ROUNDS; r++) {
        CHAINS(STEP)
    }
    return (double)PROBE_ROUNDS * 10 * 32 / (now_s() - start);
#undef START
#undef STEP
}
#endif

#endif
