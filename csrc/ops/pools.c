/* pools.c: max_pool and avg_pool, over windows or the whole map. */
#include <math.h>

#include "ops/ops.h"
#include "pool.h"

static const char *check(const xcos_layer *l)
{
    const char *wrong = xn_check_window(l, true);
    if (wrong)
        return wrong;
    if ((l->kernel[0] == 0) != (l->kernel[1] == 0))
        return "kernel must be two sizes, or absent for the whole map";
    if (l->kernel[0] && (l->pad[0] >= l->kernel[0] || l->pad[2] >= l->kernel[0] ||
                         l->pad[1] >= l->kernel[1] || l->pad[3] >= l->kernel[1]))
        return "padding must be smaller than the kernel";
    return NULL;
}

static xcos_status infer(const xcos_net *net, const xn_node *node, const xn_shape *in, xn_shape *out,
                         xcos_error *err)
{
    (void)net;
    xcos_status status = xn_need_rank(node, in, 4, err);
    *out = *in;
    for (int i = 0; i < 2 && status == XCOS_OK; i++) {
        if (node->layer.kernel[0] == 0)
            out->dims[2 + i] = 1;
        else
            status = xn_window(node, in, i, &out->dims[2 + i], err);
    }
    return status;
}

static void pool_row(void *context, int64_t index, int worker)
{
    (void)worker;
    const xn_task *task = context;
    const xcos_layer *l = &task->step->node->layer;
    const xn_shape *in = &task->step->in_shape[0], *out = &task->step->out_shape;
    const int64_t h = in->dims[1], w = in->dims[2], c = in->dims[3], ow = out->dims[2];
    const bool whole = l->kernel[0] == 0, average = l->op == XCOS_OP_AVG_POOL;
    const int64_t kh = whole ? h : l->kernel[0], kw = whole ? w : l->kernel[1];
    const int64_t n = index / out->dims[1], oy = index % out->dims[1];
    const int64_t dy = l->dilation[0], dx = l->dilation[1];
    const int64_t y0 = whole ? 0 : oy * l->stride[0] - l->pad[0];
    for (int64_t ox = 0; ox < ow; ox++) {
        const int64_t x0 = whole ? 0 : ox * l->stride[1] - l->pad[1];
        float *y = task->out + (index * ow + ox) * c;
        const bool inside = y0 >= 0 && y0 + dy < h && x0 >= 0 && x0 + dx < w;
        if (!average && kh == 2 && kw == 2 && inside) { /* the common case, in one pass */
            const float *a = task->in[0] + ((n * h + y0) * w + x0) * c, *b = a + dx * c;
            const float *d = a + dy * w * c, *e = d + dx * c;
            for (int64_t i = 0; i < c; i++) {
                float top = a[i] > b[i] ? a[i] : b[i], low = d[i] > e[i] ? d[i] : e[i];
                y[i] = top > low ? top : low;
            }
            continue;
        }
        int64_t seen = 0;
        for (int64_t i = 0; i < c; i++)
            y[i] = average ? 0 : -INFINITY;
        for (int64_t yy = y0; yy < y0 + kh * dy; yy += dy) {
            for (int64_t xx = x0; xx < x0 + kw * dx; xx += dx) {
                if (yy < 0 || yy >= h || xx < 0 || xx >= w)
                    continue;
                const float *x = task->in[0] + ((n * h + yy) * w + xx) * c;
                seen++;
                if (average)
                    for (int64_t i = 0; i < c; i++)
                        y[i] += x[i];
                else
                    for (int64_t i = 0; i < c; i++)
                        y[i] = x[i] > y[i] ? x[i] : y[i];
            }
        }
        if (average) {
            const float divisor = (float)(l->count_include_pad && !whole ? kh * kw : seen);
            for (int64_t i = 0; i < c; i++)
                y[i] /= divisor;
        }
    }
}

static void run(const xn_task *task)
{
    const xn_shape *out = &task->step->out_shape;
    xc_spread(task->call, task->step->threads, out->dims[0] * out->dims[1], pool_row, (void *)task);
}

const xn_family xn_pool = {.layout = XN_NHWC, .check = check, .infer = infer, .run = run};
