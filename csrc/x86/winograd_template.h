/* winograd_template.h: input and output transforms of Winograd F(4x4, 3x3) and F(2x2, 3x3).
 *
 * Vectors run along channels.  ../pack.c names the interpolation points.  The points come
 * in pairs +-p, so that a polynomial's even and odd parts serve both; the transforms work
 * through the pairs one after the other: only two rows of intermediate values are alive at
 * a time, which fits 16 registers, and nothing goes through memory between the two
 * dimensions.  The price, reading a pixel up to three times, is paid in L1 loads, of which
 * there are plenty.
 */

/* ---- one dimension of F(4, 3): pairs of results -------------------------------------- */

#define ROOT2 1.41421356237309504880f
#define ROOT_HALF 0.70710678118654752440f

typedef struct {
    vf first, second;
} vpair;

/* Results 1 and 2, from elements 1 to 4 (points +-1/sqrt2). */
INLINE vpair wino4_in_12(vf d1, vf d2, vf d3, vf d4)
{
    vf even = v_fnma(v_set1(2.0f), d2, d4), odd = v_fnma(v_set1(2.0f), d1, d3);
    return (vpair){v_fma(v_set1(ROOT_HALF), odd, even), v_fnma(v_set1(ROOT_HALF), odd, even)};
}

/* Results 3 and 4 (points +-sqrt2). */
INLINE vpair wino4_in_34(vf d1, vf d2, vf d3, vf d4)
{
    vf even = v_fnma(v_set1(0.5f), d2, d4), odd = v_fnma(v_set1(0.5f), d1, d3);
    return (vpair){v_fma(v_set1(ROOT2), odd, even), v_fnma(v_set1(ROOT2), odd, even)};
}

/* Result 0 from elements 0, 2, 4 and result 5 from 1, 3, 5 (points 0 and infinity). */
INLINE vf wino4_in_05(vf d0, vf d2, vf d4)
{
    return v_fnma(v_set1(2.5f), d2, d0 + d4);
}

/* Results 0 and 2, the even powers of the points; s and t are the sums over a pair. */
INLINE vpair wino4_out_02(vf m0, vf m1, vf m2, vf m3, vf m4)
{
    vf s = m1 + m2, t = m3 + m4;
    return (vpair){m0 + (s + t), v_fma(v_set1(0.5f), s, t + t)};
}

/* Results 1 and 3, the odd powers. */
INLINE vpair wino4_out_13(vf m1, vf m2, vf m3, vf m4, vf m5)
{
    vf s = v_set1(ROOT_HALF) * (m1 - m2), t = m3 - m4;
    return (vpair){v_fma(v_set1(ROOT2), t, s),
                   v_fma(v_set1(0.5f), s, v_fma(v_set1(2.0f * ROOT2), t, m5))};
}

/* ---- two dimensions -------------------------------------------------------------------- */

/* Transforms a row of six and stores it to six planes. */
INLINE void wino4_in_row(const vf d[6], float *v, ptrdiff_t ldp)
{
    vpair p = wino4_in_12(d[1], d[2], d[3], d[4]), q = wino4_in_34(d[1], d[2], d[3], d[4]);
    v_store(v, wino4_in_05(d[0], d[2], d[4]));
    v_store(v + ldp, p.first);
    v_store(v + 2 * ldp, p.second);
    v_store(v + 3 * ldp, q.first);
    v_store(v + 4 * ldp, q.second);
    v_store(v + 5 * ldp, wino4_in_05(d[1], d[3], d[5]));
}

INLINE void wino4_in_vector(const float *x, ptrdiff_t row, ptrdiff_t col, float *v, ptrdiff_t ldp)
{
    vf first[6], second[6];
#define AT(i, j) v_load(x + (i) * row + (j) * col)
#define ROWS(r0, r1, RESULTS)                                                                      \
    UNROLL_LOOP                                                                                    \
    for (int j = 0; j < 6; j++) {                                                                  \
        vpair p = RESULTS;                                                                         \
        first[j] = p.first;                                                                        \
        second[j] = p.second;                                                                      \
    }                                                                                              \
    wino4_in_row(first, v + (r0) * 6 * ldp, ldp);                                                  \
    wino4_in_row(second, v + (r1) * 6 * ldp, ldp)

    ROWS(0, 5,
         ((vpair){wino4_in_05(AT(0, j), AT(2, j), AT(4, j)),
                  wino4_in_05(AT(1, j), AT(3, j), AT(5, j))}));
    ROWS(1, 2, wino4_in_12(AT(1, j), AT(2, j), AT(3, j), AT(4, j)));
    ROWS(3, 4, wino4_in_34(AT(1, j), AT(2, j), AT(3, j), AT(4, j)));
#undef ROWS
#undef AT
}

