/* clock.c: the clock (Windows). */
#include "os/clock.h"

#include <windows.h>

int64_t xo_nanoseconds(void)
{
    LARGE_INTEGER ticks, second; /* neither call fails since Windows XP */
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&second);
    const int64_t whole = ticks.QuadPart / second.QuadPart, rest = ticks.QuadPart % second.QuadPart;
    return whole * 1000000000 + rest * 1000000000 / second.QuadPart;
}
