/* The cache of packed weights: one file per model and layout, in $XDG_CACHE_HOME/weft or ~/.cache/weft.
 *
 * A file is a header of one page and a payload. It is written under a temporary name, synced and renamed, so that a
 * name that ends in ".panels" always stands for a whole file. The header has a checksum that every use verifies, and
 * one of the payload, which only weft_cache_check reads: reading all of it at each start would cost what the cache
 * saves. The key is made of the sizes, times of change and first bytes of the model's files and of the layout.
 * Files that have not been used for longest go first when a new one would pass WEFT_CACHE_BYTES_MAX. */
#ifndef WEFT_WEIGHTS_CACHE_H
#define WEFT_WEIGHTS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define WEFT_CACHE_BYTES_MAX ((uint64_t)64 << 30)

enum { WEFT_CACHE_PATH_MAX = 4096, WEFT_CACHE_FILES_MAX = 1024 };

/* An open cache file. */
typedef struct weft_cache_file {
    char *payload; /* NULL: closed. Writable until the file is committed */
    size_t bytes;  /* of the payload */
    int fd;
    char path[WEFT_CACHE_PATH_MAX], temporary[WEFT_CACHE_PATH_MAX]; /* temporary "": a complete file */
} weft_cache_file;

/* The default folder, or an error when neither variable is set. */
weft_status weft_cache_folder(char out[WEFT_CACHE_PATH_MAX], weft_error *err);
/* Makes it, and those above it, for this user only. */
bool weft_cache_make_folder(const char *folder);

/* A running 64-bit hash for keys and checksums; not for secrets. Start with WEFT_HASH_START. */
#define WEFT_HASH_START 0x9E3779B97F4A7C15u
uint64_t weft_hash(uint64_t hash, const void *data, size_t size);

/* Maps the file of `key` if it is there, whole and has `bytes` of payload. `name` is for people; it is cut and cleaned. */
bool weft_cache_open(const char *folder, const char *name, uint64_t key, size_t bytes, weft_cache_file *file);
/* Makes a temporary file of that size with its space reserved, and maps it. Fails when the disk would be left with less
 * than a tenth of its space and less than once more the payload, or the payload alone passes the bound. */
weft_status weft_cache_begin(const char *folder, const char *name, uint64_t key, size_t bytes, weft_cache_file *file,
                             weft_error *err);
/* Writes the header, syncs and renames. The payload stays mapped either way; on failure the temporary file is gone. */
weft_status weft_cache_commit(weft_cache_file *file, weft_error *err);
void weft_cache_close(weft_cache_file *file); /* an uncommitted file is removed */

typedef struct weft_cache_info {
    char name[256]; /* of the file */
    uint64_t bytes;
    int64_t used; /* seconds since 1970 */
    bool complete;
} weft_cache_info;

/* Up to `max` files of the cache, and how many there are. A folder that is not there is empty. */
int weft_cache_list(const char *folder, weft_cache_info *list, int max);
/* Removes all files of the cache (and nothing else in the folder). */
weft_status weft_cache_clear(const char *folder, int *removed, uint64_t *bytes, weft_error *err);
/* Reads a whole file: true if the payload is what was written. */
bool weft_cache_check(const char *folder, const char *name);

#endif
