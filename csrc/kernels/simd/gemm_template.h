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
 * registers, and another for pixels at equal distances: where there are too many for a register
 * each, every third one's address and the processor's own arithmetic reach them.  Weights are padded to full panels, so that channel tails only
 * concern what is read from the residual and stored.  Each sum runs over taps, then depth, whatever
 * m and n are: a pixel's result does not depend on the tile that it falls into.
 */

enum {
    NV = NR / VL,
    UNROLL = 4,
    THIRDS = MR > 6,
    AHEAD = 2048 /* floats between the weights in use and those being fetched: some 200 ns, so
                    that weights may come from memory */
};

/* Where the pixels of a tile are: k floats behind addresses of their own; or at those of every
 * third, and one or two steps (bytes) behind these. */
typedef struct {
    const char *at[MR];
    ptrdiff_t step, k;
} gemm_pixels;

INLINE const float *gemm_pixel(const gemm_pixels *p, const int thirds, const int i)
{
    if (!thirds)
        return (const float *)p->at[i] + p->k;
    return (const float *)(i % 3 == 0   ? p->at[i / 3]
                           : i % 3 == 1 ? p->at[i / 3] + p->step
                                        : p->at[i / 3] + 2 * p->step);
}

INLINE void gemm_advance(gemm_pixels *p, const int thirds, const int m, const int floats)
{
    if (!thirds)
        p->k += floats;
    else
        UNROLL_LOOP
        for (int j = 0; j < (m + 2) / 3; j++) {
            p->at[j] += floats * (ptrdiff_t)sizeof(float);
            HIDDEN(p->at[j]);
        }
}

/* UNROLL steps of depth. */
INLINE void gemm_steps(const int m, const int nv, const gemm_pixels *p, const int thirds, const float *w,
                       vf sum[MR][NV])
{
#if defined(OPERANDS_IN_MEMORY)
    UNROLL_LOOP
    for (int i = 0; i < m; i++) {
        const vf pixels = v_load(gemm_pixel(p, thirds, i));
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
        pixels[i] = v_load(gemm_pixel(p, thirds, i));
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
            const vf pixel = v_set1(gemm_pixel(p, thirds, i)[u]);
            UNROLL_LOOP
            for (int v = 0; v < nv; v++)
                sum[i][v] = v_fma(pixel, weight[v], sum[i][v]);
        }
    }
#endif
}

/* What tiles of one line, or one tile, have in common. */
typedef struct {
    int n, depth, taps;
    const float *const *a; /* of a tile: all addresses; of a line: of each tap's first pixel */
    ptrdiff_t step;        /* floats from pixel to pixel of a line */
    const float *w;
    float *y;
    ptrdiff_t ldy;
    const xk_epilogue *e;
} gemm_job;

/* m pixels from `first` on.  y = act(sum + ...): the sums start from bias + residual, the activation
 * comes at the end. */
