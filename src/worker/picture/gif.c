/* GIF: the first frame on its canvas, transparency on white, as Pillow shows it.
 *
 * Layout (GIF89a): "GIF87a" or "GIF89a"; u16 width, u16 height, u8 flags (0x80: palette of 2 << (flags & 7) colours),
 * u8 background, u8 aspect; palette; then blocks: 0x21 an extension (label, sub-blocks), 0x2C a frame (u16 left, top, width,
 * height, u8 flags: 0x80 palette, 0x40 interlaced; palette; u8 LZW minimum; sub-blocks), 0x3B the end. A sub-block is u8 size,
 * bytes; size 0 ends a row of them. Extension 0xF9 states the transparent colour.
 *
 * Memory: the picture and one byte a pixel. Refuses truncated files, frames outside the canvas, broken LZW. */
#include <stdlib.h>
#include <string.h>

#include "worker/picture/picture.h"

enum { CODES_MAX = 4096, HEAD_BYTES = 13 };

typedef struct gif_job {
    const uint8_t *bytes;
    size_t size, at;
    int64_t width, height;               /* of the canvas */
    int64_t left, top, columns, rows;    /* of the frame */
    bool interlaced;
    const uint8_t *palette; /* [colours, 3]; NULL: grey */
    int colours, transparent; /* transparent -1: none */
    uint8_t *canvas; /* [height, width] */
    weft_error *err;
} gif_job;

static weft_status truncated(gif_job *job) { return weft_fail(job->err, WEFT_ERR_FORMAT, "GIF: truncated: the file ends before the picture does"); }
static int64_t read16(const uint8_t *p) { return p[0] | p[1] << 8; }

static weft_status read_palette(gif_job *job, unsigned flags) {
    if (!(flags & 0x80)) return WEFT_OK;
    int colours = 2 << (flags & 7);
    if (job->size - job->at < (size_t)colours * 3) return truncated(job);
    job->palette = job->bytes + job->at;
    job->colours = colours;
    job->at += (size_t)colours * 3;
    return WEFT_OK;
}

static weft_status skip_blocks(gif_job *job) {
    for (;;) {
        if (job->at >= job->size) return truncated(job);
        size_t length = job->bytes[job->at++];
        if (length == 0) return WEFT_OK;
        if (job->size - job->at < length) return truncated(job);
        job->at += length;
    }
}

/* Up to the first frame, its description included. */
static weft_status find_frame(gif_job *job) {
    for (;;) {
        if (job->size - job->at < 2) return truncated(job);
        unsigned kind = job->bytes[job->at++];
        if (kind == 0x21) {
            unsigned label = job->bytes[job->at++];
            const uint8_t *body = job->bytes + job->at;
            if (label == 0xF9 && job->size - job->at >= 6 && body[0] >= 4) job->transparent = body[1] & 1 ? body[4] : -1;
            WEFT_TRY(skip_blocks(job));
        } else if (kind == 0x2C) {
            if (job->size - job->at < 9) return truncated(job);
            const uint8_t *f = job->bytes + job->at;
            job->left = read16(f), job->top = read16(f + 2), job->columns = read16(f + 4), job->rows = read16(f + 6);
            job->interlaced = f[8] & 0x40;
            job->at += 9;
            return read_palette(job, f[8]);
        } else if (kind == 0x3B) {
            return weft_fail(job->err, WEFT_ERR_FORMAT, "GIF: it holds no picture");
        } /* other bytes between blocks are skipped, as everybody does */
    }
}

/* ---- LZW -------------------------------------------------------------------------------------------------------- */

typedef struct code_reader {
    gif_job *job;
    size_t block; /* bytes left of the sub-block */
    uint32_t bits;
    int held;
    bool ended;
} code_reader;

static int next_code(code_reader *r, int width) {
    while (r->held < width) {
        gif_job *job = r->job;
        if (r->block == 0) {
            if (r->ended || job->at >= job->size || job->bytes[job->at] == 0) {
                r->ended = true;
                return -1;
            }
            r->block = job->bytes[job->at++];
        }
        if (job->at >= job->size) {
            r->ended = true;
            return -1;
        }
        r->bits |= (uint32_t)job->bytes[job->at++] << r->held;
        r->held += 8;
        r->block--;
    }
    int code = (int)(r->bits & ((1u << width) - 1));
    r->bits >>= width;
    r->held -= width;
    return code;
}

typedef struct frame_writer {
    gif_job *job;
    int64_t x, y, pass, left; /* left: pixels still to come */
} frame_writer;

