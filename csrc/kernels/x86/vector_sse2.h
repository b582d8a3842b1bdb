/* vector_sse2.h: the vector operations that the templates use, for SSE2, which every x86-64 has. */
#include <emmintrin.h>
#include <string.h>

#define TARGET
#define ISA sse2
#define REGISTER "x"
#include "../simd/common.h"
#define VL 4
#define OPERANDS_IN_MEMORY /* where they are aligned: gemm_template.h */

typedef __m128 vf;
typedef int vmask; /* unused: parts of vectors go by their number of lanes */

INLINE vf v_zero(void) { return _mm_setzero_ps(); }
INLINE vf v_set1(float x) { return _mm_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm_loadu_ps(p); }
INLINE vf v_load_aligned(const float *p) { return _mm_load_ps(p); }
INLINE void v_store(float *p, vf x) { _mm_storeu_ps(p, x); }
INLINE vf v_fma(vf a, vf b, vf c) { return a * b + c; }  /* in two roundings */
INLINE vf v_fnma(vf a, vf b, vf c) { return c - a * b; }

/* Lane `lane`, a constant, in all lanes: by pshufd, which needs no copy of x first. */
INLINE vf v_lane(vf x, const int lane)
{
    const __m128i bits = _mm_castps_si128(x);
    return _mm_castsi128_ps(lane == 0   ? _mm_shuffle_epi32(bits, 0x00)
                            : lane == 1 ? _mm_shuffle_epi32(bits, 0x55)
                            : lane == 2 ? _mm_shuffle_epi32(bits, 0xaa)
                                        : _mm_shuffle_epi32(bits, 0xff));
}

/* The first n lanes, 0 < n <= VL. */
INLINE vmask v_first(int n) { return n; }
INLINE vf v_load_first(const float *p, vmask mask, int n)
{
    (void)mask;
    if (n >= 4)
        return _mm_loadu_ps(p);
    const vf low = n & 2 ? _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)p) : _mm_setzero_ps();
    if (!(n & 1))
        return low;
    const vf last = _mm_load_ss(p + (n & 2));
    return n & 2 ? _mm_movelh_ps(low, last) : last;
}
INLINE void v_store_first(float *p, vf x, vmask mask, int n)
{
    (void)mask;
    if (n >= 4) {
        _mm_storeu_ps(p, x);
        return;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, x);
        x = _mm_movehl_ps(x, x);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, x);
}

/* min(max(x, lo), hi), and NaN where x is NaN (the second operand is what both return then). */
INLINE vf v_clip(vf x, vf lo, vf hi) { return _mm_min_ps(hi, _mm_max_ps(lo, x)); }

/* x, times slope where x is negative.  SSE2 cannot choose lanes in one instruction: the sum of both
 * parts, of which one is zero, takes two fewer; NaN comes through the second. */
INLINE vf v_prelu(vf x, vf slope)
{
    return _mm_max_ps(x, v_zero()) + _mm_min_ps(v_zero(), x) * slope;
}

/* What the pair kernel needs beside. */
INLINE vf v_max(vf a, vf b) { return _mm_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm_min_ps(a, b); }
/* By way of integers: below 2^31. */
INLINE vf v_round(vf x) { return _mm_cvtepi32_ps(_mm_cvtps_epi32(x)); }
/* 2^n for integers -126 <= n <= 127. */
INLINE vf v_pow2(vf n)
{
    const __m128i exponent = _mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127));
    return _mm_castsi128_ps(_mm_slli_epi32(exponent, 23));
}
/* x >= limit ? yes : no */
INLINE vf v_at_least(vf x, vf limit, vf yes, vf no)
{
    const vf mask = _mm_cmpge_ps(x, limit);
    return _mm_or_ps(_mm_and_ps(mask, yes), _mm_andnot_ps(mask, no));
}

/* What the kernels of pictures need beside: VL bytes as floats. */
#include "quad.h"
INLINE vf v_bytes(const uint8_t *p) { return v4_bytes(p); }
