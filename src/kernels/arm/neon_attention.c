/* NEON: attention and the KV cache. */
#if defined(__aarch64__)
#include "kernels/arm/neon.h"

#include "kernels/vector/attention.h"
#endif
