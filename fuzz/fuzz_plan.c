/* fuzz_plan.c: plans of layers, sound and unsound, built and run through the public API.
 *
 * The input is read as a program: each byte chooses something, the end of the input reads as
 * zeros. Sizes are drawn from a table of likely and of hostile ones. What can be built and
 * is small enough is run twice, with one thread and with two, and must not differ. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xcos.h"

enum { MAX_VALUES = 24, POOL = 1 << 14, MOST = 1 << 20 };

static float pool[POOL]; /* all weights are stretches of this */

typedef struct {
    const uint8_t *p, *end;
} reader;

static int byte(reader *r)
{
    return r->p < r->end ? *r->p++ : 0;
}

static int small(reader *r)
{
    static const int sizes[] = {1, 1, 2, 3, 3, 4, 5, 7, 8, 9, 14, 16, 17, 24, 32, 33};
    return sizes[byte(r) % 16];
}

static int64_t size(reader *r)
{
    static const int64_t odd[] = {0, -1, INT64_MAX, INT64_MIN, 1 << 15, 1 << 28, INT64_C(1) << 31,
                                  INT64_C(1) << 40};
    const int b = byte(r);
    return b < 240 ? (int64_t[]){1, 2, 3, 4, 5, 7, 8, 9, 14, 16, 17, 24, 28, 32, 33, 56}[b % 16]
                   : odd[b % 8];
}

static int window(reader *r)
{
    const int b = byte(r);
    return b < 230 ? b % 5 : (int)(int32_t)size(r);
}

static xcos_tensor tensor(reader *r, int rank, const int64_t *dims)
{
    xcos_tensor t = {.data = pool + byte(r), .rank = rank};
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        t.dims[i] = dims[i];
        if (dims[i] > 0 && dims[i] <= POOL)
            count *= dims[i];
        if (dims[i] > POOL || count > POOL - 256) /* the caller owes memory for what it claims */
            t.data = NULL;
        count = count > POOL ? POOL : count;
    }
    return t;
}

static xcos_layer layer(reader *r, int values)
{
    xcos_layer l = {.op = (xcos_op)(byte(r) % (XCOS_OP_COUNT + 1)), .name = "layer"};
    l.n_inputs = 1 + ((l.op >= XCOS_OP_ADD && l.op <= XCOS_OP_MINIMUM) || l.op == XCOS_OP_MATMUL);
    if (l.op == XCOS_OP_CONCAT)
        l.n_inputs = byte(r) % 4;
    if (byte(r) > 250)
        l.n_inputs = byte(r) % (XCOS_MAX_INPUTS + 3);
    for (int i = 0; i < l.n_inputs && i < XCOS_MAX_INPUTS; i++) {
        const int back = byte(r);
        l.inputs[i] = back < 250 ? values - 1 - back % 3 : back - 252;
    }
    for (int i = 0; i < 2; i++) {
        l.kernel[i] = window(r);
        l.stride[i] = byte(r) < 160 ? 1 : window(r);
        l.dilation[i] = byte(r) < 200 ? 1 : window(r);
        l.scale[i] = (float[]){1, 2, 0.5f, 3, 1.5f, 1024, NAN, 0, -1, INFINITY}[byte(r) % 10];
    }
    for (int i = 0; i < 4; i++)
        l.pad[i] = byte(r) < 100 ? 0 : window(r);
    const int outputs = small(r), inputs = small(r), groups = byte(r);
    l.groups = groups < 120 ? 1 : groups < 200 ? outputs : window(r);
    l.count_include_pad = l.transposed = byte(r) & 1;
    l.axis = byte(r) < 220 ? 1 + byte(r) % 3 : window(r) / 2;
    l.start = byte(r) % 8 - 4;
    l.stop = byte(r) < 200 ? 1 + byte(r) % 8 : size(r);
    l.rank = byte(r) < 240 ? 1 + byte(r) % 5 : byte(r) - 3;
    for (int i = 0; i < XCOS_MAX_RANK; i++) {
        l.perm[i] = i ? byte(r) % 6 : 0;
        l.shape[i] = size(r);
    }
    l.epsilon = 1e-5f;
    l.lo = -1;
    l.alpha = 2;
    l.hi = byte(r) < 200 ? 1 : -2;
    const int64_t vector[] = {outputs};
    if (l.op == XCOS_OP_CONV)
        l.weight = tensor(r, 4, (int64_t[]){outputs, groups < 120 ? inputs : 1, l.kernel[0], l.kernel[1]});
    else if (l.op == XCOS_OP_LINEAR)
        l.weight = tensor(r, 2, (int64_t[]){outputs, inputs});
    else if (l.op == XCOS_OP_PRELU)
        l.weight = tensor(r, 1, vector);
    if (byte(r) & 1)
        l.bias = tensor(r, 1, vector);
    l.gamma = tensor(r, 1, vector);
    l.beta = tensor(r, 1, vector);
    l.mean = tensor(r, 1, vector);
    l.var = tensor(r, 1, vector);
    return l;
}

