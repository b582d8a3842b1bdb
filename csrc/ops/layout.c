/* layout.c: transpose and reshape, and the changes between plain and NHWC that a schedule makes. */
#include <string.h>

#include "ops/ops.h"
#include "pool.h"

/* --------------------------------------------------------------- transpose */

static const char *check_transpose(const xcos_layer *l)
{
    unsigned seen = 0;
    for (int i = 0; i < l->rank && i < XCOS_MAX_RANK; i++)
        if (l->perm[i] >= 0 && l->perm[i] < l->rank)
            seen |= 1u << l->perm[i];
    if (l->rank < 1 || l->rank > XCOS_MAX_RANK || seen != (1u << l->rank) - 1)
        return "perm must name each axis once";
    return l->perm[0] == 0 ? NULL : "the batch (axis 0) must stay where it is";
}

static xcos_status infer_transpose(const xcos_net *net, const xn_node *node, const xn_shape *in,
                                   xn_shape *out, xcos_error *err)
{
    const xcos_status status = xn_need_rank(node, in, node->layer.rank, err);
    (void)net;
    if (status != XCOS_OK)
        return status;
    out->rank = in->rank;
    for (int i = 0; i < in->rank; i++)
        out->dims[i] = in->dims[node->layer.perm[i]];
    return XCOS_OK;
}

/* NHWC is what is asked for, or what is there. */
static int alias_transpose(const xn_node *node, bool nhwc)
{
    const int *perm = node->layer.perm;
    if (node->layer.rank != 4)
        return -1;
    if (nhwc)
        return perm[1] == 2 && perm[2] == 3 ? 0 : -1;
    return perm[1] == 3 && perm[2] == 1 ? 1 : -1;
}

static void plan_transpose(const xcos_net *net, xn_step *step, bool nhwc)
{
    const xn_shape *in = &step->in_shape[0];
    int64_t stride[XCOS_MAX_RANK];
    (void)net;
    xn_strides(in, stride);
    for (int i = 0; i < in->rank; i++)
        step->stride[0][i] = stride[xn_physical_axis(step->node->layer.perm[i], nhwc)];
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
        const int64_t stride = step->stride[0][last];
        const float *x = task->in[0] + offset;
        if (stride == 1)
            memcpy(y, x, (size_t)s->dims[last] * sizeof *y);
        for (int64_t i = 0; stride != 1 && i < s->dims[last]; i++)
            y[i] = x[i * stride];
        y += s->dims[last];
        for (int i = last - 1; i >= 0 && ++index[i] == s->dims[i]; i--)
            index[i] = 0;
    }
}

/* ----------------------------------------------------------------- reshape */

static const char *check_reshape(const xcos_layer *l)
{
    if (l->rank < 0 || l->rank > XCOS_MAX_RANK - 1)
        return "shape has too many dimensions";
    for (int i = 0, free_dims = 0; i < l->rank; i++) {
        if (l->shape[i] < 1 && l->shape[i] != -1)
            return "shape must hold positive sizes and at most one -1";
        if (l->shape[i] == -1 && free_dims++)
            return "shape may hold only one -1";
    }
    return NULL;
}

static xcos_status infer_reshape(const xcos_net *net, const xn_node *node, const xn_shape *in,
                                 xn_shape *out, xcos_error *err)
{
    (void)net;
    const xcos_layer *l = &node->layer;
    int64_t total = 1, known = 1;
    int open = -1;
    for (int i = 1; i < in->rank; i++)
        total *= in->dims[i];
    out->rank = l->rank + 1;
    out->dims[0] = in->dims[0];
    for (int i = 0; i < l->rank; i++) {
        out->dims[i + 1] = l->shape[i];
        if (l->shape[i] == -1)
            open = i + 1;
        else if (l->shape[i] > XN_MAX_ELEMENTS / known)
            return xn_unfit(node, err, "elements an image:", l->shape[i], total);
        else
            known *= l->shape[i];
    }
    if (open >= 0) {
        if (total % known)
            return xn_unfit(node, err, "elements an image are not a multiple of the known sizes:",
                        total, known);
        out->dims[open] = total / known;
    } else if (total != known) {
        return xn_unfit(node, err, "elements an image:", known, total);
    }
    return XCOS_OK;
}

/* The same bytes under another name. */
static int alias_reshape(const xn_node *node, bool nhwc)
{
    (void)node, (void)nhwc;
    return 0;
}

/* ----------------------------------------------------------------- layouts */

enum { PIECE = 1 << 13 }; /* pixels in a work item: an input's pictures are large */

static void piece_to_nhwc(void *context, int64_t index, int worker)
{
    const xn_task *task = context;
    const xn_shape *s = &task->step->out_shape; /* N, H, W, C */
    const int64_t pixels = s->dims[1] * s->dims[2], channels = s->dims[3];
    const int64_t pieces = (pixels + PIECE - 1) / PIECE, image = index / pieces * pixels * channels;
    const int64_t first = index % pieces * PIECE, end = first + PIECE < pixels ? first + PIECE : pixels;
    const float *x = task->in[0] + image;
    float *y = task->out + image;
    (void)worker;
    if (channels == 3)
        for (int64_t p = first; p < end; p++) {
            y[3 * p] = x[p];
            y[3 * p + 1] = x[p + pixels];
            y[3 * p + 2] = x[p + 2 * pixels];
        }
    else
        for (int64_t p = first; p < end; p++)
            for (int64_t c = 0; c < channels; c++)
                y[p * channels + c] = x[c * pixels + p];
}

void xn_run_to_nhwc(const xn_task *task)
{
    const xn_shape *s = &task->step->out_shape;
    const int64_t pieces = (s->dims[1] * s->dims[2] + PIECE - 1) / PIECE;
    xc_spread(task->call, task->step->threads, s->dims[0] * pieces, piece_to_nhwc, (void *)task);
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

const xn_family xn_transpose = {.layout = XN_AS_IT_LIES,
                                .check = check_transpose,
                                .infer = infer_transpose,
                                .alias = alias_transpose,
                                .plan = plan_transpose,
                                .run = run_transpose};

const xn_family xn_reshape = {
    .layout = XN_PLAIN, .check = check_reshape, .infer = infer_reshape, .alias = alias_reshape};
