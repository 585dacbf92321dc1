/* A growing byte buffer with a named maximum: see buffer.h. */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void weft_buffer_init(weft_buffer *buffer, size_t max, const char *what) {
    *buffer = (weft_buffer){.max = max, .what = what};
}

void weft_buffer_free(weft_buffer *buffer) {
    free(buffer->data);
    weft_buffer_init(buffer, buffer->max, buffer->what);
}

void weft_buffer_clear(weft_buffer *buffer) {
    buffer->size = 0;
    if (buffer->data) buffer->data[0] = 0;
}

weft_status weft_buffer_reserve(weft_buffer *buffer, size_t extra, weft_error *err) {
    if (extra > buffer->max - buffer->size)
        return weft_fail(err, WEFT_ERR_LIMIT, "%s is over its limit of %zu bytes", buffer->what, buffer->max);
    size_t need = buffer->size + extra + 1;
    if (need <= buffer->capacity) return WEFT_OK;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < need) capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    if (capacity > buffer->max && need <= buffer->max + 1) capacity = buffer->max + 1 > need ? buffer->max + 1 : need;
    char *data = realloc(buffer->data, capacity);
    if (!data) return weft_fail(err, WEFT_ERR_MEMORY, "%s: no memory for %zu bytes", buffer->what, capacity);
    if (!buffer->data) data[0] = 0;
    buffer->data = data;
    buffer->capacity = capacity;
    return WEFT_OK;
}

weft_status weft_buffer_append(weft_buffer *buffer, const void *bytes, size_t size, weft_error *err) {
    WEFT_TRY(weft_buffer_reserve(buffer, size, err));
    if (size) memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    buffer->data[buffer->size] = 0;
    return WEFT_OK;
}

weft_status weft_buffer_puts(weft_buffer *buffer, const char *text, weft_error *err) {
    return weft_buffer_append(buffer, text, strlen(text), err);
}

weft_status weft_buffer_printf(weft_buffer *buffer, weft_error *err, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    weft_status status = WEFT_OK;
    if (size < 0) status = weft_fail(err, WEFT_ERR_INTERNAL, "%s: bad format", buffer->what);
    if (status == WEFT_OK) status = weft_buffer_reserve(buffer, (size_t)size, err);
    if (status == WEFT_OK) {
        vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
    return status;
}

char *weft_buffer_take(weft_buffer *buffer) {
    char *data = buffer->data ? buffer->data : calloc(1, 1);
    weft_buffer_init(buffer, buffer->max, buffer->what);
    return data;
}

weft_status weft_read_file(const char *path, size_t max, weft_buffer *buffer, weft_error *err) {
    weft_buffer_init(buffer, max, path);
    FILE *file = fopen(path, "rb");
    if (!file) {
        weft_status status = errno == ENOENT ? WEFT_ERR_NOT_FOUND : WEFT_ERR_IO;
        return weft_fail(err, status, "%s: cannot open: %s", path, strerror(errno));
    }
    struct stat info;
    weft_status status = WEFT_OK;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode))
        status = weft_fail(err, WEFT_ERR_IO, "%s: not a regular file", path);
    else if ((unsigned long long)info.st_size > max)
        status = weft_fail(err, WEFT_ERR_LIMIT, "%s: %lld bytes, the limit for this kind of file is %zu", path,
                           (long long)info.st_size, max);
    else
        status = weft_buffer_reserve(buffer, (size_t)info.st_size, err);
    if (status == WEFT_OK) {
        buffer->size = fread(buffer->data, 1, (size_t)info.st_size, file);
        buffer->data[buffer->size] = 0;
        if (buffer->size != (size_t)info.st_size)
            status = weft_fail(err, WEFT_ERR_IO, "%s: read %zu of %lld bytes", path, buffer->size,
                               (long long)info.st_size);
    }
    fclose(file);
    if (status != WEFT_OK) weft_buffer_free(buffer);
    return status;
}