INLINE void wino2_in_vector(const float *x, ptrdiff_t row, ptrdiff_t col, float *v, ptrdiff_t ldp)
{
    vf d[4][4];
    UNROLL_LOOP
    for (int j = 0; j < 4; j++) {
        vf d1 = v_load(x + row + j * col), d2 = v_load(x + 2 * row + j * col);
        d[0][j] = v_load(x + j * col) - d2;
        d[1][j] = d1 + d2;
        d[2][j] = d2 - d1;
        d[3][j] = v_load(x + 3 * row + j * col) - d1;
    }
    UNROLL_LOOP
    for (int i = 0; i < 4; i++, v += 4 * ldp) {
        v_store(v, d[i][0] - d[i][2]);
        v_store(v + ldp, d[i][1] + d[i][2]);
        v_store(v + 2 * ldp, d[i][2] - d[i][1]);
        v_store(v + 3 * ldp, d[i][3] - d[i][1]);
    }
}

/* Copies n channels, from c on, of the valid pixels, scaled and shifted. */
INLINE void wino_collect(const float *x, ptrdiff_t row, ptrdiff_t col, int r0, int r1, int c0,
                         int c1, int c, int n, const float *scale, const float *shift,
                         float *pixels, const int size)
{
    const vmask mask = v_first(n);
    const vf a = scale ? v_load_first(scale + c, mask, n) : v_set1(1.0f);
    const vf b = scale ? v_load_first(shift + c, mask, n) : v_zero();
    for (int i = r0; i < r1; i++)
        for (int j = c0; j < c1; j++) {
            vf value = v_load_first(x + i * row + j * col + c, mask, n);
            v_store(pixels + (i * size + j) * VL, v_fma(value, a, b));
        }
}

/* The transform of an input tile, `size` pixels wide.  Whole vectors of a tile inside the
 * map are read where they lie; others are first collected between zeros. */
#define WINO_INPUT(tile, size)                                                                     \
    TARGET static void wino##tile##_input(const float *x, ptrdiff_t row, ptrdiff_t col, int r0,    \
                                          int r1, int c0, int c1, int channels,                    \
                                          const float *scale, const float *shift, float *v,        \
                                          ptrdiff_t ldp)                                           \
    {                                                                                              \
        float pixels[size * size * VL] __attribute__((aligned(64)));                               \
        const int inside = r0 == 0 && c0 == 0 && r1 == size && c1 == size;                         \
        int c = 0;                                                                                 \
        if (inside && !scale)                                                                      \
            for (; c + VL <= channels; c += VL)                                                    \
                wino##tile##_in_vector(x + c, row, col, v + c, ldp);                               \
        if (c < channels && !inside)                                                               \
            memset(pixels, 0, sizeof pixels);                                                      \
        for (; c + VL <= channels; c += VL) {                                                      \
            wino_collect(x, row, col, r0, r1, c0, c1, c, VL, scale, shift, pixels, size);          \
            wino##tile##_in_vector(pixels, size * VL, VL, v + c, ldp);                             \
        }                                                                                          \
        if (c < channels) {                                                                        \
            float planes[size * size * VL] __attribute__((aligned(64)));                           \
            const int n = channels - c;                                                            \
            wino_collect(x, row, col, r0, r1, c0, c1, c, n, scale, shift, pixels, size);           \
            wino##tile##_in_vector(pixels, size * VL, VL, planes, VL);                             \
            for (int p = 0; p < size * size; p++)                                                  \
                v_store_first(v + p * ldp + c, v_load(planes + p * VL), v_first(n), n);            \
        }                                                                                          \
    }

WINO_INPUT(4, 6)
WINO_INPUT(2, 4)
#undef WINO_INPUT

/* ---- output -------------------------------------------------------------------------- */

/* Where an output tile goes, and what happens on the way. */
typedef struct {
    float *y;
    const float *residual;
    ptrdiff_t row, col, residual_row, residual_col;
    int rows, cols, n; /* pixels and channels that exist */
    vmask mask;        /* of the channels */
    vf bias, slope, lo, hi;
} wino_target;

INLINE void wino_put(const wino_target *t, int i, int j, vf x, const int residual,
                     const xk_activation activation)
{
    if (i >= t->rows || j >= t->cols)
        return;
    x += t->bias;
    if (residual)
        x += v_load_first(t->residual + i * t->residual_row + j * t->residual_col, t->mask, t->n);
    if (activation == XK_PRELU)
        x = v_prelu(x, t->slope);
    else if (activation == XK_CLIP)
        x = v_clip(x, t->lo, t->hi);
    v_store_first(t->y + i * t->row + j * t->col, x, t->mask, t->n);
}

INLINE void wino4_out_row(const vf m[6], const wino_target *t, int i, const int residual,
                          const xk_activation activation)
{
    vpair even = wino4_out_02(m[0], m[1], m[2], m[3], m[4]);
    vpair odd = wino4_out_13(m[1], m[2], m[3], m[4], m[5]);
    wino_put(t, i, 0, even.first, residual, activation);
    wino_put(t, i, 1, odd.first, residual, activation);
    wino_put(t, i, 2, even.second, residual, activation);
    wino_put(t, i, 3, odd.second, residual, activation);
}

