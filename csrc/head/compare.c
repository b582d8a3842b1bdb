/* compare.c: pairs of faces through the head: what runs on which thread, and errors.
 *
 * xcos_head_compare takes pairs in blocks of `lanes`, both faces of each prepared on the
 * spot.  xcos_head_compare_all prepares a chunk of each side, then goes through their
 * pairs; chunks bound the memory to 2 * CHUNK_FLOATS floats and some.  Where the first side is
 * one run at most, as in a search, each block of second faces is compared as soon as it is
 * prepared, while the cache holds it.  Embeddings are brought to length 1 once per face there;
 * the products of a run with a block are one sgemm. */
#include "head/head.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "blas.h"
#include "os/memory.h"
#include "pool.h"

enum {
    CHUNK_FLOATS = 1 << 22, /* of records on one side: 16 MiB, 1,747 faces of 7x7x32 */
    RUN = 5 * XK_PAIR_ROWS, /* first faces that one call of the loop compares with a block */
    STRIP = 256,            /* values of a record that are spread over a block's lanes at once: 16 KiB of it */
    MAX_WORKERS = 256,      /* each has some 300 KiB of scratch */
    MAX_EMBEDDING = 1 << 20,
};

/* No face, no pair: above all numbers of those. */
#define NONE INT64_MAX

typedef struct {
    const xcos_head *head;
    const float *a, *b; /* of the whole call */
    const float *a_whole, *b_whole; /* embeddings of `size` numbers; size 0: they don't count */
    int size;
    int64_t m;          /* columns of the result; compare has one row of n */
    float *scores, *cosine, *attention;
    int64_t a0, a_count, b0, b_count; /* the chunk at hand */
    float *a_records, *b_blocks;
    float *a_unit, *b_unit; /* the chunk's embeddings, of length 1 */
    float *scratch; /* per worker: prepare's, records of a block, products of embeddings, the kernel's results */
    size_t scratch_size, record, products, results;
    /* The first face with a value that is not finite, the first pair whose score is not. */
    _Atomic int64_t bad_a, bad_b, bad_pair;
    xc_call call;
} job;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static size_t face_size(const xcos_head *h)
{
    return (size_t)h->cells * (size_t)h->depth;
}

static void prepare_face(job *j, bool second, int64_t face, float *scratch, float *record)
{
    const float *faces = second ? j->b : j->a;
    if (!xh_prepare(&j->call, j->head, faces + (size_t)face * face_size(j->head), second, scratch,
                    record))
        xh_lower(second ? &j->bad_b : &j->bad_a, face);
}

/* One record in the lanes of a block from `first` on, in whole vectors: a lone face is all of it. */
static void fill_lanes(const float *record, size_t values, int first, int lanes, float *restrict block)
{
    for (size_t v = 0; v < values; v++, block += lanes)
        for (int i = first / XK_PAIR_LANES * XK_PAIR_LANES; i < lanes; i += XK_PAIR_LANES)
            for (int l = 0; l < XK_PAIR_LANES; l++)
                block[i + l] = record[v];
}

/* Faces from..from+count-1 of one side as a block of lanes, the last filling what is left. All
 * are prepared first, then spread over the lanes strip by strip, so that each line of the block,
 * which no first-level cache holds, leaves that once. */
static void prepare_block(job *j, bool second, int64_t from, int count, float *scratch,
                          float *restrict block)
{
    const int lanes = j->head->kernels->pairs.lanes;
    const size_t values = j->head->values;
    float *const records = scratch + j->record;
    for (int l = 0; l < count; l++)
        prepare_face(j, second, from + l, scratch, records + (size_t)l * values);
    if (count < lanes) {
        count--;
        fill_lanes(records + (size_t)count * values, values, count, lanes, block);
    }
    for (size_t v = 0; v < values; v += STRIP) {
        const size_t end = v + STRIP < values ? v + STRIP : values;
        for (int l = 0; l < count; l++)
            for (size_t at = v; at < end; at++)
                block[at * (size_t)lanes + (size_t)l] = records[(size_t)l * values + at];
    }
}

/* A cosine, or a mean of such: rounding can put it a little beyond 1. Keeps NaN. */
static float within_one(float x)
{
    return x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x;
}

