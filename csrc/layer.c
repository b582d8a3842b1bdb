/* layer.c: what can be said of a layer before its inputs are known. */
#include "net.h"

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

const char *xn_check_layer(const xcos_layer *l)
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
        for (int i = 0; i < l->rank && i < XCOS_MAX_RANK; i++)
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
