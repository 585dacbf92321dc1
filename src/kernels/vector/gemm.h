/* The slots gemm_tile and pack, for any vector width. */
#include "kernels/variants.h"
#include "kernels/vector/tile.h"

#define GEMM_ROWS(rows)                                                                                                \
    static void gemm_##rows(float *c, int64_t ldc, const float *a, const float *b, int64_t k, int m, int n,            \
                            bool accumulate) {                                                                         \
        tile_product(rows, 2, c, ldc, a, TILE_M, 1, b, TILE_N, k, m, n, accumulate);                                   \
    }
EACH_GEMM_ROWS(GEMM_ROWS)

/* The smallest tile that holds m rows. */
static void gemm_tile(float *c, int64_t ldc, const float *a, const float *b, int64_t k, int m, int n, bool accumulate) {
#define TRY(rows)                                                                                                      \
    if (m <= rows) {                                                                                                   \
        gemm_##rows(c, ldc, a, b, k, m, n, accumulate);                                                                \
        return;                                                                                                        \
    }
    EACH_GEMM_ROWS(TRY)
#undef TRY
}

void LEVEL(fill_gemm)(weft_kernels *table);
void LEVEL(fill_gemm)(weft_kernels *table) {
    table->tile_m = TILE_M;
    table->tile_n = TILE_N;
    table->gemm_tile = gemm_tile;
    table->pack = s_pack;
}
