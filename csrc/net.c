/* net.c: building a network from layers, checking each as it comes, and running it. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "pool.h"

/* Images that go through the layers together when the weights are large: each weight
 * that comes from memory then serves them all. */
enum { CHUNK = 8 };
/* Below this many weights (floats) all of them stay in the second-level or third-level
 * cache, and an image a thread beats sharing each layer. */
enum { LIGHT_WEIGHTS = 4 << 20 };

xcos_status xcos_net_new(xcos_net **out, xcos_error *err)
{
    xcos_net *net = calloc(1, sizeof *net);
    if (!net)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    net->kernels = xk_kernels();
    pthread_mutex_init(&net->lock, NULL);
    *out = net;
    return XCOS_OK;
}

void xcos_net_free(xcos_net *net)
{
    if (!net)
        return;
    while (net->plans) {
        xn_plan *next = net->plans->next;
        xn_plan_free(net->plans);
        net->plans = next;
    }
    for (int i = 0; i < net->n_nodes; i++) {
        xn_node *node = &net->nodes[i];
        free((char *)node->layer.name);
        float *owned[] = {node->out_scale, node->bias, node->pre_scale, node->pre_shift,
                          node->slope};
        for (size_t j = 0; j < sizeof owned / sizeof *owned; j++)
            xn_free(owned[j]);
        for (int j = 0; j < XN_CONV_KINDS; j++)
            xn_free(node->packed[j]);
    }
    for (int i = 0; i < net->n_values; i++)
        free(net->values[i].name);
    free(net->values);
    free(net->nodes);
    free(net->inputs);
    free(net->outputs);
    xn_free(net->zeros);
    pthread_mutex_destroy(&net->lock);
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
        if (dims[i] < 1 && dims[i] != -1)
            return xcos_fail(err, XCOS_E_ARG, "input '%s': dimension %d is %lld", name, i + 1,
                             (long long)dims[i]);
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
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->dims[i];
    if (tensor->rank < 0 || tensor->rank > XCOS_MAX_RANK || count < 1 ||
        (count > 1 && tensor->dims[0] != 1))
        return xcos_fail(err, XCOS_E_ARG,
                         "constant '%s': expected one number, or a first dimension (batch) of 1",
                         name);
    xcos_status status = new_value(net, name, id, err);
    if (status != XCOS_OK)
        return status;
    xn_value *value = &net->values[*id];
    value->constant = tensor->data;
    value->shape.rank = count == 1 ? 0 : tensor->rank;
    memcpy(value->shape.dims, tensor->dims, sizeof value->shape.dims);
    return XCOS_OK;
}

/* ------------------------------------------------------- checks of a layer */

static bool is_vector(const xcos_tensor *t, int64_t length)
{
    return t->data && t->rank == 1 && (length < 0 || t->dims[0] == length) && t->dims[0] > 0;
}

static const char *check_window(const xcos_layer *l, bool kernel_may_be_0)
{
    for (int i = 0; i < 2; i++) {
        if (l->kernel[i] < (kernel_may_be_0 ? 0 : 1) || l->kernel[i] > 1 << 15)
            return "kernel sizes must be 1 to 32768";
        if (l->stride[i] < 1 || l->stride[i] > 1 << 15)
            return "strides must be 1 to 32768";
        if (l->dilation[i] < 1 || l->dilation[i] > 1 << 15)
            return "dilations must be 1 to 32768";
    }
    for (int i = 0; i < 4; i++)
        if (l->pad[i] < 0 || l->pad[i] > 1 << 15)
            return "paddings must be 0 to 32768";
    return NULL;
}

