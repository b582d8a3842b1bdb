/* depthwise.c: a row of a depthwise convolution. */
#include "checkasm.h"

#include <math.h>

static void check_depthwise_once(int channels, int kh, int kw, int stride, int dilation, int pad,
                                 int k, enum side side)
{
    const int reach = (kw - 1) * dilation + 1;
    int width = between(1, 20);
    if (width + 2 * pad < reach)
        width = reach;
    const int n_out = (width + 2 * pad - reach) / stride + 1;
    const int ldx = channels + between(0, 3), ldy = channels + between(0, 3);
    const int ldr = channels + between(0, 3), ldw = (channels + 63) / 64 * 64;
    const float *rows[8], *w = guarded((size_t)kh * kw * ldw, side);
    for (int r = 0; r < kh; r++)
        rows[r] = between(0, 3) ? guarded((size_t)(width - 1) * ldx + channels, side) : NULL;
    const float *residual = guarded((size_t)(n_out - 1) * ldr + channels, side);
    const size_t size = (size_t)(n_out - 1) * ldy + channels;
    float *y = guarded(size, side), *alone = guarded((size_t)channels, side);
    xk_epilogue e = epilogue(k, channels, residual, side);
    e.residual_col = ldr;
    for (size_t i = 0; i < size; i++)
        y[i] = CANARY;
    table->depthwise(rows, width, ldx, channels, kh, kw, stride, dilation, pad, w, ldw, y, n_out,
                     ldy, &e);
    for (int x = 0; x < n_out; x++) {
        xk_epilogue one = e;
        if (one.residual)
            one.residual += (ptrdiff_t)x * ldr;
        table->depthwise(rows, width, ldx, channels, kh, kw, stride, dilation, pad - x * stride, w,
                         ldw, alone, 1, 0, &one);
        for (int c = 0; c < channels; c++) {
            float got = y[x * ldy + c];
            double want = 0;
            for (int r = 0; r < kh; r++)
                for (int s = 0; s < kw; s++) {
                    int column = x * stride - pad + s * dilation;
                    if (rows[r] && column >= 0 && column < width)
                        want += (double)rows[r][column * ldx + c] * w[(r * kw + s) * ldw + c];
                }
            want = finished(want, c, one.residual, &e);
            if (!close_to(got, want, 1 + sqrt(kh * kw)))
                report("depthwise kw %d stride %d: pixel %d channel %d", kw, stride, x, c);
            if (got != alone[c])
                report("depthwise kw %d stride %d: pixel %d channel %d depends on the block", kw,
                       stride, x, c);
        }
        for (int c = channels; c < ldy && x < n_out - 1; c++)
            if (y[x * ldy + c] != CANARY)
                report("depthwise kw %d stride %d: wrote at pixel %d channel %d", kw, stride, x, c);
    }
    release();
}

void check_depthwise(void)
{
    static const int shapes[][5] = {
        /* kh, kw, stride, dilation, pad */
        {3, 3, 1, 1, 1}, {3, 3, 2, 1, 1}, {3, 3, 1, 1, 0}, {3, 3, 2, 1, 0}, {3, 3, 1, 2, 2},
        {3, 3, 3, 1, 1}, {3, 3, 1, 1, 2}, {7, 7, 1, 1, 0}, {5, 5, 1, 1, 2}, {5, 5, 2, 1, 2},
        {4, 4, 1, 1, 0}, {1, 3, 1, 1, 1}, {1, 1, 1, 1, 0}, {3, 1, 2, 1, 0},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int k = 0; k < 24; k++)
            for (int i = 0; i < 4; i++)
                check_depthwise_once(between(1, 100), shapes[s][0], shapes[s][1], shapes[s][2],
                                     shapes[s][3], shapes[s][4], k % 12, k < 12 ? BACK : FRONT);
}
