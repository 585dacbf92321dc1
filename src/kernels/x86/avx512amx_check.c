/* Whether the system grants the tiles of AMX and every instruction that the kernels use does what it should. */
#if defined(__x86_64__)
#include <setjmp.h>
#include <signal.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels/variants.h"
#include "kernels/x86/amx_tiles.h"

#if defined(WEFT_EMULATE_TILES)
bool weft_amx_works(void) {
    return true;
}
#else
static sigjmp_buf no_tiles;
static void stopped(int signal) {
    siglongjmp(no_tiles, signal);
}

static int left(int row, int k) {
    return (3 * row + 5 * k) % 11 - 5;
}
static int right(int k, int column) {
    return (7 * column + 2 * k) % 13 - 6;
}

/* The upper half of a small whole number, which has no other. */
static uint16_t bf16(int value) {
    float x = (float)value;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(bits >> 16);
}

/* Products of small whole numbers, which are exact: once from zero and once more onto what the first one left. */
static bool products_are_right(void) {
    static _Alignas(64) uint16_t a[TILE_ROWS][32], b[TILE_ROWS][TILE_ROWS][2];
    static _Alignas(64) int8_t bytes[TILE_ROWS][2 * TILE_ROW_BYTES], fours[TILE_ROWS][TILE_ROWS][4];
    static _Alignas(64) float sums[TILE_ROWS][TILE_ROWS];
    static _Alignas(64) int32_t totals[TILE_ROWS][TILE_ROWS];
    for (int r = 0; r < TILE_ROWS; r++)
        for (int k = 0; k < TILE_ROW_BYTES; k++) {
            if (k < 32) a[r][k] = bf16(left(r, k));
            if (k < 32) b[k / 2][r][k % 2] = bf16(right(k, r));
            bytes[r][k] = (int8_t)left(r, k);
            fours[k / 4][r][k % 4] = (int8_t)right(k, r);
        }
    tiles_configure();
    TILE_ZERO(0);
    TILE_LOAD(4, a);
    TILE_LOAD(6, b);
    TILE_DOT_BF16(0, 4, 6);
    TILE_STORE(0, sums);
    TILE_LOAD(3, sums);
    TILE_DOT_BF16(3, 4, 6);
    TILE_STORE(3, sums);
    TILE_ZERO(1);
    TILE_LOAD_ROWS(5, bytes, sizeof bytes[0]);
    TILE_LOAD(7, fours);
    TILE_DOT_I8(1, 5, 7);
    TILE_DOT_I8(1, 5, 7);
    TILE_STORE(1, totals);
    tiles_release();
    for (int r = 0; r < TILE_ROWS; r++)
        for (int n = 0; n < TILE_ROWS; n++) {
            int sum = 0, total = 0;
            for (int k = 0; k < TILE_ROW_BYTES; k++) {
                total += 2 * left(r, k) * right(k, n);
                if (k < 32) sum += 2 * left(r, k) * right(k, n);
            }
            if (sums[r][n] != (float)sum || totals[r][n] != total) return false;
        }
    return true;
}

bool weft_amx_works(void) {
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* arch_prctl(ARCH_REQ_XCOMP_PERM), asm/prctl.h */
    if (syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) != 0) return false;
#endif
    struct sigaction catch = {.sa_handler = stopped}, ill, segv;
    sigemptyset(&catch.sa_mask);
    sigaction(SIGILL, &catch, &ill);
    sigaction(SIGSEGV, &catch, &segv);
    bool works = sigsetjmp(no_tiles, 1) == 0 && products_are_right();
    sigaction(SIGILL, &ill, NULL);
    sigaction(SIGSEGV, &segv, NULL);
    return works;
}
#endif
#endif
