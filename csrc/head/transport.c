/* transport.c: how far the cells of one grid must be moved to be those of another: the Earth
 * Mover's distance with entropy (Sinkhorn; Cuturi 2013), as DeepFace-EMD (arXiv 2112.04016,
 * section 3 and the code of its authors) ranks faces by it.
 *
 * A pair: cosines of all cells with all cells, k = exp((cosine - 1) / regularization), then in
 * turns r = u / (k c) and c = v / (k' r), u and v the weights of the cells; flow = r k c.  k does
 * not suffice where costs are many times the regularization: as soon as a scaling leaves
 * 1/FAR..FAR it moves into the exponent, as potentials (Schmitzer 2019, section 2.3).
 *
 * The authors end a batch's iterations when its scalings change by less than 0.1 in the mean; here
 * each pair has all its iterations, since no result may depend on the batch. */
#include "head/head.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "blas.h"
#include "os/memory.h"
#include "pool.h"

enum { MAX_CELLS = 1024, MAX_DEPTH = 65536, MAX_ITERATIONS = 1000000, MAX_WORKERS = 256 };

/* Where a scaling moves into the exponent: far from float's range, squared as well. */
static const float FAR = 1e6f;

typedef struct {
    const xk_table *kernels;
    const xcos_transport *t;
    const float *a, *b;
    int64_t a_step; /* floats from first face to first face; 0: one for all */
    float *similarity, *flow;
    int cells, columns; /* columns: cells, padded for vectors */
    float *scratch;     /* per worker */
    size_t scratch_size;
    _Atomic int64_t bad_a, bad_b;
    xc_call call;
} job;

/* One pair at work. Matrices have rows of `columns` floats, of which the last are padding. */
typedef struct {
    float *unit_a, *unit_b;         /* (cells, depth) and (depth, cells) */
    float *mean_a, *mean_b, *scale; /* depth, depth, cells */
    float *cosine, *k, *turned;     /* (cells, cells): k and its transpose */
    float *u, *v, *r, *c, *f, *g;   /* weights, scalings, potentials / regularization */
} pair;

static size_t lay_out(const job *j, float *at, pair *p)
{
    const size_t cells = (size_t)j->cells, columns = (size_t)j->columns;
    const size_t depth = (size_t)j->t->depth, face = depth * cells, matrix = cells * columns;
    const struct {
        float **part;
        size_t size;
    } parts[] = {{&p->unit_a, face},  {&p->unit_b, face},   {&p->mean_a, depth}, {&p->mean_b, depth},
                 {&p->scale, cells},  {&p->cosine, matrix}, {&p->k, matrix},     {&p->turned, matrix},
                 {&p->u, columns},    {&p->v, columns},     {&p->r, columns},    {&p->c, columns},
                 {&p->f, columns},    {&p->g, columns}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].part = at ? at + used : NULL;
        used += (parts[i].size + XK_LINE - 1) / XK_LINE * XK_LINE;
    }
    return used;
}

/* The mean cell of a face, and 1 / norm of each cell.  false: a value is not finite. */
static bool measure(const job *j, const float *face, float *mean, float *scale)
{
    const int cells = j->cells;
    double norm[MAX_CELLS] = {0};
    bool finite = true;
    for (int d = 0; d < j->t->depth; d++, face += cells) {
        double sum = 0;
        for (int i = 0; i < cells; i++) {
            norm[i] += (double)face[i] * face[i];
            sum += face[i];
        }
        mean[d] = (float)(sum / cells);
    }
    for (int i = 0; i < cells; i++) {
        finite = finite && isfinite(norm[i]);
        scale[i] = (float)(1 / fmax(sqrt(norm[i]), XH_NORM_FLOOR));
    }
    return finite;
}

/* Weights of cells from their similarity with the other face's mean: what is below 0 counts
 * nothing; all alike where nothing counts. */
static void normalize(int cells, float *w)
{
    double sum = 0;
    for (int i = 0; i < cells; i++) {
        w[i] = w[i] > 0 ? w[i] : 0;
        sum += w[i];
    }
    for (int i = 0; i < cells; i++)
        w[i] = sum > FLT_MIN ? (float)(w[i] / sum) : 1.0f / (float)cells;
}

