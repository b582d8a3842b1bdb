/* net.h: the network's own structures. Not public. net.c and layer.c build, fuse.c
 * simplifies, shapes.c infers, plan.c, arena.c and plans.c lay out and keep, run.c runs, with
 * conv.c, winograd.c, gemm.c, weights.c and ops.c for what the steps do.
 *
 * net   what the caller built: values and nodes, after fusion; immutable then.
 * plan  the net for one shape of inputs: a list of steps and the size of the arena.
 * A rank-4 value is either "plain" (N, C, H, W) or NHWC inside; everything else is plain.
 */
#ifndef XCOS_NET_H
#define XCOS_NET_H

#include <pthread.h>
#include <stdbool.h>

#include "kernels.h"
#include "xcos.h"

typedef struct {
    int rank;
    int64_t dims[XCOS_MAX_RANK]; /* batch first; -1 in an input's declaration: any */
} xn_shape;

typedef struct {
    char *name; /* of inputs and constants, else NULL */
    xn_shape shape;        /* inputs and constants only */
    const float *constant; /* borrowed */
    int producer;          /* node, or -1 */
    int uses;              /* by live nodes and outputs */
    bool is_input, is_output;
} xn_value;

/* Ways to convolve. One function picks: xn_conv_pick in conv.c. */
typedef enum {
    XN_CONV_GEMM,      /* implicit matrix product over taps, packed weights */
    XN_CONV_WINO4,     /* Winograd F(4x4, 3x3) */
    XN_CONV_WINO2,     /* Winograd F(2x2, 3x3) */
    XN_CONV_DEPTHWISE, /* one input and one output channel a group */
    XN_CONV_IM2COL,    /* explicit columns and OpenBLAS: where no vector kernels run */
    XN_CONV_KINDS
} xn_conv_kind;

typedef struct {
    xcos_layer layer; /* layer.name owned; tensors borrowed */
    int output;       /* value id */
    bool dead;        /* fused into another node */

    /* conv and linear: y = act(conv(x * pre_scale + pre_shift) * out_scale + bias + residual).
     * All owned; bias and slope are padded to XK_CHANNEL_PAD with zeros. */
    float *out_scale, *bias, *pre_scale, *pre_shift, *slope;
    xk_activation activation;
    float lo, hi;
    int residual; /* value id or -1 */

    /* batch norm as y = x * pre_scale + pre_shift. */

    float *packed[XN_CONV_KINDS]; /* weights as the kernels want them; made on first need */
} xn_node;

typedef struct xn_plan xn_plan;

struct xcos_net {
    const xk_table *kernels;
    int n_values, n_nodes, n_inputs, n_outputs;
    xn_value *values;
    xn_node *nodes;
    int *inputs, *outputs;
    bool finished;
    int64_t weight_floats; /* all conv and linear weights */
    float *zeros;          /* a pixel of padding for the widest convolution */
    pthread_mutex_t lock;  /* guards plans and packed */
    xn_plan *plans;        /* most recently used first */
    xcos_net *next, *previous; /* all networks: fork.c */
};

/* Memory that a step reads or writes: a stretch of the arena, the caller's array or a
 * constant. Sizes count floats for the whole batch of the plan. */
typedef struct {
    enum { XN_ARENA, XN_INPUT, XN_OUTPUT, XN_CONSTANT } kind;
    int index; /* of the caller's input or output */
    const float *constant;
    float *owned; /* constant that the plan made (in another layout) */
    int64_t offset, floats;
    int first, last; /* steps between which it must keep its content */
} xn_buffer;

/* Geometry of a convolution, as plain numbers. */
typedef struct {
    int64_t n;
    int h, w, c, oh, ow, o;
    int kh, kw, sy, sx, dy, dx, top, left, groups;
} xn_conv;

typedef struct xn_step xn_step;

/* Everything that a step needs while running. */
typedef struct {
    const xcos_net *net;
    const xn_step *step;
    const float *in[XCOS_MAX_INPUTS];
    const float *residual;
    float *out;
    float *scratch;
} xn_task;

