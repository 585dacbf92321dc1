/* The pool of KV pages: see kv_pool.h. */
#include "engine/kv_pool.h"

#include <stdlib.h>
#include <sys/mman.h>

weft_status weft_kv_pool_init(weft_kv_pool *pool, const weft_kv_geometry *geometry, uint64_t budget_bytes, weft_error *err) {
    *pool = (weft_kv_pool){.page_bytes = geometry->page_bytes};
    pool->pages_max = (int64_t)(budget_bytes / geometry->page_bytes);
    if (pool->pages_max < 1)
        return weft_fail(err, WEFT_ERR_INVALID, "a memory budget of %llu MiB does not hold one KV page of %zu MiB: raise --memory",
                         (unsigned long long)(budget_bytes >> 20), geometry->page_bytes >> 20);
    return WEFT_OK;
}

void weft_kv_pool_destroy(weft_kv_pool *pool) {
    for (int64_t i = 0; i < pool->free_count; i++) munmap(pool->free_pages[i], pool->page_bytes);
    free(pool->free_pages);
    *pool = (weft_kv_pool){0};
}

void *weft_kv_pool_take(weft_kv_pool *pool) {
    if (pool->in_use >= pool->pages_max) return NULL;
    void *page;
    if (pool->free_count > 0) {
        page = pool->free_pages[--pool->free_count];
    } else {
        page = mmap(NULL, pool->page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) return NULL;
    }
    pool->in_use++;
    return page;
}

void weft_kv_pool_give(weft_kv_pool *pool, void *page) {
    pool->in_use--;
    if (pool->free_count == pool->free_capacity) {
        int64_t capacity = pool->free_capacity ? 2 * pool->free_capacity : 16;
        void **grown = realloc(pool->free_pages, (size_t)capacity * sizeof *grown);
        if (!grown) { /* the list cannot grow: the page goes back to the system instead */
            munmap(page, pool->page_bytes);
            return;
        }
        pool->free_pages = grown;
        pool->free_capacity = capacity;
    }
    pool->free_pages[pool->free_count++] = page;
}

bool weft_kv_sequence_grow(weft_kv_pool *pool, weft_kv_sequence *sequence, int64_t positions) {
    int64_t need = (positions + WEFT_KV_PAGE_ROWS - 1) / WEFT_KV_PAGE_ROWS;
    if (need > sequence->capacity) {
        int64_t capacity = need > 2 * sequence->capacity ? need : 2 * sequence->capacity;
        void **grown = realloc(sequence->pages, (size_t)capacity * sizeof *grown);
        if (!grown) return false;
        sequence->pages = grown;
        sequence->capacity = capacity;
    }
    while (sequence->count < need) {
        void *page = weft_kv_pool_take(pool);
        if (!page) return false;
        sequence->pages[sequence->count++] = page;
    }
    return true;
}

void weft_kv_sequence_free(weft_kv_pool *pool, weft_kv_sequence *sequence) {
    for (int64_t i = 0; i < sequence->count; i++) weft_kv_pool_give(pool, sequence->pages[i]);
    free(sequence->pages);
    *sequence = (weft_kv_sequence){0};
}
