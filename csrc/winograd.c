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
#include "net.h"
#include "pool.h"

enum {
    BLOCK_BYTES = 384 << 10, /* of V that a thread works on: most of a 512 KB second-level cache */
    LARGE_BYTES = 5 << 20,   /* of V where weights are large or threads share it */
    NEAR_BYTES = 832 << 10,  /* of V that is gone over once per panel */
    /* Planes a power of two apart would all fall into one set of the first-level cache. */
    PLANE_GAP = 16,
    MAX_TILES = 1024, /* in a block */
    LINE_FLOATS = 16, /* of a cache line */
};

typedef struct {
    const xn_task *task;
    int m, planes, tiles_y, tiles_x;
    int panels, bands;     /* bands: groups of panels that are multiplied together */
    int64_t tiles, blocks; /* in all */
    bool shared;
    int64_t plane_v, plane_m; /* floats from plane to plane */
    int64_t per_worker;       /* floats of scratch */
    int64_t first, count;     /* tiles of the block at hand, when shared */
    float *v;                 /* its planes */
} winograd_job;

static winograd_job shape_job(const xcos_net *net, const xn_step *step)
{
    const xn_conv *g = &step->conv;
    winograd_job job = {.m = step->kind == XN_CONV_WINO4 ? 4 : 2};
    job.planes = (job.m + 2) * (job.m + 2);
    job.tiles_y = (g->oh + job.m - 1) / job.m;
    job.tiles_x = (g->ow + job.m - 1) / job.m;
    job.tiles = g->n * job.tiles_y * job.tiles_x;
    job.panels = (g->o + net->kernels->nr - 1) / net->kernels->nr;
    const int64_t bytes = (int64_t)job.planes * g->c * (int64_t)sizeof(float); /* of a tile */
    /* A thread goes over all weights once per block: where they do not stay in the
     * second-level cache, fetching them again costs more than a V that spills from it. */
    const bool heavy = bytes * g->o > BLOCK_BYTES * 2;
    int64_t room = (heavy ? LARGE_BYTES : BLOCK_BYTES) / bytes;
    if (room < net->kernels->mr)
        room = net->kernels->mr;
    job.blocks = (job.tiles + room - 1) / room;
    job.shared = step->threads > 1 && job.blocks < 2 * step->threads;
    if (job.shared) {
        room = LARGE_BYTES / bytes;
        room = room < net->kernels->mr ? net->kernels->mr : room;
        job.blocks = (job.tiles + room - 1) / room;
    }
    if (room > MAX_TILES)
        job.blocks = (job.tiles + MAX_TILES - 1) / MAX_TILES;
    const int64_t tiles = (job.tiles + job.blocks - 1) / job.blocks;
    job.plane_v = tiles * g->c + PLANE_GAP;
    job.bands = tiles * bytes <= NEAR_BYTES ? job.panels : job.shared ? 2 * step->threads : 1;
    job.bands = job.bands > job.panels ? job.panels : job.bands;
    const int64_t width = (job.panels + job.bands - 1) / job.bands * net->kernels->nr;
    job.plane_m = tiles * width + PLANE_GAP;
    job.per_worker = job.planes * (job.plane_m + (job.shared ? 0 : job.plane_v));
    return job;
}

