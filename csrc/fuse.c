/* fuse.c: what can be computed once, is; what can ride along with a convolution, does.
 *
 *   conv or linear, then batch norm          the norm becomes part of weights and bias
 *   ... then addition of an earlier value    added before the result is stored
 *   ... then PReLU, ReLU or clip             applied before the result is stored
 *   batch norm, then a 3x3 stride-1 conv     applied while the input is read: its shift
 *                                            must not touch the zero padding, so it
 *                                            cannot go into the bias
 */
#include <math.h>
#include <string.h>

#include "net.h"

/* A copy of `count` floats, padded with zeros as the kernels want it; `source` NULL: zeros. */
static float *padded(const float *source, int64_t count)
{
    int64_t room = (count + 2 * XK_CHANNEL_PAD - 1) / XK_CHANNEL_PAD * XK_CHANNEL_PAD;
    float *p = xn_alloc((size_t)room * sizeof *p);
    if (p) {
        memset(p, 0, (size_t)room * sizeof *p);
        if (source)
            memcpy(p, source, (size_t)count * sizeof *p);
    }
    return p;
}

/* A batch norm as x*scale + shift, in double until it is stored. */
static bool affine_of(xn_node *bn)
{
    const xcos_layer *l = &bn->layer;
    int64_t c = l->gamma.dims[0];
    bn->pre_scale = padded(NULL, c);
    bn->pre_shift = padded(NULL, c);
    if (!bn->pre_scale || !bn->pre_shift)
        return false;
    for (int64_t i = 0; i < c; i++) {
        double scale = l->gamma.data[i] / sqrt((double)l->var.data[i] + l->epsilon);
        bn->pre_scale[i] = (float)scale;
        bn->pre_shift[i] = (float)(l->beta.data[i] - l->mean.data[i] * scale);
    }
    return true;
}

/* The one node that reads `value`, or NULL when several do or a caller sees it. */
static xn_node *only_reader(xcos_net *net, int value)
{
    if (net->values[value].uses != 1 || net->values[value].is_output)
        return NULL;
    for (int i = 0; i < net->n_nodes; i++)
        for (int j = 0; j < net->nodes[i].layer.n_inputs; j++)
            if (!net->nodes[i].dead && net->nodes[i].layer.inputs[j] == value)
                return &net->nodes[i];
    return NULL;
}

static void absorb(xcos_net *net, xn_node *node, xn_node *next)
{
    next->dead = true;
    node->output = next->output;
    net->values[node->output].producer = (int)(node - net->nodes);
}

static bool same_shape(const xn_shape *a, const xn_shape *b)
{
    return a->rank == b->rank &&
           !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]);
}

/* Absorbs the reader of node's output if it can ride along. 1 done, 0 not, -1 no memory. */
static int absorb_reader(xcos_net *net, xn_node *node, const xn_shape *shapes)
{
    xn_node *next = only_reader(net, node->output);
    if (!next || node->activation != XK_NONE)
        return 0;
    const xcos_layer *l = &next->layer;
    const int64_t outputs = node->layer.weight.dims[0];
    switch (l->op) {
    case XCOS_OP_BATCH_NORM:
        if (node->residual >= 0 || l->gamma.dims[0] != outputs)
            return 0;
        if (!affine_of(next))
            return -1;
        for (int64_t i = 0; i < outputs; i++) {
            node->bias[i] = node->bias[i] * next->pre_scale[i] + next->pre_shift[i];
            if (node->out_scale)
                node->out_scale[i] *= next->pre_scale[i];
        }
        if (!node->out_scale) {
            node->out_scale = next->pre_scale;
            next->pre_scale = NULL;
        }
        break;
    case XCOS_OP_ADD: {
        int other = l->inputs[l->inputs[0] == node->output];
        const xn_value *value = &net->values[other];
        if (node->residual >= 0 || value->constant || !shapes ||
            value->producer >= (int)(node - net->nodes) ||
            !same_shape(&shapes[other], &shapes[node->output]))
            return 0;
        node->residual = other;
        break;
    }
    case XCOS_OP_RELU:
    case XCOS_OP_CLIP:
        node->activation = XK_CLIP;
        node->lo = l->op == XCOS_OP_RELU ? 0 : l->lo;
        node->hi = l->op == XCOS_OP_RELU ? INFINITY : l->hi;
        break;
    case XCOS_OP_PRELU: {
        int64_t slopes = l->weight.dims[0];
        if (slopes != 1 && slopes != outputs)
            return 0;
        if (!(node->slope = padded(NULL, outputs)))
            return -1;
        for (int64_t i = 0; i < outputs; i++)
            node->slope[i] = l->weight.data[slopes == 1 ? 0 : i];
        node->activation = XK_PRELU;
        break;
    }
    default:
        return 0;
    }
    absorb(net, node, next);
    return 1;
}

