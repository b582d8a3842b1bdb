/* pairs.h: the pair kernel of the xCos head, one per instruction set.
 *
 * What depends on one face alone is computed once per face (head/head.c) and kept as a record
 * of floats, three parts in a row:
 *
 *   unit    [cells][depth]             the grid, each cell divided by its norm
 *   half    [height][channels][width]  the face's half of the attention's first convolution,
 *                                      with the bias in a first face, negated in a second
 *   linear  [cells]                    what the face adds to each logit whatever the other is
 *
 * How a logit comes apart: with the halves p (first face) and q (second) and the slope s,
 *
 *   PReLU(p + q) = s*(p + q) + (1 - s)*max(p + q, 0) = s*p + q + (1 - s)*max(p, -q)
 *
 * for every s.  The second convolution is linear, so that its sums over s*p and over q are
 * the faces' `linear`, and a pair costs one maximum per value and the convolution of
 * (1 - s)*max(p, -q): exactly the paper's arithmetic, in another order.
 *
 * Lanes are pairs.  In a block of `lanes` records value v of record l is at
 * [v*lanes + l]; a record on its own has its values side by side. */
#ifndef XCOS_KERNELS_PAIRS_H
#define XCOS_KERNELS_PAIRS_H

typedef struct {
    int depth, channels, height, width;
    const float *weight; /* [channels][3][3], second convolution times (1 - s) */
    float slope;         /* of the PReLU after it */
    float sharpness;     /* 1 / temperature */
    int minmax;          /* (x - min)/sum instead of softmax; equal logits: uniform */
} xk_pair_head;

enum { XK_PAIR_ROWS = 12, XK_PAIR_BLOCKS = 2, XK_PAIR_LANES = 4 };

typedef struct {
    int lanes; /* a multiple of XK_PAIR_LANES */
    /* Compares rows <= XK_PAIR_ROWS first faces with blocks <= XK_PAIR_BLOCKS of second faces that
     * lie one behind the other.
     * a_stride 1: a[i] is one record, compared with every lane of b.  a_stride lanes:
     * a[i] is a block, compared with one block b lane by lane.
     * Out: scores [blocks][rows][lanes]; attention and (unless NULL) cosine
     * [blocks][rows][cells][lanes].
     * A pair's result depends on neither its lane, nor its row, nor the others. */
    void (*run)(const xk_pair_head *h, const float *const *a, int rows, int a_stride,
                const float *b, int blocks, float *scores, float *cosine, float *attention);
} xk_pairs;

#endif
