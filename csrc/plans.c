/* plans.c: the plans that a network keeps, their packed weights and their arenas. Everything
 * here is guarded by the network's lock. */
#include <stdlib.h>
#include <string.h>

#include "net.h"

enum { MAX_PLANS = 8 }; /* kept per network; the least recently used goes */

static bool fits(const xcos_net *net, const xn_plan *plan, const xn_shape *in, int threads)
{
    for (int i = 0; i < net->n_inputs; i++)
        if (memcmp(plan->in_shapes[i].dims, in[i].dims,
                   (size_t)in[i].rank * sizeof in[i].dims[0]))
            return false;
    return plan->threads == threads;
}

xcos_status xn_plan_get(xcos_net *net, const xn_shape *in, int threads, xn_plan **out,
                        xcos_error *err)
{
    xcos_status status = XCOS_OK;
    pthread_mutex_lock(&net->lock);
    xn_plan **link = &net->plans, *plan;
    while (*link && !fits(net, *link, in, threads))
        link = &(*link)->next;
    if ((plan = *link))
        *link = plan->next;
    else
        status = xn_plan_build(net, in, threads, &plan, err);
    if (status == XCOS_OK) {
        plan->users++;
        plan->next = net->plans;
        net->plans = plan;
        *out = plan;
    }
    int count = 0;
    for (link = &net->plans; *link;) {
        if (++count > MAX_PLANS && !(*link)->users) {
            xn_plan *old = *link;
            *link = old->next;
            xn_plan_free(old);
        } else {
            link = &(*link)->next;
        }
    }
    pthread_mutex_unlock(&net->lock);
    return status;
}

void xn_plan_release(xcos_net *net, xn_plan *plan)
{
    pthread_mutex_lock(&net->lock);
    plan->users--;
    pthread_mutex_unlock(&net->lock);
}

xcos_status xn_plan_pack(xcos_net *net, xn_plan *plan, int threads, xcos_error *err)
{
    xcos_status status = XCOS_OK;
    pthread_mutex_lock(&net->lock);
    for (int s = 0; s < plan->n_steps && !plan->packed && status == XCOS_OK; s++) {
        xn_step *step = &plan->steps[s];
        if (step->conv.o && !xn_conv_pack(net, (xn_node *)step->node, step->kind, threads))
            status = xcos_fail(err, XCOS_E_NOMEM, "out of memory: weights of layer '%s'",
                               step->node->layer.name);
    }
    plan->packed = status == XCOS_OK;
    pthread_mutex_unlock(&net->lock);
    return status;
}

float *xn_arena_take(xcos_net *net, xn_plan *plan)
{
    pthread_mutex_lock(&net->lock);
    float *arena = plan->n_arenas ? plan->arenas[--plan->n_arenas] : NULL;
    pthread_mutex_unlock(&net->lock);
    return arena ? arena : xn_alloc((size_t)plan->arena_floats * sizeof(float));
}

void xn_arena_give(xcos_net *net, xn_plan *plan, float *arena)
{
    pthread_mutex_lock(&net->lock);
    float **more = realloc(plan->arenas, ((size_t)plan->n_arenas + 1) * sizeof *more);
    if (more) {
        plan->arenas = more;
        more[plan->n_arenas++] = arena;
    }
    pthread_mutex_unlock(&net->lock);
    if (!more)
        xn_free(arena);
}
