/* schedule.c: a graph for one shape of inputs: which steps, and which layout each value has. */
#include "net/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "os/memory.h"

typedef struct {
    xc_call *call;
    xcos_net *net;
    xn_schedule *schedule;
    xn_shape *shapes; /* of values, logical */
    int (*places)[2]; /* of values: buffer in plain layout, in NHWC; -1 none */
    bool failed;      /* out of memory */
    xn_step lost;     /* where a step goes then: never run */
} builder;

/* Both layouts are the same bytes. */
static bool layouts_coincide(const xn_shape *s)
{
    return s->rank == 4 && (s->dims[1] == 1 || s->dims[2] * s->dims[3] == 1);
}

static int add_buffer(builder *b, xn_buffer buffer)
{
    xn_schedule *schedule = b->schedule;
    if (!(schedule->n_buffers & (schedule->n_buffers - 1))) {
        size_t room = schedule->n_buffers ? 2 * (size_t)schedule->n_buffers : 1;
        xn_buffer *more = realloc(schedule->buffers, room * sizeof *more);
        if (!more) {
            b->failed = true;
            xo_free(buffer.owned);
            return 0;
        }
        schedule->buffers = more;
    }
    buffer.first = buffer.last = -1;
    schedule->buffers[schedule->n_buffers] = buffer;
    return schedule->n_buffers++;
}

static int arena_buffer(builder *b, size_t bytes)
{
    return add_buffer(b, (xn_buffer){.kind = XN_ARENA, .dtype = XC_F32, .bytes = bytes});
}

static size_t bytes_of(const xn_shape *s)
{
    return xc_bytes(XC_F32, xn_count(s));
}

static xn_step *add_step(builder *b)
{
    xn_schedule *schedule = b->schedule;
    if (!(schedule->n_steps & (schedule->n_steps - 1))) {
        size_t room = schedule->n_steps ? 2 * (size_t)schedule->n_steps : 1;
        xn_step *more = realloc(schedule->steps, room * sizeof *more);
        if (!more) {
            b->failed = true;
            return &b->lost;
        }
        schedule->steps = more;
    }
    xn_step *step = &schedule->steps[schedule->n_steps++];
    memset(step, 0, sizeof *step);
    step->residual = step->scratch = -1;
    step->threads = schedule->threads;
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
        float *copy = xo_alloc(bytes_of(s));
        if (copy)
            permute_to_nhwc(b->net->values[value].constant, s, copy);
        else
            b->failed = true;
        place[nhwc] = add_buffer(b, (xn_buffer){.kind = XN_CONSTANT, .constant = copy,
                                                .owned = copy, .bytes = bytes_of(s)});
    } else {
        place[nhwc] = arena_buffer(b, bytes_of(s));
        xn_step *step = add_step(b);
        step->run = nhwc ? xn_run_to_nhwc : xn_run_to_plain;
        step->n_in = 1;
        step->in[0] = place[!nhwc];
        step->in_shape[0] = xn_physical(s, !nhwc);
        step->out = place[nhwc];
        step->out_shape = xn_physical(s, nhwc);
    }
    return place[nhwc];
}

