/* checkasm.h: what the checks of the units share, and the benchmark. */
#ifndef CHECKASM_H
#define CHECKASM_H

#include <stdio.h>

#include "kernels/kernels.h"

extern const xk_table *table; /* that is checked */

/* Random floats in -1..1 and integers lo..hi, from a fixed seed. */
float uniform(void);
int between(int lo, int hi);

/* `count` random floats whose end (BACK) or start (FRONT) touches an unreadable page; padded: to
 * a multiple of 32, as biases and slopes are. Freed all together by release(). */
enum side { FRONT, BACK };
float *guarded(size_t count, enum side side);
float *padded(int count, enum side side);
void release(void);

/* Notes a failure; the format takes up to four numbers. */
void report(const char *format, int a, int b, int c, int d);
/* Whether a float is close to what it should be, where sums have about the size `scale`. */
int close_to(double got, double want, double scale);

/* What is written where nothing is to be written. */
static const float CANARY = 12345.678f;

/* The epilogue of combination `k` (0..11), for `count` channels; and what it makes of a number. */
xk_epilogue epilogue(int k, int count, const float *residual, enum side side);
double finished(double x, int c, const float *residual, const xk_epilogue *e);

/* The checks: check_gemm() and so on, one in each file. */
#define CHECKS(X) \
    X(gemm) X(products) X(depthwise) X(winograd) X(pairs) X(transport) X(pack) X(functions) X(pictures)
#define DECLARED(name) void check_##name(void);
CHECKS(DECLARED)

/* Prints speeds of every instruction set of the machine. */
void bench(void);
/* Runs what one of its lines measures, `count` times, on the best instruction set, and is 0 where
 * there is no such line. */
int repeat(const char *what, int count);
/* Measured peak of fused multiply-adds of one core, GFLOP/s, at that vector width. */
double fma_peak(const char *isa);

#endif
