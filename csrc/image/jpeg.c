/* jpeg.c: the entropy-coded data of a baseline JPEG, and blocks of 8 x 8 as fewer pixels.
 *
 * Of a large photograph most of the time is in its Huffman codes, and most of these are of coefficients that a
 * smaller picture does without: they are stepped over, several at a look.  Whatever is unusual ends the attempt.
 *
 * Sources: ITU-T T.81, F.2.2 (decoding), B.1.1.5 (0xFF in the data); an inverse DCT of fewer points over the
 * lowest coefficients: Dugad and Ahuja, "A fast scheme for image size change in the compressed domain", 2001. */
#include <string.h>
#include "image/jpeg.h"

/* Coefficients from low to high: where they stand in the block, row by row. */
static const uint8_t zigzag[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

/* ------------------------------------------------------------------ tables */

/* An entry of `skips`: bits of the whole codes with their numbers, coefficients that they stand for (8 bits),
 * whether the last was the end of the block. */
enum { COUNT = 8, END = 16, BYTE = 0xff };

/* A symbol of AC coefficients is how many are zero before one of so many bits; of no bits there are two: the end of
 * the block, and sixteen zeros. */
enum { SIXTEEN_ZEROS = 0xf0 };

static inline int is_undefined(int symbol)
{
    return symbol < 0 || ((symbol & 15) == 0 && symbol != 0 && symbol != SIXTEEN_ZEROS);
}

/* A number of `size` bits, 1 to 15, as T.81 extends its sign. */
static inline int extended(int x, int size)
{
    const int half = 1 << (size - 1);
    return x < half ? x - 2 * half + 1 : x;
}

/* What a look that begins with a code says. */
static xi_look look_of(uint32_t look, int length, uint8_t symbol)
{
    const int size = symbol & 15, both = length + size;
    if (size == 0 || both > XI_LOOK)
        return (xi_look){(uint8_t)length, symbol, 0};
    const int x = (int)(look >> (XI_LOOK - both)) & ((1 << size) - 1);
    return (xi_look){(uint8_t)both, symbol, (int16_t)extended(x, size)};
}

void xi_codes_make(xi_codes *c, const uint8_t *lengths, const uint8_t *values)
{
    memset(c, 0, sizeof *c);
    c->values = values;
    uint32_t code = 0;
    int i = 0;
    for (int length = 1; length <= 16; length++) {
        c->offset[length] = i - (int)code;
        for (; lengths[i] == length; i++, code++) {
            if (length > XI_LOOK)
                continue;
            const uint32_t first = code << (XI_LOOK - length);
            for (uint32_t k = 0; k < 1u << (XI_LOOK - length); k++)
                c->codes[first + k] = look_of(first + k, length, values[i]);
        }
        c->below[length] = code << (16 - length);
        code <<= 1;
    }
    for (uint32_t look = 0; look < 1u << XI_LOOK; look++) {
        uint32_t bits = 0, count = 0, end = 0;
        while (!end) {
            const uint32_t left = (look << bits & ((1u << XI_LOOK) - 1));
            const xi_look next = c->codes[left];
            const uint32_t more = next.length + (next.number ? 0u : next.symbol & 15u);
            if (!next.length || is_undefined(next.symbol) || bits + more > XI_LOOK)
                break;
            bits += more;
            end = next.symbol == 0;
            count += end ? 0 : (next.symbol >> 4) + 1u;
        }
        c->skips[look] = bits | count << COUNT | end << END;
    }
}

/* -------------------------------------------------------------------- bits */

typedef struct {
    const uint8_t *next, *end; /* eight bytes may be read at the end */
    uint64_t bits;             /* the next ones, from the top */
    int count;
} reader;

/* So that 32 bits are there, of which those behind the end are zero. */
static inline void refill(reader *r)
{
    uint64_t more = 0;
    if (r->count >= 32 || r->next > r->end)
        return;
    for (int i = 0; i < 8; i++) /* compilers know it as one load */
        more = more << 8 | r->next[i];
    r->bits |= more >> r->count;
    r->next += (63 - r->count) >> 3;
    r->count |= 56;
}

/* Negative where more was read than there is. */
static inline ptrdiff_t bits_left(const reader *r)
{
    return 8 * (r->end - r->next) + r->count;
}

static inline void drop(reader *r, int bits)
{
    r->bits <<= bits;
    r->count -= bits;
}

/* The next symbol, and the number behind it if it has one; the symbol -1 for none. */
static inline int symbol(reader *r, const xi_codes *c, int *number)
{
    const xi_look look = c->codes[r->bits >> (64 - XI_LOOK)];
    int found = look.symbol, size = found & 15;
    *number = look.number;
    if (look.number) {
        drop(r, look.length);
        return found;
    }
    if (look.length)
        drop(r, look.length);
    else {
        const uint32_t bits = (uint32_t)(r->bits >> 48);
        int length = XI_LOOK + 1;
        while (length <= 16 && bits >= c->below[length])
            length++;
        if (length > 16)
            return -1;
        drop(r, length);
        found = c->values[(int)(bits >> (16 - length)) + c->offset[length]];
        size = found & 15;
    }
    if (size) {
        *number = extended((int)(r->bits >> (64 - size)), size);
        drop(r, size);
    }
    return found;
}

/* ------------------------------------------------------------------ blocks */

/* The coefficients below `wanted` in their order, the others stepped over: how many were read of the former, 1 where
 * the block is flat; 0 where it is damaged. */
static inline int read_block(reader *r, const xi_component *c, int wanted, int *level, short *block)
{
    int x, k = 1;
    refill(r);
    const int size = symbol(r, c->dc, &x);
    *level += x;
    if (size < 0 || size > 15 || *level != (short)*level)
        return 0;
    block[0] = (short)(*level * c->quantizers[0]);
    refill(r);
    const xi_look first = c->ac->codes[r->bits >> (64 - XI_LOOK)];
    if (wanted > 1 && (first.symbol || !first.length)) /* not the end already */
        memset(block + 1, 0, 63 * sizeof *block);
    while (k < wanted) {
        refill(r);
        const int both = symbol(r, c->ac, &x);
        if (is_undefined(both))
            return 0;
        if (both == 0)
            return k;
        k += both >> 4;
        if (k > 63)
            return 0;
        const int at = zigzag[k++];
        block[at] = (short)(x * c->quantizers[at]);
    }
    const int read = k;
    while (k < 64) {
        refill(r);
        const uint32_t skip = c->ac->skips[r->bits >> (64 - XI_LOOK)];
        const int length = (int)(skip & BYTE), count = (int)(skip >> COUNT & BYTE);
        if (length && k + count <= 63) {
            drop(r, length);
            k += count;
            if (skip >> END)
                return read;
            continue;
        }
        const int both = symbol(r, c->ac, &x); /* a long one, or one of the last */
        if (is_undefined(both))
            return 0;
        if (both == 0)
            return read;
        k += (both >> 4) + 1;
    }
    return k == 64 ? read : 0;
}

static uint8_t to_byte(int x)
{
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

static void put_flat(uint8_t *out, ptrdiff_t ld, int side, uint8_t level)
{
    for (int y = 0; y < side; y++, out += ld)
        memset(out, level, (size_t)side);
}

static void put_2(uint8_t *out, ptrdiff_t ld, const short *block)
{
    const int level = block[0] + 4 + (128 << 3); /* rounds, and lifts the mean to 128 */
    const int top = level + block[8], bottom = level - block[8];
    const int above = block[1] + block[9], below = block[1] - block[9];
    out[0] = to_byte((top + above) >> 3);
    out[1] = to_byte((top - above) >> 3);
    out[ld] = to_byte((bottom + below) >> 3);
    out[ld + 1] = to_byte((bottom - below) >> 3);
}

/* Four points: even and odd parts, of which the odd are cos(pi/8) and sin(pi/8) over sqrt(2). */
static inline void idct_4(const float x[4][4], float y[4][4])
{
    for (int i = 0; i < 4; i++) {
        const float sum = 0.5f * (x[0][i] + x[2][i]), difference = 0.5f * (x[0][i] - x[2][i]);
        const float outer = 0.653281482f * x[1][i] + 0.270598050f * x[3][i];
        const float inner = 0.270598050f * x[1][i] - 0.653281482f * x[3][i];
        y[i][0] = sum + outer;
        y[i][1] = difference + inner;
        y[i][2] = difference - inner;
        y[i][3] = sum - outer;
    }
}

static void put_4(uint8_t *out, ptrdiff_t ld, const short *block)
{
    float x[4][4], y[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            x[i][j] = 0.5f * (float)block[8 * i + j];
    idct_4(x, y);
    idct_4(y, x);
    for (int i = 0; i < 4; i++, out += ld)
        for (int j = 0; j < 4; j++)
            out[j] = to_byte((int)(x[i][j] + 512.5f) - 384); /* positive where it is rounded */
}

/* ------------------------------------------------------------------- scans */

/* The data up to the next marker, without the zeros that follow each 0xFF in it; `*from` moves to the
 * marker.  Returns the end of what it wrote. */
static uint8_t *unstuff(const uint8_t **from, const uint8_t *end, uint8_t *to)
{
    const uint8_t *p = *from;
    while (p < end) {
        const uint8_t *ff = memchr(p, 0xFF, (size_t)(end - p));
        const size_t plain = (size_t)((ff ? ff : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (end - p < 2 || p[1] != 0)
            break;
        *to++ = 0xFF;
        p += 2;
    }
    *from = p;
    return to;
}

static int read_unit(reader *r, xi_component *c, int count, int column, int row, int *levels,
                     xi_idct *whole)
{
    /* How many coefficients reach as far as the last one of a side x side corner. */
    static const int wanted[9] = {[1] = 1, [2] = 5, [4] = 25, [8] = 64};
    _Alignas(16) short block[64];
    for (int i = 0; i < count; i++, c++) {
        const int side = c->side;
        uint8_t *corner = c->plane + (ptrdiff_t)row * c->down * side * c->ld +
                          (ptrdiff_t)column * c->across * side;
        for (int y = 0; y < c->down; y++, corner += side * c->ld)
            for (int x = 0; x < c->across; x++) {
                uint8_t *out = corner + x * side;
                const int read = read_block(r, c, wanted[side], &levels[i], block);
                if (read == 0)
                    return 0;
                if (read == 1)
                    put_flat(out, c->ld, side, to_byte((block[0] + 4 + (128 << 3)) >> 3));
                else if (side == 2)
                    put_2(out, c->ld, block);
                else if (side == 4)
                    put_4(out, c->ld, block);
                else
                    whole(out, (int)c->ld, block);
            }
    }
    return 1;
}

const uint8_t *xi_scan_decode(const uint8_t *data, size_t size, xi_component *components, int count,
                              int units_across, int units_down, int restart, xi_idct *whole,
                              uint8_t *room)
{
    const uint8_t *end = data + size;
    const int64_t units = (int64_t)units_across * units_down;
    const int64_t interval = restart ? restart : units;
    int sound = 1;
    for (int64_t unit = 0; sound && unit < units; unit += interval) {
        if (unit) {
            sound = end - data >= 2 && data[1] >= 0xD0 && data[1] <= 0xD7;
            data += 2;
            if (!sound)
                break;
        }
        uint8_t *stop = unstuff(&data, end, room);
        memset(stop, 0, 8);
        reader r = {room, stop, 0, 0};
        int levels[3] = {0};
        for (int64_t u = unit; sound && u < units && u < unit + interval; u++)
            sound = read_unit(&r, components, count, (int)(u % units_across),
                              (int)(u / units_across), levels, whole) &&
                    bits_left(&r) >= 0;
        sound = sound && bits_left(&r) < 8; /* which fill the last byte */
    }
    return sound ? data : NULL;
}
