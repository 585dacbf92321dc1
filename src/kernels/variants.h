/* What the files of this folder share: the fillers of the table, one per level, and the blocking of matrix products. */
#ifndef WEFT_KERNELS_VARIANTS_H
#define WEFT_KERNELS_VARIANTS_H

#include "kernels/kernels.h"

/* Each overwrites the slots that its level does better; called from the weakest level to the strongest. */
void weft_kernels_fill_ref(weft_kernels *table);
void weft_kernels_fill_avx2(weft_kernels *table);
void weft_kernels_fill_avx512(weft_kernels *table);
void weft_kernels_fill_avx512_vnni(weft_kernels *table);
void weft_kernels_fill_neon(weft_kernels *table);

/* ref_dequantize.c: the plain-C slots, for tails of the variants too. */
void weft_ref_dequantize_fill(weft_kernels *table);
/* ref_packed.c */
void weft_ref_packed_fill(weft_kernels *table);

/* matmul_packed.c: the product where w->panels is there; thread < 0: over the pool. */
void weft_matmul_packed(const weft_compute *compute, int thread, float *out, int64_t out_stride, const float *x,
                        int64_t x_stride, int64_t m, const weft_matrix *w, const float *bias, bool accumulate);

enum {
    WEFT_PANEL_K = 256,                  /* values of a row in one panel; a multiple of every block */
    WEFT_THREAD_SCRATCH_BYTES = 3 << 20, /* of each thread; most of it is never touched */
    WEFT_SHARED_SCRATCH_BYTES = 32 << 20 /* packed activations of weft_matmul; touched as far as needed */
};

/* Packed activations shared by all threads of a weft_matmul. */
float *weft_compute_shared(const weft_compute *compute);

#endif
