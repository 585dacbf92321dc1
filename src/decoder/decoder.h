/* The decoder: a step carries a flat list of rows through all layers.
 *
 * A row is one position of one sequence: a token id, or an embedding row of a picture with its DeepStack rows. Rows of
 * several requests share a pass. A step allocates nothing: all scratch is made at creation for max_rows rows. */
#ifndef WEFT_DECODER_DECODER_H
#define WEFT_DECODER_DECODER_H

#include "decoder/kv_page.h"
#include "weights/checkpoint.h"

typedef struct weft_decoder weft_decoder;

typedef struct weft_step_row {
    void *const *pages;     /* page table of the row's sequence; page index / 128 exists. Rows of one sequence share the
                             * pointer, stand together and ascend */
    int64_t index;          /* absolute index in the sequence: its slot in the cache */
    int32_t position[3];    /* t, h, w */
    int32_t token;          /* when embed is NULL */
    const float *embed;     /* [hidden] or NULL */
    const float *deepstack; /* row of tap 0, or NULL; tap i is at deepstack + i * deepstack_stride */
    int64_t deepstack_stride;
    int64_t sequence_length; /* positions of the whole prompt or, when generating, so far (dynamic NTK only) */
    bool logits;             /* compute logits after this row */
    float *state;            /* [hidden]: receives the state of this row after the final norm; NULL: not wanted */
} weft_step_row;

/* Called after each layer (DeepStack added) with the hidden states of the step's rows, [rows, hidden]. For dumps. */
typedef void weft_layer_tap(void *context, int64_t layer, const float *hidden, int64_t rows);

/* max_rows: rows of a step at most; max_context: positions of a sequence at most. Config, weights and compute are borrowed. */
weft_status weft_decoder_create(const weft_config *config, const weft_text_weights *weights, const weft_compute *compute,
                                weft_kv_format format, int64_t max_rows, int64_t max_context, weft_decoder **decoder,
                                weft_error *err);
void weft_decoder_destroy(weft_decoder *decoder);
const weft_kv_geometry *weft_decoder_geometry(const weft_decoder *decoder);
void weft_decoder_set_tap(weft_decoder *decoder, weft_layer_tap *tap, void *context);

/* Runs `count` rows (1 … max_rows). logits: [rows with logits set, vocab_size], in row order; NULL if there are none. */
void weft_decoder_step(weft_decoder *decoder, const weft_step_row *rows, int64_t count, float *logits);

#endif
