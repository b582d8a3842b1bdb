/* warp.c: bilinear warps, and resizing with an antialiasing filter. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "call.h"
#include "image/image.h"

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

static void sample(const source *s, double x, double y, uint8_t out[3])
{
    /* Also false for NaN; beyond this frame all four neighbours are border. */
    if (!(x > -1 && y > -1 && x < s->width && y < s->height)) {
        memcpy(out, s->border, 3);
        return;
    }
    const int x0 = (int)(x + 1) - 1, y0 = (int)(y + 1) - 1; /* floor: x + 1 is positive */
    const float fx = (float)(x - x0), fy = (float)(y - y0);
    const uint8_t *a, *b, *c, *d;
    if (x0 >= 0 && y0 >= 0 && x0 + 1 < s->width && y0 + 1 < s->height) {
        a = s->pixels + ((size_t)y0 * s->width + x0) * 3;
        b = a + 3;
        c = a + (size_t)s->width * 3;
        d = c + 3;
    } else {
        a = pixel(s, x0, y0);
        b = pixel(s, x0 + 1, y0);
        c = pixel(s, x0, y0 + 1);
        d = pixel(s, x0 + 1, y0 + 1);
    }
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
    xc_call call;
    xc_open(&call, 1);
    for (int y = 0; y < dst_h && !xc_stop(&call, 0); y++)
        for (int x = 0; x < dst_w; x++, dst += 3)
            sample(&s, matrix[0] * x + matrix[1] * y + matrix[2],
                   matrix[3] * x + matrix[4] * y + matrix[5], dst);
    return xc_close(&call, XCOS_OK, err);
}

/* ------------------------------------------------------------------ resize */

/* Which source samples make one destination sample, and how much each counts. */
typedef struct {
    int first, count;
    const float *weights;
} taps;

/* A triangle as wide as two source samples, or two destination samples where that is
 * wider: linear interpolation when enlarging, free of aliasing when reducing.  Both tables
 * are in one block, to be freed by the caller. */
static taps *make_taps(int from, int to)
{
    const double scale = (double)from / to, radius = scale > 1 ? scale : 1;
    const size_t most = (size_t)(2 * radius) + 2;
    taps *t = malloc((size_t)to * (sizeof *t + most * sizeof(float)));
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
        t[i] = (taps){first, last - first + 1, weights};
    }
    return t;
}

static void mix_rows(const uint8_t *src, size_t row, const taps *t, float *out)
{
    memset(out, 0, row * sizeof *out);
    for (int k = 0; k < t->count; k++) {
        const uint8_t *from = src + (size_t)(t->first + k) * row;
        const float weight = t->weights[k];
        for (size_t i = 0; i < row; i++)
            out[i] += weight * (float)from[i];
    }
}

static void mix_columns(const float *row, const taps *t, int width, uint8_t *dst)
{
    for (int x = 0; x < width; x++, t++, dst += 3) {
        const float *from = row + (size_t)t->first * 3;
        float r = 0.5f, g = 0.5f, b = 0.5f;
        for (int k = 0; k < t->count; k++, from += 3) {
            r += t->weights[k] * from[0];
            g += t->weights[k] * from[1];
            b += t->weights[k] * from[2];
        }
        dst[0] = (uint8_t)r;
        dst[1] = (uint8_t)g;
        dst[2] = (uint8_t)b;
    }
}

xcos_status xcos_image_resize(const uint8_t *src, int src_h, int src_w, uint8_t *dst, int dst_h,
                              int dst_w, xcos_error *err)
{
    xcos_status status = check_sizes(src_h, src_w, dst_h, dst_w, err);
    if (status)
        return status;
    xc_call call;
    xc_open(&call, 1);
    taps *columns = make_taps(src_w, dst_w), *rows = make_taps(src_h, dst_h);
    float *row = malloc((size_t)src_w * 3 * sizeof *row);
    if (columns && rows && row)
        for (int y = 0; y < dst_h && !xc_stop(&call, 0); y++, dst += (size_t)dst_w * 3) {
            mix_rows(src, (size_t)src_w * 3, &rows[y], row);
            mix_columns(row, columns, dst_w, dst);
        }
    else
        status = xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    free(columns);
    free(rows);
    free(row);
    return xc_close(&call, status, err);
}
