/* An OpenAI chat completion request, checked: messages, media parts with their bytes, sampling, limits. */
#ifndef WEFT_ENGINE_CHAT_REQUEST_H
#define WEFT_ENGINE_CHAT_REQUEST_H

#include <jansson.h>

#include "decoder/sampler.h"
#include "engine/documents.h"
#include "engine/media_source.h"
#include "engine/model.h"
#include "media/media.h"

enum {
    WEFT_REQUEST_MEDIA_MAX = 1024,  /* pictures and clips of one request */
    WEFT_REQUEST_FRAMES_MAX = 768,  /* frames of a clip given as a list of pictures */
    WEFT_REQUEST_STOPS_MAX = 16,
    WEFT_STOP_BYTES_MAX = 1024,
    WEFT_REQUEST_MEDIA_BYTES_MAX = 1 << 30, /* encoded bytes of all media together */
};

typedef struct weft_media_part {
    bool video;
    weft_rendered_page page;         /* of a document, drawn already or (rgb NULL) not; width 0: none; owned */
    weft_media_bytes *files;         /* one; several: a clip given as frames; owned */
    int64_t file_count;
    int64_t min_pixels, max_pixels;  /* 0: the checkpoint's */
    weft_video_sampling sampling;    /* zeros: the checkpoint's */
} weft_media_part;

typedef struct weft_chat_request {
    json_t *root;            /* owns everything borrowed below */
    json_t *messages;
    weft_chat_options chat;  /* tools, template kwargs, … */
    weft_media_part *media;  /* in the order of their places in the messages; owned */
    int64_t media_count;
    weft_rendered_pages pages; /* of documents, until they have become media */
    weft_sampling sampling;
    bool plan;               /* ends once the prompt is known, with the plan as its answer */
    bool embed;              /* ends after the prompt, with the state of its last position (f32, as bytes) as its answer */
    bool background;         /* gives way to all others */
    int64_t max_tokens;      /* 0: to the context's end */
    const char *stops[WEFT_REQUEST_STOPS_MAX];
    int stop_count;
} weft_chat_request;

/* Parses and checks; fetches the bytes of every media part. Defaults come from the model's generation_config. What weft
 * cannot do yet (n > 1, logprobs, forced tool calls, JSON schemas) is refused by name instead of being ignored. */
weft_status weft_chat_request_parse(const weft_model *model, const weft_request_options *options, const weft_media_policy *policy,
                                    weft_chat_request *request, weft_error *err);
void weft_chat_request_free(weft_chat_request *request);
/* Frees the encoded bytes of one part, once they are decoded. */
void weft_media_part_free(weft_media_part *part);

#endif
