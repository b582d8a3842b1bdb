/* pointwise.c: relu, clip, sigmoid and exp: element by element. */
#include <math.h>

#include "ops/ops.h"

static const char *check(const xcos_layer *l)
{
    return l->op == XCOS_OP_CLIP && !(l->lo <= l->hi) ? "min must not exceed max" : NULL;
}

static void run(const xn_task *task)
{
    const xcos_layer *l = &task->step->node->layer;
    const int64_t count = xn_count(&task->step->out_shape);
    const float *x = task->in[0];
    float *y = task->out;
    switch (l->op) {
    case XCOS_OP_RELU:
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] < 0 ? 0 : x[i];
        break;
    case XCOS_OP_CLIP:
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] < l->lo ? l->lo : x[i] > l->hi ? l->hi : x[i];
        break;
    case XCOS_OP_SIGMOID:
        for (int64_t i = 0; i < count; i++)
            y[i] = 1 / (1 + expf(-x[i]));
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            y[i] = expf(x[i]);
    }
}

const xn_family xn_pointwise = {.layout = XN_FOLLOWS, .check = check, .run = run};
