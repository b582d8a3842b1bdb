/* gemm_template.h: the tile of a convolution as a matrix product.
 *
 * The includer gives the vector operations, and a full tile's MR pixels and NR channels, NV vectors of them.
 * MR*NV sums and what they are made of must fit the registers.  With AVX that is NV vectors of weights
 * and one pixel, which comes out of memory in all lanes: 14 x 2 of 32, 6 x 2 of 16.  Where a vector has
 * four lanes (VL == UNROLL) a row's next four pixels come in one.  Arm's multiply-adds take a lane of
 * it: 6 x 4 sums, 6 rows and the weights, of 32.  SSE2 multiplies and adds apart, and its products
 * overwrite an operand; there weights are operands in memory, and one pixel and one product are beside
 * the sums: 3 x 4 of 16.
 *
 * Every number of rows 1..MR has its own copy of the code, in which the sums stay in
 * registers.  Weights are padded to full panels, so that channel tails only concern what
 * is read from the residual and stored.  Each sum runs over taps, then depth, whatever m
 * and n are: a pixel's result does not depend on the tile that it falls into.
 */

enum {
    NV = NR / VL,
    UNROLL = 4,
    AHEAD = 2048 /* floats between the weights in use and those being fetched: some 200 ns, so
                    that weights may come from memory */
};

/* UNROLL steps of depth, from k on. */
INLINE void gemm_steps(const int m, const int nv, const float *const *row, ptrdiff_t k, const float *w,
                       vf sum[MR][NV])
{
#if defined(OPERANDS_IN_MEMORY)
    UNROLL_LOOP
    for (int i = 0; i < m; i++) {
        const vf pixels = v_load(row[i] + k);
        UNROLL_LOOP
        for (int u = 0; u < UNROLL; u++) {
            vf pixel = v_lane(pixels, u);
            KEPT(pixel);
            UNROLL_LOOP
            for (int v = 0; v < nv; v++)
                sum[i][v] = v_fma(pixel, v_load_aligned(w + u * NR + v * VL), sum[i][v]);
        }
    }
#elif VL == 4
    vf pixels[MR];
    UNROLL_LOOP
    for (int i = 0; i < m; i++)
        pixels[i] = v_load(row[i] + k);
    UNROLL_LOOP
    for (int u = 0; u < UNROLL; u++)
        UNROLL_LOOP
        for (int v = 0; v < nv; v++) {
            vf weight = v_load(w + u * NR + v * VL);
            KEPT(weight);
            UNROLL_LOOP
            for (int i = 0; i < m; i++)
                sum[i][v] = v_fma(v_lane(pixels[i], u), weight, sum[i][v]);
        }
#else
    UNROLL_LOOP
    for (int u = 0; u < UNROLL; u++) {
        vf weight[NV];
        UNROLL_LOOP
        for (int v = 0; v < nv; v++)
            weight[v] = v_load(w + u * NR + v * VL);
        UNROLL_LOOP
        for (int i = 0; i < m; i++) {
            const vf pixel = v_set1(row[i][k + u]);
            UNROLL_LOOP
            for (int v = 0; v < nv; v++)
                sum[i][v] = v_fma(pixel, weight[v], sum[i][v]);
        }
    }
#endif
}

