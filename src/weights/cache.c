/* See cache.h. Owns the descriptor and the mapping of each open file. Refuses files that are not regular, of another
 * size, or whose header does not fit; they are treated as not there and replaced. */
#include "weights/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { HEADER_BYTES = 4096, VERSION = 1 };

typedef struct header {
    char magic[8]; /* "weftpack" */
    uint32_t version, header_bytes;
    uint64_t key, payload_bytes, payload_hash;
    uint64_t hash; /* of all before */
} header;

uint64_t weft_hash(uint64_t hash, const void *data, size_t size) {
    const uint64_t prime = 0xff51afd7ed558ccdu;
    const uint8_t *p = data;
    uint64_t lanes[4] = {hash, hash ^ prime, ~hash, hash + prime}, word;
    size_t at = 0;
    for (; at + 32 <= size; at += 32)
        for (int i = 0; i < 4; i++) {
            memcpy(&word, p + at + 8 * i, 8);
            lanes[i] = (lanes[i] ^ word) * prime;
            lanes[i] ^= lanes[i] >> 32;
        }
    for (; at < size; at++) lanes[0] = (lanes[0] ^ p[at]) * prime;
    for (int i = 1; i < 4; i++) lanes[0] = ((lanes[0] ^ lanes[0] >> 29) + lanes[i]) * prime;
    lanes[0] = (lanes[0] ^ size) * prime;
    return lanes[0] ^ lanes[0] >> 32;
}

weft_status weft_cache_folder(char out[WEFT_CACHE_PATH_MAX], weft_error *err) {
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (base && base[0] == '/')
        n = snprintf(out, WEFT_CACHE_PATH_MAX, "%s/weft", base);
    else if (home && home[0] == '/')
        n = snprintf(out, WEFT_CACHE_PATH_MAX, "%s/.cache/weft", home);
    if (n < 0) return weft_fail(err, WEFT_ERR_INVALID, "cache: neither XDG_CACHE_HOME nor HOME names a folder");
    if (n >= WEFT_CACHE_PATH_MAX - 300) return weft_fail(err, WEFT_ERR_LIMIT, "cache: the folder's path is too long");
    return WEFT_OK;
}

/* <name>-<key>.panels; letters, digits, '.', '_' and '-' of the name stay. */
static bool file_path(char out[WEFT_CACHE_PATH_MAX], const char *folder, const char *name, uint64_t key) {
    char clean[65];
    size_t n = 0;
    for (; name[n] && n < sizeof clean - 1; n++) {
        char c = name[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        clean[n] = plain || (c == '.' && n > 0) ? c : '_';
    }
    clean[n] = 0;
    int size = snprintf(out, WEFT_CACHE_PATH_MAX, "%s/%s-%016llx.panels", folder, clean, (unsigned long long)key);
    return size > 0 && size < WEFT_CACHE_PATH_MAX - 32;
}

static bool header_fits(const header *h, uint64_t file_bytes) {
    return memcmp(h->magic, "weftpack", 8) == 0 && h->version == VERSION && h->header_bytes == HEADER_BYTES &&
           file_bytes >= HEADER_BYTES && h->payload_bytes == file_bytes - HEADER_BYTES &&
           h->hash == weft_hash(WEFT_HASH_START, h, offsetof(header, hash));
}

/* Opens and maps a whole file read-only. */
static bool map_whole(const char *path, weft_cache_file *file, header *h) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    char *base = MAP_FAILED;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && pread(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h &&
        header_fits(h, (uint64_t)info.st_size))
        base = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        close(fd);
        return false;
    }
    file->payload = base + HEADER_BYTES;
    file->bytes = (size_t)h->payload_bytes;
    file->fd = fd;
    file->temporary[0] = 0;
    return true;
}

bool weft_cache_open(const char *folder, const char *name, uint64_t key, size_t bytes, weft_cache_file *file) {
    header h;
    file->payload = NULL;
    if (!file_path(file->path, folder, name, key) || !map_whole(file->path, file, &h)) return false;
    if (h.key != key || file->bytes != bytes) {
        weft_cache_close(file);
        return false;
    }
    utimensat(AT_FDCWD, file->path, NULL, 0); /* used now */
    return true;
}

/* ---- making room ---- */

static bool has_suffix(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

/* Names that weft_cache_begin makes: "….panels", and "….panels.tmp<pid>" while it is being written. */
static bool is_ours(const char *name, bool *complete) {
    *complete = has_suffix(name, ".panels");
    return *complete || strstr(name, ".panels.tmp") != NULL;
}

int weft_cache_list(const char *folder, weft_cache_info *list, int max) {
    DIR *dir = opendir(folder);
    int count = 0;
    if (!dir) return 0;
    for (struct dirent *entry; (entry = readdir(dir)) && count < max;) {
        struct stat info;
        bool complete;
        if (!is_ours(entry->d_name, &complete)) continue;
        if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) continue;
        weft_cache_info *out = &list[count++];
        snprintf(out->name, sizeof out->name, "%s", entry->d_name);
        out->bytes = (uint64_t)info.st_blocks * 512;
        out->used = info.st_mtime;
        out->complete = complete;
    }
    closedir(dir);
    return count;
}

