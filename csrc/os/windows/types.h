/* types.h: locks, conditions and what runs once (Windows). Each is the one pointer that an SRWLOCK,
 * a CONDITION_VARIABLE or an INIT_ONCE is, whose zero is ready for use, without the thousands of
 * names of windows.h; threads.c holds them to its sizes. */
#ifndef XCOS_OS_WINDOWS_TYPES_H
#define XCOS_OS_WINDOWS_TYPES_H

typedef struct {
    void *srw;
} xo_lock;

typedef struct {
    void *condition;
} xo_signal;

typedef struct {
    void *state;
} xo_once;

#define XO_LOCK_INIT {0}
#define XO_ONCE_INIT {0}

#endif
