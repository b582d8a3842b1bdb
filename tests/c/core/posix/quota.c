/* quota.c: processors that a cgroup leaves, read from folders made for the purpose. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core.h"
#include "os/cpus.h"

static char root[] = "/tmp/xcos-quota-XXXXXX";

/* Writes a file below the root, with the folders that it lies in. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + sizeof root; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    if (CHECK(f != NULL)) {
        fputs(text, f);
        fclose(f);
    }
}

void test_quota(void)
{
    if (!CHECK(mkdtemp(root) != NULL))
        return;
    CHECK(xo_cpu_quota(root) == 0); /* no cgroups at all */
    put("proc/self/cgroup", "0::/user.slice/app.service\n");
    CHECK(xo_cpu_quota(root) == 0);
    put("sys/fs/cgroup/user.slice/app.service/cpu.max", "150000 100000\n"); /* CPUQuota=150% */
    CHECK(xo_cpu_quota(root) == 2);
    put("sys/fs/cgroup/user.slice/cpu.max", "100000 100000\n"); /* a group above allows less */
    CHECK(xo_cpu_quota(root) == 1);
    put("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
    CHECK(xo_cpu_quota(root) == 2);
    put("sys/fs/cgroup/user.slice/app.service/cpu.max", "max 100000\n");
    CHECK(xo_cpu_quota(root) == 0);
    put("sys/fs/cgroup/cpu.max", "350000 100000\n"); /* the root of a container */
    CHECK(xo_cpu_quota(root) == 4);
    put("proc/self/cgroup", "0::/../elsewhere\n"); /* outside of what is mounted */
    CHECK(xo_cpu_quota(root) == 4);
    put("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/one\n1:name=systemd:/x\n");
    put("sys/fs/cgroup/cpu/docker/one/cpu.cfs_quota_us", "300000\n");
    put("sys/fs/cgroup/cpu/docker/one/cpu.cfs_period_us", "100000\n");
    CHECK(xo_cpu_quota(root) == 3);
    put("sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/docker/cpu.cfs_period_us", "100000\n");
    CHECK(xo_cpu_quota(root) == 3);
    put("sys/fs/cgroup/cpu/docker/one/cpu.cfs_quota_us", "nonsense\n");
    CHECK(xo_cpu_quota(root) == 0);
    CHECK(xo_cpus() >= 1);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    CHECK(system(command) == 0);
}
