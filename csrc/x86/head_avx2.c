/* head_avx2.c: the pair kernel for AVX2 with FMA. */
#if defined(__x86_64__)
#include "../head_kernels.h"
#include <stddef.h>
#include "vector_avx2.h"

INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf v_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* 2^n for integers -126 <= n <= 127. */
INLINE vf v_pow2(vf n)
{
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
/* x >= limit ? yes : no */
INLINE vf v_at_least(vf x, vf limit, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(x, limit, _CMP_GE_OQ));
}

#define TILE_ROWS 1
#include "head_template.h"

const struct xk_head_kernels xk_head_avx2 = {.lanes = VL, .pairs = pairs};
#else
typedef int xk_no_head_avx2; /* ISO C wants a declaration in every file */
#endif
