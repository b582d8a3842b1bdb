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

/* Copies `rows` rows of `part` floats, one every `from_row` and one every `to_row`. */
static void copy_rows(const float *from, int64_t from_row, float *to, int64_t to_row, int64_t part,
                      int64_t rows)
{
    for (int64_t i = 0; i < rows; i++, from += from_row, to += to_row)
        if (part == 1) /* such short ones are quicker than a call */
            *to = *from;
        else if (part == 2)
            memcpy(to, from, 2 * sizeof *to);
        else if (part == 4)
            memcpy(to, from, 4 * sizeof *to);
        else
            memcpy(to, from, (size_t)part * sizeof *to);
}

static void run_concat(const xn_task *task)
{
    const xn_step *step = task->step;
    const int64_t outer = outer_of(&step->out_shape, step->axis);
    const int64_t row = xn_count(&step->out_shape) / outer;
    float *to = task->out;
    for (int k = 0; k < step->n_in; k++) {
        const int64_t part = xn_count(&step->in_shape[k]) / outer;
        copy_rows(task->in[k], part, to, row, part, outer);
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
    copy_rows(task->in[0] + start, row, task->out, part, part, outer);
}

enum { PIECE = 1 << 12 }; /* numbers in a work item, about */

/* Softmax of everything at index `o` before the axis. */
static void softmax_part(const xn_task *task, int64_t o)
{
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const int64_t size = s->dims[step->axis];
    const int64_t inner = xn_count(s) / (outer_of(s, step->axis) * size);
    const float *x = task->in[0] + o * size * inner;
    float *y = task->out + o * size * inner;
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

static int64_t pieces_of(const xn_shape *s, int64_t outer)
{
    const int64_t pieces = xn_count(s) / PIECE;
    return pieces < 1 ? 1 : pieces > outer ? outer : pieces;
}

static void softmax_piece(void *context, int64_t piece, int worker)
{
    const xn_task *task = context;
    const xn_shape *s = &task->step->out_shape;
    const int64_t outer = outer_of(s, task->step->axis), pieces = pieces_of(s, outer);
    (void)worker;
    for (int64_t o = piece * outer / pieces; o < (piece + 1) * outer / pieces; o++)
        softmax_part(task, o);
}

static void run_softmax(const xn_task *task)
{
    const xn_shape *s = &task->step->out_shape;
    xc_spread(task->call, task->step->threads, pieces_of(s, outer_of(s, task->step->axis)),
              softmax_piece, (void *)task);
}

static void run(const xn_task *task)
{
    const xcos_op op = task->step->node->layer.op;
    (op == XCOS_OP_CONCAT ? run_concat : op == XCOS_OP_SLICE ? run_slice : run_softmax)(task);
}

const xn_family xn_along = {.layout = XN_FOLLOWS, .infer = infer, .plan = plan, .run = run};
