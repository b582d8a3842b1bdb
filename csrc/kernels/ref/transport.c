/* transport.c: the kernels of optimal transport in plain C. */
#include "ref.h"

#include <float.h>
#include <math.h>

void divide_f32_ref(int rows, int columns, const float *k, const float *x, const float *target,
                    float *y)
{
    for (int j = 0; j < columns; j++) {
        float sum = 0;
        for (int i = 0; i < rows; i++)
            sum += k[(ptrdiff_t)i * columns + j] * x[i];
        y[j] = target[j] / (sum > FLT_MIN ? sum : FLT_MIN);
    }
}

void exponentials_f32_ref(int count, const float *x, float *y)
{
    for (int i = 0; i < count; i++)
        y[i] = expf(x[i] > -87.0f ? x[i] : -87.0f);
}
