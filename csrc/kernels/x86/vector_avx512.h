/* vector_avx512.h: the vector operations that the templates use, for AVX-512 (F, VL, DQ, BW). Who needs
 * more of it has named TARGET and ISA before. */
#include <immintrin.h>
#include <string.h>

#ifndef TARGET
#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma")))
#define ISA avx512
#endif
#define REGISTER "v"
#include "../simd/common.h"
#define VL 16

typedef __m512 vf;
typedef __mmask16 vmask;

INLINE vf v_zero(void) { return _mm512_setzero_ps(); }
INLINE vf v_set1(float x) { return _mm512_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a*b + c */
INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a*b */

/* The first n lanes, 0 < n <= VL. */
INLINE vmask v_first(int n) { return (vmask)(0xffffu >> (VL - n)); }
INLINE vf v_load_first(const float *p, vmask mask, int n)
{
    (void)n;
    return _mm512_maskz_loadu_ps(mask, p);
}
INLINE void v_store_first(float *p, vf x, vmask mask, int n)
{
    (void)n;
    _mm512_mask_storeu_ps(p, mask, x);
}

/* min(max(x, lo), hi), and NaN where x is NaN (the second operand is what both return then). */
INLINE vf v_clip(vf x, vf lo, vf hi) { return _mm512_min_ps(hi, _mm512_max_ps(lo, x)); }

/* x, times slope where x is negative. */
INLINE vf v_prelu(vf x, vf slope)
{
    return _mm512_mask_mul_ps(x, _mm512_movepi32_mask(_mm512_castps_si512(x)), x, slope);
}

/* What the pair kernel needs beside. */
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

/* What the kernels of pictures need beside: VL bytes as floats. */
#include "quad.h"
INLINE vf v_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
