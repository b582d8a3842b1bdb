/* products.c: stands for csrc/blas.c where there is no OpenBLAS to link with (test_ports.py). */
#include "blas.h"

void xb_multiply(int rows, int columns, int depth, const float *a, int lda, const float *b, int ldb,
                 bool transposed, float *c, int ldc)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            double sum = 0;
            for (int k = 0; k < depth; k++)
                sum += (double)a[i * lda + k] * (transposed ? b[j * ldb + k] : b[k * ldb + j]);
            c[i * ldc + j] = (float)sum;
        }
}
