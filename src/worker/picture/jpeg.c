/* JPEG through libjpeg-turbo: grey, YCbCr, RGB, CMYK and YCCK; baseline and progressive.
 *
 * A picture over the limit of pixels is decoded at a half, a quarter or an eighth of its size, which the library does while
 * it decodes (as Pillow's draft mode): memory is what the smaller picture needs.
 * The library's default inverse DCT (slow integer) and fancy upsampling give the same bytes as Pillow does. Memory: the
 * picture, and for progressive files the coefficients. Refuses truncated files, files whose size cannot possibly hold
 * the pixels they promise, and progressive files of endless scans. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "worker/picture/picture.h"

enum {
    SCANS_MAX = 256,            /* a progressive file rarely has over 20; each one costs a pass over the picture */
    PIXELS_PER_BYTE_MAX = 1024, /* Huffman coding spends at least a bit per block of 64 pixels */
};

typedef struct jpeg_job {
    struct jpeg_decompress_struct cinfo; /* client_data points back at the job */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    bool reached_end; /* the decoder asked for more bytes than there are */
    weft_image *image;
    int *orientation;
    const weft_picture_source *from;
    JOCTET *profile; /* ICC, owned */
    weft_colour *colour;
    weft_error *err;
    weft_status status;
} jpeg_job;

static void on_error(j_common_ptr common) {
    jpeg_job *job = common->client_data;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    const char *cause = job->reached_end ? "truncated: the file ends before the picture does: " : "";
    if (job->status == WEFT_OK) job->status = weft_fail(job->err, WEFT_ERR_FORMAT, "JPEG: %s%s", cause, text);
    longjmp(job->jump, 1);
}

static void on_message(j_common_ptr common) {
    (void)common;
}

static void on_progress(j_common_ptr common) {
    jpeg_job *job = common->client_data;
    if (job->cinfo.input_scan_number <= SCANS_MAX) return;
    job->status = weft_fail(job->err, WEFT_ERR_LIMIT, "JPEG: over %d scans", SCANS_MAX);
    longjmp(job->jump, 1);
}

static void source_nothing(j_decompress_ptr cinfo) {
    (void)cinfo;
}

/* The whole file is in memory, so a request for more means that it ended early. An end marker is handed out, so that a
 * file that lacks nothing but its end marker still decodes; whether more was missing is decided afterwards. */
static boolean source_fill(j_decompress_ptr cinfo) {
    static const JOCTET end_marker[2] = {0xFF, JPEG_EOI};
    jpeg_job *job = cinfo->client_data;
    job->reached_end = true;
    job->source.next_input_byte = end_marker;
    job->source.bytes_in_buffer = sizeof end_marker;
    return TRUE;
}

static void source_skip(j_decompress_ptr cinfo, long count) {
    jpeg_job *job = cinfo->client_data;
    if (count <= 0) return;
    if ((size_t)count > job->source.bytes_in_buffer) {
        source_fill(cinfo);
    } else {
        job->source.next_input_byte += count;
        job->source.bytes_in_buffer -= (size_t)count;
    }
}

static int find_orientation(const struct jpeg_decompress_struct *cinfo) {
    static const char xmp_name[] = "http://ns.adobe.com/xap/1.0/"; /* with its NUL, 29 bytes */
    int orientation = 0;
    for (jpeg_saved_marker_ptr m = cinfo->marker_list; m && !orientation; m = m->next)
        if (m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            orientation = weft_exif_orientation(m->data, m->data_length);
    for (jpeg_saved_marker_ptr m = cinfo->marker_list; m && !orientation; m = m->next)
        if (m->data_length > sizeof xmp_name && memcmp(m->data, xmp_name, sizeof xmp_name) == 0)
            orientation = weft_xmp_orientation(m->data + sizeof xmp_name, m->data_length - sizeof xmp_name);
    return orientation;
}

static void expand_grey(uint8_t *rgb, const uint8_t *grey, int64_t pixels) {
    for (int64_t i = 0; i < pixels; i++, rgb += 3) rgb[0] = rgb[1] = rgb[2] = grey[i];
}

/* Stored inverted, as Adobe writes it: a stored value is 255 - ink. Each ink darkens what black leaves (Pillow's way).
 */
static void expand_cmyk(uint8_t *rgb, const uint8_t *cmyk, int64_t pixels) {
    for (int64_t i = 0; i < pixels; i++, rgb += 3, cmyk += 4)
        for (int c = 0; c < 3; c++) {
            unsigned light = cmyk[3], product = (255u - cmyk[c]) * light + 128u;
            rgb[c] = (uint8_t)(light - (((product >> 8) + product) >> 8));
        }
}

/* The scale at which the picture is within the limit of pixels. */
static weft_status choose_scale(jpeg_job *job) {
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    const weft_media_limits *limits = job->from->limits;
    int64_t width = cinfo->image_width, height = cinfo->image_height;
    unsigned scale = 1;
    while (scale < 8 && (width / scale) * (height / scale) > limits->pixels_max) scale *= 2;
    if (scale > 1 && cinfo->progressive_mode && width * height > 2 * limits->pixels_max)
        return weft_fail(job->err, WEFT_ERR_LIMIT, "JPEG: %lld x %lld pixels: the picture is over the limit of %lld pixels for a progressive one",
                         (long long)width, (long long)height, (long long)(2 * limits->pixels_max));
    cinfo->scale_num = 1;
    cinfo->scale_denom = scale;
    jpeg_calc_output_dimensions(cinfo);
    return weft_media_check_size("JPEG", cinfo->output_width, cinfo->output_height, limits, job->err);
}

static weft_status check_header(jpeg_job *job) {
    const struct jpeg_decompress_struct *cinfo = &job->cinfo;
    size_t size = job->from->size;
    int64_t pixels = (int64_t)cinfo->image_width * cinfo->image_height;
    if (!cinfo->arith_code && pixels / PIXELS_PER_BYTE_MAX > (int64_t)size)
        return weft_fail(job->err, WEFT_ERR_FORMAT, "JPEG: truncated: %zu bytes cannot hold %u x %u pixels", size,
                         cinfo->image_width, cinfo->image_height);
    if (cinfo->num_components != 1 && cinfo->num_components != 3 && cinfo->num_components != 4)
        return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "JPEG: %d colour components (1, 3 or 4 are read)",
                         cinfo->num_components);
    return WEFT_OK;
}

