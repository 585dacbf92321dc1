/* AVX-512: product tiles and packing. */
#if defined(__x86_64__)
#include "kernels/x86/avx512.h"
#include "kernels/x86/pack.h"

#include "kernels/vector/gemm.h"
#endif
