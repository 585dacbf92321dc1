/* Random weights of any storage type: a pool of valid blocks per type and spread, of which tensors are pieces.
 *
 * Codes and sub-scales are random bits; the f16 scales are set so that the values have the wanted spread, which is
 * measured with the project's own dequantisation. Pieces start at random blocks, so equal tensors are rare. */
#ifndef WEFT_RANDOM_MODEL_BLOCKS_H
#define WEFT_RANDOM_MODEL_BLOCKS_H

#include "gguf_writer.h"

typedef struct block_source block_source;

block_source *blocks_create(uint64_t seed); /* NULL: no memory */
void blocks_free(block_source *source);
/* A gguf_fill; `context` is the source. */
bool blocks_fill(void *context, FILE *file, const gguf_tensor *tensor, size_t bytes);

#endif
