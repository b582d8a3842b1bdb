/* blas.c: OpenBLAS. The only file that includes cblas.h. */
#include "blas.h"

#include <cblas.h>

#include "os/threads.h"

static void one_thread(void)
{
    scipy_openblas_set_num_threads(1);
}

void xb_multiply(int rows, int columns, int depth, const float *a, int lda, const float *b, int ldb,
                 bool transposed, float *c, int ldc)
{
    static xo_once once = XO_ONCE_INIT;
    xo_call_once(&once, one_thread);
    scipy_cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, rows,
                      columns, depth, 1, a, lda, b, ldb, 0, c, ldc);
}
