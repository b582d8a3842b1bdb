/* resize.c: resize by the nearest pixel. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

static const char *check(const xcos_layer *l)
{
    for (int i = 0; i < 2; i++)
        if (!(l->scale[i] > 0 && l->scale[i] <= 1024))
            return "scales must be above 0 and at most 1024";
    return NULL;
}

static xcos_status infer(const xcos_net *net, const xn_node *node, const xn_shape *in, xn_shape *out,
                         xcos_error *err)
{
    const xcos_status status = xn_need_rank(node, in, 4, err);
    (void)net;
    if (status != XCOS_OK)
        return status;
    *out = *in;
    for (int i = 0; i < 2; i++) {
        out->dims[2 + i] = (int64_t)floor((double)in->dims[2 + i] * node->layer.scale[i]);
        if (out->dims[2 + i] < 1)
            return xn_unfit(node, err, "the output's size is", out->dims[2 + i], 1);
    }
    return XCOS_OK;
}

static void run(const xn_task *task)
{
    const xcos_layer *l = &task->step->node->layer;
    const xn_shape *in = &task->step->in_shape[0], *out = &task->step->out_shape;
    const int64_t c = in->dims[3];
    float *y = task->out;
    for (int64_t n = 0; n < out->dims[0]; n++) {
        for (int64_t oy = 0; oy < out->dims[1]; oy++) {
            int64_t iy = (int64_t)floor((double)oy / l->scale[0]);
            iy = iy < in->dims[1] ? iy : in->dims[1] - 1;
            for (int64_t ox = 0; ox < out->dims[2]; ox++, y += c) {
                int64_t ix = (int64_t)floor((double)ox / l->scale[1]);
                ix = ix < in->dims[2] ? ix : in->dims[2] - 1;
                memcpy(y, task->in[0] + ((n * in->dims[1] + iy) * in->dims[2] + ix) * c,
                       (size_t)c * sizeof *y);
            }
        }
    }
}

const xn_family xn_resize = {.layout = XN_NHWC, .check = check, .infer = infer, .run = run};