INLINE void wino4_out_vector(const float *m, ptrdiff_t ldp, const wino_target *t,
                             const int residual, const xk_activation activation)
{
    vf first[6], second[6];
#define AT(i) v_load(m + ((i) * 6 + j) * ldp)
    UNROLL_LOOP
    for (int j = 0; j < 6; j++) {
        vpair p = wino4_out_02(AT(0), AT(1), AT(2), AT(3), AT(4));
        first[j] = p.first;
        second[j] = p.second;
    }
    wino4_out_row(first, t, 0, residual, activation);
    wino4_out_row(second, t, 2, residual, activation);
    UNROLL_LOOP
    for (int j = 0; j < 6; j++) {
        vpair p = wino4_out_13(AT(1), AT(2), AT(3), AT(4), AT(5));
        first[j] = p.first;
        second[j] = p.second;
    }
    wino4_out_row(first, t, 1, residual, activation);
    wino4_out_row(second, t, 3, residual, activation);
#undef AT
}

INLINE void wino2_out_vector(const float *m, ptrdiff_t ldp, const wino_target *t,
                             const int residual, const xk_activation activation)
{
    vf first[4], second[4];
    UNROLL_LOOP
    for (int j = 0; j < 4; j++) {
        vf m1 = v_load(m + (4 + j) * ldp), m2 = v_load(m + (8 + j) * ldp);
        first[j] = v_load(m + j * ldp) + (m1 + m2);
        second[j] = (m1 - m2) + v_load(m + (12 + j) * ldp);
    }
    wino_put(t, 0, 0, first[0] + (first[1] + first[2]), residual, activation);
    wino_put(t, 0, 1, (first[1] - first[2]) + first[3], residual, activation);
    wino_put(t, 1, 0, second[0] + (second[1] + second[2]), residual, activation);
    wino_put(t, 1, 1, (second[1] - second[2]) + second[3], residual, activation);
}

/* The loop over channels; one copy for each kind of epilogue. */
#define WINO_OUTPUT(tile, size)                                                                    \
    INLINE void wino##tile##_out(const float *m, ptrdiff_t ldp, int channels, wino_target *t,      \
                                 const xk_epilogue *e, const int residual,                         \
                                 const xk_activation activation)                                   \
    {                                                                                              \
        for (int c = 0; c < channels; c += VL) {                                                   \
            float planes[size * size * VL] __attribute__((aligned(64)));                           \
            const float *in = m + c;                                                               \
            ptrdiff_t stride = ldp;                                                                \
            if (channels - c < VL) {                                                               \
                t->n = channels - c;                                                               \
                t->mask = v_first(t->n);                                                           \
                for (int p = 0; p < size * size; p++)                                              \
                    v_store(planes + p * VL, v_load_first(in + p * ldp, t->mask, t->n));           \
                in = planes;                                                                       \
                stride = VL;                                                                       \
            }                                                                                      \
            t->bias = e->bias ? v_load(e->bias + c) : v_zero();                                    \
            t->slope = activation == XK_PRELU ? v_load(e->slope + c) : v_zero();                   \
            wino##tile##_out_vector(in, stride, t, residual, activation);                          \
            t->y += VL;                                                                            \
            if (residual)                                                                          \
                t->residual += VL;                                                                 \
        }                                                                                          \
    }                                                                                              \
    TARGET static void wino##tile##_output(const float *m, ptrdiff_t ldp, int channels, float *y,  \
                                           ptrdiff_t row, ptrdiff_t col, int rows, int cols,       \
                                           const xk_epilogue *e)                                   \
    {                                                                                              \
        wino_target t = {y,    e->residual, row, col,          e->residual_row, e->residual_col,   \
                         rows, cols,        VL,  v_first(VL),  v_zero(),        v_zero(),          \
                         v_set1(e->lo),     v_set1(e->hi)};                                        \
        if (e->activation == XK_PRELU && e->residual)                                              \
            wino##tile##_out(m, ldp, channels, &t, e, 1, XK_PRELU);                                \
        else if (e->activation == XK_PRELU)                                                        \
            wino##tile##_out(m, ldp, channels, &t, e, 0, XK_PRELU);                                \
        else if (e->activation == XK_CLIP && e->residual)                                          \
            wino##tile##_out(m, ldp, channels, &t, e, 1, XK_CLIP);                                 \
        else if (e->activation == XK_CLIP)                                                         \
            wino##tile##_out(m, ldp, channels, &t, e, 0, XK_CLIP);                                 \
        else if (e->residual)                                                                      \
            wino##tile##_out(m, ldp, channels, &t, e, 1, XK_NONE);                                 \
        else                                                                                       \
            wino##tile##_out(m, ldp, channels, &t, e, 0, XK_NONE);                                 \
    }
WINO_OUTPUT(4, 6)
WINO_OUTPUT(2, 4)
#undef WINO_OUTPUT
