/* winograd.c: 3x3 stride-1 convolutions by Winograd's F(4x4, 3x3) and F(2x2, 3x3)
 * (Lavin and Gray, arXiv 1509.09308).
 *
 * The output is cut into tiles of 4x4 (2x2) pixels. A block of tiles is transformed into
 * 36 (16) planes of (tiles, C) matrices, V; each is multiplied with its (C, O) matrix of
 * transformed weights; the products M are transformed back.
 *
 * What decides is which of the three stays near. While V fits the second-level cache, one
 * panel of output channels is taken after the other through all planes, so that M stays in
 * the first-level cache. Where weights are large, blocks must be large too, since the
 * weights come from memory once a block: then V is larger than the cache, and each plane is
 * multiplied with many panels at a time (a band), so that V is read once and not once a panel.
 *
 * Where there are blocks enough for all threads, each thread takes whole blocks. Else
 * (deep layers, few images) the threads share each block: first its tiles, then its bands.
 */
#include <math.h>

#include "conv/conv.h"
#include "pool.h"

enum {
    BLOCK_BYTES = 384 << 10, /* of V that a thread works on: most of a 512 KB second-level cache */
    LARGE_BYTES = 5 << 20,   /* of V where weights are large or threads share it */
    NEAR_BYTES = 832 << 10,  /* of V that is gone over once per panel */
    /* Planes a power of two apart would all fall into one set of the first-level cache. */
    PLANE_GAP = 16,
    MAX_TILES = 1024, /* in a block */
    LINE_FLOATS = 16, /* of a cache line */
    MIN_CHANNELS = 16,
};

typedef struct {
    const xv_run *run;
    int m, planes, tiles_y, tiles_x;
    int panels, bands;     /* bands: groups of panels that are multiplied together */
    int64_t tiles, blocks; /* in all */
    bool shared;
    int64_t plane_v, plane_m; /* floats from plane to plane */
    int64_t per_worker;       /* floats of scratch */
    int64_t first, count;     /* tiles of the block at hand, when shared */
    float *v;                 /* its planes */
} winograd_job;

static int tile_of(const xv_algorithm *algorithm)
{
    return algorithm == &xv_winograd4 ? 4 : 2;
}

static winograd_job shape_job(const xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    winograd_job job = {.m = tile_of(plan->algorithm)};
    job.planes = (job.m + 2) * (job.m + 2);
    job.tiles_y = (g->oh + job.m - 1) / job.m;
    job.tiles_x = (g->ow + job.m - 1) / job.m;
    job.tiles = g->n * job.tiles_y * job.tiles_x;
    job.panels = (g->o + plan->kernels->gemm.nr - 1) / plan->kernels->gemm.nr;
    const int64_t bytes = (int64_t)job.planes * g->c * (int64_t)sizeof(float); /* of a tile */
    /* A thread goes over all weights once per block: where they do not stay in the
     * second-level cache, fetching them again costs more than a V that spills from it. */
    const bool heavy = bytes * g->o > BLOCK_BYTES * 2;
    int64_t room = (heavy ? LARGE_BYTES : BLOCK_BYTES) / bytes;
    if (room < plan->kernels->gemm.mr)
        room = plan->kernels->gemm.mr;
    job.blocks = (job.tiles + room - 1) / room;
    job.shared = plan->threads > 1 && job.blocks < 2 * plan->threads;
    if (job.shared) {
        room = LARGE_BYTES / bytes;
        room = room < plan->kernels->gemm.mr ? plan->kernels->gemm.mr : room;
        job.blocks = (job.tiles + room - 1) / room;
    }
    if (room > MAX_TILES)
        job.blocks = (job.tiles + MAX_TILES - 1) / MAX_TILES;
    const int64_t tiles = (job.tiles + job.blocks - 1) / job.blocks;
    job.plane_v = tiles * g->c + PLANE_GAP;
    job.bands = tiles * bytes <= NEAR_BYTES ? job.panels : job.shared ? 2 * plan->threads : 1;
    job.bands = job.bands > job.panels ? job.panels : job.bands;
    const int64_t width = (job.panels + job.bands - 1) / job.bands * plan->kernels->gemm.nr;
    job.plane_m = tiles * width + PLANE_GAP;
    job.per_worker = job.planes * (job.plane_m + (job.shared ? 0 : job.plane_v));
    return job;
}

static void prepare(xv_plan *plan)
{
    const winograd_job job = shape_job(plan);
    plan->scratch_bytes = xc_bytes(XC_F32, plan->threads * job.per_worker +
                                               (job.shared ? job.planes * job.plane_v : 0));
}

