/* From logits to the next token: penalties, temperature, top-k, top-p, min-p, seeded choice.
 *
 * Order of the steps as in transformers' and vLLM's samplers: repetition, presence and frequency penalties on the logits,
 * then temperature, top-k, top-p, min-p. A sampler belongs to one sequence; it allocates at creation only. */
#ifndef WEFT_DECODER_SAMPLER_H
#define WEFT_DECODER_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct weft_sampling {
    bool greedy;               /* the likeliest token, after penalties */
    double temperature;        /* 0: greedy */
    int64_t top_k;             /* 0: all */
    double top_p;              /* 1: all */
    double min_p;              /* 0: all */
    double repetition_penalty; /* 1: none; over prompt and output */
    double presence_penalty;   /* 0: none; over the output */
    double frequency_penalty;  /* 0: none; over the output */
    uint64_t seed;
} weft_sampling;

typedef struct weft_sampler weft_sampler;

/* vocab_size: logits per position; prompt ids are remembered for the repetition penalty. */
weft_status weft_sampler_create(const weft_sampling *sampling, int64_t vocab_size, const int32_t *prompt, int64_t prompt_count,
                                weft_sampler **sampler, weft_error *err);
void weft_sampler_free(weft_sampler *sampler);

/* Chooses a token and remembers it. `logits` [vocab_size] is changed in place. `allowed` (may be NULL) is a bit set of the
 * tokens that a grammar lets pass: bit id % 32 of word id / 32. */
int32_t weft_sampler_next(weft_sampler *sampler, float *logits, const uint32_t *allowed);

#endif
