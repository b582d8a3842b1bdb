/* pool.h: one pool of threads for the process.
 *
 * A caller asks for a loop to be spread over `threads` threads, itself among them; as many
 * workers are woken, not more. When the pool is already busy with another caller's loop, the
 * loop runs on the calling thread alone: nobody waits for somebody else's work, and results
 * never depend on how a loop was spread. Workers that have had nothing to do for a second end.
 * After fork the child starts a pool of its own. */
#ifndef XCOS_POOL_H
#define XCOS_POOL_H

#include <stdint.h>

#include "call.h"

typedef void xc_loop(void *context, int64_t index, int worker);

/* Calls loop(context, i, worker) once for each i in 0..count-1, in any order; worker is in
 * 0..threads-1 and no two calls at the same time share one (use it to pick scratch memory).
 * Returns when all are done. threads < 1 counts as 1. When the thread is forked within a loop
 * (by the function that xc_stop asks), the child's loop ends without the workers' part: `call`
 * is marked as torn then. */
void xc_spread(xc_call *call, int threads, int64_t count, xc_loop *loop, void *context);

#endif
