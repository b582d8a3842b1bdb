/* schedule.c: arenas, and the schedules that a network keeps. */
#include "net/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "ops/ops.h"

static xcos_error err;

/* Buffers of random sizes and lifetimes: those that live at once never share memory. */
void test_arena(void)
{
    for (int round = 0; round < 200; round++) {
        const int steps = between(1, 40), buffers = between(1, 60);
        xn_schedule *s = calloc(1, sizeof *s);
        s->n_steps = steps;
        s->n_buffers = buffers;
        s->steps = calloc((size_t)steps, sizeof *s->steps);
        s->buffers = calloc((size_t)buffers, sizeof *s->buffers);
        for (int i = 0; i < buffers; i++)
            s->buffers[i] = (xn_buffer){.kind = between(0, 9) ? XN_ARENA : XN_CONSTANT,
                                        .bytes = (size_t)between(1, 9000), .first = -1, .last = -1};
        for (int i = 0; i < steps; i++) {
            xn_step *step = &s->steps[i];
            step->out = between(0, buffers - 1);
            step->residual = between(-1, buffers - 1);
            step->scratch = between(-1, buffers - 1);
            step->n_in = between(0, 3);
            for (int j = 0; j < step->n_in; j++)
                step->in[j] = between(0, buffers - 1);
        }
        CHECK(xn_lay_out(s));
        for (int i = 0; i < buffers; i++) {
            const xn_buffer *x = &s->buffers[i];
            if (x->kind != XN_ARENA || x->first < 0)
                continue;
            CHECK(x->offset % 64 == 0);
            CHECK(x->offset + x->bytes <= s->arena_bytes);
            for (int j = 0; j < i; j++) {
                const xn_buffer *y = &s->buffers[j];
                const bool together = y->kind == XN_ARENA && y->first >= 0 && x->first <= y->last &&
                                      y->first <= x->last;
                CHECK(!together || x->offset >= y->offset + y->bytes ||
                      y->offset >= x->offset + x->bytes);
            }
        }
        xn_schedule_free(s);
    }
}

/* conv(x) + r, then relu, of sizes that the inputs leave open. */
static xcos_net *residual_net(void)
{
    static float weight[8 * 3 * 9];
    xcos_net *net = NULL;
    int x, r, c, s, y;
    CHECK(xcos_net_new(&net, &err) == XCOS_OK);
    CHECK(xcos_net_input(net, "x", 4, (int64_t[]){3, -1, -1}, &x, &err) == XCOS_OK);
    CHECK(xcos_net_input(net, "r", 4, (int64_t[]){8, -1, -1}, &r, &err) == XCOS_OK);
    const xcos_layer conv = {.op = XCOS_OP_CONV, .n_inputs = 1, .inputs = {x}, .groups = 1,
                             .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1},
                             .weight = {weight, 4, {8, 3, 3, 3}}};
    CHECK(xcos_net_layer(net, &conv, &c, &err) == XCOS_OK);
    CHECK(net->nodes[0].layer.kernel[0] == 3 && net->nodes[0].layer.kernel[1] == 3);
    const xcos_layer add = {.op = XCOS_OP_ADD, .n_inputs = 2, .inputs = {c, r}};
    CHECK(xcos_net_layer(net, &add, &s, &err) == XCOS_OK);
    const xcos_layer relu = {.op = XCOS_OP_RELU, .n_inputs = 1, .inputs = {s}};
    CHECK(xcos_net_layer(net, &relu, &y, &err) == XCOS_OK);
    CHECK(xcos_net_output(net, y, "y", &err) == XCOS_OK);
    CHECK(xcos_net_finish(net, &err) == XCOS_OK);
    return net;
}

static xn_schedule *get(xcos_net *net, int height, int width, int rh, int rw, int threads)
{
    const xn_shape in[2] = {{4, {1, 3, height, width}}, {4, {1, 8, rh, rw}}};
    xn_schedule *schedule = NULL;
    xc_call call;
    xc_open(&call, threads);
    xn_schedule_get(&call, net, in, threads, &schedule, &err);
    xc_close(&call, XCOS_OK, NULL);
    return schedule;
}

/* Steps that compute, by operator. */
static int steps_of(const xn_schedule *schedule, xcos_op op)
{
    int count = 0;
    for (int i = 0; i < schedule->n_steps; i++)
        count += schedule->steps[i].node && schedule->steps[i].node->layer.op == op;
    return count;
}

static int count_of(const xcos_net *net)
{
    int count = 0;
    for (const xn_schedule *s = net->schedules; s; s = s->next)
        count++;
    return count;
}

