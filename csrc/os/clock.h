/* clock.h: time that only goes forward. */
#ifndef XCOS_OS_CLOCK_H
#define XCOS_OS_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some moment before the process began. */
int64_t xo_nanoseconds(void);

#endif
