/* threads.c: how many threads to use when nobody says. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "xcos.h"

/* CPUs that the cgroup's quota allows, rounded up, or 0 for no limit. */
static int quota_cpus;

static void read_quota(void)
{
    long long quota = -1, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r"); /* cgroup v2: "max 100000" or "150000 100000" */
    if (f) {
        if (fscanf(f, "%lld %lld", &quota, &period) != 2)
            quota = -1;
        fclose(f);
    } else if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) { /* cgroup v1 */
        if (fscanf(f, "%lld", &quota) != 1)
            quota = -1;
        fclose(f);
        if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
            if (fscanf(f, "%lld", &period) != 1)
                period = 0;
            fclose(f);
        }
    }
    if (quota <= 0 || period <= 0)
        return;
    long long cpus = (quota + period - 1) / period;
    quota_cpus = cpus > 1024 ? 0 : (int)cpus;
}

int xcos_default_threads(void)
{
    const char *wish = getenv("XCOS_NUM_THREADS");
    if (wish && *wish) {
        char *end;
        long n = strtol(wish, &end, 10);
        if (*end == '\0' && n >= 1 && n <= 1024)
            return (int)n;
    }
    int cpus = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cpus = CPU_COUNT(&set);
#endif
    if (cpus < 1)
        cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* reading two files at each call would tell */
    pthread_once(&once, read_quota);
    if (quota_cpus && quota_cpus < cpus)
        cpus = quota_cpus;
    return cpus < 1 ? 1 : cpus;
}
