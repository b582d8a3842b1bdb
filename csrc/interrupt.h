/* interrupt.h: how a long loop learns that its caller wants no more of it. */
#ifndef XCOS_INTERRUPT_H
#define XCOS_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>

/* To be called between pieces of work of some milliseconds at most, by every worker of a loop
 * (see pool.h) with the loop's own flag: true when the loop shall end. Worker 0, which is the
 * caller's thread, asks the function given to xcos_poll_with and raises the flag for all. */
bool xc_stop(_Atomic bool *stop, int worker);

#endif
