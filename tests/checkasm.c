/* checkasm.c: every kernel of every table that the machine has, against double precision
 * or the plain C kernel, on random data that ends at unreadable pages.
 *
 *     checkasm           checks; exit code 0 when all agree
 *     checkasm --bench   speeds, and shares of the measured peak
 *     checkasm --peak    the peak alone, GFLOP/s of one core, best instruction set
 *
 * Built by test_kernels.py, which names the sources. */
#include "checkasm.h"
#include "xcos.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const xk_table *table;
static int failures;
static float worst; /* of the check at hand, relative to the size of its sums */

/* ---- random numbers and guarded memory -------------------------------------------------- */

static uint64_t seed = 1;

static uint32_t random32(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static int between(int lo, int hi) /* both included */
{
    return lo + (int)(random32() % (uint32_t)(hi - lo + 1));
}

float uniform(void)
{
    return (float)random32() / 2147483648.0f - 1.0f;
}

static struct {
    void *at;
    size_t size;
} blocks[64];
static int block_count;

float *guarded(size_t count, enum side side)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = count * sizeof(float);
    size_t inner = (bytes + page - 1) / page * page, all = inner + 2 * page;
    char *at = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || block_count == 64 ||
        mprotect(at + page, inner, PROT_READ | PROT_WRITE) != 0) {
        fprintf(stderr, "checkasm: no memory\n");
        exit(2);
    }
    blocks[block_count].at = at;
    blocks[block_count++].size = all;
    float *first = (float *)(at + page + (side == BACK ? inner - bytes : 0));
    for (size_t i = 0; i < count; i++)
        first[i] = uniform();
    return first;
}

void release(void)
{
    while (block_count > 0) {
        block_count--;
        munmap(blocks[block_count].at, blocks[block_count].size);
    }
}

static float *padded(int count, enum side side) /* bias and slope: to multiples of 32 */
{
    return guarded((size_t)(count + 31) / 32 * 32, side);
}

/* ---- comparing ------------------------------------------------------------------------- */

static void report(const char *format, int a, int b, int c, int d)
{
    if (failures++ < 20) {
        printf("FAIL %s ", table->isa);
        printf(format, a, b, c, d);
        printf("\n");
    }
}

/* Rounding errors grow with the number of terms, here in units of the usual size of a sum. */
static int close_to(double got, double want, double scale)
{
    double error = fabs(got - want) / scale;
    if (error > worst)
        worst = (float)error;
    return error < 2e-6; /* false for NaN */
}

static const float CANARY = 12345.678f;

/* The epilogue of combination `k` (0..11), for `count` channels. */
static xk_epilogue epilogue(int k, int count, const float *residual, enum side side)
{
    xk_epilogue e = {.lo = -0.5f, .hi = 0.75f};
    e.bias = k & 1 ? padded(count, side) : NULL;
    e.residual = k & 2 ? residual : NULL;
    e.activation = (xk_activation)(k >> 2);
    e.slope = e.activation == XK_PRELU ? padded(count, side) : NULL;
    return e;
}

static double finished(double x, int c, const float *residual, const xk_epilogue *e)
{
    x += e->bias ? e->bias[c] : 0.0;
    x += residual ? residual[c] : 0.0;
    if (e->activation == XK_PRELU)
        return x < 0 ? x * e->slope[c] : x;
    return e->activation == XK_CLIP ? fmin(fmax(x, e->lo), e->hi) : x;
}

/* ---- gemm -------------------------------------------------------------------------------- */

static void check_gemm_once(int m, int n, int k, enum side side)
{
    static const int depths[] = {1, 3, 4, 7, 16, 33, 70};
    const int depth = depths[between(0, 6)], taps = between(1, 3), nr = table->nr;
    const int ldy = n + between(0, 5), ldr = n + between(0, 5);
    const float *w = guarded((size_t)taps * depth * nr, side);
    const float *residual = guarded((size_t)(m - 1) * ldr + n, side);
    float *y = guarded((size_t)(m - 1) * ldy + n, side);
    float *alone = guarded((size_t)nr, side);
    const float *a[3 * XK_MAX_MR], *pixels = guarded((size_t)taps * m * depth, side);
    for (int i = 0; i < taps * m; i++)
        a[i] = pixels + (size_t)between(0, taps * m - 1) * depth;
    xk_epilogue e = epilogue(k, n, residual, side);
    e.residual_col = ldr;
    for (int i = 0; i < (m - 1) * ldy + n; i++)
        y[i] = CANARY;
    table->gemm(m, n, depth, taps, a, w, NULL, y, ldy, &e);
    for (int i = 0; i < m; i++) {
        /* The same pixel alone: the result must not depend on the tile. */
        const float *single[3];
        for (int t = 0; t < taps; t++)
            single[t] = a[t * m + i];
        xk_epilogue one = e;
        if (one.residual)
            one.residual += (ptrdiff_t)i * ldr;
        table->gemm(1, n, depth, taps, single, w, w, alone, 0, &one);
        for (int j = 0; j < n; j++) {
            float got = y[i * ldy + j];
            double want = 0;
            for (int t = 0; t < taps; t++)
                for (int q = 0; q < depth; q++)
                    want += (double)a[t * m + i][q] * w[((size_t)t * depth + q) * nr + j];
            want = finished(want, j, e.residual ? e.residual + i * ldr : NULL, &e);
            if (!close_to(got, want, 1 + sqrt(taps * depth)))
                report("gemm m %d n %d: row %d column %d", m, n, i, j);
            if (got != alone[j])
                report("gemm m %d n %d: row %d column %d depends on the tile", m, n, i, j);
        }
        for (int j = n; j < ldy && i < m - 1; j++)
            if (y[i * ldy + j] != CANARY)
                report("gemm m %d n %d: wrote at row %d column %d", m, n, i, j);
    }
    release();
}

