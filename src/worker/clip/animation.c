/* Animated WebP through libwebp, which libav does not read: frames composed on their canvas, transparency on white.
 *
 * Owns the decoder and the frames' times; the bytes are borrowed. Memory: three canvases of four bytes a pixel. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "worker/clip/clip.h"
#include "worker/picture/picture.h"

enum { FRAMES_MAX = 1 << 20 };

struct weft_animation {
    WebPAnimDecoder *decoder;
    WebPAnimInfo info;
    bool alpha;
    int64_t *ends_ms; /* [frames] when each gives way to the next */
    int64_t frames, next;
    const uint8_t *canvas; /* frame next - 1, the decoder's */
};

static weft_status list_frames(weft_animation *a, const WebPData *data, weft_error *err) {
    WebPDemuxer *demuxer = WebPDemux(data);
    a->frames = demuxer ? WebPDemuxGetI(demuxer, WEBP_FF_FRAME_COUNT) : 0;
    weft_status status = WEFT_OK;
    if (a->frames < 1 || a->frames > FRAMES_MAX)
        status = weft_fail(err, WEFT_ERR_FORMAT, "WebP: malformed or truncated animation");
    else if (!(a->ends_ms = calloc((size_t)a->frames, sizeof *a->ends_ms)))
        status = weft_fail(err, WEFT_ERR_MEMORY, "WebP: no memory for its times");
    WebPIterator at;
    int64_t now = 0, count = 0;
    if (status == WEFT_OK && WebPDemuxGetFrame(demuxer, 1, &at)) {
        do a->ends_ms[count++] = now += at.duration;
        while (count < a->frames && WebPDemuxNextFrame(&at));
        WebPDemuxReleaseIterator(&at);
    }
    if (status == WEFT_OK && count < a->frames) status = weft_fail(err, WEFT_ERR_FORMAT, "WebP: truncated: %lld of %lld frames", (long long)count, (long long)a->frames);
    WebPDemuxDelete(demuxer);
    return status;
}

weft_status weft_animation_open(const uint8_t *bytes, size_t size, const weft_media_limits *limits, weft_animation **out, weft_error *err) {
    WebPBitstreamFeatures features;
    WebPData data = {bytes, size};
    *out = NULL;
    if (WebPGetFeatures(bytes, size, &features) != VP8_STATUS_OK) return weft_fail(err, WEFT_ERR_FORMAT, "WebP: malformed data");
    if (!features.has_animation) return weft_fail(err, WEFT_ERR_INVALID, "a still WebP picture, not a clip: send it as image_url");
    WEFT_TRY(weft_media_check_size("WebP", features.width, features.height, limits, err));
    weft_animation *a = calloc(1, sizeof *a);
    if (!a) return weft_fail(err, WEFT_ERR_MEMORY, "WebP: no memory");
    a->alpha = features.has_alpha;
    weft_status status = list_frames(a, &data, err);
    WebPAnimDecoderOptions options;
    if (status == WEFT_OK && WebPAnimDecoderOptionsInit(&options)) a->decoder = WebPAnimDecoderNew(&data, &options);
    if (status == WEFT_OK && (!a->decoder || !WebPAnimDecoderGetInfo(a->decoder, &a->info) || (int)a->info.canvas_width != features.width ||
                              (int)a->info.canvas_height != features.height))
        status = weft_fail(err, WEFT_ERR_FORMAT, "WebP: malformed or truncated animation");
    if (status == WEFT_OK)
        *out = a;
    else
        weft_animation_close(a);
    return status;
}

void weft_animation_close(weft_animation *a) {
    if (!a) return;
    if (a->decoder) WebPAnimDecoderDelete(a->decoder);
    free(a->ends_ms);
    free(a);
}

int64_t weft_animation_frames(const weft_animation *a) { return a->frames; }
double weft_animation_seconds(const weft_animation *a, int64_t frame) { return frame > 0 ? (double)a->ends_ms[frame - 1] / 1000 : 0; }
void weft_animation_size(const weft_animation *a, int64_t *width, int64_t *height) {
    *width = a->info.canvas_width;
    *height = a->info.canvas_height;
}

weft_status weft_animation_frame(weft_animation *a, int64_t frame, uint8_t *rgb, weft_error *err) {
    if (frame < a->next - 1) {
        WebPAnimDecoderReset(a->decoder);
        a->next = 0;
    }
    uint8_t *canvas = NULL;
    int end_ms;
    for (; a->next <= frame; a->next++, a->canvas = canvas)
        if (!WebPAnimDecoderGetNext(a->decoder, &canvas, &end_ms)) return weft_fail(err, WEFT_ERR_FORMAT, "WebP: frame %lld is damaged", (long long)a->next + 1);
    int64_t pixels = (int64_t)a->info.canvas_width * a->info.canvas_height;
    if (a->alpha)
        weft_compose_on_white(rgb, a->canvas, pixels);
    else
        for (int64_t i = 0; i < pixels; i++) memcpy(rgb + 3 * i, a->canvas + 4 * i, 3);
    return WEFT_OK;
}
