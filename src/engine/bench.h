/* Measuring one kind of work with the engine's own parts: see weft_engine_bench in weft.h. */
#ifndef WEFT_ENGINE_BENCH_H
#define WEFT_ENGINE_BENCH_H

#include "engine/engine.h"

enum {
    WEFT_BENCH_REPEAT_MAX = 1000,
    WEFT_BENCH_SIDE_MAX = 16384, /* pixels of a picture's side */
};

/* Runs on the engine's thread while no request is at work. Memory: KV pages of the worker's pool and, for pictures,
 * what the encoder needs; all given back before it returns. */
weft_status weft_worker_bench(weft_worker *worker, const weft_bench_task *task, weft_bench_result *result,
                              weft_error *err);

#endif
