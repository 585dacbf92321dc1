/* BMP: 1, 4, 8, 16, 24 and 32 bits, palettes, run lengths, the usual bit masks; values as Pillow makes them.
 *
 * Layout: "BM", u32 size, u32 reserved, u32 offset of the pixels; then a header that begins with its own size: 12 (OS/2: u16
 * width, height, planes, bits) or 40 to 124 (i32 width, i32 height, negative for top-down, u16 planes, u16 bits, u32 compression,
 * u32 bytes, i32 resolution twice, u32 colours, u32 important, masks). Rows are padded to 4 bytes, bottom row first.
 *
 * Memory: the picture, for run lengths one byte a pixel. Refuses truncated files and other compressions. */
#include <stdlib.h>
#include <string.h>

#include "worker/picture/picture.h"

enum { RAW = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3, COLOURS_MAX = 65536 };

typedef struct bmp_job {
    const uint8_t *bytes;
    size_t size;
    int64_t width, height;
    bool top_down;
    int bits;
    uint32_t compression, masks[4]; /* red, green, blue, alpha */
    const uint8_t *palette;         /* [colours] of `entry` bytes: blue, green, red */
    uint32_t colours;
    int entry;
    size_t pixels; /* offset */
    weft_error *err;
} bmp_job;

static uint32_t read16(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8); }
static uint32_t read32(const uint8_t *p) { return read16(p) | read16(p + 2) << 16; }
static weft_status truncated(bmp_job *job) { return weft_fail(job->err, WEFT_ERR_FORMAT, "BMP: truncated: the file ends before the picture does"); }

static weft_status read_header(bmp_job *job) {
    if (job->size < 26) return truncated(job);
    const uint8_t *h = job->bytes + 14;
    uint32_t header = read32(h);
    job->pixels = read32(job->bytes + 10);
    job->entry = header == 12 ? 3 : 4;
    if (header == 12) {
        job->width = read16(h + 4), job->height = read16(h + 6), job->bits = (int)read16(h + 10);
    } else if (header == 40 || header == 52 || header == 56 || header == 64 || header == 108 || header == 124) {
        if (job->size - 14 < header) return truncated(job);
        job->width = (int32_t)read32(h + 4), job->height = (int32_t)read32(h + 8);
        job->bits = (int)read16(h + 14), job->compression = read32(h + 16), job->colours = read32(h + 32);
        job->top_down = job->height < 0;
        if (job->top_down) job->height = -job->height;
    } else {
        return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "BMP: a header of %u bytes", header);
    }
    size_t at = 14 + header;
    if (job->compression == BITFIELDS) {
        bool inside = header >= 52; /* else they follow the header */
        if (!inside && job->size - at < 12) return truncated(job);
        for (int i = 0; i < 3; i++) job->masks[i] = read32((inside ? h + 40 : job->bytes + at) + 4 * i);
        job->masks[3] = header >= 56 ? read32(h + 52) : 0;
        if (!inside) at += 12;
    }
    if (job->bits > 8) return WEFT_OK;
    if (job->colours == 0 || job->colours > COLOURS_MAX) job->colours = 1u << (job->bits & 15);
    size_t room = (job->size - at) / (size_t)job->entry;
    if (job->colours > room) job->colours = (uint32_t)room;
    job->palette = job->bytes + at;
    if (job->pixels == 14 + header) job->pixels = at + (size_t)job->colours * (size_t)job->entry;
    return WEFT_OK;
}

/* The masks that files use; the place of a byte in the pixel follows from its mask. */
static weft_status check_kind(bmp_job *job) {
    static const uint32_t known[][4] = {
        {0xFF0000, 0xFF00, 0xFF, 0},          {0xFF000000, 0xFF0000, 0xFF00, 0}, {0xFF000000, 0xFF00, 0xFF, 0}, {0xFF000000, 0xFF0000, 0xFF00, 0xFF},
        {0xFF, 0xFF00, 0xFF0000, 0xFF000000}, {0xFF0000, 0xFF00, 0xFF, 0xFF000000}, {0xFF000000, 0xFF00, 0xFF, 0xFF0000},
    };
    uint32_t *m = job->masks;
    if (job->bits != 1 && job->bits != 4 && job->bits != 8 && job->bits != 16 && job->bits != 24 && job->bits != 32)
        return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "BMP: %d bits a pixel", job->bits);
    bool runs = (job->compression == RLE8 && job->bits == 8) || (job->compression == RLE4 && job->bits == 4);
    if (job->compression == RAW || runs) {
        memcpy(m, job->bits == 16 ? (const uint32_t[]){0x7C00, 0x3E0, 0x1F, 0} : known[0], sizeof job->masks);
        return WEFT_OK;
    }
    if (job->compression != BITFIELDS) return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "BMP: compression %u", job->compression);
    bool fits = job->bits == 16 && ((m[0] == 0xF800 && m[1] == 0x7E0 && m[2] == 0x1F) || (m[0] == 0x7C00 && m[1] == 0x3E0 && m[2] == 0x1F));
    fits = fits || (job->bits == 24 && memcmp(m, known[0], 12) == 0);
    if (job->bits == 32 && !(m[0] | m[1] | m[2] | m[3])) memcpy(m, known[5], sizeof known[5]);
    for (size_t i = 0; job->bits == 32 && i < sizeof known / sizeof *known; i++) fits = fits || memcmp(m, known[i], sizeof known[i]) == 0;
    return fits ? WEFT_OK : weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "BMP: masks %08x %08x %08x %08x", m[0], m[1], m[2], m[3]);
}

