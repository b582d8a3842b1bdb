/* tiles.c: convolutions as an implicit matrix product over taps, in tiles that stay in registers.
 *
 * Nothing is copied.  A work item is a block of pixels or of rows, small enough that its inputs stay
 * near while panel after panel of output channels goes over them.  Where the inputs of one pixel after
 * the other lie at equal distances, a kernel is given the first ones' addresses: in all of a map if
 * the kernel is 1x1, else along a row as far as its windows lie inside the map, and the columns at
 * the sides go by themselves, downwards.  Where rows are too short for that, tiles are given the
 * address of each pixel's inputs, tap by tap. */
#include "conv/conv.h"
#include "pool.h"

enum {
    BLOCK_BYTES = 128 << 10, /* of input that a work item goes over again for each panel:
                                a quarter of a small second-level cache */
    MAX_BLOCK_TILES = 16,
};

typedef enum { ONE_LINE, ROWS, PIXELS } way;

typedef struct {
    const xv_run *run;
    way way;
    int64_t count, blocks; /* pixels, or rows of all images; blocks of at most plan->unit of them */
    int panels, splits;   /* of one group; work items that share the panels of a block */
} tiles_job;

/* The output columns whose windows lie inside the map: from *from to *to. */
static void inner_columns(const xv_geometry *g, int *from, int *to)
{
    const int room = g->w + g->left - (g->kw - 1) * g->dx - 1;
    *from = (g->left + g->sx - 1) / g->sx;
    *to = room < 0 ? 0 : room / g->sx + 1;
    *to = *to > g->ow ? g->ow : *to;
}

static way way_of(const xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    int from, to;
    if (g->kh * g->kw == 1 && g->sy == 1 && g->sx == 1 && g->oh == g->h && g->ow == g->w && !g->top &&
        !g->left)
        return ONE_LINE;
    inner_columns(g, &from, &to);
    return to - from >= plan->kernels->gemm.mr ? ROWS : PIXELS;
}

static tiles_job shape_job(const xv_run *run)
{
    const xv_plan *plan = run->plan;
    const xv_geometry *g = &plan->g;
    tiles_job job = {.run = run, .way = way_of(plan), .splits = 1};
    job.count = g->n * g->oh * (job.way == ROWS ? 1 : g->ow);
    job.blocks = (job.count + plan->unit - 1) / plan->unit;
    job.panels = (g->o / g->groups + plan->kernels->gemm.nr - 1) / plan->kernels->gemm.nr;
    return job;
}

/* Addresses that a work item has room for. */
static int64_t pointers_of(const xv_plan *plan)
{
    const int tiles = way_of(plan) == PIXELS ? plan->unit / plan->kernels->gemm.mr : 1;
    return (int64_t)tiles * plan->kernels->gemm.mr * plan->g.kh * plan->g.kw;
}

/* Addresses of the inputs of m pixels, one after the other or one below the other, from output pixel
 * `first` of all images' on: a[tap*m + i]. */
static void point_taps(const xv_run *run, int64_t first, bool below, int64_t channel, int m,
                       const float **a)
{
    const xv_geometry *g = &run->plan->g;
    const ptrdiff_t down = (ptrdiff_t)g->dy * g->w * g->c, right = (ptrdiff_t)g->dx * g->c;
    int ox = (int)(first % g->ow), oy = (int)(first / g->ow % g->oh);
    const float *image = run->in + first / g->ow / g->oh * ((int64_t)g->h * g->w * g->c) + channel;
    const float *corner[XK_MAX_MR]; /* of each pixel's window, which may lie outside the map */
    int x[XK_MAX_MR], y[XK_MAX_MR];
    for (int i = 0; i < m; i++) {
        x[i] = ox * g->sx - g->left;
        y[i] = oy * g->sy - g->top;
        corner[i] = image + ((int64_t)y[i] * g->w + x[i]) * g->c;
        if (!below && ++ox < g->ow)
            continue;
        ox = below ? ox : 0;
        if (++oy == g->oh) {
            oy = 0;
            image += (int64_t)g->h * g->w * g->c;
        }
    }
    const float *const zeros = run->zeros;
    for (int r = 0; r < g->kh; r++) {
        unsigned width[XK_MAX_MR]; /* of the pixel's row: none outside the map */
        for (int i = 0; i < m; i++)
            width[i] = (unsigned)(y[i] + r * g->dy) < (unsigned)g->h ? (unsigned)g->w : 0;
        for (int s = 0; s < g->kw; s++, a += m) {
            const ptrdiff_t tap = r * down + s * right;
            for (int i = 0; i < m; i++)
                a[i] = (unsigned)(x[i] + s * g->dx) < width[i] ? corner[i] + tap : zeros;
        }
    }
}

