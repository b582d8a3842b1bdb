/* graph.c: building a graph from layers. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "net/schedule.h"
#include "ops/ops.h"
#include "os/memory.h"

xcos_status xcos_net_new(xcos_net **out, xcos_error *err)
{
    xcos_net *net = calloc(1, sizeof *net);
    if (!net)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    net->kernels = xk_kernels();
    xo_lock_new(&net->lock);
    xn_register(net);
    *out = net;
    return XCOS_OK;
}

xcos_status xcos_net_precision(xcos_net *net, const char *name, xcos_error *err)
{
    static const char *const names[XK_PRECISIONS] = {"fp32", "bf16", "int8"};
    static const char *const needs[XK_PRECISIONS] = {NULL, "AVX512-BF16", "AVX512-VNNI"};
    if (net->finished)
        return xcos_fail(err, XCOS_E_ARG, "the network is finished: its precision stays");
    for (int i = 0; i < XK_PRECISIONS; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        if (i != XK_FP32 && !xk_products_of(net->kernels, (xk_precision)i))
            return xcos_fail(err, XCOS_E_UNSUPPORTED,
                             "precision '%s' takes a processor with %s; the kernels here (%s) have none of it",
                             name, needs[i], net->kernels->isa);
        net->precision = (xk_precision)i;
        return XCOS_OK;
    }
    return xcos_fail(err, XCOS_E_ARG, "precision is '%s', expected fp32, bf16 or int8", name);
}

void xcos_net_free(xcos_net *net)
{
    if (!net)
        return;
    xn_unregister(net);
    while (net->schedules) {
        xn_schedule *next = net->schedules->next;
        xn_schedule_free(net->schedules);
        net->schedules = next;
    }
    for (int i = 0; i < net->n_nodes; i++) {
        xn_node *node = &net->nodes[i];
        free((char *)node->layer.name);
        float *owned[] = {node->out_scale, node->bias,  node->pre_scale,
                          node->pre_shift, node->slope, node->weights};
        for (size_t j = 0; j < sizeof owned / sizeof *owned; j++)
            xo_free(owned[j]);
        for (int j = 0; j < XV_ALGORITHMS; j++)
            xo_free(node->packed[j].data);
    }
    for (int i = 0; i < net->n_values; i++) {
        free(net->values[i].name);
        xo_free(net->values[i].owned);
    }
    free(net->values);
    free(net->nodes);
    free(net->inputs);
    free(net->outputs);
    xo_free(net->zeros);
    xo_lock_free(&net->lock);
    free(net);
}

/* Makes room for one more element (amortised: capacity is the next power of two). */
static bool grow(void **array, int count, size_t size)
{
    if (count & (count - 1))
        return true;
    void *p = realloc(*array, (size_t)(count ? 2 * count : 1) * size);
    if (p)
        *array = p;
    return p != NULL;
}

static xcos_status new_value(xcos_net *net, const char *name, int *id, xcos_error *err)
{
    char *copy = NULL;
    if (net->finished)
        return xcos_fail(err, XCOS_E_ARG, "the network is finished: nothing can be added");
    if (!grow((void **)&net->values, net->n_values, sizeof *net->values) ||
        (name && !(copy = strdup(name))))
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    net->values[net->n_values] = (xn_value){.name = copy, .producer = -1};
    *id = net->n_values++;
    return XCOS_OK;
}

xcos_status xcos_net_input(xcos_net *net, const char *name, int rank, const int64_t *dims, int *id,
                           xcos_error *err)
{
    if (rank < 1 || rank > XCOS_MAX_RANK)
        return xcos_fail(err, XCOS_E_ARG, "input '%s': rank %d, expected 1 to %d", name, rank,
                         XCOS_MAX_RANK);
    for (int i = 0; i < rank - 1; i++)
        if ((dims[i] < 1 && dims[i] != -1) || dims[i] > XN_MAX_SIZE)
            return xcos_fail(err, XCOS_E_ARG, "input '%s': dimension %d is %lld", name, i + 1,
                             (long long)dims[i]);
    if (net->n_inputs == XCOS_MAX_INPUTS)
        return xcos_fail(err, XCOS_E_ARG, "input '%s': more than %d inputs", name, XCOS_MAX_INPUTS);
    if (!grow((void **)&net->inputs, net->n_inputs, sizeof *net->inputs))
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    xcos_status status = new_value(net, name, id, err);
    if (status != XCOS_OK)
        return status;
    xn_value *value = &net->values[*id];
    value->is_input = true;
    value->shape.rank = rank;
    value->shape.dims[0] = -1;
    for (int i = 1; i < rank; i++)
        value->shape.dims[i] = dims[i - 1];
    net->inputs[net->n_inputs++] = *id;
    return XCOS_OK;
}

