/* schedules.c: the schedules that a network keeps, and their arenas. Everything here is guarded by
 * the network's lock. */
#include <stdlib.h>
#include <string.h>

#include "net/schedule.h"
#include "os/memory.h"

enum { MAX_SCHEDULES = 8 }; /* kept per network; the least recently used goes */

static bool fits(const xcos_net *net, const xn_schedule *schedule, const xn_shape *in, int threads)
{
    for (int i = 0; i < net->n_inputs; i++)
        if (memcmp(schedule->in_shapes[i].dims, in[i].dims,
                   (size_t)in[i].rank * sizeof in[i].dims[0]))
            return false;
    return schedule->threads == threads;
}

xcos_status xn_schedule_get(xc_call *call, xcos_net *net, const xn_shape *in, int threads,
                            xn_schedule **out, xcos_error *err)
{
    xcos_status status = XCOS_OK;
    xo_take(&net->lock);
    xn_schedule **link = &net->schedules, *schedule;
    while (*link && !fits(net, *link, in, threads))
        link = &(*link)->next;
    if ((schedule = *link))
        *link = schedule->next;
    else
        status = xn_schedule_build(call, net, in, threads, &schedule, err);
    if (status == XCOS_OK) {
        schedule->users++;
        schedule->next = net->schedules;
        net->schedules = schedule;
        *out = schedule;
    }
    int count = 0;
    for (link = &net->schedules; *link;) {
        if (++count > MAX_SCHEDULES && !(*link)->users) {
            xn_schedule *old = *link;
            *link = old->next;
            xn_schedule_free(old);
        } else {
            link = &(*link)->next;
        }
    }
    xo_give(&net->lock);
    return status;
}

void xn_schedule_release(xcos_net *net, xn_schedule *schedule)
{
    xo_take(&net->lock);
    schedule->users--;
    xo_give(&net->lock);
}

void *xn_arena_take(xcos_net *net, xn_schedule *schedule)
{
    xo_take(&net->lock);
    void *arena = schedule->n_arenas ? schedule->arenas[--schedule->n_arenas] : NULL;
    xo_give(&net->lock);
    return arena ? arena : xo_alloc(schedule->arena_bytes);
}

void xn_arena_give(xcos_net *net, xn_schedule *schedule, void *arena)
{
    xo_take(&net->lock);
    void **more = realloc(schedule->arenas, ((size_t)schedule->n_arenas + 1) * sizeof *more);
    if (more) {
        schedule->arenas = more;
        more[schedule->n_arenas++] = arena;
    }
    xo_give(&net->lock);
    if (!more)
        xo_free(arena);
}
