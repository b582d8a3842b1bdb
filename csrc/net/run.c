/* run.c: running a network on a batch of images. */
#include <string.h>

#include "net/schedule.h"
#include "os/memory.h"
#include "pool.h"

/* Images that go through the layers together when the weights are large: each weight
 * that comes from memory then serves them all. */
enum { CHUNK = 8 };
/* Below this many weights (floats) all of them stay in the second-level or third-level
 * cache, and an image a thread beats sharing each layer. */
enum { LIGHT_WEIGHTS = 4 << 20 };
/* More than the pool has: each takes an arena when images are spread. */
enum { MAX_THREADS = 64 };

xcos_status xn_read_shapes(const xcos_net *net, const int64_t (*dims)[XCOS_MAX_RANK],
                           xn_shape *shapes, xcos_error *err)
{
    if (!net->finished)
        return xcos_fail(err, XCOS_E_ARG, "the network is not finished");
    for (int i = 0; i < net->n_inputs; i++) {
        const xn_value *value = &net->values[net->inputs[i]];
        shapes[i] = value->shape;
        for (int j = 0; j < value->shape.rank; j++) {
            int64_t declared = value->shape.dims[j];
            if (dims[i][j] < (j ? 1 : 0) || dims[i][j] > XN_MAX_SIZE ||
                (declared != -1 && declared != dims[i][j]))
                return xcos_fail(err, XCOS_E_ARG, "input '%s': dimension %d is %lld, expected %lld",
                                 value->name, j, (long long)dims[i][j], (long long)declared);
            shapes[i].dims[j] = dims[i][j];
        }
        xn_shape image = shapes[i]; /* the batch is met image by image, or a few at a time */
        image.dims[0] = 1;
        if (!xn_fits(&image))
            return xcos_fail(err, XCOS_E_LIMIT, "input '%s' is too large", value->name);
        if (dims[i][0] != dims[0][0])
            return xcos_fail(err, XCOS_E_ARG, "input '%s': batch %lld, but the first input's is %lld",
                             value->name, (long long)dims[i][0], (long long)dims[0][0]);
    }
    return XCOS_OK;
}

xcos_status xcos_net_shapes(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK], int *out_rank,
                            int64_t (*out_dims)[XCOS_MAX_RANK], xcos_error *err)
{
    xn_shape inputs[XCOS_MAX_INPUTS];
    xcos_status status = xn_read_shapes(net, in_dims, inputs, err);
    if (status != XCOS_OK)
        return status;
    xn_shape *shapes = xo_alloc((size_t)net->n_values * sizeof *shapes);
    if (!shapes)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    /* Shapes after the batch do not depend on it, and limits are of one image. */
    for (int i = 0; i < net->n_inputs; i++) {
        shapes[net->inputs[i]] = inputs[i];
        shapes[net->inputs[i]].dims[0] = 1;
    }
    status = xn_infer_all(net, shapes, err);
    for (int i = 0; status == XCOS_OK && i < net->n_outputs; i++) {
        const xn_shape *s = &shapes[net->outputs[i]];
        out_rank[i] = s->rank;
        memcpy(out_dims[i], s->dims, sizeof out_dims[i]);
        out_dims[i][0] = inputs[0].dims[0];
    }
    xo_free(shapes);
    return status;
}

/* Where a buffer lies when the schedule's images begin at `first`; NULL for no buffer. */
static void *address(const xn_schedule *schedule, int index, void *arena, const float *const *inputs,
                     float *const *outputs, int64_t first)
{
    if (index < 0)
        return NULL;
    const xn_buffer *b = &schedule->buffers[index];
    const size_t skip = (size_t)first * (b->bytes / (size_t)schedule->in_shapes[0].dims[0]);
    switch (b->kind) {
    case XN_ARENA:
        return (char *)arena + b->offset;
    case XN_INPUT: /* steps only read these */
        return (char *)inputs[b->index] + skip;
    case XN_OUTPUT:
        return (char *)outputs[b->index] + skip;
    default:
        return (void *)b->constant;
    }
}

