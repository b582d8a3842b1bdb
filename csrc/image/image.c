/* image.c: encoded pictures to RGB.  The only file that includes stb_image.h. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "call.h"
#include "image/image.h"
#include "image/jpeg.h"

/* What stb_image takes is zeroed, for it reads tables that a file leaves undefined, and each
 * piece is bounded by what a picture of the declared size may need: compressed data that
 * swells beyond it (a decompression bomb) ends there. */
static _Thread_local size_t stb_limit;
static _Thread_local enum { STB_GOT_ALL, STB_OVER_LIMIT, STB_NO_MEMORY } stb_memory;

static void *stb_note(size_t size, void *p)
{
    if (!p)
        stb_memory = size > stb_limit ? STB_OVER_LIMIT : STB_NO_MEMORY;
    return p;
}

static void *stb_malloc(size_t size)
{
    return stb_note(size, size > stb_limit ? NULL : calloc(1, size ? size : 1));
}

static void *stb_realloc(void *p, size_t size)
{
    return stb_note(size, size > stb_limit ? NULL : realloc(p, size));
}

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#endif
#define STBI_MALLOC stb_malloc
#define STBI_REALLOC stb_realloc
#define STBI_FREE free
#define STBI_ASSERT(x) ((void)0) /* a library does not end the process */
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#include "stb_image.h"
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

enum { MAX_SIDE = 1000000, MAX_TEXT = 1 << 22 };

xcos_status xi_check_pixels(int64_t width, int64_t height, int64_t max_pixels, xcos_error *err)
{
    if (width > MAX_SIDE || height > MAX_SIDE)
        return xcos_fail(err, XCOS_E_LIMIT,
                         "%lld x %lld pixels: a side is longer than the limit of %d",
                         (long long)width, (long long)height, MAX_SIDE);
    if (width > max_pixels / height)
        return xcos_fail(err, XCOS_E_LIMIT,
                         "%lld x %lld pixels, more than the limit of %lld (max_pixels)",
                         (long long)width, (long long)height, (long long)max_pixels);
    return XCOS_OK;
}

/* Composes RGBA over white, in place: 3 bytes a pixel remain. */
static void drop_alpha(uint8_t *pixels, size_t count)
{
    const uint8_t *from = pixels;
    for (uint8_t *to = pixels; count--; from += 4, to += 3) {
        const unsigned alpha = from[3], white = 255 * (255 - alpha) + 127;
        for (int c = 0; c < 3; c++)
            to[c] = (uint8_t)((from[c] * alpha + white) / 255);
    }
}

/* Turns and mirrors the picture so that Exif orientation `o` becomes upright. */
static xcos_status orient(xcos_image *image, int o, xcos_error *err)
{
    if (o == 1)
        return XCOS_OK;
    const ptrdiff_t w = image->width, h = image->height;
    /* Source pixel of (0, 0), and steps in the source for one step right and one down. */
    const ptrdiff_t walk[9][3] = {
        [2] = {w - 1, -1, w},     [3] = {w * h - 1, -1, -w}, [4] = {(h - 1) * w, 1, -w},
        [5] = {0, w, 1},          [6] = {(h - 1) * w, -w, 1}, [7] = {w * h - 1, -w, -1},
        [8] = {w - 1, w, -1},
    };
    uint8_t *turned = malloc((size_t)(w * h) * 3);
    if (!turned)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    if (o >= 5) {
        image->width = (int)h;
        image->height = (int)w;
    }
    uint8_t *to = turned;
    for (int y = 0; y < image->height; y++) {
        const uint8_t *from = image->pixels + 3 * (walk[o][0] + y * walk[o][2]);
        for (int x = 0; x < image->width; x++, to += 3, from += 3 * walk[o][1])
            memcpy(to, from, 3);
    }
    free(image->pixels);
    image->pixels = turned;
    return XCOS_OK;
}