static void weigh(const job *j, const pair *p)
{
    const int cells = j->cells, depth = j->t->depth;
    for (int i = 0; i < cells; i++)
        p->u[i] = p->v[i] = 1.0f / (float)cells;
    if (!j->t->cross)
        return;
    xb_multiply(cells, 1, depth, p->unit_a, depth, p->mean_b, 1, false, p->u, 1);
    xb_multiply(1, cells, depth, p->mean_a, depth, p->unit_b, cells, false, p->v, j->columns);
    normalize(cells, p->u);
    normalize(cells, p->v);
}

/* k and its transpose from cosines and potentials. */
static void fill_kernel(const job *j, const pair *p)
{
    const int cells = j->cells, columns = j->columns;
    const float sharpness = 1 / j->t->regularization;
    for (int i = 0; i < cells; i++) {
        float *row = p->turned + (ptrdiff_t)i * columns;
        const float *cosine = p->cosine + (ptrdiff_t)i * columns;
        for (int n = 0; n < columns; n++) {
            const float x = (cosine[n] - 1) * sharpness + (p->f[i] + p->g[n]);
            row[n] = x < 0 ? x : 0;
        }
    }
    j->kernels->transport.exponentials(cells * columns, p->turned, p->k);
    for (int i = 0; i < cells; i++)
        for (int n = 0; n < columns; n++) {
            if (n < cells)
                p->turned[(ptrdiff_t)n * columns + i] = p->k[(ptrdiff_t)i * columns + n];
            else
                p->turned[(ptrdiff_t)i * columns + n] = p->k[(ptrdiff_t)i * columns + n] = 0;
        }
}

/* Whether a scaling has left its range; one of 0 belongs to a cell without weight. */
static int is_far(int columns, const float *x)
{
    int far = 0;
    for (int i = 0; i < columns; i++) /* without branches: compilers make vectors of it */
        far |= (x[i] > FAR) | ((x[i] < 1 / FAR) & (x[i] > 0));
    return far;
}

static void absorb(int cells, float *x, float *potential)
{
    for (int i = 0; i < cells; i++)
        if (x[i] > 0) {
            potential[i] += logf(x[i]);
            x[i] = 1;
        }
}

static void iterate(const job *j, const pair *p)
{
    const int cells = j->cells, columns = j->columns;
    for (int i = 0; i < columns; i++)
        p->c[i] = i < cells;
    fill_kernel(j, p);
    for (int t = 0; t < j->t->iterations; t++) {
        j->kernels->transport.divide(cells, columns, p->turned, p->c, p->u, p->r);
        j->kernels->transport.divide(cells, columns, p->k, p->r, p->v, p->c);
        if (is_far(columns, p->r) | is_far(columns, p->c)) {
            absorb(cells, p->r, p->f);
            absorb(cells, p->c, p->g);
            fill_kernel(j, p);
        }
    }
}

static void move_pair(void *context, int64_t index, int worker)
{
    job *j = context;
    if (xc_stop(&j->call, worker))
        return;
    const int cells = j->cells, columns = j->columns, depth = j->t->depth;
    const float *a = j->a + index * j->a_step, *b = j->b + index * cells * depth;
    pair p;
    float *scratch = j->scratch + (size_t)worker * j->scratch_size;
    memset(scratch, 0, j->scratch_size * sizeof *scratch);
    lay_out(j, scratch, &p);
    if (!measure(j, a, p.mean_a, p.scale))
        xh_lower(&j->bad_a, j->a_step ? index : 0);
    for (int d = 0; d < depth; d++)
        for (int i = 0; i < cells; i++)
            p.unit_a[(ptrdiff_t)i * depth + d] = a[(ptrdiff_t)d * cells + i] * p.scale[i];
    if (!measure(j, b, p.mean_b, p.scale))
        xh_lower(&j->bad_b, index);
    for (int d = 0; d < depth; d++)
        for (int i = 0; i < cells; i++)
            p.unit_b[(ptrdiff_t)d * cells + i] = b[(ptrdiff_t)d * cells + i] * p.scale[i];
    if (j->bad_a != INT64_MAX || j->bad_b != INT64_MAX)
        return;
    xb_multiply(cells, cells, depth, p.unit_a, depth, p.unit_b, cells, false, p.cosine, columns);
    weigh(j, &p);
    iterate(j, &p);
    double sum = 0;
    for (int i = 0; i < cells; i++)
        for (int n = 0; n < cells; n++) {
            const ptrdiff_t at = (ptrdiff_t)i * columns + n;
            const float flow = p.r[i] * p.k[at] * p.c[n];
            sum += (double)flow * p.cosine[at];
            if (j->flow)
                j->flow[(index * cells + i) * cells + n] = flow;
        }
    j->similarity[index] = (float)(sum > 1 ? 1 : sum < -1 ? -1 : sum);
}

