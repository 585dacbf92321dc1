/* The thread pool: see threads.h.
 *
 * One word, `loop`, holds the whole protocol: a count of loops so far, whether the last one is open, and how many
 * workers are inside it. A worker joins an open loop by adding itself, takes chunks from `next` until none are left and
 * leaves. The owner opens a loop, takes chunks like everybody, closes it and waits for those who are inside. Nobody waits
 * for a worker that has not come: one that is still waking up, or that the system runs elsewhere, costs nothing but its
 * share of the work.
 *
 * Between loops workers spin for SPIN_NS (a token's loops follow each other within microseconds) and then sleep on a
 * futex. The owner wakes a few sleepers, and each of them wakes a few more, so that a large pool does not keep the owner
 * in system calls. With more threads than CPUs nobody spins: the spinner would hold the CPU of the one it waits for. */
#include "base/threads.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    POOL_THREADS_MAX = 1024,
    SPIN_NS = 100 * 1000,
    SPIN_ROUNDS_PER_LOOK = 64, /* between two looks at the clock */
    WAKE_FAN = 3,              /* sleepers that each thread wakes */
};

/* `loop`: bits 0 … 11 workers inside, bit 12 open, bits 13 … 31 the loop's number (it may wrap: a worker that slept
 * through exactly 2^19 loops merely misses one). */
enum { LOOP_INSIDE = (1u << 12) - 1, LOOP_OPEN = 1u << 12, LOOP_NUMBER_SHIFT = 13 };
_Static_assert(POOL_THREADS_MAX <= (1u << 12) - 1, "the count of workers inside fits its bits");

struct weft_pool {
    int threads; /* the caller included */
    bool spins;
    pthread_t *workers; /* [threads - 1] */

    /* the loop at hand; written by the owner while the loop is closed and nobody is inside */
    weft_parallel_body *body;
    void *context;
    int64_t count, grain;
    _Alignas(64) atomic_llong next;
    _Alignas(64) atomic_uint loop;
    _Alignas(64) atomic_uint bell; /* what sleepers watch: rung when a loop opens, and at shutdown */
    atomic_int sleepers;
    atomic_bool owner_sleeps; /* the owner watches `loop` */
    atomic_bool shutdown;
};

typedef struct worker_start {
    weft_pool *pool;
    int index;
} worker_start;

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Sleeps while *word is `value`; may return early. */
static void futex_wait(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void run_chunks(weft_pool *pool, int thread) {
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&pool->next, pool->grain, memory_order_relaxed);
        if (begin >= pool->count) return;
        int64_t end = pool->count - begin < pool->grain ? pool->count : begin + pool->grain;
        pool->body(pool->context, begin, end, thread);
    }
}

/* An open loop that this worker has not been in? */
static bool is_new(unsigned loop, unsigned seen) {
    return (loop & LOOP_OPEN) && loop >> LOOP_NUMBER_SHIFT != seen;
}

/* Returns when a loop that is not `seen` has opened, when the pool shuts down, or earlier. */
static void wait_for_loop(weft_pool *pool, unsigned seen) {
    int64_t until = 0;
    for (int i = 1; pool->spins; i++) {
        if (is_new(atomic_load_explicit(&pool->loop, memory_order_relaxed), seen)) return;
        if (i % SPIN_ROUNDS_PER_LOOK == 0) {
            int64_t now = now_ns();
            if (until == 0) until = now + SPIN_NS;
            if (now >= until) break;
        }
        cpu_relax();
    }
    unsigned bell = atomic_load(&pool->bell);
    atomic_fetch_add(&pool->sleepers, 1);
    /* Whoever opens a loop rings first and then looks for sleepers, in one total order with these lines: either it sees
     * this sleeper, or the loop is seen here, or the bell has changed and the wait returns at once. */
    if (!is_new(atomic_load(&pool->loop), seen) && !atomic_load(&pool->shutdown)) futex_wait(&pool->bell, bell);
    if (atomic_fetch_sub(&pool->sleepers, 1) > 1 && !atomic_load(&pool->shutdown) && atomic_load(&pool->bell) != bell)
        futex_wake(&pool->bell, WAKE_FAN);
}

