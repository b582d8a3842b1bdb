/* container.c: what a file is, and whether it is all there.
 *
 * stb_image decodes what there is of a file that was cut short and returns the rest
 * grey or black, so the containers are walked to their ends first.
 *
 * Sources: ITU-T T.81 annex B (JPEG); W3C PNG, section 5; GIF89a; BITMAPINFOHEADER. */
#include <string.h>
#include "image/image.h"

#define TRUNCATED(err, what) xcos_fail(err, XCOS_E_FORMAT, "truncated %s", what)

static uint32_t big16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t big32(const uint8_t *p)
{
    return big16(p) << 16 | big16(p + 2);
}

static uint32_t little16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

static uint32_t little32(const uint8_t *p)
{
    return little16(p + 2) << 16 | little16(p);
}

/* ------------------------------------------------------------------- sniff */

typedef struct {
    int offset, length;
    const char *bytes;
    xi_format format;
    const char *name;
} signature;

static const signature signatures[] = {
    {0, 3, "\xFF\xD8\xFF", XI_JPEG, "a JPEG picture"},
    {0, 8, "\x89PNG\r\n\x1A\n", XI_PNG, "a PNG picture"},
    {0, 6, "GIF87a", XI_GIF, "a GIF picture"},
    {0, 6, "GIF89a", XI_GIF, "a GIF picture"},
    {8, 4, "WEBP", XI_UNKNOWN, "a WebP picture"},
    {4, 8, "ftypavif", XI_UNKNOWN, "an AVIF picture"},
    {4, 8, "ftypavis", XI_UNKNOWN, "an AVIF picture"},
    {4, 7, "ftyphei", XI_UNKNOWN, "a HEIC picture"},
    {4, 7, "ftyphev", XI_UNKNOWN, "a HEIC picture"},
    {4, 8, "ftypmif1", XI_UNKNOWN, "a HEIF picture"},
    {4, 8, "ftypmsf1", XI_UNKNOWN, "a HEIF picture"},
    {4, 4, "ftyp", XI_UNKNOWN, "a video (MP4 or QuickTime)"},
    {0, 4, "II*\0", XI_UNKNOWN, "a TIFF or raw camera picture"},
    {0, 4, "MM\0*", XI_UNKNOWN, "a TIFF or raw camera picture"},
    {0, 2, "\xFF\x0A", XI_UNKNOWN, "a JPEG XL picture"},
    {4, 4, "JXL ", XI_UNKNOWN, "a JPEG XL picture"},
    {4, 4, "jP  ", XI_UNKNOWN, "a JPEG 2000 picture"},
    {0, 4, "\xFF\x4F\xFF\x51", XI_UNKNOWN, "a JPEG 2000 picture"},
    {0, 4, "8BPS", XI_UNKNOWN, "a Photoshop document"},
    {0, 5, "%PDF-", XI_UNKNOWN, "a PDF document"},
    {0, 4, "PK\3\4", XI_UNKNOWN, "a ZIP archive"},
    {0, 2, "\x1F\x8B", XI_UNKNOWN, "gzip data"},
    {0, 6, "\x93NUMPY", XI_UNKNOWN, "a NumPy file"},
};

static xi_format sniff_text(const uint8_t *data, size_t size, const char **name)
{
    const size_t bom = size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    size_t i = bom;
    while (i < size && (data[i] == ' ' || (data[i] >= '\t' && data[i] <= '\r')))
        i++;
    if (i < size && data[i] == '<') {
        *name = "an HTML, SVG or XML document";
        return XI_UNKNOWN;
    }
    /* Text has no control characters; 512 bytes are enough to tell. */
    for (i = bom; i < size && i < 512; i++)
        if (data[i] == 0x7F || (data[i] < ' ' && (data[i] < '\t' || data[i] > '\r')))
            return XI_UNKNOWN;
    *name = "text";
    return XI_UNKNOWN;
}

