/* AVX-512: norms, activations and softmax. */
#if defined(__x86_64__)
#include "kernels/x86/avx512.h"

#include "kernels/vector/elementwise.h"
#endif
