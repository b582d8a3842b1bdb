/* warp.c: bilinear warps, and resizing with an antialiasing filter. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "call.h"
#include "image/image.h"
#include "kernels/kernels.h"

static xcos_status check_sizes(int src_h, int src_w, int dst_h, int dst_w, xcos_error *err)
{
    if (src_h < 1 || src_w < 1 || dst_h < 1 || dst_w < 1)
        return xcos_fail(err, XCOS_E_ARG,
                         "%d x %d pixels to %d x %d pixels: every side must be at least 1", src_w,
                         src_h, dst_w, dst_h);
    return xi_check_pixels(dst_w, dst_h, INT64_MAX, err);
}

/* -------------------------------------------------------------------- warp */

typedef struct {
    const uint8_t *pixels, *border;
    int height, width;
} source;

static const uint8_t *pixel(const source *s, int x, int y)
{
    if (x < 0 || y < 0 || x >= s->width || y >= s->height)
        return s->border;
    return s->pixels + ((size_t)y * s->width + x) * 3;
}

/* Where pixel x, y of a warp lies in the source. */
static double source_x(const double m[6], int x, int y)
{
    return m[0] * x + m[1] * y + m[2];
}

static double source_y(const double m[6], int x, int y)
{
    return m[3] * x + m[4] * y + m[5];
}

/* Whether the kernel may do it, which reads four bytes of each neighbour. */
static int is_inside(const source *s, const double m[6], int x, int y)
{
    const double sx = source_x(m, x, y), sy = source_y(m, x, y);
    return sx >= 0 && sy >= 0 && sx < s->width - 2 && sy < s->height - 1;
}

static void sample(const source *s, const double m[6], int column, int row, uint8_t out[3])
{
    const double x = source_x(m, column, row), y = source_y(m, column, row);
    /* Also false for NaN; beyond this frame all four neighbours are border. */
    if (!(x > -1 && y > -1 && x < s->width && y < s->height)) {
        memcpy(out, s->border, 3);
        return;
    }
    const int x0 = (int)(x + 1) - 1, y0 = (int)(y + 1) - 1; /* floor: x + 1 is positive */
    const float fx = (float)(x - x0), fy = (float)(y - y0);
    const uint8_t *a = pixel(s, x0, y0), *b = pixel(s, x0 + 1, y0);
    const uint8_t *c = pixel(s, x0, y0 + 1), *d = pixel(s, x0 + 1, y0 + 1);
    for (int i = 0; i < 3; i++) {
        const float top = a[i] + fx * (float)(b[i] - a[i]);
        const float bottom = c[i] + fx * (float)(d[i] - c[i]);
        out[i] = (uint8_t)(top + fy * (bottom - top) + 0.5f);
    }
}

xcos_status xcos_image_warp(const uint8_t *src, int src_h, int src_w, const double matrix[6],
                            const uint8_t border[3], uint8_t *dst, int dst_h, int dst_w,
                            xcos_error *err)
{
    const xcos_status status = check_sizes(src_h, src_w, dst_h, dst_w, err);
    if (status)
        return status;
    for (int i = 0; i < 6; i++)
        if (!isfinite(matrix[i]))
            return xcos_fail(err, XCOS_E_ARG, "the matrix of a warp must be finite, got %g",
                             matrix[i]);
    const source s = {src, border, src_h, src_w};
    const xk_pictures *kernels = &xk_kernels()->pictures;
    xc_call call;
    xc_open(&call, 1);
    for (int y = 0; y < dst_h && !xc_stop(&call, 0); y++, dst += (size_t)dst_w * 3) {
        /* A line crosses the inside of the picture once. */
        int begin = 0, end = dst_w;
        for (; begin < end && !is_inside(&s, matrix, begin, y); begin++)
            sample(&s, matrix, begin, y, dst + 3 * (size_t)begin);
        for (; end > begin && !is_inside(&s, matrix, end - 1, y); end--)
            sample(&s, matrix, end - 1, y, dst + 3 * ((size_t)end - 1));
        if (begin < end)
            kernels->warp(src, (ptrdiff_t)src_w * 3, matrix, begin, y, end - begin,
                          dst + 3 * (size_t)begin);
    }
    return xc_close(&call, XCOS_OK, err);
}

/* ------------------------------------------------------------------ resize */

/* A triangle as wide as two source samples, or two destination samples where that is
 * wider: linear interpolation when enlarging, free of aliasing when reducing.  Both tables
 * are in one block, to be freed by the caller. */
static xk_taps *make_taps(int from, int to)
{
    const double scale = (double)from / to, radius = scale > 1 ? scale : 1;
    const size_t most = (size_t)(2 * radius) + 2;
    xk_taps *t = malloc((size_t)to * (sizeof *t + most * sizeof(float)));
    if (!t)
        return NULL;
    float *weights = (float *)(t + to);
    for (int i = 0; i < to; i++, weights += most) {
        const double centre = (i + 0.5) * scale - 0.5;
        const int first = (int)fmax(ceil(centre - radius), 0);
        const int last = (int)fmin(floor(centre + radius), from - 1);
        double sum = 0;
        for (int j = first; j <= last; j++)
            sum += 1 - fabs(j - centre) / radius;
        for (int j = first; j <= last; j++)
            weights[j - first] = (float)((1 - fabs(j - centre) / radius) / sum);
        t[i] = (xk_taps){first, last - first + 1, weights};
    }
    return t;
}

xcos_status xcos_image_resize(const uint8_t *src, int src_h, int src_w, uint8_t *dst, int dst_h,
                              int dst_w, xcos_error *err)
{
    xcos_status status = check_sizes(src_h, src_w, dst_h, dst_w, err);
    if (status)
        return status;
    xc_call call;
    xc_open(&call, 1);
    xk_taps *columns = make_taps(src_w, dst_w), *rows = make_taps(src_h, dst_h);
    float *row = calloc((size_t)src_w * 3 + 1, sizeof *row); /* and the one that mix_columns reads */
    const xk_pictures *kernels = &xk_kernels()->pictures;
    if (columns && rows && row)
        for (int y = 0; y < dst_h && !xc_stop(&call, 0); y++, dst += (size_t)dst_w * 3) {
            const ptrdiff_t ld = (ptrdiff_t)src_w * 3;
            kernels->mix_rows(src + rows[y].first * ld, ld, rows[y].count, rows[y].weights, ld, row);
            kernels->mix_columns(row, columns, dst_w, dst);
        }
    else
        status = xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    free(columns);
    free(rows);
    free(row);
    return xc_close(&call, status, err);
}
