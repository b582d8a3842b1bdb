/* pointwise.c: functions of one number: activations, and what embeddings are normalised with. */
#include <math.h>

#include "ops/ops.h"
#include "pool.h"

static const char *check(const xcos_layer *l)
{
    return l->op == XCOS_OP_CLIP && !(l->lo <= l->hi) ? "min must not exceed max" : NULL;
}

enum { PIECE = 1 << 13 }; /* numbers in a work item */

/* A loop over all numbers, x one of them; each function has its own, so that those without calls
 * become vector code. */
#define EACH(ID, value)                                                                            \
    case XCOS_OP_##ID:                                                                             \
        for (int64_t i = 0; i < count; i++) {                                                      \
            const float x = in[i];                                                                 \
            out[i] = value;                                                                        \
        }                                                                                          \
        break
/* Those with a kernel. */
#define MAP(ID)                                                                                    \
    case XCOS_OP_##ID:                                                                             \
        task->net->kernels->map(XK_##ID, count, in, out);                                          \
        break

static void run_piece(void *context, int64_t index, int worker)
{
    const xn_task *task = context;
    const xcos_layer *l = &task->step->node->layer;
    const int64_t total = xn_count(&task->step->out_shape), first = index * PIECE;
    const int64_t count = total - first < PIECE ? total - first : PIECE;
    const float *in = task->in[0] + first, lo = l->lo, hi = l->hi, alpha = l->alpha, shift = l->shift;
    float *out = task->out + first;
    (void)worker;
    switch (l->op) {
        MAP(SIGMOID);
        MAP(TANH);
        MAP(ERF);
        MAP(GELU);
        EACH(RELU, x < 0 ? 0 : x);
        EACH(CLIP, x < lo ? lo : x > hi ? hi : x);
        EACH(EXP, expf(x));
        EACH(LOG, logf(x));
        EACH(SQRT, sqrtf(x));
        EACH(ABS, fabsf(x));
        EACH(POW, powf(x, alpha));
        EACH(ELU, x < 0 ? alpha * expm1f(x) : x);
        EACH(SOFTPLUS, (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))));
        EACH(HARD_SIGMOID, fminf(fmaxf(alpha * x + shift, 0), 1));
        EACH(HARD_SWISH, x * fminf(fmaxf(x + 3, 0), 6) / 6);
    default:
        break;
    }
}

static void run(const xn_task *task)
{
    const int64_t pieces = (xn_count(&task->step->out_shape) + PIECE - 1) / PIECE;
    xc_spread(task->call, task->step->threads, pieces, run_piece, (void *)task);
}

const xn_family xn_pointwise = {.layout = XN_FOLLOWS, .check = check, .run = run};
