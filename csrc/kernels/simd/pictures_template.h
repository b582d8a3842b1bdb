/* pictures_template.h: resizing and warping pictures: rows in whole vectors, the rest a pixel at a time, as four
 * floats (v4), of which the last is of no use. */

TARGET static void NAMED(mix_rows_u8)(const uint8_t *x, ptrdiff_t ld, int count,
                                      const float *weights, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) { /* sums that do not wait for each other */
        vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        const uint8_t *p = x + i;
        for (int k = 0; k < count; k++, p += ld) {
            const vf weight = v_set1(weights[k]);
            UNROLL_LOOP
            for (int q = 0; q < 4; q++) {
                const vf product = weight * v_bytes(p + q * VL);
                sum[q] = sum[q] + product;
            }
        }
        UNROLL_LOOP
        for (int q = 0; q < 4; q++)
            v_store(out + i + q * VL, sum[q]);
    }
    for (; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < count; k++) {
            const float product = weights[k] * (float)x[k * ld + i];
            sum = sum + product;
        }
        out[i] = sum;
    }
}

/* A pixel of three bytes; before the last of a row the byte behind it is written as well. */
INLINE void put_pixel(uint8_t *out, v4 x, int last)
{
    const uint32_t bytes = v4_to_bytes(x);
    memcpy(out, &bytes, last ? 3 : 4);
}

TARGET static void NAMED(mix_columns_u8)(const float *row, const xk_taps *taps, int n, uint8_t *out)
{
    for (int i = 0; i < n; i++, taps++, out += 3) {
        const float *from = row + (ptrdiff_t)taps->first * 3;
        v4 sum = v4_set1(0.5f);
        for (int k = 0; k < taps->count; k++, from += 3) {
            const v4 product = v4_set1(taps->weights[k]) * v4_load(from);
            sum = sum + product;
        }
        put_pixel(out, sum, i == n - 1);
    }
}

INLINE v4 v4_between(v4 a, v4 b, v4 share)
{
    const v4 step = share * (b - a);
    return a + step;
}

/* Where pixels are looked up is computed for some at once, which compilers do in vectors. */
TARGET static void NAMED(warp_u8)(const uint8_t *source, ptrdiff_t ld, const double m[6], int x,
                                  int y, int n, uint8_t *out)
{
    enum { BLOCK = 16 };
    const double row_x = m[1] * y, row_y = m[4] * y;
    for (int done = 0; done < n; done += BLOCK) {
        int column[BLOCK], row[BLOCK];
        float fx[BLOCK], fy[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            const int at = done + i < n ? x + done + i : x; /* none beyond the last */
            const double along_x = m[0] * at, along_y = m[3] * at;
            const double sx = along_x + row_x + m[2], sy = along_y + row_y + m[5];
            column[i] = (int)sx;
            row[i] = (int)sy;
            fx[i] = (float)(sx - column[i]);
            fy[i] = (float)(sy - row[i]);
        }
        const int count = n - done < BLOCK ? n - done : BLOCK;
        for (int i = 0; i < count; i++, out += 3) {
            const uint8_t *p = source + row[i] * ld + (ptrdiff_t)column[i] * 3;
            const v4 top = v4_between(v4_bytes(p), v4_bytes(p + 3), v4_set1(fx[i]));
            const v4 bottom = v4_between(v4_bytes(p + ld), v4_bytes(p + ld + 3), v4_set1(fx[i]));
            const v4 mixed = v4_between(top, bottom, v4_set1(fy[i]));
            put_pixel(out, mixed + v4_set1(0.5f), done + i == n - 1);
        }
    }
}
