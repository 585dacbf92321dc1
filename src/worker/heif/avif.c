/* AVIF through libavif, as Pillow reads it: the first frame of a sequence, turned and mirrored as its properties say, an
 * embedded profile to sRGB, alpha on white. Memory: the picture twice and the decoder's planes. */
#include "worker/heif/heif.h"

#ifdef WEFT_HAVE_AVIF
#include <stdlib.h>
#include <string.h>

#include <avif/avif.h>

/* Quarter turns anti-clockwise, then a mirror (ISO/IEC 23008-12, irot and imir), as one EXIF orientation. */
static int orientation_of(const avifImage *image) {
    static const int turned[4] = {1, 8, 3, 6}, mirrored_top_bottom[4] = {4, 5, 2, 7}, mirrored_left_right[4] = {2, 7, 4, 5};
    int angle = image->transformFlags & AVIF_TRANSFORM_IROT ? image->irot.angle & 3 : 0;
    if (!(image->transformFlags & AVIF_TRANSFORM_IMIR)) return turned[angle];
#if AVIF_VERSION_MAJOR >= 1
    bool left_right = image->imir.axis;
#else
    bool left_right = image->imir.mode;
#endif
    return left_right ? mirrored_left_right[angle] : mirrored_top_bottom[angle];
}

static weft_status to_rgb(const avifDecoder *decoder, weft_image *out, weft_error *err) {
    const avifImage *image = decoder->image;
    bool alpha = image->alphaPlane != NULL;
    avifRGBImage rgb;
    avifRGBImageSetDefaults(&rgb, image);
    rgb.depth = 8;
    rgb.format = alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    WEFT_TRY(weft_image_allocate(out, image->width, image->height, alpha ? 4 : 3, err));
    rgb.pixels = out->rgb;
    rgb.rowBytes = image->width * (alpha ? 4 : 3);
    avifResult result = avifImageYUVToRGB(image, &rgb);
    if (result != AVIF_RESULT_OK) return weft_fail(err, WEFT_ERR_FORMAT, "AVIF: %s", avifResultToString(result));
    int64_t pixels = out->width * out->height;
    weft_colour *colour = weft_colour_open(image->icc.data, image->icc.size, 3);
    weft_colour_apply(colour, out->rgb, pixels, alpha ? 4 : 3);
    weft_colour_close(colour);
    if (alpha) weft_compose_on_white(out->rgb, out->rgb, pixels);
    return WEFT_OK;
}

static weft_status decode(avifDecoder *decoder, const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    decoder->maxThreads = 1;
    decoder->strictFlags = AVIF_STRICT_DISABLED; /* as Pillow's default */
    decoder->imageSizeLimit = (uint32_t)source->limits->pixels_max;
    avifResult result = avifDecoderSetIOMemory(decoder, source->bytes, source->size);
    if (result == AVIF_RESULT_OK) result = avifDecoderParse(decoder);
    if (result != AVIF_RESULT_OK) return weft_fail(err, WEFT_ERR_FORMAT, "AVIF: malformed or truncated: %s", avifResultToString(result));
    WEFT_TRY(weft_media_check_size("AVIF", decoder->image->width, decoder->image->height, source->limits, err));
    *orientation = orientation_of(decoder->image);
    *image = (weft_image){.width = decoder->image->width, .height = decoder->image->height};
    if (source->probe) return WEFT_OK;
    result = avifDecoderNextImage(decoder);
    if (result != AVIF_RESULT_OK) return weft_fail(err, WEFT_ERR_FORMAT, "AVIF: malformed or truncated: %s", avifResultToString(result));
    return to_rgb(decoder, image, err);
}

weft_status weft_avif_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    avifDecoder *decoder = avifDecoderCreate();
    if (!decoder) return weft_fail(err, WEFT_ERR_MEMORY, "AVIF: no memory for its decoder");
    weft_status status = decode(decoder, source, image, orientation, err);
    avifDecoderDestroy(decoder);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}
#else
weft_status weft_avif_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    (void)source, (void)image, (void)orientation;
    return weft_fail(err, WEFT_ERR_UNSUPPORTED, "an AVIF picture: this weft was built without libavif: send JPEG, PNG or WebP");
}
#endif
