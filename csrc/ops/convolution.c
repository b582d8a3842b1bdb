/* convolution.c: conv and linear, with what rides along. conv/pick.c picks how. */
#include "ops/ops.h"

static const char *check_conv(const xcos_layer *l)
{
    const xcos_tensor *w = &l->weight;
    if (!w->data || w->rank != 4 || w->dims[0] < 1 || w->dims[1] < 1)
        return "weight must have 4 dimensions (O, I/groups, kh, kw)";
    if (l->groups < 1 || w->dims[0] % l->groups)
        return "groups must divide the number of output channels";
    if (w->dims[0] > XN_MAX_SIZE || w->dims[1] > XN_MAX_SIZE / l->groups)
        return "weight has too many channels";
    if (l->bias.data && !xn_is_vector(&l->bias, w->dims[0]))
        return "bias must have one number per output channel";
    if (w->dims[2] != l->kernel[0] || w->dims[3] != l->kernel[1])
        return "kernel must be the last two dimensions of the weight";
    return xn_check_window(l, false);
}

static const char *check_linear(const xcos_layer *l)
{
    if (!l->weight.data || l->weight.rank != 2 || l->weight.dims[0] < 1 || l->weight.dims[1] < 1)
        return "weight must have 2 dimensions (O, I)";
    if (l->weight.dims[0] > XN_MAX_SIZE || l->weight.dims[1] > XN_MAX_SIZE)
        return "weight has too many channels";
    if (l->bias.data && !xn_is_vector(&l->bias, l->weight.dims[0]))
        return "bias must have one number per output";
    return NULL;
}

static xcos_status infer_conv(const xcos_net *net, const xn_node *node, const xn_shape *in,
                              xn_shape *out, xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    xcos_status status = xn_need_rank(node, in, 4, err);
    (void)net;
    if (status != XCOS_OK)
        return status;
    const int64_t channels = l->weight.dims[1] * l->groups;
    if (in->dims[1] != channels)
        return xn_unfit(node, err, "input channels", in->dims[1], channels);
    *out = *in;
    out->dims[1] = l->weight.dims[0];
    for (int i = 0; i < 2 && status == XCOS_OK; i++)
        status = xn_window(node, in, i, &out->dims[2 + i], err);
    return status;
}

static xcos_status infer_linear(const xcos_net *net, const xn_node *node, const xn_shape *in,
                                xn_shape *out, xcos_error *err)
{
    (void)net;
    if (in->rank < 2)
        return xn_unfit(node, err, "the input's rank is", in->rank, 2);
    const int64_t features = in->dims[in->rank - 1];
    if (features != node->layer.weight.dims[1])
        return xn_unfit(node, err, "input features", features, node->layer.weight.dims[1]);
    *out = *in;
    out->dims[in->rank - 1] = node->layer.weight.dims[0];
    return XCOS_OK;
}

xv_geometry xn_conv_geometry(const xcos_layer *l, const xn_shape *in, const xn_shape *out)
{
    if (l->op == XCOS_OP_LINEAR)
        return (xv_geometry){.n = in->rank ? xn_count(in) / l->weight.dims[1] : 1, .h = 1, .w = 1,
                             .c = (int)l->weight.dims[1],
                             .oh = 1, .ow = 1, .o = (int)l->weight.dims[0], .kh = 1, .kw = 1,
                             .sy = 1, .sx = 1, .dy = 1, .dx = 1, .groups = 1};
    return (xv_geometry){.n = in->dims[0],
                         .h = (int)in->dims[1],
                         .w = (int)in->dims[2],
                         .c = (int)l->weight.dims[1] * l->groups,
                         .oh = (int)out->dims[1],
                         .ow = (int)out->dims[2],
                         .o = (int)l->weight.dims[0],
                         .kh = l->kernel[0],
                         .kw = l->kernel[1],
                         .sy = l->stride[0],
                         .sx = l->stride[1],
                         .dy = l->dilation[0],
                         .dx = l->dilation[1],
                         .top = l->pad[0],
                         .left = l->pad[1],
                         .groups = l->groups};
}

static void plan(const xcos_net *net, xn_step *step, bool nhwc)
{
    const xn_node *node = step->node;
    (void)nhwc;
    step->conv = (xv_plan){.kernels = net->kernels,
                           .g = xn_conv_geometry(&node->layer, &step->in_shape[0], &step->out_shape),
                           .precision = net->precision,
                           .scaled = node->pre_scale != NULL,
                           .threads = step->threads,
                           .algorithm = node->algorithm};
    xv_pick(&step->conv);
}

static xv_run run_of(const xn_task *task)
{
    const xn_step *step = task->step;
    const xn_node *node = step->node;
    return (xv_run){.call = task->call,
                    .plan = &step->conv,
                    .weights = node->packed[xv_index(step->conv.algorithm)].data,
                    .in = task->in[0],
                    .residual = task->residual,
                    .out = task->out,
                    .bias = node->bias,
                    .slope = node->slope,
                    .pre_scale = node->pre_scale,
                    .pre_shift = node->pre_shift,
                    .activation = step->alone ? XK_NONE : node->activation,
                    .lo = node->lo,
                    .hi = node->hi,
                    .zeros = task->net->zeros,
                    .scratch = task->scratch};
}

static void run(const xn_task *task)
{
    const xv_run r = run_of(task);
    r.plan->algorithm->run(&r);
}

void xn_conv_spans(const xn_task *task, const xv_span *spans, int count)
{
    const xv_run r = run_of(task);
    r.plan->algorithm->run_spans(&r, spans, count);
}

const xn_family xn_conv = {
    .layout = XN_NHWC, .check = check_conv, .infer = infer_conv, .plan = plan, .run = run};

const xn_family xn_linear = {
    .layout = XN_PLAIN, .check = check_linear, .infer = infer_linear, .plan = plan, .run = run};
