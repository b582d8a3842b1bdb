/* conv.c: convolutions and fully connected layers.
 *
 * xn_conv_pick is the one place that picks an algorithm. Winograd lives in winograd.c,
 * explicit columns with OpenBLAS in gemm.c, the packing of weights in weights.c; here are
 * the implicit matrix product and the depthwise convolution.
 */
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "pool.h"

enum {
    MAX_DEPTHWISE_KERNEL = 32, /* rows that the row pointers on the stack have room for */
    BLOCK_BYTES = 128 << 10,   /* of input that a work item goes over again for each panel:
                                  a quarter of a small second-level cache */
    MAX_BLOCK_TILES = 16,
    ROWS_PER_ITEM = 4,         /* of a depthwise convolution */
    MAX_MERGED_CHANNELS = 16,  /* of which a kernel row becomes one tap */
};

static bool is_depthwise(const xn_conv *g)
{
    return g->groups == g->c && g->groups == g->o && g->kh <= MAX_DEPTHWISE_KERNEL &&
           g->kh * g->kw > 1;
}

/* Cost for one image of multiplying `rows` transformed pixels with weights of `planes` C x O
 * matrices, in multiply-adds. Weights that no cache holds until the next run have to be
 * fetched, at some 8 multiply-adds a float (fitted to IResNet-50 on a Zen 5 with AVX-512 and
 * with AVX2). A batch shares that cost, and would tip the balance for some layers; but then
 * an image's result would depend, in its sixth digit, on what it is computed with. */
static double cost(const xn_conv *g, double rows, double planes)
{
    double weights = planes * g->c * g->o;
    return rows * g->c * g->o + (weights > (1 << 18) ? 8 * weights : 0);
}

static xn_conv_kind xn_conv_pick(const xk_table *k, const xn_conv *g)
{
    if (is_depthwise(g))
        return XN_CONV_DEPTHWISE;
    const bool winograd = g->kh == 3 && g->kw == 3 && g->sy == 1 && g->sx == 1 && g->dy == 1 &&
                          g->dx == 1 && g->groups == 1;
    const char *wish = getenv("XCOS_CONV"); /* for tests and benchmarks */
    if (wish && !strcmp(wish, "gemm"))
        return XN_CONV_GEMM;
    if (wish && !strcmp(wish, "im2col"))
        return XN_CONV_IM2COL;
    if (wish && !strcmp(wish, "wino4") && winograd)
        return XN_CONV_WINO4;
    if (wish && !strcmp(wish, "wino2") && winograd)
        return XN_CONV_WINO2;
    if (!strcmp(k->isa, "generic"))
        return XN_CONV_IM2COL;
    if (!winograd)
        return XN_CONV_GEMM;
    if (g->c < 16 || g->o < 16) /* the transforms would cost more than they save */
        return XN_CONV_GEMM;
    double tiles4 = (double)((g->oh + 3) / 4) * ((g->ow + 3) / 4);
    double tiles2 = (double)((g->oh + 1) / 2) * ((g->ow + 1) / 2);
    double direct = cost(g, (double)g->oh * g->ow * 9, 9);
    double wino4 = cost(g, tiles4 * 36, 36), wino2 = cost(g, tiles2 * 16, 16);
    if (direct <= wino2 && direct <= wino4)
        return XN_CONV_GEMM;
    return wino4 <= wino2 ? XN_CONV_WINO4 : XN_CONV_WINO2;
}

/* ------------------------------------------------- implicit matrix product */

static xk_epilogue epilogue_of(const xn_task *task, int64_t channel, const float *residual,
                               ptrdiff_t row, ptrdiff_t col)
{
    const xn_node *node = task->step->node;
    return (xk_epilogue){.bias = node->bias + channel,
                         .residual = residual,
                         .residual_row = row,
                         .residual_col = col,
                         .activation = node->activation,
                         .slope = node->slope ? node->slope + channel : NULL,
                         .lo = node->lo,
                         .hi = node->hi};
}