/* What is wrong with a layer by itself, or NULL. */
static const char *check_layer(const xcos_layer *l)
{
    int expected = 1;
    switch (l->op) {
    case XCOS_OP_CONV: {
        const xcos_tensor *w = &l->weight;
        if (!w->data || w->rank != 4 || w->dims[0] < 1 || w->dims[1] < 1)
            return "weight must have 4 dimensions (O, I/groups, kh, kw)";
        if (l->groups < 1 || w->dims[0] % l->groups)
            return "groups must divide the number of output channels";
        if (l->bias.data && !is_vector(&l->bias, w->dims[0]))
            return "bias must have one number per output channel";
        if (w->dims[2] != l->kernel[0] || w->dims[3] != l->kernel[1])
            return "kernel must be the last two dimensions of the weight";
        const char *wrong = check_window(l, false);
        if (wrong)
            return wrong;
        break;
    }
    case XCOS_OP_LINEAR:
        if (!l->weight.data || l->weight.rank != 2 || l->weight.dims[0] < 1 || l->weight.dims[1] < 1)
            return "weight must have 2 dimensions (O, I)";
        if (l->bias.data && !is_vector(&l->bias, l->weight.dims[0]))
            return "bias must have one number per output";
        break;
    case XCOS_OP_BATCH_NORM: {
        int64_t c = l->gamma.rank == 1 ? l->gamma.dims[0] : -1;
        if (!is_vector(&l->gamma, -1) || !is_vector(&l->beta, c) || !is_vector(&l->mean, c) ||
            !is_vector(&l->var, c))
            return "gamma, beta, mean and var must be vectors of one length";
        if (!(l->epsilon >= 0))
            return "epsilon must not be negative";
        for (int64_t i = 0; i < c; i++)
            if (!(l->var.data[i] + l->epsilon > 0))
                return "var + epsilon must be positive";
        break;
    }
    case XCOS_OP_PRELU:
        if (!is_vector(&l->weight, -1))
            return "slope must be a vector";
        break;
    case XCOS_OP_CLIP:
        if (!(l->lo <= l->hi))
            return "min must not exceed max";
        break;
    case XCOS_OP_ADD:
    case XCOS_OP_SUB:
    case XCOS_OP_MUL:
    case XCOS_OP_DIV:
        expected = 2;
        break;
    case XCOS_OP_MAX_POOL:
    case XCOS_OP_AVG_POOL: {
        const char *wrong = check_window(l, true);
        if (wrong)
            return wrong;
        if ((l->kernel[0] == 0) != (l->kernel[1] == 0))
            return "kernel must be two sizes, or absent for the whole map";
        if (l->kernel[0] && (l->pad[0] >= l->kernel[0] || l->pad[2] >= l->kernel[0] ||
                             l->pad[1] >= l->kernel[1] || l->pad[3] >= l->kernel[1]))
            return "padding must be smaller than the kernel";
        break;
    }
    case XCOS_OP_CONCAT:
        if (l->n_inputs < 1)
            return "needs at least one input";
        expected = l->n_inputs;
        break;
    case XCOS_OP_TRANSPOSE: {
        unsigned seen = 0;
        for (int i = 0; i < l->rank; i++)
            if (l->perm[i] >= 0 && l->perm[i] < l->rank)
                seen |= 1u << l->perm[i];
        if (l->rank < 1 || l->rank > XCOS_MAX_RANK || seen != (1u << l->rank) - 1)
            return "perm must name each axis once";
        if (l->perm[0] != 0)
            return "the batch (axis 0) must stay where it is";
        break;
    }
    case XCOS_OP_RESHAPE:
        if (l->rank < 0 || l->rank > XCOS_MAX_RANK - 1)
            return "shape has too many dimensions";
        for (int i = 0, free_dims = 0; i < l->rank; i++) {
            if (l->shape[i] < 1 && l->shape[i] != -1)
                return "shape must hold positive sizes and at most one -1";
            if (l->shape[i] == -1 && free_dims++)
                return "shape may hold only one -1";
        }
        break;
    case XCOS_OP_RESIZE:
        for (int i = 0; i < 2; i++)
            if (!(l->scale[i] > 0 && l->scale[i] <= 1024))
                return "scales must be above 0 and at most 1024";
        break;
    case XCOS_OP_RELU:
    case XCOS_OP_SIGMOID:
    case XCOS_OP_EXP:
    case XCOS_OP_SLICE:
    case XCOS_OP_SOFTMAX:
        break;
    default:
        return "unknown operation";
    }
    if (l->n_inputs != expected)
        return expected == 2 ? "needs two inputs" : "needs one input";
    return NULL;
}

xcos_status xcos_net_layer(xcos_net *net, const xcos_layer *layer, int *id, xcos_error *err)
{
    const char *name = layer->name ? layer->name : "";
    const char *wrong = layer->n_inputs < 0 || layer->n_inputs > XCOS_MAX_INPUTS
                            ? "too many inputs"
                            : check_layer(layer);
    const bool binary = layer->op >= XCOS_OP_ADD && layer->op <= XCOS_OP_DIV;
    int computed = 0;
    for (int i = 0; !wrong && i < layer->n_inputs; i++) {
        if (layer->inputs[i] < 0 || layer->inputs[i] >= net->n_values)
            wrong = "an input does not exist (layers must stand in topological order)";
        else if (!net->values[layer->inputs[i]].constant)
            computed++;
        else if (!binary)
            wrong = "a constant may only be an operand of add, sub, mul or div";
    }
    if (!wrong && !computed)
        wrong = "at least one input must be computed";
    if (wrong)
        return xcos_fail(err, XCOS_E_ARG, "layer '%s' (%s): %s", name, xn_op_name(layer->op), wrong);

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
    *node = (xn_node){.layer = *layer, .output = *id, .residual = -1};
    node->layer.name = copy;
    for (int i = 0; i < layer->n_inputs; i++)
        net->values[layer->inputs[i]].uses++;
    return XCOS_OK;
}

