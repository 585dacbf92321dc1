/* The safetensors files of a checkpoint folder: one, or shards named by an index. Mapped and checked once, at open. */
#ifndef WEFT_WEIGHTS_SAFETENSORS_H
#define WEFT_WEIGHTS_SAFETENSORS_H

#include "weights/tensor.h"

typedef struct weft_safetensors weft_safetensors;

enum {
    WEFT_SAFETENSORS_HEADER_MAX = 32 << 20, /* bytes of one file's JSON header */
    WEFT_SAFETENSORS_FILES_MAX = 4096,
};

/* Opens folder/model.safetensors, else the shards that folder/model.safetensors.index.json names. Shards must lie in
 * the folder itself: a name with a path in it is refused. WEFT_ERR_NOT_FOUND: the folder has neither file. */
weft_status weft_safetensors_open(const char *folder, weft_safetensors **files, weft_error *err);
/* Opens one file by its path. */
weft_status weft_safetensors_open_file(const char *path, weft_safetensors **files, weft_error *err);
void weft_safetensors_close(weft_safetensors *files);
const weft_tensor_table *weft_safetensors_tensors(const weft_safetensors *files);
/* The files that were opened; NULL past the last. *bytes: its size. */
const char *weft_safetensors_file(const weft_safetensors *files, int index, uint64_t *bytes);

#endif
