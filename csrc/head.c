/* head.c: the xCos head: what is computed once per face, and the object that holds it.
 * head_kernels.h says how a pair's arithmetic is divided; compare.c drives the pairs. */
#include "head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TAPS = 9, MAX_SIZE = 65536, ALIGN = 64 };

float *xh_alloc(size_t count)
{
    if (count > SIZE_MAX / sizeof(float) / 2)
        return NULL;
    return aligned_alloc(ALIGN, (count * sizeof(float) + ALIGN) / ALIGN * ALIGN);
}

/* ------------------------------------------------------------ convolutions */

/* Packs w[o*ld_out + c*ld_in + t], t < taps, for the GEMM kernel.  bias may be NULL. */
static bool conv_new(xh_conv *c, const xk_table *kernels, const float *w, ptrdiff_t ld_out,
                     ptrdiff_t ld_in, int outputs, int depth, int taps, const float *bias,
                     float sign, float slope)
{
    const size_t k = (size_t)taps * (size_t)depth;
    const size_t padded = ((size_t)outputs + XK_MAX_NR - 1) / XK_MAX_NR * XK_MAX_NR;
    float *plain = xh_alloc((size_t)outputs * k);
    *c = (xh_conv){.outputs = outputs, .depth = depth, .taps = taps, .prelu = slope != 1};
    c->weight = xh_alloc(padded * k);
    c->bias = xh_alloc(padded + XK_CHANNEL_PAD);
    c->slope = xh_alloc(padded + XK_CHANNEL_PAD);
    const bool ok = plain && c->weight && c->bias && c->slope;
    if (ok) {
        for (int o = 0; o < outputs; o++)
            for (int t = 0; t < taps; t++)
                for (int i = 0; i < depth; i++)
                    plain[(size_t)o * k + (size_t)t * (size_t)depth + (size_t)i] =
                        sign * w[o * ld_out + i * ld_in + t];
        xk_pack_panels(plain, (ptrdiff_t)k, 1, outputs, (int)k, kernels->nr, NULL,
                   c->weight);
        for (size_t o = 0; o < padded + XK_CHANNEL_PAD; o++) {
            c->bias[o] = bias && o < (size_t)outputs ? sign * bias[o] : 0;
            c->slope[o] = slope;
        }
    }
    free(plain);
    return ok;
}

static void conv_free(xh_conv *c)
{
    free(c->weight);
    free(c->bias);
    free(c->slope);
}

/* y [cells][outputs] from x [cells + 1][depth], whose last cell is zero: the border. */
static void conv_run(const xcos_head *h, const xh_conv *c, const float *x, float *y)
{
    const xk_table *kernels = h->kernels;
    const int *near = c->taps == 1 ? h->near + TAPS / 2 * h->cells : h->near;
    const float *rows[TAPS * XK_MAX_MR];
    for (int p = 0, m; p < h->cells; p += m) {
        const int tiles = (h->cells - p + kernels->mr - 1) / kernels->mr;
        m = (h->cells - p + tiles - 1) / tiles; /* tiles of about the same size */
        for (int t = 0; t < c->taps; t++)
            for (int i = 0; i < m; i++)
                rows[t * m + i] = x + (ptrdiff_t)near[t * h->cells + p + i] * c->depth;
        for (int o = 0; o < c->outputs; o += kernels->nr) {
            const int left = c->outputs - o;
            const xk_epilogue e = {.bias = c->bias + o,
                                   .activation = c->prelu ? XK_PRELU : XK_NONE,
                                   .slope = c->slope + o};
            kernels->gemm(m, left < kernels->nr ? left : kernels->nr, c->depth, c->taps, rows,
                          c->weight + (ptrdiff_t)o * c->taps * c->depth, NULL,
                          y + (ptrdiff_t)p * c->outputs + o, c->outputs, &e);
        }
    }
}

/* ---------------------------------------------------------------- one face */

