/* shapes.c: the shape of a layer's output, with errors that name the layer. */
#include <math.h>

#include "net.h"

/* Limits that keep every size far from overflow: elements of a tensor, and one dimension
 * (spatial sizes are ints in the kernels). */
#define MAX_ELEMENTS ((int64_t)1 << 40)
#define MAX_SIZE ((int64_t)1 << 28)

const char *xn_op_name(xcos_op op)
{
    static const char *const names[XCOS_OP_COUNT] = {
        [XCOS_OP_CONV] = "conv",         [XCOS_OP_LINEAR] = "linear",
        [XCOS_OP_BATCH_NORM] = "batch_norm", [XCOS_OP_PRELU] = "prelu",
        [XCOS_OP_RELU] = "relu",         [XCOS_OP_CLIP] = "clip",
        [XCOS_OP_SIGMOID] = "sigmoid",   [XCOS_OP_EXP] = "exp",
        [XCOS_OP_ADD] = "add",           [XCOS_OP_SUB] = "sub",
        [XCOS_OP_MUL] = "mul",           [XCOS_OP_DIV] = "div",
        [XCOS_OP_MAX_POOL] = "max_pool", [XCOS_OP_AVG_POOL] = "avg_pool",
        [XCOS_OP_CONCAT] = "concat",     [XCOS_OP_SLICE] = "slice",
        [XCOS_OP_SOFTMAX] = "softmax",   [XCOS_OP_TRANSPOSE] = "transpose",
        [XCOS_OP_RESHAPE] = "reshape",   [XCOS_OP_RESIZE] = "resize",
    };
    return op >= 0 && op < XCOS_OP_COUNT ? names[op] : "?";
}

int64_t xn_count(const xn_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++)
        count *= shape->dims[i];
    return count;
}

bool xn_fits(const xn_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] > MAX_SIZE || shape->dims[i] > MAX_ELEMENTS / count)
            return false;
        count *= shape->dims[i];
    }
    return true;
}

static xcos_status fail(const xn_node *node, xcos_error *err, const char *what, int64_t got,
                        int64_t expected)
{
    return xcos_fail(err, XCOS_E_ARG, "layer '%s' (%s): %s %lld, expected %lld", node->layer.name,
                     xn_op_name(node->layer.op), what, (long long)got, (long long)expected);
}

static xcos_status need_rank(const xn_node *node, const xn_shape *in, int rank, xcos_error *err)
{
    return in->rank == rank ? XCOS_OK : fail(node, err, "the input's rank is", in->rank, rank);
}

/* Spatial size after a window has passed over a padded axis. */
static xcos_status window(const xn_node *node, const xn_shape *in, int axis, int kernel,
                          int64_t *size, xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    int64_t padded = in->dims[2 + axis] + l->pad[axis] + l->pad[axis + 2];
    int64_t extent = (int64_t)(kernel - 1) * l->dilation[axis] + 1;
    if (extent > padded)
        return fail(node, err, "the window is larger than the padded input:", extent, padded);
    *size = (padded - extent) / l->stride[axis] + 1;
    return XCOS_OK;
}

static xcos_status infer_conv(const xn_node *node, const xn_shape *in, xn_shape *out,
                              xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    xcos_status status = need_rank(node, in, 4, err);
    if (status != XCOS_OK)
        return status;
    int64_t channels = l->weight.dims[1] * l->groups;
    if (in->dims[1] != channels)
        return fail(node, err, "input channels", in->dims[1], channels);
    *out = *in;
    out->dims[1] = l->weight.dims[0];
    for (int i = 0; i < 2; i++)
        if ((status = window(node, in, i, l->kernel[i], &out->dims[2 + i], err)) != XCOS_OK)
            return status;
    return XCOS_OK;
}

static xcos_status infer_pool(const xn_node *node, const xn_shape *in, xn_shape *out,
                              xcos_error *err)
{
    xcos_status status = need_rank(node, in, 4, err);
    *out = *in;
    for (int i = 0; i < 2 && status == XCOS_OK; i++) {
        if (node->layer.kernel[0] == 0)
            out->dims[2 + i] = 1;
        else
            status = window(node, in, i, node->layer.kernel[i], &out->dims[2 + i], err);
    }
    return status;
}

static xcos_status infer_binary(const xcos_net *net, const xn_node *node, const xn_shape *in,
                                xn_shape *out, xcos_error *err)
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
            return fail(node, err, "sizes do not broadcast:", d[1], d[0]);
        out->dims[i] = d[0] == 1 ? d[1] : d[0];
    }
    /* Two values that were computed must agree in their batch axis to begin with. */
    for (int k = 0; k < 2; k++)
        if (!net->values[node->layer.inputs[k]].constant && in[k].rank != rank)
            return fail(node, err, "an input's rank is", in[k].rank, rank);
    return XCOS_OK;
}

