/* Pixels, vision rows and DeepStack rows of the golden models against what transformers computes, at every kernel level
 * of this machine; and that the way the work is cut does not change the result. */
#include <fcntl.h>
#include <unistd.h>

#include "npy_read.h"
#include "testing.h"
#include "vision/vision.h"

typedef struct golden_case {
    const char *model, *request;
    const char *pictures[3];
    double tolerance; /* of the largest difference, relative to the largest value */
} golden_case;

/* Stored weights are read exactly, so only the order of f32 sums differs. */
static const golden_case cases[] = {
    {"dense_tied/model", "image", {"shapes.png"}, 1e-5},
    {"dense_tied/model", "two_images", {"wide.png", "alpha.png"}, 1e-5},
    {"head128/model", "image", {"shapes.png"}, 1e-5},
    {"vision_head12/model", "image", {"shapes.png"}, 1e-5},
    {"vision_head12/model", "follow_up", {"small.png"}, 1e-5},
    {"vision_head64/model", "image", {"shapes.png"}, 1e-5},
    {"vision_head72/model", "photo", {"turned.jpg"}, 1e-5},
    {"gqa_f32/model", "follow_up", {"small.png"}, 1e-5},
    {"untied_f16/model", "tools", {"small.png", "wide.png"}, 1e-5},
    {"fp8/model", "image", {"shapes.png"}, 1e-5},
    {"section_16_8_8/model", "two_images", {"wide.png", "alpha.png"}, 1e-5},
};
enum { CASES = sizeof cases / sizeof *cases };

#define QUICK_TOLERANCE 2e-2 /* of 8-bit keys and values, relative to the largest value */

static char path[4096];
static const char *golden(const char *format, const char *a, const char *b, const char *c) {
    int used = snprintf(path, sizeof path, "%s/", WEFT_TEST_DATA);
    snprintf(path + used, sizeof path - (size_t)used, format, a, b, c);
    return path;
}

static double worst(const float *got, const float *want, int64_t count) {
    double difference = 0, scale = 1e-30;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(got[i])) return INFINITY;
        difference = fmax(difference, fabs((double)got[i] - want[i]));
        scale = fmax(scale, fabs((double)want[i]));
    }
    return difference / scale;
}

