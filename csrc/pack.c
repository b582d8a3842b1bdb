/* pack.c: weights in the order in which the kernels read them.  Runs once, at load. */
#include "kernels.h"

#include <float.h>
#include <math.h>

static float flushed(double x)
{
    return fabs(x) < FLT_MIN ? 0.0f : (float)x;
}

void xk_pack_panels(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth,
                    int nr, float *packed)
{
    for (int first = 0; first < outputs; first += nr) {
        int n = outputs - first < nr ? outputs - first : nr;
        for (int k = 0; k < depth; k++, packed += nr) {
            const float *column = w + first * ld_out + k * ld_depth;
            for (int j = 0; j < n; j++)
                packed[j] = flushed(column[j * ld_out]);
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
 * F(4x4): points 0, +-a, +-1/a and infinity with a = 1/sqrt(2).  The usual 0, +-1, +-2 lose
 * two to five times more accuracy, because their powers spread from 1 to 32. */
static void wino4_line(const double g[3], double u[6])
{
    const double a = 0.70710678118654752440, b = 1.41421356237309504880;
    u[0] = g[0];
    u[1] = (g[0] + 0.5 * g[2] + a * g[1]) * (-1.0 / 1.5);
    u[2] = (g[0] + 0.5 * g[2] - a * g[1]) * (-1.0 / 1.5);
    u[3] = (g[0] + 2.0 * g[2] + b * g[1]) * (1.0 / 6.0);
    u[4] = (g[0] + 2.0 * g[2] - b * g[1]) * (1.0 / 6.0);
    u[5] = g[2];
}

/* F(2x2): points 0, +-1 and infinity. */
static void wino2_line(const double g[3], double u[4])
{
    u[0] = g[0];
    u[1] = 0.5 * (g[0] + g[2] + g[1]);
    u[2] = 0.5 * (g[0] + g[2] - g[1]);
    u[3] = g[2];
}

/* u = G g G^T: columns first, then rows. */
static void wino_weight(int size, void (*line)(const double *, double *), const float g[9],
                        float *u)
{
    double columns[3][6], in[3], out[6];
    for (int s = 0; s < 3; s++) {
        for (int r = 0; r < 3; r++)
            in[r] = g[r * 3 + s];
        line(in, columns[s]);
    }
    for (int r = 0; r < size; r++) {
        for (int s = 0; s < 3; s++)
            in[s] = columns[s][r];
        line(in, out);
        for (int s = 0; s < size; s++)
            u[r * size + s] = flushed(out[s]);
    }
}

void xk_wino4_weight(const float g[9], float u[36])
{
    wino_weight(6, wino4_line, g, u);
}

void xk_wino2_weight(const float g[9], float u[16])
{
    wino_weight(4, wino2_line, g, u);
}
