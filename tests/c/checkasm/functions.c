/* functions.c: functions of one number, softmax and the normalisation of a row, against double precision. */
#include "checkasm.h"

#include <math.h>

static double value(xk_function f, double x)
{
    return f == XK_SIGMOID ? 1 / (1 + exp(-x))
           : f == XK_TANH  ? tanh(x)
           : f == XK_ERF   ? erf(x)
                           : 0.5 * x * erfc(-x / sqrt(2));
}

static void check_length(int n, enum side side)
{
    static const float special[] = {0, -0.0f, 100, -100, 1e30f, -1e30f, INFINITY, -INFINITY};
    float *x = guarded((size_t)n, side), *y = guarded((size_t)n, side);
    for (int i = 0; i < n; i++)
        x[i] = i < 8 && n > 20 ? special[i] : 6 * x[i];
    for (int f = XK_SIGMOID; f <= XK_GELU; f++) {
        table->map((xk_function)f, n, x, y);
        for (int i = 0; i < n; i++) {
            const double want = value((xk_function)f, x[i]);
            if (isnan(want) || isinf(want) ? y[i] < want || y[i] > want
                                           : !close_to(y[i], want, fmax(1, fabs(want))))
                report("function %d of length %d at %d", f, n, i, 0);
        }
    }
    x[n - 1] = NAN;
    for (int f = XK_SIGMOID; f <= XK_GELU; f++) {
        table->map((xk_function)f, n, x, y);
        if (!isnan(y[n - 1]))
            report("function %d of length %d loses NaN", f, n, 0, 0);
    }
    for (int i = 0; i < n; i++)
        x[i] = 6 * uniform();
    double sum = 0;
    float top = x[0]; /* not a double: GCC 12 for Arm breaks down over its maximum of floats */
    for (int i = 1; i < n; i++)
        top = fmaxf(top, x[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - top);
    table->softmax(n, x, y);
    for (int i = 0; i < n; i++)
        if (!close_to(y[i], exp((double)x[i] - top) / sum, 1))
            report("softmax of length %d at %d", n, i, 0, 0);
    for (int affine = 0; affine < 2; affine++) {
        const float *gamma = affine ? padded(n, side) : NULL, *beta = affine ? padded(n, side) : NULL;
        double mean = 0, squares = 0;
        for (int i = 0; i < n; i++)
            mean += (double)x[i] / n;
        for (int i = 0; i < n; i++)
            squares += (x[i] - mean) * (x[i] - mean) / n;
        table->normalise(n, x, gamma, beta, 1e-3f, y);
        for (int i = 0; i < n; i++) {
            double want = (x[i] - mean) / sqrt(squares + (double)1e-3f);
            want = affine ? want * gamma[i] + beta[i] : want;
            if (!close_to(y[i], want, 1 + fabs(want)))
                report("normalise of length %d at %d, affine %d", n, i, affine, 0);
        }
    }
    release();
}

void check_functions(void)
{
    for (int n = 1; n < 70; n++)
        check_length(n, n & 1 ? FRONT : BACK);
    check_length(1000, BACK);
}
