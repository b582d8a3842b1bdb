/* tiles.c: convolutions as an implicit matrix product over taps, in tiles that stay in registers.
 *
 * Nothing is copied: a tile is given the addresses of its pixels' inputs, tap by tap. A work item
 * is a block of tiles, small enough that its inputs stay near while panel after panel of output
 * channels goes over them. */
#include <string.h>

#include "conv/conv.h"
#include "pool.h"

enum {
    BLOCK_BYTES = 128 << 10,   /* of input that a work item goes over again for each panel:
                                  a quarter of a small second-level cache */
    MAX_BLOCK_TILES = 16,
    MAX_MERGED_CHANNELS = 8,   /* of which a kernel row becomes one tap */
};

typedef struct {
    const xv_run *run;
    int64_t rows, tiles, blocks; /* pixels; tiles of at most mr; blocks of plan->tiles tiles */
    int panels, splits;          /* of one group; work items that share the panels of a block */
    int64_t pointers, per_worker; /* floats of scratch: addresses; and patches of rows */
} tiles_job;

/* With few channels (the first layer has three) a tap is too short for a tile's loop over
 * depth. The taps of one kernel row lie side by side in NHWC, and so do their packed
 * weights: the row becomes one tap. */
static bool merges_rows(const xv_geometry *g)
{
    return g->c <= MAX_MERGED_CHANNELS && g->kw > 1 && g->dx == 1 && g->groups == 1;
}

static tiles_job shape_job(const xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    tiles_job job = {.rows = g->n * g->oh * g->ow};
    job.tiles = (job.rows + plan->kernels->gemm.mr - 1) / plan->kernels->gemm.mr;
    job.blocks = (job.tiles + plan->tiles - 1) / plan->tiles;
    job.panels = (g->o / g->groups + plan->kernels->gemm.nr - 1) / plan->kernels->gemm.nr;
    job.splits = 1;
    if (plan->threads > 1 && job.blocks * g->groups < 2 * plan->threads) {
        int64_t wanted = (2 * plan->threads + job.blocks * g->groups - 1) / (job.blocks * g->groups);
        job.splits = wanted < job.panels ? (int)wanted : job.panels;
    }
    const int64_t most = job.tiles < plan->tiles ? job.tiles : plan->tiles; /* in a block */
    const int64_t taps = most * plan->kernels->gemm.mr * g->kh * g->kw;
    job.pointers = taps * 2; /* an address takes the room of two floats */
    job.per_worker = job.pointers + (merges_rows(g) ? taps * g->c : 0);
    return job;
}

/* Addresses of the inputs of pixels [first, first + m): a[tap*m + i]. */
static void point_pixels(const xv_run *run, int64_t first, int m, const float **a)
{
    for (int i = 0; i < m; i++)
        a[i] = run->in + (first + i) * run->plan->g.c;
}

