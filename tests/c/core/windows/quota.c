/* quota.c: processors that affinity leaves; there are no cgroups. */
#include <windows.h>

#include "../core.h"
#include "os/cpus.h"

void test_quota(void)
{
    DWORD_PTR ours, all;
    const HANDLE self = GetCurrentProcess();
    CHECK(xo_cpu_quota("") == 0);
    if (!CHECK(GetProcessAffinityMask(self, &ours, &all) && ours))
        return;
    CHECK(SetProcessAffinityMask(self, ours & (0 - ours))); /* the first of them */
    CHECK(xo_cpus() == 1);
    CHECK(SetProcessAffinityMask(self, ours));
    CHECK(xo_cpus() >= 1);
}
