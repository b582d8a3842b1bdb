/* quad.h: four floats, as pixels need them; of every instruction set of x86. */
typedef __m128 v4;

INLINE v4 v4_set1(float x) { return _mm_set1_ps(x); }
INLINE v4 v4_load(const float *p) { return _mm_loadu_ps(p); }
INLINE v4 v4_bytes(const uint8_t *p)
{
    int four;
    memcpy(&four, p, sizeof four);
    const __m128i zero = _mm_setzero_si128();
    const __m128i pairs = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero);
    return _mm_cvtepi32_ps(_mm_unpacklo_epi16(pairs, zero));
}
/* Of 0 <= x < 256; fractions are dropped. */
INLINE uint32_t v4_to_bytes(v4 x)
{
    const __m128i pairs = _mm_packs_epi32(_mm_cvttps_epi32(x), _mm_setzero_si128());
    return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(pairs, pairs));
}
