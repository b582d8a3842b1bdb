/* pack_products.c: weights of fewer bits in the order in which the kernels read them.  Runs once, at load. */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

/* A weight as the fp32 kernels would have it. */
static float weight(const float *w, double scale)
{
    return xk_flushed(*w * scale);
}

void xk_pack_bf16(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth, int nr,
                  const float *scale, uint32_t *packed)
{
    memset(packed, 0, (size_t)((depth + 1) / 2) * (size_t)nr * sizeof *packed);
    for (int k = 0; k < depth; k++)
        for (int j = 0; j < outputs; j++) {
            const float x = weight(w + j * ld_out + k * ld_depth, scale ? scale[j] : 1.0);
            packed[k / 2 * nr + j] |= (uint32_t)xk_bf16(x) << (k % 2 * 16);
        }
}

void xk_pack_int8(const float *w, ptrdiff_t ld_out, ptrdiff_t ld_depth, int outputs, int depth, int nr,
                  const float *scale, uint32_t *packed)
{
    uint32_t *words = packed + 2 * nr;
    memset(packed, 0, (size_t)(2 + (depth + 3) / 4) * (size_t)nr * sizeof *packed);
    for (int j = 0; j < outputs; j++) {
        const double by = scale ? scale[j] : 1.0;
        float most = 0;
        for (int k = 0; k < depth; k++)
            most = fmaxf(most, fabsf(weight(w + j * ld_out + k * ld_depth, by)));
        const float unit = most / 127;
        int32_t sum = 0;
        for (int k = 0; k < depth && unit > 0; k++) {
            const int q = (int)lrint((double)weight(w + j * ld_out + k * ld_depth, by) / unit);
            words[k / 4 * nr + j] |= (uint32_t)(uint8_t)q << (k % 4 * 8);
            sum += q;
        }
        const int32_t first = -128 * sum;
        memcpy(packed + j, &first, sizeof first);
        memcpy(packed + nr + j, &unit, sizeof unit);
    }
}
