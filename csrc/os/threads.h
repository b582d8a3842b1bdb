/* threads.h: locks, conditions and threads of the operating system (POSIX). Everything that the
 * core wants of them goes through here, and nothing else includes pthread.h. */
#ifndef XCOS_OS_THREADS_H
#define XCOS_OS_THREADS_H

#include <pthread.h>
#include <stdbool.h>

typedef pthread_mutex_t xo_lock;
typedef pthread_cond_t xo_signal;
typedef pthread_once_t xo_once;
#define XO_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define XO_ONCE_INIT PTHREAD_ONCE_INIT

static inline void xo_lock_new(xo_lock *lock) { pthread_mutex_init(lock, NULL); }
static inline void xo_lock_free(xo_lock *lock) { pthread_mutex_destroy(lock); }
static inline void xo_take(xo_lock *lock) { pthread_mutex_lock(lock); }
static inline bool xo_try(xo_lock *lock) { return pthread_mutex_trylock(lock) == 0; }
static inline void xo_give(xo_lock *lock) { pthread_mutex_unlock(lock); }
static inline void xo_call_once(xo_once *once, void (*f)(void)) { pthread_once(once, f); }

/* A signal is waited for with its lock held. xo_wait: false when `milliseconds` went by without. */
void xo_signal_new(xo_signal *s);
static inline void xo_wake(xo_signal *s) { pthread_cond_signal(s); }
bool xo_wait(xo_signal *s, xo_lock *lock, int milliseconds);

/* Runs f(argument) on a thread of its own that nobody waits for; false: no more threads. */
bool xo_start(void *(*f)(void *), void *argument);
/* Lets another thread have the processor. */
void xo_yield(void);
/* Calls these around each fork from now on (any may be NULL): before it, and after it in the
 * parent and in the child. A system without fork never calls them. */
void xo_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void));

#endif
