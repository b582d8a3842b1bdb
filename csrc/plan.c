/* plan.c: a network for one shape of inputs: which steps, and which layout each value has. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "net.h"

typedef struct {
    xcos_net *net;
    xn_plan *plan;
    xn_shape *shapes; /* of values, logical */
    int (*places)[2]; /* of values: buffer in plain layout, in NHWC; -1 none */
    bool failed;      /* out of memory */
} builder;

static xn_shape physical(const xn_shape *s, bool nhwc)
{
    if (!nhwc)
        return *s;
    return (xn_shape){4, {s->dims[0], s->dims[2], s->dims[3], s->dims[1]}};
}

/* Axis of a logical axis in memory order. */
static int physical_axis(int axis, bool nhwc)
{
    static const int of[4] = {0, 3, 1, 2};
    return nhwc ? of[axis] : axis;
}

/* Both layouts are the same bytes. */
static bool layouts_coincide(const xn_shape *s)
{
    return s->rank == 4 && (s->dims[1] == 1 || s->dims[2] * s->dims[3] == 1);
}

static int add_buffer(builder *b, xn_buffer buffer)
{
    xn_plan *plan = b->plan;
    if (!(plan->n_buffers & (plan->n_buffers - 1))) {
        size_t room = plan->n_buffers ? 2 * (size_t)plan->n_buffers : 1;
        xn_buffer *more = realloc(plan->buffers, room * sizeof *more);
        if (!more) {
            b->failed = true;
            xn_free(buffer.owned);
            return 0;
        }
        plan->buffers = more;
    }
    buffer.first = buffer.last = -1;
    plan->buffers[plan->n_buffers] = buffer;
    return plan->n_buffers++;
}

static int arena_buffer(builder *b, int64_t floats)
{
    return add_buffer(b, (xn_buffer){.kind = XN_ARENA, .floats = floats});
}

static xn_step *add_step(builder *b)
{
    xn_plan *plan = b->plan;
    static xn_step lost; /* where a step goes when there is no memory: never run */
    if (!(plan->n_steps & (plan->n_steps - 1))) {
        size_t room = plan->n_steps ? 2 * (size_t)plan->n_steps : 1;
        xn_step *more = realloc(plan->steps, room * sizeof *more);
        if (!more) {
            b->failed = true;
            return &lost;
        }
        plan->steps = more;
    }
    xn_step *step = &plan->steps[plan->n_steps++];
    memset(step, 0, sizeof *step);
    step->residual = step->scratch = -1;
    step->threads = plan->threads;
    return step;
}

static void permute_to_nhwc(const float *x, const xn_shape *s, float *y)
{
    int64_t c = s->dims[1], hw = s->dims[2] * s->dims[3];
    for (int64_t i = 0; i < c; i++)
        for (int64_t p = 0; p < hw; p++)
            y[p * c + i] = x[i * hw + p];
}

/* Buffer of a value in the wanted layout; adds a step that changes it where needed. */
static int buffer_of(builder *b, int value, bool nhwc)
{
    int *place = b->places[value];
    if (place[nhwc] >= 0)
        return place[nhwc];
    const xn_shape *s = &b->shapes[value];
    if (layouts_coincide(s)) {
        place[nhwc] = place[!nhwc];
    } else if (b->net->values[value].constant) {
        float *copy = xn_alloc((size_t)xn_count(s) * sizeof *copy);
        if (copy)
            permute_to_nhwc(b->net->values[value].constant, s, copy);
        else
            b->failed = true;
        place[nhwc] = add_buffer(b, (xn_buffer){.kind = XN_CONSTANT, .constant = copy,
                                                .owned = copy, .floats = xn_count(s)});
    } else {
        place[nhwc] = arena_buffer(b, xn_count(s));
        xn_step *step = add_step(b);
        step->run = nhwc ? xn_run_to_nhwc : xn_run_to_plain;
        step->n_in = 1;
        step->in[0] = place[!nhwc];
        step->in_shape[0] = physical(s, !nhwc);
        step->out = place[nhwc];
        step->out_shape = physical(s, nhwc);
    }
    return place[nhwc];
}

/* Whether an op works in NHWC, given where its computed inputs are now. */
static bool wants_nhwc(const builder *b, const xn_node *node)
{
    const xcos_layer *l = &node->layer;
    bool rank4 = b->shapes[l->inputs[0]].rank == 4, any = false;
    for (int i = 0; i < l->n_inputs; i++)
        any |= b->places[l->inputs[i]][1] >= 0;
    switch (l->op) {
    case XCOS_OP_CONV:
    case XCOS_OP_MAX_POOL:
    case XCOS_OP_AVG_POOL:
    case XCOS_OP_RESIZE:
        return true;
    case XCOS_OP_BATCH_NORM:
    case XCOS_OP_PRELU:
        return rank4;
    case XCOS_OP_LINEAR:
    case XCOS_OP_RESHAPE:
        return false;
    case XCOS_OP_TRANSPOSE:
        return rank4 && b->places[l->inputs[0]][0] < 0;
    default:
        return any && b->shapes[node->output].rank == 4;
    }
}

