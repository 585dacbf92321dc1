/* What a request costs: tokens (exact), memory and time (estimates), before any of it is spent.
 *
 * One estimator for the plan that is shown and for the refusal of what can never fit. Time comes from operation counts of the
 * published shapes and from how fast this machine did such work when it was measured (weft_rates). */
#ifndef WEFT_ENGINE_PLAN_H
#define WEFT_ENGINE_PLAN_H

#include "base/buffer.h"
#include "engine/kv_pool.h"
#include "engine/prompt.h"

enum { WEFT_PLAN_BYTES_MAX = 16 << 20 }; /* of its JSON */

/* Floating-point operations a second; 0: not measured. */
typedef struct weft_rates {
    double prefill, vision;
} weft_rates;

typedef struct weft_estimate {
    uint64_t kv_bytes;
    uint64_t peak_bytes; /* of the whole request beside the weights, kv_bytes included */
    double vision_seconds, prefill_seconds; /* -1: unknown */
} weft_estimate;

/* Operations for `count` prompt rows that stand behind `depth` others; and for encoding one picture or clip. */
double weft_plan_prefill_operations(const weft_config *config, int64_t depth, int64_t count);
double weft_plan_vision_operations(const weft_config *config, weft_grid grid);

/* The largest max_pixels for all media with which the prompt has at most `limit` tokens, and how many it then has; 0: smaller pictures
 * do not help. */
int64_t weft_plan_fitting_pixels(const weft_model *model, const weft_media_item *items, int64_t count, int64_t prompt_tokens, int64_t limit, int64_t *tokens);

typedef struct weft_plan_basis { /* what a plan is made for; all borrowed */
    const weft_model *model;
    const weft_kv_pool *pool;
    const weft_rates *rates;
    weft_kv_format vision_format; /* of keys and values inside the vision tower */
    int64_t context_length;
    int threads;
} weft_plan_basis;

/* `items` [media_count] have their grids. */
weft_estimate weft_plan_estimate(const weft_plan_basis *basis, const weft_media_item *items, int64_t media_count,
                                 int64_t prompt_tokens);

/* The plan as one JSON object; see docs/api.md, POST /v1/media/plan. */
weft_status weft_plan_write(const weft_plan_basis *basis, const weft_media_item *items, int64_t media_count,
                            int64_t prompt_tokens, weft_buffer *out, weft_error *err);

/* Measured rates of this machine, kept in a file of one JSON object: "key": {"prefill", "vision"}. A file that is missing or
 * unreadable holds none; what cannot be written is measured again the next time. */
/* What a rate is true for beside the model: the processor's name. */
void weft_rates_machine(char *name, size_t size);
void weft_rates_load(const char *path, const char *key, weft_rates *rates);
void weft_rates_save(const char *path, const char *key, const weft_rates *rates);

#endif
