/* blas.h: products of matrices by OpenBLAS, which suits large and plain ones: convolutions where
 * none of our vector kernels runs, and the oracle of those that do. */
#ifndef XCOS_BLAS_H
#define XCOS_BLAS_H

#include <stdbool.h>

/* c (rows, columns) = a (rows, depth) times b (depth, columns), or the transpose of b where that
 * is given as (columns, depth). Row-major; ld*: floats from row to row. Runs on the calling
 * thread alone: our own pool spreads the work, since OpenBLAS's threads serialise concurrent
 * callers. Thread-safe. */
void xb_multiply(int rows, int columns, int depth, const float *a, int lda, const float *b, int ldb,
                 bool transposed, float *c, int ldc);

#endif
