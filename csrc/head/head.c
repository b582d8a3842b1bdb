/* head.c: the xCos head: what is computed once per face, and the object that holds it.
 * kernels/pairs.h says how a pair's arithmetic is divided; compare.c drives the pairs. */
#include "head/head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"

enum { TAPS = 9, MAX_SIZE = 65536 };

float *xh_alloc(size_t count)
{
    return count > SIZE_MAX / sizeof(float) / 2 ? NULL : xo_alloc(count * sizeof(float));
}

/* ------------------------------------------------------------ convolutions */

/* A convolution of the head's cells with w[o*ld_out + c*ld_in + t], t < taps (9 or 1), times
 * `sign`.  bias may be NULL. */
static bool conv_new(xc_call *call, const xcos_head *h, xh_conv *c, const float *w,
                     ptrdiff_t ld_out, ptrdiff_t ld_in, int outputs, int depth, int taps,
                     const float *bias, float sign, float slope)
{
    const int side = taps == 1 ? 1 : 3;
    c->plan = (xv_plan){.kernels = h->kernels,
                        .g = {.n = 1, .h = h->height, .w = h->width, .c = depth, .oh = h->height,
                              .ow = h->width, .o = outputs, .kh = side, .kw = side, .sy = 1, .sx = 1,
                              .dy = 1, .dx = 1, .top = side / 2, .left = side / 2, .groups = 1},
                        .exact = true,
                        .threads = 1};
    xv_pick(&c->plan);
    c->activation = slope != 1 ? XK_PRELU : XK_NONE;
    const size_t padded = (size_t)outputs + 2 * XK_CHANNEL_PAD;
    float *scale = xh_alloc(padded);
    const xv_weights weights = {.data = w,
                                .scale = scale,
                                .groups = 1,
                                .outputs = outputs,
                                .depth = depth,
                                .taps = taps,
                                .ld_out = ld_out,
                                .ld_depth = ld_in};
    const xv_algorithm *algorithm = c->plan.algorithm;
    c->weights = xo_alloc(xc_bytes(algorithm->dtype, algorithm->packed(h->kernels, &weights)));
    c->bias = xh_alloc(padded);
    c->slope = xh_alloc(padded);
    const bool ok = scale && c->weights && c->bias && c->slope;
    for (size_t o = 0; ok && o < padded; o++) {
        c->bias[o] = bias && o < (size_t)outputs ? sign * bias[o] : 0;
        c->slope[o] = slope;
        scale[o] = sign;
    }
    if (ok)
        algorithm->pack(call, h->kernels, &weights, c->weights);
    xo_free(scale);
    return ok;
}

static void conv_free(xh_conv *c)
{
    xo_free(c->weights);
    xo_free(c->bias);
    xo_free(c->slope);
}

/* y [cells][outputs] from x [cells][depth]. */
static void conv_run(xc_call *call, const xcos_head *h, const xh_conv *c, const float *x, float *y,
                     void *scratch)
{
    const xv_run run = {.call = call,
                        .plan = &c->plan,
                        .weights = c->weights,
                        .in = x,
                        .out = y,
                        .bias = c->bias,
                        .slope = c->slope,
                        .activation = c->activation,
                        .zeros = h->zeros,
                        .scratch = scratch};
    c->plan.algorithm->run(&run);
}

/* ---------------------------------------------------------------- one face */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Floats of scratch that the largest of the convolutions takes. */
static size_t conv_scratch(const xcos_head *h)
{
    const size_t bytes = larger(larger(h->embed.plan.scratch_bytes, h->first.plan.scratch_bytes),
                                larger(h->second.plan.scratch_bytes, h->taps.plan.scratch_bytes));
    return (bytes / sizeof(float) + 2) / 2 * 2; /* even: doubles follow */
}

size_t xh_scratch_size(const xcos_head *h)
{
    const size_t cells = (size_t)h->cells, outputs = (size_t)h->embed.plan.g.o;
    return conv_scratch(h) + 2 * cells /* doubles */ +
           cells * ((size_t)h->depth + outputs + (size_t)h->pairs.channels) + (cells + 1) * TAPS;
}

