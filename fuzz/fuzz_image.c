/* fuzz_image.c: bytes that claim to be a picture, and the same as what may tell its orientation.
 *
 * The first byte chooses a limit on pixels, so that the refusal of large pictures is met as
 * often as their decoding; the rest is the file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const int64_t max_pixels = (int64_t)1 << (data[0] % 21); /* up to a megapixel */
    int (*const tellers[])(const uint8_t *, size_t) = {xi_exif_orientation, xi_profile_orientation,
                                                       xi_xmp_orientation};
    for (size_t i = 0; i < sizeof tellers / sizeof *tellers; i++) {
        const int orientation = tellers[i](data + 1, size - 1);
        if (orientation < 0 || orientation > 8)
            abort();
    }
    xcos_image image;
    xcos_error err;
    if (xcos_image_decode(data + 1, size - 1, max_pixels, &image, &err) == XCOS_OK) {
        if ((int64_t)image.width * image.height > max_pixels)
            abort();
        uint8_t small[16 * 16 * 3];
        if (xcos_image_resize(image.pixels, image.height, image.width, small, 16, 16, &err))
            abort();
        const int64_t width = image.width, height = image.height;
        xcos_image_free(&image);
        int reduction;
        if (xcos_image_decode_reduced(data + 1, size - 1, max_pixels, data[0], &image, &reduction, &err) ||
            (int64_t)image.width * reduction != width || (int64_t)image.height * reduction != height)
            abort();
        xcos_image_free(&image);
    }
    return 0;
}