/* Tile t of all images: its image, and the first output pixel. */
typedef struct {
    int64_t image;
    int y, x;
} place;

static place place_of(const winograd_job *job, int64_t t)
{
    return (place){t / job->tiles_x / job->tiles_y, (int)(t / job->tiles_x % job->tiles_y) * job->m,
                   (int)(t % job->tiles_x) * job->m};
}

static const xk_winograd *winograd_of(const winograd_job *job)
{
    const xk_table *k = job->run->plan->kernels;
    return job->m == 4 ? &k->winograd4 : &k->winograd2;
}

static int clamp(int x, int lo, int hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* Transforms tile t; slot: its place in the block. */
static void transform_tile(const winograd_job *job, int64_t t, int64_t slot, float *v)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const place at = place_of(job, t);
    const int y = at.y - g->top, x = at.x - g->left, size = job->m + 2;
    const ptrdiff_t row = (ptrdiff_t)g->w * g->c;
    const float *in = run->in + at.image * g->h * row + y * row + (ptrdiff_t)x * g->c;
    winograd_of(job)->input(
        in, row, g->c, clamp(-y, 0, size), clamp(g->h - y, 0, size), clamp(-x, 0, size),
        clamp(g->w - x, 0, size), g->c, run->pre_scale, run->pre_shift, v + slot * g->c,
        job->plane_v);
}

/* Announces that the `channels` outputs at `channel` of tiles first .. last will be written:
 * the maps of the first layers are cold by then, and their lines come while we multiply. */
static void fetch_outputs(const winograd_job *job, int64_t first, int64_t last, int channel,
                          int channels)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const ptrdiff_t row = (ptrdiff_t)g->ow * g->o;
    for (int64_t t = first; t < last; t++) {
        const place at = place_of(job, t);
        const float *y = run->out + (at.image * g->oh + at.y) * row + (int64_t)at.x * g->o + channel;
        const int rows = clamp(g->oh - at.y, 0, job->m), cols = clamp(g->ow - at.x, 0, job->m);
        for (int r = 0; r < rows; r++)
            for (int s = 0; s < cols; s++)
                for (int c = 0; c < channels; c += LINE_FLOATS)
                    __builtin_prefetch(y + r * row + (ptrdiff_t)s * g->o + c, 1);
    }
}

/* Products and back transform of a band of panels for tiles first .. first + count. */
static void multiply_band(const winograd_job *job, int64_t first, int64_t count, int band,
                          const float *v, float *m)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const xk_table *k = run->plan->kernels;
    static const xk_epilogue plain = {0};
    const int p0 = band * job->panels / job->bands, p1 = (band + 1) * job->panels / job->bands;
    const int channel = p0 * k->gemm.nr, width = (p1 - p0) * k->gemm.nr;
    const int channels = g->o - channel < width ? g->o - channel : width;
    for (int plane = 0; plane < job->planes; plane++) {
        fetch_outputs(job, first + plane * count / job->planes,
                      first + (plane + 1) * count / job->planes, channel, channels);
        for (int p = p0; p < p1; p++) {
            const float *packed = run->weights;
            const int64_t panel = (int64_t)p * job->planes + plane;
            const int64_t then = p + 1 < p1 ? panel + job->planes
                                            : (int64_t)p0 * job->planes + plane + 1;
            const float *w = packed + panel * g->c * k->gemm.nr, *next = packed + then * g->c * k->gemm.nr;
            const float *tiles = v + plane * job->plane_v;
            k->gemm.line(count, k->gemm.nr, g->c, 1, &tiles, g->c, w, next,
                         m + plane * job->plane_m + (p - p0) * k->gemm.nr, width, &plain);
        }
    }
    const ptrdiff_t row = (ptrdiff_t)g->ow * g->o;
    xk_epilogue e = xv_epilogue(run, channel, NULL, row, g->o);
    for (int64_t t = 0; t < count; t++) {
        const place at = place_of(job, first + t);
        const int64_t offset = (at.image * g->oh + at.y) * row + (int64_t)at.x * g->o + channel;
        e.residual = run->residual ? run->residual + offset : NULL;
        winograd_of(job)->output(
            m + t * width, job->plane_m, channels, run->out + offset, row, g->o,
            clamp(g->oh - at.y, 0, job->m), clamp(g->ow - at.x, 0, job->m), &e);
    }
}

static void whole_block(void *context, int64_t index, int worker)
{
    const winograd_job *job = context;
    const int64_t first = index * job->tiles / job->blocks;
    const int64_t count = (index + 1) * job->tiles / job->blocks - first;
    float *v = (float *)job->run->scratch + worker * job->per_worker;
    for (int64_t t = 0; t < count; t++)
        transform_tile(job, first + t, t, v);
    for (int band = 0; band < job->bands; band++)
        multiply_band(job, first, count, band, v, v + job->planes * job->plane_v);
}

