/* threads.c: locks, conditions and threads (Windows). */
#include "os/threads.h"

#include <process.h>
#include <stdlib.h>
#include <windows.h>

_Static_assert(sizeof(xo_lock) == sizeof(SRWLOCK), "an SRWLOCK is a pointer");
_Static_assert(sizeof(xo_signal) == sizeof(CONDITION_VARIABLE), "a CONDITION_VARIABLE is a pointer");
_Static_assert(sizeof(xo_once) == sizeof(INIT_ONCE), "an INIT_ONCE is a pointer");

void xo_lock_new(xo_lock *lock)
{
    InitializeSRWLock((SRWLOCK *)lock);
}

void xo_lock_free(xo_lock *lock)
{
    (void)lock; /* nothing belongs to it */
}

void xo_take(xo_lock *lock)
{
    AcquireSRWLockExclusive((SRWLOCK *)lock);
}

bool xo_try(xo_lock *lock)
{
    return TryAcquireSRWLockExclusive((SRWLOCK *)lock);
}

void xo_give(xo_lock *lock)
{
    ReleaseSRWLockExclusive((SRWLOCK *)lock);
}

static BOOL CALLBACK call(INIT_ONCE *once, void *f, void **unused)
{
    (void)once;
    (void)unused;
    (*(void (**)(void))f)();
    return TRUE;
}

void xo_call_once(xo_once *once, void (*f)(void))
{
    InitOnceExecuteOnce((INIT_ONCE *)once, call, &f, NULL);
}

void xo_signal_new(xo_signal *s)
{
    InitializeConditionVariable((CONDITION_VARIABLE *)s);
}

void xo_wake(xo_signal *s)
{
    WakeConditionVariable((CONDITION_VARIABLE *)s);
}

bool xo_wait(xo_signal *s, xo_lock *lock, int milliseconds)
{
    return SleepConditionVariableSRW((CONDITION_VARIABLE *)s, (SRWLOCK *)lock, (DWORD)milliseconds, 0) ||
           GetLastError() != ERROR_TIMEOUT;
}

/* What a thread is to run: Windows wants another type of function. */
typedef struct {
    void *(*f)(void *);
    void *argument;
} task;

static unsigned __stdcall run(void *given)
{
    const task t = *(task *)given;
    free(given);
    t.f(t.argument);
    return 0;
}

bool xo_start(void *(*f)(void *), void *argument)
{
    task *t = malloc(sizeof *t);
    if (!t)
        return false;
    *t = (task){f, argument};
    const uintptr_t thread = _beginthreadex(NULL, 0, run, t, 0, NULL);
    if (!thread) {
        free(t);
        return false;
    }
    CloseHandle((HANDLE)thread);
    return true;
}

void xo_yield(void)
{
    SwitchToThread();
}

void xo_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    (void)before;
    (void)parent;
    (void)child; /* Windows has no fork */
}
