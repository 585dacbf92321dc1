/* The AVX-512 level: fills the table from the kernels of ../vector, one file of this folder for each group of them.
 *
 * Only code that runs after the CPU check of dispatch.c may live in the files of a level. */
#if defined(__x86_64__)
#include "kernels/variants.h"

void weft_avx512_fill_dequantize(weft_kernels *table);
void weft_avx512_fill_dot(weft_kernels *table);
void weft_avx512_fill_gemm(weft_kernels *table);
void weft_avx512_fill_elementwise(weft_kernels *table);
void weft_avx512_fill_attention(weft_kernels *table);

void weft_kernels_fill_avx512(weft_kernels *table) {
    table->level = "avx512";
    weft_avx512_fill_dequantize(table);
    weft_avx512_fill_dot(table);
    weft_avx512_fill_gemm(table);
    weft_avx512_fill_elementwise(table);
    weft_avx512_fill_attention(table);
}
#endif
