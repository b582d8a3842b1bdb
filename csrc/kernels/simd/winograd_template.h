/* winograd_template.h: input and output transforms of Winograd F(4x4, 3x3) and F(2x2, 3x3).
 *
 * Vectors run along channels.  ../pack.c names the interpolation points.  The points come
 * in pairs +-p, so that a polynomial's even and odd parts serve both; the transforms work
 * through the pairs one after the other: only two rows of intermediate values are alive at
 * a time, which fits 16 registers, and nothing goes through memory between the two
 * dimensions.  The price, reading a pixel up to three times, is paid in L1 loads, of which
 * there are plenty.
 */

/* ---- addresses ----------------------------------------------------------------------- */

/* Up to six places at equal distance (bytes), reached from one pointer by the processor's
 * own address arithmetic: p, p + s, p + 2s, p + 3s, p + 4s, p + 5s. */
typedef struct {
    ptrdiff_t one, three, five;
} steps;

/* A function of its own has all registers for itself. */
#define ALONE TARGET static __attribute__((noinline))

INLINE steps steps_of(ptrdiff_t floats)
{
    steps s = {floats * 4, floats * 12, floats * 20};
    HIDDEN(s.one);
    HIDDEN(s.three);
    HIDDEN(s.five);
    return s;
}

INLINE float *step(const float *p, const steps *s, const int i)
{
    char *at = (char *)p;
    return (float *)(i == 0   ? at
                     : i == 1 ? at + s->one
                     : i == 2 ? at + 2 * s->one
                     : i == 3 ? at + s->three
                     : i == 4 ? at + 4 * s->one
                              : at + s->five);
}

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
    odd *= v_set1(ROOT_HALF);
    return (vpair){even + odd, even - odd};
}

