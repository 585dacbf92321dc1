/* AVX2: attention. */
#if defined(__x86_64__)
#include "kernels/x86/avx2.h"

#include "kernels/vector/attention.h"
#endif
