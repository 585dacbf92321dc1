/* The avx2 variants. */
#if defined(__x86_64__)
#include "kernels/variants.h"

void weft_kernels_fill_avx2(weft_kernels *table) { (void)table; }
#endif
