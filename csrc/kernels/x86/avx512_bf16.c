/* avx512_bf16.c: products of bfloat16 with AVX512-BF16. */
#if defined(__x86_64__)
#include "../kernels.h"

#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,fma")))
#define ISA bf16_avx512
#include "vector_avx512.h"

typedef vf vsum;
enum { HEAD = 0 };

INLINE vsum v_first_sum(const uint32_t *head)
{
    (void)head;
    return v_zero();
}
INLINE vsum v_dot(vsum sum, __m512i pixel, __m512i weights)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)pixel, (__m512bh)weights);
}
INLINE vf v_float(vsum sum, const float *scale, const uint32_t *unit)
{
    (void)scale, (void)unit;
    return sum;
}

#include "products_avx512.h"

TARGET static float NAMED(convert)(const float *x, int depth, void *row)
{
    char *to = row;
    int k = 0;
    for (; k + 2 * VL <= depth; k += 2 * VL, to += XK_ROW)
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(v_load(x + k + VL), v_load(x + k)));
    if (k < depth) {
        const int n = depth - k;
        const vf lower = _mm512_maskz_loadu_ps(v_first(n < VL ? n : VL), x + k);
        const vf upper = n > VL ? _mm512_maskz_loadu_ps(v_first(n - VL), x + k + VL) : v_zero();
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(upper, lower));
    }
    return 1;
}

const xk_products xk_bf16_avx512 = {MR, NR, 2, HEAD, NAMED(convert), NAMED(products), xk_pack_bf16};
#else
typedef int xk_no_avx512_bf16; /* ISO C wants a declaration in every file */
#endif
