/* run.c: running a network on a batch of images. */
#include <string.h>

#include "interrupt.h"
#include "net.h"
#include "pool.h"

/* Images that go through the layers together when the weights are large: each weight
 * that comes from memory then serves them all. */
enum { CHUNK = 8 };
/* Below this many weights (floats) all of them stay in the second-level or third-level
 * cache, and an image a thread beats sharing each layer. */
enum { LIGHT_WEIGHTS = 4 << 20 };

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

/* Where a buffer lies when the plan's images begin at `first`; NULL for no buffer. */
static float *address(const xn_plan *plan, int index, float *arena, const float *const *inputs,
                      float *const *outputs, int64_t first)
{
    if (index < 0)
        return NULL;
    const xn_buffer *b = &plan->buffers[index];
    const int64_t skip = first * (b->floats / plan->in_shapes[0].dims[0]);
    switch (b->kind) {
    case XN_ARENA:
        return arena + b->offset;
    case XN_INPUT: /* steps only read these */
        return (float *)inputs[b->index] + skip;
    case XN_OUTPUT:
        return outputs[b->index] + skip;
    default:
        return (float *)b->constant;
    }
}

/* Runs all steps on images first .. first + (the plan's batch), unless it is to stop. */
static void run_plan(const xcos_net *net, const xn_plan *plan, float *arena,
                     const float *const *inputs, float *const *outputs, int64_t first,
                     _Atomic bool *stop, int worker)
{
    for (int s = 0; s < plan->n_steps && !xc_stop(stop, worker); s++) {
        const xn_step *step = &plan->steps[s];
        xn_task task = {.net = net,
                        .step = step,
                        .out = address(plan, step->out, arena, inputs, outputs, first),
                        .residual = address(plan, step->residual, arena, inputs, outputs, first),
                        .scratch = address(plan, step->scratch, arena, inputs, outputs, first)};
        for (int i = 0; i < step->n_in; i++)
            task.in[i] = address(plan, step->in[i], arena, inputs, outputs, first);
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
    _Atomic bool *stop;
} image_job;

static void run_image(void *context, int64_t index, int worker)
{
    const image_job *job = context;
    run_plan(job->net, job->plan, job->arenas[worker], job->inputs, job->outputs,
             job->first + index, job->stop, worker);
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
    _Atomic bool stop = false;
    float *arenas[XN_MAX_THREADS] = {NULL};
    int wanted = !spread ? 1 : threads < count ? threads : (int)count;
    for (int i = 0; status == XCOS_OK && i < wanted; i++)
        if (!(arenas[i] = xn_arena_take(net, plan)))
            status = xcos_fail(err, XCOS_E_NOMEM, "out of memory: %lld bytes for activations",
                               (long long)plan->arena_floats * 4);
    if (status == XCOS_OK && spread) {
        image_job job = {net, plan, arenas, first, inputs, outputs, &stop};
        xc_parallel(wanted, count, run_image, &job);
    } else if (status == XCOS_OK) {
        for (int64_t i = 0; i < count; i += together)
            run_plan(net, plan, arenas[0], inputs, outputs, first + i, &stop, 0);
    }
    for (int i = 0; i < wanted; i++)
        if (arenas[i])
            xn_arena_give(net, plan, arenas[i]);
    xn_plan_release(net, plan);
    return stop ? xcos_fail(err, XCOS_E_INTERRUPTED, "interrupted") : status;
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
