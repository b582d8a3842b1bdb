/* ops.c: every layer that is not a convolution, and changes of layout. Plain C loops over
 * memory that the compiler vectorises; in a face network they are a few percent.
 * Shapes and axes are those of memory order (NHWC where the step runs in NHWC). */
#include <math.h>
#include <string.h>

#include "net.h"
#include "pool.h"

/* ----------------------------------------------------------------- layouts */

void xn_run_to_nhwc(const xn_task *task)
{
    const xn_shape *s = &task->step->out_shape; /* N, H, W, C */
    const int64_t pixels = s->dims[1] * s->dims[2], channels = s->dims[3];
    for (int64_t n = 0; n < s->dims[0]; n++) {
        const float *x = task->in[0] + n * pixels * channels;
        float *y = task->out + n * pixels * channels;
        if (channels == 3) { /* pictures: the one large map that changes its layout */
            for (int64_t p = 0; p < pixels; p++) {
                y[3 * p] = x[p];
                y[3 * p + 1] = x[p + pixels];
                y[3 * p + 2] = x[p + 2 * pixels];
            }
            continue;
        }
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < channels; c++)
                y[p * channels + c] = x[c * pixels + p];
    }
}

void xn_run_to_plain(const xn_task *task)
{
    const xn_shape *s = &task->step->in_shape[0]; /* N, H, W, C */
    const int64_t pixels = s->dims[1] * s->dims[2], channels = s->dims[3];
    for (int64_t n = 0; n < s->dims[0]; n++) {
        const float *x = task->in[0] + n * pixels * channels;
        float *y = task->out + n * pixels * channels;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < pixels; p++)
                y[c * pixels + p] = x[p * channels + c];
    }
}

void xn_run_copy(const xn_task *task)
{
    memcpy(task->out, task->in[0], (size_t)xn_count(&task->step->out_shape) * sizeof(float));
}

static void run_transpose(const xn_task *task)
{
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const int last = s->rank - 1;
    const int64_t rows = xn_count(s) / s->dims[last];
    int64_t index[XCOS_MAX_RANK] = {0};
    float *y = task->out;
    for (int64_t r = 0; r < rows; r++) {
        int64_t offset = 0;
        for (int i = 0; i < last; i++)
            offset += index[i] * step->stride[0][i];
        for (int64_t i = 0; i < s->dims[last]; i++)
            *y++ = task->in[0][offset + i * step->stride[0][last]];
        for (int i = last - 1; i >= 0 && ++index[i] == s->dims[i]; i--)
            index[i] = 0;
    }
}

/* ---------------------------------------------------------- element by element */

static void run_unary(const xn_task *task)
{
    const xcos_layer *l = &task->step->node->layer;
    const int64_t count = xn_count(&task->step->out_shape);
    const float *x = task->in[0];
    float *y = task->out;
    switch (l->op) {
    case XCOS_OP_RELU:
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] < 0 ? 0 : x[i];
        break;
    case XCOS_OP_CLIP:
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] < l->lo ? l->lo : x[i] > l->hi ? l->hi : x[i];
        break;
    case XCOS_OP_SIGMOID:
        for (int64_t i = 0; i < count; i++)
            y[i] = 1 / (1 + expf(-x[i]));
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            y[i] = expf(x[i]);
    }
}

/* Batch norm and PReLU: per channel, which is the last axis in NHWC, else axis 1. */
static void run_per_channel(const xn_task *task)
{
    const xn_node *node = task->step->node;
    const xn_shape *s = &task->step->out_shape;
    const bool norm = node->layer.op == XCOS_OP_BATCH_NORM, last = s->rank == 4;
    const int64_t channels = s->dims[last ? 3 : 1], count = xn_count(s);
    const int64_t inner = last ? 1 : count / (s->dims[0] * channels);
    const float *slope = node->layer.weight.data;
    const int64_t each = norm || node->layer.weight.dims[0] != 1; /* 0: one slope for all */
    for (int64_t i = 0; i < count; i += inner) {
        const int64_t c = i / inner % channels;
        for (int64_t j = i; j < i + inner; j++) {
            float x = task->in[0][j];
            task->out[j] = norm    ? x * node->pre_scale[c] + node->pre_shift[c]
                           : x < 0 ? x * slope[c * each]
                                   : x;
        }
    }
}

static float apply(xcos_op op, float a, float b)
{
    return op == XCOS_OP_ADD   ? a + b
           : op == XCOS_OP_SUB ? a - b
           : op == XCOS_OP_MUL ? a * b
                               : a / b;
}

