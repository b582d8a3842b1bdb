/* depthwise_template.h: one output row of a depthwise convolution.
 *
 * Kernels three wide (stride 1 or 2) go in blocks of up to DW pixels: each column of the
 * input is loaded once per kernel row and serves all pixels of the block that it touches.
 * Channels are the inner loop, so that memory is read in order.  Anything else takes one
 * pixel at a time.  Both sum over kernel rows, then columns: results are the same.
 */

enum {
    DW = 7, /* divides 7, 14, 28, 56, 112, the widths of face networks' maps */
    DW_VECTORS = VL >= 8 ? 4 : 8, /* of channels, in one pass over the taps of a single pixel */
};

/* Activation of `count` vectors of channels from c on, `apart` vectors from each other. */
INLINE void dw_activate(vf *x, const int count, int c, const int apart, const xk_epilogue *e)
{
    if (e->activation == XK_PRELU) {
        UNROLL_LOOP
        for (int i = 0; i < count; i++)
            x[i] = v_prelu(x[i], v_load(e->slope + c + i * apart * VL));
    } else if (e->activation == XK_CLIP) {
        UNROLL_LOOP
        for (int i = 0; i < count; i++)
            x[i] = v_clip(x[i], v_set1(e->lo), v_set1(e->hi));
    }
}

/* What the blocks of a row share. */
typedef struct {
    const float *const *rows;
    const float *w, *residual; /* residual: at the block's first pixel, or NULL */
    const xk_epilogue *e;
    float *y;
    ptrdiff_t ldx, ldw, ldy;
    int kh, channels;
} dw_row;

/* `pixels` output pixels, one vector of channels from c on.  x0: the input column of the
 * block's first tap; left and right say whether the block's first and last column exist. */
INLINE void dw_block_vector(const dw_row *d, const int pixels, const int stride, ptrdiff_t x0,
                            int left, int right, int c, const int whole)
{
    const int n = whole ? VL : d->channels - c;
    const int columns = (pixels - 1) * stride + 3;
    const vmask mask = v_first(n);
    vf sum[DW];
    vf bias = d->e->bias ? v_load(d->e->bias + c) : v_zero();
    UNROLL_LOOP
    for (int i = 0; i < pixels; i++)
        sum[i] = bias;
    if (d->residual) {
        const float *p = d->residual + c;
        UNROLL_LOOP
        for (int i = 0; i < pixels; i++, p += d->e->residual_col) {
            HIDDEN(p);
            sum[i] += whole ? v_load(p) : v_load_first(p, mask, n);
        }
    }
    for (int r = 0; r < d->kh; r++) {
        if (!d->rows[r])
            continue;
        const float *p = d->rows[r] + x0 * d->ldx + c, *w = d->w + r * 3 * d->ldw + c;
        const vf tap[3] = {v_load(w), v_load(w + d->ldw), v_load(w + 2 * d->ldw)};
        UNROLL_LOOP
        for (int q = 0; q < columns; q++, p += d->ldx) {
            HIDDEN(p);
            if ((q == 0 && !left) || (q == columns - 1 && !right))
                continue;
            if (VL == 16) /* a vector is a cache line: fetch the next one */
                __builtin_prefetch(p + VL);
            vf column = whole ? v_load(p) : v_load_first(p, mask, n);
            if (stride == 1) /* three uses; with stride 2 one or two, and nothing gained */
                KEPT(column);
            UNROLL_LOOP
            for (int s = 0; s < 3; s++)
                if (q >= s && (q - s) % stride == 0 && (q - s) / stride < pixels)
                    sum[(q - s) / stride] = v_fma(column, tap[s], sum[(q - s) / stride]);
        }
    }
    dw_activate(sum, pixels, c, 0, d->e);
    float *y = d->y + c;
    UNROLL_LOOP
    for (int i = 0; i < pixels; i++, y += d->ldy) {
        HIDDEN(y);
        if (whole)
            v_store(y, sum[i]);
        else
            v_store_first(y, sum[i], mask, n);
    }
}

#define DW_BLOCK(pixels, stride)                                                                   \
    TARGET static void dw_block_##stride##_##pixels(const dw_row *d, ptrdiff_t x0, int left,       \
                                                    int right)                                     \
    {                                                                                              \
        int c = 0;                                                                                 \
        for (; c + VL <= d->channels; c += VL)                                                     \
            dw_block_vector(d, pixels, stride, x0, left, right, c, 1);                             \
        if (c < d->channels)                                                                       \
            dw_block_vector(d, pixels, stride, x0, left, right, c, 0);                             \
    }
