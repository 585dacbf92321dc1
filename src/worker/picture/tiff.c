/* TIFF and BigTIFF through libtiff: the first page; grey, palette, RGB, ink, alpha, 1 to 16 bits (32 for grey), strips and
 * tiles, every compression that libtiff reads; values as Pillow makes them.
 *
 * What is not in the list above (YCbCr without JPEG, CIELab, LogLuv) goes through libtiff's own conversion to RGBA.
 * Memory: the picture, and its samples as stored. Refuses truncated files. */
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

#include "worker/picture/picture.h"

enum { SAMPLES_MAX = 8 };

typedef struct tiff_job {
    const uint8_t *bytes;
    size_t size, at;
    TIFF *tiff;
    uint32_t width, height;
    uint16_t bits, samples, photometric, planar, format, compression;
    int alpha; /* index of the alpha sample, -1: none */
    bool premultiplied;
    size_t row_bytes; /* of one plane as stored */
    uint8_t *stored;  /* [planes, height, row_bytes] */
    weft_colour *colour;
    weft_error *err;
} tiff_job;

/* ---- the file in memory ----------------------------------------------------------------------------------------- */

static tmsize_t on_read(thandle_t handle, void *out, tmsize_t wanted) {
    tiff_job *job = handle;
    size_t left = job->size - job->at, count = wanted < 0 ? 0 : (size_t)wanted < left ? (size_t)wanted : left;
    memcpy(out, job->bytes + job->at, count);
    job->at += count;
    return (tmsize_t)count;
}
static tmsize_t on_write(thandle_t handle, void *bytes, tmsize_t size) { return (void)handle, (void)bytes, (void)size, 0; }
static toff_t on_seek(thandle_t handle, toff_t offset, int whence) {
    tiff_job *job = handle;
    toff_t base = whence == SEEK_CUR ? job->at : whence == SEEK_END ? job->size : 0;
    job->at = offset > job->size - base ? job->size : base + offset;
    return job->at;
}
static int on_close(thandle_t handle) { return (void)handle, 0; }
static toff_t on_size(thandle_t handle) { return ((tiff_job *)handle)->size; }
static int on_map(thandle_t handle, void **base, toff_t *size) {
    tiff_job *job = handle;
    *base = (void *)job->bytes;
    *size = job->size;
    return 1;
}
static void on_unmap(thandle_t handle, void *base, toff_t size) { (void)handle, (void)base, (void)size; }

/* ---- header ----------------------------------------------------------------------------------------------------- */

static void read_alpha(tiff_job *job) {
    uint16_t count = 0, *kinds = NULL;
    int base = job->photometric == PHOTOMETRIC_RGB ? 3 : job->photometric == PHOTOMETRIC_SEPARATED ? 4 : 1;
    job->alpha = -1;
    TIFFGetField(job->tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds);
    if (base == 4 || job->samples <= base) return;
    if (count == 0) { /* Pillow takes a fourth sample that nobody explains for alpha */
        if (base == 3 && job->samples == 4) job->alpha = 3;
        return;
    }
    if (kinds[0] == EXTRASAMPLE_ASSOCALPHA || kinds[0] == EXTRASAMPLE_UNASSALPHA || kinds[0] == 999) job->alpha = base;
    job->premultiplied = kinds[0] == EXTRASAMPLE_ASSOCALPHA;
}

static bool is_plain(const tiff_job *job) {
    bool integer = job->format == SAMPLEFORMAT_UINT || job->format == SAMPLEFORMAT_VOID;
    if (job->samples > SAMPLES_MAX) return false;
    switch (job->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
        if (job->samples == 1 && job->bits == 32) return true;
        return integer && (job->samples == 1 ? job->bits == 1 || job->bits == 2 || job->bits == 4 || job->bits == 8 || job->bits == 16 : job->bits == 8);
    case PHOTOMETRIC_PALETTE: return integer && (job->bits == 8 || (job->samples == 1 && (job->bits == 1 || job->bits == 2 || job->bits == 4)));
    case PHOTOMETRIC_RGB: return integer && job->samples >= 3 && (job->bits == 8 || job->bits == 16);
    case PHOTOMETRIC_SEPARATED: return integer && job->samples >= 4 && (job->bits == 8 || job->bits == 16);
    default: return false;
    }
}

