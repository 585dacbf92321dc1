/* Writes .npy files: see npy.h.
 *
 * Layout: "\x93NUMPY", 1, 0, u16 header length, then a Python dict literal padded with spaces and a newline so that the data
 * begin at a multiple of 64. */
#include "engine/npy.h"

#include <errno.h>
#include <string.h>

weft_status weft_npy_open(weft_npy *npy, const char *folder, const char *name, weft_npy_type type, const int64_t *shape, int dims, weft_error *err) {
    snprintf(npy->path, sizeof npy->path, "%s/%s", folder, name);
    npy->file = fopen(npy->path, "wb");
    if (!npy->file) return weft_fail(err, WEFT_ERR_IO, "%s: cannot create: %s", npy->path, strerror(errno));
    char header[512];
    int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (", type == WEFT_NPY_F32 ? "<f4" : "<i4");
    for (int i = 0; i < dims; i++) n += snprintf(header + n, sizeof header - (size_t)n, "%lld, ", (long long)shape[i]);
    n += snprintf(header + n, sizeof header - (size_t)n, "), }");
    while ((10 + n + 1) % 64) header[n++] = ' ';
    header[n++] = '\n';
    unsigned char magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(n & 255), (unsigned char)(n >> 8)};
    if (fwrite(magic, 1, sizeof magic, npy->file) != sizeof magic || fwrite(header, 1, (size_t)n, npy->file) != (size_t)n)
        return weft_fail(err, WEFT_ERR_IO, "%s: cannot write: %s", npy->path, strerror(errno));
    return WEFT_OK;
}

weft_status weft_npy_write(weft_npy *npy, const void *values, int64_t count, weft_error *err) {
    if (count > 0 && fwrite(values, 4, (size_t)count, npy->file) != (size_t)count)
        return weft_fail(err, WEFT_ERR_IO, "%s: cannot write: %s", npy->path, strerror(errno));
    return WEFT_OK;
}

weft_status weft_npy_close(weft_npy *npy, weft_error *err) {
    if (!npy->file) return WEFT_OK;
    int failed = fclose(npy->file);
    npy->file = NULL;
    return failed ? weft_fail(err, WEFT_ERR_IO, "%s: cannot write: %s", npy->path, strerror(errno)) : WEFT_OK;
}

weft_status weft_npy_save(const char *folder, const char *name, weft_npy_type type, const int64_t *shape, int dims, const void *values, weft_error *err) {
    weft_npy npy = {0};
    int64_t count = 1;
    for (int i = 0; i < dims; i++) count *= shape[i];
    weft_status status = weft_npy_open(&npy, folder, name, type, shape, dims, err);
    if (status == WEFT_OK) status = weft_npy_write(&npy, values, count, err);
    weft_status closed = weft_npy_close(&npy, status == WEFT_OK ? err : NULL);
    return status != WEFT_OK ? status : closed;
}
