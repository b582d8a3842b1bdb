/* pointwise.c: functions of one number: activations, and what embeddings are normalised with. */
#include <math.h>

#include "ops/ops.h"

static const char *check(const xcos_layer *l)
{
    return l->op == XCOS_OP_CLIP && !(l->lo <= l->hi) ? "min must not exceed max" : NULL;
}

/* A loop over all numbers, x one of them; each function has its own, so that those without calls
 * become vector code. */
#define EACH(ID, value)                                                                            \
    case XCOS_OP_##ID:                                                                             \
        for (int64_t i = 0; i < count; i++) {                                                      \
            const float x = in[i];                                                                 \
            out[i] = value;                                                                        \
        }                                                                                          \
        break

static void run(const xn_task *task)
{
    const xcos_layer *l = &task->step->node->layer;
    const int64_t count = xn_count(&task->step->out_shape);
    const float *in = task->in[0], lo = l->lo, hi = l->hi, alpha = l->alpha, shift = l->shift;
    float *out = task->out;
    switch (l->op) {
        EACH(RELU, x < 0 ? 0 : x);
        EACH(CLIP, x < lo ? lo : x > hi ? hi : x);
        EACH(SIGMOID, 1 / (1 + expf(-x)));
        EACH(EXP, expf(x));
        EACH(LOG, logf(x));
        EACH(SQRT, sqrtf(x));
        EACH(ABS, fabsf(x));
        EACH(POW, powf(x, alpha));
        EACH(TANH, tanhf(x));
        EACH(ERF, erff(x));
        /* x * (1 + erf(x / sqrt 2)) / 2 by erfc, and in double: digits are lost below zero else. */
        EACH(GELU, (float)(0.5 * x * erfc(-0.70710678118654752440 * x)));
        EACH(ELU, x < 0 ? alpha * expm1f(x) : x);
        EACH(SOFTPLUS, (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))));
        EACH(HARD_SIGMOID, fminf(fmaxf(alpha * x + shift, 0), 1));
        EACH(HARD_SWISH, x * fminf(fmaxf(x + 3, 0), 6) / 6);
    default:
        break;
    }
}

const xn_family xn_pointwise = {.layout = XN_FOLLOWS, .check = check, .run = run};