/* Row-major strides of a shape. */
static void strides_of(const xn_shape *s, int64_t *stride)
{
    int64_t step = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= s->dims[i];
    }
}

static void plan_transpose(builder *b, const xn_node *node, xn_step *step, bool nhwc)
{
    const xn_shape *in = &b->shapes[node->layer.inputs[0]];
    xn_shape order = physical(in, nhwc);
    int64_t stride[XCOS_MAX_RANK];
    strides_of(&order, stride);
    for (int i = 0; i < in->rank; i++)
        step->stride[0][i] = stride[physical_axis(node->layer.perm[i], nhwc)];
}

/* Strides with which each operand is read along the output's axes (0: broadcast). */
static void plan_broadcast(xn_step *step)
{
    for (int k = 0; k < 2; k++) {
        const xn_shape *s = &step->in_shape[k];
        int64_t stride[XCOS_MAX_RANK];
        strides_of(s, stride);
        for (int i = 0; i < step->out_shape.rank; i++) {
            int axis = i - (step->out_shape.rank - s->rank);
            step->stride[k][i] = axis < 0 || s->dims[axis] == 1 ? 0 : stride[axis];
        }
    }
}

/* The shape of an operand with leading ones, so that it can change layout. */
static void widen_constant(builder *b, int value, int rank)
{
    xn_shape *s = &b->shapes[value];
    if (!b->net->values[value].constant || s->rank == rank || s->rank == 0)
        return;
    xn_shape wide = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        int axis = i - (rank - s->rank);
        wide.dims[i] = axis < 0 ? 1 : s->dims[axis];
    }
    *s = wide;
}

static void add_node(builder *b, xn_node *node)
{
    const xcos_layer *l = &node->layer;
    const xn_shape *out = &b->shapes[node->output];
    if (l->op >= XCOS_OP_ADD && l->op <= XCOS_OP_DIV)
        for (int i = 0; i < 2; i++)
            widen_constant(b, l->inputs[i], out->rank);

    bool nhwc = wants_nhwc(b, node);
    if (l->op == XCOS_OP_RESHAPE) { /* the same bytes under another name */
        b->places[node->output][0] = buffer_of(b, l->inputs[0], false);
        return;
    }
    bool out_nhwc = nhwc && l->op != XCOS_OP_TRANSPOSE;
    int in[XCOS_MAX_INPUTS];
    for (int i = 0; i < l->n_inputs; i++)
        in[i] = buffer_of(b, l->inputs[i], nhwc && b->shapes[l->inputs[i]].rank == 4);
    int residual = node->residual < 0 ? -1
                                      : buffer_of(b, node->residual, l->op == XCOS_OP_CONV);
    if (l->op == XCOS_OP_TRANSPOSE && nhwc && l->perm[1] == 2 && l->perm[2] == 3) {
        b->places[node->output][0] = in[0]; /* NHWC is what was asked for */
        return;
    }

    xn_step *step = add_step(b);
    step->node = node;
    step->n_in = l->n_inputs;
    step->residual = residual;
    for (int i = 0; i < l->n_inputs; i++) {
        step->in[i] = in[i];
        const xn_shape *s = &b->shapes[l->inputs[i]];
        step->in_shape[i] = physical(s, nhwc && s->rank == 4);
    }
    step->out_shape = physical(out, out_nhwc);
    step->out = b->places[node->output][out_nhwc] = arena_buffer(b, xn_count(out));
    if (l->op == XCOS_OP_CONCAT || l->op == XCOS_OP_SLICE || l->op == XCOS_OP_SOFTMAX)
        step->axis = physical_axis(l->axis, nhwc && step->in_shape[0].rank == 4);
    if (l->op == XCOS_OP_SLICE)
        step->start = l->start < 0 ? l->start + step->in_shape[0].dims[step->axis] : l->start;
    if (l->op == XCOS_OP_TRANSPOSE)
        plan_transpose(b, node, step, nhwc);
    if (l->op >= XCOS_OP_ADD && l->op <= XCOS_OP_DIV)
        plan_broadcast(step);
    if (l->op == XCOS_OP_CONV || l->op == XCOS_OP_LINEAR)
        xn_conv_plan(b->net, node, step);
    else
        xn_op_plan(step);
    if (step->scratch_floats)
        step->scratch = arena_buffer(b, step->scratch_floats);
}

