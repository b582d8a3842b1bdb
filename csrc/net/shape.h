/* shape.h: the shape of a value. */
#ifndef XCOS_NET_SHAPE_H
#define XCOS_NET_SHAPE_H

#include <stdbool.h>

#include "xcos.h"

typedef struct {
    int rank;
    int64_t dims[XCOS_MAX_RANK]; /* batch first; -1 in an input's declaration: any */
} xn_shape;

/* Limits that keep every size far from overflow: elements of a tensor, and one dimension
 * (spatial sizes are ints in the kernels). */
#define XN_MAX_ELEMENTS ((int64_t)1 << 40)
#define XN_MAX_SIZE ((int64_t)1 << 28)

/* Product of all dimensions. */
static inline int64_t xn_count(const xn_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++)
        count *= shape->dims[i];
    return count;
}

/* Whether a shape of positive sizes is within the limits. */
static inline bool xn_fits(const xn_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] > XN_MAX_SIZE || shape->dims[i] > XN_MAX_ELEMENTS / count)
            return false;
        count *= shape->dims[i];
    }
    return true;
}

static inline bool xn_same(const xn_shape *a, const xn_shape *b)
{
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

/* A rank-4 shape (N, C, H, W) in the order in which it lies in memory. */
static inline xn_shape xn_physical(const xn_shape *s, bool nhwc)
{
    return nhwc ? (xn_shape){4, {s->dims[0], s->dims[2], s->dims[3], s->dims[1]}} : *s;
}

#endif
