/* ops.c: the table of operators, and what their families share. */
#include "ops/ops.h"

#include <stddef.h>

#define FIELD(key_, type_, field) .key = #key_, .type = type_, .at = offsetof(xcos_layer, field)
#define TENSOR(key, field, rank_) FIELD(key, "tensor", field), .rank = rank_
#define WINDOW(key, field) FIELD(key, "window", field)
#define PAD(key, field) FIELD(key, "pad", field)
#define COUNT(key, field) FIELD(key, "count", field)
#define FLAG(key, field) FIELD(key, "flag", field)
#define AXIS(key, field) FIELD(key, "axis", field)
#define INDEX(key, field) FIELD(key, "index", field)
#define NUMBER(key, field) FIELD(key, "number", field)
#define POSITIVE(key, field) FIELD(key, "positive", field)
#define PERM(key, field) FIELD(key, "perm", field)
#define SHAPE(key, field) FIELD(key, "shape", field)
#define SCALE(key, field) FIELD(key, "scale", field)
#define MUST(...) {__VA_ARGS__}
#define MAYBE(...) {__VA_ARGS__, .optional = true}
#define NOTHING {.key = NULL}
#define XCOS_OP(id, name, fewest, most, constants, family, ...)                                    \
    [XCOS_OP_##id] = {#name, fewest, most, constants, {__VA_ARGS__}},

static const xcos_operator rows[XCOS_OP_COUNT] = {
#include "ops/ops.def"
#undef XCOS_OP
};

#define XCOS_OP(id, name, fewest, most, constants, family, ...) [XCOS_OP_##id] = &family,

const xn_family *const xn_families[XCOS_OP_COUNT] = {
#include "ops/ops.def"
};

const xcos_operator *xcos_operators(void)
{
    return rows;
}

const char *xn_op_name(xcos_op op)
{
    return op >= 0 && op < XCOS_OP_COUNT ? rows[op].name : "?";
}

const char *xn_check_layer(const xcos_layer *l)
{
    if (l->op < 0 || l->op >= XCOS_OP_COUNT)
        return "unknown operation";
    const xcos_operator *op = &rows[l->op];
    const xn_family *family = xn_families[l->op];
    const char *wrong = family->check ? family->check(l) : NULL;
    if (wrong)
        return wrong;
    if (l->n_inputs < op->fewest || l->n_inputs > op->most)
        return op->fewest == 1                ? "needs one input"
               : op->most == XCOS_MAX_INPUTS ? "needs 2 to 16 inputs"
                                              : "needs two inputs";
    return NULL;
}

xcos_status xn_unfit(const xn_node *node, xcos_error *err, const char *what, int64_t got,
                     int64_t expected)
{
    return xcos_fail(err, XCOS_E_ARG, "layer '%s' (%s): %s %lld, expected %lld", node->layer.name,
                     xn_op_name(node->layer.op), what, (long long)got, (long long)expected);
}

bool xn_is_vector(const xcos_tensor *t, int64_t length)
{
    return t->data && t->rank == 1 && (length < 0 || t->dims[0] == length) && t->dims[0] > 0;
}

const char *xn_check_window(const xcos_layer *l, bool kernel_may_be_0)
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

xcos_status xn_need_rank(const xn_node *node, const xn_shape *in, int rank, xcos_error *err)
{
    return in->rank == rank ? XCOS_OK
                            : xn_unfit(node, err, "the input's rank is", in->rank, rank);
}

xcos_status xn_window(const xn_node *node, const xn_shape *in, int axis, int64_t *size,
                      xcos_error *err)
{
    const xcos_layer *l = &node->layer;
    const int64_t padded = in->dims[2 + axis] + l->pad[axis] + l->pad[axis + 2];
    const int64_t extent = (int64_t)(l->kernel[axis] - 1) * l->dilation[axis] + 1;
    if (extent > padded)
        return xn_unfit(node, err, "the window is larger than the padded input:", extent, padded);
    *size = (padded - extent) / l->stride[axis] + 1;
    return XCOS_OK;
}

int xn_physical_axis(int axis, bool nhwc)
{
    static const int of[4] = {0, 3, 1, 2};
    return nhwc ? of[axis] : axis;
}

void xn_strides(const xn_shape *s, int64_t *stride)
{
    int64_t step = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= s->dims[i];
    }
}
