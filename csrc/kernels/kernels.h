/* kernels.h: the hot loops, as a table of function pointers.
 *
 * Each signature is written once, here.  ref/ fills a table with plain C (the oracle, and
 * the fallback); x86/ fills the same table for SSE2, for AVX2 with FMA and for AVX-512, arm/
 * for NEON, from the templates in simd/.  A kernel's symbol says type, tile and instruction set, so that a
 * line of a profile leads to it: gemm_f32_14x32_avx512.  Kernels know no network, arena or
 * pool: they get pointers and sizes.
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

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/pairs.h"
#include "kernels/pictures.h"
#include "kernels/products.h"

typedef enum { XK_NONE, XK_PRELU, XK_CLIP } xk_activation;

/* gelu: x * (1 + erf(x / sqrt 2)) / 2. */
typedef enum { XK_SIGMOID, XK_TANH, XK_ERF, XK_GELU } xk_function;

/* What happens to a result before it is stored: y = act(x + bias + residual).
 * bias, slope and residual are given at the first channel of the block at hand;
 * bias and slope may be read up to the next multiple of 32 floats. */
typedef struct xk_epilogue {
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

/* Winograd F(m x m, 3 x 3), m = 4 (36 planes) or 2 (16 planes): one tile, `channels` channels. */
typedef struct {
    /* x at the tile's first pixel (may lie outside the map), valid rows [r0, r1) and columns
     * [c0, c1) of the (m+2)x(m+2) tile; what is outside is zero.  When scale is not NULL valid
     * pixels become x*scale[c] + shift[c] first (a batch norm before a padded convolution).
     * Output: v[plane*ldp + c]. */
    void (*input)(const float *x, ptrdiff_t row, ptrdiff_t col, int r0, int r1, int c0, int c1,
                  int channels, const float *scale, const float *shift, float *v, ptrdiff_t ldp);
    /* From m[plane*ldp + c], writes rows x cols (<= m) pixels at y. */
    void (*output)(const float *m, ptrdiff_t ldp, int channels, float *y, ptrdiff_t row,
                   ptrdiff_t col, int rows, int cols, const xk_epilogue *e);
    /* Packs one panel of weights: the nr output channels from w on (zero from `outputs` on), taps
     * contiguous, to packed[(plane*inputs + i)*nr + j], times scale[j] (NULL: 1).  In double. */
    void (*pack)(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs, int inputs, int nr,
                 const float *scale, float *packed);
} xk_winograd;

/* A tile of a convolution as a matrix product, and the packer of the weights that it reads. */
typedef struct {
    int mr, nr; /* pixels x output channels */

    /* m <= mr pixels, n <= nr channels.
     *   y[i*ldy + j] = act(sum over t, k of a[t*m + i][k] * w[(t*depth + k)*nr + j] + ...)
     * a: taps*m pointers to `depth` floats each (a shared row of zeros stands for padding);
     * w: one packed panel, at a multiple of 16 bytes; residual strides: residual_col per pixel i.
     * next: memory that will be wanted after this tile, such as another panel; a cache line
     * of it is fetched per step of depth (see xk_next_panel). NULL: weights further on in w.
     * The order of summation does not depend on m or n. */
    void (*tile)(int m, int n, int depth, int taps, const float *const *a, const float *w,
                 const float *next, float *y, ptrdiff_t ldy, const xk_epilogue *e);

    /* The same for any number of pixels at equal distances, to the last bit: pixel i of tap t lies
     * at rows[t] + i*step.  next: the panel that has its turn after this line, or NULL. */
    void (*line)(int64_t count, int n, int depth, int taps, const float *const *rows, ptrdiff_t step,
                 const float *w, const float *next, float *y, ptrdiff_t ldy, const xk_epilogue *e);

    /* Packs a (outputs, depth) matrix given by strides into panels of nr output channels:
     *   panel p, k, j  at  packed[(p*depth + k)*nr + j]  =  w[(p*nr + j)*ld_out + k*ld_depth]
     * times scale[p*nr + j] (NULL: 1), zero where p*nr + j >= outputs.  Subnormal weights become
     * zero: they cost hundreds of cycles each and change no result. */
    void (*pack)(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth,
                 int nr, const float *scale, float *packed);
} xk_gemm;

/* Entropic optimal transport (head/transport.c). */
typedef struct {
    /* y[j] = target[j] / max(sum over i of k[i*columns + j] * x[i], FLT_MIN): half an iteration.
     * k: rows x columns, columns a multiple of XK_LINE; x: rows; target, y: columns. */
    void (*divide)(int rows, int columns, const float *k, const float *x, const float *target,
                   float *y);
    /* y[i] = exp(x[i]) for x <= 0; below e^-87 that.  count: a multiple of XK_LINE. */
    void (*exponentials)(int count, const float *x, float *y);
} xk_transport;

typedef struct {
    const char *isa; /* "generic", "sse2", "neon", "avx2", "avx512" */
    int vector;      /* floats per vector */
    float mac_cost;  /* of a multiply-add in the tile, in those of a vector kernel: 1; plain C: 16 */

    xk_gemm gemm;

    /* Depthwise convolution of one output row, n_out pixels of `channels`.
     *   y[x*ldy + c] = act(sum over r, s of rows[r][(x*stride_x - pad_left + s*dilation_x)*ldx + c]
     *                      * w[(r*kw + s)*ldw + c] + ...)
     * rows: kh pointers to pixel 0 of the input rows (NULL: padding); columns outside
     * 0..width-1 are padding; ldw >= channels, weights padded to XK_CHANNEL_PAD. */
    void (*depthwise)(const float *const *rows, int width, ptrdiff_t ldx, int channels, int kh,
                      int kw, int stride_x, int dilation_x, int pad_left, const float *w,
                      ptrdiff_t ldw, float *y, int n_out, ptrdiff_t ldy, const xk_epilogue *e);

    xk_winograd winograd4, winograd2;

    /* By precision, NULL: none.  Whether the processor can run them is cpu.c's: xk_products_of. */
    const xk_products *products[XK_PRECISIONS];

    xk_pairs pairs; /* pairs.h */

    xk_pictures pictures; /* pictures.h */

    /* y[i] = f(x[i]), within a millionth of its value down to 1e-37; NaN stays NaN.  y may be x. */
    void (*map)(xk_function f, int64_t n, const float *x, float *y);

    /* y[i] = exp(x[i] - max x) / sum of all these.  y may be x. */
    void (*softmax)(int64_t n, const float *x, float *y);

    /* y[i] = (x[i] - mean) / sqrt(variance + epsilon) * gamma[i] + beta[i]; gamma and beta NULL: 1, 0,
     * else padded to XK_CHANNEL_PAD.  y may be x. */
    void (*normalise)(int64_t n, const float *x, const float *gamma, const float *beta, float epsilon,
                      float *y);

    xk_transport transport;
} xk_table;

/* A weight as it is packed: subnormal ones become zero, since arithmetic with them is slow. */
static inline float xk_flushed(double x)
{
    return fabs(x) < FLT_MIN ? 0.0f : (float)x;
}

/* A float as bfloat16: rounded to the nearest even; subnormal: zero; NaN stays one. */
static inline uint16_t xk_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    if (fabsf(x) < FLT_MIN)
        return (uint16_t)(bits >> 31 << 15);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float xk_from_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* pack.c: the packers, which are one for all instruction sets. */
void xk_pack_panels(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth,
                    int nr, const float *scale, float *packed);
void xk_pack_winograd4(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs, int inputs,
                       int nr, const float *scale, float *packed);
void xk_pack_winograd2(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs, int inputs,
                       int nr, const float *scale, float *packed);

/* gemm's `next` for tile `tile` of `tiles` that all multiply with one panel of `steps` =
 * taps*depth steps before the panel `next` has its turn: the last tiles fetch a slice of it
 * each, so that weights arrive from memory while the processor multiplies. */
static inline const float *xk_next_panel(int nr, int64_t tile, int64_t tiles, ptrdiff_t steps,
                                         const float *next)
{
    const int64_t slices = nr / XK_LINE, slice = tile - (tiles - slices);
    return next && tiles >= slices && slice >= 0 ? next + slice * steps * XK_LINE : NULL;
}

extern const xk_table xk_generic;
#if defined(__x86_64__)
extern const xk_table xk_sse2;
extern const xk_table xk_avx2;
extern const xk_table xk_avx512;
extern const xk_products xk_bf16_avx512, xk_int8_avx512;
#elif defined(__aarch64__)
extern const xk_table xk_neon;
#endif

/* The table in force (cpu.c). */
const xk_table *xk_kernels(void);
/* Its products of a precision, NULL where it or the processor has none. */
const xk_products *xk_products_of(const xk_table *table, xk_precision precision);

#endif
