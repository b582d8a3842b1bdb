/* ops.h: what an operator is: its row in ops.def, and the functions of its family. */
#ifndef XCOS_OPS_H
#define XCOS_OPS_H

#include "net/schedule.h"

/* In which layout an operator works on rank-4 values. */
typedef enum {
    XN_PLAIN,
    XN_NHWC,
    XN_FOLLOWS, /* NHWC where an input lies so already */
    XN_AS_IT_LIES, /* likewise; what comes out is plain */
} xn_layout;

typedef struct {
    xn_layout layout;

    /* What is wrong with a layer by itself, or NULL.  NULL: nothing can be. */
    const char *(*check)(const xcos_layer *layer);
    /* The shape of the output from those of the inputs.  NULL: that of the first. */
    xcos_status (*infer)(const xcos_net *net, const xn_node *node, const xn_shape *in,
                         xn_shape *out, xcos_error *err);
    /* The layout (1: NHWC, 0: plain) in which the output is the input's bytes, where that lies NHWC or
     * plain; -1: none.  NULL: never. */
    int (*alias)(const xn_node *node, bool nhwc);
    /* Completes a step that has its node and shapes (in memory order, NHWC or plain).
     * NULL: nothing to add. */
    void (*plan)(const xcos_net *net, xn_step *step, bool nhwc);
    void (*run)(const xn_task *task);
} xn_family;

extern const xn_family *const xn_families[XCOS_OP_COUNT]; /* by xcos_op */

extern const xn_family xn_conv, xn_linear, xn_matmul, xn_layer_norm, xn_batch_norm, xn_prelu, xn_pointwise, xn_arithmetic,
    xn_pool, xn_along, xn_transpose, xn_reshape, xn_resize;

/* ops.c: name of an operator, "?" for none; what is wrong with a layer by itself, or NULL. */
const char *xn_op_name(xcos_op op);
const char *xn_check_layer(const xcos_layer *layer);
/* A failure that names the layer: "layer 'NAME' (op): WHAT GOT, expected EXPECTED". */
xcos_status xn_unfit(const xn_node *node, xcos_error *err, const char *what, int64_t got,
                     int64_t expected);

/* What families share: checks, */
bool xn_is_vector(const xcos_tensor *t, int64_t length); /* length < 0: any */
const char *xn_check_window(const xcos_layer *layer, bool kernel_may_be_0);
xcos_status xn_need_rank(const xn_node *node, const xn_shape *in, int rank, xcos_error *err);
/* spatial size after a window has passed over a padded axis (0: height, 1: width), */
xcos_status xn_window(const xn_node *node, const xn_shape *in, int axis, int64_t *size,
                      xcos_error *err);
/* the axis of memory order that a logical axis is, */
int xn_physical_axis(int axis, bool nhwc);
/* and row-major strides. */
void xn_strides(const xn_shape *shape, int64_t *stride);
/* convolution.c: the geometry of conv or linear; shapes in memory order. */
xv_geometry xn_conv_geometry(const xcos_layer *layer, const xn_shape *in, const xn_shape *out);
/* The step of a conv for some pixels of one image: see xv_algorithm.run_spans. */
void xn_conv_spans(const xn_task *task, const xv_span *spans, int count);

/* layout.c: changes of layout, and copies. */
void xn_run_to_nhwc(const xn_task *task);
void xn_run_to_plain(const xn_task *task);
void xn_run_copy(const xn_task *task);

#endif
