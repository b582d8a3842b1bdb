/* avx2.c: the kernels for AVX2 with FMA. */
#if defined(__x86_64__)
#include "../kernels.h"
#include "vector_avx2.h"

#define MR 6
#define NR 16
#define TILE_ROWS 1
#define WEIGH_ROWS 6
#include "../simd/table_template.h"
#else
typedef int xk_no_avx2; /* ISO C wants a declaration in every file */
#endif
