/* graph.h: the graph, which is what the caller built: values, and nodes that compute them.
 *
 * graph.c builds it; finish.c takes copies of all weights and finds out what may ride along with
 * a convolution. From then on it does not change. For each shape of the inputs schedule.c makes a
 * schedule of it (schedule.h), and run.c runs that. */
#ifndef XCOS_NET_GRAPH_H
#define XCOS_NET_GRAPH_H

#include "conv/conv.h"
#include "dtype.h"
#include "net/shape.h"
#include "os/threads.h"

typedef struct {
    char *name;            /* of inputs and constants, else NULL */
    xn_shape shape;        /* of inputs and constants; of others the rank */
    const float *constant; /* the caller's until finish, then `owned` */
    float *owned;
    int producer;          /* node that leaves the value behind, or -1 */
    int uses;              /* by nodes and outputs */
    bool is_input, is_output;
} xn_value;

/* Weights in the order in which an algorithm reads them. */
typedef struct {
    xc_dtype dtype;
    size_t bytes;
    void *data; /* owned; NULL: not packed for this algorithm */
} xn_packed;

typedef struct {
    xcos_layer layer; /* name owned; tensors: the caller's until finish, then only their sizes */
    int output;       /* value id */

    /* What rides along with a convolution forms a chain behind it: batch norms, the addition of a
     * residual, an activation. An addition and what comes after it run by themselves in schedules
     * for shapes that do not let them ride: see schedule.c. */
    bool rides;
    int next;     /* node of the chain, or -1 */
    int residual; /* value that a riding addition adds, or -1 */

    /* conv and linear: y = act(conv(x * pre_scale + pre_shift) * out_scale + bias + residual).
     * batch norm: y = x * pre_scale + pre_shift.  PReLU: slope.  layer norm: likewise, NULL: none.
     * All owned; vectors are padded to XK_CHANNEL_PAD with zeros. */
    float *out_scale, *bias, *pre_scale, *pre_shift, *slope;
    xk_activation activation;
    float lo, hi;

    /* conv and linear: the algorithm, with the weights packed for it; or NULL where that depends
     * on sizes which the inputs leave open: each schedule packs what it needs from `weights`. */
    const xv_algorithm *algorithm;
    float *weights;
    bool planes; /* reads its input, a picture, plain */
    xn_packed packed[XV_ALGORITHMS]; /* by place in xv_algorithms */
} xn_node;

typedef struct xn_schedule xn_schedule;

struct xcos_net {
    const xk_table *kernels;
    xk_precision precision; /* of the products that can have it */
    int n_values, n_nodes, n_inputs, n_outputs;
    xn_value *values;
    xn_node *nodes;
    int *inputs, *outputs;
    bool finished;
    int64_t weight_floats;     /* all conv and linear weights */
    float *zeros;              /* a pixel of padding for the widest convolution */
    xo_lock lock;              /* guards what follows, and weights packed after finish */
    xn_schedule *schedules;    /* most recently used first */
    xcos_net *later, *earlier; /* all networks: fork.c */
};

/* fork.c: keeps a network's lock usable in the children of fork, from new to free. */
void xn_register(xcos_net *net);
void xn_unregister(xcos_net *net);

/* siblings.c: narrow convolutions of one value become one; false: no memory. */
bool xn_merge_siblings(xcos_net *net);

/* finish.c: packs a node's weights for an algorithm, once; false: no memory. */
bool xn_pack(xc_call *call, const xcos_net *net, xn_node *node, const xv_algorithm *algorithm);

/* shapes.c: the shape of a node's output, from those of all values; errors name the layer. */
xcos_status xn_infer(const xcos_net *net, const xn_node *node, xn_shape *shapes, xcos_error *err);
/* Fills in the shapes of all values, of which those of the inputs stand there already. */
xcos_status xn_infer_all(const xcos_net *net, xn_shape *shapes, xcos_error *err);
/* run.c: copies the caller's shapes, and checks them against the declared inputs. */
xcos_status xn_read_shapes(const xcos_net *net, const int64_t (*dims)[XCOS_MAX_RANK],
                           xn_shape *shapes, xcos_error *err);

#endif
