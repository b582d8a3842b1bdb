/* masks.c: masks applied to stacks of pictures, spread over the pool. */
#include "pool.h"

typedef struct {
    xc_call call;
    const float *images, *fills, *masks;
    const int64_t *which;
    int64_t channels, area;
    float *out;
} blend_job;

static void blend_one(void *context, int64_t k, int worker)
{
    blend_job *job = context;
    if (xc_stop(&job->call, worker))
        return;
    const int64_t size = job->channels * job->area;
    const float *mask = job->masks + k * job->area;
    const float *image = job->images + job->which[k] * size;
    const float *fill = job->fills + job->which[k] * size;
    float *out = job->out + k * size;
    for (int64_t c = 0; c < job->channels; c++)
        for (int64_t p = 0; p < job->area; p++, image++, fill++)
            *out++ = mask[p] * *image + (1.0f - mask[p]) * *fill;
}

xcos_status xcos_mask_blend(const float *images, const float *fills, int64_t n, int64_t channels,
                            int64_t area, const float *masks, const int64_t *which, int64_t count,
                            float *out, int threads, xcos_error *err)
{
    for (int64_t k = 0; k < count; k++)
        if (which[k] < 0 || which[k] >= n)
            return xcos_fail(err, XCOS_E_ARG, "which[%lld] is %lld; there are %lld images",
                             (long long)k, (long long)which[k], (long long)n);
    blend_job job = {.images = images, .fills = fills, .masks = masks, .which = which,
                     .channels = channels, .area = area, .out = out};
    xc_open(&job.call, threads);
    xc_spread(&job.call, job.call.threads, count, blend_one, &job);
    return xc_close(&job.call, XCOS_OK, err);
}
