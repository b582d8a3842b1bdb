/* threads.c: locks, conditions and threads (POSIX). */
#define _GNU_SOURCE
#include "os/threads.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* Mac OS has no clock attribute for conditions; a step of the wall clock only ends a wait early. */
#if defined(__linux__)
#define WAIT_CLOCK CLOCK_MONOTONIC
#else
#define WAIT_CLOCK CLOCK_REALTIME
#endif

void xo_lock_new(xo_lock *lock)
{
    pthread_mutex_init(lock, NULL);
}

void xo_lock_free(xo_lock *lock)
{
    pthread_mutex_destroy(lock);
}

void xo_take(xo_lock *lock)
{
    pthread_mutex_lock(lock);
}

bool xo_try(xo_lock *lock)
{
    return pthread_mutex_trylock(lock) == 0;
}

void xo_give(xo_lock *lock)
{
    pthread_mutex_unlock(lock);
}

void xo_call_once(xo_once *once, void (*f)(void))
{
    pthread_once(once, f);
}

void xo_signal_new(xo_signal *s)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#if defined(__linux__)
    pthread_condattr_setclock(&attributes, WAIT_CLOCK);
#endif
    pthread_cond_init(s, &attributes);
    pthread_condattr_destroy(&attributes);
}

void xo_wake(xo_signal *s)
{
    pthread_cond_signal(s);
}

bool xo_wait(xo_signal *s, xo_lock *lock, int milliseconds)
{
    struct timespec end;
    clock_gettime(WAIT_CLOCK, &end);
    end.tv_sec += milliseconds / 1000;
    end.tv_nsec += milliseconds % 1000 * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000L;
    }
    return pthread_cond_timedwait(s, lock, &end) != ETIMEDOUT;
}

bool xo_start(void *(*f)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const bool started = pthread_create(&thread, &attributes, f, argument) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

void xo_yield(void)
{
    sched_yield();
}

void xo_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    pthread_atfork(before, parent, child);
}
