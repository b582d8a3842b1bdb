/* pictures.h: the kernels of pictures, three bytes a pixel: two that resize one, and a bilinear warp.
 *
 * Products and sums are rounded one by one, in the order given, so that a picture is the same to the last bit
 * whatever the instruction set. */
#ifndef XCOS_KERNELS_PICTURES_H
#define XCOS_KERNELS_PICTURES_H

#include <stddef.h>
#include <stdint.h>

/* Which source samples make one destination sample, and how much each counts. */
typedef struct {
    int first, count;
    const float *weights;
} xk_taps;

typedef struct {
    /* out[i] = sum over k of weights[k] * x[k*ld + i]: n bytes of each of `count` rows. */
    void (*mix_rows)(const uint8_t *x, ptrdiff_t ld, int count, const float *weights, int64_t n,
                     float *out);
    /* Pixel i of n is the sum, over its taps, of weights[k] * pixel first + k of the row, rounded.
     * row: three floats a pixel, and one more may be read behind the last. */
    void (*mix_columns)(const float *row, const xk_taps *taps, int n, uint8_t *out);
    /* Pixels x, x + 1 ... x + n - 1 of row y of a warp: out at (m[0]*x + m[1]*y + m[2],
     * m[3]*x + m[4]*y + m[5]) of the source, 0 or more each, where rows are ld bytes apart.  Four
     * bytes are read of each of the four neighbours. */
    void (*warp)(const uint8_t *source, ptrdiff_t ld, const double m[6], int x, int y, int n,
                 uint8_t *out);
} xk_pictures;

#endif