int64_t xn_winograd_scratch(const xcos_net *net, xn_step *step)
{
    winograd_job job = shape_job(net, step);
    return step->threads * job.per_worker + (job.shared ? job.planes * job.plane_v : 0);
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

static int clamp(int x, int lo, int hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* Transforms tile t; slot: its place in the block. */
static void transform_tile(const winograd_job *job, int64_t t, int64_t slot, float *v)
{
    const xn_task *task = job->task;
    const xn_conv *g = &task->step->conv;
    const xk_table *k = task->net->kernels;
    const xn_node *node = task->step->node;
    const place at = place_of(job, t);
    const int y = at.y - g->top, x = at.x - g->left, size = job->m + 2;
    const ptrdiff_t row = (ptrdiff_t)g->w * g->c;
    const float *in = task->in[0] + at.image * g->h * row + y * row + (ptrdiff_t)x * g->c;
    (job->m == 4 ? k->wino4_input : k->wino2_input)(
        in, row, g->c, clamp(-y, 0, size), clamp(g->h - y, 0, size), clamp(-x, 0, size),
        clamp(g->w - x, 0, size), g->c, node->pre_scale, node->pre_shift, v + slot * g->c,
        job->plane_v);
}

/* Announces that the `channels` outputs at `channel` of tiles first .. last will be written:
 * the maps of the first layers are cold by then, and their lines come while we multiply. */
static void fetch_outputs(const winograd_job *job, int64_t first, int64_t last, int channel,
                          int channels)
{
    const xn_task *task = job->task;
    const xn_conv *g = &task->step->conv;
    const ptrdiff_t row = (ptrdiff_t)g->ow * g->o;
    for (int64_t t = first; t < last; t++) {
        const place at = place_of(job, t);
        const float *y = task->out + (at.image * g->oh + at.y) * row + (int64_t)at.x * g->o + channel;
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
    const xn_task *task = job->task;
    const xn_conv *g = &task->step->conv;
    const xn_node *node = task->step->node;
    const xk_table *k = task->net->kernels;
    static const xk_epilogue plain = {0};
    const int p0 = band * job->panels / job->bands, p1 = (band + 1) * job->panels / job->bands;
    const int channel = p0 * k->nr, width = (p1 - p0) * k->nr;
    const int channels = g->o - channel < width ? g->o - channel : width;
    const int64_t groups = (count + k->mr - 1) / k->mr;
    for (int plane = 0; plane < job->planes; plane++) {
        fetch_outputs(job, first + plane * count / job->planes,
                      first + (plane + 1) * count / job->planes, channel, channels);
        for (int p = p0; p < p1; p++) {
            const float *packed = node->packed[task->step->kind];
            const int64_t panel = (int64_t)p * job->planes + plane;
            const int64_t then = p + 1 < p1 ? panel + job->planes
                                            : (int64_t)p0 * job->planes + plane + 1;
            const float *w = packed + panel * g->c * k->nr, *next = packed + then * g->c * k->nr;
            for (int64_t i = 0; i < groups; i++) {
                const int64_t t0 = i * count / groups, t1 = (i + 1) * count / groups;
                const float *a[XK_MAX_MR];
                for (int64_t t = t0; t < t1; t++)
                    a[t - t0] = v + plane * job->plane_v + t * g->c;
                k->gemm((int)(t1 - t0), k->nr, g->c, 1, a, w,
                        xk_next_panel(k, i, groups, g->c, next),
                        m + plane * job->plane_m + t0 * width + (p - p0) * k->nr, width, &plain);
            }
        }
    }
    const ptrdiff_t row = (ptrdiff_t)g->ow * g->o;
    xk_epilogue e = {.bias = node->bias + channel,
                     .residual_row = row,
                     .residual_col = g->o,
                     .activation = node->activation,
                     .slope = node->slope ? node->slope + channel : NULL,
                     .lo = node->lo,
                     .hi = node->hi};
    for (int64_t t = 0; t < count; t++) {
        const place at = place_of(job, first + t);
        const int64_t offset = (at.image * g->oh + at.y) * row + (int64_t)at.x * g->o + channel;
        e.residual = task->residual ? task->residual + offset : NULL;
        (job->m == 4 ? k->wino4_output : k->wino2_output)(
            m + t * width, job->plane_m, channels, task->out + offset, row, g->o,
            clamp(g->oh - at.y, 0, job->m), clamp(g->ow - at.x, 0, job->m), &e);
    }
}

static void whole_block(void *context, int64_t index, int worker)
{
    const winograd_job *job = context;
    const int64_t first = index * job->tiles / job->blocks;
    const int64_t count = (index + 1) * job->tiles / job->blocks - first;
    float *v = job->task->scratch + worker * job->per_worker;
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
                  job->task->scratch + worker * job->per_worker);
}

void xn_run_winograd(const xn_task *task)
{
    winograd_job job = shape_job(task->net, task->step);
    const int threads = task->step->threads;
    job.task = task;
    if (!job.shared) {
        xc_parallel(threads, job.blocks, whole_block, &job);
        return;
    }
    job.v = task->scratch + threads * job.per_worker;
    for (int64_t i = 0; i < job.blocks; i++) {
        job.first = i * job.tiles / job.blocks;
        job.count = (i + 1) * job.tiles / job.blocks - job.first;
        xc_parallel(threads, job.count, shared_tile, &job);
        xc_parallel(threads, job.bands, shared_band, &job);
    }
}
