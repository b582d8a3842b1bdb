/* pictures.c: resizing and warping pictures in plain C. */
#include "ref.h"

void mix_rows_u8_ref(const uint8_t *x, ptrdiff_t ld, int count, const float *weights, int64_t n,
                     float *out)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < count; k++)
            sum += weights[k] * (float)x[k * ld + i];
        out[i] = sum;
    }
}

void mix_columns_u8_ref(const float *row, const xk_taps *taps, int n, uint8_t *out)
{
    for (int i = 0; i < n; i++, taps++)
        for (int c = 0; c < 3; c++) {
            float sum = 0.5f;
            for (int k = 0; k < taps->count; k++)
                sum += taps->weights[k] * row[(ptrdiff_t)(taps->first + k) * 3 + c];
            *out++ = (uint8_t)sum;
        }
}

void warp_u8_ref(const uint8_t *source, ptrdiff_t ld, const double m[6], int x, int y, int n,
                 uint8_t *out)
{
    for (; n-- > 0; x++) {
        const double sx = m[0] * x + m[1] * y + m[2], sy = m[3] * x + m[4] * y + m[5];
        const float fx = (float)(sx - (int)sx), fy = (float)(sy - (int)sy);
        const uint8_t *p = source + (int)sy * ld + (ptrdiff_t)(int)sx * 3;
        for (int c = 0; c < 3; c++, p++) {
            const float top = p[0] + fx * (float)(p[3] - p[0]);
            const float bottom = p[ld] + fx * (float)(p[ld + 3] - p[ld]);
            *out++ = (uint8_t)(top + fy * (bottom - top) + 0.5f);
        }
    }
}
