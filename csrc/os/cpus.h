/* cpus.h: how many processors this process may use. */
#ifndef XCOS_OS_CPUS_H
#define XCOS_OS_CPUS_H

/* What the process's affinity leaves, at least 1. */
int xo_cpus(void);

/* Processors that the quotas of the process's cgroup and of all groups above it allow, rounded up;
 * 0: no limit. `root` stands before /proc/self/cgroup and /sys/fs/cgroup: "" but for tests. */
int xo_cpu_quota(const char *root);

#endif