typedef struct {
    const xn_task *task;
    int64_t rows, tiles, blocks; /* pixels; tiles of at most mr; blocks of step->tiles tiles */
    int panels, splits;          /* of one group; work items that share the panels of a block */
    int64_t pointers, per_worker; /* floats of scratch: addresses; and patches of rows */
} gemm_job;

/* With few channels (the first layer has three) a tap is too short for a tile's loop over
 * depth. The taps of one kernel row lie side by side in NHWC, and so do their packed
 * weights: the row becomes one tap. */
static bool merges_rows(const xn_conv *g)
{
    return g->c <= MAX_MERGED_CHANNELS && g->kw > 1 && g->dx == 1 && g->groups == 1;
}

static gemm_job gemm_shape(const xn_task *task, const xcos_net *net, const xn_step *step)
{
    const xn_conv *g = &step->conv;
    gemm_job job = {.task = task, .rows = g->n * g->oh * g->ow};
    job.tiles = (job.rows + net->kernels->mr - 1) / net->kernels->mr;
    job.blocks = (job.tiles + step->tiles - 1) / step->tiles;
    job.panels = (g->o / g->groups + net->kernels->nr - 1) / net->kernels->nr;
    job.splits = 1;
    if (step->threads > 1 && job.blocks * g->groups < 2 * step->threads) {
        int64_t wanted = (2 * step->threads + job.blocks * g->groups - 1) / (job.blocks * g->groups);
        job.splits = wanted < job.panels ? (int)wanted : job.panels;
    }
    const int64_t taps = (int64_t)step->tiles * net->kernels->mr * g->kh * g->kw;
    job.pointers = taps * 2; /* an address takes the room of two floats */
    job.per_worker = job.pointers + (merges_rows(g) ? taps * g->c : 0);
    return job;
}

/* Addresses of the inputs of pixels [first, first + m): a[tap*m + i]. */
static void point_pixels(const xn_task *task, int64_t first, int m, const float **a)
{
    for (int i = 0; i < m; i++)
        a[i] = task->in[0] + (first + i) * task->step->conv.c;
}

static void point_taps(const xn_task *task, int64_t first, int m, const float **a)
{
    const xn_conv *g = &task->step->conv;
    int ox = (int)(first % g->ow), oy = (int)(first / g->ow % g->oh);
    const float *image = task->in[0] + first / g->ow / g->oh * ((int64_t)g->h * g->w * g->c);
    for (int i = 0; i < m; i++) {
        const float **at = a + i;
        for (int r = 0; r < g->kh; r++) {
            const int y = oy * g->sy - g->top + r * g->dy;
            for (int s = 0; s < g->kw; s++, at += m) {
                const int x = ox * g->sx - g->left + s * g->dx;
                const bool inside = y >= 0 && y < g->h && x >= 0 && x < g->w;
                *at = inside ? image + ((int64_t)y * g->w + x) * g->c : task->net->zeros;
            }
        }
        if (++ox == g->ow) {
            ox = 0;
            if (++oy == g->oh) {
                oy = 0;
                image += (int64_t)g->h * g->w * g->c;
            }
        }
    }
}

/* The same for merged rows; those that leave the map at a side are copied to `patches`, with
 * room for m*kh of them. */
static void point_rows(const xn_task *task, int64_t first, int m, const float **a, float *patches)
{
    const xn_conv *g = &task->step->conv;
    const int64_t length = (int64_t)g->kw * g->c;
    int ox = (int)(first % g->ow), oy = (int)(first / g->ow % g->oh);
    const float *image = task->in[0] + first / g->ow / g->oh * ((int64_t)g->h * g->w * g->c);
    for (int i = 0; i < m; i++) {
        const int x = ox * g->sx - g->left;
        const int cut = x < 0 ? -x : 0, end = x + g->kw > g->w ? g->w - x : g->kw;
        for (int r = 0; r < g->kh; r++) {
            const int y = oy * g->sy - g->top + r * g->dy;
            if (y < 0 || y >= g->h || cut >= end) {
                a[r * m + i] = task->net->zeros;
            } else if (end - cut == g->kw) {
                a[r * m + i] = image + ((int64_t)y * g->w + x) * g->c;
            } else {
                memset(patches, 0, (size_t)length * sizeof *patches);
                memcpy(patches + (int64_t)cut * g->c,
                       image + ((int64_t)y * g->w + x + cut) * g->c,
                       (size_t)((end - cut) * g->c) * sizeof *patches);
                a[r * m + i] = patches;
                patches += length;
            }
        }
        if (++ox == g->ow) {
            ox = 0;
            if (++oy == g->oh) {
                oy = 0;
                image += (int64_t)g->h * g->w * g->c;
            }
        }
    }
}

