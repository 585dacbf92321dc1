/* The weights of a checkpoint with their panels: what the fast path computes with.
 *
 * A weft_packing holds copies of the checkpoint's tables of weights (not of the weights) whose matrices carry panels
 * where kernels/packed.h has a form for them, and the memory of all panels. Decoder matrices are re-laid without loss;
 * plain matrices of the vision tower (f32, f16, bf16) are rounded to 8 bits in groups of 32. The embedding table is
 * read row by row and stays as it is. The checkpoint must outlive the packing. */
#ifndef WEFT_WEIGHTS_PACKING_H
#define WEFT_WEIGHTS_PACKING_H

#include "weights/checkpoint.h"

typedef struct weft_packing weft_packing;

/* Packs on all threads of the pool of `compute`, into a file of the cache in `cache_folder` (see cache.h), or maps the
 * file that an earlier start made. Packs into anonymous memory when the folder is NULL, when the panels are smaller than
 * WEFT_CACHE_LEAST_BYTES, or when the cache has no room or cannot be written (weft_packing_note). The file is synced in
 * the background; destroying the packing waits for that. After a matrix is packed its pages of the mapped file are given back,
 * so that the resident memory stays near the size of the file. With `compute` whose kernels do not pack, nothing is
 * packed and the tables are those of the checkpoint. */
enum { WEFT_CACHE_LEAST_BYTES = 64 << 20 };
weft_status weft_packing_create(const weft_checkpoint *checkpoint, const weft_compute *compute,
                                const char *cache_folder, weft_packing **packing, weft_error *err);
/* Why no cache file was made although a folder was given, or ""; whether the panels came from the cache. */
const char *weft_packing_note(const weft_packing *packing);
bool weft_packing_cached(const weft_packing *packing);
void weft_packing_destroy(weft_packing *packing); /* NULL is allowed */
const weft_text_weights *weft_packing_text(const weft_packing *packing);
const weft_vision_weights *weft_packing_vision(const weft_packing *packing); /* NULL: text only */
/* Bytes of all panels. */
uint64_t weft_packing_bytes(const weft_packing *packing);

#endif
