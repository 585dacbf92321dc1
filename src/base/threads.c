/* The thread pool: see threads.h.
 *
 * A loop is published by bumping `generation`; workers that see the new value take chunks from `next` until none are
 * left, and the last one to finish wakes the owner. Between loops workers spin for a moment (token loops publish a new
 * loop every few tens of microseconds) and then sleep on a futex-backed condition variable. */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POOL_THREADS_MAX = 1024, SPIN_ROUNDS = 4000 };

struct weft_pool {
    int threads;         /* the caller included */
    pthread_t *workers;  /* [threads - 1] */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* a new generation, or shutdown */
    pthread_cond_t done; /* running reached zero */

    /* the loop at hand; written by the owner before generation is bumped */
    weft_parallel_body *body;
    void *context;
    int64_t count, grain;
    _Alignas(64) atomic_llong next;
    _Alignas(64) atomic_uint generation;
    _Alignas(64) atomic_int running; /* workers that have not finished the loop */
    atomic_int sleepers;
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

static void run_chunks(weft_pool *pool, int thread) {
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&pool->next, pool->grain, memory_order_relaxed);
        if (begin >= pool->count) return;
        int64_t end = pool->count - begin < pool->grain ? pool->count : begin + pool->grain;
        pool->body(pool->context, begin, end, thread);
    }
}

static unsigned wait_for_work(weft_pool *pool, unsigned seen) {
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen || atomic_load_explicit(&pool->shutdown, memory_order_relaxed)) return now;
        cpu_relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == seen && !atomic_load(&pool->shutdown))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    unsigned now = atomic_load(&pool->generation);
    pthread_mutex_unlock(&pool->mutex);
    return now;
}

static void *worker_main(void *argument) {
    worker_start start = *(worker_start *)argument;
    free(argument);
    weft_pool *pool = start.pool;
    unsigned seen = 0;
    for (;;) {
        unsigned now = wait_for_work(pool, seen);
        if (atomic_load(&pool->shutdown)) return NULL;
        seen = now;
        run_chunks(pool, start.index);
        if (atomic_fetch_sub_explicit(&pool->running, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

/* Cores by topology: counts distinct (package, core) pairs among the CPUs of the affinity mask, so that two hardware
 * threads of a core count once: matrix kernels gain nothing from the second. */
static int cores_by_topology(const cpu_set_t *allowed) {
    int seen[CPU_SETSIZE], cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, allowed)) continue;
        int ids[2] = {0, cpu}; /* package, core; a missing file makes the CPU a core of its own */
        const char *names[2] = {"physical_package_id", "core_id"};
        for (int i = 0; i < 2; i++) {
            char path[128];
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, names[i]);
            FILE *file = fopen(path, "r");
            if (!file) continue;
            int value;
            if (fscanf(file, "%d", &value) == 1) ids[i] = value;
            fclose(file);
        }
        int key = (ids[0] << 20) ^ ids[1], known = 0;
        for (int i = 0; i < cores; i++) known |= seen[i] == key;
        if (!known) seen[cores++] = key;
    }
    return cores;
}

/* The CPU quota of the cgroup (v2, then v1) in whole CPUs, rounded up; 0 when there is none. */
static int cgroup_quota(void) {
    long long quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = 0;
        fclose(file);
    } else if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) {
        if (fscanf(file, "%lld", &quota) != 1) quota = 0;
        fclose(file);
        if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
            if (fscanf(file, "%lld", &period) != 1) period = 0;
            fclose(file);
        }
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int weft_cpu_cores(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int cores = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? cores_by_topology(&allowed) : 0;
    if (cores < 1) cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = cgroup_quota();
    if (quota > 0 && quota < cores) cores = quota;
    return cores < 1 ? 1 : cores;
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
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = 1;
    for (int i = 1; i < threads; i++) {
        worker_start *start = malloc(sizeof *start);
        int failed = !start;
        if (start) {
            *start = (worker_start){pool, i};
            failed = pthread_create(&pool->workers[i - 1], NULL, worker_main, start);
            if (failed) free(start);
        }
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
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->shutdown, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i - 1], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

int weft_pool_threads(const weft_pool *pool) { return pool ? pool->threads : 1; }

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
    atomic_store_explicit(&pool->running, pool->threads - 1, memory_order_relaxed);
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
    run_chunks(pool, 0);
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (atomic_load_explicit(&pool->running, memory_order_acquire) == 0) return;
        cpu_relax();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->running) > 0) pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
