/* arithmetic.c: add, sub, mul, div, maximum and minimum of two values, of which one may be a constant. */
#include <math.h>
#include <string.h>

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

/* Axes along which both operands go on as the output does become one: rows are as long as can be. */
static void merge_axes(xn_step *step)
{
    xn_shape *s = &step->out_shape;
    int to = s->rank - 1;
    for (int i = s->rank - 2; i >= 0; i--) {
        bool goes_on = true;
        for (int k = 0; k < 2; k++)
            goes_on = goes_on && step->stride[k][i] == step->stride[k][to] * s->dims[to];
        if (goes_on || s->dims[i] == 1) {
            s->dims[to] *= s->dims[i];
            continue;
        }
        to -= s->dims[to] > 1;
        s->dims[to] = s->dims[i];
        step->stride[0][to] = step->stride[0][i];
        step->stride[1][to] = step->stride[1][i];
    }
    s->rank -= to;
    memmove(s->dims, s->dims + to, (size_t)s->rank * sizeof *s->dims);
    for (int k = 0; k < 2; k++)
        memmove(step->stride[k], step->stride[k] + to, (size_t)s->rank * sizeof *step->stride[k]);
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
    merge_axes(step);
}

static inline float apply(const xcos_op op, float a, float b)
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

/* One row; where the operands lie side by side, or are one number, loops of which compilers make
 * vectors. */
static inline void run_row(const xcos_op op, const float *a, int64_t da, const float *b, int64_t db,
                           int64_t width, float *y)
{
    if (da == 1 && db == 1)
        for (int64_t i = 0; i < width; i++)
            y[i] = apply(op, a[i], b[i]);
    else if (da == 1 && db == 0)
        for (int64_t i = 0; i < width; i++)
            y[i] = apply(op, a[i], *b);
    else
        for (int64_t i = 0; i < width; i++)
            y[i] = apply(op, a[i * da], b[i * db]);
}

#define ROW(ID)                                                                                    \
    case XCOS_OP_##ID:                                                                             \
        run_row(XCOS_OP_##ID, a, da, b, db, width, y);                                             \
        break

static void run_piece(void *context, int64_t piece, int worker)
{
    const xn_task *task = context;
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
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
        switch (step->node->layer.op) {
            ROW(ADD);
            ROW(SUB);
            ROW(MUL);
            ROW(DIV);
            ROW(MAXIMUM);
            ROW(MINIMUM);
        default:
            break;
        }
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
