/* reduced.c: 1x1 convolutions as products of fewer bits (kernels/products.h), where the caller asked for them.
 *
 * A work item is a block of tiles of pixels: their inputs are converted once, into rows that stay in
 * the first-level cache while panel after panel of output channels goes over them. Other
 * convolutions stay as they are: 3x3 ones save more by Winograd's algorithm than fewer bits would,
 * and depthwise ones wait for memory. */
#include "conv/conv.h"
#include "pool.h"

enum {
    BLOCK_BYTES = 24 << 10, /* of rows: three quarters of a first-level cache */
    MAX_BLOCK_TILES = 16,
};

typedef struct {
    const xv_run *run;
    const xk_products *products;
    int words, panels, splits; /* splits: work items that share the panels of a block */
    size_t row_bytes, panel_words;
    int64_t rows, tiles, blocks;
    size_t scales, per_worker; /* bytes of scratch: scales of rows; and rows */
} reduced_job;

static const xk_products *products_of(const xk_table *k, const xv_algorithm *algorithm)
{
    return k->products[algorithm->precision];
}

static size_t panel_words(const xk_products *p, int depth)
{
    return (size_t)(p->head + xk_words(p, depth)) * (size_t)p->nr;
}

static reduced_job shape_job(const xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    const xk_products *p = products_of(plan->kernels, plan->algorithm);
    reduced_job job = {.products = p,
                       .words = xk_words(p, g->c),
                       .panels = (g->o + p->nr - 1) / p->nr,
                       .splits = 1,
                       .row_bytes = xk_row_bytes(p, g->c),
                       .panel_words = panel_words(p, g->c),
                       .rows = g->n * g->oh * g->ow};
    job.tiles = (job.rows + p->mr - 1) / p->mr;
    const int64_t room = BLOCK_BYTES / (p->mr * (int64_t)job.row_bytes);
    const int64_t most = room < 1 ? 1 : room > MAX_BLOCK_TILES ? MAX_BLOCK_TILES : room;
    job.blocks = (job.tiles + most - 1) / most;
    if (plan->threads > 1 && job.blocks < 2 * plan->threads) {
        const int64_t wanted = (2 * plan->threads + job.blocks - 1) / job.blocks;
        job.splits = wanted < job.panels ? (int)wanted : job.panels;
    }
    const size_t rows = (size_t)(job.tiles < most ? job.tiles : most) * (size_t)p->mr;
    job.scales = (rows * sizeof(float) + XK_ROW - 1) / XK_ROW * XK_ROW;
    job.per_worker = job.scales + rows * job.row_bytes;
    return job;
}

static void block_of_tiles(void *context, int64_t index, int worker)
{
    const reduced_job *job = context;
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const xk_products *p = job->products;
    const int64_t part = index % job->splits, block = index / job->splits;
    const int64_t t0 = block * job->tiles / job->blocks, t1 = (block + 1) * job->tiles / job->blocks;
    const int64_t start = t0 * job->rows / job->tiles, end = t1 * job->rows / job->tiles;
    char *scratch = (char *)run->scratch + (size_t)worker * job->per_worker;
    float *scale = (float *)scratch;
    char *rows = scratch + job->scales;
    for (int64_t i = 0; i < end - start; i++)
        scale[i] = p->convert(run->in + (start + i) * g->c, g->c, rows + (size_t)i * job->row_bytes);

    const int p0 = (int)(part * job->panels / job->splits);
    const int p1 = (int)((part + 1) * job->panels / job->splits);
    for (int panel = p0; panel < p1; panel++) {
        const int channel = panel * p->nr, n = g->o - channel < p->nr ? g->o - channel : p->nr;
        const uint32_t *w = (const uint32_t *)run->weights + (size_t)panel * job->panel_words;
        for (int64_t t = t0; t < t1; t++) {
            const int64_t first = t * job->rows / job->tiles;
            const int m = (int)((t + 1) * job->rows / job->tiles - first);
            const int64_t at = first * g->o + channel;
            const xk_epilogue e =
                xv_epilogue(run, channel, run->residual ? run->residual + at : NULL, 0, g->o);
            p->tile(m, n, job->words, rows + (size_t)(first - start) * job->row_bytes,
                    (ptrdiff_t)job->row_bytes, scale + (first - start), w, run->out + at, g->o, &e);
        }
    }
}

static void run_reduced(const xv_run *run)
{
    reduced_job job = shape_job(run->plan);
    job.run = run;
    xc_spread(run->call, run->plan->threads, job.blocks * job.splits, block_of_tiles, &job);
}

static bool fits(const xv_geometry *g)
{
    return g->kh * g->kw == 1 && g->sy == 1 && g->sx == 1 && g->oh == g->h && g->ow == g->w &&
           !g->top && !g->left && g->groups == 1;
}

/* Who asks for a precision gets it wherever it fits. */
static double cost(const xk_table *k, const xv_geometry *g)
{
    (void)k, (void)g;
    return 0;
}

static void prepare(xv_plan *plan)
{
    plan->scratch_bytes = shape_job(plan).per_worker * (size_t)plan->threads;
}

/* ----------------------------------------------------------------- weights */

typedef struct {
    const xv_weights *w;
    const xk_products *products;
    uint32_t *packed;
} pack_job;

static int64_t packed(const xk_products *p, const xv_weights *w)
{
    return (w->outputs + p->nr - 1) / p->nr * (int64_t)panel_words(p, w->depth);
}

static void pack_panel(void *context, int64_t index, int worker)
{
    (void)worker;
    const pack_job *job = context;
    const xv_weights *w = job->w;
    const xk_products *p = job->products;
    const int64_t first = index * p->nr;
    const int n = (int)(w->outputs - first < p->nr ? w->outputs - first : p->nr);
    p->pack(w->data + first * w->ld_out, w->ld_out, w->ld_depth, n, w->depth, p->nr,
            w->scale ? w->scale + first : NULL, job->packed + (size_t)index * panel_words(p, w->depth));
}

static void pack(xc_call *call, const xk_products *p, const xv_weights *w, void *to)
{
    pack_job job = {.w = w, .products = p, .packed = to};
    xc_spread(call, call->threads, (w->outputs + p->nr - 1) / p->nr, pack_panel, &job);
}

#define REDUCED(NAME, PRECISION)                                                                   \
    static int64_t packed_##NAME(const xk_table *k, const xv_weights *w)                           \
    {                                                                                              \
        return packed(k->products[PRECISION], w);                                                  \
    }                                                                                              \
    static void pack_##NAME(xc_call *call, const xk_table *k, const xv_weights *w, void *to)       \
    {                                                                                              \
        pack(call, k->products[PRECISION], w, to);                                                 \
    }                                                                                              \
    const xv_algorithm xv_##NAME = {.name = #NAME,                                                 \
                                    .precision = PRECISION,                                        \
                                    .fits = fits,                                                  \
                                    .cost = cost,                                                  \
                                    .prepare = prepare,                                            \
                                    .dtype = XC_U32,                                               \
                                    .packed = packed_##NAME,                                       \
                                    .pack = pack_##NAME,                                           \
                                    .run = run_reduced};

REDUCED(bf16, XK_BF16)
REDUCED(int8, XK_INT8)
