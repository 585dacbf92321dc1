/* The prompt of a request: see prompt.h.
 *
 * Clips are expanded in the text, because their timestamps are tokenized together with what stands before them: the
 * triple
 * <|vision_start|><|video_pad|><|vision_end|> becomes, for each pair of frames,
 * <t seconds><|vision_start|><|video_pad|><|vision_end|>. Each pad token then becomes as many as its grid has tokens.
 */
#include "engine/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/plan.h"

void weft_prompt_free(weft_prompt *prompt) {
    free(prompt->text);
    free(prompt->ids);
    free(prompt->spans);
    free(prompt->sources);
    free(prompt->positions);
    *prompt = (weft_prompt){0};
}

static const weft_media_item *next_video(const weft_chat_request *request, const weft_media_item *items, int64_t *at) {
    while (*at < request->media_count) {
        const weft_media_item *item = &items[(*at)++];
        if (item->video) return item;
    }
    return NULL;
}

static weft_status append_video(weft_buffer *out, const weft_media_item *item, const char *open, const char *pad,
                                const char *close, weft_error *err) {
    for (int64_t g = 0; g < item->grid.t; g++)
        WEFT_TRY(weft_buffer_printf(out, err, "<%.1f seconds>%s%s%s", item->group_seconds[g], open, pad, close));
    return WEFT_OK;
}

/* The text with every clip's pad replaced by its timestamped groups. */
static weft_status expand_videos(const weft_model *model, const weft_chat_request *request,
                                 const weft_media_item *items, const weft_buffer *text, weft_buffer *out,
                                 weft_error *err) {
    const char *open = "<|vision_start|>", *close = "<|vision_end|>";
    weft_bytes token =
        model->video_pad >= 0 ? weft_tokenizer_bytes(model->tokenizer, model->video_pad) : (weft_bytes){0};
    char pad[64] = "";
    if (token.size > 0 && token.size < sizeof pad) memcpy(pad, token.data, token.size);
    size_t pad_size = strlen(pad), open_size = strlen(open), close_size = strlen(close);
    int64_t at = 0;
    const char *cursor = text->data ? text->data : "", *end = cursor + text->size;
    while (pad_size) {
        const char *hit = memmem(cursor, (size_t)(end - cursor), pad, pad_size);
        if (!hit) break;
        const weft_media_item *item = next_video(request, items, &at);
        if (!item) break; /* more pads than clips: reported when the tokens are counted */
        const char *before = hit, *after = hit + pad_size;
        if ((size_t)(hit - cursor) >= open_size && memcmp(hit - open_size, open, open_size) == 0 &&
            (size_t)(end - after) >= close_size && memcmp(after, close, close_size) == 0) {
            before -= open_size;
            after += close_size;
        }
        WEFT_TRY(weft_buffer_append(out, cursor, (size_t)(before - cursor), err));
        WEFT_TRY(append_video(out, item, open, pad, close, err));
        cursor = after;
    }
    return weft_buffer_append(out, cursor, (size_t)(end - cursor), err);
}

/* Counts what the expansion will need, checking pads against media: a pad in somebody's text must not shift the
 * pictures. */
static weft_status count_expanded(const weft_model *model, const weft_chat_request *request,
                                  const weft_media_item *items, const weft_ids *ids, int64_t *tokens, int64_t *spans,
                                  weft_error *err) {
    int64_t images = 0, groups = 0, image_total = 0, group_total = 0, merge = model->config->vision.merge_size;
    *tokens = (int64_t)ids->count;
    for (size_t i = 0; i < ids->count; i++) {
        images += ids->data[i] == model->image_pad;
        groups += ids->data[i] == model->video_pad;
    }
    for (int64_t m = 0; m < request->media_count; m++) {
        if (items[m].video)
            group_total += items[m].grid.t;
        else
            image_total++;
        *tokens += weft_grid_tokens(items[m].grid, merge) - (items[m].video ? items[m].grid.t : 1);
    }
    *spans = images + groups;
    if (images != image_total || groups != group_total)
        return weft_fail(err, WEFT_ERR_INVALID,
                         "the prompt has places for %lld pictures and %lld clip frames, the request brings %lld and "
                         "%lld: texts must not "
                         "contain the special tokens %s, and the chat template must show every part",
                         (long long)images, (long long)groups, (long long)image_total, (long long)group_total,
                         "<|image_pad|> or <|video_pad|>");
    return WEFT_OK;
}

typedef struct media_cursor {
    int64_t item;  /* next item to look at */
    int64_t group; /* next group of a clip that has begun */
} media_cursor;

/* The item and group whose tokens the next pad stands for. */
static int64_t take_group(const weft_chat_request *request, const weft_media_item *items, media_cursor *cursor,
                          bool video, int64_t *group) {
    while (cursor->item < request->media_count && items[cursor->item].video != video) cursor->item++;
    int64_t item = cursor->item;
    *group = cursor->group++;
    if (!video || cursor->group == items[item].grid.t) {
        cursor->item++;
        cursor->group = 0;
    }
    return item;
}

