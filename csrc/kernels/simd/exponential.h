/* exponential.h: the exponential function of numbers that are not positive. */

/* exp(x + low) for x <= 0 and |low| < 0.1; where x is below -87, as if it were that. x = n*ln2 + r,
 * |r| <= ln2/2; the Taylor polynomial of degree 7 errs by r^8/8! < 6e-9 there (2e-8 with low). ln2
 * comes in two parts, the first of 9 bits, so that n times it is exact. */
INLINE vf v_exp_of_sum(vf x, vf low)
{
    x = v_max(v_set1(-87.0f), x); /* in this order NaN stays NaN */
    vf n = v_round(x * v_set1(1.44269504f));
    vf r = v_fnma(n, v_set1(0.693359375f), x);
    r = v_fnma(n, v_set1(-2.12194440e-4f), r);
    r += low;
    vf sum = v_set1(1.0f / 5040);
    sum = v_fma(sum, r, v_set1(1.0f / 720));
    sum = v_fma(sum, r, v_set1(1.0f / 120));
    sum = v_fma(sum, r, v_set1(1.0f / 24));
    sum = v_fma(sum, r, v_set1(1.0f / 6));
    sum = v_fma(sum, r, v_set1(0.5f));
    sum = v_fma(sum, r, v_set1(1.0f));
    sum = v_fma(sum, r, v_set1(1.0f));
    return sum * v_pow2(n);
}

INLINE vf v_exp(vf x)
{
    return v_exp_of_sum(x, v_zero());
}
