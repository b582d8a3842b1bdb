/* api.c: the bounds that the public API keeps by itself. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core.h"
#include "xcos.h"

static xcos_error err;

/* A network of one input (3, free, free). */
static xcos_net *begin(int *x)
{
    xcos_net *net = NULL;
    const int64_t dims[] = {3, -1, -1};
    CHECK(xcos_net_new(&net, &err) == XCOS_OK);
    CHECK(xcos_net_input(net, "x", 4, dims, x, &err) == XCOS_OK);
    return net;
}

static void test_inputs(void)
{
    xcos_net *net = NULL;
    const int64_t dims[] = {4};
    int id;
    CHECK(xcos_net_new(&net, &err) == XCOS_OK);
    for (int i = 0; i < XCOS_MAX_INPUTS; i++)
        CHECK(xcos_net_input(net, "x", 2, dims, &id, &err) == XCOS_OK);
    CHECK(xcos_net_input(net, "one too many", 2, dims, &id, &err) == XCOS_E_ARG);
    CHECK(strstr(err.text, "'one too many': more than 16 inputs") != NULL);
    CHECK(xcos_net_input(net, "rank", 7, (int64_t[]){1, 1, 1, 1, 1, 1}, &id, &err) == XCOS_E_ARG);
    CHECK(xcos_net_input(net, "size", 2, (int64_t[]){INT64_MAX}, &id, &err) == XCOS_E_ARG);
    /* All sixteen of them run. */
    for (int i = 0; i < XCOS_MAX_INPUTS; i++)
        CHECK(xcos_net_output(net, i, "y", &err) == XCOS_OK);
    CHECK(xcos_net_finish(net, &err) == XCOS_OK);
    int64_t in[XCOS_MAX_INPUTS][XCOS_MAX_RANK] = {{0}};
    float numbers[XCOS_MAX_INPUTS][4], results[XCOS_MAX_INPUTS][4];
    const float *inputs[XCOS_MAX_INPUTS];
    float *outputs[XCOS_MAX_INPUTS];
    for (int i = 0; i < XCOS_MAX_INPUTS; i++) {
        in[i][0] = 1;
        in[i][1] = 4;
        for (int j = 0; j < 4; j++)
            numbers[i][j] = (float)(10 * i + j);
        inputs[i] = numbers[i];
        outputs[i] = results[i];
    }
    CHECK(xcos_net_run(net, (const int64_t(*)[XCOS_MAX_RANK])in, inputs, outputs, 1, &err) ==
          XCOS_OK);
    CHECK(memcmp(numbers, results, sizeof numbers) == 0);
    xcos_net_free(net);
}

static void test_order(void)
{
    int x, y;
    xcos_net *net = begin(&x);
    const int64_t in[1][XCOS_MAX_RANK] = {{1, 3, 2, 2}};
    int rank[1];
    int64_t out[1][XCOS_MAX_RANK];
    CHECK(xcos_net_shapes(net, in, rank, out, &err) == XCOS_E_ARG); /* not finished */
    CHECK(xcos_net_finish(net, &err) == XCOS_E_ARG);                /* no output */
    CHECK(xcos_net_output(net, 7, "y", &err) == XCOS_E_ARG);
    for (int i = 0; i < XCOS_MAX_OUTPUTS; i++)
        CHECK(xcos_net_output(net, x, "y", &err) == XCOS_OK);
    CHECK(xcos_net_output(net, x, "y", &err) == XCOS_E_ARG);
    CHECK(xcos_net_finish(net, &err) == XCOS_OK);
    CHECK(xcos_net_finish(net, &err) == XCOS_E_ARG);
    const xcos_layer relu = {.op = XCOS_OP_RELU, .n_inputs = 1, .inputs = {x}};
    CHECK(xcos_net_layer(net, &relu, &y, &err) == XCOS_E_ARG); /* finished */
    xcos_net_free(net);
    xcos_net_free(NULL);
}

