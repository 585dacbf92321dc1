/* The sampled frames of a clip are the ones that the published processor takes, with the pixels and the times that PyAV
 * reads; parts of a clip, limits, damaged files. */
#include <unistd.h>

#include "worker/clip/clip.h"
#include "worker/fixtures.h"

enum { FRAMES_MAX = 64 };

typedef struct expected_clip {
    char name[64];
    int64_t total;
    double fps, seconds[FRAMES_MAX];
    uint32_t sums[FRAMES_MAX];
} expected_clip;

typedef struct decoded_clip {
    int64_t frames, width, height;
    double duration, *seconds;
    uint8_t **rgb;
} decoded_clip;

static void decoded_free(decoded_clip *video) {
    for (int64_t i = 0; video->rgb && i < video->frames; i++) free(video->rgb[i]);
    free(video->rgb);
    free(video->seconds);
    *video = (decoded_clip){0};
}

/* All frames of a sampling; nothing is left in *video on failure. */
static weft_status decode(const char *bytes, size_t size, const weft_video_sampling *asked, const weft_media_limits *limits,
                          decoded_clip *video, weft_error *err) {
    int fd = -1;
    weft_clip_facts facts;
    const double *seconds = NULL;
    weft_video_sampling sampling = *asked;
    *video = (decoded_clip){0};
    if (!limits) limits = &weft_media_default_limits;
    if (sampling.max_frames > limits->frames_max) sampling.max_frames = limits->frames_max;
    if (sampling.min_frames > sampling.max_frames) sampling.min_frames = sampling.max_frames;
    weft_status status = weft_media_memory(bytes, size, "clip", &fd, err);
    if (status == WEFT_OK) status = weft_clip_open(fd, limits, &facts, err);
    if (status == WEFT_OK) status = weft_clip_sample(&sampling, &video->frames, &seconds, err);
    if (status != WEFT_OK) return status;
    video->width = facts.width, video->height = facts.height, video->duration = facts.duration;
    video->rgb = calloc((size_t)video->frames, sizeof *video->rgb);
    video->seconds = calloc((size_t)video->frames, sizeof *video->seconds);
    memcpy(video->seconds, seconds, (size_t)video->frames * sizeof *seconds);
    for (int64_t i = 0; i < video->frames && status == WEFT_OK; i++) {
        int64_t index = -1;
        video->rgb[i] = malloc((size_t)(facts.width * facts.height * 3));
        if (i > 0) memcpy(video->rgb[i], video->rgb[i - 1], (size_t)(facts.width * facts.height * 3)); /* as shared memory would hold it */
        status = weft_clip_frame(video->rgb[i], &index, err);
        if (status == WEFT_OK) CHECK_INT(index, i);
    }
    if (status != WEFT_OK) decoded_free(video);
    return status;
}

