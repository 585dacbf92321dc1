/* Inside of a weft_engine: what computes, shared by the scheduler and by dumps. */
#ifndef WEFT_ENGINE_ENGINE_H
#define WEFT_ENGINE_ENGINE_H

#include "engine/sequence.h"
#include "weights/packing.h"

enum {
    WEFT_STEP_ROWS = 256,   /* rows of one pass through the decoder at most */
    WEFT_TILE_STEP_ROWS = 512, /* the same where matrix tiles make opening weights the dearer part */
    WEFT_SEQUENCES_MAX = 8, /* at work at the same time; more wait */
    WEFT_QUEUE_MAX = 256,   /* waiting; more are refused */
};

/* Everything a sequence needs to run: made once, used by one thread. */
typedef struct weft_worker {
    const weft_model *model;
    weft_compute *compute;
    weft_packing *packing; /* NULL when exact: then the weights are used as stored */
    weft_decoder *decoder;
    weft_kv_pool kv_pool;
    float *logits;       /* [WEFT_SEQUENCES_MAX, vocab] */
    int64_t step_rows;   /* of one step at most */
    weft_step_row *rows; /* [step_rows] */
    weft_rates rates; /* set before the first request that asks for them */
    weft_sequence_context context;
} weft_worker;

weft_status weft_worker_init(weft_worker *worker, const weft_model *model, const weft_engine_options *options, weft_error *err);
void weft_worker_destroy(weft_worker *worker);

#endif
