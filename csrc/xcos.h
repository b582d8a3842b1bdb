/* xcos.h: the public API of the C core of xcos (explainable face verification).
 *
 * The core knows nothing of Python.  It never prints, exits or raises: every
 * function that can fail returns an xcos_status and, when `err` is not NULL,
 * leaves one sentence there that says what was got and what was expected.
 *
 * Conventions
 *   - Arrays are C-contiguous.  Pictures are HWC uint8 RGB; network tensors are
 *     float32 with the batch first (N, C, H, W).  No alignment is demanded of
 *     the caller's memory.
 *   - "Borrowed" means: the caller keeps the memory alive and unchanged for as
 *     long as stated; the core neither frees nor copies it.
 *   - No function keeps a pointer to its arguments after it returns unless its
 *     comment says so.
 */
#ifndef XCOS_H
#define XCOS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    XCOS_OK = 0,
    XCOS_E_NOMEM,       /* an allocation failed */
    XCOS_E_ARG,         /* an argument is out of range or of the wrong shape */
    XCOS_E_FORMAT,      /* bytes that are not what they claim to be */
    XCOS_E_LIMIT,       /* larger than the caller allowed */
    XCOS_E_UNSUPPORTED, /* valid, but not among what the core can do */
    XCOS_E_OS,          /* the operating system refused (threads) */
    XCOS_E_INTERRUPTED  /* the function given to xcos_poll_with asked for it */
} xcos_status;

/* Where a failing function leaves its sentence.  Plain data, owned by the caller. */
typedef struct {
    char text[512];
} xcos_error;

/* Formats a sentence into `err` (which may be NULL) and returns `status`. */
xcos_status xcos_fail(xcos_error *err, xcos_status status, const char *format, ...)
#if defined(__MINGW32__) && !defined(__clang__)
    __attribute__((format(gnu_printf, 3, 4))) /* there, printf would be Microsoft's, without %zu */
#elif defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* ---------------------------------------------------------------- machine */

/* Reads the environment: XCOS_NUM_THREADS (1 to 1024) and XCOS_DISABLE_CPU (a comma list of
 * instruction sets to do without: avx512, avx2, sse2, neon).  To be called before every other
 * function and while no thread changes the environment, which nothing reads later: further calls
 * do nothing.
 * A program that does not call it runs as if neither were set.  XCOS_E_ARG names the variable
 * whose value is neither empty nor known. */
xcos_status xcos_start(xcos_error *err);

/* Name of the instruction set whose kernels run: "avx512", "avx2", "sse2", "neon" or
 * "generic".  Chosen once, at first use, from CPUID and what xcos_start read.  Thread-safe. */
const char *xcos_isa_name(void);

/* Narrows the choice from then on: `name` must be one that this machine has.
 * For tests and benchmarks; must not be called while another call runs, and
 * networks and heads made before keep the kernels they were made with. */
xcos_status xcos_isa_select(const char *name, xcos_error *err);

/* Names of all instruction sets that this machine can run, best first, ending with NULL. */
const char *const *xcos_isa_available(void);

/* Narrows how convolutions are computed from then on: "tiles", "winograd4", "winograd2",
 * "depthwise" or "columns" wherever that way fits; NULL: whichever costs least, and a first
 * convolution may read the picture's planes as they lie.  For tests and benchmarks, as above. */
xcos_status xcos_conv_select(const char *name, xcos_error *err);

/* ---------------------------------------------------------------- threads */

/* Default number of threads: XCOS_NUM_THREADS if set, else the smaller of the process's CPU
 * affinity and the least quota of its cgroup and those above it (rounded up), at least 1.
 *
 * Threads that calls have used wait for more work, and end when none comes for a second.  A call
 * in which the process forks (from the function given to xcos_poll_with) goes on in the parent
 * and, where it had been shared among threads, ends with XCOS_E_OS in the child. */
int xcos_default_threads(void);

/* Calls that may last (xcos_net_run, xcos_head_compare, xcos_head_compare_all,
 * xcos_transport_run, xcos_nms, xcos_mask_blend and those on decoded pictures) ask `poll`
 * about every 50 milliseconds, on the thread that made the call, and end soon with
 * XCOS_E_INTERRUPTED when it returns other than 0; what they have written until then is
 * unspecified.  NULL, the default: they run to their end.  For the whole process. */
typedef int xcos_poll(void);
void xcos_poll_with(xcos_poll *poll);

/* ----------------------------------------------------------------- images */

typedef struct {
    int width, height;
    uint8_t *pixels; /* height*width*3, RGB; free with xcos_image_free */
} xcos_image;