static void point_taps(const xv_run *run, int64_t first, int m, const float **a)
{
    const xv_geometry *g = &run->plan->g;
    const ptrdiff_t down = (ptrdiff_t)g->dy * g->w * g->c, right = (ptrdiff_t)g->dx * g->c;
    int ox = (int)(first % g->ow), oy = (int)(first / g->ow % g->oh);
    const float *image = run->in + first / g->ow / g->oh * ((int64_t)g->h * g->w * g->c);
    const float *corner[XK_MAX_MR]; /* of each pixel's window, which may lie outside the map */
    int x[XK_MAX_MR], y[XK_MAX_MR];
    for (int i = 0; i < m; i++) {
        x[i] = ox * g->sx - g->left;
        y[i] = oy * g->sy - g->top;
        corner[i] = image + ((int64_t)y[i] * g->w + x[i]) * g->c;
        if (++ox == g->ow) {
            ox = 0;
            if (++oy == g->oh) {
                oy = 0;
                image += (int64_t)g->h * g->w * g->c;
            }
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

/* The same for merged rows; those that leave the map at a side are copied to `patches`, with
 * room for m*kh of them. */
static void point_rows(const xv_run *run, int64_t first, int m, const float **a, float *patches)
{
    const xv_geometry *g = &run->plan->g;
    const int64_t length = (int64_t)g->kw * g->c;
    int ox = (int)(first % g->ow), oy = (int)(first / g->ow % g->oh);
    const float *image = run->in + first / g->ow / g->oh * ((int64_t)g->h * g->w * g->c);
    for (int i = 0; i < m; i++) {
        const int x = ox * g->sx - g->left;
        const int cut = x < 0 ? -x : 0, end = x + g->kw > g->w ? g->w - x : g->kw;
        for (int r = 0; r < g->kh; r++) {
            const int y = oy * g->sy - g->top + r * g->dy;
            if (y < 0 || y >= g->h || cut >= end) {
                a[r * m + i] = run->zeros;
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

static void block_of_tiles(void *context, int64_t index, int worker)
{
    const tiles_job *job = context;
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const xk_table *k = run->plan->kernels;
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
    const float **a = (const float **)((float *)run->scratch + worker * job->per_worker);
    float *patches = (float *)run->scratch + worker * job->per_worker + job->pointers;

    /* Tiles share the rows evenly, so that none is left with a few. */
    int64_t first[MAX_BLOCK_TILES + 1];
    for (int64_t t = t0; t <= t1; t++)
        first[t - t0] = t * job->rows / job->tiles;
    for (int64_t t = 0; t < t1 - t0; t++) {
        const float **at = a + t * k->gemm.mr * taps;
        int m = (int)(first[t + 1] - first[t]);
        if (product)
            point_pixels(run, first[t], m, at);
        else if (merged)
            point_rows(run, first[t], m, at, patches + t * k->gemm.mr * taps * depth);
        else
            point_taps(run, first[t], m, at);
        for (int i = 0; group && i < m * taps; i++)
            at[i] += at[i] == run->zeros ? 0 : group * depth;
    }
    for (int p = p0; p < p1; p++) {
        const int n = outputs - p * k->gemm.nr < k->gemm.nr ? outputs - p * k->gemm.nr : k->gemm.nr;
        const int64_t channel = group * outputs + (int64_t)p * k->gemm.nr;
        const float *w = (const float *)run->weights + (group * job->panels + p) * steps * k->gemm.nr;
        const float *next = p + 1 < p1 ? w + steps * k->gemm.nr : NULL; /* behind the last: not ours */
        for (int64_t t = 0; t < t1 - t0; t++) {
            const int64_t at = first[t] * g->o + channel;
            const xk_epilogue e =
                xv_epilogue(run, channel, run->residual ? run->residual + at : NULL, 0, g->o);
            k->gemm.tile((int)(first[t + 1] - first[t]), n, depth, taps, a + t * k->gemm.mr * taps, w,
                    next ? xk_next_panel(k, t, t1 - t0, steps, next) : NULL, run->out + at, g->o, &e);
        }
    }
}

static void run_tiles(const xv_run *original)
{
    const xv_plan *plan = original->plan;
    xv_run run = *original;
    tiles_job job = shape_job(plan);
    run.in = xv_scaled_input(original, (float *)run.scratch + job.per_worker * plan->threads);
    job.run = &run;
    xc_spread(run.call, plan->threads, job.blocks * job.splits * plan->g.groups, block_of_tiles,
              &job);
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

static void prepare(xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    const int64_t tiles =
        BLOCK_BYTES / ((int64_t)plan->kernels->gemm.mr * g->c * (int64_t)sizeof(float));
    plan->tiles = tiles < 1 ? 1 : tiles > MAX_BLOCK_TILES ? MAX_BLOCK_TILES : (int)tiles;
    const int64_t input = plan->scaled ? g->n * g->h * g->w * g->c : 0;
    plan->scratch_bytes = xc_bytes(XC_F32, shape_job(plan).per_worker * plan->threads + input);
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
                               .run = run_tiles};
