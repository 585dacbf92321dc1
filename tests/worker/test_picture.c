/* Pictures of every kind equal, byte for byte, what Pillow and the published processor read from them; limits hold
 * before memory is taken; damaged files give a message and nothing else. */
#include "worker/fixtures.h"
#include "worker/picture/picture.h"

static weft_status decode(const void *bytes, size_t size, const weft_media_limits *limits, weft_image *image, weft_error *err) {
    return weft_picture_decode(bytes, size, limits ? limits : &weft_media_default_limits, false, image, err);
}

static uint32_t read32(const char *bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}

static void check_picture(const char *name, int64_t width, int64_t height, const uint8_t *rgb) {
    weft_error err;
    weft_image image;
    weft_buffer file = fixture_read(name);
    weft_status status = decode(file.data, file.size, NULL, &image, &err);
    CHECK_MSG(status == WEFT_OK, "%s: %s", name, err.message);
    if (status == WEFT_OK) {
        CHECK_MSG(image.width == width && image.height == height, "%s: %lld x %lld", name, (long long)image.width,
                  (long long)image.height);
        int64_t wrong = 0;
        for (int64_t i = 0; image.width == width && image.height == height && i < width * height * 3; i++)
            wrong += image.rgb[i] != rgb[i];
        CHECK_MSG(wrong == 0, "%s: %lld values differ", name, (long long)wrong);
    }
    weft_image_free(&image);
    weft_buffer_free(&file);
}

static void equal_to_pillow(void) {
    weft_buffer expected = fixture_read("expected.bin");
    int pictures = 0;
    for (size_t at = 0; at < expected.size;) {
        const char *name = expected.data + at;
        at += strlen(name) + 1;
        int64_t width = read32(expected.data + at), height = read32(expected.data + at + 4);
        check_picture(name, width, height, (const uint8_t *)expected.data + at + 8);
        at += 8 + (size_t)(width * height * 3);
        pictures++;
    }
    CHECK_MSG(pictures >= 40, "only %d pictures", pictures);
    weft_buffer_free(&expected);
}

/* A quarter turn is told apart from its opposite by where the first pixel goes. */
static void turns_differ(void) {
    weft_error err;
    weft_image upright, turned;
    weft_buffer file = fixture_read("turn1.jpg"), other = fixture_read("turn6.jpg");
    CHECK_OK(decode(file.data, file.size, NULL, &upright, &err), err);
    CHECK_OK(decode(other.data, other.size, NULL, &turned, &err), err);
    CHECK(turned.width == upright.height && turned.height == upright.width);
    CHECK(memcmp(turned.rgb + (turned.width - 1) * 3, upright.rgb, 3) == 0); /* top left is now top right */
    weft_image_free(&upright);
    weft_image_free(&turned);
    weft_buffer_free(&file);
    weft_buffer_free(&other);
}

static const char *const files[] = {"colour.jpg",    "progressive.jpg", "cmyk.jpg",          "turn6.jpg",
                                    "xmp.jpg",       "alpha.png",       "palette_alpha.png", "interlaced_alpha.png",
                                    "grey16.png",    "turn6.png",       "lossy.webp",        "alpha.webp",
                                    "lossless.webp", "animated.webp",   "turn8.webp"};
enum { FILES = sizeof files / sizeof *files };

/* Decodes from an allocation of exactly `size` bytes, so that a read past the end is caught by the sanitizer. */
static weft_status decode_exactly(const char *bytes, size_t size, weft_image *image, weft_error *err) {
    char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    weft_status status = decode(copy, size, NULL, image, err);
    free(copy);
    return status;
}

static void truncated(void) {
    for (int f = 0; f < FILES; f++) {
        weft_buffer file = fixture_read(files[f]);
        for (size_t size = 0; size < file.size; size += 1 + size / 40) {
            weft_error err = {0};
            weft_image image;
            weft_status status = decode_exactly(file.data, size, &image, &err);
            bool metadata_only = size > file.size * 3 / 4; /* what is missing may lie behind the pixels */
            CHECK_MSG(status != WEFT_OK || metadata_only, "%s: %zu of %zu bytes passed for whole", files[f], size,
                      file.size);
            if (status != WEFT_OK) CHECK(err.message[0] && image.rgb == NULL && image.width == 0);
            weft_image_free(&image);
        }
        weft_buffer_free(&file);
    }
    weft_error err;
    weft_image image;
    weft_buffer file = fixture_read("colour.jpg");
    CHECK_INT(decode(file.data, file.size - 200, NULL, &image, &err), WEFT_ERR_FORMAT);
    CHECK_STR(err.message, "JPEG: truncated: the file ends before the picture does");
    CHECK_OK(decode(file.data, file.size - 2, NULL, &image, &err), err); /* only the end marker is missing */
    weft_image_free(&image);
    weft_buffer_free(&file);
}

