/* arithmetic.c: add, sub, mul, div, maximum and minimum of two values, of which one may be a constant. */
#include <math.h>

#include "ops/ops.h"

static xcos_status infer(const xcos_net *net, const xn_node *node, const xn_shape *in, xn_shape *out,
                         xcos_error *err)
{
    int rank = in[0].rank > in[1].rank ? in[0].rank : in[1].rank;
    out->rank = rank;
    for (int i = 0; i < rank; i++) {
        int64_t d[2];
        for (int k = 0; k < 2; k++) {
            int axis = i - (rank - in[k].rank);
            d[k] = axis < 0 ? 1 : in[k].dims[axis];
        }
        if (d[0] != d[1] && d[0] != 1 && d[1] != 1)
            return xn_unfit(node, err, "sizes do not broadcast:", d[1], d[0]);
        out->dims[i] = d[0] == 1 ? d[1] : d[0];
    }
    /* Two values that were computed must agree in their batch axis to begin with. */
    for (int k = 0; k < 2; k++)
        if (!net->values[node->layer.inputs[k]].constant && in[k].rank != rank)
            return xn_unfit(node, err, "an input's rank is", in[k].rank, rank);
    return XCOS_OK;
}

/* Strides with which each operand is read along the output's axes (0: broadcast). */
static void plan(const xcos_net *net, xn_step *step, bool nhwc)
{
    (void)net, (void)nhwc;
    for (int k = 0; k < 2; k++) {
        const xn_shape *s = &step->in_shape[k];
        int64_t stride[XCOS_MAX_RANK];
        xn_strides(s, stride);
        for (int i = 0; i < step->out_shape.rank; i++) {
            int axis = i - (step->out_shape.rank - s->rank);
            step->stride[k][i] = axis < 0 || s->dims[axis] == 1 ? 0 : stride[axis];
        }
    }
}

static float apply(xcos_op op, float a, float b)
{
    switch (op) {
    case XCOS_OP_ADD:
        return a + b;
    case XCOS_OP_SUB:
        return a - b;
    case XCOS_OP_MUL:
        return a * b;
    case XCOS_OP_DIV:
        return a / b;
    case XCOS_OP_MAXIMUM: /* NaN where one is, as NumPy has it */
        return a > b || isnan(a) ? a : b;
    default:
        return a < b || isnan(a) ? a : b;
    }
}

static void run(const xn_task *task)
{
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const xcos_op op = step->node->layer.op;
    const int last = s->rank - 1;
    const int64_t width = s->dims[last], rows = xn_count(s) / width;
    const int64_t da = step->stride[0][last], db = step->stride[1][last];
    int64_t index[XCOS_MAX_RANK] = {0};
    float *y = task->out;
    for (int64_t r = 0; r < rows; r++, y += width) {
        const float *a = task->in[0], *b = task->in[1];
        for (int i = 0; i < last; i++) {
            a += index[i] * step->stride[0][i];
            b += index[i] * step->stride[1][i];
        }
        if (op == XCOS_OP_ADD && da == 1 && db == 1) {
            for (int64_t i = 0; i < width; i++)
                y[i] = a[i] + b[i];
        } else if (op == XCOS_OP_MUL && da == 1 && db == 1) {
            for (int64_t i = 0; i < width; i++)
                y[i] = a[i] * b[i];
        } else {
            for (int64_t i = 0; i < width; i++)
                y[i] = apply(op, a[i * da], b[i * db]);
        }
        for (int i = last - 1; i >= 0 && ++index[i] == s->dims[i]; i--)
            index[i] = 0;
    }
}

const xn_family xn_arithmetic = {
    .layout = XN_FOLLOWS, .infer = infer, .plan = plan, .run = run};
