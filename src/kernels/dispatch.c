/* Which table fits this CPU: detection, and the choice by name. The tables are built once and live for ever.
 *
 * A level counts only when the operating system saves its registers (XCR0), not just when the CPU has it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/variants.h"

static const char *warning; /* weft_kernels_warning */

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t read_xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

typedef struct x86_features {
    bool avx2, avxvnni, avx512, vnni, amx;
} x86_features;

static x86_features detect_x86(void) {
    x86_features found = {0};
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
    const unsigned osxsave = 1u << 27, avx = 1u << 28, fma = 1u << 12, f16c = 1u << 29;
    if ((c & (osxsave | avx | fma | f16c)) != (osxsave | avx | fma | f16c)) return found;
    uint64_t saved = read_xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    const unsigned avx2 = 1u << 5, bmi2 = 1u << 8;
    const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    found.avx2 = (saved & 0x06) == 0x06 && (b & (avx2 | bmi2)) == (avx2 | bmi2);
    const unsigned vnni = 1u << 11;
    found.avx512 = found.avx2 && (saved & 0xE6) == 0xE6 && (b & (f | dq | bw | vl)) == (f | dq | bw | vl);
    found.vnni = found.avx512 && (c & vnni);
    const unsigned tiles = 1u << 24 | 1u << 22 | 1u << 25; /* AMX-TILE, AMX-BF16, AMX-INT8 */
    found.amx = found.vnni && (saved & 0x60000) == 0x60000 && (d & tiles) == tiles;
    const unsigned sub_leaves = a, avxvnni = 1u << 4;
    if (sub_leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) found.avxvnni = found.avx2 && (a & avxvnni);
    return found;
}

static bool have_avx2(void) {
    return detect_x86().avx2;
}
#if defined(WEFT_ASSUME_AVXVNNI) /* tests/kernels/emulated.cmake: the level's code does without the instructions */
static bool have_avxvnni(void) {
    return have_avx2();
}
#else
static bool have_avxvnni(void) {
    return detect_x86().avxvnni;
}
#endif
#if defined(WEFT_ASSUME_AVX512) /* the same */
static bool have_avx512(void) {
    return have_avx2();
}
static bool have_vnni(void) {
    return have_avx2();
}
static bool have_amx(void) {
    return have_avx2();
}
#else
static bool have_avx512(void) {
    return detect_x86().avx512;
}
static bool have_vnni(void) {
    return detect_x86().vnni;
}
static bool have_amx(void) {
#if defined(WEFT_ASSUME_TILES) /* tests/kernels/emulated.cmake: tiles on plain memory */
    const bool there = have_vnni(), works = there;
#elif defined(WEFT_ASSUME_BROKEN_AMX) /* tests/kernels/test_dispatch.c */
    const bool there = true, works = false;
#else
    const bool there = detect_x86().amx, works = there && weft_amx_works();
#endif
    if (there && !works)
        warning =
            "this CPU has matrix tiles (AMX), but the system does not grant them or a small product came out wrong: "
            "level amx is not used; prompts will take longer";
    return works;
}
#endif
#endif

#if defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
static bool have_dotprod(void) {
    const unsigned long asimd_dp = 1ul << 20; /* HWCAP_ASIMDDP */
    return getauxval(AT_HWCAP) & asimd_dp;
}
static bool have_i8mm(void) {
    const unsigned long i8mm = 1ul << 13; /* HWCAP2_I8MM */
    return getauxval(AT_HWCAP2) & i8mm;
}
#else /* no way to ask that is known here */
static bool have_dotprod(void) {
    return false;
}
static bool have_i8mm(void) {
    return false;
}
#endif
#endif

static bool have_always(void) {
    return true;
}

/* Weakest first; a level's table starts as a copy of that of its base, which comes before it. Levels of one base exist
 * without each other: CPUs with AVX-512 need not have AVX-VNNI. */
static const struct level {
    const char *name, *base;
    bool (*available)(void);
    void (*fill)(weft_kernels *table);
} levels[] = {
    {"ref", NULL, have_always, weft_kernels_fill_ref},
#if defined(__x86_64__)
    {"avx2", "ref", have_avx2, weft_kernels_fill_avx2},
    {"avxvnni", "avx2", have_avxvnni, weft_kernels_fill_avxvnni},
    {"avx512", "avx2", have_avx512, weft_kernels_fill_avx512},
    {"avx512-vnni", "avx512", have_vnni, weft_kernels_fill_avx512_vnni},
    {"amx", "avx512-vnni", have_amx, weft_kernels_fill_amx},
#elif defined(__aarch64__)
    {"neon", "ref", have_always, weft_kernels_fill_neon}, /* part of the architecture */
    {"dotprod", "neon", have_dotprod, weft_kernels_fill_dotprod},
    {"i8mm", "dotprod", have_i8mm, weft_kernels_fill_i8mm},
#endif
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static weft_kernels tables[LEVELS];
static bool available[LEVELS]; /* on this CPU */
static int best;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int level_named(const char *name) {
    for (int i = 0; i < LEVELS; i++)
        if (strcmp(name, levels[i].name) == 0) return i;
    return -1;
}

static void build_tables(void) {
    for (int i = 0; i < LEVELS; i++) {
        int base = levels[i].base ? level_named(levels[i].base) : -1;
        if (!levels[i].available() || (base >= 0 && !available[base])) continue;
        if (base >= 0) tables[i] = tables[base];
        levels[i].fill(&tables[i]);
        available[i] = true;
        best = i;
    }
}

const char *weft_kernels_warning(void) {
    pthread_once(&once, build_tables);
    return warning;
}

weft_status weft_kernels_select(const char *level, const weft_kernels **table, weft_error *err) {
    pthread_once(&once, build_tables);
    *table = NULL;
    const char *source = "CPU level";
    if (!level) {
        level = getenv("WEFT_CPU");
        source = "WEFT_CPU";
    }
    int chosen = level && *level ? level_named(level) : best;
    if (chosen >= 0 && available[chosen]) {
        *table = &tables[chosen];
        return WEFT_OK;
    }
    char names[128] = "";
    for (int i = 0; i < LEVELS; i++) {
        if (!available[i]) continue;
        if (i > 0) strcat(names, ", ");
        strcat(names, levels[i].name);
    }
    if (chosen >= 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: this CPU or operating system lacks '%s'; it has: %s", source,
                         level, names);
    return weft_fail(err, WEFT_ERR_INVALID, "%s: unknown level '%.32s'; this CPU has: %s", source, level, names);
}
