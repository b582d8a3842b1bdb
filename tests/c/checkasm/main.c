/* main.c: every kernel of every table that the machine has, against double precision or the plain
 * C kernel, on random data that ends at unreadable pages.
 *
 *     checkasm           checks; exit code 0 when all agree
 *     checkasm --bench   speeds, and shares of the measured peak
 *     checkasm --peak    the peak alone, GFLOP/s of one core, best instruction set
 *     checkasm --repeat LINE COUNT    what one line of the speeds measures, on that instruction set
 *
 * Built by test_kernels.py: one file per unit, which each exports one check. */
#include "checkasm.h"
#include "pages.h"
#include "xcos.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const xk_table *table;
static int failures;
static float worst; /* of the check at hand, relative to the size of its sums */

/* ---- random numbers and guarded memory -------------------------------------------------- */

static uint64_t seed = 1;

static uint32_t random32(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

int between(int lo, int hi) /* both included */
{
    return lo + (int)(random32() % (uint32_t)(hi - lo + 1));
}

float uniform(void)
{
    return (float)random32() / 2147483648.0f - 1.0f;
}

/* Kept from check to check: to map them anew each time takes longer than most checks. */
static struct {
    void *at;
    size_t size;
    bool taken;
} blocks[256];
enum { BLOCKS = sizeof blocks / sizeof *blocks };

/* A block of pages that is not taken: one of that size, else one made in place of the oldest of another. */
static void *take_block(size_t size)
{
    static int oldest;
    int found = -1;
    for (int n = 0; n < BLOCKS && !(found >= 0 && blocks[found].size == size); n++) {
        const int i = (oldest + n) % BLOCKS;
        if (!blocks[i].taken && (found < 0 || blocks[i].size == size))
            found = i;
    }
    if (found < 0)
        return NULL;
    if (blocks[found].size != size) {
        if (blocks[found].at)
            pages_free(blocks[found].at, blocks[found].size);
        blocks[found].at = pages_new(size);
        blocks[found].size = size;
        oldest = (found + 1) % BLOCKS;
    }
    blocks[found].taken = true;
    return blocks[found].at;
}

float *guarded(size_t count, enum side side)
{
    const size_t page = page_size(), bytes = count * sizeof(float);
    const size_t size = (bytes + page - 1) / page * page;
    char *at = take_block(size);
    if (!at) {
        fprintf(stderr, "checkasm: no memory\n");
        exit(2);
    }
    float *first = (float *)(at + (side == BACK ? size - bytes : 0));
    for (size_t i = 0; i < count; i++)
        first[i] = uniform();
    return first;
}

void release(void)
{
    for (int i = 0; i < BLOCKS; i++)
        blocks[i].taken = false;
}

float *padded(int count, enum side side) /* bias and slope: to multiples of 32 */
{
    return guarded((size_t)(count + 31) / 32 * 32, side);
}

/* ---- comparing ------------------------------------------------------------------------- */

void report(const char *format, int a, int b, int c, int d)
{
    if (failures++ < 20) {
        printf("FAIL %s ", table->isa);
        printf(format, a, b, c, d);
        printf("\n");
    }
}

/* Rounding errors grow with the number of terms, here in units of the usual size of a sum. */
int close_to(double got, double want, double scale)
{
    double error = fabs(got - want) / scale;
    if (error > worst)
        worst = (float)error;
    return error < 2e-6; /* false for NaN */
}

/* The epilogue of combination `k` (0..11), for `count` channels. */
xk_epilogue epilogue(int k, int count, const float *residual, enum side side)
{
    xk_epilogue e = {.lo = -0.5f, .hi = 0.75f};
    e.bias = k & 1 ? padded(count, side) : NULL;
    e.residual = k & 2 ? residual : NULL;
    e.activation = (xk_activation)(k >> 2);
    e.slope = e.activation == XK_PRELU ? padded(count, side) : NULL;
    return e;
}

double finished(double x, int c, const float *residual, const xk_epilogue *e)
{
    x += e->bias ? e->bias[c] : 0.0;
    x += residual ? residual[c] : 0.0;
    if (e->activation == XK_PRELU)
        return x < 0 ? x * e->slope[c] : x;
    return e->activation == XK_CLIP ? fmin(fmax(x, e->lo), e->hi) : x;
}

int main(int argc, char **argv)
{
    xcos_error err;
    if (xcos_start(&err) != XCOS_OK) {
        fprintf(stderr, "checkasm: %s\n", err.text);
        return 2;
    }
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        bench();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--peak") == 0) {
        printf("%.1f\n", fma_peak(xcos_isa_name()));
        return 0;
    }
    if (argc > 3 && strcmp(argv[1], "--repeat") == 0)
        return repeat(argv[2], atoi(argv[3])) ? 0 : 2;
    static const struct {
        const char *name;
        void (*run)(void);
    } checks[] = {
#define LISTED(name) {#name, check_##name},
        CHECKS(LISTED)};
    for (const char *const *name = xcos_isa_available(); *name; name++) {
        xcos_isa_select(*name, NULL);
        table = xk_kernels();
        for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
            int before = failures;
            worst = 0;
            seed = i + 1; /* the same numbers, whatever runs before */
            checks[i].run();
            printf("%s %s: %s, largest error %.1e\n", table->isa, checks[i].name,
                   failures == before ? "ok" : "FAILED", (double)worst);
        }
    }
    return failures != 0;
}