static xcos_status infer_axis_op(const xn_node *node, const xn_shape *in, xn_shape *out,
                                 xcos_error *err)
{
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
                return fail(node, err, "an input's rank is", in[i].rank, in[0].rank);
            for (int j = 0; j < in[0].rank; j++)
                if (j != l->axis && in[i].dims[j] != in[0].dims[j])
                    return fail(node, err, "an input's size is", in[i].dims[j], in[0].dims[j]);
            size += in[i].dims[l->axis];
        }
        out->dims[l->axis] = size;
    } else if (l->op == XCOS_OP_SLICE) {
        int64_t start = l->start < 0 ? l->start + size : l->start;
        int64_t stop = l->stop < 0 ? l->stop + size : l->stop;
        stop = stop > size ? size : stop;
        if (start < 0 || start >= stop)
            return fail(node, err, "nothing is left: start", start, stop - 1);
        out->dims[l->axis] = stop - start;
    }
    return XCOS_OK;
}

static xcos_status infer_reshape(const xn_node *node, const xn_shape *in, xn_shape *out,
                                 xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    int64_t total = 1, known = 1;
    int open = -1;
    for (int i = 1; i < in->rank; i++)
        total *= in->dims[i];
    out->rank = l->rank + 1;
    out->dims[0] = in->dims[0];
    for (int i = 0; i < l->rank; i++) {
        out->dims[i + 1] = l->shape[i];
        if (l->shape[i] == -1)
            open = i + 1;
        else if (l->shape[i] > MAX_ELEMENTS / known)
            return fail(node, err, "elements an image:", l->shape[i], total);
        else
            known *= l->shape[i];
    }
    if (open >= 0) {
        if (total % known)
            return fail(node, err, "elements an image are not a multiple of the known sizes:",
                        total, known);
        out->dims[open] = total / known;
    } else if (total != known) {
        return fail(node, err, "elements an image:", known, total);
    }
    return XCOS_OK;
}

static xcos_status infer(const xcos_net *net, const xn_node *node, const xn_shape *in,
                         xn_shape *out, xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    xcos_status status;
    switch (l->op) {
    case XCOS_OP_CONV:
        return infer_conv(node, in, out, err);
    case XCOS_OP_LINEAR:
        if ((status = need_rank(node, in, 2, err)) != XCOS_OK)
            return status;
        if (in->dims[1] != l->weight.dims[1])
            return fail(node, err, "input features", in->dims[1], l->weight.dims[1]);
        *out = *in;
        out->dims[1] = l->weight.dims[0];
        return XCOS_OK;
    case XCOS_OP_BATCH_NORM:
    case XCOS_OP_PRELU: {
        int64_t c = l->op == XCOS_OP_PRELU ? l->weight.dims[0] : l->gamma.dims[0];
        if (in->rank < 2)
            return fail(node, err, "the input's rank is", in->rank, 2);
        if (in->dims[1] != c && !(l->op == XCOS_OP_PRELU && c == 1))
            return fail(node, err, "input channels", in->dims[1], c);
        *out = *in;
        return XCOS_OK;
    }
    case XCOS_OP_ADD:
    case XCOS_OP_SUB:
    case XCOS_OP_MUL:
    case XCOS_OP_DIV:
        return infer_binary(net, node, in, out, err);
    case XCOS_OP_MAX_POOL:
    case XCOS_OP_AVG_POOL:
        return infer_pool(node, in, out, err);
    case XCOS_OP_CONCAT:
    case XCOS_OP_SLICE:
    case XCOS_OP_SOFTMAX:
        return infer_axis_op(node, in, out, err);
    case XCOS_OP_TRANSPOSE:
        if ((status = need_rank(node, in, l->rank, err)) != XCOS_OK)
            return status;
        out->rank = in->rank;
        for (int i = 0; i < in->rank; i++)
            out->dims[i] = in->dims[l->perm[i]];
        return XCOS_OK;
    case XCOS_OP_RESHAPE:
        return infer_reshape(node, in, out, err);
    case XCOS_OP_RESIZE:
        if ((status = need_rank(node, in, 4, err)) != XCOS_OK)
            return status;
        *out = *in;
        for (int i = 0; i < 2; i++) {
            out->dims[2 + i] = (int64_t)floor((double)in->dims[2 + i] * l->scale[i]);
            if (out->dims[2 + i] < 1)
                return fail(node, err, "the output's size is", out->dims[2 + i], 1);
        }
        return XCOS_OK;
    default: /* element by element */
        *out = in[0];
        return XCOS_OK;
    }
}

xcos_status xn_infer(const xcos_net *net, const xn_node *node, const xn_shape *in, xn_shape *out,
                     xcos_error *err)
{
    xcos_status status = infer(net, node, in, out, err);
    if (status != XCOS_OK)
        return status;
    if (!xn_fits(out))
        return xcos_fail(err, XCOS_E_LIMIT, "layer '%s' (%s): the output is too large",
                         node->layer.name, xn_op_name(node->layer.op));
    return XCOS_OK;
}
