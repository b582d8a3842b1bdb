/* pnm.c: the netpbm formats P1 to P6 (netpbm.sourceforge.net/doc/pnm.html).
 *
 * stb_image reads only the raw ones, ignores the maximum, and reads past its buffer on
 * 16-bit files up to version 2.27, so these are read here. */
#include <stdlib.h>
#include "image/image.h"

typedef struct {
    const uint8_t *p, *end;
} reader;

static int is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(reader *r)
{
    while (r->p < r->end && (is_space(*r->p) || *r->p == '#')) {
        if (*r->p == '#')
            while (r->p < r->end && *r->p != '\n')
                r->p++;
        else
            r->p++;
    }
}

/* The next decimal number, at most `digits` long; -1 when there is none. */
static int32_t number(reader *r, int digits)
{
    skip_space(r);
    int32_t value = -1;
    for (; digits-- && r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
        value = (value < 0 ? 0 : value) * 10 + (*r->p - '0');
    return value;
}

/* Rows of raw data: one bit (1 is black), one byte or two bytes a sample. */
static void raw_rows(const uint8_t *p, int bits, int32_t maximum, int channels, xcos_image *out)
{
    const size_t row_samples = (size_t)out->width * channels;
    for (int y = 0; y < out->height; y++) {
        uint8_t *row = out->pixels + (size_t)y * out->width * 3;
        for (size_t i = 0; i < row_samples; i++) {
            int32_t v = bits == 1   ? !(p[i >> 3] >> (7 - (i & 7)) & 1)
                        : bits == 8 ? p[i]
                                    : p[2 * i] << 8 | p[2 * i + 1];
            if (maximum != 255)
                v = v >= maximum ? 255 : (v * 255 + maximum / 2) / maximum;
            row[i] = (uint8_t)v;
        }
        p += (row_samples * bits + 7) / 8;
    }
}

static int plain_samples(reader *r, int bitmap, int32_t maximum, size_t row, xcos_image *out)
{
    for (int y = 0; y < out->height; y++)
        for (size_t i = 0; i < row; i++) {
            int32_t v = number(r, bitmap ? 1 : 5);
            if (v < 0)
                return 0;
            v = bitmap ? !v : v;
            out->pixels[(size_t)y * out->width * 3 + i] =
                v >= maximum ? 255 : (uint8_t)((v * 255 + maximum / 2) / maximum);
        }
    return 1;
}

static void spread_grey(xcos_image *image)
{
    for (int y = 0; y < image->height; y++) {
        uint8_t *row = image->pixels + (size_t)y * image->width * 3;
        for (int x = image->width - 1; x >= 0; x--)
            row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = row[x];
    }
}

xcos_status xi_pnm_decode(const uint8_t *data, size_t size, int64_t max_pixels, xcos_image *out,
                          xcos_error *err)
{
    const int kind = data[1] - '0', bitmap = kind == 1 || kind == 4, raw = kind >= 4;
    const int channels = kind == 3 || kind == 6 ? 3 : 1;
    reader r = {data + 2, data + size};
    const int32_t width = number(&r, 9), height = number(&r, 9);
    const int32_t maximum = bitmap ? 1 : number(&r, 5);
    if (width < 1 || height < 1 || maximum < 1 || maximum > 65535 || r.p == r.end ||
        !is_space(*r.p))
        return xcos_fail(err, XCOS_E_FORMAT, "damaged PNM file (its header)");
    r.p++;
    xcos_status status = xi_check_pixels(width, height, max_pixels, err);
    if (status)
        return status;
    const size_t row = (size_t)width * channels;
    const int bits = bitmap ? 1 : maximum > 255 ? 16 : 8;
    /* Plain samples take two characters at least, but for bits and the last one. */
    const size_t need = raw      ? (row * bits + 7) / 8 * height
                        : bitmap ? row * height
                                 : 2 * row * height - 1;
    if ((size_t)(r.end - r.p) < need)
        return xcos_fail(err, XCOS_E_FORMAT,
                         "truncated PNM file (%zu bytes of pixels, %zu expected)",
                         (size_t)(r.end - r.p), need);
    *out = (xcos_image){width, height, malloc((size_t)width * height * 3)};
    if (!out->pixels)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    if (raw)
        raw_rows(r.p, bits, maximum, channels, out);
    else if (!plain_samples(&r, bitmap, maximum, row, out)) {
        xcos_image_free(out);
        return xcos_fail(err, XCOS_E_FORMAT, "truncated or damaged PNM file");
    }
    if (channels == 1)
        spread_grey(out);
    return XCOS_OK;
}
