/* schedule.h: the schedule, which is a graph for one shape of inputs and one number of threads: a
 * list of steps, and where in one arena each of their buffers lies.
 *
 * A rank-4 value is either "plain" (N, C, H, W) or NHWC inside; everything else is plain. */
#ifndef XCOS_NET_SCHEDULE_H
#define XCOS_NET_SCHEDULE_H

#include "net/graph.h"

/* Memory that a step reads or writes: a stretch of the arena, the caller's array or a constant. */
typedef struct {
    enum { XN_ARENA, XN_INPUT, XN_OUTPUT, XN_CONSTANT } kind;
    xc_dtype dtype;
    int index;            /* of the caller's input or output */
    const void *constant;
    void *owned;          /* a constant that the schedule made (in another layout) */
    size_t offset, bytes; /* for the whole batch of the schedule */
    int first, last;      /* steps between which it must keep its content */
} xn_buffer;

typedef struct xn_step xn_step;

/* Everything that a step needs while running. */
typedef struct {
    xc_call *call;
    const xcos_net *net;
    const xn_step *step;
    const float *in[XCOS_MAX_INPUTS];
    const float *residual;
    float *out;
    void *scratch;
} xn_task;

struct xn_step {
    void (*run)(const xn_task *task);
    const xn_node *node; /* NULL for a change of layout */
    int threads;
    int n_in;
    int in[XCOS_MAX_INPUTS]; /* buffers, and below */
    int out, residual, scratch; /* the latter two may be -1 */
    xn_shape in_shape[XCOS_MAX_INPUTS], out_shape; /* in physical order (planes: as if NHWC) */
    bool alone;   /* nothing rides along though something might */
    xv_plan conv; /* of convolutions */
    int axis;     /* physical */
    int64_t start;
    int64_t stride[2][XCOS_MAX_RANK]; /* transpose, broadcasting: elements */
    size_t scratch_bytes; /* of what is no convolution */
};

struct xn_schedule {
    xn_schedule *next;
    int threads;
    xn_shape *in_shapes, *out_shapes;
    int n_steps, n_buffers;
    xn_step *steps;
    xn_buffer *buffers;
    size_t arena_bytes;
    int users; /* running now; guarded by net->lock, as is what follows */
    void **arenas;
    int n_arenas;
};

/* schedule.c */
xcos_status xn_schedule_build(xc_call *call, xcos_net *net, const xn_shape *in, int threads,
                              xn_schedule **schedule, xcos_error *err);
void xn_schedule_free(xn_schedule *schedule);
/* arena.c: gives each buffer its offset and the schedule its size; false: no memory. */
bool xn_lay_out(xn_schedule *schedule);
/* The first offset from `least` on where buffer `index` may begin. */
size_t xn_skewed(size_t least, ptrdiff_t index);

/* schedules.c: those that a network keeps, and their arenas. */
xcos_status xn_schedule_get(xc_call *call, xcos_net *net, const xn_shape *in, int threads,
                            xn_schedule **schedule, xcos_error *err);
void xn_schedule_release(xcos_net *net, xn_schedule *schedule);
void *xn_arena_take(xcos_net *net, xn_schedule *schedule);
void xn_arena_give(xcos_net *net, xn_schedule *schedule, void *arena);

#endif
