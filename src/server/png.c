/* Pixels as a PNG file: see png.h. The format is that of the PNG specification (W3C, third edition), sections 5 and 11.
 */
#include "server/png.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    SIDE_MAX = 65535,
    HEAD = 13,
    CHUNK = 12 /* length, name and checksum around a chunk's data */,
    FILTER_UP = 2,
    LEVEL = 2
};

static uint8_t *put_u32(uint8_t *at, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) *at++ = (uint8_t)(value >> shift);
    return at;
}

/* A chunk whose data stand at `at` + 8 already; returns where the next one begins. */
static uint8_t *end_chunk(uint8_t *at, const char *name, uint32_t size) {
    put_u32(at, size);
    memcpy(at + 4, name, 4);
    return put_u32(at + 8 + size, (uint32_t)crc32(0, at + 4, size + 4));
}

/* Rows, each after its filter's number: pages have long white columns, which the row above predicts. */
static void filter_rows(const uint8_t *rgb, size_t row, uint32_t height, uint8_t *out) {
    for (uint32_t y = 0; y < height; y++, rgb += row) {
        *out++ = y ? FILTER_UP : 0;
        for (size_t i = 0; i < row; i++) *out++ = (uint8_t)(rgb[i] - (y ? rgb[i - row] : 0));
    }
}

weft_status weft_png_write(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **png, size_t *size,
                           weft_error *err) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "PNG: %u x %u pixels cannot be written", (unsigned)width,
                         (unsigned)height);
    size_t row = (size_t)width * 3, raw = (row + 1) * height;
    if (raw > UINT32_MAX / 2)
        return weft_fail(err, WEFT_ERR_LIMIT, "PNG: %u x %u pixels are too many", (unsigned)width, (unsigned)height);
    uLongf packed = compressBound((uLong)raw);
    uint8_t *rows = malloc(raw), *out = malloc(sizeof signature + HEAD + packed + 3 * CHUNK);
    if (!rows || !out) {
        free(rows);
        free(out);
        return weft_fail(err, WEFT_ERR_MEMORY, "PNG: no memory");
    }
    filter_rows(rgb, row, height, rows);
    memcpy(out, signature, sizeof signature);
    uint8_t *at = out + sizeof signature;
    put_u32(put_u32(at + 8, width), height);
    memcpy(at + 16, (const uint8_t[]){8 /* bits */, 2 /* RGB */, 0, 0, 0}, 5);
    at = end_chunk(at, "IHDR", HEAD);
    int failed = compress2(at + 8, &packed, rows, (uLong)raw, LEVEL);
    free(rows);
    if (failed) {
        free(out);
        return weft_fail(err, WEFT_ERR_INTERNAL, "PNG: zlib says %d", failed);
    }
    at = end_chunk(at, "IDAT", (uint32_t)packed);
    at = end_chunk(at, "IEND", 0);
    *png = out;
    *size = (size_t)(at - out);
    return WEFT_OK;
}
