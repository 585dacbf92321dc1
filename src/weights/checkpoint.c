/* Opens a published checkpoint: finds its files, reads the config, binds the weights.
 *
 * A weft_checkpoint owns every mapping, every copy and every string that it hands out, until close. */
#include "weights/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/checkpoint_internal.h"
#include "weights/locate.h"

/* ---- ownership ---- */

void *weft_checkpoint_own(weft_checkpoint *ck, size_t count, size_t size, weft_error *err) {
    if (ck->owned_count == ck->owned_capacity) {
        int64_t capacity = ck->owned_capacity ? ck->owned_capacity * 2 : 256;
        void **grown = realloc(ck->owned, sizeof *grown * (size_t)capacity);
        if (!grown) {
            weft_fail(err, WEFT_ERR_MEMORY, "no memory for the model's tables");
            return NULL;
        }
        ck->owned = grown;
        ck->owned_capacity = capacity;
    }
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (memory)
        ck->owned[ck->owned_count++] = memory;
    else
        weft_fail(err, WEFT_ERR_MEMORY, "no memory for %zu x %zu bytes of the model", count, size);
    return memory;
}

char *weft_checkpoint_own_text(weft_checkpoint *ck, const char *text, size_t size, weft_error *err) {
    char *copy = weft_checkpoint_own(ck, size + 1, 1, err);
    if (copy) memcpy(copy, text, size);
    return copy;
}

void weft_checkpoint_warn(weft_checkpoint *ck, const char *format, ...) {
    if (ck->warning_count == WEFT_CHECKPOINT_WARNINGS_MAX) return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = weft_checkpoint_own_text(ck, text, strlen(text), NULL);
    if (copy) ck->warnings[ck->warning_count++] = copy;
}

/* ---- open ---- */

/* The last part of a path without ".gguf": the model's name when its files state none. */
static void name_from_path(const char *path, char *out, size_t size) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    if (end - begin > 5 && strncmp(path + end - 5, ".gguf", 5) == 0) end -= 5;
    if (!weft_text_is_plain(path + begin, end - begin)) begin = end;
    snprintf(out, size, "%.*s", (int)(end - begin < size ? end - begin : size - 1), path + begin);
    if (!out[0] || strcmp(out, ".") == 0) snprintf(out, size, "model");
}

static weft_status open_mmproj(weft_checkpoint *ck, const char *mmproj, weft_error *err) {
    if (mmproj) {
        WEFT_TRY(weft_gguf_open(mmproj, &ck->mmproj, err));
    } else {
        uint64_t hidden = 0;
        char key[64];
        bool moe = weft_gguf_has(ck->gguf, "qwen3vlmoe.embedding_length");
        snprintf(key, sizeof key, "%s.embedding_length", moe ? "qwen3vlmoe" : "qwen3vl");
        WEFT_TRY(weft_gguf_u64_or(ck->gguf, key, 0, &hidden, err));
        if (hidden == 0) return WEFT_OK; /* not one of ours: reading the config says so */
        WEFT_TRY(weft_locate_mmproj(ck->gguf, hidden, &ck->mmproj, err));
        if (!ck->mmproj)
            weft_checkpoint_warn(
                ck, "no mmproj file beside the model: it reads text only; name one with --mmproj to give it eyes");
    }
    const char *architecture = "";
    size_t size = 0;
    if (ck->mmproj && (weft_gguf_string(ck->mmproj, "general.architecture", &architecture, &size, NULL) != WEFT_OK ||
                       size != 4 || memcmp(architecture, "clip", 4) != 0))
        return weft_fail(err, WEFT_ERR_INVALID, "%s: not an mmproj file (its architecture is not 'clip')",
                         weft_gguf_path(ck->mmproj));
    return WEFT_OK;
}

static weft_status open_gguf(weft_checkpoint *ck, const char *path, const char *mmproj, weft_error *err) {
    WEFT_TRY(weft_gguf_open(path, &ck->gguf, err));
    WEFT_TRY(open_mmproj(ck, mmproj, err));
    WEFT_TRY(weft_config_read_gguf(ck, err));
    ck->config_read = true;
    return weft_bind_gguf(ck, err);
}

static weft_status open_huggingface(weft_checkpoint *ck, const char *mmproj, weft_error *err) {
    if (mmproj)
        return weft_fail(err, WEFT_ERR_INVALID,
                         "%s: a Hugging Face folder holds its own vision tower; an mmproj only goes with a GGUF file",
                         ck->folder);
    WEFT_TRY(weft_config_read_hf(ck, err));
    ck->config_read = true;
    WEFT_TRY(weft_sources_read_hf(ck, err));
    WEFT_TRY(weft_safetensors_open(ck->folder, &ck->safetensors, err));
    return weft_bind_hf(ck, err);
}

