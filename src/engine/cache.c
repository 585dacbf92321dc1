/* The cache of packed weights as the faces see it: see weft.h. */
#include "weights/cache.h"

#include <stdio.h>
#include <stdlib.h>

#include "weft.h"

weft_status weft_cached_models(char **folder, weft_cached_model **list, int *count, weft_error *err) {
    *folder = NULL;
    *list = NULL;
    *count = 0;
    char path[WEFT_CACHE_PATH_MAX];
    WEFT_TRY(weft_cache_folder(path, err));
    weft_cache_info *found = malloc(WEFT_CACHE_FILES_MAX * sizeof *found);
    weft_cached_model *out = malloc(WEFT_CACHE_FILES_MAX * sizeof *out);
    char *copy = malloc(WEFT_CACHE_PATH_MAX);
    if (!found || !out || !copy) {
        free(found);
        free(out);
        free(copy);
        return weft_fail(err, WEFT_ERR_MEMORY, "cache: no memory");
    }
    snprintf(copy, WEFT_CACHE_PATH_MAX, "%s", path);
    *count = weft_cache_list(path, found, WEFT_CACHE_FILES_MAX);
    for (int i = 0; i < *count; i++) {
        snprintf(out[i].file, sizeof out[i].file, "%s", found[i].name);
        out[i].bytes = found[i].bytes;
        out[i].used = found[i].used;
        out[i].complete = found[i].complete;
    }
    free(found);
    *folder = copy;
    *list = out;
    return WEFT_OK;
}

weft_status weft_cached_models_clear(int *removed, uint64_t *bytes, weft_error *err) {
    char path[WEFT_CACHE_PATH_MAX];
    *removed = 0;
    *bytes = 0;
    WEFT_TRY(weft_cache_folder(path, err));
    return weft_cache_clear(path, removed, bytes, err);
}
