/* columns.c: convolutions by explicit columns and OpenBLAS: the algorithm where none of our vector
 * kernels runs (OpenBLAS chooses kernels for such machines too), and the oracle of the others. */
#include <string.h>

#include "blas.h"
#include "conv/conv.h"
#include "pool.h"

enum {
    ROWS = 128,    /* output pixels whose columns are laid out at a time */
    MAC_COST = 2,  /* of OpenBLAS with the vectors that every x86-64 has, see kernels.h */
};

/* A 1x1 convolution without stride or padding reads its input as columns already. */
static bool is_product(const xv_geometry *g)
{
    return g->kh == 1 && g->kw == 1 && g->sy == 1 && g->sx == 1 && g->groups == 1 && !g->top &&
           !g->left && g->oh == g->h && g->ow == g->w;
}

static int64_t columns_floats(const xv_geometry *g)
{
    return is_product(g) ? 0 : (int64_t)ROWS * g->kh * g->kw * (g->c / g->groups);
}

/* Row i: the inputs of output pixel first + i, tap by tap, `depth` channels from `channel`. */
static void lay_columns(const xv_run *run, int64_t first, int rows, int channel, float *columns)
{
    const xv_geometry *g = &run->plan->g;
    const int depth = g->c / g->groups;
    for (int i = 0; i < rows; i++) {
        int64_t pixel = first + i;
        int ox = (int)(pixel % g->ow), oy = (int)(pixel / g->ow % g->oh);
        int64_t image = pixel / g->ow / g->oh;
        for (int r = 0; r < g->kh; r++) {
            for (int s = 0; s < g->kw; s++, columns += depth) {
                int y = oy * g->sy - g->top + r * g->dy, x = ox * g->sx - g->left + s * g->dx;
                if (y < 0 || y >= g->h || x < 0 || x >= g->w)
                    memset(columns, 0, (size_t)depth * sizeof *columns);
                else
                    memcpy(columns,
                           run->in + ((image * g->h + y) * g->w + x) * g->c + channel,
                           (size_t)depth * sizeof *columns);
            }
        }
    }
}

static void finish_rows(const xv_run *run, int64_t first, int rows)
{
    const int o = run->plan->g.o;
    for (int64_t i = first; i < first + rows; i++) {
        float *y = run->out + i * o;
        const float *residual = run->residual ? run->residual + i * o : NULL;
        for (int c = 0; c < o; c++) {
            float v = y[c] + run->bias[c] + (residual ? residual[c] : 0);
            if (run->activation == XK_PRELU && v < 0)
                v *= run->slope[c];
            else if (run->activation == XK_CLIP)
                v = v < run->lo ? run->lo : v > run->hi ? run->hi : v;
            y[c] = v;
        }
    }
}

static void multiply_rows(void *context, int64_t index, int worker)
{
    const xv_run *run = context;
    const xv_geometry *g = &run->plan->g;
    const int64_t total = g->n * g->oh * g->ow, first = index * ROWS;
    const int rows = total - first < ROWS ? (int)(total - first) : ROWS;
    const int o = g->o / g->groups, depth = g->kh * g->kw * (g->c / g->groups);
    float *columns = (float *)run->scratch + worker * columns_floats(g);
    for (int group = 0; group < g->groups; group++) {
        const float *a = run->in + first * g->c;
        if (!is_product(g)) {
            lay_columns(run, first, rows, group * (g->c / g->groups), columns);
            a = columns;
        }
        xb_multiply(rows, o, depth, a, depth,
                    (const float *)run->weights + (int64_t)group * depth * o, o, false,
                    run->out + first * g->o + (int64_t)group * o, g->o);
    }
    finish_rows(run, first, rows);
}

static void run_columns(const xv_run *original)
{
    const xv_plan *plan = original->plan;
    const xv_geometry *g = &plan->g;
    xv_run run = *original;
    run.in = xv_scaled_input(original, (float *)run.scratch + plan->threads * columns_floats(g));
    xc_spread(run.call, plan->threads, (g->n * g->oh * g->ow + ROWS - 1) / ROWS, multiply_rows,
              &run);
}

static bool fits(const xv_geometry *g)
{
    (void)g;
    return true;
}

static double cost(const xk_table *k, const xv_geometry *g)
{
    (void)k;
    const double taps = g->kh * g->kw;
    return MAC_COST * xv_cost(g, (double)g->oh * g->ow * taps, taps);
}

static void prepare(xv_plan *plan)
{
    const xv_geometry *g = &plan->g;
    plan->scratch_bytes = xc_bytes(XC_F32, plan->threads * columns_floats(g) +
                                               (plan->scaled ? g->n * g->h * g->w * g->c : 0));
}

static int64_t packed(const xk_table *k, const xv_weights *w)
{
    (void)k;
    return (int64_t)w->groups * w->taps * w->depth * w->outputs;
}

/* [group][tap][depth][outputs]: the second operand of the product. */
static void pack(xc_call *call, const xk_table *k, const xv_weights *w, void *to)
{
    (void)call, (void)k;
    float *out = to;
    for (int64_t g = 0; g < w->groups; g++)
        for (int tap = 0; tap < w->taps; tap++)
            for (int64_t c = 0; c < w->depth; c++)
                for (int64_t o = g * w->outputs; o < (g + 1) * w->outputs; o++) {
                    float x = w->data[o * w->ld_out + c * w->ld_depth + tap];
                    x = w->scale ? x * w->scale[o] : x;
                    *out++ = xk_flushed(x);
                }
}

const xv_algorithm xv_columns = {.name = "columns",
                                 .fits = fits,
                                 .cost = cost,
                                 .prepare = prepare,
                                 .dtype = XC_F32,
                                 .packed = packed,
                                 .pack = pack,
                                 .run = run_columns};