static void test_layers(void)
{
    int x, y;
    xcos_net *net = begin(&x);
    const float numbers[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    const struct {
        xcos_layer layer;
        const char *said;
    } wrong[] = {
        {{.op = XCOS_OP_COUNT, .n_inputs = 1}, "unknown operation"},
        {{.op = (xcos_op)-1, .n_inputs = 1}, "unknown operation"},
        {{.op = XCOS_OP_RELU, .n_inputs = 0}, "needs one input"},
        {{.op = XCOS_OP_RELU, .n_inputs = -1}, "too many inputs"},
        {{.op = XCOS_OP_RELU, .n_inputs = XCOS_MAX_INPUTS + 1}, "too many inputs"},
        {{.op = XCOS_OP_RELU, .n_inputs = 1, .inputs = {9}}, "does not exist"},
        {{.op = XCOS_OP_RELU, .n_inputs = 1, .inputs = {-1}}, "does not exist"},
        {{.op = XCOS_OP_ADD, .n_inputs = 1}, "needs two inputs"},
        {{.op = XCOS_OP_CONCAT, .n_inputs = 1}, "needs 2 to 16 inputs"},
        {{.op = XCOS_OP_CLIP, .n_inputs = 1, .lo = 1, .hi = 0}, "min must not exceed max"},
        {{.op = XCOS_OP_CLIP, .n_inputs = 1, .lo = NAN}, "min must not exceed max"},
        {{.op = XCOS_OP_CONV, .n_inputs = 1}, "weight must have 4 dimensions"},
        {{.op = XCOS_OP_CONV, .n_inputs = 1, .groups = 1, .stride = {1, 1}, .dilation = {1, 1},
          .weight = {numbers, 4, {1, 1, INT64_MAX, 1}}}, "kernel"},
        {{.op = XCOS_OP_CONV, .n_inputs = 1, .groups = 1, .stride = {1, 1}, .dilation = {1, 1},
          .weight = {numbers, 4, {1, INT64_MAX, 1, 1}}}, "too many channels"},
        {{.op = XCOS_OP_LINEAR, .n_inputs = 1, .weight = {numbers, 2, {INT64_MAX, 1}}},
         "too many channels"},
        {{.op = XCOS_OP_PRELU, .n_inputs = 1}, "slope must be a vector"},
        {{.op = XCOS_OP_RESIZE, .n_inputs = 1, .scale = {INFINITY, 1}}, "scales must be"},
        {{.op = XCOS_OP_TRANSPOSE, .n_inputs = 1, .rank = 9}, "perm must name each axis once"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(xcos_net_layer(net, &wrong[i].layer, &y, &err) == XCOS_E_ARG);
        if (!CHECK(strstr(err.text, wrong[i].said) != NULL))
            printf("said: %s\n", err.text);
    }
    CHECK(xcos_net_layer(net, &wrong[0].layer, &y, NULL) == XCOS_E_ARG); /* err may be NULL */
    const xcos_tensor batch = {numbers, 2, {2, 4}};
    CHECK(xcos_net_constant(net, "k", &batch, &y, &err) == XCOS_E_ARG);
    xcos_net_free(net);
}

/* Sizes that are declared, and whose product no number holds: refused when it runs. */
static void test_huge(void)
{
    xcos_net *net = NULL;
    int id;
    const int64_t most = INT64_C(1) << 28, dims[] = {most, most, most, most, most};
    CHECK(xcos_net_new(&net, &err) == XCOS_OK);
    CHECK(xcos_net_input(net, "x", 6, dims, &id, &err) == XCOS_OK);
    const xcos_layer flat = {.op = XCOS_OP_RESHAPE, .n_inputs = 1, .inputs = {id}, .rank = 1, .shape = {-1}};
    CHECK(xcos_net_layer(net, &flat, &id, &err) == XCOS_OK);
    CHECK(xcos_net_output(net, id, "y", &err) == XCOS_OK);
    CHECK(xcos_net_finish(net, &err) == XCOS_OK);
    const int64_t in[1][XCOS_MAX_RANK] = {{1, most, most, most, most, most}};
    int rank[1];
    int64_t out[1][XCOS_MAX_RANK];
    CHECK(xcos_net_shapes(net, in, rank, out, &err) == XCOS_E_LIMIT);
    xcos_net_free(net);
}

static void test_numbers(void)
{
    CHECK(xcos_isa_select("mmx", &err) == XCOS_E_ARG);
    CHECK(xcos_conv_select("fft", &err) == XCOS_E_ARG);
    CHECK(xcos_conv_select(NULL, &err) == XCOS_OK);
    CHECK(xcos_default_threads() >= 1);
    for (int i = 0; i < XCOS_OP_COUNT; i++) {
        const xcos_operator *op = &xcos_operators()[i];
        CHECK(op->name && op->fewest >= 1 && op->fewest <= op->most && op->most <= XCOS_MAX_INPUTS);
        for (const xcos_attribute *a = op->attributes; a->key; a++)
            CHECK(a->type && a->at < sizeof(xcos_layer));
    }
}

void test_api(void)
{
    test_inputs();
    test_order();
    test_layers();
    test_huge();
    test_numbers();
}

/* A network holds copies from finish on, whether its inputs have sizes or not. */
void test_weights(void)
{
    enum { CHANNELS = 20, SIDE = 9 };
    static float weight[CHANNELS * CHANNELS * 9], bias[CHANNELS], slope[CHANNELS], factor[CHANNELS];
    static float x[CHANNELS * SIDE * SIDE], y[2][CHANNELS * SIDE * SIDE];
    for (int side = -1; side <= SIDE; side += SIDE + 1) {
        for (int pass = 0; pass < 2; pass++) {
            xcos_net *net = NULL;
            int id, k;
            for (int i = 0; i < CHANNELS * CHANNELS * 9; i++)
                weight[i] = (float)(i * 7919 % 997) / 997 - 0.5f;
            for (int i = 0; i < CHANNELS; i++)
                bias[i] = slope[i] = factor[i] = (float)(i + 1) / CHANNELS;
            for (int i = 0; i < CHANNELS * SIDE * SIDE; i++)
                x[i] = (float)(i * 31 % 101) / 101 - 0.5f;
            const int64_t dims[] = {CHANNELS, side, side};
            const xcos_tensor constant = {factor, 4, {1, CHANNELS, 1, 1}};
            CHECK(xcos_net_new(&net, &err) == XCOS_OK);
            CHECK(xcos_net_input(net, "x", 4, dims, &id, &err) == XCOS_OK);
            CHECK(xcos_net_constant(net, "k", &constant, &k, &err) == XCOS_OK);
            const xcos_layer prelu = {.op = XCOS_OP_PRELU, .n_inputs = 1, .inputs = {id},
                                      .weight = {slope, 1, {CHANNELS}}};
            CHECK(xcos_net_layer(net, &prelu, &id, &err) == XCOS_OK);
            const xcos_layer mul = {.op = XCOS_OP_MUL, .n_inputs = 2, .inputs = {id, k}};
            CHECK(xcos_net_layer(net, &mul, &id, &err) == XCOS_OK);
            const xcos_layer conv = {.op = XCOS_OP_CONV, .n_inputs = 1, .inputs = {id}, .groups = 1,
                                     .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1},
                                     .weight = {weight, 4, {CHANNELS, CHANNELS, 3, 3}},
                                     .bias = {bias, 1, {CHANNELS}}};
            CHECK(xcos_net_layer(net, &conv, &id, &err) == XCOS_OK);
            CHECK(xcos_net_output(net, id, "y", &err) == XCOS_OK);
            CHECK(xcos_net_finish(net, &err) == XCOS_OK);
            if (pass) {
                memset(weight, 0xff, sizeof weight);
                memset(bias, 0xff, sizeof bias);
                memset(slope, 0xff, sizeof slope);
                memset(factor, 0xff, sizeof factor);
            }
            const int64_t in[1][XCOS_MAX_RANK] = {{1, CHANNELS, SIDE, SIDE}};
            const float *inputs[] = {x};
            float *outputs[] = {y[pass]};
            CHECK(xcos_net_run(net, in, inputs, outputs, 1, &err) == XCOS_OK);
            xcos_net_free(net);
        }
        CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0);
        CHECK(isfinite(y[0][0]) && y[0][0] != 0);
    }
}
