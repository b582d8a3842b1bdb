/* pairs_template.h: the pair kernel (../pairs.h says what it computes).
 *
 * The includer gives the vector operations and TILE_ROWS, how many rows of the map the
 * convolution adds to at once: TILE_ROWS x TILE_COLS sums and TILE_ROWS x 3 weights must
 * fit the registers, 3 x 7 + 9 of AVX-512's 32, 1 x 7 + 3 of AVX2's 16; and WEIGH_ROWS, how many
 * first faces the cosines are of at once, with two blocks of second ones: 2 x 12 + 3 and 2 x 6 + 3.
 *
 * A maximum is taken where it is used and never stored: a loaded vector of the second
 * faces' halves against one broadcast value, then up to TILE_ROWS x 3 multiply-adds. */
#include <float.h>
#include <math.h>

enum {
    TILE_COLS = 7,
    WEIGH_CELLS = 4, /* of one row, whose sums are to be as many as a multiply-add takes cycles */
    WEIGH_SUMS = WEIGH_ROWS > WEIGH_CELLS ? WEIGH_ROWS : WEIGH_CELLS,
};

/* Value v of a first face, for all lanes. */
INLINE vf first_face(const float *a, ptrdiff_t v, const int paired)
{
    return paired ? v_load(a + v * VL) : v_set1(a[v]);
}

/* Adds to rows x cols logits what one row of maxima gives them.
 * p, q: the halves at that row and the tile's first column (q and logits in lanes);
 * w: the kernel's row for the first row of logits, the one before it for the next;
 * left, right: whether the map goes on beside the tile. */
