/* AVX2 with AVX-VNNI: attention with products of bytes for scores and of 16-bit pairs for values. */
#if defined(__x86_64__)
#define WITH_VNNI
#include "kernels/x86/avx2.h"

#include "kernels/vector/attention.h"
#endif