static void put(frame_writer *w, uint8_t value) {
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    const gif_job *job = w->job;
    if (w->left == 0) return;
    w->left--;
    job->canvas[(job->top + w->y) * job->width + job->left + w->x] = value;
    if (++w->x < job->columns) return;
    w->x = 0;
    if (!job->interlaced) {
        w->y++;
        return;
    }
    w->y += step[w->pass];
    while (w->y >= job->rows && w->pass < 3) w->y = first[++w->pass];
}

static weft_status unpack(gif_job *job) {
    if (job->at >= job->size) return truncated(job);
    int minimum = job->bytes[job->at++];
    if (minimum < 1 || minimum > 8) return weft_fail(job->err, WEFT_ERR_FORMAT, "GIF: LZW codes of %d bits", minimum);
    uint16_t prefix[CODES_MAX];
    uint8_t suffix[CODES_MAX], stack[CODES_MAX + 1];
    int clear = 1 << minimum, next = clear + 2, width = minimum + 1, before = -1;
    uint8_t first = 0;
    for (int i = 0; i < clear; i++) suffix[i] = (uint8_t)i, prefix[i] = 0;
    code_reader reader = {.job = job};
    frame_writer writer = {.job = job, .left = job->columns * job->rows};
    while (writer.left > 0) {
        int code = next_code(&reader, width), depth = 0;
        if (code < 0 || code == clear + 1) return truncated(job);
        if (code == clear) {
            next = clear + 2, width = minimum + 1, before = -1;
            continue;
        }
        if (code > next || (code == next && before < 0)) return weft_fail(job->err, WEFT_ERR_FORMAT, "GIF: a code that is not in its table");
        int walk = code;
        if (code == next) stack[depth++] = first, walk = before;
        while (walk >= clear + 2) stack[depth++] = suffix[walk], walk = prefix[walk];
        if (walk >= clear) return weft_fail(job->err, WEFT_ERR_FORMAT, "GIF: a code that is not in its table");
        first = suffix[walk];
        stack[depth++] = first;
        while (depth > 0) put(&writer, stack[--depth]);
        if (before >= 0 && next < CODES_MAX) {
            prefix[next] = (uint16_t)before;
            suffix[next] = first;
            if (++next == 1 << width && width < 12) width++;
        }
        before = code;
    }
    return WEFT_OK;
}

/* ---- the picture ------------------------------------------------------------------------------------------------ */

static void to_rgb(const gif_job *job, uint8_t *rgb) {
    for (int64_t i = 0; i < job->width * job->height; i++, rgb += 3) {
        int value = job->canvas[i];
        if (value == job->transparent)
            memset(rgb, 255, 3);
        else if (!job->palette)
            memset(rgb, value, 3);
        else if (value < job->colours)
            memcpy(rgb, job->palette + 3 * value, 3);
        else
            memset(rgb, 0, 3);
    }
}

weft_status weft_gif_decode(const weft_picture_source *source, weft_image *image, int *orientation, weft_error *err) {
    (void)orientation;
    gif_job job = {.bytes = source->bytes, .size = source->size, .at = HEAD_BYTES, .transparent = -1, .err = err};
    if (source->size < HEAD_BYTES) return truncated(&job);
    job.width = read16(job.bytes + 6), job.height = read16(job.bytes + 8);
    WEFT_TRY(read_palette(&job, job.bytes[10]));
    WEFT_TRY(find_frame(&job));
    if (job.left + job.columns > job.width) job.width = job.left + job.columns; /* a frame over the edge makes it larger */
    if (job.top + job.rows > job.height) job.height = job.top + job.rows;
    WEFT_TRY(weft_media_check_size("GIF", job.width, job.height, source->limits, err));
    *image = (weft_image){.width = job.width, .height = job.height};
    if (source->probe) return WEFT_OK;
    job.canvas = malloc((size_t)(job.width * job.height));
    weft_status status = job.canvas ? WEFT_OK : weft_fail(err, WEFT_ERR_MEMORY, "GIF: no memory for %lld x %lld pixels", (long long)job.width, (long long)job.height);
    if (status == WEFT_OK) {
        memset(job.canvas, job.transparent >= 0 ? job.transparent : 0, (size_t)(job.width * job.height));
        status = unpack(&job);
    }
    if (status == WEFT_OK) status = weft_image_allocate(image, job.width, job.height, 3, err);
    if (status == WEFT_OK) to_rgb(&job, image->rgb);
    free(job.canvas);
    if (status != WEFT_OK) *image = (weft_image){0};
    return status;
}
