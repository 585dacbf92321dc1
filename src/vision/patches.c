/* A decoded picture or clip made ready for the encoder: resized frames, and the rows of pixel_values read from them.
 *
 * Owns the resized bytes only; pixel_values themselves (64 times a frame's patch) are made a few rows at a time where
 * they are used. Refuses clips of fewer frames than one temporal patch and grids over WEFT_GRID_PATCHES_MAX. */
#include <stdlib.h>
#include <string.h>

#include "vision/vision.h"

void weft_pixels_free(weft_pixels *pixels) {
    for (int64_t i = 0; pixels->allocations && i < pixels->frames; i++) free(pixels->allocations[i]);
    free(pixels->allocations);
    free(pixels->rgb);
    *pixels = (weft_pixels){0};
}

static weft_status check_config(const weft_vision_config *vision, weft_error *err) {
    if (vision->channels != 3 || vision->patch_size < 1 || vision->merge_size < 1 || vision->temporal_patch_size < 1)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                         "vision: patch_size %lld, merge_size %lld, temporal_patch_size %lld and %lld channels",
                         (long long)vision->patch_size, (long long)vision->merge_size,
                         (long long)vision->temporal_patch_size, (long long)vision->channels);
    return WEFT_OK;
}

static weft_status check_grid(weft_grid grid, int64_t width, int64_t height, int64_t frames, weft_error *err) {
    if (grid.h <= WEFT_GRID_PATCHES_MAX / grid.w && grid.t <= WEFT_GRID_PATCHES_MAX / (grid.h * grid.w)) return WEFT_OK;
    return weft_fail(err, WEFT_ERR_LIMIT, "%lld x %lld pixels and %lld frames after resizing: over %d patches; lower max_pixels", (long long)width,
                     (long long)height, (long long)frames, WEFT_GRID_PATCHES_MAX);
}

/* Fills everything but the pixels. `frames` counts those that will be kept, a multiple of the temporal patch (or 1). */
static weft_status prepare(const weft_vision_config *vision, int64_t width, int64_t height, int64_t frames,
                           weft_pixels *out, weft_error *err) {
    int64_t temporal = vision->temporal_patch_size;
    *out = (weft_pixels){.width = width, .height = height, .frames = frames};
    out->grid =
        (weft_grid){frames == 1 ? 1 : frames / temporal, height / vision->patch_size, width / vision->patch_size};
    WEFT_TRY(check_grid(out->grid, width, height, frames, err));
    out->rgb = calloc((size_t)frames, sizeof *out->rgb);
    out->allocations = calloc((size_t)frames, sizeof *out->allocations);
    if (out->rgb && out->allocations) return WEFT_OK;
    weft_pixels_free(out);
    return weft_fail(err, WEFT_ERR_MEMORY, "no memory for %lld frames", (long long)frames);
}

static weft_status add_frame(weft_pixels *out, int64_t index, const uint8_t *rgb, int64_t width, int64_t height,
                             weft_pool *pool, weft_error *err) {
    out->allocations[index] = malloc((size_t)out->width * (size_t)out->height * 3);
    out->rgb[index] = out->allocations[index];
    if (!out->rgb[index]) return weft_fail(err, WEFT_ERR_MEMORY, "no memory for a resized frame");
    return weft_resize_bicubic(rgb, width, height, out->rgb[index], out->width, out->height, pool, err);
}

weft_status weft_pixels_image_grid(int64_t width, int64_t height, const weft_vision_config *vision, const weft_pixels_config *config, weft_grid *grid,
                                   weft_error *err) {
    int64_t new_width, new_height;
    WEFT_TRY(check_config(vision, err));
    WEFT_TRY(weft_smart_resize(width, height, vision->patch_size * vision->merge_size, config->min_pixels, config->max_pixels, &new_width, &new_height, err));
    *grid = (weft_grid){1, new_height / vision->patch_size, new_width / vision->patch_size};
    return check_grid(*grid, new_width, new_height, 1, err);
}

