/* Which files a model path means: a Hugging Face folder, a GGUF, and the mmproj that belongs to it. */
#ifndef WEFT_WEIGHTS_LOCATE_H
#define WEFT_WEIGHTS_LOCATE_H

#include "weights/gguf.h"

enum { WEFT_FOLDER_FILES_MAX = 4096 }; /* GGUF files looked at in one folder */

typedef struct weft_location {
    bool huggingface; /* folder holds config.json and safetensors */
    char *folder;     /* owned */
    char *gguf;       /* owned; NULL for a Hugging Face folder */
} weft_location;

/* Several GGUF models in a folder are an error that lists them. */
weft_status weft_locate(const char *path, weft_location *location, weft_error *err);
void weft_location_free(weft_location *location);

/* The mmproj beside `text`, opened: a file whose name holds "mmproj", of architecture clip. Of several, those that fit
 * the hidden size, then those named like the model, then F16; when more than one is left, an error that names them and
 * --mmproj. *mmproj is NULL when there is none. */
weft_status weft_locate_mmproj(const weft_gguf *text, uint64_t hidden_size, weft_gguf **mmproj, weft_error *err);

#endif