bool xh_prepare(xc_call *call, const xcos_head *h, const float *face, bool second, float *scratch,
                float *restrict record)
{
    const int cells = h->cells, depth = h->depth, channels = h->pairs.channels, width = h->width;
    double *norm = (double *)(scratch + conv_scratch(h));
    float *grid = (float *)(norm + cells), *embedded = grid + (ptrdiff_t)cells * depth;
    float *half = embedded + (ptrdiff_t)cells * h->embed.plan.g.o;
    float *taps = half + (ptrdiff_t)cells * channels; /* and a cell of zeros: the border */

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

    conv_run(call, h, &h->embed, grid, embedded, scratch);
    conv_run(call, h, second ? &h->second : &h->first, embedded, half, scratch);
    conv_run(call, h, &h->taps, half, taps, scratch);
    memset(taps + (ptrdiff_t)cells * TAPS, 0, TAPS * sizeof *taps);
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

/* Fills in a head whose memory is zero; false: no memory. */
static bool complete(xc_call *call, xcos_head *h, const xcos_head_weights *w)
{
    const int embed = w->embed_channels, channels = w->attend_channels, depth = w->depth;
    h->kernels = xk_kernels();
    h->depth = depth;
    h->height = w->height;
    h->width = w->width;
    h->cells = w->height * w->width;
    h->values = (size_t)h->cells * (size_t)(depth + channels + 1);
    h->first_slope = w->attend1_slope;
    h->bias = w->attend2_bias[0];
    h->whole = w->whole;
    h->near = calloc((size_t)(TAPS * h->cells), sizeof *h->near);
    /* As wide as a row of taps of any of the convolutions. */
    const size_t widest = 3 * larger((size_t)depth, larger((size_t)embed, (size_t)channels));
    h->zeros = xh_alloc(widest);
    float *weight = xh_alloc((size_t)(channels * TAPS));
    h->pairs = (xk_pair_head){.depth = depth,
                              .channels = channels,
                              .height = h->height,
                              .width = h->width,
                              .weight = weight,
                              .slope = w->attend2_slope,
                              .sharpness = 1 / w->temperature,
                              .minmax = w->minmax != 0};
    if (!h->near || !h->zeros || !weight)
        return false;
    memset(h->zeros, 0, widest * sizeof *h->zeros);
    fill_near(h);
    for (int i = 0; i < channels * TAPS; i++)
        weight[i] = (float)((1.0 - w->attend1_slope) * w->attend2_weight[i]);
    const ptrdiff_t ld = (ptrdiff_t)2 * embed * TAPS;
    const float *first = w->attend1_weight, *second = first + (ptrdiff_t)embed * TAPS;
    return conv_new(call, h, &h->embed, w->embed_weight, (ptrdiff_t)depth * TAPS, TAPS, embed,
                    depth, TAPS, w->embed_bias, 1, w->embed_slope) &&
           conv_new(call, h, &h->first, first, ld, TAPS, channels, embed, TAPS, w->attend1_bias, 1,
                    1) &&
           conv_new(call, h, &h->second, second, ld, TAPS, channels, embed, TAPS, NULL, -1, 1) &&
           conv_new(call, h, &h->taps, w->attend2_weight, 1, TAPS, TAPS, channels, 1, NULL, 1, 1);
}

xcos_status xcos_head_new(const xcos_head_weights *w, xcos_head **head, xcos_error *err)
{
    *head = NULL;
    const xcos_status status = check(w, err);
    if (status != XCOS_OK)
        return status;
    xcos_head *h = calloc(1, sizeof *h);
    xc_call call;
    xc_open(&call, 1); /* small weights: no work for two */
    if (h && complete(&call, h, w))
        *head = h;
    else
        xcos_head_free(h);
    return xc_close(&call, *head ? XCOS_OK : xcos_fail(err, XCOS_E_NOMEM, "head: out of memory"),
                    err);
}

void xcos_head_free(xcos_head *h)
{
    if (!h)
        return;
    conv_free(&h->embed);
    conv_free(&h->first);
    conv_free(&h->second);
    conv_free(&h->taps);
    xo_free((float *)h->pairs.weight);
    xo_free(h->zeros);
    free(h->near);
    free(h);
}
