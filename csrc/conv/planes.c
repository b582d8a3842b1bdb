/* planes.c: convolutions of a picture's few planes as they lie, plain (N, C, H, W): the first of most
 * networks.  What comes out is NHWC, as everywhere; a change of layout before it would go over the
 * largest map of all.
 *
 * A kernel row of a plane is one tap of the tiles' product: along an output row its inputs lie at
 * equal distances.  Where windows leave the map at a side, they are first copied between zeros. */
#include <string.h>

#include "conv/conv.h"
#include "pool.h"

enum {
    MAX_PLANES = 4,
    ROWS = 8, /* of output in a work item: a column at a side is a tile of so many pixels */
};

typedef struct {
    const xv_run *run;
    int from, to; /* output columns whose windows lie inside the map */
    int panels;
    int64_t blocks;
} planes_job;

/* Planes and kernel rows: the taps, each as deep as a kernel row. */
static int taps_of(const xv_geometry *g)
{
    return g->kh * g->c;
}

static int64_t windows_floats(const xv_geometry *g)
{
    return (int64_t)ROWS * taps_of(g) * g->kw;
}

static const float *image_of(const xv_run *run, int64_t row)
{
    const xv_geometry *g = &run->plan->g;
    return run->in + row / g->oh * g->c * g->h * g->w;
}

static xk_epilogue epilogue_of(const xv_run *run, int64_t at, int channel, ptrdiff_t apart)
{
    const int o = run->plan->g.o;
    return xv_epilogue(run, channel, run->residual ? run->residual + at * o + channel : NULL, 0, apart * o);
}

/* The inner columns of output row `row` of all images'. Kernel rows outside the map are left out. */
static void inner_columns(const planes_job *job, int64_t row, int channel, int n, const float *w,
                          const float **taps)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const xk_gemm *gemm = &run->plan->kernels->gemm;
    const int y = (int)(row % g->oh) * g->sy - g->top, x = job->from * g->sx - g->left;
    int count = 0;
    for (int r = 0; r < g->kh && y + r * g->dy < g->h; r++) {
        if (y + r * g->dy < 0) {
            w += (int64_t)g->c * g->kw * gemm->nr;
            continue;
        }
        for (int c = 0; c < g->c; c++)
            taps[count++] = image_of(run, row) + ((int64_t)c * g->h + y + r * g->dy) * g->w + x;
    }
    const int64_t at = row * g->ow + job->from;
    const xk_epilogue e = epilogue_of(run, at, channel, 1);
    gemm->line(job->to - job->from, n, g->kw, count, taps, g->sx, w, NULL, run->out + at * g->o + channel,
               g->o, &e);
}

/* Copies the windows of column x of rows begin .. end: [tap][row][kernel column]. */
static void copy_windows(const xv_run *run, int64_t begin, int64_t end, int x, float *windows)
{
    const xv_geometry *g = &run->plan->g;
    const int left = x * g->sx - g->left;
    for (int r = 0; r < g->kh; r++)
        for (int c = 0; c < g->c; c++)
            for (int64_t row = begin; row < end; row++) {
                const int y = (int)(row % g->oh) * g->sy - g->top + r * g->dy;
                const float *line = image_of(run, row) + ((int64_t)c * g->h + y) * g->w;
                for (int s = 0; s < g->kw; s++, windows++)
                    *windows = y < 0 || y >= g->h || left + s < 0 || left + s >= g->w ? 0 : line[left + s];
            }
}

/* Column x of rows begin .. end, ROWS at most, at a side of the map. */
static void side_column(const planes_job *job, int64_t begin, int64_t end, int x, const float **a,
                        float *windows)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const xk_gemm *gemm = &run->plan->kernels->gemm;
    const int taps = taps_of(g);
    copy_windows(run, begin, end, x, windows);
    for (int t = 0; t < taps; t++)
        a[t] = windows + t * (end - begin) * g->kw;
    for (int p = 0; p < job->panels; p++) {
        const int channel = p * gemm->nr, n = g->o - channel < gemm->nr ? g->o - channel : gemm->nr;
        const int64_t at = begin * g->ow + x, steps = (int64_t)taps * g->kw;
        const xk_epilogue e = epilogue_of(run, at, channel, g->ow);
        gemm->line(end - begin, n, g->kw, taps, a, g->kw, (const float *)run->weights + p * steps * gemm->nr,
                   NULL, run->out + at * g->o + channel, (ptrdiff_t)g->ow * g->o, &e);
    }
}

