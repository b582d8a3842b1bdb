/* fork.c: networks across fork. A child has only the thread that forked: were a network's lock
 * held by another thread at that moment, the child could never take it. So fork waits until
 * all of them are free. (The pool of threads sees to itself: pool.c.) */
#include <stddef.h>

#include "net/graph.h"

static xo_lock registry = XO_LOCK_INIT;
static xcos_net *first;

static void before_fork(void)
{
    xo_take(&registry);
    for (xcos_net *net = first; net; net = net->later)
        xo_take(&net->lock);
}

static void after_fork(void)
{
    for (xcos_net *net = first; net; net = net->later)
        xo_give(&net->lock);
    xo_give(&registry);
}

static void register_handlers(void)
{
    xo_at_fork(before_fork, after_fork, after_fork);
}

void xn_register(xcos_net *net)
{
    static xo_once once = XO_ONCE_INIT;
    xo_call_once(&once, register_handlers);
    xo_take(&registry);
    net->later = first;
    if (first)
        first->earlier = net;
    first = net;
    xo_give(&registry);
}

void xn_unregister(xcos_net *net)
{
    xo_take(&registry);
    *(net->earlier ? &net->earlier->later : &first) = net->later;
    if (net->later)
        net->later->earlier = net->earlier;
    xo_give(&registry);
}