xcos_status xcos_net_constant(xcos_net *net, const char *name, const xcos_tensor *tensor, int *id,
                              xcos_error *err)
{
    xn_shape shape = {.rank = tensor->rank};
    bool sound = tensor->rank >= 0 && tensor->rank <= XCOS_MAX_RANK;
    for (int i = 0; sound && i < tensor->rank; i++) {
        shape.dims[i] = tensor->dims[i];
        sound = shape.dims[i] >= 1;
    }
    sound = sound && xn_fits(&shape);
    const int64_t count = sound ? xn_count(&shape) : 0;
    if (count < 1 || (count > 1 && tensor->dims[0] != 1))
        return xcos_fail(err, XCOS_E_ARG,
                         "constant '%s': expected one number, or a first dimension (batch) of 1",
                         name);
    xcos_status status = new_value(net, name, id, err);
    if (status != XCOS_OK)
        return status;
    xn_value *value = &net->values[*id];
    value->constant = tensor->data;
    value->shape = shape;
    if (count == 1)
        value->shape.rank = 0;
    return XCOS_OK;
}

xcos_status xcos_net_layer(xcos_net *net, const xcos_layer *given, int *id, xcos_error *err)
{
    xcos_layer layer = *given;
    const char *name = layer.name ? layer.name : "";
    if (layer.op == XCOS_OP_CONV && !layer.kernel[0] && !layer.kernel[1] && layer.weight.rank == 4)
        for (int i = 0; i < 2; i++) /* what is no int stays 0, which the check refuses */
            if (layer.weight.dims[2 + i] >= 0 && layer.weight.dims[2 + i] <= XN_MAX_SIZE)
                layer.kernel[i] = (int)layer.weight.dims[2 + i];
    const char *wrong = layer.n_inputs < 0 || layer.n_inputs > XCOS_MAX_INPUTS
                            ? "too many inputs"
                            : xn_check_layer(&layer);
    const bool constants = !wrong && xcos_operators()[layer.op].constants;
    int computed = 0;
    for (int i = 0; !wrong && i < layer.n_inputs; i++) {
        if (layer.inputs[i] < 0 || layer.inputs[i] >= net->n_values)
            wrong = "an input does not exist (layers must stand in topological order)";
        else if (!net->values[layer.inputs[i]].constant)
            computed++;
        else if (!constants)
            wrong = "a constant may only be an operand of arithmetic and matmul";
    }
    if (!wrong && !computed)
        wrong = "at least one input must be computed";
    if (wrong)
        return xcos_fail(err, XCOS_E_ARG, "layer '%s' (%s): %s", name, xn_op_name(layer.op), wrong);

    char *copy = strdup(name);
    if (!copy || !grow((void **)&net->nodes, net->n_nodes, sizeof *net->nodes)) {
        free(copy);
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    }
    xcos_status status = new_value(net, NULL, id, err);
    if (status != XCOS_OK) {
        free(copy);
        return status;
    }
    net->values[*id].producer = net->n_nodes;
    xn_node *node = &net->nodes[net->n_nodes++];
    *node = (xn_node){.layer = layer, .output = *id, .next = -1, .residual = -1};
    node->layer.name = copy;
    int rank = 0;
    for (int i = 0; i < layer.n_inputs; i++) {
        xn_value *value = &net->values[layer.inputs[i]];
        value->uses++;
        rank = value->shape.rank > rank ? value->shape.rank : rank;
    }
    net->values[*id].shape.rank = layer.op == XCOS_OP_RESHAPE ? layer.rank + 1 : rank;
    return XCOS_OK;
}

xcos_status xcos_net_output(xcos_net *net, int id, const char *name, xcos_error *err)
{
    if (net->finished || id < 0 || id >= net->n_values)
        return xcos_fail(err, XCOS_E_ARG, "output '%s': no such value", name);
    if (net->values[id].constant)
        return xcos_fail(err, XCOS_E_UNSUPPORTED, "output '%s' is a constant", name);
    if (net->n_outputs == XCOS_MAX_OUTPUTS)
        return xcos_fail(err, XCOS_E_ARG, "output '%s': more than %d outputs", name,
                         XCOS_MAX_OUTPUTS);
    if (!grow((void **)&net->outputs, net->n_outputs, sizeof *net->outputs))
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    net->outputs[net->n_outputs++] = id;
    net->values[id].is_output = true;
    net->values[id].uses++;
    return XCOS_OK;
}
