/* pick.c: the one place that picks an algorithm, and what algorithms share. */
#include <string.h>

#include "conv/conv.h"
#include "kernels/cpu.h"

const xv_algorithm *const xv_algorithms[XV_ALGORITHMS] = {
    [XV_DEPTHWISE] = &xv_depthwise, [XV_TILES] = &xv_tiles,     [XV_WINOGRAD4] = &xv_winograd4,
    [XV_WINOGRAD2] = &xv_winograd2, [XV_COLUMNS] = &xv_columns,
    [XV_PLANES] = &xv_planes,       [XV_BF16] = &xv_bf16,         [XV_INT8] = &xv_int8,
};

static const xv_algorithm *wish; /* for tests and benchmarks */

xcos_status xcos_conv_select(const char *name, xcos_error *err)
{
    const xv_algorithm *found = NULL;
    for (int i = 0; name && i < XV_ALGORITHMS; i++)
        if (!xv_algorithms[i]->planes && !xv_algorithms[i]->precision &&
            strcmp(name, xv_algorithms[i]->name) == 0)
            found = xv_algorithms[i];
    if (name && !found)
        return xcos_fail(err, XCOS_E_ARG,
                         "'%s' is no way to convolve: depthwise, tiles, winograd4, winograd2, columns",
                         name);
    wish = found;
    return XCOS_OK;
}

int xv_index(const xv_algorithm *algorithm)
{
    int i = 0;
    while (xv_algorithms[i] != algorithm)
        i++;
    return i;
}

static const xv_algorithm *cheapest(const xk_table *k, const xv_geometry *g, bool exact,
                                    xk_precision precision)
{
    if (wish && wish->fits(g) && !exact)
        return wish;
    const xv_algorithm *best = NULL;
    double least = 0;
    for (int i = 0; i < XV_ALGORITHMS; i++) {
        const xv_algorithm *algorithm = xv_algorithms[i];
        if (algorithm->planes || !algorithm->fits(g) || (exact && algorithm->transforms) ||
            (algorithm->precision && algorithm->precision != precision))
            continue;
        const double cost = algorithm->cost(k, g);
        if (!best || cost < least) {
            best = algorithm;
            least = cost;
        }
    }
    return best;
}

void xv_pick(xv_plan *plan)
{
    if (!plan->algorithm)
        plan->algorithm = cheapest(plan->kernels, &plan->g, plan->exact, plan->precision);
    plan->algorithm->prepare(plan);
}

const xv_algorithm *xv_pick_for_all(const xk_table *k, const xv_geometry *g, xk_precision precision)
{
    xv_geometry any = *g;
    any.h = any.w = any.oh = any.ow = 1;
    /* How the cost of Winograd's compares depends on how many tiles the map fills. */
    if (xv_winograd4.fits(&any) && !wish)
        return NULL;
    return cheapest(k, &any, false, precision);
}

bool xv_fits_planes(const xk_table *k, const xv_geometry *g)
{
    xv_geometry any = *g;
    any.h = any.w = any.oh = any.ow = 1;
    return !wish && xv_planes.fits(g) && xv_planes.cost(k, &any) <= xv_columns.cost(k, &any);
}

/* Weights that no cache holds until the next run have to be fetched, at some 8 multiply-adds a
 * float (fitted to IResNet-50 on a Zen 5 with AVX-512 and with AVX2). A batch shares that cost,
 * and would tip the balance for some layers; but then an image's result would depend, in its
 * sixth digit, on what it is computed with. */
double xv_cost(const xv_geometry *g, double rows, double planes)
{
    const double weights = planes * g->c * g->o;
    return rows * g->c * g->o + (weights > (1 << 18) ? 8 * weights : 0);
}

const float *xv_scaled_input(const xv_run *run, float *to)
{
    const xv_geometry *g = &run->plan->g;
    if (!run->plan->scaled)
        return run->in;
    const int64_t pixels = g->n * g->h * g->w;
    for (int64_t p = 0; p < pixels; p++)
        for (int c = 0; c < g->c; c++)
            to[p * g->c + c] = run->in[p * g->c + c] * run->pre_scale[c] + run->pre_shift[c];
    return to;
}

xk_epilogue xv_epilogue(const xv_run *run, int64_t channel, const float *residual, ptrdiff_t row,
                        ptrdiff_t col)
{
    return (xk_epilogue){.bias = run->bias + channel,
                         .residual = residual,
                         .residual_row = row,
                         .residual_col = col,
                         .activation = run->activation,
                         .slope = run->slope ? run->slope + channel : NULL,
                         .lo = run->lo,
                         .hi = run->hi};
}
