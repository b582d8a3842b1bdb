/* call.c: contexts of calls, what they take from the environment, and ending them early. */
#include "call.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernels/cpu.h"
#include "os/clock.h"
#include "os/cpus.h"
#include "os/environment.h"
#include "os/threads.h"

enum { MOST_THREADS = 1024, POLL_NANOSECONDS = 50000000 };

/* ------------------------------------------------------------- environment */

static int wished; /* threads; 0: no wish. Written by xcos_start alone */

xcos_status xcos_start(xcos_error *err)
{
    static bool started;
    if (started) /* another interpreter of the process imports us while threads run */
        return XCOS_OK;
    const xo_environment environment = xo_read_environment();
    const char *text = environment.num_threads;
    if (*text) {
        char *end;
        const long n = strtol(text, &end, 10);
        if (*end || n < 1 || n > MOST_THREADS)
            return xcos_fail(err, XCOS_E_ARG, "XCOS_NUM_THREADS is '%s', expected 1 to %d", text,
                             MOST_THREADS);
        wished = (int)n;
    }
    const xcos_status status = xk_without(environment.disable_cpu, err);
    started = status == XCOS_OK;
    return status;
}

static int quota;

static void read_quota(void)
{
    quota = xo_cpu_quota("");
}

int xcos_default_threads(void)
{
    static xo_once once = XO_ONCE_INIT; /* reading files at each call would tell */
    if (wished)
        return wished;
    xo_call_once(&once, read_quota);
    const int cpus = xo_cpus();
    return quota && quota < cpus ? quota : cpus;
}

/* --------------------------------------------------------- floating point */

#if defined(__x86_64__)
static unsigned float_mode(void) { return __builtin_ia32_stmxcsr(); }
static void set_float_mode(unsigned mode) { __builtin_ia32_ldmxcsr(mode); }
enum { SUBNORMALS_OFF = 0x8040 }; /* FTZ, DAZ */
#elif defined(__aarch64__)
static unsigned float_mode(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return (unsigned)mode;
}
static void set_float_mode(unsigned mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode));
}
enum { SUBNORMALS_OFF = 1 << 24 }; /* FZ */
#else
static unsigned float_mode(void) { return 0; }
static void set_float_mode(unsigned mode) { (void)mode; }
enum { SUBNORMALS_OFF = 0 };
#endif

unsigned xc_subnormals_off(void)
{
    const unsigned mode = float_mode();
    set_float_mode(mode | SUBNORMALS_OFF);
    return mode;
}

/* ------------------------------------------------------------------- calls */

void xc_open(xc_call *call, int threads)
{
    call->threads = threads > 0 ? threads : xcos_default_threads();
    call->torn = false;
    call->stop = false;
    call->mode = xc_subnormals_off();
}

xcos_status xc_close(xc_call *call, xcos_status status, xcos_error *err)
{
    set_float_mode(call->mode);
    if (call->torn)
        return xcos_fail(err, XCOS_E_OS,
                         "the process was forked while this call ran: the child lacks the threads "
                         "that shared its work");
    return call->stop ? xcos_fail(err, XCOS_E_INTERRUPTED, "interrupted") : status;
}

static _Atomic(xcos_poll *) hook;

void xcos_poll_with(xcos_poll *poll)
{
    hook = poll;
}

/* Whether this thread last asked 50 milliseconds ago or more. */
static bool due(void)
{
    static _Thread_local int64_t next;
    const int64_t now = xo_nanoseconds();
    if (now < next)
        return false;
    next = now + POLL_NANOSECONDS;
    return true;
}

bool xc_stop(xc_call *call, int worker)
{
    xcos_poll *poll = hook;
    if (worker == 0 && poll && due()) {
        set_float_mode(call->mode); /* the caller's own code runs */
        if (poll())
            call->stop = true;
        xc_subnormals_off();
    }
    return call->stop;
}
