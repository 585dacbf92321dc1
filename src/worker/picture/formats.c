/* Which decoder of this folder reads which format, and the whole way of a picture. */
#include "worker/picture/picture.h"

static weft_picture_decoder *find_decoder(const uint8_t *bytes, size_t size, const char **name) {
    switch (weft_media_sniff(bytes, size, name)) {
    case WEFT_MEDIA_JPEG: return weft_jpeg_decode;
    case WEFT_MEDIA_PNG: return weft_png_decode;
    case WEFT_MEDIA_WEBP: return weft_webp_decode;
    case WEFT_MEDIA_GIF: return weft_gif_decode;
    case WEFT_MEDIA_BMP: return weft_bmp_decode;
    case WEFT_MEDIA_TIFF: return weft_tiff_decode;
    default: return NULL;
    }
}

weft_status weft_picture_decode(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe,
                                weft_image *image, weft_error *err) {
    const char *name = "";
    weft_picture_decoder *decode = find_decoder(bytes, size, &name);
    *image = (weft_image){0};
    if (!decode) return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: not decoded here", name);
    return weft_picture_decode_with(decode, bytes, size, limits, probe, image, err);
}
