/* sse2.c: the kernels for SSE2, which every x86-64 has. */
#if defined(__x86_64__)
#include "../kernels.h"
#include "vector_sse2.h"

#define MR 3
#define NR 16
#define TILE_ROWS 1
#define WEIGH_ROWS 4
#include "../simd/table_template.h"
#else
typedef int xk_no_sse2; /* ISO C wants a declaration in every file */
#endif
