/* cpus.c: affinity and cgroup quotas (Linux; elsewhere the number of processors). */
#define _GNU_SOURCE
#include "os/cpus.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 1024, MOST = 1024 /* processors: a larger quota is no limit */ };

int xo_cpus(void)
{
    long cpus = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cpus = CPU_COUNT(&set);
#endif
    if (cpus < 1)
        cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : (int)cpus;
}

/* The first `count` numbers of a file, as far as it has them; returns how many it had. */
static int read_numbers(const char *folder, const char *name, int count, long long *numbers)
{
    char path[2 * PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    int found = 0;
    while (f && found < count && fscanf(f, "%lld", &numbers[found]) == 1)
        found++;
    if (f)
        fclose(f);
    return found;
}

/* Processors that the group in this folder allows by itself, 0: any number. */
static int quota_of(const char *folder, int version)
{
    long long q[2]; /* microseconds of processor time in a period, and the period */
    const bool limited = version == 2 ? read_numbers(folder, "cpu.max", 2, q) == 2
                                      : read_numbers(folder, "cpu.cfs_quota_us", 1, q) == 1 &&
                                            read_numbers(folder, "cpu.cfs_period_us", 1, q + 1) == 1;
    if (!limited || q[0] <= 0 || q[1] <= 0 || q[0] / q[1] >= MOST)
        return 0;
    return (int)((q[0] + q[1] - 1) / q[1]);
}

/* The least quota from the group at mount/group up to the mount itself. In a container the group
 * may lie outside of what is mounted: folders that are not there limit nothing. */
static int least_quota(const char *mount, const char *group, int version)
{
    char folder[PATH];
    const size_t top = (size_t)snprintf(folder, sizeof folder, "%s", mount);
    int least = 0;
    if (top >= sizeof folder ||
        (size_t)snprintf(folder + top, sizeof folder - top, "%s", group) >= sizeof folder - top)
        folder[top < sizeof folder ? top : 0] = '\0';
    for (;;) {
        const int quota = quota_of(folder, version);
        if (quota && (!least || quota < least))
            least = quota;
        char *slash = strrchr(folder + top, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

int xo_cpu_quota(const char *root)
{
    char path[PATH], line[PATH];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "r");
    int least = 0;
    /* Lines are id:controllers:group; version 2 has the id 0 and no controllers. */
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = *group++ = '\0';
        const int version = *controllers ? 1 : 2;
        char padded[PATH + 2];
        snprintf(padded, sizeof padded, ",%s,", controllers);
        if (version == 1 && !strstr(padded, ",cpu,"))
            continue;
        snprintf(path, sizeof path, "%s/sys/fs/cgroup%s", root, version == 2 ? "" : "/cpu");
        const int quota = least_quota(path, group, version);
        if (quota && (!least || quota < least))
            least = quota;
    }
    if (f)
        fclose(f);
    return least;
}
