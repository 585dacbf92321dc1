/* An OpenAI chat completion request, checked: see chat_request.h. */
#include "engine/chat_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void weft_media_part_free(weft_media_part *part) {
    for (int64_t i = 0; i < part->file_count; i++) {
        free(part->files[i].data);
        if (part->files[i].file) close(part->files[i].file - 1);
    }
    free(part->files);
    free(part->page.rgb);
    part->page.rgb = NULL;
    part->files = NULL;
    part->file_count = 0;
}

void weft_chat_request_free(weft_chat_request *request) {
    for (int64_t i = 0; i < request->media_count; i++) weft_media_part_free(&request->media[i]);
    free(request->media);
    weft_rendered_pages_free(&request->pages);
    json_decref(request->root);
    *request = (weft_chat_request){0};
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

/* A number in [low, high], or *value untouched when the key is missing or null. */
static weft_status get_number(const json_t *object, const char *key, double low, double high, double *value, weft_error *err) {
    const json_t *item = json_object_get(object, key);
    if (!item || json_is_null(item)) return WEFT_OK;
    if (!json_is_number(item)) return weft_fail(err, WEFT_ERR_INVALID, "'%s' must be a number", key);
    double number = json_number_value(item);
    if (!(number >= low && number <= high))
        return weft_fail(err, WEFT_ERR_INVALID, "'%s' is %g, it must be between %g and %g", key, number, low, high);
    *value = number;
    return WEFT_OK;
}

static weft_status get_integer(const json_t *object, const char *key, int64_t low, int64_t high, int64_t *value, weft_error *err) {
    const json_t *item = json_object_get(object, key);
    if (!item || json_is_null(item)) return WEFT_OK;
    double real = json_is_real(item) ? json_real_value(item) : 0;
    if (!json_is_integer(item) && !(json_is_real(item) && real == (double)(int64_t)real))
        return weft_fail(err, WEFT_ERR_INVALID, "'%s' must be an integer", key);
    int64_t number = json_is_integer(item) ? json_integer_value(item) : (int64_t)real;
    if (number < low || number > high)
        return weft_fail(err, WEFT_ERR_INVALID, "'%s' is %lld, it must be between %lld and %lld", key, (long long)number,
                         (long long)low, (long long)high);
    *value = number;
    return WEFT_OK;
}

static weft_status get_flag(const json_t *object, const char *key, bool *value, weft_error *err) {
    const json_t *item = json_object_get(object, key);
    if (!item || json_is_null(item)) return WEFT_OK;
    if (!json_is_boolean(item)) return weft_fail(err, WEFT_ERR_INVALID, "'%s' must be true or false", key);
    *value = json_is_true(item);
    return WEFT_OK;
}

/* ---- sampling -------------------------------------------------------------------------------------------------- */

/* The checkpoint's generation_config, else what the family's authors recommend for Instruct and Thinking. */
static weft_sampling default_sampling(const weft_model *model) {
    const weft_generation_config *g = &model->config->generation;
    bool thinking = model->info.thinking, stated = g->has_temperature || g->has_top_p || g->has_top_k || g->has_do_sample;
    weft_sampling s = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    if (!stated) {
        s.temperature = thinking ? 0.6 : 0.7;
        s.top_p = thinking ? 0.95 : 0.8;
        s.top_k = 20;
        s.presence_penalty = thinking ? 0 : 1.5;
    }
    if (g->has_temperature) s.temperature = g->temperature;
    if (g->has_top_p) s.top_p = g->top_p;
    if (g->has_top_k) s.top_k = g->top_k;
    if (g->has_min_p) s.min_p = g->min_p;
    if (g->has_repetition_penalty) s.repetition_penalty = g->repetition_penalty;
    if (g->has_presence_penalty) s.presence_penalty = g->presence_penalty;
    s.greedy = g->has_do_sample && !g->do_sample;
    return s;
}

static weft_status parse_sampling(const weft_model *model, const json_t *root, bool greedy, weft_sampling *s, weft_error *err) {
    *s = default_sampling(model);
    double temperature = -1;
    WEFT_TRY(get_number(root, "temperature", 0, 100, &temperature, err));
    if (temperature >= 0) { /* stated by the request: it decides over do_sample too */
        s->temperature = temperature;
        s->greedy = false;
    }
    if (greedy) { /* as transformers' generate(do_sample=False): a repetition penalty that is stated still counts */
        const weft_generation_config *g = &model->config->generation;
        *s = (weft_sampling){.greedy = true, .top_p = 1, .repetition_penalty = g->has_repetition_penalty ? g->repetition_penalty : 1};
    }
    WEFT_TRY(get_number(root, "top_p", 0, 1, &s->top_p, err));
    WEFT_TRY(get_number(root, "min_p", 0, 1, &s->min_p, err));
    int64_t top_k = s->top_k;
    WEFT_TRY(get_integer(root, "top_k", -1, INT32_MAX, &top_k, err));
    s->top_k = top_k < 0 ? 0 : top_k;
    WEFT_TRY(get_number(root, "presence_penalty", -2, 2, &s->presence_penalty, err));
    WEFT_TRY(get_number(root, "frequency_penalty", -2, 2, &s->frequency_penalty, err));
    WEFT_TRY(get_number(root, "repetition_penalty", 0.01, 100, &s->repetition_penalty, err));
    int64_t seed = -1;
    WEFT_TRY(get_integer(root, "seed", INT64_MIN, INT64_MAX, &seed, err));
    s->seed = (uint64_t)seed;
    if (!json_is_integer(json_object_get(root, "seed")) && getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed)
        s->seed = (uint64_t)time(NULL);
    return WEFT_OK;
}

static weft_status parse_stops(weft_chat_request *request, weft_error *err) {
    const json_t *stop = json_object_get(request->root, "stop");
    if (!stop || json_is_null(stop)) return WEFT_OK;
    size_t count = json_is_array(stop) ? json_array_size(stop) : 1;
    if (count > WEFT_REQUEST_STOPS_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "'stop' has %zu strings, the limit is %d", count, WEFT_REQUEST_STOPS_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(stop) ? json_array_get(stop, i) : stop;
        if (!json_is_string(item)) return weft_fail(err, WEFT_ERR_INVALID, "'stop' must be a string or a list of strings");
        if (json_string_length(item) > WEFT_STOP_BYTES_MAX)
            return weft_fail(err, WEFT_ERR_INVALID, "'stop' string %zu is over the limit of %d bytes", i + 1, WEFT_STOP_BYTES_MAX);
        if (json_string_length(item) > 0) request->stops[request->stop_count++] = json_string_value(item);
    }
    return WEFT_OK;
}

/* ---- media ----------------------------------------------------------------------------------------------------- */

static weft_status fetch_file(const json_t *url, const weft_media_policy *policy, weft_media_bytes *file, size_t *budget, weft_error *err) {
    if (!json_is_string(url)) return weft_fail(err, WEFT_ERR_INVALID, "the media part has no 'url' string");
    WEFT_TRY(weft_media_fetch(json_string_value(url), policy, file, err));
    if (file->size > *budget)
        return weft_fail(err, WEFT_ERR_LIMIT, "the media of the request are over the limit of %d MiB together",
                         WEFT_REQUEST_MEDIA_BYTES_MAX >> 20);
    *budget -= file->size;
    /* the picture is decoded from the bytes: their base64 need not stay for as long as the answer takes */
    if (strncasecmp(json_string_value(url), "data:", 5) == 0 && json_string_set((json_t *)url, "data:") != 0)
        return weft_fail(err, WEFT_ERR_MEMORY, "media: no memory");
    return WEFT_OK;
}

/* {"type": "image_url", "image_url": {"url": …}} and its relatives: the URL (or list of frame URLs) of a part, or NULL when
 * the part is no media. *holder is the object that may carry options beside the part itself. */
static const json_t *media_url(const json_t *part, bool *video, const json_t **holder) {
    static const struct {
        const char *type, *key;
        bool video;
    } forms[] = {
        {"image_url", "image_url", false}, {"image", "image", false},          {"image", "image_url", false},
        {"image", "url", false},           {"input_image", "image_url", false}, {"input_image", "file_id", false},
        {"image_file", "image_file", false}, {"video_url", "video_url", true},  {"video", "video", true},
        {"video", "video_url", true},      {"video", "url", true},             {"input_video", "video_url", true},
    };
    const char *type = json_string_value(json_object_get(part, "type"));
    for (size_t i = 0; type && i < sizeof forms / sizeof *forms; i++) {
        const json_t *value = json_object_get(part, forms[i].key);
        if (strcmp(type, forms[i].type) != 0 || !value) continue;
        *video = forms[i].video;
        *holder = value;
        if (!json_is_object(value)) return value;
        const json_t *url = json_object_get(value, "url");
        return url ? url : json_object_get(value, "file_id");
    }
    return NULL;
}

static weft_status parse_media_options(const json_t *object, weft_media_part *part, weft_error *err) {
    if (!json_is_object(object)) return WEFT_OK;
    const json_t *size = json_object_get(object, "size");
    if (json_is_object(size)) {
        WEFT_TRY(get_integer(size, "shortest_edge", 1, INT64_MAX, &part->min_pixels, err));
        WEFT_TRY(get_integer(size, "longest_edge", 1, INT64_MAX, &part->max_pixels, err));
    }
    WEFT_TRY(get_integer(object, "min_pixels", 1, INT64_MAX, &part->min_pixels, err));
    WEFT_TRY(get_integer(object, "max_pixels", 1, INT64_MAX, &part->max_pixels, err));
    if (!part->video) return WEFT_OK;
    WEFT_TRY(get_number(object, "fps", 0.001, 1000, &part->sampling.fps, err));
    WEFT_TRY(get_integer(object, "num_frames", 2, WEFT_REQUEST_FRAMES_MAX, &part->sampling.num_frames, err));
    WEFT_TRY(get_integer(object, "min_frames", 2, WEFT_REQUEST_FRAMES_MAX, &part->sampling.min_frames, err));
    WEFT_TRY(get_integer(object, "max_frames", 2, WEFT_REQUEST_FRAMES_MAX, &part->sampling.max_frames, err));
    WEFT_TRY(get_number(object, "video_start", 0, 1e9, &part->sampling.start_seconds, err));
    WEFT_TRY(get_number(object, "video_end", 0, 1e9, &part->sampling.end_seconds, err));
    return WEFT_OK;
}

static weft_status parse_media_part(const weft_chat_request *request, const json_t *item, const json_t *url, const json_t *holder,
                                    const weft_media_policy *policy, weft_media_part *part, size_t *budget, weft_error *err) {
    WEFT_TRY(parse_media_options(json_object_get(request->root, "mm_processor_kwargs"), part, err));
    WEFT_TRY(parse_media_options(item, part, err));
    WEFT_TRY(parse_media_options(holder, part, err));
    if (part->min_pixels && part->max_pixels && part->min_pixels > part->max_pixels)
        return weft_fail(err, WEFT_ERR_INVALID, "min_pixels %lld is over max_pixels %lld", (long long)part->min_pixels,
                         (long long)part->max_pixels);
    bool frames = json_is_array(url);
    size_t count = frames ? json_array_size(url) : 1;
    if (frames && !part->video) return weft_fail(err, WEFT_ERR_INVALID, "an image part takes one URL, not a list");
    if (count < 1 || count > WEFT_REQUEST_FRAMES_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "a clip of %zu frames: it must have 2 to %d", count, WEFT_REQUEST_FRAMES_MAX);
    part->files = calloc(count, sizeof *part->files);
    if (!part->files) return weft_fail(err, WEFT_ERR_MEMORY, "media: no memory");
    for (size_t i = 0; i < count; i++) {
        part->file_count = (int64_t)i + 1;
        WEFT_TRY(fetch_file(frames ? json_array_get(url, i) : url, policy, &part->files[i], budget, err));
    }
    return WEFT_OK;
}

static weft_status collect_media(weft_chat_request *request, const weft_media_policy *policy, weft_error *err) {
    size_t budget = WEFT_REQUEST_MEDIA_BYTES_MAX;
    int64_t images = 0, videos = 0, page_count = 0;
    size_t m;
    json_t *message;
    json_array_foreach(request->messages, m, message) {
        size_t p;
        json_t *item;
        json_array_foreach(json_object_get(message, "content"), p, item) {
            bool video = false;
            weft_rendered_page *page = page_count < request->pages.count && request->pages.pages[page_count].part == item ? &request->pages.pages[page_count++] : NULL;
            const json_t *holder = NULL, *url = page ? NULL : media_url(item, &video, &holder);
            if (!url && !page) continue;
            if (request->media_count == WEFT_REQUEST_MEDIA_MAX)
                return weft_fail(err, WEFT_ERR_LIMIT, "more than %d pictures and clips in one request", WEFT_REQUEST_MEDIA_MAX);
            if (!request->media) request->media = calloc(WEFT_REQUEST_MEDIA_MAX, sizeof *request->media);
            if (!request->media) return weft_fail(err, WEFT_ERR_MEMORY, "media: no memory");
            weft_media_part *part = &request->media[request->media_count++];
            part->video = video;
            int64_t number = video ? ++videos : ++images;
            if (page) { /* drawn at the size that the encoder takes: not to be resized again */
                part->page = *page;
                page->rgb = NULL;
                part->min_pixels = part->max_pixels = part->page.width * part->page.height;
                continue;
            }
            weft_status status = parse_media_part(request, item, url, holder, policy, part, &budget, err);
            if (status != WEFT_OK) {
                weft_error_prefix(err, "%s %lld", video ? "video" : "image", (long long)number);
                return status;
            }
        }
    }
    return WEFT_OK;
}

/* ---- the request ----------------------------------------------------------------------------------------------- */

static weft_status refuse_unsupported(const json_t *root, weft_error *err) {
    int64_t n = 1;
    WEFT_TRY(get_integer(root, "n", 1, 128, &n, err));
    if (n != 1) return weft_fail(err, WEFT_ERR_UNSUPPORTED, "'n' must be 1: weft makes one answer per request");
    if (json_is_true(json_object_get(root, "logprobs"))) return weft_fail(err, WEFT_ERR_UNSUPPORTED, "'logprobs' is not supported");
    const json_t *format = json_object_get(json_object_get(root, "response_format"), "type");
    if (json_is_string(format) && strcmp(json_string_value(format), "text") != 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "'response_format' %.50s is not supported: ask for JSON in the prompt",
                         json_string_value(format));
    const json_t *choice = json_object_get(root, "tool_choice");
    if (choice && !json_is_null(choice)) {
        const char *name = json_string_value(choice);
        if (!name || (strcmp(name, "auto") != 0 && strcmp(name, "none") != 0))
            return weft_fail(err, WEFT_ERR_UNSUPPORTED, "'tool_choice' must be \"auto\" or \"none\"");
    }
    return WEFT_OK;
}

static weft_status parse_chat_options(weft_chat_request *request, weft_error *err) {
    json_t *root = request->root;
    weft_chat_options *chat = &request->chat;
    chat->add_generation_prompt = true;
    WEFT_TRY(get_flag(root, "add_generation_prompt", &chat->add_generation_prompt, err));
    WEFT_TRY(get_flag(root, "continue_final_message", &chat->continue_final_message, err));
    WEFT_TRY(get_flag(root, "add_vision_id", &chat->add_vision_id, err));
    if (chat->continue_final_message && !json_object_get(root, "add_generation_prompt")) chat->add_generation_prompt = false;
    const json_t *tools = json_object_get(root, "tools"), *choice = json_object_get(root, "tool_choice");
    if (tools && !json_is_null(tools) && !json_is_array(tools)) return weft_fail(err, WEFT_ERR_INVALID, "'tools' must be a list");
    bool none = json_is_string(choice) && strcmp(json_string_value(choice), "none") == 0;
    if (json_array_size(tools) > 0 && !none) chat->tools = tools;
    const json_t *kwargs = json_object_get(root, "chat_template_kwargs");
    if (kwargs && !json_is_null(kwargs)) {
        if (!json_is_object(kwargs)) return weft_fail(err, WEFT_ERR_INVALID, "'chat_template_kwargs' must be an object");
        chat->template_kwargs = kwargs;
        WEFT_TRY(get_flag(kwargs, "add_vision_id", &chat->add_vision_id, err));
    }
    return WEFT_OK;
}

static weft_status parse_messages(weft_chat_request *request, weft_error *err) {
    request->messages = json_object_get(request->root, "messages");
    if (!json_is_array(request->messages) || json_array_size(request->messages) == 0)
        return weft_fail(err, WEFT_ERR_INVALID, "'messages' must be a list with at least one message");
    size_t m;
    json_t *message;
    json_array_foreach(request->messages, m, message) {
        if (!json_is_object(message) || !json_is_string(json_object_get(message, "role")))
            return weft_fail(err, WEFT_ERR_INVALID, "message %zu must be an object with a 'role'", m + 1);
        const json_t *content = json_object_get(message, "content");
        if (content && !json_is_null(content) && !json_is_string(content) && !json_is_array(content))
            return weft_fail(err, WEFT_ERR_INVALID, "message %zu: 'content' must be a string or a list of parts", m + 1);
    }
    return WEFT_OK;
}

weft_status weft_chat_request_parse(const weft_model *model, const weft_request_options *options, const weft_media_policy *policy,
                                    weft_chat_request *request, weft_error *err) {
    *request = (weft_chat_request){0};
    json_error_t where;
    request->root = json_loadb(options->json, options->json_size, JSON_ALLOW_NUL, &where);
    if (!request->root)
        return weft_fail(err, WEFT_ERR_INVALID, "the request is not valid JSON: line %d, column %d: %s", where.line, where.column, where.text);
    weft_status status = WEFT_OK;
    if (!json_is_object(request->root)) status = weft_fail(err, WEFT_ERR_INVALID, "the request must be a JSON object");
    if (status == WEFT_OK) status = parse_messages(request, err);
    if (status == WEFT_OK) status = refuse_unsupported(request->root, err);
    if (status == WEFT_OK) status = parse_chat_options(request, err);
    if (status == WEFT_OK) status = parse_sampling(model, request->root, options->greedy, &request->sampling, err);
    if (status == WEFT_OK) status = parse_stops(request, err);
    if (status == WEFT_OK) status = get_integer(request->root, "max_tokens", 1, INT32_MAX, &request->max_tokens, err);
    if (status == WEFT_OK) status = get_integer(request->root, "max_completion_tokens", 1, INT32_MAX, &request->max_tokens, err);
    if (options->max_tokens > 0) request->max_tokens = options->max_tokens;
    if (status == WEFT_OK) status = weft_documents_expand(model, request->messages, policy, &request->pages, err);
    if (status == WEFT_OK) status = collect_media(request, policy, err);
    if (status != WEFT_OK) weft_chat_request_free(request);
    return status;
}
