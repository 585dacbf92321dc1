/* What the picture decoders share.
 *
 * A decoder checks the header against the limits before it allocates, writes 8-bit RGB in sRGB, and reports the orientation
 * that the file states. It owns nothing after it returns: *image is complete on success and empty on failure. */
#ifndef WEFT_WORKER_PICTURE_PICTURE_H
#define WEFT_WORKER_PICTURE_PICTURE_H

#include "media/media.h"

typedef struct weft_picture_source {
    const uint8_t *bytes;
    size_t size;
    const weft_media_limits *limits;
    bool probe; /* width and height only; rgb stays NULL */
} weft_picture_source;

/* `orientation`: EXIF 1–8, or 0 when the file states none. */
typedef weft_status weft_picture_decoder(const weft_picture_source *source, weft_image *image, int *orientation,
                                         weft_error *err);
weft_picture_decoder weft_jpeg_decode, weft_png_decode, weft_webp_decode, weft_gif_decode, weft_bmp_decode, weft_tiff_decode;

/* Tells the format, decodes, turns upright. Pixels equal Pillow's after exif_transpose, ImageCms.profileToProfile (for an
 * embedded profile that is not sRGB already), transparency composed onto white. weft_worker_program.image. */
weft_status weft_picture_decode(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe,
                                weft_image *image, weft_error *err);
/* The same with the decoder given. */
weft_status weft_picture_decode_with(weft_picture_decoder *decoder, const uint8_t *bytes, size_t size,
                                     const weft_media_limits *limits, bool probe, weft_image *image, weft_error *err);
void weft_picture_warm_up(void);
void weft_image_free(weft_image *image); /* leaves it empty */

/* Refuses sizes outside the limits; call it with the header's numbers before any allocation. */
weft_status weft_media_check_size(const char *format, int64_t width, int64_t height, const weft_media_limits *limits,
                                  weft_error *err);
/* Allocates image->rgb for a size that was checked; `channels` 3, or 4 for a decoder that composes in place. */
weft_status weft_image_allocate(weft_image *image, int64_t width, int64_t height, int channels, weft_error *err);

/* Makes a picture upright that was stored with EXIF orientation 2–8; 0 and 1 leave it alone. */
weft_status weft_image_turn(weft_image *image, int orientation, weft_error *err);
/* The same between two buffers: `rgb` [height, width, 3] is stored, `upright` becomes the turned picture. */
void weft_pixels_turn(uint8_t *upright, const uint8_t *rgb, int64_t width, int64_t height, int orientation);

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

/* ---- embedded profiles ------------------------------------------------------------------------------------------ */

typedef struct weft_colour weft_colour; /* a way from a profile's colours to sRGB */
/* `components` 1, 3 or 4 (ink). NULL: nothing to do, because there is no profile, or it is not for these components, or
 * malformed, or within a step of sRGB. */
weft_colour *weft_colour_open(const uint8_t *profile, size_t size, int components);
void weft_colour_close(weft_colour *colour);
/* In place, for components 3: pixels of 3 or (alpha untouched) 4 bytes. A NULL colour does nothing. */
void weft_colour_apply(const weft_colour *colour, uint8_t *pixels, int64_t count, int channels);
/* From 1 or 4 components to RGB. */
void weft_colour_expand(const weft_colour *colour, uint8_t *rgb, const uint8_t *values, int64_t count);

#endif
