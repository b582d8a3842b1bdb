/* finish.c: what a graph becomes when it is complete.
 *
 * What can be computed once, is; what can ride along with a convolution, does:
 *
 *   conv or linear, then batch norm,         that becomes part of weights and bias
 *   or a number (per output) added or times
 *   ... then addition of an earlier value    added before the result is stored, in schedules
 *                                            where both have one shape
 *   ... then PReLU, ReLU or clip             applied before the result is stored
 *   batch norm, then a 3x3 stride-1 conv     applied while the input is read: its shift
 *                                            must not touch the zero padding, so it
 *                                            cannot go into the bias
 *
 * And the graph takes copies of all numbers, weights in the order of the algorithm that will read
 * them: what the caller does with its arrays from then on changes nothing.
 */
#include <math.h>
#include <string.h>

#include "net/graph.h"
#include "ops/ops.h"
#include "os/memory.h"

/* Weights (floats) up to which packing them is not worth a second thread. */
enum { SMALL_WEIGHTS = 1 << 18 };

/* A copy of `count` floats, padded with zeros as the kernels want it; `source` NULL: zeros. */
static float *padded(const float *source, int64_t count)
{
    int64_t room = (count + 2 * XK_CHANNEL_PAD - 1) / XK_CHANNEL_PAD * XK_CHANNEL_PAD;
    float *p = xo_alloc(xc_bytes(XC_F32, room));
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
            if (!net->nodes[i].rides && net->nodes[i].layer.inputs[j] == value)
                return &net->nodes[i];
    return NULL;
}

/* Whether a node leaves its channels at the axis where batch norm and PReLU have theirs. */
static bool has_channels(const xcos_net *net, const xn_node *node)
{
    return node->layer.op == XCOS_OP_CONV || net->values[node->output].shape.rank == 2;
}

/* Whether a constant has one number, or one per output of a node, and adds no axis to its values. */
static bool is_per_output(const xcos_net *net, const xn_node *node, const xn_value *value)
{
    const xn_shape *s = &value->shape;
    const int rank = net->values[node->output].shape.rank;
    const int behind = node->layer.op == XCOS_OP_CONV ? 2 : 0; /* axes behind the outputs' */
    const int64_t outputs = node->layer.weight.dims[0];
    return value->constant && s->rank <= rank &&
           (xn_count(s) == 1 || (xn_count(s) == outputs && s->rank > behind &&
                                 s->dims[s->rank - 1 - behind] == outputs));
}

/* Its number for an output. */
static float number_of(const xn_value *value, int64_t output)
{
    return value->constant[xn_count(&value->shape) == 1 ? 0 : output];
}

/* Lets the reader of what `last` gives ride along with `node`, at whose chain's end `last` is, if
 * it can. 1 done, 0 not, -1 no memory. */
static int take_along(xcos_net *net, xn_node *node, xn_node *last)
{
    xn_node *next = only_reader(net, last->output);
    if (!next || node->activation != XK_NONE)
        return 0;
    const int place = (int)(node - net->nodes);
    const xcos_layer *l = &next->layer;
    const int64_t outputs = node->layer.weight.dims[0];
    switch (l->op) {
    case XCOS_OP_BATCH_NORM:
        if (node->residual >= 0 || l->gamma.dims[0] != outputs || !has_channels(net, node))
            return 0;
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
        const int other = l->inputs[l->inputs[0] == last->output];
        const xn_value *value = &net->values[other];
        if (node->residual < 0 && is_per_output(net, node, value)) {
            for (int64_t i = 0; i < outputs; i++)
                node->bias[i] += number_of(value, i);
            break;
        }
        if (node->residual >= 0 || value->constant || value->producer >= place)
            return 0;
        node->residual = other;
        break;
    }
    case XCOS_OP_MUL: {
        const xn_value *value = &net->values[l->inputs[l->inputs[0] == last->output]];
        if (node->residual >= 0 || !is_per_output(net, node, value))
            return 0;
        if (!node->out_scale) {
            if (!(node->out_scale = padded(NULL, outputs)))
                return -1;
            for (int64_t i = 0; i < outputs; i++)
                node->out_scale[i] = 1;
        }
        for (int64_t i = 0; i < outputs; i++) {
            node->bias[i] *= number_of(value, i);
            node->out_scale[i] *= number_of(value, i);
        }
        break;
    }
    case XCOS_OP_RELU:
    case XCOS_OP_CLIP:
        node->activation = XK_CLIP;
        node->lo = l->op == XCOS_OP_RELU ? 0 : l->lo;
        node->hi = l->op == XCOS_OP_RELU ? INFINITY : l->hi;
        break;
    case XCOS_OP_PRELU: {
        const int64_t slopes = l->weight.dims[0];
        if (slopes != 1 && (slopes != outputs || !has_channels(net, node)))
            return 0;
        if (!(node->slope = padded(NULL, outputs)))
            return -1;
        for (int64_t i = 0; i < outputs; i++)
            node->slope[i] = next->slope[slopes == 1 ? 0 : i];
        node->activation = XK_PRELU;
        break;
    }
    default:
        return 0;
    }
    next->rides = true;
    last->next = (int)(next - net->nodes);
    net->values[next->output].producer = place;
    return 1;
}

