/* The AVX2 level: fills the table from the kernels of ../vector, one file of this folder for each group of them.
 *
 * Only code that runs after the CPU check of dispatch.c may live in the files of a level. */
#if defined(__x86_64__)
#include "kernels/variants.h"

void weft_avx2_fill_dequantize(weft_kernels *table);
void weft_avx2_fill_dot(weft_kernels *table);
void weft_avx2_fill_gemm(weft_kernels *table);
void weft_avx2_fill_elementwise(weft_kernels *table);
void weft_avx2_fill_attention(weft_kernels *table);
void weft_avx2_fill_packed(weft_kernels *table);

void weft_kernels_fill_avx2(weft_kernels *table) {
    table->level = "avx2";
    weft_avx2_fill_dequantize(table);
    weft_avx2_fill_dot(table);
    weft_avx2_fill_gemm(table);
    weft_avx2_fill_elementwise(table);
    weft_avx2_fill_attention(table);
    weft_avx2_fill_packed(table);
}
#endif
