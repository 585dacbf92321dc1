/* One picture or clip of a request on its way: see media_item.h.
 *
 * Memory: a picture's resized pixels; of a clip the frames of one temporal group, resized, and one frame at full size in the
 * worker's shared memory. Encoded bytes go when they have been decoded, of a clip when its last frame has. */
#include "engine/media_item.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void weft_media_reader_close(weft_media_reader *reader) {
    weft_media_session_free(reader->session);
    *reader = (weft_media_reader){0};
}

void weft_media_item_init(const weft_model *model, weft_media_part *part, weft_media_item *item) {
    *item = (weft_media_item){.video = part->video, .part = *part};
    *part = (weft_media_part){.video = part->video};
    part = &item->part;
    item->config = part->video ? model->config->video : model->config->image;
    if (part->min_pixels > 0) item->config.min_pixels = part->min_pixels;
    if (part->max_pixels > 0) item->config.max_pixels = part->max_pixels;
    if (item->config.max_pixels < item->config.min_pixels) { /* one override moved past the other's default */
        if (part->max_pixels > 0)
            item->config.min_pixels = item->config.max_pixels;
        else
            item->config.max_pixels = item->config.min_pixels;
    }
    item->sampling = part->sampling;
    if (item->sampling.fps <= 0) item->sampling.fps = item->config.fps;
    if (item->sampling.min_frames <= 0) item->sampling.min_frames = item->config.min_frames;
    if (item->sampling.max_frames <= 0) item->sampling.max_frames = item->config.max_frames;
}

static void close_file(weft_media_item *item) {
    if (item->file) close(item->file - 1);
    item->file = 0;
}

void weft_media_item_free(weft_media_item *item) {
    weft_pixels_free(&item->pixels);
    weft_vision_embeds_free(&item->embeds);
    free(item->group_seconds);
    item->group_seconds = NULL;
    close_file(item);
    weft_media_part_free(&item->part);
}

/* The descriptor of file `index`; its bytes move to shared memory, so that they are held once. */
static weft_status open_file(weft_media_item *item, int64_t index, bool last_use, int *fd, weft_error *err) {
    weft_media_bytes *file = &item->part.files[index];
    if (item->file) {
        *fd = item->file - 1;
        return WEFT_OK;
    }
    if (file->file) {
        *fd = file->file - 1;
        return WEFT_OK;
    }
    WEFT_TRY(weft_media_memory(file->data, file->size, item->video ? "video" : "image", fd, err));
    item->file = *fd + 1;
    if (last_use) {
        free(file->data);
        *file = (weft_media_bytes){0};
    }
    return WEFT_OK;
}

static bool is_frame_list(const weft_media_item *item) { return item->video && item->part.file_count > 1; }

/* Waits for what was begun for this item. */
static weft_status wait_for(weft_media_reader *reader, weft_media_item *item, int wait_ms, bool *ready, weft_error *err) {
    weft_status status = weft_media_wait(reader->session, wait_ms, ready, err);
    if (status != WEFT_OK || *ready) item->working = false;
    return status;
}

/* The size of the item's first file, a picture, into the session's image; its pixels stay undecoded. */
static weft_status measure_first_file(weft_media_reader *reader, int wait_ms, weft_media_item *item, bool *ready, weft_error *err) {
    if (!item->working) {
        int fd;
        WEFT_TRY(open_file(item, 0, false, &fd, err));
        weft_status status = weft_media_image_begin(reader->session, fd, true, err);
        close_file(item);
        if (status != WEFT_OK) return status;
        item->working = true;
    }
    return wait_for(reader, item, wait_ms, ready, err);
}

/* ---- pictures --------------------------------------------------------------------------------------------------- */

/* The grid that a picture of this size will have. */
static weft_status plan_image(const weft_model *model, weft_media_item *item, int64_t width, int64_t height, weft_error *err) {
    item->width = width;
    item->height = height;
    item->frames = 1;
    return weft_pixels_image_grid(width, height, &model->config->vision, &item->config, &item->grid, err);
}

static weft_status measure_image(const weft_model *model, weft_media_reader *reader, int wait_ms, weft_media_item *item, bool *ready, weft_error *err) {
    const weft_rendered_page *page = &item->part.page;
    if (page->width > 0) { /* drawn already, or (in a plan) never to be */
        *ready = true;
        return plan_image(model, item, page->width, page->height, err);
    }
    WEFT_TRY(measure_first_file(reader, wait_ms, item, ready, err));
    if (!*ready) return WEFT_OK;
    const weft_image *image = weft_media_image(reader->session);
    item->decoded_bytes = image->width * image->height * 3;
    return plan_image(model, item, image->full_width, image->full_height, err);
}