static void shared_tile(void *context, int64_t index, int worker)
{
    (void)worker;
    const winograd_job *job = context;
    transform_tile(job, job->first + index, index, job->v);
}

static void shared_band(void *context, int64_t index, int worker)
{
    const winograd_job *job = context;
    multiply_band(job, job->first, job->count, (int)index, job->v,
                  (float *)job->run->scratch + worker * job->per_worker);
}

static void run_winograd(const xv_run *run)
{
    winograd_job job = shape_job(run->plan);
    const int threads = run->plan->threads;
    job.run = run;
    if (!job.shared) {
        xc_spread(run->call, threads, job.blocks, whole_block, &job);
        return;
    }
    job.v = (float *)run->scratch + threads * job.per_worker;
    for (int64_t i = 0; i < job.blocks; i++) {
        job.first = i * job.tiles / job.blocks;
        job.count = (i + 1) * job.tiles / job.blocks - job.first;
        xc_spread(run->call, threads, job.count, shared_tile, &job);
        xc_spread(run->call, threads, job.bands, shared_band, &job);
    }
}

/* Below MIN_CHANNELS the transforms would cost more than they save. */
static bool fits(const xv_geometry *g)
{
    return g->kh == 3 && g->kw == 3 && g->sy == 1 && g->sx == 1 && g->dy == 1 && g->dx == 1 &&
           g->groups == 1;
}

static double cost(const xk_table *k, const xv_geometry *g, int m)
{
    const double planes = (m + 2) * (m + 2);
    const double tiles = (double)((g->oh + m - 1) / m) * ((g->ow + m - 1) / m);
    if (g->c < MIN_CHANNELS || g->o < MIN_CHANNELS)
        return INFINITY;
    return k->mac_cost * xv_cost(g, tiles * planes, planes);
}

static double cost4(const xk_table *k, const xv_geometry *g) { return cost(k, g, 4); }
static double cost2(const xk_table *k, const xv_geometry *g) { return cost(k, g, 2); }

/* ----------------------------------------------------------------- weights */

typedef struct {
    const xv_weights *w;
    const xk_winograd *kernels;
    int nr, planes;
    float *packed;
} pack_job;

static int64_t packed(const xk_table *k, const xv_weights *w, int m)
{
    return (int64_t)(w->outputs + k->gemm.nr - 1) / k->gemm.nr * (m + 2) * (m + 2) * w->depth * k->gemm.nr;
}

static int64_t packed4(const xk_table *k, const xv_weights *w) { return packed(k, w, 4); }
static int64_t packed2(const xk_table *k, const xv_weights *w) { return packed(k, w, 2); }

/* Panel `index` of [panel][plane][depth][nr]. */
static void pack_panel(void *context, int64_t index, int worker)
{
    (void)worker;
    const pack_job *job = context;
    const xv_weights *w = job->w;
    const int64_t first = index * job->nr;
    const int n = (int)(w->outputs - first < job->nr ? w->outputs - first : job->nr);
    job->kernels->pack(w->data + first * w->ld_out, w->ld_out, w->ld_depth, n, w->depth, job->nr,
                       w->scale ? w->scale + first : NULL,
                       job->packed + index * job->planes * w->depth * job->nr);
}

static void pack(xc_call *call, const xv_weights *w, pack_job job)
{
    xc_spread(call, call->threads, (w->outputs + job.nr - 1) / job.nr, pack_panel, &job);
}

static void pack4(xc_call *call, const xk_table *k, const xv_weights *w, void *to)
{
    pack(call, w, (pack_job){w, &k->winograd4, k->gemm.nr, 36, to});
}

static void pack2(xc_call *call, const xk_table *k, const xv_weights *w, void *to)
{
    pack(call, w, (pack_job){w, &k->winograd2, k->gemm.nr, 16, to});
}

const xv_algorithm xv_winograd4 = {.name = "winograd4",
                                   .transforms = true,
                                   .fits = fits,
                                   .cost = cost4,
                                   .prepare = prepare,
                                   .dtype = XC_F32,
                                   .packed = packed4,
                                   .pack = pack4,
                                   .run = run_winograd};

const xv_algorithm xv_winograd2 = {.name = "winograd2",
                                   .transforms = true,
                                   .fits = fits,
                                   .cost = cost2,
                                   .prepare = prepare,
                                   .dtype = XC_F32,
                                   .packed = packed2,
                                   .pack = pack2,
                                   .run = run_winograd};
