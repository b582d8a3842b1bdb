/* image.h: what the files that read pictures share (private to the core). */
#ifndef XCOS_IMAGE_H
#define XCOS_IMAGE_H

#include "xcos.h"

typedef enum { XI_UNKNOWN, XI_JPEG, XI_PNG, XI_BMP, XI_GIF, XI_PNM } xi_format;

/* A text inside the data, or NULL. */
typedef struct {
    const uint8_t *data;
    size_t size;
    int deflated;
} xi_text;

/* What a walk over the container tells, before anything is decoded. */
typedef struct {
    int64_t width, height; /* at least 1 */
    const uint8_t *exif; /* a TIFF block inside the data, or NULL */
    size_t exif_size;
    xi_text profile, xmp; /* the same block in hex, as ImageMagick writes it; XMP */
    int alpha; /* pixels may be transparent */
} xi_container;

/* The format that the first bytes announce.  `*name` becomes a phrase for messages,
 * "a WebP picture" or "an HTML page", also for what is not read. */
xi_format xi_sniff(const uint8_t *data, size_t size, const char **name);

/* Walks the container to its end: fails with XCOS_E_FORMAT when the data ends early and
 * XCOS_E_UNSUPPORTED for variants that the decoder would get wrong. */
xcos_status xi_container_walk(xi_format format, const uint8_t *data, size_t size,
                              xi_container *out, xcos_error *err);

/* The orientation (1..8) that a TIFF block as Exif stores it, the same in a text of PNG, or XMP
 * tells; 0 when there is none, 1 when there is one that is no orientation. */
int xi_exif_orientation(const uint8_t *tiff, size_t size);
int xi_profile_orientation(const uint8_t *text, size_t size);
int xi_xmp_orientation(const uint8_t *text, size_t size);

/* XCOS_E_LIMIT when a side is longer than a million or width*height is more than max_pixels. */
xcos_status xi_check_pixels(int64_t width, int64_t height, int64_t max_pixels, xcos_error *err);

/* PBM, PGM and PPM, plain and raw, any maximum up to 65535. */
xcos_status xi_pnm_decode(const uint8_t *data, size_t size, int64_t max_pixels, xcos_image *out,
                          xcos_error *err);

#endif
