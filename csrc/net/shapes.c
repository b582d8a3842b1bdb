/* shapes.c: shapes of values, inferred node by node. */
#include "ops/ops.h"

xcos_status xn_infer(const xcos_net *net, const xn_node *node, xn_shape *shapes, xcos_error *err)
{
    const xn_family *family = xn_families[node->layer.op];
    xn_shape in[XCOS_MAX_INPUTS], *out = &shapes[node->output];
    for (int i = 0; i < node->layer.n_inputs; i++)
        in[i] = shapes[node->layer.inputs[i]];
    *out = in[0];
    const xcos_status status = family->infer ? family->infer(net, node, in, out, err) : XCOS_OK;
    if (status != XCOS_OK)
        return status;
    if (!xn_fits(out))
        return xcos_fail(err, XCOS_E_LIMIT, "layer '%s' (%s): the output is too large",
                         node->layer.name, xn_op_name(node->layer.op));
    return XCOS_OK;
}

xcos_status xn_infer_all(const xcos_net *net, xn_shape *shapes, xcos_error *err)
{
    xcos_status status = XCOS_OK;
    for (int i = 0; i < net->n_values; i++)
        if (net->values[i].constant)
            shapes[i] = net->values[i].shape;
    for (int i = 0; i < net->n_nodes && status == XCOS_OK; i++)
        status = xn_infer(net, &net->nodes[i], shapes, err);
    return status;
}
