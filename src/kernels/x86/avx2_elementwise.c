/* AVX2: norms, activations and softmax. */
#if defined(__x86_64__)
#include "kernels/x86/avx2.h"

#include "kernels/vector/elementwise.h"
#endif
