/* avx512.c: the kernels for AVX-512 (F, VL, DQ, BW). */
#if defined(__x86_64__)
#include "../kernels.h"
#include "vector_avx512.h"

#define MR 14
#define NR 32
#define TILE_ROWS 3
#define WEIGH_ROWS 12
#define PRODUCTS {[XK_BF16] = &xk_bf16_avx512, [XK_INT8] = &xk_int8_avx512}
#include "../simd/table_template.h"
#else
typedef int xk_no_avx512; /* ISO C wants a declaration in every file */
#endif
