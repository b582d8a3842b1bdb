/* conv.h: ways to convolve, of which pick.c alone chooses one.
 *
 * A way is an object, xv_algorithm; each has a file of its own. They know kernels and the pool,
 * no network: the networks' convolutions and those of the head run through here alike. Maps are
 * NHWC; a fully connected layer is a convolution of one pixel. */
#ifndef XCOS_CONV_H
#define XCOS_CONV_H

#include <stdbool.h>

#include "call.h"
#include "dtype.h"
#include "kernels/kernels.h"

/* Geometry of a convolution, as plain numbers. */
typedef struct {
    int64_t n;
    int h, w, c, oh, ow, o;
    int kh, kw, sy, sx, dy, dx, top, left, groups;
} xv_geometry;

/* A convolution's weights, (groups * outputs, depth, taps) by strides, before they are packed. */
typedef struct {
    const float *data;
    const float *scale; /* per output channel of all groups, or NULL: each 1 */
    int groups, outputs, depth, taps; /* outputs and depth of one group */
    int row_taps;                     /* of a kernel row */
    ptrdiff_t ld_out, ld_depth;       /* a tap is one float from the next */
} xv_weights;

typedef struct xv_algorithm xv_algorithm;

/* A convolution for maps of one size: what pick.c decided. */
typedef struct {
    const xk_table *kernels;
    xv_geometry g;
    xk_precision precision; /* of products, where an algorithm of it fits */
    bool exact;  /* sums of products as they stand: no transforms */
    bool scaled; /* pixels become x*scale + shift first: a batch norm before a padded convolution */
    int threads; /* that may share it */
    const xv_algorithm *algorithm;
    int unit;             /* pixels or rows that a work item holds: tiles.c */
    size_t scratch_bytes; /* for all threads together */
} xv_plan;

/* One run of it: y = act(conv(x*pre_scale + pre_shift) + bias + residual). Vectors over channels
 * are padded to XK_CHANNEL_PAD. */
typedef struct {
    xc_call *call;
    const xv_plan *plan;
    const void *weights; /* packed for plan->algorithm */
    const float *in, *residual; /* residual may be NULL; it has the shape of out */
    float *out;
    const float *bias, *slope, *pre_scale, *pre_shift; /* slope: of XK_PRELU */
    xk_activation activation;
    float lo, hi;
    const float *zeros; /* c of them at least */
    void *scratch;      /* plan->scratch_bytes, at a cache line */
} xv_run;

/* Pixels from..to-1 of an output map, row after row. */
typedef struct {
    int64_t from, to;
} xv_span;

struct xv_algorithm {
    const char *name;
    bool transforms; /* see xv_plan.exact */
    bool planes;     /* reads (N, C, H, W): only where xv_fits_planes says so */
    xk_precision precision; /* XK_FP32: for every plan; else for those that ask for it */
    bool (*fits)(const xv_geometry *g);
    /* Of one image, in multiply-adds of a tile of vector kernels (see mac_cost in kernels.h). */
    double (*cost)(const xk_table *k, const xv_geometry *g);
    /* Divides the work among plan->threads and says how much scratch it takes. */
    void (*prepare)(xv_plan *plan);
    xc_dtype dtype; /* of the packed weights; their number, and their packing: */
    int64_t (*packed)(const xk_table *k, const xv_weights *w);
    void (*pack)(xc_call *call, const xk_table *k, const xv_weights *w, void *to);
    void (*run)(const xv_run *run);
    /* The same for some pixels of one image alone, on the calling thread: each as in the whole, bit
     * by bit. Not for scaled plans. NULL: it computes no pixel by itself. */
    void (*run_spans)(const xv_run *run, const xv_span *spans, int count);
};

/* In the order in which pick.c asks them; of two equal costs the first wins. */
enum {
    XV_DEPTHWISE, XV_TILES, XV_WINOGRAD4, XV_WINOGRAD2, XV_COLUMNS, XV_PLANES, XV_BF16, XV_INT8, XV_ALGORITHMS
};
extern const xv_algorithm xv_depthwise, xv_tiles, xv_winograd4, xv_winograd2, xv_columns, xv_planes, xv_bf16, xv_int8;
extern const xv_algorithm *const xv_algorithms[XV_ALGORITHMS];

/* pick.c: sets algorithm (unless one is set), tiles and scratch of a plan that has all else. */
void xv_pick(xv_plan *plan);
/* The algorithm that maps of every size get, NULL where it depends on the size; `g` needs no n,
 * h, w, oh and ow. */
const xv_algorithm *xv_pick_for_all(const xk_table *k, const xv_geometry *g, xk_precision precision);
/* Whether an input that is plain should be read so, by xv_planes; `g` as above. */
bool xv_fits_planes(const xk_table *k, const xv_geometry *g);
/* Place of an algorithm in xv_algorithms. */
int xv_index(const xv_algorithm *algorithm);

/* What algorithms share. The cost of `rows` pixels times `planes` matrices of weights: */
double xv_cost(const xv_geometry *g, double rows, double planes);
/* the input after pre_scale and pre_shift, written to `to` where there are any; */
const float *xv_scaled_input(const xv_run *run, float *to);
/* and what is done to the outputs from `channel` on before they are stored. */
xk_epilogue xv_epilogue(const xv_run *run, int64_t channel, const float *residual, ptrdiff_t row,
                        ptrdiff_t col);

#endif
