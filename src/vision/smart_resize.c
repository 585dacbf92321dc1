/* The size a picture or clip is stretched to before it is cut into patches: multiples of patch * merge, an area within
 * the checkpoint's budget, the aspect ratio nearly kept. Pure arithmetic in doubles, as transformers computes it. */
#include <math.h>
#include <stdio.h>

#include "vision/vision.h"

enum { ASPECT_RATIO_MAX = 200 };
static const int64_t SIDE_MAX = (int64_t)1 << 24; /* of an input; keeps every product below exact in int64 and double */

/* 40000 -> "40,000" */
static const char *grouped(int64_t value, char text[32]) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)value), used = 0;
    for (int i = 0; i < length && used < 30; i++) {
        text[used++] = digits[i];
        if (digits[i] != '-' && (length - 1 - i) % 3 == 0 && i != length - 1) text[used++] = ',';
    }
    text[used] = 0;
    return text;
}

static weft_status check(int64_t width, int64_t height, int64_t factor, int64_t min_pixels, int64_t max_pixels,
                         weft_error *err) {
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
        return weft_fail(err, WEFT_ERR_INVALID, "%lld x %lld pixels: not a picture size", (long long)width,
                         (long long)height);
    if (factor < 1 || factor > 65536)
        return weft_fail(err, WEFT_ERR_INVALID, "patch_size * merge_size is %lld", (long long)factor);
    if (min_pixels < 0 || max_pixels < 1 || min_pixels > max_pixels || max_pixels > ((int64_t)1 << 40))
        return weft_fail(err, WEFT_ERR_INVALID, "min_pixels %lld and max_pixels %lld are not a range",
                         (long long)min_pixels, (long long)max_pixels);
    return WEFT_OK;
}

static weft_status check_aspect(int64_t width, int64_t height, weft_error *err) {
    int64_t longer = width > height ? width : height, shorter = width > height ? height : width;
    double ratio = (double)longer / (double)shorter;
    if (!(ratio > ASPECT_RATIO_MAX)) return WEFT_OK;
    char w[32], h[32];
    bool whole = longer % shorter == 0 || ratio >= 1000;
    return weft_fail(err, WEFT_ERR_INVALID, "%s x %s pixels: aspect ratio %.*f is over %d", grouped(width, w),
                     grouped(height, h), whole ? 0 : 1, whole ? rint(ratio) : ceil(ratio * 10) / 10, ASPECT_RATIO_MAX);
}

/* Python's round(): half to even, as rint in the default rounding mode. */
static int64_t nearest(int64_t side, int64_t factor) {
    return (int64_t)rint((double)side / (double)factor) * factor;
}
static int64_t shrunk(int64_t side, double beta, int64_t factor) {
    int64_t bar = (int64_t)floor((double)side / beta / (double)factor) * factor;
    return bar < factor ? factor : bar;
}
static int64_t grown(int64_t side, double beta, int64_t factor) {
    return (int64_t)ceil((double)side * beta / (double)factor) * factor;
}

/* `frames` as counted, `padded` a multiple of the temporal patch; both 1 for a picture. */
static void fit(double frames, double padded, int64_t width, int64_t height, int64_t factor, int64_t min_pixels,
                int64_t max_pixels, int64_t *out_width, int64_t *out_height) {
    int64_t w = nearest(width, factor), h = nearest(height, factor);
    double area = padded * (double)h * (double)w;
    double volume = frames * ((double)height * (double)width);
    if (area > (double)max_pixels) {
        double beta = sqrt(volume / (double)max_pixels);
        w = shrunk(width, beta, factor);
        h = shrunk(height, beta, factor);
    } else if (area < (double)min_pixels) {
        double beta = sqrt((double)min_pixels / volume);
        w = grown(width, beta, factor);
        h = grown(height, beta, factor);
    }
    /* Only a checkpoint without a lower budget gets here with a side that rounded to nothing. */
    *out_width = w < factor ? factor : w;
    *out_height = h < factor ? factor : h;
}

weft_status weft_smart_resize(int64_t width, int64_t height, int64_t factor, int64_t min_pixels, int64_t max_pixels,
                              int64_t *out_width, int64_t *out_height, weft_error *err) {
    WEFT_TRY(check(width, height, factor, min_pixels, max_pixels, err));
    WEFT_TRY(check_aspect(width, height, err));
    fit(1, 1, width, height, factor, min_pixels, max_pixels, out_width, out_height);
    return WEFT_OK;
}

weft_status weft_smart_resize_video(int64_t frames, int64_t width, int64_t height, int64_t factor, int64_t temporal,
                                    int64_t min_pixels, int64_t max_pixels, int64_t *out_width, int64_t *out_height,
                                    weft_error *err) {
    WEFT_TRY(check(width, height, factor, min_pixels, max_pixels, err));
    if (temporal < 1 || frames < temporal || frames > ((int64_t)1 << 20))
        return weft_fail(err, WEFT_ERR_INVALID, "%lld frames: a video needs at least %lld", (long long)frames,
                         (long long)temporal);
    if (height < factor || width < factor) {
        double by_height = (double)factor / (double)height, by_width = (double)factor / (double)width;
        double scale = by_height > by_width ? by_height : by_width;
        height = (int64_t)((double)height * scale);
        width = (int64_t)((double)width * scale);
    }
    WEFT_TRY(check_aspect(width, height, err));
    double padded = rint((double)frames / (double)temporal) * (double)temporal;
    fit((double)frames, padded, width, height, factor, min_pixels, max_pixels, out_width, out_height);
    return WEFT_OK;
}