weft_status weft_pixels_from_image(const weft_image *image, const weft_vision_config *vision,
                                   const weft_pixels_config *config, weft_pool *pool, weft_pixels *out,
                                   weft_error *err) {
    int64_t width, height;
    *out = (weft_pixels){0};
    WEFT_TRY(check_config(vision, err));
    /* A picture that was decoded smaller than it is keeps the grid of its full size. */
    int64_t full_width = image->full_width ? image->full_width : image->width;
    int64_t full_height = image->full_height ? image->full_height : image->height;
    WEFT_TRY(weft_smart_resize(full_width, full_height, vision->patch_size * vision->merge_size, config->min_pixels,
                               config->max_pixels, &width, &height, err));
    WEFT_TRY(prepare(vision, width, height, 1, out, err));
    weft_status status = add_frame(out, 0, image->rgb, image->width, image->height, pool, err);
    if (status != WEFT_OK) weft_pixels_free(out);
    return status;
}

weft_status weft_pixels_begin_clip(int64_t frames, int64_t width, int64_t height, const weft_vision_config *vision,
                                   const weft_pixels_config *config, weft_pixels *out, weft_error *err) {
    int64_t new_width, new_height;
    *out = (weft_pixels){0};
    WEFT_TRY(check_config(vision, err));
    int64_t temporal = vision->temporal_patch_size;
    WEFT_TRY(weft_smart_resize_video(frames, width, height, vision->patch_size * vision->merge_size, temporal,
                                     config->min_pixels, config->max_pixels, &new_width, &new_height, err));
    WEFT_TRY(prepare(vision, new_width, new_height, (frames + temporal - 1) / temporal * temporal, out, err));
    out->given = frames;
    return WEFT_OK;
}

weft_status weft_pixels_set_frame(weft_pixels *pixels, int64_t index, const uint8_t *rgb, int64_t width, int64_t height,
                                  weft_pool *pool, weft_error *err) {
    if (index < 0 || index >= pixels->given || pixels->allocations[index])
        return weft_fail(err, WEFT_ERR_INTERNAL, "frame %lld of %lld comes twice or too late", (long long)index,
                         (long long)pixels->given);
    WEFT_TRY(add_frame(pixels, index, rgb, width, height, pool, err));
    for (int64_t i = pixels->given; index == pixels->given - 1 && i < pixels->frames; i++) pixels->rgb[i] = pixels->rgb[index];
    return WEFT_OK;
}

void weft_pixels_drop_frames(weft_pixels *pixels, int64_t end) {
    if (end > pixels->frames) end = pixels->frames;
    for (int64_t i = 0; i < end; i++) {
        free(pixels->allocations[i]);
        pixels->allocations[i] = pixels->rgb[i] = NULL;
    }
}

void weft_grid_place(weft_grid grid, int64_t merge, int64_t index, int64_t *t, int64_t *row, int64_t *column) {
    int64_t blocks = grid.w / merge, unit = merge * merge;
    *t = index / (grid.h * grid.w);
    int64_t within = index % (grid.h * grid.w), block = within / unit;
    *row = block / blocks * merge + within % unit / merge;
    *column = block % blocks * merge + within % merge;
}

/* The published processor folds rescaling into mean and deviation, in f32: (x - mean/rescale) / (std/rescale). */
static void normalisation_table(const weft_pixels_config *config, float table[3][256]) {
    float inverse = (float)(1.0 / config->rescale);
    for (int c = 0; c < 3; c++) {
        float mean = config->mean[c] * inverse, deviation = config->std[c] * inverse;
        for (int value = 0; value < 256; value++) table[c][value] = ((float)value - mean) / deviation;
    }
}

void weft_pixels_patches(const weft_pixels *pixels, const weft_vision_config *vision, const weft_pixels_config *config,
                         int64_t first, int64_t count, float *out) {
    float table[3][256];
    normalisation_table(config, table);
    int64_t patch = vision->patch_size, temporal = vision->temporal_patch_size;
    for (int64_t index = first; index < first + count; index++) {
        int64_t group, row, column;
        weft_grid_place(pixels->grid, vision->merge_size, index, &group, &row, &column);
        int64_t corner = (row * patch * pixels->width + column * patch) * 3;
        for (int c = 0; c < 3; c++)
            for (int64_t t = 0; t < temporal; t++) {
                const uint8_t *frame = pixels->rgb[pixels->frames == 1 ? 0 : group * temporal + t];
                for (int64_t y = 0; y < patch; y++) {
                    const uint8_t *source = frame + corner + y * pixels->width * 3 + c;
                    for (int64_t x = 0; x < patch; x++) *out++ = table[c][source[3 * x]];
                }
            }
    }
}