xcos_status xcos_net_output(xcos_net *net, int id, const char *name, xcos_error *err)
{
    if (net->finished || id < 0 || id >= net->n_values)
        return xcos_fail(err, XCOS_E_ARG, "output '%s': no such value", name);
    if (net->values[id].constant)
        return xcos_fail(err, XCOS_E_UNSUPPORTED, "output '%s' is a constant", name);
    if (!grow((void **)&net->outputs, net->n_outputs, sizeof *net->outputs))
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    net->outputs[net->n_outputs++] = id;
    net->values[id].is_output = true;
    net->values[id].uses++;
    return XCOS_OK;
}

xcos_status xcos_net_finish(xcos_net *net, xcos_error *err)
{
    if (net->finished || net->n_inputs < 1 || net->n_outputs < 1)
        return xcos_fail(err, XCOS_E_ARG, "a network needs at least one input and one output");
    xcos_status status = xn_fuse(net, err);
    if (status != XCOS_OK)
        return status;
    int64_t widest = 1;
    for (int i = 0; i < net->n_nodes; i++) {
        const xcos_tensor *w = &net->nodes[i].layer.weight;
        if (w->data && w->rank > 1) {
            int64_t count = 1;
            for (int j = 0; j < w->rank; j++)
                count *= w->dims[j];
            net->weight_floats += count;
            widest = w->dims[1] > widest ? w->dims[1] : widest;
        }
    }
    if (!(net->zeros = xn_alloc((size_t)widest * sizeof(float))))
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    memset(net->zeros, 0, (size_t)widest * sizeof(float));
    net->finished = true;
    return XCOS_OK;
}

/* ---------------------------------------------------------------- running */

/* Copies and checks the caller's shapes against the declared inputs. */
static xcos_status read_shapes(const xcos_net *net, const int64_t (*dims)[XCOS_MAX_RANK],
                               xn_shape *shapes, xcos_error *err)
{
    if (!net->finished)
        return xcos_fail(err, XCOS_E_ARG, "the network is not finished");
    for (int i = 0; i < net->n_inputs; i++) {
        const xn_value *value = &net->values[net->inputs[i]];
        shapes[i] = value->shape;
        for (int j = 0; j < value->shape.rank; j++) {
            int64_t declared = value->shape.dims[j];
            if (dims[i][j] < (j ? 1 : 0) || dims[i][j] > 1 << 28 ||
                (declared != -1 && declared != dims[i][j]))
                return xcos_fail(err, XCOS_E_ARG, "input '%s': dimension %d is %lld, expected %lld",
                                 value->name, j, (long long)dims[i][j], (long long)declared);
            shapes[i].dims[j] = dims[i][j];
        }
        if (dims[i][0] > INT32_MAX)
            return xcos_fail(err, XCOS_E_LIMIT, "input '%s': batch %lld is too large", value->name,
                             (long long)dims[i][0]);
        if (dims[i][0] != dims[0][0])
            return xcos_fail(err, XCOS_E_ARG, "input '%s': batch %lld, but the first input's is %lld",
                             value->name, (long long)dims[i][0], (long long)dims[0][0]);
    }
    return XCOS_OK;
}

xcos_status xcos_net_shapes(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK], int *out_rank,
                            int64_t (*out_dims)[XCOS_MAX_RANK], xcos_error *err)
{
    xn_shape shapes[XCOS_MAX_INPUTS];
    xcos_status status = read_shapes(net, in_dims, shapes, err);
    if (status != XCOS_OK)
        return status;
    /* Shapes after the batch do not depend on it. */
    int64_t batch = shapes[0].dims[0];
    for (int i = 0; i < net->n_inputs; i++)
        shapes[i].dims[0] = 1;
    xn_plan *plan;
    if ((status = xn_plan_get(net, shapes, 1, &plan, err)) != XCOS_OK)
        return status;
    for (int i = 0; i < net->n_outputs; i++) {
        out_rank[i] = plan->out_shapes[i].rank;
        memcpy(out_dims[i], plan->out_shapes[i].dims, sizeof out_dims[i]);
        out_dims[i][0] = batch;
    }
    xn_plan_release(net, plan);
    return XCOS_OK;
}

