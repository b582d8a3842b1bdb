/* functions_template.h: functions of one number, softmax and the normalisation of a row.
 *
 * The polynomials are least-squares fits at Chebyshev's nodes, reweighted until the relative error is
 * level, made with NumPy and SciPy for this file; each says how far it errs. Sums over a row run in VL
 * lanes and do not depend on where it lies. */
#include <math.h>
#include <stdbool.h>

INLINE vf v_magnitude(vf x) { return v_max(x, v_zero() - x); }

/* erfc(z) = t P(t) exp(-z^2), t = 1 / (1 + 0.3 z), for z = x * sqrt(share) and x >= 0, with z^2 =
 * x^2 * share: within 5e-8 of its value up to z = 9.3, where it is 1e-39. x is split so that the
 * square's first part has no rounding. */
INLINE vf v_erfc(vf x, const float root, const float share)
{
    x = v_min(v_set1(9.25f / root), x); /* in this order NaN stays NaN */
    const vf t = v_set1(1) / v_fma(v_set1(0.3f * root), x, v_set1(1));
    vf sum = v_set1(-0.129523143f);
    sum = v_fma(sum, t, v_set1(0.485564411f));
    sum = v_fma(sum, t, v_set1(-0.512280762f));
    sum = v_fma(sum, t, v_set1(0.547723293f));
    sum = v_fma(sum, t, v_set1(-0.0946531445f));
    sum = v_fma(sum, t, v_set1(0.214927167f));
    sum = v_fma(sum, t, v_set1(0.148338854f));
    sum = v_fma(sum, t, v_set1(0.170715272f));
    sum = v_fma(sum, t, v_set1(0.169188008f));
    const vf high = v_round(x * v_set1(256)) * v_set1(1.0f / 256), low = x - high;
    return sum * t * v_exp_of_sum(high * high * v_set1(-share), low * (x + high) * v_set1(-share));
}

/* erf(x) = x P(x^2), |x| <= 1: within 6e-8 of its value. */
INLINE vf v_erf_near_0(vf x)
{
    const vf square = x * x;
    vf sum = v_set1(-0.000563142123f);
    sum = v_fma(sum, square, v_set1(0.0049175513f));
    sum = v_fma(sum, square, v_set1(-0.0267113112f));
    sum = v_fma(sum, square, v_set1(0.112801798f));
    sum = v_fma(sum, square, v_set1(-0.37612325f));
    return x * v_fma(sum, square, v_set1(1.12837911f));
}

/* tanh(x) = x P(x^2), |x| <= 0.63: within 2e-8 of its value. */
INLINE vf v_tanh_near_0(vf x)
{
    const vf square = x * x;
    vf sum = v_set1(-0.00560273882f);
    sum = v_fma(sum, square, v_set1(0.0205399375f));
    sum = v_fma(sum, square, v_set1(-0.0537053198f));
    sum = v_fma(sum, square, v_set1(0.13330932f));
    sum = v_fma(sum, square, v_set1(-0.333332509f));
    return v_fma(sum * square, x, x);
}

INLINE vf v_function(const xk_function f, vf x)
{
    const vf one = v_set1(1), half = v_set1(0.5f), magnitude = v_magnitude(x);
    if (f == XK_SIGMOID) {
        const vf e = v_exp(v_zero() - magnitude), low = e / (one + e);
        return v_at_least(x, v_zero(), one / (one + e), low);
    }
    if (f == XK_TANH) {
        const vf e = v_exp(v_set1(-2) * magnitude), far = (one - e) / (one + e);
        const vf y = v_at_least(x, v_zero(), far, v_zero() - far);
        return v_at_least(magnitude, v_set1(0.6f), y, v_tanh_near_0(x));
    }
    if (f == XK_ERF) {
        const vf far = one - v_erfc(magnitude, 1, 1);
        const vf y = v_at_least(x, v_zero(), far, v_zero() - far);
        return v_at_least(magnitude, one, y, v_erf_near_0(x));
    }
    const vf tail = half * v_erfc(magnitude, 0.70710678f, 0.5f);
    return x * v_at_least(x, v_zero(), one - tail, tail);
}

INLINE void map_each(const xk_function f, int64_t n, const float *x, float *y)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_function(f, v_load(x + i)));
    const int left = (int)(n - i);
    if (left) {
        const vmask mask = v_first(left);
        v_store_first(y + i, v_function(f, v_load_first(x + i, mask, left)), mask, left);
    }
}

TARGET static void NAMED(map_f32)(xk_function f, int64_t n, const float *x, float *y)
{
    switch (f) {
    case XK_SIGMOID:
        map_each(XK_SIGMOID, n, x, y);
        break;
    case XK_TANH:
        map_each(XK_TANH, n, x, y);
        break;
    case XK_ERF:
        map_each(XK_ERF, n, x, y);
        break;
    default:
        map_each(XK_GELU, n, x, y);
    }
}

INLINE float sum_of_lanes(vf x, int lanes)
{
    float all[VL], sum = 0;
    v_store(all, x);
    for (int i = 0; i < lanes; i++)
        sum += all[i];
    return sum;
}

TARGET static void NAMED(softmax_f32)(int64_t n, const float *x, float *y)
{
    float top = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    const vf peak = v_set1(top);
    vf sum = v_zero();
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        const vf e = v_exp(v_load(x + i) - peak);
        sum += e;
        v_store(y + i, e);
    }
    float total = sum_of_lanes(sum, VL);
    const int left = (int)(n - i);
    if (left) {
        const vmask mask = v_first(left);
        const vf e = v_exp(v_load_first(x + i, mask, left) - peak);
        total += sum_of_lanes(e, left);
        v_store_first(y + i, e, mask, left);
    }
    const float share = 1 / total;
    for (i = 0; i < n; i++)
        y[i] *= share;
}

TARGET static void NAMED(normalise_f32)(int64_t n, const float *x, const float *gamma,
                                        const float *beta, float epsilon, float *y)
{
    const int left = (int)(n % VL);
    const vmask mask = v_first(left ? left : VL);
    vf sum = v_zero(), squares = v_zero();
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        sum += v_load(x + i);
    float total = sum_of_lanes(sum, VL);
    if (left)
        total += sum_of_lanes(v_load_first(x + i, mask, left), left);
    const vf mean = v_set1(total / (float)n);
    for (i = 0; i + VL <= n; i += VL) {
        const vf d = v_load(x + i) - mean;
        squares = v_fma(d, d, squares);
    }
    total = sum_of_lanes(squares, VL);
    if (left) {
        const vf d = v_load_first(x + i, mask, left) - mean;
        total += sum_of_lanes(d * d, left);
    }
    const vf scale = v_set1(1 / sqrtf(total / (float)n + epsilon));
    for (i = 0; i < n; i += VL) {
        const bool whole = i + VL <= n;
        vf d = ((whole ? v_load(x + i) : v_load_first(x + i, mask, left)) - mean) * scale;
        if (gamma)
            d = d * v_load(gamma + i);
        if (beta)
            d = d + v_load(beta + i);
        if (whole)
            v_store(y + i, d);
        else
            v_store_first(y + i, d, mask, left);
    }
}
