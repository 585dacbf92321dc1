/* HEIC through libheif: the primary picture, tiles joined, turned and cropped as its properties say, an embedded
 * profile to sRGB, alpha on white. Memory: the picture twice and the decoder's planes. */
#include "worker/heif/heif.h"

#ifdef WEFT_HAVE_HEIF
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

static weft_status heif_fail(struct heif_error error, weft_error *err) {
    weft_status status = error.code == heif_error_Memory_allocation_error ? WEFT_ERR_LIMIT
                         : error.code == heif_error_Unsupported_feature || error.code == heif_error_Unsupported_filetype
                             ? WEFT_ERR_UNSUPPORTED
                             : WEFT_ERR_FORMAT;
    const char *message = error.message ? error.message : "malformed";
    size_t length = strlen(message);
    while (length > 0 && (unsigned char)message[length - 1] <= ' ') length--; /* some end in a new line */
    return weft_fail(err, status, "HEIC: %.*s", (int)length, message);
}

static weft_colour *open_colour(const struct heif_image_handle *handle) {
    size_t size = heif_image_handle_get_raw_color_profile_size(handle);
    enum heif_color_profile_type type = heif_image_handle_get_color_profile_type(handle);
    if (size == 0 || size > 8 << 20 || (type != heif_color_profile_type_prof && type != heif_color_profile_type_rICC))
        return NULL;
    uint8_t *profile = malloc(size);
    weft_colour *colour = profile && heif_image_handle_get_raw_color_profile(handle, profile).code == heif_error_Ok
                              ? weft_colour_open(profile, size, 3)
                              : NULL;
    free(profile);
    return colour;
}

static weft_status copy_pixels(const struct heif_image *picture, bool alpha, weft_colour *colour,
                               const weft_media_limits *limits, weft_image *image, weft_error *err) {
    int stride = 0, channels = alpha ? 4 : 3;
    const uint8_t *plane = heif_image_get_plane_readonly(picture, heif_channel_interleaved, &stride);
    int64_t width = heif_image_get_width(picture, heif_channel_interleaved),
            height = heif_image_get_height(picture, heif_channel_interleaved);
    WEFT_TRY(weft_media_check_size("HEIC", width, height, limits, err));
    if (!plane || stride < width * channels) return weft_fail(err, WEFT_ERR_FORMAT, "HEIC: its pixels are missing");
    WEFT_TRY(weft_image_allocate(image, width, height, channels, err));
    for (int64_t y = 0; y < height; y++)
        memcpy(image->rgb + y * width * channels, plane + y * stride, (size_t)(width * channels));
    weft_colour_apply(colour, image->rgb, width * height, channels);
    if (alpha) weft_compose_on_white(image->rgb, image->rgb, width * height);
    return WEFT_OK;
}

static weft_status decode(struct heif_context *context, const weft_picture_source *source,
                          struct heif_image_handle **handle, weft_image *image, weft_error *err) {
    heif_context_set_max_decoding_threads(context, 0); /* tiles one after the other */
    struct heif_error error = heif_context_read_from_memory_without_copy(context, source->bytes, source->size, NULL);
    if (error.code == heif_error_Ok) error = heif_context_get_primary_image_handle(context, handle);
    if (error.code != heif_error_Ok) return heif_fail(error, err);
    int64_t width = heif_image_handle_get_width(*handle), height = heif_image_handle_get_height(*handle);
    WEFT_TRY(weft_media_check_size("HEIC", width, height, source->limits, err));
    *image = (weft_image){.width = width, .height = height};
    if (source->probe) return WEFT_OK;
    bool alpha = heif_image_handle_has_alpha_channel(*handle);
    struct heif_image *picture = NULL;
    error = heif_decode_image(*handle, &picture, heif_colorspace_RGB,
                              alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, NULL);
    if (error.code != heif_error_Ok) return heif_fail(error, err);
    weft_colour *colour = open_colour(*handle);
    weft_status status = copy_pixels(picture, alpha, colour, source->limits, image, err);
    weft_colour_close(colour);
    heif_image_release(picture);
    return status;
}

weft_status weft_heic_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    (void)orientation; /* libheif turns by the picture's properties; EXIF does not count beside them */
    struct heif_context *context = heif_context_alloc();
    struct heif_image_handle *handle = NULL;
    if (!context) return weft_fail(err, WEFT_ERR_MEMORY, "HEIC: no memory for its decoder");
    weft_status status = decode(context, source, &handle, image, err);
    if (handle) heif_image_handle_release(handle);
    heif_context_free(context);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}

void weft_heif_warm_up(void) {
    weft_picture_warm_up();
#if LIBHEIF_NUMERIC_VERSION >= 0x010d0000
    heif_init(NULL); /* loads its plugins */
#endif
    heif_context_free(heif_context_alloc());
}
#else
weft_status weft_heic_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    (void)source, (void)image, (void)orientation;
    return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                     "a HEIC picture: this weft was built without libheif: send JPEG, PNG or WebP");
}
void weft_heif_warm_up(void) {
    weft_picture_warm_up();
}
#endif

weft_status weft_heif_decode(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe,
                             weft_image *image, weft_error *err) {
    const char *name = "";
    weft_media_format format = weft_media_sniff(bytes, size, &name);
    if (format == WEFT_MEDIA_AVIF)
        return weft_picture_decode_with(weft_avif_decode, bytes, size, limits, probe, image, err);
    if (format == WEFT_MEDIA_HEIC)
        return weft_picture_decode_with(weft_heic_decode, bytes, size, limits, probe, image, err);
    return weft_fail(err, WEFT_ERR_UNSUPPORTED, "%s: not decoded here", name);
}
