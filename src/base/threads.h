/* The thread pool: one caller fans a loop out over all threads and takes part itself.
 *
 * Used by the kernels' callers inside the engine thread. A pool has one owner at a time: weft_parallel_for must not be
 * called from two threads at once, nor from inside a loop body. Idle workers sleep (after a short spin while a burst of
 * loops is running), so that a waiting engine costs no CPU time. A loop never waits for a worker that has not come to it. */
#ifndef WEFT_BASE_THREADS_H
#define WEFT_BASE_THREADS_H

#include <stdint.h>

#include "base/status.h"

typedef struct weft_pool weft_pool;

/* The body of a parallel loop: handles items [begin, end). `thread` is 0 … threads-1, distinct for bodies that run at
 * the same time: an index into per-thread scratch. */
typedef void weft_parallel_body(void *context, int64_t begin, int64_t end, int thread);

/* Creates a pool that runs on `threads` threads in all, the caller's included; 0 means the number of physical cores
 * that this process may use (affinity mask and cgroup quota respected). */
weft_status weft_pool_create(int threads, weft_pool **pool, weft_error *err);
void weft_pool_destroy(weft_pool *pool); /* NULL is allowed */
int weft_pool_threads(const weft_pool *pool);

/* Runs body over [0, count) in chunks of `grain` items, handed out dynamically, and returns when all are done.
 * A NULL pool runs everything on the calling thread. Allocates nothing. */
void weft_parallel_for(weft_pool *pool, int64_t count, int64_t grain, weft_parallel_body *body, void *context);

/* Physical cores this process may use (affinity mask, cgroup quota): the default number of threads. At least 1. */
int weft_cpu_cores(void);
/* CPUs (hardware threads) of the affinity mask. At least 1. */
int weft_cpu_count(void);
/* CPUs' worth of time that the cgroups named in `proc_file` (/proc/self/cgroup) allow, read under `mount`
 * (/sys/fs/cgroup); 0 when there is no limit. */
double weft_cpu_quota(const char *proc_file, const char *mount);

#endif
