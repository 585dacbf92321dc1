/* Hostile bytes to one upright RGB picture: recognises the format by its first bytes, checks the limits, calls the
 * decoder, applies the orientation.
 *
 * Owns the picture it returns. Memory: the RGB picture, the decoder's own state (for a progressive JPEG its
 * coefficients, twice the picture), and a second picture while a quarter turn is applied. Refuses other formats by
 * name. */
#include <stdlib.h>
#include <string.h>

#include "media/codec.h"

const weft_media_limits weft_media_default_limits = {
    .bytes_max = (size_t)256 << 20,
    .pixels_max = 256000000,
    .side_max = 65535,
    .frames_max = 768,
    .video_pixels_max = 2000000000,
    .video_seconds_max = 24 * 3600,
};

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
weft_status weft_image_turn(weft_image *image, int orientation, weft_error *err) {
    if (orientation < 2) return WEFT_OK;
    int64_t w = image->width, h = image->height, pixel = 3, line = w * 3;
    int64_t last_x = (w - 1) * pixel, last_y = (h - 1) * line;
    bool quarter = orientation >= 5;
    weft_image turned;
    WEFT_TRY(weft_image_allocate(&turned, quarter ? h : w, quarter ? w : h, 3, err));
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
    copy_turned(turned.rgb, turned.width, turned.height, image->rgb + way.origin, way.step_x, way.step_y);
    weft_image_free(image);
    *image = turned;
    return WEFT_OK;
}

/* ---- recognising ------------------------------------------------------------------------------------------------ */

static bool starts(const uint8_t *bytes, size_t size, size_t at, const char *magic, size_t length) {
    return size >= at + length && memcmp(bytes + at, magic, length) == 0;
}

static weft_image_decoder *find_decoder(const uint8_t *bytes, size_t size) {
    if (starts(bytes, size, 0, "\xFF\xD8\xFF", 3)) return weft_jpeg_decode;
    if (starts(bytes, size, 0, "\x89PNG\r\n\x1A\n", 8)) return weft_png_decode;
    if (starts(bytes, size, 0, "RIFF", 4) && starts(bytes, size, 8, "WEBP", 4)) return weft_webp_decode;
    return NULL;
}

/* Formats that people send and that are not read here, so that the message can name them. */
static const char *foreign_format(const uint8_t *bytes, size_t size) {
    static const struct {
        uint8_t at, length;
        const char *magic, *name;
    } known[] = {
        {0, 4, "GIF8", "a GIF picture"},         {0, 2, "BM", "a BMP picture"},
        {0, 4, "II*\0", "a TIFF picture"},       {0, 4, "MM\0*", "a TIFF picture"},
        {4, 8, "ftypheic", "a HEIC picture"},    {4, 8, "ftypheix", "a HEIC picture"},
        {4, 8, "ftypmif1", "a HEIF picture"},    {4, 8, "ftypavif", "an AVIF picture"},
        {0, 4, "%PDF", "a PDF document"},        {0, 4, "<svg", "an SVG drawing"},
        {0, 5, "<?xml", "an XML document"},      {4, 4, "ftyp", "a video"},
        {0, 4, "\x1A\x45\xDF\xA3", "a video"},   {0, 12, "\0\0\0\x0CjP  \r\n\x87\n", "a JPEG 2000 picture"},
        {0, 2, "\xFF\x0A", "a JPEG XL picture"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (starts(bytes, size, known[i].at, known[i].magic, known[i].length)) return known[i].name;
    return NULL;
}

weft_status weft_image_decode(const void *data, size_t size, const weft_media_limits *limits, weft_image *image,
                              weft_error *err) {
    const uint8_t *bytes = data;
    *image = (weft_image){0};
    if (!limits) limits = &weft_media_default_limits;
    if (size == 0) return weft_fail(err, WEFT_ERR_FORMAT, "the picture is empty (0 bytes)");
    if (size > limits->bytes_max)
        return weft_fail(err, WEFT_ERR_LIMIT, "the picture has %zu bytes, the limit is %zu", size, limits->bytes_max);
    weft_image_decoder *decode = find_decoder(bytes, size);
    if (!decode) {
        const char *name = foreign_format(bytes, size);
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: send JPEG, PNG or WebP",
                         name ? name : "not a picture format that can be read");
    }
    int orientation = 0;
    WEFT_TRY(decode(bytes, size, limits, image, &orientation, err));
    weft_status status = weft_image_turn(image, orientation, err);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}
