/* gemm.c: the tile of a convolution in plain C, and lines of pixels in such tiles. */
#include "ref.h"

enum { MR = XK_REF_MR, NR = XK_REF_NR };

/* m pixels from `first` on; pixel i of tap t is at a[t] + i*step, without a step at a[t*m + i]. */
static inline void multiply(int64_t first, int m, int n, int depth, int taps, const float *const *a,
                            ptrdiff_t step, const float *w, float *y, ptrdiff_t ldy,
                            const xk_epilogue *e)
{
    float sum[MR][NR] = {{0}};
    for (int t = 0; t < taps; t++) {
        /* Always a full tile, so that the compiler can keep it in registers: rows
         * that are not wanted repeat the first. */
        const float *row[MR];
        for (int i = 0; i < MR; i++)
            row[i] = step ? a[t] + (first + (i < m ? i : 0)) * step : a[t * m + (i < m ? i : 0)];
        for (int k = 0; k < depth; k++, w += NR)
            for (int i = 0; i < MR; i++)
                for (int j = 0; j < NR; j++)
                    sum[i][j] += row[i][k] * w[j];
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            y[(first + i) * ldy + j] = xk_finish(sum[i][j], j, xk_residual_at(e, 0, first + i), e);
}

void gemm_f32_4x8_ref(int m, int n, int depth, int taps, const float *const *a, const float *w,
                      const float *next, float *y, ptrdiff_t ldy, const xk_epilogue *e)
{
    (void)next;
    multiply(0, m, n, depth, taps, a, 0, w, y, ldy, e);
}

void gemm_line_f32_4x8_ref(int64_t count, int n, int depth, int taps, const float *const *rows,
                           ptrdiff_t step, const float *w, const float *next, float *y,
                           ptrdiff_t ldy, const xk_epilogue *e)
{
    (void)next;
    for (int64_t i = 0; i < count; i += MR)
        multiply(i, count - i < MR ? (int)(count - i) : MR, n, depth, taps, rows, step, w, y, ldy, e);
}
