/* cpus.c: affinity (Windows). */
#include "os/cpus.h"

#include <windows.h>

int xo_cpus(void)
{
    DWORD_PTR ours, all;
    /* The masks are of one group of 64 processors; both are 0 where the process has several groups. */
    if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &all) && ours)
        return __builtin_popcountll(ours);
    const DWORD cpus = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return cpus < 1 ? 1 : (int)cpus;
}

int xo_cpu_quota(const char *root)
{
    (void)root; /* Windows has no cgroups */
    return 0;
}
