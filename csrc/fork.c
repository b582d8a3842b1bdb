/* fork.c: networks across fork. A child has only the thread that forked: were a network's lock
 * held by another thread at that moment, the child could never take it. So fork waits until
 * all of them are free. (The pool of threads sees to itself: pool.c.) */
#include <stddef.h>

#include "net.h"

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static xcos_net *first;

static void before_fork(void)
{
    pthread_mutex_lock(&registry);
    for (xcos_net *net = first; net; net = net->next)
        pthread_mutex_lock(&net->lock);
}

static void after_fork(void)
{
    for (xcos_net *net = first; net; net = net->next)
        pthread_mutex_unlock(&net->lock);
    pthread_mutex_unlock(&registry);
}

static void register_handlers(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

void xn_register(xcos_net *net)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_handlers);
    pthread_mutex_lock(&registry);
    net->next = first;
    if (first)
        first->previous = net;
    first = net;
    pthread_mutex_unlock(&registry);
}

void xn_unregister(xcos_net *net)
{
    pthread_mutex_lock(&registry);
    *(net->previous ? &net->previous->next : &first) = net->next;
    if (net->next)
        net->next->previous = net->previous;
    pthread_mutex_unlock(&registry);
}
