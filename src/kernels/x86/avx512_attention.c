/* AVX-512: attention. */
#if defined(__x86_64__)
#include "kernels/x86/avx512.h"

#include "kernels/vector/attention.h"
#endif
