/* AVX-512: products with few rows. */
#if defined(__x86_64__)
#include "kernels/x86/avx512.h"

#include "kernels/vector/dot.h"
#endif
