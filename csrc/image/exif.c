/* exif.c: the orientation of a photograph, from the TIFF block of its Exif data (TIFF 6.0,
 * section 2; Exif 2.32, 4.6.4), from the same as a text of PNG, or from XMP (ISO 16684-1; the
 * property tiff:Orientation).  Every read is checked against the block. */
#include <stdlib.h>
#include <string.h>
#include "image/image.h"

enum { ORIENTATION = 0x0112, ENTRY = 12, TYPES = 10 };

/* Bytes of the types of TIFF that readers take for numbers: SHORT, LONG, and signed ones. */
static const int bytes_of_type[TYPES] = {[3] = 2, [4] = 4, [6] = 1, [8] = 2, [9] = 4};

static uint32_t read_uint(const uint8_t *p, int bytes, int big_endian)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << 8 * (big_endian ? bytes - 1 - i : i);
    return value;
}

int xi_exif_orientation(const uint8_t *tiff, size_t size)
{
    if (size >= 6 && memcmp(tiff, "Exif\0", 6) == 0) { /* of JPEG; some write it to PNG, too */
        tiff += 6;
        size -= 6;
    }
    if (size < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M'))
        return 0;
    const int big = tiff[0] == 'M';
    const size_t directory = read_uint(tiff + 4, 4, big);
    if (read_uint(tiff + 2, 2, big) != 42 || directory > size - 2)
        return 0;
    size_t entries = read_uint(tiff + directory, 2, big);
    const size_t room = (size - 2 - directory) / ENTRY;
    if (entries > room)
        entries = room;
    for (size_t i = 0; i < entries; i++) {
        const uint8_t *entry = tiff + directory + 2 + i * ENTRY;
        if (read_uint(entry, 2, big) != ORIENTATION)
            continue;
        const uint32_t type = read_uint(entry + 2, 2, big);
        const uint32_t value = type < TYPES ? read_uint(entry + 8, bytes_of_type[type], big) : 0;
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}

static int is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int xi_xmp_orientation(const uint8_t *text, size_t size)
{
    static const char name[] = "tiff:Orientation";
    const size_t length = sizeof name - 1;
    for (size_t i = 0; i + length < size; i++) {
        if (memcmp(text + i, name, length) != 0)
            continue;
        /* An attribute, ="6", or an element, >6<; both with blanks. */
        size_t k = i + length;
        int begun = 0;
        for (; k < size && (is_space(text[k]) || (text[k] && strchr("=>\"'", text[k]))); k++)
            begun |= text[k] == '=' || text[k] == '>';
        if (begun && k < size && text[k] >= '1' && text[k] <= '8')
            return text[k] - '0';
    }
    return 0;
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int xi_profile_orientation(const uint8_t *text, size_t size)
{
    /* A line without content, the kind, the number of bytes, then the bytes in hex. */
    size_t i = 0;
    for (int lines = 0; lines < 3 && i < size; i++)
        lines += text[i] == '\n';
    uint8_t *block = malloc(size / 2 + 1);
    if (!block)
        return 0;
    size_t count = 0;
    int high = -1;
    for (; i < size; i++) {
        const int digit = hex(text[i]);
        if (digit < 0)
            continue;
        if (high < 0)
            high = digit;
        else {
            block[count++] = (uint8_t)(high << 4 | digit);
            high = -1;
        }
    }
    const int found = xi_exif_orientation(block, count);
    free(block);
    return found;
}
