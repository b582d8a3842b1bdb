/* exif.c: the orientation of a photograph, from the TIFF block of its Exif data
 * (TIFF 6.0, section 2; Exif 2.32, 4.6.4).  Every read is checked against the block. */
#include "image/image.h"

enum { ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY = 12 };

static uint32_t read_uint(const uint8_t *p, int bytes, int big_endian)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << 8 * (big_endian ? bytes - 1 - i : i);
    return value;
}

int xi_exif_orientation(const uint8_t *tiff, size_t size)
{
    if (!tiff || size < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M'))
        return 1;
    const int big = tiff[0] == 'M';
    const size_t directory = read_uint(tiff + 4, 4, big);
    if (read_uint(tiff + 2, 2, big) != 42 || directory > size - 2)
        return 1;
    size_t entries = read_uint(tiff + directory, 2, big);
    const size_t room = (size - 2 - directory) / ENTRY;
    if (entries > room)
        entries = room;
    for (size_t i = 0; i < entries; i++) {
        const uint8_t *entry = tiff + directory + 2 + i * ENTRY;
        if (read_uint(entry, 2, big) != ORIENTATION)
            continue;
        const uint32_t value = read_uint(entry + 8, 2, big);
        return read_uint(entry + 2, 2, big) == TYPE_SHORT && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