INLINE void gemm_tile(const gemm_job *job, const int in_line, const int m, const int nv, int64_t first,
                      const float *next)
{
    const xk_epilogue *e = job->e;
    const int thirds = in_line && THIRDS;
    const int last = job->n - (nv - 1) * VL;
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
            const float *r = e->residual + (first + i) * e->residual_col;
            UNROLL_LOOP
            for (int v = 0; v < nv - 1; v++)
                sum[i][v] += v_load(r + v * VL);
            sum[i][nv - 1] += v_load_first(r + (nv - 1) * VL, mask, last);
        }

    const float *w = job->w, *soon = next ? next : w + AHEAD;
    const ptrdiff_t pace = next ? XK_LINE : NR;
    for (int t = 0; t < job->taps; t++) {
        gemm_pixels p = {.step = job->step * (ptrdiff_t)sizeof(float)};
        if (thirds) {
            p.at[0] = (const char *)(job->a[t] + first * job->step);
            UNROLL_LOOP
            for (int j = 1; j < (m + 2) / 3; j++) {
                p.at[j] = p.at[j - 1] + 3 * p.step;
                HIDDEN(p.at[j]);
            }
        } else
            UNROLL_LOOP
            for (int i = 0; i < m; i++)
                p.at[i] = (const char *)(in_line ? job->a[t] + (first + i) * job->step : job->a[t * m + i]);
        int k = job->depth;
        for (; k >= UNROLL; k -= UNROLL, w += UNROLL * NR) {
            UNROLL_LOOP
            for (int u = 0; u < UNROLL; u++, soon += pace)
                UNROLL_LOOP
                for (int line = 0; line < nv * VL; line += XK_LINE)
                    __builtin_prefetch(soon + line);
            gemm_steps(m, nv, &p, thirds, w, sum);
            gemm_advance(&p, thirds, m, UNROLL);
        }
        for (; k > 0; k--, w += NR) {
            UNROLL_LOOP
            for (int i = 0; i < m; i++) {
                vf pixel = v_set1(*gemm_pixel(&p, thirds, i));
                UNROLL_LOOP
                for (int v = 0; v < nv; v++)
                    sum[i][v] = v_fma(pixel, v_load(w + v * VL), sum[i][v]);
            }
            gemm_advance(&p, thirds, m, 1);
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
    float *y = job->y + first * job->ldy;
    UNROLL_LOOP
    for (int i = 0; i < m; i++, y += job->ldy) {
        HIDDEN(y);
        UNROLL_LOOP
        for (int v = 0; v < nv - 1; v++)
            v_store(y + v * VL, sum[i][v]);
        v_store_first(y + (nv - 1) * VL, sum[i][nv - 1], mask, last);
    }
}

/* Tiles `from` .. `to` of `tiles`, each of m pixels, the first of which is `first`. */
INLINE void gemm_tiles(const gemm_job *job, const int in_line, const int m, const int nv, int64_t first,
                       int64_t from, int64_t to, int64_t tiles, const float *next)
{
    const ptrdiff_t steps = (ptrdiff_t)job->taps * job->depth;
    for (; from < to; from++, first += m)
        gemm_tile(job, in_line, m, nv, first, in_line ? xk_next_panel(NR, from, tiles, steps, next) : next);
}

/* gemm_f32_6x16_avx2, gemm_line_f32_6x16_avx2 and so on. */
#define GEMM_NAME_(kind, m, n) kind##_f32_##m##x##n
#define GEMM_NAME(kind, m, n) GEMM_NAME_(kind, m, n)
#define GEMM(kind, m) NAMED(GEMM_NAME(kind, m, NR))

#define GEMM_KIND(kind, in_line, m)                                                                \
    TARGET static void GEMM(kind, m)(const gemm_job *job, int64_t first, int64_t from, int64_t to, \
                                     int64_t tiles, const float *next)                             \
    {                                                                                              \
        if (NV > 3 && job->n > 3 * VL)                                                             \
            gemm_tiles(job, in_line, m, NV > 3 ? 4 : NV, first, from, to, tiles, next);            \
        else if (NV > 2 && job->n > 2 * VL)                                                        \
            gemm_tiles(job, in_line, m, NV > 2 ? 3 : NV, first, from, to, tiles, next);            \
        else if (job->n > VL)                                                                      \
            gemm_tiles(job, in_line, m, 2, first, from, to, tiles, next);                          \
        else                                                                                       \
            gemm_tiles(job, in_line, m, 1, first, from, to, tiles, next);                          \
    }
#define GEMM_ROWS(m)                                                                               \
    GEMM_KIND(gemm, 0, m)                                                                          \
    GEMM_KIND(gemm_line, 1, m)
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
#undef GEMM_KIND

typedef void gemm_rows(const gemm_job *job, int64_t first, int64_t from, int64_t to, int64_t tiles,
                       const float *next);

#if MR >= 14
#define GEMM_FROM_7(kind) , GEMM(kind, 7), GEMM(kind, 8), GEMM(kind, 9), GEMM(kind, 10), \
                            GEMM(kind, 11), GEMM(kind, 12), GEMM(kind, 13), GEMM(kind, 14)
#else
#define GEMM_FROM_7(kind)
#endif
#if MR >= 6
#define GEMM_FROM_4(kind) , GEMM(kind, 4), GEMM(kind, 5), GEMM(kind, 6) GEMM_FROM_7(kind)
#else
#define GEMM_FROM_4(kind)
#endif
#define GEMM_TABLE(kind) {GEMM(kind, 1), GEMM(kind, 2), GEMM(kind, 3) GEMM_FROM_4(kind)}

static void NAMED(gemm_f32)(int m, int n, int depth, int taps, const float *const *a,
                            const float *w, const float *next, float *y, ptrdiff_t ldy,
                            const xk_epilogue *e)
{
    static gemm_rows *const rows[] = GEMM_TABLE(gemm);
    const gemm_job job = {n, depth, taps, a, 0, w, y, ldy, e};
    rows[m - 1](&job, 0, 0, 1, 1, next);
}

/* In tiles that share the pixels evenly: of one size, and before them of one pixel more. */
static void NAMED(gemm_line_f32)(int64_t count, int n, int depth, int taps, const float *const *lines,
                                 ptrdiff_t step, const float *w, const float *next, float *y,
                                 ptrdiff_t ldy, const xk_epilogue *e)
{
    static gemm_rows *const rows[] = GEMM_TABLE(gemm_line);
    const gemm_job job = {n, depth, taps, lines, step, w, y, ldy, e};
    const int64_t tiles = (count + MR - 1) / MR, size = count / tiles, larger = count % tiles;
    if (larger)
        rows[size](&job, 0, 0, larger, tiles, next);
    rows[size - 1](&job, larger * (size + 1), larger, tiles, tiles, next);
}
