/* depthwise.c: a row of a depthwise convolution in plain C. */
#include "ref.h"

void depthwise_f32_ref(const float *const *rows, int width, ptrdiff_t ldx, int channels, int kh,
                      int kw, int stride_x, int dilation_x, int pad_left, const float *w,
                      ptrdiff_t ldw, float *y, int n_out, ptrdiff_t ldy, const xk_epilogue *e)
{
    for (int x = 0; x < n_out; x++) {
        float *out = y + x * ldy;
        const float *residual = xk_residual_at(e, 0, x);
        for (int c = 0; c < channels; c++)
            out[c] = 0.0f;
        for (int r = 0; r < kh; r++)
            for (int s = 0; s < kw; s++) {
                int column = x * stride_x - pad_left + s * dilation_x;
                if (!rows[r] || column < 0 || column >= width)
                    continue;
                const float *in = rows[r] + column * ldx, *tap = w + (r * kw + s) * ldw;
                for (int c = 0; c < channels; c++)
                    out[c] += in[c] * tap[c];
            }
        for (int c = 0; c < channels; c++)
            out[c] = xk_finish(out[c], c, residual, e);
    }
}