#define DW_BLOCKS(stride)                                                                          \
    DW_BLOCK(1, stride)                                                                            \
    DW_BLOCK(2, stride)                                                                            \
    DW_BLOCK(3, stride)                                                                            \
    DW_BLOCK(4, stride)                                                                            \
    DW_BLOCK(5, stride)                                                                            \
    DW_BLOCK(6, stride)                                                                            \
    DW_BLOCK(7, stride)
DW_BLOCKS(1)
DW_BLOCKS(2)
#undef DW_BLOCKS
#undef DW_BLOCK

/* One output pixel of any geometry: `vectors` vectors of channels from c on.  x: index of
 * the input column of the first tap. */
INLINE void dw_pixel_vectors(const dw_row *d, int width, int kw, int dilation, ptrdiff_t x, int c,
                             const int vectors, const int whole)
{
    const int n = whole ? VL : d->channels - c;
    const vmask mask = v_first(n);
    vf sum[DW_VECTORS];
    UNROLL_LOOP
    for (int v = 0; v < vectors; v++) {
        sum[v] = d->e->bias ? v_load(d->e->bias + c + v * VL) : v_zero();
        if (d->residual)
            sum[v] += v_load_first(d->residual + c + v * VL, mask, n);
    }
    for (int r = 0; r < d->kh; r++) {
        if (!d->rows[r])
            continue;
        for (int s = 0; s < kw; s++) {
            ptrdiff_t column = x + s * dilation;
            if (column < 0 || column >= width)
                continue;
            const float *p = d->rows[r] + column * d->ldx + c;
            const float *w = d->w + (r * kw + s) * d->ldw + c;
            UNROLL_LOOP
            for (int v = 0; v < vectors; v++) {
                vf pixel = whole ? v_load(p + v * VL) : v_load_first(p, mask, n);
                sum[v] = v_fma(pixel, v_load(w + v * VL), sum[v]);
            }
        }
    }
    dw_activate(sum, vectors, c, 1, d->e);
    UNROLL_LOOP
    for (int v = 0; v < vectors; v++)
        v_store_first(d->y + c + v * VL, sum[v], mask, n);
}

TARGET static void dw_pixel(const dw_row *d, int width, int kw, int dilation, ptrdiff_t x)
{
    int c = 0;
    for (; c + DW_VECTORS * VL <= d->channels; c += DW_VECTORS * VL)
        dw_pixel_vectors(d, width, kw, dilation, x, c, DW_VECTORS, 1);
    for (; c + VL <= d->channels; c += VL)
        dw_pixel_vectors(d, width, kw, dilation, x, c, 1, 1);
    if (c < d->channels)
        dw_pixel_vectors(d, width, kw, dilation, x, c, 1, 0);
}

TARGET static void NAMED(depthwise_f32)(const float *const *rows, int width, ptrdiff_t ldx, int channels,
                             int kh, int kw, int stride_x, int dilation_x, int pad_left,
                             const float *w, ptrdiff_t ldw, float *y, int n_out, ptrdiff_t ldy,
                             const xk_epilogue *e)
{
    static void (*const blocks[2][DW])(const dw_row *, ptrdiff_t, int, int) = {
        {dw_block_1_1, dw_block_1_2, dw_block_1_3, dw_block_1_4, dw_block_1_5, dw_block_1_6,
         dw_block_1_7},
        {dw_block_2_1, dw_block_2_2, dw_block_2_3, dw_block_2_4, dw_block_2_5, dw_block_2_6,
         dw_block_2_7},
    };
    const int blocked = kw == 3 && dilation_x == 1 && stride_x <= 2;
    dw_row d = {rows, w, e->residual, e, y, ldx, ldw, ldy, kh, channels};
    for (int x = 0, left_over = (n_out + DW - 1) / DW, pixels; x < n_out; x += pixels) {
        /* Blocks of equal size, as far as that goes. */
        pixels = (n_out - x + left_over - 1) / left_over;
        left_over--;
        ptrdiff_t first = (ptrdiff_t)x * stride_x - pad_left;
        ptrdiff_t last = first + (pixels - 1) * stride_x + 2;
        if (blocked && first >= -1 && last <= width)
            blocks[stride_x - 1][pixels - 1](&d, first, first >= 0, last < width);
        else {
            dw_row one = d;
            for (int i = 0; i < pixels; i++) {
                dw_pixel(&one, width, kw, dilation_x, first + (ptrdiff_t)i * stride_x);
                one.y += ldy;
                if (one.residual)
                    one.residual += e->residual_col;
            }
        }
        d.y += pixels * ldy;
        if (d.residual)
            d.residual += pixels * e->residual_col;
    }
}
