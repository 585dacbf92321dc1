/* AVX2: products with few rows. */
#if defined(__x86_64__)
#include "kernels/x86/avx2.h"

#include "kernels/vector/dot.h"
#endif
