/* gemm.c: OpenBLAS. The only file that includes cblas.h.
 *
 * Convolutions by explicit columns and one sgemm: the algorithm where none of our vector
 * kernels runs (OpenBLAS chooses kernels for such machines too) and the oracle of the
 * others (XCOS_CONV=im2col). And the products of all embeddings with all others.
 * OpenBLAS runs on the calling thread: our own pool spreads the rows, since its threads
 * serialise concurrent callers.
 */
#include <cblas.h>
#include <pthread.h>
#include <string.h>

#include "head.h"
#include "net.h"
#include "pool.h"

enum { ROWS = 128 }; /* output pixels whose columns are laid out at a time */

static void set_one_thread(void)
{
    scipy_openblas_set_num_threads(1);
}

static void one_thread(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_one_thread);
}

void xh_products(const float *a, int n, const float *b, int m, int size, float *products, int ld)
{
    one_thread();
    scipy_cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, m, size, 1, a, size, b, size, 0,
                      products, ld);
}

/* A 1x1 convolution without stride or padding reads its input as columns already. */
static bool is_product(const xn_conv *g)
{
    return g->kh == 1 && g->kw == 1 && g->sy == 1 && g->sx == 1 && g->groups == 1 && !g->top &&
           !g->left && g->oh == g->h && g->ow == g->w;
}

static int64_t columns_floats(const xn_conv *g)
{
    return is_product(g) ? 0 : (int64_t)ROWS * g->kh * g->kw * (g->c / g->groups);
}

int64_t xn_im2col_scratch(const xn_step *step)
{
    const xn_conv *g = &step->conv;
    return step->threads * columns_floats(g) +
           (step->node->pre_scale ? g->n * g->h * g->w * g->c : 0);
}

/* Row i: the inputs of output pixel first + i, tap by tap, `depth` channels from `channel`. */
static void lay_columns(const xn_task *task, int64_t first, int rows, int channel, float *columns)
{
    const xn_conv *g = &task->step->conv;
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
                           task->in[0] + ((image * g->h + y) * g->w + x) * g->c + channel,
                           (size_t)depth * sizeof *columns);
            }
        }
    }
}

static void finish_rows(const xn_task *task, int64_t first, int rows)
{
    const xn_node *node = task->step->node;
    const int o = task->step->conv.o;
    for (int64_t i = first; i < first + rows; i++) {
        float *y = task->out + i * o;
        const float *residual = task->residual ? task->residual + i * o : NULL;
        for (int c = 0; c < o; c++) {
            float v = y[c] + node->bias[c] + (residual ? residual[c] : 0);
            if (node->activation == XK_PRELU && v < 0)
                v *= node->slope[c];
            else if (node->activation == XK_CLIP)
                v = v < node->lo ? node->lo : v > node->hi ? node->hi : v;
            y[c] = v;
        }
    }
}

static void multiply_rows(void *context, int64_t index, int worker)
{
    const xn_task *task = context;
    const xn_conv *g = &task->step->conv;
    const int64_t total = g->n * g->oh * g->ow, first = index * ROWS;
    const int rows = total - first < ROWS ? (int)(total - first) : ROWS;
    const int o = g->o / g->groups, depth = g->kh * g->kw * (g->c / g->groups);
    float *columns = task->scratch + worker * columns_floats(g);
    for (int group = 0; group < g->groups; group++) {
        const float *a = task->in[0] + first * g->c;
        if (!is_product(g)) {
            lay_columns(task, first, rows, group * (g->c / g->groups), columns);
            a = columns;
        }
        scipy_cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, o, depth, 1, a, depth,
                          task->step->node->packed[XN_CONV_IM2COL] + (int64_t)group * depth * o, o,
                          0, task->out + first * g->o + (int64_t)group * o, g->o);
    }
    finish_rows(task, first, rows);
}

void xn_run_im2col(const xn_task *original)
{
    one_thread();
    xn_task task = *original;
    const xn_conv *g = &task.step->conv;
    if (task.step->node->pre_scale)
        task.in[0] = xn_affine_input(original,
                                     original->scratch + task.step->threads * columns_floats(g));
    xc_parallel(task.step->threads, (g->n * g->oh * g->ow + ROWS - 1) / ROWS, multiply_rows, &task);
}
