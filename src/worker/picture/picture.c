/* Hostile bytes to one upright RGB picture: recognises the format by its first bytes, calls the decoder, applies the
 * orientation. Runs inside a sandboxed worker.
 *
 * Owns the picture it returns. Memory: the RGB picture, the decoder's own state (for a progressive JPEG its
 * coefficients, twice the picture), and a second picture while a quarter turn is applied. */
#include <stdlib.h>
#include <string.h>

#include "worker/picture/picture.h"

void weft_image_free(weft_image *image) {
    free(image->rgb);
    *image = (weft_image){0};
}

weft_status weft_media_check_size(const char *format, int64_t width, int64_t height, const weft_media_limits *limits,
                                  weft_error *err) {
    if (width < 1 || height < 1)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: its header says %lld x %lld pixels", format, (long long)width,
                         (long long)height);
    if (width > limits->side_max || height > limits->side_max)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %lld x %lld pixels: a side is over the limit of %lld", format,
                         (long long)width, (long long)height, (long long)limits->side_max);
    if (width > limits->pixels_max / height)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %lld x %lld pixels: the picture is over the limit of %lld pixels",
                         format, (long long)width, (long long)height, (long long)limits->pixels_max);
    return WEFT_OK;
}

weft_status weft_image_allocate(weft_image *image, int64_t width, int64_t height, int channels, weft_error *err) {
    size_t bytes;
    *image = (weft_image){.width = width, .height = height};
    if (!__builtin_mul_overflow((size_t)width * (size_t)channels, (size_t)height, &bytes)) image->rgb = malloc(bytes);
    if (image->rgb) return WEFT_OK;
    *image = (weft_image){0};
    return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a picture of %lld x %lld pixels", (long long)width,
                     (long long)height);
}

void weft_compose_on_white(uint8_t *rgb, const uint8_t *rgba, int64_t pixels) {
    for (int64_t i = 0; i < pixels; i++, rgb += 3, rgba += 4) {
        unsigned alpha = rgba[3];
        for (int c = 0; c < 3; c++) rgb[c] = weft_blend_on_white(rgba[c], alpha);
    }
}

/* ---- orientation ------------------------------------------------------------------------------------------------ */

/* Copies source to a target of `columns` x `rows` pixels whose pixel (x, y) is at origin + x * step_x + y * step_y.
 * Tiles keep both sides of a transposition in the cache. */
static void copy_turned(uint8_t *target, int64_t columns, int64_t rows, const uint8_t *origin, int64_t step_x,
                        int64_t step_y) {
    enum { TILE = 32 };
    for (int64_t ty = 0; ty < rows; ty += TILE)
        for (int64_t tx = 0; tx < columns; tx += TILE) {
            int64_t y_end = rows - ty < TILE ? rows : ty + TILE, x_end = columns - tx < TILE ? columns : tx + TILE;
            for (int64_t y = ty; y < y_end; y++)
                for (int64_t x = tx; x < x_end; x++)
                    memcpy(target + (y * columns + x) * 3, origin + x * step_x + y * step_y, 3);
        }
}

/* EXIF 2.3 table of orientations, in the direction that makes the picture upright (as Pillow's exif_transpose). */
void weft_pixels_turn(uint8_t *upright, const uint8_t *rgb, int64_t w, int64_t h, int orientation) {
    int64_t pixel = 3, line = w * 3, last_x = (w - 1) * pixel, last_y = (h - 1) * line;
    bool quarter = orientation >= 5;
    struct {
        int64_t origin, step_x, step_y;
    } way = {0, pixel, line};
    switch (orientation) {
    case 2: way.origin = last_x, way.step_x = -pixel, way.step_y = line; break;           /* mirrored */
    case 3: way.origin = last_x + last_y, way.step_x = -pixel, way.step_y = -line; break; /* upside down */
    case 4: way.origin = last_y, way.step_x = pixel, way.step_y = -line; break;           /* flipped */
    case 5: way.origin = 0, way.step_x = line, way.step_y = pixel; break;                 /* transposed */
    case 6: way.origin = last_y, way.step_x = -line, way.step_y = pixel; break;           /* to be turned clockwise */
    case 7: way.origin = last_x + last_y, way.step_x = -line, way.step_y = -pixel; break; /* transversed */
    case 8: way.origin = last_x, way.step_x = line, way.step_y = -pixel; break;           /* counter-clockwise */
    }
    copy_turned(upright, quarter ? h : w, quarter ? w : h, rgb + way.origin, way.step_x, way.step_y);
}

weft_status weft_image_turn(weft_image *image, int orientation, weft_error *err) {
    if (orientation < 2) return WEFT_OK;
    bool quarter = orientation >= 5;
    weft_image turned = {.width = quarter ? image->height : image->width, .height = quarter ? image->width : image->height};
    if (image->rgb) {
        WEFT_TRY(weft_image_allocate(&turned, turned.width, turned.height, 3, err));
        weft_pixels_turn(turned.rgb, image->rgb, image->width, image->height, orientation);
    }
    turned.full_width = quarter ? image->full_height : image->full_width;
    turned.full_height = quarter ? image->full_width : image->full_height;
    weft_image_free(image);
    *image = turned;
    return WEFT_OK;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

weft_status weft_picture_decode_with(weft_picture_decoder *decoder, const uint8_t *bytes, size_t size,
                                     const weft_media_limits *limits, bool probe, weft_image *image, weft_error *err) {
    weft_picture_source source = {bytes, size, limits, probe};
    int orientation = 0;
    *image = (weft_image){0};
    WEFT_TRY(decoder(&source, image, &orientation, err));
    if (!image->full_width) {
        image->full_width = image->width;
        image->full_height = image->height;
    }
    weft_status status = weft_image_turn(image, orientation, err);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}
/* What the libraries would make on their first use; nothing of it opens a file afterwards. */
void weft_picture_warm_up(void) {
    weft_colour_close(weft_colour_open((const uint8_t *)"", 0, 3));
}