static weft_status take_image(const weft_model *model, weft_pool *pool, weft_media_item *item, const weft_image *image, weft_error *err) {
    if (image->full_width != item->width || image->full_height != item->height) /* the prompt has room for what was announced */
        return weft_fail(err, WEFT_ERR_FORMAT, "damaged: announced with %lld x %lld pixels, decoded to %lld x %lld", (long long)item->width,
                         (long long)item->height, (long long)image->full_width, (long long)image->full_height);
    return weft_pixels_from_image(image, &model->config->vision, &item->config, pool, &item->pixels, err);
}

static weft_status prepare_image(const weft_model *model, weft_media_reader *reader, weft_pool *pool, int wait_ms, weft_media_item *item, bool *ready,
                                 weft_error *err) {
    const weft_rendered_page *page = &item->part.page;
    if (page->width > 0 && !page->rgb) return weft_fail(err, WEFT_ERR_INTERNAL, "a page that was not drawn");
    if (page->rgb) {
        weft_image image = {page->width, page->height, page->width, page->height, page->rgb};
        weft_status status = take_image(model, pool, item, &image, err);
        weft_media_part_free(&item->part);
        *ready = true;
        return status;
    }
    if (!item->working) {
        int fd;
        WEFT_TRY(open_file(item, 0, true, &fd, err));
        WEFT_TRY(weft_media_image_begin(reader->session, fd, false, err));
        item->working = true;
    }
    WEFT_TRY(wait_for(reader, item, wait_ms, ready, err));
    if (!*ready) return WEFT_OK;
    close_file(item);
    weft_media_part_free(&item->part);
    return take_image(model, pool, item, weft_media_image(reader->session), err);
}

/* ---- clips ------------------------------------------------------------------------------------------------------ */

/* Grid and times of a clip of `frames` frames; `seconds` NULL: `fps` of them a second. */
static weft_status plan_clip(const weft_model *model, weft_media_item *item, int64_t frames, int64_t width, int64_t height, const double *seconds,
                             weft_error *err) {
    WEFT_TRY(weft_pixels_begin_clip(frames, width, height, &model->config->vision, &item->config, &item->pixels, err));
    item->grid = item->pixels.grid;
    item->width = width;
    item->height = height;
    item->frames = frames;
    item->decoded_bytes = width * height * 3;
    item->duration = (double)frames / item->sampling.fps;
    int64_t groups = item->grid.t, per_group = model->config->vision.temporal_patch_size;
    item->group_seconds = calloc((size_t)groups, sizeof *item->group_seconds);
    if (!item->group_seconds) return weft_fail(err, WEFT_ERR_MEMORY, "clip: no memory");
    for (int64_t g = 0; g < groups; g++) { /* an odd count repeats its last frame */
        int64_t first = g * per_group, last = first + per_group - 1;
        if (first >= frames) first = frames - 1;
        if (last >= frames) last = frames - 1;
        double a = seconds ? seconds[first] : (double)first / item->sampling.fps, b = seconds ? seconds[last] : (double)last / item->sampling.fps;
        item->group_seconds[g] = (a + b) / 2;
    }
    return WEFT_OK;
}

/* Opens the clip and has it sampled; again after another item's clip took its place in the session. */
static weft_status open_clip(weft_media_reader *reader, int wait_ms, weft_media_item *item, bool *ready, weft_error *err) {
    if (!item->working) {
        int fd;
        WEFT_TRY(open_file(item, 0, true, &fd, err));
        reader->clip = NULL;
        WEFT_TRY(weft_media_clip_begin(reader->session, fd, &item->sampling, err));
        item->working = true;
    }
    WEFT_TRY(wait_for(reader, item, wait_ms, ready, err));
    if (*ready) reader->clip = item;
    return WEFT_OK;
}

static weft_status measure_clip(const weft_model *model, weft_media_reader *reader, int wait_ms, weft_media_item *item, bool *ready, weft_error *err) {
    WEFT_TRY(open_clip(reader, wait_ms, item, ready, err));
    if (!*ready) return WEFT_OK;
    const weft_clip_plan *plan = weft_media_clip(reader->session);
    if (!plan) return weft_fail(err, WEFT_ERR_INTERNAL, "clip: it has no plan");
    WEFT_TRY(plan_clip(model, item, plan->frames, plan->width, plan->height, plan->seconds, err));
    item->duration = plan->duration;
    return WEFT_OK;
}

/* A clip given as a list of pictures: they are taken as sampled already, `fps` of them a second, all of the first one's size. */
static weft_status measure_frame_list(const weft_model *model, weft_media_reader *reader, int wait_ms, weft_media_item *item, bool *ready, weft_error *err) {
    WEFT_TRY(measure_first_file(reader, wait_ms, item, ready, err));
    if (!*ready) return WEFT_OK;
    const weft_image *image = weft_media_image(reader->session);
    return plan_clip(model, item, item->part.file_count, image->full_width, image->full_height, NULL, err);
}