static void expand_pads(const weft_model *model, const weft_chat_request *request, const weft_media_item *items,
                        const weft_ids *ids, weft_prompt *prompt) {
    media_cursor images = {0}, videos = {0};
    int64_t merge = model->config->vision.merge_size, at = 0, span = 0;
    for (size_t i = 0; i < ids->count; i++) {
        int32_t id = ids->data[i];
        bool video = id == model->video_pad && id >= 0;
        if (!video && (id != model->image_pad || id < 0)) {
            prompt->ids[at++] = id;
            continue;
        }
        int64_t group = 0, m = take_group(request, items, video ? &videos : &images, video, &group);
        int64_t rows = items[m].grid.h / merge, cols = items[m].grid.w / merge;
        prompt->spans[span] = (weft_visual_span){at, rows * cols, rows, cols};
        prompt->sources[span++] = (weft_prompt_span){m, group * rows * cols};
        for (int64_t k = 0; k < rows * cols; k++) prompt->ids[at++] = id;
    }
}

/* Says by how much, and the setting that fits when there is one. */
static weft_status refuse_length(const weft_model *model, const weft_chat_request *request,
                                 const weft_media_item *items, int64_t count, int64_t limit, weft_error *err) {
    int64_t tokens = 0, unit = model->config->vision.patch_size * model->config->vision.merge_size;
    int64_t pixels = weft_plan_fitting_pixels(model, items, request->media_count, count, limit, &tokens);
    char head[96];
    snprintf(head, sizeof head, "the prompt has %lld tokens, the context holds %lld", (long long)count,
             (long long)limit);
    if (pixels > 0)
        return weft_fail(err, WEFT_ERR_CONTEXT,
                         "%s: with max_pixels %lld (for pages of documents page_tokens %lld) it has %lld and fits",
                         head, (long long)pixels, (long long)(pixels / (unit * unit)), (long long)tokens);
    if (request->media_count > 0)
        return weft_fail(err, WEFT_ERR_CONTEXT,
                         "%s: send fewer pictures or pages, or less text; smaller ones are not enough", head);
    return weft_fail(err, WEFT_ERR_CONTEXT, "%s: send less text", head);
}

static weft_status tokenize_prompt(const weft_model *model, const weft_chat_request *request,
                                   const weft_media_item *items, int64_t max_tokens, weft_prompt *prompt,
                                   weft_buffer *text, weft_ids *ids, weft_error *err) {
    WEFT_TRY(weft_tokenize(model->tokenizer, text->data ? text->data : "", text->size, true, ids, err));
    WEFT_TRY(count_expanded(model, request, items, ids, &prompt->count, &prompt->span_count, err));
    if (prompt->count == 0) return weft_fail(err, WEFT_ERR_INVALID, "the prompt is empty");
    if (prompt->count > max_tokens) return refuse_length(model, request, items, prompt->count, max_tokens, err);
    size_t n = (size_t)prompt->count, spans = (size_t)prompt->span_count + 1;
    prompt->ids = malloc(n * sizeof *prompt->ids);
    prompt->positions = malloc(n * sizeof *prompt->positions);
    prompt->spans = malloc(spans * sizeof *prompt->spans);
    prompt->sources = malloc(spans * sizeof *prompt->sources);
    if (!prompt->ids || !prompt->positions || !prompt->spans || !prompt->sources)
        return weft_fail(err, WEFT_ERR_MEMORY, "prompt: no memory for %zu tokens", n);
    expand_pads(model, request, items, ids, prompt);
    return weft_positions(prompt->count, prompt->spans, prompt->span_count, prompt->positions, &prompt->delta, err);
}

static bool ends_with(const weft_prompt *prompt, const char *tail) {
    size_t n = strlen(tail);
    return prompt->text_size >= n && memcmp(prompt->text + prompt->text_size - n, tail, n) == 0;
}

weft_status weft_prompt_build(const weft_model *model, const weft_chat_request *request, const weft_media_item *items,
                              int64_t max_tokens, weft_prompt *prompt, weft_error *err) {
    *prompt = (weft_prompt){0};
    weft_buffer rendered, expanded;
    weft_buffer_init(&rendered, WEFT_JINJA_OUTPUT_MAX, "the prompt");
    weft_buffer_init(&expanded, WEFT_JINJA_OUTPUT_MAX, "the prompt");
    weft_ids ids = {0};
    weft_status status = weft_chat_render(model->chat, request->messages, &request->chat, &rendered, NULL, err);
    if (status == WEFT_OK) status = expand_videos(model, request, items, &rendered, &expanded, err);
    if (status == WEFT_OK) status = tokenize_prompt(model, request, items, max_tokens, prompt, &expanded, &ids, err);
    if (status == WEFT_OK) {
        prompt->text_size = rendered.size;
        prompt->text = weft_buffer_take(&rendered);
        prompt->begins_in_reasoning = ends_with(prompt, "<think>\n") || ends_with(prompt, "<think>");
    }
    weft_ids_free(&ids);
    weft_buffer_free(&rendered);
    weft_buffer_free(&expanded);
    if (status != WEFT_OK) weft_prompt_free(prompt);
    return status;
}