static weft_status read_header(tiff_job *job, const weft_picture_source *source, int *orientation) {
    uint16_t turn = 0;
    TIFFGetField(job->tiff, TIFFTAG_IMAGEWIDTH, &job->width);
    TIFFGetField(job->tiff, TIFFTAG_IMAGELENGTH, &job->height);
    WEFT_TRY(weft_media_check_size("TIFF", job->width, job->height, source->limits, job->err));
    if (TIFFGetField(job->tiff, TIFFTAG_ORIENTATION, &turn) && turn >= 1 && turn <= 8) *orientation = turn;
    TIFFGetFieldDefaulted(job->tiff, TIFFTAG_BITSPERSAMPLE, &job->bits);
    TIFFGetFieldDefaulted(job->tiff, TIFFTAG_SAMPLESPERPIXEL, &job->samples);
    TIFFGetFieldDefaulted(job->tiff, TIFFTAG_PLANARCONFIG, &job->planar);
    TIFFGetFieldDefaulted(job->tiff, TIFFTAG_SAMPLEFORMAT, &job->format);
    TIFFGetFieldDefaulted(job->tiff, TIFFTAG_COMPRESSION, &job->compression);
    if (!TIFFGetField(job->tiff, TIFFTAG_PHOTOMETRIC, &job->photometric)) job->photometric = job->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    if (job->photometric == PHOTOMETRIC_YCBCR && job->compression == COMPRESSION_JPEG && job->planar == PLANARCONFIG_CONTIG) {
        TIFFSetField(job->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        job->photometric = PHOTOMETRIC_RGB;
    }
    read_alpha(job);
    return WEFT_OK;
}

/* ---- samples as stored ------------------------------------------------------------------------------------------ */

static weft_status damaged(tiff_job *job) { return weft_fail(job->err, WEFT_ERR_FORMAT, "TIFF: truncated or damaged: its pixels cannot be read"); }

static weft_status read_strips(tiff_job *job, int planes) {
    uint32_t rows = job->height;
    TIFFGetFieldDefaulted(job->tiff, TIFFTAG_ROWSPERSTRIP, &rows);
    if (rows == 0 || rows > job->height) rows = job->height;
    if ((size_t)TIFFScanlineSize64(job->tiff) != job->row_bytes) return damaged(job);
    for (int plane = 0; plane < planes; plane++)
        for (uint32_t y = 0; y < job->height; y += rows) {
            uint32_t count = job->height - y < rows ? job->height - y : rows;
            uint8_t *target = job->stored + ((size_t)plane * job->height + y) * job->row_bytes;
            tmsize_t wanted = (tmsize_t)(count * job->row_bytes);
            if (TIFFReadEncodedStrip(job->tiff, TIFFComputeStrip(job->tiff, y, (uint16_t)plane), target, wanted) != wanted) return damaged(job);
        }
    return WEFT_OK;
}

static weft_status read_tiles(tiff_job *job, int planes) {
    uint32_t columns = 0, rows = 0;
    TIFFGetField(job->tiff, TIFFTAG_TILEWIDTH, &columns);
    TIFFGetField(job->tiff, TIFFTAG_TILELENGTH, &rows);
    uint64_t size = TIFFTileSize64(job->tiff), tile_row = TIFFTileRowSize64(job->tiff);
    if (!columns || !rows || columns % 8 || size > (uint64_t)1 << 30 || tile_row * rows > size) return damaged(job);
    uint8_t *tile = malloc((size_t)size);
    if (!tile) return weft_fail(job->err, WEFT_ERR_MEMORY, "TIFF: no memory for a tile");
    weft_status status = WEFT_OK;
    for (int plane = 0; plane < planes; plane++)
        for (uint32_t y = 0; y < job->height && status == WEFT_OK; y += rows)
            for (uint32_t x = 0; x < job->width && status == WEFT_OK; x += columns) {
                if (TIFFReadEncodedTile(job->tiff, TIFFComputeTile(job->tiff, x, y, 0, (uint16_t)plane), tile, (tmsize_t)size) < 0) status = damaged(job);
                size_t left = (size_t)x / columns * (size_t)tile_row;
                size_t take = left < job->row_bytes ? (job->row_bytes - left < tile_row ? job->row_bytes - left : (size_t)tile_row) : 0;
                for (uint32_t r = 0; status == WEFT_OK && r < rows && y + r < job->height; r++)
                    memcpy(job->stored + ((size_t)plane * job->height + y + r) * job->row_bytes + left, tile + r * tile_row, take);
            }
    free(tile);
    return status;
}

static weft_status read_stored(tiff_job *job) {
    bool apart = job->planar == PLANARCONFIG_SEPARATE && job->samples > 1;
    int planes = apart ? job->samples : 1;
    job->row_bytes = ((size_t)job->width * job->bits * (apart ? 1 : job->samples) + 7) / 8;
    job->stored = calloc((size_t)planes * job->height, job->row_bytes);
    if (!job->stored) return weft_fail(job->err, WEFT_ERR_MEMORY, "TIFF: no memory for its samples");
    return TIFFIsTiled(job->tiff) ? read_tiles(job, planes) : read_strips(job, planes);
}

/* ---- to RGB ----------------------------------------------------------------------------------------------------- */

static uint8_t clip_float(float value) { return value >= 255 ? 255 : value > 0 ? (uint8_t)value : 0; }
static uint8_t clip_int(int64_t value) { return value >= 255 ? 255 : value > 0 ? (uint8_t)value : 0; }

/* Sample s of pixel x as Pillow keeps it: 16-bit colours by their high byte, 16-bit grey saturated. */
static uint8_t sample(const tiff_job *job, uint32_t y, uint32_t x, int s) {
    bool apart = job->planar == PLANARCONFIG_SEPARATE && job->samples > 1;
    const uint8_t *row = job->stored + ((size_t)(apart ? s : 0) * job->height + y) * job->row_bytes;
    size_t index = apart ? x : (size_t)x * job->samples + (size_t)s;
    if (job->bits == 8) return row[index];
    if (job->bits == 16) {
        uint16_t value;
        memcpy(&value, row + 2 * index, 2);
        return job->samples == 1 ? clip_int(value) : (uint8_t)(value >> 8);
    }
    if (job->bits == 32) {
        int32_t whole;
        float real;
        memcpy(&whole, row + 4 * index, 4);
        memcpy(&real, row + 4 * index, 4);
        return job->format == SAMPLEFORMAT_IEEEFP ? clip_float(real) : clip_int(whole);
    }
    size_t bit = index * job->bits;
    return (uint8_t)(row[bit / 8] >> (8 - job->bits - bit % 8) & ((1 << job->bits) - 1));
}

static uint8_t undo_premultiplication(unsigned value, unsigned alpha) {
    if (alpha == 0) return 0;
    unsigned whole = value * 255 / alpha;
    return (uint8_t)(alpha == 255 ? value : whole > 255 ? 255 : whole);
}

static void convert_row(const tiff_job *job, uint16_t *const map[3], uint32_t y, uint8_t *values, uint8_t *rgb) {
    int base = job->photometric == PHOTOMETRIC_SEPARATED ? 4 : 3;
    for (uint32_t x = 0; x < job->width; x++) { /* values: [width, base] */
        uint8_t *v = values + (size_t)x * (size_t)base;
        if (job->photometric == PHOTOMETRIC_RGB || base == 4) {
            for (int c = 0; c < base; c++) v[c] = sample(job, y, x, c);
            continue;
        }
        unsigned grey = sample(job, y, x, 0);
        if (job->photometric == PHOTOMETRIC_PALETTE) {
            for (int c = 0; c < 3; c++) v[c] = (uint8_t)(map[c][grey] >> 8);
            continue;
        }
        if (job->bits < 8) grey = grey * 255 / ((1u << job->bits) - 1);
        if (job->photometric == PHOTOMETRIC_MINISWHITE && job->bits <= 8) grey = 255 - grey;
        if (job->colour)
            weft_colour_expand(job->colour, v, &(uint8_t){(uint8_t)grey}, 1);
        else
            memset(v, (int)grey, 3);
    }
    if (base == 4) {
        for (uint32_t x = 0; x < job->width && !job->colour; x++)
            for (int c = 0; c < 3; c++) { /* ink darkens what black leaves (Pillow's way) */
                unsigned light = 255u - values[4 * (size_t)x + 3], product = values[4 * (size_t)x + (size_t)c] * light + 128u;
                rgb[3 * (size_t)x + (size_t)c] = (uint8_t)(light - (((product >> 8) + product) >> 8));
            }
        if (job->colour) weft_colour_expand(job->colour, rgb, values, job->width);
        return;
    }
    for (uint32_t x = 0; x < job->width && job->premultiplied; x++)
        for (int c = 0; c < 3; c++) values[3 * (size_t)x + (size_t)c] = undo_premultiplication(values[3 * (size_t)x + (size_t)c], sample(job, y, x, job->alpha));
    if (job->photometric == PHOTOMETRIC_RGB || job->photometric == PHOTOMETRIC_PALETTE) weft_colour_apply(job->colour, values, job->width, 3);
    for (uint32_t x = 0; x < job->width && job->alpha >= 0; x++)
        for (int c = 0; c < 3; c++) values[3 * (size_t)x + (size_t)c] = weft_blend_on_white(values[3 * (size_t)x + (size_t)c], sample(job, y, x, job->alpha));
    memcpy(rgb, values, (size_t)job->width * 3);
}

static weft_status convert_plain(tiff_job *job, weft_image *image) {
    uint16_t *map[3] = {NULL, NULL, NULL};
    if (job->photometric == PHOTOMETRIC_PALETTE && !TIFFGetField(job->tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
        return weft_fail(job->err, WEFT_ERR_FORMAT, "TIFF: its palette is missing");
    WEFT_TRY(read_stored(job));
    uint8_t *values = malloc((size_t)job->width * 4);
    if (!values) return weft_fail(job->err, WEFT_ERR_MEMORY, "TIFF: no memory for a row");
    for (uint32_t y = 0; y < job->height; y++) convert_row(job, map, y, values, image->rgb + (size_t)y * job->width * 3);
    free(values);
    return WEFT_OK;
}

static weft_status convert_other(tiff_job *job, weft_image *image) {
    char why[1024] = "";
    if (!TIFFRGBAImageOK(job->tiff, why)) return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "TIFF: %.200s", why);
    uint32_t *packed = malloc((size_t)job->width * job->height * 4);
    if (!packed) return weft_fail(job->err, WEFT_ERR_MEMORY, "TIFF: no memory for its pixels");
    int done = TIFFReadRGBAImageOriented(job->tiff, job->width, job->height, packed, ORIENTATION_TOPLEFT, 1);
    for (size_t i = 0; done && i < (size_t)job->width * job->height; i++) {
        unsigned alpha = TIFFGetA(packed[i]), parts[3] = {TIFFGetR(packed[i]), TIFFGetG(packed[i]), TIFFGetB(packed[i])};
        for (int c = 0; c < 3; c++) image->rgb[3 * i + (size_t)c] = weft_blend_on_white(undo_premultiplication(parts[c], alpha), alpha);
    }
    free(packed);
    return done ? WEFT_OK : damaged(job);
}

static weft_status decode(tiff_job *job, const weft_picture_source *source, weft_image *image, int *orientation) {
    WEFT_TRY(read_header(job, source, orientation));
    *image = (weft_image){.width = job->width, .height = job->height};
    bool plain = is_plain(job);
    if (!plain) *orientation = 0; /* libtiff turns what it converts */
    if (source->probe) return WEFT_OK;
    uint32_t size = 0;
    void *profile = NULL;
    int components = job->photometric == PHOTOMETRIC_RGB || job->photometric == PHOTOMETRIC_PALETTE ? 3 : job->photometric == PHOTOMETRIC_SEPARATED ? 4 : 1;
    if (components == 1 && job->bits > 8) components = 0; /* wide grey is saturated, not shown */
    if (plain && components && TIFFGetField(job->tiff, TIFFTAG_ICCPROFILE, &size, &profile)) job->colour = weft_colour_open(profile, size, components);
    WEFT_TRY(weft_image_allocate(image, job->width, job->height, 3, job->err));
    return plain ? convert_plain(job, image) : convert_other(job, image);
}

weft_status weft_tiff_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    tiff_job job = {.bytes = source->bytes, .size = source->size, .err = err};
    TIFFSetErrorHandler(NULL);
    TIFFSetWarningHandler(NULL);
    job.tiff = TIFFClientOpen("picture", "r", &job, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap);
    if (!job.tiff) return weft_fail(err, WEFT_ERR_FORMAT, "TIFF: malformed or truncated");
    weft_status status = decode(&job, source, image, orientation);
    TIFFClose(job.tiff);
    free(job.stored);
    weft_colour_close(job.colour);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}
