/* checkasm.h: what the check and the benchmark of the kernels share. */
#ifndef CHECKASM_H
#define CHECKASM_H

#include "kernels.h"

/* Random floats in -1..1, from a fixed seed. */
float uniform(void);

/* `count` random floats whose end (back) or start (front) touches an unreadable page.
 * Freed all together by release(). */
enum side { FRONT, BACK };
float *guarded(size_t count, enum side side);
void release(void);

/* Prints speeds of every instruction set of the machine. */
void bench(void);
/* Measured peak of fused multiply-adds of one core, GFLOP/s, at that vector width. */
double fma_peak(const char *isa);

#endif
