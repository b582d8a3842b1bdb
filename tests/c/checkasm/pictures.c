/* pictures.c: resizing and warping pictures, against their definition, to the last bit.  Products are volatile, so
 * that no compiler adds to one before it is rounded. */
#include "checkasm.h"

#include <math.h>
#include <string.h>

/* `count` bytes whose end (BACK) or start (FRONT) touches an unreadable page. */
static uint8_t *guarded_bytes(size_t count, enum side side)
{
    const size_t floats = (count + 3) / 4;
    uint8_t *p = (uint8_t *)guarded(floats, side) + (side == BACK ? 4 * floats - count : 0);
    for (size_t i = 0; i < count; i++)
        p[i] = (uint8_t)between(0, 255);
    return p;
}

static void check_mix_rows(int count, int n, enum side side)
{
    uint8_t *x = guarded_bytes((size_t)count * n, side);
    float *weights = guarded((size_t)count, side), *out = guarded((size_t)n, side);
    table->pictures.mix_rows(x, n, count, weights, n, out);
    for (int i = 0; i < n; i++) {
        float want = 0;
        for (int k = 0; k < count; k++) {
            const volatile float product = weights[k] * (float)x[k * n + i];
            want += product;
        }
        if (memcmp(&want, &out[i], sizeof want) != 0)
            report("mix_rows: %d of %d, %d rows", i, n, count, 0);
    }
    release();
}

static void check_mix_columns(int n, enum side side)
{
    enum { MOST = 9, PIXELS = 40 };
    xk_taps taps[64];
    float *row = guarded(3 * PIXELS + 1, side);
    uint8_t *out = guarded_bytes(3 * (size_t)n, side);
    for (int i = 0; i < 3 * PIXELS; i++)
        row[i] = 255 * fabsf(row[i]);
    for (int i = 0; i < n; i++) {
        const int count = between(1, MOST), first = i ? between(0, PIXELS - count) : PIXELS - count;
        float *weights = guarded((size_t)count, side);
        for (int k = 0; k < count; k++)
            weights[k] = 0.99f / (float)count;
        taps[i] = (xk_taps){first, count, weights};
    }
    table->pictures.mix_columns(row, taps, n, out);
    for (int i = 0; i < 3 * n; i++) {
        const xk_taps *t = &taps[i / 3];
        float want = 0.5f;
        for (int k = 0; k < t->count; k++) {
            const volatile float product = t->weights[k] * row[(t->first + k) * 3 + i % 3];
            want += product;
        }
        if (out[i] != (uint8_t)want)
            report("mix_columns: byte %d of %d pixels: %d, expected %d", i, n, out[i], (int)want);
    }
    release();
}

/* Places 0 .. width - 2 and 0 .. height - 1, whole ones and ones between, without its ends. */
static void check_warp(int n, enum side side)
{
    enum { WIDTH = 23, HEIGHT = 17 };
    const int y = between(0, 3), x = between(0, 3);
    const double along = (WIDTH - 2.01) / (x + n + y), down = (HEIGHT - 1.01) / (x + n + y);
    const double m[6] = {n & 2 ? along : 1e-9, n & 2 ? 0 : along, 0, down, n & 4 ? 0 : down * 0.5, 0};
    const uint8_t *source = guarded_bytes(3 * WIDTH * HEIGHT, side);
    uint8_t *out = guarded_bytes(3 * (size_t)n, side);
    table->pictures.warp(source, 3 * WIDTH, m, x, y, n, out);
    for (int i = 0; i < 3 * n; i++) {
        const int at = x + i / 3;
        const double sx = m[0] * at + m[1] * y + m[2], sy = m[3] * at + m[4] * y + m[5];
        const float fx = (float)(sx - floor(sx)), fy = (float)(sy - floor(sy));
        const uint8_t *p = source + 3 * (WIDTH * (int)sy + (int)sx) + i % 3, *q = p + 3 * WIDTH;
        const volatile float above = fx * (float)(p[3] - p[0]), below = fx * (float)(q[3] - q[0]);
        const float top = p[0] + above, bottom = q[0] + below;
        const volatile float between_rows = fy * (bottom - top);
        const int want = (int)(top + between_rows + 0.5f);
        if (out[i] != want)
            report("warp: byte %d of %d pixels: %d, expected %d", i, n, out[i], want);
    }
    release();
}

void check_pictures(void)
{
    for (int n = 1; n < 60; n++) {
        const enum side side = n & 1 ? FRONT : BACK;
        check_mix_columns(n, side);
        check_warp(n, side);
        check_mix_rows(between(1, 9), n, side);
        check_mix_rows(between(1, 9), 60 + 3 * n, side);
    }
}