/* Lets the steps write the outputs where the caller wants them. */
static void place_outputs(builder *b)
{
    for (int i = 0; i < b->net->n_outputs; i++) {
        int value = b->net->outputs[i];
        int from = buffer_of(b, value, false);
        if (b->failed)
            return;
        b->plan->out_shapes[i] = b->shapes[value];
        if (b->plan->buffers[from].kind == XN_ARENA) {
            b->plan->buffers[from].kind = XN_OUTPUT;
            b->plan->buffers[from].index = i;
            continue;
        }
        /* An input, or a value that is an output already: copied. */
        int64_t floats = xn_count(&b->shapes[value]);
        int to = add_buffer(b, (xn_buffer){.kind = XN_OUTPUT, .index = i, .floats = floats});
        xn_step *step = add_step(b);
        step->run = xn_run_copy;
        step->n_in = 1;
        step->in[0] = from;
        step->in_shape[0] = step->out_shape = b->shapes[value];
        step->out = to;
    }
}

static xcos_status build_steps(builder *b, const xn_shape *in, xcos_error *err)
{
    xcos_net *net = b->net;
    for (int i = 0; i < net->n_values; i++) {
        const xn_value *value = &net->values[i];
        b->shapes[i] = value->shape;
        b->places[i][0] = b->places[i][1] = -1;
        if (value->constant)
            b->places[i][0] = add_buffer(b, (xn_buffer){.kind = XN_CONSTANT,
                                                        .constant = value->constant,
                                                        .floats = xn_count(&value->shape)});
    }
    for (int i = 0; i < net->n_inputs; i++) {
        int id = net->inputs[i];
        b->plan->in_shapes[i] = b->shapes[id] = in[i];
        b->places[id][0] = add_buffer(
            b, (xn_buffer){.kind = XN_INPUT, .index = i, .floats = xn_count(&in[i])});
    }
    for (int i = 0; i < net->n_nodes && !b->failed; i++) {
        xn_node *node = &net->nodes[i];
        if (node->dead)
            continue;
        xn_shape shapes[XCOS_MAX_INPUTS];
        for (int j = 0; j < node->layer.n_inputs; j++)
            shapes[j] = b->shapes[node->layer.inputs[j]];
        xcos_status status = xn_infer(net, node, shapes, &b->shapes[node->output], err);
        if (status != XCOS_OK)
            return status;
        const xn_shape *r = node->residual < 0 ? NULL : &b->shapes[node->residual];
        if (r && xn_count(r) != xn_count(&b->shapes[node->output]))
            return xcos_fail(err, XCOS_E_ARG,
                             "layer '%s' (%s): its output and what is added to it differ in shape",
                             node->layer.name, xn_op_name(node->layer.op));
        add_node(b, node);
    }
    place_outputs(b);
    return XCOS_OK;
}

xcos_status xn_plan_build(xcos_net *net, const xn_shape *in, int threads, xn_plan **out,
                          xcos_error *err)
{
    xn_plan *plan = calloc(1, sizeof *plan);
    builder b = {.net = net, .plan = plan};
    xcos_status status = XCOS_OK;
    if (!plan)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    plan->threads = threads;
    plan->in_shapes = calloc((size_t)net->n_inputs, sizeof *plan->in_shapes);
    plan->out_shapes = calloc((size_t)net->n_outputs, sizeof *plan->out_shapes);
    b.shapes = calloc((size_t)net->n_values, sizeof *b.shapes);
    b.places = calloc((size_t)net->n_values, sizeof *b.places);
    b.failed = !plan->in_shapes || !plan->out_shapes || !b.shapes || !b.places;
    if (!b.failed)
        status = build_steps(&b, in, err);
    if (status == XCOS_OK && !b.failed)
        b.failed = !xn_lay_out(plan);
    free(b.shapes);
    free(b.places);
    if (status == XCOS_OK && b.failed)
        status = xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    if (status != XCOS_OK)
        xn_plan_free(plan);
    else
        *out = plan;
    return status;
}

void xn_plan_free(xn_plan *plan)
{
    for (int i = 0; i < plan->n_buffers; i++)
        xn_free(plan->buffers[i].owned);
    for (int i = 0; i < plan->n_arenas; i++)
        xn_free(plan->arenas[i]);
    free(plan->arenas);
    free(plan->buffers);
    free(plan->steps);
    free(plan->in_shapes);
    free(plan->out_shapes);
    free(plan);
}