/* The sum of a[i]*b[i]; of floats it is finite when they are. */
static double dot(const float *a, const float *b, int size)
{
    double sum = 0;
    for (int i = 0; i < size; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* An embedding of length 1, or 0 where it is 0.  false: a value is not finite. */
static bool make_unit(const float *x, int size, float *restrict unit)
{
    const double norm = sqrt(dot(x, x, size)), scale = norm > 0 ? 1 / norm : 0;
    for (int i = 0; i < size; i++)
        unit[i] = (float)(x[i] * scale);
    return isfinite(norm);
}

/* Faces of a group: as many blocks as the kernel takes. */
static int group_of(const xcos_head *h)
{
    return h->kernels->pairs.lanes * XK_PAIR_BLOCKS;
}

/* Compares `rows` first faces with `count` second ones, a group of blocks at most, and writes what the
 * caller sees.  whole [rows][group]: cosines of their embeddings. */
static void compare_tile(job *j, const float *const *a, int rows, int a_stride, const float *blocks,
                         int64_t row, int64_t col, int count, const float *whole, float *results)
{
    const xcos_head *h = j->head;
    const int lanes = h->kernels->pairs.lanes, group = group_of(h);
    const size_t cells = (size_t)h->cells, map = cells * (size_t)lanes;
    float *scores = results, *attention = scores + XK_PAIR_ROWS * group;
    float *cosine = j->cosine ? attention + XK_PAIR_ROWS * XK_PAIR_BLOCKS * map : NULL;
    h->kernels->pairs.run(&h->pairs, a, rows, a_stride, blocks, (count + lanes - 1) / lanes, scores,
                          cosine, attention);
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < count; k++) {
            const int64_t pair = (row + i) * j->m + col + k;
            const int place = k / lanes * rows + i, l = k % lanes;
            const size_t from = (size_t)place * map + (size_t)l, to = (size_t)pair * cells;
            float score = scores[place * lanes + l];
            if (!isfinite(score))
                xh_lower(&j->bad_pair, pair);
            if (j->size)
                score = (1 - h->whole) * score + h->whole * whole[i * group + k];
            j->scores[pair] = within_one(score);
            if (j->cosine)
                for (size_t cell = 0; cell < cells; cell++)
                    j->cosine[to + cell] = within_one(cosine[from + cell * (size_t)lanes]);
            if (j->attention)
                for (size_t cell = 0; cell < cells; cell++)
                    j->attention[to + cell] = attention[from + cell * (size_t)lanes];
        }
}

/* ---------------------------------------------------------------- the loops */

static void prepare_first(void *context, int64_t index, int worker)
{
    job *j = context;
    if (xc_stop(&j->call, worker))
        return;
    float *record = j->a_records + (size_t)index * j->head->values;
    prepare_face(j, false, j->a0 + index, j->scratch + (size_t)worker * j->scratch_size, record);
    if (j->size && !make_unit(j->a_whole + (j->a0 + index) * j->size, j->size,
                              j->a_unit + index * j->size))
        xh_lower(&j->bad_a, j->a0 + index);
}

/* Second faces from..to-1 of the chunk as blocks, and their embeddings. */
static void prepare_columns(job *j, int64_t from, int64_t to, int worker, float *blocks, float *unit)
{
    const int64_t lanes = j->head->kernels->pairs.lanes;
    for (int64_t i = from; i < to; i += lanes)
        prepare_block(j, true, j->b0 + i, (int)smaller(lanes, to - i),
                      j->scratch + (size_t)worker * j->scratch_size,
                      blocks + (size_t)(i - from) * j->head->values);
    for (int64_t i = from; j->size && i < to; i++)
        if (!make_unit(j->b_whole + (j->b0 + i) * j->size, j->size, unit + (i - from) * j->size))
            xh_lower(&j->bad_b, j->b0 + i);
}

/* Compares first faces from..to-1 of the chunk, one run at most, with the group of `count`
 * second ones from `col` on. */
static void compare_columns(job *j, int64_t from, int64_t to, int64_t col, int count, int worker,
                            const float *blocks, const float *unit)
{
    const int group = group_of(j->head);
    float *scratch = j->scratch + (size_t)worker * j->scratch_size;
    float *products = scratch + j->products;
    if (j->size)
        xb_multiply((int)(to - from), count, j->size, j->a_unit + from * j->size, j->size, unit,
                    j->size, true, products, group);
    for (int64_t i = from; i < to; i += XK_PAIR_ROWS) {
        const int rows = (int)smaller(XK_PAIR_ROWS, to - i);
        const float *a[XK_PAIR_ROWS];
        for (int r = 0; r < rows; r++)
            a[r] = j->a_records + (size_t)(i + r) * j->head->values;
        compare_tile(j, a, rows, 1, blocks, j->a0 + i, j->b0 + col, count,
                     products + (i - from) * group, scratch + j->results);
    }
}

static void prepare_second(void *context, int64_t index, int worker)
{
    job *j = context;
    if (xc_stop(&j->call, worker))
        return;
    const int64_t from = index * j->head->kernels->pairs.lanes;
    prepare_columns(j, from, smaller(from + j->head->kernels->pairs.lanes, j->b_count), worker,
                    j->b_blocks + (size_t)from * j->head->values, j->b_unit + from * j->size);
}

/* Index: group of second faces, run of first ones, the latter faster. */
static void compare_run(void *context, int64_t index, int worker)
{
    job *j = context;
    if (xc_stop(&j->call, worker))
        return;
    const int group = group_of(j->head);
    const int64_t runs = (j->a_count + RUN - 1) / RUN, col = index / runs * group;
    const int64_t from = index % runs * RUN;
    compare_columns(j, from, smaller(from + RUN, j->a_count), col,
                    (int)smaller(group, j->b_count - col), worker,
                    j->b_blocks + (size_t)col * j->head->values, j->b_unit + col * j->size);
}

/* Index: group of second faces, prepared in the worker's own memory. */
static void compare_few(void *context, int64_t index, int worker)
{
    job *j = context;
    if (xc_stop(&j->call, worker))
        return;
    const int64_t group = group_of(j->head);
    const int64_t from = index * group, to = smaller(from + group, j->b_count);
    float *blocks = j->b_blocks + (size_t)(worker * group) * j->head->values;
    float *unit = j->b_unit + worker * group * j->size;
    prepare_columns(j, from, to, worker, blocks, unit);
    if (j->bad_a == NONE && j->bad_b == NONE)
        compare_columns(j, 0, j->a_count, from, (int)(to - from), worker, blocks, unit);
}

static void compare_block(void *context, int64_t index, int worker)
{
    job *j = context;
    if (xc_stop(&j->call, worker))
        return;
    const int lanes = j->head->kernels->pairs.lanes;
    const size_t block = (size_t)lanes * j->head->values;
    const int64_t from = index * lanes;
    const int count = (int)smaller(lanes, j->m - from);
    float *scratch = j->scratch + (size_t)worker * j->scratch_size;
    float *a = j->a_records + (size_t)worker * block, *b = j->b_blocks + (size_t)worker * block;
    if (count > 1)
        prepare_block(j, false, from, count, scratch, a);
    else /* one record does for all lanes, and costs no copies */
        prepare_face(j, false, from, scratch, a);
    prepare_block(j, true, from, count, scratch, b);
    float *cosines = scratch + j->products;
    for (int l = 0; j->size && l < count; l++) {
        const float *x = j->a_whole + (from + l) * j->size, *y = j->b_whole + (from + l) * j->size;
        const double xx = dot(x, x, j->size), yy = dot(y, y, j->size);
        if (!isfinite(xx))
            xh_lower(&j->bad_a, from + l);
        if (!isfinite(yy))
            xh_lower(&j->bad_b, from + l);
        const double norms = sqrt(xx) * sqrt(yy);
        cosines[l] = norms > 0 ? (float)(dot(x, y, j->size) / norms) : 0;
    }
    compare_tile(j, (const float *const[]){a}, 1, count > 1 ? lanes : 1, b, 0, from, count, cosines,
                 scratch + j->results);
}

/* ------------------------------------------------------------------ the API */

/* Scratch for `workers`; records of a_faces and b_faces, and their embeddings of `unit` numbers. */
static bool job_alloc(job *j, int workers, size_t a_faces, size_t b_faces, size_t unit)
{
    const size_t lanes = (size_t)j->head->kernels->pairs.lanes, cells = (size_t)j->head->cells;
    const size_t maps = j->cosine ? 2 : 1;
    j->record = xh_scratch_size(j->head);
    j->products = j->record + (size_t)smaller((int64_t)lanes, j->m) * j->head->values;
    const size_t group = lanes * XK_PAIR_BLOCKS;
    j->results = (j->products + (j->size ? RUN * group : 0) + 15) / 16 * 16;
    j->scratch_size = j->results + XK_PAIR_ROWS * group * (1 + maps * cells);
    j->scratch = xh_alloc((size_t)workers * j->scratch_size);
    j->a_records = xh_alloc(a_faces * j->head->values);
    j->b_blocks = xh_alloc(b_faces * j->head->values);
    j->a_unit = xh_alloc(a_faces * unit);
    j->b_unit = xh_alloc(b_faces * unit);
    return j->scratch && j->a_records && j->b_blocks && j->a_unit && j->b_unit;
}

/* Names the value of a face that is not finite: in its grid, else in its embedding. */
static xcos_status not_finite(const job *j, const char *name, const float *faces,
                              const float *whole, int64_t face, xcos_error *err)
{
    const xcos_head *h = j->head;
    const size_t size = face_size(h);
    const float *x = faces + (size_t)face * size;
    size_t i = 0;
    while (i < size && isfinite(x[i]))
        i++;
    if (i == size && j->size) {
        const float *e = whole + face * j->size;
        int k = 0;
        while (k + 1 < j->size && isfinite(e[k]))
            k++;
        return xcos_fail(err, XCOS_E_ARG,
                         "embedding %s[%" PRId64 ", %d] is %g, expected finite features", name,
                         face, k, (double)e[k]);
    }
    i = i < size ? i : size - 1; /* where somebody changed the face meanwhile */
    const int cell = (int)(i % (size_t)h->cells);
    return xcos_fail(err, XCOS_E_ARG,
                     "%s[%" PRId64 ", %zu, %d, %d] is %g, expected finite features", name, face,
                     i / (size_t)h->cells, cell / h->width, cell % h->width, (double)x[i]);
}

static xcos_status found(const job *j, bool paired, xcos_error *err)
{
    const int64_t a = j->bad_a, b = j->bad_b, pair = j->bad_pair;
    if (a != NONE)
        return not_finite(j, "a", j->a, j->a_whole, a, err);
    if (b != NONE)
        return not_finite(j, "b", j->b, j->b_whole, b, err);
    if (pair != NONE)
        return xcos_fail(err, XCOS_E_ARG,
                         "a[%" PRId64 "] and b[%" PRId64 "]: features so large that the attention "
                         "overflows float32",
                         paired ? pair : pair / j->m, pair % j->m);
    return XCOS_OK;
}

static xcos_status job_end(job *j, bool allocated, bool paired, xcos_error *err)
{
    xo_free(j->scratch);
    xo_free(j->a_records);
    xo_free(j->b_blocks);
    xo_free(j->a_unit);
    xo_free(j->b_unit);
    const xcos_status status =
        !allocated ? xcos_fail(err, XCOS_E_NOMEM, "head: out of memory")
        : j->call.stop || j->call.torn ? XCOS_OK /* xc_close has the word */
                                       : found(j, paired, err);
    return xc_close(&j->call, status, err);
}

/* Checks the arguments of a call and begins its job. */
static xcos_status job_begin(job *j, int64_t n, const xcos_embeddings *whole, xcos_error *err)
{
    if (n < 0 || j->m < 0)
        return xcos_fail(err, XCOS_E_ARG, "head: %" PRId64 " and %" PRId64 " faces", n, j->m);
    if (n && j->m && (!j->a || !j->b || !j->scores))
        return xcos_fail(err, XCOS_E_ARG, "head: faces or scores are NULL");
    if (j->head->whole > 0) {
        if (!whole)
            return xcos_fail(err, XCOS_E_ARG, "head: whole is %g, expected embeddings with the grids",
                             j->head->whole);
        if (whole->size < 1 || whole->size > MAX_EMBEDDING)
            return xcos_fail(err, XCOS_E_ARG, "head: embeddings of %d numbers, expected 1 to %d",
                             whole->size, MAX_EMBEDDING);
        j->a_whole = whole->a;
        j->b_whole = whole->b;
        j->size = whole->size;
        if (n && j->m && (!whole->a || !whole->b))
            return xcos_fail(err, XCOS_E_ARG, "head: embeddings are NULL");
    }
    j->bad_a = j->bad_b = j->bad_pair = NONE;
    return XCOS_OK;
}

/* Opens the job's call for loops of at most `count` rounds; returns how many threads have scratch. */
static int open_call(job *j, int threads, int64_t count)
{
    xc_open(&j->call, count == 1 ? 1 : threads); /* the default is not worth its look-up for a pair */
    return (int)smaller(smaller(j->call.threads, MAX_WORKERS), count);
}

xcos_status xcos_head_compare_all(const xcos_head *h, const float *a, int64_t n, const float *b,
                                  int64_t m, const xcos_embeddings *whole, float *scores,
                                  float *cosine, float *attention, int threads, xcos_error *err)
{
    job j = {.head = h, .a = a, .b = b, .m = m, .scores = scores, .cosine = cosine,
             .attention = attention};
    const xcos_status status = job_begin(&j, n, whole, err);
    if (status != XCOS_OK || !n || !m)
        return status;
    const int64_t lanes = h->kernels->pairs.lanes, group = group_of(h);
    const int64_t fit = (int64_t)(CHUNK_FLOATS / (h->values + (size_t)j.size)) / group * group;
    const int64_t chunk = fit > group ? fit : group;
    const bool few = n <= smaller(chunk, RUN); /* then there is one chunk of second faces: all */
    const int64_t a_chunk = smaller(chunk, n), b_all = (m + lanes - 1) / lanes * lanes;
    const int64_t b_chunk = few ? b_all : smaller(chunk, b_all);
    const int64_t tiles = (b_chunk + group - 1) / group * ((a_chunk + RUN - 1) / RUN);
    const int workers = open_call(&j, threads, a_chunk > tiles ? a_chunk : tiles);
    const bool allocated = job_alloc(&j, workers, (size_t)a_chunk,
                                     (size_t)(few ? workers * group : b_chunk), (size_t)j.size);
    for (j.a0 = 0; allocated && j.a0 < n; j.a0 += chunk) {
        j.a_count = smaller(chunk, n - j.a0);
        xc_spread(&j.call, workers, j.a_count, prepare_first, &j);
        for (j.b0 = 0; j.b0 < m; j.b0 += b_chunk) {
            j.b_count = smaller(b_chunk, m - j.b0);
            const int64_t blocks = (j.b_count + lanes - 1) / lanes;
            const int64_t groups = (j.b_count + group - 1) / group;
            if (few)
                xc_spread(&j.call, workers, groups, compare_few, &j);
            else
                xc_spread(&j.call, workers, blocks, prepare_second, &j);
            if (j.bad_a != NONE || j.bad_b != NONE || j.call.stop || j.call.torn)
                return job_end(&j, allocated, false, err);
            if (!few)
                xc_spread(&j.call, workers, groups * ((j.a_count + RUN - 1) / RUN), compare_run,
                          &j);
        }
    }
    return job_end(&j, allocated, false, err);
}

xcos_status xcos_head_compare(const xcos_head *h, const float *a, const float *b, int64_t n,
                              const xcos_embeddings *whole, float *scores, float *cosine,
                              float *attention, int threads, xcos_error *err)
{
    job j = {.head = h, .a = a, .b = b, .m = n, .scores = scores, .cosine = cosine,
             .attention = attention};
    const xcos_status status = job_begin(&j, n, whole, err);
    if (status != XCOS_OK || !n)
        return status;
    const int lanes = h->kernels->pairs.lanes;
    const int64_t blocks = (n + lanes - 1) / lanes;
    const int workers = open_call(&j, threads, blocks);
    const size_t faces = (size_t)workers * (size_t)lanes;
    const bool allocated = job_alloc(&j, workers, faces, faces, 0);
    if (allocated)
        xc_spread(&j.call, workers, blocks, compare_block, &j);
    return job_end(&j, allocated, true, err);
}
