/* Pixels as a PNG file, for browsers: pages of documents. Plain 8-bit RGB, one filter, quick compression. No decoder.
 */
#ifndef WEFT_SERVER_PNG_H
#define WEFT_SERVER_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* rgb [height, width, 3] -> *png, malloc'ed, the caller's. Sides 1 to 65,535. */
weft_status weft_png_write(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **png, size_t *size,
                           weft_error *err);

#endif