/* Results 3 and 4 (points +-sqrt2). */
INLINE vpair wino4_in_34(vf d1, vf d2, vf d3, vf d4)
{
    vf even = v_fnma(v_set1(0.5f), d2, d4), odd = v_fnma(v_set1(0.5f), d1, d3);
    odd *= v_set1(ROOT2);
    return (vpair){even + odd, even - odd};
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
INLINE void wino4_in_row(const vf d[6], float *v, const steps *plane)
{
    HIDDEN(v);
    vpair p = wino4_in_12(d[1], d[2], d[3], d[4]), q = wino4_in_34(d[1], d[2], d[3], d[4]);
    v_store(v, wino4_in_05(d[0], d[2], d[4]));
    v_store(step(v, plane, 1), p.first);
    v_store(step(v, plane, 2), p.second);
    v_store(step(v, plane, 3), q.first);
    v_store(step(v, plane, 4), q.second);
    v_store(step(v, plane, 5), wino4_in_05(d[1], d[3], d[5]));
}

/* Sums of the rows of the input transforms: what a constant 1 becomes. */
#define WINO4_ONE                                                                                  \
    {-0.5f, -1.0f - ROOT_HALF, -1.0f + ROOT_HALF, 0.5f + ROOT_HALF, 0.5f - ROOT_HALF, -0.5f}
#define WINO2_ONE {0.0f, 2.0f, 0.0f, 0.0f}

/* One vector of channels of a tile inside the map.  x*scale + shift is applied between the
 * two dimensions, where it costs least: row r of the first one's results becomes
 * scale*result + shift*one[r]. */
INLINE void wino4_in_vector(const float *x, const steps *row, ptrdiff_t col, float *v,
                            const steps *plane, const int scaled, vf scale, vf shift)
{
    static const float one[6] = WINO4_ONE;
    const ptrdiff_t six_planes = plane->one / 4 * 6;
    vf first[6], second[6];
#define AT(i) v_load(step(p, row, i))
#define ROWS(r0, r1, RESULTS)                                                                      \
    do {                                                                                           \
        const float *p = x;                                                                        \
        const vf shift0 = shift * v_set1(one[r0]), shift1 = shift * v_set1(one[r1]);               \
        UNROLL_LOOP                                                                                \
        for (int j = 0; j < 6; j++, p += col) {                                                    \
            HIDDEN(p);                                                                             \
            vpair results = RESULTS;                                                               \
            first[j] = scaled ? v_fma(results.first, scale, shift0) : results.first;               \
            second[j] = scaled ? v_fma(results.second, scale, shift1) : results.second;            \
        }                                                                                          \
        wino4_in_row(first, v + (r0) * six_planes, plane);                                         \
        wino4_in_row(second, v + (r1) * six_planes, plane);                                        \
    } while (0)

    ROWS(0, 5, ((vpair){wino4_in_05(AT(0), AT(2), AT(4)), wino4_in_05(AT(1), AT(3), AT(5))}));
    ROWS(1, 2, wino4_in_12(AT(1), AT(2), AT(3), AT(4)));
    ROWS(3, 4, wino4_in_34(AT(1), AT(2), AT(3), AT(4)));
#undef ROWS
#undef AT
}

INLINE void wino2_in_vector(const float *x, const steps *row, ptrdiff_t col, float *v,
                            const steps *plane, const int scaled, vf scale, vf shift)
{
    static const float one[4] = WINO2_ONE;
    vf d[4][4];
    UNROLL_LOOP
    for (int j = 0; j < 4; j++, x += col) {
        HIDDEN(x);
        vf d1 = v_load(step(x, row, 1)), d2 = v_load(step(x, row, 2));
        d[0][j] = v_load(x) - d2;
        d[1][j] = d1 + d2;
        d[2][j] = d2 - d1;
        d[3][j] = v_load(step(x, row, 3)) - d1;
    }
    UNROLL_LOOP
    for (int i = 0; i < 4; i++, v = step(v, plane, 4)) {
        HIDDEN(v);
        if (scaled)
            UNROLL_LOOP
            for (int j = 0; j < 4; j++)
                d[i][j] = v_fma(d[i][j], scale, shift * v_set1(one[i]));
        v_store(v, d[i][0] - d[i][2]);
        v_store(step(v, plane, 1), d[i][1] + d[i][2]);
        v_store(step(v, plane, 2), d[i][2] - d[i][1]);
        v_store(step(v, plane, 3), d[i][3] - d[i][1]);
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
    ALONE void wino##tile##_in_vectors(const float *x, ptrdiff_t row, ptrdiff_t col, float *v,     \
                                       ptrdiff_t ldp, int vectors)                                 \
    {                                                                                              \
        const steps rows = steps_of(row), planes = steps_of(ldp);                                  \
        for (; vectors > 0; vectors--, x += VL, v += VL)                                           \
            wino##tile##_in_vector(x, &rows, col, v, &planes, 0, v_zero(), v_zero());              \
    }                                                                                              \
    ALONE void wino##tile##_in_scaled(const float *x, ptrdiff_t row, ptrdiff_t col, float *v,      \
                                      ptrdiff_t ldp, int vectors, const float *scale,              \
                                      const float *shift)                                          \
    {                                                                                              \
        const steps rows = steps_of(row), planes = steps_of(ldp);                                  \
        for (; vectors > 0; vectors--, x += VL, v += VL, scale += VL, shift += VL)                 \
            wino##tile##_in_vector(x, &rows, col, v, &planes, 1, v_load(scale), v_load(shift));    \
    }                                                                                              \
    TARGET static void NAMED(winograd##tile##_input_f32)(const float *x, ptrdiff_t row, ptrdiff_t col, int r0,    \
                                          int r1, int c0, int c1, int channels,                    \
                                          const float *scale, const float *shift, float *v,        \
                                          ptrdiff_t ldp)                                           \
    {                                                                                              \
        float pixels[size * size * VL] __attribute__((aligned(64)));                               \
        const steps own_rows = steps_of(size * VL), planes = steps_of(ldp);                        \
        int c = 0;                                                                                 \
        if (r0 == 0 && c0 == 0 && r1 == size && c1 == size) {                                      \
            if (scale)                                                                             \
                wino##tile##_in_scaled(x, row, col, v, ldp, channels / VL, scale, shift);          \
            else                                                                                   \
                wino##tile##_in_vectors(x, row, col, v, ldp, channels / VL);                       \
            c = channels / VL * VL;                                                                \
        } else                                                                                     \
            memset(pixels, 0, sizeof pixels);                                                      \
        for (; c + VL <= channels; c += VL) {                                                      \
            wino_collect(x, row, col, r0, r1, c0, c1, c, VL, scale, shift, pixels, size);          \
            wino##tile##_in_vector(pixels, &own_rows, VL, v + c, &planes, 0, v_zero(), v_zero());  \
        }                                                                                          \
        if (c < channels) {                                                                        \
            float tail[size * size * VL] __attribute__((aligned(64)));                             \
            const int n = channels - c;                                                            \
            wino_collect(x, row, col, r0, r1, c0, c1, c, n, scale, shift, pixels, size);           \
            wino##tile##_in_vectors(pixels, size * VL, VL, tail, VL, 1);                           \
            for (int p = 0; p < size * size; p++)                                                  \
                v_store_first(v + p * ldp + c, v_load(tail + p * VL), v_first(n), n);              \
        }                                                                                          \
    }

WINO_INPUT(4, 6)
WINO_INPUT(2, 4)
#undef WINO_INPUT

/* ---- output -------------------------------------------------------------------------- */

INLINE void wino4_out_row(const vf m[6], float *tile)
{
    vpair even = wino4_out_02(m[0], m[1], m[2], m[3], m[4]);
    vpair odd = wino4_out_13(m[1], m[2], m[3], m[4], m[5]);
    v_store(tile, even.first);
    v_store(tile + VL, odd.first);
    v_store(tile + 2 * VL, even.second);
    v_store(tile + 3 * VL, odd.second);
}

/* The planes' vectors at m to 4x4 vectors at `tile`. */
INLINE void wino4_out_vector(const float *m, ptrdiff_t ldp, const steps *six_planes, float *tile)
{
    vf first[6], second[6];
    const float *p = m;
#define AT(i) v_load(step(p, six_planes, i))
    UNROLL_LOOP
    for (int j = 0; j < 6; j++, p += ldp) {
        HIDDEN(p);
        vpair results = wino4_out_02(AT(0), AT(1), AT(2), AT(3), AT(4));
        first[j] = results.first;
        second[j] = results.second;
    }
    wino4_out_row(first, tile);
    wino4_out_row(second, tile + 8 * VL);
    p = m;
    UNROLL_LOOP
    for (int j = 0; j < 6; j++, p += ldp) {
        HIDDEN(p);
        vpair results = wino4_out_13(AT(1), AT(2), AT(3), AT(4), AT(5));
        first[j] = results.first;
        second[j] = results.second;
    }
    wino4_out_row(first, tile + 4 * VL);
    wino4_out_row(second, tile + 12 * VL);
#undef AT
}

INLINE void wino2_out_vector(const float *m, ptrdiff_t ldp, const steps *four_planes, float *tile)
{
    vf first[4], second[4];
    UNROLL_LOOP
    for (int j = 0; j < 4; j++, m += ldp) {
        HIDDEN(m);
        vf m1 = v_load(step(m, four_planes, 1)), m2 = v_load(step(m, four_planes, 2));
        first[j] = v_load(m) + (m1 + m2);
        second[j] = (m1 - m2) + v_load(step(m, four_planes, 3));
    }
    v_store(tile, first[0] + (first[1] + first[2]));
    v_store(tile + VL, (first[1] - first[2]) + first[3]);
    v_store(tile + 2 * VL, second[0] + (second[1] + second[2]));
    v_store(tile + 3 * VL, (second[1] - second[2]) + second[3]);
}

/* Where the pixels of an output tile go. */
typedef struct {
    float *y;
    ptrdiff_t row, col;
    int rows, cols;
} wino_target;

/* The epilogue of n channels from c on, for the pixels that exist. */
INLINE void wino_finish(const float *tile, const int size, const wino_target *t, int c, const int n,
                        const xk_epilogue *e, const xk_activation activation)
{
    const vmask mask = v_first(n);
    const vf bias = e->bias ? v_load(e->bias + c) : v_zero();
    const vf slope = activation == XK_PRELU ? v_load(e->slope + c) : v_zero();
    const vf lo = v_set1(e->lo), hi = v_set1(e->hi);
    for (int i = 0; i < t->rows; i++) {
        float *y = t->y + i * t->row + c;
        const float *residual = e->residual ? e->residual + i * e->residual_row + c : NULL;
        for (int j = 0; j < t->cols; j++, y += t->col) {
            vf x = v_load(tile + (i * size + j) * VL) + bias;
            if (residual) {
                x += n == VL ? v_load(residual) : v_load_first(residual, mask, n);
                residual += e->residual_col;
            }
            if (activation == XK_PRELU)
                x = v_prelu(x, slope);
            else if (activation == XK_CLIP)
                x = v_clip(x, lo, hi);
            if (n == VL)
                v_store(y, x);
            else
                v_store_first(y, x, mask, n);
        }
    }
}

TARGET static void wino_finish_any(const float *tile, int size, const wino_target *t, int c, int n,
                                   const xk_epilogue *e)
{
    if (n == VL && e->activation == XK_PRELU)
        wino_finish(tile, size, t, c, VL, e, XK_PRELU);
    else if (n == VL && e->activation == XK_NONE)
        wino_finish(tile, size, t, c, VL, e, XK_NONE);
    else
        wino_finish(tile, size, t, c, n, e, e->activation);
}

#define WINO_OUTPUT(tile, size)                                                                    \
    TARGET static void NAMED(winograd##tile##_output_f32)(const float *m, ptrdiff_t ldp, int channels, float *y,  \
                                           ptrdiff_t row, ptrdiff_t col, int rows, int cols,       \
                                           const xk_epilogue *e)                                   \
    {                                                                                              \
        const wino_target target = {y, row, col, rows, cols};                                      \
        const steps plane_row = steps_of(size * ldp), own_row = steps_of(size * VL);               \
        float pixels[tile * tile * VL] __attribute__((aligned(64)));                               \
        int c = 0;                                                                                 \
        for (; c + VL <= channels; c += VL) {                                                      \
            wino##tile##_out_vector(m + c, ldp, &plane_row, pixels);                               \
            wino_finish_any(pixels, tile, &target, c, VL, e);                                      \
        }                                                                                          \
        if (c < channels) {                                                                        \
            float planes[size * size * VL] __attribute__((aligned(64)));                           \
            const int n = channels - c;                                                            \
            for (int p = 0; p < size * size; p++)                                                  \
                v_store(planes + p * VL, v_load_first(m + p * ldp + c, v_first(n), n));            \
            wino##tile##_out_vector(planes, VL, &own_row, pixels);                                 \
            wino_finish_any(pixels, tile, &target, c, n, e);                                       \
        }                                                                                          \
    }
WINO_OUTPUT(4, 6)
WINO_OUTPUT(2, 4)
#undef WINO_OUTPUT
#undef ALONE
