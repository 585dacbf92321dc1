/* The NEON level: fills the table from the kernels of ../vector, one file of this folder for each group of them. Every
 * 64-bit ARM CPU has it. */
#if defined(__aarch64__)
#include "kernels/variants.h"

void weft_neon_fill_dequantize(weft_kernels *table);
void weft_neon_fill_dot(weft_kernels *table);
void weft_neon_fill_gemm(weft_kernels *table);
void weft_neon_fill_elementwise(weft_kernels *table);
void weft_neon_fill_attention(weft_kernels *table);

void weft_kernels_fill_neon(weft_kernels *table) {
    table->level = "neon";
    weft_neon_fill_dequantize(table);
    weft_neon_fill_dot(table);
    weft_neon_fill_gemm(table);
    weft_neon_fill_elementwise(table);
    weft_neon_fill_attention(table);
}
#endif
