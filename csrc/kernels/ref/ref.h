/* ref.h: the kernels in plain C, and what they share. */
#ifndef XCOS_KERNELS_REF_H
#define XCOS_KERNELS_REF_H

#include "kernels/kernels.h"

enum { XK_REF_MR = 4, XK_REF_NR = 8, XK_REF_LANES = 8 };

void gemm_f32_4x8_ref(int m, int n, int depth, int taps, const float *const *a, const float *w,
                      const float *next, float *y, ptrdiff_t ldy, const xk_epilogue *e);
void gemm_line_f32_4x8_ref(int64_t count, int n, int depth, int taps, const float *const *rows,
                           ptrdiff_t step, const float *w, const float *next, float *y,
                           ptrdiff_t ldy, const xk_epilogue *e);
void depthwise_f32_ref(const float *const *rows, int width, ptrdiff_t ldx, int channels, int kh,
                       int kw, int stride_x, int dilation_x, int pad_left, const float *w,
                       ptrdiff_t ldw, float *y, int n_out, ptrdiff_t ldy, const xk_epilogue *e);
void winograd4_input_f32_ref(const float *x, ptrdiff_t row, ptrdiff_t col, int r0, int r1, int c0,
                             int c1, int channels, const float *scale, const float *shift, float *v,
                             ptrdiff_t ldp);
void winograd2_input_f32_ref(const float *x, ptrdiff_t row, ptrdiff_t col, int r0, int r1, int c0,
                             int c1, int channels, const float *scale, const float *shift, float *v,
                             ptrdiff_t ldp);
void winograd4_output_f32_ref(const float *m, ptrdiff_t ldp, int channels, float *y, ptrdiff_t row,
                              ptrdiff_t col, int rows, int cols, const xk_epilogue *e);
void winograd2_output_f32_ref(const float *m, ptrdiff_t ldp, int channels, float *y, ptrdiff_t row,
                              ptrdiff_t col, int rows, int cols, const xk_epilogue *e);
extern const xk_products xk_bf16_ref, xk_int8_ref;
void pairs_f32_8_ref(const xk_pair_head *h, const float *const *a, int rows, int a_stride,
                     const float *b, int blocks, float *scores, float *cosine, float *attention);
void mix_rows_u8_ref(const uint8_t *x, ptrdiff_t ld, int count, const float *weights, int64_t n,
                     float *out);
void mix_columns_u8_ref(const float *row, const xk_taps *taps, int n, uint8_t *out);
void warp_u8_ref(const uint8_t *source, ptrdiff_t ld, const double m[6], int x, int y, int n,
                 uint8_t *out);
void map_f32_ref(xk_function function, int64_t n, const float *x, float *y);
void softmax_f32_ref(int64_t n, const float *x, float *y);
void normalise_f32_ref(int64_t n, const float *x, const float *gamma, const float *beta, float epsilon,
                       float *y);
void divide_f32_ref(int rows, int columns, const float *k, const float *x, const float *target,
                    float *y);
void exponentials_f32_ref(int count, const float *x, float *y);

/* act(x + bias + residual); c counts channels from the block's first. */
static inline float xk_finish(float x, int c, const float *residual, const xk_epilogue *e)
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

static inline const float *xk_residual_at(const xk_epilogue *e, int row, int64_t col)
{
    return e->residual ? e->residual + row * e->residual_row + col * e->residual_col : NULL;
}

#endif
