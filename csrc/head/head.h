/* head.h: what head.c (once per face), compare.c and transport.c (the pairs) share. */
#ifndef XCOS_HEAD_H
#define XCOS_HEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "conv/conv.h"
#include "xcos.h"

/* Floor of each cell's norm, as torch.nn.functional.cosine_similarity(eps=1e-6), which the
 * reference calls: c = sum (a / max(|a|, eps)) * (b / max(|b|, eps)). */
#define XH_NORM_FLOOR 1e-6

/* A 3x3 convolution, or a 1x1, over the cells of one face; channels are contiguous. */
typedef struct {
    xv_plan plan;
    xk_activation activation;
    void *weights;
    float *bias, *slope;
} xh_conv;

struct xcos_head {
    const xk_table *kernels;
    int depth, height, width, cells;
    size_t values;             /* floats of one face's record */
    int *near;                 /* [9][cells]: neighbours of each cell */
    xh_conv embed;             /* PReLU(conv3x3(grid)) */
    xh_conv first, second;     /* halves of attend1; second negated, see kernels/pairs.h */
    xh_conv taps;              /* per cell the products with each tap of attend2 */
    float first_slope, bias;   /* slope of attend1, bias of attend2 */
    float whole;
    float *zeros;              /* padding, as wide as a row of taps */
    xk_pair_head pairs;
};

/* The least of what any thread says: the first face, or pair, that is at fault. */
static inline void xh_lower(_Atomic int64_t *least, int64_t value)
{
    int64_t old = atomic_load(least);
    while (value < old && !atomic_compare_exchange_weak(least, &old, value))
        ;
}

/* Uninitialised, aligned for vectors; xo_free gives it back. */
float *xh_alloc(size_t count);

/* Floats of scratch for xh_prepare, aligned for doubles. */
size_t xh_scratch_size(const xcos_head *h);

/* Writes the record of one face (depth, height, width), head->values floats.
 * false: a value of the face is not finite. */
bool xh_prepare(xc_call *call, const xcos_head *h, const float *face, bool second, float *scratch,
                float *record);

#endif