static xcos_status check(const xcos_transport *t, int64_t n, xcos_error *err)
{
    if (n < 0)
        return xcos_fail(err, XCOS_E_ARG, "transport: %" PRId64 " pairs", n);
    if (t->height < 1 || t->width < 1 || t->height > MAX_CELLS || t->width > MAX_CELLS ||
        t->height * t->width > MAX_CELLS)
        return xcos_fail(err, XCOS_E_ARG, "transport: %d x %d cells, expected 1 to %d", t->height,
                         t->width, MAX_CELLS);
    if (t->depth < 1 || t->depth > MAX_DEPTH)
        return xcos_fail(err, XCOS_E_ARG, "transport: depth is %d, expected 1 to %d", t->depth,
                         MAX_DEPTH);
    if (!(t->regularization >= 0.001f && t->regularization <= 100))
        return xcos_fail(err, XCOS_E_ARG, "transport: regularization is %g, expected 0.001 to 100",
                         (double)t->regularization);
    if (t->iterations < 1 || t->iterations > MAX_ITERATIONS)
        return xcos_fail(err, XCOS_E_ARG, "transport: %d iterations, expected 1 to %d",
                         t->iterations, MAX_ITERATIONS);
    return XCOS_OK;
}

xcos_status xcos_transport_run(const xcos_transport *t, const float *a, int64_t a_count,
                               const float *b, int64_t n, float *similarity, float *flow,
                               int threads, xcos_error *err)
{
    const xcos_status wrong = check(t, n, err);
    if (wrong != XCOS_OK || !n)
        return wrong;
    if (a_count != n && a_count != 1)
        return xcos_fail(err, XCOS_E_ARG,
                         "transport: %" PRId64 " first faces, expected 1 or %" PRId64, a_count, n);
    if (!a || !b || !similarity)
        return xcos_fail(err, XCOS_E_ARG, "transport: faces or similarities are NULL");
    const int cells = t->height * t->width;
    job j = {.kernels = xk_kernels(), .t = t, .a = a, .b = b, .similarity = similarity,
             .flow = flow, .cells = cells, .columns = (cells + XK_LINE - 1) / XK_LINE * XK_LINE,
             .a_step = a_count == n ? (int64_t)cells * t->depth : 0,
             .bad_a = INT64_MAX, .bad_b = INT64_MAX};
    pair sizes;
    j.scratch_size = lay_out(&j, NULL, &sizes);
    xc_open(&j.call, n == 1 ? 1 : threads);
    int64_t workers = j.call.threads < MAX_WORKERS ? j.call.threads : MAX_WORKERS;
    workers = workers < n ? workers : n;
    j.scratch = xh_alloc((size_t)workers * j.scratch_size);
    xcos_status status = XCOS_OK;
    if (!j.scratch)
        status = xcos_fail(err, XCOS_E_NOMEM, "transport: out of memory");
    else
        xc_spread(&j.call, (int)workers, n, move_pair, &j);
    xo_free(j.scratch);
    if (j.bad_a != INT64_MAX || j.bad_b != INT64_MAX) {
        const bool first = j.bad_a != INT64_MAX;
        status = xcos_fail(err, XCOS_E_ARG, "%s[%" PRId64 "]: expected finite features",
                           first ? "a" : "b", first ? j.bad_a : j.bad_b);
    }
    return xc_close(&j.call, status, err);
}
