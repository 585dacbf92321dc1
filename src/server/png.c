/* Pixels as a PNG file, by libpng: see png.h. */
#include "server/png.h"

#include <png.h>
#include <stdlib.h>

enum { SIDE_MAX = 65535, BYTES_MAX = 256 << 20 };

weft_status weft_png_write(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **png, size_t *size,
                           weft_error *err) {
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "PNG: %u x %u pixels cannot be written", (unsigned)width,
                         (unsigned)height);
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = width,
                       .height = height,
                       .format = PNG_FORMAT_RGB,
                       .flags = PNG_IMAGE_FLAG_FAST}; /* pages are looked at once */
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    if (bytes > BYTES_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "PNG: %u x %u pixels are too many", (unsigned)width, (unsigned)height);
    uint8_t *out = malloc(bytes);
    if (!out) return weft_fail(err, WEFT_ERR_MEMORY, "PNG: no memory");
    if (!png_image_write_to_memory(&image, out, &bytes, 0, rgb, 0, NULL)) {
        free(out);
        return weft_fail(err, WEFT_ERR_INTERNAL, "PNG: libpng says: %s", image.message);
    }
    *png = out;
    *size = bytes;
    return WEFT_OK;
}
