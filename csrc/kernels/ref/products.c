/* products.c: products with numbers of fewer bits in plain C. */
#include <math.h>
#include <string.h>

#include "ref.h"

enum { MR = XK_REF_MR, NR = XK_REF_NR };

static void finish_row(const float sum[NR], int n, int row, float *y, const xk_epilogue *e)
{
    for (int j = 0; j < n; j++)
        y[j] = xk_finish(sum[j], j, xk_residual_at(e, 0, row), e);
}

float convert_f32_bf16_ref(const float *x, int depth, void *row)
{
    uint16_t *to = row;
    memset(to, 0, xk_row_bytes(&xk_bf16_ref, depth));
    for (int k = 0; k < depth; k++)
        to[k] = xk_bf16(x[k]);
    return 1;
}

void products_f32_bf16_ref(int m, int n, int words, const void *rows, ptrdiff_t ld,
                           const float *scale, const uint32_t *w, float *y, ptrdiff_t ldy,
                           const xk_epilogue *e)
{
    (void)scale;
    for (int i = 0; i < m; i++) {
        const uint16_t *row = (const uint16_t *)((const char *)rows + i * ld);
        float sum[NR] = {0};
        for (int k = 0; k < words; k++)
            for (int j = 0; j < NR; j++) {
                const uint32_t pair = w[k * NR + j];
                sum[j] += xk_from_bf16(row[2 * k]) * xk_from_bf16((uint16_t)pair) +
                          xk_from_bf16(row[2 * k + 1]) * xk_from_bf16((uint16_t)(pair >> 16));
            }
        finish_row(sum, n, i, y + i * ldy, e);
    }
}

float convert_f32_int8_ref(const float *x, int depth, void *row)
{
    uint8_t *to = row;
    float most = 0;
    for (int k = 0; k < depth; k++)
        if (!isnan(most) && !(fabsf(x[k]) <= most)) /* a NaN is the most */
            most = fabsf(x[k]);
    const float by = most >= FLT_MIN ? 127 / most : 0;
    memset(to, 128, xk_row_bytes(&xk_int8_ref, depth));
    for (int k = 0; k < depth; k++) {
        const double q = (double)x[k] * by;
        to[k] = (uint8_t)(128 + (isfinite(q) ? (int)rint(q) : 0));
    }
    return most / 127;
}

void products_f32_int8_ref(int m, int n, int words, const void *rows, ptrdiff_t ld,
                           const float *scale, const uint32_t *w, float *y, ptrdiff_t ldy,
                           const xk_epilogue *e)
{
    int32_t first[NR];
    float unit[NR];
    memcpy(first, w, sizeof first);
    memcpy(unit, w + NR, sizeof unit);
    w += 2 * NR;
    for (int i = 0; i < m; i++) {
        const uint8_t *row = (const uint8_t *)rows + i * ld;
        int32_t sum[NR];
        float result[NR];
        memcpy(sum, first, sizeof sum);
        for (int k = 0; k < 4 * words; k++)
            for (int j = 0; j < NR; j++)
                sum[j] += row[k] * (int8_t)(w[k / 4 * NR + j] >> (k % 4 * 8));
        for (int j = 0; j < NR; j++)
            result[j] = (float)sum[j] * (scale[i] * unit[j]);
        finish_row(result, n, i, y + i * ldy, e);
    }
}

const xk_products xk_bf16_ref = {MR, NR, 2, 0, convert_f32_bf16_ref, products_f32_bf16_ref, xk_pack_bf16};
const xk_products xk_int8_ref = {MR, NR, 4, 2, convert_f32_int8_ref, products_f32_int8_ref, xk_pack_int8};
