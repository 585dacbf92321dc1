/* The tile instructions of AMX that the kernels use, each as a macro of constants (register numbers are part of the
 * instruction); avx512amx_check.c tries each of them before the level is taken. Written as inline assembly with a memory clobber: GCC 12's own _tile_loadconfig says that it reads
 * eight of the 64 bytes, and its loads and stores say nothing about memory at all.
 *
 * Tiles are 16 rows of 64 bytes, 1 KiB, without gaps but where TILE_LOAD_ROWS reads rows of something larger. With WEFT_EMULATE_TILES the same names work on plain memory, so
 * that the logic runs on any CPU; tests only. */
#ifndef WEFT_KERNELS_X86_AMX_TILES_H
#define WEFT_KERNELS_X86_AMX_TILES_H

#include <stdint.h>
#include <string.h>

enum { TILE_BYTES = 1024, TILE_ROWS = 16, TILE_ROW_BYTES = 64 };

#if defined(WEFT_EMULATE_TILES)

static _Thread_local struct {
    uint8_t tile[8][TILE_BYTES];
    int configured;
} emulated_tiles;

static inline void tiles_configure(void) {
    memset(&emulated_tiles, 0xA5, sizeof emulated_tiles);
    emulated_tiles.configured = 1;
}
static inline void tiles_release(void) {
    emulated_tiles.configured = 0;
}
static inline float emulated_bf16(const uint8_t *p) { /* denormals count as zero */
    uint16_t h;
    memcpy(&h, p, 2);
    uint32_t bits = (uint32_t)h << 16;
    if (!(bits & 0x7F800000)) bits &= 0x80000000;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static inline void emulated_product(int c, int a, int b) {
    if (!emulated_tiles.configured) __builtin_trap();
    for (int m = 0; m < TILE_ROWS; m++)
        for (int n = 0; n < TILE_ROWS; n++) {
            float sum;
            uint8_t *at = emulated_tiles.tile[c] + m * TILE_ROW_BYTES + 4 * n;
            memcpy(&sum, at, 4);
            for (int k = 0; k < TILE_ROWS; k++) {
                const uint8_t *x = emulated_tiles.tile[a] + m * TILE_ROW_BYTES + 4 * k;
                const uint8_t *w = emulated_tiles.tile[b] + k * TILE_ROW_BYTES + 4 * n;
                sum += emulated_bf16(x) * emulated_bf16(w);
                sum += emulated_bf16(x + 2) * emulated_bf16(w + 2);
            }
            memcpy(at, &sum, 4);
        }
}
static inline void emulated_byte_product(int c, int a, int b) {
    if (!emulated_tiles.configured) __builtin_trap();
    for (int m = 0; m < TILE_ROWS; m++)
        for (int n = 0; n < TILE_ROWS; n++) {
            int32_t sum;
            uint8_t *at = emulated_tiles.tile[c] + m * TILE_ROW_BYTES + 4 * n;
            memcpy(&sum, at, 4);
            for (int k = 0; k < TILE_ROW_BYTES; k++)
                sum += (int8_t)emulated_tiles.tile[a][m * TILE_ROW_BYTES + k] *
                       (int8_t)emulated_tiles.tile[b][k / 4 * TILE_ROW_BYTES + 4 * n + k % 4];
            memcpy(at, &sum, 4);
        }
}
static inline void emulated_load(int t, const void *p, int64_t stride) {
    for (int m = 0; m < TILE_ROWS; m++)
        memcpy(emulated_tiles.tile[t] + m * TILE_ROW_BYTES, (const uint8_t *)p + m * stride, TILE_ROW_BYTES);
}
#define TILE_ZERO(t)           memset(emulated_tiles.tile[t], 0, TILE_BYTES)
#define TILE_LOAD_ROWS(t, p, stride) emulated_load(t, p, stride)
#define TILE_LOAD(t, p)        memcpy(emulated_tiles.tile[t], p, TILE_BYTES)
#define TILE_STORE(t, p)       memcpy(p, emulated_tiles.tile[t], TILE_BYTES)
#define TILE_DOT_BF16(c, a, b) emulated_product(c, a, b)
#define TILE_DOT_I8(c, a, b)   emulated_byte_product(c, a, b)

#else

/* Palette 1: all eight tiles with 16 rows of 64 bytes. */
static inline void tiles_configure(void) {
    struct {
        uint8_t palette, start_row, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = TILE_ROW_BYTES;
        config.rows[t] = TILE_ROWS;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
}
static inline void tiles_release(void) {
    __asm__ volatile("tilerelease" ::: "memory");
}
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::: "memory")
#define TILE_LOAD_ROWS(t, p, stride)                                                                                   \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"((int64_t)(stride)) : "memory")
#define TILE_LOAD(t, p) TILE_LOAD_ROWS(t, p, TILE_ROW_BYTES)
#define TILE_STORE(t, p)                                                                                               \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), "r"((int64_t)TILE_ROW_BYTES) : "memory")
/* c += a b over 32 values of k: a is 16 rows of 32 bf16, b 16 pairs of k, each with the pair of every column. */
#define TILE_DOT_BF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")
/* The same over 64 values of k, signed bytes: a is 16 rows of 64, b 16 fours of k, each with the four of every column. */
#define TILE_DOT_I8(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")

#endif
#endif
