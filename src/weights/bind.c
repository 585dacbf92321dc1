/* What both binders share: finding a tensor, checking its shape, giving it out as a matrix or as owned f32 values.
 *
 * Matrices stay in the mapped file. A tensor that is not aligned for its type is copied, so that kernels may load
 * words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/checkpoint_internal.h"

static void print_shape(char *out, size_t size, int dims, const int64_t *shape) {
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < dims && at < size; i++) {
        int n = snprintf(out + at, size - at, i ? ", %lld" : "%lld", (long long)shape[i]);
        at += n > 0 ? (size_t)n : 0;
    }
}

weft_status weft_bind_shape(const weft_tensor *t, const char *name, int dims, const int64_t *shape, weft_error *err) {
    if (!t) return weft_fail(err, WEFT_ERR_FORMAT, "tensor '%s' is missing", name);
    if (t->dims == dims && memcmp(t->shape, shape, sizeof *shape * (size_t)dims) == 0) return WEFT_OK;
    char got[128], want[128];
    print_shape(got, sizeof got, t->dims, t->shape);
    print_shape(want, sizeof want, dims, shape);
    return weft_fail(err, WEFT_ERR_FORMAT, "tensor '%s' has shape [%s]; the config demands [%s]", t->name, got, want);
}

weft_status weft_bind_type(const weft_tensor *t, weft_error *err) {
    if (t->type != WEFT_TYPE_COUNT) return WEFT_OK;
    return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                     "tensor '%s' is stored as %s, which is not supported; use F32, F16, BF16, FP8 (e4m3), Q8_0, Q4_0, "
                     "Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
                     t->name, t->type_name);
}

/* The widest word that a kernel may load from a block. */
static size_t type_alignment(weft_type type) {
    return type == WEFT_F32 ? 4 : type == WEFT_F8_E4M3 ? 1 : 2;
}

weft_status weft_bind_data(weft_checkpoint *ck, const weft_tensor *t, const void **data, weft_error *err) {
    *data = t->data;
    if ((uintptr_t)t->data % type_alignment(t->type) == 0) return WEFT_OK;
    void *copy = weft_checkpoint_own(ck, t->bytes, 1, err);
    if (!copy) return WEFT_ERR_MEMORY;
    memcpy(copy, t->data, t->bytes);
    *data = copy;
    if (ck->warning_count == 0 || !strstr(ck->warnings[ck->warning_count - 1], "not aligned"))
        weft_checkpoint_warn(
            ck, "tensor '%s' (and maybe others) is not aligned in its file and is held in memory as a copy", t->name);
    return WEFT_OK;
}

weft_status weft_bind_vector(weft_checkpoint *ck, const weft_tensor_table *table, const char *name, int64_t count,
                             const float **out, weft_error *err) {
    const weft_tensor *t = weft_tensor_find(table, name);
    WEFT_TRY(weft_bind_shape(t, name, 1, &count, err));
    WEFT_TRY(weft_bind_type(t, err));
    float *values = weft_checkpoint_own(ck, (size_t)count, sizeof *values, err);
    if (!values) return WEFT_ERR_MEMORY;
    *out = values;
    return weft_tensor_to_f32(t, values, err);
}

weft_status weft_bind_matrix(weft_checkpoint *ck, const weft_tensor_table *table, const char *name, int64_t rows,
                             int64_t cols, weft_matrix *out, weft_error *err) {
    const weft_tensor *t = weft_tensor_find(table, name);
    WEFT_TRY(weft_bind_shape(t, name, 2, (const int64_t[]){rows, cols}, err));
    WEFT_TRY(weft_bind_type(t, err));
    *out = (weft_matrix){.type = t->type, .rows = rows, .cols = cols};
    return weft_bind_data(ck, t, &out->data, err);
}

weft_status weft_bind_allocate(weft_checkpoint *ck, weft_error *err) {
    const weft_config *config = &ck->config;
    const weft_text_config *text = &config->text;
    ck->text.layers = weft_checkpoint_own(ck, (size_t)text->layers, sizeof *ck->text.layers, err);
    if (!ck->text.layers) return WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < text->layers; i++) ck->text.layers[i].moe = weft_config_layer_is_moe(text, i);
    if (!config->vision.present) return WEFT_OK;
    ck->vision.layers = weft_checkpoint_own(ck, (size_t)config->vision.layers, sizeof *ck->vision.layers, err);
    return ck->vision.layers ? WEFT_OK : WEFT_ERR_MEMORY;
}
