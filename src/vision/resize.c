/* Antialiased bicubic resampling of 8-bit RGB, bit for bit what torchvision computes for the published processor.
 *
 * The filter is Keys' cubic with a = -0.5, widened by the reduction. Its weights are made in double, normalised, and
 * rounded to int16 at the largest precision that fits; each axis is a separate pass, horizontal first, and the values
 * between the passes are bytes. A side that keeps its size has no pass.
 *
 * Memory: per thread one strip of input rows after the horizontal pass, so a large picture is never held a third time.
 * Both inner loops run over contiguous lanes with one weight, which compilers turn into vector code. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vision/vision.h"

enum {
    STRIP_ROWS = 64, /* output rows that one task makes */
    LANE_ROWS = 16,  /* rows that the horizontal pass takes together, one per lane */
    LANES = 3 * LANE_ROWS,
    PRECISION_MAX = 22,
    COLUMN_BLOCK =
        96, /* values of a row that the vertical pass takes together: 32 pixels, what sides are multiples of */
};
static const int64_t RESIZE_SIDE_MAX = (int64_t)1 << 24;

/* The weights of one axis: output i is the sum over k < count[i] of weight[i * taps + k] * input[first[i] + k]. */
typedef struct axis {
    int64_t in, out, taps;
    int64_t *first, *count; /* [out] */
    int16_t *weight;        /* [out, taps] */
    int precision;          /* weights are scaled by 2^precision */
} axis;

static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    return 0;
}

static void axis_free(axis *axis) {
    free(axis->first);
    free(axis->count);
    free(axis->weight);
}

/* Where output i reads, and its normalised weights in double. */
static void axis_taps(axis *axis, int64_t i, double *weights) {
    double scale = (double)axis->in / (double)axis->out;
    double stretch = scale > 1 ? scale : 1, support = 2 * stretch, centre = scale * ((double)i + 0.5), sum = 0;
    int64_t low = (int64_t)(centre - support + 0.5), high = (int64_t)(centre + support + 0.5);
    if (low < 0) low = 0;
    if (high > axis->in) high = axis->in;
    int64_t count = high - low;
    if (count < 0) count = 0;
    if (count > axis->taps) count = axis->taps;
    double inverse = 1 / stretch;
    for (int64_t k = 0; k < count; k++) sum += weights[k] = cubic(((double)(k + low) - centre + 0.5) * inverse);
    for (int64_t k = 0; k < count; k++) weights[k] = sum != 0 ? weights[k] / sum : weights[k];
    axis->first[i] = low;
    axis->count[i] = count;
}