/* A lone batch norm goes in front of the 3x3 convolution that alone reads it. */
static void move_into_reader(xcos_net *net, xn_node *bn)
{
    xn_node *conv = bn->rides ? NULL : only_reader(net, bn->output);
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
    bn->rides = true;
}

/* --------------------------------------------------------- numbers of its own */

static bool is_conv(const xn_node *node)
{
    return node->layer.op == XCOS_OP_CONV || node->layer.op == XCOS_OP_LINEAR;
}

/* Vectors of a node, as the kernels want them. */
static bool own_vectors(xn_node *node)
{
    const xcos_layer *l = &node->layer;
    if (is_conv(node))
        return (node->bias = padded(l->bias.data, l->weight.dims[0])) != NULL;
    if (l->op == XCOS_OP_LAYER_NORM)
        return (!l->gamma.data ||
                (node->pre_scale = padded(l->gamma.data, l->gamma.dims[0]))) &&
               (!l->beta.data || (node->pre_shift = padded(l->beta.data, l->beta.dims[0])));
    if (l->op == XCOS_OP_PRELU)
        return (node->slope = padded(l->weight.data, l->weight.dims[0])) != NULL;
    return l->op != XCOS_OP_BATCH_NORM || affine_of(node);
}

static bool own_constants(xcos_net *net)
{
    for (int i = 0; i < net->n_values; i++) {
        xn_value *value = &net->values[i];
        if (!value->constant)
            continue;
        if (!(value->owned = padded(value->constant, xn_count(&value->shape))))
            return false;
        value->constant = value->owned;
    }
    return true;
}

static int64_t count_of(const xcos_tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= t->dims[i];
    return count;
}

bool xn_pack(xc_call *call, const xcos_net *net, xn_node *node, const xv_algorithm *algorithm)
{
    const xcos_layer *l = &node->layer;
    const int groups = l->op == XCOS_OP_LINEAR ? 1 : l->groups;
    const int taps = l->op == XCOS_OP_LINEAR ? 1 : (int)(l->weight.dims[2] * l->weight.dims[3]);
    const xv_weights w = {.data = node->weights ? node->weights : l->weight.data,
                          .scale = node->out_scale,
                          .groups = groups,
                          .outputs = (int)(l->weight.dims[0] / groups),
                          .depth = (int)l->weight.dims[1],
                          .taps = taps,
                          .row_taps = l->op == XCOS_OP_LINEAR ? 1 : l->kernel[1],
                          .ld_out = (ptrdiff_t)l->weight.dims[1] * taps,
                          .ld_depth = taps};
    xn_packed *packed = &node->packed[xv_index(algorithm)];
    if (packed->data)
        return true;
    packed->dtype = algorithm->dtype;
    packed->bytes = xc_bytes(algorithm->dtype, algorithm->packed(net->kernels, &w));
    if (!(packed->data = xo_alloc(packed->bytes)))
        return false;
    xc_call small = {.threads = 1};
    algorithm->pack(count_of(&l->weight) > SMALL_WEIGHTS ? call : &small, net->kernels, &w,
                    packed->data);
    return true;
}

/* The algorithm that the node takes in every schedule, NULL where they may differ: shapes are
 * those of all values, where the inputs leave nothing open, else NULL. */
static const xv_algorithm *algorithm_of(const xcos_net *net, const xn_node *node,
                                        const xn_shape *shapes)
{
    const xcos_layer *l = &node->layer;
    xn_shape in = {0}, out = {0};
    if (node->planes)
        return &xv_planes;
    if (!shapes || l->op == XCOS_OP_LINEAR) {
        const xv_geometry any = xn_conv_geometry(l, &in, &out);
        return xv_pick_for_all(net->kernels, &any, net->precision);
    }
    in = xn_physical(&shapes[l->inputs[0]], true);
    out = xn_physical(&shapes[node->output], true);
    xv_plan plan = {.kernels = net->kernels,
                    .g = xn_conv_geometry(l, &in, &out),
                    .precision = net->precision,
                    .threads = 1};
    xv_pick(&plan);
    return plan.algorithm;
}

