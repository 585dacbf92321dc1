/* The pool of KV pages: fixed-size pages under one stated budget.
 *
 * Pages are made on demand and kept for reuse. One thread (the engine's) uses a pool. */
#ifndef WEFT_ENGINE_KV_POOL_H
#define WEFT_ENGINE_KV_POOL_H

#include "decoder/kv_page.h"

typedef struct weft_kv_pool {
    size_t page_bytes;
    int64_t pages_max; /* by the budget */
    int64_t in_use;
    void **free_pages; /* made and waiting for reuse */
    int64_t free_count, free_capacity;
} weft_kv_pool;

/* budget_bytes: at least one page must fit. */
weft_status weft_kv_pool_init(weft_kv_pool *pool, const weft_kv_geometry *geometry, uint64_t budget_bytes, weft_error *err);
void weft_kv_pool_destroy(weft_kv_pool *pool); /* all pages must have been given back */
/* A page with undefined contents, or NULL when the budget or the machine's memory is spent. */
void *weft_kv_pool_take(weft_kv_pool *pool);
void weft_kv_pool_give(weft_kv_pool *pool, void *page);

/* The pages of one sequence. */
typedef struct weft_kv_sequence {
    void **pages;
    int64_t count, capacity;
} weft_kv_sequence;
/* Makes room for `positions` positions; false when the pool is spent (what was there stays). */
bool weft_kv_sequence_grow(weft_kv_pool *pool, weft_kv_sequence *sequence, int64_t positions);
void weft_kv_sequence_free(weft_kv_pool *pool, weft_kv_sequence *sequence);

#endif
