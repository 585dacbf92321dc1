/* NEON: products of a few rows. */
#if defined(__aarch64__)
#include "kernels/arm/neon.h"

#include "kernels/vector/dot.h"
#endif
