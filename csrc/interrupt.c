/* interrupt.c: ending long calls early (xcos_poll_with). */
#define _POSIX_C_SOURCE 200809L
#include "interrupt.h"

#include <stdint.h>
#include <time.h>

#include "xcos.h"

static _Atomic(xcos_poll *) hook;

void xcos_poll_with(xcos_poll *poll)
{
    hook = poll;
}

/* Whether this thread last asked 50 milliseconds ago or more. */
static bool due(void)
{
    static _Thread_local int64_t next; /* nanoseconds */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    if (now < next)
        return false;
    next = now + 50000000;
    return true;
}

bool xc_stop(_Atomic bool *stop, int worker)
{
    xcos_poll *poll = hook;
    if (worker == 0 && poll && due() && poll())
        *stop = true;
    return *stop;
}
