/* What the parts of the checkpoint reader share. Not for other layers. */
#ifndef WEFT_WEIGHTS_CHECKPOINT_INTERNAL_H
#define WEFT_WEIGHTS_CHECKPOINT_INTERNAL_H

#include "weights/checkpoint.h"
#include "weights/safetensors.h"

enum { WEFT_CHECKPOINT_WARNINGS_MAX = 32 };

struct weft_checkpoint {
    char *folder;                  /* of the files; owned */
    weft_safetensors *safetensors; /* a Hugging Face folder … */
    weft_gguf *gguf, *mmproj;      /* … or GGUF files (mmproj NULL: text only) */
    bool config_read;              /* config holds what the files say, though binding may have failed */
    weft_config config;
    weft_text_weights text;
    weft_vision_weights vision;
    weft_text_sources sources;
    char *warnings[WEFT_CHECKPOINT_WARNINGS_MAX];
    int warning_count;
    void **owned; /* everything that lives as long as the checkpoint: arrays, norms, copies, strings */
    int64_t owned_count, owned_capacity;
};

/* Zeroed memory of the checkpoint's lifetime; NULL and *err filled when there is none. count * size may not overflow.
 */
void *weft_checkpoint_own(weft_checkpoint *checkpoint, size_t count, size_t size, weft_error *err);
/* A copy of `size` bytes with a NUL behind. */
char *weft_checkpoint_own_text(weft_checkpoint *checkpoint, const char *text, size_t size, weft_error *err);
/* Keeps a sentence for the user; past the maximum it is dropped. */
void weft_checkpoint_warn(weft_checkpoint *checkpoint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* checkpoint.c: an empty checkpoint, and filling it as far as it goes (for inspect, which shows what was readable). */
weft_checkpoint *weft_checkpoint_create(weft_error *err);
weft_status weft_checkpoint_load(weft_checkpoint *checkpoint, const char *path, const char *mmproj, weft_error *err);
/* Its mapped files and their tensor tables; NULL past the last. */
const char *weft_checkpoint_file(const weft_checkpoint *checkpoint, int index, uint64_t *bytes);
const weft_tensor_table *weft_checkpoint_table(const weft_checkpoint *checkpoint, int index);

/* config_hf.c, sources_hf.c: from the JSON files of checkpoint->folder. */
weft_status weft_config_read_hf(weft_checkpoint *checkpoint, weft_error *err);
weft_status weft_sources_read_hf(weft_checkpoint *checkpoint, weft_error *err);
/* pixels_hf.c: checkpoint->config.image and .video. */
weft_status weft_pixels_read_hf(weft_checkpoint *checkpoint, weft_error *err);
/* The values that published processors ship, for checkpoints that state none. */
void weft_pixels_shipped(weft_pixels_config *image, weft_pixels_config *video);
/* config_gguf.c: from the metadata of checkpoint->gguf and ->mmproj; also the sources. */
weft_status weft_config_read_gguf(weft_checkpoint *checkpoint, weft_error *err);
/* config.c: what both kinds must fulfil. */
weft_status weft_config_check(const weft_config *config, weft_error *err);

/* bind_hf.c, bind_gguf.c: names to places, every shape checked against the config. */
weft_status weft_bind_hf(weft_checkpoint *checkpoint, weft_error *err);
weft_status weft_bind_gguf(weft_checkpoint *checkpoint, weft_error *err);

/* bind.c: what both binders use. `t` may be NULL: then `name` is missing. Shapes are what the message says and what is
 * demanded; `dims` of them. */
weft_status weft_bind_shape(const weft_tensor *t, const char *name, int dims, const int64_t *shape, weft_error *err);
/* *out = `count` values as f32, owned. */
weft_status weft_bind_vector(weft_checkpoint *checkpoint, const weft_tensor_table *table, const char *name,
                             int64_t count, const float **out, weft_error *err);
/* *out = [rows, cols] in place; copied only where the file is not aligned for its type. */
weft_status weft_bind_matrix(weft_checkpoint *checkpoint, const weft_tensor_table *table, const char *name,
                             int64_t rows, int64_t cols, weft_matrix *out, weft_error *err);
/* The tensor's bytes, aligned for its type: in place or an owned copy. */
weft_status weft_bind_data(weft_checkpoint *checkpoint, const weft_tensor *t, const void **data, weft_error *err);
/* A type that can be computed with, else an error that names the tensor. */
weft_status weft_bind_type(const weft_tensor *t, weft_error *err);
/* Allocates the layer arrays of the config's counts. */
weft_status weft_bind_allocate(weft_checkpoint *checkpoint, weft_error *err);

#endif
