/* arena.c: where in the arena each value of a schedule lies. */
#include <stdlib.h>

#include "net/schedule.h"

enum {
    /* Two buffers whose addresses agree in their lower 12 bits make loads from one wait for
     * stores to the other: each buffer begins at another place of its page (64-byte steps). */
    PAGE = 4096,
    SKEW = 19 * 64,
};

/* Between which steps each buffer must keep its content. */
static void find_lifetimes(xn_schedule *schedule)
{
    for (int s = 0; s < schedule->n_steps; s++) {
        const xn_step *step = &schedule->steps[s];
        for (int i = -3; i < step->n_in; i++) {
            int index = i == -3   ? step->out
                        : i == -2 ? step->residual
                        : i == -1 ? step->scratch
                                  : step->in[i];
            if (index < 0)
                continue;
            xn_buffer *buffer = &schedule->buffers[index];
            if (buffer->first < 0)
                buffer->first = s;
            buffer->last = s;
        }
    }
}

static int by_size(const void *a, const void *b)
{
    const xn_buffer *x = *(xn_buffer *const *)a, *y = *(xn_buffer *const *)b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x > y) - (x < y);
}

size_t xn_skewed(size_t least, ptrdiff_t index)
{
    const size_t wanted = (size_t)index * SKEW % PAGE;
    return least + (wanted + PAGE - least % PAGE) % PAGE;
}

/* Lays the buffers out: largest first, each at the lowest place where no buffer that lives
 * at the same time lies. */
bool xn_lay_out(xn_schedule *schedule)
{
    find_lifetimes(schedule);
    const size_t room = (size_t)schedule->n_buffers + 1;
    xn_buffer **order = malloc(2 * room * sizeof *order), **placed = order + room; /* by offset */
    if (!order)
        return false;
    int count = 0;
    for (int i = 0; i < schedule->n_buffers; i++)
        if (schedule->buffers[i].kind == XN_ARENA && schedule->buffers[i].first >= 0)
            order[count++] = &schedule->buffers[i];
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int i = 0; i < count; i++) {
        xn_buffer *x = order[i];
        x->offset = xn_skewed(0, x - schedule->buffers);
        for (int j = 0; j < i; j++) {
            const xn_buffer *y = placed[j];
            bool together = x->first <= y->last && y->first <= x->last;
            if (together && x->offset < y->offset + y->bytes && y->offset < x->offset + x->bytes)
                x->offset = xn_skewed(y->offset + y->bytes, x - schedule->buffers);
        }
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > x->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = x;
        if (schedule->arena_bytes < x->offset + x->bytes)
            schedule->arena_bytes = x->offset + x->bytes;
    }
    free(order);
    return true;
}