static bool remove_file(const char *folder, const char *name) {
    char path[WEFT_CACHE_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && n < (int)sizeof path && unlink(path) == 0;
}

weft_status weft_cache_clear(const char *folder, int *removed, uint64_t *bytes, weft_error *err) {
    *removed = 0;
    *bytes = 0;
    weft_cache_info *list = malloc(WEFT_CACHE_FILES_MAX * sizeof *list);
    if (!list) return weft_fail(err, WEFT_ERR_MEMORY, "cache: no memory");
    int count = weft_cache_list(folder, list, WEFT_CACHE_FILES_MAX), failed = 0;
    for (int i = 0; i < count; i++) {
        if (!remove_file(folder, list[i].name)) {
            failed++;
            continue;
        }
        (*removed)++;
        *bytes += list[i].bytes;
    }
    free(list);
    if (failed) return weft_fail(err, WEFT_ERR_IO, "cache: %d files in %s could not be removed", failed, folder);
    return WEFT_OK;
}

/* Removes what was not used for longest until `bytes` more fit the bound. */
static void make_room(const char *folder, uint64_t bytes) {
    weft_cache_info *list = malloc(WEFT_CACHE_FILES_MAX * sizeof *list);
    if (!list) return;
    int count = weft_cache_list(folder, list, WEFT_CACHE_FILES_MAX);
    uint64_t total = bytes;
    for (int i = 0; i < count; i++) total += list[i].bytes;
    while (total > WEFT_CACHE_BYTES_MAX && count > 0) {
        int oldest = 0;
        for (int i = 1; i < count; i++)
            if (list[i].used < list[oldest].used) oldest = i;
        if (remove_file(folder, list[oldest].name)) total -= list[oldest].bytes;
        list[oldest] = list[--count];
    }
    free(list);
}

bool weft_cache_make_folder(const char *folder) {
    char path[WEFT_CACHE_PATH_MAX];
    snprintf(path, sizeof path, "%s", folder);
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        if (mkdir(path, 0700) != 0 && errno != EEXIST) return false;
        *p = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* ---- writing ---- */

weft_status weft_cache_begin(const char *folder, const char *name, uint64_t key, size_t bytes, weft_cache_file *file,
                             weft_error *err) {
    struct statvfs disk;
    file->payload = NULL;
    file->temporary[0] = 0;
    if (bytes > WEFT_CACHE_BYTES_MAX) return weft_fail(err, WEFT_ERR_LIMIT, "cache: %zu bytes pass its bound", bytes);
    if (!weft_cache_make_folder(folder) || !file_path(file->path, folder, name, key))
        return weft_fail(err, WEFT_ERR_IO, "cache: cannot make the folder %s: %s", folder, strerror(errno));
    make_room(folder, bytes);
    bool known = statvfs(folder, &disk) == 0;
    uint64_t tenth = known ? (uint64_t)disk.f_blocks * disk.f_frsize / 10 : 0;
    if (!known || (uint64_t)disk.f_bavail * disk.f_frsize < bytes + (tenth < bytes ? tenth : bytes))
        return weft_fail(err, WEFT_ERR_LIMIT, "cache: the disk of %s has not room enough for %zu bytes and as much to spare", folder,
                         bytes);
    snprintf(file->temporary, sizeof file->temporary, "%.4000s.tmp%ld", file->path, (long)getpid());
    file->fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0) {
        int reason = errno;
        file->temporary[0] = 0;
        return weft_fail(err, WEFT_ERR_IO, "cache: cannot write to %s: %s", folder, strerror(reason));
    }
    /* reserved now, because a full disk would otherwise be a bus error at the first touch */
    int reason = posix_fallocate(file->fd, 0, (off_t)(bytes + HEADER_BYTES));
    char *base = MAP_FAILED;
    if (reason == 0) {
        base = mmap(NULL, bytes + HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
        if (base == MAP_FAILED) reason = errno;
    }
    if (reason != 0) {
        close(file->fd);
        unlink(file->temporary);
        file->temporary[0] = 0;
        return weft_fail(err, WEFT_ERR_IO, "cache: no room for %zu bytes in %s: %s", bytes, folder, strerror(reason));
    }
    file->payload = base + HEADER_BYTES;
    file->bytes = bytes;
    /* the key waits in the header's place; without magic and hash the file is none */
    memcpy(base, &key, sizeof key);
    return WEFT_OK;
}

weft_status weft_cache_commit(weft_cache_file *file, weft_error *err) {
    header h = {.magic = {'w', 'e', 'f', 't', 'p', 'a', 'c', 'k'}, .version = VERSION, .header_bytes = HEADER_BYTES};
    char *base = file->payload - HEADER_BYTES;
    memcpy(&h.key, base, sizeof h.key);
    h.payload_bytes = file->bytes;
    h.payload_hash = weft_hash(WEFT_HASH_START, file->payload, file->bytes);
    h.hash = weft_hash(WEFT_HASH_START, &h, offsetof(header, hash));
    memcpy(base, &h, sizeof h);
    bool done = msync(base, file->bytes + HEADER_BYTES, MS_SYNC) == 0 && fsync(file->fd) == 0 &&
                rename(file->temporary, file->path) == 0;
    int reason = errno;
    if (!done) unlink(file->temporary);
    file->temporary[0] = 0;
    if (!done) return weft_fail(err, WEFT_ERR_IO, "cache: %s was not written: %s", file->path, strerror(reason));
    return WEFT_OK;
}

void weft_cache_close(weft_cache_file *file) {
    if (!file->payload) return;
    munmap(file->payload - HEADER_BYTES, file->bytes + HEADER_BYTES);
    close(file->fd);
    if (file->temporary[0]) unlink(file->temporary);
    file->payload = NULL;
}

bool weft_cache_check(const char *folder, const char *name) {
    weft_cache_file file = {.payload = NULL};
    header h;
    int n = snprintf(file.path, sizeof file.path, "%s/%s", folder, name);
    if (n < 0 || n >= (int)sizeof file.path || !map_whole(file.path, &file, &h)) return false;
    bool whole = weft_hash(WEFT_HASH_START, file.payload, file.bytes) == h.payload_hash;
    weft_cache_close(&file);
    return whole;
}
