/* jpeg.h: the scan of a baseline JPEG, decoded whole or at 1/2, 1/4 or 1/8 of its size. */
#ifndef XCOS_IMAGE_JPEG_H
#define XCOS_IMAGE_JPEG_H

#include <stddef.h>
#include <stdint.h>

enum { XI_LOOK = 12 }; /* bits that one look into a table covers */

/* What so many bits begin with: a symbol, and the number behind it where that is whole. */
typedef struct {
    uint8_t length; /* of both; 0: the symbol is longer than a look */
    uint8_t symbol;
    int16_t number; /* 0: not whole, or none */
} xi_look;

/* What the next bits of a scan mean (jpeg.c). */
typedef struct {
    xi_look codes[1 << XI_LOOK];
    uint32_t skips[1 << XI_LOOK];
    uint32_t below[18]; /* the first code of each length and beyond, as 16 bits; of the lengths after, too */
    int offset[17];
    const uint8_t *values;
} xi_codes;

/* From the lengths of its codes (ended by 0) and what they stand for, as DHT has them; in order of length,
 * and no more than fit (ITU-T T.81, annex C). */
void xi_codes_make(xi_codes *codes, const uint8_t *lengths, const uint8_t *values);

/* A component, of which each block of 8 x 8 becomes side x side pixels. */
typedef struct {
    int across, down; /* blocks of a unit (MCU) */
    int side;         /* 1, 2, 4 or 8 */
    const xi_codes *dc, *ac;
    const uint16_t *quantizers; /* row by row */
    uint8_t *plane; /* of whole units */
    ptrdiff_t ld;
} xi_component;

typedef void xi_idct(uint8_t *out, int ld, short coefficients[64]);

/* Decodes the one scan of all components, whose data `data` begins with.  `restart`: units from one restart
 * marker to the next, or 0.  `whole`: what makes 8 x 8 pixels of a block.  Returns where the marker behind the
 * scan is, or NULL where anything is unusual or damaged, and others shall look at it.  `room`: size + 8 bytes. */
const uint8_t *xi_scan_decode(const uint8_t *data, size_t size, xi_component *components, int count,
                              int units_across, int units_down, int restart, xi_idct *whole,
                              uint8_t *room);

#endif