void test_schedules(void)
{
    xcos_net *net = residual_net();
    xn_schedule *together = get(net, 4, 6, 4, 6, 1), *apart = get(net, 4, 6, 4, 1, 1);
    CHECK(steps_of(together, XCOS_OP_CONV) == 1 && steps_of(together, XCOS_OP_ADD) == 0 &&
          steps_of(together, XCOS_OP_RELU) == 0);
    CHECK(steps_of(apart, XCOS_OP_CONV) == 1 && steps_of(apart, XCOS_OP_ADD) == 1 &&
          steps_of(apart, XCOS_OP_RELU) == 1);
    CHECK(get(net, 4, 6, 6, 4, 1) == NULL);
    CHECK(strstr(err.text, "do not broadcast") != NULL);

    CHECK(get(net, 4, 6, 4, 6, 1) == together); /* kept */
    xn_schedule *other = get(net, 4, 6, 4, 6, 2);
    CHECK(other != together && other->threads == 2);
    CHECK(together->users == 2 && other->users == 1);
    for (int i = 0; i < 20; i++) /* more than are kept: those in use stay */
        xn_schedule_release(net, get(net, i + 1, 6, i + 1, 6, 1));
    CHECK(get(net, 4, 6, 4, 6, 1) == together && together->users == 3);
    CHECK(count_of(net) == 8 + 2); /* apart and other are old, but in use */
    xn_schedule_release(net, apart);
    xn_schedule_release(net, other);
    CHECK(get(net, 4, 6, 4, 6, 1) == together && count_of(net) == 8);

    void *arena = xn_arena_take(net, together);
    xn_arena_give(net, together, arena);
    CHECK(xn_arena_take(net, together) == arena);
    xn_arena_give(net, together, arena);

    /* Shapes are inferred, not planned. */
    const int64_t in[2][XCOS_MAX_RANK] = {{5, 3, 40, 60}, {5, 8, 40, 1}};
    int rank[1];
    int64_t out[1][XCOS_MAX_RANK];
    const xn_schedule *first = net->schedules;
    CHECK(xcos_net_shapes(net, in, rank, out, &err) == XCOS_OK);
    CHECK(rank[0] == 4 && out[0][0] == 5 && out[0][1] == 8 && out[0][2] == 40 && out[0][3] == 60);
    CHECK(net->schedules == first && first->in_shapes[0].dims[2] != 40);
    xcos_net_free(net);
}

/* What pick.c chooses, for tables with and without vectors. */
void test_pick(void)
{
    static const xv_geometry conv3 = {.n = 1, .h = 56, .w = 56, .c = 64, .oh = 56, .ow = 56, .o = 64,
                                      .kh = 3, .kw = 3, .sy = 1, .sx = 1, .dy = 1, .dx = 1,
                                      .top = 1, .left = 1, .groups = 1};
    xv_geometry strided = conv3, thin = conv3, depthwise = conv3, pointwise = conv3, small = conv3;
    strided.sy = strided.sx = 2;
    strided.oh = strided.ow = 28;
    thin.c = 3;
    depthwise.groups = 64;
    pointwise.kh = pointwise.kw = 1;
    pointwise.top = pointwise.left = 0;
    small.h = small.w = small.oh = small.ow = 2;
    const struct {
        xv_geometry g;
        bool exact;
        const xv_algorithm *vectors, *plain;
    } cases[] = {{conv3, false, &xv_winograd4, &xv_columns},
                 {conv3, true, &xv_tiles, &xv_columns},
                 {small, false, &xv_winograd2, &xv_columns},
                 {strided, false, &xv_tiles, &xv_columns},
                 {thin, false, &xv_tiles, &xv_columns},
                 {depthwise, false, &xv_depthwise, &xv_depthwise},
                 {pointwise, false, &xv_tiles, &xv_columns}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int vectors = 0; vectors < 2; vectors++) {
            xk_table table = xk_generic;
            table.mac_cost = vectors ? 1 : xk_generic.mac_cost;
            xv_plan plan = {.kernels = &table, .g = cases[i].g, .exact = cases[i].exact, .threads = 2};
            xv_pick(&plan);
            const xv_algorithm *expected = vectors ? cases[i].vectors : cases[i].plain;
            CHECK(plan.algorithm == expected);
        }
    CHECK(xv_pick_for_all(&xk_generic, &conv3, XK_FP32) == NULL); /* depends on the size of the map */
    CHECK(xv_pick_for_all(&xk_generic, &depthwise, XK_FP32) == &xv_depthwise);
    CHECK(xv_pick_for_all(&xk_generic, &strided, XK_FP32) == &xv_columns);
    CHECK(xv_pick_for_all(&xk_generic, &pointwise, XK_INT8) == &xv_int8);
    CHECK(xv_pick_for_all(&xk_generic, &pointwise, XK_BF16) == &xv_bf16);
    CHECK(xv_pick_for_all(&xk_generic, &depthwise, XK_INT8) == &xv_depthwise);
}