static void gemm_block(void *context, int64_t index, int worker)
{
    const gemm_job *job = context;
    const xn_task *task = job->task;
    const xn_step *step = task->step;
    const xn_conv *g = &step->conv;
    const xk_table *k = task->net->kernels;
    const bool merged = merges_rows(g);
    const bool product = g->kh * g->kw == 1 && g->sy == 1 && g->sx == 1 && g->oh == g->h &&
                         g->ow == g->w && !g->top && !g->left;
    const int taps = merged ? g->kh : g->kh * g->kw, outputs = g->o / g->groups;
    const int depth = merged ? g->kw * g->c : g->c / g->groups;
    const int64_t steps = (int64_t)taps * depth;
    const int64_t part = index % job->splits, block = index / job->splits % job->blocks;
    const int64_t group = index / job->splits / job->blocks;
    const int64_t t0 = block * job->tiles / job->blocks, t1 = (block + 1) * job->tiles / job->blocks;
    const int p0 = (int)(part * job->panels / job->splits);
    const int p1 = (int)((part + 1) * job->panels / job->splits);
    const float **a = (const float **)(task->scratch + worker * job->per_worker);
    float *patches = task->scratch + worker * job->per_worker + job->pointers;

    /* Tiles share the rows evenly, so that none is left with a few. */
    int64_t first[MAX_BLOCK_TILES + 1];
    for (int64_t t = t0; t <= t1; t++)
        first[t - t0] = t * job->rows / job->tiles;
    for (int64_t t = 0; t < t1 - t0; t++) {
        const float **at = a + t * k->mr * taps;
        int m = (int)(first[t + 1] - first[t]);
        if (product)
            point_pixels(task, first[t], m, at);
        else if (merged)
            point_rows(task, first[t], m, at, patches + t * k->mr * taps * depth);
        else
            point_taps(task, first[t], m, at);
        for (int i = 0; group && i < m * taps; i++)
            at[i] += at[i] == task->net->zeros ? 0 : group * depth;
    }
    for (int p = p0; p < p1; p++) {
        const int n = outputs - p * k->nr < k->nr ? outputs - p * k->nr : k->nr;
        const int64_t channel = group * outputs + (int64_t)p * k->nr;
        const float *w = step->node->packed[XN_CONV_GEMM] +
                         (group * job->panels + p) * steps * k->nr;
        for (int64_t t = 0; t < t1 - t0; t++) {
            const int64_t at = first[t] * g->o + channel;
            const xk_epilogue e =
                epilogue_of(task, channel, task->residual ? task->residual + at : NULL, 0, g->o);
            k->gemm((int)(first[t + 1] - first[t]), n, depth, taps, a + t * k->mr * taps, w,
                    xk_next_panel(k, t, t1 - t0, steps, w + steps * k->nr), task->out + at, g->o,
                    &e);
        }
    }
}

const float *xn_affine_input(const xn_task *task, float *to)
{
    const xn_node *node = task->step->node;
    const xn_conv *g = &task->step->conv;
    const int64_t pixels = g->n * g->h * g->w;
    for (int64_t p = 0; p < pixels; p++)
        for (int c = 0; c < g->c; c++)
            to[p * g->c + c] = task->in[0][p * g->c + c] * node->pre_scale[c] + node->pre_shift[c];
    return to;
}

static void run_gemm(const xn_task *original)
{
    xn_task task = *original;
    gemm_job job = gemm_shape(&task, task.net, task.step);
    if (task.step->node->pre_scale)
        task.in[0] =
            xn_affine_input(original, original->scratch + job.per_worker * task.step->threads);
    job.task = &task;
    xc_parallel(task.step->threads, job.blocks * job.splits * task.step->conv.groups, gemm_block,
                &job);
}