static void run_binary(const xn_task *task)
{
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const xcos_op op = step->node->layer.op;
    const int last = s->rank - 1;
    const int64_t width = s->dims[last], rows = xn_count(s) / width;
    const int64_t da = step->stride[0][last], db = step->stride[1][last];
    int64_t index[XCOS_MAX_RANK] = {0};
    float *y = task->out;
    for (int64_t r = 0; r < rows; r++, y += width) {
        const float *a = task->in[0], *b = task->in[1];
        for (int i = 0; i < last; i++) {
            a += index[i] * step->stride[0][i];
            b += index[i] * step->stride[1][i];
        }
        if (op == XCOS_OP_ADD && da == 1 && db == 1) {
            for (int64_t i = 0; i < width; i++)
                y[i] = a[i] + b[i];
        } else if (op == XCOS_OP_MUL && da == 1 && db == 1) {
            for (int64_t i = 0; i < width; i++)
                y[i] = a[i] * b[i];
        } else {
            for (int64_t i = 0; i < width; i++)
                y[i] = apply(op, a[i * da], b[i * db]);
        }
        for (int i = last - 1; i >= 0 && ++index[i] == s->dims[i]; i--)
            index[i] = 0;
    }
}

/* ------------------------------------------------------------------- windows */

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

static void run_pool(const xn_task *task)
{
    const xn_shape *out = &task->step->out_shape;
    xc_parallel(task->step->threads, out->dims[0] * out->dims[1], pool_row, (void *)task);
}

static void run_resize(const xn_task *task)
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

/* ------------------------------------------------------------- along an axis */

/* Elements before and behind an axis. */
static int64_t outer_of(const xn_shape *s, int axis)
{
    int64_t count = 1;
    for (int i = 0; i < axis; i++)
        count *= s->dims[i];
    return count;
}

static void run_concat(const xn_task *task)
{
    const xn_step *step = task->step;
    const int64_t outer = outer_of(&step->out_shape, step->axis);
    const int64_t row = xn_count(&step->out_shape) / outer;
    float *to = task->out;
    for (int k = 0; k < step->n_in; k++) {
        const int64_t part = xn_count(&step->in_shape[k]) / outer;
        for (int64_t i = 0; i < outer; i++)
            memcpy(to + i * row, task->in[k] + i * part, (size_t)part * sizeof *to);
        to += part;
    }
}

static void run_slice(const xn_task *task)
{
    const xn_step *step = task->step;
    const int64_t outer = outer_of(&step->out_shape, step->axis);
    const int64_t part = xn_count(&step->out_shape) / outer;
    const int64_t row = xn_count(&step->in_shape[0]) / outer;
    const int64_t start = step->start * (row / step->in_shape[0].dims[step->axis]);
    for (int64_t i = 0; i < outer; i++)
        memcpy(task->out + i * part, task->in[0] + i * row + start, (size_t)part * sizeof(float));
}

static void run_softmax(const xn_task *task)
{
    const xn_step *step = task->step;
    const xn_shape *s = &step->out_shape;
    const int64_t outer = outer_of(s, step->axis), size = s->dims[step->axis];
    const int64_t inner = xn_count(s) / (outer * size);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            const float *x = task->in[0] + o * size * inner + i;
            float *y = task->out + o * size * inner + i;
            float top = -INFINITY, sum = 0;
            for (int64_t j = 0; j < size; j++)
                top = x[j * inner] > top ? x[j * inner] : top;
            for (int64_t j = 0; j < size; j++)
                sum += y[j * inner] = expf(x[j * inner] - top);
            for (int64_t j = 0; j < size; j++)
                y[j * inner] /= sum;
        }
    }
}

void xn_op_plan(xn_step *step)
{
    static void (*const runs[XCOS_OP_COUNT])(const xn_task *) = {
        [XCOS_OP_BATCH_NORM] = run_per_channel, [XCOS_OP_PRELU] = run_per_channel,
        [XCOS_OP_RELU] = run_unary,             [XCOS_OP_CLIP] = run_unary,
        [XCOS_OP_SIGMOID] = run_unary,          [XCOS_OP_EXP] = run_unary,
        [XCOS_OP_ADD] = run_binary,             [XCOS_OP_SUB] = run_binary,
        [XCOS_OP_MUL] = run_binary,             [XCOS_OP_DIV] = run_binary,
        [XCOS_OP_MAX_POOL] = run_pool,          [XCOS_OP_AVG_POOL] = run_pool,
        [XCOS_OP_CONCAT] = run_concat,          [XCOS_OP_SLICE] = run_slice,
        [XCOS_OP_SOFTMAX] = run_softmax,        [XCOS_OP_TRANSPOSE] = run_transpose,
        [XCOS_OP_RESIZE] = run_resize,
    };
    step->run = runs[step->node->layer.op];
}