/* A panel of a group's weights. */
typedef struct {
    const xv_run *run;
    int64_t in, out;       /* the first input and output channel */
    int n;                 /* outputs */
    const float *w, *next; /* next: the panel that has its turn next, or NULL */
} panel;

static panel panel_of(const tiles_job *job, int64_t group, int p, bool last)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const int outputs = g->o / g->groups, depth = g->c / g->groups, nr = run->plan->kernels->gemm.nr;
    const int64_t size = (int64_t)g->kh * g->kw * depth * nr;
    const float *w = (const float *)run->weights + (group * job->panels + p) * size;
    return (panel){.run = run,
                   .in = group * depth,
                   .out = group * outputs + (int64_t)p * nr,
                   .n = outputs - p * nr < nr ? outputs - p * nr : nr,
                   .w = w,
                   .next = last ? NULL : w + size}; /* behind the last: not ours */
}

/* What is done to outputs from output pixel `at` on that lie `apart` from each other. */
static xk_epilogue epilogue_of(const panel *p, int64_t at, ptrdiff_t apart)
{
    const float *residual = p->run->residual;
    const int o = p->run->plan->g.o;
    return xv_epilogue(p->run, p->out, residual ? residual + at * o + p->out : NULL, 0, apart * o);
}

/* Pixels `begin` .. `end`, of a 1x1 convolution. */
static void multiply_pixels(const panel *p, int64_t begin, int64_t end)
{
    const xv_geometry *g = &p->run->plan->g;
    const float *in = p->run->in + begin * g->c + p->in;
    const xk_epilogue e = epilogue_of(p, begin, 1);
    p->run->plan->kernels->gemm.line(end - begin, p->n, g->c / g->groups, 1, &in, g->c, p->w, p->next,
                                     p->run->out + begin * g->o + p->out, g->o, &e);
}

/* m pixels from output pixel `at` on, `apart` from each other, with inputs at a. */
static void multiply_tile(const panel *p, int64_t at, int m, ptrdiff_t apart, const float *const *a,
                          const float *next)
{
    const xv_geometry *g = &p->run->plan->g;
    const xk_epilogue e = epilogue_of(p, at, apart);
    p->run->plan->kernels->gemm.tile(m, p->n, g->c / g->groups, g->kh * g->kw, a, p->w, next,
                                     p->run->out + at * g->o + p->out, apart * g->o, &e);
}

/* Columns `from` .. `to` of rows `begin` .. `end` of all images, whose windows leave the map. */
static void multiply_columns(const panel *p, int from, int to, int64_t begin, int64_t end,
                             const float **a)
{
    const int ow = p->run->plan->g.ow, mr = p->run->plan->kernels->gemm.mr;
    for (int x = from; x < to; x++)
        for (int64_t y = begin; y < end; y += mr) {
            const int m = end - y < mr ? (int)(end - y) : mr;
            point_taps(p->run, y * ow + x, true, p->in, m, a);
            multiply_tile(p, y * ow + x, m, ow, a, NULL);
        }
}

/* Columns `from` .. `to` of row `row` of all images'. Kernel rows that lie outside the map are left
 * out; the taps of one are one tap where they lie side by side. */
static void multiply_row(const panel *p, int from, int to, int64_t row, const float **rows,
                         const float *next)
{
    const xv_geometry *g = &p->run->plan->g;
    const xk_gemm *gemm = &p->run->plan->kernels->gemm;
    const bool merged = g->groups == 1 && g->dx == 1;
    const int depth = g->c / g->groups, columns = merged ? 1 : g->kw;
    const int y = (int)(row % g->oh) * g->sy - g->top, x = from * g->sx - g->left;
    const float *corner = p->run->in + ((row / g->oh * g->h + y) * g->w + x) * g->c + p->in, *w = p->w;
    int taps = 0;
    for (int r = 0; r < g->kh && y + r * g->dy < g->h; r++) {
        if (y + r * g->dy < 0) {
            w += (int64_t)g->kw * depth * gemm->nr;
            continue;
        }
        for (int s = 0; s < columns; s++)
            rows[taps++] = corner + ((int64_t)r * g->dy * g->w + s * g->dx) * g->c;
    }
    const int64_t at = row * g->ow + from;
    const xk_epilogue e = epilogue_of(p, at, 1);
    gemm->line(to - from, p->n, merged ? g->kw * depth : depth, taps, rows, (ptrdiff_t)g->sx * g->c, w,
               next, p->run->out + at * g->o + p->out, g->o, &e);
}

