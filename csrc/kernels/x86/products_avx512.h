/* products_avx512.h: the tile of products.h, for a processor that multiplies words of WORD neighbours:
 * vector of sums SUM, v_dot(sum, word of a row, words of the weights). */

enum { MR = 14, NR = 2 * VL, UNROLL = 4, AHEAD = 16 /* words between weights in use and those being fetched */ };

/* `count` words of m rows, whose row i is at row[i/3] + (i%3)*ld: the processor's address arithmetic
 * reaches three rows from one pointer. */
INLINE void products_steps(const int m, const int count, const char *const *row, ptrdiff_t ld, ptrdiff_t k,
                           const uint32_t *w, vsum sum[MR][2])
{
    UNROLL_LOOP
    for (int u = 0; u < count; u++) {
        __m512i w0 = _mm512_load_si512(w + u * NR), w1 = _mm512_load_si512(w + u * NR + VL);
        KEPT(w0);
        KEPT(w1);
        UNROLL_LOOP
        for (int i = 0; i < m; i++) {
            int32_t word;
            memcpy(&word, row[i / 3] + i % 3 * ld + 4 * (k + u), sizeof word);
            __m512i pixel = _mm512_set1_epi32(word);
            KEPT(pixel);
            sum[i][0] = v_dot(sum[i][0], pixel, w0);
            sum[i][1] = v_dot(sum[i][1], pixel, w1);
            KEPT(sum[i][0]);
            KEPT(sum[i][1]);
        }
    }
}

INLINE void products_tile(const int m, int n, int words, const char *rows, ptrdiff_t ld, const float *scale,
                          const uint32_t *w, float *y, ptrdiff_t ldy, const xk_epilogue *e)
{
    const vmask mask[2] = {v_first(n < VL ? n : VL), n > VL ? v_first(n - VL) : 0};
    vsum sum[MR][2];
    const char *row[(MR + 2) / 3];
    UNROLL_LOOP
    for (int i = 0; i < m; i += 3)
        row[i / 3] = rows + i * ld;
    UNROLL_LOOP
    for (int v = 0; v < 2; v++) {
        const vsum first = v_first_sum(w + v * VL);
        UNROLL_LOOP
        for (int i = 0; i < m; i++)
            sum[i][v] = first;
    }
    const uint32_t *head = w;
    w += HEAD * NR;
    int k = 0;
    for (; k + UNROLL <= words; k += UNROLL, w += UNROLL * NR) {
        UNROLL_LOOP
        for (int u = 0; u < 2 * UNROLL; u++)
            __builtin_prefetch(w + AHEAD * NR + u * VL);
        products_steps(m, UNROLL, row, ld, k, w, sum);
    }
    for (; k < words; k++, w += NR)
        products_steps(m, 1, row, ld, k, w, sum);

    UNROLL_LOOP
    for (int v = 0; v < 2; v++) {
        const vf bias = e->bias ? v_load(e->bias + v * VL) : v_zero();
        const vf slope = e->activation == XK_PRELU ? v_load(e->slope + v * VL) : v_zero();
        const vf lo = v_set1(e->lo), hi = v_set1(e->hi);
        UNROLL_LOOP
        for (int i = 0; i < m; i++) {
            vf x = v_float(sum[i][v], scale + i, head + NR + v * VL) + bias;
            if (e->residual)
                x += _mm512_maskz_loadu_ps(mask[v], e->residual + i * e->residual_col + v * VL);
            if (e->activation == XK_PRELU)
                x = v_prelu(x, slope);
            else if (e->activation == XK_CLIP)
                x = v_clip(x, lo, hi);
            _mm512_mask_storeu_ps(y + i * ldy + v * VL, mask[v], x);
        }
    }
}

#define ROWS(m)                                                                                    \
    TARGET static void NAMED(rows_##m)(int n, int words, const char *rows, ptrdiff_t ld,           \
                                       const float *scale, const uint32_t *w, float *y,            \
                                       ptrdiff_t ldy, const xk_epilogue *e)                        \
    {                                                                                              \
        products_tile(m, n, words, rows, ld, scale, w, y, ldy, e);                                 \
    }
ROWS(1)
ROWS(2)
ROWS(3)
ROWS(4)
ROWS(5)
ROWS(6)
ROWS(7)
ROWS(8)
ROWS(9)
ROWS(10)
ROWS(11)
ROWS(12)
ROWS(13)
ROWS(14)
#undef ROWS

static void NAMED(products)(int m, int n, int words, const void *rows, ptrdiff_t ld, const float *scale,
                            const uint32_t *w, float *y, ptrdiff_t ldy, const xk_epilogue *e)
{
    static void (*const tiles[])(int, int, const char *, ptrdiff_t, const float *, const uint32_t *,
                                 float *, ptrdiff_t, const xk_epilogue *) = {
        NAMED(rows_1),  NAMED(rows_2),  NAMED(rows_3),  NAMED(rows_4),  NAMED(rows_5),
        NAMED(rows_6),  NAMED(rows_7),  NAMED(rows_8),  NAMED(rows_9),  NAMED(rows_10),
        NAMED(rows_11), NAMED(rows_12), NAMED(rows_13), NAMED(rows_14),
    };
    tiles[m - 1](n, words, rows, ld, scale, w, y, ldy, e);
}

