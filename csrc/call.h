/* call.h: the context of a call of the API.
 *
 * Every function of xcos.h that computes, for a network, a head, a detector or a picture, opens
 * one and closes it again (tests/test_layout.py). In between, on each thread that works for the
 * call, subnormal numbers are off (they cost hundreds of cycles each and change no result that
 * matters): results do not depend on which thread computes what. */
#ifndef XCOS_CALL_H
#define XCOS_CALL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "xcos.h"

typedef struct {
    int threads;        /* that may work for it, the caller's among them; at least 1 */
    unsigned mode;      /* the caller's floating-point mode */
    bool torn;          /* a fork left the call's other threads behind: pool.c */
    _Atomic bool stop;  /* it shall end: see xc_stop */
} xc_call;

/* threads <= 0: the default (xcos_default_threads). */
void xc_open(xc_call *call, int threads);

/* Gives the caller its floating-point mode back. `status` is the call's own; what cut the call
 * short stands above it: XCOS_E_INTERRUPTED, and XCOS_E_OS in the child of a fork. */
xcos_status xc_close(xc_call *call, xcos_status status, xcos_error *err);

/* To be called between pieces of work of some milliseconds at most, by every worker of a loop
 * (see pool.h): true when the call shall end. Worker 0, which is the caller's thread, asks the
 * function given to xcos_poll_with and raises the flag for all. */
bool xc_stop(xc_call *call, int worker);

/* Turns subnormal numbers off on this thread (FTZ and DAZ), and returns the mode before. */
unsigned xc_subnormals_off(void);

#endif
