/* NEON: product tiles and packing. */
#if defined(__aarch64__)
#include "kernels/arm/neon.h"
#include "kernels/arm/pack.h"

#include "kernels/vector/gemm.h"
#endif