xi_format xi_sniff(const uint8_t *data, size_t size, const char **name)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const signature *s = &signatures[i];
        if (size >= (size_t)s->offset + s->length &&
            memcmp(data + s->offset, s->bytes, s->length) == 0) {
            *name = s->name;
            return s->format;
        }
    }
    /* Two letters are a weak signature, so a little more is asked of these. */
    if (size >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' &&
        (data[2] == '#' || data[2] == ' ' || (data[2] >= '\t' && data[2] <= '\r'))) {
        *name = "a PNM picture";
        return XI_PNM;
    }
    if (size >= 18 && memcmp(data, "BM", 2) == 0 && little32(data + 14) <= 124) {
        *name = "a BMP picture";
        return XI_BMP;
    }
    *name = "data of an unknown kind";
    return sniff_text(data, size, name);
}

/* -------------------------------------------------------------------- JPEG */

/* Position of the next marker's code at or after `i`, past entropy-coded data. */
static size_t next_marker(const uint8_t *data, size_t size, size_t i, int in_scan)
{
    while (i < size) {
        const uint8_t *ff = memchr(data + i, 0xFF, size - i);
        if (!ff)
            return size;
        i = (size_t)(ff - data) + 1;
        while (i < size && data[i] == 0xFF)
            i++;
        if (i < size && data[i] != 0 && !(in_scan && data[i] >= 0xD0 && data[i] <= 0xD7))
            return i;
    }
    return size;
}

static xcos_status read_frame(const uint8_t *segment, size_t length, int marker, int adobe,
                              xi_container *out, xcos_error *err)
{
    if (marker > 0xC2)
        return xcos_fail(err, XCOS_E_UNSUPPORTED,
                         "a JPEG of a kind that is not read (%s): expected baseline or progressive",
                         marker >= 0xC9 ? "arithmetic coding" : "lossless or hierarchical");
    if (length < 8)
        return xcos_fail(err, XCOS_E_FORMAT, "damaged JPEG (its frame header)");
    if (segment[2] != 8)
        return xcos_fail(err, XCOS_E_UNSUPPORTED,
                         "a JPEG of %d bits a sample is not read: expected 8", segment[2]);
    if (segment[7] == 4 && !adobe)
        return xcos_fail(err, XCOS_E_UNSUPPORTED,
                         "a CMYK JPEG without Adobe's marker, which leaves its colours undefined");
    if (out->width) /* the second would hide the size of the first, which is the one decoded */
        return xcos_fail(err, XCOS_E_LIMIT, "damaged JPEG (two frames)");
    out->height = big16(segment + 3);
    out->width = big16(segment + 5);
    return XCOS_OK;
}

/* A Huffman table holds 256 codes at most; stb_image up to 2.27 writes past its own otherwise. */
static int huffman_tables_fit(const uint8_t *segment, size_t length)
{
    size_t i = 2;
    while (i + 17 <= length) {
        size_t codes = 0;
        for (int bits = 1; bits <= 16; bits++)
            codes += segment[i + bits];
        if (codes > 256)
            return 0;
        i += 17 + codes;
    }
    return i == length;
}

static const char XMP_JPEG[] = "http://ns.adobe.com/xap/1.0/"; /* with its null */

