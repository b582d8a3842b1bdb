/* pool.c: the process's pool of threads (see pool.h).
 *
 * One loop at a time is spread.  Its indices are claimed one by one from a counter.
 * Workers join a loop that is open; the caller closes it when no index is left and
 * then waits only for those that joined, so a worker that the system has put aside
 * cannot hold a loop up before it has begun.  Idle workers spin for some tens of
 * microseconds, the time between two layers of a network, then sleep: two processes
 * on the same cores do not burn each other's time.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    MAX_WORKERS = 63,
    SPINS = 1000, /* a pause takes 40 to 140 cycles: 15 to 40 microseconds */
};
#define OPEN ((uint64_t)1 << 31)
#define JOINED(state) ((int)((state) & (OPEN - 1)))
#define EPOCH(state) ((uint32_t)((state) >> 32))

static struct {
    pthread_mutex_t busy; /* held by the caller whose loop is spread */
    _Atomic uint64_t state; /* epoch << 32 | open | number of workers that joined */
    _Atomic int64_t next;
    _Atomic int finished;
    int64_t count;
    xc_loop *loop;
    void *context;
    _Atomic int limit; /* workers that may join */
    int workers;
    pthread_mutex_t lock; /* for sleeping */
    pthread_cond_t wake;
    _Atomic int sleepers;
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER};

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Subnormal numbers cost hundreds of cycles each and change no result that matters:
 * off (FTZ, DAZ) while our loops run, on every thread alike, and restored after. */
static unsigned subnormals_off(void)
{
#if defined(__x86_64__)
    unsigned old = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(old | 0x8040);
    return old;
#else
    return 0;
#endif
}

static void subnormals_restore(unsigned old)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(old);
#else
    (void)old;
#endif
}

static void claim(int worker)
{
    int64_t i;
    while ((i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < pool.count)
        pool.loop(pool.context, i, worker);
}

static void sleep_until_after(uint32_t seen)
{
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.sleepers, 1);
    while (EPOCH(atomic_load(&pool.state)) == seen)
        pthread_cond_wait(&pool.wake, &pool.lock);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.lock);
}

static void *work(void *start)
{
    uint32_t seen = (uint32_t)(uintptr_t)start;
    subnormals_off();
    for (;;) {
        uint64_t state = atomic_load(&pool.state);
        for (int i = 0; EPOCH(state) == seen && i < SPINS; i++) {
            pause_cpu();
            state = atomic_load(&pool.state);
        }
        if (EPOCH(state) == seen) {
            sleep_until_after(seen);
            continue;
        }
        seen = EPOCH(state);
        /* The limit belongs to the open loop: read it only while the state shows that
         * loop still open, and let the exchange confirm it. */
        while ((state & OPEN) && EPOCH(state) == seen && JOINED(state) < pool.limit) {
            if (atomic_compare_exchange_weak(&pool.state, &state, state + 1)) {
                claim(JOINED(state) + 1);
                atomic_fetch_add(&pool.finished, 1);
                break;
            }
        }
    }
    return NULL;
}

/* In the child of a fork there are no workers, and locks may have been held. */
static void after_fork(void)
{
    pthread_mutex_init(&pool.busy, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.state, 0);
    pool.workers = 0;
}

static void register_fork_handler(void)
{
    pthread_atfork(NULL, NULL, after_fork);
}

/* Sees to it that there are `wanted` workers; fewer when the system has no more threads. */
static void hire(int wanted)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork_handler);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (pool.workers < wanted) {
        pthread_t thread;
        uintptr_t seen = EPOCH(atomic_load(&pool.state));
        if (pthread_create(&thread, &attributes, work, (void *)seen))
            break;
        pool.workers++;
    }
    pthread_attr_destroy(&attributes);
}

void xc_parallel(int threads, int64_t count, xc_loop *loop, void *context)
{
    unsigned mode = subnormals_off();
    if (threads > MAX_WORKERS + 1)
        threads = MAX_WORKERS + 1;
    if (threads > count)
        threads = (int)count;
    if (threads < 2 || pthread_mutex_trylock(&pool.busy)) {
        for (int64_t i = 0; i < count; i++)
            loop(context, i, 0);
        subnormals_restore(mode);
        return;
    }
    if (pool.workers < threads - 1)
        hire(threads - 1);
    pool.loop = loop;
    pool.context = context;
    pool.count = count;
    atomic_store_explicit(&pool.limit, threads - 1, memory_order_relaxed);
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool.finished, 0, memory_order_relaxed);
    uint64_t epoch = (uint64_t)(EPOCH(atomic_load(&pool.state)) + 1) << 32;
    atomic_store(&pool.state, epoch | OPEN);
    if (atomic_load(&pool.sleepers)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
    claim(0);
    int joined = JOINED(atomic_fetch_and(&pool.state, ~OPEN));
    for (int i = 0; atomic_load(&pool.finished) < joined; i++) {
        if (i < SPINS)
            pause_cpu();
        else
            sched_yield();
    }
    pthread_mutex_unlock(&pool.busy);
    subnormals_restore(mode);
}