/* Whether a node works in NHWC, given where its inputs are now. */
static bool wants_nhwc(const builder *b, const xn_node *node)
{
    const xcos_layer *l = &node->layer;
    const bool rank4 = b->shapes[l->inputs[0]].rank == 4;
    bool any = false;
    for (int i = 0; i < l->n_inputs; i++)
        any |= b->places[l->inputs[i]][1] >= 0;
    switch (xn_families[l->op]->layout) {
    case XN_NHWC:
        return rank4;
    case XN_FOLLOWS:
        return any && b->shapes[node->output].rank == 4;
    case XN_AS_IT_LIES:
        return rank4 && b->places[l->inputs[0]][0] < 0;
    default:
        return false;
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

/* Adds the step of a node, which leaves `result`: its own output, or what it and the nodes that
 * ride along give. `alone`: of those that might, neither addition nor activation rides along. */
static void add_node(builder *b, xn_node *node, int result, bool alone)
{
    const xcos_layer *l = &node->layer;
    const xn_family *family = xn_families[l->op];
    const xn_shape *out = &b->shapes[result];
    if (xcos_operators()[l->op].constants)
        for (int i = 0; i < l->n_inputs; i++)
            widen_constant(b, l->inputs[i], out->rank);

    const bool nhwc = wants_nhwc(b, node), out_nhwc = nhwc && family->layout != XN_AS_IT_LIES;
    int in[XCOS_MAX_INPUTS];
    for (int i = 0; i < l->n_inputs; i++)
        in[i] = buffer_of(b, l->inputs[i], nhwc && b->shapes[l->inputs[i]].rank == 4 && !node->planes);
    const int alias = family->alias ? family->alias(node, nhwc) : -1;
    if (alias >= 0) {
        b->places[result][alias] = in[0];
        return;
    }
    const int residual =
        node->residual < 0 || alone ? -1 : buffer_of(b, node->residual, nhwc);

    xn_step *step = add_step(b);
    step->node = node;
    step->n_in = l->n_inputs;
    step->residual = residual;
    step->alone = alone;
    for (int i = 0; i < l->n_inputs; i++) {
        step->in[i] = in[i];
        const xn_shape *s = &b->shapes[l->inputs[i]];
        step->in_shape[i] = xn_physical(s, nhwc && s->rank == 4);
    }
    step->out_shape = xn_physical(out, out_nhwc);
    step->out = b->places[result][out_nhwc] = arena_buffer(b, bytes_of(out));
    step->run = family->run;
    if (family->plan)
        family->plan(b->net, step, nhwc);
    const xv_algorithm *algorithm = step->conv.algorithm;
    if (algorithm && !xn_pack(b->call, b->net, node, algorithm))
        b->failed = true;
    const size_t scratch_bytes = algorithm ? step->conv.scratch_bytes : step->scratch_bytes;
    if (scratch_bytes) {
        const int scratch = arena_buffer(b, scratch_bytes);
        step->scratch = scratch;
    }
}

/* Adds a node that does not ride, and those that ride along with it. An addition rides where both
 * of its operands have the shape of the convolution; elsewhere it, and the activation behind it,
 * become steps of their own. */
static xcos_status add_chain(builder *b, xn_node *node, xcos_error *err)
{
    xn_node *nodes = b->net->nodes;
    bool together = true;
    int result = node->output, rest = -1; /* rest: the first node that may have to go by itself */
    xcos_status status = xn_infer(b->net, node, b->shapes, err);
    for (int i = node->next; i >= 0 && status == XCOS_OK; i = nodes[i].next) {
        status = xn_infer(b->net, &nodes[i], b->shapes, err);
        if (node->residual >= 0 && (nodes[i].layer.inputs[0] == node->residual ||
                                    nodes[i].layer.inputs[1] == node->residual)) {
            together = xn_same(&b->shapes[node->residual], &b->shapes[node->output]);
            rest = together ? -1 : i;
        }
        if (together)
            result = nodes[i].output;
    }
    if (status != XCOS_OK)
        return status;
    add_node(b, node, result, !together);
    for (int i = rest; i >= 0 && !b->failed; i = nodes[i].next)
        add_node(b, &nodes[i], nodes[i].output, false);
    return XCOS_OK;
}

/* Lets the steps write the outputs where the caller wants them. */
static void place_outputs(builder *b)
{
    for (int i = 0; i < b->net->n_outputs; i++) {
        int value = b->net->outputs[i];
        int from = buffer_of(b, value, false);
        if (b->failed)
            return;
        b->schedule->out_shapes[i] = b->shapes[value];
        if (b->schedule->buffers[from].kind == XN_ARENA) {
            b->schedule->buffers[from].kind = XN_OUTPUT;
            b->schedule->buffers[from].index = i;
            continue;
        }
        /* An input, or a value that is an output already: copied. */
        const size_t bytes = bytes_of(&b->shapes[value]);
        int to = add_buffer(b, (xn_buffer){.kind = XN_OUTPUT, .index = i, .bytes = bytes});
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
                                                        .bytes = bytes_of(&value->shape)});
    }
    for (int i = 0; i < net->n_inputs; i++) {
        int id = net->inputs[i];
        b->schedule->in_shapes[i] = b->shapes[id] = in[i];
        b->places[id][0] = add_buffer(
            b, (xn_buffer){.kind = XN_INPUT, .index = i, .bytes = bytes_of(&in[i])});
    }
    for (int i = 0; i < net->n_nodes && !b->failed; i++) {
        xn_node *node = &net->nodes[i];
        const xcos_status status = node->rides ? XCOS_OK : add_chain(b, node, err);
        if (status != XCOS_OK)
            return status;
    }
    place_outputs(b);
    return XCOS_OK;
}

xcos_status xn_schedule_build(xc_call *call, xcos_net *net, const xn_shape *in, int threads,
                              xn_schedule **out, xcos_error *err)
{
    xn_schedule *schedule = calloc(1, sizeof *schedule);
    builder b = {.call = call, .net = net, .schedule = schedule};
    xcos_status status = XCOS_OK;
    if (!schedule)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    schedule->threads = threads;
    schedule->in_shapes = calloc((size_t)net->n_inputs, sizeof *schedule->in_shapes);
    schedule->out_shapes = calloc((size_t)net->n_outputs, sizeof *schedule->out_shapes);
    b.shapes = calloc((size_t)net->n_values, sizeof *b.shapes);
    b.places = calloc((size_t)net->n_values, sizeof *b.places);
    b.failed = !schedule->in_shapes || !schedule->out_shapes || !b.shapes || !b.places;
    if (!b.failed)
        status = build_steps(&b, in, err);
    if (status == XCOS_OK && !b.failed)
        b.failed = !xn_lay_out(schedule);
    free(b.shapes);
    free(b.places);
    if (status == XCOS_OK && b.failed)
        status = xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    if (status != XCOS_OK)
        xn_schedule_free(schedule);
    else
        *out = schedule;
    return status;
}

void xn_schedule_free(xn_schedule *schedule)
{
    for (int i = 0; i < schedule->n_buffers; i++)
        xo_free(schedule->buffers[i].owned);
    for (int i = 0; i < schedule->n_arenas; i++)
        xo_free(schedule->arenas[i]);
    free(schedule->arenas);
    free(schedule->buffers);
    free(schedule->steps);
    free(schedule->in_shapes);
    free(schedule->out_shapes);
    free(schedule);
}
