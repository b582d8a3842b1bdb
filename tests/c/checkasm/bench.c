/* bench.c: speeds of the kernels, each the best of many short runs (the least
 * disturbed one), as GFLOP/s of one core and as a share of its measured peak; or one of them run
 * so many times, for who counts instructions (benchmarks/instructions.py). */
#include "checkasm.h"
#include "os/clock.h"
#include "os/memory.h"
#include "xcos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double peak;
static const char *wanted; /* the line that alone is run, `times` times; NULL: all are timed */
static int times, found;

static double now(void)
{
    return 1e-9 * (double)xo_nanoseconds();
}

/* Twelve independent chains of fused multiply-adds: enough to cover four cycles of latency
 * on two units. Assembly, so that no compiler option changes what is measured. */
#define PEAK(name, lanes, registers, isa)                                                          \
    __attribute__((target(isa))) static double name(void)                                          \
    {                                                                                              \
        typedef float vector __attribute__((vector_size(lanes * 4)));                              \
        enum { ROUNDS = 4000, CHAINS = 12 };                                                       \
        double best = 1e9;                                                                         \
        for (int run = 0; run < 200; run++) {                                                      \
            vector sum[CHAINS] = {{0}}, a = {0}, b = {0};                                          \
            double start = now();                                                                  \
            for (int i = 0; i < ROUNDS; i++) {                                                     \
                _Pragma("GCC unroll 12") for (int j = 0; j < CHAINS; j++)                          \
                    __asm__ volatile("vfmadd231ps %1, %2, %0"                                      \
                                     : "+" registers(sum[j])                                       \
                                     : registers(a), registers(b));                                \
            }                                                                                      \
            double time = now() - start;                                                           \
            best = time < best ? time : best;                                                      \
        }                                                                                          \
        return 2e-9 * ROUNDS * CHAINS * lanes / best;                                              \
    }
#if defined(__x86_64__)
PEAK(peak_avx512, 16, "v", "avx512f")
PEAK(peak_avx2, 8, "x", "avx2,fma")
#endif

double fma_peak(const char *isa)
{
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return peak_avx512();
    if (strcmp(isa, "avx2") == 0)
        return peak_avx2();
#endif
    (void)isa;
    return 0;
}

/* Memory of the benchmark: as networks have theirs, small values, larger than any L3 share. */
enum { WEIGHTS = 24 << 20, MAPS = 4 << 20 };
static float *weights, *maps, *results;
static float vectors[1024]; /* bias and slope */

static float *filled(size_t count)
{
    float *p = xo_alloc(count * sizeof(float));
    if (!p)
        exit(2);
    for (size_t i = 0; i < count; i++)
        p[i] = uniform();
    return p;
}

static void line(const char *what, double flop, double seconds, double bytes)
{
    printf("%-7s %-44s %9.2f us %7.1f GFLOP/s", table->isa, what, 1e6 * seconds,
           1e-9 * flop / seconds);
    if (peak > 0)
        printf(" %5.1f %%", 1e-7 * flop / seconds / peak);
    if (bytes > 0)
        printf(" %6.1f GB/s", 1e-9 * bytes / seconds);
    printf("\n");
}

/* Measures `body`, whose line is called `what`: runs it for a while, and takes the least time. */
#define MEASURE(what, flop, bytes, body)                                                           \
    do {                                                                                           \
        if (wanted) {                                                                              \
            const int here_ = strcmp(what, wanted) == 0;                                           \
            found |= here_;                                                                        \
            for (int i_ = 0; here_ && i_ < times; i_++)                                            \
                body;                                                                              \
            break;                                                                                 \
        }                                                                                          \
        double best_ = 1e9;                                                                        \
        for (double begin = now(); now() - begin < 0.04;) {                                        \
            double start_ = now();                                                                 \
            body;                                                                                  \
            double time_ = now() - start_;                                                         \
            best_ = time_ < best_ ? time_ : best_;                                                 \
        }                                                                                          \
        line(what, flop, best_, bytes);                                                            \
    } while (0)

/* A product of (pixels x depth) and (depth x outputs): each panel of weights meets all
 * pixels before the next one is touched; rows of the maps are `depth` apart. */
static void product(int pixels, int outputs, int depth, const float *w, const xk_epilogue *e)
{
    const float *rows = maps;
    for (int first = 0; first < outputs; first += table->gemm.nr) {
        const int n = outputs - first < table->gemm.nr ? outputs - first : table->gemm.nr;
        const float *next = w + (size_t)depth * table->gemm.nr;
        table->gemm.line(pixels, n, depth, 1, &rows, depth, w, next, results + first, outputs, e);
        w = next;
    }
}