/* The orientation in a text, which is bounded as a bomb may be in it. */
static int text_orientation(const xi_text *text, int (*read)(const uint8_t *, size_t))
{
    if (!text->data || text->size > MAX_TEXT)
        return 0;
    if (!text->deflated)
        return read(text->data, text->size);
    stb_limit = MAX_TEXT;
    int size;
    char *plain = stbi_zlib_decode_malloc_guesssize((const char *)text->data, (int)text->size,
                                                    16384, &size);
    const int found = plain ? read((const uint8_t *)plain, (size_t)size) : 0;
    free(plain);
    return found;
}

static int orientation(const xi_container *container)
{
    int o = container->exif ? xi_exif_orientation(container->exif, container->exif_size) : 0;
    if (!o)
        o = text_orientation(&container->profile, xi_profile_orientation);
    if (!o)
        o = text_orientation(&container->xmp, xi_xmp_orientation);
    return o ? o : 1;
}

/* -------------------------------------------------------------------- JPEG */

/* stb_image reads the headers and knows how to make pixels of a block, to widen colours and to make RGB; between
 * them stands our reading of the scan, which is faster and can do less.  What is unusual or damaged is left to
 * stb_image alone. */
typedef struct {
    stbi__context context;
    stbi__jpeg jpeg;
    xi_codes codes[2][4]; /* DC, AC */
} quick_jpeg;

/* Up to the data of a scan; 0 where that is no baseline scan of Y, Cb and Cr, of which the colours may be halved. */
static int read_headers(stbi__jpeg *z)
{
    for (int i = 0; i < 4; i++)
        z->img_comp[i].raw_data = z->img_comp[i].raw_coeff = z->img_comp[i].linebuf = NULL;
    if (!stbi__decode_jpeg_header(z, STBI__SCAN_load))
        return 0;
    for (int marker = stbi__get_marker(z); !stbi__SOS(marker); marker = stbi__get_marker(z))
        if (stbi__EOI(marker) || !stbi__process_marker(z, marker))
            return 0;
    if (!stbi__process_scan_header(z) || z->progressive || z->s->img_n != 3 || z->scan_n != 3 ||
        z->rgb == 3 || (z->app14_color_transform == 0 && !z->jfif))
        return 0;
    for (int i = 0; i < 3; i++)
        if (z->order[i] != i || z->img_h_max > 2 * z->img_comp[i].h ||
            z->img_v_max > 2 * z->img_comp[i].v)
            return 0;
    return z->img_h_max == z->img_comp[0].h && z->img_v_max == z->img_comp[0].v;
}

/* RGB of the planes, of which plane 0 is as large as the picture. */
static int to_rgb(stbi__jpeg *z, const xi_component components[3], xcos_image *out)
{
    uint8_t *wide = stb_malloc(7 * ((size_t)out->width + 8)); /* a row of RGBA, and three widened planes */
    out->pixels = stb_malloc((size_t)out->width * out->height * 3 + 1); /* four bytes are written of a pixel */
    for (int y = 0; wide && out->pixels && y < out->height; y++) {
        const uint8_t *rows[3];
        for (int i = 0; i < 3; i++) {
            const xi_component *c = &components[i];
            const int across = components[0].across * components[0].side / (c->across * c->side);
            const int down = components[0].down * components[0].side / (c->down * c->side);
            /* The nearest row, and the next nearest, of those that there are. */
            const int height = (out->height + down - 1) / down, width = (out->width + across - 1) / across;
            const int near = y / down, other = down == 1 ? near : near + (y % down ? 1 : -1);
            uint8_t *first = c->plane + near * c->ld;
            uint8_t *second = c->plane + (other < 0 ? 0 : other < height ? other : height - 1) * c->ld;
            const resample_row_func resample = across == 1 ? down == 1 ? resample_row_1 : stbi__resample_row_v_2
                                               : down == 1 ? stbi__resample_row_h_2
                                                           : z->resample_row_hv_2_kernel;
            rows[i] = resample(wide + (4 + i) * ((size_t)out->width + 8), first, second, width, across);
        }
        z->YCbCr_to_RGB_kernel(wide, rows[0], rows[1], rows[2], out->width, 4);
        uint8_t *to = out->pixels + 3 * (size_t)y * out->width;
        for (int x = 0; x < out->width; x++)
            memcpy(to + 3 * x, wide + 4 * x, 4);
    }
    free(wide);
    return wide && out->pixels;
}

