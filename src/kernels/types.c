/* The table of weight types: names, block sizes; and the size of KV slabs. Pure functions, no memory. */
#include "kernels/kernels.h"

#include <string.h>

typedef struct type_info {
    const char *name;
    int values; /* per block */
    int bytes;  /* per block */
} type_info;

static const type_info types[WEFT_TYPE_COUNT] = {
    [WEFT_F32] = {"F32", 1, 4},
    [WEFT_F16] = {"F16", 1, 2},
    [WEFT_BF16] = {"BF16", 1, 2},
    [WEFT_F8_E4M3] = {"F8_E4M3", 1, 1},
    [WEFT_Q4_0] = {"Q4_0", 32, 2 + 16},
    [WEFT_Q4_1] = {"Q4_1", 32, 2 + 2 + 16},
    [WEFT_Q5_0] = {"Q5_0", 32, 2 + 4 + 16},
    [WEFT_Q5_1] = {"Q5_1", 32, 2 + 2 + 4 + 16},
    [WEFT_Q8_0] = {"Q8_0", 32, 2 + 32},
    [WEFT_Q4_K] = {"Q4_K", 256, 2 + 2 + 12 + 128},
    [WEFT_Q5_K] = {"Q5_K", 256, 2 + 2 + 12 + 32 + 128},
    [WEFT_Q6_K] = {"Q6_K", 256, 128 + 64 + 16 + 2},
};

static const type_info *info(weft_type type) {
    static const type_info unknown = {"unknown", 1, 0};
    return (unsigned)type < WEFT_TYPE_COUNT ? &types[type] : &unknown;
}

const char *weft_type_name(weft_type type) {
    return info(type)->name;
}

int weft_type_block_values(weft_type type) {
    return info(type)->values;
}

size_t weft_type_block_bytes(weft_type type) {
    return (size_t)info(type)->bytes;
}

size_t weft_type_row_bytes(weft_type type, int64_t cols) {
    return (size_t)(cols / info(type)->values) * (size_t)info(type)->bytes;
}

weft_status weft_kv_format_from_name(const char *name, weft_kv_format *format, weft_error *err) {
    static const struct {
        const char *name;
        weft_kv_format format;
    } names[] = {{"f32", WEFT_KV_F32}, {"f16", WEFT_KV_F16}, {"q8", WEFT_KV_Q8}, {"q8_0", WEFT_KV_Q8},
               {"q8q4", WEFT_KV_Q8Q4}, {"q4", WEFT_KV_Q4}, {"q4_0", WEFT_KV_Q4}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        *format = names[i].format;
        return WEFT_OK;
    }
    return weft_fail(err, WEFT_ERR_INVALID, "'%.32s' is no format of keys and values: use f32, f16, q8, q8q4 or q4", name);
}

size_t weft_kv_slab_bytes(weft_kv_format format, int head_dim) {
    size_t values = (size_t)WEFT_KV_PAGE_ROWS * (size_t)head_dim;
    switch (format) {
    case WEFT_KV_F32: return values * sizeof(float);
    case WEFT_KV_F16: return values * sizeof(uint16_t);
    case WEFT_KV_Q8: return values + WEFT_KV_PAGE_ROWS * sizeof(float);
    case WEFT_KV_Q4: return WEFT_KV_PAGE_ROWS * (size_t)((head_dim + 31) / 32) * (16 + sizeof(uint16_t));
    case WEFT_KV_Q8Q4: break; /* two layouts: ask for weft_kv_part */
    }
    return 0;
}