static xcos_status walk_jpeg(const uint8_t *data, size_t size, xi_container *out, xcos_error *err)
{
    enum { MAX_SCANS = 100 }; /* encoders make ten; each goes over the whole picture again */
    int in_scan = 0, adobe = 0, scans = 0;
    for (size_t i = 2;;) {
        i = next_marker(data, size, i, in_scan);
        if (i == size)
            return TRUNCATED(err, "JPEG");
        const int marker = data[i++];
        if (marker == 0xD9) /* end of image */
            return XCOS_OK;
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) /* these stand alone */
            continue;
        const uint8_t *segment = data + i;
        const size_t length = size - i >= 2 ? big16(segment) : 0;
        if (size - i < 2 || length > size - i)
            return TRUNCATED(err, "JPEG");
        if (length < 2)
            return xcos_fail(err, XCOS_E_FORMAT, "damaged JPEG (a segment of no length)");
        in_scan = marker == 0xDA;
        scans += in_scan;
        if (scans > MAX_SCANS)
            return xcos_fail(err, XCOS_E_LIMIT, "a JPEG of more than %d scans", MAX_SCANS);
        if (marker == 0xE1 && !out->exif && length >= 8 && memcmp(segment + 2, "Exif\0", 6) == 0) {
            out->exif = segment + 8;
            out->exif_size = length - 8;
        } else if (marker == 0xE1 && !out->xmp.data && length >= 2 + sizeof XMP_JPEG &&
                   memcmp(segment + 2, XMP_JPEG, sizeof XMP_JPEG) == 0) {
            out->xmp.data = segment + 2 + sizeof XMP_JPEG;
            out->xmp.size = length - 2 - sizeof XMP_JPEG;
        } else if (marker == 0xC4) {
            if (!huffman_tables_fit(segment, length))
                return xcos_fail(err, XCOS_E_LIMIT, "damaged JPEG (its Huffman tables)");
        } else if (marker == 0xEE && length >= 14 && memcmp(segment + 2, "Adobe", 5) == 0) {
            adobe = 1;
        } else if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC) {
            /* C8 is reserved, CC a table of arithmetic coding */
            const xcos_status status = read_frame(segment, length, marker, adobe, out, err);
            if (status)
                return status;
        }
        i += length;
    }
}

/* --------------------------------------------------------- PNG, GIF and BMP */

/* The text of a tEXt, zTXt or iTXt chunk whose keyword is `name`, if it is that. */
static void find_text(const uint8_t *kind, const uint8_t *body, size_t length, const char *name,
                      xi_text *out)
{
    const size_t word = strlen(name) + 1; /* with its null */
    if (out->data || length <= word || memcmp(body, name, word) != 0)
        return;
    size_t i = word;
    int deflated = kind[0] == 'z';
    if (kind[0] == 'z')
        i += 1; /* the method */
    else if (kind[0] == 'i') {
        deflated = body[i];
        i += 2;
        for (int texts = 0; texts < 2 && i < length; i++) /* language, translated keyword */
            texts += body[i] == 0;
    }
    if (i < length)
        *out = (xi_text){body + i, length - i, deflated};
}

static xcos_status walk_png(const uint8_t *data, size_t size, xi_container *out, xcos_error *err)
{
    enum { COLOR_TYPE = 9, HAS_ALPHA = 4 };
    for (size_t i = 8; size - i >= 12;) {
        const size_t length = big32(data + i);
        const uint8_t *kind = data + i + 4, *body = kind + 4;
        if (length > size - i - 12)
            break;
        for (int k = 0; k < 4; k++) /* stb_image would quote the name in its message */
            if ((kind[k] | 0x20) < 'a' || (kind[k] | 0x20) > 'z')
                return xcos_fail(err, XCOS_E_FORMAT, "damaged PNG (a chunk without a name)");
        if (memcmp(kind, "IEND", 4) == 0)
            return XCOS_OK;
        if (memcmp(kind, "IHDR", 4) == 0 && length == 13) {
            out->width = big32(body);
            out->height = big32(body + 4);
            out->alpha |= body[COLOR_TYPE] & HAS_ALPHA;
        } else if (memcmp(kind, "tRNS", 4) == 0)
            out->alpha = 1;
        else if (memcmp(kind, "CgBI", 4) == 0)
            return xcos_fail(err, XCOS_E_UNSUPPORTED, "an iPhone-optimised PNG (CgBI) is not read");
        else if (memcmp(kind, "eXIf", 4) == 0) {
            out->exif = body;
            out->exif_size = length;
        } else if (memcmp(kind + 1, "TXt", 3) == 0 || memcmp(kind, "tEXt", 4) == 0) {
            find_text(kind, body, length, "Raw profile type exif", &out->profile);
            find_text(kind, body, length, "Raw profile type APP1", &out->profile);
            find_text(kind, body, length, "XML:com.adobe.xmp", &out->xmp);
        }
        i += 12 + length;
    }
    return TRUNCATED(err, "PNG");
}

/* Skips a chain of sub-blocks, which ends with an empty one; `size` when it is cut. */
static size_t skip_blocks(const uint8_t *data, size_t size, size_t i)
{
    while (i < size) {
        const size_t length = data[i++];
        if (length == 0)
            return i;
        i = length < size - i ? i + length : size;
    }
    return size;
}

