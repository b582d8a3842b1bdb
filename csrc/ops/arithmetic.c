/* arithmetic.c: add, sub, mul, div, maximum and minimum of two values, of which one may be a constant. */
#include <math.h>

#include "ops/ops.h"
#include "pool.h"

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

enum { PIECE = 1 << 13 }; /* numbers in a work item, about */

static int64_t rows_of_piece(const xn_shape *s)
{
    const int64_t width = s->dims[s->rank - 1];
    return width < PIECE ? PIECE / width : 1;
}

/* a + b and a * b of rows side by side, which compilers make vectors of; b may be one number. */
static bool run_row(xcos_op op, const float *a, const float *b, int64_t db, int64_t width, float *y)
{
    if (op != XCOS_OP_ADD && op != XCOS_OP_MUL)
        return false;
    if (op == XCOS_OP_ADD && db)
        for (int64_t i = 0; i < width; i++)
            y[i] = a[i] + b[i];
    else if (op == XCOS_OP_ADD)
        for (int64_t i = 0; i < width; i++)
            y[i] = a[i] + *b;
    else if (db)
        for (int64_t i = 0; i < width; i++)
            y[i] = a[i] * b[i];
    else
        for (int64_t i = 0; i < width; i++)
            y[i] = a[i] * *b;
    return true;
}

static void run_piece(void *context, int64_t piece, int worker)
{
    const xn_task *task = context;
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const xcos_op op = step->node->layer.op;
    const int last = s->rank - 1;
    const int64_t width = s->dims[last], rows = xn_count(s) / width, each = rows_of_piece(s);
    const int64_t end = (piece + 1) * each < rows ? (piece + 1) * each : rows;
    const int64_t da = step->stride[0][last], db = step->stride[1][last];
    (void)worker;
    for (int64_t r = piece * each; r < end; r++) {
        const float *a = task->in[0], *b = task->in[1];
        float *y = task->out + r * width;
        int64_t rest = r;
        for (int i = last - 1; i >= 0; i--) {
            a += rest % s->dims[i] * step->stride[0][i];
            b += rest % s->dims[i] * step->stride[1][i];
            rest /= s->dims[i];
        }
        if (da == 1 && run_row(op, a, b, db, width, y))
            continue;
        for (int64_t i = 0; i < width; i++)
            y[i] = apply(op, a[i * da], b[i * db]);
    }
}

static void run(const xn_task *task)
{
    const xn_shape *s = &task->step->out_shape;
    const int64_t rows = xn_count(s) / s->dims[s->rank - 1], each = rows_of_piece(s);
    xc_spread(task->call, task->step->threads, (rows + each - 1) / each, run_piece, (void *)task);
}

const xn_family xn_arithmetic = {
    .layout = XN_FOLLOWS, .infer = infer, .plan = plan, .run = run};
