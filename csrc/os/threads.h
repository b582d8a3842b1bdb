/* threads.h: locks, conditions and threads of the operating system. Everything that the core wants
 * of them goes through here, and nothing else includes pthread.h or windows.h. */
#ifndef XCOS_OS_THREADS_H
#define XCOS_OS_THREADS_H

#include <stdbool.h>

#ifdef _WIN32
#include "windows/types.h"
#else
#include "posix/types.h"
#endif

/* A lock is new by xo_lock_new or XO_LOCK_INIT. It is not taken twice by one thread. */
void xo_lock_new(xo_lock *lock);
void xo_lock_free(xo_lock *lock);
void xo_take(xo_lock *lock);
bool xo_try(xo_lock *lock);
void xo_give(xo_lock *lock);
void xo_call_once(xo_once *once, void (*f)(void));

/* A signal is waited for with its lock held. xo_wait: false when `milliseconds` went by without. */
void xo_signal_new(xo_signal *s);
void xo_wake(xo_signal *s);
bool xo_wait(xo_signal *s, xo_lock *lock, int milliseconds);

/* Runs f(argument) on a thread of its own that nobody waits for; false: no more threads. */
bool xo_start(void *(*f)(void *), void *argument);
/* Lets another thread have the processor. */
void xo_yield(void);
/* Calls these around each fork from now on (any may be NULL): before it, and after it in the
 * parent and in the child. A system without fork never calls them. */
void xo_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void));

#endif
