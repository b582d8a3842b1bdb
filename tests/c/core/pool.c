/* pool.c: loops over the pool of threads, and calls that are interrupted. */
#include "pool.h"

#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "os/threads.h"

enum { MOST = 3000, THREADS = 8 };

typedef struct {
    xc_call call;
    _Atomic int seen[MOST];  /* how often each index came */
    _Atomic int busy[MOST];  /* by worker: calls at the moment */
    _Atomic bool shared;     /* two calls had one worker at a time */
    int threads, within;
} loop_state;

static void inner(void *context, int64_t index, int worker)
{
    (void)worker;
    atomic_fetch_add((_Atomic int *)context + index, 1);
}

static void body(void *context, int64_t index, int worker)
{
    loop_state *s = context;
    if (worker < 0 || worker >= (s->threads > 1 ? s->threads : 1) ||
        atomic_fetch_add(&s->busy[worker], 1) != 0)
        s->shared = true;
    atomic_fetch_add(&s->seen[index], 1);
    if (s->within) { /* a loop within a loop runs on its own thread */
        _Atomic int count[5] = {0};
        xc_spread(&s->call, 4, 5, inner, count);
        for (int i = 0; i < 5; i++)
            if (count[i] != 1)
                s->shared = true;
    }
    atomic_fetch_sub(&s->busy[worker], 1);
}

static _Atomic int running; /* threads of test_pool */

static void *many_loops(void *unused)
{
    static _Thread_local loop_state s;
    static const int counts[] = {0, 1, 2, 7, 64, MOST};
    (void)unused;
    for (int round = 0; round < 60; round++) {
        const int count = counts[round % 6];
        memset(&s, 0, sizeof s);
        s.threads = round % 9;
        s.within = round % 5 == 0;
        xc_open(&s.call, s.threads);
        xc_spread(&s.call, s.threads, count, body, &s);
        CHECK(xc_close(&s.call, XCOS_OK, NULL) == XCOS_OK);
        CHECK(!s.shared);
        for (int i = 0; i < MOST; i++)
            CHECK(s.seen[i] == (i < count));
    }
    running--;
    return NULL;
}

void test_pool(void)
{
    running = THREADS + 1;
    many_loops(NULL);
    for (int i = 0; i < THREADS; i++)
        if (!CHECK(xo_start(many_loops, NULL)))
            running--;
    while (running)
        xo_yield();
}

static int asked;

static int poll(void)
{
    return ++asked >= 3;
}

static void wait_for_stop(void *context, int64_t index, int worker)
{
    (void)index;
    while (!xc_stop(context, worker))
        ;
}

void test_interrupt(void)
{
    xc_call call;
    xcos_error err;
    xcos_poll_with(poll);
    for (int threads = 1; threads <= 4; threads++) {
        asked = 0;
        xc_open(&call, threads);
        xc_spread(&call, threads, 100, wait_for_stop, &call);
        CHECK(asked >= 3);
        CHECK(xc_close(&call, XCOS_E_ARG, &err) == XCOS_E_INTERRUPTED);
    }
    xcos_poll_with(NULL);
    xc_open(&call, 0);
    CHECK(call.threads == xcos_default_threads());
    CHECK(xc_close(&call, XCOS_E_ARG, &err) == XCOS_E_ARG);
}