static int decode_scan(quick_jpeg *q, int reduction, xcos_image *out)
{
    stbi__jpeg *z = &q->jpeg;
    xi_component components[3];
    for (int i = 0; i < 3; i++) {
        const int across = z->img_h_max / z->img_comp[i].h, down = z->img_v_max / z->img_comp[i].v;
        const int narrower = across < down ? across : down, side = 8 / reduction * narrower;
        const int dc = z->img_comp[i].hd, ac = z->img_comp[i].ha;
        if (!q->codes[0][dc].values) /* colours share them */
            xi_codes_make(&q->codes[0][dc], z->huff_dc[dc].size, z->huff_dc[dc].values);
        if (!q->codes[1][ac].values)
            xi_codes_make(&q->codes[1][ac], z->huff_ac[ac].size, z->huff_ac[ac].values);
        components[i] = (xi_component){
            .across = z->img_comp[i].h, .down = z->img_comp[i].v, .side = side < 8 ? side : 8,
            .dc = &q->codes[0][dc], .ac = &q->codes[1][ac], .quantizers = z->dequant[z->img_comp[i].tq],
            .plane = z->img_comp[i].data};
        components[i].ld = z->img_comp[i].w2 / 8 * components[i].side;
    }
    const stbi__context *s = z->s;
    const size_t size = (size_t)(s->img_buffer_end - s->img_buffer);
    uint8_t *room = stb_malloc(size + 8);
    const uint8_t *marker =
        room ? xi_scan_decode(s->img_buffer, size, components, 3, z->img_mcu_x, z->img_mcu_y,
                              z->restart_interval, z->idct_block_kernel, room)
             : NULL;
    free(room);
    if (!marker || s->img_buffer_end - marker < 2 || !stbi__EOI(marker[1]))
        return 0;
    out->width = (int)s->img_x / reduction;
    out->height = (int)s->img_y / reduction;
    return to_rgb(z, components, out);
}

/* A usual JPEG, made smaller by `reduction` (1, 2, 4 or 8), which divides its sides; 0 for any other. */
static int quick_decode(const uint8_t *data, size_t size, int reduction, xcos_image *out)
{
    quick_jpeg *q = calloc(1, sizeof *q); /* its size is no matter of the picture */
    if (!q) {
        stb_memory = STB_NO_MEMORY;
        return 0;
    }
    stbi__start_mem(&q->context, data, (int)size);
    q->jpeg.s = &q->context; /* which has no components yet that could be freed */
    stbi__setup_jpeg(&q->jpeg);
    const int done = read_headers(&q->jpeg) && decode_scan(q, reduction, out);
    stbi__cleanup_jpeg(&q->jpeg);
    free(q);
    if (!done) {
        free(out->pixels);
        *out = (xcos_image){0};
    }
    return done;
}

/* ------------------------------------------------------------------ decode */

/* By how much a picture is made smaller whose longer side is to keep `at_least` pixels, and at least one. */
static int reduction_to(const xi_container *container, int64_t at_least)
{
    const int64_t w = container->width, h = container->height, longer = w > h ? w : h;
    int reduction = 8;
    while (reduction > 1 && (w % reduction || h % reduction || longer / reduction < at_least))
        reduction /= 2;
    return reduction;
}