/* Random damage: any outcome but a crash; a decoded picture has a size, a refused one a message and no memory. */
static void damaged(void) {
    uint64_t seed = 20;
    weft_media_limits limits = weft_media_default_limits;
    limits.pixels_max = 1 << 20;
    for (int f = 0; f < FILES; f++) {
        weft_buffer file = fixture_read(files[f]);
        for (int round = 0; round < 300; round++) {
            char *copy = malloc(file.size);
            memcpy(copy, file.data, file.size);
            for (uint64_t flips = 1 + testing_random(&seed) % 6; flips > 0; flips--)
                copy[testing_random(&seed) % file.size] ^= (char)(1 << testing_random(&seed) % 8);
            weft_error err = {0};
            weft_image image;
            weft_status status = decode(copy, file.size, &limits, &image, &err);
            if (status == WEFT_OK)
                CHECK(image.rgb && image.width > 0 && image.height > 0);
            else
                CHECK(!image.rgb && err.message[0] && err.status == status);
            weft_image_free(&image);
            free(copy);
        }
        weft_buffer_free(&file);
    }
}

/* A header that promises 40,000 x 40,000 pixels in a few bytes. */
static void limits(void) {
    static const unsigned char bomb[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0,    0, 0,    13,
                                         'I',  'H', 'D', 'R', 0,    0,    0x9C, 0x40, 0,    0, 0x9C, 0x40,
                                         8,    2,   0,   0,   0,    0x72, 0x4A, 0x12, 0xC7, 0, 0,    0,
                                         0,    'I', 'D', 'A', 'T',  0x35, 0xAF, 0x06, 0x1E};
    weft_error err;
    weft_image image;
    unsigned char copy[sizeof bomb];
    memcpy(copy, bomb, sizeof bomb);
    uint32_t crc = 0xFFFFFFFF; /* of the IHDR chunk */
    for (int i = 12; i < 29; i++) {
        crc ^= copy[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    for (int i = 0; i < 4; i++) copy[29 + i] = (unsigned char)(~crc >> (24 - 8 * i));
    CHECK_INT(decode(copy, sizeof copy, NULL, &image, &err), WEFT_ERR_LIMIT);
    CHECK_STR(err.message, "PNG: 40000 x 40000 pixels: the picture is over the limit of 134217728 pixels");
    static const char *const names[] = {"colour.png", "lossy.webp", "animated.webp"};
    for (int i = 0; i < 3; i++) {
        weft_buffer file = fixture_read(names[i]);
        weft_media_limits small = weft_media_default_limits;
        small.pixels_max = 100;
        CHECK_INT(decode(file.data, file.size, &small, &image, &err), WEFT_ERR_LIMIT);
        small = weft_media_default_limits;
        small.side_max = 20;
        CHECK_INT(decode(file.data, file.size, &small, &image, &err), WEFT_ERR_LIMIT);
        CHECK(image.rgb == NULL);
        weft_buffer_free(&file);
    }
    weft_buffer file = fixture_read("colour.jpg"); /* 37 x 29: a JPEG is decoded smaller */
    weft_media_limits small = weft_media_default_limits;
    small.pixels_max = 19 * 15;
    CHECK_OK(decode(file.data, file.size, &small, &image, &err), err);
    CHECK(image.width == 19 && image.height == 15 && image.full_width == 37 && image.full_height == 29);
    weft_image_free(&image);
    small.pixels_max = 19;
    CHECK_INT(decode(file.data, file.size, &small, &image, &err), WEFT_ERR_LIMIT);
    weft_buffer_free(&file);
    CHECK_INT(decode("", 0, NULL, &image, &err), WEFT_ERR_UNSUPPORTED);
    CHECK_INT(decode("GIF89a;", 7, NULL, &image, &err), WEFT_ERR_FORMAT);
    CHECK_INT(decode("hello", 5, NULL, &image, &err), WEFT_ERR_UNSUPPORTED);
}

int main(void) {
    equal_to_pillow();
    turns_differ();
    truncated();
    damaged();
    limits();
    return testing_summary();
}