/* Fills *ck as far as it gets. */
weft_status weft_checkpoint_load(weft_checkpoint *ck, const char *path, const char *mmproj, weft_error *err) {
    weft_location location;
    WEFT_TRY(weft_locate(path, &location, err));
    ck->folder = location.folder;
    location.folder = NULL;
    name_from_path(location.huggingface ? ck->folder : location.gguf, ck->config.name, sizeof ck->config.name);
    weft_status status =
        location.huggingface ? open_huggingface(ck, mmproj, err) : open_gguf(ck, location.gguf, mmproj, err);
    weft_location_free(&location);
    if (status == WEFT_OK) return WEFT_OK;
    /* Faults of a whole folder name a tensor or a key: say of which model. */
    if (err && strncmp(err->message, path, strlen(path)) != 0 &&
        strncmp(err->message, ck->folder, strlen(ck->folder)) != 0)
        weft_error_prefix(err, "%s", path);
    return status;
}

weft_checkpoint *weft_checkpoint_create(weft_error *err) {
    weft_checkpoint *ck = calloc(1, sizeof *ck);
    if (!ck) weft_fail(err, WEFT_ERR_MEMORY, "out of memory");
    return ck;
}

weft_status weft_checkpoint_open(const char *path, const char *mmproj, weft_checkpoint **checkpoint, weft_error *err) {
    *checkpoint = NULL;
    weft_checkpoint *ck = weft_checkpoint_create(err);
    if (!ck) return WEFT_ERR_MEMORY;
    weft_status status = weft_checkpoint_load(ck, path, mmproj, err);
    if (status != WEFT_OK) {
        weft_checkpoint_close(ck);
        return status;
    }
    *checkpoint = ck;
    return WEFT_OK;
}

void weft_checkpoint_close(weft_checkpoint *ck) {
    if (!ck) return;
    for (int64_t i = 0; i < ck->owned_count; i++) free(ck->owned[i]);
    free(ck->owned);
    weft_safetensors_close(ck->safetensors);
    weft_gguf_close(ck->gguf);
    weft_gguf_close(ck->mmproj);
    free(ck->folder);
    free(ck);
}

/* ---- what is in it ---- */

const weft_config *weft_checkpoint_config(const weft_checkpoint *ck) {
    return &ck->config;
}
const weft_text_weights *weft_checkpoint_text(const weft_checkpoint *ck) {
    return &ck->text;
}
const weft_vision_weights *weft_checkpoint_vision(const weft_checkpoint *ck) {
    return ck->config.vision.present ? &ck->vision : NULL;
}
const weft_text_sources *weft_checkpoint_sources(const weft_checkpoint *ck) {
    return &ck->sources;
}

const char *weft_checkpoint_warning(const weft_checkpoint *ck, int index) {
    return index >= 0 && index < ck->warning_count ? ck->warnings[index] : NULL;
}

const char *weft_checkpoint_file(const weft_checkpoint *ck, int index, uint64_t *bytes) {
    const char *path = NULL;
    int text_files = 0;
    uint64_t ignored;
    if (ck->safetensors) return weft_safetensors_file(ck->safetensors, index, bytes);
    if (ck->gguf) path = weft_gguf_file(ck->gguf, index, bytes);
    if (path || !ck->gguf || !ck->mmproj) return path;
    while (weft_gguf_file(ck->gguf, text_files, &ignored)) text_files++;
    return weft_gguf_file(ck->mmproj, index - text_files, bytes);
}

uint64_t weft_checkpoint_file_bytes(const weft_checkpoint *ck) {
    uint64_t total = 0, bytes;
    for (int i = 0; weft_checkpoint_file(ck, i, &bytes); i++) total += bytes;
    return total;
}

const weft_tensor_table *weft_checkpoint_table(const weft_checkpoint *ck, int index) {
    if (ck->safetensors) return index == 0 ? weft_safetensors_tensors(ck->safetensors) : NULL;
    const weft_gguf *g = index == 0 ? ck->gguf : index == 1 ? ck->mmproj : NULL;
    return g ? weft_gguf_tensors(g) : NULL;
}

/* Scales of quantised weights are part of how a weight is stored, not parameters. */
static bool is_scale(const char *name) {
    size_t n = strlen(name);
    return n > 10 && strcmp(name + n - 10, "_scale_inv") == 0;
}

uint64_t weft_checkpoint_parameters(const weft_checkpoint *ck) {
    uint64_t total = 0;
    const weft_tensor_table *table;
    for (int i = 0; (table = weft_checkpoint_table(ck, i)); i++)
        for (int64_t j = 0; j < table->count; j++)
            if (!is_scale(table->tensors[j].name)) total += (uint64_t)weft_tensor_elements(&table->tensors[j]);
    return total;
}
