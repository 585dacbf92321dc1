/* The prompt of a request: rendered text, token ids with the pads of pictures and clips expanded, position triples. */
#ifndef WEFT_ENGINE_PROMPT_H
#define WEFT_ENGINE_PROMPT_H

#include "decoder/positions.h"
#include "engine/media_item.h"

typedef struct weft_prompt_span { /* where the embedding rows of a visual span come from */
    int64_t media;                /* index of the media item */
    int64_t first_row;            /* of its embeds */
} weft_prompt_span;

typedef struct weft_prompt {
    char *text; /* as the template rendered it; owned, as all below */
    size_t text_size;
    int32_t *ids;
    int64_t count;
    weft_visual_span *spans;   /* [span_count] ascending */
    weft_prompt_span *sources; /* [span_count] */
    int64_t span_count;
    int32_t (*positions)[3]; /* [count] */
    int64_t delta;           /* a generated token at index i has position i + delta */
    bool begins_in_reasoning;
} weft_prompt;

/* Renders, tokenizes and expands. `items` are prepared (grids known). max_tokens: refuse longer prompts. */
weft_status weft_prompt_build(const weft_model *model, const weft_chat_request *request, const weft_media_item *items,
                              int64_t max_tokens, weft_prompt *prompt, weft_error *err);
void weft_prompt_free(weft_prompt *prompt);

#endif
