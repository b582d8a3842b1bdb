/* vector_avx2.h: the vector operations that the templates use, for AVX2 with FMA. */
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma")))
#define ISA avx2
#define REGISTER "v"
#include "../simd/common.h"
#define VL 8

typedef __m256 vf;
typedef __m256i vmask;

INLINE vf v_zero(void) { return _mm256_setzero_ps(); }
INLINE vf v_set1(float x) { return _mm256_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }   /* a*b + c */
INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a*b */

/* The first n lanes, 0 < n <= VL. */
INLINE vmask v_first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vf v_load_first(const float *p, vmask mask, int n)
{
    (void)n;
    return _mm256_maskload_ps(p, mask);
}
/* In pieces: a masked store takes some twenty cycles on AMD's processors. */
INLINE void v_store_first(float *p, vf x, vmask mask, int n)
{
    (void)mask;
    __m128 part = _mm256_castps256_ps128(x);
    if (n >= 8) {
        _mm256_storeu_ps(p, x);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(x, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, part);
}

/* min(max(x, lo), hi), and NaN where x is NaN (the second operand is what both return then). */
INLINE vf v_clip(vf x, vf lo, vf hi) { return _mm256_min_ps(hi, _mm256_max_ps(lo, x)); }

/* x, times slope where x is negative. */
INLINE vf v_prelu(vf x, vf slope) { return _mm256_blendv_ps(x, x * slope, x); }

/* What the pair kernel needs beside. */
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

/* What the kernels of pictures need beside: VL bytes as floats. */
#include "quad.h"
INLINE vf v_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
