/* products.c: products of bfloat16 and of 8-bit integers: rows, weights, and the tile, against sums in double. */
#include "checkasm.h"

#include <math.h>
#include <string.h>

static const xk_products *products;
static xk_precision precision;

/* x with 8 significant bits, to the nearest, in arithmetic. */
static double eight_bits(double x)
{
    int exponent;
    const double mantissa = frexp(x, &exponent);
    return fabs(x) < FLT_MIN ? 0 : ldexp(rint(ldexp(mantissa, 8)), exponent - 8);
}

static double half(const void *words, size_t i)
{
    uint16_t bits;
    memcpy(&bits, (const char *)words + 2 * i, sizeof bits);
    return (double)xk_from_bf16(bits);
}

/* Number k of a converted row, in units of its scale. */
static double in_row(const void *row, int k)
{
    return precision == XK_BF16 ? half(row, (size_t)k) : ((const uint8_t *)row)[k] - 128;
}

/* Weight k of channel j of a packed panel, in units of the channel's scale. */
static double in_panel(const uint32_t *packed, int k, int j)
{
    const int step = products->step;
    const uint32_t *word = packed + (size_t)(products->head + k / step) * (size_t)products->nr + j;
    return precision == XK_BF16 ? half(word, (size_t)(k % 2)) : (int8_t)(*word >> (k % 4 * 8));
}

static double unit_of(const uint32_t *packed, int j)
{
    float unit = 1;
    if (precision == XK_INT8)
        memcpy(&unit, packed + products->nr + j, sizeof unit);
    return (double)unit;
}

/* Half a step of int8's and that of rounding, or the very number in bf16. */
static int is_rounded(double got, double x, double unit)
{
    if (precision == XK_BF16)
        return got == eight_bits(x);
    return fabs(got) <= 127 && fabs(got * unit - x) <= unit * (0.5 + 1e-4);
}

static void check_row(const float *x, int depth, const void *row, float scale)
{
    double most = 0;
    for (int k = 0; k < depth; k++) {
        const double size = fabs((double)x[k]);
        most = size > most ? size : most; /* fmax here ends GCC 12 for Arm in an internal error */
    }
    if (scale != (precision == XK_BF16 ? 1.0f : (float)most / 127))
        report("row of %d: wrong scale", depth, 0, 0, 0);
    for (int k = 0; k < depth; k++)
        if (!is_rounded(in_row(row, k), x[k], scale))
            report("row of %d: number %d", depth, k, 0, 0);
    for (int k = depth; k < (int)xk_row_bytes(products, depth) / 4 * products->step; k++)
        if (in_row(row, k) != 0)
            report("row of %d: padding %d", depth, k, 0, 0);
}

static void check_panel(const float *w, const float *scale, int n, int depth, const uint32_t *packed)
{
    for (int j = 0; j < products->nr; j++) {
        double sum = 0;
        for (int k = 0; k < xk_words(products, depth) * products->step; k++) {
            const double q = in_panel(packed, k, j);
            /* The packer's own product is a float, and no subnormal one. */
            float want = j < n && k < depth ? (float)((double)w[j * depth + k] * scale[j]) : 0;
            want = fabsf(want) < FLT_MIN ? 0 : want;
            sum += q;
            if (!is_rounded(q, want, unit_of(packed, j)))
                report("panel of %d, depth %d: weight %d of channel %d", n, depth, k, j);
        }
        if (precision == XK_INT8 && (int32_t)packed[j] != (int32_t)(-128 * sum))
            report("panel of %d, depth %d: first sum of channel %d", n, depth, j, 0);
    }
}

