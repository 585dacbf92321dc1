/* What the decoders of the media layer share; not for other layers.
 *
 * A decoder checks the header against the limits before it allocates, writes 8-bit RGB, and reports the orientation
 * that the file states. It owns nothing after it returns: *image is complete on success and empty on failure. */
#ifndef WEFT_MEDIA_CODEC_H
#define WEFT_MEDIA_CODEC_H

#include "media/media.h"

/* `orientation`: EXIF 1–8, or 0 when the file states none. */
typedef weft_status weft_image_decoder(const uint8_t *bytes, size_t size, const weft_media_limits *limits,
                                       weft_image *image, int *orientation, weft_error *err);
weft_image_decoder weft_jpeg_decode, weft_png_decode, weft_webp_decode;

/* Refuses sizes outside the limits; call it with the header's numbers before any allocation. */
weft_status weft_media_check_size(const char *format, int64_t width, int64_t height, const weft_media_limits *limits,
                                  weft_error *err);
/* Allocates image->rgb for a size that was checked; `channels` 3, or 4 for a decoder that composes in place. */
weft_status weft_image_allocate(weft_image *image, int64_t width, int64_t height, int channels, weft_error *err);

/* Makes a picture upright that was stored with EXIF orientation 2–8; 0 and 1 leave it alone. */
weft_status weft_image_turn(weft_image *image, int orientation, weft_error *err);

/* Composes `pixels` RGBA values onto white, to RGB. rgb == rgba is allowed: it then shrinks in place.
 * Bit for bit Pillow's alpha_composite over opaque white, which the published processor calls for RGBA. */
void weft_compose_on_white(uint8_t *rgb, const uint8_t *rgba, int64_t pixels);
static inline uint8_t weft_blend_on_white(unsigned value, unsigned alpha) {
    /* Weights have 7 more bits than a byte; x / 255 as (x + x/256) / 256 after adding a half. */
    uint32_t sum = (value * alpha + 255u * (255u - alpha)) * 128u + (128u << 7);
    return (uint8_t)((((sum >> 8) + sum) >> 8) >> 7);
}

/* The orientation tag of a TIFF structure (with or without "Exif\0\0" before it), 0 when absent or malformed. */
int weft_exif_orientation(const uint8_t *bytes, size_t size);
/* tiff:Orientation of an XMP packet, 0 when absent. Read when EXIF states none, as Pillow does. */
int weft_xmp_orientation(const uint8_t *bytes, size_t size);

#endif
