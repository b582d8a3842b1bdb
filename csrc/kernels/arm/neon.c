/* neon.c: the kernels for NEON, which every 64-bit Arm has. */
#if defined(__aarch64__)
#include "../kernels.h"
#include "vector_neon.h"

#define MR 6
#define NR 16
#define TILE_ROWS 1
#define WEIGH_ROWS 12
#include "../simd/table_template.h"
#else
typedef int xk_no_neon; /* ISO C wants a declaration in every file */
#endif
