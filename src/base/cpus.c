/* How many CPUs this process may use: affinity mask, topology and the CPU quota of its cgroups. See threads.h. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/threads.h"

enum { LINE_MAX_BYTES = 4096 };

/* Distinct (package, core) pairs among the CPUs of the affinity mask, so that two hardware threads of a core count once:
 * matrix kernels gain nothing from the second. */
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
        int key = (int)((unsigned)ids[0] << 20 ^ (unsigned)ids[1]), known = 0;
        for (int i = 0; i < cores; i++) known |= seen[i] == key;
        if (!known) seen[cores++] = key;
    }
    return cores;
}

/* Two numbers of a file ("max" for the first is none), or of two files when `second` is given; 0 when there are none. */
static double read_quota(const char *folder, const char *first, const char *second) {
    char path[LINE_MAX_BYTES + 64];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/%s", folder, first);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (fscanf(file, "%lld %lld", &quota, &period) < 1) quota = 0;
    fclose(file);
    if (second) {
        snprintf(path, sizeof path, "%s/%s", folder, second);
        file = fopen(path, "r");
        if (!file) return 0;
        if (fscanf(file, "%lld", &period) != 1) period = 0;
        fclose(file);
    }
    return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

/* The smallest quota of the cgroup `group` under `mount` and of all that contain it: each of them binds. */
static double smallest_quota(const char *mount, char *group, const char *first, const char *second) {
    double smallest = 0;
    for (;;) {
        char folder[LINE_MAX_BYTES + 32];
        snprintf(folder, sizeof folder, "%s%s", mount, group);
        double quota = read_quota(folder, first, second);
        if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
        char *slash = strrchr(group, '/');
        if (!slash) return smallest;
        *slash = 0;
    }
}

/* CPUs that the cgroups of this process allow (v2, or the cpu controller of v1); 0: no limit. Inside a container the
 * path of /proc/self/cgroup may not exist under the mount: then the mount itself is the group. */
double weft_cpu_quota(const char *proc_file, const char *mount) {
    FILE *file = fopen(proc_file, "r");
    if (!file) return 0;
    char line[LINE_MAX_BYTES];
    double smallest = 0;
    while (fgets(line, sizeof line, file)) { /* id:controllers:path */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        controllers++;
        char folder[LINE_MAX_BYTES];
        double quota = 0;
        if (!*controllers) {
            quota = smallest_quota(mount, group, "cpu.max", NULL);
        } else if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 || strstr(controllers, ",cpu,") ||
                   (strlen(controllers) > 4 && strcmp(controllers + strlen(controllers) - 4, ",cpu") == 0)) {
            snprintf(folder, sizeof folder, "%.3000s/cpu", mount);
            quota = smallest_quota(folder, group, "cpu.cfs_quota_us", "cpu.cfs_period_us");
        }
        if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
    }
    fclose(file);
    return smallest;
}

int weft_cpu_count(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int cpus = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
    if (cpus < 1) cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : cpus;
}

int weft_cpu_cores(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int cores = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? cores_by_topology(&allowed) : 0;
    if (cores < 1) cores = weft_cpu_count();
    /* A part of a CPU counts as a whole one: the loops are shared out dynamically, a slower thread takes fewer chunks. */
    double quota = weft_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota > 0 && quota < cores) cores = quota > (int)quota ? (int)quota + 1 : (int)quota;
    return cores < 1 ? 1 : cores;
}