/* Decodes JPEG, PNG, BMP, GIF (first frame) or PNM from memory to RGB.  Grey is
 * repeated, alpha is composed over white, 16 bits become 8, EXIF orientation is
 * applied.  Refuses, before taking memory for pixels, pictures of more than
 * `max_pixels` or with a side of more than a million pixels, and (XCOS_E_FORMAT) data that
 * ends early or swells beyond the picture's size.  `data` must not change meanwhile.
 * Thread-safe. */
xcos_status xcos_image_decode(const uint8_t *data, size_t size, int64_t max_pixels,
                              xcos_image *out, xcos_error *err);

/* The same; a baseline JPEG may come smaller, by `*reduction` = 1, 2, 4 or 8, which divides its sides: the largest
 * that leaves its longer side `at_least` pixels.  Pixel x of that has its middle at
 * (x + 0.5) * reduction - 0.5 of the whole picture. */
xcos_status xcos_image_decode_reduced(const uint8_t *data, size_t size, int64_t max_pixels,
                                      int64_t at_least, xcos_image *out, int *reduction,
                                      xcos_error *err);
void xcos_image_free(xcos_image *image);

/* Bilinear warp.  `matrix` (2x3, row-major) maps destination pixel centres
 * (x, y, 1) to source pixel centres (integer coordinates); samples outside the
 * source read `border` (RGB).  `dst` holds dst_h*dst_w*3 bytes; XCOS_E_LIMIT when it has
 * a side of more than a million pixels.  Thread-safe. */
xcos_status xcos_image_warp(const uint8_t *src, int src_h, int src_w, const double matrix[6],
                            const uint8_t border[3], uint8_t *dst, int dst_h, int dst_w,
                            xcos_error *err);

/* Resizes with a triangle filter: bilinear when enlarging, free of aliasing when reducing.
 * `dst` holds dst_h*dst_w*3 bytes; XCOS_E_LIMIT as for a warp.  Thread-safe. */
xcos_status xcos_image_resize(const uint8_t *src, int src_h, int src_w, uint8_t *dst, int dst_h,
                              int dst_w, xcos_error *err);

/* What a network reads of n pictures (area, channels), bytes as above:
 * out[k][c][p] = (images[k][p][c] - mean[c]) * scale[c], with the channels of the picture in
 * reverse order where `reverse` is not 0.  mean, scale (channels).  Thread-safe. */
xcos_status xcos_image_normalize(const uint8_t *images, int64_t n, int64_t area, int channels,
                                 const float *mean, const float *scale, int reverse, float *out,
                                 xcos_error *err);

/* Pictures seen through masks, for explanations by perturbation: blends them with fillings, for
 * k in 0..count-1, i = which[k], every channel c and place p,
 *
 *   out[k][c][p] = masks[k][p]*images[i][c][p] + (1 - masks[k][p])*fills[i][c][p]
 *
 * so that a mask of 1 keeps the picture and one of 0 the filling, both to the last bit.
 * images, fills (n, channels, area); masks (count, area), 0..1; out (count, channels, area), which
 * must not overlap the others.  XCOS_E_ARG names the first which[k] outside 0..n-1.
 * threads <= 0: the default; results do not depend on it.  Thread-safe. */
xcos_status xcos_mask_blend(const float *images, const float *fills, int64_t n, int64_t channels,
                            int64_t area, const float *masks, const int64_t *which, int64_t count,
                            float *out, int threads, xcos_error *err);

/* ------------------------------------------------------------------ faces */

typedef struct {
    float box[4];        /* left, top, right, bottom in pixels */
    float score;         /* 0..1 */
    float points[5][2];  /* x, y: eyes (the image's left one first), nose, mouth corners likewise */
} xcos_face;

/* Greedy non-maximum suppression of boxes (count, 4: left, top, right, bottom).  Takes them
 * by descending score (ties: by position), keeps each that overlaps no kept one by more than
 * `max_iou` (0..1), stores the indices of the kept in `keep` (room for `count`), best first,
 * and their number in `*kept`.  Scores must not be NaN.  Thread-safe. */
xcos_status xcos_nms(const float *boxes, const float *scores, size_t count, float max_iou,
                     size_t *keep, size_t *kept, xcos_error *err);

/* Decodes one stride of YuNet's outputs for an input of rows*stride by
 * cols*stride pixels: cls, obj (rows*cols), bbox (rows*cols*4), kps
 * (rows*cols*10).  Appends faces whose sqrt(cls*obj) >= min_score to `faces`
 * (room for `capacity`), advancing `*count`.  Coordinates are input pixels; cells whose
 * coordinates are not finite are left out. */
xcos_status xcos_yunet_decode(const float *cls, const float *obj, const float *bbox,
                              const float *kps, int rows, int cols, int stride, float min_score,
                              xcos_face *faces, size_t capacity, size_t *count, xcos_error *err);

