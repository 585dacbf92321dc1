/* The table, the pool and the scratch that every caller of matrix products needs, made once.
 *
 * Owns one block of scratch per thread and one shared block for packed activations. The pages of a block cost memory
 * only once they are touched, so small models never pay for the sizes that large ones need; pages are large where the
 * system has such, since a product walks through megabytes of scratch over and over. */
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernels/variants.h"

struct weft_compute {
    const weft_kernels *kernels;
    weft_pool *pool;
    char *scratch; /* [threads][WEFT_THREAD_SCRATCH_BYTES] */
    float *shared; /* WEFT_SHARED_SCRATCH_BYTES */
};

static void *scratch_block(size_t bytes) {
    const size_t page = 2 << 20;
    bytes = (bytes + page - 1) / page * page;
    void *block = aligned_alloc(page, bytes);
#if defined(MADV_HUGEPAGE)
    if (block) madvise(block, bytes, MADV_HUGEPAGE); /* a wish: small pages serve too */
#endif
    return block;
}

weft_status weft_compute_create(const char *cpu_level, int threads, weft_compute **out, weft_error *err) {
    *out = NULL;
    weft_compute *compute = calloc(1, sizeof *compute);
    if (!compute) return weft_fail(err, WEFT_ERR_MEMORY, "compute: no memory");
    weft_status status = weft_kernels_select(cpu_level, &compute->kernels, err);
    if (status == WEFT_OK) status = weft_pool_create(threads, &compute->pool, err);
    if (status == WEFT_OK) {
        compute->scratch = scratch_block((size_t)weft_pool_threads(compute->pool) * WEFT_THREAD_SCRATCH_BYTES);
        compute->shared = scratch_block(WEFT_SHARED_SCRATCH_BYTES);
        if (!compute->scratch || !compute->shared)
            status = weft_fail(err, WEFT_ERR_MEMORY, "compute: no memory for the scratch of %d threads",
                               weft_pool_threads(compute->pool));
    }
    if (status != WEFT_OK) {
        weft_compute_destroy(compute);
        return status;
    }
    *out = compute;
    return WEFT_OK;
}

void weft_compute_destroy(weft_compute *compute) {
    if (!compute) return;
    weft_pool_destroy(compute->pool);
    free(compute->scratch);
    free(compute->shared);
    free(compute);
}

const weft_kernels *weft_compute_kernels(const weft_compute *compute) {
    return compute->kernels;
}

weft_pool *weft_compute_pool(const weft_compute *compute) {
    return compute->pool;
}

void *weft_compute_scratch(const weft_compute *compute, int thread) {
    return compute->scratch + (size_t)thread * WEFT_THREAD_SCRATCH_BYTES;
}

float *weft_compute_shared(const weft_compute *compute) {
    return compute->shared;
}
