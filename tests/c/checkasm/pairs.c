/* pairs.c: the pair kernel, against its own definition (kernels/pairs.h) in double precision. */
#include "checkasm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CELLS = 64 };

/* Value v of the first and the second face of a pair: `lane` of a block, or a record alone. */
static double value(const float *face, int stride, int lane, int v)
{
    return face[v * stride + (stride > 1 ? lane : 0)];
}

/* One pair. `scale`: how large the sums behind a logit are. */
static void pair(const xk_pair_head *h, const float *a, int a_stride, const float *b, int lane,
                 double *score, double *cosine, double *attention)
{
    const int lanes = table->pairs.lanes, cells = h->height * h->width, depth = h->depth;
    const int half = cells * depth, linear = half + cells * h->channels;
    double low = INFINITY, high = -INFINITY, sum = 0;
    for (int cell = 0; cell < cells; cell++) {
        double x = value(a, a_stride, lane, linear + cell) + value(b, lanes, lane, linear + cell);
        for (int t = 0; t < 9; t++) {
            const int row = cell / h->width + t / 3 - 1, col = cell % h->width + t % 3 - 1;
            for (int c = 0; c < h->channels; c++) {
                const int v = half + (row * h->channels + c) * h->width + col;
                if (row >= 0 && row < h->height && col >= 0 && col < h->width)
                    x += h->weight[c * 9 + t] *
                         fmax(value(a, a_stride, lane, v), value(b, lanes, lane, v));
            }
        }
        attention[cell] = x = x > 0 ? x : h->slope * x;
        low = fmin(low, x);
        high = fmax(high, x);
    }
    for (int cell = 0; cell < cells; cell++) {
        double *x = &attention[cell];
        *x = h->minmax ? *x - low : exp((*x - high) * h->sharpness);
        sum += *x;
    }
    *score = 0;
    for (int cell = 0; cell < cells; cell++) {
        attention[cell] = sum > 1e-30 ? attention[cell] / sum : 1.0 / cells;
        cosine[cell] = 0;
        for (int d = cell * depth; d < (cell + 1) * depth; d++)
            cosine[cell] += value(a, a_stride, lane, d) * value(b, lanes, lane, d);
        *score += attention[cell] * cosine[cell];
    }
}

static void check_once(int depth, int channels, int height, int width, int rows, int blocks,
                       int paired, int minmax, int maps, enum side side)
{
    const int lanes = table->pairs.lanes, cells = height * width;
    const size_t values = (size_t)cells * (size_t)(depth + channels + 1);
    float *weight = guarded((size_t)channels * 9, side);
    for (int i = 0; i < channels * 9; i++)
        weight[i] /= sqrtf(9.0f * (float)channels);
    const xk_pair_head h = {.depth = depth, .channels = channels, .height = height, .width = width,
                            .weight = weight, .slope = 0.25f, .sharpness = 1.5f, .minmax = minmax};
    const float *a[XK_PAIR_ROWS], *b = guarded(values * (size_t)(blocks * lanes), side);
    for (int i = 0; i < rows; i++)
        a[i] = guarded(values * (size_t)(paired ? lanes : 1), side);
    float *scores = guarded((size_t)(blocks * rows * lanes), side);
    float *attention = guarded((size_t)(blocks * rows * cells * lanes), side);
    float *cosine = maps ? guarded((size_t)(blocks * rows * cells * lanes), side) : NULL;
    table->pairs.run(&h, a, rows, paired ? lanes : 1, b, blocks, scores, cosine, attention);

    /* The same pairs, one first face and block at a time: a result depends on no other. */
    float *alone = guarded((size_t)lanes, side), *map = guarded((size_t)(cells * lanes), side);
    for (int i = 0; i < blocks * rows; i++) {
        const float *const *first = a + i % rows;
        const float *second = b + i / rows * (ptrdiff_t)values * lanes;
        table->pairs.run(&h, first, 1, paired ? lanes : 1, second, 1, alone, NULL, map);
        for (int l = 0; l < lanes; l++) {
            double score, cosines[MOST_CELLS], weights[MOST_CELLS];
            pair(&h, *first, paired ? lanes : 1, second, l, &score, cosines, weights);
            const double size = sqrt(depth);
            if (!close_to(scores[i * lanes + l], score, 4 + 4 * size))
                report("pairs: score of row %d lane %d of %d x %d", i, l, height, width);
            if (scores[i * lanes + l] != alone[l])
                report("pairs: the score of row %d lane %d depends on the rows", i, l, 0, 0);
            for (int cell = 0; cell < cells; cell++) {
                const int at = (i * cells + cell) * lanes + l;
                if (!close_to(attention[at], weights[cell], 4))
                    report("pairs: attention of row %d lane %d cell %d", i, l, cell, 0);
                if (cosine && !close_to(cosine[at], cosines[cell], 1 + size))
                    report("pairs: cosine of row %d lane %d cell %d", i, l, cell, 0);
            }
        }
    }
    release();
}

void check_pairs(void)
{
    static const int maps[][2] = {{7, 7}, {1, 1}, {1, 9}, {5, 2}, {8, 8}, {3, 7}, {2, 15}};
    for (size_t m = 0; m < sizeof maps / sizeof *maps; m++)
        for (int k = 0; k < 16; k++)
            check_once(between(1, 40), between(1, 20), maps[m][0], maps[m][1],
                       k & 1 ? XK_PAIR_ROWS : between(1, XK_PAIR_ROWS - 1),
                       k >> 1 & 1 ? 1 : between(1, XK_PAIR_BLOCKS), k >> 1 & 1, k >> 2 & 1, k >> 3 & 1, k & 1 ? BACK : FRONT);
}