/* Runs all steps on images first .. first + (the plan's batch). */
static void run_plan(const xcos_net *net, const xn_plan *plan, float *arena,
                     const float *const *inputs, float *const *outputs, int64_t first)
{
    const int64_t batch = plan->in_shapes[0].dims[0];
    for (int s = 0; s < plan->n_steps; s++) {
        const xn_step *step = &plan->steps[s];
        float *place[XCOS_MAX_INPUTS + 2];
        const int wanted[] = {step->out, step->residual};
        for (int i = 0; i < step->n_in + 2; i++) {
            int index = i < step->n_in ? step->in[i] : wanted[i - step->n_in];
            const xn_buffer *b = index < 0 ? NULL : &plan->buffers[index];
            place[i] = !b                         ? NULL
                       : b->kind == XN_ARENA      ? arena + b->offset
                       : b->kind == XN_OUTPUT     ? outputs[b->index] + first * (b->floats / batch)
                       : b->kind == XN_INPUT      ? (float *)inputs[b->index] +
                                                    first * (b->floats / batch)
                                                  : (float *)b->constant;
        }
        xn_task task = {.net = net,
                        .step = step,
                        .out = place[step->n_in],
                        .residual = place[step->n_in + 1],
                        .scratch = arena + step->scratch_offset};
        for (int i = 0; i < step->n_in; i++)
            task.in[i] = place[i];
        step->run(&task);
    }
}

typedef struct {
    const xcos_net *net;
    const xn_plan *plan;
    float **arenas;
    int64_t first;
    const float *const *inputs;
    float *const *outputs;
} image_job;

static void run_image(void *context, int64_t index, int worker)
{
    const image_job *job = context;
    run_plan(job->net, job->plan, job->arenas[worker], job->inputs, job->outputs,
             job->first + index);
}

/* Runs `count` images from `first` on, `together` at a time or, when that is 1, one a thread. */
static xcos_status run_images(xcos_net *net, xn_shape *shapes, int64_t first, int64_t count,
                              int64_t together, const float *const *inputs, float *const *outputs,
                              int threads, xcos_error *err)
{
    for (int i = 0; i < net->n_inputs; i++)
        shapes[i].dims[0] = together;
    xn_plan *plan;
    bool spread = together == 1 && count > 1;
    xcos_status status = xn_plan_get(net, shapes, spread ? 1 : threads, &plan, err);
    if (status != XCOS_OK)
        return status;
    status = xn_plan_pack(net, plan, threads, err);
    float *arenas[XN_MAX_THREADS] = {NULL};
    int wanted = !spread ? 1 : threads < count ? threads : (int)count;
    for (int i = 0; status == XCOS_OK && i < wanted; i++)
        if (!(arenas[i] = xn_arena_take(net, plan)))
            status = xcos_fail(err, XCOS_E_NOMEM, "out of memory: %lld bytes for activations",
                               (long long)plan->arena_floats * 4);
    if (status == XCOS_OK && spread) {
        image_job job = {net, plan, arenas, first, inputs, outputs};
        xc_parallel(wanted, count, run_image, &job);
    } else if (status == XCOS_OK) {
        for (int64_t i = 0; i < count; i += together)
            run_plan(net, plan, arenas[0], inputs, outputs, first + i);
    }
    for (int i = 0; i < wanted; i++)
        if (arenas[i])
            xn_arena_give(net, plan, arenas[i]);
    xn_plan_release(net, plan);
    return status;
}

xcos_status xcos_net_run(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK],
                         const float *const *inputs, float *const *outputs, int threads,
                         xcos_error *err)
{
    xn_shape shapes[XCOS_MAX_INPUTS];
    xcos_status status = read_shapes(net, in_dims, shapes, err);
    if (status != XCOS_OK)
        return status;
    if (threads <= 0)
        threads = xcos_default_threads();
    if (threads > XN_MAX_THREADS)
        threads = XN_MAX_THREADS;
    int64_t batch = shapes[0].dims[0];
    if (batch == 0)
        return XCOS_OK;
    if (net->weight_floats < LIGHT_WEIGHTS)
        return run_images(net, shapes, 0, batch, 1, inputs, outputs, threads, err);
    int64_t rest = batch % CHUNK;
    if (batch > rest)
        status = run_images(net, shapes, 0, batch - rest, CHUNK, inputs, outputs, threads, err);
    if (status == XCOS_OK && rest)
        status = run_images(net, shapes, batch - rest, rest, rest, inputs, outputs, threads, err);
    return status;
}
