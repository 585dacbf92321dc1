/* One picture or clip of a request on its way: bytes -> resized pixels -> embedding rows. */
#ifndef WEFT_ENGINE_MEDIA_ITEM_H
#define WEFT_ENGINE_MEDIA_ITEM_H

#include "engine/chat_request.h"
#include "vision/vision.h"

typedef struct weft_media_item {
    bool video;
    weft_pixels_config config; /* the checkpoint's, with the request's overrides */
    weft_pixels pixels;        /* freed once encoded */
    weft_grid grid;
    double *group_seconds;     /* video: [grid.t] mean presentation time of each pair of frames; owned */
    weft_vision_embeds embeds; /* filled by the encoder */
} weft_media_item;

/* Decodes and resizes one part; frees the part's encoded bytes. */
weft_status weft_media_item_prepare(const weft_model *model, weft_media_part *part, weft_pool *pool, weft_media_item *item, weft_error *err);
void weft_media_item_free(weft_media_item *item);

#endif