struct xn_step {
    void (*run)(const xn_task *task);
    const xn_node *node; /* NULL for a change of layout */
    int n_in;
    int in[XCOS_MAX_INPUTS]; /* buffers */
    xn_shape in_shape[XCOS_MAX_INPUTS]; /* in physical order */
    int out;                 /* buffer */
    xn_shape out_shape;      /* in physical order */
    int residual;            /* buffer or -1 */
    int threads;
    int scratch;             /* buffer or -1 */
    int64_t scratch_floats;  /* for all threads together */
    xn_conv conv;
    xn_conv_kind kind;
    int tiles; /* that a conv's work item holds: see conv.c */
    int axis; /* physical */
    int64_t start;
    int64_t stride[XCOS_MAX_INPUTS][XCOS_MAX_RANK]; /* transpose, broadcasting: floats */
};

struct xn_plan {
    xn_plan *next;
    int threads;
    bool packed;
    xn_shape *in_shapes, *out_shapes;
    int n_steps, n_buffers;
    xn_step *steps;
    xn_buffer *buffers;
    int64_t arena_floats;
    int users; /* running now; guarded by net->lock */
    float **arenas;
    int n_arenas;
};

enum { XN_MAX_THREADS = 64 };

/* memory.c: 64-byte aligned, zeroed or not; NULL when there is none. */
void *xn_alloc(size_t bytes);
void xn_free(void *p);

/* fork.c: keeps a network's lock usable in the children of fork, from new to free. */
void xn_register(xcos_net *net);
void xn_unregister(xcos_net *net);

/* layer.c: what is wrong with a layer by itself, or NULL. */
const char *xn_check_layer(const xcos_layer *layer);

/* fuse.c */
xcos_status xn_fuse(xcos_net *net, xcos_error *err);

/* shapes.c: shape of a node's output from the shapes of its inputs. */
xcos_status xn_infer(const xcos_net *net, const xn_node *node, const xn_shape *in, xn_shape *out,
                     xcos_error *err);
int64_t xn_count(const xn_shape *shape);
/* Whether a shape of positive sizes is within the limits that keep all sizes from overflow. */
bool xn_fits(const xn_shape *shape);
const char *xn_op_name(xcos_op op);

/* plan.c */
xcos_status xn_plan_build(xcos_net *net, const xn_shape *in, int threads, xn_plan **plan,
                          xcos_error *err);
void xn_plan_free(xn_plan *plan);
/* arena.c: gives each buffer its offset and the plan its size; false: no memory. */
bool xn_lay_out(xn_plan *plan);

/* plans.c */
xcos_status xn_plan_get(xcos_net *net, const xn_shape *in, int threads, xn_plan **plan,
                        xcos_error *err);
xcos_status xn_plan_pack(xcos_net *net, xn_plan *plan, int threads, xcos_error *err);
void xn_plan_release(xcos_net *net, xn_plan *plan);
float *xn_arena_take(xcos_net *net, xn_plan *plan);
void xn_arena_give(xcos_net *net, xn_plan *plan, float *arena);

/* conv.c: chooses the algorithm and sets run, kind and scratch. */
void xn_conv_plan(const xcos_net *net, const xn_node *node, xn_step *step);
/* weights.c: packs the node's weights for an algorithm, once; false: no memory. */
bool xn_conv_pack(const xcos_net *net, xn_node *node, xn_conv_kind kind, int threads);
/* The batch norm in front of a convolution whose algorithm does not apply it itself: writes
 * the input to `to`, n*h*w*c floats, and returns it. */
const float *xn_affine_input(const xn_task *task, float *to);
/* winograd.c, gemm.c */
void xn_run_winograd(const xn_task *task);
void xn_run_im2col(const xn_task *task);
int64_t xn_winograd_scratch(const xcos_net *net, xn_step *step);
int64_t xn_im2col_scratch(const xn_step *step);
/* ops.c: sets run for every other op; changes of layout and copies. */
void xn_op_plan(xn_step *step);
void xn_run_to_nhwc(const xn_task *task);
void xn_run_to_plain(const xn_task *task);
void xn_run_copy(const xn_task *task);

#endif