/* --------------------------------------------------------------- networks */

enum { XCOS_MAX_RANK = 6, XCOS_MAX_INPUTS = 16, XCOS_MAX_OUTPUTS = 64 };

/* XCOS_OP_CONV and so on: ops/ops.def has them in order, with what each takes. */
typedef enum {
#define XCOS_OP(id, ...) XCOS_OP_##id,
#include "ops/ops.def"
#undef XCOS_OP
    XCOS_OP_COUNT
} xcos_op;

/* An attribute of an operator: its key in a model file, the type that ops/ops.def gives it in
 * small letters ("tensor", "window", ...), where in xcos_layer it stands, and of a tensor the
 * rank. */
typedef struct {
    const char *key, *type;
    size_t at;
    int rank, optional;
} xcos_attribute;

/* An operator as ops/ops.def says it: how many inputs, and how many of them may be constants. */
typedef struct {
    const char *name;
    int fewest, most, constants;
    xcos_attribute attributes[8]; /* those with a key */
} xcos_operator;

/* All XCOS_OP_COUNT of them, by xcos_op.  They live as long as the process. */
const xcos_operator *xcos_operators(void);

/* A float32 tensor owned by somebody else. */
typedef struct {
    const float *data; /* NULL: absent */
    int rank;
    int64_t dims[XCOS_MAX_RANK];
} xcos_tensor;

/* One layer.  Zero-initialise, then set what the op needs. */
typedef struct {
    xcos_op op;
    const char *name; /* for messages; copied */
    int n_inputs;
    int inputs[XCOS_MAX_INPUTS]; /* value ids */
    int kernel[2], stride[2], dilation[2]; /* kernel: may be 0, 0 for conv, whose weight says it */
    int pad[4]; /* top, left, bottom, right */
    int groups, count_include_pad, transposed;
    int axis;
    int64_t start, stop;
    int rank; /* of perm or shape */
    int perm[XCOS_MAX_RANK];
    int64_t shape[XCOS_MAX_RANK];
    double scale[2];
    float epsilon, lo, hi;
    float alpha, shift; /* elu, hard_sigmoid; pow: alpha is the exponent */
    xcos_tensor weight, bias;            /* conv, linear; prelu: weight = slope */
    xcos_tensor gamma, beta, mean, var;  /* batch norm; layer norm */
} xcos_layer;

/* A network: a plan of layers, each with one output value.
 * Building: new, then input/constant/layer/output in topological order, then
 * finish; after finish it is immutable and any number of threads may run it at
 * once.  Tensors are borrowed until finish, which copies what it needs of them.
 * After a finish that failed the network can only be freed. */
typedef struct xcos_net xcos_net;

xcos_status xcos_net_new(xcos_net **net, xcos_error *err);
void xcos_net_free(xcos_net *net);

/* Before finish: the precision of 1x1 convolutions and fully connected layers: "fp32", which every
 * network has without this call, "bf16" (operands rounded to bfloat16) or "int8" (weights scaled per
 * output channel, each pixel's inputs by their largest). Sums, and all other layers, are fp32.
 * XCOS_E_UNSUPPORTED: the kernels in force have no such products. */
xcos_status xcos_net_precision(xcos_net *net, const char *name, xcos_error *err);

/* Declares an input: dims after the batch (rank-1 of them, -1 = any).  XCOS_MAX_INPUTS at most. */
xcos_status xcos_net_input(xcos_net *net, const char *name, int rank, const int64_t *dims, int *id,
                           xcos_error *err);
/* Declares a constant value (batch dimension must be 1: it broadcasts). */
xcos_status xcos_net_constant(xcos_net *net, const char *name, const xcos_tensor *tensor, int *id,
                              xcos_error *err);
xcos_status xcos_net_layer(xcos_net *net, const xcos_layer *layer, int *id, xcos_error *err);
/* XCOS_MAX_OUTPUTS at most. */
xcos_status xcos_net_output(xcos_net *net, int id, const char *name, xcos_error *err);
/* Folds batch norms, finds which activations and residual additions ride along with convolutions,
 * and lays all weights out as they will be read; large ones on xcos_default_threads() threads. */
xcos_status xcos_net_finish(xcos_net *net, xcos_error *err);

/* Shapes of all outputs for given input shapes.  in_dims: n_inputs rows of
 * XCOS_MAX_RANK, batch first, all batches equal. */
xcos_status xcos_net_shapes(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK], int *out_rank,
                            int64_t (*out_dims)[XCOS_MAX_RANK], xcos_error *err);

/* Runs the network: inputs and outputs are float32, plain (row-major) layout, of
 * the shapes above.  threads <= 0: the default.  Thread-safe. */
