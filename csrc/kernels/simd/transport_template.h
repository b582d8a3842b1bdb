/* transport_template.h: the kernels of optimal transport (xk_transport in ../kernels.h).
 *
 * Vectors run along the columns, so that nothing is summed across lanes.  exponential.h, which the
 * includer includes first, gives v_exp. */
#include <float.h>

/* Columns that are summed at once, at most eight vectors of at least sixteen registers. */
enum { DIVIDED = VL >= 8 ? 64 : 8 * VL };

INLINE void divide_columns(int rows, ptrdiff_t columns, const float *k, const float *x,
                           const float *target, float *y, const int vectors)
{
    vf sum[DIVIDED / VL];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        sum[v] = v_zero();
    for (int i = 0; i < rows; i++, k += columns) {
        const vf factor = v_set1(x[i]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            sum[v] = v_fma(v_load(k + v * VL), factor, sum[v]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        v_store(y + v * VL, v_load(target + v * VL) / v_max(sum[v], v_set1(FLT_MIN)));
}

TARGET static void NAMED(divide_f32)(int rows, int columns, const float *k, const float *x,
                                     const float *target, float *y)
{
    int j = 0;
    for (; j + DIVIDED <= columns; j += DIVIDED)
        divide_columns(rows, columns, k + j, x, target + j, y + j, DIVIDED / VL);
    for (; j < columns; j += VL)
        divide_columns(rows, columns, k + j, x, target + j, y + j, 1);
}

TARGET static void NAMED(exponentials_f32)(int count, const float *x, float *y)
{
    for (int i = 0; i < count; i += VL)
        v_store(y + i, v_exp(v_load(x + i)));
}
