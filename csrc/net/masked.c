/* masked.c: a network on one picture seen through many masks.
 *
 * Behind a mask stands a filling. A layer's output at a cell depends on a window of its input:
 * where all of that is the picture's own, the output is what the picture alone gives; where all is
 * the filling's, what the filling alone gives. Both are computed once, and for each mask only the
 * other cells. Maps of which neighbouring cells are read stay from mask to mask, so that only what
 * changes is written. A map of which most is to be computed is computed as a whole, in the arena like
 * in any run; so is every one from the first layer on that looks further than a window.
 *
 * Kernels sum in one order wherever a pixel lies: results are those of xcos_net_run, bit by bit. */
#include <stdlib.h>
#include <string.h>

#include "net/schedule.h"
#include "ops/ops.h"
#include "os/memory.h"
#include "pool.h"

/* What a cell's window sees. What a map holds at a cell is one of these as well, or NOTHING yet. */
enum { NOTHING = 0, PICTURE = 1, FILLING = 2, BOTH = PICTURE | FILLING };

enum { MAX_WORKERS = 64 }; /* each has maps of its own */

/* Percent of a map's cells from which on all are computed: spans cost that much more a cell than the
 * whole (MobileFaceNet on a Zen 4). */
enum { MOST = 80 };

/* Where a buffer of the schedule lies: held maps behind the arena, others where they lie in any run. */
typedef struct {
    size_t offset; /* bytes */
    bool is_map;   /* which is computed cell by cell; then: */
    bool held;     /* from mask to mask: cells are read that were not computed */
    int64_t cells, first; /* first: its place among the cells of all maps */
    size_t cell_bytes;
} place;

typedef struct {
    xc_call call;
    const xcos_net *net;
    const xn_schedule *schedule;
    const float *pictures[2]; /* the picture, the filling */
    const float *masks;
    float *const *outputs;
    int64_t channels, area; /* of the input, */
    place *input;           /* which is a map as well, in the caller's layout */
    place *places; /* of buffers */
    bool *local;   /* steps whose output is a map */
    size_t bytes;  /* of an arena and what lies behind it */
    int64_t cells; /* of all maps */
    size_t row, spans_room; /* longest row of `look`; most spans of a map */
    char *base[2]; /* such memory, of the picture and of the filling */
    char *memory[MAX_WORKERS];
    uint8_t *states[MAX_WORKERS]; /* what each cell sees, what it holds; which buffers are full; a row */
    xv_span *spans[MAX_WORKERS];
} masked_job;

/* ------------------------------------------------------------- what is where */

static bool is_conv(const xn_step *step)
{
    return step->node && xn_families[step->node->layer.op] == &xn_conv;
}

static bool is_cellwise(const xn_step *step)
{
    const xn_family *family = xn_families[step->node->layer.op];
    return family == &xn_pointwise || family == &xn_arithmetic || family == &xn_prelu ||
           family == &xn_batch_norm;
}

/* Whether a step's output can be computed cell by cell from maps. */
static bool is_local(const masked_job *job, const xn_step *step)
{
    const xn_buffer *buffers = job->schedule->buffers;
    if (buffers[step->out].kind != XN_ARENA || step->out_shape.rank != 4)
        return false;
    if (!step->node || (step->residual >= 0 && !job->places[step->residual].is_map))
        return false;
    if (is_conv(step))
        return job->places[step->in[0]].is_map && step->conv.algorithm->run_spans && !step->conv.scaled &&
               step->conv.algorithm->planes == (buffers[step->in[0]].kind == XN_INPUT);
    bool fit = is_cellwise(step), any = false;
    for (int i = 0; fit && i < step->n_in; i++) {
        const xn_shape *s = &step->in_shape[i];
        const bool map = job->places[step->in[i]].is_map && buffers[step->in[i]].kind == XN_ARENA &&
                         xn_same(s, &step->out_shape);
        const bool vector = buffers[step->in[i]].kind == XN_CONSTANT &&
                            (s->rank == 0 || (s->rank == 4 && s->dims[1] * s->dims[2] == 1));
        fit = map || vector;
        any |= map;
    }
    return fit && any;
}

