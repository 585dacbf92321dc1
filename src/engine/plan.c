/* What a request costs: see plan.h. */
#include "engine/plan.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "weights/cache.h"

/* ---- operations ------------------------------------------------------------------------------------------------ */

/* Two operations for each weight that a row meets, and for each key and value that it looks at. */
double weft_plan_prefill_operations(const weft_config *config, int64_t depth, int64_t count) {
    const weft_text_config *c = &config->text;
    double width = (double)c->hidden_size, heads = (double)(c->heads * c->head_dim),
           kv = (double)(c->kv_heads * c->head_dim);
    double attention = width * (heads + 2 * kv) + heads * width;
    double dense = 3 * width * (double)c->intermediate_size;
    double moe = 3 * width * (double)(c->experts_per_token * c->moe_intermediate_size) + width * (double)c->experts;
    double weights = 0;
    for (int64_t i = 0; i < c->layers; i++) {
        bool sparse =
            c->experts > 0 && !c->mlp_only[i] && c->decoder_sparse_step > 0 && (i + 1) % c->decoder_sparse_step == 0;
        weights += attention + (sparse ? moe : dense);
    }
    double pairs = (double)count * ((double)depth + (double)count / 2);
    return 2 * weights * (double)count + 4 * (double)c->layers * heads * pairs;
}

double weft_plan_vision_operations(const weft_config *config, weft_grid grid) {
    const weft_vision_config *c = &config->vision;
    double width = (double)c->hidden_size, unit = (double)(c->merge_size * c->merge_size),
           patches = (double)(grid.h * grid.w);
    double patch = (double)(c->channels * c->temporal_patch_size * c->patch_size * c->patch_size);
    double layer = 4 * width * width + 2 * width * (double)c->intermediate_size;
    double merger = (width * unit) * (width * unit) + width * unit * (double)c->out_hidden_size;
    double rows =
        patches * (patch * width + (double)c->layers * layer) + patches / unit * merger * (1 + c->deepstack_count);
    return (double)grid.t * (2 * rows + 4 * (double)c->layers * width * patches * patches);
}

/* ---- estimate -------------------------------------------------------------------------------------------------- */

static uint64_t embed_bytes(const weft_config *config, weft_grid grid) {
    uint64_t tokens = (uint64_t)weft_grid_tokens(grid, config->vision.merge_size);
    return tokens * (uint64_t)config->text.hidden_size * (uint64_t)(1 + config->vision.deepstack_count) * sizeof(float);
}

/* Resized frames that are held at the same time: a picture's own, a clip's pair. */
static uint64_t pixel_bytes(const weft_config *config, const weft_media_item *item) {
    uint64_t area =
        (uint64_t)(item->grid.h * item->grid.w) * (uint64_t)(config->vision.patch_size * config->vision.patch_size);
    return area * 3 * (item->video ? (uint64_t)config->vision.temporal_patch_size : 1);
}

/* While a picture, or a clip's frame, is resized: as it was decoded, and what the resizing takes. */
static uint64_t decoding_bytes(const weft_plan_basis *basis, const weft_media_item *item) {
    if (item->decoded_bytes == 0) return 0;
    int64_t side = basis->model->config->vision.patch_size;
    return (uint64_t)item->decoded_bytes + weft_resize_bytes(item->width, item->height, item->grid.w * side, item->grid.h * side, basis->threads);
}

/* The most of the time in which pictures become pixels: pages of documents are pixels from the beginning. */
static uint64_t decode_peak(const weft_plan_basis *basis, const weft_media_item *items, int64_t count) {
    uint64_t held = 0, most = 0;
    for (int64_t i = 0; i < count; i++) held += !items[i].video && items[i].decoded_bytes == 0 ? pixel_bytes(basis->model->config, &items[i]) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (items[i].video) continue;
        uint64_t pixels = pixel_bytes(basis->model->config, &items[i]), now = held + pixels + decoding_bytes(basis, &items[i]);
        if (now > most) most = now;
        held += items[i].decoded_bytes ? pixels : 0;
    }
    return most;
}

weft_estimate weft_plan_estimate(const weft_plan_basis *basis, const weft_media_item *items, int64_t media_count,
                                 int64_t prompt_tokens) {
    const weft_config *config = basis->model->config;
    const weft_rates *rates = basis->rates;
    weft_estimate e = {.kv_bytes = (uint64_t)(prompt_tokens / WEFT_KV_PAGE_ROWS + 1) * basis->pool->page_bytes};
    double vision = 0;
    uint64_t embeds = 0, pixels = 0, encoding = 0;
    for (int64_t i = 0; i < media_count; i++) pixels += items[i].video ? 0 : pixel_bytes(config, &items[i]);
    for (int64_t i = 0; i < media_count; i++) {
        /* embeds of those before, pixels of those to come, scratch and embeds of this one */
        uint64_t now = embeds + pixels + (items[i].video ? pixel_bytes(config, &items[i]) + decoding_bytes(basis, &items[i]) : 0) +
                       weft_vision_bytes(config, basis->vision_format, items[i].grid);
        if (now > encoding) encoding = now;
        embeds += embed_bytes(config, items[i].grid);
        pixels -= items[i].video ? 0 : pixel_bytes(config, &items[i]);
        vision += weft_plan_vision_operations(config, items[i].grid);
    }
    uint64_t reading = embeds + e.kv_bytes, decoding = decode_peak(basis, items, media_count);
    e.peak_bytes = reading > encoding ? reading : encoding;
    if (decoding > e.peak_bytes) e.peak_bytes = decoding;
    double prefill = weft_plan_prefill_operations(config, 0, prompt_tokens);
    e.vision_seconds = media_count == 0 ? 0 : rates->vision > 0 ? vision / rates->vision : -1;
    e.prefill_seconds = rates->prefill > 0 ? prefill / rates->prefill : -1;
    return e;
}