INLINE void attend_tile(const xk_pair_head *h, const float *p, const float *q, const float *w,
                        float *logits, int left, int right, const int rows, const int cols,
                        const int paired)
{
    const ptrdiff_t width = h->width, stride = paired ? VL : 1;
    vf sum[TILE_ROWS][TILE_COLS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int x = 0; x < cols; x++)
            sum[r][x] = v_load(logits + (r * width + x) * VL);
    for (int c = 0; c < h->channels; c++, p += width * stride, q += width * VL, w += 9) {
        vf weight[TILE_ROWS][3];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int s = 0; s < 3; s++)
                weight[r][s] = v_set1(w[s - 3 * r]);
#pragma GCC unroll 16
        for (int x = -1; x <= cols; x++) {
            if ((x < 0 && !left) || (x == cols && !right))
                continue;
            const vf z = v_max(first_face(p, x, paired), v_load(q + x * VL));
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
                for (int s = 0; s < 3; s++)
                    if (x + 1 - s >= 0 && x + 1 - s < cols)
                        sum[r][x + 1 - s] = v_fma(weight[r][s], z, sum[r][x + 1 - s]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int x = 0; x < cols; x++)
            v_store(logits + (r * width + x) * VL, sum[r][x]);
}

/* The same over the whole width. */
INLINE void attend_rows(const xk_pair_head *h, const float *p, const float *q, const float *w,
                        float *logits, const int rows, const int paired)
{
    const int width = h->width, stride = paired ? VL : 1;
    int x = 0;
    for (; x + TILE_COLS <= width; x += TILE_COLS)
        attend_tile(h, p + x * stride, q + x * VL, w, logits + x * VL, x > 0,
                    x + TILE_COLS < width, rows, TILE_COLS, paired);
    for (; x < width; x++)
        attend_tile(h, p + x * stride, q + x * VL, w, logits + x * VL, x > 0, x + 1 < width, rows,
                    1, paired);
}

/* The same for all rows of logits that row y of the maxima touches. */
INLINE void attend(const xk_pair_head *h, const float *a, const float *b, int y, float *logits,
                   const int paired)
{
    const ptrdiff_t width = h->width;
    const ptrdiff_t half = width * (h->height * h->depth + y * h->channels);
    const float *p = a + half * (paired ? VL : 1), *q = b + half * VL;
    int row = y > 0 ? y - 1 : 0;
    const int end = y + 1 < h->height ? y + 2 : y + 1;
    const float *w = h->weight + 3 * (y + 1 - row);
    float *out = logits + row * width * VL;
    if (TILE_ROWS == 3 && end - row == 3)
        attend_rows(h, p, q, w, out, TILE_ROWS, paired);
    else if (TILE_ROWS == 3 && end - row == 2)
        attend_rows(h, p, q, w, out, TILE_ROWS - 1, paired);
    else
        for (; row < end; row++, w -= 3, out += width * VL)
            attend_rows(h, p, q, w, out, 1, paired);
}

/* PReLU, then weights that sum to 1. */
INLINE void normalize(const xk_pair_head *h, int cells, float *x)
{
    const vf slope = v_set1(h->slope), sharpness = v_set1(h->sharpness);
    vf low = v_set1(INFINITY), high = v_set1(-INFINITY), sum = v_zero();
    for (int i = 0; i < cells; i++) {
        const vf v = v_prelu(v_load(x + i * VL), slope);
        low = v_min(low, v);
        high = v_max(high, v);
        v_store(x + i * VL, v);
    }
    for (int i = 0; i < cells; i++) {
        vf v = v_load(x + i * VL);
        if (h->minmax)
            v = v - low;
        else
            v = v_exp((v - high) * sharpness);
        sum = sum + v;
        v_store(x + i * VL, v);
    }
    const vf usable = v_set1(FLT_MIN);
    const vf scale = v_at_least(sum, usable, v_set1(1.0f) / sum, v_zero());
    const vf offset = v_at_least(sum, usable, v_zero(), v_set1(1.0f / (float)cells));
    for (int i = 0; i < cells; i++)
        v_store(x + i * VL, v_fma(v_load(x + i * VL), scale, offset));
}

/* Cosines of n rows and m cells from `cell` on with all lanes of some blocks, and what they add to the
 * scores, of `rows` rows in all. */
INLINE void weigh_tile(const xk_pair_head *h, const float *const *a, const float *b, int rows,
                       ptrdiff_t cell, float *scores, float *cosine, const float *attention,
                       const int n, const int m, const int blocks, const int paired)
{
    const ptrdiff_t cells = (ptrdiff_t)h->height * h->width, depth = h->depth;
    const ptrdiff_t block = cells * (depth + h->channels + 1) * VL;
    vf sum[WEIGH_SUMS][XK_PAIR_BLOCKS];
    UNROLL_LOOP
    for (int s = 0; s < n * m; s++)
        UNROLL_LOOP
        for (int k = 0; k < blocks; k++)
            sum[s][k] = v_zero();
    for (ptrdiff_t d = cell * depth, end = d + depth; d < end; d++)
        UNROLL_LOOP
        for (int c = 0; c < m; c++) {
            const ptrdiff_t at = d + c * depth;
            vf q[XK_PAIR_BLOCKS];
            UNROLL_LOOP
            for (int k = 0; k < blocks; k++)
                q[k] = v_load(b + k * block + at * VL);
            UNROLL_LOOP
            for (int i = 0; i < n; i++) {
                const vf p = first_face(a[i], at, paired);
                UNROLL_LOOP
                for (int k = 0; k < blocks; k++)
                    sum[i * m + c][k] = v_fma(p, q[k], sum[i * m + c][k]);
            }
        }
    UNROLL_LOOP
    for (int i = 0; i < n; i++)
        UNROLL_LOOP
        for (int k = 0; k < blocks; k++)
            UNROLL_LOOP
            for (int c = 0; c < m; c++) {
                float *score = scores + (k * rows + i) * VL;
                const ptrdiff_t at = ((k * rows + i) * cells + cell + c) * VL;
                v_store(score, v_fma(v_load(attention + at), sum[i * m + c][k], v_load(score)));
                if (cosine)
                    v_store(cosine + at, sum[i * m + c][k]);
            }
}

/* The same for n rows and all cells. */
INLINE void weigh(const xk_pair_head *h, const float *const *a, const float *b, int rows, float *scores,
                  float *cosine, const float *attention, const int n, const int m, const int blocks,
                  const int paired)
{
    const ptrdiff_t cells = (ptrdiff_t)h->height * h->width;
    ptrdiff_t cell = 0;
    for (; cell + m <= cells; cell += m)
        weigh_tile(h, a, b, rows, cell, scores, cosine, attention, n, m, blocks, paired);
    for (; cell < cells; cell++)
        weigh_tile(h, a, b, rows, cell, scores, cosine, attention, n, 1, blocks, paired);
}

/* Attention of `rows` first faces to a block of second ones. */
INLINE void attend_all(const xk_pair_head *h, const float *const *a, int rows, const float *b,
                       float *attention, const int paired)
{
    const int cells = h->height * h->width;
    const ptrdiff_t linear = (ptrdiff_t)cells * (h->depth + h->channels);
    const ptrdiff_t map = (ptrdiff_t)cells * VL;
    for (int i = 0; i < rows; i++)
        for (int cell = 0; cell < cells; cell++)
            v_store(attention + i * map + cell * VL,
                    first_face(a[i], linear + cell, paired) + v_load(b + (linear + cell) * VL));
    for (int y = 0; y < h->height; y++) /* outside: a row of b's halves stays in the cache */
        for (int i = 0; i < rows; i++)
            attend(h, a[i], b, y, attention + i * map, paired);
    for (int i = 0; i < rows; i++)
        normalize(h, cells, attention + i * map);
}

INLINE void pairs_of(const xk_pair_head *h, const float *const *a, int rows, const float *b,
                     float *scores, float *cosine, float *attention, const int blocks, const int paired)
{
    const ptrdiff_t cells = (ptrdiff_t)h->height * h->width, map = cells * VL;
    for (int k = 0; k < blocks; k++)
        attend_all(h, a, rows, b + k * cells * (h->depth + h->channels + 1) * VL,
                   attention + k * rows * map, paired);
    for (int s = 0; s < blocks * rows; s++)
        v_store(scores + s * VL, v_zero());
    int i = 0;
    for (; i + WEIGH_ROWS <= rows && !paired; i += WEIGH_ROWS)
        weigh(h, a + i, b, rows, scores + i * VL, cosine ? cosine + i * map : NULL, attention + i * map,
              WEIGH_ROWS, 1, blocks, paired);
    for (; i < rows; i++)
        weigh(h, a + i, b, rows, scores + i * VL, cosine ? cosine + i * map : NULL, attention + i * map,
              1, WEIGH_CELLS, blocks, paired);
}

TARGET static void NAMED(pairs_f32)(const xk_pair_head *h, const float *const *a, int rows, int a_stride,
                         const float *b, int blocks, float *scores, float *cosine, float *attention)
{
    if (a_stride > 1)
        pairs_of(h, a, rows, b, scores, cosine, attention, 1, 1);
    else if (blocks > 1)
        pairs_of(h, a, rows, b, scores, cosine, attention, XK_PAIR_BLOCKS, 0);
    else
        pairs_of(h, a, rows, b, scores, cosine, attention, 1, 0);
}