size_t xh_scratch_size(const xcos_head *h)
{
    const size_t cells = (size_t)h->cells, padded = cells + 1;
    return padded * (size_t)(h->depth + h->embed.outputs + h->pairs.channels + TAPS) +
           2 * (cells + 1); /* doubles */
}

bool xh_prepare(const xcos_head *h, const float *face, bool second, float *scratch,
                float *restrict record)
{
    const int cells = h->cells, depth = h->depth, channels = h->pairs.channels, width = h->width;
    const ptrdiff_t padded = cells + 1;
    double *norm = (double *)scratch;
    float *grid = scratch + 2 * padded, *embedded = grid + padded * depth;
    float *half = embedded + padded * h->embed.outputs, *taps = half + padded * channels;

    memset(norm, 0, (size_t)cells * sizeof *norm);
    for (int d = 0; d < depth; d++, face += cells) {
        for (int cell = 0; cell < cells; cell++) /* a float's square is a finite double */
            norm[cell] += (double)face[cell] * face[cell];
        float *x = grid + d;
        for (int cell = 0; cell < cells; cell++, x += depth)
            *x = face[cell];
    }
    for (int cell = 0; cell < cells; cell++, record += depth) {
        if (!isfinite(norm[cell]))
            return false;
        const double scale = 1 / fmax(sqrt(norm[cell]), XH_NORM_FLOOR);
        const float *restrict x = grid + cell * depth;
        for (int d = 0; d < depth; d++)
            record[d] = (float)(x[d] * scale);
    }

    conv_run(h, &h->embed, grid, embedded);
    conv_run(h, second ? &h->second : &h->first, embedded, half);
    conv_run(h, &h->taps, half, taps);
    for (int y = 0; y < h->height; y++, half += channels * width, record += channels * width)
        for (int c = 0; c < channels; c++)
            for (int x = 0; x < width; x++)
                record[c * width + x] = half[x * channels + c];
    for (int cell = 0; cell < cells; cell++) {
        float sum = 0;
        for (int t = 0; t < TAPS; t++)
            sum += taps[h->near[t * cells + cell] * TAPS + t];
        record[cell] = second ? -sum : h->first_slope * sum + h->bias;
    }
    return true;
}

/* -------------------------------------------------------------- the object */