/* ---- what would fit -------------------------------------------------------------------------------------------- */

/* The grid of an item under another pixel budget; {0} when it cannot be had. */
static weft_grid grid_under(const weft_model *model, const weft_media_item *item, int64_t max_pixels) {
    const weft_vision_config *v = &model->config->vision;
    int64_t factor = v->patch_size * v->merge_size, width, height,
            min_pixels = item->config.min_pixels < max_pixels ? item->config.min_pixels : max_pixels;
    weft_status status =
        item->video
            ? weft_smart_resize_video(item->frames, item->width, item->height, factor, v->temporal_patch_size,
                                      min_pixels, max_pixels, &width, &height, NULL)
            : weft_smart_resize(item->width, item->height, factor, min_pixels, max_pixels, &width, &height, NULL);
    if (status != WEFT_OK) return (weft_grid){0};
    return (weft_grid){item->grid.t, height / v->patch_size, width / v->patch_size};
}

/* Tokens of all media when each has at most this part of its pixel budget; -1 when a resize refuses. */
static int64_t tokens_under(const weft_model *model, const weft_media_item *items, int64_t count, int64_t max_pixels) {
    int64_t tokens = 0;
    for (int64_t i = 0; i < count; i++) {
        weft_grid grid = grid_under(model, &items[i],
                                    max_pixels < items[i].config.max_pixels ? max_pixels : items[i].config.max_pixels);
        if (grid.h < 1) return -1;
        tokens += weft_grid_tokens(grid, model->config->vision.merge_size);
    }
    return tokens;
}

/* The largest max_pixels for all media with which the prompt has at most `room` tokens, in whole units of one token's
 * area; 0: none has. */
