/* How pictures and clips are to be made ready: preprocessor_config.json, video_preprocessor_config.json, and the nested
 * objects of processor_config.json that newer checkpoints save instead.
 *
 * Read as transformers 5.23 reads them (get_image_processor_dict, get_video_processor_dict, Qwen2VLImageProcessor,
 * Qwen3VLVideoProcessor): a nested object wins; a missing video file falls back to the image file; a key that is
 * missing in a file means the class's default, which is not what published files hold. No file at all means the shipped
 * values, with a warning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/checkpoint_internal.h"
#include "weights/json_file.h"

enum { FRAMES_LIMIT = 1 << 20 };
static const double pixels_limit = 1e12;

void weft_pixels_shipped(weft_pixels_config *image, weft_pixels_config *video) {
    *image = (weft_pixels_config){.min_pixels = 65536,
                                  .max_pixels = 16777216,
                                  .mean = {0.5f, 0.5f, 0.5f},
                                  .std = {0.5f, 0.5f, 0.5f},
                                  .rescale = 1.0 / 255};
    *video = *image;
    video->min_pixels = 4096;
    video->max_pixels = 25165824;
    video->fps = 2;
    video->min_frames = 4;
    video->max_frames = 768;
    video->max_video_tokens = 768;
}

/* The attributes of the two classes. */
static void class_defaults(weft_pixels_config *image, weft_pixels_config *video) {
    weft_pixels_shipped(image, video);
    image->min_pixels = 56 * 56;
    image->max_pixels = 28 * 28 * 1280;
    static const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f},
                       std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    memcpy(image->mean, mean, sizeof mean);
    memcpy(image->std, std, sizeof std);
    video->min_pixels = 128 * 32 * 32;
    video->max_pixels = 768 * 32 * 32;
}

/* One number for all channels, or three. */
static weft_status read_channels(weft_json json, const char *key, float min, float out[3], weft_error *err) {
    const json_t *value = json_object_get(json.object, key);
    if (!value || json_is_null(value)) return WEFT_OK;
    if (!json_is_number(value) && json_array_size(value) != 3)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s must be a number or a list of three", json.file, json.prefix,
                         key);
    for (int i = 0; i < 3; i++) {
        const json_t *each = json_is_array(value) ? json_array_get(value, (size_t)i) : value;
        double number = json_is_number(each) ? json_number_value(each) : -1e9;
        if (!(number >= min && number <= 1e6))
            return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s must hold numbers from %g to 1e6", json.file, json.prefix,
                             key, min);
        out[i] = (float)number;
    }
    return WEFT_OK;
}

/* `size` replaces both edges or none; the class refuses to resize without one of them. */
static weft_status read_budget(weft_checkpoint *ck, weft_json json, bool video, weft_pixels_config *p,
                               weft_error *err) {
    const int64_t max = (int64_t)pixels_limit;
    const json_t *value = json_object_get(json.object, "size");
    int64_t shortest = p->min_pixels, longest = p->max_pixels;
    if (value && !json_is_null(value)) {
        if (!json_is_object(value))
            return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                             "%s: %ssize must be an object with shortest_edge and longest_edge", json.file,
                             json.prefix);
        weft_json size = {value, json.file, "size."};
        WEFT_TRY(weft_json_int(size, "shortest_edge", 1, max, 0, &shortest, err));
        WEFT_TRY(weft_json_int(size, "longest_edge", 1, max, 0, &longest, err));
    }
    if (!video) {
        WEFT_TRY(weft_json_int(json, "min_pixels", 1, max, shortest, &shortest, err));
        WEFT_TRY(weft_json_int(json, "max_pixels", 1, max, longest, &longest, err));
    } else if (weft_json_has(json, "min_pixels") || weft_json_has(json, "max_pixels")) {
        weft_checkpoint_warn(
            ck, "%s: min_pixels and max_pixels have no effect on videos; size.shortest_edge and size.longest_edge do",
            json.file);
    }
    if (shortest == 0 || longest == 0)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %ssize needs both shortest_edge and longest_edge", json.file,
                         json.prefix);
    if (shortest > longest)
        return weft_fail(err, WEFT_ERR_FORMAT,
                         "%s: %ssize: the least number of pixels, %lld, is over the greatest, %lld", json.file,
                         json.prefix, (long long)shortest, (long long)longest);
    p->min_pixels = shortest;
    p->max_pixels = longest;
    return WEFT_OK;
}

/* Patches are cut by the model's sizes; a file that states others was made for another model. */
static weft_status check_size(weft_json json, const char *key, int64_t wanted, weft_error *err) {
    int64_t stated;
    WEFT_TRY(weft_json_int(json, key, 1, 4096, wanted, &stated, err));
    if (stated != wanted)
        return weft_fail(err, WEFT_ERR_FORMAT, "%s: %s%s is %lld, the model's vision_config says %lld", json.file,
                         json.prefix, key, (long long)stated, (long long)wanted);
    return WEFT_OK;
}