/* `*reduction`: as xcos_image_decode_reduced has it. */
static xcos_status stb_decode(const uint8_t *data, size_t size, xi_format format, const char *name,
                              const xi_container *container, int *reduction, xcos_image *out,
                              xcos_error *err)
{
    int channels;
    if (size > INT_MAX)
        return xcos_fail(err, XCOS_E_LIMIT, "%zu bytes, more than the limit of %d", size, INT_MAX);
    /* The largest pieces: coefficients of a progressive JPEG whose blocks are padded to 32 x 32
     * pixels, 16-bit RGBA of a PNG, twice (buffers grow by doubling); the file's own data. */
    stb_limit = 32 * ((size_t)container->width + 32) * ((size_t)container->height + 32) +
                2 * size + 65536;
    stb_memory = STB_GOT_ALL;
    if (format == XI_JPEG && quick_decode(data, size, *reduction, out))
        return XCOS_OK;
    if (stb_memory == STB_NO_MEMORY)
        return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
    *reduction = 1;
    stb_memory = STB_GOT_ALL;
    out->pixels = stbi_load_from_memory(data, (int)size, &out->width, &out->height, &channels,
                                        container->alpha ? 4 : 3);
    if (!out->pixels) {
        const char *reason = stbi_failure_reason();
        if (stb_memory == STB_OVER_LIMIT)
            return xcos_fail(err, XCOS_E_LIMIT,
                             "%s whose data is larger than its %lld x %lld pixels", name,
                             (long long)container->width, (long long)container->height);
        if (stb_memory == STB_NO_MEMORY) /* it does not always say so itself */
            return xcos_fail(err, XCOS_E_NOMEM, "out of memory");
        return xcos_fail(err, XCOS_E_FORMAT, "%s that is damaged (%s)", name, reason);
    }
    if (container->alpha)
        drop_alpha(out->pixels, (size_t)out->width * out->height);
    return XCOS_OK;
}

static xcos_status decode(const uint8_t *data, size_t size, int64_t max_pixels, int64_t at_least,
                          xcos_image *out, int *reduction, xcos_error *err)
{
    const char *name;
    xi_container container;
    if (size == 0)
        return xcos_fail(err, XCOS_E_FORMAT, "empty: no bytes at all");
    if (max_pixels < 1)
        return xcos_fail(err, XCOS_E_ARG, "max_pixels is %lld, expected at least 1",
                         (long long)max_pixels);
    const xi_format format = xi_sniff(data, size, &name);
    if (format == XI_UNKNOWN)
        return xcos_fail(err, XCOS_E_FORMAT,
                         "the content is %s; what is read is JPEG, PNG, BMP, GIF and PNM", name);
    if (format == XI_PNM)
        return xi_pnm_decode(data, size, max_pixels, out, err);
    xcos_status status = xi_container_walk(format, data, size, &container, err);
    if (!status)
        status = xi_check_pixels(container.width, container.height, max_pixels, err);
    if (!status) {
        *reduction = reduction_to(&container, at_least);
        status = stb_decode(data, size, format, name, &container, reduction, out, err);
    }
    if (!status)
        status = orient(out, orientation(&container), err);
    return status;
}

xcos_status xcos_image_decode(const uint8_t *data, size_t size, int64_t max_pixels,
                              xcos_image *out, xcos_error *err)
{
    int reduction;
    return xcos_image_decode_reduced(data, size, max_pixels, INT64_MAX, out, &reduction, err);
}

xcos_status xcos_image_decode_reduced(const uint8_t *data, size_t size, int64_t max_pixels,
                                      int64_t at_least, xcos_image *out, int *reduction,
                                      xcos_error *err)
{
    xc_call call;
    *out = (xcos_image){0};
    *reduction = 1;
    xc_open(&call, 1);
    const xcos_status status = decode(data, size, max_pixels, at_least, out, reduction, err);
    if (status)
        xcos_image_free(out);
    return xc_close(&call, status, err);
}

void xcos_image_free(xcos_image *image)
{
    free(image->pixels);
    *image = (xcos_image){0};
}
