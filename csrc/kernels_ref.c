/* kernels_ref.c: every kernel in plain C.  The oracle of the others, and what runs
 * where no better instruction set is known. */
#include "head_kernels.h"
#include "kernels.h"

enum { MR = 4, NR = 8 };

/* act(x + bias + residual); c counts channels from the block's first. */
static float finish(float x, int c, const float *residual, const xk_epilogue *e)
{
    if (e->bias)
        x += e->bias[c];
    if (residual)
        x += residual[c];
    if (e->activation == XK_PRELU)
        return x < 0.0f ? x * e->slope[c] : x;
    if (e->activation == XK_CLIP)
        return x < e->lo ? e->lo : x > e->hi ? e->hi : x;
    return x;
}

static const float *residual_at(const xk_epilogue *e, int row, int col)
{
    return e->residual ? e->residual + row * e->residual_row + col * e->residual_col : NULL;
}

static void gemm(int m, int n, int depth, int taps, const float *const *a, const float *w,
                 const float *next, float *y, ptrdiff_t ldy, const xk_epilogue *e)
{
    (void)next;
    float sum[MR][NR] = {{0}};
    for (int t = 0; t < taps; t++) {
        /* Always a full tile, so that the compiler can keep it in registers: rows
         * that are not wanted repeat the first. */
        const float *row[MR];
        for (int i = 0; i < MR; i++)
            row[i] = a[t * m + (i < m ? i : 0)];
        for (int k = 0; k < depth; k++, w += NR)
            for (int i = 0; i < MR; i++)
                for (int j = 0; j < NR; j++)
                    sum[i][j] += row[i][k] * w[j];
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            y[i * ldy + j] = finish(sum[i][j], j, residual_at(e, 0, i), e);
}

static void depthwise(const float *const *rows, int width, ptrdiff_t ldx, int channels, int kh,
                      int kw, int stride_x, int dilation_x, int pad_left, const float *w,
                      ptrdiff_t ldw, float *y, int n_out, ptrdiff_t ldy, const xk_epilogue *e)
{
    for (int x = 0; x < n_out; x++) {
        float *out = y + x * ldy;
        const float *residual = residual_at(e, 0, x);
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
            out[c] = finish(out[c], c, residual, e);
    }
}

/* One dimension of the transforms of F(4, 3); pack.c names the points, a = 1/sqrt(2) and
 * b = sqrt(2) come from there.  `step` floats lie between the elements. */
static const float A = 0.70710678118654752440f, B = 1.41421356237309504880f;

static void wino4_in(float *d, int step)
{
    float d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    float even = d4 - 2.0f * d2, odd = A * (d3 - 2.0f * d1);
    float even2 = d4 - 0.5f * d2, odd2 = B * (d3 - 0.5f * d1);
    d[0] = d0 - 2.5f * d2 + d4;
    d[step] = even + odd;
    d[2 * step] = even - odd;
    d[3 * step] = even2 + odd2;
    d[4 * step] = even2 - odd2;
    d[5 * step] += d1 - 2.5f * d3;
}

static void wino4_out(float *m, int step)
{
    float p = m[step] + m[2 * step], q = m[step] - m[2 * step];
    float p2 = m[3 * step] + m[4 * step], q2 = m[3 * step] - m[4 * step];
    m[0] += p + p2;
    m[step] = A * q + B * q2;
    m[2 * step] = 0.5f * p + 2.0f * p2;
    m[3 * step] = 0.5f * A * q + 2.0f * B * q2 + m[5 * step];
}

/* The same of F(2, 3). */
static void wino2_in(float *d, int step)
{
    float d1 = d[step], d2 = d[2 * step];
    d[0] -= d2;
    d[step] = d1 + d2;
    d[2 * step] = d2 - d1;
    d[3 * step] -= d1;
}

static void wino2_out(float *m, int step)
{
    float m1 = m[step], m2 = m[2 * step];
    m[0] += m1 + m2;
    m[step] = m1 - m2 + m[3 * step];
}

static void wino_input(int size, void (*line)(float *, int), const float *x, ptrdiff_t row,
                       ptrdiff_t col, int r0, int r1, int c0, int c1, int channels,
                       const float *scale, const float *shift, float *v, ptrdiff_t ldp)
{
    for (int c = 0; c < channels; c++) {
        float d[36] = {0};
        for (int i = r0; i < r1; i++)
            for (int j = c0; j < c1; j++) {
                float value = x[i * row + j * col + c];
                d[i * size + j] = scale ? value * scale[c] + shift[c] : value;
            }
        for (int j = 0; j < size; j++)
            line(d + j, size);
        for (int i = 0; i < size; i++)
            line(d + i * size, 1);
        for (int p = 0; p < size * size; p++)
            v[p * ldp + c] = d[p];
    }
}

static void wino_output(int size, void (*line)(float *, int), const float *m, ptrdiff_t ldp,
                        int channels, float *y, ptrdiff_t row, ptrdiff_t col, int rows, int cols,
                        const xk_epilogue *e)
{
    for (int c = 0; c < channels; c++) {
        float d[36];
        for (int p = 0; p < size * size; p++)
            d[p] = m[p * ldp + c];
        for (int j = 0; j < size; j++)
            line(d + j, size);
        for (int i = 0; i < rows; i++) {
            line(d + i * size, 1);
            for (int j = 0; j < cols; j++)
                y[i * row + j * col + c] = finish(d[i * size + j], c, residual_at(e, i, j), e);
        }
    }
}

#define WINOGRAD(tile, size)                                                                       \
    static void wino##tile##_input(const float *x, ptrdiff_t row, ptrdiff_t col, int r0, int r1,   \
                                   int c0, int c1, int channels, const float *scale,               \
                                   const float *shift, float *v, ptrdiff_t ldp)                    \
    {                                                                                              \
        wino_input(size, wino##tile##_in, x, row, col, r0, r1, c0, c1, channels, scale, shift, v,  \
                   ldp);                                                                           \
    }                                                                                              \
    static void wino##tile##_output(const float *m, ptrdiff_t ldp, int channels, float *y,         \
                                    ptrdiff_t row, ptrdiff_t col, int rows, int cols,              \
                                    const xk_epilogue *e)                                          \
    {                                                                                              \
        wino_output(size, wino##tile##_out, m, ldp, channels, y, row, col, rows, cols, e);         \
    }
WINOGRAD(4, 6)
WINOGRAD(2, 4)

const xk_table xk_generic = {
    .isa = "generic",
    .mr = MR,
    .nr = NR,
    .vector = 1,
    .mac_cost = 16,
    .gemm = gemm,
    .depthwise = depthwise,
    .wino4_input = wino4_input,
    .wino2_input = wino2_input,
    .wino4_output = wino4_output,
    .wino2_output = wino2_output,
    .head = &xk_head_generic,
};
