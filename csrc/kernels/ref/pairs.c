/* pairs.c: the pair kernel in plain C. */
#include "ref.h"

#include <float.h>
#include <math.h>

enum { LANES = XK_REF_LANES };

/* logits [cells][LANES] = PReLU(linear_a + linear_b + conv3x3(max(half_a, half_b))). */
static void attend(const xk_pair_head *h, const float *a, int a_stride, const float *b,
                   float *logits)
{
    const int lane = a_stride > 1;
    const int channels = h->channels, height = h->height, width = h->width;
    const int cells = height * width, half = cells * h->depth, linear = half + cells * channels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int cell = y * width + x;
            float sum[LANES];
            for (int l = 0; l < LANES; l++)
                sum[l] = a[(linear + cell) * a_stride + l * lane] + b[(linear + cell) * LANES + l];
            for (int t = 0; t < 9; t++) {
                const int row = y + t / 3 - 1, col = x + t % 3 - 1;
                if (row < 0 || row >= height || col < 0 || col >= width)
                    continue;
                for (int c = 0; c < channels; c++) {
                    const int value = half + (row * channels + c) * width + col;
                    const float weight = h->weight[c * 9 + t];
                    for (int l = 0; l < LANES; l++) {
                        float p = a[value * a_stride + l * lane], q = b[value * LANES + l];
                        sum[l] += weight * (p > q ? p : q);
                    }
                }
            }
            for (int l = 0; l < LANES; l++)
                logits[cell * LANES + l] = sum[l] > 0 ? sum[l] : h->slope * sum[l];
        }
}

/* Logits of one lane to weights that sum to 1. */
static void normalize(const xk_pair_head *h, int cells, float *x)
{
    float low = x[0], high = x[0], sum = 0;
    for (int i = 0; i < cells; i++) {
        low = x[i * LANES] < low ? x[i * LANES] : low;
        high = x[i * LANES] > high ? x[i * LANES] : high;
    }
    for (int i = 0; i < cells; i++) {
        float *v = x + i * LANES;
        *v = h->minmax ? *v - low : expf((*v - high) * h->sharpness);
        sum += *v;
    }
    for (int i = 0; i < cells; i++)
        x[i * LANES] = sum < FLT_MIN ? 1.0f / (float)cells : x[i * LANES] / sum;
}

static void compare_block(const xk_pair_head *h, const float *const *a, int rows, int a_stride,
                          const float *b, float *scores, float *cosine, float *attention)
{
    const int lane = a_stride > 1, cells = h->height * h->width, depth = h->depth;
    for (int i = 0; i < rows; i++, scores += LANES, attention += cells * LANES) {
        attend(h, a[i], a_stride, b, attention);
        for (int l = 0; l < LANES; l++) {
            normalize(h, cells, attention + l);
            scores[l] = 0;
        }
        for (int cell = 0; cell < cells; cell++) {
            float sum[LANES] = {0};
            for (int d = cell * depth; d < (cell + 1) * depth; d++)
                for (int l = 0; l < LANES; l++)
                    sum[l] += a[i][d * a_stride + l * lane] * b[d * LANES + l];
            for (int l = 0; l < LANES; l++) {
                scores[l] += attention[cell * LANES + l] * sum[l];
                if (cosine)
                    cosine[(i * cells + cell) * LANES + l] = sum[l];
            }
        }
    }
}

void pairs_f32_8_ref(const xk_pair_head *h, const float *const *a, int rows, int a_stride,
                     const float *b, int blocks, float *scores, float *cosine, float *attention)
{
    const ptrdiff_t cells = (ptrdiff_t)h->height * h->width, map = rows * cells * LANES;
    for (int k = 0; k < blocks; k++)
        compare_block(h, a, rows, a_stride, b + k * cells * (h->depth + h->channels + 1) * LANES,
                      scores + k * rows * LANES, cosine ? cosine + k * map : NULL, attention + k * map);
}
