/* winograd.c: the transforms of Winograd's convolutions in plain C. */
#include "ref.h"

/* One dimension of the transforms of F(4, 3); ../pack.c names the points, a = 1/sqrt(2) and
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
                y[i * row + j * col + c] = xk_finish(d[i * size + j], c, xk_residual_at(e, i, j), e);
        }
    }
}

#define WINOGRAD(tile, size)                                                                       \
    void winograd##tile##_input_f32_ref(const float *x, ptrdiff_t row, ptrdiff_t col, int r0,      \
                                        int r1, int c0, int c1, int channels, const float *scale,  \
                                        const float *shift, float *v, ptrdiff_t ldp)               \
    {                                                                                              \
        wino_input(size, wino##tile##_in, x, row, col, r0, r1, c0, c1, channels, scale, shift, v,  \
                   ldp);                                                                           \
    }                                                                                              \
    void winograd##tile##_output_f32_ref(const float *m, ptrdiff_t ldp, int channels, float *y,    \
                                         ptrdiff_t row, ptrdiff_t col, int rows, int cols,         \
                                         const xk_epilogue *e)                                     \
    {                                                                                              \
        wino_output(size, wino##tile##_out, m, ldp, channels, y, row, col, rows, cols, e);         \
    }
WINOGRAD(4, 6)
WINOGRAD(2, 4)
