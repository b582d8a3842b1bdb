/* arena.c: where in the arena each value of a plan lies. */
#include <stdlib.h>

#include "net.h"

enum {
    /* Two buffers whose addresses agree in their lower 12 bits make loads from one wait for
     * stores to the other: each buffer begins at another place of its page (64-byte steps). */
    PAGE_FLOATS = 1024,
    SKEW_FLOATS = 19 * 16,
};

/* Between which steps each buffer must keep its content. */
static void find_lifetimes(xn_plan *plan)
{
    for (int s = 0; s < plan->n_steps; s++) {
        const xn_step *step = &plan->steps[s];
        for (int i = -3; i < step->n_in; i++) {
            int index = i == -3   ? step->out
                        : i == -2 ? step->residual
                        : i == -1 ? step->scratch
                                  : step->in[i];
            if (index < 0)
                continue;
            xn_buffer *buffer = &plan->buffers[index];
            if (buffer->first < 0)
                buffer->first = s;
            buffer->last = s;
        }
    }
}

static int by_size(const void *a, const void *b)
{
    const xn_buffer *x = *(xn_buffer *const *)a, *y = *(xn_buffer *const *)b;
    return x->floats != y->floats ? (x->floats < y->floats ? 1 : -1) : (x > y) - (x < y);
}

/* The first offset from `least` on where buffer `index` may begin. */
static int64_t skewed(int64_t least, int64_t index)
{
    const int64_t wanted = index * SKEW_FLOATS % PAGE_FLOATS;
    return least + (wanted - least % PAGE_FLOATS + PAGE_FLOATS) % PAGE_FLOATS;
}

/* Lays the buffers out: largest first, each at the lowest place where no buffer that lives
 * at the same time lies. */
bool xn_lay_out(xn_plan *plan)
{
    find_lifetimes(plan);
    const size_t room = (size_t)plan->n_buffers + 1;
    xn_buffer **order = malloc(2 * room * sizeof *order), **placed = order + room; /* by offset */
    if (!order)
        return false;
    int count = 0;
    for (int i = 0; i < plan->n_buffers; i++)
        if (plan->buffers[i].kind == XN_ARENA && plan->buffers[i].first >= 0)
            order[count++] = &plan->buffers[i];
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int i = 0; i < count; i++) {
        xn_buffer *x = order[i];
        x->offset = skewed(0, x - plan->buffers);
        for (int j = 0; j < i; j++) {
            const xn_buffer *y = placed[j];
            bool together = x->first <= y->last && y->first <= x->last;
            if (together && x->offset < y->offset + y->floats && y->offset < x->offset + x->floats)
                x->offset = skewed(y->offset + y->floats, x - plan->buffers);
        }
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > x->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = x;
        if (plan->arena_floats < x->offset + x->floats)
            plan->arena_floats = x->offset + x->floats;
    }
    free(order);
    return true;
}
