/* smart_resize against the published processors' functions, and resampling bit for bit against torch's own kernel. */
#include <jansson.h>

#include "npy_read.h"
#include "testing.h"
#include "vision/vision.h"

static void check_sizes(json_t *rows, bool video) {
    size_t index;
    json_t *row;
    CHECK(json_array_size(rows) > 100);
    json_array_foreach(rows, index, row) {
        int64_t v[6] = {1};
        int at = video ? 0 : 1;
        for (size_t i = 0; i + 1 < json_array_size(row); i++) v[at++] = json_integer_value(json_array_get(row, i));
        json_t *want = json_array_get(row, json_array_size(row) - 1);
        int64_t width = 0, height = 0;
        weft_error err;
        weft_status status = video ? weft_smart_resize_video(v[0], v[1], v[2], 32, 2, v[3], v[4], &width, &height, &err)
                                   : weft_smart_resize(v[1], v[2], 32, v[3], v[4], &width, &height, &err);
        if (json_is_string(want)) {
            CHECK_INT(status, WEFT_ERR_INVALID);
            if (strstr(json_string_value(want), "aspect"))
                CHECK_MSG(strstr(err.message, "is over 200") != NULL, "%s", err.message);
            continue;
        }
        CHECK_OK(status, err);
        int64_t h = json_integer_value(json_array_get(want, 0)), w = json_integer_value(json_array_get(want, 1));
        CHECK_MSG(width == w && height == h,
                  "%lld frames, %lld x %lld in %lld..%lld: got %lld x %lld, want %lld x %lld", (long long)v[0],
                  (long long)v[1], (long long)v[2], (long long)v[3], (long long)v[4], (long long)width,
                  (long long)height, (long long)w, (long long)h);
    }
}

static void messages(void) {
    weft_error err;
    int64_t w, h;
    CHECK_INT(weft_smart_resize(40000, 2, 32, 65536, 1 << 24, &w, &h, &err), WEFT_ERR_INVALID);
    CHECK_STR(err.message, "40,000 x 2 pixels: aspect ratio 20000 is over 200");
    CHECK_INT(weft_smart_resize(2, 401, 32, 65536, 1 << 24, &w, &h, &err), WEFT_ERR_INVALID);
    CHECK_STR(err.message, "2 x 401 pixels: aspect ratio 200.5 is over 200");
    CHECK_INT(weft_smart_resize(100001, 500, 32, 65536, 1 << 24, &w, &h, &err), WEFT_ERR_INVALID);
    CHECK_STR(err.message, "100,001 x 500 pixels: aspect ratio 200.1 is over 200");
    CHECK_INT(weft_smart_resize(0, 5, 32, 65536, 1 << 24, &w, &h, &err), WEFT_ERR_INVALID);
    CHECK_INT(weft_smart_resize(INT64_MAX, 5, 32, 65536, 1 << 24, &w, &h, &err), WEFT_ERR_INVALID);
    CHECK_INT(weft_smart_resize(50, 50, 32, 65536, 100, &w, &h, &err), WEFT_ERR_INVALID);
    CHECK_OK(weft_smart_resize(1920, 1080, 32, 65536, 1 << 24, &w, &h, &err), err);
    CHECK(w == 1920 && h == 1088);
    CHECK_OK(weft_smart_resize(10, 10, 32, 0, 1 << 24, &w, &h, &err), err); /* no lower budget: still a whole block */
    CHECK(w == 32 && h == 32);
}

static void check_resampling(void) {
    int found = 0;
    weft_error err;
    weft_pool *pool = NULL;
    CHECK_OK(weft_pool_create(3, &pool, &err), err);
    for (int i = 0; i < 100; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/resize/%d_in.npy", WEFT_TEST_DATA, i);
        npy_array in = npy_read(path);
        snprintf(path, sizeof path, "%s/resize/%d_out.npy", WEFT_TEST_DATA, i);
        npy_array want = npy_read(path);
        if (!in.data || !want.data) break;
        found++;
        for (int threaded = 0; threaded < 2; threaded++) {
            uint8_t *got = malloc((size_t)want.values);
            memset(got, 0xA5, (size_t)want.values);
            CHECK_OK(weft_resize_bicubic(in.data, in.shape[1], in.shape[0], got, want.shape[1], want.shape[0],
                                         threaded ? pool : NULL, &err),
                     err);
            int64_t wrong = 0;
            for (int64_t j = 0; j < want.values; j++) wrong += got[j] != ((const uint8_t *)want.data)[j];
            CHECK_MSG(wrong == 0, "picture %d: %lld of %lld values differ", i, (long long)wrong,
                      (long long)want.values);
            free(got);
        }
        free(in.data);
        free(want.data);
    }
    CHECK_MSG(found >= 10, "only %d pairs of pictures in golden/resize", found);
    weft_pool_destroy(pool);
}

/* Extremes that no table holds: a reduction and an enlargement by thousands keep a flat colour flat. */
static void extremes(void) {
    static const int64_t sizes[][4] = {
        {1, 1, 300, 7}, {5000, 1, 1, 1}, {1, 5000, 3, 2}, {2, 3, 2000, 1}, {33, 70, 32, 64}};
    weft_error err;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i];
        uint8_t *in = malloc((size_t)(s[0] * s[1] * 3)), *out = malloc((size_t)(s[2] * s[3] * 3));
        memset(in, 201, (size_t)(s[0] * s[1] * 3));
        CHECK_OK(weft_resize_bicubic(in, s[0], s[1], out, s[2], s[3], NULL, &err), err);
        int64_t wrong = 0;
        for (int64_t j = 0; j < s[2] * s[3] * 3; j++)
            wrong += abs(out[j] - 201) > 1; /* weights are rounded to 16 bits */
        CHECK_INT(wrong, 0);
        free(in);
        free(out);
    }
    uint8_t byte[3] = {0};
    CHECK_INT(weft_resize_bicubic(byte, 1, 1, byte, 0, 1, NULL, &err), WEFT_ERR_INVALID);
    CHECK_INT(weft_resize_bicubic(byte, 1, INT64_MAX, byte, 1, 1, NULL, &err), WEFT_ERR_INVALID);
}

int main(void) {
    json_error_t fault;
    json_t *table = json_load_file(WEFT_TEST_DATA "/smart_resize.json", 0, &fault);
    CHECK_MSG(table != NULL, "%s", fault.text);
    check_sizes(json_object_get(table, "image"), false);
    check_sizes(json_object_get(table, "video"), true);
    json_decref(table);
    messages();
    check_resampling();
    extremes();
    return testing_summary();
}