/* ------------------------------------------------------------- depthwise */

static void depthwise_rows(void *context, int64_t index, int worker)
{
    (void)worker;
    const xn_task *task = context;
    const xn_conv *g = &task->step->conv;
    const int items = (g->oh + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM;
    const int64_t image = index / items;
    const int y0 = (int)(index % items) * ROWS_PER_ITEM;
    const int y1 = y0 + ROWS_PER_ITEM < g->oh ? y0 + ROWS_PER_ITEM : g->oh;
    const int64_t ld = (g->c + XK_CHANNEL_PAD - 1) / XK_CHANNEL_PAD * XK_CHANNEL_PAD;
    for (int oy = y0; oy < y1; oy++) {
        const float *rows[MAX_DEPTHWISE_KERNEL];
        for (int r = 0; r < g->kh; r++) {
            int y = oy * g->sy - g->top + r * g->dy;
            rows[r] = y < 0 || y >= g->h
                          ? NULL
                          : task->in[0] + (image * g->h + y) * (int64_t)g->w * g->c;
        }
        const int64_t at = (image * g->oh + oy) * (int64_t)g->ow * g->c;
        const xk_epilogue e =
            epilogue_of(task, 0, task->residual ? task->residual + at : NULL, 0, g->c);
        task->net->kernels->depthwise(rows, g->w, g->c, g->c, g->kh, g->kw, g->sx, g->dx, g->left,
                                      task->step->node->packed[XN_CONV_DEPTHWISE], ld,
                                      task->out + at, g->ow, g->c, &e);
    }
}

static void run_depthwise(const xn_task *task)
{
    const xn_conv *g = &task->step->conv;
    xc_parallel(task->step->threads, g->n * ((g->oh + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM),
                depthwise_rows, (void *)task);
}

/* --------------------------------------------------------------- planning */

void xn_conv_plan(const xcos_net *net, const xn_node *node, xn_step *step)
{
    const xcos_layer *l = &node->layer;
    const xn_shape *in = &step->in_shape[0], *out = &step->out_shape;
    xn_conv *g = &step->conv;
    if (l->op == XCOS_OP_LINEAR) {
        *g = (xn_conv){.n = in->dims[0], .h = 1, .w = 1, .c = (int)in->dims[1], .oh = 1, .ow = 1,
                       .o = (int)out->dims[1], .kh = 1, .kw = 1, .sy = 1, .sx = 1, .dy = 1,
                       .dx = 1, .groups = 1};
    } else {
        *g = (xn_conv){.n = in->dims[0], .h = (int)in->dims[1], .w = (int)in->dims[2],
                       .c = (int)in->dims[3], .oh = (int)out->dims[1], .ow = (int)out->dims[2],
                       .o = (int)out->dims[3], .kh = l->kernel[0], .kw = l->kernel[1],
                       .sy = l->stride[0], .sx = l->stride[1], .dy = l->dilation[0],
                       .dx = l->dilation[1], .top = l->pad[0], .left = l->pad[1],
                       .groups = l->groups};
    }
    step->kind = xn_conv_pick(net->kernels, g);
    switch (step->kind) {
    case XN_CONV_DEPTHWISE:
        step->run = run_depthwise;
        break;
    case XN_CONV_IM2COL:
        step->run = xn_run_im2col;
        step->scratch_floats = xn_im2col_scratch(step);
        break;
    case XN_CONV_WINO2:
    case XN_CONV_WINO4:
        step->run = xn_run_winograd;
        step->scratch_floats = xn_winograd_scratch(net, step);
        break;
    default: {
        int64_t tiles = BLOCK_BYTES / ((int64_t)net->kernels->mr * g->c * (int64_t)sizeof(float));
        step->tiles = tiles < 1 ? 1 : tiles > MAX_BLOCK_TILES ? MAX_BLOCK_TILES : (int)tiles;
        step->run = run_gemm;
        step->scratch_floats = gemm_shape(NULL, net, step).per_worker * step->threads;
        if (node->pre_scale)
            step->scratch_floats += xn_count(in);
    }
    }
}