weft_status weft_media_item_measure(const weft_model *model, weft_media_reader *reader, int wait_ms, weft_media_item *item, bool *ready, weft_error *err) {
    *ready = false;
    if (!reader->session) WEFT_TRY(weft_media_session_create(NULL, &reader->session, err));
    if (!item->video) return measure_image(model, reader, wait_ms, item, ready, err);
    if (!is_frame_list(item)) return measure_clip(model, reader, wait_ms, item, ready, err);
    weft_status status = measure_frame_list(model, reader, wait_ms, item, ready, err);
    if (status != WEFT_OK) weft_error_prefix(err, "frame 1");
    return status;
}

weft_status weft_media_item_prepare(const weft_model *model, weft_media_reader *reader, weft_pool *pool, int wait_ms, weft_media_item *item,
                                    bool *ready, weft_error *err) {
    *ready = item->video;
    return item->video ? WEFT_OK : prepare_image(model, reader, pool, wait_ms, item, ready, err);
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

static weft_status begin_frame(weft_media_reader *reader, weft_media_item *item, weft_error *err) {
    if (is_frame_list(item)) {
        int fd;
        WEFT_TRY(open_file(item, item->next_frame, true, &fd, err));
        weft_status status = weft_media_image_begin(reader->session, fd, false, err);
        close_file(item);
        if (status != WEFT_OK) return status;
    } else {
        WEFT_TRY(weft_media_frame_begin(reader->session, err));
    }
    item->working = true;
    return WEFT_OK;
}

/* The frame that has come, into its place. */
static weft_status take_frame(weft_media_reader *reader, weft_pool *pool, weft_media_item *item, weft_error *err) {
    const uint8_t *rgb;
    int64_t width, height, index = item->next_frame;
    if (is_frame_list(item)) {
        const weft_image *image = weft_media_image(reader->session);
        rgb = image->rgb;
        width = image->width, height = image->height;
        if (index == 0) item->first_width = width, item->first_height = height;
        if (width != item->first_width || height != item->first_height)
            return weft_fail(err, WEFT_ERR_INVALID, "%lld x %lld pixels, but the first frame has %lld x %lld: frames of a clip must be of one size",
                             (long long)width, (long long)height, (long long)item->first_width, (long long)item->first_height);
    } else {
        const weft_clip_plan *plan = weft_media_clip(reader->session);
        rgb = weft_media_frame(reader->session, &index);
        if (!plan || !rgb || index != item->next_frame || plan->frames != item->pixels.given)
            return weft_fail(err, WEFT_ERR_INTERNAL, "clip: another frame came than the next one");
        width = plan->width, height = plan->height;
    }
    WEFT_TRY(weft_pixels_set_frame(&item->pixels, index, rgb, width, height, pool, err));
    item->next_frame++;
    return WEFT_OK;
}

static weft_status load_frames(weft_media_reader *reader, weft_pool *pool, int wait_ms, weft_media_item *item, int64_t end, bool *ready, weft_error *err) {
    while (item->next_frame < end) {
        *ready = false;
        if (!item->working) WEFT_TRY(begin_frame(reader, item, err));
        WEFT_TRY(wait_for(reader, item, wait_ms, ready, err));
        if (!*ready) return WEFT_OK;
        WEFT_TRY(take_frame(reader, pool, item, err));
    }
    /* the next one is decoded while the encoder works on these */
    if (!item->working && item->next_frame < item->pixels.given) WEFT_TRY(begin_frame(reader, item, err));
    *ready = true;
    return WEFT_OK;
}

weft_status weft_media_item_load(const weft_model *model, weft_media_reader *reader, weft_pool *pool, int wait_ms, weft_media_item *item, int64_t group,
                                 bool *ready, weft_error *err) {
    *ready = true;
    if (!item->video || item->next_frame == item->pixels.given) return WEFT_OK;
    if (!is_frame_list(item) && reader->clip != item) {
        WEFT_TRY(open_clip(reader, wait_ms, item, ready, err));
        if (!*ready) return WEFT_OK;
    }
    int64_t per_group = model->config->vision.temporal_patch_size, end = (group + 1) * per_group;
    if (!item->keep_frames) weft_pixels_drop_frames(&item->pixels, group * per_group);
    if (end > item->pixels.given) end = item->pixels.given;
    bool list = is_frame_list(item);
    weft_status status = load_frames(reader, pool, wait_ms, item, end, ready, err);
    if (status != WEFT_OK && list) weft_error_prefix(err, "frame %lld", (long long)item->next_frame + 1);
    if (status != WEFT_OK || item->next_frame < item->pixels.given) return status;
    close_file(item);
    weft_media_part_free(&item->part);
    return WEFT_OK;
}
