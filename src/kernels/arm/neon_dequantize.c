/* NEON: widening of stored weights. */
#if defined(__aarch64__)
#include "kernels/arm/neon.h"

#include "kernels/vector/dequantize.h"
#endif
