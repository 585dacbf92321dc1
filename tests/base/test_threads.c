/* The thread pool hands out every item exactly once, for any count, grain and number of threads. */
#include "base/threads.h"

#include <stdatomic.h>

#include "testing.h"

enum { ITEMS = 10007 };
static atomic_int hits[ITEMS];
static atomic_int thread_out_of_range;

static void count_hits(void *context, int64_t begin, int64_t end, int thread) {
    if (thread < 0 || thread >= *(int *)context) atomic_store(&thread_out_of_range, 1);
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&hits[i], 1);
}

int main(void) {
    weft_error err;
    const int thread_counts[] = {1, 2, 3, 8};
    for (int t = 0; t < 4; t++) {
        weft_pool *pool = NULL;
        CHECK_OK(weft_pool_create(thread_counts[t], &pool, &err), err);
        int threads = thread_counts[t];
        for (int round = 0; round < 200; round++) {
            int64_t count = round < 5 ? round : (round * 7919) % ITEMS;
            for (int64_t i = 0; i < ITEMS; i++) atomic_store(&hits[i], 0);
            weft_parallel_for(pool, count, 1 + round % 37, count_hits, &threads);
            int wrong = 0;
            for (int64_t i = 0; i < ITEMS; i++) wrong += atomic_load(&hits[i]) != (i < count);
            CHECK_INT(wrong, 0);
        }
        weft_pool_destroy(pool);
    }
    CHECK_INT(thread_out_of_range, 0);
    CHECK(weft_cpu_cores() >= 1);
    weft_pool *pool = NULL;
    CHECK_INT(weft_pool_create(-1, &pool, &err), WEFT_ERR_INVALID);
    return testing_summary();
}