static void check_gemm(void)
{
    for (int m = 1; m <= table->mr; m++)
        for (int n = 1; n <= table->nr; n++)
            for (int k = 0; k < 12; k++)
                check_gemm_once(m, n, k, (m + n + k) & 1 ? BACK : FRONT);
}

/* ---- depthwise --------------------------------------------------------------------------- */

static void check_depthwise_once(int channels, int kh, int kw, int stride, int dilation, int pad,
                                 int k, enum side side)
{
    const int reach = (kw - 1) * dilation + 1;
    int width = between(1, 20);
    if (width + 2 * pad < reach)
        width = reach;
    const int n_out = (width + 2 * pad - reach) / stride + 1;
    const int ldx = channels + between(0, 3), ldy = channels + between(0, 3);
    const int ldr = channels + between(0, 3), ldw = (channels + 63) / 64 * 64;
    const float *rows[8], *w = guarded((size_t)kh * kw * ldw, side);
    for (int r = 0; r < kh; r++)
        rows[r] = between(0, 3) ? guarded((size_t)(width - 1) * ldx + channels, side) : NULL;
    const float *residual = guarded((size_t)(n_out - 1) * ldr + channels, side);
    const size_t size = (size_t)(n_out - 1) * ldy + channels;
    float *y = guarded(size, side), *alone = guarded((size_t)channels, side);
    xk_epilogue e = epilogue(k, channels, residual, side);
    e.residual_col = ldr;
    for (size_t i = 0; i < size; i++)
        y[i] = CANARY;
    table->depthwise(rows, width, ldx, channels, kh, kw, stride, dilation, pad, w, ldw, y, n_out,
                     ldy, &e);
    for (int x = 0; x < n_out; x++) {
        xk_epilogue one = e;
        if (one.residual)
            one.residual += (ptrdiff_t)x * ldr;
        table->depthwise(rows, width, ldx, channels, kh, kw, stride, dilation, pad - x * stride, w,
                         ldw, alone, 1, 0, &one);
        for (int c = 0; c < channels; c++) {
            float got = y[x * ldy + c];
            double want = 0;
            for (int r = 0; r < kh; r++)
                for (int s = 0; s < kw; s++) {
                    int column = x * stride - pad + s * dilation;
                    if (rows[r] && column >= 0 && column < width)
                        want += (double)rows[r][column * ldx + c] * w[(r * kw + s) * ldw + c];
                }
            want = finished(want, c, one.residual, &e);
            if (!close_to(got, want, 1 + sqrt(kh * kw)))
                report("depthwise kw %d stride %d: pixel %d channel %d", kw, stride, x, c);
            if (got != alone[c])
                report("depthwise kw %d stride %d: pixel %d channel %d depends on the block", kw,
                       stride, x, c);
        }
        for (int c = channels; c < ldy && x < n_out - 1; c++)
            if (y[x * ldy + c] != CANARY)
                report("depthwise kw %d stride %d: wrote at pixel %d channel %d", kw, stride, x, c);
    }
    release();
}

static void check_depthwise(void)
{
    static const int shapes[][5] = {
        /* kh, kw, stride, dilation, pad */
        {3, 3, 1, 1, 1}, {3, 3, 2, 1, 1}, {3, 3, 1, 1, 0}, {3, 3, 2, 1, 0}, {3, 3, 1, 2, 2},
        {3, 3, 3, 1, 1}, {3, 3, 1, 1, 2}, {7, 7, 1, 1, 0}, {5, 5, 1, 1, 2}, {5, 5, 2, 1, 2},
        {4, 4, 1, 1, 0}, {1, 3, 1, 1, 1}, {1, 1, 1, 1, 0}, {3, 1, 2, 1, 0},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int k = 0; k < 24; k++)
            for (int i = 0; i < 4; i++)
                check_depthwise_once(between(1, 100), shapes[s][0], shapes[s][1], shapes[s][2],
                                     shapes[s][3], shapes[s][4], k % 12, k < 12 ? BACK : FRONT);
}

/* ---- Winograd ------------------------------------------------------------------------------ */

/* A tile through input transform, products and output transform, against the convolution;
 * the planes and what is not to be written against the plain C kernels. */