/* Whether a convolution reads an input of the network as the caller gives it. */
static bool reads_planes(const xcos_net *net, const xn_node *node)
{
    const xn_shape any = {0};
    const xv_geometry g = xn_conv_geometry(&node->layer, &any, &any);
    return node->layer.op == XCOS_OP_CONV && net->values[node->layer.inputs[0]].is_input &&
           !node->pre_scale && xv_fits_planes(net->kernels, &g);
}

static bool own_weights(xc_call *call, xcos_net *net, const xn_shape *shapes)
{
    for (int i = 0; i < net->n_nodes; i++) {
        xn_node *node = &net->nodes[i];
        xcos_tensor *w = &node->layer.weight;
        if (is_conv(node)) {
            node->planes = reads_planes(net, node);
            node->algorithm = algorithm_of(net, node, shapes);
            if (node->algorithm ? !xn_pack(call, net, node, node->algorithm)
                                : !node->weights && !(node->weights = padded(w->data, count_of(w))))
                return false;
        }
        xcos_tensor *borrowed[] = {w,
                                   &node->layer.bias,
                                   &node->layer.gamma,
                                   &node->layer.beta,
                                   &node->layer.mean,
                                   &node->layer.var};
        for (size_t j = 0; j < sizeof borrowed / sizeof *borrowed; j++)
            borrowed[j]->data = NULL;
    }
    return true;
}

/* Shapes of all values for one image, or NULL where the inputs leave some open, or do not fit
 * the layers (which running it will say). -1 in *state: no memory. */
static xn_shape *known_shapes(const xcos_net *net, int *state)
{
    for (int i = 0; i < net->n_inputs; i++)
        for (int j = 1; j < net->values[net->inputs[i]].shape.rank; j++)
            if (net->values[net->inputs[i]].shape.dims[j] == -1)
                return NULL;
    xn_shape *shapes = xo_alloc((size_t)net->n_values * sizeof *shapes);
    if (!shapes)
        *state = -1;
    bool fit = true;
    for (int i = 0; shapes && i < net->n_inputs; i++) {
        xn_shape *input = &shapes[net->inputs[i]];
        *input = net->values[net->inputs[i]].shape;
        input->dims[0] = 1;
        fit = fit && xn_fits(input);
    }
    if (shapes && (!fit || xn_infer_all(net, shapes, NULL) != XCOS_OK)) {
        xo_free(shapes);
        shapes = NULL;
    }
    return shapes;
}

/* A pixel of zeros as wide as any convolution reads. */
static bool make_zeros(xcos_net *net)
{
    int64_t widest = 1;
    for (int i = 0; i < net->n_nodes; i++) {
        const xcos_tensor *w = &net->nodes[i].layer.weight;
        if (!is_conv(&net->nodes[i]))
            continue;
        net->weight_floats += count_of(w);
        widest = w->dims[1] > widest ? w->dims[1] : widest;
    }
    return (net->zeros = padded(NULL, widest)) != NULL;
}

static bool complete(xc_call *call, xcos_net *net)
{
    int state = 0;
    if (!xn_merge_siblings(net))
        return false;
    for (int i = 0; i < net->n_nodes; i++)
        if (!own_vectors(&net->nodes[i]))
            return false;
    for (int i = 0; i < net->n_nodes && state >= 0; i++) {
        xn_node *node = &net->nodes[i], *last = node;
        state = is_conv(node);
        while (state > 0) {
            state = take_along(net, node, last);
            last = last->next < 0 ? last : &net->nodes[last->next];
        }
    }
    if (state < 0)
        return false;
    for (int i = 0; i < net->n_nodes; i++)
        if (net->nodes[i].layer.op == XCOS_OP_BATCH_NORM)
            move_into_reader(net, &net->nodes[i]);
    xn_shape *shapes = known_shapes(net, &state);
    const bool owned = state >= 0 && own_constants(net) && own_weights(call, net, shapes);
    xo_free(shapes);
    return owned && make_zeros(net);
}

xcos_status xcos_net_finish(xcos_net *net, xcos_error *err)
{
    if (net->finished || net->n_inputs < 1 || net->n_outputs < 1)
        return xcos_fail(err, XCOS_E_ARG, "a network needs at least one input and one output");
    xc_call call;
    xc_open(&call, 0);
    net->finished = complete(&call, net);
    return xc_close(&call,
                    net->finished ? XCOS_OK : xcos_fail(err, XCOS_E_NOMEM, "out of memory"), err);
}