static void *worker_main(void *argument) {
    worker_start start = *(worker_start *)argument;
    free(argument);
    weft_pool *pool = start.pool;
    unsigned seen = 0;
    while (!atomic_load_explicit(&pool->shutdown, memory_order_relaxed)) {
        unsigned loop = atomic_load_explicit(&pool->loop, memory_order_relaxed);
        if (!is_new(loop, seen)) {
            wait_for_loop(pool, seen);
            continue;
        }
        if (!atomic_compare_exchange_weak_explicit(&pool->loop, &loop, loop + 1, memory_order_acquire,
                                                   memory_order_relaxed))
            continue;
        seen = loop >> LOOP_NUMBER_SHIFT;
        run_chunks(pool, start.index);
        unsigned left = atomic_fetch_sub(&pool->loop, 1) - 1;
        if (!(left & (LOOP_OPEN | LOOP_INSIDE)) && atomic_load(&pool->owner_sleeps)) futex_wake(&pool->loop, 1);
    }
    return NULL;
}

static void start_worker(weft_pool *pool, int index, int *failed) {
    worker_start *start = malloc(sizeof *start);
    *failed = !start;
    if (!start) return;
    *start = (worker_start){pool, index};
    *failed = pthread_create(&pool->workers[index - 1], NULL, worker_main, start);
    if (*failed) free(start);
}

weft_status weft_pool_create(int threads, weft_pool **out, weft_error *err) {
    *out = NULL;
    if (threads == 0) threads = weft_cpu_cores();
    if (threads < 1 || threads > POOL_THREADS_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "threads: %d is not between 1 and %d", threads, POOL_THREADS_MAX);
    weft_pool *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
    if (!pool) return weft_fail(err, WEFT_ERR_MEMORY, "thread pool: no memory");
    memset(pool, 0, sizeof *pool);
    pool->workers = calloc((size_t)threads, sizeof *pool->workers);
    if (!pool->workers) {
        free(pool);
        return weft_fail(err, WEFT_ERR_MEMORY, "thread pool: no memory");
    }
    pool->threads = 1;
    pool->spins = threads <= weft_cpu_count();
    for (int i = 1; i < threads; i++) {
        int failed;
        start_worker(pool, i, &failed);
        if (failed) {
            weft_pool_destroy(pool);
            return weft_fail(err, WEFT_ERR_MEMORY, "thread pool: cannot start thread %d of %d", i + 1, threads);
        }
        pool->threads++;
    }
    *out = pool;
    return WEFT_OK;
}

void weft_pool_destroy(weft_pool *pool) {
    if (!pool) return;
    atomic_store(&pool->shutdown, true);
    /* A worker between its spin and its sleep has read the old bell, and then does not sleep. */
    atomic_fetch_add(&pool->bell, 1);
    futex_wake(&pool->bell, INT_MAX);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i - 1], NULL);
    free(pool->workers);
    free(pool);
}

int weft_pool_threads(const weft_pool *pool) {
    return pool ? pool->threads : 1;
}

static void open_loop(weft_pool *pool) {
    unsigned number = (atomic_load_explicit(&pool->loop, memory_order_relaxed) >> LOOP_NUMBER_SHIFT) + 1;
    atomic_store(&pool->loop, number << LOOP_NUMBER_SHIFT | LOOP_OPEN);
    if (atomic_load(&pool->sleepers) == 0) return;
    atomic_fetch_add(&pool->bell, 1);
    futex_wake(&pool->bell, WAKE_FAN);
}

/* Closes the loop and waits until the last worker has left it. */
static void close_loop(weft_pool *pool) {
    unsigned loop = atomic_fetch_and(&pool->loop, ~(unsigned)LOOP_OPEN) & ~(unsigned)LOOP_OPEN;
    int64_t until = 0;
    for (int i = 1; (loop & LOOP_INSIDE) && pool->spins; i++) {
        if (i % SPIN_ROUNDS_PER_LOOK == 0) {
            int64_t now = now_ns();
            if (until == 0) until = now + SPIN_NS;
            if (now >= until) break;
        }
        cpu_relax();
        loop = atomic_load_explicit(&pool->loop, memory_order_acquire);
    }
    if (!(loop & LOOP_INSIDE)) return;
    atomic_store(&pool->owner_sleeps, true);
    while ((loop = atomic_load(&pool->loop)) & LOOP_INSIDE) futex_wait(&pool->loop, loop);
    atomic_store(&pool->owner_sleeps, false);
}

void weft_parallel_for(weft_pool *pool, int64_t count, int64_t grain, weft_parallel_body *body, void *context) {
    if (count <= 0) return;
    if (grain < 1) grain = 1;
    if (!pool || pool->threads == 1 || count <= grain) {
        body(context, 0, count, 0);
        return;
    }
    pool->body = body;
    pool->context = context;
    pool->count = count;
    pool->grain = grain;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    open_loop(pool);
    run_chunks(pool, 0);
    close_loop(pool);
}
