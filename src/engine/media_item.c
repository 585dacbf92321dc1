/* One picture or clip of a request on its way: see media_item.h. */
#include "engine/media_item.h"

#include <stdlib.h>
#include <string.h>

static weft_status prepare_image(const weft_model *model, const weft_media_part *part, weft_pool *pool, weft_media_item *item, weft_error *err) {
    weft_image image = {0};
    WEFT_TRY(weft_image_decode(part->files[0].data, part->files[0].size, &weft_media_default_limits, &image, err));
    weft_status status = weft_pixels_from_image(&image, &model->config->vision, &item->config, pool, &item->pixels, err);
    weft_image_free(&image);
    return status;
}

/* A clip given as a list of pictures: they are taken as sampled already, `fps` of them a second. */
static weft_status video_from_frames(const weft_media_part *part, double fps, weft_video *video, weft_error *err) {
    video->rgb = calloc((size_t)part->file_count, sizeof *video->rgb);
    video->seconds = calloc((size_t)part->file_count, sizeof *video->seconds);
    if (!video->rgb || !video->seconds) return weft_fail(err, WEFT_ERR_MEMORY, "clip: no memory");
    for (int64_t i = 0; i < part->file_count; i++) {
        weft_image image = {0};
        weft_status status = weft_image_decode(part->files[i].data, part->files[i].size, &weft_media_default_limits, &image, err);
        if (status == WEFT_OK && i > 0 && (image.width != video->width || image.height != video->height)) {
            weft_image_free(&image);
            status = weft_fail(err, WEFT_ERR_INVALID, "%lld x %lld pixels, but the first frame has %lld x %lld: frames of a clip must be of one size",
                               (long long)image.width, (long long)image.height, (long long)video->width, (long long)video->height);
        }
        if (status != WEFT_OK) {
            weft_error_prefix(err, "frame %lld", (long long)i + 1);
            return status;
        }
        video->width = image.width;
        video->height = image.height;
        video->rgb[i] = image.rgb;
        video->seconds[i] = (double)i / fps;
        video->frames = i + 1;
    }
    video->duration = (double)video->frames / fps;
    return WEFT_OK;
}

static weft_status prepare_video(const weft_model *model, const weft_media_part *part, weft_pool *pool, weft_media_item *item, weft_error *err) {
    weft_video video = {0};
    weft_video_sampling sampling = part->sampling;
    const weft_pixels_config *config = &item->config;
    if (sampling.fps <= 0) sampling.fps = config->fps;
    if (sampling.min_frames <= 0) sampling.min_frames = config->min_frames;
    if (sampling.max_frames <= 0) sampling.max_frames = config->max_frames;
    weft_status status = part->file_count > 1
                             ? video_from_frames(part, sampling.fps, &video, err)
                             : weft_video_decode(part->files[0].data, part->files[0].size, &sampling, &weft_media_default_limits, &video, err);
    if (status == WEFT_OK) status = weft_pixels_from_video(&video, &model->config->vision, config, pool, &item->pixels, err);
    if (status == WEFT_OK) {
        int64_t groups = item->pixels.grid.t, per_group = model->config->vision.temporal_patch_size;
        item->group_seconds = calloc((size_t)groups, sizeof *item->group_seconds);
        if (!item->group_seconds) status = weft_fail(err, WEFT_ERR_MEMORY, "clip: no memory");
        for (int64_t g = 0; status == WEFT_OK && g < groups; g++) { /* an odd count repeats its last frame */
            int64_t first = g * per_group, last = first + per_group - 1;
            if (first >= video.frames) first = video.frames - 1;
            if (last >= video.frames) last = video.frames - 1;
            item->group_seconds[g] = (video.seconds[first] + video.seconds[last]) / 2;
        }
    }
    weft_video_free(&video);
    return status;
}

weft_status weft_media_item_prepare(const weft_model *model, weft_media_part *part, weft_pool *pool, weft_media_item *item, weft_error *err) {
    *item = (weft_media_item){.video = part->video};
    item->config = part->video ? model->config->video : model->config->image;
    if (part->min_pixels > 0) item->config.min_pixels = part->min_pixels;
    if (part->max_pixels > 0) item->config.max_pixels = part->max_pixels;
    if (item->config.max_pixels < item->config.min_pixels) { /* one override moved past the other's default */
        if (part->max_pixels > 0)
            item->config.min_pixels = item->config.max_pixels;
        else
            item->config.max_pixels = item->config.min_pixels;
    }
    weft_status status = part->video ? prepare_video(model, part, pool, item, err) : prepare_image(model, part, pool, item, err);
    weft_media_part_free(part);
    if (status != WEFT_OK) {
        weft_media_item_free(item);
        return status;
    }
    item->grid = item->pixels.grid;
    return WEFT_OK;
}

void weft_media_item_free(weft_media_item *item) {
    weft_pixels_free(&item->pixels);
    weft_vision_embeds_free(&item->embeds);
    free(item->group_seconds);
    item->group_seconds = NULL;
}
