/* The cache of packed weights: whole files are found again, everything else is not. */
#include "weights/cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing.h"

enum { BYTES = 100000, KEY = 77 };

static void write_one(const char *folder, uint64_t key, bool commit) {
    weft_cache_file file;
    weft_error err;
    CHECK_OK(weft_cache_begin(folder, "a model/name", key, BYTES, &file, &err), err);
    if (!file.payload) return;
    for (int i = 0; i < BYTES; i++) file.payload[i] = (char)(i * 7);
    if (commit) CHECK_OK(weft_cache_commit(&file, &err), err);
    weft_cache_close(&file);
}

/* Overwrites one byte of the only file. */
static void damage(const char *folder, const char *name, off_t at) {
    char path[WEFT_CACHE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, "\x5A", 1, at) == 1);
    close(fd);
}

int main(void) {
    char top[] = "/tmp/weft-cache-XXXXXX", folder[64];
    CHECK(mkdtemp(top) != NULL);
    snprintf(folder, sizeof folder, "%s/deep/weft", top);
    weft_cache_file file;
    weft_cache_info list[8];
    weft_error err;
    int removed;
    uint64_t bytes;
    CHECK(!weft_cache_open(folder, "a model/name", KEY, BYTES, &file));
    CHECK_INT(weft_cache_list(folder, list, 8), 0);

    write_one(folder, KEY, false); /* abandoned: nothing stays */
    CHECK_INT(weft_cache_list(folder, list, 8), 0);

    write_one(folder, KEY, true);
    CHECK(weft_cache_open(folder, "a model/name", KEY, BYTES, &file));
    int wrong = 0;
    for (int i = 0; file.payload && i < BYTES; i++) wrong += file.payload[i] != (char)(i * 7);
    CHECK_INT(wrong, 0);
    weft_cache_close(&file);
    CHECK(!weft_cache_open(folder, "a model/name", KEY + 1, BYTES, &file));
    CHECK(!weft_cache_open(folder, "a model/name", KEY, BYTES + 1, &file));
    CHECK_INT(weft_cache_list(folder, list, 8), 1);
    CHECK(list[0].complete && list[0].bytes >= BYTES && strchr(list[0].name, '/') == NULL);
    CHECK(weft_cache_check(folder, list[0].name));

    damage(folder, list[0].name, 4096 + 50); /* in the payload: found by the check only */
    CHECK(!weft_cache_check(folder, list[0].name));
    write_one(folder, KEY, true);
    CHECK(weft_cache_check(folder, list[0].name));
    damage(folder, list[0].name, 20); /* in the header: no longer a file of ours */
    CHECK(!weft_cache_open(folder, "a model/name", KEY, BYTES, &file));

    write_one(folder, KEY + 1, true);
    CHECK_INT(weft_cache_list(folder, list, 8), 2);
    CHECK_OK(weft_cache_clear(folder, &removed, &bytes, &err), err);
    CHECK_INT(removed, 2);
    CHECK(bytes >= 2 * BYTES);
    CHECK_INT(weft_cache_list(folder, list, 8), 0);

    /* the default folder follows the environment */
    char path[WEFT_CACHE_PATH_MAX];
    setenv("XDG_CACHE_HOME", "/x/cache", 1);
    CHECK(weft_cache_folder(path, &err) == WEFT_OK && strcmp(path, "/x/cache/weft") == 0);
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/x/home", 1);
    CHECK(weft_cache_folder(path, &err) == WEFT_OK && strcmp(path, "/x/home/.cache/weft") == 0);
    unsetenv("HOME");
    CHECK(weft_cache_folder(path, &err) == WEFT_ERR_INVALID);
    rmdir(folder);
    snprintf(folder, sizeof folder, "%s/deep", top);
    rmdir(folder);
    rmdir(top);
    return testing_summary();
}
