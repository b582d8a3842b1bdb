/* products.h: products of rows with weights of fewer than 32 bits, and sums of 32.
 *
 * A word of 32 bits holds `step` neighbours of a row: two bfloat16 or four 8-bit integers.  One
 * instruction multiplies the neighbours of a word with as many weights of each of its lanes and
 * adds all to the lane's sum, so that a step of the tile's loop does `step` multiply-adds where
 * fp32 does one.
 *
 * bf16: fp32 cut to 8 significant bits, rounded to the nearest even; subnormal numbers are zero.
 *
 * int8: a row x becomes round(x / scale) + 128 with scale = max |x| / 127 of that row, 1..255;
 * weights become round(w / scale) with a scale per output channel, -127..127.  The sum of integers
 * is exact; what the 128 adds to it, 128 times the sum of the weights, is what it starts without.
 * A row that holds a NaN or an infinity has it for a scale, so that no such row looks sound. */
#ifndef XCOS_KERNELS_PRODUCTS_H
#define XCOS_KERNELS_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

struct xk_epilogue;

/* The precision of products: XK_FP32 has no table of its own. */
typedef enum { XK_FP32, XK_BF16, XK_INT8, XK_PRECISIONS } xk_precision;

typedef struct {
    int mr, nr; /* rows x output channels of a tile */
    int step;   /* numbers in a word */
    int head;   /* words per channel in front of a panel: int8: first sum, and scale (a float) */

    /* Writes a row's `depth` numbers, and what stands for zero up to XK_ROW bytes; gives its scale (bf16: 1). */
    float (*convert)(const float *x, int depth, void *row);

    /* m <= mr rows of `words` words, `ld` bytes apart, n <= nr channels.
     *   y[i*ldy + j] = act(scale[i] * (sum over k of row i[k] * w[k, j]) + ...)
     * w: one packed panel, at a multiple of 64 bytes; residual strides: residual_col per row.
     * The result of a row depends neither on m nor on n. */
    void (*tile)(int m, int n, int words, const void *rows, ptrdiff_t ld, const float *scale,
                 const uint32_t *w, float *y, ptrdiff_t ldy, const struct xk_epilogue *e);

    /* Packs one panel: output channels 0..outputs-1 (<= nr; zero from there on) of a (outputs,
     * depth) matrix given by strides, times scale[j] (NULL: 1):
     *   word k of channel j at packed[(head + k)*nr + j], lower bits first. */
    void (*pack)(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth, int nr,
                 const float *scale, uint32_t *packed);
} xk_products;

enum { XK_ROW = 64 /* bytes that rows are padded to */ };

/* Words that hold `depth` numbers, and bytes of a row of them. */
static inline int xk_words(const xk_products *p, int depth)
{
    return (depth + p->step - 1) / p->step;
}

static inline size_t xk_row_bytes(const xk_products *p, int depth)
{
    return ((size_t)xk_words(p, depth) * 4 + XK_ROW - 1) / XK_ROW * XK_ROW;
}

/* pack_products.c */
void xk_pack_bf16(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth, int nr,
                  const float *scale, uint32_t *packed);
void xk_pack_int8(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth, int nr,
                  const float *scale, uint32_t *packed);

#endif