static weft_status read_pixels(weft_checkpoint *ck, weft_json json, bool video, weft_pixels_config *p,
                               weft_error *err) {
    const weft_vision_config *v = &ck->config.vision;
    WEFT_TRY(read_budget(ck, json, video, p, err));
    WEFT_TRY(read_channels(json, "image_mean", -1e6f, p->mean, err));
    WEFT_TRY(read_channels(json, "image_std", 1e-6f, p->std, err));
    WEFT_TRY(weft_json_number(json, "rescale_factor", 1e-9, 1e6, p->rescale, &p->rescale, err));
    bool rescale, normalize, resize;
    WEFT_TRY(weft_json_bool(json, "do_rescale", true, &rescale, err));
    WEFT_TRY(weft_json_bool(json, "do_normalize", true, &normalize, err));
    WEFT_TRY(weft_json_bool(json, "do_resize", true, &resize, err));
    if (!rescale) p->rescale = 1;
    for (int i = 0; i < 3 && !normalize; i++) {
        p->mean[i] = 0;
        p->std[i] = 1;
    }
    if (!resize)
        weft_checkpoint_warn(
            ck, "%s: do_resize is false; pictures are resized all the same, so that they fit the patches", json.file);
    int64_t resample;
    WEFT_TRY(weft_json_int(json, "resample", 0, 100, 3, &resample, err));
    if (resample != 3)
        weft_checkpoint_warn(ck, "%s: resample %lld is not supported; bicubic (3) is used", json.file,
                             (long long)resample);
    if (!v->present) return WEFT_OK;
    WEFT_TRY(check_size(json, "patch_size", v->patch_size, err));
    WEFT_TRY(check_size(json, "temporal_patch_size", v->temporal_patch_size, err));
    return check_size(json, "merge_size", v->merge_size, err);
}

static weft_status read_video(weft_checkpoint *ck, weft_json json, weft_pixels_config *p, weft_error *err) {
    WEFT_TRY(read_pixels(ck, json, true, p, err));
    WEFT_TRY(weft_json_number(json, "fps", 1e-6, 1e4, p->fps, &p->fps, err));
    WEFT_TRY(weft_json_int(json, "min_frames", 1, FRAMES_LIMIT, p->min_frames, &p->min_frames, err));
    WEFT_TRY(weft_json_int(json, "max_frames", 1, FRAMES_LIMIT, p->max_frames, &p->max_frames, err));
    WEFT_TRY(weft_json_int(json, "max_video_tokens", 1, FRAMES_LIMIT, p->max_video_tokens, &p->max_video_tokens, err));
    return weft_json_bool(json, "cap_pixels_per_frame", false, &p->cap_pixels_per_frame, err);
}

/* A file of the folder; *root stays NULL when it is not there. */
static weft_status load_optional(const weft_checkpoint *ck, const char *name, json_t **root, weft_error *err) {
    char *path = NULL;
    *root = NULL;
    if (asprintf(&path, "%s/%s", ck->folder, name) < 0)
        return weft_fail(err, WEFT_ERR_MEMORY, "%s: out of memory", name);
    weft_status status = weft_json_load(path, false, root, err);
    free(path);
    return status == WEFT_ERR_NOT_FOUND ? WEFT_OK : status;
}

static weft_status read_files(weft_checkpoint *ck, json_t *processor, json_t *image, json_t *video, weft_error *err) {
    weft_json outer = {processor, "processor_config.json", ""}, nested_image, nested_video;
    WEFT_TRY(weft_json_object(outer, "image_processor", "image_processor.", &nested_image, err));
    WEFT_TRY(weft_json_object(outer, "video_processor", "video_processor.", &nested_video, err));
    weft_json plain_image = {image, "preprocessor_config.json", ""},
              plain_video = {video, "video_preprocessor_config.json", ""};
    weft_json for_image = nested_image.object ? nested_image : plain_image;
    weft_json for_video = nested_video.object ? nested_video : plain_video.object ? plain_video : plain_image;
    weft_pixels_config class_image, class_video;
    class_defaults(&class_image, &class_video);
    if (for_image.object) {
        ck->config.image = class_image;
        WEFT_TRY(read_pixels(ck, for_image, false, &ck->config.image, err));
    } else if (ck->config.vision.present) {
        weft_checkpoint_warn(
            ck, "no preprocessor_config.json: pictures are prepared with the values that published models ship");
    }
    if (for_video.object) {
        ck->config.video = class_video;
        WEFT_TRY(read_video(ck, for_video, &ck->config.video, err));
    } else if (ck->config.vision.present) {
        weft_checkpoint_warn(
            ck, "no video_preprocessor_config.json: clips are prepared with the values that published models ship");
    }
    return WEFT_OK;
}

weft_status weft_pixels_read_hf(weft_checkpoint *ck, weft_error *err) {
    weft_pixels_shipped(&ck->config.image, &ck->config.video);
    json_t *processor = NULL, *image = NULL, *video = NULL;
    weft_status status = load_optional(ck, "processor_config.json", &processor, err);
    if (status == WEFT_OK) status = load_optional(ck, "preprocessor_config.json", &image, err);
    if (status == WEFT_OK) status = load_optional(ck, "video_preprocessor_config.json", &video, err);
    if (status == WEFT_OK) status = read_files(ck, processor, image, video, err);
    json_decref(processor);
    json_decref(image);
    json_decref(video);
    return status;
}