xcos_status xcos_net_run(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK],
                         const float *const *inputs, float *const *outputs, int threads,
                         xcos_error *err);

/* Runs a network with one input (N, C, H, W) on an image (C, H, W) seen through N masks (H, W):
 * mask*image + (1 - mask)*fill.  What xcos_net_run gives for those pictures, sooner where masks of
 * zeros and ones leave much of the image, or of the filling, as it is.  Takes memory for all values
 * of the network at once, for each thread and twice more. */
xcos_status xcos_net_run_masked(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK],
                                const float *image, const float *fill, const float *masks,
                                float *const *outputs, int threads, xcos_error *err);

/* ------------------------------------------------------------------- head */

/* The xCos head: weights of the attention (METHOD: paper section 3; layouts as
 * PyTorch's).  All tensors are copied by xcos_head_new.
 *   embed   (E, D, 3, 3), bias (E), one PReLU slope
 *   attend1 (F, 2E, 3, 3), bias (F), one PReLU slope
 *   attend2 (1, F, 3, 3), bias (1), one PReLU slope
 * minmax != 0 takes the reference's other normalisation (a - min)/sum instead of
 * softmax(a / temperature).
 * whole, 0 to 1, is what the faces as a whole count beside their cells:
 *   score = (1 - whole) * sum(attention * cosine) + whole * cosine of the two embeddings */
typedef struct {
    int depth, embed_channels, attend_channels; /* D, E, F */
    int height, width;                          /* cells */
    const float *embed_weight, *embed_bias, *attend1_weight, *attend1_bias, *attend2_weight,
        *attend2_bias;
    float embed_slope, attend1_slope, attend2_slope;
    float temperature, whole;
    int minmax;
} xcos_head_weights;

/* Immutable after new; any number of threads may use it at once. */
typedef struct xcos_head xcos_head;

xcos_status xcos_head_new(const xcos_head_weights *weights, xcos_head **head, xcos_error *err);
void xcos_head_free(xcos_head *head);

/* One vector of `size` numbers per face: a (n, size), b (m, size).  Their cosine is 0 where one
 * of the two is all zero. */
typedef struct {
    const float *a, *b;
    int size;
} xcos_embeddings;

/* Compares n pairs of grids a[i], b[i], each (D, H, W).  scores (n); cosine and
 * attention (n, H, W) may be NULL.  Norms are floored at 1e-6 as in the reference.
 * `whole` is needed by a head whose whole is above 0, otherwise not looked at; it may be NULL.
 * A pair's result is the same to the last bit for every n, thread count and place.
 * XCOS_E_ARG names the first feature that is not finite, or pair that overflows. */
xcos_status xcos_head_compare(const xcos_head *head, const float *a, const float *b, int64_t n,
                              const xcos_embeddings *whole, float *scores, float *cosine,
                              float *attention, int threads, xcos_error *err);

/* Compares every a[i] with every b[j]: scores (n, m), cosine and attention
 * (n, m, H, W) or NULL.  What depends on one face alone is computed once per face.
 * The maps, and the scores where whole is 0, are those of xcos_head_compare to the last bit;
 * the embeddings' cosines are OpenBLAS's, summed in single precision in an order of its own
 * (about 1e-7 off).  No result depends on the number of threads. */
xcos_status xcos_head_compare_all(const xcos_head *head, const float *a, int64_t n, const float *b,
                                  int64_t m, const xcos_embeddings *whole, float *scores,
                                  float *cosine, float *attention, int threads, xcos_error *err);

/* -------------------------------------------------------------- transport */

/* Entropic optimal transport between the cells of two grids, as DeepFace-EMD (arXiv 2112.04016).
 * cross 0: each cell weighs the same; else max(0, its cosine with the mean cell of the other
 * face), normalised.  regularization, 0.001 to 100, is of costs 1 - cosine; the authors' code has
 * 0.05 and at most 100 iterations. */
typedef struct {
    int depth, height, width;
    int cross, iterations;
    float regularization;
} xcos_transport;

/* Moves a[i] to b[i], n pairs of grids (D, H, W); a_count is n, or 1: one face for all.
 * similarity (n): the sum of flow * cosine, -1..1.  flow (n, H*W, H*W) or NULL: what goes from a
 * cell of a to one of b; its columns sum to b's weights, its rows nearly to a's, since the last
 * step was b's.  No result depends on n, threads or place.  XCOS_E_ARG names what is wrong. */
xcos_status xcos_transport_run(const xcos_transport *transport, const float *a, int64_t a_count,
                               const float *b, int64_t n, float *similarity, float *flow,
                               int threads, xcos_error *err);

#ifdef __cplusplus
}
#endif
#endif
