/* axes.c: concat, slice and softmax, which go along one axis. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "pool.h"

static xcos_status infer(const xcos_net *net, const xn_node *node, const xn_shape *in, xn_shape *out,
                         xcos_error *err)
{
    (void)net;
    const xcos_layer *l = &node->layer;
    *out = in[0];
    if (l->axis < 1 || l->axis >= in[0].rank)
        return xcos_fail(err, XCOS_E_ARG,
                         "layer '%s' (%s): axis %d, expected 1 to %d (axis 0 is the batch)",
                         l->name, xn_op_name(l->op), l->axis, in[0].rank - 1);
    int64_t size = in[0].dims[l->axis];
    if (l->op == XCOS_OP_CONCAT) {
        for (int i = 1; i < l->n_inputs; i++) {
            if (in[i].rank != in[0].rank)
                return xn_unfit(node, err, "an input's rank is", in[i].rank, in[0].rank);
            for (int j = 0; j < in[0].rank; j++)
                if (j != l->axis && in[i].dims[j] != in[0].dims[j])
                    return xn_unfit(node, err, "an input's size is", in[i].dims[j], in[0].dims[j]);
            size += in[i].dims[l->axis];
        }
        out->dims[l->axis] = size;
    } else if (l->op == XCOS_OP_SLICE) {
        int64_t start = l->start < 0 ? l->start + size : l->start;
        int64_t stop = l->stop < 0 ? l->stop + size : l->stop;
        stop = stop > size ? size : stop;
        if (start < 0 || start >= stop)
            return xn_unfit(node, err, "nothing is left: start", start, stop - 1);
        out->dims[l->axis] = stop - start;
    }
    return XCOS_OK;
}

static void plan(const xcos_net *net, xn_step *step, bool nhwc)
{
    const xcos_layer *l = &step->node->layer;
    (void)net;
    step->axis = xn_physical_axis(l->axis, nhwc && step->in_shape[0].rank == 4);
    if (l->op == XCOS_OP_SLICE)
        step->start = l->start < 0 ? l->start + step->in_shape[0].dims[step->axis] : l->start;
}

/* Elements before an axis. */
static int64_t outer_of(const xn_shape *s, int axis)
{
    int64_t count = 1;
    for (int i = 0; i < axis; i++)
        count *= s->dims[i];
    return count;
}

static void run_concat(const xn_task *task)
{
    const xn_step *step = task->step;
    const int64_t outer = outer_of(&step->out_shape, step->axis);
    const int64_t row = xn_count(&step->out_shape) / outer;
    float *to = task->out;
    for (int k = 0; k < step->n_in; k++) {
        const int64_t part = xn_count(&step->in_shape[k]) / outer;
        for (int64_t i = 0; i < outer; i++)
            memcpy(to + i * row, task->in[k] + i * part, (size_t)part * sizeof *to);
        to += part;
    }
}

static void run_slice(const xn_task *task)
{
    const xn_step *step = task->step;
    const int64_t outer = outer_of(&step->out_shape, step->axis);
    const int64_t part = xn_count(&step->out_shape) / outer;
    const int64_t row = xn_count(&step->in_shape[0]) / outer;
    const int64_t start = step->start * (row / step->in_shape[0].dims[step->axis]);
    for (int64_t i = 0; i < outer; i++)
        memcpy(task->out + i * part, task->in[0] + i * row + start, (size_t)part * sizeof(float));
}

/* Softmax of everything at one index before the axis. */
static void softmax_part(void *context, int64_t o, int worker)
{
    const xn_task *task = context;
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const int64_t size = s->dims[step->axis];
    const int64_t inner = xn_count(s) / (outer_of(s, step->axis) * size);
    const float *x = task->in[0] + o * size * inner;
    float *y = task->out + o * size * inner;
    (void)worker;
    if (inner == 1) {
        task->net->kernels->softmax(size, x, y);
        return;
    }
    for (int64_t i = 0; i < inner; i++, x++, y++) {
        float top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < size; j++)
            top = x[j * inner] > top ? x[j * inner] : top;
        for (int64_t j = 0; j < size; j++)
            sum += y[j * inner] = expf(x[j * inner] - top);
        for (int64_t j = 0; j < size; j++)
            y[j * inner] /= sum;
    }
}

static void run_softmax(const xn_task *task)
{
    const int64_t outer = outer_of(&task->step->out_shape, task->step->axis);
    xc_spread(task->call, task->step->threads, outer, softmax_part, (void *)task);
}

static void run(const xn_task *task)
{
    const xcos_op op = task->step->node->layer.op;
    (op == XCOS_OP_CONCAT ? run_concat : op == XCOS_OP_SLICE ? run_slice : run_softmax)(task);
}

const xn_family xn_along = {.layout = XN_FOLLOWS, .infer = infer, .plan = plan, .run = run};
