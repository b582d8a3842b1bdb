/* detect.c: what a face detector's outputs become. */
#include <math.h>
#include <stdlib.h>
#include "call.h"

/* -------------------------------------------- greedy non-maximum suppression */

typedef struct {
    float score;
    size_t index;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    if (p->score != q->score)
        return p->score > q->score ? -1 : 1;
    return p->index < q->index ? -1 : p->index > q->index;
}

static float area(const float *box)
{
    return fmaxf(box[2] - box[0], 0) * fmaxf(box[3] - box[1], 0);
}

/* Intersection over union > limit, without the division that empty boxes would break. */
static int overlaps(const float *a, const float *b, float limit)
{
    const float common[4] = {fmaxf(a[0], b[0]), fmaxf(a[1], b[1]), fminf(a[2], b[2]),
                             fminf(a[3], b[3])};
    const float shared = area(common);
    return shared > limit * (area(a) + area(b) - shared);
}

static xcos_status suppress(xc_call *call, const float *boxes, const float *scores, size_t count,
                            float max_iou, size_t *keep, size_t *kept, xcos_error *err)
{
    if (!(max_iou >= 0 && max_iou <= 1))
        return xcos_fail(err, XCOS_E_ARG, "max_iou is %g, expected 0 to 1", (double)max_iou);
    ranked *order = malloc((count ? count : 1) * sizeof *order);
    if (!order)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (isnan(scores[i])) {
            free(order);
            return xcos_fail(err, XCOS_E_ARG, "the score of box %zu is not a number", i);
        }
        order[i] = (ranked){scores[i], i};
    }
    qsort(order, count, sizeof *order, by_score);
    for (size_t i = 0; i < count && !xc_stop(call, 0); i++) {
        const float *box = boxes + 4 * order[i].index;
        size_t k = 0;
        while (k < *kept && !overlaps(box, boxes + 4 * keep[k], max_iou))
            k++;
        if (k == *kept)
            keep[(*kept)++] = order[i].index;
    }
    free(order);
    return XCOS_OK;
}

xcos_status xcos_nms(const float *boxes, const float *scores, size_t count, float max_iou,
                     size_t *keep, size_t *kept, xcos_error *err)
{
    xc_call call;
    *kept = 0;
    xc_open(&call, 1);
    return xc_close(&call, suppress(&call, boxes, scores, count, max_iou, keep, kept, err), err);
}

/* ------------------------------------------------------------------- YuNet */

static float unit(float x)
{
    return fminf(fmaxf(x, 0), 1);
}

static xcos_status decode(const float *cls, const float *obj, const float *bbox, const float *kps,
                          int rows, int cols, int stride, float min_score, xcos_face *faces,
                          size_t capacity, size_t *count, xcos_error *err)
{
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < cols; x++, cls++, obj++, bbox += 4, kps += 10) {
            const float score = sqrtf(unit(*cls) * unit(*obj));
            if (!(score >= min_score))
                continue;
            if (*count == capacity)
                return xcos_fail(err, XCOS_E_LIMIT, "more than %zu faces", capacity);
            /* The centre is an offset from the cell in strides, the size a logarithm. */
            const float cx = ((float)x + bbox[0]) * (float)stride;
            const float cy = ((float)y + bbox[1]) * (float)stride;
            const float w = expf(bbox[2]) * (float)stride, h = expf(bbox[3]) * (float)stride;
            xcos_face face = {{cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2}, score, {{0}}};
            float sum = cx + cy + w + h;
            for (int i = 0; i < 5; i++) {
                sum += face.points[i][0] = ((float)x + kps[2 * i]) * (float)stride;
                sum += face.points[i][1] = ((float)y + kps[2 * i + 1]) * (float)stride;
            }
            if (isfinite(sum))
                faces[(*count)++] = face;
        }
    return XCOS_OK;
}

xcos_status xcos_yunet_decode(const float *cls, const float *obj, const float *bbox,
                              const float *kps, int rows, int cols, int stride, float min_score,
                              xcos_face *faces, size_t capacity, size_t *count, xcos_error *err)
{
    xc_call call;
    xc_open(&call, 1);
    return xc_close(&call,
                    decode(cls, obj, bbox, kps, rows, cols, stride, min_score, faces, capacity,
                           count, err),
                    err);
}
