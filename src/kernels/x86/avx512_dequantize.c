/* AVX-512: dequantisation. */
#if defined(__x86_64__)
#include "kernels/x86/avx512.h"

#include "kernels/vector/dequantize.h"
#endif
