/* products.c: matmul, the product of two computed stacks of matrices, and layer_norm. */
#include <string.h>

#include "ops/ops.h"
#include "pool.h"

/* ------------------------------------------------------------------ matmul */

static xcos_status infer_matmul(const xcos_net *net, const xn_node *node, const xn_shape *in,
                                xn_shape *out, xcos_error *err)
{
    const int rank = in[0].rank > in[1].rank ? in[0].rank : in[1].rank;
    if (rank < 3)
        return xn_unfit(node, err, "the inputs' rank is", rank, 3);
    for (int k = 0; k < 2; k++)
        if (in[k].rank != rank && (!net->values[node->layer.inputs[k]].constant || in[k].rank < 2))
            return xn_unfit(node, err, "an input's rank is", in[k].rank, rank);
    const xn_shape *a = &in[0], *b = &in[1];
    const bool turned = node->layer.transposed;
    const int64_t depth = b->dims[b->rank - (turned ? 1 : 2)];
    if (a->dims[a->rank - 1] != depth)
        return xn_unfit(node, err, "the second matrix has a depth of", depth, a->dims[a->rank - 1]);
    out->rank = rank;
    out->dims[rank - 2] = a->dims[a->rank - 2];
    out->dims[rank - 1] = b->dims[b->rank - (turned ? 2 : 1)];
    for (int i = 0; i < rank - 2; i++) {
        const int at = i - (rank - a->rank), bt = i - (rank - b->rank);
        const int64_t x = at < 0 ? 1 : a->dims[at], y = bt < 0 ? 1 : b->dims[bt];
        if (x != y && x != 1 && y != 1)
            return xn_unfit(node, err, "sizes do not broadcast:", y, x);
        out->dims[i] = x == 1 ? y : x;
    }
    return XCOS_OK;
}

/* Strides with which the matrices of each operand are met (0: the same again), and scratch: a
 * panel of the second matrix for each thread. */
static void plan_matmul(const xcos_net *net, xn_step *step, bool nhwc)
{
    const int rank = step->out_shape.rank;
    (void)nhwc;
    for (int k = 0; k < 2; k++) {
        const xn_shape *s = &step->in_shape[k];
        int64_t stride[XCOS_MAX_RANK];
        xn_strides(s, stride);
        for (int i = 0; i < rank - 2; i++)
            step->stride[k][i] = s->dims[i] == 1 ? 0 : stride[i];
    }
    const int64_t depth = step->in_shape[0].dims[rank - 1];
    step->scratch_bytes = xc_bytes(XC_F32, depth * net->kernels->gemm.nr * step->threads);
}

/* A panel of nr columns of b (depth, columns), or of its transpose, as the tiles read it. */
static void lay_panel(const float *b, int64_t columns, int64_t depth, bool turned, int64_t first,
                      int n, int nr, float *panel)
{
    for (int64_t k = 0; k < depth; k++, panel += nr) {
        if (turned)
            for (int j = 0; j < n; j++)
                panel[j] = b[(first + j) * depth + k];
        else
            memcpy(panel, b + k * columns + first, (size_t)n * sizeof *panel);
        memset(panel + n, 0, (size_t)(nr - n) * sizeof *panel);
    }
}

/* One panel of one matrix of the stack. */
static void multiply_panel(void *context, int64_t index, int worker)
{
    const xn_task *task = context;
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const xk_gemm *gemm = &task->net->kernels->gemm;
    const int rank = s->rank;
    const int64_t rows = s->dims[rank - 2], columns = s->dims[rank - 1];
    const int64_t depth = step->in_shape[0].dims[rank - 1];
    const int64_t panels = (columns + gemm->nr - 1) / gemm->nr, matrix = index / panels;
    const int64_t first = index % panels * gemm->nr;
    const int n = columns - first < gemm->nr ? (int)(columns - first) : gemm->nr;
    const float *a = task->in[0], *b = task->in[1];
    int64_t rest = matrix;
    for (int i = rank - 3; i >= 0; i--) {
        a += rest % s->dims[i] * step->stride[0][i];
        b += rest % s->dims[i] * step->stride[1][i];
        rest /= s->dims[i];
    }
    float *panel = (float *)task->scratch + worker * depth * gemm->nr;
    float *y = task->out + matrix * rows * columns + first;
    lay_panel(b, columns, depth, step->node->layer.transposed, first, n, gemm->nr, panel);
    const xk_epilogue nothing = {.activation = XK_NONE};
    gemm->line(rows, n, (int)depth, 1, &a, depth, panel, NULL, y, columns, &nothing);
}

static void run_matmul(const xn_task *task)
{
    const xn_shape *s = &task->step->out_shape;
    const int64_t columns = s->dims[s->rank - 1], nr = task->net->kernels->gemm.nr;
    const int64_t matrices = xn_count(s) / (s->dims[s->rank - 2] * columns);
    xc_spread(task->call, task->step->threads, matrices * ((columns + nr - 1) / nr),
              multiply_panel, (void *)task);
}

/* -------------------------------------------------------------- layer_norm */

enum { ROWS = 16 }; /* in a work item */

static const char *check_layer_norm(const xcos_layer *l)
{
    const int64_t c = l->gamma.data && l->gamma.rank == 1 ? l->gamma.dims[0] : -1;
    if ((l->gamma.data && !xn_is_vector(&l->gamma, -1)) ||
        (l->beta.data && !xn_is_vector(&l->beta, c)))
        return "gamma and beta must be vectors of one length";
    return l->epsilon >= 0 ? NULL : "epsilon must not be negative";
}

static xcos_status infer_layer_norm(const xcos_net *net, const xn_node *node, const xn_shape *in,
                                    xn_shape *out, xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    (void)net;
    if (in->rank < 2)
        return xn_unfit(node, err, "the input's rank is", in->rank, 2);
    const int64_t size = in->dims[in->rank - 1];
    const bool has_gamma = node->layer.gamma.rank == 1, has_beta = l->beta.rank == 1;
    if (has_gamma && l->gamma.dims[0] != size)
        return xn_unfit(node, err, "the last axis has", size, l->gamma.dims[0]);
    if (has_beta && l->beta.dims[0] != size)
        return xn_unfit(node, err, "the last axis has", size, l->beta.dims[0]);
    *out = *in;
    return XCOS_OK;
}

static void normalise_rows(void *context, int64_t index, int worker)
{
    const xn_task *task = context;
    const xn_shape *s = &task->step->out_shape;
    const xn_node *node = task->step->node;
    const int64_t size = s->dims[s->rank - 1], rows = xn_count(s) / size;
    const int64_t end = (index + 1) * ROWS < rows ? (index + 1) * ROWS : rows;
    (void)worker;
    for (int64_t i = index * ROWS; i < end; i++)
        task->net->kernels->normalise(size, task->in[0] + i * size, node->pre_scale,
                                      node->pre_shift, node->layer.epsilon, task->out + i * size);
}

static void run_layer_norm(const xn_task *task)
{
    const xn_shape *s = &task->step->out_shape;
    const int64_t rows = xn_count(s) / s->dims[s->rank - 1];
    xc_spread(task->call, task->step->threads, (rows + ROWS - 1) / ROWS, normalise_rows,
              (void *)task);
}

const xn_family xn_matmul = {
    .layout = XN_PLAIN, .infer = infer_matmul, .plan = plan_matmul, .run = run_matmul};

const xn_family xn_layer_norm = {.layout = XN_PLAIN,
                                 .check = check_layer_norm,
                                 .infer = infer_layer_norm,
                                 .run = run_layer_norm};