static void bench_gemm(void)
{
    char what[64];
    const xk_epilogue none = {0};
    const xk_epilogue full = {.bias = vectors, .activation = XK_PRELU, .slope = vectors};
    for (int depth = 32; depth <= 512; depth *= 2) {
        int pixels = table->gemm.mr * 4, outputs = table->gemm.nr * 2;
        snprintf(what, sizeof what, "gemm hot, %dx%d tiles, depth %d", table->gemm.mr, table->gemm.nr, depth);
        MEASURE(what, 16.0 * pixels * outputs * depth, 0,
                for (int i = 0; i < 8; i++) product(pixels, outputs, depth, weights, &full));
    }
    for (int m = 1; m <= table->gemm.mr; m++) {
        snprintf(what, sizeof what, "gemm hot, %d x %d, depth 128", m, table->gemm.nr);
        MEASURE(what, 128.0 * m * table->gemm.nr * 128, 0,
                for (int i = 0; i < 64; i++) product(m, table->gemm.nr, 128, weights, &full));
    }
    snprintf(what, sizeof what, "gemm hot, %d x %d, depth 128", table->gemm.mr, table->gemm.nr / 2);
    MEASURE(what, 128.0 * table->gemm.mr * table->gemm.nr / 2 * 128, 0,
            for (int i = 0; i < 64; i++) product(table->gemm.mr, table->gemm.nr / 2, 128, weights, &full));

    /* Layers: pointwise convolutions of MobileFaceNet, one plane of Winograd, a fully
     * connected layer. */
    static const int layers[][3] = {{784, 128, 64}, {784, 64, 128}, {196, 256, 128},
                                    {196, 128, 256}, {49, 512, 128}, {49, 128, 512},
                                    {196, 64, 64}, {49, 128, 128}, {16, 256, 256}, {4, 512, 512}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const int *l = layers[i];
        snprintf(what, sizeof what, "gemm layer, %d x %d, depth %d", l[0], l[1], l[2]);
        MEASURE(what, 2.0 * l[0] * l[1] * l[2], 0, product(l[0], l[1], l[2], weights, &full));
    }

    /* Weights that come from memory: each run takes the next 9 MB of 96. */
    static const int cold[] = {1, 4, 8, 16, 49, 98};
    for (size_t i = 0; i < sizeof cold / sizeof *cold; i++) {
        const int depth = 512, outputs = 512 * 9;
        size_t at = 0, step = (size_t)depth * outputs;
        snprintf(what, sizeof what, "gemm cold weights, %d x %d, depth %d", cold[i], outputs,
                 depth);
        MEASURE(what, 2.0 * cold[i] * depth * outputs, 4.0 * step, {
            product(cold[i], outputs, depth, weights + at, &none);
            at = at + 2 * step > WEIGHTS ? 0 : at + step;
        });
    }
}

static void bench_winograd(void)
{
    char what[64];
    const xk_epilogue full = {.bias = vectors, .activation = XK_PRELU, .slope = vectors};
    for (int tile = 2; tile <= 4; tile += 2)
        for (int channels = 64; channels <= 512; channels *= 2) {
            /* A row of tiles as in a map of 28 pixels; blocks of tiles that fit L2. */
            const int size = tile + 2, count = 2048 / channels > 7 ? 7 : 2048 / channels;
            const ptrdiff_t col = channels, row = 30 * col, ldp = count * channels + 16;
            for (int scaled = 0; scaled < 2; scaled++) {
                snprintf(what, sizeof what, "winograd %d input%s, %d tiles of %d", tile,
                         scaled ? " scaled" : "", count, channels);
                MEASURE(what, (tile == 4 ? 144.0 : 32.0) * count * channels, 0,
                        for (int t = 0; t < count; t++)(tile == 4 ? table->winograd4 : table->winograd2).input(
                            maps + t * tile * col, row, col, 0, size, 0, size, channels,
                            scaled ? vectors : NULL, vectors, results + t * channels, ldp));
            }
            snprintf(what, sizeof what, "winograd %d output, %d tiles of %d", tile, count,
                     channels);
            MEASURE(what, (tile == 4 ? 120.0 : 24.0) * count * channels, 0,
                    for (int t = 0; t < count; t++)(tile == 4 ? table->winograd4 : table->winograd2).output(
                        results + t * channels, ldp, channels, maps + t * tile * col, row, col,
                        tile, tile, &full));
        }
}

static void bench_depthwise(void)
{
    char what[64];
    const xk_epilogue full = {.bias = vectors, .activation = XK_PRELU, .slope = vectors};
    static const int layers[][5] = {/* width, channels, kernel, stride, padding */
                                    {112, 64, 3, 1, 1}, {112, 64, 3, 2, 1},  {56, 128, 3, 1, 1},
                                    {56, 128, 3, 2, 1}, {28, 128, 3, 1, 1},  {28, 256, 3, 2, 1},
                                    {14, 256, 3, 1, 1}, {14, 512, 3, 2, 1},  {7, 256, 3, 1, 1},
                                    {7, 512, 7, 1, 0},  {14, 128, 5, 1, 2}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const int *l = layers[i], width = l[0], channels = l[1], kernel = l[2];
        const int n_out = (width + 2 * l[4] - kernel) / l[3] + 1;
        const float *rows[8];
        for (int r = 0; r < kernel; r++)
            rows[r] = maps + (size_t)r * width * channels;
        snprintf(what, sizeof what, "depthwise %dx%d stride %d, row of %d x %d", kernel, kernel,
                 l[3], width, channels);
        MEASURE(what, 16.0 * kernel * kernel * n_out * channels, 0,
                for (int j = 0; j < 8; j++) table->depthwise(
                    rows, width, channels, channels, kernel, kernel, l[3], 1, l[4], weights,
                    channels, results, n_out, channels, &full));
    }
}

static void fill(void)
{
    weights = filled(WEIGHTS);
    maps = filled(MAPS);
    results = filled(MAPS);
}

static void bench_table(void)
{
    bench_gemm();
    bench_winograd();
    bench_depthwise();
}

void bench(void)
{
    fill();
    for (const char *const *name = xcos_isa_available(); *name; name++) {
        xcos_isa_select(*name, NULL);
        table = xk_kernels();
        peak = fma_peak(*name);
        printf("%s: peak %.1f GFLOP/s of one core\n", *name, peak);
        bench_table();
    }
}

int repeat(const char *what, int count)
{
    fill();
    wanted = what;
    times = count;
    table = xk_kernels();
    bench_table();
    return found;
}
