/* weights.c: a node's weights in the order in which an algorithm reads them, with the
 * scales of a folded batch norm in them. Made on first need, kept with the node. */
#define _DEFAULT_SOURCE
#include <float.h>
#include <math.h>
#include <stdint.h>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "net.h"
#include "pool.h"

typedef struct {
    const xcos_layer *layer;
    const float *scale; /* per output channel, or NULL */
    int nr, outputs, depth, taps, tile; /* outputs and depth of one group */
    int64_t panels, panel_floats;       /* panels of one group */
    float *packed;
} pack_job;

/* Panel `index` of [group][panel][tap][depth][nr]. */
static void pack_gemm_panel(void *context, int64_t index, int worker)
{
    (void)worker;
    const pack_job *job = context;
    const int first = (int)(index % job->panels) * job->nr;
    const int64_t channel = index / job->panels * job->outputs + first;
    const int n = job->outputs - first < job->nr ? job->outputs - first : job->nr;
    const ptrdiff_t ld = (ptrdiff_t)job->depth * job->taps;
    for (int tap = 0; tap < job->taps; tap++)
        xk_pack_panels(job->layer->weight.data + channel * ld + tap, ld, job->taps, n, job->depth,
                       job->nr, job->scale ? job->scale + channel : NULL,
                       job->packed + index * job->panel_floats +
                           (int64_t)tap * job->depth * job->nr);
}

/* Panel `index` of [panel][plane][depth][nr]. */
static void pack_winograd_panel(void *context, int64_t index, int worker)
{
    (void)worker;
    const pack_job *job = context;
    const int64_t first = index * job->nr;
    const int n = (int)(job->outputs - first < job->nr ? job->outputs - first : job->nr);
    const ptrdiff_t ld = (ptrdiff_t)job->depth * 9;
    xk_pack_winograd(job->tile, job->layer->weight.data + first * ld, ld, 9, n, job->depth, job->nr,
                     job->scale ? job->scale + first : NULL,
                     job->packed + index * job->panel_floats);
}

/* Weight of output channel o (of all groups), flushed to zero where it is subnormal. */
static float weight(const pack_job *job, int64_t o, int64_t c, int tap)
{
    float w = job->layer->weight.data[(o * job->depth + c) * job->taps + tap];
    w = job->scale ? w * job->scale[o] : w;
    return fabsf(w) < FLT_MIN ? 0 : w;
}

/* [tap][channel], rows of a multiple of XK_CHANNEL_PAD. */
static void pack_depthwise(const pack_job *job, int64_t groups, int64_t ld)
{
    for (int tap = 0; tap < job->taps; tap++)
        for (int64_t o = 0; o < ld; o++)
            job->packed[tap * ld + o] = o < groups ? weight(job, o, 0, tap) : 0;
}

/* [group][tap][depth][outputs]: the second operand of OpenBLAS's product. */
static void pack_im2col(const pack_job *job, int64_t groups)
{
    float *out = job->packed;
    for (int64_t g = 0; g < groups; g++)
        for (int tap = 0; tap < job->taps; tap++)
            for (int64_t c = 0; c < job->depth; c++)
                for (int64_t o = 0; o < job->outputs; o++)
                    *out++ = weight(job, g * job->outputs + o, c, tap);
}

/* Tells the system that the original weights are not needed again soon. Where they are a
 * mapped file their memory is given back and a later need reads them anew; elsewhere this
 * has no effect. A network then holds its weights once, packed. */
static void release(const xcos_tensor *w, int64_t floats)
{
#ifdef MADV_PAGEOUT
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t)w->data + page - 1) / page * page;
    const uintptr_t last = (uintptr_t)(w->data + floats) / page * page;
    if (last > first)
        madvise((void *)first, last - first, MADV_PAGEOUT);
#else
    (void)w, (void)floats;
#endif
}

bool xn_conv_pack(const xcos_net *net, xn_node *node, xn_conv_kind kind, int threads)
{
    if (node->packed[kind])
        return true;
    const xcos_layer *l = &node->layer;
    const bool linear = l->op == XCOS_OP_LINEAR;
    const int64_t groups = linear ? 1 : l->groups;
    pack_job job = {.layer = l,
                    .scale = node->out_scale,
                    .nr = net->kernels->nr,
                    .outputs = (int)(l->weight.dims[0] / groups),
                    .depth = (int)l->weight.dims[1],
                    .taps = linear ? 1 : (int)(l->weight.dims[2] * l->weight.dims[3]),
                    .tile = kind == XN_CONV_WINO4 ? 4 : 2};
    const bool winograd = kind == XN_CONV_WINO4 || kind == XN_CONV_WINO2;
    const int planes = winograd ? (job.tile + 2) * (job.tile + 2) : job.taps;
    const int64_t ld = (groups + XK_CHANNEL_PAD - 1) / XK_CHANNEL_PAD * XK_CHANNEL_PAD;
    job.panels = (job.outputs + job.nr - 1) / job.nr;
    job.panel_floats = (int64_t)planes * job.depth * job.nr;
    const int64_t floats = kind == XN_CONV_DEPTHWISE ? job.taps * ld
                           : kind == XN_CONV_IM2COL
                               ? groups * job.taps * job.depth * job.outputs
                               : groups * job.panels * job.panel_floats;
    if (!(job.packed = xn_alloc((size_t)floats * sizeof(float))))
        return false;
    if (kind == XN_CONV_DEPTHWISE)
        pack_depthwise(&job, groups, ld);
    else if (kind == XN_CONV_IM2COL)
        pack_im2col(&job, groups);
    else
        xc_parallel(threads, groups * job.panels, winograd ? pack_winograd_panel : pack_gemm_panel,
                    &job);
    release(&l->weight, l->weight.dims[0] * job.depth * job.taps);
    node->packed[kind] = job.packed;
    return true;
}
