/* The layout of a KV page: 128 positions of all layers in one block of memory.
 *
 * page = [layers][2: keys, values][kv_heads] slabs; a slab holds the 128 rows of one head in the format that the attention
 * kernel reads (kernels.h). The engine's pool owns the pages; the decoder writes each row once and reads it in place. */
#ifndef WEFT_DECODER_KV_PAGE_H
#define WEFT_DECODER_KV_PAGE_H

#include "kernels/kernels.h"
#include "weights/config.h"

typedef struct weft_kv_geometry {
    int64_t layers, kv_heads;
    int head_dim;
    weft_kv_format format;
    size_t slab_bytes[2]; /* of keys, of values */
    size_t page_bytes;
} weft_kv_geometry;

static inline weft_kv_geometry weft_kv_geometry_of(const weft_text_config *text, weft_kv_format format) {
    weft_kv_geometry g = {text->layers, text->kv_heads, (int)text->head_dim, format, {0, 0}, 0};
    for (int which = 0; which < 2; which++)
        g.slab_bytes[which] = weft_kv_slab_bytes(weft_kv_part(format, which), g.head_dim);
    g.page_bytes = (g.slab_bytes[0] + g.slab_bytes[1]) * (size_t)g.layers * (size_t)g.kv_heads;
    return g;
}

/* Byte offset of a slab in its page; which: 0 keys, 1 values. */
static inline size_t weft_kv_slab_offset(const weft_kv_geometry *g, int64_t layer, int which, int64_t head) {
    size_t of_layer = (g->slab_bytes[0] + g->slab_bytes[1]) * (size_t)g->kv_heads;
    return (size_t)layer * of_layer + (which ? g->slab_bytes[0] * (size_t)g->kv_heads : 0) +
           g->slab_bytes[which] * (size_t)head;
}

#endif