static int read_picture(const char *name, const weft_config *config, weft_pool *pool, weft_pixels *pixels) {
    weft_error err;
    weft_image image;
    weft_media_session *session = NULL;
    int fd = open(golden("media/%s", name, "", ""), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    weft_status status = weft_media_session_create(NULL, &session, &err);
    if (status == WEFT_OK) status = weft_media_read_image(session, fd, &image, &err);
    if (status == WEFT_OK) status = weft_pixels_from_image(&image, &config->vision, &config->image, pool, pixels, &err);
    CHECK_OK(status, err);
    weft_media_session_free(session);
    close(fd);
    return status == WEFT_OK;
}

static int encode(const weft_checkpoint *checkpoint, const weft_pixels *pixels, const weft_compute *compute,
                  weft_kv_format format, weft_vision_embeds *embeds) {
    const weft_config *config = weft_checkpoint_config(checkpoint);
    weft_error err;
    weft_vision_run *run = NULL;
    weft_status status = weft_vision_begin(config, weft_checkpoint_vision(checkpoint), pixels, &config->image, compute,
                                           format, &run, &err);
    CHECK_OK(status, err);
    if (status != WEFT_OK) return 0;
    bool finished = false;
    int64_t done = 0, total = 0, steps = 0;
    while (!finished && steps < 100000) {
        status = weft_vision_step(run, &finished, &done, &total, &err);
        CHECK_OK(status, err);
        if (status != WEFT_OK) break;
        steps++;
        CHECK_INT(done, steps);
    }
    CHECK_INT(done, total);
    CHECK_INT(weft_vision_step(run, &finished, &done, &total, &err), WEFT_ERR_INTERNAL);
    weft_vision_take(run, embeds);
    weft_vision_end(run);
    return finished;
}

static void check_pixels(const golden_case *c, const weft_config *config, const weft_pixels *pixels,
                         int64_t first_token_row) {
    char model[256];
    snprintf(model, sizeof model, "%s", c->model);
    *strrchr(model, '/') = 0;
    npy_array means = npy_read(golden("models/%s/%s/pixel_values_means.npy", model, c->request, ""));
    CHECK(means.data != NULL);
    if (!means.data) return;
    int64_t patches = weft_grid_patches(pixels->grid),
            values = 3 * config->vision.temporal_patch_size * config->vision.patch_size * config->vision.patch_size;
    CHECK(first_token_row + patches <= means.values);
    float *row = malloc((size_t)values * sizeof *row);
    double off = 0;
    for (int64_t i = 0; i < patches && first_token_row + i < means.values; i++) {
        weft_pixels_patches(pixels, &config->vision, &config->image, i, 1, row);
        double sum = 0;
        for (int64_t j = 0; j < values; j++) sum += row[j];
        off = fmax(off, fabs(sum / (double)values - ((const double *)means.data)[first_token_row + i]));
    }
    CHECK_MSG(off < 1e-6, "%s %s: mean of a patch off by %g", c->model, c->request, off);
    free(row);
    free(means.data);
}

static void run_case(const golden_case *c, const weft_compute *compute) {
    weft_error err;
    char model[256];
    snprintf(model, sizeof model, "%s", c->model);
    *strrchr(model, '/') = 0;
    weft_checkpoint *checkpoint = NULL;
    weft_status status = weft_checkpoint_open(golden("models/%s", c->model, "", ""), NULL, &checkpoint, &err);
    CHECK_OK(status, err);
    if (status != WEFT_OK) return;
    const weft_config *config = weft_checkpoint_config(checkpoint);
    npy_array rows = npy_read(golden("models/%s/%s/vision_embeds.npy", model, c->request, ""));
    CHECK(rows.data && strcmp(rows.type, "<f4") == 0);
    int64_t tokens = 0, patches = 0;
    for (int p = 0; p < 3 && c->pictures[p] && rows.data; p++) {
        weft_pixels pixels;
        weft_vision_embeds embeds = {0};
        if (!read_picture(c->pictures[p], config, weft_compute_pool(compute), &pixels)) break;
        check_pixels(c, config, &pixels, patches);
        patches += weft_grid_patches(pixels.grid);
        if (!encode(checkpoint, &pixels, compute, WEFT_KV_F32, &embeds)) break;
        CHECK_INT(embeds.tokens, weft_grid_tokens(pixels.grid, config->vision.merge_size));
        CHECK_INT(embeds.hidden, rows.shape[1]);
        CHECK_INT(embeds.deepstack_count, config->vision.deepstack_count);
        CHECK(tokens + embeds.tokens <= rows.shape[0]);
        int64_t count = embeds.tokens * embeds.hidden, offset = tokens * embeds.hidden;
        double off = worst(embeds.rows, (const float *)rows.data + offset, count);
        CHECK_MSG(off < c->tolerance, "%s %s %s: rows off by %g", c->model, c->request, c->pictures[p], off);
        for (int d = 0; d < embeds.deepstack_count; d++) {
            char name[32];
            snprintf(name, sizeof name, "deepstack_%d.npy", d);
            npy_array deep = npy_read(golden("models/%s/%s/%s", model, c->request, name));
            CHECK(deep.data != NULL);
            if (deep.data) off = worst(embeds.deepstack + d * count, (const float *)deep.data + offset, count);
            CHECK_MSG(off < c->tolerance, "%s %s %s: DeepStack %d off by %g", c->model, c->request, c->pictures[p], d,
                      off);
            free(deep.data);
        }
        weft_vision_embeds quick = {0};
        if (encode(checkpoint, &pixels, compute, WEFT_KV_Q8, &quick)) {
            off = worst(quick.rows, embeds.rows, count);
            CHECK_MSG(off < QUICK_TOLERANCE && off > 0, "%s %s %s: 8-bit keys and values move rows by %g", c->model,
                      c->request, c->pictures[p], off);
        }
        weft_vision_embeds_free(&quick);
        tokens += embeds.tokens;
        weft_vision_embeds_free(&embeds);
        weft_pixels_free(&pixels);
    }
    if (rows.data) CHECK_INT(tokens, rows.shape[0]);
    free(rows.data);
    weft_checkpoint_close(checkpoint);
}

/* A clip of two different frame pairs equals its pairs encoded as clips of their own; a repeated frame equals a
 * picture. */
static void groups_are_separate(const weft_compute *compute) {
    weft_error err;
    weft_checkpoint *checkpoint = NULL;
    weft_status status =
        weft_checkpoint_open(golden("models/%s", "vision_head72/model", "", ""), NULL, &checkpoint, &err);
    CHECK_OK(status, err);
    if (status != WEFT_OK) return;
    const weft_config *config = weft_checkpoint_config(checkpoint);
    enum { W = 96, H = 64, FRAMES = 3 };
    static uint8_t noise[FRAMES][W * H * 3];
    uint64_t seed = 7;
    for (int f = 0; f < FRAMES; f++)
        for (int i = 0; i < W * H * 3; i++) noise[f][i] = (uint8_t)testing_random(&seed);
    weft_image last = {.width = W, .height = H, .rgb = noise[2]};
    weft_pixels whole, single;
    weft_pixels_config budget = config->image;
    budget.min_pixels = 1;
    budget.max_pixels = W * H * 4;
    CHECK_OK(weft_pixels_begin_clip(FRAMES, W, H, &config->vision, &budget, &whole, &err), err);
    for (int f = 0; f < FRAMES; f++) CHECK_OK(weft_pixels_set_frame(&whole, f, noise[f], W, H, NULL, &err), err);
    CHECK_INT(weft_pixels_set_frame(&whole, 0, noise[0], W, H, NULL, &err), WEFT_ERR_INTERNAL);
    CHECK_INT(whole.grid.t, 2);
    CHECK_INT(whole.frames, 4);
    CHECK(whole.rgb[2] == whole.rgb[3]); /* an odd count repeats its last frame */
    CHECK_OK(weft_pixels_from_image(&last, &config->vision, &budget, NULL, &single, &err), err);
    CHECK_INT(single.grid.h, whole.grid.h);
    CHECK_INT(single.grid.w, whole.grid.w);
    weft_vision_embeds both = {0}, one = {0};
    if (encode(checkpoint, &whole, compute, WEFT_KV_F32, &both) &&
        encode(checkpoint, &single, compute, WEFT_KV_F32, &one)) {
        int64_t count = one.tokens * one.hidden;
        CHECK_INT(both.tokens, 2 * one.tokens);
        CHECK(worst(both.rows + count, one.rows, count) < 1e-6);
        CHECK(worst(both.rows, one.rows, count) > 1e-3);
        for (int d = 0; d < one.deepstack_count; d++)
            CHECK(worst(both.deepstack + (2 * d + 1) * count, one.deepstack + d * count, count) < 1e-6);
    }
    weft_vision_embeds_free(&both);
    weft_vision_embeds_free(&one);
    weft_pixels_free(&whole);
    weft_pixels_free(&single);
    weft_checkpoint_close(checkpoint);
}

/* A picture that is cut into several chunks of rows, against transformers (lab/vision_large.py). */
static void several_chunks(const weft_compute *compute) {
    enum { W = 640, H = 480, CHOSEN = 8 };
    static const int64_t chosen[CHOSEN] = {0, 1, 127, 128, 129, 255, 256, 299};
    weft_error err;
    weft_checkpoint *checkpoint = NULL;
    weft_status status =
        weft_checkpoint_open(golden("models/%s", "vision_head72/model", "", ""), NULL, &checkpoint, &err);
    CHECK_OK(status, err);
    if (status != WEFT_OK) return;
    npy_array want = npy_read(golden("../vision/%s", "large.npy", "", ""));
    CHECK(want.data != NULL && want.dims == 3 && want.shape[1] == CHOSEN);
    const weft_config *config = weft_checkpoint_config(checkpoint);
    weft_image image = {.width = W, .height = H, .rgb = malloc(W * H * 3)};
    for (int64_t i = 0; i < W * H * 3; i++) {
        int64_t x = i / 3 % W, y = i / 3 / W, c = i % 3;
        image.rgb[i] = (uint8_t)(7 * x + 13 * y + 29 * c + x * y % 31);
    }
    weft_pixels pixels;
    weft_pixels_config budget = config->image;
    budget.max_pixels = W * H;
    weft_vision_embeds embeds = {0};
    CHECK_OK(status =
                 weft_pixels_from_image(&image, &config->vision, &budget, weft_compute_pool(compute), &pixels, &err),
             err);
    if (status == WEFT_OK && want.data && encode(checkpoint, &pixels, compute, WEFT_KV_F32, &embeds)) {
        CHECK_INT(want.shape[0], 1 + embeds.deepstack_count);
        CHECK_INT(want.shape[2], embeds.hidden);
        for (int64_t set = 0; set <= embeds.deepstack_count; set++)
            for (int i = 0; i < CHOSEN; i++) {
                const float *from =
                    set == 0 ? embeds.rows : embeds.deepstack + (set - 1) * embeds.tokens * embeds.hidden;
                double off = worst(from + chosen[i] * embeds.hidden,
                                   (const float *)want.data + (set * CHOSEN + i) * embeds.hidden, embeds.hidden);
                CHECK_MSG(off < 1e-5, "token %lld of set %lld off by %g", (long long)chosen[i], (long long)set, off);
            }
    }
    weft_vision_embeds_free(&embeds);
    weft_pixels_free(&pixels);
    free(image.rgb);
    free(want.data);
    weft_checkpoint_close(checkpoint);
}

/* More than one chunk, ended half way: nothing leaks, and the plan's estimate covers what was taken. */
static void ended_early(const weft_compute *compute) {
    weft_error err;
    weft_checkpoint *checkpoint = NULL;
    weft_status status = weft_checkpoint_open(golden("models/%s", "dense_tied/model", "", ""), NULL, &checkpoint, &err);
    CHECK_OK(status, err);
    if (status != WEFT_OK) return;
    const weft_config *config = weft_checkpoint_config(checkpoint);
    enum { W = 640, H = 480 };
    uint8_t *grey = calloc(W * H, 3);
    weft_image image = {.width = W, .height = H, .rgb = grey};
    weft_pixels pixels;
    weft_pixels_config budget = config->image;
    budget.max_pixels = W * H;
    CHECK_OK(weft_pixels_from_image(&image, &config->vision, &budget, NULL, &pixels, &err), err);
    weft_vision_run *run = NULL;
    CHECK_OK(status = weft_vision_begin(config, weft_checkpoint_vision(checkpoint), &pixels, &budget, compute,
                                        WEFT_KV_Q8, &run, &err),
             err);
    bool finished = false;
    int64_t done = 0, total = 0;
    for (int i = 0; i < 4 && status == WEFT_OK; i++)
        CHECK_OK(weft_vision_step(run, &finished, &done, &total, &err), err);
    CHECK(!finished && done == 4 && total > 4);
    weft_vision_end(run);
    weft_vision_end(NULL);
    uint64_t floor =
        (uint64_t)weft_grid_patches(pixels.grid) * (uint64_t)config->vision.hidden_size * 3 * sizeof(float);
    CHECK(weft_vision_bytes(config, WEFT_KV_F32, pixels.grid) > floor);
    weft_grid odd = pixels.grid;
    pixels.grid.w -= 1;
    CHECK_INT(weft_vision_begin(config, weft_checkpoint_vision(checkpoint), &pixels, &budget, compute, WEFT_KV_Q8, &run,
                                &err),
              WEFT_ERR_INVALID);
    CHECK(run == NULL);
    pixels.grid = odd;
    weft_pixels_free(&pixels);
    free(grey);
    weft_checkpoint_close(checkpoint);
}

int main(void) {
    const char *levels[] = {"ref", "avx2", "avx512"};
    for (int level = 0; level < 3; level++)
        for (int threads = 1; threads <= 3; threads += 2) {
            weft_compute *compute = NULL;
            weft_error err;
            if (weft_compute_create(levels[level], threads, &compute, &err) != WEFT_OK) {
                CHECK_MSG(level > 0, "%s", err.message); /* ref must exist; others when the CPU has them */
                continue;
            }
            for (int i = 0; i < CASES; i++) run_case(&cases[i], compute);
            groups_are_separate(compute);
            several_chunks(compute);
            ended_early(compute);
            weft_compute_destroy(compute);
        }
    return testing_summary();
}
