/* gemm.c: the tile of a convolution in plain C. */
#include "ref.h"

enum { MR = XK_REF_MR, NR = XK_REF_NR };

void gemm_f32_4x8_ref(int m, int n, int depth, int taps, const float *const *a, const float *w,
                      const float *next, float *y, ptrdiff_t ldy, const xk_epilogue *e)
{
    (void)next;
    float sum[MR][NR] = {{0}};
    for (int t = 0; t < taps; t++) {
        /* Always a full tile, so that the compiler can keep it in registers: rows
         * that are not wanted repeat the first. */
        const float *row[MR];
        for (int i = 0; i < MR; i++)
            row[i] = a[t * m + (i < m ? i : 0)];
        for (int k = 0; k < depth; k++, w += NR)
            for (int i = 0; i < MR; i++)
                for (int j = 0; j < NR; j++)
                    sum[i][j] += row[i][k] * w[j];
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            y[i * ldy + j] = xk_finish(sum[i][j], j, xk_residual_at(e, 0, i), e);
}
