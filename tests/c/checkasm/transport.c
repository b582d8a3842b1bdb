/* transport.c: the kernels of optimal transport, against their definition in double precision. */
#include "checkasm.h"

#include <math.h>
#include <stddef.h>

static void check_divide(int rows, int columns, enum side side)
{
    float *k = guarded((size_t)(rows * columns), side), *x = guarded((size_t)rows, side);
    float *target = guarded((size_t)columns, side), *y = guarded((size_t)columns, side);
    for (int i = 0; i < rows * columns; i++)
        k[i] = fabsf(k[i]);
    for (int i = 0; i < rows; i++)
        x[i] = fabsf(x[i]) + 0.1f;
    for (int i = 0; i < rows; i++)
        k[i * columns + columns / 2] = 0; /* a sum of 0 */
    target[columns / 2] = 0;
    table->transport.divide(rows, columns, k, x, target, y);
    for (int j = 0; j < columns; j++) {
        double sum = 0;
        for (int i = 0; i < rows; i++)
            sum += (double)k[i * columns + j] * x[i];
        const double want = target[j] / fmax(sum, FLT_MIN);
        if (!close_to(y[j], want, 1 + fabs(want)))
            report("divide: column %d of %d, %d rows", j, columns, rows, 0);
    }
    release();
}

static void check_exponentials(int count, enum side side)
{
    float *x = guarded((size_t)count, side), *y = guarded((size_t)count, side);
    for (int i = 0; i < count; i++)
        x[i] = i % 7 ? -100 * fabsf(x[i]) : 0;
    table->transport.exponentials(count, x, y);
    for (int i = 0; i < count; i++) {
        const double want = exp(fmax(x[i], -87));
        if (!close_to(y[i], want, want))
            report("exponentials: number %d of %d", i, count, 0, 0);
    }
    release();
}

void check_transport(void)
{
    for (int i = 0; i < 20; i++) {
        check_divide(between(1, 70), between(1, 12) * XK_LINE, i & 1 ? BACK : FRONT);
        check_exponentials(between(1, 12) * XK_LINE, i & 1 ? BACK : FRONT);
    }
}
