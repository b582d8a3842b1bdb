/* depthwise.c: convolutions with one input and one output channel a group. */

#include "conv/conv.h"
#include "pool.h"

enum {
    MAX_KERNEL = 32,   /* rows that the row pointers on the stack have room for */
    ROWS_PER_ITEM = 4,
};

static int64_t padded(int channels)
{
    return (channels + XK_CHANNEL_PAD - 1) / XK_CHANNEL_PAD * XK_CHANNEL_PAD;
}

static int items_of(const xv_geometry *g)
{
    return (g->oh + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM;
}

/* Pixels x0..x1-1 of row `oy` of an image. */
static void depthwise_row(const xv_run *run, int64_t image, int oy, int x0, int x1)
{
    const xv_geometry *g = &run->plan->g;
    const float *rows[MAX_KERNEL];
    for (int r = 0; r < g->kh; r++) {
        int y = oy * g->sy - g->top + r * g->dy;
        rows[r] = y < 0 || y >= g->h ? NULL
                                     : run->in + (image * g->h + y) * (int64_t)g->w * g->c;
    }
    const int64_t at = ((image * g->oh + oy) * (int64_t)g->ow + x0) * g->c;
    const xk_epilogue e = xv_epilogue(run, 0, run->residual ? run->residual + at : NULL, 0, g->c);
    run->plan->kernels->depthwise(rows, g->w, g->c, g->c, g->kh, g->kw, g->sx, g->dx,
                                  g->left - x0 * g->sx, run->weights, padded(g->c), run->out + at,
                                  x1 - x0, g->c, &e);
}

static void depthwise_rows(void *context, int64_t index, int worker)
{
    (void)worker;
    const xv_run *run = context;
    const xv_geometry *g = &run->plan->g;
    const int items = items_of(g);
    const int y0 = (int)(index % items) * ROWS_PER_ITEM;
    const int y1 = y0 + ROWS_PER_ITEM < g->oh ? y0 + ROWS_PER_ITEM : g->oh;
    for (int oy = y0; oy < y1; oy++)
        depthwise_row(run, index / items, oy, 0, g->ow);
}

static void run_depthwise(const xv_run *original)
{
    xv_run run = *original;
    run.in = xv_scaled_input(original, run.scratch);
    const xv_geometry *g = &run.plan->g;
    xc_spread(run.call, run.plan->threads, g->n * items_of(g), depthwise_rows, &run);
}

static void run_depthwise_spans(const xv_run *run, const xv_span *spans, int count)
{
    const int width = run->plan->g.ow;
    for (int s = 0; s < count; s++)
        for (int64_t at = spans[s].from, end; at < spans[s].to; at = end) {
            const int64_t row = at / width;
            end = (row + 1) * width < spans[s].to ? (row + 1) * width : spans[s].to;
            depthwise_row(run, 0, (int)row, (int)(at - row * width), (int)(end - row * width));
        }
}

static bool fits(const xv_geometry *g)
{
    return g->groups == g->c && g->groups == g->o && g->kh <= MAX_KERNEL && g->kh * g->kw > 1;
}

/* Memory decides, not arithmetic, also in plain C. */
static double cost(const xk_table *k, const xv_geometry *g)
{
    (void)k;
    return (double)g->oh * g->ow * g->kh * g->kw * g->c;
}

static void prepare(xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    plan->scratch_bytes = plan->scaled ? xc_bytes(XC_F32, g->n * g->h * g->w * g->c) : 0;
}

static int64_t packed(const xk_table *k, const xv_weights *w)
{
    (void)k;
    return w->taps * padded(w->groups);
}

/* [tap][channel], rows of a multiple of XK_CHANNEL_PAD; subnormal weights become zero. */
static void pack(xc_call *call, const xk_table *k, const xv_weights *w, void *to)
{
    (void)call, (void)k;
    float *out = to;
    for (int tap = 0; tap < w->taps; tap++)
        for (int64_t o = 0; o < padded(w->groups); o++) {
            float x = o < w->groups ? w->data[o * w->ld_out + tap] : 0;
            x = w->scale && o < w->groups ? x * w->scale[o] : x;
            *out++ = xk_flushed(x);
        }
}

const xv_algorithm xv_depthwise = {.name = "depthwise",
                                   .fits = fits,
                                   .cost = cost,
                                   .prepare = prepare,
                                   .dtype = XC_F32,
                                   .packed = packed,
                                   .pack = pack,
                                   .run = run_depthwise,
                                   .run_spans = run_depthwise_spans};