static int build(xcos_net *net, reader *r, int64_t (*dims)[XCOS_MAX_RANK], int *inputs)
{
    xcos_error err;
    int id, values = 0;
    *inputs = 1 + (byte(r) > 200);
    for (int i = 0; i < *inputs; i++) {
        const int rank = byte(r) < 200 ? 4 : 1 + byte(r) % 6;
        int64_t declared[XCOS_MAX_RANK];
        dims[i][0] = 1 + byte(r) % 3;
        for (int j = 1; j < rank; j++) {
            dims[i][j] = size(r);
            declared[j - 1] = byte(r) < 128 ? dims[i][j] : -1;
        }
        if (xcos_net_input(net, "x", rank, declared, &id, &err))
            return -1;
        values++;
    }
    while (r->p < r->end && values < MAX_VALUES) {
        xcos_status status;
        if (byte(r) > 230) {
            const int64_t one[] = {1, small(r), 1, byte(r) % 2 ? 1 : size(r)};
            const xcos_tensor t = tensor(r, byte(r) % 5, one);
            status = t.data ? xcos_net_constant(net, "k", &t, &id, &err) : XCOS_E_ARG;
        } else {
            const xcos_layer l = layer(r, values);
            status = xcos_net_layer(net, &l, &id, &err);
        }
        values += status == XCOS_OK;
    }
    for (int i = 1; i <= 1 + (values > 3); i++)
        if (xcos_net_output(net, values - i, "y", &err))
            return -1;
    return xcos_net_finish(net, &err) ? -1 : 1 + (values > 3);
}

static void run(xcos_net *net, int inputs, int outputs, const int64_t (*dims)[XCOS_MAX_RANK])
{
    int ranks[2];
    int64_t shapes[2][XCOS_MAX_RANK], counts[2];
    float *in[2] = {NULL}, *out[2][2] = {{NULL}};
    xcos_error err;
    if (xcos_net_shapes(net, dims, ranks, shapes, &err))
        return;
    int64_t total = 0;
    for (int i = 0; i < outputs; i++) {
        counts[i] = 1;
        for (int j = 0; j < ranks[i]; j++)
            counts[i] *= shapes[i][j];
        total += counts[i];
    }
    for (int i = 0; i < inputs && total < MOST; i++) {
        int64_t count = 1;
        for (int j = 0; j < XCOS_MAX_RANK && dims[i][j] && count < MOST; j++)
            count *= dims[i][j];
        total += count;
        if (total < MOST) {
            in[i] = malloc((size_t)count * sizeof(float));
            for (int64_t k = 0; k < count; k++)
                in[i][k] = pool[k % POOL];
        }
    }
    if (total < MOST) {
        xcos_status status[2];
        for (int t = 0; t < 2; t++) {
            for (int i = 0; i < outputs; i++)
                out[t][i] = malloc((size_t)counts[i] * sizeof(float) + 1);
            status[t] = xcos_net_run(net, dims, (const float *const *)in, out[t], 1 + t, &err);
        }
        if (status[0] != status[1])
            abort();
        for (int i = 0; i < outputs && status[0] == XCOS_OK; i++)
            if (memcmp(out[0][i], out[1][i], (size_t)counts[i] * sizeof(float)))
                abort();
    }
    for (int i = 0; i < 2; i++) {
        free(in[i]);
        free(out[0][i]);
        free(out[1][i]);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < POOL; i++) /* positive, so that they will do as variances */
        pool[i] = (float)(i * 7919 % 997 + 1) / 997;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    reader r = {data, data + length};
    int64_t dims[XCOS_MAX_INPUTS][XCOS_MAX_RANK] = {{0}};
    int inputs;
    xcos_net *net;
    xcos_error err;
    if (xcos_net_new(&net, &err))
        return 0;
    const int outputs = build(net, &r, dims, &inputs);
    if (outputs > 0)
        run(net, inputs, outputs, (const int64_t(*)[XCOS_MAX_RANK])dims);
    xcos_net_free(net);
    return 0;
}
