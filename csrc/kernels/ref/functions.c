/* functions.c: functions of one number, softmax and the normalisation of a row in plain C. */
#include "ref.h"

static float value(xk_function f, float x)
{
    switch (f) {
    case XK_SIGMOID:
        return 1 / (1 + expf(-x));
    case XK_TANH:
        return tanhf(x);
    case XK_ERF:
        return erff(x);
    default: /* by erfc, and in double: digits are lost below zero else */
        return (float)(0.5 * x * erfc(-0.70710678118654752440 * x));
    }
}

void map_f32_ref(xk_function f, int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = value(f, x[i]);
}

void softmax_f32_ref(int64_t n, const float *x, float *y)
{
    float top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (int64_t i = 0; i < n; i++)
        sum += y[i] = expf(x[i] - top);
    for (int64_t i = 0; i < n; i++)
        y[i] /= sum;
}

void normalise_f32_ref(int64_t n, const float *x, const float *gamma, const float *beta, float epsilon,
                       float *y)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        mean += x[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    const double scale = 1 / sqrt(squares / (double)n + epsilon);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((x[i] - mean) * scale * (gamma ? gamma[i] : 1) + (beta ? beta[i] : 0));
}
