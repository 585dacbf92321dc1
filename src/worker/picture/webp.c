/* WebP through libwebp: lossy, lossless, with alpha (composed onto white); of an animation the first frame on its
 * canvas.
 *
 * Memory: the picture (four bytes a pixel while alpha is composed), for an animation two canvases more.
 * Refuses truncated files. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "worker/picture/picture.h"

static weft_status malformed(VP8StatusCode code, weft_error *err) {
    switch (code) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return weft_fail(err, WEFT_ERR_FORMAT, "WebP: truncated: the file ends before the picture does");
    case VP8_STATUS_OUT_OF_MEMORY: return weft_fail(err, WEFT_ERR_MEMORY, "WebP: no memory for its decoder");
    case VP8_STATUS_UNSUPPORTED_FEATURE: return weft_fail(err, WEFT_ERR_UNSUPPORTED, "WebP: an unsupported feature");
    default: return weft_fail(err, WEFT_ERR_FORMAT, "WebP: malformed data");
    }
}

static weft_status decode_still(const uint8_t *bytes, size_t size, bool alpha, weft_image *image, weft_error *err) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return weft_fail(err, WEFT_ERR_INTERNAL, "WebP: library version mismatch");
    int channels = alpha ? 4 : 3;
    config.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = image->rgb;
    config.output.u.RGBA.stride = (int)(image->width * channels);
    config.output.u.RGBA.size = (size_t)image->width * (size_t)image->height * (size_t)channels;
    VP8StatusCode code = WebPDecode(bytes, size, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? WEFT_OK : malformed(code, err);
}

static weft_status decode_animation(const uint8_t *bytes, size_t size, weft_image *image, weft_error *err) {
    WebPAnimDecoderOptions options;
    if (!WebPAnimDecoderOptionsInit(&options))
        return weft_fail(err, WEFT_ERR_INTERNAL, "WebP: library version mismatch");
    options.color_mode = MODE_RGBA;
    WebPData data = {bytes, size};
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
    if (!decoder) return weft_fail(err, WEFT_ERR_FORMAT, "WebP: malformed or truncated animation");
    WebPAnimInfo info;
    uint8_t *canvas = NULL;
    int time_ms;
    weft_status status = WEFT_OK;
    if (!WebPAnimDecoderGetInfo(decoder, &info) || info.canvas_width != image->width ||
        info.canvas_height != image->height || !WebPAnimDecoderGetNext(decoder, &canvas, &time_ms))
        status = weft_fail(err, WEFT_ERR_FORMAT, "WebP: the animation's first frame cannot be decoded");
    else
        memcpy(image->rgb, canvas, (size_t)image->width * (size_t)image->height * 4);
    WebPAnimDecoderDelete(decoder);
    return status;
}

/* Orientation, and the way of an embedded profile to sRGB. */
static void read_metadata(const weft_picture_source *source, int *orientation, weft_colour **colour) {
    WebPData data = {source->bytes, source->size};
    WebPDemuxer *demuxer = WebPDemux(&data);
    if (!demuxer) return;
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        *orientation = weft_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    if (!*orientation && WebPDemuxGetChunk(demuxer, "XMP ", 1, &chunk)) {
        *orientation = weft_xmp_orientation(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    if (!source->probe && WebPDemuxGetChunk(demuxer, "ICCP", 1, &chunk)) {
        *colour = weft_colour_open(chunk.chunk.bytes, chunk.chunk.size, 3);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(demuxer);
}

/* An animation whose header denies alpha shows uncovered canvas black, as Pillow does: the fourth byte is dropped. */
static void drop_alpha(uint8_t *rgb, int64_t pixels) {
    for (int64_t i = 0; i < pixels; i++) memmove(rgb + 3 * i, rgb + 4 * i, 3);
}

weft_status weft_webp_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    const uint8_t *bytes = source->bytes;
    size_t size = source->size;
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(bytes, size, &features);
    if (code != VP8_STATUS_OK) return malformed(code, err);
    WEFT_TRY(weft_media_check_size("WebP", features.width, features.height, source->limits, err));
    weft_colour *colour = NULL;
    read_metadata(source, orientation, &colour);
    *image = (weft_image){.width = features.width, .height = features.height};
    if (source->probe) return WEFT_OK;
    bool alpha = features.has_alpha, animation = features.has_animation;
    int channels = alpha || animation ? 4 : 3;
    weft_status status = weft_image_allocate(image, features.width, features.height, channels, err);
    if (status == WEFT_OK)
        status = animation ? decode_animation(bytes, size, image, err) : decode_still(bytes, size, alpha, image, err);
    int64_t pixels = image->width * image->height;
    if (status == WEFT_OK) weft_colour_apply(colour, image->rgb, pixels, channels);
    weft_colour_close(colour);
    if (status != WEFT_OK) {
        weft_image_free(image);
        return status;
    }
    if (alpha)
        weft_compose_on_white(image->rgb, image->rgb, pixels);
    else if (animation)
        drop_alpha(image->rgb, pixels);
    return WEFT_OK;
}
