/* siblings.c: 1x1 convolutions of few outputs that read one value become one of all their outputs.
 *
 * The heads of a detector have 1, 4 or 10 outputs; each by itself would read the whole map for a
 * part of a vector.  What each gave becomes a slice of what the one gives, to the last bit.  Where
 * something may ride along with one of them (finish.c), it stays by itself. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "net/graph.h"
#include "os/memory.h"

enum { MOST = XK_LINE }; /* outputs together: a vector of the widest instruction set */

static bool feeds_convolutions(const xcos_net *net, int value)
{
    for (int i = 0; i < net->n_nodes; i++)
        for (int j = 0; j < net->nodes[i].layer.n_inputs; j++)
            if (net->nodes[i].layer.inputs[j] == value && net->nodes[i].layer.op != XCOS_OP_CONV)
                return false;
    return !net->values[value].is_output;
}

static bool is_narrow(const xcos_net *net, const xn_node *node)
{
    const xcos_layer *l = &node->layer;
    return l->op == XCOS_OP_CONV && l->kernel[0] == 1 && l->kernel[1] == 1 && l->stride[0] == 1 &&
           l->stride[1] == 1 && !(l->pad[0] | l->pad[1] | l->pad[2] | l->pad[3]) && l->groups == 1 &&
           l->weight.dims[0] < MOST && feeds_convolutions(net, node->output);
}

/* Makes room for one more node, at `place`, and one more value. */
static bool make_room(xcos_net *net, int place)
{
    xn_node *nodes = realloc(net->nodes, ((size_t)net->n_nodes + 1) * sizeof *nodes);
    if (!nodes)
        return false;
    net->nodes = nodes;
    xn_value *values = realloc(net->values, ((size_t)net->n_values + 1) * sizeof *values);
    if (!values)
        return false;
    net->values = values;
    memmove(&nodes[place + 1], &nodes[place], (size_t)(net->n_nodes - place) * sizeof *nodes);
    for (int i = 0; i < net->n_values; i++)
        values[i].producer += values[i].producer >= place;
    net->n_nodes++;
    net->n_values++;
    return true;
}

/* Puts a convolution with `total` outputs in front of the `count` siblings (by their places). */
static bool merge(xcos_net *net, const int *siblings, int count, int64_t total)
{
    const xcos_layer first = net->nodes[siblings[0]].layer;
    const int64_t depth = first.weight.dims[1];
    const int place = siblings[0], value = net->n_values;
    float *weights = xo_alloc(xc_bytes(XC_F32, total * (depth + 1))), *biases = weights + total * depth;
    char *name = strdup(first.name);
    if (!weights || !name || !make_room(net, place)) {
        xo_free(weights);
        free(name);
        return false;
    }
    xn_node *node = &net->nodes[place];
    *node = (xn_node){.layer = first, .output = value, .next = -1, .residual = -1, .weights = weights};
    node->layer.name = name;
    node->layer.weight.data = weights;
    node->layer.weight.dims[0] = total;
    node->layer.bias = (xcos_tensor){.data = biases, .rank = 1, .dims = {total}};
    net->values[value] = (xn_value){.producer = place, .shape.rank = 4, .uses = count};
    net->values[first.inputs[0]].uses -= count - 1;
    int64_t start = 0;
    for (int i = 0; i < count; i++) {
        xcos_layer *l = &net->nodes[siblings[i] + 1].layer;
        const int64_t outputs = l->weight.dims[0];
        memcpy(weights + start * depth, l->weight.data, (size_t)(outputs * depth) * sizeof *weights);
        for (int64_t o = 0; o < outputs; o++)
            biases[start + o] = l->bias.data ? l->bias.data[o] : 0;
        *l = (xcos_layer){.op = XCOS_OP_SLICE, .name = l->name, .n_inputs = 1, .inputs = {value},
                          .axis = 1, .start = start, .stop = start + outputs};
        start += outputs;
    }
    return true;
}

bool xn_merge_siblings(xcos_net *net)
{
    for (int i = 0; i < net->n_nodes; i++) {
        int siblings[MOST], count = 0;
        int64_t total = 0;
        for (int j = i; j < net->n_nodes && is_narrow(net, &net->nodes[i]); j++) {
            const xcos_layer *l = &net->nodes[j].layer;
            if (l->inputs[0] != net->nodes[i].layer.inputs[0] || !is_narrow(net, &net->nodes[j]) ||
                total + l->weight.dims[0] > MOST)
                continue;
            siblings[count++] = j;
            total += l->weight.dims[0];
        }
        if (count > 1 && !merge(net, siblings, count, total))
            return false;
    }
    return true;
}