static bool all_finite(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static xcos_status check(const xcos_head_weights *w, xcos_error *err)
{
    const struct {
        const char *name;
        int value;
    } sizes[] = {{"depth", w->depth},
                 {"embed_channels", w->embed_channels},
                 {"attend_channels", w->attend_channels},
                 {"height", w->height},
                 {"width", w->width}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > MAX_SIZE)
            return xcos_fail(err, XCOS_E_ARG, "head: %s is %d, expected 1 to %d", sizes[i].name,
                             sizes[i].value, MAX_SIZE);
    const int64_t cells = (int64_t)w->height * w->width;
    const int64_t values = w->depth + w->embed_channels + w->attend_channels + 2 * TAPS;
    if (cells * values > INT32_MAX / 64)
        return xcos_fail(err, XCOS_E_ARG, "head: %d x %d cells of depth %d are more than it can do",
                         w->height, w->width, w->depth);
    const size_t embed = (size_t)w->embed_channels, attend = (size_t)w->attend_channels;
    const struct {
        const char *name;
        const float *data;
        size_t count;
    } tensors[] = {{"embed weight", w->embed_weight, embed * (size_t)w->depth * TAPS},
                   {"embed bias", w->embed_bias, embed},
                   {"embed slope", &w->embed_slope, 1},
                   {"attend1 weight", w->attend1_weight, attend * 2 * embed * TAPS},
                   {"attend1 bias", w->attend1_bias, attend},
                   {"attend1 slope", &w->attend1_slope, 1},
                   {"attend2 weight", w->attend2_weight, attend * TAPS},
                   {"attend2 bias", w->attend2_bias, 1},
                   {"attend2 slope", &w->attend2_slope, 1}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        if (!tensors[i].data)
            return xcos_fail(err, XCOS_E_ARG, "head: %s is missing", tensors[i].name);
        if (!all_finite(tensors[i].data, tensors[i].count))
            return xcos_fail(err, XCOS_E_ARG, "head: %s has a value that is not finite",
                             tensors[i].name);
    }
    if (!(w->temperature > 0) || !isfinite(1 / w->temperature) || !isfinite(w->temperature))
        return xcos_fail(err, XCOS_E_ARG, "head: temperature is %g, expected a positive number",
                         w->temperature);
    if (!(w->whole >= 0 && w->whole <= 1))
        return xcos_fail(err, XCOS_E_ARG, "head: whole is %g, expected 0 to 1", w->whole);
    return XCOS_OK;
}

/* near[t*cells + cell]: the cell under tap t of a 3x3 kernel at `cell`, or `cells`: the border. */
static void fill_near(const xcos_head *h)
{
    for (int t = 0; t < TAPS; t++)
        for (int cell = 0; cell < h->cells; cell++) {
            const int y = cell / h->width + t / 3 - 1, x = cell % h->width + t % 3 - 1;
            const bool inside = y >= 0 && y < h->height && x >= 0 && x < h->width;
            h->near[t * h->cells + cell] = inside ? y * h->width + x : h->cells;
        }
}

xcos_status xcos_head_new(const xcos_head_weights *w, xcos_head **head, xcos_error *err)
{
    *head = NULL;
    xcos_status status = check(w, err);
    if (status != XCOS_OK)
        return status;
    xcos_head *h = calloc(1, sizeof *h);
    if (!h)
        return xcos_fail(err, XCOS_E_NOMEM, "head: out of memory");
    const int embed = w->embed_channels, channels = w->attend_channels;
    h->kernels = xk_kernels();
    h->depth = w->depth;
    h->height = w->height;
    h->width = w->width;
    h->cells = w->height * w->width;
    h->values = (size_t)h->cells * (size_t)(h->depth + channels + 1);
    h->first_slope = w->attend1_slope;
    h->bias = w->attend2_bias[0];
    h->whole = w->whole;
    h->near = calloc((size_t)(TAPS * h->cells), sizeof *h->near);
    float *weight = xh_alloc((size_t)(channels * TAPS));
    h->pairs = (xk_pair_head){.depth = h->depth,
                              .channels = channels,
                              .height = h->height,
                              .width = h->width,
                              .weight = weight,
                              .slope = w->attend2_slope,
                              .sharpness = 1 / w->temperature,
                              .minmax = w->minmax != 0};
    const float *second = w->attend1_weight + (ptrdiff_t)embed * TAPS;
    if (!h->near || !weight ||
        !conv_new(&h->embed, h->kernels, w->embed_weight, (ptrdiff_t)h->depth * TAPS, TAPS, embed,
                  h->depth, TAPS, w->embed_bias, 1, w->embed_slope) ||
        !conv_new(&h->first, h->kernels, w->attend1_weight, (ptrdiff_t)2 * embed * TAPS, TAPS,
                  channels, embed, TAPS, w->attend1_bias, 1, 1) ||
        !conv_new(&h->second, h->kernels, second, (ptrdiff_t)2 * embed * TAPS, TAPS, channels,
                  embed, TAPS, NULL, -1, 1) ||
        !conv_new(&h->taps, h->kernels, w->attend2_weight, 1, TAPS, TAPS, channels, 1, NULL, 1,
                  1)) {
        xcos_head_free(h);
        return xcos_fail(err, XCOS_E_NOMEM, "head: out of memory");
    }
    fill_near(h);
    for (int i = 0; i < channels * TAPS; i++)
        weight[i] = (float)((1.0 - w->attend1_slope) * w->attend2_weight[i]);
    *head = h;
    return XCOS_OK;
}

void xcos_head_free(xcos_head *h)
{
    if (!h)
        return;
    conv_free(&h->embed);
    conv_free(&h->first);
    conv_free(&h->second);
    conv_free(&h->taps);
    free((float *)h->pairs.weight);
    free(h->near);
    free(h);
}
