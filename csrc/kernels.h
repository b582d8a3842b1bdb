/* kernels.h: the hot loops, as a table of function pointers.
 *
 * Each signature is written once, here.  kernels_ref.c fills a table with plain C
 * (the oracle, and the fallback); csrc/x86/ holds templates that fill the same
 * table for AVX2+FMA and AVX-512.  Kernels know no network, arena or pool: they
 * get pointers and sizes.
 *
 * Feature maps are NHWC inside the core: the channels of a pixel are contiguous,
 * so that a 1x1 convolution is a matrix product over pixels, vectors run along
 * channels, and bias, slope and residual are vectors as well.
 *
 * No kernel reads or writes outside the floats that its comment names (weights
 * and biases are padded by the packers, activations are not), so channel counts
 * need not be multiples of a vector.
 */
#ifndef XCOS_KERNELS_H
#define XCOS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef enum { XK_NONE, XK_PRELU, XK_CLIP } xk_activation;

/* What happens to a result before it is stored: y = act(x + bias + residual).
 * bias, slope and residual are given at the first channel of the block at hand;
 * bias and slope may be read up to the next multiple of 32 floats. */
typedef struct {
    const float *bias;     /* NULL: none */
    const float *residual; /* NULL: none; same geometry as the output, own strides */
    ptrdiff_t residual_row, residual_col; /* strides in floats, as the kernel's output strides */
    xk_activation activation;
    const float *slope; /* PRELU: one per channel */
    float lo, hi;       /* CLIP */
} xk_epilogue;

/* Upper bounds over all instruction sets. */
enum { XK_MAX_MR = 16, XK_MAX_NR = 64, XK_CHANNEL_PAD = 64 };

enum { XK_LINE = 16 /* floats of a cache line */ };

typedef struct {
    const char *isa; /* "generic", "avx2", "avx512" */
    int mr, nr;      /* GEMM tile: pixels x output channels */
    int vector;      /* floats per vector */
    float mac_cost;  /* of a multiply-add in `gemm`, in those of a vector kernel: 1; plain C: 16 */

    /* One tile of a convolution as a matrix product: m <= mr pixels, n <= nr channels.
     *   y[i*ldy + j] = act(sum over t, k of a[t*m + i][k] * w[(t*depth + k)*nr + j] + ...)
     * a: taps*m pointers to `depth` floats each (a shared row of zeros stands for padding);
     * w: one packed panel (see pack); residual strides: residual_col per pixel i.
     * next: memory that will be wanted after this tile, such as another panel; a cache line
     * of it is fetched per step of depth (see xk_next_panel). NULL: weights further on in w.
     * The order of summation does not depend on m or n. */
    void (*gemm)(int m, int n, int depth, int taps, const float *const *a, const float *w,
                 const float *next, float *y, ptrdiff_t ldy, const xk_epilogue *e);

    /* Depthwise convolution of one output row, n_out pixels of `channels`.
     *   y[x*ldy + c] = act(sum over r, s of rows[r][(x*stride_x - pad_left + s*dilation_x)*ldx + c]
     *                      * w[(r*kw + s)*ldw + c] + ...)
     * rows: kh pointers to pixel 0 of the input rows (NULL: padding); columns outside
     * 0..width-1 are padding; ldw >= channels, weights padded to XK_CHANNEL_PAD. */
    void (*depthwise)(const float *const *rows, int width, ptrdiff_t ldx, int channels, int kh,
                      int kw, int stride_x, int dilation_x, int pad_left, const float *w,
                      ptrdiff_t ldw, float *y, int n_out, ptrdiff_t ldy, const xk_epilogue *e);

    /* Winograd F(m x m, 3 x 3), m = 4 (36 planes) or 2 (16 planes), one tile, `channels` channels.
     * Input: x at the tile's first pixel (may lie outside the map), valid rows [r0, r1) and
     * columns [c0, c1) of the (m+2)x(m+2) tile; what is outside is zero.  When scale is not
     * NULL valid pixels become x*scale[c] + shift[c] first (a batch norm before a padded
     * convolution).  Output: v[plane*ldp + c]. */
    void (*wino4_input)(const float *x, ptrdiff_t row, ptrdiff_t col, int r0, int r1, int c0,
                        int c1, int channels, const float *scale, const float *shift, float *v,
                        ptrdiff_t ldp);
    void (*wino2_input)(const float *x, ptrdiff_t row, ptrdiff_t col, int r0, int r1, int c0,
                        int c1, int channels, const float *scale, const float *shift, float *v,
                        ptrdiff_t ldp);
    /* Output: from m[plane*ldp + c], writes rows x cols (<= m) pixels at y. */
    void (*wino4_output)(const float *m, ptrdiff_t ldp, int channels, float *y, ptrdiff_t row,
                         ptrdiff_t col, int rows, int cols, const xk_epilogue *e);
    void (*wino2_output)(const float *m, ptrdiff_t ldp, int channels, float *y, ptrdiff_t row,
                         ptrdiff_t col, int rows, int cols, const xk_epilogue *e);

    const struct xk_head_kernels *head; /* the pair kernel: head_kernels.h */
} xk_table;

/* Packs one panel of a 3x3 convolution for Winograd F(tile x tile, 3 x 3), tile = 4 or 2:
 * the nr output channels from w on (zero from `outputs` on), taps contiguous, to
 *   packed[(plane*inputs + i)*nr + j],  plane = 0..35 or 0..15,
 * multiplied by scale[j] (NULL: 1).  Computed in double. */
void xk_pack_winograd(int tile, const float *w, ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs,
                      int inputs, int nr, const float *scale, float *packed);

/* Packs a (outputs, depth) matrix given by strides into panels of nr output channels:
 *   panel p, k, j  at  packed[(p*depth + k)*nr + j]  =  w[(p*nr + j)*ld_out + k*ld_depth]
 * times scale[p*nr + j] (NULL: 1), zero where p*nr + j >= outputs.  Subnormal weights become
 * zero: they cost hundreds of cycles each and change no result. */
void xk_pack_panels(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth,
                    int nr, const float *scale, float *packed);

/* gemm's `next` for tile `tile` of `tiles` that all multiply with one panel of `steps` =
 * taps*depth steps before the panel `next` has its turn: the last tiles fetch a slice of it
 * each, so that weights arrive from memory while the processor multiplies. */
static inline const float *xk_next_panel(const xk_table *k, int64_t tile, int64_t tiles,
                                         ptrdiff_t steps, const float *next)
{
    const int64_t slices = k->nr / XK_LINE, slice = tile - (tiles - slices);
    return tiles >= slices && slice >= 0 ? next + slice * steps * XK_LINE : NULL;
}

extern const xk_table xk_generic;
#if defined(__x86_64__)
extern const xk_table xk_avx2;
extern const xk_table xk_avx512;
#endif

/* The table in force (cpu.c). */
const xk_table *xk_kernels(void);

#endif
