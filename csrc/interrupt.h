/* BRIDGE until the head is rebased */
#ifndef XCOS_INTERRUPT_H
#define XCOS_INTERRUPT_H
#include "call.h"
#define xc_stop(flag, worker) xc_stop_flag(flag, worker)
static inline bool xc_stop_flag(_Atomic bool *stop, int worker)
{
    xc_call call;
    xc_open(&call, 1);
    if ((xc_stop)(&call, worker)) *stop = true;
    xc_close(&call, XCOS_OK, 0);
    return *stop;
}
#endif
