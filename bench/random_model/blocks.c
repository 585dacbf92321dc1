/* Random weights of any storage type: see blocks.h. */
#include "blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_BYTES = 4 << 20, POOLS_MAX = 64, MEASURED_VALUES = 1 << 16 };

typedef struct block_pool {
    weft_type type;
    float mean, std;
    size_t block_bytes, blocks;
    uint8_t *bytes;
} block_pool;

struct block_source {
    const weft_kernels *kernels;
    uint64_t state;
    block_pool pools[POOLS_MAX];
    int count;
};

static uint64_t next_random(block_source *s) { /* xorshift64* */
    s->state ^= s->state >> 12;
    s->state ^= s->state << 25;
    s->state ^= s->state >> 27;
    return s->state * 0x2545F4914F6CDD1DULL;
}

static float uniform(block_source *s) {
    return (float)(next_random(s) >> 40) * 0x1p-24f;
}

static float normal(block_source *s) { /* Box and Muller */
    float u = uniform(s) + 0x1p-25f, v = uniform(s);
    return sqrtf(-2 * logf(u)) * cosf(6.2831853f * v);
}

/* f32 to f16, nearest even; values here are small normals or subnormals of f16. */
static uint16_t to_f16(float x) {
    union {
        float f;
        uint32_t u;
    } v = {x};
    uint16_t sign = (uint16_t)(v.u >> 16 & 0x8000);
    v.u &= 0x7FFFFFFF;
    if (v.f < 0x1p-14f) return (uint16_t)(sign | (uint16_t)lrintf(v.f * 0x1p24f));
    v.u += 0xFFF + (v.u >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((v.u - (112u << 23)) >> 13));
}

static uint16_t to_bf16(float x) {
    union {
        float f;
        uint32_t u;
    } v = {x};
    return (uint16_t)((v.u + 0x7FFF + (v.u >> 16 & 1)) >> 16);
}

/* Where a block's f16 scales lie, and the minimum that centres its codes: value = d * q + m, m = centre * d. */
typedef struct block_scales {
    int d_at, m_at; /* m_at -1: none */
    float centre;
} block_scales;

static block_scales scales_of(weft_type type) {
    switch (type) {
    case WEFT_Q4_1: return (block_scales){0, 2, -7.5f};
    case WEFT_Q5_1: return (block_scales){0, 2, -15.5f};
    case WEFT_Q4_K: return (block_scales){0, 2, 7.5f}; /* the K types subtract dmin */
    case WEFT_Q5_K: return (block_scales){0, 2, 15.5f};
    case WEFT_Q6_K: return (block_scales){208, -1, 0};
    default: return (block_scales){0, -1, 0};
    }
}

/* Scales of every block: `unit` times a random factor around one. */
static void set_scales(block_source *s, block_pool *pool, float unit) {
    block_scales at = scales_of(pool->type);
    /* codes around minus half a step: published files have scales of both signs here, too */
    bool lopsided = pool->type == WEFT_Q4_0 || pool->type == WEFT_Q5_0;
    for (size_t i = 0; i < pool->blocks; i++) {
        uint8_t *block = pool->bytes + i * pool->block_bytes;
        float d = unit * (0.5f + uniform(s));
        if (lopsided && next_random(s) >> 63) d = -d;
        uint16_t half = to_f16(d), minimum = to_f16(d * at.centre);
        memcpy(block + at.d_at, &half, 2);
        if (at.m_at >= 0) memcpy(block + at.m_at, &minimum, 2);
    }
}

static float measured_std(const block_source *s, const block_pool *pool, float *values) {
    s->kernels->dequantize[pool->type](values, pool->bytes, MEASURED_VALUES);
    double sum = 0, squares = 0;
    for (int i = 0; i < MEASURED_VALUES; i++) {
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    double mean = sum / MEASURED_VALUES;
    return (float)sqrt(squares / MEASURED_VALUES - mean * mean);
}

static void fill_values(block_source *s, block_pool *pool) {
    for (size_t i = 0; i < pool->blocks; i++) {
        float x = pool->mean + pool->std * normal(s);
        uint16_t half = pool->type == WEFT_F16 ? to_f16(x) : to_bf16(x);
        memcpy(pool->bytes + i * pool->block_bytes, pool->type == WEFT_F32 ? (void *)&x : (void *)&half,
               pool->block_bytes);
    }
}

static bool fill_blocks(block_source *s, block_pool *pool) {
    float *values = malloc(sizeof *values * MEASURED_VALUES);
    if (!values) return false;
    for (size_t i = 0; i + 8 <= pool->blocks * pool->block_bytes; i += 8)
        memcpy(pool->bytes + i, &(uint64_t){next_random(s)}, 8);
    float trial = 0.01f;
    set_scales(s, pool, trial);
    set_scales(s, pool, trial * pool->std / measured_std(s, pool, values));
    free(values);
    return true;
}

static block_pool *find_pool(block_source *s, const gguf_tensor *t) {
    for (int i = 0; i < s->count; i++)
        if (s->pools[i].type == t->type && s->pools[i].mean == t->mean && s->pools[i].std == t->std)
            return &s->pools[i];
    if (s->count == POOLS_MAX) return NULL;
    block_pool *pool = &s->pools[s->count];
    size_t bytes = weft_type_block_bytes(t->type);
    *pool = (block_pool){t->type, t->mean, t->std, bytes, POOL_BYTES / bytes, malloc(POOL_BYTES)};
    if (!pool->bytes) return NULL;
    s->count++;
    if (weft_type_block_values(t->type) > 1) return fill_blocks(s, pool) ? pool : NULL;
    fill_values(s, pool);
    return pool;
}

block_source *blocks_create(uint64_t seed) {
    block_source *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->state = seed * 0x9E3779B97F4A7C15ULL | 1;
    if (weft_kernels_select("ref", &s->kernels, NULL) == WEFT_OK) return s;
    free(s);
    return NULL;
}

void blocks_free(block_source *s) {
    if (!s) return;
    for (int i = 0; i < s->count; i++) free(s->pools[i].bytes);
    free(s);
}

bool blocks_fill(void *context, FILE *file, const gguf_tensor *tensor, size_t bytes) {
    block_source *s = context;
    const block_pool *pool = find_pool(s, tensor);
    if (!pool) return false;
    while (bytes > 0) {
        size_t start = (size_t)(next_random(s) % pool->blocks) * pool->block_bytes;
        size_t piece = pool->blocks * pool->block_bytes - start;
        if (piece > bytes) piece = bytes;
        if (fwrite(pool->bytes + start, 1, piece, file) != piece) return false;
        bytes -= piece;
    }
    return true;
}