static weft_status axis_make(axis *axis, int64_t in, int64_t out, weft_error *err) {
    double scale = (double)in / (double)out, support = 2 * (scale > 1 ? scale : 1);
    *axis = (struct axis){.in = in, .out = out, .taps = 2 * (int64_t)ceil(support) + 1};
    if (axis->taps > INT64_MAX / 16 / out) return weft_fail(err, WEFT_ERR_LIMIT, "resize: too large a reduction");
    size_t values = (size_t)(out * axis->taps);
    axis->first = malloc((size_t)out * sizeof *axis->first);
    axis->count = malloc((size_t)out * sizeof *axis->count);
    axis->weight = calloc(values, sizeof *axis->weight);
    double *weights = calloc(values, sizeof *weights), largest = 0;
    if (!axis->first || !axis->count || !axis->weight || !weights) {
        free(weights);
        axis_free(axis);
        return weft_fail(err, WEFT_ERR_MEMORY, "resize: no memory for %zu weights", values);
    }
    for (int64_t i = 0; i < out; i++) {
        axis_taps(axis, i, weights + i * axis->taps);
        for (int64_t k = 0; k < axis->count[i]; k++) largest = fmax(largest, weights[i * axis->taps + k]);
    }
    while (axis->precision < PRECISION_MAX && (int)(0.5 + largest * (double)(1 << (axis->precision + 1))) < (1 << 15))
        axis->precision++;
    for (size_t i = 0; i < values; i++) { /* half away from zero */
        double scaled = weights[i] * (double)(1 << axis->precision);
        axis->weight[i] = (int16_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    free(weights);
    return WEFT_OK;
}

static inline uint8_t to_byte(int32_t sum, int precision) {
    int32_t value = sum >> precision;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Horizontal pass over up to LANE_ROWS rows. `lanes` is [in, 3, LANE_ROWS] int16: the rows turned on their side, so
 * that one tap is one multiply-add over LANES neighbours. */
static void horizontal(const axis *axis, const uint8_t *in, int64_t rows, int16_t *lanes, uint8_t *out) {
    int64_t in_line = axis->in * 3, out_line = axis->out * 3;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t x = 0; x < in_line; x++) lanes[x * LANE_ROWS + r] = in[r * in_line + x];
    for (int64_t x = 0; x < axis->out; x++) {
        int32_t sums[LANES];
        for (int j = 0; j < LANES; j++) sums[j] = axis->precision > 0 ? 1 << (axis->precision - 1) : 0;
        const int16_t *source = lanes + axis->first[x] * LANES, *weight = axis->weight + x * axis->taps;
        for (int64_t k = 0; k < axis->count[x]; k++, source += LANES)
            for (int j = 0; j < LANES; j++) sums[j] += (int32_t)source[j] * (int32_t)weight[k];
        for (int64_t r = 0; r < rows; r++)
            for (int c = 0; c < 3; c++)
                out[r * out_line + x * 3 + c] = to_byte(sums[c * LANE_ROWS + r], axis->precision);
    }
}

/* Up to COLUMN_BLOCK values of one output row; inlined twice so that the full block has a constant width. */
static inline void vertical_block(const axis *axis, int64_t y, const uint8_t *rows, int64_t line, int width,
                                  uint8_t *out) {
    const int16_t *weight = axis->weight + y * axis->taps;
    int32_t sums[COLUMN_BLOCK];
    for (int j = 0; j < width; j++) sums[j] = axis->precision > 0 ? 1 << (axis->precision - 1) : 0;
    for (int64_t k = 0; k < axis->count[y]; k++) {
        const uint8_t *source = rows + k * line;
        int16_t w = weight[k];
        for (int j = 0; j < width; j++) sums[j] += (int32_t)(int16_t)source[j] * (int32_t)w;
    }
    for (int j = 0; j < width; j++) out[j] = to_byte(sums[j], axis->precision);
}

/* One output row of the vertical pass; `rows` is the first row it reads, `line` values long. */
static void vertical(const axis *axis, int64_t y, const uint8_t *rows, int64_t line, uint8_t *out) {
    int64_t begin = 0;
    for (; line - begin >= COLUMN_BLOCK; begin += COLUMN_BLOCK)
        vertical_block(axis, y, rows + begin, line, COLUMN_BLOCK, out + begin);
    if (begin < line) vertical_block(axis, y, rows + begin, line, (int)(line - begin), out + begin);
}

typedef struct resize_job {
    const uint8_t *in;
    uint8_t *out;
    int64_t in_width, out_width, out_height;
    const axis *across, *down; /* NULL: that side keeps its size */
    uint8_t *strips;           /* [threads] */
    int16_t *lanes;            /* [threads] */
    size_t strip_bytes, lane_values;
} resize_job;

static void resize_strip(const resize_job *job, int64_t first_row, int64_t end_row, int thread) {
    int64_t low = first_row, high = end_row, in_line = job->in_width * 3, out_line = job->out_width * 3;
    if (job->down) {
        low = job->down->first[first_row];
        high = job->down->first[end_row - 1] + job->down->count[end_row - 1];
    }
    const uint8_t *rows = job->in + low * in_line;
    if (job->across) {
        uint8_t *strip = job->down ? job->strips + (size_t)thread * job->strip_bytes : job->out + first_row * out_line;
        int16_t *lanes = job->lanes + (size_t)thread * job->lane_values;
        for (int64_t y = 0; y < high - low; y += LANE_ROWS) {
            int64_t count = high - low - y < LANE_ROWS ? high - low - y : LANE_ROWS;
            horizontal(job->across, rows + y * in_line, count, lanes, strip + y * out_line);
        }
        rows = strip;
    }
    for (int64_t y = first_row; job->down && y < end_row; y++)
        vertical(job->down, y, rows + (job->down->first[y] - low) * out_line, out_line, job->out + y * out_line);
}

static void resize_body(void *context, int64_t begin, int64_t end, int thread) {
    const resize_job *job = context;
    for (int64_t strip = begin; strip < end; strip++) {
        int64_t first = strip * STRIP_ROWS, left = job->out_height - first;
        resize_strip(job, first, first + (left < STRIP_ROWS ? left : STRIP_ROWS), thread);
    }
}

/* Input rows that the tallest strip reads. */
static int64_t strip_rows_max(const axis *down) {
    int64_t most = 0;
    for (int64_t y = 0; y < down->out; y += STRIP_ROWS) {
        int64_t last = down->out - y < STRIP_ROWS ? down->out - 1 : y + STRIP_ROWS - 1;
        int64_t rows = down->first[last] + down->count[last] - down->first[y];
        if (rows > most) most = rows;
    }
    return most;
}

static weft_status resize_run(resize_job *job, weft_pool *pool, weft_error *err) {
    size_t threads = (size_t)weft_pool_threads(pool);
    if (job->across) job->lane_values = (size_t)job->in_width * LANES;
    if (job->across && job->down) job->strip_bytes = (size_t)strip_rows_max(job->down) * (size_t)job->out_width * 3;
    job->lanes = calloc(threads * job->lane_values + 1, sizeof *job->lanes); /* rows past the last one stay zero */
    job->strips = malloc(threads * job->strip_bytes + 1);
    weft_status status = WEFT_OK;
    if (job->lanes && job->strips)
        weft_parallel_for(pool, (job->out_height + STRIP_ROWS - 1) / STRIP_ROWS, 1, resize_body, job);
    else
        status = weft_fail(err, WEFT_ERR_MEMORY, "resize: no memory for its strips");
    free(job->lanes);
    free(job->strips);
    return status;
}

uint64_t weft_resize_bytes(int64_t width, int64_t height, int64_t out_width, int64_t out_height, int threads) {
    if (width == out_width && height == out_height) return 0;
    double scale = (double)height / (double)out_height, rows = scale * STRIP_ROWS + 4 * (scale > 1 ? scale : 1);
    if (rows > (double)height) rows = (double)height;
    uint64_t lanes = width == out_width ? 0 : (uint64_t)width * LANES * sizeof(int16_t);
    uint64_t strip = width == out_width || height == out_height ? 0 : (uint64_t)rows * (uint64_t)out_width * 3;
    return (uint64_t)threads * (lanes + strip);
}

weft_status weft_resize_bicubic(const uint8_t *rgb, int64_t width, int64_t height, uint8_t *out, int64_t out_width,
                                int64_t out_height, weft_pool *pool, weft_error *err) {
    if (width < 1 || height < 1 || out_width < 1 || out_height < 1 || width > RESIZE_SIDE_MAX ||
        height > RESIZE_SIDE_MAX || out_width > RESIZE_SIDE_MAX || out_height > RESIZE_SIDE_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "resize: %lld x %lld to %lld x %lld pixels", (long long)width,
                         (long long)height, (long long)out_width, (long long)out_height);
    if (width == out_width && height == out_height) {
        memcpy(out, rgb, (size_t)width * (size_t)height * 3);
        return WEFT_OK;
    }
    axis across = {0}, down = {0};
    weft_status status = WEFT_OK;
    if (width != out_width) status = axis_make(&across, width, out_width, err);
    if (status == WEFT_OK && height != out_height) status = axis_make(&down, height, out_height, err);
    if (status == WEFT_OK) {
        resize_job job = {.in = rgb, .out = out, .in_width = width, .out_width = out_width, .out_height = out_height};
        if (width != out_width) job.across = &across;
        if (height != out_height) job.down = &down;
        status = resize_run(&job, pool, err);
    }
    axis_free(&across);
    axis_free(&down);
    return status;
}