/* Whether a step reads its only map where its output is, and nowhere else. */
static bool reads_in_place(const masked_job *job, int s)
{
    const xn_step *step = &job->schedule->steps[s];
    const xv_geometry *g = &step->conv.g;
    return job->local[s] && (is_conv(step) ? g->kh * g->kw == 1 && g->oh == g->h && g->ow == g->w
                                           : step->n_in == 1);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void look_at_step(masked_job *job, int s)
{
    const xn_step *step = &job->schedule->steps[s];
    const xn_shape *out = &step->out_shape;
    const bool local = job->local[s] = is_local(job, step);
    for (int i = -1; i < step->n_in; i++) {
        const int index = i < 0 ? step->residual : step->in[i];
        if (index < 0)
            continue;
        place *in = &job->places[index];
        in->held |= in->is_map && (i < 0 || !reads_in_place(job, s));
    }
    if (is_conv(step)) {
        const xv_geometry *g = &step->conv.g;
        job->row = larger(job->row, (size_t)((g->ow - 1) * g->sx + (g->kw - 1) * g->dx + 1));
    }
    if (!local)
        return;
    place *p = &job->places[step->out];
    p->is_map = true;
    p->cells = out->dims[1] * out->dims[2];
    p->cell_bytes = (size_t)out->dims[3] * sizeof(float);
    p->first = job->cells;
    job->cells += p->cells;
    job->spans_room = larger(job->spans_room, (size_t)(p->cells + 1) / 2);
}

static void find_places(masked_job *job)
{
    const xn_schedule *schedule = job->schedule;
    for (int i = 0; i < schedule->n_buffers; i++)
        if (schedule->buffers[i].kind == XN_INPUT) {
            job->input = &job->places[i];
            *job->input = (place){.is_map = true, .held = true, .cells = job->area};
            job->cells = job->area;
        }
    for (int s = 0; s < schedule->n_steps; s++)
        look_at_step(job, s);
    job->bytes = schedule->arena_bytes;
    for (int i = 0; i < schedule->n_buffers; i++) {
        place *p = &job->places[i];
        p->offset = schedule->buffers[i].offset;
        if (p->held) {
            p->offset = xn_skewed(job->bytes, i);
            job->bytes = p->offset + schedule->buffers[i].bytes;
        }
    }
}

/* Where a buffer is in `memory`; full: of buffers, whether they lie in the arena this time (NULL: none
 * does that has another place); `image`: which of the outputs. */
static void *address(const masked_job *job, int index, char *memory, const uint8_t *full, int64_t image)
{
    if (index < 0)
        return NULL;
    const xn_buffer *b = &job->schedule->buffers[index];
    switch (b->kind) {
    case XN_OUTPUT:
        return (char *)job->outputs[b->index] + (size_t)image * b->bytes;
    case XN_CONSTANT:
        return (void *)b->constant;
    default:
        return memory + (full && full[index] ? b->offset : job->places[index].offset);
    }
}

static xn_task task_of(masked_job *job, const xn_step *step, char *memory, const uint8_t *full,
                       int64_t image)
{
    xn_task task = {.call = &job->call,
                    .net = job->net,
                    .step = step,
                    .out = address(job, step->out, memory, full, image),
                    .residual = address(job, step->residual, memory, full, image),
                    .scratch = address(job, step->scratch, memory, full, image)};
    for (int i = 0; i < step->n_in; i++)
        task.in[i] = address(job, step->in[i], memory, full, image);
    return task;
}

/* All maps of the picture (index 0) or of the filling (1). */
static void run_base(void *context, int64_t index, int worker)
{
    masked_job *job = context;
    for (int s = 0; s < job->schedule->n_steps && !xc_stop(&job->call, worker); s++) {
        const xn_step *step = &job->schedule->steps[s];
        xn_task task = task_of(job, step, job->base[index], NULL, 0);
        if (&job->places[step->in[0]] == job->input)
            task.in[0] = job->pictures[index];
        if (job->local[s])
            step->run(&task);
    }
}

/* ------------------------------------------------------------ what cells see */

/* What a convolution's cells see, from what its input's do. row: room for job->row. */
static void look(const xv_geometry *g, const uint8_t *restrict in, uint8_t *restrict out,
                 uint8_t *restrict row)
{
    const int right = (g->ow - 1) * g->sx + (g->kw - 1) * g->dx + 1; /* columns that windows reach */
    const int taken = g->left + g->w < right ? g->w : right - g->left; /* none: below 0 */
    for (int y = 0; y < g->oh; y++, out += g->ow) {
        memset(row, NOTHING, (size_t)right);
        for (int r = 0; r < g->kh; r++) {
            const int from = y * g->sy - g->top + r * g->dy;
            if (from >= 0 && from < g->h)
                for (int x = 0; x < taken; x++)
                    row[g->left + x] |= in[(int64_t)from * g->w + x];
        }
        memset(out, NOTHING, (size_t)g->ow);
        for (int k = 0; k < g->kw; k++) {
            const uint8_t *tap = row + k * g->dx;
            if (g->sx == 1) /* which compilers make vectors of */
                for (int x = 0; x < g->ow; x++)
                    out[x] |= tap[x];
            else
                for (int x = 0; x < g->ow; x++)
                    out[x] |= tap[x * g->sx];
        }
    }
}

static void look_at(uint8_t *restrict out, const uint8_t *restrict in, int64_t cells)
{
    for (int64_t i = 0; i < cells; i++)
        out[i] |= in[i];
}

/* What pixels show through a mask. */
static void look_through(uint8_t *restrict out, const float *restrict mask, int64_t area)
{
    for (int64_t i = 0; i < area; i++)
        out[i] = (uint8_t)((mask[i] != 0 ? PICTURE : 0) | (mask[i] != 1 ? FILLING : 0));
}

/* Whether most of a map is to be computed. */
static bool is_most(const uint8_t *sees, int64_t cells)
{
    int count = 0;
    for (int64_t i = 0; i < cells; i++)
        count += sees[i] == BOTH;
    return count * (int64_t)100 >= cells * MOST;
}

/* What the cells of a step's map see; whether all are to be computed. */
static bool look_with(const masked_job *job, const xn_step *step, uint8_t *sees, const uint8_t *full,
                      uint8_t *row)
{
    const place *p = &job->places[step->out];
    uint8_t *out = sees + p->first;
    for (int i = -1; i < step->n_in; i++) {
        const int index = i < 0 ? step->residual : step->in[i];
        if (index >= 0 && full[index])
            return true;
    }
    if (is_conv(step))
        look(&step->conv.g, sees + job->places[step->in[0]].first, out, row);
    else
        memset(out, NOTHING, (size_t)p->cells);
    for (int i = is_conv(step) ? step->n_in : 0; i < step->n_in; i++)
        if (job->places[step->in[i]].is_map)
            look_at(out, sees + job->places[step->in[i]].first, p->cells);
    if (step->residual >= 0)
        look_at(out, sees + job->places[step->residual].first, p->cells);
    return is_most(out, p->cells);
}

/* What is not held is to be computed wherever it is read: a residual may see more than what it is added
 * to. */
static void demand(const masked_job *job, const xn_step *step, uint8_t *sees, uint8_t *full)
{
    const place *p = &job->places[step->out], *in = &job->places[step->in[0]];
    if (!in->is_map || in->held)
        return;
    full[step->in[0]] |= full[step->out];
    for (int64_t i = 0; i < p->cells && !full[step->in[0]]; i++)
        if (sees[p->first + i] == BOTH)
            sees[in->first + i] = BOTH;
}

/* Finds out what all cells see. */
static void find_cells(const masked_job *job, const float *mask, uint8_t *sees, uint8_t *full,
                       uint8_t *row)
{
    const int steps = job->schedule->n_steps;
    memset(full, false, (size_t)job->schedule->n_buffers);
    look_through(sees + job->input->first, mask, job->area);
    for (int s = 0; s < steps; s++) {
        const xn_step *step = &job->schedule->steps[s];
        if (job->local[s])
            full[step->out] = look_with(job, step, sees, full, row);
    }
    for (int s = steps - 1; s >= 0; s--)
        if (job->local[s])
            demand(job, &job->schedule->steps[s], sees, full);
}

/* ----------------------------------------------------------------- one mask */

/* Eight cells that see the same. */
static uint64_t eight(uint8_t state)
{
    return 0x0101010101010101u * state;
}

/* Lets a map hold what it has of the picture and of the filling; returns how many spans are to be
 * computed. */
static int renew(const masked_job *job, const place *p, const uint8_t *sees, uint8_t *holds,
                 char *memory, xv_span *spans)
{
    int count = 0;
    for (int64_t i = 0; i < p->cells;) {
        uint64_t now = 0, then;
        if (i + 8 <= p->cells)
            memcpy(&now, sees + i, 8);
        memcpy(&then, holds + i, 8); /* other states follow the last */
        if ((now == eight(PICTURE) || now == eight(FILLING)) && (!p->held || now == then)) {
            i += 8;
            continue;
        }
        if (sees[i] == BOTH) {
            if (!count || spans[count - 1].to != i)
                spans[count++] = (xv_span){i, i};
            spans[count - 1].to = i + 1;
        } else if (p->held && sees[i] != holds[i]) {
            const size_t at = p->offset + (size_t)i * p->cell_bytes;
            memcpy(memory + at, job->base[sees[i] == FILLING] + at, p->cell_bytes);
        }
        holds[i] = sees[i];
        i++;
    }
    return count;
}

/* The picture through a mask. */
static void blend(const masked_job *job, const float *mask, float *out)
{
    const float *image = job->pictures[0], *fill = job->pictures[1];
    for (int64_t c = 0; c < job->channels; c++)
        for (int64_t i = 0; i < job->area; i++)
            *out++ = mask[i] * *image++ + (1.0f - mask[i]) * *fill++;
}

/* A step that looks at single cells. */
static void run_cells(const masked_job *job, const xn_task *all, const xv_span *spans, int count)
{
    const int64_t channels = all->step->out_shape.dims[3];
    xn_step part = *all->step;
    xn_task task = *all;
    task.step = &part;
    for (int s = 0; s < count; s++) {
        const int64_t skip = spans[s].from * channels;
        part.out_shape = (xn_shape){4, {1, 1, spans[s].to - spans[s].from, channels}};
        for (int i = 0; i < part.n_in; i++)
            task.in[i] = all->in[i] + (job->places[part.in[i]].is_map ? skip : 0);
        task.out = all->out + skip;
        part.run(&task);
    }
}

static void run_mask(void *context, int64_t index, int worker)
{
    masked_job *job = context;
    const xn_schedule *schedule = job->schedule;
    const float *mask = job->masks + index * job->area;
    char *memory = job->memory[worker];
    uint8_t *sees = job->states[worker], *holds = sees + job->cells, *full = holds + job->cells;
    xv_span *spans = job->spans[worker];
    find_cells(job, mask, sees, full, full + schedule->n_buffers);
    blend(job, mask, (float *)(memory + job->input->offset));
    for (int s = 0; s < schedule->n_steps && !xc_stop(&job->call, worker); s++) {
        const xn_step *step = &schedule->steps[s];
        const xn_task task = task_of(job, step, memory, full, index);
        if (!job->local[s] || full[step->out]) {
            step->run(&task);
            continue;
        }
        const place *p = &job->places[step->out];
        const int count = renew(job, p, sees + p->first, holds + p->first, memory, spans);
        if (is_conv(step))
            xn_conv_spans(&task, spans, count);
        else
            run_cells(job, &task, spans, count);
    }
}

/* ------------------------------------------------------------------ the call */

static bool job_alloc(masked_job *job, int workers)
{
    const size_t states =
        2 * (size_t)job->cells + (size_t)job->schedule->n_buffers + job->row + sizeof(uint64_t);
    bool ok = true;
    for (int i = 0; i < 2; i++)
        ok = (job->base[i] = xo_alloc(job->bytes)) && ok;
    for (int i = 0; i < workers; i++) {
        ok = (job->memory[i] = xo_alloc(job->bytes)) && ok;
        ok = (job->states[i] = calloc(states, 1)) && ok;
        ok = (job->spans[i] = malloc((job->spans_room + 1) * sizeof(xv_span))) && ok;
    }
    return ok;
}

static void job_free(masked_job *job, int workers)
{
    for (int i = 0; i < 2; i++)
        xo_free(job->base[i]);
    for (int i = 0; i < workers; i++) {
        xo_free(job->memory[i]);
        free(job->states[i]);
        free(job->spans[i]);
    }
    free(job->places);
    free(job->local);
}

/* Runs all masks; false: no memory. */
static bool run_job(masked_job *job, int64_t n)
{
    const int workers = (int)(job->call.threads < n ? job->call.threads : n);
    job->places = calloc((size_t)job->schedule->n_buffers, sizeof *job->places);
    job->local = calloc((size_t)job->schedule->n_steps, sizeof *job->local);
    bool ok = job->places && job->local;
    if (ok) {
        find_places(job);
        ok = job_alloc(job, workers);
    }
    if (ok) {
        xc_spread(&job->call, workers, 2, run_base, job);
        xc_spread(&job->call, workers, n, run_mask, job);
    }
    job_free(job, workers);
    return ok;
}

xcos_status xcos_net_run_masked(xcos_net *net, const int64_t (*in_dims)[XCOS_MAX_RANK],
                                const float *image, const float *fill, const float *masks,
                                float *const *outputs, int threads, xcos_error *err)
{
    xn_shape shape;
    if (net->n_inputs != 1 || net->values[net->inputs[0]].shape.rank != 4)
        return xcos_fail(err, XCOS_E_ARG, "expected a network with one input (N, C, H, W)");
    xcos_status status = xn_read_shapes(net, in_dims, &shape, err);
    const int64_t n = status == XCOS_OK ? shape.dims[0] : 0;
    if (!n)
        return status;
    masked_job job = {.net = net, .pictures = {image, fill}, .masks = masks, .outputs = outputs,
                      .channels = shape.dims[1], .area = shape.dims[2] * shape.dims[3]};
    xc_open(&job.call, threads);
    if (job.call.threads > MAX_WORKERS)
        job.call.threads = MAX_WORKERS;
    xn_schedule *schedule;
    shape.dims[0] = 1;
    status = xn_schedule_get(&job.call, net, &shape, 1, &schedule, err);
    if (status == XCOS_OK) {
        job.schedule = schedule;
        if (!run_job(&job, n))
            status = xcos_fail(err, XCOS_E_NOMEM, "out of memory: %zu bytes for activations", job.bytes);
        xn_schedule_release(net, schedule);
    }
    return xc_close(&job.call, status, err);
}
