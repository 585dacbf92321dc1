/* A whole regular file, mapped read-only.
 *
 * Owns the mapping; pointers into it live until close. Refuses folders, devices and empty files. The file must not
 * shrink while it is mapped (the kernel would answer a read past the new end with a bus error), so nothing here ever
 * writes. */
#ifndef WEFT_BASE_MAP_H
#define WEFT_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct weft_map {
    const uint8_t *data; /* NULL when closed */
    size_t size;         /* bytes, > 0 while open */
} weft_map;

/* Maps `path`. On failure *map is left closed. */
weft_status weft_map_open(const char *path, weft_map *map, weft_error *err) __attribute__((warn_unused_result));
/* Unmaps; closing twice, or closing a zeroed map, is fine. */
void weft_map_close(weft_map *map);

#endif