static void look_up(const bmp_job *job, uint8_t *rgb, uint32_t index) {
    if (index >= job->colours) {
        memset(rgb, 0, 3);
        return;
    }
    const uint8_t *entry = job->palette + (size_t)index * (size_t)job->entry;
    rgb[0] = entry[2], rgb[1] = entry[1], rgb[2] = entry[0];
}

static uint8_t part_of(uint32_t pixel, uint32_t mask) {
    if (!mask) return 255;
    int shift = __builtin_ctz(mask);
    return (uint8_t)(((pixel & mask) >> shift) * 255 / (mask >> shift));
}

static void convert_row(const bmp_job *job, uint8_t *rgb, const uint8_t *row) {
    for (int64_t x = 0; x < job->width; x++, rgb += 3) {
        if (job->bits <= 8) {
            int64_t bit = x * job->bits;
            look_up(job, rgb, (uint32_t)row[bit / 8] >> (8 - job->bits - bit % 8) & ((1u << job->bits) - 1));
            continue;
        }
        const uint8_t *p = row + x * job->bits / 8;
        uint32_t pixel = job->bits == 16 ? read16(p) : read16(p) | (uint32_t)p[2] << 16 | (job->bits == 32 ? (uint32_t)p[3] << 24 : 0);
        unsigned alpha = part_of(pixel, job->masks[3]);
        for (int c = 0; c < 3; c++) rgb[c] = weft_blend_on_white(part_of(pixel, job->masks[c]), alpha);
    }
}

/* Run lengths: count and value; or 0 and an escape: 0 end of row, 1 end, 2 a move, else that many literal values. */
static weft_status unpack_runs(bmp_job *job, uint8_t *values) {
    const uint8_t *p = job->bytes + job->pixels, *end = job->bytes + job->size;
    int64_t x = 0, at = 0, total = job->width * job->height;
    bool nibbles = job->compression == RLE4;
    while (at < total && end - p >= 2) {
        int64_t count = p[0], value = p[1];
        p += 2;
        if (count > 0) {
            if (x + count > job->width) count = x < job->width ? job->width - x : 0;
            if (count > total - at) count = total - at;
            for (int64_t i = 0; i < count; i++) values[at++] = (uint8_t)(!nibbles ? value : i % 2 ? value & 15 : value >> 4);
            x += count;
        } else if (value == 0) {
            at = (at + job->width - 1) / job->width * job->width;
            x = 0;
        } else if (value == 1) {
            return WEFT_OK;
        } else if (value == 2) {
            if (end - p < 2) break;
            at += p[0] + p[1] * job->width;
            if (at > total) at = total;
            x = at % job->width;
            p += 2;
        } else {
            int64_t literal = value < total - at ? value : total - at, bytes = nibbles ? (literal + 1) / 2 : literal;
            if (end - p < bytes) break;
            for (int64_t i = 0; i < literal; i++) values[at++] = nibbles ? (i % 2 ? p[i / 2] & 15 : p[i / 2] >> 4) : p[i];
            x += value;
            p += bytes + ((p + bytes - job->bytes) & 1 && p + bytes < end); /* the next escape begins at an even place */
        }
    }
    return at < total && end - p < 2 ? truncated(job) : WEFT_OK;
}

static weft_status read_pixels(bmp_job *job, weft_image *image) {
    size_t stride = ((size_t)job->width * (size_t)job->bits + 31) / 32 * 4, height = (size_t)job->height;
    bool runs = job->compression == RLE8 || job->compression == RLE4;
    if (job->pixels > job->size) return truncated(job);
    /* the last row may lack its padding */
    if (!runs && (job->size - job->pixels) < stride * (height - 1) + ((size_t)job->width * (size_t)job->bits + 7) / 8) return truncated(job);
    uint8_t *values = runs ? calloc(height, (size_t)job->width) : NULL;
    if (runs && !values) return weft_fail(job->err, WEFT_ERR_MEMORY, "BMP: no memory");
    weft_status status = runs ? unpack_runs(job, values) : WEFT_OK;
    for (size_t y = 0; status == WEFT_OK && y < height; y++) {
        uint8_t *target = image->rgb + (job->top_down ? y : height - 1 - y) * (size_t)job->width * 3;
        if (runs)
            for (int64_t x = 0; x < job->width; x++) look_up(job, target + 3 * x, values[y * (size_t)job->width + (size_t)x]);
        else
            convert_row(job, target, job->bytes + job->pixels + y * stride);
    }
    free(values);
    return status;
}

weft_status weft_bmp_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    (void)orientation;
    bmp_job job = {.bytes = source->bytes, .size = source->size, .err = err};
    WEFT_TRY(read_header(&job));
    WEFT_TRY(weft_media_check_size("BMP", job.width, job.height, source->limits, err));
    WEFT_TRY(check_kind(&job));
    *image = (weft_image){.width = job.width, .height = job.height};
    if (source->probe) return WEFT_OK;
    WEFT_TRY(weft_image_allocate(image, job.width, job.height, 3, err));
    weft_status status = read_pixels(&job, image);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}
