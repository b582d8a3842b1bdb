/* masks.h: pictures seen through masks, for explanations by perturbation. */
#ifndef XCOS_MASKS_H
#define XCOS_MASKS_H

#include "xcos.h"

/* Blends pictures with fillings: for k in 0..count-1, i = which[k], every channel c and place p,
 *
 *   out[k][c][p] = masks[k][p]*images[i][c][p] + (1 - masks[k][p])*fills[i][c][p]
 *
 * so that a mask of 1 keeps the picture and one of 0 the filling, both to the last bit.
 * images, fills (n, channels, area); masks (count, area), 0..1; out (count, channels, area), which
 * must not overlap the others.  XCOS_E_ARG names the first which[k] outside 0..n-1.
 * threads <= 0: the default; results do not depend on it.  Thread-safe. */
xcos_status xcos_mask_blend(const float *images, const float *fills, int64_t n, int64_t channels,
                            int64_t area, const float *masks, const int64_t *which, int64_t count,
                            float *out, int threads, xcos_error *err);

#endif