/* y = act(sum + ...): the sums start from bias + residual, the activation comes at the end. */
INLINE void gemm_tile(const int m, const int nv, int n, int depth, int taps, const float *const *a,
                      const float *w, const float *next, float *y, ptrdiff_t ldy,
                      const xk_epilogue *e)
{
    const int last = n - (nv - 1) * VL;
    const vmask mask = v_first(last);
    vf sum[MR][NV];

    UNROLL_LOOP
    for (int v = 0; v < nv; v++) {
        vf bias = e->bias ? v_load(e->bias + v * VL) : v_zero();
        UNROLL_LOOP
        for (int i = 0; i < m; i++)
            sum[i][v] = bias;
    }
    if (e->residual)
        UNROLL_LOOP
        for (int i = 0; i < m; i++) {
            const float *r = e->residual + i * e->residual_col;
            UNROLL_LOOP
            for (int v = 0; v < nv - 1; v++)
                sum[i][v] += v_load(r + v * VL);
            sum[i][nv - 1] += v_load_first(r + (nv - 1) * VL, mask, last);
        }

    const float *soon = next ? next : w + AHEAD;
    const ptrdiff_t pace = next ? XK_LINE : NR;
    for (int t = 0; t < taps; t++, a += m) {
        const float *row[MR];
        UNROLL_LOOP
        for (int i = 0; i < m; i++)
            row[i] = a[i];
        ptrdiff_t k = 0;
        for (; k + UNROLL <= depth; k += UNROLL, w += UNROLL * NR) {
            UNROLL_LOOP
            for (int u = 0; u < UNROLL; u++, soon += pace)
                UNROLL_LOOP
                for (int line = 0; line < nv * VL; line += XK_LINE)
                    __builtin_prefetch(soon + line);
            gemm_steps(m, nv, row, k, w, sum);
        }
        for (; k < depth; k++, w += NR) {
            UNROLL_LOOP
            for (int i = 0; i < m; i++) {
                vf pixel = v_set1(row[i][k]);
                UNROLL_LOOP
                for (int v = 0; v < nv; v++)
                    sum[i][v] = v_fma(pixel, v_load(w + v * VL), sum[i][v]);
            }
        }
    }

    if (e->activation != XK_NONE) {
        UNROLL_LOOP
        for (int v = 0; v < nv; v++) {
            if (e->activation == XK_PRELU) {
                vf slope = v_load(e->slope + v * VL);
                UNROLL_LOOP
                for (int i = 0; i < m; i++)
                    sum[i][v] = v_prelu(sum[i][v], slope);
            } else {
                vf lo = v_set1(e->lo), hi = v_set1(e->hi);
                UNROLL_LOOP
                for (int i = 0; i < m; i++)
                    sum[i][v] = v_clip(sum[i][v], lo, hi);
            }
        }
    }
    UNROLL_LOOP
    for (int i = 0; i < m; i++, y += ldy) {
        UNROLL_LOOP
        for (int v = 0; v < nv - 1; v++)
            v_store(y + v * VL, sum[i][v]);
        v_store_first(y + (nv - 1) * VL, sum[i][nv - 1], mask, last);
    }
}

/* gemm_f32_6x16_avx2 and so on. */
#define GEMM_NAME_(m, n) gemm_f32_##m##x##n
#define GEMM_NAME(m, n) GEMM_NAME_(m, n)
#define GEMM(m) NAMED(GEMM_NAME(m, NR))

#define GEMM_ROWS(m)                                                                               \
    TARGET static void GEMM(m)(int n, int depth, int taps, const float *const *a, const float *w, \
                                const float *next, float *y, ptrdiff_t ldy,                        \
                                const xk_epilogue *e)                                              \
    {                                                                                              \
        if (NV > 3 && n > 3 * VL)                                                                  \
            gemm_tile(m, NV > 3 ? 4 : NV, n, depth, taps, a, w, next, y, ldy, e);                  \
        else if (NV > 2 && n > 2 * VL)                                                             \
            gemm_tile(m, NV > 2 ? 3 : NV, n, depth, taps, a, w, next, y, ldy, e);                  \
        else if (n > VL)                                                                           \
            gemm_tile(m, 2, n, depth, taps, a, w, next, y, ldy, e);                                \
        else                                                                                       \
            gemm_tile(m, 1, n, depth, taps, a, w, next, y, ldy, e);                                \
    }
GEMM_ROWS(1)
GEMM_ROWS(2)
GEMM_ROWS(3)
#if MR >= 6
GEMM_ROWS(4)
GEMM_ROWS(5)
GEMM_ROWS(6)
#endif
#if MR >= 14
GEMM_ROWS(7)
GEMM_ROWS(8)
GEMM_ROWS(9)
GEMM_ROWS(10)
GEMM_ROWS(11)
GEMM_ROWS(12)
GEMM_ROWS(13)
GEMM_ROWS(14)
#endif
#undef GEMM_ROWS

static void NAMED(gemm_f32)(int m, int n, int depth, int taps, const float *const *a,
                            const float *w, const float *next, float *y, ptrdiff_t ldy,
                            const xk_epilogue *e)
{
    static void (*const rows[])(int, int, int, const float *const *, const float *,
                                const float *, float *, ptrdiff_t, const xk_epilogue *) = {
        GEMM(1), GEMM(2), GEMM(3),
#if MR >= 6
        GEMM(4), GEMM(5), GEMM(6),
#endif
#if MR >= 14
        GEMM(7), GEMM(8), GEMM(9), GEMM(10), GEMM(11), GEMM(12), GEMM(13), GEMM(14),
#endif
    };
    rows[m - 1](n, depth, taps, a, w, next, y, ldy, e);
}