/* Runs all steps on images first .. first + (the schedule's batch), unless the call is to stop. */
static void run_steps(xc_call *call, const xcos_net *net, const xn_schedule *schedule, void *arena,
                      const float *const *inputs, float *const *outputs, int64_t first, int worker)
{
    for (int s = 0; s < schedule->n_steps && !xc_stop(call, worker); s++) {
        const xn_step *step = &schedule->steps[s];
        xn_task task = {
            .call = call,
            .net = net,
            .step = step,
            .out = address(schedule, step->out, arena, inputs, outputs, first),
            .residual = address(schedule, step->residual, arena, inputs, outputs, first),
            .scratch = address(schedule, step->scratch, arena, inputs, outputs, first)};
        for (int i = 0; i < step->n_in; i++)
            task.in[i] = address(schedule, step->in[i], arena, inputs, outputs, first);
        step->run(&task);
    }
}

typedef struct {
    xc_call *call;
    const xcos_net *net;
    const xn_schedule *schedule;
    void **arenas;
    int64_t first;
    const float *const *inputs;
    float *const *outputs;
} image_job;

static void run_image(void *context, int64_t index, int worker)
{
    const image_job *job = context;
    run_steps(job->call, job->net, job->schedule, job->arenas[worker], job->inputs, job->outputs,
              job->first + index, worker);
}

/* Runs `count` images from `first` on, `together` at a time or, when that is 1, one a thread. */
static xcos_status run_images(xc_call *call, xcos_net *net, xn_shape *shapes, int64_t first,
                              int64_t count, int64_t together, const float *const *inputs,
                              float *const *outputs, xcos_error *err)
{
    for (int i = 0; i < net->n_inputs; i++)
        shapes[i].dims[0] = together;
    xn_schedule *schedule;
    const bool spread = together == 1 && count > 1;
    xcos_status status =
        xn_schedule_get(call, net, shapes, spread ? 1 : call->threads, &schedule, err);
    if (status != XCOS_OK)
        return status;
    void *arenas[MAX_THREADS] = {NULL};
    const int wanted = !spread ? 1 : call->threads < count ? call->threads : (int)count;
    for (int i = 0; status == XCOS_OK && i < wanted; i++)
        if (!(arenas[i] = xn_arena_take(net, schedule)))
            status = xcos_fail(err, XCOS_E_NOMEM, "out of memory: %zu bytes for activations",
                               schedule->arena_bytes);
    if (status == XCOS_OK && spread) {
        image_job job = {call, net, schedule, arenas, first, inputs, outputs};
        xc_spread(call, wanted, count, run_image, &job);
    } else if (status == XCOS_OK) {
        for (int64_t i = 0; i < count; i += together)
            run_steps(call, net, schedule, arenas[0], inputs, outputs, first + i, 0);
    }
    for (int i = 0; i < wanted; i++)
        if (arenas[i])
            xn_arena_give(net, schedule, arenas[i]);
    xn_schedule_release(net, schedule);
    return status;
}

xcos_status xcos_net_run(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK],
                         const float *const *inputs, float *const *outputs, int threads,
                         xcos_error *err)
{
    xn_shape shapes[XCOS_MAX_INPUTS];
    xcos_status status = xn_read_shapes(net, in_dims, shapes, err);
    const int64_t batch = status == XCOS_OK ? shapes[0].dims[0] : 0;
    if (batch == 0)
        return status;
    xc_call call;
    xc_open(&call, threads);
    if (call.threads > MAX_THREADS)
        call.threads = MAX_THREADS;
    const int64_t together = net->weight_floats < LIGHT_WEIGHTS ? 1 : CHUNK;
    const int64_t rest = batch % together;
    if (batch > rest)
        status = run_images(&call, net, shapes, 0, batch - rest, together, inputs, outputs, err);
    if (status == XCOS_OK && rest)
        status = run_images(&call, net, shapes, batch - rest, rest, rest, inputs, outputs, err);
    return xc_close(&call, status, err);
}
