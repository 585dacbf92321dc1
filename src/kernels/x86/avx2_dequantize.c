/* AVX2: dequantisation. */
#if defined(__x86_64__)
#include "kernels/x86/avx2.h"

#include "kernels/vector/dequantize.h"
#endif
