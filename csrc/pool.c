/* pool.c: the process's pool of threads (see pool.h).
 *
 * One loop at a time is spread.  Its indices are claimed one by one from a counter.
 * Workers join a loop that is open; the caller closes it when no index is left and
 * then waits only for those that joined, so a worker that the system has put aside
 * cannot hold a loop up before it has begun.  Idle workers spin for some tens of
 * microseconds, the time between two layers of a network, then sleep, each on a signal
 * of its own: two processes on the same cores do not burn each other's time, and a loop
 * over two threads wakes one worker however many a larger one has left.
 */
#include "pool.h"

#include <stddef.h>

#include "os/threads.h"

enum {
    MAX_WORKERS = 63,
    SPINS = 1000, /* a pause takes 40 to 140 cycles: 15 to 40 microseconds */
    IDLE_MILLISECONDS = 1000,
};

/* The state of the loop at hand in one number, so that it is read and changed as one:
 * epoch << 32 | open | workers it wants << 16 | workers that joined. */
#define OPEN ((uint64_t)1 << 31)
#define EPOCH(state) ((uint32_t)((state) >> 32))
#define WANTED(state) ((int)((state) >> 16 & 0x7fff))
#define JOINED(state) ((int)((state) & 0xffff))

typedef struct {
    xo_signal wake;
    _Atomic bool hired, asleep;
    uint32_t seen; /* the last epoch when it was hired */
} seat;

static struct {
    xo_lock busy; /* held by the caller whose loop is spread */
    _Atomic uint64_t state;
    _Atomic int64_t next;
    _Atomic int finished;
    int64_t count;
    xc_loop *loop;
    void *context;
    xo_lock lock; /* for sleeping */
    seat seats[MAX_WORKERS];
    uint32_t generation; /* how often the process was forked since its first ancestor began */
} pool = {.busy = XO_LOCK_INIT, .lock = XO_LOCK_INIT};

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void claim(int worker)
{
    int64_t i;
    while ((i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < pool.count)
        pool.loop(pool.context, i, worker);
}

/* Whether a loop is open that wants this worker and that it has not joined yet. */
static bool wants(uint64_t state, int worker, uint32_t seen)
{
    return (state & OPEN) && worker < WANTED(state) && EPOCH(state) != seen;
}

/* Until a loop wants the worker; false: none did for so long that the worker is to end. */
static bool sleep_until_wanted(int worker, uint32_t seen)
{
    seat *s = &pool.seats[worker];
    bool in_time = true;
    xo_take(&pool.lock);
    atomic_store(&s->asleep, true);
    while (!wants(atomic_load(&pool.state), worker, seen) && in_time)
        in_time = xo_wait(&s->wake, &pool.lock, IDLE_MILLISECONDS);
    const bool wanted = wants(atomic_load(&pool.state), worker, seen);
    atomic_store(&s->asleep, false);
    if (!wanted)
        atomic_store(&s->hired, false);
    xo_give(&pool.lock);
    return wanted;
}

static void *work(void *start)
{
    const int worker = (int)(intptr_t)start;
    uint32_t seen = pool.seats[worker].seen, last = seen;
    xc_subnormals_off();
    for (;;) {
        uint64_t state = atomic_load(&pool.state);
        for (int i = 0; !wants(state, worker, seen) && i < SPINS; i++) {
            pause_cpu();
            state = atomic_load(&pool.state);
            if (EPOCH(state) != last && worker < WANTED(state))
                i = 0; /* a loop that ended before it could be joined: more are likely */
            last = EPOCH(state);
        }
        if (!wants(state, worker, seen)) {
            if (!sleep_until_wanted(worker, seen))
                return NULL;
            continue;
        }
        while (wants(state, worker, seen)) {
            if (atomic_compare_exchange_weak(&pool.state, &state, state + 1)) {
                seen = EPOCH(state);
                claim(worker + 1);
                atomic_fetch_add(&pool.finished, 1);
            }
        }
    }
}

static void new_seats(void)
{
    for (int i = 0; i < MAX_WORKERS; i++) {
        xo_signal_new(&pool.seats[i].wake);
        atomic_store(&pool.seats[i].hired, false);
        atomic_store(&pool.seats[i].asleep, false);
    }
}

/* In the child of a fork there are no workers, and locks may have been held. A loop that the
 * forking thread itself was in finds no more indices, and sees by the generation why. */
static void after_fork(void)
{
    xo_lock_new(&pool.busy);
    xo_lock_new(&pool.lock);
    new_seats();
    atomic_store(&pool.state, 0);
    atomic_store(&pool.next, INT64_MAX / 2);
    pool.generation++;
}

static void prepare(void)
{
    new_seats();
    xo_at_fork(NULL, NULL, after_fork);
}

/* Sees to it that the first `wanted` seats are taken; fewer when the system has no more threads. */
static void hire(int wanted)
{
    static xo_once once = XO_ONCE_INIT;
    xo_call_once(&once, prepare);
    for (int i = 0; i < wanted; i++) {
        seat *s = &pool.seats[i];
        if (atomic_load(&s->hired))
            continue;
        s->seen = EPOCH(atomic_load(&pool.state));
        atomic_store(&s->hired, true);
        if (!xo_start(work, (void *)(intptr_t)i)) {
            atomic_store(&s->hired, false);
            return;
        }
    }
}

static void wake(int wanted)
{
    for (int i = 0; i < wanted; i++)
        if (atomic_load(&pool.seats[i].asleep)) {
            xo_take(&pool.lock);
            xo_wake(&pool.seats[i].wake);
            xo_give(&pool.lock);
        }
}

void xc_spread(xc_call *call, int threads, int64_t count, xc_loop *loop, void *context)
{
    if (threads > MAX_WORKERS + 1)
        threads = MAX_WORKERS + 1;
    if (threads > count)
        threads = (int)count;
    if (threads < 2 || !xo_try(&pool.busy)) {
        for (int64_t i = 0; i < count; i++)
            loop(context, i, 0);
        return;
    }
    const uint32_t generation = pool.generation;
    hire(threads - 1);
    pool.loop = loop;
    pool.context = context;
    pool.count = count;
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool.finished, 0, memory_order_relaxed);
    const uint64_t epoch = (uint64_t)(EPOCH(atomic_load(&pool.state)) + 1) << 32;
    atomic_store(&pool.state, epoch | OPEN | (uint64_t)(threads - 1) << 16);
    wake(threads - 1);
    claim(0);
    if (pool.generation != generation) { /* the pool is another one, and not busy */
        call->torn = true;
        return;
    }
    const int joined = JOINED(atomic_fetch_and(&pool.state, ~OPEN));
    for (int i = 0; atomic_load(&pool.finished) < joined; i++) {
        if (i < SPINS)
            pause_cpu();
        else
            xo_yield();
    }
    xo_give(&pool.busy);
}
