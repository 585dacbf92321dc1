/* What the files of this folder share: the fillers of the table, one per level, and the blocking of matrix products. */
#ifndef WEFT_KERNELS_VARIANTS_H
#define WEFT_KERNELS_VARIANTS_H

#include "kernels/kernels.h"

/* Each overwrites the slots of the level below it that it does better. */
void weft_kernels_fill_ref(weft_kernels *table);
void weft_kernels_fill_avx2(weft_kernels *table);
void weft_kernels_fill_avxvnni(weft_kernels *table);
void weft_kernels_fill_avx512(weft_kernels *table);
void weft_kernels_fill_avx512_vnni(weft_kernels *table);
void weft_kernels_fill_amx(weft_kernels *table);
void weft_kernels_fill_neon(weft_kernels *table);
void weft_kernels_fill_dotprod(weft_kernels *table);
void weft_kernels_fill_i8mm(weft_kernels *table);

/* ref_dequantize.c: the plain-C slots, for tails of the variants too. */
void weft_ref_dequantize_fill(weft_kernels *table);
/* ref_packed.c */
void weft_ref_packed_fill(weft_kernels *table);

/* avx512amx_check.c: whether the system grants the tiles and small products come out right; called once, early. */
bool weft_amx_works(void);

/* matmul_packed.c: the sums of row m and outputs n … n + 15, of which those below `rows` are there. */
void weft_output_write(const weft_output *to, const float *sums, int64_t m, int64_t n, int64_t rows);

/* matmul_tiles.c: products of many rows by the slots tiles_…; false: a row is too long for the scratch, nothing done. */
bool weft_matmul_tiles(const weft_compute *compute, int thread, const weft_output *out, const float *x,
                       int64_t x_stride, int64_t m, const weft_matrix *w);

/* matmul_runs.c: products of many rows by the slots runs_…; false: a row is too long for the scratch, nothing done. */
bool weft_matmul_runs(const weft_compute *compute, int thread, const weft_output *out, const float *x,
                      int64_t x_stride, int64_t m, const weft_matrix *w);

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
