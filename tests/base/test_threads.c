/* The thread pool hands out every item exactly once, for any count, grain and number of threads; what a body wrote is
 * there after the loop; idle workers use no CPU time; the quota of nested cgroups is found. */
#include "base/threads.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "testing.h"

enum { ITEMS = 10007 };
static atomic_int hits[ITEMS];
static atomic_int thread_out_of_range;

static void count_hits(void *context, int64_t begin, int64_t end, int thread) {
    if (thread < 0 || thread >= *(int *)context) atomic_store(&thread_out_of_range, 1);
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&hits[i], 1);
}

/* Plain memory: only the pool orders these writes and reads. */
static int64_t plain[4096];

static void add_index(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    int64_t factor = *(const int64_t *)context;
    for (int64_t i = begin; i < end; i++) plain[i] += factor * i;
}

/* Loops that follow each other at once, each reading what the one before wrote from other threads. */
static void test_sequence_of_loops(int threads) {
    weft_error err;
    weft_pool *pool = NULL;
    CHECK_OK(weft_pool_create(threads, &pool, &err), err);
    memset(plain, 0, sizeof plain);
    for (int64_t round = 1; round <= 2000; round++) {
        int64_t count = 2 + round % 64;
        weft_parallel_for(pool, count, 1, add_index, &round);
        if (round % 500 == 0) usleep(2000); /* long enough for workers to fall asleep */
    }
    CHECK_INT(plain[1], 2000 * 2001 / 2);
    int64_t sum = 0, want = 0;
    for (int64_t i = 0; i < 4096; i++) sum += plain[i];
    for (int64_t round = 1; round <= 2000; round++) {
        int64_t count = 2 + round % 64;
        want += round * count * (count - 1) / 2;
    }
    CHECK_INT(sum, want);
    weft_pool_destroy(pool);
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* CPU time, not wall time: a busy machine does not change it. */
static void test_idle(void) {
    weft_error err;
    weft_pool *pool = NULL;
    CHECK_OK(weft_pool_create(2, &pool, &err), err);
    int64_t factor = 1;
    weft_parallel_for(pool, 64, 1, add_index, &factor);
    double before = cpu_seconds();
    for (int i = 0; i < 20; i++) usleep(20000);
    double used = cpu_seconds() - before;
    CHECK_MSG(used < 0.1, "%.3f s of CPU time in 0.4 s of nothing to do", used); /* a spinner would use 0.4 s */
    weft_pool_destroy(pool);
}

static void write_file(const char *folder, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    if (!file) return;
    fputs(text, file);
    fclose(file);
}

static void test_quota(void) {
    char root[] = "/tmp/weft-cgroup-XXXXXX", path[256], proc[256];
    if (!mkdtemp(root)) return;
    snprintf(proc, sizeof proc, "%s/self", root);
    write_file(root, "self", "0::/outer/inner\n");
    CHECK(weft_cpu_quota(proc, root) == 0); /* no such folders: no limit */
    snprintf(path, sizeof path, "%s/outer", root);
    mkdir(path, 0700);
    write_file(path, "cpu.max", "150000 100000\n");
    CHECK(weft_cpu_quota(proc, root) == 1.5);
    snprintf(path, sizeof path, "%s/outer/inner", root);
    mkdir(path, 0700);
    write_file(path, "cpu.max", "max 100000\n");
    CHECK(weft_cpu_quota(proc, root) == 1.5);
    write_file(path, "cpu.max", "50000 100000\n");
    CHECK(weft_cpu_quota(proc, root) == 0.5);
    write_file(root, "cpu.max", "25000 100000\n"); /* as a container sees its own group: at the mount */
    CHECK(weft_cpu_quota(proc, root) == 0.25);
    write_file(root, "self", "4:memory:/a\n3:cpu,cpuacct:/one\nnonsense\n");
    snprintf(path, sizeof path, "%s/cpu", root);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/cpu/one", root);
    mkdir(path, 0700);
    write_file(path, "cpu.cfs_quota_us", "300000\n");
    write_file(path, "cpu.cfs_period_us", "100000\n");
    CHECK(weft_cpu_quota(proc, root) == 3);
    write_file(path, "cpu.cfs_quota_us", "-1\n");
    CHECK(weft_cpu_quota(proc, root) == 0);
    const char *made[] = {"cpu/one/cpu.cfs_quota_us", "cpu/one/cpu.cfs_period_us", "cpu/one", "cpu", "outer/inner/cpu.max",
                          "outer/inner", "outer/cpu.max", "outer", "cpu.max", "self", ""};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s/%s", root, made[i]);
        CHECK(remove(path) == 0);
    }
}

int main(void) {
    weft_error err;
    const int thread_counts[] = {1, 2, 3, 8, 70};
    for (int t = 0; t < 5; t++) {
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
    for (int threads = 1; threads <= 4; threads++) test_sequence_of_loops(threads);
    test_sequence_of_loops(66);
    test_idle();
    test_quota();
    CHECK(weft_cpu_cores() >= 1);
    CHECK(weft_cpu_cores() <= weft_cpu_count());
    weft_pool *pool = NULL;
    CHECK_INT(weft_pool_create(-1, &pool, &err), WEFT_ERR_INVALID);
    return testing_summary();
}
