/* The arena of a template or a rendering, and the fault that unwinds to the public entry point.
 *
 * Chunks grow with what was taken so far, so that a small template costs little and a large one few chunks. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_internal.h"

enum { CHUNK_MIN = 16 << 10, CHUNK_MAX = 4 << 20, ALIGNMENT = 16 };

struct jinja_chunk {
    jinja_chunk *next;
    size_t size;
    _Alignas(16) char data[];
};

void jinja_arena_free(jinja_arena *arena) {
    for (jinja_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *arena = (jinja_arena){.max = arena->max};
}

static jinja_chunk *add_chunk(jinja_trap *trap, size_t need) {
    jinja_arena *arena = &trap->arena;
    size_t size = arena->used / 2;
    if (size < CHUNK_MIN) size = CHUNK_MIN;
    if (size > CHUNK_MAX) size = CHUNK_MAX;
    if (size < need) size = need;
    if (arena->used > arena->max || size > arena->max - arena->used) size = need;
    if (arena->used > arena->max || size > arena->max - arena->used)
        jinja_raise(trap, WEFT_ERR_LIMIT, "the template needs more than %zu MB of memory", arena->max >> 20);
    jinja_chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk) jinja_raise(trap, WEFT_ERR_MEMORY, "no memory for %zu bytes", size);
    arena->used += size;
    chunk->size = size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

void *jinja_alloc(jinja_trap *trap, size_t size) {
    jinja_arena *arena = &trap->arena;
    if (size > SIZE_MAX / 2) jinja_raise(trap, WEFT_ERR_LIMIT, "the template needs too much memory");
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size > (size_t)(arena->end - arena->top)) {
        jinja_chunk *chunk = add_chunk(trap, size);
        arena->top = chunk->data;
        arena->end = chunk->data + chunk->size;
    }
    void *p = arena->top;
    arena->top += size;
    memset(p, 0, size);
    return p;
}

char *jinja_alloc_bytes(jinja_trap *trap, size_t size) {
    jinja_arena *arena = &trap->arena;
    if (size > SIZE_MAX / 2) jinja_raise(trap, WEFT_ERR_LIMIT, "the template needs too much memory");
    if (!arena->bytes_top || size > (size_t)(arena->bytes_end - arena->bytes_top)) { /* never a NULL string */
        jinja_chunk *chunk = add_chunk(trap, size);
        arena->bytes_top = chunk->data;
        arena->bytes_end = chunk->data + chunk->size;
    }
    char *p = arena->bytes_top;
    arena->bytes_top += size;
    return p;
}

void jinja_raise(jinja_trap *trap, weft_status status, const char *format, ...) {
    char message[WEFT_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    trap->status = status;
    if (status == WEFT_ERR_INVALID) /* raise_exception: the template's own words, for the user */
        weft_fail(trap->err, status, "%s", message);
    else
        weft_fail(trap->err, status, "%s: line %u, column %u: %s", trap->name, trap->line, trap->column, message);
    longjmp(trap->jump, 1);
}
