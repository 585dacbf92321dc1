/* Everything a sequence needs to run: see engine.h. */
#include <stdlib.h>
#include <unistd.h>

#include "engine/engine.h"
#include "weights/cache.h"

static uint64_t machine_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static uint64_t default_budget(void) { /* a quarter of the machine's memory: the weights need the rest as page cache */
    return machine_bytes() ? machine_bytes() / 4 : (uint64_t)2 << 30;
}

/* The fast path's weights. A cache that cannot be used costs time at the next start, never the model. */
static weft_status pack(weft_worker *w, const weft_engine_options *options, weft_error *err) {
    char folder[WEFT_CACHE_PATH_MAX];
    bool cache = !options->no_cache && weft_cache_folder(folder, NULL) == WEFT_OK;
    return weft_packing_create(w->model->checkpoint, w->compute, cache ? folder : NULL, &w->packing, err);
}

/* Keys and values cost the logits less than the rounding of quantised weights' activations does, but weights of 16 and
 * 32 bits have none: there 8 bits would be all the error there is. */
static weft_kv_format default_kv(const weft_engine_options *options, const weft_text_weights *text) {
    if (options->exact) return WEFT_KV_F32;
    weft_type type = text->layers[0].q.type;
    return type == WEFT_F32 || type == WEFT_F16 || type == WEFT_BF16 ? WEFT_KV_F16 : WEFT_KV_Q8;
}

weft_status weft_worker_init(weft_worker *w, const weft_model *model, const weft_engine_options *options,
                             weft_error *err) {
    *w = (weft_worker){.model = model};
    const weft_config *config = model->config;
    int64_t context = model->info.context_length;
    if (options->context_length > 0 && options->context_length < context) context = options->context_length;
    uint64_t budget = options->memory_bytes ? options->memory_bytes : default_budget();
    const weft_text_weights *text = weft_checkpoint_text(model->checkpoint);
    weft_kv_format format = default_kv(options, text);
    if (options->kv) WEFT_TRY(weft_kv_format_from_name(options->kv, &format, err));
    weft_status status = weft_compute_create(options->cpu_level, options->threads, &w->compute, err);
    if (status == WEFT_OK)
        w->step_rows = weft_compute_kernels(w->compute)->tiles_rows_min ? WEFT_TILE_STEP_ROWS : WEFT_STEP_ROWS;
    const weft_vision_weights *vision = weft_checkpoint_vision(model->checkpoint);
    if (status == WEFT_OK && !options->exact) status = pack(w, options, err);
    if (w->packing) {
        text = weft_packing_text(w->packing);
        vision = weft_packing_vision(w->packing);
    }
    if (status == WEFT_OK)
        status = weft_decoder_create(config, text, w->compute, format, w->step_rows, context, &w->decoder, err);
    if (status == WEFT_OK) status = weft_kv_pool_init(&w->kv_pool, weft_decoder_geometry(w->decoder), budget, err);
    if (status == WEFT_OK) {
        w->logits = malloc(sizeof(float) * WEFT_SEQUENCES_MAX * (size_t)config->text.vocab_size);
        w->rows = malloc(sizeof *w->rows * (size_t)w->step_rows);
        if (!w->logits || !w->rows) status = weft_fail(err, WEFT_ERR_MEMORY, "engine: no memory");
    }
    if (status != WEFT_OK) {
        weft_worker_destroy(w);
        return status;
    }
    w->context =
        (weft_sequence_context){model,   w->compute, vision,          &w->kv_pool,
                                context, &w->rates,  machine_bytes(), options->exact ? WEFT_KV_F32 : WEFT_KV_Q8};
    return WEFT_OK;
}

void weft_worker_destroy(weft_worker *w) {
    free(w->rows);
    free(w->logits);
    weft_kv_pool_destroy(&w->kv_pool);
    weft_decoder_destroy(w->decoder);
    weft_packing_destroy(w->packing);
    weft_compute_destroy(w->compute);
    *w = (weft_worker){0};
}