/* A block of one group, with the panels of one part of `splits`. */
static void multiply(const tiles_job *job, int64_t group, int64_t block, int64_t part, int worker)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const int mr = run->plan->kernels->gemm.mr, taps = g->kh * g->kw;
    const int64_t begin = block * job->count / job->blocks;
    const int64_t end = (block + 1) * job->count / job->blocks;
    const int p0 = (int)(part * job->panels / job->splits);
    const int p1 = (int)((part + 1) * job->panels / job->splits);
    const float **a = (const float **)run->scratch + worker * pointers_of(run->plan);
    int from, to;
    inner_columns(g, &from, &to);

    /* Tiles share the pixels evenly, so that none is left with a few. */
    const int64_t tiles = job->way == PIXELS ? (end - begin + mr - 1) / mr : 0;
    int64_t first[MAX_BLOCK_TILES + 1];
    for (int64_t t = 0; t <= tiles && tiles; t++)
        first[t] = begin + t * (end - begin) / tiles;
    for (int64_t t = 0; t < tiles; t++)
        point_taps(run, first[t], false, group * (g->c / g->groups), (int)(first[t + 1] - first[t]),
                   a + t * mr * taps);
    for (int i = p0; i < p1; i++) {
        const panel p = panel_of(job, group, i, i + 1 == p1);
        const int64_t steps = (int64_t)taps * (g->c / g->groups);
        for (int64_t t = 0; t < tiles; t++)
            multiply_tile(&p, first[t], (int)(first[t + 1] - first[t]), 1, a + t * mr * taps,
                          xk_next_panel(run->plan->kernels->gemm.nr, t, tiles, steps, p.next));
        if (job->way == ONE_LINE)
            multiply_pixels(&p, begin, end);
        if (job->way == ROWS) {
            multiply_columns(&p, 0, from, begin, end, a);
            multiply_columns(&p, to, g->ow, begin, end, a);
            for (int64_t row = begin; row < end; row++)
                multiply_row(&p, from, to, row, a, row + 1 == end ? p.next : NULL);
        }
    }
}

static void one_block(void *context, int64_t index, int worker)
{
    const tiles_job *job = context;
    const int64_t block = index / job->splits;
    multiply(job, block / job->blocks, block % job->blocks, index % job->splits, worker);
}

static void run_tiles(const xv_run *original)
{
    const xv_plan *plan = original->plan;
    const xv_geometry *g = &plan->g;
    xv_run run = *original;
    run.in = xv_scaled_input(original, (float *)((const float **)run.scratch +
                                                 plan->threads * pointers_of(plan)));
    tiles_job job = shape_job(&run);
    const int64_t items = job.blocks * g->groups, wanted = 2 * plan->threads;
    if (plan->threads > 1 && items < wanted) {
        const int64_t splits = (wanted + items - 1) / items;
        job.splits = splits < job.panels ? (int)splits : job.panels;
    }
    xc_spread(run.call, plan->threads, items * job.splits, one_block, &job);
}

/* Pixels begin .. end, as in the whole. */
static void multiply_span(const tiles_job *job, const panel *p, int64_t begin, int64_t end, const float **a)
{
    const int mr = job->run->plan->kernels->gemm.mr, ow = job->run->plan->g.ow;
    int from, to;
    inner_columns(&job->run->plan->g, &from, &to);
    if (job->way == ONE_LINE)
        multiply_pixels(p, begin, end);
    for (int64_t at = begin, next; job->way == PIXELS && at < end; at = next) {
        next = at + mr < end ? at + mr : end;
        point_taps(job->run, at, false, p->in, (int)(next - at), a);
        multiply_tile(p, at, (int)(next - at), 1, a, NULL);
    }
    for (int64_t at = begin, next; job->way == ROWS && at < end; at = next) {
        const int64_t row = at / ow;
        next = (row + 1) * ow < end ? (row + 1) * ow : end;
        const int x0 = (int)(at - row * ow), x1 = (int)(next - row * ow);
        const int left = from < x1 ? from : x1, right = to > x0 ? to : x0;
        const int first = x0 > from ? x0 : from, last = x1 < to ? x1 : to;
        multiply_columns(p, x0, left, row, row + 1, a);
        multiply_columns(p, right, x1, row, row + 1, a);
        if (first < last)
            multiply_row(p, first, last, row, a, NULL);
    }
}