/* Columns x0 .. x1 of rows begin .. end, ROWS at most. */
static void columns_of_rows(const planes_job *job, int64_t begin, int64_t end, int x0, int x1, int worker)
{
    const xv_run *run = job->run;
    const xv_geometry *g = &run->plan->g;
    const xk_gemm *gemm = &run->plan->kernels->gemm;
    const int taps = taps_of(g);
    const int64_t steps = (int64_t)taps * g->kw;
    const float **a = (const float **)run->scratch + (int64_t)worker * taps;
    float *windows = (float *)((const float **)run->scratch + (int64_t)run->plan->threads * taps) +
                     worker * windows_floats(g);
    for (int x = x0; x < x1; x++)
        if (x < job->from || x >= job->to)
            side_column(job, begin, end, x, a, windows);
    planes_job inner = *job;
    inner.from = x0 > job->from ? x0 : job->from;
    inner.to = x1 < job->to ? x1 : job->to;
    for (int p = 0; p < job->panels && inner.from < inner.to; p++) {
        const int channel = p * gemm->nr, n = g->o - channel < gemm->nr ? g->o - channel : gemm->nr;
        for (int64_t row = begin; row < end; row++)
            inner_columns(&inner, row, channel, n, (const float *)run->weights + p * steps * gemm->nr, a);
    }
}

static void some_rows(void *context, int64_t index, int worker)
{
    const planes_job *job = context;
    const xv_geometry *g = &job->run->plan->g;
    const int64_t rows = g->n * g->oh;
    columns_of_rows(job, index * rows / job->blocks, (index + 1) * rows / job->blocks, 0, g->ow, worker);
}

static planes_job shape_job(const xv_run *run)
{
    const xv_plan *plan = run->plan;
    const xv_geometry *g = &plan->g;
    const int room = g->w + g->left - g->kw;
    planes_job job = {.run = run, .from = (g->left + g->sx - 1) / g->sx};
    job.to = room < 0 ? 0 : room / g->sx + 1;
    job.to = job.to > g->ow ? g->ow : job.to;
    if (job.to <= job.from) /* none */
        job.from = job.to = g->ow;
    job.panels = (g->o + plan->kernels->gemm.nr - 1) / plan->kernels->gemm.nr;
    job.blocks = (g->n * g->oh + ROWS - 1) / ROWS;
    return job;
}

static void run_planes(const xv_run *run)
{
    planes_job job = shape_job(run);
    xc_spread(run->call, run->plan->threads, job.blocks, some_rows, &job);
}

static void run_planes_of_spans(const xv_run *run, const xv_span *spans, int count)
{
    const planes_job job = shape_job(run);
    const int ow = run->plan->g.ow;
    for (int s = 0; s < count; s++)
        for (int64_t at = spans[s].from, end; at < spans[s].to; at = end) {
            const int64_t row = at / ow;
            end = (row + 1) * ow < spans[s].to ? (row + 1) * ow : spans[s].to;
            columns_of_rows(&job, row, row + 1, (int)(at - row * ow), (int)(end - row * ow), 0);
        }
}

static bool fits(const xv_geometry *g)
{
    return g->c <= MAX_PLANES && g->groups == 1 && g->dx == 1 && g->kw > 1;
}

static double cost(const xk_table *k, const xv_geometry *g)
{
    const double taps = g->kh * g->kw;
    return k->mac_cost * xv_cost(g, (double)g->oh * g->ow * taps, taps);
}

static void prepare(xv_plan *plan)
{
    plan->scratch_bytes = (size_t)(plan->threads * taps_of(&plan->g)) * sizeof(float *) +
                          xc_bytes(XC_F32, plan->threads * windows_floats(&plan->g));
}

static int64_t packed(const xk_table *k, const xv_weights *w)
{
    return (int64_t)(w->outputs + k->gemm.nr - 1) / k->gemm.nr * k->gemm.nr * w->depth * w->taps;
}

/* [panel][kernel row][plane][kernel column][nr] */
static void pack(xc_call *call, const xk_table *k, const xv_weights *w, void *to)
{
    const int nr = k->gemm.nr;
    float *out = to;
    (void)call;
    for (int first = 0; first < w->outputs; first += nr)
        for (int r = 0; r < w->taps / w->row_taps; r++)
            for (int c = 0; c < w->depth; c++, out += w->row_taps * nr)
                k->gemm.pack(w->data + first * w->ld_out + c * w->ld_depth + r * w->row_taps, w->ld_out, 1,
                             w->outputs - first < nr ? w->outputs - first : nr, w->row_taps, nr,
                             w->scale ? w->scale + first : NULL, out);
}

const xv_algorithm xv_planes = {.name = "planes",
                                .planes = true,
                                .fits = fits,
                                .cost = cost,
                                .prepare = prepare,
                                .dtype = XC_F32,
                                .packed = packed,
                                .pack = pack,
                                .run = run_planes,
                                .run_spans = run_planes_of_spans};
