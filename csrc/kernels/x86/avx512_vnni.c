/* avx512_vnni.c: products of 8-bit integers with AVX512-VNNI. */
#if defined(__x86_64__)
#include "../kernels.h"

#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,fma")))
#define ISA int8_avx512
#include "vector_avx512.h"

typedef __m512i vsum;
enum { HEAD = 2 };

INLINE vsum v_first_sum(const uint32_t *head) { return _mm512_load_si512(head); }
INLINE vsum v_dot(vsum sum, __m512i pixel, __m512i weights)
{
    return _mm512_dpbusd_epi32(sum, pixel, weights);
}
INLINE vf v_float(vsum sum, const float *scale, const uint32_t *unit)
{
    return _mm512_cvtepi32_ps(sum) * (v_set1(*scale) * v_load((const float *)unit));
}

#include "products_avx512.h"

/* Adding 1.5 * 2^23 rounds to an integer, whose lower bits are those of the sum: they are
 * the byte. */
INLINE __m128i bytes_of(vf x, vf by)
{
    const vf sum = v_fma(x, by, v_set1(0x1.8p23f + 128));
    return _mm512_cvtepi32_epi8(_mm512_castps_si512(sum));
}

TARGET static float NAMED(convert)(const float *x, int depth, void *row)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    uint8_t *to = row;
    const int whole = depth / VL * VL;
    const vmask rest = depth > whole ? v_first(depth - whole) : 0;
    const vf tail = _mm512_maskz_loadu_ps(rest, x + whole);
    /* As integers the patterns of numbers without sign are in order, infinity and NaN last. */
    __m512i most = _mm512_and_si512(_mm512_castps_si512(tail), magnitude);
    for (int k = 0; k < whole; k += VL)
        most = _mm512_max_epi32(most, _mm512_and_si512(_mm512_loadu_si512(x + k), magnitude));
    const float largest = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(most))));
    const vf by = v_set1(largest >= FLT_MIN ? 127 / largest : 0);
    for (int k = 0; k < whole; k += VL)
        _mm_storeu_si128((__m128i *)(to + k), bytes_of(v_load(x + k), by));
    for (int k = whole; k < (depth + XK_ROW - 1) / XK_ROW * XK_ROW; k += VL)
        _mm_storeu_si128((__m128i *)(to + k), bytes_of(k == whole ? tail : v_zero(), by));
    return largest / 127;
}

const xk_products xk_int8_avx512 = {MR, NR, 4, HEAD, NAMED(convert), NAMED(products), xk_pack_int8};
#else
typedef int xk_no_avx512_vnni; /* ISO C wants a declaration in every file */
#endif
