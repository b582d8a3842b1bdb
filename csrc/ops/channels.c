/* channels.c: batch_norm and prelu, which know each channel by numbers of its own. */
#include "ops/ops.h"

static const char *check_batch_norm(const xcos_layer *l)
{
    const int64_t c = l->gamma.rank == 1 ? l->gamma.dims[0] : -1;
    if (!xn_is_vector(&l->gamma, -1) || !xn_is_vector(&l->beta, c) || !xn_is_vector(&l->mean, c) ||
        !xn_is_vector(&l->var, c))
        return "gamma, beta, mean and var must be vectors of one length";
    if (!(l->epsilon >= 0))
        return "epsilon must not be negative";
    for (int64_t i = 0; i < c; i++)
        if (!(l->var.data[i] + l->epsilon > 0))
            return "var + epsilon must be positive";
    return NULL;
}

static const char *check_prelu(const xcos_layer *l)
{
    return xn_is_vector(&l->weight, -1) ? NULL : "slope must be a vector";
}

static xcos_status infer(const xcos_net *net, const xn_node *node, const xn_shape *in, xn_shape *out,
                         xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    const bool prelu = l->op == XCOS_OP_PRELU;
    const int64_t c = prelu ? l->weight.dims[0] : l->gamma.dims[0];
    (void)net;
    if (in->rank < 2)
        return xn_unfit(node, err, "the input's rank is", in->rank, 2);
    if (in->dims[1] != c && !(prelu && c == 1))
        return xn_unfit(node, err, "input channels", in->dims[1], c);
    *out = *in;
    return XCOS_OK;
}

/* A channel is at the last axis in NHWC, else axis 1. */
static void run(const xn_task *task)
{
    const xn_node *node = task->step->node;
    const xn_shape *s = &task->step->out_shape;
    const bool norm = node->layer.op == XCOS_OP_BATCH_NORM, last = s->rank == 4;
    const int64_t channels = s->dims[last ? 3 : 1], count = xn_count(s);
    const int64_t inner = last ? 1 : count / (s->dims[0] * channels);
    const int64_t each = norm || node->layer.weight.dims[0] != 1; /* 0: one slope for all */
    for (int64_t i = 0; i < count; i += inner) {
        const int64_t c = i / inner % channels;
        for (int64_t j = i; j < i + inner; j++) {
            float x = task->in[0][j];
            task->out[j] = norm    ? x * node->pre_scale[c] + node->pre_shift[c]
                           : x < 0 ? x * node->slope[c * each]
                                   : x;
        }
    }
}

const xn_family xn_batch_norm = {
    .layout = XN_NHWC, .check = check_batch_norm, .infer = infer, .run = run};

const xn_family xn_prelu = {.layout = XN_NHWC, .check = check_prelu, .infer = infer, .run = run};