/* A lone batch norm goes in front of the 3x3 convolution that alone reads it. */
static void move_into_reader(xcos_net *net, xn_node *bn)
{
    xn_node *conv = only_reader(net, bn->output);
    if (!conv || conv->layer.op != XCOS_OP_CONV || conv->pre_scale)
        return;
    const xcos_layer *l = &conv->layer;
    if (l->kernel[0] != 3 || l->kernel[1] != 3 || l->stride[0] != 1 || l->stride[1] != 1 ||
        l->dilation[0] != 1 || l->dilation[1] != 1 || l->groups != 1 ||
        l->weight.dims[1] != bn->layer.gamma.dims[0])
        return;
    conv->pre_scale = bn->pre_scale;
    conv->pre_shift = bn->pre_shift;
    bn->pre_scale = bn->pre_shift = NULL;
    conv->layer.inputs[0] = bn->layer.inputs[0];
    bn->dead = true;
}

/* Shapes of all values for one image, free dimensions taken as 256, or NULL if some layer
 * does not admit that: then no addition is fused. */
static xn_shape *probe_shapes(const xcos_net *net)
{
    xn_shape *shapes = xn_alloc((size_t)net->n_values * sizeof *shapes);
    if (!shapes)
        return NULL;
    for (int i = 0; i < net->n_values; i++) {
        shapes[i] = net->values[i].shape;
        for (int j = 0; j < shapes[i].rank; j++)
            if (shapes[i].dims[j] == -1)
                shapes[i].dims[j] = j ? 256 : 1;
        if ((net->values[i].is_input || net->values[i].constant) && !xn_fits(&shapes[i])) {
            xn_free(shapes);
            return NULL;
        }
    }
    for (int i = 0; i < net->n_nodes; i++) {
        const xn_node *node = &net->nodes[i];
        xn_shape in[XCOS_MAX_INPUTS];
        for (int j = 0; j < node->layer.n_inputs; j++)
            in[j] = shapes[node->layer.inputs[j]];
        if (xn_infer(net, node, in, &shapes[node->output], NULL) != XCOS_OK) {
            xn_free(shapes);
            return NULL;
        }
    }
    return shapes;
}

xcos_status xn_fuse(xcos_net *net, xcos_error *err)
{
    xn_shape *shapes = probe_shapes(net);
    int state = 0;
    for (int i = 0; i < net->n_nodes && state >= 0; i++) {
        xn_node *node = &net->nodes[i];
        if (node->layer.op == XCOS_OP_CONV || node->layer.op == XCOS_OP_LINEAR) {
            node->bias = padded(node->layer.bias.data, node->layer.weight.dims[0]);
            state = node->bias ? 1 : -1;
            while (state > 0)
                state = absorb_reader(net, node, shapes);
        }
    }
    for (int i = 0; i < net->n_nodes && state >= 0; i++) {
        xn_node *node = &net->nodes[i];
        if (node->layer.op == XCOS_OP_BATCH_NORM && !node->dead) {
            if (affine_of(node))
                move_into_reader(net, node);
            else
                state = -1;
        }
    }
    xn_free(shapes);
    return state < 0 ? xcos_fail(err, XCOS_E_NOMEM, "out of memory") : XCOS_OK;
}
