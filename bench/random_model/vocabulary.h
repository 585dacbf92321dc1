/* The tokenizer of a random model: one that is given as tokenizer.json, or a synthetic one of the published size. */
#ifndef WEFT_RANDOM_MODEL_VOCABULARY_H
#define WEFT_RANDOM_MODEL_VOCABULARY_H

#include "gguf_writer.h"

/* Writes tokenizer.ggml.* and the chat template. `path`: tokenizer.json, or NULL for the synthetic vocabulary: the 256
 * bytes, then merges of an earlier token and one byte, then the published control tokens at their published ids. */
weft_status vocabulary_add(gguf_writer *w, const char *path, int64_t vocab, uint64_t seed, weft_error *err);

#endif
