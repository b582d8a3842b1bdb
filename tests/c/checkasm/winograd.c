/* winograd.c: the transforms, against the convolution that they are a way to. */
#include "checkasm.h"

#include <math.h>

/* A tile through input transform, products and output transform, against the convolution;
 * the planes and what is not to be written against the plain C kernels. */
static void check_winograd_once(int tile, int channels, int k, enum side side)
{
    const int size = tile + 2, planes = size * size;
    const int inside = between(0, 1), scaled = between(0, 1); /* half of the tiles lie inside */
    const int r0 = inside ? 0 : between(0, 1), r1 = inside ? size : between(r0 + 1, size);
    const int c0 = inside ? 0 : between(0, 1), c1 = inside ? size : between(c0 + 1, size);
    const int rows = inside ? tile : between(1, tile), cols = inside ? tile : between(1, tile);
    const int col = channels + between(0, 3), row = size * col + between(0, 3);
    const int ldp = channels + between(0, 3);
    const float *x = guarded((size_t)(r1 - r0 - 1) * row + (c1 - c0 - 1) * col + channels, side);
    const float *origin = x - r0 * row - c0 * col;
    const float *scale = scaled ? guarded((size_t)channels, side) : NULL;
    const float *shift = scaled ? guarded((size_t)channels, side) : NULL;
    const float *g = guarded((size_t)channels * 9, side);
    const size_t volume = (size_t)(planes - 1) * ldp + channels;
    float *v = guarded(volume, side), *m = guarded(volume, side);
    const size_t area = (size_t)(rows - 1) * row + (cols - 1) * col + channels;
    float *y = guarded(area, side);
    xk_epilogue e = epilogue(k, channels, guarded(area, side), side);
    e.residual_row = row;
    e.residual_col = col;

    for (size_t i = 0; i < volume; i++)
        v[i] = CANARY;
    (tile == 4 ? table->winograd4 : table->winograd2).input(origin, row, col, r0, r1, c0, c1, channels,
                                                            scale, shift, v, ldp);
    for (int p = 0; p < planes - 1; p++)
        for (int c = channels; c < ldp; c++)
            if (v[p * ldp + c] != CANARY)
                report("winograd %d input, plane %d channel %d of %d written", tile, p, c,
                       channels);
    for (int c = 0; c < channels; c++) {
        float u[36];
        (tile == 4 ? table->winograd4 : table->winograd2).pack(g + c * 9, 9, 9, 1, 1, 1, NULL, u);
        for (int p = 0; p < planes; p++)
            m[p * ldp + c] = v[p * ldp + c] * u[p];
    }
    for (size_t i = 0; i < area; i++)
        y[i] = CANARY;
    (tile == 4 ? table->winograd4 : table->winograd2).output(m, ldp, channels, y, row, col, rows, cols, &e);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            for (int c = 0; c < channels; c++) {
                double want = 0;
                for (int r = i; r < i + 3; r++)
                    for (int s = j; s < j + 3; s++)
                        if (r >= r0 && r < r1 && s >= c0 && s < c1) {
                            double value = origin[r * row + s * col + c];
                            if (scaled)
                                value = value * scale[c] + shift[c];
                            want += value * g[c * 9 + (r - i) * 3 + s - j];
                        }
                ptrdiff_t at = i * row + j * col + c;
                want = finished(want, c, e.residual ? e.residual + i * row + j * col : NULL, &e);
                if (!close_to(y[at], want, 6))
                    report("winograd %d, pixel %d %d channel %d", tile, i, j, c);
                y[at] = CANARY;
            }
    for (size_t i = 0; i < area; i++)
        if (y[i] != CANARY)
            report("winograd %d output wrote beside its pixels (at %d)", tile, (int)i, 0, 0);
    release();
}

void check_winograd(void)
{
    for (int k = 0; k < 12 * 40; k++) {
        check_winograd_once(4, between(1, 70), k % 12, k & 1 ? BACK : FRONT);
        check_winograd_once(2, between(1, 70), k % 12, k & 1 ? BACK : FRONT);
    }
}
