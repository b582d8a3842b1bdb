/* head_avx512.c: the pair kernel for AVX-512. */
#if defined(__x86_64__)
#include "../head_kernels.h"
#include <stddef.h>
#include "vector_avx512.h"

INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf v_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* 2^n for integers -126 <= n <= 127. */
INLINE vf v_pow2(vf n)
{
    __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
/* x >= limit ? yes : no */
INLINE vf v_at_least(vf x, vf limit, vf yes, vf no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, limit, _CMP_GE_OQ), no, yes);
}

#define TILE_ROWS 3
#include "head_template.h"

const struct xk_head_kernels xk_head_avx512 = {.lanes = VL, .pairs = pairs};
#else
typedef int xk_no_head_avx512; /* ISO C wants a declaration in every file */
#endif