static void open_colour(jpeg_job *job) {
    unsigned size = 0;
    if (!jpeg_read_icc_profile(&job->cinfo, &job->profile, &size)) return;
    job->colour = weft_colour_open(job->profile, size, job->cinfo.num_components);
}

/* Stored values are 255 - ink; profiles want ink. */
static void ink_of(uint8_t *cmyk, int64_t pixels) {
    for (int64_t i = 0; i < 4 * pixels; i++) cmyk[i] = 255 - cmyk[i];
}

static void read_rows(jpeg_job *job) {
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    int64_t width = job->image->width;
    JSAMPARRAY row = NULL;
    if (cinfo->num_components != 3)
        row = cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, (JDIMENSION)(width * cinfo->output_components),
                                       1);
    while (cinfo->output_scanline < cinfo->output_height) {
        uint8_t *target = job->image->rgb + (int64_t)cinfo->output_scanline * width * 3;
        if (!row) {
            jpeg_read_scanlines(cinfo, &target, 1);
            weft_colour_apply(job->colour, target, width, 3);
            continue;
        }
        jpeg_read_scanlines(cinfo, row, 1);
        if (job->colour) {
            if (cinfo->num_components == 4) ink_of(row[0], width);
            weft_colour_expand(job->colour, target, row[0], width);
        } else if (cinfo->num_components == 1) {
            expand_grey(target, row[0], width);
        } else {
            expand_cmyk(target, row[0], width);
        }
    }
}

/* Everything that may jump. Keeps no locals across calls into the library that the caller would have to free. */
static weft_status decode(jpeg_job *job) {
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    if (setjmp(job->jump)) return job->status;
    jpeg_create_decompress(cinfo); /* clears everything but err and client_data */
    cinfo->src = &job->source;
    cinfo->progress = &job->progress;
    jpeg_save_markers(cinfo, JPEG_APP0 + 1, 0xFFFF); /* EXIF, XMP */
    jpeg_save_markers(cinfo, JPEG_APP0 + 2, 0xFFFF); /* ICC */
    jpeg_read_header(cinfo, TRUE);
    WEFT_TRY(check_header(job));
    *job->orientation = find_orientation(cinfo);
    cinfo->out_color_space = cinfo->num_components == 1   ? JCS_GRAYSCALE
                             : cinfo->num_components == 3 ? JCS_RGB
                                                          : JCS_CMYK;
    WEFT_TRY(choose_scale(job));
    *job->image = (weft_image){.width = cinfo->output_width, .height = cinfo->output_height};
    if (!job->from->probe) {
        WEFT_TRY(weft_image_allocate(job->image, cinfo->output_width, cinfo->output_height, 3, job->err));
        open_colour(job);
    }
    job->image->full_width = cinfo->image_width;
    job->image->full_height = cinfo->image_height;
    if (job->from->probe) return WEFT_OK;
    jpeg_start_decompress(cinfo);
    read_rows(job);
    if (job->reached_end && (job->errors.num_warnings > 0 || cinfo->progressive_mode))
        return weft_fail(job->err, WEFT_ERR_FORMAT, "JPEG: truncated: the file ends before the picture does");
    return WEFT_OK;
}

weft_status weft_jpeg_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    jpeg_job job = {.image = image, .orientation = orientation, .from = source, .err = err, .status = WEFT_OK};
    job.cinfo.err = jpeg_std_error(&job.errors);
    job.cinfo.client_data = &job;
    job.errors.error_exit = on_error;
    job.errors.output_message = on_message;
    job.progress.progress_monitor = on_progress;
    job.source = (struct jpeg_source_mgr){
        .next_input_byte = source->bytes,
        .bytes_in_buffer = source->size,
        .init_source = source_nothing,
        .fill_input_buffer = source_fill,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_nothing,
    };
    weft_status status = decode(&job);
    jpeg_destroy_decompress(&job.cinfo);
    weft_colour_close(job.colour);
    free(job.profile);
    if (status != WEFT_OK) weft_image_free(image);
    return status;
}
