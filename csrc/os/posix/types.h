/* types.h: locks, conditions and what runs once (POSIX). */
#ifndef XCOS_OS_POSIX_TYPES_H
#define XCOS_OS_POSIX_TYPES_H

#include <pthread.h>

typedef pthread_mutex_t xo_lock;
typedef pthread_cond_t xo_signal;
typedef pthread_once_t xo_once;
#define XO_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define XO_ONCE_INIT PTHREAD_ONCE_INIT

#endif
