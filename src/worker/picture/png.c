/* PNG through libpng: every colour type and depth, interlaced too; alpha (full, palette or colour key) is composed onto
 * white, row by row.
 *
 * 16-bit values become bytes the way Pillow makes them on the published path: colour and grey-with-alpha keep their
 * high byte, pure grey saturates at 255. Memory: the picture, and for an interlaced file its rows before composition.
 * Ancillary chunks are capped, unknown ones skipped. Refuses truncated files. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "worker/picture/picture.h"

enum { CHUNK_BYTES_MAX = 8 << 20, CHUNKS_MAX = 1000, ROW_BYTES_PER_PIXEL_MAX = 16 };

typedef struct png_job {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t size, at;
    size_t allocation_max; /* of libpng, each */
    weft_image *image;
    int *orientation;
    const weft_picture_source *from;
    weft_colour *colour;
    weft_error *err;
    weft_status status;
    uint8_t *rows;    /* one row, or all of an interlaced picture */
    size_t row_bytes; /* after libpng's transformations */
    int channels;     /* 1 grey, 2 grey + alpha, 3, 4 */
    bool wide;        /* 16-bit grey (with a colour key: two channels), kept as it is */
    bool complete;    /* every row is there: what comes after may be missing */
} png_job;

static void on_error(png_structp png, png_const_charp text) {
    png_job *job = png_get_error_ptr(png);
    if (job->status == WEFT_OK) job->status = weft_fail(job->err, WEFT_ERR_FORMAT, "PNG: %s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png, (void)text;
}

/* libpng asks for as much as a chunk's length field says, whatever png_set_chunk_malloc_max was told (1.6.39, eXIf), so
 * the cap is enforced here: a refused ancillary chunk is skipped. Rows and zlib's windows fit within it. */
static png_voidp on_malloc(png_structp png, png_alloc_size_t size) {
    const png_job *job = png_get_mem_ptr(png);
    return size <= job->allocation_max ? malloc(size) : NULL;
}

static void on_free(png_structp png, png_voidp memory) {
    (void)png;
    free(memory);
}

static void on_read(png_structp png, png_bytep out, size_t count) {
    png_job *job = png_get_io_ptr(png);
    if (count > job->size - job->at) {
        if (job->status == WEFT_OK)
            job->status = weft_fail(job->err, WEFT_ERR_FORMAT,
                                    "PNG: truncated: the file ends after %zu bytes, in the "
                                    "middle of the picture",
                                    job->size);
        png_longjmp(png, 1);
    }
    memcpy(out, job->bytes + job->at, count);
    job->at += count;
}

/* The transformations that lead to 8-bit grey or RGB, with alpha where the file has any. */
static void set_transformations(png_job *job) {
    int colour = png_get_color_type(job->png, job->info), depth = png_get_bit_depth(job->png, job->info);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(job->png);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(job->png);
    if (png_get_valid(job->png, job->info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(job->png);
    job->wide = depth == 16 && colour == PNG_COLOR_TYPE_GRAY;
    if (depth == 16 && !job->wide) png_set_strip_16(job->png);
}

static uint8_t saturate16(const uint8_t *big_endian) {
    return big_endian[0] ? 255 : big_endian[1];
}

static void convert_row(const png_job *job, uint8_t *rgb, uint8_t *row) {
    int64_t width = job->image->width;
    if (job->channels >= 3) weft_colour_apply(job->colour, row, width, job->channels);
    if (job->channels == 1 && !job->wide && job->colour)
        weft_colour_expand(job->colour, rgb, row, width);
    else if (job->channels == 3)
        memcpy(rgb, row, (size_t)width * 3);
    else if (job->channels == 4)
        weft_compose_on_white(rgb, row, width);
    else
        for (int64_t x = 0; x < width; x++, rgb += 3) {
            uint8_t value, alpha = 255;
            if (job->wide) {
                const uint8_t *sample = row + x * 2 * job->channels;
                value = saturate16(sample);
                if (job->channels == 2) alpha = sample[2];
            } else {
                if (job->channels == 2) alpha = row[2 * x + 1];
                value = row[job->channels * x];
            }
            if (job->colour && !job->wide)
                weft_colour_expand(job->colour, rgb, &value, 1);
            else
                rgb[0] = rgb[1] = rgb[2] = value;
            for (int c = 0; job->channels == 2 && c < 3; c++) rgb[c] = weft_blend_on_white(rgb[c], alpha);
        }
}

static void open_colour(png_job *job) {
    png_charp name;
    png_bytep profile;
    png_uint_32 size;
    int compression;
    if (png_get_iCCP(job->png, job->info, &name, &compression, &profile, &size) != PNG_INFO_iCCP) return;
    job->colour = weft_colour_open(profile, size, job->channels >= 3 ? 3 : 1);
}

static weft_status read_pixels(png_job *job) {
    int64_t height = job->image->height, width = job->image->width;
    int passes = png_set_interlace_handling(job->png);
    png_read_update_info(job->png, job->info);
    job->row_bytes = png_get_rowbytes(job->png, job->info);
    job->channels = png_get_channels(job->png, job->info);
    if (job->channels < 1 || job->channels > 4 || job->row_bytes != (size_t)width * job->channels * (job->wide ? 2 : 1))
        return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "PNG: a row layout that is not read");
    open_colour(job);
    job->rows = calloc(passes > 1 ? (size_t)height : 1, job->row_bytes);
    if (!job->rows) return weft_fail(job->err, WEFT_ERR_MEMORY, "PNG: no memory for its rows");
    for (int pass = 0; pass < passes; pass++)
        for (int64_t y = 0; y < height; y++) {
            uint8_t *row = job->rows + (passes > 1 ? (size_t)y * job->row_bytes : 0);
            png_read_row(job->png, row, NULL);
            if (pass == passes - 1) convert_row(job, job->image->rgb + y * width * 3, row);
        }
    return WEFT_OK;
}

static int find_orientation(png_job *job) {
    int orientation = 0;
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 size = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(job->png, job->info, &size, &exif) && exif) orientation = weft_exif_orientation(exif, size);
#endif
    png_textp texts = NULL;
    int count = 0;
    if (!orientation) png_get_text(job->png, job->info, &texts, &count);
    for (int i = 0; i < count && !orientation; i++)
        if (strcmp(texts[i].key, "XML:com.adobe.xmp") == 0 && texts[i].text)
            orientation = weft_xmp_orientation((const uint8_t *)texts[i].text, strlen(texts[i].text));
    return orientation;
}

/* Everything that may jump; what has to be freed hangs on the job. */
static weft_status decode(png_job *job) {
    if (setjmp(png_jmpbuf(job->png))) return job->complete ? WEFT_OK : job->status;
    png_set_read_fn(job->png, job, on_read);
    png_set_user_limits(job->png, 0x7FFFFFFF, 0x7FFFFFFF); /* ours are checked below, with a better message */
    png_set_chunk_malloc_max(job->png, CHUNK_BYTES_MAX);
    png_set_chunk_cache_max(job->png, CHUNKS_MAX);
    png_read_info(job->png, job->info);
    int64_t width = png_get_image_width(job->png, job->info), height = png_get_image_height(job->png, job->info);
    WEFT_TRY(weft_media_check_size("PNG", width, height, job->from->limits, job->err));
    if (job->from->probe) {
        *job->image = (weft_image){.width = width, .height = height};
        return WEFT_OK;
    }
    WEFT_TRY(weft_image_allocate(job->image, width, height, 3, job->err));
    set_transformations(job);
    WEFT_TRY(read_pixels(job));
    job->complete = true;
    png_read_end(job->png, job->info); /* metadata may follow the pixels */
    return WEFT_OK;
}

weft_status weft_png_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    png_job job = {.bytes = source->bytes, .size = source->size, .image = image, .orientation = orientation, .from = source, .err = err};
    job.allocation_max = CHUNK_BYTES_MAX + (size_t)source->limits->side_max * ROW_BYTES_PER_PIXEL_MAX;
    job.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning, &job, on_malloc, on_free);
    if (job.png) job.info = png_create_info_struct(job.png);
    weft_status status = job.info ? decode(&job) : weft_fail(err, WEFT_ERR_MEMORY, "PNG: no memory for its decoder");
    if (status == WEFT_OK) *orientation = find_orientation(&job);
    png_destroy_read_struct(&job.png, &job.info, NULL);
    free(job.rows);
    weft_colour_close(job.colour);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}