static void check_winograd_once(int tile, int channels, int k, enum side side)
{
    const int size = tile + 2, planes = size * size;
    const int inside = between(0, 1), scaled = between(0, 1); /* half of the tiles lie inside */
    const int r0 = inside ? 0 : between(0, 1), r1 = inside ? size : between(r0 + 1, size);
    const int c0 = inside ? 0 : between(0, 1), c1 = inside ? size : between(c0 + 1, size);
    const int rows = inside ? tile : between(1, tile), cols = inside ? tile : between(1, tile);
    const int col = channels + between(0, 3), row = size * col + between(0, 3);
    const int ldp = channels + between(0, 3);
    const float *x = guarded((size_t)(r1 - r0 - 1) * row + (c1 - c0 - 1) * col + channels, side);
    const float *origin = x - r0 * row - c0 * col;
    const float *scale = scaled ? guarded((size_t)channels, side) : NULL;
    const float *shift = scaled ? guarded((size_t)channels, side) : NULL;
    const float *g = guarded((size_t)channels * 9, side);
    const size_t volume = (size_t)(planes - 1) * ldp + channels;
    float *v = guarded(volume, side), *m = guarded(volume, side);
    const size_t area = (size_t)(rows - 1) * row + (cols - 1) * col + channels;
    float *y = guarded(area, side);
    xk_epilogue e = epilogue(k, channels, guarded(area, side), side);
    e.residual_row = row;
    e.residual_col = col;

    for (size_t i = 0; i < volume; i++)
        v[i] = CANARY;
    (tile == 4 ? table->wino4_input : table->wino2_input)(origin, row, col, r0, r1, c0, c1,
                                                          channels, scale, shift, v, ldp);
    for (int p = 0; p < planes - 1; p++)
        for (int c = channels; c < ldp; c++)
            if (v[p * ldp + c] != CANARY)
                report("winograd %d input, plane %d channel %d of %d written", tile, p, c,
                       channels);
    for (int c = 0; c < channels; c++) {
        float u[36];
        xk_pack_winograd(tile, g + c * 9, 9, 9, 1, 1, 1, NULL, u);
        for (int p = 0; p < planes; p++)
            m[p * ldp + c] = v[p * ldp + c] * u[p];
    }
    for (size_t i = 0; i < area; i++)
        y[i] = CANARY;
    (tile == 4 ? table->wino4_output : table->wino2_output)(m, ldp, channels, y, row, col, rows,
                                                            cols, &e);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            for (int c = 0; c < channels; c++) {
                double want = 0;
                for (int r = i; r < i + 3; r++)
                    for (int s = j; s < j + 3; s++)
                        if (r >= r0 && r < r1 && s >= c0 && s < c1) {
                            double value = origin[r * row + s * col + c];
                            if (scaled)
                                value = value * scale[c] + shift[c];
                            want += value * g[c * 9 + (r - i) * 3 + s - j];
                        }
                ptrdiff_t at = i * row + j * col + c;
                want = finished(want, c, e.residual ? e.residual + i * row + j * col : NULL, &e);
                if (!close_to(y[at], want, 6))
                    report("winograd %d, pixel %d %d channel %d", tile, i, j, c);
                y[at] = CANARY;
            }
    for (size_t i = 0; i < area; i++)
        if (y[i] != CANARY)
            report("winograd %d output wrote beside its pixels (at %d)", tile, (int)i, 0, 0);
    release();
}

static void check_winograd(void)
{
    for (int k = 0; k < 12 * 40; k++) {
        check_winograd_once(4, between(1, 70), k % 12, k & 1 ? BACK : FRONT);
        check_winograd_once(2, between(1, 70), k % 12, k & 1 ? BACK : FRONT);
    }
}

/* ---- packing ---------------------------------------------------------------------------- */

static void check_pack(void)
{
    const int outputs = 37, depth = 11, nr = table->nr, panels = (outputs + nr - 1) / nr;
    float *w = guarded((size_t)outputs * depth, BACK);
    float *packed = guarded((size_t)panels * depth * nr, BACK);
    w[5] = 1e-40f; /* subnormal: becomes zero */
    xk_pack_panels(w, depth, 1, outputs, depth, nr, NULL, packed);
    for (int p = 0; p < panels; p++)
        for (int k = 0; k < depth; k++)
            for (int j = 0; j < nr; j++) {
                int o = p * nr + j;
                float want = o < outputs && o * depth + k != 5 ? w[o * depth + k] : 0.0f;
                if (packed[(p * depth + k) * nr + j] != want)
                    report("packing: panel %d depth %d lane %d", p, k, j, 0);
            }
    release();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        bench();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--peak") == 0) {
        printf("%.1f\n", fma_peak(xcos_isa_name()));
        return 0;
    }
    static const struct {
        const char *name;
        void (*run)(void);
    } checks[] = {{"gemm", check_gemm},
                  {"depthwise", check_depthwise},
                  {"winograd", check_winograd},
                  {"packing", check_pack}};
    for (const char *const *name = xcos_isa_available(); *name; name++) {
        xcos_isa_select(*name, NULL);
        table = xk_kernels();
        for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
            int before = failures;
            worst = 0;
            checks[i].run();
            printf("%s %s: %s, largest error %.1e\n", table->isa, checks[i].name,
                   failures == before ? "ok" : "FAILED", (double)worst);
        }
    }
    return failures != 0;
}
