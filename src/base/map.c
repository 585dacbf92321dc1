/* A whole regular file, mapped read-only: see map.h. */
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static weft_status map_descriptor(int fd, const char *path, weft_map *map, weft_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0) return weft_fail(err, WEFT_ERR_IO, "%s: cannot stat: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) return weft_fail(err, WEFT_ERR_IO, "%s: is a folder, not a file", path);
    if (!S_ISREG(info.st_mode)) return weft_fail(err, WEFT_ERR_IO, "%s: not a regular file", path);
    if (info.st_size <= 0) return weft_fail(err, WEFT_ERR_FORMAT, "%s: the file is empty", path);
    if ((uintmax_t)info.st_size > SIZE_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s: %jd bytes do not fit this machine's address space", path,
                         (intmax_t)info.st_size);
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return weft_fail(err, WEFT_ERR_IO, "%s: cannot map: %s", path, strerror(errno));
    *map = (weft_map){data, (size_t)info.st_size};
    return WEFT_OK;
}

weft_status weft_map_open(const char *path, weft_map *map, weft_error *err) {
    *map = (weft_map){0};
    /* Non-blocking, so that a named pipe is refused below instead of waiting for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        weft_status status = errno == ENOENT ? WEFT_ERR_NOT_FOUND : WEFT_ERR_IO;
        return weft_fail(err, status, "%s: cannot open: %s", path, strerror(errno));
    }
    weft_status status = map_descriptor(fd, path, map, err);
    close(fd);
    return status;
}

void weft_map_close(weft_map *map) {
    if (map->data) munmap((void *)map->data, map->size);
    *map = (weft_map){0};
}
