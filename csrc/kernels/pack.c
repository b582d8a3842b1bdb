/* pack.c: weights in the order in which the kernels read them.  Runs once, at load. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

void xk_pack_panels(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth,
                    int nr, const float *scale, float *packed)
{
    for (int first = 0; first < outputs; first += nr) {
        int n = outputs - first < nr ? outputs - first : nr;
        for (int k = 0; k < depth; k++, packed += nr) {
            const float *column = w + first * ld_out + k * ld_depth;
            for (int j = 0; j < n; j++)
                packed[j] = xk_flushed(scale ? (double)column[j * ld_out] * scale[first + j]
                                             : column[j * ld_out]);
            for (int j = n; j < nr; j++)
                packed[j] = 0.0f;
        }
    }
}

/* Winograd's minimal filtering by the construction of Toom and Cook: the polynomial of
 * the three taps is evaluated at the interpolation points (G below), the polynomial
 * product is read back there.  The divisors of Lagrange's basis, which belong to the input
 * transform, are moved here, where they cost nothing.
 *
 * All lines work on LANES output channels side by side, so that the compiler can use
 * vectors: a network of 40 million weights is packed in a fraction of a second. */
enum { LANES = 16 };
typedef double lanes[LANES];

/* F(4x4): points 0, +-a, +-1/a and infinity with a = 1/sqrt(2).  The usual 0, +-1, +-2 lose
 * two to five times more accuracy, because their powers spread from 1 to 32. */
static void wino4_line(const lanes *g, int step, lanes *u, int to)
{
    const double a = 0.70710678118654752440, b = 1.41421356237309504880;
    for (int j = 0; j < LANES; j++) {
        const double g0 = g[0][j], g1 = g[step][j], g2 = g[2 * step][j];
        u[0][j] = g0;
        u[to][j] = (g0 + 0.5 * g2 + a * g1) * (-1.0 / 1.5);
        u[2 * to][j] = (g0 + 0.5 * g2 - a * g1) * (-1.0 / 1.5);
        u[3 * to][j] = (g0 + 2.0 * g2 + b * g1) * (1.0 / 6.0);
        u[4 * to][j] = (g0 + 2.0 * g2 - b * g1) * (1.0 / 6.0);
        u[5 * to][j] = g2;
    }
}

/* F(2x2): points 0, +-1 and infinity. */
static void wino2_line(const lanes *g, int step, lanes *u, int to)
{
    for (int j = 0; j < LANES; j++) {
        const double g0 = g[0][j], g1 = g[step][j], g2 = g[2 * step][j];
        u[0][j] = g0;
        u[to][j] = 0.5 * (g0 + g2 + g1);
        u[2 * to][j] = 0.5 * (g0 + g2 - g1);
        u[3 * to][j] = g2;
    }
}

static void pack_winograd(int tile, void (*line)(const lanes *, int, lanes *, int), const float *w,
                          ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs, int inputs, int nr,
                          const float *scale, float *packed)
{
    const int size = tile + 2;
    for (int c = 0; c < inputs; c++, packed += nr) {
        for (int first = 0; first < nr; first += LANES) {
            lanes g[9], columns[6 * 3], u[36];
            memset(g, 0, sizeof g);
            for (int j = 0; j < LANES && first + j < outputs; j++) {
                const double factor = scale ? scale[first + j] : 1.0;
                for (int tap = 0; tap < 9; tap++)
                    g[tap][j] = w[(first + j) * ld_out + c * ld_in + tap] * factor;
            }
            for (int s = 0; s < 3; s++) /* u = G g G^T: columns first, then rows */
                line(g + s, 3, columns + s, 3);
            for (int r = 0; r < size; r++)
                line(columns + 3 * r, 1, u + size * r, 1);
            for (int p = 0; p < size * size; p++)
                for (int j = 0; j < LANES && first + j < nr; j++)
                    packed[(ptrdiff_t)p * inputs * nr + first + j] = xk_flushed(u[p][j]);
        }
    }
}

void xk_pack_winograd4(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs, int inputs,
                       int nr, const float *scale, float *packed)
{
    pack_winograd(4, wino4_line, w, ld_out, ld_in, outputs, inputs, nr, scale, packed);
}

void xk_pack_winograd2(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs, int inputs,
                       int nr, const float *scale, float *packed)
{
    pack_winograd(2, wino2_line, w, ld_out, ld_in, outputs, inputs, nr, scale, packed);
}