static void check_once(int m, int n, int k, enum side side)
{
    static const int depths[] = {1, 3, 4, 7, 16, 33, 64, 70, 200};
    const int depth = depths[between(0, 8)], words = xk_words(products, depth), nr = products->nr;
    const int ldy = n + between(0, 5), ldr = n + between(0, 5);
    const size_t row_bytes = xk_row_bytes(products, depth);
    char *rows = (char *)guarded((size_t)m * row_bytes / 4, side);
    uint32_t *packed = (uint32_t *)(void *)guarded((size_t)(products->head + words) * (size_t)nr, side);
    float *w = guarded((size_t)n * (size_t)depth, side), *factors = guarded((size_t)n, side);
    float *x = guarded((size_t)m * (size_t)depth, side), *scale = guarded((size_t)m, side);
    const float *residual = guarded((size_t)(m - 1) * (size_t)ldr + (size_t)n, side);
    float *y = guarded((size_t)(m - 1) * (size_t)ldy + (size_t)n, side), *alone = guarded((size_t)n, side);
    xk_epilogue e = epilogue(k, n, residual, side);
    e.residual_col = ldr;
    w[0] = 1e-40f; /* subnormal: becomes zero */
    products->pack(w, depth, 1, n, depth, nr, factors, packed);
    check_panel(w, factors, n, depth, packed);
    if (m > 1) /* a row of zeros */
        memset(x + depth, 0, (size_t)depth * sizeof *x);
    for (int i = 0; i < m; i++) {
        scale[i] = products->convert(x + i * depth, depth, rows + (size_t)i * row_bytes);
        check_row(x + i * depth, depth, rows + (size_t)i * row_bytes, scale[i]);
    }
    for (int i = 0; i < (m - 1) * ldy + n; i++)
        y[i] = CANARY;
    products->tile(m, n, words, rows, (ptrdiff_t)row_bytes, scale, packed, y, ldy, &e);
    for (int i = 0; i < m; i++) {
        const char *row = rows + (size_t)i * row_bytes;
        xk_epilogue one = e;
        if (one.residual)
            one.residual += (ptrdiff_t)i * ldr;
        products->tile(1, n, words, row, (ptrdiff_t)row_bytes, scale + i, packed, alone, 0, &one);
        for (int j = 0; j < n; j++) {
            double want = 0;
            for (int q = 0; q < depth; q++)
                want += in_row(row, q) * in_panel(packed, q, j);
            want = finished(want * scale[i] * unit_of(packed, j), j, e.residual ? e.residual + i * ldr : NULL, &e);
            if (!close_to(y[i * ldy + j], want, 1 + sqrt(depth)))
                report("products m %d n %d: row %d column %d", m, n, i, j);
            if (y[i * ldy + j] != alone[j])
                report("products m %d n %d: row %d column %d depends on the tile", m, n, i, j);
        }
        for (int j = n; j < ldy && i < m - 1; j++)
            if (y[i * ldy + j] != CANARY)
                report("products m %d n %d: wrote at row %d column %d", m, n, i, j);
    }
    release();
}

/* A row with a NaN or an infinity must not come out as numbers. */
static void check_unsound(float unsound)
{
    const int depth = 37, words = xk_words(products, depth), nr = products->nr;
    float *x = guarded((size_t)depth, BACK), *w = guarded((size_t)depth, BACK), y;
    char *row = (char *)guarded(xk_row_bytes(products, depth) / 4, BACK);
    uint32_t *packed = (uint32_t *)(void *)guarded((size_t)(products->head + words) * (size_t)nr, BACK);
    x[between(0, depth - 1)] = unsound;
    const xk_epilogue plain = {0};
    products->pack(w, depth, 1, 1, depth, nr, NULL, packed);
    const float scale = products->convert(x, depth, row);
    products->tile(1, 1, words, row, 0, &scale, packed, &y, 0, &plain);
    if (isfinite(y) || (isnan(unsound) && !isnan(y)))
        report("a row with %d for infinity or 1 for NaN gives a number", isnan(unsound), 0, 0, 0);
    release();
}

void check_products(void)
{
    for (precision = XK_BF16; precision < XK_PRECISIONS; precision++) {
        if (!(products = xk_products_of(table, precision)))
            continue;
        for (int m = 1; m <= products->mr; m++)
            for (int n = 1; n <= products->nr; n++)
                for (int k = (m + n) % 4; k < 12; k += 4) /* of twelve epilogues */
                    check_once(m, n, k, (m + n + k) & 1 ? BACK : FRONT);
        for (int i = 0; i < 8; i++) {
            check_unsound(NAN);
            check_unsound(i & 1 ? INFINITY : -INFINITY);
        }
    }
}
