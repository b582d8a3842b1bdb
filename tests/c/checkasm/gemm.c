/* gemm.c: the tile, lines of pixels, and the packer. */
#include "checkasm.h"

#include <math.h>

static void check_gemm_once(int m, int n, int k, enum side side)
{
    static const int depths[] = {1, 3, 4, 7, 16, 33, 70};
    const int depth = depths[between(0, 6)], taps = between(1, 3), nr = table->gemm.nr;
    const int ldy = n + between(0, 5), ldr = n + between(0, 5);
    const float *w = guarded((size_t)taps * depth * nr, side);
    const float *residual = guarded((size_t)(m - 1) * ldr + n, side);
    float *y = guarded((size_t)(m - 1) * ldy + n, side);
    float *alone = guarded((size_t)nr, side);
    const float *a[3 * XK_MAX_MR], *pixels = guarded((size_t)taps * m * depth, side);
    for (int i = 0; i < taps * m; i++)
        a[i] = pixels + (size_t)between(0, taps * m - 1) * depth;
    xk_epilogue e = epilogue(k, n, residual, side);
    e.residual_col = ldr;
    for (int i = 0; i < (m - 1) * ldy + n; i++)
        y[i] = CANARY;
    table->gemm.tile(m, n, depth, taps, a, w, NULL, y, ldy, &e);
    for (int i = 0; i < m; i++) {
        /* The same pixel alone: the result must not depend on the tile. */
        const float *single[3];
        for (int t = 0; t < taps; t++)
            single[t] = a[t * m + i];
        xk_epilogue one = e;
        if (one.residual)
            one.residual += (ptrdiff_t)i * ldr;
        table->gemm.tile(1, n, depth, taps, single, w, w, alone, 0, &one);
        for (int j = 0; j < n; j++) {
            float got = y[i * ldy + j];
            double want = 0;
            for (int t = 0; t < taps; t++)
                for (int q = 0; q < depth; q++)
                    want += (double)a[t * m + i][q] * w[((size_t)t * depth + q) * nr + j];
            want = finished(want, j, e.residual ? e.residual + i * ldr : NULL, &e);
            if (!close_to(got, want, 1 + sqrt(taps * depth)))
                report("gemm m %d n %d: row %d column %d", m, n, i, j);
            if (got != alone[j])
                report("gemm m %d n %d: row %d column %d depends on the tile", m, n, i, j);
        }
        for (int j = n; j < ldy && i < m - 1; j++)
            if (y[i * ldy + j] != CANARY)
                report("gemm m %d n %d: wrote at row %d column %d", m, n, i, j);
    }
    release();
}

/* A line against its pixels one by one, which check_gemm_once holds to the plain sum. */
static void check_line_once(int count, int n, int k, enum side side)
{
    static const int depths[] = {1, 3, 4, 7, 16, 33, 70};
    const int depth = depths[between(0, 6)], taps = between(1, 3), nr = table->gemm.nr;
    const int step = between(1, 2 * depth), ldy = n + between(0, 5), ldr = n + between(0, 5);
    const float *w = guarded((size_t)taps * depth * nr, side), *rows[3], *pixel[3];
    const float *residual = guarded((size_t)(count - 1) * ldr + n, side);
    float *y = guarded((size_t)(count - 1) * ldy + n, side);
    float *alone = guarded((size_t)nr, side);
    for (int t = 0; t < taps; t++)
        rows[t] = guarded((size_t)(count - 1) * step + depth, side);
    xk_epilogue e = epilogue(k, n, residual, side);
    e.residual_col = ldr;
    for (int i = 0; i < (count - 1) * ldy + n; i++)
        y[i] = CANARY;
    table->gemm.line(count, n, depth, taps, rows, step, w, k & 1 ? w : NULL, y, ldy, &e);
    for (int i = 0; i < count; i++) {
        for (int t = 0; t < taps; t++)
            pixel[t] = rows[t] + (ptrdiff_t)i * step;
        xk_epilogue one = e;
        if (one.residual)
            one.residual += (ptrdiff_t)i * ldr;
        table->gemm.tile(1, n, depth, taps, pixel, w, NULL, alone, 0, &one);
        for (int j = 0; j < n; j++)
            if (y[i * ldy + j] != alone[j])
                report("line of %d, n %d: pixel %d column %d", count, n, i, j);
        for (int j = n; j < ldy && i < count - 1; j++)
            if (y[i * ldy + j] != CANARY)
                report("line of %d, n %d: wrote at pixel %d column %d", count, n, i, j);
    }
    release();
}

void check_gemm(void)
{
    for (int m = 1; m <= table->gemm.mr; m++)
        for (int n = 1; n <= table->gemm.nr; n++)
            for (int k = 0; k < 12; k++)
                check_gemm_once(m, n, k, (m + n + k) & 1 ? BACK : FRONT);
    for (int count = 1; count <= 3 * table->gemm.mr; count++)
        for (int n = 1; n <= table->gemm.nr; n++)
            for (int k = 0; k < 6; k++)
                check_line_once(count, n, k, (count + n + k) & 1 ? BACK : FRONT);
}

void check_pack(void)
{
    const int outputs = 37, depth = 11, nr = table->gemm.nr, panels = (outputs + nr - 1) / nr;
    float *w = guarded((size_t)outputs * depth, BACK);
    float *packed = guarded((size_t)panels * depth * nr, BACK);
    w[5] = 1e-40f; /* subnormal: becomes zero */
    table->gemm.pack(w, depth, 1, outputs, depth, nr, NULL, packed);
    for (int p = 0; p < panels; p++)
        for (int k = 0; k < depth; k++)
            for (int j = 0; j < nr; j++) {
                int o = p * nr + j;
                float want = o < outputs && o * depth + k != 5 ? w[o * depth + k] : 0.0f;
                if (packed[(p * depth + k) * nr + j] != want)
                    report("packing: panel %d depth %d lane %d", p, k, j, 0);
            }
    release();
}
