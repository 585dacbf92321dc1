/* NEON: norms, rotary turns, activations. */
#if defined(__aarch64__)
#include "kernels/arm/neon.h"

#include "kernels/vector/elementwise.h"
#endif