static uint32_t adler32(const uint8_t *bytes, size_t size) {
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < size; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static const weft_video_sampling usual = {.fps = 2, .min_frames = 4, .max_frames = 768};

/* `first`, `count`: the part of the clip that the sampling covers. */
static void check_sampling(const expected_clip *clip, const weft_buffer *file, const weft_video_sampling *sampling,
                           int64_t first, int64_t count) {
    weft_error err;
    decoded_clip video;
    int64_t indices[768];
    int64_t n = weft_video_sample_indices(count, clip->fps, sampling, indices);
    weft_status status = decode(file->data, file->size, sampling, NULL, &video, &err);
    CHECK_MSG(status == WEFT_OK, "%s: %s", clip->name, err.message);
    if (status != WEFT_OK) return;
    CHECK_INT(video.frames, n);
    CHECK(video.width == 64 && video.height == 32);
    for (int64_t i = 0; i < video.frames && i < n; i++) {
        int64_t number = first + indices[i];
        double seconds = clip->seconds[number];
        CHECK_MSG(fabs(video.seconds[i] - seconds) < 1e-5, "%s: frame %lld at %g seconds, want %g", clip->name,
                  (long long)number, video.seconds[i], seconds);
        CHECK_MSG(adler32(video.rgb[i], 64 * 32 * 3) == clip->sums[number], "%s: frame %lld has other pixels",
                  clip->name, (long long)number);
    }
    decoded_free(&video);
}

static void check_clip(const expected_clip *clip) {
    weft_buffer file = fixture_read(clip->name);
    weft_video_sampling sampling = usual;
    check_sampling(clip, &file, &sampling, 0, clip->total);
    sampling.fps = 1000; /* every frame */
    check_sampling(clip, &file, &sampling, 0, clip->total);
    sampling.num_frames = 5;
    check_sampling(clip, &file, &sampling, 0, clip->total);
    sampling = usual;
    sampling.max_frames = 3;
    sampling.min_frames = 3;
    check_sampling(clip, &file, &sampling, 0, clip->total);
    sampling = usual;
    sampling.start_seconds = clip->seconds[5] - 0.01;
    sampling.end_seconds = clip->seconds[12] - 0.01;
    sampling.fps = 1000;
    check_sampling(clip, &file, &sampling, 5, 7);
    sampling.end_seconds = 0;
    check_sampling(clip, &file, &sampling, 5, clip->total - 5);
    weft_buffer_free(&file);
}

static int read_clips(expected_clip *clips, int room) {
    weft_buffer file = fixture_read("clips.txt");
    int count = 0;
    char *rest = file.data;
    for (char *line = strsep(&rest, "\n"); line && *line && count < room; line = strsep(&rest, "\n")) {
        expected_clip *clip = &clips[count];
        char *word = strsep(&line, " ");
        snprintf(clip->name, sizeof clip->name, "%s", word);
        clip->total = strtoll(strsep(&line, " "), NULL, 10);
        clip->fps = strtod(strsep(&line, " "), NULL);
        CHECK(clip->total <= FRAMES_MAX);
        for (int64_t i = 0; i < clip->total && i < FRAMES_MAX; i++) {
            clip->seconds[i] = strtod(strsep(&line, " "), NULL);
            clip->sums[i] = (uint32_t)strtoul(strsep(&line, " "), NULL, 10);
        }
        count++;
    }
    weft_buffer_free(&file);
    return count;
}

static void refusals(void) {
    weft_error err;
    decoded_clip video;
    weft_buffer file = fixture_read("b_frames.mp4");
    weft_media_limits limits;
    limits = weft_media_default_limits;
    limits.side_max = 60;
    CHECK_INT(decode(file.data, file.size, &usual, &limits, &video, &err), WEFT_ERR_LIMIT);
    limits = weft_media_default_limits;
    limits.video_seconds_max = 2;
    CHECK_INT(decode(file.data, file.size, &usual, &limits, &video, &err), WEFT_ERR_LIMIT);
    limits = weft_media_default_limits;
    limits.frames_max = 2;
    CHECK_OK(decode(file.data, file.size, &usual, &limits, &video, &err), err);
    CHECK_INT(video.frames, 2);
    decoded_free(&video);
    weft_video_sampling late = usual;
    late.start_seconds = 100;
    CHECK_INT(decode(file.data, file.size, &late, NULL, &video, &err), WEFT_ERR_INVALID);
    late.end_seconds = 50;
    CHECK_INT(decode(file.data, file.size, &late, NULL, &video, &err), WEFT_ERR_INVALID);
    late.start_seconds = NAN;
    CHECK_INT(decode(file.data, file.size, &late, NULL, &video, &err), WEFT_ERR_INVALID);
    CHECK_INT(decode(file.data, file.size / 2, &usual, NULL, &video, &err), WEFT_ERR_UNSUPPORTED);
    CHECK_INT(decode("", 0, &usual, NULL, &video, &err), WEFT_ERR_FORMAT);
    static const char playlist[] =
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n";
    CHECK_INT(decode(playlist, sizeof playlist - 1, &usual, NULL, &video, &err), WEFT_ERR_UNSUPPORTED);
    static const char concatenation[] = "ffconcat version 1.0\nfile /etc/hostname\n";
    CHECK_INT(decode(concatenation, sizeof concatenation - 1, &usual, NULL, &video, &err),
              WEFT_ERR_UNSUPPORTED);
    weft_buffer_free(&file);
}

static void damaged(const expected_clip *clips, int count) {
    uint64_t seed = 9;
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = 1 << 18;
    for (int c = 0; c < count; c++) {
        weft_buffer file = fixture_read(clips[c].name);
        for (int round = 0; round < 30; round++) {
            char *copy = malloc(file.size);
            memcpy(copy, file.data, file.size);
            for (uint64_t flips = 1 + testing_random(&seed) % 20; flips > 0; flips--)
                copy[testing_random(&seed) % file.size] ^= (char)(1 << testing_random(&seed) % 8);
            weft_error err = {0};
            decoded_clip video;
            weft_status status = decode(copy, file.size, &usual, &limits, &video, &err);
            if (status == WEFT_OK)
                for (int64_t i = 0; i < video.frames; i++) CHECK(video.rgb[i] != NULL);
            else
                CHECK(!video.rgb && err.message[0]);
            decoded_free(&video);
            free(copy);
        }
        weft_buffer_free(&file);
    }
}

/* numpy: linspace(0, total - 1, n).round(), n = min(max(int(total / native * fps), 4), 768, total) */
static void indices(void) {
    static const struct {
        int64_t total;
        double native;
        int64_t n, want[9];
    } table[] = {
        {9, 4, 4, {0, 3, 5, 8}},
        {25, 10, 5, {0, 6, 12, 18, 24}},
        {2, 30, 2, {0, 1}},
        {1, 30, 1, {0}},
        {100, 29.97, 6, {0, 20, 40, 59, 79, 99}},
        {37, 12.5, 5, {0, 9, 18, 27, 36}},
        {4, 0.5, 4, {0, 1, 2, 3}},
        {0, 5, 0, {0}},
    };
    int64_t got[768];
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        CHECK_INT(weft_video_sample_indices(table[t].total, table[t].native, &usual, got), table[t].n);
        for (int64_t i = 0; i < table[t].n; i++) CHECK_INT(got[i], table[t].want[i]);
    }
    CHECK_INT(weft_video_sample_indices(10000000, 30, &usual, got), 768);
    CHECK_INT(got[767], 9999999);
}

int main(void) {
    static expected_clip clips[16];
    weft_clip_warm_up();
    int count = read_clips(clips, 16);
    CHECK_MSG(count >= 6, "only %d clips", count);
    for (int i = 0; i < count; i++) check_clip(&clips[i]);
    indices();
    refusals();
    damaged(clips, count);
    weft_clip_close();
    return testing_summary();
}