static void run_tiles_of_spans(const xv_run *run, const xv_span *spans, int count)
{
    const tiles_job job = shape_job(run);
    const xv_geometry *g = &run->plan->g;
    const int64_t most = (int64_t)run->plan->unit * (job.way == ROWS ? g->ow : 1); /* in a block */
    for (int64_t group = 0; group < g->groups; group++)
        for (int s = 0, end; s < count; s = end) {
            int64_t pixels = 0;
            for (end = s; end < count && pixels < most; end++)
                pixels += spans[end].to - spans[end].from;
            for (int i = 0; i < job.panels; i++) {
                panel p = panel_of(&job, group, i, i + 1 == job.panels);
                const float *next = p.next;
                for (int k = s; k < end; k++) {
                    p.next = k + 1 == end ? next : NULL;
                    multiply_span(&job, &p, spans[k].from, spans[k].to, (const float **)run->scratch);
                }
            }
        }
}

static bool fits(const xv_geometry *g)
{
    (void)g;
    return true;
}

static double cost(const xk_table *k, const xv_geometry *g)
{
    const double taps = g->kh * g->kw;
    return k->mac_cost * xv_cost(g, (double)g->oh * g->ow * taps, taps);
}

static int64_t at_most(int64_t x, int64_t most)
{
    return x < 1 ? 1 : x > most ? most : x;
}

static void prepare(xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    const int64_t floats = BLOCK_BYTES / (int64_t)sizeof(float), mr = plan->kernels->gemm.mr;
    plan->unit = (int)(way_of(plan) == ROWS
                           ? at_most(floats / ((int64_t)g->sy * g->w * g->c), mr)
                           : at_most(floats / (mr * g->c), MAX_BLOCK_TILES) * mr);
    const int64_t input = plan->scaled ? g->n * g->h * g->w * g->c : 0;
    plan->scratch_bytes = (size_t)(pointers_of(plan) * plan->threads) * sizeof(float *) +
                          xc_bytes(XC_F32, input);
}

/* ----------------------------------------------------------------- weights */

typedef struct {
    const xv_weights *w;
    const xk_gemm *gemm;
    int nr, panels; /* panels of one group */
    float *packed;
} pack_job;

static int panels_of(const xk_table *k, const xv_weights *w)
{
    return (w->outputs + k->gemm.nr - 1) / k->gemm.nr;
}

static int64_t packed(const xk_table *k, const xv_weights *w)
{
    return (int64_t)w->groups * panels_of(k, w) * w->taps * w->depth * k->gemm.nr;
}

/* Panel `index` of [group][panel][tap][depth][nr]. */
static void pack_panel(void *context, int64_t index, int worker)
{
    (void)worker;
    const pack_job *job = context;
    const xv_weights *w = job->w;
    const int first = (int)(index % job->panels) * job->nr;
    const int64_t channel = index / job->panels * w->outputs + first;
    const int n = w->outputs - first < job->nr ? w->outputs - first : job->nr;
    const int64_t size = (int64_t)w->depth * job->nr;
    for (int tap = 0; tap < w->taps; tap++)
        job->gemm->pack(w->data + channel * w->ld_out + tap, w->ld_out, w->ld_depth, n, w->depth,
                        job->nr, w->scale ? w->scale + channel : NULL,
                        job->packed + (index * w->taps + tap) * size);
}

static void pack(xc_call *call, const xk_table *k, const xv_weights *w, void *to)
{
    pack_job job = {.w = w, .gemm = &k->gemm, .nr = k->gemm.nr, .panels = panels_of(k, w), .packed = to};
    xc_spread(call, call->threads, (int64_t)w->groups * job.panels, pack_panel, &job);
}

const xv_algorithm xv_tiles = {.name = "tiles",
                               .fits = fits,
                               .cost = cost,
                               .prepare = prepare,
                               .dtype = XC_F32,
                               .packed = packed,
                               .pack = pack,
                               .run = run_tiles,
                               .run_spans = run_tiles_of_spans};