static int64_t best_pixels(const weft_model *model, const weft_media_item *items, int64_t count, int64_t room,
                           int64_t *tokens) {
    const weft_vision_config *v = &model->config->vision;
    int64_t unit = v->patch_size * v->merge_size * v->patch_size * v->merge_size, low = 0, high = 0;
    for (int64_t i = 0; i < count; i++)
        if (items[i].config.max_pixels / unit > high) high = items[i].config.max_pixels / unit;
    while (low < high) { /* low fits (0: by definition), high may not */
        int64_t middle = low + (high - low + 1) / 2, t = tokens_under(model, items, count, middle * unit);
        if (t >= 0 && t <= room)
            low = middle;
        else
            high = middle - 1;
    }
    *tokens = low > 0 ? tokens_under(model, items, count, low * unit) : 0;
    return low * unit;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static json_t *seconds_or_null(double seconds) {
    return seconds < 0 ? json_null() : json_real(seconds);
}

static json_t *item_object(const weft_plan_basis *basis, const weft_media_item *item) {
    const weft_config *config = basis->model->config;
    const weft_rates *rates = basis->rates;
    int64_t tokens = weft_grid_tokens(item->grid, config->vision.merge_size);
    double seconds = rates->vision > 0 ? weft_plan_vision_operations(config, item->grid) / rates->vision : -1;
    uint64_t encoding = weft_vision_bytes(config, basis->vision_format, item->grid) + pixel_bytes(config, item), decoding = decoding_bytes(basis, item);
    if (item->video)
        encoding += decoding;
    else if (decoding + pixel_bytes(config, item) > encoding)
        encoding = decoding + pixel_bytes(config, item);
    json_t *object = json_pack(
        "{s:s, s:I, s:I, s:[I, I, I], s:[I, I], s:I, s:I, s:I, s:o}", "type", item->video ? "video" : "image", "width",
        (json_int_t)item->width, "height", (json_int_t)item->height, "grid", (json_int_t)item->grid.t,
        (json_int_t)item->grid.h, (json_int_t)item->grid.w, "resized",
        (json_int_t)(item->grid.w * config->vision.patch_size), (json_int_t)(item->grid.h * config->vision.patch_size),
        "frames", (json_int_t)item->frames, "tokens", (json_int_t)tokens, "memory_bytes",
        (json_int_t)encoding,
        "seconds", seconds_or_null(seconds));
    if (object && item->video) {
        json_object_set_new(object, "duration", json_real(item->duration));
        if (item->group_seconds && item->grid.t > 0) {
            json_object_set_new(object, "from", json_real(item->group_seconds[0]));
            json_object_set_new(object, "to", json_real(item->group_seconds[item->grid.t - 1]));
        }
    }
    return object;
}

int64_t weft_plan_fitting_pixels(const weft_model *model, const weft_media_item *items, int64_t count,
                                 int64_t prompt_tokens, int64_t limit, int64_t *tokens) {
    int64_t media = 0, text;
    for (int64_t i = 0; i < count; i++) media += weft_grid_tokens(items[i].grid, model->config->vision.merge_size);
    text = prompt_tokens - media;
    int64_t pixels = count > 0 && text < limit ? best_pixels(model, items, count, limit - text, tokens) : 0;
    *tokens += text;
    return pixels;
}

/* What to change so that the prompt fits; null when it does, or when smaller pictures do not help. */
static json_t *suggestion(const weft_model *model, const weft_media_item *items, int64_t count, int64_t prompt_tokens,
                          int64_t limit) {
    if (prompt_tokens <= limit) return json_null();
    int64_t tokens = 0, pixels = weft_plan_fitting_pixels(model, items, count, prompt_tokens, limit, &tokens);
    if (pixels == 0) return json_null();
    return json_pack("{s:I, s:I}", "max_pixels", (json_int_t)pixels, "prompt_tokens", (json_int_t)tokens);
}

weft_status weft_plan_write(const weft_plan_basis *basis, const weft_media_item *items, int64_t media_count,
                            int64_t prompt_tokens, weft_buffer *out, weft_error *err) {
    const weft_model *model = basis->model;
    weft_estimate e = weft_plan_estimate(basis, items, media_count, prompt_tokens);
    int64_t media_tokens = 0, held = basis->pool->pages_max * WEFT_KV_PAGE_ROWS,
            limit = (basis->context_length < held ? basis->context_length : held) - 1;
    json_t *list = json_array();
    for (int64_t i = 0; i < media_count; i++) {
        media_tokens += weft_grid_tokens(items[i].grid, model->config->vision.merge_size);
        json_array_append_new(list, item_object(basis, &items[i]));
    }
    bool timed = e.vision_seconds >= 0 && e.prefill_seconds >= 0;
    json_t *seconds = timed ? json_pack("{s:f, s:f, s:f}", "vision", e.vision_seconds, "prefill", e.prefill_seconds,
                                        "total", e.vision_seconds + e.prefill_seconds)
                            : json_null();
    json_t *plan = json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:o, s:{s:I, s:I}, s:o, s:o}", "object", "media.plan",
                             "prompt_tokens", (json_int_t)prompt_tokens, "media_tokens", (json_int_t)media_tokens,
                             "context_length", (json_int_t)(limit + 1), "remaining",
                             (json_int_t)(limit > prompt_tokens ? limit + 1 - prompt_tokens : 0), "fits",
                             prompt_tokens <= limit, "seconds", seconds, "memory", "peak_bytes",
                             (json_int_t)e.peak_bytes, "kv_bytes", (json_int_t)e.kv_bytes, "items", list, "suggestion",
                             suggestion(model, items, media_count, prompt_tokens, limit));
    char *text = plan ? json_dumps(plan, JSON_COMPACT) : NULL;
    json_decref(plan);
    weft_status status = text ? weft_buffer_puts(out, text, err) : weft_fail(err, WEFT_ERR_MEMORY, "plan: no memory");
    free(text);
    return status;
}

/* ---- rates ----------------------------------------------------------------------------------------------------- */

void weft_rates_machine(char *name, size_t size) {
    struct utsname system;
    char line[256];
    snprintf(name, size, "%s", uname(&system) == 0 ? system.machine : "");
    FILE *file = fopen("/proc/cpuinfo", "r"); /* not everywhere, and not every architecture names its models there */
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!colon) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file) fclose(file);
}

/* The folder of the file, if it is not there yet. */
static void make_folder_of(const char *path) {
    char folder[WEFT_CACHE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) >= sizeof folder) return;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    weft_cache_make_folder(folder);
}

void weft_rates_load(const char *path, const char *key, weft_rates *rates) {
    *rates = (weft_rates){0};
    json_t *root = path ? json_load_file(path, 0, NULL) : NULL;
    const json_t *entry = json_object_get(root, key);
    double prefill = json_number_value(json_object_get(entry, "prefill")),
           vision = json_number_value(json_object_get(entry, "vision"));
    if (prefill > 0 && prefill < 1e18) rates->prefill = prefill;
    if (vision > 0 && vision < 1e18) rates->vision = vision;
    json_decref(root);
}

void weft_rates_save(const char *path, const char *key, const weft_rates *rates) {
    char fresh[4096];
    if (!path || (size_t)snprintf(fresh, sizeof fresh, "%s.%ld", path, (long)getpid()) >= sizeof fresh) return;
    make_folder_of(path);
    json_t *root = json_load_file(path, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        root = json_object();
    }
    json_object_set_new(root, key, json_pack("{s:f, s:f}", "prefill", rates->prefill, "vision", rates->vision));
    /* whole or not at all: another process may be reading */
    if (json_dump_file(root, fresh, JSON_INDENT(1)) != 0 || rename(fresh, path) != 0) unlink(fresh);
    json_decref(root);
}