static size_t colour_table(int flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

static xcos_status walk_gif(const uint8_t *data, size_t size, xi_container *out, xcos_error *err)
{
    enum { HEADER = 13, DESCRIPTOR = 10, EXTENSION = 0x21, IMAGE = 0x2C, TRAILER = 0x3B };
    if (size < HEADER)
        return TRUNCATED(err, "GIF");
    out->width = little16(data + 6);
    out->height = little16(data + 8);
    out->alpha = 1;
    size_t i = HEADER + colour_table(data[10]);
    while (i < size) {
        if (data[i] == TRAILER)
            return XCOS_OK;
        if (data[i] == EXTENSION)
            i = skip_blocks(data, size, i + 2);
        else if (data[i] != IMAGE)
            return xcos_fail(err, XCOS_E_FORMAT, "damaged GIF (an unknown block)");
        else if (size - i < DESCRIPTOR)
            break;
        else /* one byte of code size before the sub-blocks */
            i = skip_blocks(data, size, i + DESCRIPTOR + colour_table(data[i + 9]) + 1);
    }
    return TRUNCATED(err, "GIF");
}

static xcos_status walk_bmp(const uint8_t *data, size_t size, xi_container *out, xcos_error *err)
{
    enum { CORE_HEADER = 12, RGB = 0, BITFIELDS = 3, ALPHA_BITFIELDS = 6 };
    const uint32_t start = little32(data + 10), header = little32(data + 14);
    if (header != CORE_HEADER && header < 40)
        return xcos_fail(err, XCOS_E_FORMAT, "damaged BMP (a header of %u bytes)", (unsigned)header);
    if (size < 14 + (size_t)header)
        return TRUNCATED(err, "BMP");
    uint32_t bits, compression = RGB;
    if (header == CORE_HEADER) {
        out->width = little16(data + 18);
        out->height = little16(data + 20);
        bits = little16(data + 24);
    } else {
        const int64_t height = (int32_t)little32(data + 22); /* negative: top row first */
        out->width = (int32_t)little32(data + 18);
        out->height = height < 0 ? -height : height;
        bits = little16(data + 28);
        compression = little32(data + 30);
    }
    if (compression != RGB && compression != BITFIELDS && compression != ALPHA_BITFIELDS)
        return xcos_fail(err, XCOS_E_UNSUPPORTED, "a compressed BMP (method %u) is not read",
                         (unsigned)compression);
    if (out->width < 1 || out->height < 1 || bits < 1 || bits > 32)
        return xcos_fail(err, XCOS_E_FORMAT, "damaged BMP (its header)");
    /* Without bit fields the fourth byte of a pixel means nothing. */
    out->alpha = compression != RGB;
    const int64_t row = (out->width * bits + 31) / 32 * 4;
    if (start > size || (int64_t)(size - start) / row < out->height)
        return TRUNCATED(err, "BMP");
    return XCOS_OK;
}

static xcos_status walk(xi_format format, const uint8_t *data, size_t size, xi_container *out,
                        xcos_error *err)
{
    switch (format) {
    case XI_JPEG:
        return walk_jpeg(data, size, out, err);
    case XI_PNG:
        return walk_png(data, size, out, err);
    case XI_GIF:
        return walk_gif(data, size, out, err);
    case XI_BMP:
        return walk_bmp(data, size, out, err);
    case XI_PNM:
    case XI_UNKNOWN:
        break;
    }
    return xcos_fail(err, XCOS_E_ARG, "no container to walk");
}

xcos_status xi_container_walk(xi_format format, const uint8_t *data, size_t size,
                              xi_container *out, xcos_error *err)
{
    *out = (xi_container){0};
    const xcos_status status = walk(format, data, size, out, err);
    if (!status && (out->width < 1 || out->height < 1))
        return xcos_fail(err, XCOS_E_FORMAT, "a picture of %lld x %lld pixels",
                         (long long)out->width, (long long)out->height);
    return status;
}
