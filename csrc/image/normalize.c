/* normalize.c: stacks of pictures to what a network reads. */
#include "pool.h"

typedef struct {
    xc_call call;
    const uint8_t *images;
    int64_t area;
    int channels, reverse;
    const float *mean, *scale;
    float *out;
} normalize_job;

/* (area, channels) to (channels, area); a table per channel holds all 256 results. */
static void normalize_one(void *context, int64_t k, int worker)
{
    normalize_job *job = context;
    if (xc_stop(&job->call, worker))
        return;
    const int64_t size = job->area * job->channels;
    const uint8_t *image = job->images + k * size;
    float *out = job->out + k * size;
    for (int c = 0; c < job->channels; c++) {
        float table[256];
        for (int v = 0; v < 256; v++)
            table[v] = ((float)v - job->mean[c]) * job->scale[c];
        const uint8_t *from = image + (job->reverse ? job->channels - 1 - c : c);
        for (int64_t p = 0; p < job->area; p++, from += job->channels)
            *out++ = table[*from];
    }
}

xcos_status xcos_image_normalize(const uint8_t *images, int64_t n, int64_t area, int channels,
                                 const float *mean, const float *scale, int reverse, float *out,
                                 xcos_error *err)
{
    normalize_job job = {.images = images, .area = area, .channels = channels, .reverse = reverse,
                         .mean = mean, .scale = scale, .out = out};
    xc_open(&job.call, 1); /* less work than waking another thread, but for huge stacks */
    xc_spread(&job.call, 1, n, normalize_one, &job);
    return xc_close(&job.call, XCOS_OK, err);
}
