/* clock.c: the clock (POSIX). */
#define _POSIX_C_SOURCE 200809L
#include "os/clock.h"

#include <time.h>

int64_t xo_nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
